//! Deciding for a large deployment: 32 regions, 1,000 resources, every guard asked and a whole plan made.

use std::collections::BTreeMap;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use mantissa_mr_core::check::Fitness;
use mantissa_mr_core::clock::{Moment, Now};
use mantissa_mr_core::compute::{Capacity, ScalerCapabilities};
use mantissa_mr_core::decide::{Decision, decide};
use mantissa_mr_core::deployment::{
    Automatic, Deployment, DeploymentSpec, GroupSpec, Provider, RegionSpec, ResourceSpec, Strategy,
    TierChoice, VantageSpec, WitnessSpec,
};
use mantissa_mr_core::facts::{Catalog, Facts, Health, RecentMoves, Seen, Situation};
use mantissa_mr_core::guard::Initiator;
use mantissa_mr_core::ledger::{Ledger, Token};
use mantissa_mr_core::name::{DeploymentName, FailureDomain, GroupName, Region, ResourceName, VantageName};
use mantissa_mr_core::store::{
    Lag, LateWrites, LossBound, ReplicaStatus, Replication, Role, StoreCapabilities, StoreStatus,
};
use mantissa_mr_core::traffic::RouterCapabilities;

const REGIONS: usize = 32;
const OF_EACH_KIND: usize = 250;

fn region(number: usize) -> Region {
    Region::new(&format!("region-{number}")).unwrap()
}

fn resource(kind: &str, number: usize) -> ResourceName {
    ResourceName::new(&format!("{kind}-{number}")).unwrap()
}

fn deployment() -> Deployment {
    let mut group = GroupSpec::new(GroupName::new("logs").unwrap(), TierChoice::Important);
    for number in 0..OF_EACH_KIND {
        group = group
            .store(ResourceSpec::new(resource("store", number), "ordered"))
            .router(ResourceSpec::new(resource("router", number), "dns"))
            .scaler(ResourceSpec::new(resource("scaler", number), "instances"))
            .check(ResourceSpec::new(resource("check", number), "probe"));
    }
    let mut spec = DeploymentSpec::new(
        DeploymentName::new("large").unwrap(),
        Strategy::ActivePassive,
        RegionSpec::new(region(0), Provider::Simulated),
        WitnessSpec::multi_region("memory"),
    )
    .group(group);
    spec.policy.automatic = Automatic::On;
    for number in 1..REGIONS {
        spec = spec.region(RegionSpec::new(region(number), Provider::Simulated));
    }
    for name in ["one", "two", "three"] {
        let domain = FailureDomain::new(name).unwrap();
        spec = spec.vantage(VantageSpec::new(VantageName::new(name).unwrap(), domain));
    }
    Deployment::new(spec).unwrap()
}

fn facts(at: Moment) -> Facts {
    let mut facts = Facts::default();
    for number in 0..REGIONS {
        let fitness = if number == 0 { Fitness::Unfit } else { Fitness::Fit };
        let health =
            Health { fitness, confirmed: number == 0, since: Moment::START, why: "three votes".into() };
        facts.health.insert(region(number), health);
        for scaler in 0..OF_EACH_KIND {
            let capacity =
                Capacity { ready: 10, requested: 10, full: 100, limit: Some(200), unit: "instances".into() };
            facts
                .capacities
                .insert((resource("scaler", scaler), region(number)), Seen { value: capacity, at });
        }
    }
    let replica = |role| ReplicaStatus {
        role,
        lag: Lag::Known { lag: Duration::from_secs(1), age: Duration::ZERO },
        watermark: None,
        backlog: None,
    };
    for store in 0..OF_EACH_KIND {
        let role = |number| if number == 0 { Role::Writer } else { Role::Replica };
        let replicas: BTreeMap<_, _> =
            (0..REGIONS).map(|number| (region(number), replica(role(number)))).collect();
        facts.saw_status(at, &resource("store", store), StoreStatus { replicas });
    }
    facts
}

fn catalog() -> Catalog {
    let store = StoreCapabilities {
        replication: Replication::Ordered,
        late_writes: LateWrites::Refused,
        needs_promotion: true,
        can_fence: true,
        loss: LossBound::Estimated,
        expected_promotion: Duration::from_secs(10),
    };
    let router = RouterCapabilities {
        planned_needs: [].into(),
        unplanned_needs: Some([].into()),
        splits_traffic: true,
        expected_convergence: Duration::from_secs(60),
    };
    let scaler = ScalerCapabilities { expected_start: Duration::from_secs(90) };
    let numbers = || 0..OF_EACH_KIND;
    Catalog {
        stores: numbers().map(|number| (resource("store", number), store.clone())).collect(),
        routers: numbers().map(|number| (resource("router", number), router.clone())).collect(),
        scalers: numbers().map(|number| (resource("scaler", number), scaler.clone())).collect(),
    }
}

fn decide_large(criterion: &mut Criterion) {
    let (deployment, catalog, recent) = (deployment(), catalog(), RecentMoves::default());
    let now = Now { moment: Moment::from_nanos(1_000_000_000_000), wall: Timestamp::UNIX_EPOCH };
    let facts = facts(now.moment);
    let group = &deployment.spec().groups[0];
    let ledger = Ledger::init(&deployment, &group.name, Token("bench".into()));
    let situation = |ledger| Situation {
        deployment: &deployment,
        group,
        ledger,
        facts: &facts,
        catalog: &catalog,
        recent: Some(&recent),
        initiator: Initiator::Controller,
        now,
    };
    let mut bench = criterion.benchmark_group("decide, 32 regions, 1000 resources");
    let lost = situation(&ledger);
    assert!(matches!(decide(&lost), Decision::Begin(_)));
    bench.bench_function("a region is lost: the whole plan", |bencher| {
        bencher.iter(|| decide(std::hint::black_box(&lost)));
    });
    // The same, with another region serving: nothing to do.
    let mut elsewhere = ledger.clone();
    let away = elsewhere.admissions[&region(0)].clone();
    let standby = elsewhere.admissions.insert(region(1), away).unwrap();
    elsewhere.admissions.insert(region(0), standby);
    let calm = situation(&elsewhere);
    assert!(matches!(decide(&calm), Decision::Rest(_)));
    bench.bench_function("nothing is wrong", |bencher| {
        bencher.iter(|| decide(std::hint::black_box(&calm)));
    });
    bench.finish();
}

criterion_group!(benches, decide_large);
criterion_main!(benches);
