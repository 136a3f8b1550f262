//! Late writes: found in the streams of all regions, and put right in the one that serves.
//!
//! DynamoDB keeps, in each region for 24 hours, what every item was before and after each change that reached the region,
//! by whichever way. A change from a newer epoch's item to an older one's is a late write.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use mantissa_mr_core::error::{Effect, Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Cursor, Key, Overtaken, Reconciled, Reconciliation};
use tokio::time::timeout;

use super::condition::{Condition, failed_condition};
use super::item::{self, Attributes, Fingerprint};
use super::{GlobalTable, understood};
use crate::error::ApiCall;
use crate::table::KeySchema;
use cursor::Positions;
use finds::Find;
use history::History;

mod cursor;
mod finds;
mod history;
mod shard;

/// So many items are put back at once.
const RESTORES_AT_ONCE: usize = 8;
/// An item that somebody else writes each time before it can be put back is theirs after so many times.
const TRIES: u32 = 3;

/// An answer of the SDK that is an error.
type Answer<E> = SdkError<E, HttpResponse>;

/// What was sent to be put back, and not said yet: the answer to the request was lost, or nobody waited for the look's.
/// The next look, which finds it in its place, can then say so.
#[derive(Debug, Default)]
pub(super) struct Unsaid(Mutex<BTreeMap<Key, Fingerprint>>);

impl Unsaid {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Fingerprint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an item is that a late write had taken the place of.
enum Shown {
    /// As it was before.
    Back,
    /// As a late write left it.
    Late(Attributes),
    /// Otherwise, or not at all.
    Other,
}

impl GlobalTable {
    pub(super) async fn undo(&self, serving: &Region, after: Option<&Cursor>) -> Result<Reconciled> {
        let call = ApiCall::read("reconcile", &self.table, serving);
        if !self.undo {
            return Err(call
                .error(ErrorKind::Unsupported, "late writes to this table are not looked for")
                .with_advice("say `late-writes = \"undone\"` in the store's settings"));
        }
        if !self.regions.contains(serving) {
            return Err(call.error(ErrorKind::InvalidInput, "it is not one of the deployment's regions"));
        }
        let positions = after.map(|after| Positions::parse(after, &self.table, &self.regions)).transpose();
        let positions = positions.map_err(|why| {
            call.error(ErrorKind::InvalidInput, why)
                .with_advice("ask without a cursor: all that is remembered is read")
        })?;
        let positions = positions.unwrap_or_default();
        let keys = timeout(self.budget / 4, self.keys(serving)).await;
        let keys =
            keys.unwrap_or_else(|_| Err(call.error(ErrorKind::Timeout, "the table does not answer here")))?;

        // The one that serves last: of two newer items of the same epoch its own counts.
        let others = self.regions.iter().filter(|region| *region != serving);
        let regions: Vec<&Region> = others.chain([serving]).collect();
        let read = regions.iter().map(|region| self.history(region, keys, positions.0.get(*region)));
        let histories: Vec<(&Region, History)> = regions.iter().copied().zip(join_all(read).await).collect();
        let unread = unread(&histories, serving)?;
        let mut positions = Positions::default();
        let mut found = Vec::new();
        for (region, history) in histories {
            positions.0.extend(history.position.map(|position| (region.clone(), position)));
            found.push(history.finds);
        }
        let found = finds::together(found.into_iter());
        let overtaken = self.put_back_all(call, serving, keys, &found).await?;
        let cursor = understood(call, positions.cursor(&self.table))?;
        let mut unsaid = self.unsaid.lock();
        unsaid.retain(|key, _| !found.contains_key(key));
        Ok(Reconciled { overtaken, cursor: Some(cursor), unread })
    }

    async fn put_back_all(
        &self,
        call: ApiCall<'_>,
        serving: &Region,
        keys: &KeySchema,
        found: &BTreeMap<Key, Find>,
    ) -> Result<Vec<Overtaken>> {
        let putting = found.iter().map(|(key, find)| self.put_back(serving, keys, key, find));
        let putting: Vec<_> = putting.collect();
        let put = stream::iter(putting).buffered(RESTORES_AT_ONCE).try_collect::<Vec<_>>();
        let put = timeout(self.budget, put).await.unwrap_or_else(|_| {
            let message =
                "not all of what late writes took the place of could be put back in the time of a call";
            Err(call.error(ErrorKind::Timeout, message).with_advice("ask again: it goes on"))
        });
        Ok(put?.into_iter().flatten().collect())
    }

