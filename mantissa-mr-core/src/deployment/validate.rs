//! The rules of a deployment: all of them run, and all that is wrong is said at once.
//!
//! A rule runs where all that it reads is there, so that the loader can ask about the readable parts of files whose
//! other parts are broken. The field that a problem names is a path (`policy.gate.trust`, `groups.logs.tier.rto`) in
//! which things that have a name stand by it: the loader finds the place in the file by that path.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    Automatic, DeploymentSpec, GroupSpec, Policy, RegionSpec, ResourceSpec, VantageSpec, WitnessSpec, secret,
    spoken,
};
use crate::name::{FailureDomain, Region};
use crate::problem::Problem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Where a secret belongs.
const FROM_A_STORE: &str = "let the backend read it from a secret store or its environment";
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The parts of a deployment that could be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) preferred: Option<&'a Region>,
    pub(crate) regions: Option<&'a [RegionSpec]>,
    pub(crate) witness: Option<&'a WitnessSpec>,
    pub(crate) vantages: Option<&'a [VantageSpec]>,
    pub(crate) policy: Option<&'a Policy>,
    pub(crate) groups: Option<&'a [GroupSpec]>,
}

impl<'a> From<&'a DeploymentSpec> for Parts<'a> {
    fn from(spec: &'a DeploymentSpec) -> Self {
        Self {
            preferred: Some(&spec.preferred),
            regions: Some(&spec.regions),
            witness: Some(&spec.witness),
            vantages: Some(&spec.vantages),
            policy: Some(&spec.policy),
            groups: Some(&spec.groups),
        }
    }
}

pub(crate) fn problems(parts: Parts<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(all) = parts.regions {
        regions(all, &mut found);
    }
    if let (Some(name), Some(all)) = (parts.preferred, parts.regions) {
        preferred(name, all, &mut found);
    }
    if let Some(spec) = parts.witness {
        witness(spec, parts.regions, &mut found);
    }
    if let Some(all) = parts.vantages {
        vantages(all, parts.policy, &mut found);
    }
    if let Some(policy) = parts.policy {
        spans(policy, &mut found);
        orders(policy, &mut found);
        numbers(policy, &mut found);
    }
    if let Some(all) = parts.groups {
        groups(all, parts.regions, &mut found);
    }
    found
}

fn regions(regions: &[RegionSpec], found: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for region in regions {
        if !seen.insert(&region.name) {
            let message = format!("region {} is named twice", region.name);
            let problem = Problem::new(format!("regions.{}", region.name), message);
            found.push(problem.with_advice("a region cannot stand by for itself"));
        }
    }
    if seen.len() < 2 {
        found.push(Problem::new("regions", "a deployment needs at least two different regions"));
    }
}

fn preferred(preferred: &Region, regions: &[RegionSpec], found: &mut Vec<Problem>) {
    if !has(regions, preferred) {
        let message = format!("{preferred} is not one of the regions ({})", names(regions));
        found.push(Problem::new("preferred", message));
    }
}

fn witness(witness: &WitnessSpec, regions: Option<&[RegionSpec]>, found: &mut Vec<Problem>) {
    if witness.kind.is_empty() {
        found.push(Problem::new("witness.kind", "names no implementation"));
    }
    unfilled("witness.kind", &witness.kind, found);
    settings("witness.settings", &witness.settings, found);
    let (Some(region), Some(regions)) = (&witness.region, regions) else { return };
    if has(regions, region) {
        let message = format!("the witness is in {region}, which is one of the regions that it must outlive");
        found.push(Problem::new("witness.region", message).with_advice("put it in a third region"));
    }
}

fn vantages(vantages: &[VantageSpec], policy: Option<&Policy>, found: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for vantage in vantages {
        if !names.insert(&vantage.name) {
            let message = format!("vantage {} is named twice", vantage.name);
            found.push(Problem::new(format!("vantages.{}", vantage.name), message));
        }
    }
    let domains = failure_domains(vantages).len();
    if policy.is_some_and(|policy| policy.automatic == Automatic::On) && (domains < 3 || vantages.len() < 3) {
        let message = format!(
            "automatic moves need at least three vantages in three failure domains; there are {} in {domains}",
            vantages.len()
        );
        let problem = Problem::new("vantages", message);
        found.push(problem.with_advice("or set policy.automatic to `propose` or `off`"));
    }
}

