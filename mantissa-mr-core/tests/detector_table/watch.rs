//! The detectors of the table. All of them drive the library's own `VantageDetector` and `Quorum`; what a naive one
//! does otherwise is done here, to what it feeds or reads.

use std::time::Duration;

use mantissa_mr_core::check::{Assessment, Fitness};
use mantissa_mr_core::clock::Moment;
use mantissa_mr_core::deployment::{DetectionPolicy, VantageSpec};
use mantissa_mr_core::detect::{Quorum, Run, SelfCheck, VantageDetector};
use mantissa_mr_core::name::{ActorId, FailureDomain, Region, VantageName};

use crate::world::{Probe, Seconds, Span, World};

/// What a vantage makes of its own control target.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum SelfDoubt {
    /// It has none.
    None,
    /// It keeps its vote back while it misses it, and counts on.
    CountsKept,
    /// The library's: it abstains and forgets.
    CountsReset,
}

/// How the vantages' votes become one.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Votes {
    /// Any vantage that calls the region unfit is enough.
    Any,
    /// The library's quorum and hold, but a vantage counts as long as it calls the region unfit, also when its last
    /// probe was good.
    MajorityOfFlags { hold: u64 },
    /// The library's.
    MajorityFailingNow { hold: u64 },
}

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) vantages: usize,
    pub(crate) failures: u32,
    pub(crate) recoveries: u32,
    pub(crate) self_doubt: SelfDoubt,
    pub(crate) votes: Votes,
}

/// A rule at work.
struct Watcher {
    rule: Rule,
    region: Region,
    detectors: Vec<VantageDetector>,
    quorum: Quorum,
}

impl Watcher {
    fn new(rule: Rule, interval: Seconds) -> Self {
        let policy = DetectionPolicy {
            interval: Duration::from_secs_f64(interval),
            failures: rule.failures,
            recoveries: rule.recoveries,
            ..DetectionPolicy::default()
        };
        let specs: Vec<VantageSpec> = (0..rule.vantages)
            .map(|index| VantageSpec {
                name: VantageName::new(&format!("v{index}")).unwrap(),
                failure_domain: FailureDomain::new(&format!("d{index}")).unwrap(),
            })
            .collect();
        let writer = ActorId::new("controller").unwrap();
        let detector =
            |spec: &VantageSpec| VantageDetector::new(spec.name.clone(), writer.clone(), Run(1), policy);
        Self {
            rule,
            region: Region::new("us-east-1").unwrap(),
            detectors: specs.iter().map(detector).collect(),
            quorum: Quorum::new(&specs, &policy),
        }
    }

    /// A vantage probes and writes its ballot, the reader reads it: whether the region is called down.
    fn probe(&mut self, probe: Probe) -> bool {
        let now = moment(probe.at);
        let detector = &mut self.detectors[probe.vantage];
        let doubts = !probe.control && self.rule.self_doubt == SelfDoubt::CountsReset;
        let control = if doubts { SelfCheck::Failed { why: String::new() } } else { SelfCheck::Passed };
        detector.self_check(now, control);
        let fitness = if probe.answered { Fitness::Fit } else { Fitness::Unfit };
        detector.observe(now, &self.region, &Assessment::new(fitness, ""));
        let mut ballot = detector.ballot(now);
        if !probe.control && self.rule.self_doubt == SelfDoubt::CountsKept {
            ballot.abstains = Some(String::new());
        }
        let hold = match self.rule.votes {
            Votes::Any => return self.any_unfit(now),
            Votes::MajorityOfFlags { hold } => {
                for vote in ballot.votes.values_mut() {
                    vote.failing_now = vote.fitness == Fitness::Unfit;
                }
                hold
            }
            Votes::MajorityFailingNow { hold } => hold,
        };
        self.quorum.hear(now, ballot);
        self.quorum.verdict(now, &self.region, Duration::from_secs(hold)).confirmed
    }

    fn any_unfit(&self, now: Moment) -> bool {
        let mut votes = self.detectors.iter().filter_map(|detector| detector.vote(now, &self.region));
        votes.any(|vote| vote.fitness == Fitness::Unfit)
    }

    /// Whether another good answer would change nothing.
    fn calm(&self, now: Moment) -> bool {
        self.detectors.iter().all(|detector| {
            let vote = detector.vote(now, &self.region);
            vote.is_some_and(|vote| !vote.failing_now && matches!(vote.fitness, Fitness::Fit))
        })
    }
}

fn moment(at: Seconds) -> Moment {
    Moment::START + Duration::from_secs_f64(at)
}

/// When a rule calls the region down in a world that is watched only in these stretches, and on until all is calm.
pub(crate) fn calls(rule: Rule, world: &mut World, stretches: &[Span]) -> Vec<Seconds> {
    let mut watcher = Watcher::new(rule, world.interval);
    let mut next: Vec<(Seconds, u64)> = vec![(0.0, 0); world.vantages()];
    let (mut found, mut down, mut reached) = (Vec::new(), false, -1.0);
    for stretch in stretches {
        if stretch.to <= reached {
            continue;
        }
        if stretch.from > reached {
            for (vantage, next) in next.iter_mut().enumerate() {
                let number = world.first_probe(vantage, stretch.from);
                *next = (world.time(vantage, number), number);
            }
        }
        while reached < world.end && (reached < stretch.to || !watcher.calm(moment(reached))) {
            let earliest = (0..next.len()).min_by(|one, other| next[*one].0.total_cmp(&next[*other].0));
            let vantage = earliest.expect("a rule has vantages");
            let (at, number) = next[vantage];
            reached = at;
            next[vantage] = (world.time(vantage, number + 1), number + 1);
            let called = watcher.probe(world.probe(vantage, number, at));
            if called && !down {
                found.push(at);
            }
            down = called;
        }
    }
    found
}
