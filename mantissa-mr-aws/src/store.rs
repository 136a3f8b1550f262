//! DynamoDB Global Tables (version 2019.11.21) as a store.
//!
//! It works on the tables that a deployment has, with any primary key:
//! - A [`Key`] has one part for a table with a partition key alone, two with a sort key. Text and number keys are
//!   themselves, binary ones are base64.
//! - An item's value is the whole item without its key, in DynamoDB JSON: `{"state":{"S":"open"},"tries":{"N":"3"}}`.
//!   Nothing is lost on the way: what was read can be written back.
//! - Beside the value an item that this store wrote has `mantissa_epoch` (the epoch of the permit) and
//!   `mantissa_version` (random, to tell this store's writes apart). Items written by others have neither.
//! - A [`Version`] is the SHA-256 of the whole item. A write with one first reads the item, then has the service compare
//!   every attribute. Between the two, another writer that does not use this store could *add* an attribute unseen;
//!   every other change is seen. Items of more than [`ATTRIBUTES_MAX`] attributes cannot be written with a version.
//!
//! What the service gives, and this store therefore says in its capabilities: items replicate one by one, the last
//! writer wins by the service's own time, every region takes writes always, and nothing can be promoted, or refused for
//! its epoch; but what a write of an older epoch overwrote is found and put back (below). Conditions are evaluated in the
//! region that they are sent to, and by no other
//! ([AWS: how global tables work](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html)).
//! So nothing here is a lock between regions.
//!
//! # Late writes
//! Each region's stream tells for 24 hours what every item was before and after each change, replicated ones too. A
//! change from an item of a newer epoch to one of an older is a late write, and [`reconcile`](ReplicatedStore::reconcile)
//! puts back what it took the place of.
//! - **Services that write by themselves take part by one attribute**: [`EPOCH`] (`mantissa_epoch`), a number, the epoch
//!   of the permit that they write under. It belongs to the items that they put, and to their updates
//!   (`SET mantissa_epoch = :epoch`). Items without it are never found, and never put back.
//! - An item is put back only where it is as a late write left it, under a condition on all of its attributes. What
//!   changed since, or has more than [`ATTRIBUTES_MAX`] attributes, is reported as `Rewritten` and left to people.
//! - A delete carries no epoch: nothing is known of a late one, nor of a late write that brings back what was deleted.
//! - A look reads as many pages as fit into a fourth of a call's deadline, and goes on there the next time. A region of
//!   which the stream has forgotten something unread is among the `unread`, once; it is read on from what is left.
//! - A shard bears two readers at a time; this is one of them.
//! - In every region it needs the permissions `dynamodb:DescribeTable`, `GetItem` and `PutItem` on the table, and
//!   `dynamodb:DescribeStream`, `GetShardIterator` and `GetRecords` on `table/NAME/stream/*`.
//!
//! A table that replicates asynchronously has its streams from the service. Where one is missing (a table that is not
//! replicated yet, or strongly consistent) `reconcile` is refused, and `ensure_replicated` enables it.
//!
//! # Settings
//! `table` (its name); `late-writes` (`"undone"` unless said; `"unseen"` leaves the streams alone); `compare-limit`
//! (items, 100 000 unless said: above it a drain cannot be proven); `canary` (whether [`status`](ReplicatedStore::status)
//! measures the lag with an item of its own, named `mantissa-canary.<region>`; without it the lag is unknown).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{
    Barrier, Cursor, Drained, Fence, Item, Key, LateWrites, LossBound, Precondition, Promotion, PutItem,
    Reconciled, ReplicatedStore, Replication, StoreCapabilities, StoreStatus, Version,
};
use tokio::sync::{Mutex, OnceCell};

use crate::clients::{Clients, RegionClients};
use crate::error::ApiCall;
use crate::table::{self, KeySchema};
use condition::{Condition, conflict, failed_condition};
use item::{Attributes, TOKEN};

mod canary;
mod compare;
mod condition;
mod item;
mod late;
mod replicas;
mod scan;
mod setup;

pub(crate) use canary::{Sighting, worst};
pub use condition::ATTRIBUTES_MAX;
pub use item::EPOCH;

/// A DynamoDB Global Table.
pub struct GlobalTable {
    clients: Arc<Clients>,
    table: String,
    /// The deployment's regions, the preferred one first.
    regions: Vec<Region>,
    canary: bool,
    compare_limit: u64,
    /// Whether late writes are looked for.
    undo: bool,
    /// Half of a call's deadline: what is longer goes on in the next call, and a region that is silent for so long counts as
    /// unreachable.
    budget: Duration,
    keys: OnceCell<KeySchema>,
    comparison: Mutex<Option<compare::Comparison>>,
    unsaid: late::Unsaid,
}

