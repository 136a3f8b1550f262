//! Reads what is new in one region's stream.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::types::Record;
use futures_util::StreamExt;
use futures_util::stream;
use mantissa_mr_core::clock::{Clock, SystemClock};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::Key;
use tokio::time::{Instant, timeout_at};

use super::super::GlobalTable;
use super::cursor::{Place, Position};
use super::finds::{Find, Finds};
use super::shard::Shard;
use crate::error::ApiCall;
use crate::table::{self, KeySchema};

/// So many pages of one region are read in a look, and after so many findings no further one.
const PAGES_MAX: usize = 1_000;
const FINDS_MAX: usize = 100;
/// So many shards are read at once: with the service far away most of the time is waiting.
const SHARDS_AT_ONCE: usize = 16;
/// A stream remembers for 24 hours. What was read last longer ago than this may have lost records since.
const MEMORY: Duration = Duration::from_secs(23 * 60 * 60);

/// What is known of a region's stream after a look.
#[derive(Debug)]
pub(super) struct History {
    pub(super) finds: BTreeMap<Key, Find>,
    /// How far it has been read; none if it never was.
    pub(super) position: Option<Position>,
    /// Whether the stream has forgotten something that was not read before.
    pub(super) gap: bool,
    /// What kept from reading on.
    pub(super) error: Option<Error>,
}

/// One look at one region's stream.
pub(super) struct Look<'a> {
    pub(super) region: &'a Region,
    pub(super) client: &'a Client,
    pub(super) table: &'a str,
    /// Nothing is asked any more after this.
    begin_until: Instant,
    /// Nothing is waited for any more after this.
    wait_until: Instant,
    read: Mutex<Read<'a>>,
}

struct Read<'a> {
    finds: Finds<'a>,
    pages: usize,
    gap: bool,
}

impl<'a> Look<'a> {
    fn read(&self) -> MutexGuard<'_, Read<'a>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the rest is for the next look.
    pub(super) fn is_over(&self) -> bool {
        let read = self.read();
        Instant::now() >= self.begin_until || read.pages >= PAGES_MAX || read.finds.open() >= FINDS_MAX
    }

    pub(super) fn call(&self, operation: &'static str) -> ApiCall<'a> {
        ApiCall::read(operation, self.table, self.region)
    }

    /// A region that is silent must not take the time of the whole look.
    pub(super) async fn wait<T>(
        &self,
        call: ApiCall<'_>,
        request: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let waited = timeout_at(self.wait_until, request).await;
        waited.unwrap_or_else(|_| {
            Err(call.error(ErrorKind::Timeout, "no answer in the time that a look may take"))
        })
    }

    pub(super) fn page(&self, call: ApiCall<'_>, records: &[Record]) -> Result<()> {
        let mut read = self.read();
        read.pages += 1;
        let mut taken = records.iter().map(|record| read.finds.record(record));
        taken.try_for_each(|taken| taken.map_err(|why| call.error(ErrorKind::Unexpected, why)))
    }

    /// The stream has forgotten something that was not read before.
    pub(super) fn missed(&self) {
        self.read().gap = true;
    }
}

/// A stream that can be read.
struct Stream {
    arn: String,
    label: String,
}

impl GlobalTable {
    /// Reads on in a region's stream, as far as one look goes.
    pub(super) async fn history(
        &self,
        region: &Region,
        keys: &KeySchema,
        from: Option<&Position>,
    ) -> History {
        let mut position = from.cloned();
        let client = match self.clients(region) {
            Ok(clients) => &clients.streams,
            Err(error) => {
                return History { finds: BTreeMap::new(), position, gap: false, error: Some(error) };
            }
        };
        let begun = Instant::now();
        let read = Mutex::new(Read { finds: Finds::new(region, keys), pages: 0, gap: false });
        let look = Look {
            region,
            client,
            table: &self.table,
            begin_until: begun + self.budget / 2,
            wait_until: begun + self.budget * 3 / 4,
            read,
        };
        let error = self.read_stream(&look, &mut position).await.err();
        let Read { finds, gap, .. } = look.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        History { finds: finds.into_map(), position, gap, error }
    }

