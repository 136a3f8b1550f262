//! The simulated world keeps the contracts that it stands in for: what is proven in it would else prove nothing elsewhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::check::Check;
use mantissa_mr_core::compute::ComputeScaler;
use mantissa_mr_core::conformance::checks::{self, CheckFault, CheckFixture};
use mantissa_mr_core::conformance::routers::{self, RouterFault, RouterFixture};
use mantissa_mr_core::conformance::scalers::{self, ScalerFault, ScalerFixture};
use mantissa_mr_core::conformance::stores::{self, StoreFault, StoreFixture};
use mantissa_mr_core::conformance::{Fixture, Injection, RunId, cells};
use mantissa_mr_core::deployment::{Deployment, Strategy};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{Region, ResourceName};
use mantissa_mr_core::sim::adapters::{SharedWorld, SimCells};
use mantissa_mr_core::sim::{self, Climate, Fault, Place, Rate, RegionState, Weather, World};
use mantissa_mr_core::store::{Key, ReplicatedStore};
use mantissa_mr_core::traffic::TrafficRouter;

use crate::cells::Local;

/// A simulated world of three regions, on tokio's paused clock.
#[derive(Debug)]
struct Simulated {
    world: SharedWorld,
    regions: Vec<Region>,
}

impl Simulated {
    fn new(store: &str) -> Arc<Self> {
        let mut spec = sim::spec(3, Strategy::ActivePassive).unwrap();
        spec.groups[0].stores[0].kind = store.to_owned();
        // A longer one outlasts its call.
        sim::set(&mut spec, "ordered", "promotion", "2s");
        let deployment = Deployment::new(spec).unwrap();
        let world = SharedWorld::new(World::new(&deployment, 7, Climate::CALM).unwrap());
        Arc::new(Self { world, regions: deployment.regions().cloned().collect() })
    }

    /// The next answer is lost; who waits for it has given up by the time that answers arrive again.
    fn lose_an_answer(&self) -> Injection {
        let weather = Weather { lost_answers: Rate::ALWAYS, ..Weather::CALM };
        self.world.change(&Fault::Weather { weather });
        let world = self.world.clone();
        drop(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            world.change(&Fault::Weather { weather: Weather::CALM });
        }));
        Injection::Armed
    }

    fn set(&self, region: Region, state: RegionState) -> Injection {
        self.world.change(&Fault::Region { region, state });
        Injection::Armed
    }
}

fn resource(name: &str) -> ResourceName {
    ResourceName::new(name).unwrap()
}

#[async_trait]
impl Fixture for Simulated {
    fn patience(&self) -> Duration {
        Duration::from_secs(3_600)
    }
    async fn wait(&self, round: u32) -> bool {
        tokio::time::sleep(Duration::from_millis(500)).await;
        round < 1_000
    }
}

#[async_trait]
impl StoreFixture for Simulated {
    fn store(&self) -> Arc<dyn ReplicatedStore> {
        self.world.backend().stores[&resource("logs-state")].clone()
    }
    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }
    fn first_epoch(&self) -> Epoch {
        Epoch(10)
    }
    fn key(&self, text: &str) -> Key {
        Key::new(text)
    }
    fn value(&self, number: u64) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }
    fn items_for_two_pages(&self) -> Result<usize, String> {
        Err("a simulated listing has one page".to_owned())
    }
    async fn inject(&self, fault: StoreFault) -> Injection {
        let store = resource("logs-state");
        match fault {
            StoreFault::PauseReplication => self.world.change(&Fault::Replication { store, runs: false }),
            StoreFault::ResumeReplication => self.world.change(&Fault::Replication { store, runs: true }),
            StoreFault::CutOff(region) => return self.set(region, RegionState::Dark),
            StoreFault::Heal(region) => return self.set(region, RegionState::Up),
            StoreFault::LoseAnswer(_) => return self.lose_an_answer(),
        }
        Injection::Armed
    }
}

