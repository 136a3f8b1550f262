use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, DeleteMarkerReplication, DeleteMarkerReplicationStatus, Destination,
    ReplicationConfiguration, ReplicationRule, ReplicationRuleFilter, ReplicationRuleStatus,
    VersioningConfiguration,
};
use mantissa_mr_aws::connect;
use mantissa_mr_core::error::{Effect, ErrorKind};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::ExecutionId;
use mantissa_mr_core::store::{
    Barrier, Drained, Key, Lag, Precondition, PutItem, ReplicatedStore, Role, Version,
};
use test_support::http::Request;
use test_support::{Action, Emulator, Match, or_skip};

use crate::s3_cells::create;
use crate::world::{EAST, WEST, World, deployment, parse, region, resource};

const ROLE: &str = "arn:aws:iam::000000000000:role/replication";

/// Bucket names are shared by all accounts.
fn bucket(world: &World, region: &str) -> String {
    format!("data-{}-{region}", world.account)
}

fn group(world: &World, settings: &str) -> String {
    let (east, west) = (bucket(world, EAST), bucket(world, WEST));
    deployment(&format!(
        r#"
        [[groups.stores]]
        name = "data"
        kind = "s3-bucket"
        settings = {{ role = "{ROLE}"{settings} }}
        regions.us-east-1 = {{ bucket = "{east}" }}
        regions.us-west-2 = {{ bucket = "{west}" }}
        "#
    ))
}

async fn store(world: &World, settings: &str) -> Arc<dyn ReplicatedStore> {
    world.connect(&group(world, settings)).await.stores[&resource("data")].clone()
}

async fn created(world: &World, settings: &str) -> Arc<dyn ReplicatedStore> {
    for name in [EAST, WEST] {
        create(world, name, &bucket(world, name)).await;
    }
    store(world, settings).await
}

/// A store whose buckets replicate.
pub(crate) async fn replicated(world: &World, settings: &str) -> Arc<dyn ReplicatedStore> {
    let store = created(world, settings).await;
    store.ensure_replicated(false).await.unwrap();
    store
}

async fn set_versioning(world: &World, name: &str, status: BucketVersioningStatus) {
    let request = world.s3(name).put_bucket_versioning().bucket(bucket(world, name));
    let status = VersioningConfiguration::builder().status(status).build();
    request.versioning_configuration(status).send().await.unwrap();
}

async fn rules(world: &World, name: &str) -> ReplicationConfiguration {
    let answer = world.s3(name).get_bucket_replication().bucket(bucket(world, name)).send().await.unwrap();
    answer.replication_configuration.unwrap()
}

/// A rule of somebody else, for a part of the bucket.
async fn foreign_rule(world: &World, role: &str) {
    create(world, WEST, &format!("backup-{}", world.account)).await;
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let backup = format!("backup-{}", world.account);
    let request = world.s3(WEST).put_bucket_versioning().bucket(&backup);
    request.versioning_configuration(enabled).send().await.unwrap();
    set_versioning(world, EAST, BucketVersioningStatus::Enabled).await;
    let off = DeleteMarkerReplicationStatus::Disabled;
    let rule = ReplicationRule::builder()
        .id("backup")
        .priority(7)
        .filter(ReplicationRuleFilter::builder().prefix("reports/").build())
        .status(ReplicationRuleStatus::Enabled)
        .delete_marker_replication(DeleteMarkerReplication::builder().status(off).build())
        .destination(Destination::builder().bucket(format!("arn:aws:s3:::{backup}")).build().unwrap());
    let rules = ReplicationConfiguration::builder().role(role).rules(rule.build().unwrap()).build().unwrap();
    let request = world.s3(EAST).put_bucket_replication().bucket(bucket(world, EAST));
    request.replication_configuration(rules).send().await.unwrap();
}

fn put(key: &str, value: &str) -> PutItem {
    PutItem { key: Key::new(key), value: value.as_bytes().to_vec(), epoch: Some(Epoch(3)) }
}

fn barrier(execution: &str) -> Barrier {
    let (from, to) = (region(EAST), region(WEST));
    Barrier { execution: ExecutionId::new(execution).unwrap(), epoch: Epoch(3), from, to }
}

async fn write(store: &Arc<dyn ReplicatedStore>, key: &str, value: &str) -> Version {
    store.put(&region(EAST), put(key, value), Precondition::None).await.unwrap()
}

