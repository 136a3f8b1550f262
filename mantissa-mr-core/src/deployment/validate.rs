//! The checks of a deployment: all of them run, and all that is wrong is said at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Automatic, DeploymentSpec, GroupSpec, Policy, Strategy};
use crate::problem::Problem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn problems(spec: &DeploymentSpec) -> Vec<Problem> {
    let mut found = Vec::new();
    regions(spec, &mut found);
    witness(spec, &mut found);
    vantages(spec, &mut found);
    policy(&spec.policy, &mut found);
    groups(spec, &mut found);
    found
}

fn regions(spec: &DeploymentSpec, found: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for region in &spec.regions {
        if !seen.insert(&region.name) {
            let message = format!("region {} is named twice", region.name);
            found.push(Problem::new("regions", message).with_advice("a region cannot stand by for itself"));
        }
    }
    if seen.len() < 2 {
        found.push(Problem::new("regions", "a deployment needs at least two different regions"));
    }
    if !seen.contains(&spec.preferred) {
        let message = format!("{} is not one of the regions ({})", spec.preferred, list(&seen));
        found.push(Problem::new("preferred", message));
    }
}

fn witness(spec: &DeploymentSpec, found: &mut Vec<Problem>) {
    let Some(region) = &spec.witness.region else { return };
    if spec.regions.iter().any(|other| other.name == *region) {
        let message = format!("the witness is in {region}, which is one of the regions that it must outlive");
        found.push(Problem::new("witness.region", message).with_advice("put it in a third region"));
    }
}

fn vantages(spec: &DeploymentSpec, found: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for vantage in &spec.vantages {
        if !names.insert(&vantage.name) {
            found.push(Problem::new("vantages", format!("vantage {} is named twice", vantage.name)));
        }
    }
    let domains: BTreeSet<_> = spec.vantages.iter().map(|vantage| &vantage.failure_domain).collect();
    if spec.policy.automatic == Automatic::On && (domains.len() < 3 || spec.vantages.len() < 3) {
        let message = format!(
            "automatic moves need at least three vantages in three failure domains; there are {} in {}",
            spec.vantages.len(),
            domains.len()
        );
        found.push(
            Problem::new("vantages", message).with_advice("or set policy.automatic to `propose` or `off`"),
        );
    }
}

fn policy(policy: &Policy, found: &mut Vec<Problem>) {
    let timing = &policy.timing;
    let spans = [
        ("gate.trust", policy.gate.trust),
        ("gate.write-deadline", policy.gate.write_deadline),
        ("detection.interval", policy.detection.interval),
        ("detection.probe-deadline", policy.detection.probe_deadline),
        ("timing.lease", timing.lease),
        ("timing.beat", timing.beat),
        ("timing.observe", timing.observe),
        ("timing.call-deadline", timing.call_deadline),
        ("timing.fence-deadline", timing.fence_deadline),
        ("timing.approval", timing.approval),
        ("velocity.window", policy.velocity.window),
    ];
    for (field, span) in spans {
        let field = format!("policy.{field}");
        if span.is_zero() {
            found.push(Problem::new(field, "must be longer than zero"));
        } else if span > DAY {
            found.push(Problem::new(field, format!("{span:?} is absurd: more than a day")));
        }
    }
    let shorter = [
        ("gate.write-deadline", policy.gate.write_deadline, "gate.trust", policy.gate.trust),
        ("timing.beat", timing.beat.saturating_mul(3), "three beats in timing.lease", timing.lease),
    ];
    for (field, span, limit, most) in shorter {
        if span >= most.saturating_add(Duration::from_nanos(u64::from(field == "timing.beat"))) {
            let message = format!("{span:?} does not fit: {limit} is {most:?}");
            found.push(Problem::new(format!("policy.{field}"), message));
        }
    }
    if policy.gate.rate_margin.ppm > 500_000 {
        found.push(Problem::new("policy.gate.rate-margin", "more than half: clocks do not differ that much"));
    }
    for (field, count) in [
        ("detection.failures", policy.detection.failures),
        ("detection.recoveries", policy.detection.recoveries),
        ("velocity.moves", policy.velocity.moves),
    ] {
        if count == 0 || count > 1_000 {
            found.push(Problem::new(format!("policy.{field}"), format!("{count} is not between 1 and 1000")));
        }
    }
}

fn groups(spec: &DeploymentSpec, found: &mut Vec<Problem>) {
    if spec.groups.is_empty() {
        found.push(Problem::new("groups", "a deployment needs at least one group"));
    }
    let mut names = BTreeSet::new();
    let mut resources = BTreeSet::new();
    let mut units: BTreeMap<&str, &GroupSpec> = BTreeMap::new();
    for group in &spec.groups {
        if !names.insert(&group.name) {
            found.push(Problem::new("groups", format!("group {} is named twice", group.name)));
        }
        objectives(group, found);
        for (list, resource) in group.resources() {
            let field = format!("groups.{}.{list}.{}", group.name, resource.name);
            if !resources.insert(&resource.name) {
                found.push(Problem::new(&field, "another resource has the same name"));
            }
            for region in resource.regions.keys() {
                if !spec.regions.iter().any(|known| known.name == *region) {
                    let message = format!("{region} is not one of the regions");
                    found.push(Problem::new(format!("{field}.regions"), message));
                }
            }
            if list == "checks" {
                continue;
            }
            match units.get(resource.unit()) {
                Some(owner) if owner.name != group.name => {
                    let message = format!(
                        "groups {} and {} share `{}`, which fails over as a whole",
                        owner.name,
                        group.name,
                        resource.unit()
                    );
                    let advice = "put both groups' resources into one group";
                    found.push(Problem::new(field, message).with_advice(advice));
                }
                _ => {
                    units.insert(resource.unit(), group);
                }
            }
        }
    }
}

fn objectives(group: &GroupSpec, found: &mut Vec<Problem>) {
    let tier = group.tier.tier();
    let field = |name: &str| format!("groups.{}.tier.{name}", group.name);
    for (name, span, zero_is_fine) in
        [("rpo", tier.rpo, true), ("rto", tier.rto, false), ("hold", tier.hold, false)]
    {
        if span.is_zero() && !zero_is_fine {
            found.push(Problem::new(field(name), "must be longer than zero"));
        } else if span > DAY.saturating_mul(30) {
            found.push(Problem::new(field(name), format!("{span:?} is absurd: more than 30 days")));
        }
    }
    if tier.hold >= tier.rto && !tier.rto.is_zero() {
        found.push(Problem::new(field("hold"), "the hold alone would use up the recovery time"));
    }
}

pub(super) fn warnings(spec: &DeploymentSpec) -> Vec<String> {
    let mut found = Vec::new();
    for group in &spec.groups {
        let tier = group.tier.tier();
        if tier.strategy != spec.strategy {
            found.push(format!(
                "group {}: its tier asks for {}, the deployment is {}",
                group.name, tier.strategy, spec.strategy
            ));
        }
        if spec.strategy == Strategy::ActivePassive && group.stores.is_empty() {
            found.push(format!("group {} has no store: nothing is promoted or drained", group.name));
        }
    }
    if let Some(region) = &spec.witness.region {
        found.push(format!(
            "the witness is in one region ({region}): while it is down the gates shut after the trust, and nothing moves"
        ));
    }
    if spec.vantages.len() < 3 {
        found.push(
            "fewer than three vantages: no region is ever called unfit, nothing moves by itself".into(),
        );
    }
    found
}

fn list(names: &BTreeSet<&crate::name::Region>) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}
