//! Plans as data: a graph of steps, what each needs, how long each should take, and what is predicted of the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compute::Target;
use crate::deployment::{DeploymentHash, friendly, hex};
use crate::guard::{GuardAnswer, GuardVerdict, Waiver};
use crate::ledger::{Basis, Epoch, Generation};
use crate::name::{ExecutionId, GroupName, Region, ResourceName, StepId};
use crate::notify::HookPoint;
use crate::plain::plain;
use crate::state::Phase;
use crate::store::Promotion;
use crate::traffic::{Urgency, Weights};

mod build;
mod predict;

pub(crate) use build::abort_steps;
pub(crate) use build::build_instead;
pub use build::{MoveRequest, build};

/// The version of a plan's format.
pub const FORMAT: u32 = 1;

/// What a plan does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Move {
    /// Planned: both regions are up, nothing is lost.
    Switchover,
    /// Unplanned: the active region is gone or unfit.
    Failover,
    /// A switchover to the region that was preferred before.
    Failback,
    /// Active-active: a region leaves the rotation.
    Evacuate,
    /// Active-active: a region comes back.
    Rejoin,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
            Self::Failback => "failback",
            Self::Evacuate => "evacuate",
            Self::Rejoin => "rejoin",
        })
    }
}

/// The SHA-256 of a plan: what an approval and an override are bound to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanHash(String);

impl PlanHash {
    /// The hash as lower-case hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no plan's hash: it must be 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the hash of a plan: it must be 64 lower-case hexadecimal digits", plain(.0, 64))]
pub struct InvalidPlanHash(String);

impl TryFrom<String> for PlanHash {
    type Error = InvalidPlanHash;
    fn try_from(text: String) -> Result<Self, InvalidPlanHash> {
        let valid = text.len() == 64 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        if valid { Ok(Self(text)) } else { Err(InvalidPlanHash(text)) }
    }
}

impl From<PlanHash> for String {
    fn from(hash: PlanHash) -> String {
        hash.0
    }
}

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.12}", self.0)
    }
}

/// What is to be done, and what it was decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// The version of this format.
    pub format: u32,
    /// The deployment that it was made from.
    pub deployment: DeploymentHash,
    /// The group that moves.
    pub group: GroupName,
    /// What it does.
    pub kind: Move,
    /// The region that it leaves; none for a rejoin.
    pub from: Option<Region>,
    /// The region that it moves to; for an evacuation, the one that takes over most.
    pub to: Region,
    /// Whether every region can be counted on. A failover never can; an evacuation may have to do without the region
    /// that it leaves.
    pub urgency: Urgency,
    /// Whether it is a rehearsal.
    pub drill: bool,
    /// The generation of the ledger that it was made for: any other, and it is stale.
    pub generation: Generation,
    /// The ledger's epoch when it was made: any other, and it is stale.
    pub epoch: Epoch,
    /// What is under way and would be superseded by it.
    #[serde(default)]
    pub supersedes: Option<Superseded>,
    /// When it was made, by the wall clock of who made it.
    pub made: Timestamp,
    /// Who or what wanted it, and why.
    pub why: String,
    /// The steps; each comes after those it depends on.
    pub steps: Vec<Step>,
    /// What should come of it.
    pub predicted: Prediction,
    /// What every guard said when it was made.
    pub guards: Vec<GuardAnswer>,
    /// What a person allowed although a guard refused it.
    pub waivers: Vec<Waiver>,
}

/// What a plan takes the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Superseded {
    /// The execution.
    pub execution: ExecutionId,
    /// What it had sealed: regions whose writes nobody has proven to have arrived elsewhere.
    pub sealed: Vec<Region>,
    /// How the traffic must go if the plan is given up: the superseded execution may have left off anywhere between
    /// opening a region and shifting its traffic there.
    pub weights: Weights,
}

