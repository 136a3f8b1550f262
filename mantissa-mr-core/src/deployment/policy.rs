//! How a deployment is run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Share, friendly};
use crate::clock::RateMargin;

/// What a gate promises. Written into the ledger at `init`: every gate takes it from there, so no service can trust
/// for longer than a move waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GateTerms {
    /// How long an answer of the ledger is trusted, counted from the send of the question.
    #[serde(with = "friendly")]
    pub trust: Duration,
    /// The time within which a permitted write, all retries included, must have been answered. Shorter than `trust`.
    #[serde(with = "friendly")]
    pub write_deadline: Duration,
    /// How much faster or slower clocks may run against each other.
    pub rate_margin: RateMargin,
}

impl Default for GateTerms {
    fn default() -> Self {
        Self {
            trust: Duration::from_secs(15),
            write_deadline: Duration::from_secs(5),
            rate_margin: RateMargin::DEFAULT,
        }
    }
}

impl GateTerms {
    /// How long a move waits from the answer of its seal until no gate can be open and no permitted write can be
    /// unanswered.
    pub fn seal_wait(&self) -> Duration {
        self.rate_margin.wait_for(self.trust.saturating_add(self.write_deadline))
    }
}

/// When a vantage and a majority call a region unfit (`facts` behind the defaults: ARCHITECTURE.md, "Detection").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DetectionPolicy {
    /// The time from probe to probe.
    #[serde(with = "friendly")]
    pub interval: Duration,
    /// A probe without an answer for this long has failed.
    #[serde(with = "friendly")]
    pub probe_deadline: Duration,
    /// Failures in a row after which a vantage calls a region unfit.
    pub failures: u32,
    /// Good answers in a row after which it calls it fit again.
    pub recoveries: u32,
}

impl Default for DetectionPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            probe_deadline: Duration::from_secs(5),
            failures: 3,
            recoveries: 5,
        }
    }
}

impl DetectionPolicy {
    /// A vantage's vote is fresh for this long: two intervals and a probe's deadline.
    pub fn fresh_for(&self) -> Duration {
        self.interval.saturating_mul(2).saturating_add(self.probe_deadline)
    }
}

/// What the controller may do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Automatic {
    /// Watch, tell, do nothing.
    Off,
    /// Propose a plan and wait for a person's approval.
    #[default]
    Propose,
    /// Carry out a failover whose guards all pass.
    On,
}

/// How often groups may move by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Velocity {
    /// At most so many groups...
    pub moves: u32,
    /// ...within this time.
    #[serde(with = "friendly")]
    pub window: Duration,
}

impl Default for Velocity {
    fn default() -> Self {
        Self { moves: 4, window: Duration::from_secs(3600) }
    }
}

/// How the deployment is run. Every value has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// What a gate promises.
    pub gate: GateTerms,
    /// When a region counts as unfit.
    pub detection: DetectionPolicy,
    /// What the controller may do by itself.
    pub automatic: Automatic,
    /// Whether it may also fail back by itself. Off unless said.
    pub automatic_failback: bool,
    /// Times of the controller.
    pub timing: Timing,
    /// How often groups may move by themselves.
    pub velocity: Velocity,
    /// The standby's share of full capacity.
    pub standby: StandbyShare,
}

/// The standby's share of full capacity; a tenth unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StandbyShare(pub Share);

impl Default for StandbyShare {
    fn default() -> Self {
        Self(Share::TENTH)
    }
}

/// Times of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Timing {
    /// Others take the group's lease over when its holder was silent for this long.
    #[serde(with = "friendly")]
    pub lease: Duration,
    /// From one beat of the holder to the next.
    #[serde(with = "friendly")]
    pub beat: Duration,
    /// From one look at stores, routers and scalers to the next.
    #[serde(with = "friendly")]
    pub observe: Duration,
    /// From one look for late writes in stores that cannot refuse them to the next.
    #[serde(with = "friendly")]
    pub reconcile: Duration,
    /// A call to a cloud without an answer for this long has failed.
    #[serde(with = "friendly")]
    pub call_deadline: Duration,
    /// Best-effort calls to a region that is being left get no more than this.
    #[serde(with = "friendly")]
    pub fence_deadline: Duration,
    /// After a move nothing moves by itself for this long, unless a person acknowledges it.
    #[serde(with = "friendly")]
    pub cool_down: Duration,
    /// A region must have been fit for this long before a failback to it is proposed.
    #[serde(with = "friendly")]
    pub failback_after: Duration,
    /// A proposed plan waits this long for a person.
    #[serde(with = "friendly")]
    pub approval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            lease: seconds(15),
            beat: seconds(3),
            observe: seconds(15),
            reconcile: seconds(60),
            call_deadline: seconds(10),
            fence_deadline: seconds(10),
            cool_down: seconds(3600),
            failback_after: seconds(3600),
            approval: seconds(3600),
        }
    }
}
