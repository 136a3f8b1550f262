//! The records in the cells, read as plain JSON: the judge shares no type with what it judges.

use std::collections::BTreeMap;

use mantissa_mr_core::call::Call;
use mantissa_mr_core::cell::CellName;
use serde::Deserialize;
use serde_json::Value;

use super::scenario::Mark;

/// A ledger, as far as the drill cares.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct LedgerView {
    pub(crate) admissions: BTreeMap<String, AdmissionView>,
    pub(crate) lease: LeaseView,
    pub(crate) execution: Option<ExecutionView>,
    pub(crate) proposal: Option<ProposalView>,
    pub(crate) ended: Option<EndedView>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AdmissionView {
    pub(crate) epoch: u64,
    pub(crate) state: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct LeaseView {
    pub(crate) term: u64,
    pub(crate) holder: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ExecutionView {
    pub(crate) id: String,
    pub(crate) plan: String,
    pub(crate) kind: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ProposalView {
    pub(crate) plan: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EndedView {
    pub(crate) id: String,
    pub(crate) outcome: String,
}

impl AdmissionView {
    pub(crate) fn is_active(&self) -> bool {
        self.state == "active"
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.state.get("sealed").is_some()
    }
}

impl LedgerView {
    /// The regions that may serve.
    pub(crate) fn active(&self) -> Vec<&str> {
        let active = self.admissions.iter().filter(|(_, admission)| admission.is_active());
        active.map(|(region, _)| region.as_str()).collect()
    }

    /// The highest epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.admissions.values().map(|admission| admission.epoch).max().unwrap_or_default()
    }
}

/// The ledger that a cell holds, if it is one.
pub(crate) fn read(cell: &CellName, value: &[u8]) -> Option<LedgerView> {
    cell.as_str().ends_with("/ledger").then(|| serde_json::from_slice(value).ok()).flatten()
}

/// Sees marks, each when it is reached.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    sealed: bool,
    proposed: Vec<String>,
    promoted: bool,
    ended: Vec<String>,
}

impl Marks {
    /// What a new state of the ledger has reached.
    pub(crate) fn ledger(&mut self, ledger: &LedgerView) -> Vec<Mark> {
        let mut reached = Vec::new();
        if !self.sealed && ledger.admissions.values().any(AdmissionView::is_sealed) {
            self.sealed = true;
            reached.push(Mark::Sealed);
        }
        if let Some(proposal) = &ledger.proposal
            && !self.proposed.contains(&proposal.plan)
        {
            self.proposed.push(proposal.plan.clone());
            reached.push(Mark::Proposed(self.proposed.len()));
        }
        if let Some(ended) = &ledger.ended
            && !self.ended.contains(&ended.id)
        {
            self.ended.push(ended.id.clone());
            reached.push(Mark::Ended(self.ended.len()));
        }
        reached
    }

    /// The hash of the plan that was proposed last, whether it still is or not.
    pub(crate) fn last_proposal(&self) -> Option<&str> {
        self.proposed.last().map(String::as_str)
    }

    /// What a call has reached.
    pub(crate) fn sent(&mut self, call: &Call) -> Option<Mark> {
        let first = matches!(call, Call::Promote { .. }) && !self.promoted;
        self.promoted |= first;
        first.then_some(Mark::PromotionSent)
    }
}
