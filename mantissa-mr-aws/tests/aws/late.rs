//! Writes of an older epoch that land late, and what becomes of what they overwrote.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use mantissa_mr_aws::store::EPOCH;
use mantissa_mr_core::error::{Effect, ErrorKind};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::store::{
    Item, Key, LateWrites, Overtaken, Precondition, PutItem, Reconciliation, ReplicatedStore,
};
use test_support::{Action, Emulator, Match, or_skip};

use crate::store::{PLAIN, TABLE, create, replicated, store};
use crate::world::{EAST, WEST, World, region};

/// The epoch in which the east served, and the one in which the west does.
const OLDER: Epoch = Epoch(3);
const NEWER: Epoch = Epoch(4);

pub(crate) fn put(key: &str, text: &str, epoch: Epoch) -> PutItem {
    let value = format!(r#"{{"text":{{"S":"{text}"}}}}"#).into_bytes();
    PutItem { key: Key::new(key), value, epoch: Some(epoch) }
}

pub(crate) async fn write(store: &Arc<dyn ReplicatedStore>, name: &str, item: PutItem) {
    store.put(&region(name), item, Precondition::None).await.unwrap();
}

pub(crate) async fn shows(
    store: &Arc<dyn ReplicatedStore>,
    name: &str,
    key: &str,
) -> (String, Option<Epoch>) {
    let Item { value, epoch, .. } = store.get(&region(name), &Key::new(key)).await.unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&value).unwrap();
    (json["text"]["S"].as_str().unwrap().to_owned(), epoch)
}

pub(crate) fn overtaken(key: &str, found_in: &str, outcome: Reconciliation) -> Overtaken {
    Overtaken { key: Key::new(key), found_in: region(found_in), late: OLDER, newer: NEWER, outcome }
}

/// A key that the west wrote, and that a late write of the east has taken the place of everywhere.
pub(crate) async fn overtake(store: &Arc<dyn ReplicatedStore>, key: &str) {
    write(store, WEST, put(key, "newer", NEWER)).await;
    write(store, EAST, put(key, "late", OLDER)).await;
    for name in [EAST, WEST] {
        assert_eq!(shows(store, name, key).await, ("late".to_owned(), Some(OLDER)), "the last writer wins");
    }
}

/// Protects rule 1 where the store cannot: a write that was permitted, hung on its way while its region was left, and landed
/// when another had served for a while, takes nothing with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_lands_after_its_region_was_left_is_found_and_undone() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    write(&store, EAST, put("k", "first", OLDER)).await;
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let held = Match::operation("PutItem").region(EAST).nth(1);
    world.proxy.when(
        held,
        Action::before(move |_| _ = released.lock().unwrap_or_else(PoisonError::into_inner).recv()),
    );
    let late = {
        let store = store.clone();
        tokio::spawn(
            async move { store.put(&region(EAST), put("k", "late", OLDER), Precondition::None).await },
        )
    };
    let puts = Match::operation("PutItem").region(EAST);
    while world.asked(&puts) < 2 {
        tokio::task::yield_now().await;
    }
    // The region is left, and the other one serves.
    write(&store, WEST, put("k", "newer", NEWER)).await;
    assert_eq!(shows(&store, EAST, "k").await, ("newer".to_owned(), Some(NEWER)));
    let quiet = store.reconcile(&region(WEST), None).await.unwrap();
    assert_eq!((quiet.overtaken, quiet.unread), (vec![], vec![]));

    release.send(()).unwrap();
    late.await.unwrap().unwrap();
    for name in [EAST, WEST] {
        assert_eq!(shows(&store, name, "k").await, ("late".to_owned(), Some(OLDER)));
    }
    let look = store.reconcile(&region(WEST), quiet.cursor.as_ref()).await.unwrap();
    assert_eq!(look.overtaken, [overtaken("k", WEST, Reconciliation::Restored)]);
    for name in [EAST, WEST] {
        assert_eq!(shows(&store, name, "k").await, ("newer".to_owned(), Some(NEWER)));
    }
    for after in [look.cursor.as_ref(), quiet.cursor.as_ref(), None] {
        assert_eq!(store.reconcile(&region(WEST), after).await.unwrap().overtaken, []);
    }
}