/// The `compare-limit` of a store that sets none.
pub(crate) const COMPARE_LIMIT: u64 = 100_000;

/// What a [`GlobalTable`] is made from.
pub(crate) struct GlobalTableSettings {
    pub(crate) table: String,
    pub(crate) canary: bool,
    pub(crate) compare_limit: u64,
    pub(crate) undo: bool,
}

impl GlobalTable {
    pub(crate) fn new(
        clients: Arc<Clients>,
        regions: Vec<Region>,
        settings: GlobalTableSettings,
        budget: Duration,
    ) -> Self {
        let GlobalTableSettings { table, canary, compare_limit, undo } = settings;
        let (keys, comparison, unsaid) = (OnceCell::new(), Mutex::new(None), late::Unsaid::default());
        Self { clients, table, regions, canary, compare_limit, undo, budget, keys, comparison, unsaid }
    }

    fn clients(&self, region: &Region) -> Result<&RegionClients> {
        self.clients.region(region).ok_or_else(|| {
            let call = ApiCall::read("region", &self.table, region);
            call.error(ErrorKind::InvalidInput, "it is not one of the deployment's regions")
        })
    }

    /// The table's primary key, asked of the region that is spoken to, once.
    async fn keys(&self, region: &Region) -> Result<&KeySchema> {
        let client = &self.clients(region)?.dynamodb_reads;
        let described = self.keys.get_or_try_init(|| async {
            let call = ApiCall::read("DescribeTable", &self.table, region);
            match table::describe(client, region, &self.table).await? {
                Some(table) => table::keys(call, &table),
                None => Err(call.error(ErrorKind::NotFound, "the table is not in this region")),
            }
        });
        described.await
    }

    fn key(&self, call: ApiCall<'_>, key: &Key, keys: &KeySchema) -> Result<Attributes> {
        item::key_attributes(key, keys).map_err(|why| call.error(ErrorKind::InvalidInput, why))
    }

    /// Reads an item as the service has it.
    async fn read(&self, region: &Region, key: &Key) -> Result<Option<Attributes>> {
        let call = ApiCall::read("GetItem", &self.table, region);
        let key = self.key(call, key, self.keys(region).await?)?;
        let request = self.clients(region)?.dynamodb.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.set_key(Some(key)).send().await.map_err(|error| call.failed(error))?;
        Ok(answer.item)
    }

    /// What the service must compare for a precondition to hold.
    async fn condition(
        &self,
        call: ApiCall<'_>,
        region: &Region,
        key: &Key,
        precondition: &Precondition,
    ) -> Result<Option<Condition>> {
        let keys = self.keys(region).await?;
        match precondition {
            Precondition::None => Ok(None),
            Precondition::Absent => Ok(Some(Condition::absent(keys))),
            Precondition::Version(version) => {
                let Some(item) = self.read(region, key).await? else {
                    return Err(conflict(call, "the item is not there any more"));
                };
                if understood(call, item::version(&item))? != *version {
                    return Err(conflict(call, "the item has changed since it was read"));
                }
                Condition::unchanged(&item, keys)
                    .map(Some)
                    .map_err(|why| call.error(ErrorKind::Unsupported, why))
            }
        }
    }

    fn unsupported(&self, operation: &'static str, region: &Region) -> Error {
        ApiCall::read(operation, &self.table, region)
            .error(ErrorKind::Unsupported, "this store cannot keep a region's writers out")
            .with_advice("stop the writers themselves, or waive the fence")
    }
}

fn understood<T>(call: ApiCall<'_>, decoded: std::result::Result<T, String>) -> Result<T> {
    decoded.map_err(|why| call.error(ErrorKind::Unexpected, why))
}

