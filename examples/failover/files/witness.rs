//! The witness: cells in a folder, which a file can take down.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use mantissa_mr_core::cell::{Cell, CellDurability, CellName, CellStore, Expected, FileCells, StoreOutcome};
use mantissa_mr_core::error::{Effect, Error, ErrorKind, Result};
use tokio::sync::OnceCell;

use super::disk;

pub(super) async fn create(root: &Path) -> Result<()> {
    disk::make_folder(&root.join("witness"))?;
    FileCells::create(root.join("witness/cells")).await.map(|_| ())
}

/// The cells of a world.
#[derive(Debug)]
pub(super) struct Witness {
    root: PathBuf,
    cells: OnceCell<FileCells>,
}

impl Witness {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), cells: OnceCell::new() }
    }

    async fn cells(&self, operation: &str) -> Result<&FileCells> {
        if self.root.join("witness/DOWN").exists() {
            let message = "the witness is down (witness/DOWN is there)";
            return Err(Error::new(ErrorKind::Unavailable, operation, message).with_effect(Effect::None));
        }
        let open = || FileCells::open(self.root.join("witness/cells"));
        self.cells.get_or_try_init(open).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let message = format!("there is no world in {}", self.root.display());
                Error::new(ErrorKind::NotFound, operation, message)
                    .with_advice("run `init`, or name the right folder with --world")
            }
            _ => error,
        })
    }
}

#[async_trait]
impl CellStore for Witness {
    fn durability(&self) -> CellDurability {
        let place = format!("folder {}", self.root.join("witness/cells").display());
        CellDurability { place, survives_region_loss: Some(false) }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        // Before `init` there is no cell; whoever must know whether there is a world asks beforehand.
        if !super::is_there(&self.root) {
            return Ok(None);
        }
        self.cells("load a cell").await?.load(name).await
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        self.cells("store a cell").await?.store(name, expected, value).await
    }
}
