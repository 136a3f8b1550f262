//! Cells in the memory of one process: for tests, simulations and a first try. They survive nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Cell, CellDurability, CellName, CellStore, CellVersion, Expected, StoreOutcome, check_value};
use crate::error::Result;

/// Cells in memory. Clones share them; a new one begins empty.
///
/// Each load and each store is one step under one lock, so they are linearizable; versions are drawn from one counter,
/// so none ever comes back. A value holds at most [`MAX_VALUE`](super::MAX_VALUE) bytes, and the number of cells is
/// bounded by memory alone: nothing is ever removed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mantissa_mr_core::cell::{CellName, CellStore, Expected, MemoryCells, StoreOutcome};
///
/// let cells = MemoryCells::new();
/// let name = CellName::try_from("logs/ledger")?;
/// let first = cells.store(&name, &Expected::Absent, b"one").await?;
/// assert!(matches!(first, StoreOutcome::Applied { .. }));
/// assert_eq!(cells.store(&name, &Expected::Absent, b"two").await?, StoreOutcome::Lost);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct MemoryCells(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many stores were applied, to whichever cell.
    stores: u64,
    cells: BTreeMap<CellName, Cell>,
}

impl MemoryCells {
    /// No cells yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned lock guards a state that is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryCells {
    /// Names how many cells there are, never what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCells").field("cells", &self.state().cells.len()).finish()
    }
}

#[async_trait]
impl CellStore for MemoryCells {
    fn durability(&self) -> CellDurability {
        CellDurability { place: "the memory of one process".to_owned(), survives_region_loss: Some(false) }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        Ok(self.state().cells.get(name).cloned())
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        check_value(name, value)?;
        let mut state = self.state();
        let current = state.cells.get(name).map(|cell| &cell.version);
        if !expected.holds(current) {
            return Ok(StoreOutcome::Lost);
        }
        state.stores += 1;
        let version = CellVersion(state.stores.to_string());
        state.cells.insert(name.clone(), Cell { value: value.to_vec(), version: version.clone() });
        Ok(StoreOutcome::Applied { version })
    }
}
