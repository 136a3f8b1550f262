//! The simulated world behind the library's async traits, on tokio's clock: start the runtime with its clock paused and
//! hours pass in milliseconds. Conformance suites and the async driver run against it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::clock::TrueTime;
use super::fault::Fault;
use super::network::Letter;
use super::place::{At, Place};
use super::world::{DataSet, Journey, World};
use crate::backend::Backend;
use crate::call::{Call, Reply};
use crate::cell::{Cell, CellDurability, CellName, CellStore, Expected, StoreOutcome};
use crate::check::{Assessment, Check, Fitness};
use crate::compute::{Capacity, ComputeScaler, ScalerCapabilities, Target};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::ledger::Epoch;
use crate::name::{Region, ResourceName};
use crate::notify::{Hook, HookAnswer, HookQuestion, Notice, Notifier};
use crate::store::{
    Barrier, Cursor, Drained, Fence, Item, Key, Precondition, Promotion, PutItem, Reconciled,
    ReplicatedStore, StoreCapabilities, StoreStatus, Version,
};
use crate::traffic::{Convergence, RouterCapabilities, Routing, Shift, TrafficRouter, Weights};

/// Nobody waits longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A world that several users share, as seen from one place.
#[derive(Clone)]
pub struct SharedWorld {
    world: Arc<Mutex<World>>,
    begin: Instant,
    from: Place,
}

impl fmt::Debug for SharedWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWorld").field("from", &self.from).finish_non_exhaustive()
    }
}

impl SharedWorld {
    /// A world whose time begins now, seen from where people are. To be called within a tokio runtime.
    pub fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), begin: Instant::now(), from: Place::Operator }
    }

    /// The same world, seen from another place.
    #[must_use]
    pub fn seen_from(&self, place: Place) -> Self {
        Self { from: place, ..self.clone() }
    }

    /// The true time.
    pub fn now(&self) -> TrueTime {
        TrueTime::START + self.begin.elapsed()
    }

    /// Changes the world now.
    pub fn change(&self, fault: &Fault) {
        let now = self.now();
        self.lock().change(now, fault);
    }

    /// Looks at the world.
    pub fn with<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        // No user panics while it holds the world; if one did, the world is as good as before.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn here(&self, world: &World) -> At {
        world.places.find(&self.from).unwrap_or(world.places.operator())
    }

    /// Everything that the deployment's resources need.
    pub fn backend(&self) -> Backend {
        let (catalog, checks) = self.with(|world| (world.catalog(), world.check_names().to_vec()));
        let resource = |name: &ResourceName| SimResource { world: self.clone(), name: name.clone() };
        let mut backend = Backend::new(Arc::new(SimCells(self.clone())));
        for name in catalog.stores.keys() {
            backend.stores.insert(name.clone(), Arc::new(SimStore(resource(name))));
        }
        for name in catalog.routers.keys() {
            backend.routers.insert(name.clone(), Arc::new(SimRouter(resource(name))));
        }
        for name in catalog.scalers.keys() {
            backend.scalers.insert(name.clone(), Arc::new(SimScaler(resource(name))));
        }
        for name in &checks {
            backend.checks.insert(name.clone(), Arc::new(SimCheck(resource(name))));
        }
        backend.hooks.push(Arc::new(SimHook(self.clone())));
        backend.notifiers.push(Arc::new(SimNotifier(self.clone())));
        backend
    }

    /// Makes a call from this place; none if no answer came.
    async fn call(&self, call: &Call) -> Option<Reply> {
        let journey = self.lock().journey(call);
        let work = |world: &mut World, from| world.work(from, &journey, call);
        let place = match &journey {
            Journey::To(place) => Some(*place),
            _ => None,
        };
        self.travel(place, work, |world, at, from| world.answer(at, from, call, 0)).await
    }

    /// Goes to a place, has something done there, and comes back; none if that takes too long or a message is lost.
    async fn travel<T>(
        &self,
        place: Option<At>,
        work: impl FnOnce(&mut World, At) -> Duration,
        act: impl FnOnce(&mut World, TrueTime, At) -> T,
    ) -> Option<T> {
        let gives_up = Instant::now() + PATIENCE;
        let journey = async {
            let from = self.here(&self.lock());
            let place = place.unwrap_or(from);
            let there = self.lock().network.hop(from, place, Letter::Request)?;
            sleep(there).await;
            let work = {
                let mut world = self.lock();
                if world.is_silent(place) {
                    return None;
                }
                work(&mut world, from)
            };
            sleep(work).await;
            let (answer, back) = {
                let mut world = self.lock();
                if world.is_silent(place) {
                    return None;
                }
                let answer = act(&mut world, self.now(), from);
                (answer, world.network.hop(place, from, Letter::Answer)?)
            };
            sleep(back).await;
            Some(answer)
        };
        tokio::select! {
            biased;
            () = sleep_until(gives_up) => None,
            answer = journey => match answer {
                Some(answer) => Some(answer),
                None => {
                    sleep_until(gives_up).await;
                    None
                }
            },
        }
    }
}

