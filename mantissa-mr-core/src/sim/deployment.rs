//! Deployments made for simulated worlds.

use std::time::Duration;

use crate::deployment::{
    Automatic, Deployment, DeploymentSpec, GroupSpec, Policy, Provider, RegionSpec, ResourceSpec, Settings,
    Strategy, Tier, TierChoice, Timing, VantageSpec, WitnessSpec, Writers,
};
use crate::name::{DeploymentName, FailureDomain, GroupName, InvalidName, Region, ResourceName, VantageName};
use crate::problem::{Problem, Problems};

/// The first regions of a simulated deployment; further ones are numbered.
const NAMES: [&str; 4] = ["east", "west", "north", "south"];

/// A deployment of so many simulated regions: one group `logs` with a store (ordered where one region serves, item by
/// item where all do), a router, a scaler and a check; a vantage in each region and one beside the witness; moves by
/// itself. Times are the defaults, save a cool-down and a failback of minutes.
///
/// # Errors
/// Fewer than two regions, or so many that their names are none.
pub fn deployment(regions: usize, strategy: Strategy) -> Result<Deployment, Problems> {
    Deployment::new(spec(regions, strategy)?)
}

/// The same, to be changed before it is checked.
///
/// # Errors
/// So many regions that their names are none.
pub fn spec(regions: usize, strategy: Strategy) -> Result<DeploymentSpec, Problems> {
    build(regions.max(1), strategy).map_err(|error| Problem::new("", error.to_string()).into())
}

fn build(count: usize, strategy: Strategy) -> Result<DeploymentSpec, InvalidName> {
    let name = |number: usize| match NAMES.get(number) {
        Some(name) => Region::new(name),
        None => Region::new(&format!("region-{}", number + 1)),
    };
    let names = (0..count).map(name).collect::<Result<Vec<Region>, _>>()?;
    let mut vantages = Vec::new();
    for place in names.iter().map(Region::as_str).chain(["witness"]) {
        vantages
            .push(VantageSpec { name: VantageName::new(place)?, failure_domain: FailureDomain::new(place)? });
    }
    let regions =
        names.iter().map(|name| RegionSpec { name: name.clone(), provider: Provider::Simulated }).collect();
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let timing = Timing { cool_down: minutes(5), failback_after: minutes(3), ..Timing::default() };
    Ok(DeploymentSpec {
        name: DeploymentName::new("sim")?,
        strategy,
        preferred: name(0)?,
        regions,
        witness: WitnessSpec { kind: "simulated".into(), region: None, settings: Settings::new() },
        vantages,
        policy: Policy { automatic: Automatic::On, timing, ..Policy::default() },
        groups: vec![group("logs", strategy)?],
    })
}

fn group(name: &str, strategy: Strategy) -> Result<GroupSpec, InvalidName> {
    let (kind, rpo) = match strategy {
        Strategy::ActivePassive => ("ordered", 60),
        Strategy::ActiveActive => ("item-by-item", 60),
    };
    let tier = Tier {
        order: 1,
        rpo: Duration::from_secs(rpo),
        rto: Duration::from_secs(15 * 60),
        strategy,
        hold: Duration::from_secs(60),
    };
    Ok(GroupSpec {
        name: GroupName::new(name)?,
        tier: TierChoice::Custom(tier),
        writers: Writers::Gated,
        stores: vec![resource(name, "state", kind)?],
        routers: vec![resource(name, "dns", "dns")?],
        scalers: vec![resource(name, "workers", "instances")?],
        checks: vec![resource(name, "api", "probe")?],
    })
}

fn resource(group: &str, name: &str, kind: &str) -> Result<ResourceSpec, InvalidName> {
    Ok(ResourceSpec::new(ResourceName::new(&format!("{group}-{name}"))?, kind))
}

/// Sets one setting of every resource of a kind.
pub fn set(spec: &mut DeploymentSpec, kind: &str, key: &str, value: impl Into<toml::Value>) {
    let value = value.into();
    for group in &mut spec.groups {
        let lists = [&mut group.stores, &mut group.routers, &mut group.scalers, &mut group.checks];
        for resource in lists.into_iter().flatten().filter(|resource| resource.kind == kind) {
            resource.settings.insert(key.to_owned(), value.clone());
        }
    }
}
