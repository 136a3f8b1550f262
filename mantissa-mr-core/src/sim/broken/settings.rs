//! Controllers that are given another deployment, or another catalog, than what the oracles judge by.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Broken;
use crate::deployment::{Automatic, Deployment, TierChoice};
use crate::facts::Catalog;
use crate::store::LossBound;

/// Longer than any run.
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn deployment(broken: Broken, real: &Arc<Deployment>) -> Arc<Deployment> {
    let mut spec = real.spec().clone();
    match broken {
        Broken::NoLossGuard => {
            for group in &mut spec.groups {
                let mut tier = group.tier.tier();
                tier.rpo = DAY;
                group.tier = TierChoice::Custom(tier);
            }
        }
        Broken::AgainstPolicy => spec.policy.automatic = Automatic::On,
        Broken::NoCoolDown => spec.policy.timing.cool_down = Duration::ZERO,
        Broken::FailsBack => spec.policy.automatic_failback = true,
        Broken::NoVelocity => spec.policy.velocity.moves = 1_000,
        _ => return real.clone(),
    }
    // What is no deployment breaks nothing, which the test of the oracles would notice.
    Deployment::new(spec).map_or_else(|_| real.clone(), Arc::new)
}

pub(super) fn catalog(broken: Broken, real: &Catalog) -> Catalog {
    let mut catalog = real.clone();
    match broken {
        Broken::NothingIsLost => {
            for store in catalog.stores.values_mut() {
                store.loss = LossBound::None;
            }
        }
        Broken::ControlPlane => {
            for router in catalog.routers.values_mut() {
                router.unplanned_needs = None;
                router.planned_needs = BTreeSet::new();
            }
        }
        _ => {}
    }
    catalog
}
