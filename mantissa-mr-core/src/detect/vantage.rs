//! One vantage's own counting.

use std::collections::BTreeMap;

use super::ballot::{Ballot, FORMAT, Run, Vote, cut};
use crate::check::{Assessment, Fitness};
use crate::clock::Moment;
use crate::deployment::DetectionPolicy;
use crate::name::{ActorId, Region, VantageName};

/// How a vantage's question to its own control target ended: something outside the deployment's regions that is always
/// there, so that who misses it has a trouble of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelfCheck {
    /// It answered.
    Passed,
    /// It did not.
    Failed {
        /// What was seen instead.
        why: String,
    },
}

/// What one vantage makes of the answers that it gets.
///
/// In each round tell it first of the [`self_check`](Self::self_check), then of each region's answer
/// ([`observe`](Self::observe)), and then write its [`ballot`](Self::ballot) to the vantage's register.
///
/// # Rules
/// - A vantage abstains before its first self-check, while the last one failed, and when the last one is older than
///   [`DetectionPolicy::fresh_for`]. Whenever it abstained, all its counts begin anew.
/// - [`DetectionPolicy::failures`] failed probes in a row: the region is unfit. [`DetectionPolicy::recoveries`] that
///   did not fail: it is no longer. Until one of the two came, the region is unknown, after a start too.
/// - In the same way, that many answers in a row that were not [`Fit`](Fitness::Fit) make it degraded, or fit again. An
///   answer of [`Degraded`](Fitness::Degraded) is no failed probe: by itself it never makes a region unfit.
/// - [`Unknown`](Fitness::Unknown) counts neither as a failure nor as a good answer, but while it is the last answer
///   the vote is unknown. Answers further apart than [`DetectionPolicy::fresh_for`] are not in a row.
///
/// # Restarts
/// A vantage that starts loads its register first and makes its [`Run`] from what it finds. Counts are not taken over:
/// nobody knows what the region did meanwhile. A store that is lost means that somebody else wrote the register: load
/// it again, stop for good if the ballot found [supersedes](Self::superseded_by) this detector, and else try again with
/// the version found (an own write came late). If the outcome is unknown, do the same.
#[derive(Clone, Debug)]
pub struct VantageDetector {
    vantage: VantageName,
    writer: ActorId,
    run: Run,
    sequence: u64,
    policy: DetectionPolicy,
    checked: Option<(Moment, SelfCheck)>,
    regions: BTreeMap<Region, Watch>,
}

impl VantageDetector {
    /// A vantage that knows nothing yet, not even of itself.
    pub fn new(vantage: VantageName, writer: ActorId, run: Run, policy: DetectionPolicy) -> Self {
        Self { vantage, writer, run, sequence: 0, policy, checked: None, regions: BTreeMap::new() }
    }

    /// The vantage's name.
    pub fn vantage(&self) -> &VantageName {
        &self.vantage
    }

    /// Takes the end of a question to the vantage's own control target.
    pub fn self_check(&mut self, now: Moment, outcome: SelfCheck) {
        if outcome != SelfCheck::Passed || self.abstains(now).is_some() {
            self.regions.clear();
        }
        self.checked = Some((now, outcome));
    }

    /// Takes a region's answer of one round, folded from its checks ([`fold`](super::fold)). Ignored while the vantage
    /// abstains.
    pub fn observe(&mut self, now: Moment, region: &Region, answer: &Assessment) {
        if self.abstains(now).is_some() {
            return;
        }
        if let Some(watch) = self.regions.get_mut(region) {
            watch.take(now, answer, &self.policy);
        } else {
            let mut watch = Watch::default();
            watch.take(now, answer, &self.policy);
            self.regions.insert(region.clone(), watch);
        }
    }

