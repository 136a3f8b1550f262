//! What a deployment's resources are served by: the implementations by name, and calls made to them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::call::{Call, Reply};
use crate::cell::CellStore;
use crate::check::Check;
use crate::compute::ComputeScaler;
use crate::deployment::Deployment;
use crate::error::{Error, ErrorKind, Result};
use crate::facts::Catalog;
use crate::name::ResourceName;
use crate::notify::{Hook, HookAnswer, Notifier};
use crate::problem::{Problem, Problems};
use crate::store::ReplicatedStore;
use crate::traffic::TrafficRouter;

/// The implementations behind a deployment.
#[derive(Clone)]
pub struct Backend {
    /// The witness.
    pub cells: Arc<dyn CellStore>,
    /// Each store.
    pub stores: BTreeMap<ResourceName, Arc<dyn ReplicatedStore>>,
    /// Each router.
    pub routers: BTreeMap<ResourceName, Arc<dyn TrafficRouter>>,
    /// Each scaler.
    pub scalers: BTreeMap<ResourceName, Arc<dyn ComputeScaler>>,
    /// Each check.
    pub checks: BTreeMap<ResourceName, Arc<dyn Check>>,
    /// Who may veto; asked in this order.
    pub hooks: Vec<Arc<dyn Hook>>,
    /// Who is told.
    pub notifiers: Vec<Arc<dyn Notifier>>,
}

impl fmt::Debug for Backend {
    /// Names what is served, and nothing of the implementations: those may know secrets, such as a webhook's address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("cells", &self.cells.durability().place)
            .field("stores", &self.stores.keys())
            .field("routers", &self.routers.keys())
            .field("scalers", &self.scalers.keys())
            .field("checks", &self.checks.keys())
            .field("hooks", &self.hooks.len())
            .field("notifiers", &self.notifiers.len())
            .finish()
    }
}

impl Backend {
    /// A backend that has a witness and nothing else yet.
    pub fn new(cells: Arc<dyn CellStore>) -> Self {
        Self {
            cells,
            stores: BTreeMap::new(),
            routers: BTreeMap::new(),
            scalers: BTreeMap::new(),
            checks: BTreeMap::new(),
            hooks: Vec::new(),
            notifiers: Vec::new(),
        }
    }

