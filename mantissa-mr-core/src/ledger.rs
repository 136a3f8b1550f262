//! The one record per group that decides: who may serve, under which epoch, who acts, and what is under way.
//!
//! Everything here is pure: each transition takes the record as read and gives the record to swap in, or says why that
//! must not be. Whoever wants to change the ledger reads it, calls a transition, and stores the result with
//! compare-and-swap on the version that it read.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cell::CellName;
use crate::deployment::{Deployment, DeploymentHash, GateTerms, Strategy};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::JournalHead;
use crate::name::{ActorId, DeploymentName, ExecutionId, GroupName, Region, StepId, VantageName};
use crate::plan::{Move, PlanHash};

/// The version of the record's format that this library reads and writes.
pub const FORMAT: u32 = 1;

/// No count that is read from a cell is as high: whatever counts up by one could not have come so far, and what grows must
/// have room to grow.
pub(crate) const COUNTED_MOST: u64 = 1 << 53;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one that follows.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

counters! {
    /// Grows with every change of the set of regions that may serve; each region keeps the one it was admitted under.
    Epoch;
    /// Grows with every take-over of the group's lease.
    Term;
    /// How many executions were ever begun in the group. A plan can begin only at the generation that it was made for,
    /// so each plan, and each override bound to it, is used once at most.
    Generation;
}

/// The state of a ledger that a plan is made for, and begins at or never: nothing else was begun since, and the same
/// regions may serve as then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Basis {
    /// How many executions had been begun.
    pub generation: Generation,
    /// The highest epoch.
    pub epoch: Epoch,
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} and epoch {}", self.generation, self.epoch)
    }
}

/// Identifies one write, so that its writer recognises it when the answer was lost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl Token {
    /// The token of an actor's write number so-and-so. Actors' names are unique to a process.
    pub fn new(actor: &ActorId, sequence: u64) -> Self {
        Self(format!("{actor}#{sequence}"))
    }
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ledger {
    /// The version of this format.
    pub format: u32,
    /// The group that it decides for.
    pub group: GroupName,
    /// The deployment that all who use it must agree on.
    pub deployment: DeploymentHash,
    /// Who may serve at the same time.
    pub strategy: Strategy,
    /// What every gate promises; gates take it from here.
    pub gate: GateTerms,
    /// Each region's right to serve.
    pub admissions: BTreeMap<Region, Admission>,
    /// Who acts.
    pub lease: Lease,
    /// How many executions were begun.
    pub generation: Generation,
    /// What is under way.
    pub execution: Option<Running>,
    /// A plan that waits for a person.
    pub proposal: Option<Proposal>,
    /// What people asked of the holder of the lease and it has not yet done.
    pub orders: Vec<Order>,
    /// The last execution that ended.
    pub ended: Option<Ended>,
    /// The journal's head, as far as it was anchored.
    pub journal: JournalHead,
    /// Who wrote this value.
    pub writer: Token,
}

/// A region's right to serve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Admission {
    /// The epoch of the last change.
    pub epoch: Epoch,
    /// What it may do.
    pub state: AdmissionState,
}

/// What a region may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdmissionState {
    /// Serve: its gates may open.
    Active,
    /// Nothing: it stands by.
    Standby,
    /// Nothing any more: an execution is taking its right away. Gates that are open shut by themselves.
    Sealed {
        /// Which execution.
        by: ExecutionId,
    },
}

/// Who acts for the group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lease {
    /// Grows with every take-over.
    pub term: Term,
    /// Who holds it; nobody if it was handed back.
    pub holder: Option<ActorId>,
    /// Grows with every sign of life.
    pub beat: u64,
}

/// An execution that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Running {
    /// Its name.
    pub id: ExecutionId,
    /// The plan, which is in a cell of its own.
    pub plan: PlanHash,
    /// What it does.
    pub kind: Move,
    /// Where it moves to (or, for an evacuation, what it leaves).
    pub region: Region,
    /// The journal's head when it began: its records follow.
    pub journal_from: JournalHead,
    /// Since when, by the wall clock of who began it.
    pub began: Timestamp,
    /// Whether it waits for a person, and why.
    pub paused: Option<String>,
}

/// A plan that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Proposal {
    /// The plan, which is in a cell of its own.
    pub plan: PlanHash,
    /// What it would do.
    pub kind: Move,
    /// Where it would move to.
    pub region: Region,
    /// Why it is proposed.
    pub why: String,
    /// Since when.
    pub made: Timestamp,
    /// Until when it can be approved.
    pub expires: Timestamp,
}

