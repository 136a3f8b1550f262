//! The core's conformance suites, on files, with the faults that files can have.

use std::sync::Arc;
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
use mantissa_mr_core::name::{Region, ResourceName};
use mantissa_mr_core::store::{Key, ReplicatedStore};
use mantissa_mr_core::traffic::TrafficRouter;

use crate::world::{World, region};

/// Nothing lies between a program and its own files that could lose an answer.
const NO_WIRE: &str = "a file's answer cannot be lost";
const LOST_ANSWER: &str = "a_lost_answer_is_not_a_refusal";

#[derive(Debug)]
struct Files(World);

impl Files {
    async fn new(strategy: &str) -> Arc<Self> {
        Arc::new(Self(World::new(strategy, "10ms").await))
    }

    fn down(&self, place: &Region, down: bool) -> Injection {
        self.0.touch(&format!("regions/{place}/DOWN"), down);
        Injection::Armed
    }
}

#[async_trait]
impl Fixture for Files {
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn wait(&self, round: u32) -> bool {
        tokio::time::sleep(Duration::from_millis(10)).await;
        round < 500
    }
}

fn both() -> Vec<Region> {
    vec![region("one"), region("two")]
}

fn name(text: &str) -> ResourceName {
    ResourceName::new(text).unwrap()
}

#[async_trait]
impl StoreFixture for Files {
    fn store(&self) -> Arc<dyn ReplicatedStore> {
        self.0.store()
    }

    fn regions(&self) -> Vec<Region> {
        both()
    }

    fn first_epoch(&self) -> Epoch {
        Epoch(2)
    }

    fn key(&self, text: &str) -> Key {
        Key::new(text)
    }

    fn value(&self, number: u64) -> Vec<u8> {
        // No text, so that it must be kept byte by byte.
        [&[0xff, 0x00], number.to_string().as_bytes()].concat()
    }

    fn items_for_two_pages(&self) -> Result<usize, String> {
        Err("a folder has no pages".to_owned())
    }

    async fn inject(&self, fault: StoreFault) -> Injection {
        match fault {
            StoreFault::PauseReplication => self.0.touch("HOLD", true),
            StoreFault::ResumeReplication => self.0.touch("HOLD", false),
            StoreFault::CutOff(place) => return self.down(&place, true),
            StoreFault::Heal(place) => return self.down(&place, false),
            StoreFault::LoseAnswer(_) => return Injection::Cannot(NO_WIRE.to_owned()),
        }
        Injection::Armed
    }
}

#[async_trait]
impl RouterFixture for Files {
    fn router(&self) -> Arc<dyn TrafficRouter> {
        self.0.backend().routers[&name("traffic")].clone()
    }

    fn regions(&self) -> Vec<Region> {
        both()
    }

    fn first_epoch(&self) -> Epoch {
        Epoch(2)
    }

    async fn inject(&self, fault: RouterFault) -> Injection {
        match fault {
            RouterFault::CutOff(place) => self.down(&place, true),
            RouterFault::Heal(place) => self.down(&place, false),
            RouterFault::LoseAnswer => Injection::Cannot(NO_WIRE.to_owned()),
        }
    }
}

#[async_trait]
impl ScalerFixture for Files {
    fn scaler(&self) -> Arc<dyn ComputeScaler> {
        self.0.backend().scalers[&name("workers")].clone()
    }

    fn regions(&self) -> Vec<Region> {
        both()
    }

    fn first_epoch(&self) -> Epoch {
        Epoch(2)
    }

    async fn inject(&self, fault: ScalerFault) -> Injection {
        match fault {
            ScalerFault::Exhaust(place) => self.0.touch(&format!("regions/{place}/NO-CAPACITY"), true),
            ScalerFault::Refill(place) => self.0.touch(&format!("regions/{place}/NO-CAPACITY"), false),
            ScalerFault::LoseAnswer => return Injection::Cannot(NO_WIRE.to_owned()),
        }
        Injection::Armed
    }
}

#[async_trait]
impl CheckFixture for Files {
    fn check(&self) -> Arc<dyn Check> {
        self.0.backend().checks[&name("api")].clone()
    }

    fn regions(&self) -> Vec<Region> {
        both()
    }

    async fn inject(&self, fault: CheckFault) -> Injection {
        let (regions, away) = (self.0.root().join("regions"), self.0.root().join("away"));
        match fault {
            CheckFault::Break(place) => self.0.touch(&format!("regions/{place}/UNFIT"), true),
            CheckFault::Silence(place) => return self.down(&place, true),
            CheckFault::CannotAsk => std::fs::rename(regions, away).unwrap(),
            CheckFault::Mend => {
                if away.exists() {
                    std::fs::rename(away, regions).unwrap();
                }
                for place in both() {
                    self.0.touch(&format!("regions/{place}/UNFIT"), false);
                    self.0.touch(&format!("regions/{place}/DOWN"), false);
                }
            }
        }
        Injection::Armed
    }
}

#[tokio::test]
async fn a_store_of_files_is_a_replicated_store() {
    let run = RunId::new("files").unwrap();
    let report = stores::suite(Files::new("active-passive").await, &run).await;
    report.assert_passed_with_skips(&[
        LOST_ANSWER,
        "a_listing_goes_on_after_the_first_page",
        "what_a_late_write_overwrote_is_put_back",
        "what_was_written_since_is_left_alone",
    ]);
}

#[tokio::test]
async fn a_store_of_files_in_which_every_region_writes_is_one_too() {
    let run = RunId::new("files").unwrap();
    let report = stores::suite(Files::new("active-active").await, &run).await;
    report.assert_passed_with_skips(&[
        LOST_ANSWER,
        "a_listing_goes_on_after_the_first_page",
        "an_older_epoch_is_refused",
        "what_a_late_write_overwrote_is_put_back",
        "what_was_written_since_is_left_alone",
        "a_planned_promotion_moves_the_writer_and_can_be_repeated",
        "a_forced_promotion_needs_nothing_of_the_region_that_is_left",
    ]);
}

#[tokio::test]
async fn a_router_of_files_is_a_traffic_router() {
    routers::suite(Files::new("active-passive").await).await.assert_passed_with_skips(&[LOST_ANSWER]);
}

#[tokio::test]
async fn a_scaler_of_files_is_a_compute_scaler() {
    scalers::suite(Files::new("active-passive").await).await.assert_passed_with_skips(&[LOST_ANSWER]);
}

#[tokio::test]
async fn a_check_of_files_is_a_check() {
    checks::suite(Files::new("active-passive").await).await.assert_passed_with_skips(&[]);
}
