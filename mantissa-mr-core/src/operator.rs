//! What a person does by hand: look, plan, carry out, order, read the history. The command line is a thin shell on this.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use crate::backend::Backend;
use crate::call::{Call, Reply};
use crate::cell::{Expected, StoreOutcome};
use crate::check::Fitness;
use crate::clock::{Clock, Now};
use crate::controller::{Controller, ControllerSettings, Ending, Mandate, News};
use crate::deployment::{Deployment, GroupSpec};
use crate::detect::{Ballot, fold};
use crate::drive::Driver;
use crate::error::{Error, ErrorKind, Result};
use crate::facts::{Facts, Health, Seen, Situation};
use crate::guard::Initiator;
use crate::journal::{JournalHead, Reader, Slot};
use crate::ledger::{GroupCells, Ledger, Order, Token};
use crate::name::{ActorId, GroupName, Region, ResourceName, VantageName};
use crate::plan::{self, MoveRequest, Plan};
use crate::problem::Problems;
use crate::register::{Patience, Swap, Swapped, swap, writer};

/// Own checks in a row that must fail before a person's command takes a region for unfit.
const ROUNDS: u32 = 3;
/// Attempts to change the ledger against others who change it too.
const ATTEMPTS: u32 = 20;

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

/// A slot of the journal, as the history shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct HistorySlot(pub Slot);

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
            let cell = self.cells(&group.name).ledger();
            match self.ledger(&group.name).await? {
                Some(ledger) => {
                    ledger.check_deployment(&self.deployment)?;
                    done.push(format!(
                        "group {}: the ledger is there, at epoch {}",
                        group.name,
                        ledger.epoch()
                    ));
                }
                None if dry_run => done.push(format!("group {}: would create the ledger {cell}", group.name)),
                None => {
                    let ledger = Ledger::init(&self.deployment, &group.name, Token::new(&self.actor, 0));
                    match self.backend.cells.store(&cell, &Expected::Absent, &ledger.encode()).await? {
                        StoreOutcome::Applied { .. } | StoreOutcome::Lost => {}
                        StoreOutcome::Unknown { why } => {
                            return Err(Error::new(ErrorKind::Unavailable, "create the ledger", why)
                                .on(&cell)
                                .with_advice("run init again"));
                        }
                    }
                    done.push(format!("group {}: created the ledger {cell}", group.name));
                }
            }
            for resource in &group.stores {
                if let Some(store) = self.backend.stores.get(&resource.name) {
                    let changes = store.ensure_replicated(dry_run).await?;
                    done.extend(
                        changes.into_iter().map(|change| format!("store {}: {change}", resource.name)),
                    );
                }
            }
        }
        Ok(done)
    }

    /// Reads a group's ledger.
    ///
    /// # Errors
    /// The cell cannot be read, or holds no ledger that this program understands.
    pub async fn ledger(&self, group: &GroupName) -> Result<Option<Ledger>> {
        let cell = self.cells(group).ledger();
        self.backend.cells.load(&cell).await?.map(|cell| Ledger::decode(&cell.value)).transpose()
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
        ledger.check_deployment(&self.deployment)?;
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

    /// Hands an order to whoever holds the lease.
    ///
    /// # Errors
    /// The ledger cannot be read or changed.
    pub async fn order(&self, group: &GroupName, order: Order) -> Result<()> {
        let cell = self.cells(group).ledger();
        for attempt in 0..ATTEMPTS {
            let Some(found) = self.backend.cells.load(&cell).await? else {
                return Err(Error::new(ErrorKind::NotFound, "give an order", "this group has no ledger"));
            };
            let mut ledger = Ledger::decode(&found.value)?;
            ledger.check_deployment(&self.deployment)?;
            ledger.orders.push(order.clone());
            ledger.writer = Token(format!("{}#order-{}-{attempt}", self.actor, order.at.as_nanosecond()));
            let wish = Swap::new(cell.clone(), Expected::Version(found.version), ledger.encode(), writer)?;
            if let Swapped::Applied { .. } = swap(&*self.backend.cells, wish, &Patience::default()).await? {
                return Ok(());
            }
        }
        let message = format!("others changed the ledger {ATTEMPTS} times meanwhile");
        Err(Error::new(ErrorKind::Conflict, "give an order", message).with_advice("try again"))
    }

    /// Carries out a mandate to its end. `watch` is told what happens; when `stop` resolves (Ctrl-C), the execution is
    /// paused in good order.
    ///
    /// # Errors
    /// The controller cannot be started: see [`Controller::new`].
    pub async fn carry_out(
        &self,
        group: &GroupName,
        mandate: Mandate,
        mut watch: impl FnMut(&[News], &Controller),
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Ending>> {
        let mut controller = Controller::new(ControllerSettings {
            deployment: self.deployment.clone(),
            group: group.clone(),
            actor: self.actor.clone(),
            vantage: None,
            local_region: None,
            mandate,
            catalog: self.backend.catalog(),
            seed: seed_of(&self.actor),
        })?;
        let mut driver = Driver::new(self.backend.clone(), self.clock.clone());
        let mut stop = std::pin::pin!(stop);
        let mut stopping = false;
        let mut input = crate::call::Input::Wake;
        loop {
            let outputs = crate::call::Machine::step(&mut controller, self.clock.now(), input);
            driver.carry_out(outputs);
            let news = controller.take_news();
            watch(&news, &controller);
            if let Some(ending) = controller.ending() {
                return Ok(Some(ending.clone()));
            }
            input = tokio::select! {
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    if !controller.can_pause() {
                        return Ok(None);
                    }
                    let outputs = controller.pause(self.clock.now(), "interrupted at the keyboard");
                    driver.carry_out(outputs);
                    crate::call::Input::Wake
                }
                input = driver.next() => input,
            };
        }
    }

    /// The whole journal of a group, checked from its first slot to the anchor in the ledger and past it.
    ///
    /// # Errors
    /// `Corrupt` if it was changed by anything but this library: never silently cut.
    pub async fn history(&self, group: &GroupName) -> Result<Vec<HistorySlot>> {
        let cells = self.cells(group);
        let ledger = self.ledger(group).await?;
        let genesis = JournalHead::genesis(group);
        let anchor = ledger.map_or(genesis.clone(), |ledger| ledger.journal);
        let mut reader = Reader::new(genesis, anchor);
        let mut slots = Vec::new();
        loop {
            let cell = self.backend.cells.load(&cells.journal(reader.next())).await?;
            match reader.feed(cell.as_ref().map(|cell| cell.value.as_slice()))? {
                Some(slot) => slots.push(HistorySlot(slot)),
                None => return Ok(slots),
            }
        }
    }
}

/// A number that differs from process to process, for the jitter of retries.
fn seed_of(actor: &ActorId) -> u64 {
    actor
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