/// Each span of the policy within its limits.
fn spans(policy: &Policy, found: &mut Vec<Problem>) {
    let (gate, detection, timing) = (&policy.gate, &policy.detection, &policy.timing);
    for (field, span) in [
        ("policy.gate.trust", gate.trust),
        ("policy.gate.write-deadline", gate.write_deadline),
        ("policy.detection.interval", detection.interval),
        ("policy.detection.probe-deadline", detection.probe_deadline),
        ("policy.timing.lease", timing.lease),
        ("policy.timing.beat", timing.beat),
        ("policy.timing.observe", timing.observe),
        ("policy.timing.reconcile", timing.reconcile),
        ("policy.timing.call-deadline", timing.call_deadline),
        ("policy.timing.fence-deadline", timing.fence_deadline),
        ("policy.timing.approval", timing.approval),
        ("policy.velocity.window", policy.velocity.window),
    ] {
        not_zero(field, span, found);
        at_most(field, span, DAY, "a day", found);
    }
    // Zero is allowed here: no pause is a choice, if a bold one.
    for (field, span) in [
        ("policy.timing.cool-down", timing.cool_down),
        ("policy.timing.failback-after", timing.failback_after),
    ] {
        at_most(field, span, MONTH, "30 days", found);
    }
}

/// The spans of the policy against each other.
fn orders(policy: &Policy, found: &mut Vec<Problem>) {
    let (gate, detection, timing) = (&policy.gate, &policy.detection, &policy.timing);
    if gate.write_deadline >= gate.trust {
        let message = format!(
            "{} leaves no time to write: it must be shorter than gate.trust, which is {}",
            spoken(gate.write_deadline),
            spoken(gate.trust)
        );
        found.push(Problem::new("policy.gate.write-deadline", message));
    }
    if timing.beat.saturating_mul(3) > timing.lease {
        let message = format!(
            "{} is too long: three beats must fit into timing.lease, which is {}",
            spoken(timing.beat),
            spoken(timing.lease)
        );
        found.push(Problem::new("policy.timing.beat", message));
    }
    if detection.probe_deadline > detection.interval {
        let message = format!(
            "{} is too long: a probe must end before the next one starts, detection.interval is {}",
            spoken(detection.probe_deadline),
            spoken(detection.interval)
        );
        found.push(Problem::new("policy.detection.probe-deadline", message));
    }
}

fn numbers(policy: &Policy, found: &mut Vec<Problem>) {
    if policy.gate.rate_margin.ppm > 500_000 {
        let message = "more than half: clocks do not differ that much";
        found.push(Problem::new("policy.gate.rate-margin.ppm", message));
    }
    for (field, count) in [
        ("policy.detection.failures", policy.detection.failures),
        ("policy.detection.recoveries", policy.detection.recoveries),
        ("policy.velocity.moves", policy.velocity.moves),
    ] {
        if !(1..=1_000).contains(&count) {
            found.push(Problem::new(field, format!("{count} is not between 1 and 1000")));
        }
    }
}

fn groups(groups: &[GroupSpec], regions: Option<&[RegionSpec]>, found: &mut Vec<Problem>) {
    if groups.is_empty() {
        found.push(Problem::new("groups", "a deployment needs at least one group"));
    }
    let mut names = BTreeSet::new();
    let mut resources = BTreeSet::new();
    let mut units: BTreeMap<&str, &GroupSpec> = BTreeMap::new();
    for group in groups {
        if !names.insert(&group.name) {
            let message = format!("group {} is named twice", group.name);
            found.push(Problem::new(format!("groups.{}", group.name), message));
        }
        objectives(group, found);
        for (list, resource) in group.resources() {
            let field = format!("groups.{}.{list}.{}", group.name, resource.name);
            if !resources.insert(&resource.name) {
                found.push(Problem::new(&field, "another resource has the same name"));
            }
            self::resource(&field, resource, regions, found);
            if list == "checks" {
                continue;
            }
            let owner = *units.entry(resource.unit()).or_insert(group);
            if owner.name != group.name {
                found.push(shared_unit(field, resource, owner, group));
            }
        }
    }
}

