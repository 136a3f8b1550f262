use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketLocationConstraint, BucketVersioningStatus,
    CreateBucketConfiguration, Destination, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter, ReplicationConfiguration, ReplicationRule, ReplicationRuleFilter,
    ReplicationRuleStatus, VersioningConfiguration,
};
use mantissa_mr_aws::Connected;
use mantissa_mr_core::cell::{Expected, StoreOutcome};
use mantissa_mr_core::error::{Effect, ErrorKind};
use mantissa_mr_core::ledger::Token;
use mantissa_mr_core::register::{Patience, Swap, Swapped, swap};
use test_support::http::Request;
use test_support::{Action, Emulator, Exchange, Match, or_skip};

use crate::world::{self, EAST, WEST, WITNESS, World, cell};

/// A write of a cell.
pub(crate) fn is_cell(exchange: &Exchange) -> bool {
    exchange.operation.starts_with("PUT /") && exchange.path.contains("/cells/")
}

fn puts() -> Match {
    Match::any().only(is_cell)
}

/// Bucket names are shared by all accounts.
fn bucket(world: &World) -> String {
    format!("ledger-{}", world.account)
}

/// A deployment whose witness is a bucket.
pub(crate) fn deployment(world: &World) -> String {
    let table = r#"{ kind = "dynamodb", region = "us-east-2", settings = { table = "ledger" } }"#;
    let bucket = bucket(world);
    let witness = format!(r#"{{ kind = "s3", region = "{WITNESS}", settings = {{ bucket = "{bucket}" }} }}"#);
    let text = world::deployment("").replace(table, &witness);
    assert!(text.contains(&witness));
    text
}

/// Cells whose place is there.
async fn cells(world: &World) -> Connected {
    let connected = world.connect(&deployment(world)).await;
    connected.init(false).await.unwrap();
    connected
}

pub(crate) async fn create(world: &World, region: &str, bucket: &str) {
    let constraint = BucketLocationConstraint::from(region);
    let elsewhere = CreateBucketConfiguration::builder().location_constraint(constraint).build();
    let elsewhere = (region != EAST).then_some(elsewhere);
    let request = world.s3(region).create_bucket().bucket(bucket);
    request.set_create_bucket_configuration(elsewhere).send().await.unwrap();
}

async fn upload(world: &World, region: &str, key: &str, content: &[u8]) {
    let body = ByteStream::from(content.to_vec());
    world.s3(region).put_object().bucket(bucket(world)).key(key).body(body).send().await.unwrap();
}

async fn download(world: &World, key: &str) -> Vec<u8> {
    let object = world.s3(WITNESS).get_object().bucket(bucket(world)).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().into_bytes().to_vec()
}

async fn version(world: &World, region: &str, bucket: &str) {
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let request = world.s3(region).put_bucket_versioning().bucket(bucket);
    request.versioning_configuration(enabled).send().await.unwrap();
}

/// Protects against calling a write lost whose answer was: it is unknown, sent once, and found by a read.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_unknown_and_was_sent_once() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    for (fault, landed) in [(Action::DropAfter, true), (Action::DropBefore, false), (Action::Reset, false)] {
        let before = world.asked(&puts());
        let name = cell(&format!("lost/{before}"));
        let rule = world.proxy.when(puts(), fault);
        let outcome = cells.store(&name, &Expected::Absent, b"mine").await.unwrap();
        world.proxy.remove(rule);
        let StoreOutcome::Unknown { why } = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("it may have taken effect"), "{why}");
        assert_eq!(world.asked(&puts()), before + 1, "the SDK must not send it again");
        let held = cells.load(&name).await.unwrap();
        assert_eq!(held.is_some_and(|held| held.value == b"mine"), landed);
    }
}

/// Protects against calling a write lost that met itself, because something on the way sent it twice.
#[tokio::test]
async fn a_write_that_was_sent_twice_on_the_way_is_applied() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    let (endpoint, account) = (world.endpoint.clone(), world.account.clone());
    world.proxy.when(
        puts(),
        Action::before(move |exchange| {
            let twin = Request::new("PUT", &endpoint, &exchange.path).aws(&account, WITNESS, "s3");
            let twin = twin.header("if-none-match", "*").body(exchange.body.to_vec());
            assert_eq!(twin.send().unwrap().status, 200);
        }),
    );
    let outcome = cells.store(&cell("twice"), &Expected::Absent, b"v").await.unwrap();
    let refused = world.proxy.log_of(&puts());
    assert_eq!(refused.last().unwrap().upstream, Some(412), "the second one failed its condition");
    let held = cells.load(&cell("twice")).await.unwrap().unwrap();
    assert_eq!((outcome, held.value), (StoreOutcome::Applied { version: held.version }, b"v".to_vec()));
}

