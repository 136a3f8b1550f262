//! What oracles read out of the records, as plain data of their own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::cell::CellName;
use crate::sim::clock::TrueTime;
use crate::sim::history::{History, What};

/// A ledger, as far as an oracle cares.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LedgerView {
    pub(super) group: String,
    pub(super) admissions: BTreeMap<String, AdmissionView>,
    #[serde(default)]
    pub(super) execution: Option<ExecutionView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct AdmissionView {
    pub(super) epoch: u64,
    pub(super) state: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ExecutionView {
    pub(super) id: String,
    pub(super) plan: String,
    pub(super) kind: String,
}

impl AdmissionView {
    pub(super) fn is_active(&self) -> bool {
        self.state == "active"
    }
}

impl ExecutionView {
    /// Whether it counts on every region.
    pub(super) fn is_planned(&self) -> bool {
        self.kind != "failover"
    }
}

/// A ledger that was stored.
#[derive(Clone, Debug)]
pub(super) struct StoredLedger {
    /// The event's place in the history.
    pub(super) index: usize,
    pub(super) at: TrueTime,
    /// The call that stored it.
    pub(super) number: u64,
    pub(super) ledger: LedgerView,
}

/// Every ledger that was stored, in order. One that cannot be read is left out: that it cannot is another rule's matter.
pub(super) fn ledgers(history: &History) -> Vec<StoredLedger> {
    let mut found = Vec::new();
    for (index, event) in history.events.iter().enumerate() {
        if let What::Stored { cell, value, number, .. } = &event.what
            && is_ledger(cell)
            && let Ok(ledger) = serde_json::from_slice(value)
        {
            found.push(StoredLedger { index, at: event.at, number: *number, ledger });
        }
    }
    found
}

pub(super) fn is_ledger(cell: &CellName) -> bool {
    cell.as_str().ends_with("/ledger")
}

/// The plan of this hash, once it was stored.
pub(super) fn plan(history: &History, hash: &str) -> Option<Value> {
    let suffix = format!("/plan/{hash}");
    history.events.iter().find_map(|event| match &event.what {
        What::Stored { cell, value, .. } if cell.as_str().ends_with(&suffix) => {
            serde_json::from_slice(value).ok()
        }
        _ => None,
    })
}
