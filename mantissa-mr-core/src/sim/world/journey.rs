//! Where a call is carried out, and how long that takes.

use std::time::Duration;

use super::World;
use crate::call::Call;
use crate::name::Region;
use crate::sim::fault::RegionState;
use crate::sim::place::At;
use crate::sim::random::Spread;
use crate::traffic::Urgency;

/// Where a call is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Journey {
    /// By the caller itself.
    Local,
    /// At one place.
    To(At),
    /// By the caller itself, which asks several regions at once.
    Around(Vec<usize>),
}

/// How long somebody who asks several regions waits for one that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

impl World {
    /// Where a call is carried out. What the world does not have is answered on the spot.
    pub(crate) fn journey(&self, call: &Call) -> Journey {
        let to = |region: &Region| {
            self.places.region(region).map_or(Journey::Local, |number| Journey::To(At(number)))
        };
        let edge = Journey::To(self.places.edge());
        match call {
            Call::Load { .. } | Call::Store { .. } => Journey::To(self.places.witness()),
            Call::Status { .. } | Call::Reconcile { .. } => {
                Journey::Around((0..self.places.regions()).collect())
            }
            Call::Drained { barrier, .. } => {
                let regions = [&barrier.from, &barrier.to];
                Journey::Around(regions.into_iter().filter_map(|region| self.places.region(region)).collect())
            }
            Call::Promote { region, .. }
            | Call::Fence { region, .. }
            | Call::Unfence { region, .. }
            | Call::Capacity { region, .. }
            | Call::Scale { region, .. }
            | Call::Assess { region, .. } => to(region),
            Call::Routing { .. } | Call::Converged { .. } | Call::Notify { .. } => edge,
            Call::Shift { router, shift } => match shift.urgency {
                Urgency::Planned => {
                    let home = self.routers.get(router).and_then(|router| router.control_plane.as_ref());
                    home.map_or(edge, to)
                }
                Urgency::Unplanned => shift.weights.serving().next().map_or(edge, to),
            },
            Call::Ask { .. } => Journey::Local,
        }
    }

    /// Whether a place answers nobody now.
    pub(crate) fn is_silent(&self, place: At) -> bool {
        match self.regions.get(place.0) {
            Some(state) => *state == RegionState::Dark,
            None => place == self.places.witness() && !self.witness_up,
        }
    }

    /// How long a call is worked on where it is carried out. Its effect comes at the end.
    pub(crate) fn work(&mut self, from: At, journey: &Journey, call: &Call) -> Duration {
        let spread = match call {
            Call::Promote { store, .. } => {
                self.stores.get(store).map_or(self.climate.work, |data| data.settings.promotion)
            }
            Call::Shift { .. } => Spread::millis(100, 600),
            Call::Scale { .. } | Call::Fence { .. } | Call::Unfence { .. } => Spread::millis(50, 300),
            _ => self.climate.work,
        };
        let work = self.random.span(spread);
        match journey {
            Journey::Local => Duration::ZERO,
            Journey::To(place) => self.slowed(*place, work),
            Journey::Around(regions) => {
                let silent = |region: &usize| {
                    self.is_silent(At(*region)) || !self.network.both_ways(from, At(*region))
                };
                let waits = if regions.iter().any(silent) { PATIENCE } else { Duration::ZERO };
                let far = regions.iter().map(|region| self.network.round_trip(from, At(*region))).max();
                waits.max(far.unwrap_or_default() + work)
            }
        }
    }

    /// How long a request for data is worked on.
    pub(crate) fn data_work(&mut self, place: At) -> Duration {
        let work = self.random.span(self.climate.work);
        self.slowed(place, work)
    }

    /// How long something takes in a place that may be degraded.
    pub(crate) fn slowed(&self, place: At, work: Duration) -> Duration {
        match self.regions.get(place.0) {
            Some(RegionState::Degraded) => work.saturating_mul(10),
            _ => work,
        }
    }

    /// Which regions somebody at a place reaches and gets answers from.
    pub(crate) fn reaches(&self, from: At) -> Vec<bool> {
        let works = |number: usize| self.regions[number].works();
        (0..self.places.regions()).map(|to| works(to) && self.network.both_ways(from, At(to))).collect()
    }
}