    /// Takes in what another backend serves, so that one deployment may lie in several clouds. Its witness is not taken.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.stores.extend(other.stores);
        self.routers.extend(other.routers);
        self.scalers.extend(other.scalers);
        self.checks.extend(other.checks);
        self.hooks.extend(other.hooks);
        self.notifiers.extend(other.notifiers);
        self
    }

    /// Sees that every resource of the deployment is served.
    ///
    /// # Errors
    /// Every resource that is not.
    pub fn check(&self, deployment: &Deployment) -> Result<(), Problems> {
        let mut problems = Vec::new();
        for group in &deployment.spec().groups {
            for (list, resource) in group.resources() {
                let name = &resource.name;
                let served = match list {
                    "stores" => self.stores.contains_key(name),
                    "routers" => self.routers.contains_key(name),
                    "scalers" => self.scalers.contains_key(name),
                    _ => self.checks.contains_key(name),
                };
                if !served {
                    let field = format!("groups.{}.{list}.{name}.kind", group.name);
                    let message = format!("nothing serves the kind `{}` here", resource.kind);
                    problems.push(
                        Problem::new(field, message)
                            .with_advice("add the backend of its cloud, or register it"),
                    );
                }
            }
        }
        Problems::check(problems)
    }

    /// What the resources can do.
    pub fn catalog(&self) -> Catalog {
        Catalog {
            stores: self.stores.iter().map(|(name, store)| (name.clone(), store.capabilities())).collect(),
            routers: self
                .routers
                .iter()
                .map(|(name, router)| (name.clone(), router.capabilities()))
                .collect(),
            scalers: self
                .scalers
                .iter()
                .map(|(name, scaler)| (name.clone(), scaler.capabilities()))
                .collect(),
        }
    }

    /// Makes a call and waits for its answer.
    pub async fn perform(&self, call: Call) -> Reply {
        match call {
            Call::Load { cell } => Reply::Load(self.cells.load(&cell).await),
            Call::Store { cell, expected, value } => {
                Reply::Store(self.cells.store(&cell, &expected, &value).await)
            }
            Call::Status { store } => Reply::Status(match find(&self.stores, &store) {
                Ok(store) => store.status().await,
                Err(error) => Err(error),
            }),
            Call::Drained { store, barrier } => Reply::Drained(match find(&self.stores, &store) {
                Ok(store) => store.drained(&barrier).await,
                Err(error) => Err(error),
            }),
            Call::Promote { store, region, promotion, epoch } => {
                Reply::Promote(match find(&self.stores, &store) {
                    Ok(store) => store.promote(&region, promotion, epoch).await,
                    Err(error) => Err(error),
                })
            }
            Call::Fence { store, region, epoch } => Reply::Fence(match find(&self.stores, &store) {
                Ok(store) => store.fence(&region, epoch).await,
                Err(error) => Err(error),
            }),
            Call::Unfence { store, region, epoch } => Reply::Unfence(match find(&self.stores, &store) {
                Ok(store) => store.unfence(&region, epoch).await,
                Err(error) => Err(error),
            }),
            Call::Reconcile { store, serving, after } => Reply::Reconcile(match find(&self.stores, &store) {
                Ok(store) => store.reconcile(&serving, after.as_ref()).await,
                Err(error) => Err(error),
            }),
            Call::Routing { router } => Reply::Routing(match find(&self.routers, &router) {
                Ok(router) => router.routing().await,
                Err(error) => Err(error),
            }),
            Call::Shift { router, shift } => Reply::Shift(match find(&self.routers, &router) {
                Ok(router) => router.shift(&shift).await,
                Err(error) => Err(error),
            }),
            Call::Converged { router, weights } => Reply::Converged(match find(&self.routers, &router) {
                Ok(router) => router.converged(&weights).await,
                Err(error) => Err(error),
            }),
            Call::Capacity { scaler, region } => Reply::Capacity(match find(&self.scalers, &scaler) {
                Ok(scaler) => scaler.capacity(&region).await,
                Err(error) => Err(error),
            }),
            Call::Scale { scaler, region, target, epoch } => {
                Reply::Scale(match find(&self.scalers, &scaler) {
                    Ok(scaler) => scaler.scale(&region, target, epoch).await,
                    Err(error) => Err(error),
                })
            }
            Call::Assess { check, region } => Reply::Assess(match find(&self.checks, &check) {
                Ok(check) => check.assess(&region).await,
                Err(error) => Err(error),
            }),
            Call::Ask { question } => Reply::Ask(self.ask(&question).await),
            Call::Notify { notice } => {
                for notifier in &self.notifiers {
                    if let Err(error) = notifier.notify(&notice).await {
                        tracing::warn!(%error, text = notice.text, "a notice was not delivered");
                    }
                }
                Reply::Notify(Ok(()))
            }
        }
    }

    async fn ask(&self, question: &crate::notify::HookQuestion) -> Result<HookAnswer> {
        for hook in &self.hooks {
            if let veto @ HookAnswer::Veto { .. } = hook.before(question).await? {
                return Ok(veto);
            }
        }
        Ok(HookAnswer::Allow)
    }
}

fn find<'a, T: ?Sized>(
    served: &'a BTreeMap<ResourceName, Arc<T>>,
    name: &ResourceName,
) -> Result<&'a Arc<T>> {
    served.get(name).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "find what serves a resource", "nothing serves it here")
            .on(name)
            .with_advice("register its backend before you start")
    })
}

/// The reply to a call that was not answered in time.
pub(crate) fn unanswered(call: &Call, error: Error) -> Reply {
    match call {
        Call::Load { .. } => Reply::Load(Err(error)),
        Call::Store { .. } => Reply::Store(Err(error)),
        Call::Status { .. } => Reply::Status(Err(error)),
        Call::Drained { .. } => Reply::Drained(Err(error)),
        Call::Promote { .. } => Reply::Promote(Err(error)),
        Call::Fence { .. } => Reply::Fence(Err(error)),
        Call::Unfence { .. } => Reply::Unfence(Err(error)),
        Call::Reconcile { .. } => Reply::Reconcile(Err(error)),
        Call::Routing { .. } => Reply::Routing(Err(error)),
        Call::Shift { .. } => Reply::Shift(Err(error)),
        Call::Converged { .. } => Reply::Converged(Err(error)),
        Call::Capacity { .. } => Reply::Capacity(Err(error)),
        Call::Scale { .. } => Reply::Scale(Err(error)),
        Call::Assess { .. } => Reply::Assess(Err(error)),
        Call::Ask { .. } => Reply::Ask(Err(error)),
        Call::Notify { .. } => Reply::Notify(Err(error)),
    }
}