/// Protects services that write with the SDK alone: the epoch's attribute is all they must keep.
#[tokio::test]
async fn items_that_services_wrote_themselves_are_put_back_by_the_epoch_that_they_carry() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let put = async |name: &str, key: &str, text: &str, epoch: Epoch| {
        let request = world.dynamodb(name).put_item().table_name(TABLE);
        let request = request.item("pk", AttributeValue::S(key.to_owned()));
        let request = request.item("text", AttributeValue::S(text.to_owned()));
        request.item(EPOCH, AttributeValue::N(epoch.to_string())).send().await.unwrap();
    };
    for key in ["whole", "updated", "deleted"] {
        put(WEST, key, "newer", NEWER).await;
        put(EAST, key, "late", OLDER).await;
    }
    // These were changed since, by whoever does not say in which epoch: what they did is theirs.
    let update = world.dynamodb(WEST).update_item().table_name(TABLE);
    let update =
        update.key("pk", AttributeValue::S("updated".to_owned())).update_expression("SET added = :v");
    update.expression_attribute_values(":v", AttributeValue::Bool(true)).send().await.unwrap();
    store.delete(&region(WEST), &Key::new("deleted"), None, Precondition::None).await.unwrap();

    let look = store.reconcile(&region(WEST), None).await.unwrap();
    let wanted = [
        overtaken("deleted", WEST, Reconciliation::Rewritten),
        overtaken("updated", WEST, Reconciliation::Rewritten),
        overtaken("whole", WEST, Reconciliation::Restored),
    ];
    assert_eq!(look.overtaken, wanted);
    assert_eq!(shows(&store, EAST, "whole").await, ("newer".to_owned(), Some(NEWER)));
    assert_eq!(shows(&store, EAST, "updated").await, ("late".to_owned(), Some(OLDER)));
    assert_eq!(store.get(&region(EAST), &Key::new("deleted")).await.unwrap(), None);
}

/// Protects the region that serves: between the look at an item and its being put back somebody may write it.
#[tokio::test]
async fn an_item_that_is_written_while_it_is_put_back_is_left_alone() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    overtake(&store, "k").await;
    let (runtime, client) = (tokio::runtime::Handle::current(), world.dynamodb(WEST));
    world.proxy.when(
        Match::operation("PutItem").region(WEST).body("ConditionExpression").nth(1),
        Action::before(move |_| {
            let write = client.put_item().table_name(TABLE).item("pk", AttributeValue::S("k".to_owned()));
            let write = write.item("text", AttributeValue::S("meanwhile".to_owned()));
            runtime.block_on(write.item(EPOCH, AttributeValue::N(NEWER.to_string())).send()).unwrap();
        }),
    );
    let look = store.reconcile(&region(WEST), None).await.unwrap();
    assert_eq!(look.overtaken, [overtaken("k", WEST, Reconciliation::Rewritten)]);
    assert_eq!(shows(&store, WEST, "k").await, ("meanwhile".to_owned(), Some(NEWER)));
}