/// Protects the guide's step 5, and what others set up: versioning first, a rule each way, theirs kept, a dry run only says so.
#[tokio::test]
async fn replication_is_set_up_once_in_order_and_keeps_the_rules_of_others() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = created(&world, "").await;
    foreign_rule(&world, ROLE).await;
    let (east, west) = (bucket(&world, EAST), bucket(&world, WEST));
    let told = [
        format!("{west}: enable versioning in us-west-2"),
        format!("{east}: replicate from us-east-1 to {west} in us-west-2"),
        format!("{west}: replicate from us-west-2 to {east} in us-east-1"),
    ];
    assert_eq!(store.ensure_replicated(true).await.unwrap(), told);
    assert_eq!(world.asked(&Match::any().path("PUT /")), 0);
    assert_eq!(store.ensure_replicated(false).await.unwrap(), told);
    let changes = world.proxy.log_of(&Match::any().path("PUT /"));
    let changes: Vec<_> =
        changes.iter().map(|change| change.path.split(['?', '&']).nth(1).unwrap()).collect();
    assert_eq!(changes, ["versioning", "replication", "replication"]);
    assert_eq!(store.ensure_replicated(false).await.unwrap(), [""; 0]);

    let rules = rules(&world, EAST).await;
    assert_eq!(rules.role(), ROLE);
    let [theirs, ours] = rules.rules() else { panic!("{rules:?}") };
    assert_eq!((theirs.id(), theirs.priority()), (Some("backup"), Some(7)));
    assert_eq!((ours.id(), ours.priority()), (Some("mantissa-mr-us-west-2"), Some(8)));
    let told = format!("{ours:?}");
    for wanted in ["replica_modifications: Some", "minutes: Some(15)", &format!("arn:aws:s3:::{west}")] {
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
    let deletes = ours.delete_marker_replication().and_then(DeleteMarkerReplication::status);
    assert_eq!(deletes, Some(&DeleteMarkerReplicationStatus::Enabled));
}

/// Protects somebody else's replication: one bucket has one role, and it is not replaced.
#[tokio::test]
async fn the_role_of_others_and_a_missing_bucket_are_refused() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    create(&world, EAST, &bucket(&world, EAST)).await;
    let store = store(&world, "").await;
    let error = store.ensure_replicated(false).await.unwrap_err();
    assert_eq!((error.kind(), error.region()), (ErrorKind::NotFound, Some(&region(WEST))), "{error}");
    let status = store.status().await.unwrap();
    let roles: Vec<_> = status.replicas.values().map(|replica| replica.role).collect();
    assert_eq!(roles, [Role::Writer, Role::Absent]);

    create(&world, WEST, &bucket(&world, WEST)).await;
    let status = store.status().await.unwrap();
    let roles: Vec<_> = status.replicas.values().map(|replica| replica.role).collect();
    assert_eq!(roles, [Role::Writer, Role::Absent], "they do not replicate yet");
    foreign_rule(&world, "arn:aws:iam::000000000000:role/of-others").await;
    let error = store.ensure_replicated(false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("role/of-others"), "{error}");
    assert_eq!(world.asked(&Match::any().path("PUT /")), 0);
}

/// Protects a planned move: what is older than the rule, or failed, is counted and told, and nothing is proven until it is there.
#[tokio::test]
async fn what_never_replicates_is_told_and_not_proven() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = created(&world, "").await;
    for key in ["old-1", "old-2"] {
        write(&store, key, "v").await;
    }
    store.ensure_replicated(false).await.unwrap();
    write(&store, "new", "v").await;
    let Drained::CannotProve { why } = store.drained(&barrier("one")).await.unwrap() else { panic!() };
    assert!(why.contains("2 objects of us-east-1 are older than the rule"), "{why}");
    assert!(why.contains("of 0 the replication failed (the first: old-1)"), "{why}");
    assert!(why.contains("Batch Replication"), "{why}");

    // The emulator fails a replication whose target is not versioned, as S3 does.
    set_versioning(&world, WEST, BucketVersioningStatus::Suspended).await;
    write(&store, "failed", "v").await;
    set_versioning(&world, WEST, BucketVersioningStatus::Enabled).await;
    let Drained::CannotProve { why } = store.drained(&barrier("two")).await.unwrap() else { panic!() };
    assert!(why.contains("and of 1 the replication failed (the first: failed)"), "{why}");

    // What a person has replicated since is found in the same comparison.
    for key in ["old-1", "old-2", "failed"] {
        write(&store, key, "v").await;
    }
    let Drained::Proven { how } = store.drained(&barrier("two")).await.unwrap() else { panic!() };
    assert!(how.contains("compared all 4 objects"), "{how}");
}

