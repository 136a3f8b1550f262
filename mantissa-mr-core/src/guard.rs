//! Preconditions of a move: each passes, or refuses with a typed reason and the exact override that would pass it.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deployment::friendly;

mod evaluate;

pub(crate) use evaluate::{Draft, GIVEN_UP, evaluate};

/// Who wants a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// The controller, by itself: every guard holds.
    Controller,
    /// A person: cool-down and velocity have no say.
    Person,
}

/// A precondition of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// A fresh, strict majority of the configured vantages calls the region that is left unfit.
    Quorum,
    /// The target is fit.
    TargetFit,
    /// A planned move leaves a region that works: from one that does not, nothing can be drained.
    SourceFit,
    /// Not every region looks unfit: then the fault is more likely with those who look.
    NotAllBad,
    /// What would be lost is known and within the tier.
    Loss,
    /// The target has, or can get, the capacity.
    Capacity,
    /// The last move is long enough ago, or was acknowledged.
    CoolDown,
    /// Not too many groups moved lately.
    Velocity,
    /// Nothing that an unplanned move must do needs the region that it leaves, nor a control plane that lives there.
    ControlPlane,
    /// No other execution is under way.
    Alone,
    /// The ledger says what the move needs: the region is active or not, as the kind of move asks.
    Admission,
    /// Writers that ask no gate are fenced at every store.
    Fence,
    /// What an earlier failover left behind in the target has been reconciled.
    Reconciled,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Quorum,
        Self::TargetFit,
        Self::SourceFit,
        Self::NotAllBad,
        Self::Loss,
        Self::Capacity,
        Self::CoolDown,
        Self::Velocity,
        Self::ControlPlane,
        Self::Alone,
        Self::Admission,
        Self::Fence,
        Self::Reconciled,
    ];
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Quorum => "quorum",
            Self::TargetFit => "target-fit",
            Self::SourceFit => "source-fit",
            Self::NotAllBad => "not-all-bad",
            Self::Loss => "loss",
            Self::Capacity => "capacity",
            Self::CoolDown => "cool-down",
            Self::Velocity => "velocity",
            Self::ControlPlane => "control-plane",
            Self::Alone => "alone",
            Self::Admission => "admission",
            Self::Fence => "fence",
            Self::Reconciled => "reconciled",
        })
    }
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuardAnswer {
    /// Which guard.
    pub guard: Guard,
    /// What it says.
    pub verdict: GuardVerdict,
    /// What it saw.
    pub why: String,
}

/// Whether a guard lets a move pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum GuardVerdict {
    /// It does.
    Pass,
    /// It has no say in this kind of move.
    NotApplicable,
    /// A person's waiver lets it pass.
    Waived,
    /// It does not.
    Refuse {
        /// The override that would let it pass; none if nothing does.
        needs: Option<Override>,
    },
}

/// What a person can allow although a guard refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Override {
    /// This guard is passed over.
    Guard(Guard),
    /// Acknowledged data may be lost.
    AllowDataLoss {
        /// Not more than this.
        up_to: LossLimit,
    },
}

impl fmt::Display for Override {
    /// As the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guard(guard) => write!(f, "--override {guard}"),
            Self::AllowDataLoss { up_to } => write!(f, "--max-loss {up_to}"),
        }
    }
}

/// How much may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossLimit {
    /// What was acknowledged within this time before.
    Time(#[serde(with = "friendly")] Duration),
    /// Any amount: the only limit that covers a loss that nobody can measure.
    Unbounded,
}

impl fmt::Display for LossLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(span) => write!(f, "{}s", span.as_secs_f64().ceil()),
            Self::Unbounded => f.write_str("unbounded"),
        }
    }
}

/// A person's word that lets a guard pass, bound to the one plan that it is written in and so used once at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Waiver {
    /// What is allowed.
    pub allows: Override,
    /// Who allows it.
    pub approver: String,
    /// Why.
    pub reason: String,
    /// Not after this.
    pub expires: Timestamp,
}

#[cfg(test)]
mod tests;
