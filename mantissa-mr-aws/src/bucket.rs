//! S3 buckets that replicate to one another as a store: one bucket in each region.
//!
//! - A [`Key`] has one part, the object's key. An item's value is the object's content.
//! - Beside it an object that this store wrote has the metadata `mantissa-epoch` (the epoch of the permit) and
//!   `mantissa-version` (random, to tell this store's writes apart). Objects written by others have neither.
//! - A [`Version`] is the object's ETag: two writes of the same content have the same one. Conditions are evaluated by S3 in
//!   the region that they are sent to, and by no other, so nothing here is a lock between regions.
//!
//! Objects replicate one by one, within 15 minutes for 99.99 % of them
//! ([AWS: replication time control](https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-time-control.html)); the
//! last writer wins; every region takes writes always, and nothing can be promoted, fenced, or refused for its epoch. Late
//! writes are not looked for.
//!
//! # What is not replicated
//! S3 replicates what is written after a rule is there. Older objects, and those whose replication failed (for a permission or
//! a setting: S3 does not try again), need S3 Batch Replication
//! ([AWS: status](https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-status.html)). As long as there are any,
//! [`drained`](ReplicatedStore::drained) cannot be proven, and says how many there are. So it is with objects that are encrypted
//! with a key of KMS: the rules that this library adds do not cover them. Deletes replicate as delete markers;
//! those of a lifecycle rule never do, and an object that only the target still has holds up the proof.
//!
//! # Settings
//! `role` (the ARN of the role that S3 replicates with; it must be there already), `compare-limit` (objects, 100 000 unless said:
//! above it a drain cannot be proven), `canary` (whether [`status`](ReplicatedStore::status) measures the lag with an object of
//! its own, named `mantissa-canary.<region>`; without it the lag is unknown); and `regions.<region> = { bucket = "..." }` for
//! each region.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mantissa_mr_core::error::{Effect, Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{
    Barrier, Cursor, Drained, Fence, Item, Key, LateWrites, LossBound, Precondition, Promotion, PutItem,
    Reconciled, ReplicatedStore, Replication, StoreCapabilities, StoreStatus, Version,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::clients::{Clients, RegionClients};
use crate::error::ApiCall;

mod canary;
mod compare;
mod look;
mod replicas;
mod rules;
mod settings;

use look::{Seen, etag};
pub(crate) use settings::read;

/// The metadata in which the epoch of an object's permit is kept.
pub const EPOCH: &str = "mantissa-epoch";
/// The metadata that tells this store's writes apart.
const TOKEN: &str = "mantissa-version";
/// How many keys are listed at a time, and how many objects of them are read at the same time.
const PAGE: i32 = 200;
const AT_ONCE: usize = 8;

/// What a [`S3Bucket`] is made from.
#[derive(Clone, Debug)]
pub(crate) struct S3BucketSettings {
    pub(crate) buckets: BTreeMap<Region, String>,
    pub(crate) role: String,
    pub(crate) canary: bool,
    pub(crate) compare_limit: u64,
}

/// One bucket in each region, which replicate to one another.
pub struct S3Bucket {
    clients: Arc<Clients>,
    /// The deployment's regions, the preferred one first.
    regions: Vec<Region>,
    settings: S3BucketSettings,
    /// Half of a call's deadline.
    budget: Duration,
    comparison: Mutex<Option<compare::Comparison>>,
}

impl S3Bucket {
    pub(crate) fn new(
        clients: Arc<Clients>,
        regions: Vec<Region>,
        settings: S3BucketSettings,
        budget: Duration,
    ) -> Self {
        Self { clients, regions, settings, budget, comparison: Mutex::new(None) }
    }

    /// The bucket of a region, and who speaks to it.
    fn place(&self, region: &Region) -> Result<(&str, &RegionClients)> {
        let found = self.settings.buckets.get(region).zip(self.clients.region(region));
        found.map(|(bucket, clients)| (bucket.as_str(), clients)).ok_or_else(|| {
            let call = ApiCall::read("region", "s3", region);
            call.error(ErrorKind::InvalidInput, "it is not one of the deployment's regions")
        })
    }

    fn object<'a>(&self, call: ApiCall<'_>, key: &'a Key) -> Result<&'a str> {
        match key.0.as_slice() {
            [key] if (1..=1024).contains(&key.len()) => Ok(key),
            _ => Err(call.error(ErrorKind::InvalidInput, "an object's key has one part, of 1 to 1024 bytes")),
        }
    }

