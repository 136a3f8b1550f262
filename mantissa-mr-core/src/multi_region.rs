//! Embedding: a service starts [`MultiRegion`], asks its gate before it writes, and shuts it down at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::check::Check;
use crate::clock::{Clock, SystemClock};
use crate::controller::{Controller, ControllerSettings, Happening, Mandate, News};
use crate::deployment::Deployment;
use crate::drive::Driver;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::{GateMachine, GateRunner, RenewPolicy, WriteGate};
use crate::ledger::{GroupCells, Ledger};
use crate::name::{ActorId, GroupName, Region, ResourceName, VantageName};
use crate::notify::{Hook, Notifier};
use crate::problem::{Problem, Problems};

/// A running library: one gate and, where it watches, one controller for each group.
///
/// Dropping it stops everything at once: gates shut, and the lease runs out by itself. [`shutdown`](Self::shutdown)
/// does the same in good order.
#[derive(Debug)]
pub struct MultiRegion {
    deployment: Arc<Deployment>,
    gates: BTreeMap<GroupName, WriteGate>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// What is needed to start; see [`MultiRegion::builder`].
pub struct Builder {
    deployment: Deployment,
    backend: Option<Backend>,
    region: Option<Region>,
    vantage: Option<VantageName>,
    actor: Option<ActorId>,
    clock: Arc<dyn Clock>,
    checks: BTreeMap<ResourceName, Arc<dyn Check>>,
    hooks: Vec<Arc<dyn Hook>>,
    notifiers: Vec<Arc<dyn Notifier>>,
}

/// Why it did not start. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong, or something in it is served by nothing.
    #[error("{0}")]
    Input(#[from] Problems),
    /// The ledger cannot be read, is not there, or is another deployment's.
    #[error("{0}")]
    Ledger(#[from] Error),
}

impl fmt::Debug for Builder {
    /// As [`Backend`]: nothing of the implementations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("deployment", &self.deployment.spec().name)
            .field("backend", &self.backend)
            .field("region", &self.region)
            .field("vantage", &self.vantage)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

impl MultiRegion {
    /// Begins to put together what a service needs.
    pub fn builder(deployment: Deployment) -> Builder {
        Builder {
            deployment,
            backend: None,
            region: None,
            vantage: None,
            actor: None,
            clock: Arc::new(SystemClock),
            checks: BTreeMap::new(),
            hooks: Vec::new(),
            notifiers: Vec::new(),
        }
    }

    /// The gate of the deployment's only group; of the first one, if there are several.
    ///
    /// `None` without a local region: who serves nowhere has no gate.
    pub fn gate(&self) -> Option<&WriteGate> {
        let first = self.deployment.spec().groups.first()?;
        self.gates.get(&first.name)
    }

    /// The gate of a group.
    pub fn gate_of(&self, group: &GroupName) -> Option<&WriteGate> {
        self.gates.get(group)
    }

    /// The deployment.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Stops: gates shut, controllers end. What is still running after `patience` is dropped.
    pub async fn shutdown(mut self, patience: Duration) {
        // Nobody listening means that everything has ended already.
        let _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!(?patience, "some tasks did not end in time and were dropped");
        }
    }
}

impl Builder {
    /// What serves the deployment's resources. Given twice, both serve: the witness is the first one's.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(match self.backend {
            Some(first) => first.and(backend),
            None => backend,
        });
        self
    }

    /// The region that this service runs in; its gates are that region's. Without one there is no gate.
    #[must_use]
    pub fn local_region(mut self, region: Region) -> Self {
        self.region = Some(region);
        self
    }

    /// The vantage that this process watches from: with it, a controller runs for each group.
    #[must_use]
    pub fn vantage(mut self, vantage: VantageName) -> Self {
        self.vantage = Some(vantage);
        self
    }

    /// This process's name; it must be unique to it. Without one a name is made of the host's clock and the process id.
    #[must_use]
    pub fn actor(mut self, actor: ActorId) -> Self {
        self.actor = Some(actor);
        self
    }

    /// A check of the service's own, serving the deployment's check of that name.
    #[must_use]
    pub fn check(mut self, name: ResourceName, check: Arc<dyn Check>) -> Self {
        self.checks.insert(name, check);
        self
    }

    /// Somebody who may veto a move.
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Somebody to tell.
    #[must_use]
    pub fn notifier(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// Another clock than the system's; see [`Clock`] for what it must do.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks everything, reads the ledgers, and starts the gates and controllers as tasks of the current runtime.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start(self) -> Result<MultiRegion, StartError> {
        let Some(mut backend) = self.backend else {
            let problem =
                Problem::new("backend", "nothing serves this deployment").with_advice("call `backend`");
            return Err(Problems::from(problem).into());
        };
        backend.checks.extend(self.checks);
        backend.hooks.extend(self.hooks);
        backend.notifiers.extend(self.notifiers);
        backend.check(&self.deployment)?;
        if let Some(region) = self.region.as_ref().filter(|region| !self.deployment.has_region(region)) {
            let message = format!("{region} is not a region of this deployment");
            return Err(Problems::from(Problem::new("local_region", message)).into());
        }
        let actor = match self.actor {
            Some(actor) => actor,
            None => unique_actor(self.clock.as_ref())?,
        };
        let deployment = Arc::new(self.deployment);
        let mut starting = Starting { deployment, backend, clock: self.clock, actor, vantage: self.vantage };
        let controllers = starting.controllers(self.region.as_ref()).await?;
        Ok(starting.run(self.region, controllers))
    }
}

