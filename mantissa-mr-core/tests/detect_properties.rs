//! Properties of detection for any history, judged by oracles that go through the whole history each time and share no
//! code with the library.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mantissa_mr_core::check::{Assessment, Fitness};
use mantissa_mr_core::clock::Moment;
use mantissa_mr_core::deployment::{DetectionPolicy, VantageSpec};
use mantissa_mr_core::detect::{Ballot, FORMAT, Quorum, Run, SelfCheck, VantageDetector, Verdict, Vote};
use mantissa_mr_core::name::{ActorId, FailureDomain, Region, VantageName};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Milliseconds. Two intervals of 10 s and a probe's deadline of 5 s.
const FRESH: u64 = 25_000;
const HOLD: u64 = 45_000;

fn moment(at: u64) -> Moment {
    Moment::START + Duration::from_millis(at)
}

fn region() -> Region {
    Region::new("us-east-1").unwrap()
}

fn specs(domains: &[u8]) -> Vec<VantageSpec> {
    let spec = |(index, domain): (usize, &u8)| VantageSpec {
        name: VantageName::new(&format!("v{index}")).unwrap(),
        failure_domain: FailureDomain::new(&format!("d{domain}")).unwrap(),
    };
    domains.iter().enumerate().map(spec).collect()
}

/// What a ballot says; the rest of it does not matter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Failing { age: u64 },
    UnfitNotFailing,
    FailingNotUnfit,
    Fit,
    Abstains,
    Nothing,
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        12 => (0..4_000u64).prop_map(|age| Says::Failing { age }),
        1 => (0..30_000u64).prop_map(|age| Says::Failing { age }),
        1 => Just(Says::UnfitNotFailing),
        1 => Just(Says::FailingNotUnfit),
        1 => Just(Says::Fit),
        1 => Just(Says::Abstains),
        1 => Just(Says::Nothing),
    ]
}

fn ballot(vantage: usize, run: u64, sequence: u64, says: Says) -> Ballot {
    let (fitness, failing_now, age) = match says {
        Says::Failing { age } => (Fitness::Unfit, true, age),
        // It abstains, and the vote that came along all the same must not count.
        Says::Abstains => (Fitness::Unfit, true, 0),
        Says::UnfitNotFailing => (Fitness::Unfit, false, 0),
        Says::FailingNotUnfit => (Fitness::Degraded, true, 0),
        Says::Fit | Says::Nothing => (Fitness::Fit, false, 0),
    };
    let vote = Vote { fitness, failing_now, streak: 1, age: Duration::from_millis(age), why: String::new() };
    Ballot {
        format: FORMAT,
        vantage: VantageName::new(&format!("v{vantage}")).unwrap(),
        writer: ActorId::new("a").unwrap(),
        run: Run(run),
        sequence,
        abstains: (says == Says::Abstains).then(String::new),
        votes: [(region(), vote)].into_iter().filter(|_| says != Says::Nothing).collect(),
    }
}

/// What happens next, to a reader of some vantages.
#[derive(Clone, Debug)]
enum Step {
    /// A round: time passes, every vantage writes, and each ballot is read.
    Round(u64, Vec<Says>),
    /// One vantage writes, and is read.
    Write(usize, Says),
    /// One vantage starts anew, writes, and is read.
    Restart(usize, Says),
    /// What one vantage wrote before is read once more, or late.
    Again(usize, prop::sample::Index),
    /// Time passes.
    Wait(u64),
}

fn steps(vantages: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (5_000..12_000u64, prop::collection::vec(says(), vantages))
            .prop_map(|(wait, says)| Step::Round(wait, says)),
        2 => (0..vantages, says()).prop_map(|(vantage, says)| Step::Write(vantage, says)),
        1 => (0..vantages, says()).prop_map(|(vantage, says)| Step::Restart(vantage, says)),
        2 => (0..vantages, any::<prop::sample::Index>()).prop_map(|(vantage, which)| Step::Again(vantage, which)),
        2 => (0..9_000u64).prop_map(Step::Wait),
        1 => (0..60_000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..40)
}

/// Three to five vantages in some failure domains, and a history.
fn histories() -> impl Strategy<Value = (Vec<u8>, Vec<Step>)> {
    let domains = prop_oneof![Just(3), Just(5), 1..6usize].prop_flat_map(|vantages| {
        let distinct: Vec<u8> = (0..vantages as u8).collect();
        prop_oneof![3 => Just(distinct), 1 => prop::collection::vec(0..4u8, vantages)]
    });
    domains.prop_flat_map(|domains| {
        let vantages = domains.len();
        (Just(domains), steps(vantages))
    })
}

/// One reading: when, of which vantage, and the ballot's run, sequence and words.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    at: u64,
    vantage: usize,
    order: (u64, u64),
    says: Says,
}

