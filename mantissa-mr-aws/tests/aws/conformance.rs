//! The core's conformance suites, on the emulator, with faults on the wire.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::check::Check;
use mantissa_mr_core::compute::ComputeScaler;
use mantissa_mr_core::conformance::checks::{self, CheckFault, CheckFixture};
use mantissa_mr_core::conformance::routers::{self, RouterFault, RouterFixture};
use mantissa_mr_core::conformance::scalers::{self, ScalerFault, ScalerFixture};
use mantissa_mr_core::conformance::stores::{self, StoreFault, StoreFixture};
use mantissa_mr_core::conformance::{Fixture, Injection, RunId};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Key, LateWrites, ReplicatedStore};
use mantissa_mr_core::traffic::TrafficRouter;
use test_support::{Action, Emulator, Match, RuleId, or_skip};

use crate::router::Setup;
use crate::world::{EAST, WEST, World, deployment, region, resource};
use crate::{bucket, scaler, store};

mod cells;

/// A world that is broken on request.
struct Bench<T: ?Sized> {
    world: World,
    /// The rules that can be taken back, by the region that they cut off.
    rules: Mutex<BTreeMap<String, RuleId>>,
    /// What lets the held back request go on.
    held: Mutex<Option<Sender<()>>>,
    second: Option<Arc<T>>,
    subject: Arc<T>,
}

impl<T: ?Sized> Bench<T> {
    fn new(world: World, subject: Arc<T>) -> Self {
        Self { world, rules: Mutex::default(), held: Mutex::default(), second: None, subject }
    }

    /// Does this to the next request that fits.
    fn once(&self, matched: Match, action: Action) -> Injection {
        self.world.proxy.when(matched.nth(1), action);
        Injection::Armed
    }

    fn cut_off(&self, region: &Region) -> Injection {
        let rule = self.world.proxy.reset(region.as_str());
        self.rules.lock().unwrap().insert(region.to_string(), rule);
        Injection::Armed
    }

    fn keep(&self, name: &str, matched: Match, action: Action) -> Injection {
        let rule = self.world.proxy.when(matched, action);
        self.rules.lock().unwrap().insert(name.to_owned(), rule);
        Injection::Armed
    }

    fn heal(&self, name: &str) -> Injection {
        if let Some(rule) = self.rules.lock().unwrap().remove(name) {
            self.world.proxy.remove(rule);
        }
        Injection::Armed
    }
}

impl<T: ?Sized> fmt::Debug for Bench<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bench({})", self.world.account)
    }
}

#[async_trait]
impl<T: ?Sized + Send + Sync + 'static> Fixture for Bench<T> {
    fn patience(&self) -> Duration {
        Duration::from_secs(180)
    }

    async fn wait(&self, round: u32) -> bool {
        tokio::time::sleep(Duration::from_millis(50)).await;
        round < 400
    }
}

#[async_trait]
impl StoreFixture for Bench<dyn ReplicatedStore> {
    fn store(&self) -> Arc<dyn ReplicatedStore> {
        self.subject.clone()
    }

    fn regions(&self) -> Vec<Region> {
        vec![region(EAST), region(WEST)]
    }

    fn first_epoch(&self) -> Epoch {
        Epoch(1)
    }

    fn key(&self, text: &str) -> Key {
        Key::new(text)
    }

    fn value(&self, number: u64) -> Vec<u8> {
        let filler = "x".repeat(30_000);
        format!(r#"{{"filler":{{"S":"{filler}"}},"number":{{"N":"{number}"}}}}"#).into_bytes()
    }

    /// A page of a table has at most 1 MB, and one of a bucket 200 keys.
    fn items_for_two_pages(&self) -> Result<usize, String> {
        Ok(if self.subject.capabilities().late_writes == LateWrites::Unseen { 210 } else { 40 })
    }

    async fn inject(&self, fault: StoreFault) -> Injection {
        match fault {
            StoreFault::PauseReplication | StoreFault::ResumeReplication => {
                Injection::Cannot("the emulator replicates within the write".to_owned())
            }
            StoreFault::CutOff(region) => self.cut_off(&region),
            StoreFault::Heal(region) => self.heal(region.as_str()),
            StoreFault::LoseAnswer(region) => {
                // Of a table, or of a bucket.
                let put = Match::any()
                    .region(region.as_str())
                    .only(|put| put.operation == "PutItem" || put.operation.starts_with("PUT /"));
                self.once(put, Action::DropAfter)
            }
        }
    }
}

/// What is skipped for the injection is in `store::a_drain_is_proven_by_comparing_every_item`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn global_tables_conform() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let table = store::replicated(&world, ", canary = true").await;
    let report = stores::suite(Arc::new(Bench::new(world, table)), &RunId::new("run").unwrap()).await;
    report.assert_passed_with_skips(&[
        "an_older_epoch_is_refused",
        "what_replication_holds_back_is_not_drained",
        "a_fence_keeps_writers_out_and_spares_replication",
        "a_planned_promotion_moves_the_writer_and_can_be_repeated",
        "a_forced_promotion_needs_nothing_of_the_region_that_is_left",
    ]);
}

