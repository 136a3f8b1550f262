//! The streams that late writes are found in: what is missing, silent, forgotten or split.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};
use mantissa_mr_core::error::ErrorKind;
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Cursor, Reconciliation, ReplicatedStore};
use test_support::{Action, Emulator, Exchange, Match, or_skip};

use crate::late::{overtake, overtaken, put, write};
use crate::store::{TABLE, group, replicated};
use crate::world::{EAST, WEST, World, region, resource};

/// Enables a table's stream with this view, or disables it.
pub(crate) async fn set_stream(world: &World, name: &str, view: Option<&str>) {
    let stream = StreamSpecification::builder().stream_enabled(view.is_some());
    let stream = stream.set_stream_view_type(view.map(StreamViewType::from)).build().unwrap();
    let update = world.dynamodb(name).update_table().table_name(TABLE).stream_specification(stream);
    update.send().await.unwrap();
}

/// The look that waits no longer than a few seconds for a region.
async fn hasty(world: &World) -> Arc<dyn ReplicatedStore> {
    let hasty = group("").replace("\"60s\"", "\"12s\"");
    world.connect(&hasty).await.stores[&resource("state")].clone()
}

fn none() -> [Region; 0] {
    []
}

/// Protects a move that a region does not survive: what is known of the others is used, and its own part is read when it is
/// back.
#[tokio::test]
async fn a_region_that_does_not_answer_is_unread_and_read_on_later() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    replicated(&world, "").await;
    let store = hasty(&world).await;
    let first = store.reconcile(&region(WEST), None).await.unwrap();
    overtake(&store, "k").await;
    let mut cursor = first.cursor.clone();
    for fault in [Action::Reset, Action::BlackHole] {
        let rule = world.proxy.when(Match::any().region(EAST), fault);
        let look = store.reconcile(&region(WEST), cursor.as_ref()).await.unwrap();
        assert_eq!(look.unread, [region(EAST)]);
        let part = |cursor: &Option<Cursor>| {
            let cursor: serde_json::Value = serde_json::from_str(&cursor.as_ref().unwrap().0).unwrap();
            cursor["regions"][EAST].clone()
        };
        assert_eq!(part(&look.cursor), part(&first.cursor), "its part is as it was");
        let wanted = [overtaken("k", WEST, Reconciliation::Restored)];
        assert_eq!(look.overtaken, wanted[..usize::from(cursor == first.cursor)]);
        world.proxy.remove(rule);
        cursor = look.cursor;
    }
    let pages = Match::operation("GetRecords").region(EAST);
    let before = world.asked(&pages);
    let look = store.reconcile(&region(WEST), cursor.as_ref()).await.unwrap();
    assert_eq!((look.overtaken, look.unread), (vec![], vec![]));
    assert!(world.asked(&pages) > before, "it is read on");
}

/// Protects against a look that passes for one: without the region that serves nothing is known.
#[tokio::test]
async fn without_the_region_that_serves_there_is_no_look() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    replicated(&world, "").await;
    let store = hasty(&world).await;
    let cursor = store.reconcile(&region(WEST), None).await.unwrap().cursor;
    for (fault, kind) in [(Action::Reset, ErrorKind::Unavailable), (Action::BlackHole, ErrorKind::Timeout)] {
        let rule = world.proxy.when(Match::any().region(WEST), fault);
        let (west, limit) = (region(WEST), Duration::from_secs(12));
        let look = tokio::time::timeout(limit, store.reconcile(&west, cursor.as_ref())).await.unwrap();
        assert_eq!(look.unwrap_err().kind(), kind);
        world.proxy.remove(rule);
    }
    let stranger = store.reconcile(&region("us-east-2"), None).await.unwrap_err();
    assert_eq!(stranger.kind(), ErrorKind::InvalidInput, "{stranger}");
    let foreign = store.reconcile(&region(WEST), Some(&Cursor("3,4".to_owned()))).await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::InvalidInput);
    assert!(foreign.advice().unwrap().contains("without a cursor"), "{foreign}");
}