/// A name that no other process has: when it started, to the nanosecond, and which process it is.
fn unique_actor(clock: &dyn Clock) -> Result<ActorId, Error> {
    let text = format!("service-{}-{}", clock.wall().as_nanosecond(), std::process::id());
    ActorId::new(&text)
        .map_err(|error| Error::new(ErrorKind::InvalidInput, "name this process", error.to_string()))
}

struct Starting {
    deployment: Arc<Deployment>,
    backend: Backend,
    clock: Arc<dyn Clock>,
    actor: ActorId,
    vantage: Option<VantageName>,
}

impl Starting {
    /// A controller for each group, if this process watches; every ledger is read first, so that a wrong one is found
    /// before anything runs.
    async fn controllers(&mut self, region: Option<&Region>) -> Result<Vec<Controller>, Error> {
        let mut controllers = Vec::new();
        let spec = self.deployment.spec();
        for group in &spec.groups {
            let cell = GroupCells::new(&spec.name, &group.name).ledger();
            let found = self.backend.cells.load(&cell).await?.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "read the ledger", "this group has no ledger")
                    .on(&cell)
                    .with_advice("run `init` once for this deployment")
            })?;
            Ledger::decode(&found.value)?.check(&self.deployment, &group.name)?;
            if self.vantage.is_some() {
                controllers.push(Controller::new(ControllerSettings {
                    deployment: self.deployment.clone(),
                    group: group.name.clone(),
                    actor: self.actor.clone(),
                    vantage: self.vantage.clone(),
                    local_region: region.cloned(),
                    mandate: Mandate::Watch,
                    catalog: self.backend.catalog(),
                    seed: self.clock.moment().as_nanos(),
                })?);
            }
        }
        Ok(controllers)
    }

    fn run(self, region: Option<Region>, controllers: Vec<Controller>) -> MultiRegion {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut gates = BTreeMap::new();
        let spec = self.deployment.spec();
        for group in spec.groups.iter().map(|group| &group.name) {
            let Some(region) = &region else { break };
            let cells = GroupCells::new(&spec.name, group);
            let machine = GateMachine::new(cells, region.clone(), RenewPolicy::default());
            let machine = machine.for_deployment(self.deployment.hash());
            let (runner, gate) = GateRunner::new(machine, self.backend.cells.clone(), self.clock.clone());
            tasks.spawn(runner.run(until(stopped.clone())));
            gates.insert(group.clone(), gate);
        }
        for controller in controllers {
            let driver = Driver::new(self.backend.clone(), self.clock.clone());
            tasks.spawn(watch_over(controller, driver, until(stopped.clone())));
        }
        MultiRegion { deployment: self.deployment, gates, stop, tasks }
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the owner is gone, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Drives a controller until the stop, and logs what it has to say.
async fn watch_over(mut controller: Controller, mut driver: Driver, stop: impl Future<Output = ()>) {
    let run = driver.run(&mut controller, |controller| {
        for news in controller.take_news() {
            log(&news);
        }
        false
    });
    tokio::select! {
        biased;
        () = stop => {}
        () = run => {}
    }
}

/// Says in the log what happened.
pub fn log(news: &News) {
    match &news.what {
        Happening::State { from, to, why } => tracing::info!(%from, %to, why, "state"),
        Happening::Verdict(region, verdict) => tracing::info!(%region, %verdict, "verdict"),
        Happening::TookLease(term) => tracing::info!(%term, "took the lease"),
        Happening::LostLease(why) => tracing::info!(why, "lost the lease"),
        Happening::Planned(plan) => {
            tracing::info!(kind = %plan.kind, to = %plan.to, why = plan.why, "planned")
        }
        Happening::Refused(guards) => tracing::warn!(?guards, "refused"),
        Happening::Step(step, how) => tracing::info!(%step, how, "step"),
        Happening::Ended(outcome, report) => tracing::info!(%outcome, report = report.summary(), "ended"),
        Happening::Trouble(text) => tracing::warn!(text, "trouble"),
    }
}
