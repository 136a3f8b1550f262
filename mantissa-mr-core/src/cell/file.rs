//! Cells in a folder of one machine: for a single machine, for development, and to see a move without any cloud.
//!
//! # Layout
//! ```text
//! folder/
//!   mantissa-mr-cells        marks the folder, so that an empty mount point is never taken for "no cell was ever stored"
//!   logs+ledger.cell/        one folder per cell; its name is the cell's, see below
//!     value                  the cell: a checksum, the name, a number that only grows, the value
//!     next                   the value being written; a leftover means nothing and is overwritten
//! ```
//! In a folder's name `/` is `+`, a capital `A` is `^a` (so that names stay apart where case does not count), and a
//! name that would be too long is `=` and its SHA-256. The name itself is in the file as well.
//!
//! # Why it is a correct cell under `kill -9` at any byte, with any number of processes
//! A store takes an exclusive `flock(2)` on the cell's folder, reads `value`, compares its version, writes `next`,
//! syncs it, *renames* it over `value`, and syncs the folder.
//!
//! - **One step.** `rename(2)` replaces `value` whole or not at all, and every load opens `value` once: it reads the
//!   old file or the new one, never a mixture, and takes no lock. The rename is the commit point, of stores and for
//!   loads alike, so loads are linearizable.
//! - **Compare and swap.** Between the comparison and the rename nobody else renames, since both happen under the
//!   lock. The lock belongs to the open file, not to a file's existence: the kernel drops it when the process dies,
//!   so none is ever left behind. There is no lock file that a cleaner could remove: the lock sits on the folder that
//!   holds the value.
//! - **Killed before the rename**: `value` is the old one, `next` is a leftover of any length that nobody reads and
//!   the next holder of the lock truncates. **Killed after it**: the store is in force, only its writer does not know.
//! - **Durable.** `next` is synced before the rename, the folder that holds a new cell's folder before the first
//!   rename, the cell's folder before [`Applied`](StoreOutcome::Applied). A load syncs the cell's folder before it
//!   returns what it read, so nobody acts on a value that a power cut could still take back from a killed writer.
//! - **Versions never come back**: each is the number of the store and a part of the checksum; numbers only grow. Even
//!   a folder restored from a backup, which counts from an older number again, gives other contents other versions.
//! - **Torn or changed files** do not match their checksum: `Corrupt`, never absent and never a wrong value.
//! - A process that is *stopped* (not killed) while it holds a lock holds up stores to that cell: they are refused
//!   with `Unavailable` after five seconds, having changed nothing. Loads go on.
//!
//! # Limits
//! A local file system on Linux: over NFS and the like, locks and renames promise less. A value holds at most
//! [`MAX_VALUE`](super::MAX_VALUE) bytes. Swapping or deleting the folder under running processes is not
//! survived; processes that open it by path afterwards are refused if it is not a cell folder. The cells are lost with
//! the machine, so they witness nothing: they belong beside a single controller, not into a real deployment.

mod folder;
mod format;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::task::{JoinError, spawn_blocking};

use super::{Cell, CellDurability, CellName, CellStore, Expected, StoreOutcome, check_value};
use crate::error::{Effect, Error, ErrorKind, Result};
use folder::{Attempt, Folder};

/// How long a store waits for another process's, between its looks at the lock: five seconds in all.
const LOCK_WAIT: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(1))
    .with_max_delay(Duration::from_millis(50))
    .with_max_times(105);

/// Cells in a folder; see the [module](self) for what they promise and why. Clones share the folder.
///
/// Needs a tokio runtime with its timer: files are read and written on its threads for blocking work, and a store that
/// meets another process's waits for it.
///
/// # Cancel safety
/// A `store` that is dropped may be applied yet: treat it as [`StoreOutcome::Unknown`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mantissa_mr_core::cell::{CellName, CellStore, Expected, FileCells};
///
/// # let temporary = tempfile::tempdir()?;
/// # let folder = temporary.path().join("cells");
/// let cells = FileCells::create(&folder).await?;
/// let name = CellName::try_from("logs/ledger")?;
/// cells.store(&name, &Expected::Absent, b"one").await?;
///
/// let after_a_restart = FileCells::open(&folder).await?;
/// assert_eq!(after_a_restart.load(&name).await?.map(|cell| cell.value), Some(b"one".to_vec()));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FileCells(Arc<Folder>);

impl FileCells {
    /// Makes a folder for cells, parents included, or opens the one that is there already.
    ///
    /// # Errors
    /// `PermissionDenied`, `Quota` (the disk is full), `Unavailable`: from the file system; calling again is safe.
    pub async fn create(folder: impl Into<PathBuf>) -> Result<Self> {
        let path = folder.into();
        blocking("create a folder for cells", move || Folder::create(path)).await.map(Self::new)
    }

    /// Opens a folder that [`create`](Self::create) made. Use this wherever the cells must be there already: a disk
    /// that is not mounted would otherwise look like a deployment without a ledger.
    ///
    /// # Errors
    /// `NotFound` if it is no folder for cells: check the path and the mount. Otherwise as for `create`.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let path = folder.into();
        blocking("open a folder of cells", move || Folder::open(path)).await.map(Self::new)
    }

    fn new(folder: Folder) -> Self {
        Self(Arc::new(folder))
    }
}

impl fmt::Debug for FileCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileCells").field(&self.0.path()).finish()
    }
}

#[async_trait]
impl CellStore for FileCells {
    fn durability(&self) -> CellDurability {
        let place = format!("folder {} of one machine", self.0.path().display());
        CellDurability { place, survives_region_loss: Some(false) }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        let (folder, name) = (Arc::clone(&self.0), name.clone());
        blocking("load a cell", move || folder.load(&name)).await
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        check_value(name, value)?;
        let value: Arc<[u8]> = Arc::from(value);
        for wait in LOCK_WAIT.build() {
            let (folder, name) = (Arc::clone(&self.0), name.clone());
            let (expected, value) = (expected.clone(), Arc::clone(&value));
            match on_a_thread(move || folder.store(&name, &expected, &value)).await {
                Ok(Ok(Attempt::Done(outcome))) => return Ok(outcome),
                Ok(Ok(Attempt::Busy)) => tokio::time::sleep(wait).await,
                Ok(Err(error)) => return Err(error),
                Err(gone) => return Ok(StoreOutcome::Unknown { why: format!("its thread is gone: {gone}") }),
            }
        }
        Err(held(name))
    }
}

/// Does something on a thread that may block.
#[expect(
    clippy::disallowed_methods,
    reason = "files have no other interface; their cells belong to one real machine and are never part of a simulation"
)]
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    spawn_blocking(work).await
}

/// Reads or prepares files.
async fn blocking<T, F>(operation: &'static str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    on_a_thread(work).await.unwrap_or_else(|gone| {
        let error = Error::new(ErrorKind::Unavailable, operation, "its thread is gone");
        Err(error.with_effect(Effect::None).with_source(gone))
    })
}

fn held(name: &CellName) -> Error {
    Error::new(ErrorKind::Unavailable, "store a cell", "another process has held its lock for five seconds")
        .with_effect(Effect::None)
        .on(name)
        .with_advice(
            "nothing was changed; look for a stopped process that has the cell's folder open (fuser, lsof)",
        )
}

#[cfg(test)]
mod tests;
