use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use futures_util::TryStreamExt;
use mantissa_mr_core::error::{Effect, ErrorKind};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::ExecutionId;
use mantissa_mr_core::store::{
    Barrier, Drained, Item, Key, Lag, LateWrites, Precondition, Promotion, PutItem, ReplicatedStore, Role,
};
use test_support::{Action, Emulator, Match, or_skip};

use crate::world::{EAST, WEST, World, deployment, region, resource};

pub(crate) const TABLE: &str = "mantissa-log-state";

pub(crate) fn group(settings: &str) -> String {
    deployment(&format!(
        r#"
        [[groups.stores]]
        name = "state"
        kind = "dynamodb-global-table"
        settings = {{ table = "{TABLE}"{settings} }}
        "#
    ))
}

pub(crate) async fn store(world: &World, settings: &str) -> Arc<dyn ReplicatedStore> {
    world.connect(&group(settings)).await.stores[&resource("state")].clone()
}

/// Creates a table with these key attributes, as the product's Terraform would.
pub(crate) async fn create(client: &Client, keys: &[(&str, ScalarAttributeType)]) {
    let mut request = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    for ((name, kind), role) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let element = KeySchemaElement::builder().attribute_name(*name).key_type(role).build().unwrap();
        let definition = AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone());
        request = request.key_schema(element).attribute_definitions(definition.build().unwrap());
    }
    request.send().await.unwrap();
}

pub(crate) const PLAIN: [(&str, ScalarAttributeType); 1] = [("pk", ScalarAttributeType::S)];

/// A store in both regions.
pub(crate) async fn replicated(world: &World, settings: &str) -> Arc<dyn ReplicatedStore> {
    create(&world.dynamodb(EAST), &PLAIN).await;
    let store = store(world, settings).await;
    store.ensure_replicated(false).await.unwrap();
    store
}

fn put(key: &str, value: &str) -> PutItem {
    PutItem { key: Key::new(key), value: value.as_bytes().to_vec(), epoch: Some(Epoch(3)) }
}

fn barrier(execution: &str) -> Barrier {
    Barrier {
        execution: ExecutionId::new(execution).unwrap(),
        epoch: Epoch(3),
        from: region(EAST),
        to: region(WEST),
    }
}

async fn keys(store: &Arc<dyn ReplicatedStore>, name: &str, prefix: &str) -> Vec<Key> {
    let items: Vec<Item> = store.list(&region(name), prefix).try_collect().await.unwrap();
    let mut keys: Vec<Key> = items.into_iter().map(|item| item.key).collect();
    keys.sort();
    keys
}

/// Protects the guide's step 5: what is missing is added, streams first, and a dry run only says so.
#[tokio::test]
async fn replication_is_set_up_once_and_in_order() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    create(&world.dynamodb(EAST), &PLAIN).await;
    let store = store(&world, "").await;
    let roles = async || {
        let status = store.status().await.unwrap();
        status
            .replicas
            .into_iter()
            .map(|(region, replica)| (region, replica.role))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(roles().await, BTreeMap::from([(region(EAST), Role::Writer), (region(WEST), Role::Absent)]));
    let told = [
        "mantissa-log-state: enable the stream (new and old images) in us-east-1",
        "mantissa-log-state: add a replica of us-east-1 in us-west-2",
    ];
    let updates = Match::operation("UpdateTable");
    assert_eq!(store.ensure_replicated(true).await.unwrap(), told);
    assert_eq!(world.asked(&updates), 0);
    assert_eq!(store.ensure_replicated(false).await.unwrap(), told);
    let sent: Vec<String> = world.proxy.log_of(&updates).iter().map(|exchange| exchange.text()).collect();
    assert!(sent[0].contains("NEW_AND_OLD_IMAGES") && sent[1].contains("us-west-2"), "{sent:?}");
    assert_eq!(store.ensure_replicated(false).await.unwrap(), [""; 0]);
    assert_eq!(world.asked(&updates), 2);
    assert_eq!(roles().await, BTreeMap::from([(region(EAST), Role::Writer), (region(WEST), Role::Writer)]));
}

