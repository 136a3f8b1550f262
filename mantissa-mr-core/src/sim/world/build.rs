//! From a deployment to a world.

use std::collections::BTreeMap;
use std::time::Duration;

use super::data::StoreSettings;
use super::{Cells, Climate, DataSet, Looks, Router, Scaler, World};
use crate::deployment::{Deployment, DeploymentSpec, ResourceSpec, Share, Strategy};
use crate::name::Region;
use crate::problem::{Problem, Problems};
use crate::sim::fault::RegionState;
use crate::sim::network::Network;
use crate::sim::place::Places;
use crate::sim::random::{Random, Spread};
use crate::sim::settings::Reader;
use crate::store::Replication;
use crate::traffic::Weights;

/// Full capacity where a scaler's settings do not say.
const FULL: u64 = 100;

pub(super) fn world(deployment: &Deployment, seed: u64, climate: Climate) -> Result<World, Problems> {
    let places = Places::new(deployment.regions());
    let count = places.regions();
    let mut builder = Builder { spec: deployment.spec(), seed, problems: Vec::new() };
    let network = Network::new(places.count(), climate.weather, Random::new(seed, "network"));
    let mut world = World {
        places,
        network,
        climate,
        regions: vec![RegionState::Up; count],
        looks: vec![Looks { fixed: None, turn: Duration::ZERO }; count],
        witness_up: true,
        cells: Cells::new(climate.cells, Random::new(seed, "cells")),
        stores: BTreeMap::new(),
        routers: BTreeMap::new(),
        scalers: BTreeMap::new(),
        checks: Vec::new(),
        vetoes: BTreeMap::new(),
        notices: Vec::new(),
        random: Random::new(seed, "world"),
    };
    for group in &deployment.spec().groups {
        for (list, resource) in group.resources() {
            builder.add(&mut world, list, resource);
        }
    }
    Problems::check(builder.problems)?;
    Ok(world)
}

struct Builder<'a> {
    spec: &'a DeploymentSpec,
    seed: u64,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn add(&mut self, world: &mut World, list: &str, resource: &ResourceSpec) {
        match (list, resource.kind.as_str()) {
            ("stores", "ordered") => self.store(world, list, resource, Replication::Ordered),
            ("stores", "item-by-item") => self.store(world, list, resource, Replication::ItemByItem),
            ("routers", "dns") => self.router(world, list, resource),
            ("scalers", "instances") => self.scaler(world, list, resource),
            ("checks", "probe") => {
                Reader::new(list, resource, &mut self.problems).finish();
                world.checks.push(resource.name.clone());
            }
            (_, kind) => {
                let field = format!("{list}.{}.kind", resource.name);
                let message = format!("`{kind}` is not simulated");
                let advice = "the simulated kinds are: stores ordered, item-by-item; routers dns; scalers \
                              instances; checks probe";
                self.problems.push(Problem::new(field, message).with_advice(advice));
            }
        }
    }

    fn random(&self, resource: &ResourceSpec) -> Random {
        Random::new(self.seed, resource.name.as_str())
    }

    fn store(&mut self, world: &mut World, list: &str, resource: &ResourceSpec, replication: Replication) {
        let random = self.random(resource);
        let mut reader = Reader::new(list, resource, &mut self.problems);
        let seconds = Duration::from_secs;
        let settings = StoreSettings {
            replication,
            lag: reader.spread("lag", Spread::millis(200, 2_000)),
            promotion: reader.spread("promotion", Spread::new(seconds(3), seconds(20))),
            flushes: reader.flag("flushes", false),
            provable: reader.flag("provable", true),
            fence_delay: reader.span("fence-delay", Duration::ZERO),
            metric_period: reader.span("metric-period", Duration::ZERO),
            replicated: reader.flag("replicated", true),
        };
        reader.finish();
        let regions: Vec<Region> = self.spec.regions.iter().map(|region| region.name.clone()).collect();
        let leader = regions.iter().position(|region| *region == self.spec.preferred).unwrap_or_default();
        let data = DataSet::new(&resource.name, settings, regions, leader, random);
        world.stores.insert(resource.name.clone(), data);
    }

    fn router(&mut self, world: &mut World, list: &str, resource: &ResourceSpec) {
        let random = self.random(resource);
        let mut reader = Reader::new(list, resource, &mut self.problems);
        let ttl = reader.span("ttl", Duration::from_secs(60));
        let propagation = reader.spread("propagation", Spread::millis(1_000, 10_000));
        let control_plane = reader.text("control-plane").and_then(|name| {
            let known = self.spec.regions.iter().find(|region| region.name.as_str() == name);
            if known.is_none() {
                reader.problem("control-plane", format!("`{name}` is not one of the regions"));
            }
            known.map(|region| region.name.clone())
        });
        reader.finish();
        let weights = match self.spec.strategy {
            Strategy::ActivePassive => Weights::all_to(&self.spec.preferred),
            Strategy::ActiveActive => Weights::even(self.spec.regions.iter().map(|region| &region.name)),
        };
        let router = Router::new(&resource.name, ttl, propagation, control_plane, weights, random);
        world.routers.insert(resource.name.clone(), router);
    }

    fn scaler(&mut self, world: &mut World, list: &str, resource: &ResourceSpec) {
        let random = self.random(resource);
        let mut reader = Reader::new(list, resource, &mut self.problems);
        let start = reader.spread("start", Spread::millis(5_000, 45_000));
        let full = reader.count("full").unwrap_or(FULL);
        let quota = reader.count("quota").unwrap_or(full.saturating_mul(2));
        reader.finish();
        let share = |region: &Region| match self.spec.strategy {
            Strategy::ActivePassive if *region != self.spec.preferred => self.spec.policy.standby.0,
            _ => Share::FULL,
        };
        let has = self.spec.regions.iter().map(|region| share(&region.name).of(full)).collect();
        let scaler = Scaler::new(&resource.name, start, full, quota, has, random);
        world.scalers.insert(resource.name.clone(), scaler);
    }
}
