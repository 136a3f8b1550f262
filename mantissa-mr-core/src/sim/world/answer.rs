//! The answer to every call.

use std::collections::BTreeMap;

use super::{Journey, World};
use crate::backend::unanswered as failed;
use crate::call::{Call, Reply};
use crate::check::{Assessment, Fitness};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::name::{Region, ResourceName};
use crate::notify::HookAnswer;
use crate::sim::clock::TrueTime;
use crate::sim::fault::RegionState;
use crate::sim::place::At;
use crate::traffic::Routing;

/// The reply that the caller of a call makes up when none came, as the driver does.
pub(crate) fn unanswered(call: &Call) -> Reply {
    failed(call, Error::new(ErrorKind::Timeout, operation(call), "no answer within the deadline"))
}

/// The method that a call is of.
pub(crate) fn operation(call: &Call) -> &'static str {
    match call {
        Call::Load { .. } => "load",
        Call::Store { .. } => "store",
        Call::Status { .. } => "status",
        Call::Drained { .. } => "drained",
        Call::Promote { .. } => "promote",
        Call::Fence { .. } => "fence",
        Call::Unfence { .. } => "unfence",
        Call::Reconcile { .. } => "reconcile",
        Call::Routing { .. } => "routing",
        Call::Shift { .. } => "shift",
        Call::Converged { .. } => "converged",
        Call::Capacity { .. } => "capacity",
        Call::Scale { .. } => "scale",
        Call::Assess { .. } => "assess",
        Call::Ask { .. } => "before",
        Call::Notify { .. } => "notify",
    }
}

fn missing(operation: &str, name: &ResourceName) -> Error {
    Error::new(ErrorKind::NotFound, operation, "the simulated world has no such resource").on(name)
}

impl World {
    /// Carries a call out. `tag` is kept with what it stores in a cell.
    pub(crate) fn answer(&mut self, at: TrueTime, from: At, call: &Call, tag: u64) -> Reply {
        if let Some(reply) = self.refusal(from, call) {
            return reply;
        }
        match call {
            Call::Load { cell } => Reply::Load(Ok(self.cells.load(at, cell))),
            Call::Store { cell, expected, value } => {
                Reply::Store(Ok(self.cells.store(at, tag, cell, expected, value)))
            }
            Call::Assess { check, region } => Reply::Assess(self.assess(at, check, region)),
            Call::Ask { question } => Reply::Ask(Ok(match self.vetoes.get(&question.point) {
                Some(reason) => HookAnswer::Veto { reason: reason.clone() },
                None => HookAnswer::Allow,
            })),
            Call::Notify { notice } => {
                self.notices.push((at, notice.clone()));
                Reply::Notify(Ok(()))
            }
            Call::Routing { router } => Reply::Routing(self.routing(router)),
            Call::Converged { router, weights } => Reply::Converged(
                self.routers
                    .get(router)
                    .map(|r| r.converged(at, weights))
                    .ok_or_else(|| missing("converged", router)),
            ),
            Call::Shift { router, shift } => {
                if let Some(Err(error)) =
                    shift.weights.0.keys().map(|region| self.number("shift", region)).find(Result::is_err)
                {
                    return Reply::Shift(Err(error.on(router)));
                }
                let regions = &self.regions;
                let places = &self.places;
                let up =
                    |region: &Region| places.region(region).is_some_and(|number| regions[number].works());
                let router = self.routers.get_mut(router).ok_or_else(|| missing("shift", router));
                Reply::Shift(router.and_then(|router| router.shift(at, shift, up)))
            }
            Call::Capacity { scaler, region } => {
                Reply::Capacity(self.number("capacity", region).and_then(|number| {
                    let scaler = self.scalers.get(scaler).ok_or_else(|| missing("capacity", scaler))?;
                    Ok(scaler.capacity(at, number))
                }))
            }
            Call::Scale { scaler, region, target, .. } => {
                Reply::Scale(self.number("scale", region).and_then(|number| {
                    let scaler = self.scalers.get_mut(scaler).ok_or_else(|| missing("scale", scaler))?;
                    scaler.scale(at, number, region, *target)
                }))
            }
            call => self.answer_store(at, from, call),
        }
    }