    /// Why the vantage says nothing of any region now; none if it votes.
    pub fn abstains(&self, now: Moment) -> Option<String> {
        match &self.checked {
            None => Some("it has not reached its control target yet".to_owned()),
            Some((_, SelfCheck::Failed { why })) => {
                Some(cut(&format!("it does not reach its control target: {why}")))
            }
            Some((at, SelfCheck::Passed)) if now.since(*at) > self.policy.fresh_for() => {
                let age = now.since(*at).as_secs();
                Some(format!("it last reached its control target {age}s ago"))
            }
            Some((_, SelfCheck::Passed)) => None,
        }
    }

    /// What the vantage says of a region now; none while it abstains or knows nothing of the region.
    pub fn vote(&self, now: Moment, region: &Region) -> Option<Vote> {
        if self.abstains(now).is_some() {
            return None;
        }
        self.regions.get(region).map(|watch| watch.vote(now, &self.policy))
    }

    /// The next ballot to write to the register: each has a higher sequence than the one before.
    pub fn ballot(&mut self, now: Moment) -> Ballot {
        self.sequence = self.sequence.saturating_add(1);
        let abstains = self.abstains(now);
        let votes = if abstains.is_some() {
            BTreeMap::new()
        } else {
            let votes = self.regions.iter();
            votes.map(|(region, watch)| (region.clone(), watch.vote(now, &self.policy))).collect()
        };
        Ballot {
            format: FORMAT,
            vantage: self.vantage.clone(),
            writer: self.writer.clone(),
            run: self.run,
            sequence: self.sequence,
            abstains,
            votes,
        }
    }

    /// Whether the ballot found in the register is a later or equal run's of another process: two processes then run as
    /// one vantage, and this one must stop.
    pub fn superseded_by(&self, found: &Ballot) -> bool {
        found.writer != self.writer && found.run >= self.run
    }
}

/// What a vantage knows of one region.
#[derive(Clone, Debug, Default)]
struct Watch {
    /// Whether the region serves at all: unfit, or not.
    serving: Count,
    /// Whether it serves well: fit, or not.
    serving_well: Count,
    /// When the last known answer came.
    known: Option<Moment>,
    /// Whether the last question could not be put.
    unknown_now: bool,
    /// What the last answer said.
    why: String,
}

impl Watch {
    fn take(&mut self, now: Moment, answer: &Assessment, policy: &DetectionPolicy) {
        if self.known.is_some_and(|known| now.since(known) > policy.fresh_for()) {
            *self = Self::default();
        }
        self.why = cut(&answer.why);
        self.unknown_now = answer.fitness == Fitness::Unknown;
        if !self.unknown_now {
            self.known = Some(now);
            self.serving.add(answer.fitness != Fitness::Unfit, policy);
            self.serving_well.add(answer.fitness == Fitness::Fit, policy);
        }
    }

    fn vote(&self, now: Moment, policy: &DetectionPolicy) -> Vote {
        let age = self.known.map(|known| now.since(known)).unwrap_or_default();
        let known = self.known.is_some() && !self.unknown_now && age <= policy.fresh_for();
        Vote {
            fitness: if known { self.called() } else { Fitness::Unknown },
            failing_now: known && self.serving.last == Some(false),
            streak: self.serving.streak,
            age,
            why: self.why.clone(),
        }
    }

    fn called(&self) -> Fitness {
        match (self.serving.called, self.serving_well.called) {
            (Some(false), _) => Fitness::Unfit,
            (_, Some(false)) => Fitness::Degraded,
            (Some(true), Some(true)) => Fitness::Fit,
            _ => Fitness::Unknown,
        }
    }
}

/// Calls a thing good or bad after enough answers in a row; until then it calls it what it called it before.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    called: Option<bool>,
    last: Option<bool>,
    streak: u32,
}

