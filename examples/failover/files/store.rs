//! A replicated data set in files.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use mantissa_mr_core::deployment::{Deployment, ResourceSpec, Strategy};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{Region, ResourceName};
use mantissa_mr_core::store::{
    Barrier, Cursor, Drained, Fence, Item, Key, LateWrites, LossBound, Precondition, Promotion, PutItem,
    Reconciled, ReplicatedStore, Replication, StoreCapabilities, StoreStatus, Version,
};

use super::settings::Known;
use super::{World, alone};

mod replicas;

use replicas::{Replicas, description, item};

/// A data set with a replica in every region.
///
/// Active-passive, one region takes writes and `promote` makes it another; what an older epoch wrote never overwrites
/// what a newer one did. Active-active, every region takes writes and the last one wins.
#[derive(Debug)]
pub(super) struct FileStore {
    world: Arc<World>,
    terms: Arc<Terms>,
}

#[derive(Debug)]
struct Terms {
    name: ResourceName,
    regions: Vec<Region>,
    preferred: Region,
    strategy: Strategy,
    lag: Duration,
    promotion: Duration,
}

impl FileStore {
    pub(super) fn new(
        world: Arc<World>,
        deployment: &Deployment,
        resource: &ResourceSpec,
        known: &mut Known<'_>,
    ) -> Self {
        let terms = Terms {
            name: resource.name.clone(),
            regions: deployment.regions().cloned().collect(),
            preferred: deployment.spec().preferred.clone(),
            strategy: deployment.spec().strategy,
            lag: known.duration("lag", Duration::from_secs(1)),
            promotion: known.duration("promotion", Duration::from_millis(500)),
        };
        Self { world, terms: Arc::new(terms) }
    }

    pub(super) fn name(&self) -> &ResourceName {
        &self.terms.name
    }

    /// Does something to the replicas, alone, after everything that was due has been replicated.
    async fn with<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Replicas<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let terms = self.terms.clone();
        let done = alone(&self.world, operation, move |world| {
            let mut replicas = Replicas::load(world, &terms, operation)?;
            let done = work(&mut replicas)?;
            replicas.settle()?;
            Ok(done)
        });
        done.await.map_err(|error| if error.resource().is_some() { error } else { error.on(self.name()) })
    }
}

#[async_trait]
impl ReplicatedStore for FileStore {
    fn capabilities(&self) -> StoreCapabilities {
        let passive = self.terms.strategy == Strategy::ActivePassive;
        StoreCapabilities {
            replication: Replication::Ordered,
            late_writes: if passive { LateWrites::Refused } else { LateWrites::Unseen },
            needs_promotion: passive,
            can_fence: true,
            loss: LossBound::Enforceable,
            expected_promotion: self.terms.promotion,
        }
    }

    async fn get(&self, region: &Region, key: &Key) -> Result<Option<Item>> {
        let (region, key) = (region.clone(), key.clone());
        self.with("get", move |replicas| Ok(replicas.replica(&region)?.item(&key)?.and_then(item))).await
    }

    async fn put(&self, region: &Region, new: PutItem, condition: Precondition) -> Result<Version> {
        let region = region.clone();
        let PutItem { key, value, epoch } = new;
        self.with("put", move |replicas| replicas.write(&region, key, Some(value), epoch, &condition)).await
    }

    async fn delete(
        &self,
        region: &Region,
        key: &Key,
        epoch: Option<Epoch>,
        condition: Precondition,
    ) -> Result<()> {
        let (region, key) = (region.clone(), key.clone());
        self.with("delete", move |replicas| {
            let there = replicas.replica(&region)?.item(&key)?.and_then(item).is_some();
            if !there && condition == Precondition::None {
                return Ok(());
            }
            replicas.write(&region, key, None, epoch, &condition).map(|_| ())
        })
        .await
    }

    fn list<'a>(&'a self, region: &Region, prefix: &str) -> BoxStream<'a, Result<Item>> {
        let (region, prefix) = (region.clone(), prefix.to_owned());
        let all = self.with("list", move |replicas| {
            let items = replicas.replica(&region)?.items()?.into_iter().filter_map(item);
            Ok(items.filter(|item| item.key.first().starts_with(&prefix)).collect::<Vec<_>>())
        });
        stream::once(all).map_ok(|items| stream::iter(items.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn status(&self) -> Result<StoreStatus> {
        self.with("status", |replicas| {
            let regions = &replicas.terms.regions;
            let replicas =
                regions.iter().map(|region| (region.clone(), replicas.status_of(region))).collect();
            Ok(StoreStatus { replicas })
        })
        .await
    }

    async fn ensure_replicated(&self, dry_run: bool) -> Result<Vec<String>> {
        if dry_run && !self.world.root.is_dir() {
            let passive = self.terms.strategy == Strategy::ActivePassive;
            let writes = |region: &Region| !passive || *region == self.terms.preferred;
            return Ok(self.terms.regions.iter().map(|region| description(region, writes(region))).collect());
        }
        self.with("ensure replication", move |replicas| replicas.ensure(dry_run)).await
    }

    async fn drained(&self, barrier: &Barrier) -> Result<Drained> {
        let (from, to) = (barrier.from.clone(), barrier.to.clone());
        self.with("drain", move |replicas| replicas.drained(&from, &to)).await
    }

    async fn promote(&self, region: &Region, promotion: Promotion, epoch: Epoch) -> Result<()> {
        if self.terms.strategy == Strategy::ActiveActive {
            return Ok(());
        }
        tokio::time::sleep(self.terms.promotion).await;
        let region = region.clone();
        self.with("promote", move |replicas| replicas.promote(&region, promotion, epoch)).await
    }

    async fn fence(&self, region: &Region, epoch: Epoch) -> Result<Fence> {
        let region = region.clone();
        self.with("fence", move |replicas| {
            let state = &mut replicas.replica(&region)?.state;
            match state.writer.filter(|writer| writer.epoch > epoch) {
                Some(writer) => {
                    let message = format!("it was promoted under epoch {}", writer.epoch);
                    replicas.refuse(ErrorKind::Superseded, &region, message)
                }
                None => {
                    state.fence = state.fence.max(Some(epoch));
                    Ok(Fence::Confirmed)
                }
            }
        })
        .await
    }

    async fn unfence(&self, region: &Region, epoch: Epoch) -> Result<()> {
        let region = region.clone();
        self.with("unfence", move |replicas| {
            let state = &mut replicas.replica(&region)?.state;
            match state.fence.filter(|fence| *fence > epoch) {
                Some(fence) => {
                    replicas.refuse(ErrorKind::Superseded, &region, format!("it is fenced by epoch {fence}"))
                }
                None => {
                    state.fence = None;
                    Ok(())
                }
            }
        })
        .await
    }

    async fn reconcile(&self, serving: &Region, _after: Option<&Cursor>) -> Result<Reconciled> {
        let message = match self.terms.strategy {
            Strategy::ActivePassive => "it refuses the writes of older epochs: there is nothing to reconcile",
            Strategy::ActiveActive => "where every region writes, no write is of an older epoch",
        };
        Err(Error::new(ErrorKind::Unsupported, "reconcile", message).on(self.name()).in_region(serving))
    }
}