/// Protects against a delete that is called arrived: an object that only the target still has is one.
#[tokio::test]
async fn a_delete_that_has_not_arrived_is_not_drained() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    write(&store, "gone", "v").await;
    write(&store, "stays", "v").await;
    // A delete marker that is not replicated: the rule is away for a moment.
    let kept = rules(&world, EAST).await;
    world.s3(EAST).delete_bucket_replication().bucket(bucket(&world, EAST)).send().await.unwrap();
    store.delete(&region(EAST), &Key::new("gone"), None, Precondition::None).await.unwrap();
    let request = world.s3(EAST).put_bucket_replication().bucket(bucket(&world, EAST));
    request.replication_configuration(kept).send().await.unwrap();
    let answer = store.drained(&barrier("one")).await.unwrap();
    assert_eq!(answer, Drained::NotYet { remaining: Some(1) });
    store.delete(&region(EAST), &Key::new("gone"), None, Precondition::None).await.unwrap();
    assert!(matches!(store.drained(&barrier("one")).await.unwrap(), Drained::Proven { .. }));
    // Deleted here, and there an object that S3 says nothing of.
    let kept = rules(&world, WEST).await;
    world.s3(WEST).delete_bucket_replication().bucket(bucket(&world, WEST)).send().await.unwrap();
    store.put(&region(WEST), put("gone", "again"), Precondition::None).await.unwrap();
    let answer = store.drained(&barrier("again")).await.unwrap();
    assert_eq!(answer, Drained::NotYet { remaining: Some(1) });
    store.delete(&region(WEST), &Key::new("gone"), None, Precondition::None).await.unwrap();
    let request = world.s3(WEST).put_bucket_replication().bucket(bucket(&world, WEST));
    request.replication_configuration(kept).send().await.unwrap();
    // What is written at the target is no business of this barrier.
    set_versioning(&world, EAST, BucketVersioningStatus::Suspended).await;
    store.put(&region(WEST), put("theirs", "v"), Precondition::None).await.unwrap();
    assert!(matches!(store.drained(&barrier("two")).await.unwrap(), Drained::Proven { .. }));
}

/// Protects against a comparison without end, and against a limit that passes for a proof.
#[tokio::test]
async fn more_objects_than_are_compared_cannot_be_proven() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, ", compare-limit = 2").await;
    for key in ["a", "b"] {
        write(&store, key, "v").await;
    }
    assert!(matches!(store.drained(&barrier("one")).await.unwrap(), Drained::Proven { .. }));
    write(&store, "c", "v").await;
    let Drained::CannotProve { why } = store.drained(&barrier("two")).await.unwrap() else { panic!() };
    assert!(why.contains("more than 2 objects") && why.contains("compare-limit"), "{why}");
}

/// Protects an estimate from being one of nothing: measured if asked for, told where it failed, never listed or compared.
#[tokio::test]
async fn the_lag_is_measured_with_a_canary_only_if_asked_for() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let lag = async |store: &Arc<dyn ReplicatedStore>, name: &str| {
        store.status().await.unwrap().replicas[&region(name)].lag.clone()
    };
    let silent = replicated(&world, "").await;
    let Lag::Unknown { why } = lag(&silent, WEST).await else { panic!() };
    assert!(why.contains("canary = true"), "{why}");
    let store = store(&world, ", canary = true").await;
    assert!(matches!(lag(&store, WEST).await, Lag::Known { .. }));
    let objects = world.s3(WEST).list_objects_v2().bucket(bucket(&world, WEST)).send().await.unwrap();
    assert_eq!(objects.key_count(), Some(2), "one of each region");
    let Drained::Proven { how } = store.drained(&barrier("one")).await.unwrap() else { panic!() };
    assert!(how.contains("all 0 objects"), "{how}");
    set_versioning(&world, WEST, BucketVersioningStatus::Suspended).await;
    let Lag::Unknown { why } = lag(&store, WEST).await else { panic!() };
    assert!(why.contains("failed to replicate the canary of us-east-1"), "{why}");
}