/// Protects people from a change that nobody tells them of: an answer that was lost is no reason to be silent.
#[tokio::test]
async fn what_was_put_back_is_told_even_if_the_answer_was_lost() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let restores = || Match::operation("PutItem").region(WEST).body("ConditionExpression");
    overtake(&store, "a").await;
    world.proxy.when(restores().nth(1), Action::DropAfter);
    let look = store.reconcile(&region(WEST), None).await.unwrap();
    assert_eq!(look.overtaken, [overtaken("a", WEST, Reconciliation::Restored)]);
    assert_eq!(world.asked(&restores()), 1, "the item itself told what became of the request");

    // This time the region is gone before the item can be looked at, so the whole look fails.
    world.proxy.heal();
    overtake(&store, "b").await;
    world.proxy.when(restores().nth(1), Action::DropAfter);
    world.proxy.when(Match::operation("GetItem").region(WEST).nth(2), Action::Reset);
    let failed = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap_err();
    assert_eq!((failed.kind(), failed.effect()), (ErrorKind::Unavailable, Effect::None), "{failed}");
    assert_eq!(shows(&store, WEST, "b").await, ("newer".to_owned(), Some(NEWER)), "it had been put back");
    let again = store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap();
    assert_eq!(again.overtaken, [overtaken("b", WEST, Reconciliation::Restored)]);
    assert_eq!(store.reconcile(&region(WEST), look.cursor.as_ref()).await.unwrap().overtaken, []);

    // A request that never arrives has put nothing back, and is not told as if.
    world.proxy.heal();
    overtake(&store, "c").await;
    world.proxy.when(restores(), Action::DropBefore);
    let failed = store.reconcile(&region(WEST), again.cursor.as_ref()).await.unwrap_err();
    assert_eq!((failed.kind(), failed.effect()), (ErrorKind::Unavailable, Effect::Unknown), "{failed}");
    world.proxy.heal();
    let look = store.reconcile(&region(WEST), again.cursor.as_ref()).await.unwrap();
    assert_eq!(look.overtaken, [overtaken("c", WEST, Reconciliation::Restored)]);
}

/// Protects what never reached the region that serves: only the region that was left between two others knows of it.
#[tokio::test]
async fn what_another_region_alone_remembers_is_put_back_too() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    // Two tables that do not replicate: what arrives where is in this test's hands.
    for name in [EAST, WEST] {
        create(&world.dynamodb(name), &PLAIN).await;
        crate::late_streams::set_stream(&world, name, Some("NEW_AND_OLD_IMAGES")).await;
    }
    let store = store(&world, "").await;
    write(&store, EAST, put("k", "newer", NEWER)).await;
    let late = put("k", "late", OLDER);
    write(&store, EAST, late).await;
    let item = world.dynamodb(EAST).get_item().table_name(TABLE).key("pk", AttributeValue::S("k".to_owned()));
    let item = item.send().await.unwrap().item;
    world.dynamodb(WEST).put_item().table_name(TABLE).set_item(item).send().await.unwrap();

    let look = store.reconcile(&region(WEST), None).await.unwrap();
    assert_eq!(look.overtaken, [overtaken("k", EAST, Reconciliation::Restored)]);
    assert_eq!(shows(&store, WEST, "k").await, ("newer".to_owned(), Some(NEWER)));
    assert_eq!(shows(&store, EAST, "k").await.0, "late", "the service carries it there, not this library");
}

/// Protects the size of a look: many items at once are put back, and each is told.
#[tokio::test]
async fn many_items_are_put_back_in_one_look() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let keys: Vec<String> = (0..40).map(|number| format!("k{number:02}")).collect();
    for key in &keys {
        write(&store, WEST, put(key, "newer", NEWER)).await;
        write(&store, EAST, put(key, "late", OLDER)).await;
    }
    let look = store.reconcile(&region(WEST), None).await.unwrap();
    let wanted: Vec<_> = keys.iter().map(|key| overtaken(key, WEST, Reconciliation::Restored)).collect();
    assert_eq!(look.overtaken, wanted);
    for key in &keys {
        assert_eq!(shows(&store, EAST, key).await, ("newer".to_owned(), Some(NEWER)));
    }
}

/// Protects who asks for it: a table whose late writes nobody wants looked for says so.
#[tokio::test]
async fn a_store_may_be_told_not_to_look() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, ", late-writes = \"unseen\"").await;
    assert_eq!(store.capabilities().late_writes, LateWrites::Unseen);
    let error = store.reconcile(&region(WEST), None).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    assert!(error.advice().unwrap().contains("`late-writes = \"undone\"`"), "{error}");
}
