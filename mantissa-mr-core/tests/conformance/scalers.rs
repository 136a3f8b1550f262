//! Scalers: a pool of instances passes; with one mistake each it is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::compute::{Capacity, ComputeScaler, ScalerCapabilities, Target};
use mantissa_mr_core::conformance::scalers::{FAULT_CASES, ScalerFault, ScalerFixture, suite};
use mantissa_mr_core::conformance::{Fixture, Injection};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;

use crate::{assert_covered, assert_found};

const FULL: u64 = 7;
const LIMIT: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    NoUnit,
    RoundsDown,
    SharesOfWhatIsThere,
    UnitsAreInstancesPlusOne,
    ReadyWhenAsked,
    NeverReady,
    RepeatsAdd,
    ScalesEverywhere,
    NothingIsOne,
    RefusesNothingAsQuota,
    TakesStrangers,
    CutsToTheLimit,
    RefusesAndScales,
    ExhaustedIsUnavailable,
    LostAnswerIsRefused,
    OnlyGrows,
}

#[derive(Debug, Default)]
struct World {
    /// For each region: ready and requested.
    pools: BTreeMap<Region, (u64, u64)>,
    exhausted: BTreeSet<Region>,
    lose_answer: bool,
    last: Option<(Region, Target, Epoch)>,
}

#[derive(Clone, Debug)]
struct Fake {
    mistake: Mistake,
    faults: bool,
    limit: Option<u64>,
    world: Arc<Mutex<World>>,
}

fn region(text: &str) -> Region {
    Region::new(text).unwrap()
}

fn error<T>(kind: ErrorKind, message: &str) -> Result<T> {
    Err(Error::new(kind, "use the fake", message))
}

impl Fake {
    fn new(mistake: Mistake) -> Self {
        let pools = BTreeMap::from([(region("one"), (2, 2)), (region("two"), (3, 3))]);
        let world = Arc::new(Mutex::new(World { pools, ..World::default() }));
        Self { mistake, faults: true, limit: Some(LIMIT), world }
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn wanted(&self, target: Target, ready: u64, repeated: bool, requested: u64) -> u64 {
        let units = match (self.mistake, target) {
            (Mistake::RoundsDown, Target::Share(share)) => (f64::from(share) * FULL as f64) as u64,
            (Mistake::SharesOfWhatIsThere, Target::Share(share)) => share.of(ready.max(1)),
            (Mistake::UnitsAreInstancesPlusOne, Target::Units(units)) => units + 1,
            (Mistake::NothingIsOne, _) => target.units(FULL).max(1),
            _ => target.units(FULL),
        };
        match self.mistake {
            Mistake::RepeatsAdd if repeated => requested + units,
            Mistake::CutsToTheLimit => units.min(LIMIT),
            Mistake::OnlyGrows => units.max(requested),
            _ => units,
        }
    }

    fn judge(&self, wanted: u64, requested: u64, exhausted: bool) -> Result<()> {
        if wanted == 0 && self.is(Mistake::RefusesNothingAsQuota) {
            return error(ErrorKind::Quota, "there is a minimum");
        }
        if wanted > self.limit.unwrap_or(u64::MAX) {
            return error(ErrorKind::Quota, "beyond the limit");
        }
        if exhausted && wanted > requested {
            let wrong = self.is(Mistake::ExhaustedIsUnavailable);
            return error(if wrong { ErrorKind::Unavailable } else { ErrorKind::Quota }, "there is no more");
        }
        Ok(())
    }
}

#[async_trait]
impl ComputeScaler for Fake {
    fn capabilities(&self) -> ScalerCapabilities {
        ScalerCapabilities { expected_start: Duration::ZERO }
    }

    async fn capacity(&self, region: &Region) -> Result<Capacity> {
        let Some((ready, requested)) = self.world().pools.get(region).copied() else {
            return match self.is(Mistake::TakesStrangers) {
                true => {
                    Ok(Capacity { ready: 0, requested: 0, full: FULL, limit: None, unit: "x".to_owned() })
                }
                false => error(ErrorKind::InvalidInput, "there is no such region"),
            };
        };
        let unit = if self.is(Mistake::NoUnit) { "" } else { "instances" };
        Ok(Capacity { ready, requested, full: FULL, limit: self.limit, unit: unit.to_owned() })
    }