/// One idempotent action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// Its name within the plan.
    pub id: StepId,
    /// The phase that it belongs to.
    pub phase: Phase,
    /// What it does.
    pub action: Action,
    /// The steps that must be done (or skipped) before.
    pub after: Vec<StepId>,
    /// The regions that must be up for it, by their services or by control planes that live there.
    pub needs: BTreeSet<Region>,
    /// How long it should take.
    #[serde(with = "friendly")]
    pub expected: Duration,
    /// Longer than this and it needs a person.
    #[serde(with = "friendly")]
    pub deadline: Duration,
    /// It is tried until its deadline and then left out: the move does not depend on it.
    pub best_effort: bool,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Ask every hook.
    Ask {
        /// Before what.
        point: HookPoint,
    },
    /// Swap the ledger so that these regions' gates shut by themselves, and wait until they must have.
    Seal {
        /// The regions.
        regions: Vec<Region>,
    },
    /// Wait until everything acknowledged in `from` is proven to be in `to`.
    Drain {
        /// The store.
        store: ResourceName,
        /// Where it was acknowledged.
        from: Region,
        /// Where it must be.
        to: Region,
        /// A person accepted that it cannot be proven.
        unproven: bool,
    },
    /// Keep a region's writers out at the store.
    Fence {
        /// The store.
        store: ResourceName,
        /// The region.
        region: Region,
    },
    /// Let them in again.
    Unfence {
        /// The store.
        store: ResourceName,
        /// The region.
        region: Region,
    },
    /// Ask for capacity and wait until it is there.
    Scale {
        /// The scaler.
        scaler: ResourceName,
        /// The region.
        region: Region,
        /// How much.
        target: Target,
    },
    /// Make a region the store's writer.
    Promote {
        /// The store.
        store: ResourceName,
        /// The region.
        region: Region,
        /// With the old one, or without it.
        promotion: Promotion,
    },
    /// See that the region's replica takes writes.
    Verify {
        /// The store.
        store: ResourceName,
        /// The region.
        region: Region,
    },
    /// Swap the ledger so that the region's gates may open.
    Open {
        /// The region.
        region: Region,
    },
    /// Swap the ledger so that an evacuated region stands by.
    Leave {
        /// The region.
        region: Region,
    },
    /// Giving up: swap the ledger so that the sealed regions' gates may open again.
    Reopen {
        /// The regions.
        regions: Vec<Region>,
    },
    /// Change the routing.
    Shift {
        /// The router.
        router: ResourceName,
        /// What each region gets.
        weights: Weights,
        /// Which way to take.
        urgency: Urgency,
    },
    /// Wait until clients have followed.
    Converge {
        /// The router.
        router: ResourceName,
        /// What each region gets.
        weights: Weights,
    },
    /// Wait until the check calls the region fit.
    Validate {
        /// The check.
        check: ResourceName,
        /// The region.
        region: Region,
    },
}

impl Action {
    /// Whether it changes anything outside the ledger: such a call is made only after it was journaled.
    pub fn changes_cloud(&self) -> bool {
        matches!(
            self,
            Self::Fence { .. }
                | Self::Unfence { .. }
                | Self::Scale { .. }
                | Self::Promote { .. }
                | Self::Shift { .. }
        )
    }

    /// Whether it changes the ledger.
    pub fn changes_ledger(&self) -> bool {
        matches!(self, Self::Seal { .. } | Self::Open { .. } | Self::Leave { .. } | Self::Reopen { .. })
    }

    /// Whether the move can no longer be given up once this was begun.
    pub fn is_point_of_no_return(&self) -> bool {
        matches!(self, Self::Promote { .. } | Self::Open { .. } | Self::Leave { .. })
    }

