//! What the conformance suites do not ask: late arrivals, torn files, several processes.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::config::{Format, Source};
use mantissa_mr_core::deployment::Deployment;
use mantissa_mr_core::error::ErrorKind;
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{Region, ResourceName};
use mantissa_mr_core::store::{Key, Lag, Precondition, Promotion, PutItem, ReplicatedStore, Role};
use tempfile::TempDir;

use crate::files;

const DEPLOYMENT: &str = r#"
name = "test"
strategy = "STRATEGY"
preferred = "one"
provider = "simulated"
regions = [{ name = "one" }, { name = "two" }]
witness = { kind = "files", region = "three" }

[[groups]]
name = "logs"
tier = "important"
stores = [{ name = "state", kind = "file-store", settings = { lag = "LAG", promotion = "1ms" } }]
routers = [{ name = "traffic", kind = "file-router", settings = { convergence = "30ms" } }]
scalers = [{ name = "workers", kind = "file-scaler", settings = { start = "30ms", limit = 20 } }]
checks = [{ name = "api", kind = "file-check" }]
"#;

/// A world in a temporary folder.
#[derive(Debug)]
pub(crate) struct World {
    folder: TempDir,
    pub(crate) deployment: Deployment,
}

impl World {
    pub(crate) async fn new(strategy: &str, lag: &str) -> Self {
        let text = DEPLOYMENT.replace("STRATEGY", strategy).replace("LAG", lag);
        let deployment = Deployment::from_sources([Source::new("test.toml", Format::Toml, text)]).unwrap();
        let world = Self { folder: tempfile::tempdir().unwrap(), deployment };
        files::create(&world.root(), &world.deployment).await.unwrap();
        assert!(files::is_there(&world.root()));
        world
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("world")
    }

    /// What a process sees that starts now.
    pub(crate) fn backend(&self) -> Backend {
        files::connect(&self.root(), &self.deployment).unwrap()
    }

    pub(crate) fn store(&self) -> Arc<dyn ReplicatedStore> {
        self.backend().stores[&ResourceName::new("state").unwrap()].clone()
    }

    pub(crate) fn touch(&self, file: &str, there: bool) {
        let path = self.root().join(file);
        if there {
            std::fs::write(path, "").unwrap();
        } else if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }

    fn replica(&self, region: &str) -> PathBuf {
        self.root().join("regions").join(region).join("stores/state")
    }
}

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

fn item(key: &str, value: &str, epoch: u64) -> PutItem {
    PutItem { key: Key::new(key), value: value.into(), epoch: Some(Epoch(epoch)) }
}

async fn value(store: &dyn ReplicatedStore, place: &str, key: &str) -> Option<String> {
    let item = store.get(&region(place), &Key::new(key)).await.unwrap()?;
    Some(String::from_utf8(item.value).unwrap())
}