fn silence(operation: &str) -> Error {
    Error::new(ErrorKind::Timeout, operation, format!("no answer within {PATIENCE:?}"))
}

fn misfit(operation: &str) -> Error {
    Error::new(ErrorKind::Unexpected, operation, "the answer fits no question")
}

/// Makes a call and takes the answer of its kind.
macro_rules! ask {
    ($world:expr, $kind:ident, $operation:literal, $call:expr) => {
        match $world.call(&$call).await {
            Some(Reply::$kind(answer)) => answer,
            Some(_) => Err(misfit($operation)),
            None => Err(silence($operation)),
        }
    };
}

/// A resource of a world.
#[derive(Clone, Debug)]
struct SimResource {
    world: SharedWorld,
    name: ResourceName,
}

/// The cells of a simulated witness.
#[derive(Clone, Debug)]
pub struct SimCells(pub SharedWorld);

#[async_trait]
impl CellStore for SimCells {
    fn durability(&self) -> CellDurability {
        CellDurability { place: "simulated witness".into(), survives_region_loss: Some(true) }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        ask!(self.0, Load, "load", Call::Load { cell: name.clone() })
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        let call = Call::Store { cell: name.clone(), expected: expected.clone(), value: value.to_vec() };
        let answer = ask!(self.0, Store, "store", call);
        match answer {
            Err(error) if error.effect() == Effect::Unknown => {
                Ok(StoreOutcome::Unknown { why: error.to_string() })
            }
            answer => answer,
        }
    }
}

/// A simulated store.
#[derive(Clone, Debug)]
pub struct SimStore(SimResource);

impl SimStore {
    /// The store of this name.
    pub fn new(world: SharedWorld, name: ResourceName) -> Self {
        Self(SimResource { world, name })
    }

    /// Reads or writes data in a region.
    async fn data<T>(
        &self,
        operation: &'static str,
        region: &Region,
        act: impl FnOnce(&mut DataSet, TrueTime, usize) -> Result<T> + Send,
    ) -> Result<T> {
        let name = &self.0.name;
        let number = self.0.world.with(|world| world.places.region(region));
        let error = |kind, message: &str| Error::new(kind, operation, message).on(name).in_region(region);
        let Some(number) = number else {
            return Err(error(ErrorKind::NotFound, "the store is not in this region"));
        };
        let act = |world: &mut World, at: TrueTime, _| {
            if !world.region_works(number) {
                let error = error(ErrorKind::Unavailable, "the region fails every request");
                return Err(error.with_effect(Effect::None));
            }
            match world.data_mut(name) {
                Some(data) => act(data, at, number),
                None => Err(error(ErrorKind::NotFound, "the simulated world has no such store")),
            }
        };
        let work = |world: &mut World, _| world.data_work(At(number));
        let answer = self.0.world.travel(Some(At(number)), work, act).await;
        answer.unwrap_or_else(|| Err(silence(operation).on(name).in_region(region)))
    }
}