/// What a person asks of whoever holds the lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Order {
    /// What to do.
    pub what: OrderKind,
    /// Who asks.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, by the wall clock of who asks.
    pub at: Timestamp,
}

/// What can be asked of the holder of the lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKind {
    /// Begin no further step of the execution.
    Pause,
    /// Go on.
    Resume,
    /// Give the move up and reopen the gates; refused past the point of no return.
    Abort,
    /// Leave this step out.
    Skip(StepId),
    /// Carry out the proposed plan.
    Approve(PlanHash),
    /// The last move was looked at: the cool-down ends.
    Acknowledge,
}

/// An execution that ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ended {
    /// Its name.
    pub id: ExecutionId,
    /// What it did.
    pub kind: Move,
    /// How it ended.
    pub outcome: Outcome,
    /// The region that it moved to, or left.
    pub region: Region,
    /// When, by the wall clock of who ended it.
    pub at: Timestamp,
    /// Whether a person has looked at it since.
    pub acknowledged: bool,
    /// Regions whose data may hold acknowledged writes that the group does not have.
    pub unreconciled: Vec<Region>,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did what its plan says.
    Finished,
    /// It was given up before the point of no return, and the gates were reopened.
    Aborted,
    /// Another execution took its place.
    Superseded,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
        })
    }
}

/// Why a transition must not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerRefusal {
    /// Somebody else acts for the group now.
    #[error("the lease is at term {current} held by {holder}, not at {mine}: stop")]
    Superseded {
        /// The ledger's term.
        current: Term,
        /// The caller's term.
        mine: Term,
        /// Who holds it.
        holder: String,
    },
    /// Another execution is under way.
    #[error("execution {0} is under way: wait for it, or resume, abort or supersede it")]
    Busy(ExecutionId),
    /// This execution is not the one under way.
    #[error("execution {0} is not under way")]
    NotRunning(ExecutionId),
    /// The plan was made for another state of the ledger.
    #[error("the plan is stale: it was made at {planned}, the group is at {current}; make a new plan")]
    Stale {
        /// What the plan was made for.
        planned: Basis,
        /// What the ledger is at.
        current: Basis,
    },
    /// A region has not the admission that the transition needs.
    #[error("region {region} is {state}, which does not allow this")]
    WrongAdmission {
        /// The region.
        region: Region,
        /// Its state.
        state: String,
    },
    /// No region would be left to serve.
    #[error("no region but {0} serves: give the move up, or bring another region back first")]
    LastToServe(Region),
    /// The region is not one of the group's.
    #[error("region {0} is not in the ledger")]
    UnknownRegion(Region),
}

impl From<LedgerRefusal> for Error {
    fn from(refusal: LedgerRefusal) -> Self {
        let kind = match refusal {
            LedgerRefusal::Superseded { .. } => ErrorKind::Superseded,
            LedgerRefusal::UnknownRegion(_) => ErrorKind::InvalidInput,
            _ => ErrorKind::Conflict,
        };
        Self::new(kind, "change the ledger", refusal.to_string())
    }
}

impl fmt::Display for AdmissionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Standby => f.write_str("standby"),
            Self::Sealed { by } => write!(f, "sealed by {by}"),
        }
    }
}

impl Ledger {
    /// The first record of a group: the preferred region serves, or, active-active, all do.
    pub fn init(deployment: &Deployment, group: &GroupName, writer: Token) -> Self {
        let spec = deployment.spec();
        let admit = |region: &Region| {
            let active = spec.strategy == Strategy::ActiveActive || *region == spec.preferred;
            let state = if active { AdmissionState::Active } else { AdmissionState::Standby };
            (region.clone(), Admission { epoch: Epoch(1), state })
        };
        Self {
            format: FORMAT,
            group: group.clone(),
            deployment: deployment.hash().clone(),
            strategy: spec.strategy,
            gate: spec.policy.gate,
            admissions: deployment.regions().map(admit).collect(),
            lease: Lease::default(),
            generation: Generation(0),
            execution: None,
            proposal: None,
            orders: Vec::new(),
            ended: None,
            journal: JournalHead::genesis(&spec.name, group),
            writer,
        }
    }