#[tokio::test]
async fn what_a_lost_region_had_acknowledged_arrives_late_and_overwrites_nothing_newer() {
    let world = World::new("active-passive", "1ms").await;
    let store = world.store();
    store.ensure_replicated(false).await.unwrap();
    let (one, two) = (region("one"), region("two"));
    world.touch("HOLD", true);
    store.put(&one, item("kept", "old", 1), Precondition::None).await.unwrap();
    store.put(&one, item("overwritten", "old", 1), Precondition::None).await.unwrap();
    world.touch("regions/one/DOWN", true);
    world.touch("HOLD", false);
    store.promote(&two, Promotion::Forced, Epoch(2)).await.unwrap();
    assert_eq!(value(&*store, "two", "kept").await, None, "it was never replicated");
    store.put(&two, item("overwritten", "new", 2), Precondition::None).await.unwrap();

    world.touch("regions/one/DOWN", false);
    let status = store.status().await.unwrap();
    assert_eq!(status.replicas[&one].role, Role::Replica, "it was promoted before the other one");
    for place in ["one", "two"] {
        assert_eq!(value(&*store, place, "kept").await.as_deref(), Some("old"), "{place}");
        assert_eq!(value(&*store, place, "overwritten").await.as_deref(), Some("new"), "{place}");
    }
    let aside = std::fs::read_to_string(world.replica("two").join("set-aside/one-1.json")).unwrap();
    assert!(aside.contains("old"), "what an older epoch wrote too late is kept for people: {aside}");
    let late = store.put(&one, item("kept", "older", 1), Precondition::None).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn the_lag_is_the_age_of_what_is_missing_and_grows_while_nobody_can_look() {
    let world = World::new("active-passive", "1h").await;
    let store = world.store();
    store.ensure_replicated(false).await.unwrap();
    let lag = async |place: &str| store.status().await.unwrap().replicas[&region(place)].clone();
    assert_eq!(lag("two").await.lag, Lag::Known { lag: Duration::ZERO, age: Duration::ZERO });
    store.put(&region("one"), item("a", "1", 1), Precondition::None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let behind = lag("two").await;
    assert_eq!(behind.backlog, Some(1));
    let Lag::Known { lag: before, age } = behind.lag else { panic!("{behind:?}") };
    assert!(before >= Duration::from_millis(20) && age.is_zero(), "{before:?} {age:?}");
    world.touch("regions/one/DOWN", true);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let Lag::Known { lag: after, age } = lag("two").await.lag else { panic!("unknown") };
    assert!(after == before && age >= Duration::from_millis(20), "{after:?} {age:?}");
    let why = store.promote(&region("two"), Promotion::Planned, Epoch(2)).await.unwrap_err();
    assert_eq!(why.kind(), ErrorKind::Unavailable, "a planned promotion needs the old region: {why}");
}

#[tokio::test]
async fn a_change_that_was_torn_off_was_never_acknowledged_and_one_that_was_is_never_lost() {
    let world = World::new("active-passive", "0s").await;
    let store = world.store();
    store.ensure_replicated(false).await.unwrap();
    store.put(&region("one"), item("a", "1", 1), Precondition::None).await.unwrap();
    // Killed in the middle of a line.
    let log = world.replica("one").join("logs/one.jsonl");
    std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"{\"number\":1,\"at\":").unwrap();
    // Killed between the line and its item: the item is made from the log again.
    std::fs::remove_file(world.replica("one").join("items/a")).unwrap();
    let state = std::fs::read_to_string(world.replica("one").join("replica.json")).unwrap();
    let behind = state.replace("\"one\": 1", "\"one\": 0");
    assert_ne!(state, behind);
    std::fs::write(world.replica("one").join("replica.json"), behind).unwrap();
    assert_eq!(value(&*store, "one", "a").await.as_deref(), Some("1"));
    store.put(&region("one"), item("b", "2", 1), Precondition::None).await.unwrap();
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), 2, "the torn line is gone: {lines}");
    assert_eq!(value(&*store, "two", "b").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_log_that_somebody_changed_is_not_believed() {
    let world = World::new("active-passive", "0s").await;
    let store = world.store();
    store.ensure_replicated(false).await.unwrap();
    store.put(&region("one"), item("a", "1", 1), Precondition::None).await.unwrap();
    let log = world.replica("one").join("logs/one.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.replace("\"number\":0", "\"number\":7")).unwrap();
    assert_eq!(store.status().await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_several_processes_lose_nothing_and_take_turns() {
    let world = World::new("active-active", "0s").await;
    world.store().ensure_replicated(false).await.unwrap();
    let writers = (0..4).map(|writer| {
        let (store, place) = (world.store(), ["one", "two"][writer % 2]);
        tokio::spawn(async move {
            for number in 0..10 {
                let new = item(&format!("{writer}-{number}"), "x", 1);
                store.put(&region(place), new, Precondition::Absent).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let store = world.store();
    for place in ["one", "two"] {
        for writer in 0..4 {
            for number in 0..10 {
                let key = format!("{writer}-{number}");
                assert!(value(&*store, place, &key).await.is_some(), "{key} is not in {place}");
            }
        }
    }
}
