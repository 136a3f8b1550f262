//! The four findings of the simulation that the design rests on, each as a small story. In numbers: the table in
//! `tests/detector_table/main.rs`.

use std::time::Duration;

use super::*;
use crate::clock::Moment;
use crate::deployment::{DetectionPolicy, VantageSpec};
use crate::name::{ActorId, FailureDomain, Region, VantageName};

const ROUND: u64 = 10;
const HOLD: Duration = Duration::from_secs(60);

/// Three vantages, a second apart, and one reader that reads each ballot as it is written.
struct World {
    vantages: Vec<VantageDetector>,
    quorum: Quorum,
    region: Region,
    now: u64,
}

/// What befalls a vantage in a round.
#[derive(Clone, Copy, PartialEq)]
enum Sees {
    /// The region answers.
    Good,
    /// The region does not answer; the control target does.
    Failure,
    /// Neither answers, and the vantage knows that it is its own trouble.
    OwnTrouble,
    /// Neither answers, and the vantage only keeps its vote back (the naive self-check, which forgets nothing).
    OwnTroubleNaively,
}

use Sees::{Failure, Good, OwnTrouble, OwnTroubleNaively};

impl World {
    fn steady() -> Self {
        let specs = ["virginia", "oregon", "ohio"].map(|name| VantageSpec {
            name: VantageName::new(name).unwrap(),
            failure_domain: FailureDomain::new(name).unwrap(),
        });
        let policy = DetectionPolicy::default();
        let writer = ActorId::new("controller").unwrap();
        let detector =
            |spec: &VantageSpec| VantageDetector::new(spec.name.clone(), writer.clone(), Run(1), policy);
        let mut world = Self {
            vantages: specs.iter().map(detector).collect(),
            quorum: Quorum::new(&specs, &policy),
            region: Region::new("us-east-1").unwrap(),
            now: 0,
        };
        for _ in 0..6 {
            world.round([Good; 3]);
        }
        assert_eq!(world.verdict().fitness, Fitness::Fit);
        world
    }

    fn round(&mut self, sees: [Sees; 3]) -> Verdict {
        self.now += ROUND;
        for (index, sees) in sees.into_iter().enumerate() {
            let now = Moment::START + Duration::from_secs(self.now + index as u64);
            let detector = &mut self.vantages[index];
            let control = match sees {
                OwnTrouble => SelfCheck::Failed { why: "no route".into() },
                Good | Failure | OwnTroubleNaively => SelfCheck::Passed,
            };
            detector.self_check(now, control);
            let fitness = if sees == Good { Fitness::Fit } else { Fitness::Unfit };
            detector.observe(now, &self.region, &Assessment::new(fitness, ""));
            let mut ballot = detector.ballot(now);
            if sees == OwnTroubleNaively {
                ballot.abstains = Some("no route".into());
            }
            self.quorum.hear(now, ballot);
        }
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        let now = Moment::START + Duration::from_secs(self.now + 2);
        self.quorum.verdict(now, &self.region, HOLD)
    }

    /// How many vantages by themselves call the region unfit.
    fn alone(&self) -> usize {
        let now = Moment::START + Duration::from_secs(self.now + 2);
        let votes = self.vantages.iter().filter_map(|detector| detector.vote(now, &self.region));
        votes.filter(|vote| vote.fitness == Fitness::Unfit).count()
    }
}

#[test]
fn finding_1_any_of_n_errs_with_each_vantage_a_strict_majority_with_none_alone() {
    // Each vantage in turn sees failures for ten minutes, the others see the region answer.
    let mut any_of_three = 0;
    for sick in 0..3 {
        let mut world = World::steady();
        let mut sees = [Good; 3];
        sees[sick] = Failure;
        for _ in 0..60 {
            let verdict = world.round(sees);
            assert!(verdict.fitness == Fitness::Fit && !verdict.confirmed, "{verdict}");
        }
        any_of_three += world.alone();
    }
    assert_eq!(
        any_of_three, 3,
        "a rule of any vantage would have erred every time, one vantage once in three"
    );
}

#[test]
fn finding_2_a_sick_vantage_abstains_and_forgets_because_kept_counts_accuse_as_it_recovers() {
    for (trouble, unfit_on_recovery) in [(OwnTrouble, false), (OwnTroubleNaively, true)] {
        let mut world = World::steady();
        for _ in 0..30 {
            let verdict = world.round([trouble, trouble, Good]);
            assert_eq!(verdict.fitness, Fitness::Unknown, "while they abstain nothing is known");
        }
        // Their egress is back; each loses one probe.
        let verdict = world.round([Failure, Failure, Good]);
        assert_eq!(verdict.fitness == Fitness::Unfit, unfit_on_recovery, "{verdict}");
        assert_eq!(verdict.suspected_for().is_some(), unfit_on_recovery);
    }
}

#[test]
fn finding_3_the_hold_rests_on_probes_failing_now_not_on_a_flag_that_outlives_the_failure() {
    let mut world = World::steady();
    for _ in 0..4 {
        world.round([Failure; 3]);
    }
    assert!(world.verdict().suspected_for().is_some());
    // It answers again. Five good answers, 50 s, pass before the vantages call it fit: long enough for a flag to sit
    // most of the hold out. The suspicion ends with the first majority of good answers.
    for round in 1..5 {
        let verdict = world.round([Good; 3]);
        assert_eq!(world.alone(), 3, "every vantage still calls it unfit");
        assert_eq!(verdict.suspected_for(), None, "round {round}: {verdict}");
        assert_eq!(verdict.fitness, Fitness::Degraded);
    }
    assert_eq!(world.round([Good; 3]).fitness, Fitness::Fit);
    // A blip in each minute never adds up to a confirmed verdict.
    for _ in 0..30 {
        for sees in [Failure, Failure, Failure, Failure, Good, Good] {
            assert!(!world.round([sees; 3]).confirmed);
        }
    }
}

#[test]
fn finding_4_what_remains_are_outages_longer_than_detection_and_hold_and_only_those() {
    // Three failures, the first at the outage's start, and 60 s: 80 s at the least, seven rounds more are 90 s.
    for (failures, confirmed) in [(3, false), (6, false), (8, false), (9, true), (30, true)] {
        let mut world = World::steady();
        let confirmed_after: Vec<u32> =
            (1..=failures).filter(|_| world.round([Failure; 3]).confirmed).collect();
        assert_eq!(!confirmed_after.is_empty(), confirmed, "{failures} failures in a row");
        if confirmed {
            assert_eq!(confirmed_after[0], 9, "80 s after the first failure, and not later");
        }
        world.round([Good; 3]);
        assert!(!world.verdict().confirmed, "the verdict ends with the outage");
    }
}
