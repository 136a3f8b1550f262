//! What oracles read out of a history: the records, as plain data of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::call::Call;
use crate::sim::clock::TrueTime;
use crate::sim::fault::Fault;
use crate::sim::history::{History, What};
use crate::sim::process::{ProcessId, Role};

/// A ledger, as far as an oracle cares.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LedgerView {
    pub(super) group: String,
    pub(super) admissions: BTreeMap<String, AdmissionView>,
    pub(super) lease: LeaseView,
    pub(super) generation: u64,
    #[serde(default)]
    pub(super) execution: Option<ExecutionView>,
    #[serde(default)]
    pub(super) proposal: Option<ProposalView>,
    #[serde(default)]
    pub(super) ended: Option<EndedView>,
    #[serde(default)]
    pub(super) orders: Vec<Value>,
    pub(super) writer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct AdmissionView {
    pub(super) epoch: u64,
    pub(super) state: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct LeaseView {
    pub(super) term: u64,
    #[serde(default)]
    pub(super) holder: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ExecutionView {
    pub(super) id: String,
    pub(super) plan: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) paused: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ProposalView {
    pub(super) plan: String,
    pub(super) expires: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct EndedView {
    pub(super) id: String,
    pub(super) outcome: String,
    pub(super) acknowledged: bool,
}

impl LedgerView {
    pub(super) fn epoch(&self) -> u64 {
        self.admissions.values().map(|admission| admission.epoch).max().unwrap_or_default()
    }

    /// The regions that may serve.
    pub(super) fn active(&self) -> impl Iterator<Item = &str> {
        self.admissions
            .iter()
            .filter(|(_, admission)| admission.state == "active")
            .map(|(name, _)| name.as_str())
    }
}

/// A ledger that was stored.
#[derive(Clone, Debug)]
pub(super) struct StoredLedger {
    pub(super) at: TrueTime,
    /// The process whose call stored it; none for the first one.
    pub(super) by: Option<ProcessId>,
    pub(super) ledger: LedgerView,
}

/// A slot of a journal that was stored.
#[derive(Clone, Debug)]
pub(super) struct StoredSlot {
    pub(super) at: TrueTime,
    pub(super) cell: String,
    pub(super) value: Arc<[u8]>,
    pub(super) slot: Value,
}

/// A call that was sent.
#[derive(Clone, Debug)]
pub(super) struct SentCall {
    pub(super) at: TrueTime,
    pub(super) process: ProcessId,
    pub(super) call: Arc<Call>,
}

/// All records of a run. What cannot be read is left out: that it cannot is another rule's matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) ledgers: Vec<StoredLedger>,
    pub(super) slots: Vec<StoredSlot>,
    /// In order; the first has the number one.
    pub(super) calls: Vec<SentCall>,
    pub(super) plans: BTreeMap<String, Value>,
    /// The names of each process's lives, and when each began.
    pub(super) lives: BTreeMap<ProcessId, Vec<(TrueTime, String)>>,
}

impl Records {
    pub(super) fn read(history: &History) -> Self {
        let mut records = Self::default();
        for event in &history.events {
            match &event.what {
                What::Born { process, actor } => {
                    records.lives.entry(*process).or_default().push((event.at, actor.to_string()));
                }
                What::Sent { process, call, .. } => {
                    records.calls.push(SentCall { at: event.at, process: *process, call: call.clone() });
                }
                What::Stored { cell, value, number, .. } => {
                    records.stored(event.at, cell.as_str(), value, *number);
                }
                _ => {}
            }
        }
        records
    }

    fn stored(&mut self, at: TrueTime, cell: &str, value: &Arc<[u8]>, number: u64) {
        let by = self.call(number).map(|sent| sent.process);
        if cell.ends_with("/ledger") {
            if let Ok(ledger) = serde_json::from_slice(value) {
                self.ledgers.push(StoredLedger { at, by, ledger });
            }
        } else if cell.contains("/journal/") {
            let slot = serde_json::from_slice(value).unwrap_or_default();
            self.slots.push(StoredSlot { at, cell: cell.to_owned(), value: value.clone(), slot });
        } else if let Some((_, hash)) = cell.split_once("/plan/") {
            self.plans.insert(hash.to_owned(), serde_json::from_slice(value).unwrap_or_default());
        }
    }

    /// A call by its number.
    pub(super) fn call(&self, number: u64) -> Option<&SentCall> {
        self.calls.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The plan of an execution.
    pub(super) fn plan(&self, execution: &ExecutionView) -> Option<&Value> {
        self.plans.get(&execution.plan)
    }

    /// The ledgers of each group, in order.
    pub(super) fn by_group(&self) -> BTreeMap<&str, Vec<&StoredLedger>> {
        let mut groups: BTreeMap<&str, Vec<&StoredLedger>> = BTreeMap::new();
        for stored in &self.ledgers {
            groups.entry(&stored.ledger.group).or_default().push(stored);
        }
        groups
    }

    /// Each execution's first ledger, and the ledger before it.
    pub(super) fn begun(&self) -> Vec<(&StoredLedger, &StoredLedger, &ExecutionView)> {
        let mut found = Vec::new();
        for ledgers in self.by_group().values() {
            for (before, stored) in ledgers.iter().zip(ledgers.iter().skip(1)) {
                let old = before.ledger.execution.as_ref().map(|execution| &execution.id);
                if let Some(execution) = &stored.ledger.execution
                    && old != Some(&execution.id)
                {
                    found.push((*before, *stored, execution));
                }
            }
        }
        found
    }

    /// The name of the life that a process lived at a time.
    pub(super) fn actor(&self, process: ProcessId, at: TrueTime) -> Option<&str> {
        let lives = self.lives.get(&process)?;
        lives.iter().rev().find(|(begun, _)| *begun <= at).map(|(_, actor)| actor.as_str())
    }
}

/// Whether a plan counts on every region.
pub(super) fn is_planned(plan: &Value) -> bool {
    plan["urgency"] == "planned"
}

/// Whether a person signed anything away in a plan.
pub(super) fn has_waivers(plan: &Value) -> bool {
    plan["waivers"].as_array().is_some_and(|waivers| !waivers.is_empty())
}

/// A duration as records write it.
pub(super) fn span(value: &Value) -> Option<Duration> {
    let span: SignedDuration = value.as_str()?.parse().ok()?;
    Duration::try_from(span).ok()
}

/// Whether a process acts by itself.
pub(super) fn is_controller(history: &History, process: Option<ProcessId>) -> bool {
    process.and_then(|id| history.process(id)).is_some_and(|info| info.role == Role::Controller)
}

/// How much two wall clocks may differ in a run.
pub(super) fn wrong_clocks(history: &History) -> Duration {
    let errors = history.events.iter().filter_map(|event| match &event.what {
        What::Fault(Fault::WallClock { error, .. }) => Some(error.unsigned_abs()),
        _ => None,
    });
    errors.max().unwrap_or_default() * 2
}