/// Protects the data: items of every type and key schema come back as they were, from the other region too.
#[tokio::test]
async fn items_are_written_here_and_read_there_with_any_key_schema() {
    let emulator = or_skip!(Emulator::shared());
    use ScalarAttributeType::{B, N, S};
    for (schema, key) in [
        (vec![("session_id", S)], vec!["a/b ü"]),
        (vec![("pk", S), ("sk", N)], vec!["x", "-12.5"]),
        (vec![("digest", B), ("alert_id", S)], vec!["AAH/", "é"]),
    ] {
        let world = World::new(emulator);
        create(&world.dynamodb(EAST), &schema).await;
        let store = store(&world, "").await;
        store.ensure_replicated(false).await.unwrap();
        let key = Key(key.into_iter().map(str::to_owned).collect());
        let value =
            r#"{"b":{"B":"AQID"},"l":{"L":[{"N":"1.5"},{"NULL":true}]},"m":{"M":{"x":{"SS":["p","q"]}}}}"#;
        let item = PutItem { key: key.clone(), value: value.as_bytes().to_vec(), epoch: Some(Epoch(3)) };
        let version = store.put(&region(EAST), item, Precondition::Absent).await.unwrap();
        let there = store.get(&region(WEST), &key).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(there.value).unwrap(), value);
        assert_eq!((there.epoch, there.version.clone(), there.key), (Some(Epoch(3)), version, key.clone()));
        store.delete(&region(WEST), &key, None, Precondition::Version(there.version)).await.unwrap();
        assert_eq!(store.get(&region(EAST), &key).await.unwrap(), None);
    }
}