    async fn read_stream(&self, look: &Look<'_>, position: &mut Option<Position>) -> Result<()> {
        let stream = self.stream(look).await?;
        let shards = shards(look, &stream.arn).await?;
        let now = SystemClock.wall().as_millisecond();
        let (mut at, gap) = resume(position.take(), &stream.label, &shards, now);
        if gap {
            look.missed();
        }
        let read = read_shards(look, &stream.arn, &shards, &mut at).await;
        *position = Some(at);
        read
    }

    /// The table's stream, if it says what is needed.
    async fn stream(&self, look: &Look<'_>) -> Result<Stream> {
        let call = look.call("DescribeTable");
        // Sent once: a region that is down says so at once, and the next look is near.
        let client = &self.clients(look.region)?.dynamodb;
        let described = look.wait(call, table::describe(client, look.region, look.table)).await?;
        let Some(table) = described else {
            return Err(call.error(ErrorKind::NotFound, "the table is not in this region"));
        };
        if !table::serves(table.table_status()) {
            return Err(call.error(ErrorKind::Unavailable, "the table does not answer here"));
        }
        let view = table.stream_specification().filter(|stream| stream.stream_enabled());
        let view = view.and_then(StreamSpecification::stream_view_type);
        let (arn, label) = (table.latest_stream_arn(), table.latest_stream_label());
        match (view, arn, label) {
            (Some(StreamViewType::NewAndOldImages), Some(arn), Some(label)) => {
                Ok(Stream { arn: arn.to_owned(), label: label.to_owned() })
            }
            _ => Err(call
                .error(
                    ErrorKind::Unsupported,
                    "the table has no stream with new and old images in this region",
                )
                .with_advice(
                    "set replication up again (`ensure_replicated` enables the stream), or say \
                     `late-writes = \"unseen\"` in the store's settings",
                )),
        }
    }
}

/// The shards that the stream has, the oldest first.
async fn shards(look: &Look<'_>, arn: &str) -> Result<Vec<Shard>> {
    let call = look.call("DescribeStream");
    let mut shards: Vec<Shard> = Vec::new();
    let mut last = None;
    loop {
        let request = look.client.describe_stream().stream_arn(arn).set_exclusive_start_shard_id(last.take());
        let asked = async { request.send().await.map_err(|error| super::failed(call, error)) };
        let described = look.wait(call, asked).await?.stream_description;
        let described = described.ok_or_else(|| call.error(ErrorKind::Unexpected, "the answer is empty"))?;
        last = described.last_evaluated_shard_id().map(str::to_owned);
        shards.extend(described.shards.unwrap_or_default().into_iter().filter_map(Shard::of));
        if last.is_none() {
            return Ok(shards);
        }
        if Instant::now() >= look.begin_until {
            let message = format!("the stream has more shards ({} so far) than can be listed", shards.len());
            return Err(call.error(ErrorKind::Quota, message).with_advice(
                "raise `policy.timing.call-deadline`, or say `late-writes = \"unseen\"` in the store's settings",
            ));
        }
    }
}

/// Where to go on, and whether something was forgotten in between.
fn resume(from: Option<Position>, stream: &str, shards: &[Shard], now: i64) -> (Position, bool) {
    let begun = Position { stream: stream.to_owned(), at: now, ..Position::default() };
    let Some(mut from) = from else { return (begun, false) };
    if from.stream != stream {
        return (begun, true);
    }
    let memory = i64::try_from(MEMORY.as_millis()).unwrap_or(i64::MAX);
    let mut gap = now.saturating_sub(from.at) > memory;
    // What is not listed any more has been forgotten as a whole.
    let listed = ids(shards);
    from.shards.retain(|id, place| {
        let listed = listed.contains(id.as_str());
        gap |= !listed && *place != Place::Done;
        listed
    });
    (Position { at: now, ..from }, gap)
}

/// Reads the shards, parents before their children: a key's records are then read in their order.
async fn read_shards(look: &Look<'_>, arn: &str, shards: &[Shard], at: &mut Position) -> Result<()> {
    let begin = at.begin.take().unwrap_or_default();
    let (listed, mut visited) = (ids(shards), BTreeSet::new());
    loop {
        let ready =
            shards.iter().filter(|shard| !visited.contains(&shard.id) && is_ready(shard, &listed, at));
        let ready = in_turn(ready, &begin);
        if ready.is_empty() {
            return Ok(());
        }
        let reading = ready.into_iter().map(|shard| {
            let place = at.shards.get(&shard.id).cloned().unwrap_or(Place::BEGIN);
            shard.read(look, arn, place)
        });
        let reading: Vec<_> = reading.collect();
        let read: Vec<_> = stream::iter(reading).buffered(SHARDS_AT_ONCE).collect().await;
        let mut failed = None;
        for (shard, place, outcome) in read {
            at.shards.insert(shard.id.clone(), place);
            match outcome {
                Ok(true) => _ = visited.insert(shard.id.clone()),
                Ok(false) => at.begin = at.begin.take().or_else(|| Some(shard.id.clone())),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if at.begin.is_some() {
            return Ok(());
        }
    }
}

/// Those that the last look had no time for come first.
fn in_turn<'a>(ready: impl Iterator<Item = &'a Shard>, begin: &str) -> Vec<&'a Shard> {
    let (mut first, then): (Vec<_>, Vec<_>) = ready.partition(|shard| shard.id.as_str() >= begin);
    first.extend(then);
    first
}

fn ids(shards: &[Shard]) -> BTreeSet<&str> {
    shards.iter().map(|shard| shard.id.as_str()).collect()
}

fn is_ready(shard: &Shard, listed: &BTreeSet<&str>, at: &Position) -> bool {
    let done = |id: &String| at.shards.get(id) == Some(&Place::Done);
    let parent = shard.parent.as_ref().filter(|parent| listed.contains(parent.as_str()));
    !done(&shard.id) && parent.is_none_or(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parent: Option<&str>) -> Shard {
        Shard { id: id.to_owned(), parent: parent.map(str::to_owned), closed: false }
    }

    fn position(at: i64, shards: &[(&str, Place)]) -> Position {
        let shards = shards.iter().map(|(id, place)| ((*id).to_owned(), place.clone())).collect();
        Position { stream: "s".to_owned(), at, begin: None, shards }
    }

    #[test]
    fn a_child_waits_for_its_parent_unless_that_is_forgotten() {
        let shards = [shard("a", None), shard("b", Some("a")), shard("c", Some("gone"))];
        let listed = ids(&shards);
        let ready = |at: &Position| -> Vec<String> {
            shards.iter().filter(|shard| is_ready(shard, &listed, at)).map(|shard| shard.id.clone()).collect()
        };
        assert_eq!(ready(&position(0, &[])), ["a", "c"]);
        assert_eq!(ready(&position(0, &[("a", Place::Done)])), ["b", "c"]);
    }

    #[test]
    fn what_there_was_no_time_for_comes_first() {
        let shards = ["a", "b", "c"].map(|id| shard(id, None));
        for (begin, wanted) in [("", ["a", "b", "c"]), ("b", ["b", "c", "a"]), ("bb", ["c", "a", "b"])] {
            let order = in_turn(shards.iter(), begin);
            assert_eq!(order.iter().map(|shard| shard.id.as_str()).collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn what_the_stream_has_forgotten_unread_is_called_a_gap() {
        let (hour, listed) = (3_600_000, [shard("a", None)]);
        let resumed = |from: Option<Position>, now: i64| resume(from, "s", &listed, now);
        assert_eq!(resumed(None, 7), (position(7, &[]), false));
        let read = [("a", Place::BEGIN), ("old", Place::Done)];
        let going_on = resumed(Some(position(0, &read)), 22 * hour);
        assert_eq!(going_on, (position(22 * hour, &[("a", Place::BEGIN)]), false));
        assert!(resumed(Some(position(0, &read)), 24 * hour).1, "read too long ago");
        assert!(resumed(Some(position(0, &[("old", Place::BEGIN)])), hour).1, "a shard went unread");
        let other = Position { stream: "other".to_owned(), ..position(0, &[("a", Place::Done)]) };
        assert_eq!(resumed(Some(other), hour), (position(hour, &[]), true));
    }
}