    async fn scale(&self, region: &Region, target: Target, epoch: Epoch) -> Result<()> {
        let mut world = self.world();
        let Some((ready, requested)) = world.pools.get(region).copied() else {
            return match self.is(Mistake::TakesStrangers) {
                true => Ok(()),
                false => error(ErrorKind::InvalidInput, "there is no such region"),
            };
        };
        let this = Some((region.clone(), target, epoch));
        let repeated = std::mem::replace(&mut world.last, this.clone()) == this;
        let wanted = self.wanted(target, ready, repeated, requested);
        let refusal = self.judge(wanted, requested, world.exhausted.contains(region));
        if !self.is(Mistake::RefusesAndScales) {
            refusal.clone()?;
        }
        let ready = if self.is(Mistake::ReadyWhenAsked) { wanted + 1 } else { ready };
        let everywhere = self.is(Mistake::ScalesEverywhere);
        for (other, pool) in &mut world.pools {
            if other == region || everywhere {
                *pool = (ready, wanted);
            }
        }
        refusal?;
        match (std::mem::take(&mut world.lose_answer), self.mistake) {
            (false, _) => Ok(()),
            (true, Mistake::LostAnswerIsRefused) => error(ErrorKind::Throttled, "no"),
            (true, _) => error(ErrorKind::Timeout, "no answer"),
        }
    }
}

#[async_trait]
impl Fixture for Fake {
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn wait(&self, round: u32) -> bool {
        let stuck = self.is(Mistake::NeverReady) || self.is(Mistake::ReadyWhenAsked);
        for (ready, requested) in self.world().pools.values_mut().filter(|_| !stuck) {
            // One instance at a time.
            *ready = if *ready < *requested { *ready + 1 } else { ready.saturating_sub(1).max(*requested) };
        }
        round < 40
    }
}

#[async_trait]
impl ScalerFixture for Fake {
    fn scaler(&self) -> Arc<dyn ComputeScaler> {
        Arc::new(self.clone())
    }
    fn regions(&self) -> Vec<Region> {
        ["one", "two"].map(region).to_vec()
    }
    fn first_epoch(&self) -> Epoch {
        Epoch(1)
    }
    async fn inject(&self, fault: ScalerFault) -> Injection {
        if !self.faults {
            return Injection::Cannot("it is a real cloud".to_owned());
        }
        let mut world = self.world();
        match fault {
            ScalerFault::Exhaust(region) => drop(world.exhausted.insert(region)),
            ScalerFault::Refill(region) => drop(world.exhausted.remove(&region)),
            ScalerFault::LoseAnswer => world.lose_answer = true,
        }
        Injection::Armed
    }
}

#[tokio::test]
async fn a_pool_conforms_and_is_asked_in_the_end_for_what_it_had() {
    let fake = Fake::new(Mistake::None);
    suite(Arc::new(fake.clone())).await.assert_passed_with_skips(&[]);
    assert_eq!(fake.world().pools[&region("one")].1, 2);
}

#[tokio::test]
async fn what_cannot_be_injected_or_known_is_skipped() {
    let bare = Fake { faults: false, limit: None, ..Fake::new(Mistake::None) };
    let skips = [FAULT_CASES, &["more_than_the_limit_is_refused_and_changes_nothing"]].concat();
    suite(Arc::new(bare)).await.assert_passed_with_skips(&skips);
}

const FOUND: &[(Mistake, &str)] = &[
    (Mistake::NoUnit, "the_capacity_adds_up"),
    (Mistake::RoundsDown, "a_share_is_of_full_capacity_and_rounded_up"),
    (Mistake::SharesOfWhatIsThere, "a_share_is_of_full_capacity_and_rounded_up"),
    (Mistake::UnitsAreInstancesPlusOne, "units_are_units"),
    (Mistake::ReadyWhenAsked, "what_was_asked_for_is_there_in_the_end"),
    (Mistake::NeverReady, "what_was_asked_for_is_there_in_the_end"),
    (Mistake::RepeatsAdd, "a_repeated_request_changes_nothing"),
    (Mistake::ScalesEverywhere, "other_regions_are_left_alone"),
    (Mistake::NothingIsOne, "nothing_is_a_target_or_refused"),
    (Mistake::RefusesNothingAsQuota, "nothing_is_a_target_or_refused"),
    (Mistake::TakesStrangers, "an_unknown_region_is_refused"),
    (Mistake::CutsToTheLimit, "more_than_the_limit_is_refused_and_changes_nothing"),
    (Mistake::RefusesAndScales, "more_than_the_limit_is_refused_and_changes_nothing"),
    (Mistake::ExhaustedIsUnavailable, "an_exhausted_quota_is_refused_and_changes_nothing"),
    (Mistake::LostAnswerIsRefused, "a_lost_answer_is_not_a_refusal"),
    (Mistake::OnlyGrows, "what_was_asked_for_at_first_is_asked_for_again"),
];

#[tokio::test]
async fn every_known_mistake_is_found_by_its_case() {
    for (mistake, case) in FOUND {
        assert_found(mistake, case, &suite(Arc::new(Fake::new(*mistake))).await);
    }
    let right = suite(Arc::new(Fake::new(Mistake::None))).await;
    assert_covered(&right, FOUND.iter().map(|(_, case)| *case));
}