/// Runs a history: after each reading and each wait, `look` is called with all readings so far and the time.
fn run(steps: &[Step], vantages: usize, mut look: impl FnMut(&[Reading], u64)) {
    let mut readings: Vec<Reading> = Vec::new();
    let mut written: Vec<Vec<((u64, u64), Says)>> = vec![Vec::new(); vantages];
    let mut now = 1_000;
    for step in steps {
        let mut write = |written: &mut Vec<Vec<((u64, u64), Says)>>, now, vantage: usize, says, restart| {
            let (run, sequence) = written[vantage].last().map_or((1, 0), |last| last.0);
            let order = if restart { (run + 1, 1) } else { (run, sequence + 1) };
            written[vantage].push((order, says));
            readings.push(Reading { at: now, vantage, order, says });
            look(&readings, now);
        };
        match step {
            Step::Round(wait, all) => {
                now += wait;
                for (vantage, says) in all.iter().enumerate() {
                    write(&mut written, now, vantage, *says, false);
                }
            }
            Step::Write(vantage, says) => write(&mut written, now, *vantage, *says, false),
            Step::Restart(vantage, says) => write(&mut written, now, *vantage, *says, true),
            Step::Again(vantage, which) => {
                if !written[*vantage].is_empty() {
                    let (order, says) = *which.get(&written[*vantage]);
                    readings.push(Reading { at: now, vantage: *vantage, order, says });
                    look(&readings, now);
                }
            }
            Step::Wait(wait) => {
                now += wait;
                look(&readings, now);
            }
        }
    }
}

/// Whether, after these readings, a vantage at this time says freshly and of itself that it sees the region fail.
fn fails(readings: &[Reading], vantage: usize, now: u64) -> bool {
    let its: Vec<&Reading> = readings.iter().filter(|reading| reading.vantage == vantage).collect();
    let Some(newest) = its.iter().map(|reading| reading.order).max() else { return false };
    let first = its.iter().position(|reading| reading.order == newest).unwrap();
    // The last reading before it that found what was the newest then.
    let before = (0..first).rev().find(|index| {
        let known = its[..*index].iter().map(|reading| reading.order).max();
        known.is_none_or(|known| known <= its[*index].order)
    });
    let Some(before) = before else { return false };
    match its[first].says {
        Says::Failing { age } => {
            its[first].at - its[before].at <= FRESH && now - its[first].at + age <= FRESH
        }
        _ => false,
    }
}

/// Whether a strict majority of the vantages, and of their failure domains, sees the region fail.
fn majority(domains: &[u8], readings: &[Reading], now: u64) -> bool {
    let failing: Vec<usize> = (0..domains.len()).filter(|vantage| fails(readings, *vantage, now)).collect();
    let all: BTreeSet<u8> = domains.iter().copied().collect();
    let theirs: BTreeSet<u8> = failing.iter().map(|vantage| domains[*vantage]).collect();
    domains.len() >= 3
        && 2 * failing.len() > domains.len()
        && 2 * theirs.len() > all.len()
        && theirs.len() >= 2
}

/// Whether that was so at every moment of the hold: just before and just after each reading, and at its begin.
fn held(domains: &[u8], readings: &[Reading], now: u64) -> bool {
    let Some(begin) = now.checked_sub(HOLD) else { return false };
    let until_begin = readings.iter().filter(|reading| reading.at <= begin).count();
    let moments = (until_begin..readings.len()).flat_map(|index| {
        let at = readings[index].at;
        [(index, at), (index + 1, at)]
    });
    let mut moments = [(until_begin, begin), (readings.len(), now)].into_iter().chain(moments);
    moments.all(|(count, at)| majority(domains, &readings[..count], at))
}

#[test]
fn a_verdict_is_confirmed_if_and_only_if_a_strict_majority_saw_failures_for_the_whole_hold() {
    let (confirmed, suspected, looks) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let judge = |(domains, steps): (Vec<u8>, Vec<Step>)| {
        let mut quorum = Quorum::new(&specs(&domains), &DetectionPolicy::default());
        let mut fed = 0;
        let mut result = Ok(());
        run(&steps, domains.len(), |readings, now| {
            for reading in &readings[fed..] {
                let (run, sequence) = reading.order;
                quorum.hear(moment(reading.at), ballot(reading.vantage, run, sequence, reading.says));
            }
            fed = readings.len();
            let verdict = quorum.verdict(moment(now), &region(), Duration::from_millis(HOLD));
            let expected = (held(&domains, readings, now), majority(&domains, readings, now));
            if result.is_ok() && (verdict.confirmed, verdict.fitness == Fitness::Unfit) != expected {
                result = Err(TestCaseError::fail(format!("at {now}: {verdict}, not {expected:?}")));
            }
            looks.set(looks.get() + 1);
            confirmed.set(confirmed.get() + u32::from(verdict.confirmed));
            suspected.set(suspected.get() + u32::from(verdict.fitness == Fitness::Unfit));
        });
        result
    };
    let config = Config { failure_persistence: None, ..Config::with_cases(500) };
    TestRunner::new(config).run(&histories(), judge).unwrap();
    // The property is not empty: verdicts come, and are refused, often.
    let (confirmed, suspected, looks): (u32, u32, u32) = (confirmed.get(), suspected.get(), looks.get());
    assert!(confirmed * 50 > looks, "{confirmed} confirmed of {looks}");
    assert!(suspected > confirmed && suspected < looks, "{suspected} suspected of {looks}");
}

