//! Draws what runs, in which weather, and what people want of it.

use std::time::Duration;

use super::{Phases, is_passive, one_of, rate_of, seconds};
use crate::deployment::{
    Automatic, Deployment, DeploymentSpec, GroupSpec, ResourceSpec, Strategy, TierChoice, Writers,
};
use crate::name::{Region, ResourceName};
use crate::problem::Problems;
use crate::sim::clock::TrueTime;
use crate::sim::heap::Settings;
use crate::sim::network::Weather;
use crate::sim::person::Wish;
use crate::sim::random::{Random, Rate, Spread};
use crate::sim::world::{CellTroubles, Climate};
use crate::sim::writers::Traffic;

pub(super) fn spec(random: &mut Random) -> Result<DeploymentSpec, Problems> {
    let strategy =
        if random.happens(Rate::one_in(4)) { Strategy::ActiveActive } else { Strategy::ActivePassive };
    let count = 2 + random.index(2);
    let mut spec = crate::sim::deployment::spec(count, strategy)?;
    policy(&mut spec, random);
    if random.happens(Rate::one_in(4)) {
        spec.groups.push(crate::sim::deployment::group("alerts", strategy)?);
    }
    let regions: Vec<Region> = spec.regions.iter().map(|region| region.name.clone()).collect();
    for group in &mut spec.groups {
        self::group(group, strategy, &regions, random);
    }
    Ok(spec)
}

fn policy(spec: &mut DeploymentSpec, random: &mut Random) {
    let policy = &mut spec.policy;
    policy.gate.trust = seconds(random, 4, 30);
    let part = 2 + random.below(8) as u32;
    policy.gate.write_deadline = policy.gate.trust / part;
    policy.timing.lease = seconds(random, 6, 30);
    policy.timing.beat = policy.timing.lease / (4 + random.below(4) as u32);
    policy.timing.observe = seconds(random, 4, 20);
    policy.timing.reconcile = policy.timing.observe;
    policy.timing.call_deadline = seconds(random, 2, 10);
    policy.timing.fence_deadline = seconds(random, 2, 10);
    policy.timing.cool_down = seconds(random, 20, 400);
    policy.timing.failback_after = seconds(random, 20, 200);
    policy.timing.approval = seconds(random, 60, 600);
    policy.detection.interval = seconds(random, 3, 10);
    policy.detection.probe_deadline = seconds(random, 1, 5).min(policy.detection.interval / 2);
    policy.detection.failures = 1 + random.below(3) as u32;
    policy.detection.recoveries = 1 + random.below(5) as u32;
    policy.velocity.moves = 1 + random.below(4) as u32;
    policy.velocity.window = seconds(random, 60, 600);
    policy.automatic = match random.below(6) {
        0 => Automatic::Propose,
        1 => Automatic::Off,
        _ => Automatic::On,
    };
    policy.automatic_failback = random.happens(Rate(400_000));
}

fn group(group: &mut GroupSpec, strategy: Strategy, regions: &[Region], random: &mut Random) {
    let mut tier = group.tier.tier();
    tier.hold = seconds(random, 5, 60);
    tier.rpo = seconds(random, 5, 300);
    group.tier = TierChoice::Custom(tier);
    if random.happens(Rate::one_in(8)) {
        group.writers = Writers::Ungated;
    }
    let kinds: &[&[&str]] = match strategy {
        Strategy::ActivePassive => {
            &[&["ordered"], &["ordered"], &["ordered", "item-by-item"], &["item-by-item"]]
        }
        Strategy::ActiveActive => &[&["item-by-item"]],
    };
    let kinds = random.pick(kinds).copied().unwrap_or_default();
    let stores = kinds.iter().enumerate().filter_map(|(number, kind)| {
        let name = ResourceName::new(&format!("{}-state-{number}", group.name)).ok()?;
        Some(store(ResourceSpec::new(name, *kind), random))
    });
    group.stores = stores.collect();
    for router in &mut group.routers {
        router.settings.insert("ttl".into(), text(seconds(random, 2, 60)));
        router.settings.insert("propagation".into(), pair(one_of(random, &[SHORT, LONG])));
        if random.happens(Rate(500_000))
            && let Some(region) = random.pick(regions)
        {
            router.settings.insert("control-plane".into(), region.as_str().into());
        }
    }
    for scaler in &mut group.scalers {
        scaler.settings.insert("start".into(), pair(one_of(random, &[SHORT, LONG])));
    }
}