    fn answer_store(&mut self, at: TrueTime, from: At, call: &Call) -> Reply {
        let reaches = self.reaches(from);
        match call {
            Call::Status { store } => {
                Reply::Status(self.dataset("status", store).map(|d| d.status(at, &reaches)))
            }
            Call::Drained { store, barrier } => {
                Reply::Drained(self.dataset("drained", store).and_then(|d| d.drained(at, barrier, &reaches)))
            }
            Call::Promote { store, region, promotion, epoch } => {
                Reply::Promote(self.number("promote", region).and_then(|number| {
                    let reaches = self.reaches(At(number));
                    self.dataset("promote", store)?.promote(at, number, *promotion, *epoch, &reaches)
                }))
            }
            Call::Fence { store, region, epoch } => Reply::Fence(
                self.number("fence", region)
                    .and_then(|number| self.dataset("fence", store)?.fence(at, number, *epoch)),
            ),
            Call::Unfence { store, region, epoch } => Reply::Unfence(
                self.number("unfence", region)
                    .and_then(|number| self.dataset("unfence", store)?.unfence(number, *epoch)),
            ),
            Call::Reconcile { store, serving, after } => {
                Reply::Reconcile(self.number("reconcile", serving).and_then(|number| {
                    self.dataset("reconcile", store)?.reconcile(at, number, after.as_ref(), &reaches)
                }))
            }
            call => {
                failed(call, Error::new(ErrorKind::Unsupported, operation(call), "not a call to a store"))
            }
        }
    }

    /// The answer of a place that does not do what it is asked, or of a cloud that has a bad moment.
    fn refusal(&mut self, from: At, call: &Call) -> Option<Reply> {
        let journey = self.journey(call);
        let Journey::To(place) = journey else { return None };
        let down = match self.regions.get(place.0) {
            Some(state) => !state.works(),
            None => place == self.places.witness() && !self.witness_up,
        };
        let refused = |message: &str| {
            let error = Error::new(ErrorKind::Unavailable, operation(call), message);
            Some(failed(call, error.with_effect(Effect::None)))
        };
        if matches!(call, Call::Assess { .. }) {
            let silent = down || !self.network.both_ways(from, place);
            return silent.then(|| Reply::Assess(Ok(Assessment::new(Fitness::Unfit, "the service fails"))));
        }
        if down {
            return refused("the service answers with a failure of its own");
        }
        if call.changes_cloud() && self.random.happens(self.climate.refusals) {
            let error = Error::new(ErrorKind::Throttled, operation(call), "too many requests");
            return Some(failed(call, error));
        }
        None
    }

    fn assess(&self, at: TrueTime, check: &ResourceName, region: &Region) -> Result<Assessment> {
        let number = self.number("assess", region)?;
        if !self.checks.contains(check) {
            return Err(missing("assess", check));
        }
        let looks = self.looks[number];
        if let Some(fitness) = looks.fixed {
            return Ok(Assessment::new(fitness, "it looks so"));
        }
        let turn = looks.turn.as_nanos();
        if turn > 0 && (u128::from(at.as_nanos()) / turn) % 2 == 1 {
            return Ok(Assessment::new(Fitness::Unfit, "every other answer fails"));
        }
        Ok(match self.regions[number] {
            RegionState::Up => Assessment::new(Fitness::Fit, "it answers"),
            RegionState::Degraded => Assessment::new(Fitness::Degraded, "it answers slowly"),
            RegionState::Returning => Assessment::new(Fitness::Degraded, "it brings its data up to date"),
            RegionState::Dark | RegionState::Failing => Assessment::new(Fitness::Unfit, "the service fails"),
        })
    }

    fn routing(&self, router: &ResourceName) -> Result<Routing> {
        let router = self.routers.get(router).ok_or_else(|| missing("routing", router))?;
        let edge = self.places.edge();
        let mut health = BTreeMap::new();
        for number in 0..self.places.regions() {
            if let Some(region) = self.places.region_name(number) {
                let healthy = self.regions[number].works() && self.network.both_ways(edge, At(number));
                health.insert(region.clone(), healthy);
            }
        }
        Ok(router.routing(health))
    }

    fn number(&self, operation: &str, region: &Region) -> Result<usize> {
        let error = || Error::new(ErrorKind::NotFound, operation, "the simulated world has no such region");
        self.places.region(region).ok_or_else(|| error().in_region(region))
    }

    fn dataset(&mut self, operation: &str, store: &ResourceName) -> Result<&mut super::DataSet> {
        self.stores.get_mut(store).ok_or_else(|| missing(operation, store))
    }
}