fn resource(field: &str, resource: &ResourceSpec, regions: Option<&[RegionSpec]>, found: &mut Vec<Problem>) {
    if resource.kind.is_empty() {
        found.push(Problem::new(format!("{field}.kind"), "names no implementation"));
    }
    if resource.failover_unit.as_ref().is_some_and(String::is_empty) {
        let problem = Problem::new(format!("{field}.failover-unit"), "is empty");
        found.push(problem.with_advice("leave it out if the resource fails over by itself"));
    }
    unfilled(&format!("{field}.kind"), &resource.kind, found);
    unfilled(&format!("{field}.failover-unit"), resource.unit(), found);
    settings(&format!("{field}.settings"), &resource.settings, found);
    for (region, of_region) in &resource.regions {
        settings(&format!("{field}.regions.{region}"), of_region, found);
    }
    let Some(regions) = regions else { return };
    for region in resource.regions.keys().filter(|region| !has(regions, region)) {
        let message = format!("{region} is not one of the regions ({})", names(regions));
        found.push(Problem::new(format!("{field}.regions.{region}"), message));
    }
}

fn settings<'s>(
    field: &str,
    settings: impl IntoIterator<Item = (&'s String, &'s toml::Value)>,
    found: &mut Vec<Problem>,
) {
    for (key, value) in settings {
        let field = format!("{field}.{key}");
        if value.as_str().is_some_and(|_| secret::is_named_so(key)) {
            let problem = Problem::new(field, "looks like a secret, and settings are shown");
            found.push(problem.with_advice(FROM_A_STORE));
        } else {
            setting(&field, value, found);
        }
    }
}

fn setting(field: &str, value: &toml::Value, found: &mut Vec<Problem>) {
    match value {
        toml::Value::String(text) if secret::has_user(text) => {
            let problem = Problem::new(field, "holds a URL with a user, and settings are shown");
            found.push(problem.with_advice(FROM_A_STORE));
        }
        toml::Value::String(text) => unfilled(field, text, found),
        toml::Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                let name = value.get("name").and_then(toml::Value::as_str);
                let part = name.map_or_else(|| index.to_string(), str::to_owned);
                setting(&format!("{field}.{part}"), value, found);
            }
        }
        toml::Value::Table(table) => {
            settings(field, table, found);
        }
        _ => {}
    }
}

/// A template that reached this point would be taken by its letters.
fn unfilled(field: &str, text: &str, found: &mut Vec<Problem>) {
    if text.contains("${") {
        let problem = Problem::new(field, "holds `${`, which nothing fills in");
        found.push(
            problem.with_advice("in an overlay, { variable = \"name\" } is the value of a tfvars variable"),
        );
    }
}

fn shared_unit(field: String, resource: &ResourceSpec, owner: &GroupSpec, group: &GroupSpec) -> Problem {
    let (owner, group, unit) = (&owner.name, &group.name, resource.unit());
    let message = format!("groups {owner} and {group} share `{unit}`, which fails over as a whole");
    Problem::new(field, message).with_advice("put both groups' resources into one group")
}

fn objectives(group: &GroupSpec, found: &mut Vec<Problem>) {
    let tier = group.tier.tier();
    let field = |name: &str| format!("groups.{}.tier.{name}", group.name);
    not_zero(&field("rto"), tier.rto, found);
    not_zero(&field("hold"), tier.hold, found);
    for (name, span) in [("rpo", tier.rpo), ("rto", tier.rto), ("hold", tier.hold)] {
        at_most(&field(name), span, MONTH, "30 days", found);
    }
    if tier.hold >= tier.rto && !tier.rto.is_zero() {
        let message = format!(
            "{} would use up the recovery time alone: rto is {}",
            spoken(tier.hold),
            spoken(tier.rto)
        );
        found.push(Problem::new(field("hold"), message));
    }
}

fn not_zero(field: &str, span: Duration, found: &mut Vec<Problem>) {
    if span.is_zero() {
        found.push(Problem::new(field, "must be longer than zero"));
    }
}

fn at_most(field: &str, span: Duration, most: Duration, in_words: &str, found: &mut Vec<Problem>) {
    if span > most {
        found.push(Problem::new(field, format!("{} is absurd: more than {in_words}", spoken(span))));
    }
}

fn has(regions: &[RegionSpec], name: &Region) -> bool {
    regions.iter().any(|region| region.name == *name)
}

fn names(regions: &[RegionSpec]) -> String {
    let names: BTreeSet<&str> = regions.iter().map(|region| region.name.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

pub(super) fn failure_domains(vantages: &[VantageSpec]) -> BTreeSet<&FailureDomain> {
    vantages.iter().map(|vantage| &vantage.failure_domain).collect()
}
