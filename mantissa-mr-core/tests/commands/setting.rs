//! What is deployed, and what is asked for in it.

use std::time::Duration;

use mantissa_mr_core::deployment::{DeploymentSpec, Strategy, TierChoice};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::plan::{Move, MoveRequest};
use mantissa_mr_core::sim;

use super::stage::{Turn, region};

/// Everything goes faster than by default, so that a thousand moves can be made.
pub(crate) fn quick(spec: &mut DeploymentSpec) {
    let seconds = Duration::from_secs;
    let policy = &mut spec.policy;
    (policy.gate.trust, policy.gate.write_deadline) = (seconds(6), seconds(2));
    (policy.detection.interval, policy.detection.probe_deadline) = (seconds(4), seconds(3));
    (policy.detection.failures, policy.detection.recoveries) = (2, 2);
    (policy.timing.lease, policy.timing.beat, policy.timing.observe) = (seconds(6), seconds(2), seconds(5));
    (policy.timing.call_deadline, policy.timing.fence_deadline) = (seconds(5), seconds(5));
    for group in &mut spec.groups {
        let mut tier = group.tier.tier();
        tier.hold = seconds(8);
        group.tier = TierChoice::Custom(tier);
    }
    sim::set(spec, "instances", "start", "3s");
    sim::set(spec, "dns", "ttl", "4s");
    sim::set(spec, "dns", "propagation", "1s");
}

/// What is planned in the calm.
pub(crate) fn request(kind: Move, turn: &Turn) -> MoveRequest {
    let east = || Some(Region::new("east").unwrap());
    let active = turn.cast.deployment.spec().strategy == Strategy::ActiveActive;
    let (from, to) = match kind {
        Move::Evacuate => (east(), None),
        Move::Rejoin => (None, east()),
        Move::Switchover | Move::Failover if active => (east(), Some(region("west"))),
        _ => (None, None),
    };
    MoveRequest { kind, from, to, drill: false, waivers: Vec::new(), why: "a person wants it".into() }
}
