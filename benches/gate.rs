//! What a service pays before each write: `permit()`, beside the bare clock read that is inside it.
//!
//! `cargo bench -p benches --bench gate`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use mantissa_mr_core::cell::{
    Cell, CellDurability, CellName, CellStore, CellVersion, Expected, StoreOutcome,
};
use mantissa_mr_core::clock::{Clock, Moment, SystemClock};
use mantissa_mr_core::deployment::{
    Deployment, DeploymentSpec, GroupSpec, Policy, Provider, RegionSpec, Strategy, TierChoice, WitnessSpec,
    Writers,
};
use mantissa_mr_core::error::Result;
use mantissa_mr_core::gate::{GateMachine, GateRunner, RenewPolicy, WriteGate};
use mantissa_mr_core::ledger::{GroupCells, Ledger, Token};
use mantissa_mr_core::name::{DeploymentName, GroupName, Region};

/// A ledger that never changes.
#[derive(Debug)]
struct OneLedger(Cell);

#[async_trait]
impl CellStore for OneLedger {
    fn durability(&self) -> CellDurability {
        CellDurability { place: "this bench".into(), survives_region_loss: Some(false) }
    }

    async fn load(&self, _: &CellName) -> Result<Option<Cell>> {
        Ok(Some(self.0.clone()))
    }

    async fn store(&self, _: &CellName, _: &Expected, _: &[u8]) -> Result<StoreOutcome> {
        Ok(StoreOutcome::Lost)
    }
}

/// A clock that stands still and costs nothing, to see what a permit costs apart from the clock.
#[derive(Debug)]
struct NoClock;

impl Clock for NoClock {
    fn moment(&self) -> Moment {
        Moment::START
    }

    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn deployment() -> Deployment {
    let region = |name: &str| RegionSpec { name: Region::new(name).unwrap(), provider: Provider::Simulated };
    let group = GroupSpec {
        name: GroupName::new("alerts").unwrap(),
        tier: TierChoice::Important,
        writers: Writers::Gated,
        stores: Vec::new(),
        routers: Vec::new(),
        scalers: Vec::new(),
        checks: Vec::new(),
    };
    Deployment::new(DeploymentSpec {
        name: DeploymentName::new("bench").unwrap(),
        strategy: Strategy::ActivePassive,
        preferred: Region::new("east").unwrap(),
        regions: vec![region("east"), region("west")],
        witness: WitnessSpec { kind: "memory".into(), region: None, settings: Default::default() },
        vantages: Vec::new(),
        policy: Policy::default(),
        groups: vec![group],
    })
    .unwrap()
}

/// The gate of this region, kept by a runner in the background.
fn gate(runtime: &tokio::runtime::Runtime, region: &str, clock: impl Clock) -> WriteGate {
    let deployment = deployment();
    let (name, group) = (&deployment.spec().name, &deployment.spec().groups[0].name);
    let ledger = Ledger::init(&deployment, group, Token("bench".into()));
    let cells = OneLedger(Cell { value: ledger.encode(), version: CellVersion("1".into()) });
    let machine =
        GateMachine::new(GroupCells::new(name, group), Region::new(region).unwrap(), RenewPolicy::default());
    let (runner, gate) = GateRunner::new(machine, Arc::new(cells), Arc::new(clock));
    runtime.spawn(runner.run(std::future::pending()));
    gate
}

fn benchmark(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut group = criterion.benchmark_group("gate");
    group.measurement_time(Duration::from_secs(5));
    group.bench_function("clock read", |bench| bench.iter(|| black_box(&clock).moment()));
    group.bench_function("both clocks read", |bench| bench.iter(|| black_box(&clock).now()));

    let open = gate(&runtime, "east", SystemClock);
    runtime.block_on(open.opened()).unwrap();
    group.bench_function("permit", |bench| bench.iter(|| black_box(&open).permit().is_ok()));
    group.bench_function("permit and confirm", |bench| {
        bench.iter(|| black_box(&open).permit().unwrap().confirm().is_ok());
    });

    let apart = gate(&runtime, "east", NoClock);
    runtime.block_on(apart.opened()).unwrap();
    group.bench_function("permit without the clock", |bench| {
        bench.iter(|| black_box(&apart).permit().is_ok());
    });

    let shut = gate(&runtime, "west", SystemClock);
    group.bench_function("permit refused", |bench| bench.iter(|| black_box(&shut).permit().is_err()));
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