    /// Puts one item back where a late write shows in the region that serves.
    async fn put_back(
        &self,
        serving: &Region,
        keys: &KeySchema,
        key: &Key,
        find: &Find,
    ) -> Result<Option<Overtaken>> {
        let overtaken = |outcome| {
            let (found_in, late, newer) = (find.found_in.clone(), find.late, find.newer);
            Ok(Some(Overtaken { key: key.clone(), found_in, late, newer, outcome }))
        };
        let mut lost = None;
        for _ in 0..TRIES {
            let item = match self.shown(serving, key, find).await? {
                Shown::Back if self.unsaid.lock().get(key) == Some(&find.fingerprint) => {
                    return overtaken(Reconciliation::Restored);
                }
                Shown::Back => return Ok(None),
                Shown::Other => return overtaken(Reconciliation::Rewritten),
                Shown::Late(item) => item,
            };
            let condition = match Condition::unchanged(&item, keys) {
                Ok(condition) => condition,
                Err(why) => {
                    tracing::warn!(table = self.table, region = %serving, "a late write is left as it is: {why}");
                    return overtaken(Reconciliation::Rewritten);
                }
            };
            match self.restore(serving, key, find, condition).await {
                Ok(()) => return overtaken(Reconciliation::Restored),
                // What shows now tells whether it was somebody else, or this very request.
                Err(error) if error.kind() == ErrorKind::Conflict => lost = None,
                Err(error) if error.effect() == Effect::Unknown => lost = Some(error),
                Err(error) => return Err(error),
            }
        }
        lost.map_or_else(|| overtaken(Reconciliation::Rewritten), Err)
    }

    async fn shown(&self, serving: &Region, key: &Key, find: &Find) -> Result<Shown> {
        if find.put_back {
            return Ok(Shown::Back);
        }
        let call = ApiCall::read("GetItem", &self.table, serving);
        let Some(item) = self.read(serving, key).await? else { return Ok(Shown::Other) };
        let shown = understood(call, item::fingerprint(&item))?;
        Ok(match shown {
            shown if shown == find.fingerprint => Shown::Back,
            shown if find.shows_in(&shown) => Shown::Late(item),
            _ => Shown::Other,
        })
    }

    async fn restore(&self, serving: &Region, key: &Key, find: &Find, condition: Condition) -> Result<()> {
        let call = ApiCall::change("PutItem", &self.table, serving);
        let request = self.clients(serving)?.dynamodb.put_item().table_name(&self.table);
        let request = condition.put(request.set_item(Some(find.image.clone())));
        self.unsaid.lock().insert(key.clone(), find.fingerprint);
        match request.send().await {
            Ok(_) => {
                tracing::warn!(table = self.table, region = %serving, late = %find.late, newer = %find.newer,
                    "put an item back that a late write had taken the place of");
                Ok(())
            }
            Err(error) => Err(failed_condition(call, error)),
        }
    }
}

/// The regions whose streams could not be read as far as they go. What does not pass by itself is an error: else nobody
/// would ever know that a region is not looked at.
fn unread(histories: &[(&Region, History)], serving: &Region) -> Result<Vec<Region>> {
    let mut unread = Vec::new();
    for (region, history) in histories {
        match &history.error {
            Some(error) if *region == serving || !passes(error) => return Err(error.clone()),
            Some(error) => tracing::warn!(%region, "late writes could not be looked for: {error}"),
            None if history.gap => {
                tracing::warn!(%region, "the stream has forgotten changes that were not looked at for late writes");
            }
            None => continue,
        }
        unread.push((*region).clone());
    }
    Ok(unread)
}

fn passes(error: &Error) -> bool {
    use ErrorKind::{NotFound, Throttled, Timeout, Unavailable};
    matches!(error.kind(), NotFound | Throttled | Timeout | Unavailable)
}

/// What an error of the streams' service means.
fn failed<E>(call: ApiCall<'_>, error: Answer<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = crate::error::code(&error).map(str::to_owned);
    let failed = call.failed(error);
    match code.as_deref() {
        // Here it is no quota that is used up.
        Some("LimitExceededException") => call
            .error(ErrorKind::Throttled, failed.message())
            .with_advice("a shard bears two readers: see who else reads the table's stream"),
        Some("AccessDeniedException") => failed.with_advice(
            "allow dynamodb:DescribeTable on the table, and dynamodb:DescribeStream, dynamodb:GetShardIterator and \
             dynamodb:GetRecords on its streams (table/NAME/stream/*), in every region",
        ),
        _ => failed,
    }
}