#[async_trait]
impl RouterFixture for Simulated {
    fn router(&self) -> Arc<dyn TrafficRouter> {
        self.world.backend().routers[&resource("logs-dns")].clone()
    }
    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }
    fn first_epoch(&self) -> Epoch {
        Epoch(10)
    }
    async fn inject(&self, fault: RouterFault) -> Injection {
        match fault {
            RouterFault::LoseAnswer => self.lose_an_answer(),
            RouterFault::CutOff(region) => self.set(region, RegionState::Dark),
            RouterFault::Heal(region) => self.set(region, RegionState::Up),
        }
    }
}

#[async_trait]
impl ScalerFixture for Simulated {
    fn scaler(&self) -> Arc<dyn ComputeScaler> {
        self.world.backend().scalers[&resource("logs-workers")].clone()
    }
    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }
    fn first_epoch(&self) -> Epoch {
        Epoch(10)
    }
    async fn inject(&self, fault: ScalerFault) -> Injection {
        let scaler = resource("logs-workers");
        let (region, refilled) = match fault {
            ScalerFault::LoseAnswer => return self.lose_an_answer(),
            ScalerFault::Exhaust(region) => (region, false),
            ScalerFault::Refill(region) => (region, true),
        };
        let now = self.world.now();
        let capacity = self.world.with(|world| world.capacity(now, &scaler, &region)).unwrap();
        let quota = if refilled { 2 * capacity.full } else { capacity.requested };
        self.world.change(&Fault::Quota { scaler, region, quota });
        Injection::Armed
    }
}

#[async_trait]
impl CheckFixture for Simulated {
    fn check(&self) -> Arc<dyn Check> {
        self.world.backend().checks[&resource("logs-api")].clone()
    }
    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }
    async fn inject(&self, fault: CheckFault) -> Injection {
        match fault {
            CheckFault::Break(region) => self.set(region, RegionState::Failing),
            CheckFault::Silence(region) => self.set(region, RegionState::Dark),
            CheckFault::CannotAsk => Injection::Cannot("a simulated question can always be put".to_owned()),
            CheckFault::Mend => {
                self.regions.iter().for_each(|region| drop(self.set(region.clone(), RegionState::Up)));
                Injection::Armed
            }
        }
    }
}

fn run() -> RunId {
    RunId::new("sim").unwrap()
}

#[tokio::test(start_paused = true)]
async fn simulated_cells_conform() {
    let world = Simulated::new("ordered").world.clone();
    let second = SimCells(world.seen_from(Place::Witness));
    cells::suite(Local::new(SimCells(world), second), &run()).await.assert_passed_with_skips(&[]);
}

#[tokio::test(start_paused = true)]
async fn an_ordered_store_conforms() {
    stores::suite(Simulated::new("ordered"), &run()).await.assert_passed_with_skips(&[
        "a_listing_goes_on_after_the_first_page",
        "what_a_late_write_overwrote_is_put_back",
        "what_was_written_since_is_left_alone",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_replicates_item_by_item_conforms() {
    stores::suite(Simulated::new("item-by-item"), &run()).await.assert_passed_with_skips(&[
        "a_listing_goes_on_after_the_first_page",
        "an_older_epoch_is_refused",
        "a_fence_keeps_writers_out_and_spares_replication",
        "a_planned_promotion_moves_the_writer_and_can_be_repeated",
        "a_forced_promotion_needs_nothing_of_the_region_that_is_left",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_simulated_router_conforms() {
    routers::suite(Simulated::new("ordered")).await.assert_passed_with_skips(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_simulated_scaler_conforms() {
    scalers::suite(Simulated::new("ordered")).await.assert_passed_with_skips(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_simulated_check_conforms() {
    checks::suite(Simulated::new("ordered"))
        .await
        .assert_passed_with_skips(&["a_question_that_cannot_be_put_is_unknown"]);
}
