//! The truth of a simulated world: pure and synchronous. Everything that is asked of it is answered at once; how long
//! the question and the answer travel is the network's matter, and whether they arrive.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::TrueTime;
use super::fault::{Fault, RegionState};
use super::network::{Network, Weather};
use super::place::{Place, Places};
use super::random::{Random, Rate, Spread};
use crate::call::{Call, Reply};
use crate::cell::{CellName, Expected};
use crate::check::Fitness;
use crate::compute::ScalerCapabilities;
use crate::deployment::Deployment;
use crate::facts::Catalog;
use crate::name::{Region, ResourceName};
use crate::notify::{HookPoint, Notice};
use crate::problem::Problems;

mod answer;
mod build;
mod cells;
mod change;
mod data;
mod journey;
mod reconcile;
mod routers;
mod scalers;
mod status;
mod stores;

pub(crate) use answer::unanswered;
pub use cells::CellTroubles;
pub(crate) use cells::{Cells, Stored};
pub(crate) use data::{ChangeId, DataSet};
pub(crate) use journey::Journey;
pub(crate) use routers::Router;
pub(crate) use scalers::Scaler;

/// How a world behaves as long as nothing is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Climate {
    /// How messages travel.
    pub weather: Weather,
    /// How honest the cells' answers are.
    pub cells: CellTroubles,
    /// How often a cloud answers a change with a failure, having done nothing.
    pub refusals: Rate,
    /// How long a service works on a request.
    pub work: Spread,
}

impl Climate {
    /// Nothing goes wrong by itself.
    pub const CALM: Self = Self {
        weather: Weather::CALM,
        cells: CellTroubles {
            unknown: Rate::NEVER,
            lands: Rate::NEVER,
            lands_after: Spread::exactly(Duration::ZERO),
        },
        refusals: Rate::NEVER,
        work: Spread::millis(2, 20),
    };
}

/// How checks see a region, beside what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looks {
    fixed: Option<Fitness>,
    turn: Duration,
}

/// A simulated world, built from a deployment whose resources are of simulated kinds.
///
/// | list | kind | settings (all optional) |
/// | --- | --- | --- |
/// | stores | `ordered`, `item-by-item` | `lag`, `promotion`, `flushes`, `provable`, `fence-delay`, `metric-period`, `replicated` |
/// | routers | `dns` | `ttl`, `propagation`, `control-plane` (a region) |
/// | scalers | `instances` | `start`, `full`, `quota` |
/// | checks | `probe` | |
///
/// Times are a text (`"2s"`) or, where they are drawn, two: `["1s", "4s"]`.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) places: Places,
    pub(crate) network: Network,
    climate: Climate,
    regions: Vec<RegionState>,
    looks: Vec<Looks>,
    witness_up: bool,
    cells: Cells,
    stores: BTreeMap<ResourceName, DataSet>,
    routers: BTreeMap<ResourceName, Router>,
    scalers: BTreeMap<ResourceName, Scaler>,
    checks: Vec<ResourceName>,
    vetoes: BTreeMap<HookPoint, String>,
    notices: Vec<(TrueTime, Notice)>,
    random: Random,
}

impl World {
    /// Builds a world; the same deployment, seed and climate give the same one.
    ///
    /// # Errors
    /// Every resource of a kind that is not simulated, and every setting that is not known or does not fit.
    pub fn new(deployment: &Deployment, seed: u64, climate: Climate) -> Result<Self, Problems> {
        build::world(deployment, seed, climate)
    }

    /// Answers a call that reaches the place where it is carried out, at this time, from this place.
    ///
    /// What is down or cut off shows in the answer as far as an answer can show it; a caller that wants to know
    /// whether it would have got one asks the network first, as [`Simulation`](super::heap::Simulation) does.
    pub fn perform(&mut self, at: TrueTime, from: &Place, call: &Call) -> Reply {
        let from = self.places.find(from).unwrap_or(self.places.operator());
        self.answer(at, from, call, 0)
    }