    /// The record as bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Plain data with string keys: serialising it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// `InvalidInput` for a record of a newer format, `Corrupt` for anything else that this library did not write.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let corrupt = |why: String| {
            Error::new(ErrorKind::Corrupt, "read the ledger", why).with_advice(
                "this is no ledger of mantissa-mr; nothing was changed: look at the cell by hand",
            )
        };
        let Format { format } = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if format != FORMAT {
            let message = format!("it has format {format}, this program reads {FORMAT}");
            return Err(Error::new(ErrorKind::InvalidInput, "read the ledger", message)
                .with_advice("use the version of mantissa-mr that wrote it, or a newer one"));
        }
        let ledger: Self = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        let impossible = ledger.counts().find(|(_, count)| *count >= COUNTED_MOST);
        match impossible {
            Some((what, count)) => Err(corrupt(format!("nothing can have counted {what} up to {count}"))),
            None => Ok(ledger),
        }
    }

    /// Everything in it that only grows.
    fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let epochs = self.admissions.values().map(|admission| ("an epoch", admission.epoch.0));
        let from = self.execution.iter().map(|running| ("the journal's slots", running.journal_from.slots));
        let own = [
            ("the term", self.lease.term.0),
            ("the beats", self.lease.beat),
            ("the generation", self.generation.0),
            ("the journal's slots", self.journal.slots),
        ];
        own.into_iter().chain(epochs).chain(from)
    }

    /// Whether it is the ledger of this group of this deployment, and not a copy of another one's.
    ///
    /// # Errors
    /// `Corrupt` for another group's; otherwise as for [`check_deployment`](Self::check_deployment).
    pub fn check(&self, deployment: &Deployment, group: &GroupName) -> Result<()> {
        self.check_deployment(deployment)?;
        if self.group == *group {
            return Ok(());
        }
        let message = format!("it is the ledger of group {}", self.group);
        Err(Error::new(ErrorKind::Corrupt, "use the ledger", message)
            .on(group)
            .with_advice("somebody copied it: nothing is done until a person has looked"))
    }

    /// Whether the deployment is the one that this ledger was made for.
    ///
    /// # Errors
    /// `InvalidInput` if not: two controllers with different deployments must not share a ledger.
    pub fn check_deployment(&self, deployment: &Deployment) -> Result<()> {
        if self.deployment == *deployment.hash() {
            return Ok(());
        }
        let message = format!(
            "it was made for another deployment ({:.12}, this one is {:.12})",
            self.deployment.to_string(),
            deployment.hash().to_string()
        );
        Err(Error::new(ErrorKind::InvalidInput, "use the ledger", message)
            .on(&self.group)
            .with_advice("run every controller and command with the same configuration files"))
    }

    /// The epoch under which a region may serve now, if it may.
    pub fn admitted(&self, region: &Region) -> Option<Epoch> {
        let admission = self.admissions.get(region)?;
        (admission.state == AdmissionState::Active).then_some(admission.epoch)
    }

    /// The regions that may serve now.
    pub fn active(&self) -> impl Iterator<Item = &Region> {
        self.admissions.iter().filter(|(_, a)| a.state == AdmissionState::Active).map(|(region, _)| region)
    }

    /// The highest epoch.
    pub fn epoch(&self) -> Epoch {
        self.admissions.values().map(|admission| admission.epoch).max().unwrap_or_default()
    }

    /// What a plan that is made now is made for.
    pub fn basis(&self) -> Basis {
        Basis { generation: self.generation, epoch: self.epoch() }
    }

    /// Takes the lease. The caller must have seen it free, its holder silent for the whole lease, or be a person's
    /// command that found nothing under way.
    #[must_use]
    pub fn acquire(&self, actor: &ActorId) -> Self {
        let lease = Lease { term: self.lease.term.next(), holder: Some(actor.clone()), beat: 0 };
        Self { lease, ..self.clone() }
    }

    /// Hands the lease back.
    ///
    /// # Errors
    /// [`LedgerRefusal::Superseded`].
    pub fn release(&self, term: Term) -> Result<Self, LedgerRefusal> {
        self.held(term)?;
        Ok(Self { lease: Lease { holder: None, ..self.lease.clone() }, ..self.clone() })
    }

    /// A sign of life.
    ///
    /// # Errors
    /// [`LedgerRefusal::Superseded`].
    pub fn beat(&self, term: Term) -> Result<Self, LedgerRefusal> {
        self.held(term)?;
        Ok(Self { lease: Lease { beat: self.lease.beat + 1, ..self.lease.clone() }, ..self.clone() })
    }

    /// Begins an execution.
    ///
    /// # Errors
    /// [`LedgerRefusal::Busy`] if another is under way, [`LedgerRefusal::Stale`] for a plan of another basis.
    pub fn begin(&self, term: Term, planned: Basis, running: Running) -> Result<Self, LedgerRefusal> {
        self.held(term)?;
        if let Some(other) = &self.execution {
            return Err(LedgerRefusal::Busy(other.id.clone()));
        }
        self.fits(planned)?;
        let generation = self.generation.next();
        Ok(Self { generation, execution: Some(running), proposal: None, ..self.clone() })
    }

    /// Ends the right of these regions to serve: their gates shut by themselves within the trust.
    ///
    /// # Errors
    /// [`LedgerRefusal::WrongAdmission`] if one is sealed by another execution; active-active,
    /// [`LedgerRefusal::LastToServe`] if no region would be left to serve.
    pub fn seal(&self, term: Term, id: &ExecutionId, regions: &[Region]) -> Result<Self, LedgerRefusal> {
        self.running(term, id)?;
        let mut next = self.clone();
        for region in regions {
            let admission = next.admission_mut(region)?;
            match &admission.state {
                AdmissionState::Active => admission.state = AdmissionState::Sealed { by: id.clone() },
                AdmissionState::Sealed { by } if by == id => {}
                AdmissionState::Standby => {}
                state => return Err(wrong(region, state)),
            }
        }
        // Active-active nothing is opened later on: who would be left must serve now.
        let last = self.strategy == Strategy::ActiveActive && next.active().next().is_none();
        match regions.first().filter(|_| last && next != *self) {
            Some(region) => Err(LedgerRefusal::LastToServe(region.clone())),
            None => Ok(next),
        }
    }

    /// Admits a region under a new epoch; what this execution sealed stands by from now on. The caller must have waited
    /// [`GateTerms::seal_wait`] from the answer of its seal.
    ///
    /// # Errors
    /// [`LedgerRefusal::WrongAdmission`] if, active-passive, another region is still active or sealed by another
    /// execution.
    pub fn open(&self, term: Term, id: &ExecutionId, region: &Region) -> Result<Self, LedgerRefusal> {
        self.running(term, id)?;
        let epoch = self.epoch().next();
        let mut next = self.clone();
        for (other, admission) in &mut next.admissions {
            match &admission.state {
                AdmissionState::Sealed { by } if by == id => admission.state = AdmissionState::Standby,
                AdmissionState::Active | AdmissionState::Sealed { .. }
                    if self.strategy == Strategy::ActivePassive && other != region =>
                {
                    return Err(wrong(other, &admission.state));
                }
                _ => {}
            }
        }
        let admission = next.admission_mut(region)?;
        if admission.state != AdmissionState::Active {
            *admission = Admission { epoch, state: AdmissionState::Active };
        }
        Ok(next)
    }

    /// Active-active: what this execution sealed stands by from now on, and nothing else is admitted.
    ///
    /// # Errors
    /// [`LedgerRefusal::WrongAdmission`] if no region would be left to serve.
    pub fn leave(&self, term: Term, id: &ExecutionId, region: &Region) -> Result<Self, LedgerRefusal> {
        self.running(term, id)?;
        let epoch = self.epoch().next();
        let mut next = self.clone();
        let admission = next.admission_mut(region)?;
        if admission.state == AdmissionState::Active {
            return Err(wrong(region, &admission.state.clone()));
        }
        // Not this region only: what it superseded may have sealed another one.
        for admission in next.admissions.values_mut() {
            if admission.state == (AdmissionState::Sealed { by: id.clone() }) {
                *admission = Admission { epoch, state: AdmissionState::Standby };
            }
        }
        if next.active().next().is_none() {
            return Err(wrong(region, &AdmissionState::Standby));
        }
        Ok(next)
    }

    /// Gives a move up: what it sealed is admitted again, under a new epoch.
    ///
    /// # Errors
    /// [`LedgerRefusal::Superseded`], [`LedgerRefusal::NotRunning`].
    pub fn reopen(&self, term: Term, id: &ExecutionId) -> Result<Self, LedgerRefusal> {
        self.running(term, id)?;
        let epoch = self.epoch().next();
        let mut next = self.clone();
        for admission in next.admissions.values_mut() {
            if admission.state == (AdmissionState::Sealed { by: id.clone() }) {
                *admission = Admission { epoch, state: AdmissionState::Active };
            }
        }
        Ok(next)
    }

    /// Ends the execution.
    ///
    /// # Errors
    /// [`LedgerRefusal::WrongAdmission`] if a region is still sealed by it: open or reopen first.
    pub fn finish(&self, term: Term, ended: Ended) -> Result<Self, LedgerRefusal> {
        self.running(term, &ended.id)?;
        let sealed =
            |admission: &Admission| admission.state == (AdmissionState::Sealed { by: ended.id.clone() });
        if let Some((region, admission)) = self.admissions.iter().find(|(_, admission)| sealed(admission)) {
            return Err(wrong(region, &admission.state));
        }
        // What was proposed meanwhile was to take its place.
        Ok(Self { execution: None, proposal: None, ended: Some(ended), ..self.clone() })
    }

    /// Puts another execution in the place of the one under way: what that one sealed, this one has sealed.
    ///
    /// # Errors
    /// [`LedgerRefusal::NotRunning`] if the old one is not under way, [`LedgerRefusal::Stale`].
    pub fn supersede(
        &self,
        term: Term,
        old: &ExecutionId,
        planned: Basis,
        running: Running,
    ) -> Result<Self, LedgerRefusal> {
        self.running(term, old)?;
        self.fits(planned)?;
        let mut next = self.clone();
        for admission in next.admissions.values_mut() {
            if admission.state == (AdmissionState::Sealed { by: old.clone() }) {
                admission.state = AdmissionState::Sealed { by: running.id.clone() };
            }
        }
        next.generation = self.generation.next();
        next.execution = Some(running);
        next.proposal = None;
        Ok(next)
    }

    fn fits(&self, planned: Basis) -> Result<(), LedgerRefusal> {
        let current = self.basis();
        if planned == current { Ok(()) } else { Err(LedgerRefusal::Stale { planned, current }) }
    }

    fn held(&self, mine: Term) -> Result<(), LedgerRefusal> {
        if self.lease.term == mine && self.lease.holder.is_some() {
            return Ok(());
        }
        let holder = self.lease.holder.as_ref().map_or("nobody".to_owned(), ToString::to_string);
        Err(LedgerRefusal::Superseded { current: self.lease.term, mine, holder })
    }

    fn running(&self, term: Term, id: &ExecutionId) -> Result<&Running, LedgerRefusal> {
        self.held(term)?;
        let running = self.execution.as_ref().filter(|running| running.id == *id);
        running.ok_or_else(|| LedgerRefusal::NotRunning(id.clone()))
    }

    fn admission_mut(&mut self, region: &Region) -> Result<&mut Admission, LedgerRefusal> {
        self.admissions.get_mut(region).ok_or_else(|| LedgerRefusal::UnknownRegion(region.clone()))
    }
}