#[async_trait]
impl ReplicatedStore for SimStore {
    fn capabilities(&self) -> StoreCapabilities {
        let known = self.0.world.with(|world| world.data(&self.0.name).map(DataSet::capabilities));
        // A store that the world does not have can do nothing; every call to it says so.
        known.unwrap_or(StoreCapabilities {
            replication: crate::store::Replication::ItemByItem,
            late_writes: crate::store::LateWrites::Unseen,
            needs_promotion: false,
            can_fence: false,
            loss: crate::store::LossBound::Estimated,
            expected_promotion: Duration::ZERO,
        })
    }

    async fn get(&self, region: &Region, key: &Key) -> Result<Option<Item>> {
        self.data("get", region, |data, at, number| data.get(at, number, key)).await
    }

    async fn put(&self, region: &Region, item: PutItem, condition: Precondition) -> Result<Version> {
        self.data("put", region, |data, at, number| data.put(at, number, item, &condition)).await
    }

    async fn delete(
        &self,
        region: &Region,
        key: &Key,
        epoch: Option<Epoch>,
        condition: Precondition,
    ) -> Result<()> {
        self.data("delete", region, |data, at, number| data.delete(at, number, key, epoch, &condition)).await
    }

    fn list<'a>(&'a self, region: &Region, prefix: &str) -> BoxStream<'a, Result<Item>> {
        let (region, prefix) = (region.clone(), prefix.to_owned());
        let page = async move {
            self.data("list", &region, |data, at, number| data.list(at, number, &prefix)).await
        };
        let items = |page: Result<Vec<Item>>| match page {
            Ok(items) => items.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::once(page).map(move |page| stream::iter(items(page))).flatten().boxed()
    }

    async fn status(&self) -> Result<StoreStatus> {
        ask!(self.0.world, Status, "status", Call::Status { store: self.0.name.clone() })
    }

    async fn ensure_replicated(&self, dry_run: bool) -> Result<Vec<String>> {
        let name = &self.0.name;
        let act = |world: &mut World, at, from| {
            let reaches = world.reaches(from);
            match world.data_mut(name) {
                Some(data) => data.ensure_replicated(at, dry_run, &reaches),
                None => {
                    let message = "the simulated world has no such store";
                    Err(Error::new(ErrorKind::NotFound, "ensure_replicated", message).on(name))
                }
            }
        };
        let work = |world: &mut World, from| world.data_work(from);
        let answer = self.0.world.travel(None, work, act).await;
        answer.unwrap_or_else(|| Err(silence("ensure_replicated").on(name)))
    }

    async fn drained(&self, barrier: &Barrier) -> Result<Drained> {
        let call = Call::Drained { store: self.0.name.clone(), barrier: barrier.clone() };
        ask!(self.0.world, Drained, "drained", call)
    }

    async fn promote(&self, region: &Region, promotion: Promotion, epoch: Epoch) -> Result<()> {
        let call = Call::Promote { store: self.0.name.clone(), region: region.clone(), promotion, epoch };
        ask!(self.0.world, Promote, "promote", call)
    }

    async fn fence(&self, region: &Region, epoch: Epoch) -> Result<Fence> {
        let call = Call::Fence { store: self.0.name.clone(), region: region.clone(), epoch };
        ask!(self.0.world, Fence, "fence", call)
    }

    async fn unfence(&self, region: &Region, epoch: Epoch) -> Result<()> {
        let call = Call::Unfence { store: self.0.name.clone(), region: region.clone(), epoch };
        ask!(self.0.world, Unfence, "unfence", call)
    }

    async fn reconcile(&self, serving: &Region, after: Option<&Cursor>) -> Result<Reconciled> {
        let (store, serving, after) = (self.0.name.clone(), serving.clone(), after.cloned());
        ask!(self.0.world, Reconcile, "reconcile", Call::Reconcile { store, serving, after })
    }
}

/// A simulated router.
#[derive(Clone, Debug)]
pub struct SimRouter(SimResource);

impl SimRouter {
    /// The router of this name.
    pub fn new(world: SharedWorld, name: ResourceName) -> Self {
        Self(SimResource { world, name })
    }
}