    /// What the resources can do.
    pub fn catalog(&self) -> Catalog {
        let scaler = |scaler: &Scaler| ScalerCapabilities { expected_start: scaler.start.most };
        Catalog {
            stores: self.stores.iter().map(|(name, data)| (name.clone(), data.capabilities())).collect(),
            routers: self
                .routers
                .iter()
                .map(|(name, router)| (name.clone(), router.capabilities()))
                .collect(),
            scalers: self.scalers.iter().map(|(name, pool)| (name.clone(), scaler(pool))).collect(),
        }
    }

    /// How a region is; a region that the world does not have is dark.
    pub fn region(&self, region: &Region) -> RegionState {
        self.places.region(region).map_or(RegionState::Dark, |number| self.regions[number])
    }

    /// Whether the witness answers.
    pub fn witness_up(&self) -> bool {
        self.witness_up
    }

    /// What a router gives each region now.
    pub fn weights(&self, router: &ResourceName) -> Option<&crate::traffic::Weights> {
        self.routers.get(router).map(Router::weights)
    }

    /// What a scaler has in a region now.
    pub fn capacity(
        &self,
        at: TrueTime,
        scaler: &ResourceName,
        region: &Region,
    ) -> Option<crate::compute::Capacity> {
        let number = self.places.region(region)?;
        self.scalers.get(scaler).map(|scaler| scaler.capacity(at, number))
    }

    /// The regions whose replica takes writes, as each replica knows it.
    pub fn writers(&self, store: &ResourceName) -> Vec<Region> {
        let Some(data) = self.stores.get(store) else { return Vec::new() };
        let writers = data.replicas.iter().zip(&data.regions).filter(|(replica, _)| replica.writer);
        writers.map(|(_, region)| region.clone()).collect()
    }

    /// What a cell holds.
    pub fn cell(&self, cell: &CellName) -> Option<&[u8]> {
        self.cells.value(cell)
    }

    /// What notifiers were told, in order.
    pub fn notices(&self) -> &[(TrueTime, Notice)] {
        &self.notices
    }

    /// The names of the routers.
    pub fn router_names(&self) -> impl Iterator<Item = &ResourceName> {
        self.routers.keys()
    }

    /// The names of the stores.
    pub fn store_names(&self) -> impl Iterator<Item = &ResourceName> {
        self.stores.keys()
    }

    /// The names of the scalers.
    pub fn scaler_names(&self) -> impl Iterator<Item = &ResourceName> {
        self.scalers.keys()
    }

    /// The names of the checks.
    pub fn check_names(&self) -> &[ResourceName] {
        &self.checks
    }

    pub(crate) fn data(&self, store: &ResourceName) -> Option<&DataSet> {
        self.stores.get(store)
    }

    pub(crate) fn data_mut(&mut self, store: &ResourceName) -> Option<&mut DataSet> {
        self.stores.get_mut(store)
    }

    pub(crate) fn router(&self, router: &ResourceName) -> Option<&Router> {
        self.routers.get(router)
    }

    pub(crate) fn scaler(&self, scaler: &ResourceName) -> Option<&Scaler> {
        self.scalers.get(scaler)
    }

    pub(crate) fn region_works(&self, number: usize) -> bool {
        self.regions.get(number).is_some_and(|state| state.works())
    }

    /// Takes the stores of cells that took effect since the last time.
    pub(crate) fn take_stored(&mut self) -> Vec<Stored> {
        self.cells.take_stored()
    }

    /// When the world changes next by itself.
    pub(crate) fn next_change(&self) -> Option<TrueTime> {
        self.cells.next_landing()
    }

    pub(crate) fn put_cell(&mut self, at: TrueTime, cell: &CellName, value: &[u8]) {
        self.cells.swap(at, 0, cell, &Expected::Absent, value);
    }

    pub(crate) fn settle_cells(&mut self, at: TrueTime) {
        self.cells.settle(at);
    }

    /// Changes the world. Faults of processes are the simulation's matter and change nothing here.
    pub fn change(&mut self, at: TrueTime, fault: &Fault) {
        change::apply(self, at, fault);
    }
}