fn wrong(region: &Region, state: &AdmissionState) -> LedgerRefusal {
    LedgerRefusal::WrongAdmission { region: region.clone(), state: state.to_string() }
}

/// The names of a group's cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCells {
    deployment: DeploymentName,
    group: GroupName,
}

impl GroupCells {
    /// The cells of a group of a deployment.
    pub fn new(deployment: &DeploymentName, group: &GroupName) -> Self {
        Self { deployment: deployment.clone(), group: group.clone() }
    }

    /// The group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    fn name(&self, parts: &[&str]) -> CellName {
        let all: Vec<&str> =
            [self.deployment.as_str(), self.group.as_str()].iter().chain(parts).copied().collect();
        CellName::from_parts(&all)
    }

    /// The ledger.
    pub fn ledger(&self) -> CellName {
        self.name(&["ledger"])
    }

    /// One slot of the journal.
    pub fn journal(&self, slot: u64) -> CellName {
        self.name(&["journal", &format!("{slot:012}")])
    }

    /// A plan.
    pub fn plan(&self, hash: &PlanHash) -> CellName {
        self.name(&["plan", hash.as_str()])
    }

    /// What a vantage sees.
    pub fn vantage(&self, vantage: &VantageName) -> CellName {
        self.name(&["vantage", vantage.as_str()])
    }

    /// The register of the deployment's recent moves, shared by its groups.
    pub fn velocity(&self) -> CellName {
        CellName::from_parts(&[self.deployment.as_str(), "velocity"])
    }
}

#[cfg(test)]
mod tests;