/// Protects concurrent writers of one region: a condition that does not hold is a conflict and changes nothing.
#[tokio::test]
async fn conditions_hold_against_this_store_and_against_foreign_writers() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let east = region(EAST);
    let first = store.put(&east, put("k", r#"{"n":{"N":"1.0"}}"#), Precondition::Absent).await.unwrap();
    let held = store.get(&east, &Key::new("k")).await.unwrap().unwrap();
    assert_eq!(held.version, first, "the version that was given is the one that is read");
    let conflict = async |condition| {
        let error = store.put(&east, put("k", r#"{"n":{"N":"9"}}"#), condition).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{error}");
    };
    conflict(Precondition::Absent).await;
    let second = store.put(&east, put("k", r#"{"n":{"N":"1"}}"#), Precondition::Version(first.clone())).await;
    assert_ne!(second.as_ref().unwrap(), &first, "the same content written again is another version");
    conflict(Precondition::Version(first)).await;

    // The product's own code changes an attribute, and then adds one.
    let mut version = second.unwrap();
    for update in ["SET n = :v", "SET added = :v"] {
        let foreign = world.dynamodb(EAST);
        let foreign = foreign.update_item().table_name(TABLE).key("pk", AttributeValue::S("k".to_owned()));
        let value = AttributeValue::N("5".to_owned());
        foreign.update_expression(update).expression_attribute_values(":v", value).send().await.unwrap();
        conflict(Precondition::Version(version)).await;
        version = store.get(&east, &Key::new("k")).await.unwrap().unwrap().version;
    }
    let gone = store.delete(&east, &Key::new("k"), None, Precondition::Absent).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Conflict);
    store.delete(&east, &Key::new("k"), None, Precondition::Version(version.clone())).await.unwrap();
    conflict(Precondition::Version(version)).await;
    store.delete(&east, &Key::new("k"), None, Precondition::None).await.unwrap();
}

/// Protects against a change between the read and the write that a version takes.
#[tokio::test]
async fn the_service_itself_compares_what_was_read() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let east = region(EAST);
    let version = store.put(&east, put("k", r#"{"n":{"N":"1"}}"#), Precondition::None).await.unwrap();
    // Another writer gets in after the item was read again, before the write arrives.
    let (runtime, client) = (tokio::runtime::Handle::current(), world.dynamodb(EAST));
    let rule = world.proxy.when(
        Match::operation("PutItem"),
        Action::before(move |_| {
            let update = client.update_item().table_name(TABLE).key("pk", AttributeValue::S("k".to_owned()));
            let update = update.update_expression("SET n = :v");
            let update = update.expression_attribute_values(":v", AttributeValue::N("2".to_owned()));
            runtime.block_on(update.send()).unwrap();
        }),
    );
    let late = store.put(&east, put("k", r#"{"n":{"N":"3"}}"#), Precondition::Version(version)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
    world.proxy.remove(rule);
    let held = store.get(&east, &Key::new("k")).await.unwrap().unwrap();
    assert_eq!(held.value, br#"{"n":{"N":"2"}}"#);
}

/// Protects the listing: all pages, the prefix, and none of this library's own items.
#[tokio::test]
async fn lists_go_over_all_pages() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, ", canary = true").await;
    let large = format!(r#"{{"x":{{"S":"{}"}}}}"#, "x".repeat(300_000));
    for key in ["a1", "a2", "a3", "a4", "a5", "b1"] {
        store.put(&region(EAST), put(key, &large), Precondition::None).await.unwrap();
    }
    store.status().await.unwrap();
    let wanted = ["a1", "a2", "a3", "a4", "a5"].map(Key::new);
    assert_eq!(keys(&store, WEST, "a").await, wanted);
    assert_eq!(keys(&store, WEST, "").await.len(), 6, "without the canaries");
    assert!(world.asked(&Match::operation("Scan")) > 2, "a page of DynamoDB has at most 1 MB");
}

/// Protects rule 2: drained is what was compared, item by item, and nothing less.
#[tokio::test]
async fn a_drain_is_proven_by_comparing_every_item() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    // Two tables that do not replicate: the replication is in this test's hands.
    for name in [EAST, WEST] {
        create(&world.dynamodb(name), &PLAIN).await;
    }
    let store = store(&world, "").await;
    let copy = async |key: &str, value: &str| {
        let item =
            world.dynamodb(EAST).get_item().table_name(TABLE).key("pk", AttributeValue::S(key.to_owned()));
        let item = item.send().await.unwrap().item;
        assert!(item.is_some(), "{value}");
        world.dynamodb(WEST).put_item().table_name(TABLE).set_item(item).send().await.unwrap();
    };
    for number in 0..40 {
        let (key, value) = (format!("k{number}"), format!(r#"{{"n":{{"N":"{number}"}}}}"#));
        store.put(&region(EAST), put(&key, &value), Precondition::None).await.unwrap();
        if number > 0 {
            copy(&key, &value).await;
        }
    }
    let remaining = |count| Drained::NotYet { remaining: Some(count) };
    assert_eq!(store.drained(&barrier("one")).await.unwrap(), remaining(1), "one is missing");
    let scans = world.asked(&Match::operation("Scan"));
    copy("k0", "").await;
    let how = "compared all 40 items of us-east-1 with us-west-2, key and content".to_owned();
    assert_eq!(store.drained(&barrier("one")).await.unwrap(), Drained::Proven { how: how.clone() });
    assert_eq!(world.asked(&Match::operation("Scan")), scans, "only what differed was looked at again");

    // An older content, and an item whose delete has not arrived.
    let stale = world.dynamodb(WEST).update_item().table_name(TABLE);
    let stale = stale.key("pk", AttributeValue::S("k7".to_owned())).update_expression("SET n = :v");
    stale.expression_attribute_values(":v", AttributeValue::N("0".to_owned())).send().await.unwrap();
    store.put(&region(WEST), put("deleted-in-the-east", "{}"), Precondition::None).await.unwrap();
    assert_eq!(store.drained(&barrier("two")).await.unwrap(), remaining(2));
    copy("k7", "").await;
    store.delete(&region(WEST), &Key::new("deleted-in-the-east"), None, Precondition::None).await.unwrap();
    assert_eq!(store.drained(&barrier("two")).await.unwrap(), Drained::Proven { how });
}

/// Protects against a proof that takes for ever: above the limit it says that it cannot.
#[tokio::test]
async fn a_table_above_the_limit_cannot_be_proven_drained() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, ", compare-limit = 3").await;
    for key in ["a", "b", "c"] {
        store.put(&region(EAST), put(key, "{}"), Precondition::None).await.unwrap();
    }
    assert!(matches!(store.drained(&barrier("three")).await.unwrap(), Drained::Proven { .. }));
    store.put(&region(EAST), put("d", "{}"), Precondition::None).await.unwrap();
    let Drained::CannotProve { why } = store.drained(&barrier("four")).await.unwrap() else { panic!() };
    assert!(why.contains("more than 3 items") && why.contains("`compare-limit`"), "{why}");
}

/// Protects the loss guard: the lag is measured or unknown, and a dead region's last sign of life is kept.
#[tokio::test]
async fn the_lag_is_measured_by_canaries_or_called_unknown() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let blind = replicated(&world, "").await;
    let status = blind.status().await.unwrap();
    for replica in status.replicas.values() {
        let Lag::Unknown { why } = &replica.lag else { panic!("{replica:?}") };
        assert!(why.contains("`canary = true`"), "{why}");
    }
    assert_eq!(world.asked(&Match::operation("PutItem")), 0, "a status without canaries writes nothing");

    let store = store(&world, ", canary = true").await;
    let status = store.status().await.unwrap();
    let watermark = status.replicas[&region(WEST)].watermark.unwrap();
    for replica in status.replicas.values() {
        assert!(matches!(replica.lag, Lag::Known { .. }) && replica.watermark.is_some(), "{replica:?}");
    }
    world.proxy.reset(EAST);
    let status = store.status().await.unwrap();
    assert_eq!(status.replicas[&region(EAST)].role, Role::Unreachable);
    let west = &status.replicas[&region(WEST)];
    assert_eq!((west.role, west.watermark), (Role::Writer, Some(watermark)), "{west:?}");
    assert!(matches!(west.lag, Lag::Known { .. }), "{west:?}");
}

/// Protects the failover from a region that hangs: what is known of the others comes within the deadline of the call.
#[tokio::test]
async fn a_silent_region_hides_nothing_of_the_others() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    replicated(&world, ", canary = true").await.status().await.unwrap();
    let hasty = group(", canary = true").replace("\"60s\"", "\"20s\"");
    let store = world.connect(&hasty).await.stores[&resource("state")].clone();
    let west_is_seen = async |role: Role| {
        let status = tokio::time::timeout(Duration::from_secs(20), store.status()).await.unwrap().unwrap();
        assert_eq!(status.replicas[&region(EAST)].role, role);
        let west = &status.replicas[&region(WEST)];
        assert!(west.role == Role::Writer && matches!(west.lag, Lag::Known { .. }), "{west:?}");
    };
    // It says what it is, and takes no writes: the newest canary that arrived is what is known.
    let rule = world.proxy.when(Match::operation("PutItem").region(EAST), Action::BlackHole);
    west_is_seen(Role::Writer).await;
    world.proxy.remove(rule);
    world.proxy.black_hole(EAST);
    west_is_seen(Role::Unreachable).await;
}

/// Protects callers from silent successes: what the service cannot do is said before and is an error then.
#[tokio::test]
async fn what_a_global_table_cannot_do_is_an_error_that_says_so() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let capabilities = store.capabilities();
    assert!(
        !capabilities.can_fence
            && !capabilities.needs_promotion
            && capabilities.late_writes == LateWrites::Undone
    );
    for error in [
        store.fence(&region(EAST), Epoch(1)).await.unwrap_err(),
        store.unfence(&region(EAST), Epoch(1)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    store.promote(&region(WEST), Promotion::Forced, Epoch(4)).await.unwrap();
    world.dynamodb(EAST).delete_table().table_name(TABLE).send().await.unwrap();
    let error = store.promote(&region(EAST), Promotion::Planned, Epoch(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "a region without a table takes no writes");
}

/// Protects the caller's knowledge of its write, and the content of items from being told in errors.
#[tokio::test]
async fn a_failed_write_says_whether_it_may_have_landed_and_nothing_of_its_content() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let secret = r#"{"password":{"S":"hunter2"}}"#;
    for (fault, landed) in [(Action::DropAfter, true), (Action::DropBefore, false)] {
        let rule = world.proxy.when(Match::operation("PutItem"), fault);
        let key = format!("k{landed}");
        let error = store.put(&region(EAST), put(&key, secret), Precondition::None).await.unwrap_err();
        world.proxy.remove(rule);
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert!(!format!("{error:?} {error:#}").contains("hunter2"), "{error}");
        assert_eq!(store.get(&region(EAST), &Key::new(key)).await.unwrap().is_some(), landed);
    }
    let bad = store.put(&region(EAST), put("k", "hunter2"), Precondition::None).await.unwrap_err();
    assert_eq!((bad.kind(), bad.effect()), (ErrorKind::InvalidInput, Effect::None));
    assert!(!bad.to_string().contains("hunter2"));
}