/// Protects the promise of the capability: a table whose stream is missing says what to do, and that is then enough.
#[tokio::test]
async fn a_table_without_its_stream_says_so_and_is_set_up_again() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let cursor = store.reconcile(&region(WEST), None).await.unwrap().cursor;
    set_stream(&world, EAST, None).await;
    let error = store.reconcile(&region(WEST), cursor.as_ref()).await.unwrap_err();
    assert_eq!((error.kind(), error.region()), (ErrorKind::Unsupported, Some(&region(EAST))), "{error}");
    assert!(error.advice().unwrap().contains("`ensure_replicated` enables the stream"), "{error}");

    let told = ["mantissa-log-state: enable the stream (new and old images) in us-east-1"];
    let updates = Match::operation("UpdateTable");
    let before = world.asked(&updates);
    assert_eq!(store.ensure_replicated(true).await.unwrap(), told);
    assert_eq!(world.asked(&updates), before);
    assert_eq!(store.ensure_replicated(false).await.unwrap(), told);
    assert_eq!(store.ensure_replicated(false).await.unwrap(), [""; 0]);
    assert_eq!(world.asked(&updates), before + 1);
    // What the stream that was disabled held has not been read.
    let look = store.reconcile(&region(WEST), cursor.as_ref()).await.unwrap();
    assert_eq!(look.unread, [region(EAST)]);
    assert_eq!(store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap().unread, none());

    set_stream(&world, EAST, None).await;
    set_stream(&world, EAST, Some("KEYS_ONLY")).await;
    let error = store.reconcile(&region(WEST), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "a stream without images tells nothing: {error}");
}

/// Protects people from a region that is never looked at: what does not pass by itself is an error, with what to do.
#[tokio::test]
async fn a_refusal_is_an_error_and_too_many_readers_pass() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let answer = |code: &str| {
        let code = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"no"}}"#);
        world.proxy.when(Match::operation("GetRecords").region(EAST), Action::answer(400, code))
    };
    let rule = answer("AccessDeniedException");
    let error = store.reconcile(&region(WEST), None).await.unwrap_err();
    assert_eq!((error.kind(), error.region()), (ErrorKind::PermissionDenied, Some(&region(EAST))));
    assert!(error.advice().unwrap().contains("dynamodb:GetRecords"), "{error}");
    world.proxy.remove(rule);
    let rule = answer("LimitExceededException");
    assert_eq!(store.reconcile(&region(WEST), None).await.unwrap().unread, [region(EAST)]);
    let error = store.reconcile(&region(EAST), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(error.advice().unwrap().contains("two readers"), "{error}");
    world.proxy.remove(rule);
    assert_eq!(store.reconcile(&region(EAST), None).await.unwrap().unread, none());
}

/// Protects against records that are read twice, and against places that the service has forgotten.
#[tokio::test]
async fn a_look_goes_on_where_the_last_one_stopped_and_says_what_was_forgotten() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    write(&store, WEST, put("k", "newer", Epoch(4))).await;
    let look = store.reconcile(&region(WEST), None).await.unwrap();
    let lookups = Match::operation("GetShardIterator").region(EAST);
    let asked = world.asked(&lookups);
    let look = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap();
    assert_eq!(world.asked(&lookups), asked, "the service's own place is still good");

    // A place that is too old is looked up by the last record.
    let refused = |operation: &str, code: &str| {
        let code = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"too old"}}"#);
        world.proxy.when(Match::operation(operation).region(EAST).nth(1), Action::answer(400, code))
    };
    refused("GetRecords", "ExpiredIteratorException");
    let look = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap();
    assert_eq!(look.unread, none());
    let last = |log: Vec<Exchange>| log.last().map(Exchange::text).unwrap_or_default();
    let sent = last(world.proxy.log_of(&lookups));
    assert!(sent.contains("AFTER_SEQUENCE_NUMBER"), "{sent}");

    // What is forgotten is said, once, and the shard is read from what is left of it.
    refused("GetRecords", "ExpiredIteratorException");
    refused("GetShardIterator", "TrimmedDataAccessException");
    let look = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap();
    assert_eq!(look.unread, [region(EAST)]);
    let sent = last(world.proxy.log_of(&lookups));
    assert!(sent.contains("TRIM_HORIZON"), "{sent}");
    let look = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap();
    assert_eq!(look.unread, none());
    // So is what was read so long ago that nobody knows what has been forgotten since.
    let Cursor(text) = look.cursor.unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    old["regions"][WEST]["at"] = 0.into();
    let look = store.reconcile(&region(WEST), Some(&Cursor(old.to_string()))).await.unwrap();
    assert_eq!(look.unread, [region(WEST)]);
}

/// The record of a change to an item, with the texts and the epochs that it had.
fn record(key: &str, number: u64, old: (&str, u64), new: (&str, u64)) -> String {
    let image = |(text, epoch): (&str, u64)| {
        format!(
            r#"{{"pk":{{"S":"{key}"}},"text":{{"S":"{text}"}},"mantissa_epoch":{{"N":"{epoch}"}},"mantissa_version":{{"S":"{text}"}}}}"#
        )
    };
    let (old, new) = (image(old), image(new));
    format!(
        r#"{{"eventName":"MODIFY","dynamodb":{{"Keys":{{"pk":{{"S":"{key}"}}}},"SequenceNumber":"{number}","OldImage":{old},"NewImage":{new}}}}}"#
    )
}

