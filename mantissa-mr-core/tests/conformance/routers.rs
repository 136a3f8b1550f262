//! Routers: a switch passes, splitting or not; with one mistake each it is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::conformance::routers::{FAULT_CASES, RouterFault, RouterFixture, suite};
use mantissa_mr_core::conformance::{Fixture, Injection};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::traffic::{
    Convergence, RouterCapabilities, Routing, RoutingVersion, Shift, TrafficRouter, Urgency, Weights,
};

use crate::{assert_covered, assert_found};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    NamesStrangers,
    ShiftsNobody,
    VersionStays,
    AsksNoVersion,
    ChecksThenShifts,
    ConflictIsInvalid,
    OlderIsInvalid,
    LosersAreSuperseded,
    RepeatsAreErrors,
    TakesNobody,
    TakesNobodyWhenUrgent,
    TakesStrangers,
    ComparesNumbers,
    SplitsSecretly,
    NeverConverges,
    AlwaysConverged,
    UrgentlyPretends,
    UrgentNeedsAll,
    LostAnswerIsConflict,
    CannotGoBack,
}

#[derive(Debug, Default)]
struct World {
    weights: Weights,
    version: u64,
    epoch: Epoch,
    /// What clients do, some waits behind what is set.
    followed: Weights,
    waits: u32,
    cut_off: BTreeSet<Region>,
    lose_answer: bool,
    shifts: u32,
}

#[derive(Clone, Debug)]
struct Fake {
    mistake: Mistake,
    splits: bool,
    urgent: bool,
    keeps_epochs: bool,
    faults: bool,
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
        let weights = Weights(BTreeMap::from([(region("one"), 255), (region("two"), 0)]));
        let world = World { followed: weights.clone(), weights, ..World::default() };
        let world = Arc::new(Mutex::new(world));
        Self { mistake, splits: true, urgent: true, keeps_epochs: true, faults: true, world }
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn judge(&self, shift: &Shift) -> Result<()> {
        let urgent = shift.urgency == Urgency::Unplanned;
        if urgent && !self.urgent {
            return if self.is(Mistake::UrgentlyPretends) {
                Ok(())
            } else {
                error(ErrorKind::Unsupported, "no way")
            };
        }
        let nobody = shift.weights.serving().next().is_none();
        let taken = self.is(Mistake::TakesNobody) || (self.is(Mistake::TakesNobodyWhenUrgent) && urgent);
        if nobody && !taken {
            return error(ErrorKind::InvalidInput, "that serves nobody");
        }
        let known = self.regions();
        let stranger = shift.weights.0.keys().any(|region| !known.contains(region));
        if stranger && !self.is(Mistake::TakesStrangers) {
            return error(ErrorKind::InvalidInput, "there is no such region");
        }
        if shift.weights.serving().count() > 1 && !self.splits && !self.is(Mistake::SplitsSecretly) {
            return error(ErrorKind::Unsupported, "it cannot split");
        }
        let world = self.world();
        let needed = self.is(Mistake::UrgentNeedsAll) || !urgent;
        if needed && !world.cut_off.is_empty() {
            return error(ErrorKind::Unavailable, "the control plane does not answer");
        }
        if self.is(Mistake::CannotGoBack) && shift.weights.0.values().any(|weight| *weight == 255) {
            return error(ErrorKind::InvalidInput, "weights go to 100");
        }
        Ok(())
    }

    fn is_current(&self, shift: &Shift) -> Result<()> {
        let world = self.world();
        if self.keeps_epochs && shift.epoch < world.epoch {
            let wrong = self.is(Mistake::OlderIsInvalid);
            let kind = if wrong { ErrorKind::InvalidInput } else { ErrorKind::Superseded };
            return error(kind, "a newer epoch has begun");
        }
        if world.version.to_string() == shift.based_on.0 || self.is(Mistake::AsksNoVersion) {
            return Ok(());
        }
        let kind = match self.mistake {
            Mistake::ConflictIsInvalid => ErrorKind::InvalidInput,
            Mistake::LosersAreSuperseded => ErrorKind::Superseded,
            _ => ErrorKind::Conflict,
        };
        error(kind, "the routing was changed")
    }
}

#[async_trait]
impl TrafficRouter for Fake {
    fn capabilities(&self) -> RouterCapabilities {
        RouterCapabilities {
            planned_needs: BTreeSet::new(),
            unplanned_needs: self.urgent.then(BTreeSet::new),
            splits_traffic: self.splits,
            expected_convergence: Duration::ZERO,
        }
    }

    async fn routing(&self) -> Result<Routing> {
        let world = self.world();
        let mut weights = world.weights.clone();
        if self.is(Mistake::NamesStrangers) {
            weights.0.insert(region("stranger"), 0);
        }
        let version = if self.is(Mistake::VersionStays) { 0 } else { world.version };
        let version = RoutingVersion(version.to_string());
        Ok(Routing { weights, health: BTreeMap::new(), version, unfinished: None })
    }

    async fn shift(&self, shift: &Shift) -> Result<()> {
        self.judge(shift)?;
        let unversioned = self.is(Mistake::VersionStays);
        if !unversioned {
            self.is_current(shift)?;
        }
        if self.is(Mistake::ChecksThenShifts) {
            tokio::task::yield_now().await;
        }
        let mut world = self.world();
        if self.is(Mistake::RepeatsAreErrors) && world.weights.same_shares(&shift.weights) {
            return error(ErrorKind::InvalidInput, "nothing to do");
        }
        world.shifts += 1;
        if !self.is(Mistake::ShiftsNobody) {
            world.weights = shift.weights.clone();
            world.version += 1;
            world.epoch = shift.epoch;
            world.waits = 0;
        }
        match (std::mem::take(&mut world.lose_answer), self.mistake) {
            (false, _) => Ok(()),
            (true, Mistake::LostAnswerIsConflict) => error(ErrorKind::Conflict, "it was changed"),
            (true, _) => error(ErrorKind::Timeout, "no answer"),
        }
    }

