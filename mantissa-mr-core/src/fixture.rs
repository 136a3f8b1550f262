//! A small deployment with everything known and fit, for unit tests: each test breaks one thing.

use std::time::Duration;

use jiff::Timestamp;

use crate::check::Fitness;
use crate::clock::{Moment, Now};
use crate::compute::{Capacity, ScalerCapabilities};
use crate::deployment::{
    Deployment, DeploymentSpec, GroupSpec, Provider, RegionSpec, ResourceSpec, Strategy, TierChoice,
    VantageSpec, WitnessSpec,
};
use crate::facts::{Catalog, Facts, Health, RecentMoves, Seen, Situation};
use crate::guard::Initiator;
use crate::ledger::{Ledger, Token};
use crate::name::{DeploymentName, FailureDomain, GroupName, Region, ResourceName, VantageName};
use crate::store::{
    Lag, LateWrites, LossBound, ReplicaStatus, Replication, Role, StoreCapabilities, StoreStatus,
};
use crate::traffic::RouterCapabilities;

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

pub(crate) fn resource(name: &str) -> ResourceName {
    ResourceName::new(name).unwrap()
}

/// Three regions `a` (preferred), `b`, `c`; one group with a store, a router, a scaler and a check.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    pub(crate) spec: DeploymentSpec,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) facts: Facts,
    pub(crate) catalog: Catalog,
    pub(crate) recent: Option<RecentMoves>,
    pub(crate) now: Now,
}

impl Fixture {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let now = Now {
            moment: Moment::from_nanos(1_000_000_000_000),
            wall: Timestamp::from_second(1_800_000_000).unwrap(),
        };
        let group = GroupSpec::new(GroupName::new("logs").unwrap(), TierChoice::Important)
            .store(ResourceSpec::new(resource("state"), "ordered"))
            .router(ResourceSpec::new(resource("dns"), "dns"))
            .scaler(ResourceSpec::new(resource("workers"), "instances"))
            .check(ResourceSpec::new(resource("api"), "probe"));
        let mut spec = DeploymentSpec::new(
            DeploymentName::new("test").unwrap(),
            strategy,
            RegionSpec::new(region("a"), Provider::Simulated),
            WitnessSpec::multi_region("memory"),
        )
        .group(group);
        for name in ["b", "c"] {
            spec = spec.region(RegionSpec::new(region(name), Provider::Simulated));
        }
        for name in ["v1", "v2", "v3"] {
            spec = spec.vantage(VantageSpec::new(
                VantageName::new(name).unwrap(),
                FailureDomain::new(name).unwrap(),
            ));
        }
        let mut fixture = Self {
            spec,
            ledger: None,
            facts: Facts::default(),
            catalog: catalog(),
            recent: Some(RecentMoves::default()),
            now,
        };
        for name in ["a", "b", "c"] {
            fixture.health(name, Fitness::Fit, false);
            let capacity =
                Capacity { ready: 10, requested: 10, full: 100, limit: Some(200), unit: "instances".into() };
            let seen = Seen { value: capacity, at: now.moment };
            fixture.facts.capacities.insert((resource("workers"), region(name)), seen);
        }
        let replica = |role| ReplicaStatus {
            role,
            lag: Lag::Known { lag: Duration::from_secs(2), age: Duration::from_secs(1) },
            watermark: None,
            backlog: None,
        };
        let replicas = [("a", Role::Writer), ("b", Role::Replica), ("c", Role::Replica)];
        let replicas = replicas.into_iter().map(|(name, role)| (region(name), replica(role))).collect();
        fixture.facts.saw_status(now.moment, &resource("state"), StoreStatus { replicas });
        fixture
    }

    /// What a region is called.
    pub(crate) fn health(&mut self, name: &str, fitness: Fitness, confirmed: bool) {
        let health = Health { fitness, confirmed, since: Moment::START, why: "the test says so".into() };
        self.facts.health.insert(region(name), health);
    }

    pub(crate) fn deployment(&self) -> Deployment {
        Deployment::new(self.spec.clone()).unwrap()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let group = GroupName::new("logs").unwrap();
        let first = || Ledger::init(&self.deployment(), &group, Token("test".into()));
        self.ledger.clone().unwrap_or_else(first)
    }

    /// Asks a question about the situation.
    pub(crate) fn ask<T>(&self, initiator: Initiator, question: impl FnOnce(&Situation<'_>) -> T) -> T {
        let (deployment, ledger) = (self.deployment(), self.ledger());
        question(&Situation {
            deployment: &deployment,
            group: &deployment.spec().groups[0],
            ledger: &ledger,
            facts: &self.facts,
            catalog: &self.catalog,
            recent: self.recent.as_ref(),
            initiator,
            now: self.now,
        })
    }
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
        planned_needs: [region("a")].into(),
        unplanned_needs: Some([].into()),
        splits_traffic: true,
        expected_convergence: Duration::from_secs(60),
    };
    Catalog {
        stores: [(resource("state"), store)].into(),
        routers: [(resource("dns"), router)].into(),
        scalers: [(resource("workers"), ScalerCapabilities { expected_start: Duration::from_secs(90) })]
            .into(),
    }
}
