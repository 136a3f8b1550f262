use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, CreateReplicationGroupMemberAction, KeySchemaElement,
    KeyType, ReplicationGroupUpdate, ScalarAttributeType,
};
use mantissa_mr_aws::Connected;
use mantissa_mr_core::cell::{CellVersion, Expected, StoreOutcome};
use mantissa_mr_core::error::{Effect, ErrorKind};
use test_support::http::Request;
use test_support::{Action, Emulator, Match, or_skip};

use crate::world::{WEST, WITNESS, World, cell, deployment};

/// Cells whose table is there.
async fn cells(world: &World) -> Connected {
    let connected = world.connect(&deployment("")).await;
    connected.init(false).await.unwrap();
    connected
}

fn version(outcome: StoreOutcome) -> CellVersion {
    match outcome {
        StoreOutcome::Applied { version } => version,
        other => panic!("{other:?}"),
    }
}

/// Protects the ledger: of sixteen writers that saw the same state exactly one wins, round after round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_writers_exactly_one_wins() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = cells(&world).await;
    let mut expected = Expected::Absent;
    for round in 0..8 {
        let writers = (0..16).map(|writer| {
            let (cells, expected) = (connected.cells.clone(), expected.clone());
            tokio::spawn(async move {
                let value = format!("{round}/{writer}");
                (value.clone(), cells.store(&cell("race"), &expected, value.as_bytes()).await.unwrap())
            })
        });
        let mut winners = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                (value, StoreOutcome::Applied { version }) => winners.push((value, version)),
                (_, outcome) => assert_eq!(outcome, StoreOutcome::Lost),
            }
        }
        let [(value, version)] = winners.as_slice() else { panic!("round {round}: {winners:?}") };
        let held = connected.cells.load(&cell("race")).await.unwrap().unwrap();
        assert_eq!((held.value, &held.version), (value.as_bytes().to_vec(), version));
        expected = Expected::Version(version.clone());
    }
}

/// Protects against calling a write lost whose answer was: it is unknown, sent once, and found by a read.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_unknown_and_was_sent_once() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    let puts = Match::operation("PutItem");
    for (fault, landed) in [(Action::DropAfter, true), (Action::DropBefore, false), (Action::Reset, false)] {
        let name = cell(&format!("lost/{landed}/{}", world.asked(&puts)));
        let before = world.asked(&puts);
        let rule = world.proxy.when(puts.clone(), fault);
        let outcome = cells.store(&name, &Expected::Absent, b"mine").await.unwrap();
        world.proxy.remove(rule);
        let StoreOutcome::Unknown { why } = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("it may have taken effect"), "{why}");
        assert_eq!(world.asked(&puts), before + 1, "the SDK must not send it again");
        let held = cells.load(&name).await.unwrap();
        assert_eq!(held.is_some_and(|held| held.value == b"mine"), landed);
    }
}

/// Protects the settling of an unknown write: once the version has moved, the late write must fail.
#[tokio::test]
async fn a_late_write_fails_once_the_version_has_moved() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    let name = cell("late");
    let first = version(cells.store(&name, &Expected::Absent, b"0").await.unwrap());
    let (release, held_back) = std::sync::mpsc::channel::<()>();
    let held_back = std::sync::Mutex::new(held_back);
    let wait = Action::before(move |_| {
        let _ = held_back.lock().unwrap().recv();
    });
    let rule = world.proxy.when(Match::operation("PutItem").nth(1), wait);
    let late = tokio::spawn({
        let (cells, name, first) = (cells.clone(), name.clone(), first.clone());
        async move { cells.store(&name, &Expected::Version(first), b"late").await.unwrap() }
    });
    while world.asked(&Match::operation("PutItem")) < 2 {
        tokio::task::yield_now().await;
    }
    let second = version(cells.store(&name, &Expected::Version(first), b"settled").await.unwrap());
    release.send(()).unwrap();
    assert_eq!(late.await.unwrap(), StoreOutcome::Lost);
    world.proxy.remove(rule);
    let held = cells.load(&name).await.unwrap().unwrap();
    assert_eq!((held.value, held.version), (b"settled".to_vec(), second));
}

