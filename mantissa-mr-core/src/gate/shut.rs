//! Why a gate is shut, and what to do about it.

use std::fmt;
use std::time::Duration;

use crate::deployment::DeploymentHash;
use crate::error::Error;
use crate::ledger::{AdmissionState, Epoch};
use crate::name::{GroupName, Region};

/// The gate is shut: this region must not write now.
///
/// Nothing was written. Send the write to one of the [active regions](Self::active_regions), or try again later.
#[derive(Clone, Debug, PartialEq)]
pub struct Shut {
    pub(super) region: Region,
    pub(super) reason: ShutReason,
    pub(super) active: Vec<Region>,
}

/// Why a gate is shut.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ShutReason {
    /// The ledger was not read yet.
    NotYetRead {
        /// The last failure to read it, if one was tried.
        failure: Option<String>,
    },
    /// The ledger says that this region does not serve.
    NotActive {
        /// What it may do instead.
        state: AdmissionState,
    },
    /// The ledger does not know this region.
    UnknownRegion,
    /// The ledger was not read in time, so the region may have been sealed since.
    TrustRanOut {
        /// How much trust is left: less than the write deadline.
        left: Duration,
        /// The last failure to read it, if one came.
        failure: Option<String>,
    },
    /// Boot time and wall time diverged since the ledger was read: the machine was stopped, or a clock was set. How
    /// much time really passed is not known.
    ClocksDiverged {
        /// By how much.
        by: Duration,
    },
    /// The region that would take over is not known to be close enough behind to keep the RPO.
    ReplicaBehind {
        /// How far behind it may be, counted until now; unknown if it was never measured.
        lag: Option<Duration>,
        /// The bound.
        rpo: Duration,
    },
    /// There is no ledger.
    NoLedger,
    /// What is in the ledger's cell cannot be read: it is of another format, or no ledger.
    Unreadable {
        /// What reading it said.
        error: Error,
    },
    /// The ledger is another deployment's.
    OtherDeployment {
        /// The ledger's.
        ledger: DeploymentHash,
        /// This gate's.
        gate: DeploymentHash,
    },
    /// The ledger is another group's.
    OtherGroup {
        /// The group that it is for.
        ledger: GroupName,
    },
    /// The ledger is older than one that was read before: it was restored from a backup, or its cells are not
    /// linearizable.
    WentBack {
        /// This region's epoch now.
        now: Epoch,
        /// This region's epoch before.
        before: Epoch,
    },
    /// The gate is being changed at this very moment.
    Changing,
    /// Whoever keeps the gate open has ended.
    Stopped,
}

impl Shut {
    /// Why.
    pub fn reason(&self) -> &ShutReason {
        &self.reason
    }

    /// The regions that may serve, as far as the last answer of the ledger says. It may be none, and while the trust has
    /// run out it may be this region.
    pub fn active_regions(&self) -> &[Region] {
        &self.active
    }

    /// The region whose gate it is.
    pub fn region(&self) -> &Region {
        &self.region
    }
}

impl std::error::Error for Shut {}

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the write gate of {} is shut: {}; {}", self.region, self.reason, self.reason.advice())?;
        let mut others = self.active.iter().filter(|region| **region != self.region).peekable();
        if others.peek().is_some() {
            let names: Vec<&str> = others.map(Region::as_str).collect();
            write!(f, " (served now by {})", names.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for ShutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetRead { failure } => {
                write!(f, "the ledger was not read yet")?;
                after(f, failure.as_deref())
            }
            Self::NotActive { state } => write!(f, "the region is {state}"),
            Self::UnknownRegion => write!(f, "the ledger does not know this region"),
            Self::TrustRanOut { left, failure } => {
                write!(f, "the ledger was not read in time ({left:.1?} of trust left)")?;
                after(f, failure.as_deref())
            }
            Self::ClocksDiverged { by } => {
                write!(f, "boot time and wall time diverged by {by:.1?} since the ledger was read")
            }
            Self::ReplicaBehind { lag: Some(lag), rpo } => {
                write!(f, "the replica may be {lag:.1?} behind, which does not keep the RPO of {rpo:?}")
            }
            Self::ReplicaBehind { lag: None, rpo } => {
                write!(f, "how far the replica is behind is not known, and the RPO is {rpo:?}")
            }
            Self::NoLedger => write!(f, "there is no ledger"),
            Self::Unreadable { error } => write!(f, "{error}"),
            Self::OtherDeployment { ledger, gate } => {
                let (ledger, gate) = (ledger.to_string(), gate.to_string());
                write!(f, "the ledger is of another deployment ({ledger:.12}, not {gate:.12})")
            }
            Self::OtherGroup { ledger } => write!(f, "the ledger in its cell is group {ledger}'s"),
            Self::WentBack { now, before } => {
                write!(f, "the ledger went back from epoch {before} to {now}")
            }
            Self::Changing => write!(f, "it is being changed at this very moment"),
            Self::Stopped => write!(f, "what keeps it open has ended"),
        }
    }
}

fn after(f: &mut fmt::Formatter<'_>, failure: Option<&str>) -> fmt::Result {
    failure.map_or(Ok(()), |failure| write!(f, ": {failure}"))
}

impl ShutReason {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotYetRead { .. } | Self::TrustRanOut { .. } => {
                "try again soon; if it stays, see that this process reaches the witness"
            }
            Self::NotActive { state: AdmissionState::Sealed { .. } } => {
                "a move is under way: try again when it has ended"
            }
            Self::NotActive { .. } => "send the write to the active region",
            Self::UnknownRegion => "start this process with the name of one of the deployment's regions",
            Self::Changing => "try again at once",
            Self::ClocksDiverged { .. } => "it opens with the next good read of the ledger: try again soon",
            Self::ReplicaBehind { .. } => {
                "mend the replication, or run the gate without the RPO bound and accept that loss is then an estimate"
            }
            Self::NoLedger => "create it with `init`",
            Self::Unreadable { .. } => "nothing is written until the ledger can be read",
            Self::OtherDeployment { .. } => {
                "run every service, controller and command with the same configuration files, and restart this one"
            }
            Self::OtherGroup { .. } | Self::WentBack { .. } => {
                "find out who changed the ledger's cell; restart this process once the ledger is right again"
            }
            Self::Stopped => "restart the gate's runner",
        }
    }
}