    /// Reads an object; none if it is not there.
    async fn read(&self, region: &Region, key: &Key) -> Result<Option<Item>> {
        let (bucket, clients) = self.place(region)?;
        let call = ApiCall::read("GetObject", bucket, region);
        let object = self.object(call, key)?;
        let reading = async {
            let answer = match clients.s3.get_object().bucket(bucket).key(object).send().await {
                Ok(answer) => answer,
                Err(error) if crate::error::code(&error) == Some("NoSuchKey") => return Ok(None),
                Err(error) => return Err(call.failed(error)),
            };
            let etag = etag(call, answer.e_tag())?;
            let epoch = answer.metadata().and_then(|metadata| metadata.get(EPOCH)?.parse().ok()).map(Epoch);
            let cut = |error| call.error(ErrorKind::Unavailable, format!("the object broke off: {error}"));
            let value = answer.body.collect().await.map_err(cut)?.into_bytes().to_vec();
            Ok(Some(Item { key: key.clone(), value, epoch, version: Version(etag) }))
        };
        timeout(self.budget * 2, reading).await.unwrap_or_else(|_| {
            Err(call.error(ErrorKind::Timeout, "no answer within the deadline of the call"))
        })
    }

    /// The keys that begin with a prefix, their ETags, and where the next page begins.
    async fn page(
        &self,
        region: &Region,
        prefix: &str,
        size: i32,
        after: Option<String>,
    ) -> Result<(Vec<(String, String)>, Option<String>)> {
        let (bucket, clients) = self.place(region)?;
        let call = ApiCall::read("ListObjectsV2", bucket, region);
        let request = clients.s3.list_objects_v2().bucket(bucket).prefix(prefix).max_keys(size);
        let answer = request.set_start_after(after).send().await.map_err(|error| call.failed(error))?;
        let mut keys = Vec::new();
        for object in answer.contents() {
            let key =
                object.key().ok_or_else(|| call.error(ErrorKind::Unexpected, "an object has no key"))?;
            keys.push((key.to_owned(), etag(call, object.e_tag())?));
        }
        let truncated = answer.is_truncated() == Some(true);
        if truncated && keys.is_empty() {
            return Err(call.error(ErrorKind::Unexpected, "a page without keys says that more follow"));
        }
        let last = keys.last().map(|(key, _)| key.clone()).filter(|_| truncated);
        keys.retain(|(key, _)| !canary::is_canary(key));
        Ok((keys, last))
    }

    /// The items of the keys, but for what was deleted meanwhile.
    fn items<'a>(&'a self, region: Region, keys: Vec<(String, String)>) -> BoxStream<'a, Result<Item>> {
        let reads = keys.into_iter().map(move |(key, _)| {
            let region = region.clone();
            async move { self.read(&region, &Key::new(key)).await.transpose() }
        });
        stream::iter(reads).buffered(AT_ONCE).filter_map(std::future::ready).boxed()
    }

    fn unsupported(&self, operation: &'static str, region: &Region, message: &str, advice: &str) -> Error {
        let bucket = self.settings.buckets.get(region).map_or("s3", String::as_str);
        ApiCall::read(operation, bucket, region).error(ErrorKind::Unsupported, message).with_advice(advice)
    }
}

/// What a failed condition means.
fn conditional<E>(call: ApiCall<'_>, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match crate::error::code(&error) {
        Some("PreconditionFailed") => call.error(ErrorKind::Conflict, "the object is in another state"),
        Some("NoSuchKey") => call.error(ErrorKind::Conflict, "the object is not there any more"),
        // S3 says to try again, and no more.
        Some("ConditionalRequestConflict" | "OperationAborted") => {
            let why = call.failed(error);
            call.error(ErrorKind::Unavailable, why.message()).with_effect(Effect::Unknown)
        }
        _ => call.failed(error),
    }
}

