//! What a person does by hand: look, plan, carry out, order, read the history. The command line is a thin shell on this.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::call::{Call, Reply};
use crate::cell::{Expected, StoreOutcome};
use crate::check::Fitness;
use crate::clock::{Clock, Now};
use crate::deployment::{Deployment, GroupSpec};
use crate::detect::{Ballot, fold};
use crate::error::{Error, ErrorKind, Result};
use crate::facts::{Facts, Health, Seen, Situation};
use crate::guard::Initiator;
use crate::ledger::{GroupCells, Ledger, Token};
use crate::name::{ActorId, GroupName, Region, ResourceName, VantageName};
use crate::plan::{self, MoveRequest, Plan, Step};
use crate::problem::Problems;
use futures_util::future::join_all;

mod carry;
mod evidence;
mod orders;
mod witness;

pub use carry::Place;
pub use evidence::{History, UnderWay};
pub use orders::Holder;

/// Own checks in a row that must fail before a person's command takes a region for unfit.
const ROUNDS: u32 = 3;

/// A person at a keyboard, or a program in their place.
#[derive(Debug)]
pub struct Operator {
    deployment: Arc<Deployment>,
    backend: Backend,
    clock: Arc<dyn Clock>,
    actor: ActorId,
}

/// Why there is no plan.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// The request is wrong.
    #[error("{0}")]
    Request(#[from] Problems),
    /// The ledger cannot be read, or is another deployment's.
    #[error("{0}")]
    Ledger(#[from] Error),
}

/// How a group is, as far as can be seen now.
#[derive(Debug)]
pub struct GroupStatus {
    /// The ledger, or why it cannot be read.
    pub ledger: Result<Option<Ledger>>,
    /// What was seen.
    pub facts: Facts,
    /// What could not be seen, and why.
    pub errors: Vec<Error>,
    /// What each vantage last wrote.
    pub ballots: BTreeMap<VantageName, Ballot>,
    /// When it was seen.
    pub now: Now,
}

impl Operator {
    /// An operator over these implementations. The actor's name must be unique to this process.
    ///
    /// # Errors
    /// Every resource of the deployment that nothing serves.
    pub fn new(
        deployment: Arc<Deployment>,
        backend: Backend,
        clock: Arc<dyn Clock>,
        actor: ActorId,
    ) -> std::result::Result<Self, Problems> {
        backend.check(&deployment)?;
        Ok(Self { deployment, backend, clock, actor })
    }

    /// The deployment.
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// The implementations.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    fn cells(&self, group: &GroupName) -> GroupCells {
        GroupCells::new(&self.deployment.spec().name, group)
    }

    fn group(&self, group: &GroupName) -> Result<&GroupSpec> {
        self.deployment.group(group).ok_or_else(|| {
            let known: Vec<&str> =
                self.deployment.spec().groups.iter().map(|group| group.name.as_str()).collect();
            let message = format!("there is no group {group}: there are {}", known.join(", "));
            Error::new(ErrorKind::InvalidInput, "find the group", message)
        })
    }

    /// Makes the ledger of every group that has none, and sets up replication of every store. Says what it did, or, dry,
    /// would do.
    ///
    /// # Errors
    /// The first that happened; running it again goes on from there.
    pub async fn init(&self, dry_run: bool) -> Result<Vec<String>> {
        let mut done = Vec::new();
        for group in &self.deployment.spec().groups {
            done.push(self.ensure_ledger(&group.name, dry_run).await?);
        }
        done.extend(self.ensure_replicated(dry_run).await?);
        Ok(done)
    }

    async fn ensure_ledger(&self, group: &GroupName, dry_run: bool) -> Result<String> {
        let cell = self.cells(group).ledger();
        let found = match self.ledger(group).await {
            // What is to hold it is not there either: it would have been made before.
            Err(error) if dry_run && error.kind() == ErrorKind::NotFound => None,
            found => found?,
        };
        if let Some(ledger) = found {
            return Ok(format!("group {group}: the ledger is there, at epoch {}", ledger.epoch()));
        }
        if dry_run {
            return Ok(format!("group {group}: would create the ledger {cell}"));
        }
        let ledger = Ledger::init(&self.deployment, group, Token::new(&self.actor, 0));
        match self.backend.cells.store(&cell, &Expected::Absent, &ledger.encode()).await? {
            StoreOutcome::Applied { .. } => Ok(format!("group {group}: created the ledger {cell}")),
            StoreOutcome::Lost => Ok(format!("group {group}: somebody else just created the ledger {cell}")),
            StoreOutcome::Unknown { why } => {
                Err(Error::new(ErrorKind::Unavailable, "create the ledger", why)
                    .on(&cell)
                    .with_advice("run init again"))
            }
        }
    }

    /// Sets up replication of every store (the guide's step 5). Says what it did, or, dry, would do.
    ///
    /// # Errors
    /// The first that happened; running it again goes on from there.
    pub async fn ensure_replicated(&self, dry_run: bool) -> Result<Vec<String>> {
        let mut done = Vec::new();
        let groups = self.deployment.spec().groups.iter();
        for resource in groups.flat_map(|group| &group.stores) {
            if let Some(store) = self.backend.stores.get(&resource.name) {
                let changes = store.ensure_replicated(dry_run).await?;
                done.extend(changes.into_iter().map(|change| format!("store {}: {change}", resource.name)));
            }
        }
        Ok(done)
    }

    /// Reads a group's ledger.
    ///
    /// # Errors
    /// The cell cannot be read, or holds no ledger that this program understands, or another deployment's.
    pub async fn ledger(&self, group: &GroupName) -> Result<Option<Ledger>> {
        let cell = self.cells(group).ledger();
        let Some(found) = self.backend.cells.load(&cell).await? else { return Ok(None) };
        let ledger = Ledger::decode(&found.value)?;
        ledger.check(&self.deployment, group)?;
        Ok(Some(ledger))
    }

    /// Looks at everything at once. What cannot be seen is said, and hides nothing else: this works with the ledger down.
    ///
    /// # Errors
    /// Only for a group that the deployment does not have.
    pub async fn status(&self, group: &GroupName) -> Result<GroupStatus> {
        let spec = self.group(group)?;
        let deadline = self.deployment.spec().policy.timing.call_deadline;
        let ledger = async {
            match tokio::time::timeout(deadline, self.ledger(group)).await {
                Ok(ledger) => ledger,
                Err(_) => Err(Error::new(
                    ErrorKind::Timeout,
                    "read the ledger",
                    format!("no answer within {deadline:?}"),
                )),
            }
        };
        let (ledger, (facts, errors), ballots) =
            futures_util::join!(ledger, self.look(spec), self.ballots(group));
        Ok(GroupStatus { ledger, facts, errors, ballots, now: self.clock.now() })
    }

    async fn ballots(&self, group: &GroupName) -> BTreeMap<VantageName, Ballot> {
        let cells = self.cells(group);
        let deadline = self.deployment.spec().policy.timing.call_deadline;
        let load = async |vantage: VantageName| {
            let cell = cells.vantage(&vantage);
            let found = tokio::time::timeout(deadline, self.backend.cells.load(&cell)).await.ok()?.ok()??;
            let ballot = Ballot::decode(&found.value, &vantage).ok()?;
            Some((vantage, ballot))
        };
        let vantages = self.deployment.spec().vantages.iter().map(|vantage| vantage.name.clone());
        join_all(vantages.map(load)).await.into_iter().flatten().collect()
    }

    /// Asks every store, router, scaler and check, each with its deadline.
    async fn look(&self, group: &GroupSpec) -> (Facts, Vec<Error>) {
        let mut calls = Vec::new();
        calls.extend(group.stores.iter().map(|store| Call::Status { store: store.name.clone() }));
        calls.extend(group.routers.iter().map(|router| Call::Routing { router: router.name.clone() }));
        for region in self.deployment.regions() {
            let scaler = |scaler: &crate::deployment::ResourceSpec| Call::Capacity {
                scaler: scaler.name.clone(),
                region: region.clone(),
            };
            calls.extend(group.scalers.iter().map(scaler));
        }
        let (answers, health) =
            futures_util::join!(join_all(calls.into_iter().map(|call| self.ask(call))), self.health(group));
        let (mut facts, mut errors) = (Facts { health, ..Facts::default() }, Vec::new());
        let at = self.clock.moment();
        for (call, reply) in answers {
            match (call, reply) {
                (Call::Status { store }, Reply::Status(Ok(status))) => facts.saw_status(at, &store, status),
                (Call::Routing { router }, Reply::Routing(Ok(value))) => {
                    facts.routings.insert(router, Seen { value, at });
                }
                (Call::Capacity { scaler, region }, Reply::Capacity(Ok(value))) => {
                    facts.answered(at, &region);
                    facts.capacities.insert((scaler, region), Seen { value, at });
                }
                (_, Reply::Status(Err(error)) | Reply::Routing(Err(error)) | Reply::Capacity(Err(error))) => {
                    errors.push(error);
                }
                _ => {}
            }
        }
        (facts, errors)
    }

    async fn ask(&self, call: Call) -> (Call, Reply) {
        let deadline = self.deployment.spec().policy.timing.call_deadline;
        let reply = match tokio::time::timeout(deadline, self.backend.perform(call.clone())).await {
            Ok(reply) => reply,
            Err(_) => {
                let error = Error::new(ErrorKind::Timeout, "look", format!("no answer within {deadline:?}"));
                crate::backend::unanswered(&call, error)
            }
        };
        (call, reply)
    }

    /// Each region's health by this process's own checks: one good answer is enough, unfit takes several in a row.
    async fn health(&self, group: &GroupSpec) -> BTreeMap<Region, Health> {
        let judge = async |region: Region| {
            let mut last = self.probe(group, &region).await;
            let mut rounds = 1;
            while last.fitness == Fitness::Unfit && rounds < ROUNDS {
                tokio::time::sleep(Duration::from_secs(1)).await;
                last = self.probe(group, &region).await;
                rounds += 1;
            }
            let confirmed = last.fitness == Fitness::Unfit;
            let why = format!("{} ({rounds} rounds of this command's own checks)", last.why);
            let health = Health { fitness: last.fitness, confirmed, since: self.clock.moment(), why };
            (region, health)
        };
        join_all(self.deployment.regions().cloned().map(judge)).await.into_iter().collect()
    }

    async fn probe(&self, group: &GroupSpec, region: &Region) -> crate::check::Assessment {
        let calls = group.checks.iter().map(|check| {
            let call = Call::Assess { check: check.name.clone(), region: region.clone() };
            async { (check.name.clone(), self.ask(call).await.1) }
        });
        let answer = |(check, reply): (ResourceName, Reply)| {
            let answer = match reply {
                Reply::Assess(answer) => answer.or_else(crate::controller::silence_is_unfit),
                _ => Err(Error::new(ErrorKind::Unexpected, "assess", "the answer fits no question")),
            };
            (check, answer)
        };
        fold(join_all(calls).await.into_iter().map(answer))
    }

    /// Makes a plan from what can be seen now.
    ///
    /// # Errors
    /// See [`PlanError`]. A plan that guards refuse is no error: it says so in itself.
    pub async fn plan(
        &self,
        group: &GroupName,
        request: &MoveRequest,
    ) -> std::result::Result<Plan, PlanError> {
        let spec = self.group(group)?;
        let status = self.status(group).await?;
        let ledger = status.ledger?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "read the ledger", "this group has no ledger")
                .with_advice("run `init` once for this deployment")
        })?;
        let catalog = self.backend.catalog();
        let situation = Situation {
            deployment: &self.deployment,
            group: spec,
            ledger: &ledger,
            facts: &status.facts,
            catalog: &catalog,
            recent: None,
            initiator: Initiator::Person,
            now: self.clock.now(),
        };
        Ok(plan::build(&situation, request)?)
    }

    /// Sees whether a plan that was made earlier can still be carried out as it stands: nobody has moved the group since,
    /// the same steps would be planned now, and no guard refuses now. An override that ran out meanwhile counts no more.
    /// Returns why not; nothing if it can.
    ///
    /// # Errors
    /// The ledger cannot be read, or is another deployment's.
    pub async fn recheck(&self, plan: &Plan) -> Result<Vec<String>> {
        let found = outdated(plan, &self.deployment, self.ledger(&plan.group).await?.as_ref());
        if !found.is_empty() {
            return Ok(found);
        }
        let request = MoveRequest {
            kind: plan.kind,
            from: plan.from.clone(),
            to: Some(plan.to.clone()),
            drill: plan.drill,
            waivers: plan.waivers.clone(),
            why: plan.why.clone(),
        };
        match self.plan(&plan.group, &request).await {
            Ok(now) => Ok(objections(plan, &now)),
            Err(PlanError::Request(problems)) => {
                Ok(problems.as_slice().iter().map(ToString::to_string).collect())
            }
            Err(PlanError::Ledger(error)) => Err(error),
        }
    }
}

