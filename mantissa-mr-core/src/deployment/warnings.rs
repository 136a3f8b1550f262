//! What is allowed but not advised.

use super::validate::failure_domains;
use super::{Automatic, DeploymentSpec, GroupSpec, Strategy, spoken};

/// Two quartz clocks differ by 200 parts per million, and a disciplined one may be slewed by 500 (`adjtimex(2)`).
const CLOCKS_DIFFER_PPM: u32 = 700;

pub(super) fn warnings(spec: &DeploymentSpec) -> Vec<String> {
    let mut found = Vec::new();
    for group in &spec.groups {
        group_warnings(group, spec, &mut found);
    }
    if let Some(region) = &spec.witness.region {
        found.push(format!(
            "the witness is in one region ({region}), unless it is kept in several: while it is down the gates shut after the trust, and nothing moves"
        ));
    }
    if spec.vantages.len() < 3 {
        found.push(
            "fewer than three vantages: no region is ever called unfit, nothing moves by itself".into(),
        );
    } else if failure_domains(&spec.vantages).len() < 3 {
        found.push(
            "the vantages are in fewer than three failure domains: the loss of one may take a majority of them along"
                .into(),
        );
    }
    if spec.policy.gate.rate_margin.ppm < CLOCKS_DIFFER_PPM {
        found.push(format!(
            "policy.gate.rate-margin.ppm is {}: healthy clocks may differ by {CLOCKS_DIFFER_PPM}, and then two regions \
             may write at once",
            spec.policy.gate.rate_margin.ppm
        ));
    }
    if spec.policy.automatic_failback && spec.policy.automatic != Automatic::On {
        found.push("policy.automatic-failback has no effect unless policy.automatic is `on`".into());
    }
    found
}

fn group_warnings(group: &GroupSpec, spec: &DeploymentSpec, found: &mut Vec<String>) {
    let (name, tier) = (&group.name, group.tier.tier());
    if tier.strategy != spec.strategy {
        found.push(format!(
            "group {name}: its tier asks for {}, the deployment is {}",
            tier.strategy, spec.strategy
        ));
    }
    if spec.strategy == Strategy::ActivePassive && group.stores.is_empty() {
        found.push(format!("group {name} has no store: nothing is promoted or drained"));
    }
    if group.routers.is_empty() {
        found.push(format!("group {name} has no router: its traffic stays where it is"));
    }
    if group.checks.is_empty() {
        found.push(format!("group {name} has no check: nothing says whether a region is fit to serve it"));
    }
    let detection = &spec.policy.detection;
    let before_a_move = detection
        .interval
        .saturating_mul(detection.failures)
        .saturating_add(detection.probe_deadline)
        .saturating_add(tier.hold)
        .saturating_add(spec.policy.gate.seal_wait());
    if before_a_move >= tier.rto {
        found.push(format!(
            "group {name}: detection, hold and seal take {}, the recovery time is {}",
            spoken(before_a_move),
            spoken(tier.rto)
        ));
    }
}
