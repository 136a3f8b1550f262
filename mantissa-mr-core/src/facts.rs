//! What is known of the world when something is decided: measured when, by one process's own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::check::Fitness;
use crate::clock::{Moment, Now};
use crate::compute::{Capacity, ScalerCapabilities};
use crate::deployment::{Deployment, GroupSpec};
use crate::guard::Initiator;
use crate::ledger::{Admission, AdmissionState, Ledger, Running};
use crate::name::{GroupName, Region, ResourceName};
use crate::plan::Move;
use crate::store::{Lag, Role, StoreCapabilities, StoreStatus};
use crate::traffic::{RouterCapabilities, Routing};

/// Something seen, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// What was seen.
    pub value: T,
    /// When its answer came.
    pub at: Moment,
}

impl Seen<Duration> {
    /// For a lag: up to when everything had arrived, by the clock of who saw it.
    pub fn watermark(&self) -> Moment {
        self.at.before(self.value)
    }
}

/// Whether a region can serve, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it can.
    pub fitness: Fitness,
    /// For an unfit region: a strict majority of the configured vantages has said so for the tier's hold.
    pub confirmed: bool,
    /// Since when it has been called what it is called.
    pub since: Moment,
    /// Who says what.
    pub why: String,
}

/// What is known of a group's resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Each store's replicas.
    pub stores: BTreeMap<ResourceName, Seen<StoreStatus>>,
    /// Each store's lag in each region, when it was last known: the lag and the measurement's age in one.
    pub lags: BTreeMap<(ResourceName, Region), Seen<Duration>>,
    /// The same of replicas that call themselves the writer. Where one region writes, that is worth something only of the
    /// one that the ledger admits, or that a planned move may have promoted: any other was not told of its successor, or
    /// was promoted at a loss.
    pub own_lags: BTreeMap<(ResourceName, Region), Seen<Duration>>,
    /// Each router's routing.
    pub routings: BTreeMap<ResourceName, Seen<Routing>>,
    /// Each scaler's capacity in each region.
    pub capacities: BTreeMap<(ResourceName, Region), Seen<Capacity>>,
    /// Each region's fitness.
    pub health: BTreeMap<Region, Health>,
    /// When each region last answered anything well.
    pub last_success: BTreeMap<Region, Moment>,
}

impl Facts {
    /// Takes in a store's status.
    pub fn saw_status(&mut self, now: Moment, store: &ResourceName, status: StoreStatus) {
        for (region, replica) in &status.replicas {
            if let Lag::Known { lag, age } = replica.lag {
                let seen = Seen { value: lag.saturating_add(age), at: now };
                let lags = if replica.role == Role::Writer { &mut self.own_lags } else { &mut self.lags };
                let best = lags.entry((store.clone(), region.clone())).or_insert_with(|| seen.clone());
                // A source that is gone lets the lag grow, but what the replica holds it holds.
                if seen.watermark() >= best.watermark() {
                    *best = seen;
                }
            }
            if matches!(replica.role, Role::Writer | Role::Replica) {
                self.answered(now, region);
            }
        }
        self.stores.insert(store.clone(), Seen { value: status, at: now });
    }

    /// Takes in that a region answered.
    pub fn answered(&mut self, now: Moment, region: &Region) {
        let last = self.last_success.entry(region.clone()).or_insert(now);
        *last = now.max(*last);
    }

    /// Whether a region can serve.
    pub fn fitness(&self, region: &Region) -> Fitness {
        self.health.get(region).map_or(Fitness::Unknown, |health| health.fitness)
    }
}

/// What the group's resources can do; asked once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Each store.
    pub stores: BTreeMap<ResourceName, StoreCapabilities>,
    /// Each router.
    pub routers: BTreeMap<ResourceName, RouterCapabilities>,
    /// Each scaler.
    pub scalers: BTreeMap<ResourceName, ScalerCapabilities>,
}

/// The deployment's recent automatic moves, shared by its groups. Wall time: a wrong clock only delays.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RecentMoves {
    /// Which group moved when.
    pub moves: Vec<(Timestamp, GroupName)>,
}

impl RecentMoves {
    /// The moves within a window up to now.
    pub(crate) fn lately(
        &self,
        now: Timestamp,
        window: Duration,
    ) -> impl Iterator<Item = &(Timestamp, GroupName)> {
        self.moves.iter().filter(move |(at, _)| {
            // What a clock that runs ahead has noted is recent.
            Duration::try_from(now.duration_since(*at)).map_or(true, |age| age < window)
        })
    }

    /// How many of them count for a group: where it supersedes a move of its own, it is on its way already.
    pub(crate) fn count(
        &self,
        now: Timestamp,
        window: Duration,
        group: &GroupName,
        supersedes: bool,
    ) -> usize {
        self.lately(now, window).filter(|(_, of)| !(supersedes && of == group)).count()
    }
}

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// The group.
    pub group: &'a GroupSpec,
    /// The ledger, as last read.
    pub ledger: &'a Ledger,
    /// What was seen.
    pub facts: &'a Facts,
    /// What the resources can do.
    pub catalog: &'a Catalog,
    /// The deployment's recent moves; `None` if they could not be read.
    pub recent: Option<&'a RecentMoves>,
    /// Who wants to know.
    pub initiator: Initiator,
    /// What time it is.
    pub now: Now,
}

impl Situation<'_> {
    /// How old a fact may be: two looks and a call's deadline.
    pub fn fresh_for(&self) -> Duration {
        let timing = &self.deployment.spec().policy.timing;
        timing.observe.saturating_mul(2).saturating_add(timing.call_deadline)
    }

    /// What the group's own stores can do; the catalog has those of other groups too.
    pub fn stores(&self) -> impl Iterator<Item = (&ResourceName, &StoreCapabilities)> {
        let stores = self.group.stores.iter();
        stores.filter_map(|store| self.catalog.stores.get_key_value(&store.name))
    }

    /// How far a store was known to be behind in a region, as far as that can be believed.
    pub fn lag(&self, store: &ResourceName, region: &Region) -> Option<&Seen<Duration>> {
        if self.promotes_at_a_loss() {
            return None;
        }
        let key = (store.clone(), region.clone());
        let one_writes = self.catalog.stores.get(store).is_some_and(|can| can.needs_promotion);
        // What a failover promotes lacks something, and says of itself that it does not.
        let handed_over = |running: &Running| running.kind != Move::Failover;
        let may_write =
            self.ledger.admitted(region).is_some() || self.ledger.execution.as_ref().is_some_and(handed_over);
        let own = self.facts.own_lags.get(&key).filter(|_| !one_writes || may_write);
        let told = self.facts.lags.get(&key);
        [told, own].into_iter().flatten().max_by_key(|seen| seen.watermark())
    }

    /// Whether a failover under way may have promoted a region: the others then say how far they are behind that one, and
    /// nobody says what it lacks of the one before.
    fn promotes_at_a_loss(&self) -> bool {
        let sealed = |admission: &Admission| matches!(admission.state, AdmissionState::Sealed { .. });
        let failover = |running: &Running| running.kind == Move::Failover;
        self.ledger.execution.as_ref().is_some_and(failover) && self.ledger.admissions.values().any(sealed)
    }

    /// What was seen, unless it is too old to decide on.
    pub fn fresh<'b, T>(&self, seen: Option<&'b Seen<T>>) -> Option<&'b T> {
        seen.filter(|seen| self.now.moment.since(seen.at) <= self.fresh_for()).map(|seen| &seen.value)
    }
}