/// Protects the winner of a failed condition whose reason cannot be read: it might be this very write.
#[tokio::test]
async fn a_failed_condition_that_cannot_be_looked_into_is_unknown() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    cells.store(&cell("taken"), &Expected::Absent, b"theirs").await.unwrap();
    let reads = world.proxy.when(Match::any().path("GET /").path("/cells/taken"), Action::DropBefore);
    let outcome = cells.store(&cell("taken"), &Expected::Absent, b"mine").await.unwrap();
    assert!(matches!(outcome, StoreOutcome::Unknown { .. }), "{outcome:?}");
    world.proxy.remove(reads);
    let outcome = cells.store(&cell("taken"), &Expected::Absent, b"mine").await.unwrap();
    assert_eq!(outcome, StoreOutcome::Lost);
}

/// Protects against a 409 that is taken for another writer's win: S3 says no more than that it is to be tried again.
#[tokio::test]
async fn a_conflict_of_requests_is_no_loss_and_can_be_settled() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    let conflict = "<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>";
    world.proxy.when(puts().first(2), Action::answer(409, conflict));
    let outcome = cells.store(&cell("x"), &Expected::Absent, b"v").await.unwrap();
    let StoreOutcome::Unknown { why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("ConditionalRequestConflict"), "{why}");
    let token = |value: &[u8]| Some(Token(String::from_utf8_lossy(value).into_owned()));
    let wish = Swap::new(cell("x"), Expected::Absent, b"mine".to_vec(), token).unwrap();
    let swapped = swap(cells.as_ref(), wish, &Patience::default()).await.unwrap();
    assert!(matches!(swapped, Swapped::Applied { .. }), "{swapped:?}");
    assert_eq!(world.asked(&puts()), 3);
}

/// Protects against an unknown that is none: what S3 refused is not written.
#[tokio::test]
async fn a_write_that_was_certainly_not_made_is_an_error() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    for (status, code, kind) in
        [(503, "SlowDown", ErrorKind::Throttled), (403, "AccessDenied", ErrorKind::PermissionDenied)]
    {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        let rule = world.proxy.when(puts(), Action::answer(status, body));
        let error = cells.store(&cell("x"), &Expected::Absent, b"v").await.unwrap_err();
        world.proxy.remove(rule);
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{error}");
    }
    let body = "<Error><Code>InternalError</Code><Message>oh</Message></Error>";
    world.proxy.when(puts(), Action::answer(500, body));
    let outcome = cells.store(&cell("x"), &Expected::Absent, b"v").await.unwrap();
    assert!(matches!(outcome, StoreOutcome::Unknown { .. }), "{outcome:?}");
}

/// Protects the first step of everybody: a dry run changes nothing, and init can be repeated.
#[tokio::test]
async fn init_makes_the_place_once_and_says_what_it_does() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = world.connect(&deployment(&world)).await;
    let missing = connected.cells.load(&cell("x")).await.unwrap_err();
    assert_eq!((missing.kind(), missing.advice()), (ErrorKind::NotFound, Some("create it with `init`")));
    let bucket = bucket(&world);
    let mark = format!("mark s3://{bucket}/mantissa-mr/ as the ledger's");
    let told = [format!("create the S3 bucket {bucket} in us-east-2 for the ledger"), mark.clone()];
    assert_eq!(connected.init(true).await.unwrap(), told);
    let changes = Match::any().path("PUT /");
    assert_eq!(world.asked(&changes), 0);
    assert_eq!(connected.init(false).await.unwrap(), told);
    let changed = world.asked(&changes);
    assert_eq!(connected.init(false).await.unwrap(), [""; 0]);
    assert_eq!(world.asked(&changes), changed);
    assert_eq!(connected.cells.load(&cell("x")).await.unwrap(), None);
    assert_eq!(connected.cells.durability().place, format!("S3 bucket {bucket} in us-east-2"));
    // Another prefix of the same bucket is another place.
    let other =
        deployment(&world).replace(&format!("\"{bucket}\""), &format!("\"{bucket}\", prefix = \"b\""));
    let other = world.connect(&other).await;
    assert_eq!(other.init(true).await.unwrap(), [mark.replace("mantissa-mr/", "b/")]);
    assert_eq!(world.asked(&Match::any().path("DELETE /")), 0);
}