    async fn converged(&self, weights: &Weights) -> Result<Convergence> {
        let world = self.world();
        let same = match self.mistake {
            Mistake::ComparesNumbers => world.followed == *weights,
            Mistake::NeverConverges => false,
            Mistake::AlwaysConverged => true,
            _ => world.followed.same_shares(weights),
        };
        Ok(match same {
            true => Convergence::Converged { how: "all clients were asked".to_owned() },
            false => Convergence::NotYet { why: "some clients go elsewhere".to_owned() },
        })
    }
}

#[async_trait]
impl Fixture for Fake {
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn wait(&self, round: u32) -> bool {
        let mut world = self.world();
        world.waits += 1;
        if world.waits >= 3 {
            world.followed = world.weights.clone();
        }
        round < 10
    }
}

#[async_trait]
impl RouterFixture for Fake {
    fn router(&self) -> Arc<dyn TrafficRouter> {
        Arc::new(self.clone())
    }
    fn regions(&self) -> Vec<Region> {
        ["one", "two"].map(region).to_vec()
    }
    fn first_epoch(&self) -> Epoch {
        Epoch(3)
    }
    async fn inject(&self, fault: RouterFault) -> Injection {
        if !self.faults {
            return Injection::Cannot("it is a real cloud".to_owned());
        }
        let mut world = self.world();
        match fault {
            RouterFault::LoseAnswer => world.lose_answer = true,
            RouterFault::CutOff(region) => drop(world.cut_off.insert(region)),
            RouterFault::Heal(region) => drop(world.cut_off.remove(&region)),
        }
        Injection::Armed
    }
}

#[tokio::test]
async fn a_switch_conforms_and_puts_back_what_it_found() {
    let fake = Fake::new(Mistake::None);
    let before = fake.world().weights.clone();
    suite(Arc::new(fake.clone())).await.assert_passed_with_skips(&[]);
    let world = fake.world();
    assert!(world.shifts > 20 && world.weights.same_shares(&before), "{world:?}");
}

#[tokio::test]
async fn what_a_router_cannot_do_is_skipped_once_it_has_said_so() {
    let plain = |mistake| Arc::new(Fake { splits: false, urgent: false, ..Fake::new(mistake) });
    let skips = [
        "traffic_is_split_or_the_split_refused",
        "an_unplanned_shift_works_or_is_refused",
        "an_unplanned_shift_needs_nothing_of_the_region_that_is_left",
    ];
    suite(plain(Mistake::None)).await.assert_passed_with_skips(&skips);
    for (mistake, case) in [(Mistake::SplitsSecretly, skips[0]), (Mistake::UrgentlyPretends, skips[1])] {
        assert_found(mistake, case, &suite(plain(mistake)).await);
    }
    let forgets = Fake { keeps_epochs: false, ..Fake::new(Mistake::None) };
    suite(Arc::new(forgets)).await.assert_passed_with_skips(&[]);
    let bare = Fake { faults: false, ..Fake::new(Mistake::None) };
    suite(Arc::new(bare)).await.assert_passed_with_skips(FAULT_CASES);
}

const FOUND: &[(Mistake, &str)] = &[
    (Mistake::NamesStrangers, "the_routing_names_who_is_served"),
    (Mistake::ShiftsNobody, "a_shift_is_read_back"),
    (Mistake::VersionStays, "a_shift_is_read_back"),
    (Mistake::AsksNoVersion, "a_shift_that_was_decided_on_an_old_routing_is_refused"),
    (Mistake::ConflictIsInvalid, "a_shift_that_was_decided_on_an_old_routing_is_refused"),
    (Mistake::OlderIsInvalid, "an_older_epoch_is_superseded_or_taken"),
    (Mistake::LosersAreSuperseded, "racing_shifts_have_one_winner"),
    (Mistake::ChecksThenShifts, "racing_shifts_have_one_winner"),
    (Mistake::RepeatsAreErrors, "a_repeated_shift_changes_nothing"),
    (Mistake::TakesNobody, "a_shift_to_nobody_is_refused"),
    (Mistake::TakesNobodyWhenUrgent, "a_shift_to_nobody_is_refused"),
    (Mistake::TakesStrangers, "a_shift_to_an_unknown_region_is_refused"),
    (Mistake::ComparesNumbers, "the_same_shares_in_other_numbers_are_the_same_routing"),
    (Mistake::ShiftsNobody, "traffic_is_split_or_the_split_refused"),
    (Mistake::NeverConverges, "clients_follow_in_the_end"),
    (Mistake::AlwaysConverged, "clients_are_not_said_to_follow_what_is_not_set"),
    (Mistake::ShiftsNobody, "an_unplanned_shift_works_or_is_refused"),
    (Mistake::UrgentNeedsAll, "an_unplanned_shift_needs_nothing_of_the_region_that_is_left"),
    (Mistake::LostAnswerIsConflict, "a_lost_answer_is_not_a_refusal"),
    (Mistake::CannotGoBack, "the_first_routing_is_put_back"),
];

#[tokio::test]
async fn every_known_mistake_is_found_by_its_case() {
    for (mistake, case) in FOUND {
        assert_found(mistake, case, &suite(Arc::new(Fake::new(*mistake))).await);
    }
    let right = suite(Arc::new(Fake::new(Mistake::None))).await;
    assert_covered(&right, FOUND.iter().map(|(_, case)| *case));
}
