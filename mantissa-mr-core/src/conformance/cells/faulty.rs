//! Faults between a program and any cells.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::CellFault;
use crate::cell::{Cell, CellDurability, CellName, CellStore, Expected, StoreOutcome};
use crate::error::{Error, ErrorKind, Result};

/// Cells behind a way that breaks on request, for testing what rests on cells, and for fixtures of implementations that
/// have no wire to break. It cannot show what a client does about faults on its own wire.
#[derive(Debug)]
pub struct FaultyCells {
    inner: Arc<dyn CellStore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What will happen to the next stores, one after another.
    armed: VecDeque<CellFault>,
    held: Vec<(CellName, Expected, Vec<u8>)>,
}

impl FaultyCells {
    /// Cells that work until a fault is injected.
    pub fn new(inner: Arc<dyn CellStore>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// Arms a fault for the next store that has none; `Release` happens at once.
    pub async fn inject(&self, fault: CellFault) {
        if fault != CellFault::Release {
            self.state().armed.push_back(fault);
            return;
        }
        let held = std::mem::take(&mut self.state().held);
        for (name, expected, value) in held {
            // Nobody waits for the answer.
            let _ = self.inner.store(&name, &expected, &value).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CellStore for FaultyCells {
    fn durability(&self) -> CellDurability {
        self.inner.durability()
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        self.inner.load(name).await
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        let unknown = |why: &str| Ok(StoreOutcome::Unknown { why: why.to_owned() });
        let fault = self.state().armed.pop_front();
        match fault {
            None | Some(CellFault::Release) => self.inner.store(name, expected, value).await,
            Some(CellFault::LoseAnswer) => {
                let _ = self.inner.store(name, expected, value).await;
                unknown("the answer was lost")
            }
            Some(CellFault::Drop) => unknown("there was no answer"),
            Some(CellFault::Hold) => {
                self.state().held.push((name.clone(), expected.clone(), value.to_vec()));
                unknown("there is no answer yet")
            }
            Some(CellFault::Throttle) => {
                Err(Error::new(ErrorKind::Throttled, "store a cell", "too many requests").on(name))
            }
        }
    }
}