impl Count {
    fn add(&mut self, good: bool, policy: &DetectionPolicy) {
        self.streak = if self.last == Some(good) { self.streak.saturating_add(1) } else { 1 };
        self.last = Some(good);
        if self.streak >= if good { policy.recoveries } else { policy.failures } {
            self.called = Some(good);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ROUND: Duration = Duration::from_secs(10);

    struct Bench {
        detector: VantageDetector,
        now: Moment,
        region: Region,
    }

    impl Bench {
        fn new() -> Self {
            let name = VantageName::new("ohio").unwrap();
            let writer = ActorId::new("a").unwrap();
            let detector = VantageDetector::new(name, writer, Run(7), DetectionPolicy::default());
            Self { detector, now: Moment::START, region: Region::new("us-east-1").unwrap() }
        }

        /// Rounds in a row with these answers: f(it), d(egraded), u(nfit), ?(unknown), c(ontrol target missed).
        fn rounds(&mut self, answers: &str) -> Fitness {
            for answer in answers.chars() {
                self.now = self.now + ROUND;
                let control = match answer {
                    'c' => SelfCheck::Failed { why: "no route".into() },
                    _ => SelfCheck::Passed,
                };
                self.detector.self_check(self.now, control);
                let fitness = match answer {
                    'f' => Fitness::Fit,
                    'd' => Fitness::Degraded,
                    '?' => Fitness::Unknown,
                    _ => Fitness::Unfit,
                };
                self.detector.observe(self.now, &self.region, &Assessment::new(fitness, "because"));
            }
            self.vote().map_or(Fitness::Unknown, |vote| vote.fitness)
        }

        fn vote(&self) -> Option<Vote> {
            self.detector.vote(self.now, &self.region)
        }
    }

    #[test]
    fn three_failures_in_a_row_make_unfit_and_five_good_answers_make_fit_again() {
        let mut bench = Bench::new();
        assert_eq!(bench.rounds("ffff"), Fitness::Unknown);
        assert_eq!(bench.rounds("f"), Fitness::Fit);
        assert_eq!(bench.rounds("uufuuf"), Fitness::Fit);
        assert_eq!(bench.rounds("uuu"), Fitness::Unfit);
        assert_eq!(bench.rounds("ffffuffff"), Fitness::Unfit);
        assert_eq!(bench.rounds("f"), Fitness::Fit);
    }

    #[test]
    fn the_vote_says_whether_the_last_probe_failed_and_how_many_ended_alike() {
        let mut bench = Bench::new();
        bench.rounds("fffffuuuu");
        let vote = bench.vote().unwrap();
        assert!(vote.fitness == Fitness::Unfit && vote.failing_now && vote.streak == 4, "{vote:?}");
        bench.rounds("ff");
        let vote = bench.vote().unwrap();
        assert!(vote.fitness == Fitness::Unfit && !vote.failing_now && vote.streak == 2, "{vote:?}");
        assert_eq!(vote.to_string(), "unfit: the last 2 did not fail: because");
    }

    #[test]
    fn degraded_is_a_state_of_its_own_and_never_becomes_unfit() {
        let mut bench = Bench::new();
        assert_eq!(bench.rounds("fffffdd"), Fitness::Fit);
        assert_eq!(bench.rounds("d"), Fitness::Degraded);
        assert_eq!(bench.rounds(&"d".repeat(500)), Fitness::Degraded);
        assert!(!bench.vote().unwrap().failing_now);
        assert_eq!(bench.rounds("fffff"), Fitness::Fit);
        // A region that fails every other probe serves badly; it is not gone.
        assert_eq!(bench.rounds("ududududud"), Fitness::Degraded);
        // What was unfit and answers badly is degraded, after as many answers as fit takes.
        assert_eq!(bench.rounds("uuudddd"), Fitness::Unfit);
        assert_eq!(bench.rounds("d"), Fitness::Degraded);
    }

    #[test]
    fn an_answer_that_nobody_knows_is_neither_failure_nor_success_but_no_vote_rests_on_it() {
        let mut bench = Bench::new();
        assert_eq!(bench.rounds("fffffuu?"), Fitness::Unknown);
        assert!(!bench.vote().unwrap().failing_now);
        // The third failure in a row of those that are known.
        assert_eq!(bench.rounds("u"), Fitness::Unfit);
        assert_eq!(bench.rounds("?"), Fitness::Unknown);
        assert_eq!(bench.rounds("f"), Fitness::Unfit);
    }

    #[test]
    fn answers_with_a_long_silence_between_them_are_not_in_a_row() {
        let mut bench = Bench::new();
        // Three unknown rounds: 40 s from failure to failure, more than the 25 s that an answer is fresh.
        assert_eq!(bench.rounds("fffffuu???u"), Fitness::Unknown);
        assert_eq!(bench.vote().unwrap().streak, 1);
        assert_eq!(bench.rounds("uu"), Fitness::Unfit);
        // The process slept for a minute: what it knew is not said any more, nor counted on.
        bench.now = bench.now + Duration::from_secs(60);
        assert_eq!(bench.vote(), None);
        assert_eq!(bench.rounds("u"), Fitness::Unknown);
    }

    #[test]
    fn one_region_whose_prober_hangs_ages_although_the_vantage_lives() {
        let mut bench = Bench::new();
        bench.rounds("fffffuuu");
        let votes_after = |bench: &mut Bench, seconds| {
            let now = bench.now + Duration::from_secs(seconds);
            bench.detector.self_check(now, SelfCheck::Passed);
            bench.detector.ballot(now).votes.remove(&bench.region).unwrap()
        };
        let vote = votes_after(&mut bench, 25);
        assert!(vote.fitness == Fitness::Unfit && vote.age == Duration::from_secs(25), "{vote:?}");
        let vote = votes_after(&mut bench, 26);
        assert!(vote.fitness == Fitness::Unknown && !vote.failing_now, "{vote:?}");
    }

    #[test]
    fn a_vantage_that_misses_its_control_target_abstains_and_forgets() {
        let mut bench = Bench::new();
        bench.rounds("fffffuu");
        assert_eq!(bench.rounds("c"), Fitness::Unknown);
        let ballot = bench.detector.ballot(bench.now);
        assert_eq!(ballot.abstains.as_deref(), Some("it does not reach its control target: no route"));
        assert!(ballot.votes.is_empty());
        // Neither the two failures before nor the hundred meanwhile count: it takes three new ones.
        bench.rounds(&"c".repeat(100));
        assert_eq!(bench.rounds("uu"), Fitness::Unknown);
        assert_eq!(bench.rounds("u"), Fitness::Unfit);
    }

    #[test]
    fn a_vantage_without_a_self_check_or_with_an_old_one_abstains() {
        let mut bench = Bench::new();
        bench.detector.observe(bench.now, &bench.region, &Assessment::new(Fitness::Unfit, "x"));
        let ballot = bench.detector.ballot(bench.now);
        assert!(ballot.abstains.is_some() && ballot.votes.is_empty());
        bench.rounds("uu");
        // The self-check hangs, the probes do not: nothing is counted, and what was counted is forgotten.
        for seconds in [30, 40, 50] {
            let now = bench.now + Duration::from_secs(seconds);
            bench.detector.observe(now, &bench.region, &Assessment::new(Fitness::Unfit, "x"));
            let why = bench.detector.abstains(now).unwrap();
            assert_eq!(why, format!("it last reached its control target {seconds}s ago"));
        }
        bench.now = bench.now + Duration::from_secs(50);
        assert_eq!(bench.rounds("uu"), Fitness::Unknown);
        assert_eq!(bench.rounds("u"), Fitness::Unfit);
    }

    #[test]
    fn each_ballot_is_newer_than_the_one_before_and_another_process_of_the_same_vantage_is_noticed() {
        let mut bench = Bench::new();
        let first = bench.detector.ballot(bench.now);
        let second = bench.detector.ballot(bench.now);
        assert!(second.is_newer_than(&first));
        assert!(!bench.detector.superseded_by(&second), "an own write that came late");
        let by = |writer: &str, run| Ballot {
            writer: ActorId::new(writer).unwrap(),
            run: Run(run),
            ..first.clone()
        };
        assert!(bench.detector.superseded_by(&by("b", 8)));
        assert!(bench.detector.superseded_by(&by("b", 7)));
        assert!(!bench.detector.superseded_by(&by("b", 6)), "the process before this one");
    }
}