/// Protects the order of a key's changes where the service splits a shard, which the emulator never does: its answers are
/// made up, with two pages of shards, a child that is listed before its parent, and stretches without records.
#[tokio::test]
async fn shards_are_read_to_their_end_and_parents_before_their_children() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    write(&store, WEST, put("k", "shown", Epoch(9))).await;
    let script = |operation: &str, body: &str, answer: String| {
        world.proxy.when(Match::operation(operation).region(EAST).body(body), Action::answer(200, answer))
    };
    let shards = |shards: &str, last: &str| {
        format!(r#"{{"StreamDescription":{{"StreamStatus":"ENABLED","Shards":[{shards}]{last}}}}}"#)
    };
    let (child, parent) = (
        r#"{"ShardId":"shard-child","ParentShardId":"shard-parent","SequenceNumberRange":{"StartingSequenceNumber":"5"}}"#,
        r#"{"ShardId":"shard-parent","ParentShardId":"gone","SequenceNumberRange":{"StartingSequenceNumber":"1","EndingSequenceNumber":"4"}}"#,
    );
    script("DescribeStream", "ExclusiveStartShardId", shards(parent, ""));
    script("DescribeStream", "", shards(child, r#","LastEvaluatedShardId":"shard-child""#));
    for shard in ["shard-parent", "shard-child"] {
        script("GetShardIterator", shard, format!(r#"{{"ShardIterator":"{shard}-0"}}"#));
    }
    let page = |iterator: &str, records: &str, next: Option<&str>| {
        let next = next.map(|next| format!(r#","NextShardIterator":"{next}""#)).unwrap_or_default();
        script("GetRecords", iterator, format!(r#"{{"Records":[{records}]{next}}}"#))
    };
    // The same epoch is overtaken twice: the second time in the child.
    page("shard-parent-0", "", Some("shard-parent-1"));
    page("shard-parent-1", &record("k", 2, ("first", 4), ("late", 3)), Some("shard-parent-2"));
    page("shard-parent-2", "", None);
    page("shard-child-0", "", Some("shard-child-1"));
    page("shard-child-1", "", Some("shard-child-2"));
    let records =
        [record("k", 6, ("late", 3), ("second", 4)), record("k", 7, ("second", 4), ("later", 2))].join(",");
    page("shard-child-2", &records, Some("shard-child-3"));
    page("shard-child-3", "", Some("shard-child-3"));

    let look = store.reconcile(&region(WEST), None).await.unwrap();
    let found = &look.overtaken[0];
    assert_eq!((found.late, found.newer, found.outcome), (Epoch(2), Epoch(4), Reconciliation::Rewritten));
    let asked: Vec<String> = world
        .proxy
        .log_of(&Match::operation("GetRecords").region(EAST))
        .iter()
        .map(|page| {
            serde_json::from_str::<serde_json::Value>(&page.text()).unwrap()["ShardIterator"].to_string()
        })
        .collect();
    let parents = asked.iter().take_while(|iterator| iterator.contains("parent")).count();
    assert_eq!((parents, asked[parents..].iter().any(|iterator| iterator.contains("parent"))), (3, false));

    // A shard that has been read to its end is not read again; the other one goes on.
    let look = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap();
    assert_eq!((look.overtaken, look.unread), (vec![], vec![]));
    let again = world.proxy.log_of(&Match::operation("GetRecords").region(EAST));
    let again: Vec<String> = again[asked.len()..].iter().map(Exchange::text).collect();
    assert!(again.len() == 1 && again[0].contains("shard-child-3"), "{again:?}");
}

/// Protects the deadline of the call, and the memory: what is found beyond a hundred items is left for the next look.
#[tokio::test]
async fn a_look_has_an_end_and_the_next_one_begins_there() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let records: Vec<String> =
        (0..100).map(|number| record(&format!("k{number}"), number, ("newer", 4), ("late", 3))).collect();
    let pages = Match::operation("GetRecords").region(EAST);
    let page =
        |records: &str, next: &str| format!(r#"{{"Records":[{records}],"NextShardIterator":"{next}"}}"#);
    world.proxy.when(pages.clone().nth(1), Action::answer(200, page(&records.join(","), "the-second-page")));
    let last = record("last", 100, ("newer", 4), ("late", 3));
    world
        .proxy
        .when(pages.clone().body("the-second-page"), Action::answer(200, page(&last, "the-third-page")));
    world.proxy.when(pages.clone().body("the-third-page"), Action::answer(200, page("", "the-third-page")));

    let look = store.reconcile(&region(WEST), None).await.unwrap();
    assert_eq!((look.overtaken.len(), world.asked(&pages)), (100, 1));
    let look = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap();
    let keys: Vec<String> = look.overtaken.iter().map(|overtaken| overtaken.key.to_string()).collect();
    assert_eq!((keys, world.asked(&pages)), (vec!["last".to_owned()], 3));
}
