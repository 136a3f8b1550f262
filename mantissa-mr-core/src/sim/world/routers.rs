//! Where simulated clients are sent, and what it takes to change that.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::name::{Region, ResourceName};
use crate::sim::clock::TrueTime;
use crate::sim::random::{Random, Spread};
use crate::traffic::{Convergence, RouterCapabilities, Routing, RoutingVersion, Shift, Urgency, Weights};

/// A router: name servers at the edge answer with what is set; clients keep an answer for its time to live.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) name: ResourceName,
    pub(crate) ttl: Duration,
    /// From a change to the last name server's knowing it.
    pub(crate) propagation: Spread,
    /// The region that the control plane for planned changes lives in; none if it is everywhere.
    pub(crate) control_plane: Option<Region>,
    pub(crate) control_plane_up: bool,
    weights: Weights,
    before: Weights,
    version: u64,
    changed: TrueTime,
    known_everywhere: TrueTime,
    random: Random,
}

impl Router {
    pub(crate) fn new(
        name: &ResourceName,
        ttl: Duration,
        propagation: Spread,
        control_plane: Option<Region>,
        weights: Weights,
        random: Random,
    ) -> Self {
        Self {
            name: name.clone(),
            ttl,
            propagation,
            control_plane,
            control_plane_up: true,
            before: weights.clone(),
            weights,
            version: 1,
            changed: TrueTime::START,
            known_everywhere: TrueTime::START,
            random,
        }
    }

    pub(crate) fn capabilities(&self) -> RouterCapabilities {
        RouterCapabilities {
            planned_needs: self.control_plane.iter().cloned().collect(),
            unplanned_needs: Some(std::collections::BTreeSet::new()),
            splits_traffic: true,
            expected_convergence: self.ttl + self.propagation.most,
        }
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What is set, and what health checks at the edge say.
    pub(crate) fn routing(&self, health: BTreeMap<Region, bool>) -> Routing {
        Routing { weights: self.weights.clone(), health, version: self.version(), unfinished: None }
    }

    fn version(&self) -> RoutingVersion {
        RoutingVersion(format!("r{}", self.version))
    }

    /// Changes the routing. `up` says whether a region can be counted on for it.
    pub(crate) fn shift(&mut self, at: TrueTime, shift: &Shift, up: impl Fn(&Region) -> bool) -> Result<()> {
        let error = |kind, message: String| Error::new(kind, "shift", message).on(&self.name);
        if shift.weights.serving().next().is_none() {
            return Err(error(ErrorKind::InvalidInput, "no region would get any traffic".into()));
        }
        if shift.urgency == Urgency::Planned && !self.control_plane_up {
            return Err(error(ErrorKind::Unavailable, "the control plane is down".into())
                .with_effect(crate::error::Effect::None));
        }
        if let Some(down) = shift.weights.serving().find(|region| !up(region)) {
            let message = "it would get traffic and does not answer".to_owned();
            return Err(error(ErrorKind::Unavailable, message).in_region(down));
        }
        if shift.based_on != self.version() {
            let message =
                format!("the routing is {}, the change was made for {}", self.version, shift.based_on.0);
            return Err(error(ErrorKind::Conflict, message).with_advice("read the routing again"));
        }
        self.set(at, shift.weights.clone());
        Ok(())
    }

    /// Sets the weights: by a shift, or by somebody else.
    pub(crate) fn set(&mut self, at: TrueTime, weights: Weights) {
        self.before = std::mem::replace(&mut self.weights, weights);
        self.version += 1;
        self.changed = at;
        self.known_everywhere = at + self.random.span(self.propagation);
    }

    pub(crate) fn converged(&self, at: TrueTime, weights: &Weights) -> Convergence {
        let not_yet = |why: String| Convergence::NotYet { why };
        if !self.weights.same_shares(weights) {
            return not_yet(format!("the routing is {}", self.weights));
        }
        if at < self.known_everywhere {
            return not_yet("not every name server knows it".into());
        }
        if at < self.known_everywhere + self.ttl {
            return not_yet("old answers may still be kept".into());
        }
        Convergence::Converged { how: format!("every name server knows it, and {:?} have passed", self.ttl) }
    }

    /// What a client that asks now is told, out of `draw`, which is any number; none if nothing is set.
    pub(crate) fn answer(&self, at: TrueTime, draw: u64) -> Option<&Region> {
        let knows = at >= self.known_everywhere || draw.is_multiple_of(2);
        let weights = if knows { &self.weights } else { &self.before };
        let total: u64 = weights.0.values().map(|weight| u64::from(*weight)).sum();
        let mut left = (draw >> 1).checked_rem(total)?;
        for (region, weight) in &weights.0 {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return Some(region),
            }
        }
        None
    }
}
