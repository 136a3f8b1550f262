//! The registers at the witness.

use std::collections::BTreeMap;

use crate::cell::{Cell, CellName, CellVersion, Expected, StoreOutcome};
use crate::sim::clock::TrueTime;
use crate::sim::random::{Random, Rate, Spread};

/// How dishonest the cells' answers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellTroubles {
    /// How often a store is answered `Unknown` at once.
    pub unknown: Rate,
    /// How often such a store lands all the same.
    pub lands: Rate,
    /// How long after its answer it lands.
    pub lands_after: Spread,
}

/// A store that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) at: TrueTime,
    pub(crate) cell: CellName,
    pub(crate) version: u64,
    pub(crate) tag: u64,
}

#[derive(Clone, Debug)]
struct Register {
    value: Vec<u8>,
    version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Landing {
    at: TrueTime,
    tag: u64,
    cell: CellName,
    expected: Expected,
    value: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cells {
    registers: BTreeMap<CellName, Register>,
    last_version: u64,
    landings: Vec<Landing>,
    stored: Vec<Stored>,
    pub(crate) troubles: CellTroubles,
    random: Random,
}

impl Cells {
    pub(crate) fn new(troubles: CellTroubles, random: Random) -> Self {
        Self {
            registers: BTreeMap::new(),
            last_version: 0,
            landings: Vec::new(),
            stored: Vec::new(),
            troubles,
            random,
        }
    }

    pub(crate) fn load(&mut self, at: TrueTime, cell: &CellName) -> Option<Cell> {
        self.settle(at);
        let register = self.registers.get(cell)?;
        Some(Cell { value: register.value.clone(), version: version(register.version) })
    }

    pub(crate) fn store(
        &mut self,
        at: TrueTime,
        tag: u64,
        cell: &CellName,
        expected: &Expected,
        value: &[u8],
    ) -> StoreOutcome {
        self.settle(at);
        if self.random.happens(self.troubles.unknown) {
            if self.random.happens(self.troubles.lands) {
                let at = at + self.random.span(self.troubles.lands_after);
                let (cell, expected, value) = (cell.clone(), expected.clone(), value.to_vec());
                self.landings.push(Landing { at, tag, cell, expected, value });
                self.landings.sort();
            }
            return StoreOutcome::Unknown { why: "the service answered with a failure of its own".into() };
        }
        match self.swap(at, tag, cell, expected, value) {
            Some(new) => StoreOutcome::Applied { version: version(new) },
            None => StoreOutcome::Lost,
        }
    }

    /// Lets every store land whose time has come.
    pub(crate) fn settle(&mut self, at: TrueTime) {
        while self.landings.first().is_some_and(|landing| landing.at <= at) {
            let Landing { at, tag, cell, expected, value } = self.landings.remove(0);
            self.swap(at, tag, &cell, &expected, &value);
        }
    }

    /// When the next store lands.
    pub(crate) fn next_landing(&self) -> Option<TrueTime> {
        self.landings.first().map(|landing| landing.at)
    }

    /// Takes the stores that took effect since the last time.
    pub(crate) fn take_stored(&mut self) -> Vec<Stored> {
        std::mem::take(&mut self.stored)
    }

    /// What a cell holds, as the simulation sees it.
    pub(crate) fn value(&self, cell: &CellName) -> Option<&[u8]> {
        self.registers.get(cell).map(|register| register.value.as_slice())
    }

    pub(crate) fn swap(
        &mut self,
        at: TrueTime,
        tag: u64,
        cell: &CellName,
        expected: &Expected,
        value: &[u8],
    ) -> Option<u64> {
        let current = self.registers.get(cell).map(|register| version(register.version));
        let fits = match (expected, current) {
            (Expected::Absent, None) => true,
            (Expected::Version(wanted), Some(current)) => *wanted == current,
            _ => false,
        };
        if !fits {
            return None;
        }
        self.last_version += 1;
        let version = self.last_version;
        self.registers.insert(cell.clone(), Register { value: value.to_vec(), version });
        self.stored.push(Stored { at, cell: cell.clone(), version, tag });
        Some(version)
    }
}

fn version(number: u64) -> CellVersion {
    CellVersion(format!("c{number}"))
}