/// Protects against a ledger in a place that is none, before anything is written there.
#[tokio::test]
async fn a_bucket_that_is_no_place_for_cells_is_refused() {
    let emulator = or_skip!(Emulator::shared());
    let refused = async |world: &World, kind: ErrorKind, wanted: &str| {
        let error = world.connect(&deployment(world)).await.init(false).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(wanted) && error.advice().is_some(), "{error:#}");
        assert_eq!(world.asked(&Match::any().path("mantissa-mr.json").path("PUT /")), 0);
    };

    let world = World::new(emulator);
    create(&world, WEST, &bucket(&world)).await;
    refused(&world, ErrorKind::InvalidInput, "the bucket is in us-west-2").await;
    let error = world.connect(&deployment(&world)).await.cells.load(&cell("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.advice().unwrap().contains("another region than the settings say"), "{error:#}");

    let world = World::new(emulator);
    create(&world, WITNESS, &bucket(&world)).await;
    refused(&world, ErrorKind::InvalidInput, "does not block all public access").await;

    // What is there already is left alone, but for what is in the way.
    let world = World::new(emulator);
    cells(&world).await;
    let days = LifecycleExpiration::builder().days(30).build();
    let everything = LifecycleRuleFilter::builder().prefix("").build();
    let rule = LifecycleRule::builder().id("tidy").status(ExpirationStatus::Enabled).filter(everything);
    let rules = BucketLifecycleConfiguration::builder().rules(rule.expiration(days).build().unwrap()).build();
    let request = world.s3(WITNESS).put_bucket_lifecycle_configuration().bucket(bucket(&world));
    request.lifecycle_configuration(rules.unwrap()).send().await.unwrap();
    let error = world.connect(&deployment(&world)).await.init(false).await.unwrap_err();
    assert!(error.to_string().contains("the lifecycle rule `tidy` expires"), "{error}");
}

/// Protects the ledger from sharing a prefix, and from a second place that thinks that it is the first.
#[tokio::test]
async fn a_prefix_of_others_and_a_copy_of_a_place_are_refused() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    cells(&world).await;
    let bucket = bucket(&world);
    let on = |prefix: &str| {
        deployment(&world).replace(&format!("\"{bucket}\""), &format!("\"{bucket}\", prefix = \"{prefix}\""))
    };
    upload(&world, WITNESS, "used/file", b"of somebody").await;
    let error = world.connect(&on("used")).await.init(false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("there is used/file"), "{error}");

    let marker = download(&world, "mantissa-mr/mantissa-mr.json").await;
    upload(&world, WITNESS, "copy/mantissa-mr.json", &marker).await;
    let copy = world.connect(&on("copy")).await;
    for error in [
        copy.init(false).await.unwrap_err(),
        copy.cells.load(&cell("x")).await.unwrap_err(),
        copy.cells.store(&cell("x"), &Expected::Absent, b"v").await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::InvalidInput, Effect::None), "{error}");
        let wanted = format!("a copy of the ledger's place s3://{bucket}/mantissa-mr/ in us-east-2");
        assert!(error.to_string().contains(&wanted), "{error}");
    }
    assert_eq!(world.asked(&puts()), 0);
}

/// Protects against building on what somebody else wrote, copied or took away.
#[tokio::test]
async fn foreign_copied_and_deleted_cells_are_corrupt_and_not_absent() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    let bucket = bucket(&world);
    let corrupt = async |name: &str, wanted: &str| {
        let error = cells.load(&cell(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    };
    upload(&world, WITNESS, "mantissa-mr/cells/alien", b"{}").await;
    corrupt("alien", "not what this library writes").await;
    upload(&world, WITNESS, "mantissa-mr/cells/long", &vec![b'x'; 400_000]).await;
    corrupt("long", "longer than what this library writes").await;

    version(&world, WITNESS, &bucket).await;
    cells.store(&cell("one"), &Expected::Absent, b"v").await.unwrap();
    let copied = download(&world, "mantissa-mr/cells/one").await;
    upload(&world, WITNESS, "mantissa-mr/cells/two", &copied).await;
    corrupt("two", "a copy of the cell one").await;
    let request = world.s3(WITNESS).delete_object().bucket(&bucket).key("mantissa-mr/cells/one");
    request.send().await.unwrap();
    corrupt("one", "somebody deleted this object").await;
}

/// Protects against a bucket that replication writes into: a replica asks for no condition.
#[tokio::test]
async fn a_cell_that_replication_wrote_is_refused() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let cells = cells(&world).await.cells;
    let (ledger, source) = (bucket(&world), format!("source-{}", world.account));
    create(&world, EAST, &source).await;
    version(&world, EAST, &source).await;
    version(&world, WITNESS, &ledger).await;
    cells.store(&cell("x"), &Expected::Absent, b"v").await.unwrap();
    let held = cells.load(&cell("x")).await.unwrap();
    assert!(held.is_some(), "a cell that was written here is read in a versioned bucket too");

    let to = Destination::builder().bucket(format!("arn:aws:s3:::{ledger}")).build().unwrap();
    let filter = ReplicationRuleFilter::builder().prefix("").build();
    let deletes = aws_sdk_s3::types::DeleteMarkerReplication::builder()
        .status(aws_sdk_s3::types::DeleteMarkerReplicationStatus::Disabled)
        .build();
    let rule = ReplicationRule::builder().priority(1).status(ReplicationRuleStatus::Enabled).filter(filter);
    let rule = rule.delete_marker_replication(deletes).destination(to).build().unwrap();
    let role = format!("arn:aws:iam::{}:role/replication", world.account);
    let rules = ReplicationConfiguration::builder().role(role).rules(rule).build().unwrap();
    let request = world.s3(EAST).put_bucket_replication().bucket(&source);
    request.replication_configuration(rules).send().await.unwrap();
    let body = ByteStream::from(download(&world, "mantissa-mr/cells/x").await);
    let key = "mantissa-mr/cells/x";
    world.s3(EAST).put_object().bucket(&source).key(key).body(body).send().await.unwrap();
    let error = cells.load(&cell("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("replication from another bucket wrote this object"), "{error}");
}