#[async_trait]
impl TrafficRouter for SimRouter {
    fn capabilities(&self) -> RouterCapabilities {
        let known = self.0.world.with(|world| world.router(&self.0.name).map(|router| router.capabilities()));
        known.unwrap_or(RouterCapabilities {
            planned_needs: Default::default(),
            unplanned_needs: None,
            splits_traffic: false,
            expected_convergence: Duration::ZERO,
        })
    }

    async fn routing(&self) -> Result<Routing> {
        ask!(self.0.world, Routing, "routing", Call::Routing { router: self.0.name.clone() })
    }

    async fn shift(&self, shift: &Shift) -> Result<()> {
        let call = Call::Shift { router: self.0.name.clone(), shift: shift.clone() };
        ask!(self.0.world, Shift, "shift", call)
    }

    async fn converged(&self, weights: &Weights) -> Result<Convergence> {
        let call = Call::Converged { router: self.0.name.clone(), weights: weights.clone() };
        ask!(self.0.world, Converged, "converged", call)
    }
}

/// A simulated scaler.
#[derive(Clone, Debug)]
pub struct SimScaler(SimResource);

impl SimScaler {
    /// The scaler of this name.
    pub fn new(world: SharedWorld, name: ResourceName) -> Self {
        Self(SimResource { world, name })
    }
}

#[async_trait]
impl ComputeScaler for SimScaler {
    fn capabilities(&self) -> ScalerCapabilities {
        let start = self.0.world.with(|world| world.scaler(&self.0.name).map(|scaler| scaler.start.most));
        ScalerCapabilities { expected_start: start.unwrap_or_default() }
    }

    async fn capacity(&self, region: &Region) -> Result<Capacity> {
        let call = Call::Capacity { scaler: self.0.name.clone(), region: region.clone() };
        ask!(self.0.world, Capacity, "capacity", call)
    }

    async fn scale(&self, region: &Region, target: Target, epoch: Epoch) -> Result<()> {
        let call = Call::Scale { scaler: self.0.name.clone(), region: region.clone(), target, epoch };
        ask!(self.0.world, Scale, "scale", call)
    }
}

/// A simulated check.
#[derive(Clone, Debug)]
pub struct SimCheck(SimResource);

impl SimCheck {
    /// The check of this name.
    pub fn new(world: SharedWorld, name: ResourceName) -> Self {
        Self(SimResource { world, name })
    }
}

#[async_trait]
impl Check for SimCheck {
    async fn assess(&self, region: &Region) -> Result<Assessment> {
        let call = Call::Assess { check: self.0.name.clone(), region: region.clone() };
        let answer = ask!(self.0.world, Assess, "assess", call);
        match answer {
            // The question was put; it is the service that does not answer.
            Err(error) if error.kind() == ErrorKind::Timeout => {
                Ok(Assessment::new(Fitness::Unfit, error.message().to_owned()))
            }
            answer => answer,
        }
    }
}

/// Answers as the world's vetoes say.
#[derive(Clone, Debug)]
pub struct SimHook(pub SharedWorld);

#[async_trait]
impl Hook for SimHook {
    async fn before(&self, question: &HookQuestion) -> Result<HookAnswer> {
        ask!(self.0, Ask, "before", Call::Ask { question: question.clone() })
    }
}

/// Keeps what it is told in the world.
#[derive(Clone, Debug)]
pub struct SimNotifier(pub SharedWorld);

#[async_trait]
impl Notifier for SimNotifier {
    async fn notify(&self, notice: &Notice) -> Result<()> {
        ask!(self.0, Notify, "notify", Call::Notify { notice: notice.clone() })
    }
}

/// Proves at compile time that what is made here can be shared.
const _: fn() = || {
    fn shared<T: Send + Sync + 'static>() {}
    fn future<T: Future + Send>(_: T) {}
    shared::<SharedWorld>();
    let _ = |world: SharedWorld, call: Call| future(async move { world.call(&call).await });
};