#[async_trait]
impl ReplicatedStore for S3Bucket {
    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities {
            replication: Replication::ItemByItem,
            late_writes: LateWrites::Unseen,
            needs_promotion: false,
            can_fence: false,
            loss: LossBound::Estimated,
            expected_promotion: Duration::ZERO,
        }
    }

    async fn get(&self, region: &Region, key: &Key) -> Result<Option<Item>> {
        self.read(region, key).await
    }

    async fn put(&self, region: &Region, item: PutItem, condition: Precondition) -> Result<Version> {
        let (bucket, clients) = self.place(region)?;
        let call = ApiCall::change("PutObject", bucket, region);
        let object = self.object(call, &item.key)?;
        let token = format!("{:032x}", rand::random::<u128>());
        let request = clients.s3.put_object().bucket(bucket).key(object).metadata(TOKEN, &token);
        let request = match item.epoch {
            Some(Epoch(epoch)) => request.metadata(EPOCH, epoch.to_string()),
            None => request,
        };
        let request = match condition {
            Precondition::None => request,
            Precondition::Absent => request.if_none_match("*"),
            Precondition::Version(version) => request.if_match(quoted(call, &version)?),
        };
        match request.body(ByteStream::from(item.value)).send().await {
            Ok(answer) => Ok(Version(etag(call, answer.e_tag())?)),
            Err(error) if crate::error::code(&error) == Some("PreconditionFailed") => {
                // Something on the way may have sent it twice, and it met itself.
                match self.look(region, object).await {
                    Ok(Seen::There(head)) if head.token.as_deref() == Some(&token) => Ok(Version(head.etag)),
                    Ok(_) => Err(conditional(call, error)),
                    Err(why) => Err(call
                        .error(
                            ErrorKind::Unavailable,
                            format!("a condition failed, for an unknown reason: {why}"),
                        )
                        .with_effect(Effect::Unknown)),
                }
            }
            Err(error) => Err(conditional(call, error)),
        }
    }

    async fn delete(
        &self,
        region: &Region,
        key: &Key,
        _epoch: Option<Epoch>,
        condition: Precondition,
    ) -> Result<()> {
        let (bucket, clients) = self.place(region)?;
        let call = ApiCall::change("DeleteObject", bucket, region);
        let object = self.object(call, key)?;
        let request = clients.s3.delete_object().bucket(bucket).key(object);
        let request = match condition {
            Precondition::None => request,
            Precondition::Absent => {
                return match self.look(region, object).await? {
                    Seen::Absent | Seen::Deleted => Ok(()),
                    Seen::There(_) => Err(call.error(ErrorKind::Conflict, "the object is there")),
                };
            }
            Precondition::Version(version) => request.if_match(quoted(call, &version)?),
        };
        request.send().await.map(drop).map_err(|error| conditional(call, error))
    }

    /// In the order of the keys, as S3 has them: by their bytes.
    fn list<'a>(&'a self, region: &Region, prefix: &str) -> BoxStream<'a, Result<Item>> {
        let state = (Some(None::<String>), region.clone(), prefix.to_owned());
        let pages = stream::try_unfold(state, move |(after, region, prefix)| async move {
            let Some(after) = after else { return Ok(None) };
            let (keys, last) = self.page(&region, &prefix, PAGE, after).await?;
            let items = self.items(region.clone(), keys);
            Ok(Some((items, (last.map(Some), region, prefix))))
        });
        pages
            .flat_map(|page| match page {
                Ok(items) => items,
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn status(&self) -> Result<StoreStatus> {
        let mut replicas = self.replicas().await;
        self.measure(&mut replicas).await;
        Ok(StoreStatus { replicas })
    }

    async fn ensure_replicated(&self, dry_run: bool) -> Result<Vec<String>> {
        self.add_rules(dry_run).await
    }

    async fn drained(&self, barrier: &Barrier) -> Result<Drained> {
        self.compare(barrier).await
    }

    /// Every region's bucket takes writes: there is nothing to do but to see that it is there.
    async fn promote(&self, region: &Region, _promotion: Promotion, _epoch: Epoch) -> Result<()> {
        self.describe(region).await.map(drop)
    }

    async fn fence(&self, region: &Region, _epoch: Epoch) -> Result<Fence> {
        let (message, advice) = (CANNOT_FENCE, "stop the writers themselves, or waive the fence");
        Err(self.unsupported("fence", region, message, advice))
    }

    async fn unfence(&self, region: &Region, _epoch: Epoch) -> Result<()> {
        let (message, advice) = (CANNOT_FENCE, "stop the writers themselves, or waive the fence");
        Err(self.unsupported("unfence", region, message, advice))
    }

    async fn reconcile(&self, serving: &Region, _after: Option<&Cursor>) -> Result<Reconciled> {
        let message = "this store does not look for late writes";
        let advice = "the versions of the buckets hold what was overwritten";
        Err(self.unsupported("reconcile", serving, message, advice))
    }
}

const CANNOT_FENCE: &str = "this store cannot keep a region's writers out";

/// The ETag of a version as S3 takes it; `*`, which fits any object, is no version.
fn quoted(call: ApiCall<'_>, Version(version): &Version) -> Result<String> {
    let sound =
        !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if sound {
        Ok(format!("\"{version}\""))
    } else {
        Err(call.error(ErrorKind::Conflict, "no object was ever in this state"))
    }
}

impl fmt::Debug for S3Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Bucket").field("buckets", &self.settings.buckets).finish()
    }
}