/// All of a verdict but how long it has lasted.
fn state(verdict: Verdict) -> impl PartialEq + std::fmt::Debug {
    (verdict.fitness, verdict.tally, verdict.votes)
}

proptest! {
    #[test]
    fn ballots_that_are_read_in_a_wrong_order_or_twice_change_nothing(
        written in prop::collection::vec((0..3usize, 1..4u64, 1..6u64, says()), 1..20),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        // One ballot for each run and sequence: a vantage never writes two different ones.
        let unique: BTreeMap<_, _> = written
            .into_iter()
            .map(|(vantage, run, sequence, says)| ((vantage, run, sequence), says))
            .collect();
        let ballots: Vec<Ballot> = unique
            .into_iter()
            .map(|((vantage, run, sequence), says)| ballot(vantage, run, sequence, says))
            .collect();
        let read = |ballots: Vec<&Ballot>| {
            let mut quorum = Quorum::new(&specs(&[0, 1, 2]), &DetectionPolicy::default());
            for vantage in 0..3 {
                quorum.hear(moment(1_000), ballot(vantage, 0, 1, Says::Fit));
                quorum.hear(moment(1_000), ballot(vantage, 0, 2, Says::Fit));
            }
            for ballot in ballots {
                quorum.hear(moment(9_000), ballot.clone());
            }
            state(quorum.verdict(moment(10_000), &region(), Duration::ZERO))
        };
        // In any order, any of them again and again, and every one at least once, the newest first.
        let mut shuffled: Vec<&Ballot> = order.iter().map(|index| index.get(&ballots)).collect();
        shuffled.extend(ballots.iter().rev());
        prop_assert_eq!(read(ballots.iter().collect()), read(shuffled));
    }

    #[test]
    fn a_vantage_calls_unfit_exactly_after_enough_failures_in_a_row_that_it_could_trust(
        rounds in prop::collection::vec(
            (
                prop_oneof![9 => Just(10_000u64), 1 => 1_000..40_000u64],
                prop::bool::weighted(0.95),
                prop_oneof![
                    5 => Just(Fitness::Unfit), 4 => Just(Fitness::Fit), 1 => Just(Fitness::Degraded),
                    1 => Just(Fitness::Unknown)
                ],
                1..5usize,
            ),
            1..40,
        ),
    ) {
        let name = VantageName::new("v0").unwrap();
        let writer = ActorId::new("a").unwrap();
        let mut detector = VantageDetector::new(name, writer, Run(1), DetectionPolicy::default());
        let mut now = 1_000;
        // The known answers since the vantage last had to begin anew: whether each failed, and when it came.
        let mut known: Vec<(bool, u64)> = Vec::new();
        let mut checked = None;
        for (wait, control, fitness, times) in rounds {
            for _ in 0..times {
                now += wait;
                let outcome = if control { SelfCheck::Passed } else { SelfCheck::Failed { why: "x".into() } };
                detector.self_check(moment(now), outcome);
                detector.observe(moment(now), &region(), &Assessment::new(fitness, "x"));
                let since_check = checked.replace(now).map(|before| now - before);
                let since_answer = known.last().map(|(_, at)| now - at);
                if !control || since_check.is_none_or(|span| span > FRESH) || since_answer.is_some_and(|span| span > FRESH) {
                    known.clear();
                }
                if control && fitness != Fitness::Unknown {
                    known.push((fitness == Fitness::Unfit, now));
                }
                // The last stretch of enough answers alike decides.
                let decided = (1..=known.len()).rev().find_map(|end| {
                    let alike = |count: usize, failed: bool| {
                        end >= count && known[end - count..end].iter().all(|(kind, _)| *kind == failed)
                    };
                    if alike(3, true) { Some(true) } else { alike(5, false).then_some(false) }
                });
                let vote = detector.vote(moment(now), &region());
                let unfit = vote.as_ref().is_some_and(|vote| vote.fitness == Fitness::Unfit);
                let failing = vote.as_ref().is_some_and(|vote| vote.failing_now);
                let trusted = control && fitness != Fitness::Unknown;
                prop_assert_eq!(unfit, trusted && decided == Some(true));
                prop_assert_eq!(failing, control && fitness == Fitness::Unfit);
                let ballot = detector.ballot(moment(now));
                prop_assert_eq!(ballot.abstains.is_some(), !control);
                let bytes = ballot.encode();
                prop_assert_eq!(Ballot::decode(&bytes, detector.vantage()).unwrap(), ballot);
            }
        }
    }
}