/// Protects writers: a doubt is told as one, another's write is a conflict, and `*` is no version.
#[tokio::test]
async fn conditions_are_exact_and_doubt_is_told() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let east = region(EAST);
    let puts = Match::any().path("PUT /");
    let conflict = "<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>";
    let rule = world.proxy.when(puts.clone(), Action::answer(409, conflict));
    let error = store.put(&east, put("k", "v"), Precondition::Absent).await.unwrap_err();
    world.proxy.remove(rule);
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown), "{error}");

    let (endpoint, account) = (world.endpoint.clone(), world.account.clone());
    let rule = world.proxy.when(
        puts,
        Action::before(move |exchange| {
            let twin = Request::new("PUT", &endpoint, &exchange.path).aws(&account, EAST, "s3");
            let twin = twin.header("if-none-match", "*").body(exchange.body.to_vec());
            // Without the metadata that the store writes it is somebody else's.
            assert_eq!(twin.send().unwrap().status, 200);
        }),
    );
    let error = store.put(&east, put("k", "v"), Precondition::Absent).await.unwrap_err();
    world.proxy.remove(rule);
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{error}");
    for made_up in ["*", "", "\"x\""] {
        let version = Precondition::Version(Version(made_up.to_owned()));
        let error = store.put(&east, put("k", "w"), version.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{made_up}: {error}");
        let error = store.delete(&east, &Key::new("k"), None, version).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{made_up}: {error}");
    }
    let there = store.delete(&east, &Key::new("k"), None, Precondition::Absent).await.unwrap_err();
    assert_eq!(there.kind(), ErrorKind::Conflict);
    store.delete(&east, &Key::new("nowhere"), None, Precondition::Absent).await.unwrap();
    let item = store.get(&east, &Key::new("k")).await.unwrap().unwrap();
    assert_eq!((item.value.as_slice(), item.epoch), (&b"v"[..], None));
    write(&store, "k", "w").await;
    let item = store.get(&region(WEST), &Key::new("k")).await.unwrap().unwrap();
    assert_eq!(item.epoch, Some(Epoch(3)), "the epoch is replicated with the object");
    for key in [Key(vec!["a".to_owned(), "b".to_owned()]), Key::new(""), Key::new("k".repeat(1025))] {
        assert_eq!(store.get(&east, &key).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

/// A bucket as it is behind something that sends each write twice and passes on the second answer.
fn twice() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut token = String::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut method, mut length) = (String::new(), 0);
            reader.read_line(&mut method).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else { break };
                match name {
                    "content-length" => length = value.parse().unwrap(),
                    "x-amz-meta-mantissa-version" => token = value.to_owned(),
                    _ => {}
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let failed = "<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>";
            let answer = if method.starts_with("PUT") {
                let length = failed.len();
                format!(
                    "412 Precondition Failed\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{failed}"
                )
            } else {
                format!(
                    "200 OK\r\nETag: \"e\"\r\nx-amz-meta-mantissa-version: {token}\r\nConnection: close\r\n\r\n"
                )
            };
            stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
        }
    });
    endpoint
}

/// Protects against a conflict that is none: the object that a write met may be its own.
#[tokio::test]
async fn a_write_that_was_sent_twice_on_the_way_is_no_conflict() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = connect(&parse(&group(&world, "")), &world.config_at(&twice())).await.unwrap();
    let store = &connected.stores[&resource("data")];
    let version = store.put(&region(EAST), put("k", "v"), Precondition::Absent).await.unwrap();
    assert_eq!(version, Version("e".to_owned()));
}

/// Protects objects that others wrote: they are read as they are, without an epoch.
#[tokio::test]
async fn objects_of_others_are_items_too() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = replicated(&world, "").await;
    let body = ByteStream::from_static(b"\x00\xff");
    let request = world.s3(EAST).put_object().bucket(bucket(&world, EAST)).key("a b/\u{fc}?#");
    request.body(body).send().await.unwrap();
    let item = store.get(&region(WEST), &Key::new("a b/\u{fc}?#")).await.unwrap().unwrap();
    assert_eq!((item.value.as_slice(), item.epoch), (&b"\x00\xff"[..], None));
    assert!(matches!(store.drained(&barrier("one")).await.unwrap(), Drained::Proven { .. }));
}

/// Protects the operator: every problem of the settings at once.
#[tokio::test]
async fn all_problems_of_the_settings_are_told_at_once() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let (east, west) = (bucket(&world, EAST), bucket(&world, WEST));
    let text = group(&world, ", late-writes = \"undone\"").replace(&west, &east);
    let text = text.replace(ROLE, "replication");
    let told = connect(&parse(&text), &world.config()).await.unwrap_err().to_string();
    for wanted in [
        "groups.logs.stores.data.settings.role: `replication` is not the ARN of a role",
        "groups.logs.stores.data.settings.late-writes: is not a known setting",
        "groups.logs.stores.data.regions.us-west-2.bucket: `data-",
        "is the bucket of another region already",
    ] {
        assert!(told.contains(wanted), "missing: {wanted}\nin:\n{told}");
    }
}