/// What is skipped for the injection is in `bucket::what_never_replicates_is_told_and_not_proven`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_buckets_conform() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let store = bucket::replicated(&world, ", canary = true").await;
    let report = stores::suite(Arc::new(Bench::new(world, store)), &RunId::new("run").unwrap()).await;
    report.assert_passed_with_skips(&[
        "an_older_epoch_is_refused",
        "what_a_late_write_overwrote_is_put_back",
        "what_was_written_since_is_left_alone",
        "what_replication_holds_back_is_not_drained",
        "a_fence_keeps_writers_out_and_spares_replication",
        "a_planned_promotion_moves_the_writer_and_can_be_repeated",
        "a_forced_promotion_needs_nothing_of_the_region_that_is_left",
    ]);
}

#[async_trait]
impl RouterFixture for Bench<dyn TrafficRouter> {
    fn router(&self) -> Arc<dyn TrafficRouter> {
        self.subject.clone()
    }

    fn regions(&self) -> Vec<Region> {
        vec![region(EAST), region(WEST)]
    }

    fn first_epoch(&self) -> Epoch {
        Epoch(1)
    }

    async fn inject(&self, fault: RouterFault) -> Injection {
        match fault {
            RouterFault::LoseAnswer => {
                self.once(Match::any().path("POST /2013-04-01/hostedzone/"), Action::DropAfter)
            }
            RouterFault::CutOff(region) => self.cut_off(&region),
            RouterFault::Heal(region) => self.heal(region.as_str()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn route53_failover_conforms() {
    let emulator = or_skip!(Emulator::shared());
    let Setup { world, router, .. } = Setup::quick(emulator, true).await;
    let report = routers::suite(Arc::new(Bench::new(world, router))).await;
    report.assert_passed_with_skips(&["traffic_is_split_or_the_split_refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn route53_failover_without_switches_conforms() {
    let emulator = or_skip!(Emulator::shared());
    let Setup { world, router, .. } = Setup::quick(emulator, false).await;
    let report = routers::suite(Arc::new(Bench::new(world, router))).await;
    report.assert_passed_with_skips(&[
        "traffic_is_split_or_the_split_refused",
        "an_unplanned_shift_works_or_is_refused",
        "an_unplanned_shift_needs_nothing_of_the_region_that_is_left",
    ]);
}

#[async_trait]
impl ScalerFixture for Bench<dyn ComputeScaler> {
    fn scaler(&self) -> Arc<dyn ComputeScaler> {
        self.subject.clone()
    }

    fn regions(&self) -> Vec<Region> {
        vec![region(WEST), region(EAST)]
    }

    fn first_epoch(&self) -> Epoch {
        Epoch(1)
    }

    async fn inject(&self, fault: ScalerFault) -> Injection {
        match fault {
            ScalerFault::Exhaust(region) => {
                let settings = Match::any().path("/account-settings").region(region.as_str());
                let nothing = r#"{"AccountLimit":{"UnreservedConcurrentExecutions":20}}"#;
                self.keep("quota", settings, Action::answer(200, nothing))
            }
            ScalerFault::Refill(_) => self.heal("quota"),
            ScalerFault::LoseAnswer => {
                self.once(Match::any().path("PUT /2017-10-31/functions/engine"), Action::DropAfter)
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lambda_conforms() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    for name in [EAST, WEST] {
        scaler::create(&world, name, &["engine"]).await;
    }
    let text = deployment(
        r#"
        [[groups.scalers]]
        name = "detection"
        kind = "lambda"
        settings = { functions = ["engine"], full = 20, memory = 256, keep-unreserved = 20 }
        "#,
    );
    let subject = world.connect(&text).await.scalers[&resource("detection")].clone();
    let report = scalers::suite(Arc::new(Bench::new(world, subject))).await;
    report.assert_passed_with_skips(&[]);
}

#[async_trait]
impl CheckFixture for Bench<dyn Check> {
    fn check(&self) -> Arc<dyn Check> {
        self.subject.clone()
    }

    fn regions(&self) -> Vec<Region> {
        vec![region(EAST), region(WEST)]
    }

    async fn inject(&self, fault: CheckFault) -> Injection {
        let describe = |region: &Region| Match::operation("DescribeTable").region(region.as_str());
        match fault {
            CheckFault::Break(region) => {
                let ill = r#"{"Table":{"TableStatus":"INACCESSIBLE_ENCRYPTION_CREDENTIALS"}}"#;
                self.keep("fault", describe(&region), Action::answer(200, ill))
            }
            CheckFault::Silence(region) => self.keep("fault", describe(&region), Action::BlackHole),
            CheckFault::CannotAsk => {
                let denied = r#"{"__type":"com.amazon.coral.service#AccessDeniedException"}"#;
                self.keep("fault", Match::operation("DescribeTable"), Action::answer(400, denied))
            }
            CheckFault::Mend => self.heal("fault"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_table_check_conforms() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    store::replicated(&world, "").await;
    let text = deployment(
        r#"
        [[groups.checks]]
        name = "table"
        kind = "dynamodb-table"
        settings = { table = "mantissa-log-state" }
        "#,
    )
    .replace("\"60s\"", "\"10s\"");
    let subject = world.connect(&text).await.checks[&resource("table")].clone();
    let report = checks::suite(Arc::new(Bench::new(world, subject))).await;
    report.assert_passed_with_skips(&[]);
}