    /// The call in words, as a dry run shows it.
    pub fn describe(&self) -> String {
        match self {
            Self::Ask { point } => format!("ask the hooks before the {point}"),
            Self::Seal { regions } => {
                format!("ledger: seal {}, wait until every gate has shut", names(regions))
            }
            Self::Drain { store, from, to, unproven: false } => {
                format!("{store}: prove that all of {from} has reached {to}")
            }
            Self::Drain { store, from, to, unproven: true } => {
                format!("{store}: see whether all of {from} has reached {to} (accepted unproven)")
            }
            Self::Fence { store, region } => format!("{store}: keep writers of {region} out"),
            Self::Unfence { store, region } => format!("{store}: let writers of {region} in again"),
            Self::Scale { scaler, region, target } => format!("{scaler}: scale {region} to {target}"),
            Self::Promote { store, region, promotion: Promotion::Planned } => {
                format!("{store}: promote {region}")
            }
            Self::Promote { store, region, promotion: Promotion::Forced } => {
                format!("{store}: promote {region} by force")
            }
            Self::Verify { store, region } => format!("{store}: see that {region} takes writes"),
            Self::Open { region } => format!("ledger: admit {region} under a new epoch"),
            Self::Leave { region } => format!("ledger: {region} stands by"),
            Self::Reopen { regions } => format!("ledger: admit {} again under a new epoch", names(regions)),
            Self::Shift { router, weights, .. } => format!("{router}: shift to {weights}"),
            Self::Converge { router, weights } => format!("{router}: wait until clients follow to {weights}"),
            Self::Validate { check, region } => format!("{check}: wait until {region} is fit"),
        }
    }
}

fn names(regions: &[Region]) -> String {
    regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ")
}

/// What should come of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Prediction {
    /// The plan's critical path: from its begin to its end.
    #[serde(with = "friendly")]
    pub rto: Duration,
    /// The steps on the critical path, in order.
    pub critical_path: Vec<StepId>,
    /// From begin to end of each phase.
    pub phases: BTreeMap<Phase, PhaseTime>,
    /// Acknowledged data that would be lost.
    pub loss: PredictedLoss,
}

/// When a phase should begin and end, counted from the plan's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PhaseTime {
    /// Its first step begins.
    #[serde(with = "friendly")]
    pub begin: Duration,
    /// Its last step ends.
    #[serde(with = "friendly")]
    pub end: Duration,
}

/// Acknowledged data that a plan would lose, as time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PredictedLoss {
    /// Nothing: every store proves that it is drained, or loses nothing by its nature.
    Nothing,
    /// What was acknowledged within this time before the region was last seen to answer, by the last measurement.
    Estimated {
        /// An estimate.
        #[serde(with = "friendly")]
        about: Duration,
        /// A bound, where every store replicates in order: nothing older than this can be lost, even if the region
        /// that is left goes on until its gates shut, which they have when the plan's seal ends as predicted. If the
        /// ledger is sealed later than that, by so much more may be lost.
        at_most: Option<LossBoundTime>,
    },
    /// Nobody knows.
    Unknown,
}

/// A time that bounds a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LossBoundTime(#[serde(with = "friendly")] pub Duration);

impl fmt::Display for PredictedLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Estimated { about, at_most: Some(LossBoundTime(most)) } => {
                write!(f, "about the last {:.1} s, at most {:.1} s", about.as_secs_f64(), most.as_secs_f64())
            }
            Self::Estimated { about, at_most: None } => {
                write!(f, "about the last {:.1} s (an estimate, not a bound)", about.as_secs_f64())
            }
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Plan {
    /// The plan as bytes: what its hash is taken of, and what its cell holds.
    pub fn encode(&self) -> Vec<u8> {
        // Plain data with string keys: serialising it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What approvals and overrides are bound to.
    pub fn hash(&self) -> PlanHash {
        PlanHash(hex(&Sha256::digest(self.encode())))
    }

    /// What it was made for: at any other basis it is stale.
    pub fn basis(&self) -> Basis {
        Basis { generation: self.generation, epoch: self.epoch }
    }

    /// The guards that refuse it.
    pub fn refusals(&self) -> impl Iterator<Item = &GuardAnswer> {
        self.guards.iter().filter(|answer| matches!(answer.verdict, GuardVerdict::Refuse { .. }))
    }

    /// A step by its name.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }
}

#[cfg(test)]
mod tests;
