//! What an answer of the ledger says to one region's gate.

use super::shut::ShutReason;
use crate::cell::Cell;
use crate::deployment::{DeploymentHash, GateTerms};
use crate::ledger::{AdmissionState, Epoch, Ledger};
use crate::name::{GroupName, Region};

/// What was read.
pub(super) struct Heard {
    pub(super) answer: Answer,
    /// How far the region's admission has come, if the ledger can be used.
    pub(super) progress: Option<Progress>,
    pub(super) terms: Option<GateTerms>,
    /// Who may serve.
    pub(super) active: Vec<Region>,
}

/// What it means for the gate.
pub(super) enum Answer {
    /// Serve.
    Active { epoch: Epoch, terms: GateTerms },
    /// Do not.
    Inactive { state: AdmissionState },
    /// Nothing that can be used.
    Bad(ShutReason),
}

/// How far a region's admission has come. In the order of these fields it only grows: whatever admits a region gives it a
/// higher epoch, and an admission is first active, then sealed, then stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Progress {
    pub(super) epoch: Epoch,
    rank: u8,
}

impl Progress {
    pub(super) fn of(epoch: Epoch, state: &AdmissionState) -> Self {
        let rank = match state {
            AdmissionState::Active => 0,
            AdmissionState::Sealed { .. } => 1,
            AdmissionState::Standby => 2,
        };
        Self { epoch, rank }
    }
}

impl Heard {
    /// Reads a cell for a region's gate. If the gate has no deployment yet, the ledger's is its own from now on.
    pub(super) fn of(
        cell: Option<Cell>,
        group: &GroupName,
        region: &Region,
        deployment: &mut Option<DeploymentHash>,
    ) -> Self {
        let ledger = match cell.map(|cell| Ledger::decode(&cell.value)) {
            None => return Self::bad(ShutReason::NoLedger),
            Some(Err(error)) => return Self::bad(ShutReason::Unreadable { error }),
            Some(Ok(ledger)) => ledger,
        };
        if ledger.group != *group {
            return Self::bad(ShutReason::OtherGroup { ledger: ledger.group });
        }
        let own = deployment.get_or_insert_with(|| ledger.deployment.clone());
        if *own != ledger.deployment {
            return Self::bad(ShutReason::OtherDeployment { ledger: ledger.deployment, gate: own.clone() });
        }
        let active = ledger.active().cloned().collect();
        let Some(admission) = ledger.admissions.get(region) else {
            return Self { active, ..Self::bad(ShutReason::UnknownRegion) };
        };
        let answer = match ledger.admitted(region) {
            Some(epoch) => Answer::Active { epoch, terms: ledger.gate },
            None => Answer::Inactive { state: admission.state.clone() },
        };
        let progress = Some(Progress::of(admission.epoch, &admission.state));
        Self { answer, progress, terms: Some(ledger.gate), active }
    }

    fn bad(reason: ShutReason) -> Self {
        Self { answer: Answer::Bad(reason), progress: None, terms: None, active: Vec::new() }
    }
}