const SHORT: Spread = Spread::millis(500, 3_000);
const LONG: Spread = Spread::millis(5_000, 45_000);

fn store(mut store: ResourceSpec, random: &mut Random) -> ResourceSpec {
    let lags = [Spread::millis(100, 2_000), Spread::millis(1_000, 10_000), Spread::millis(5_000, 40_000)];
    let promotions =
        [Spread::millis(500, 5_000), Spread::millis(3_000, 20_000), Spread::millis(20_000, 60_000)];
    let mut set = |key: &str, value: toml::Value| store.settings.insert(key.to_owned(), value);
    set("lag", pair(one_of(random, &lags)));
    set("promotion", pair(one_of(random, &promotions)));
    set("flushes", random.happens(Rate(300_000)).into());
    set("provable", (!random.happens(Rate::one_in(5))).into());
    let delay = if random.happens(Rate(300_000)) { seconds(random, 1, 15) } else { Duration::ZERO };
    set("fence-delay", text(delay));
    let period = if random.happens(Rate(300_000)) { seconds(random, 5, 60) } else { Duration::ZERO };
    set("metric-period", text(period));
    store
}

fn text(span: Duration) -> toml::Value {
    format!("{}ms", span.as_millis()).into()
}

fn pair(spread: Spread) -> toml::Value {
    toml::Value::Array(vec![text(spread.least), text(spread.most)])
}

pub(super) fn settings(random: &mut Random) -> Settings {
    const OFTEN: [Rate; 5] =
        [Rate::NEVER, Rate::one_in(1_000), Rate::one_in(200), Rate::one_in(50), Rate::one_in(20)];
    let weather = Weather {
        delay: one_of(random, &[Spread::millis(5, 40), Spread::millis(10, 80), Spread::millis(50, 300)]),
        slow: rate_of(random, &OFTEN),
        slow_delay: one_of(random, &[Spread::millis(200, 3_000), Spread::millis(1_000, 30_000)]),
        lost_requests: rate_of(random, &OFTEN),
        lost_answers: rate_of(random, &OFTEN),
    };
    let cells = CellTroubles {
        unknown: rate_of(random, &OFTEN),
        lands: Rate(500_000),
        lands_after: one_of(random, &[Spread::millis(10, 1_000), Spread::millis(500, 60_000)]),
    };
    let refusals = rate_of(random, &OFTEN);
    let traffic = Traffic {
        clients: 1 + random.below(4) as u32,
        every: one_of(random, &[Spread::millis(300, 1_500), Spread::millis(1_000, 4_000)]),
        keeps_answers: rate_of(random, &[Rate::NEVER, Rate(200_000), Rate(500_000)]),
        shared: rate_of(random, &[Rate::NEVER, Rate(200_000), Rate(800_000)]),
        store_work: Spread::millis(2, 30),
        slow: rate_of(random, &OFTEN),
        slow_work: one_of(random, &[Spread::millis(500, 8_000), Spread::millis(5_000, 60_000)]),
    };
    Settings { climate: Climate { weather, cells, refusals, work: Spread::millis(2, 20) }, traffic }
}

/// How far clocks run apart: from hardly to just within what gates allow for (two per cent between any two clocks).
pub(super) fn rates(random: &mut Random) -> i32 {
    random.pick(&[20, 500, 5_000, 9_800]).copied().unwrap_or_default()
}

pub(super) fn wishes(deployment: &Deployment, phases: Phases, random: &mut Random) -> Vec<(TrueTime, Wish)> {
    let count = random.pick(&[0, 0, 1, 1, 2, 4]).copied().unwrap_or_default();
    let mut at: Vec<TrueTime> = (0..count)
        .map(|_| {
            let span = Spread::new(phases.quiet, phases.heals.since(TrueTime::START));
            TrueTime::START + random.span(span)
        })
        .collect();
    at.sort_unstable();
    let passive = is_passive(deployment);
    at.into_iter().map(|at| (at, Wish::draw(deployment, passive, random))).collect()
}