#[async_trait]
impl ReplicatedStore for GlobalTable {
    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities {
            replication: Replication::ItemByItem,
            late_writes: if self.undo { LateWrites::Undone } else { LateWrites::Unseen },
            needs_promotion: false,
            can_fence: false,
            loss: LossBound::Estimated,
            expected_promotion: Duration::ZERO,
        }
    }

    async fn get(&self, region: &Region, key: &Key) -> Result<Option<Item>> {
        let call = ApiCall::read("GetItem", &self.table, region);
        let Some(attributes) = self.read(region, key).await? else { return Ok(None) };
        understood(call, item::decode_item(attributes, self.keys(region).await?)).map(Some)
    }

    async fn put(&self, region: &Region, item: PutItem, condition: Precondition) -> Result<Version> {
        let call = ApiCall::change("PutItem", &self.table, region);
        let keys = self.keys(region).await?;
        let invalid = |why| call.error(ErrorKind::InvalidInput, why);
        let mut attributes = item::decode_value(&item.value, keys).map_err(invalid)?;
        attributes.extend(self.key(call, &item.key, keys)?);
        let token = format!("{:032x}", rand::random::<u128>());
        attributes.insert(TOKEN.to_owned(), AttributeValue::S(token.clone()));
        if let Some(Epoch(epoch)) = item.epoch {
            attributes.insert(EPOCH.to_owned(), AttributeValue::N(epoch.to_string()));
        }
        let version = understood(call, item::version(&attributes))?;
        let condition = self.condition(call, region, &item.key, &condition).await?;
        let request = self.clients(region)?.dynamodb.put_item().table_name(&self.table);
        let request = request.set_item(Some(attributes));
        let answer = match condition {
            None => request.send().await,
            Some(condition) => condition.put(request).send().await,
        };
        match answer {
            Ok(_) => Ok(version),
            Err(error) if condition::met_itself(&error, &token) => Ok(version),
            Err(error) => Err(failed_condition(call, error)),
        }
    }

    async fn delete(
        &self,
        region: &Region,
        key: &Key,
        _epoch: Option<Epoch>,
        condition: Precondition,
    ) -> Result<()> {
        let call = ApiCall::change("DeleteItem", &self.table, region);
        let attributes = self.key(call, key, self.keys(region).await?)?;
        let condition = self.condition(call, region, key, &condition).await?;
        let request = self.clients(region)?.dynamodb.delete_item().table_name(&self.table);
        let request = request.set_key(Some(attributes));
        let answer = match condition {
            None => request.send().await,
            Some(condition) => condition.delete(request).send().await,
        };
        answer.map(|_| ()).map_err(|error| failed_condition(call, error))
    }

    /// The prefix is that of the partition key. The items come as a scan gives them: in no order.
    fn list<'a>(&'a self, region: &Region, prefix: &str) -> BoxStream<'a, Result<Item>> {
        let state = (scan::Segment::whole(), region.clone(), prefix.to_owned());
        let pages = stream::try_unfold(state, move |(segment, region, prefix)| async move {
            if segment.is_done() {
                return Ok(None);
            }
            let (page, rest) = self.page(&region, &segment, &prefix).await?;
            Ok(Some((page, (rest, region, prefix))))
        });
        pages
            .flat_map(|page: Result<Vec<Item>>| match page {
                Ok(items) => stream::iter(items.into_iter().map(Ok)).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn status(&self) -> Result<StoreStatus> {
        let mut replicas = self.replicas().await;
        self.measure(&mut replicas).await;
        Ok(StoreStatus {
            replicas: replicas.into_iter().map(|(region, replica)| (region, replica.status)).collect(),
        })
    }

    async fn ensure_replicated(&self, dry_run: bool) -> Result<Vec<String>> {
        self.add_replicas(dry_run).await
    }

    async fn drained(&self, barrier: &Barrier) -> Result<Drained> {
        self.compare(barrier).await
    }

    /// Every region of a Global Table takes writes: there is nothing to do but to see that this one does.
    async fn promote(&self, region: &Region, _promotion: Promotion, _epoch: Epoch) -> Result<()> {
        let call = ApiCall::read("DescribeTable", &self.table, region);
        match table::describe(&self.clients(region)?.dynamodb, region, &self.table).await? {
            Some(table) if table::serves(table.table_status()) => Ok(()),
            Some(_) => Err(call.error(ErrorKind::Unavailable, "the table does not take writes here")),
            None => Err(call.error(ErrorKind::NotFound, "the table is not in this region")),
        }
    }

    async fn fence(&self, region: &Region, _epoch: Epoch) -> Result<Fence> {
        Err(self.unsupported("fence", region))
    }

    async fn unfence(&self, region: &Region, _epoch: Epoch) -> Result<()> {
        Err(self.unsupported("unfence", region))
    }

    async fn reconcile(&self, serving: &Region, after: Option<&Cursor>) -> Result<Reconciled> {
        self.undo(serving, after).await
    }
}

impl fmt::Debug for GlobalTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalTable").field("table", &self.table).field("regions", &self.regions).finish()
    }
}

/// What is known of each region's replica.
type Replicas = BTreeMap<Region, replicas::Replica>;