/// What says without a look at the regions that a plan's time has passed.
fn outdated(plan: &Plan, deployment: &Deployment, ledger: Option<&Ledger>) -> Vec<String> {
    let mut found = Vec::new();
    if plan.format != plan::FORMAT {
        found.push(format!("it has format {}, this program reads {}", plan.format, plan::FORMAT));
    }
    if plan.deployment != *deployment.hash() {
        found.push("it was made from another deployment".to_owned());
    }
    if let Some(ledger) = ledger.filter(|ledger| ledger.basis() != plan.basis()) {
        let (planned, current) = (plan.basis(), ledger.basis());
        found.push(format!("it is stale: it was made at {planned}, the group is at {current}"));
    }
    found
}

/// Why a plan must not be carried out, seen against the plan that would be made now.
fn objections(plan: &Plan, now: &Plan) -> Vec<String> {
    let deeds = |plan: &Plan| -> Vec<_> {
        let deed = |step: &Step| (step.id.clone(), step.action.clone(), step.after.clone(), step.best_effort);
        plan.steps.iter().map(deed).collect()
    };
    let mut found = Vec::new();
    if deeds(plan) != deeds(now) {
        found.push("it is stale: other steps would be planned now".to_owned());
    }
    let refusals = |plan: &Plan| -> Vec<String> {
        plan.refusals().map(|answer| format!("the {} guard refuses: {}", answer.guard, answer.why)).collect()
    };
    found.extend(refusals(now));
    if found.is_empty() {
        found = refusals(plan);
    }
    found
}