/// Protects against calling a write lost that met itself, because something on the way sent it twice.
#[tokio::test]
async fn a_write_that_was_sent_twice_on_the_way_is_applied() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    let (endpoint, account) = (world.endpoint.clone(), world.account.clone());
    world.proxy.when(
        Match::operation("PutItem"),
        Action::before(move |exchange| {
            let twin = Request::post(&endpoint, "/")
                .aws(&account, WITNESS, "dynamodb")
                .header("x-amz-target", "DynamoDB_20120810.PutItem")
                .header("content-type", "application/x-amz-json-1.0");
            assert_eq!(twin.body(exchange.body.to_vec()).send().unwrap().status, 200);
        }),
    );
    let applied = version(cells.store(&cell("twice"), &Expected::Absent, b"v").await.unwrap());
    let refused = world.proxy.log_of(&Match::operation("PutItem"));
    assert_eq!(refused.last().unwrap().upstream, Some(400), "the second one failed its condition");
    assert_eq!(cells.load(&cell("twice")).await.unwrap().unwrap().version, applied);
}

/// Protects against an unknown that is none: where no connection was made, nothing can have been written.
#[tokio::test]
async fn a_write_that_was_certainly_not_made_is_an_error() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    cells.load(&cell("x")).await.unwrap();
    let throttled = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}"#;
    world.proxy.when(Match::operation("PutItem"), Action::answer(400, throttled));
    let error = cells.store(&cell("x"), &Expected::Absent, b"v").await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Throttled, Effect::None));
}

/// Protects against a ledger that two regions can both win.
#[tokio::test]
async fn a_global_table_is_refused_as_a_ledger() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = cells(&world).await;
    let create = CreateReplicationGroupMemberAction::builder().region_name(WEST).build().unwrap();
    let replica = ReplicationGroupUpdate::builder().create(create).build();
    world
        .dynamodb(WITNESS)
        .update_table()
        .table_name("ledger")
        .replica_updates(replica)
        .send()
        .await
        .unwrap();
    for error in [
        connected.init(false).await.unwrap_err(),
        world.connect(&deployment("")).await.cells.load(&cell("x")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("two regions could both win"), "{error}");
    }
    let stored = world.connect(&deployment("")).await.cells.store(&cell("x"), &Expected::Absent, b"v").await;
    assert_eq!(stored.unwrap_err().effect(), Effect::None);
    assert_eq!(world.asked(&Match::operation("PutItem")), 0, "nothing may be written into it");
}

/// Protects the first step of everybody: a dry run changes nothing, and init can be repeated.
#[tokio::test]
async fn init_makes_the_table_once_and_says_what_it_does() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = world.connect(&deployment("")).await;
    let missing = connected.cells.load(&cell("x")).await.unwrap_err();
    assert_eq!((missing.kind(), missing.advice()), (ErrorKind::NotFound, Some("create it with `init`")));
    let told = ["create the DynamoDB table ledger in us-east-2 for the ledger"];
    assert_eq!(connected.init(true).await.unwrap(), told);
    assert_eq!(world.asked(&Match::operation("CreateTable")), 0);
    assert_eq!(connected.init(false).await.unwrap(), told);
    assert_eq!(connected.init(false).await.unwrap(), [""; 0]);
    assert_eq!(connected.cells.load(&cell("x")).await.unwrap(), None);
    let table =
        world.dynamodb(WITNESS).describe_table().table_name("ledger").send().await.unwrap().table.unwrap();
    assert_eq!(table.deletion_protection_enabled, Some(true));
    assert_eq!(connected.cells.durability().place, "DynamoDB table ledger in us-east-2");
}

/// Protects against building on what somebody else wrote.
#[tokio::test]
async fn foreign_tables_and_foreign_items_are_refused() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let dynamodb = world.dynamodb(WITNESS);
    let connected = cells(&world).await;
    let item = dynamodb.put_item().table_name("ledger").item("pk", AttributeValue::S("alien".to_owned()));
    item.send().await.unwrap();
    assert_eq!(connected.cells.load(&cell("alien")).await.unwrap_err().kind(), ErrorKind::Corrupt);

    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
    let kind = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let other = dynamodb.create_table().table_name("other").key_schema(key);
    let other = other.attribute_definitions(kind.build().unwrap()).billing_mode(BillingMode::PayPerRequest);
    other.send().await.unwrap();
    let elsewhere = deployment("").replace("\"ledger\"", "\"other\"");
    let error = world.connect(&elsewhere).await.init(false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.advice().unwrap().contains("witness.settings.table"));
}
