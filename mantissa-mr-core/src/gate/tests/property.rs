//! Two gates and a mover in a world of true time: never are two of them open at once.
//!
//! The world knows true time; each of the three has a clock of its own that runs up to the margin apart from the others.
//! Reads take effect somewhere between their send and their answer; answers are late, lost, out of order or delivered to
//! a process that was paused. The mover seals, waits [`GateTerms::seal_wait`] from the answer of its seal, and opens the
//! other region, again and again, at the worst moment that it can find.
//!
//! The oracle asks the gates only what a writer asks. From that it computes, on true time, when each region could
//! acknowledge a write, as intervals and not as samples, and looks for an overlap.

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::{
    CallId, Cell, Duration, EAST, GateMachine, GateTerms, Input, Ledger, Moment, Now, RateMargin,
    RenewPolicy, Reply, WEST, at, cell, cells, execution, ledger_with, region, sealed, step,
};
use crate::deployment;
use crate::error::{Error, ErrorKind};
use crate::gate::Permit;
use crate::ledger::{AdmissionState, Epoch};

/// True time, in microseconds.
type Time = u64;

const NAMES: [&str; 2] = [EAST, WEST];
/// How long a mover aims before it seals anyhow.
const PATIENCE: Time = 500_000;

const END: Time = 10_000_000;

/// Any two of the clocks differ by less than the margin of 2 %.
const RATES: std::ops::RangeInclusive<i64> = -9_900..=9_900;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    TrustFromAnswer,
    NoMargin,
    AnyOrder,
}

#[derive(Clone, Copy, Debug)]
struct Hop {
    there: Time,
    back: Time,
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Answered, or timed out if the answer takes longer than the deadline.
    InTime,
    /// Timed out.
    Lost,
    /// Delivered whenever it comes: the process was paused and did not notice its timeout.
    Late,
}

/// One move.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// How long after the one before.
    pause: Time,
    /// It seals right after a read of the active region took effect whose answer takes at least so long.
    aim: Time,
    /// The sealed region hears nothing that is newer than the seal.
    cut_off: bool,
    /// It is given up after the seal.
    give_up: bool,
}

#[derive(Clone, Debug)]
struct Case {
    gate_ppm: [i64; 2],
    mover_ppm: i64,
    trust: u64,
    write_deadline: u64,
    renew: RenewPolicy,
    hops: Vec<Hop>,
    moves: Vec<Plan>,
    /// Reads of one gate are lost for a time.
    cut: (usize, Time, Time),
}

fn hop() -> impl Strategy<Value = Hop> {
    let way = || prop_oneof![3 => Just(0u64), 3 => 0..5_000u64, 2 => 0..150_000u64, 1 => 0..1_000_000u64];
    let fate = prop_oneof![6 => Just(Fate::InTime), 1 => Just(Fate::Lost), 3 => Just(Fate::Late)];
    (way(), way(), fate).prop_map(|(there, back, fate)| Hop { there, back, fate })
}

fn plan() -> impl Strategy<Value = Plan> {
    let aim = prop_oneof![1 => Just(0u64), 1 => 0..300_000u64];
    (0..1_000_000u64, aim, prop::bool::weighted(0.7), prop::bool::weighted(0.2))
        .prop_map(|(pause, aim, cut_off, give_up)| Plan { pause, aim, cut_off, give_up })
}

fn case() -> impl Strategy<Value = Case> {
    let rate = || prop_oneof![2 => Just(*RATES.start()), 2 => Just(*RATES.end()), 1 => RATES];
    let renew = prop_oneof![Just((3, 10)), Just((30, 100)), (1..30u32, 1..100u32)];
    (
        ([rate(), rate()], rate()),
        (200..2_500u64).prop_flat_map(|trust| (Just(trust), prop_oneof![2 => Just(1), 1 => 1..trust / 2])),
        renew,
        prop::collection::vec(hop(), 1..40),
        prop::collection::vec(plan(), 1..10),
        (0..2usize, 0..END, 0..2_000_000u64),
    )
        .prop_map(
            |((gate_ppm, mover_ppm), (trust, write_deadline), (renewals, attempts), hops, moves, cut)| {
                let renew = RenewPolicy { renewals, attempts, first: Duration::from_secs(1) };
                Case { gate_ppm, mover_ppm, trust, write_deadline, renew, hops, moves, cut }
            },
        )
}

/// What must not be.
#[derive(Debug, PartialEq)]
enum Violation {
    /// Both regions could acknowledge a write at this time.
    TwoOpen(Time),
    /// A gate gave a permit under an epoch that it had been told is over.
    Reopened { epoch: Epoch, told: Epoch },
}

/// What happened, so that a test can tell that something did.
#[derive(Debug, Default)]
struct Story {
    moves: usize,
    /// For how long each region could acknowledge.
    open: [Time; 2],
}

/// A clock that runs this much faster than true time, and began somewhere.
#[derive(Clone, Copy, Debug)]
struct Rate {
    ppm: i64,
    offset: u64,
}

impl Rate {
    fn own(self, time: Time) -> u64 {
        let factor = u64::try_from(1_000_000 + self.ppm).unwrap();
        self.offset + u64::try_from(u128::from(time) * u128::from(factor) / 1_000).unwrap()
    }

    fn now(self, time: Time) -> Now {
        let wall = at(0).wall + jiff::SignedDuration::from_micros(i64::try_from(time).unwrap());
        Now { moment: Moment::from_nanos(self.own(time)), wall }
    }

    /// The first true time at which the clock says this.
    fn when(self, own: Moment) -> Time {
        let factor = u128::try_from(1_000_000 + self.ppm).unwrap();
        let span = u128::from(own.as_nanos().saturating_sub(self.offset));
        u64::try_from((span * 1_000).div_ceil(factor)).unwrap()
    }

    /// The first true time that is this span of the clock after the given one.
    fn after(self, time: Time, span: Duration) -> Time {
        self.when(self.now(time).moment + span)
    }
}

#[derive(Debug)]
enum Event {
    Wake(usize),
    Effect {
        gate: usize,
        id: CallId,
        back: Time,
        fate: Fate,
        timeout: Time,
    },
    Answer {
        gate: usize,
        id: CallId,
        ledger: Option<Rc<(Ledger, Cell)>>,
    },
    Mover,
    /// This move has aimed for long enough.
    Patience {
        number: u64,
    },
}

/// What the mover does when its time comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mover {
    /// Waits for a good moment: right after a read of the active region took effect.
    Aiming {
        aim: Time,
    },
    Idle,
    /// The seal is answered when the next turn comes.
    Sealed {
        number: u64,
        give_up: bool,
    },
    Waited {
        number: u64,
    },
}

/// One region, as its writers see it.
struct Site {
    gate: GateMachine,
    clock: Rate,
    /// Permits that were given and may hold yet.
    permits: Vec<Permit>,
    /// Since when nothing has happened to the gate.
    since: Time,
    /// When writes could be acknowledged.
    open: Vec<(Time, Time)>,
    /// The highest epoch that the gate was told is over.
    told: Option<Epoch>,
}

impl Site {
    /// Until when (the last such time before `end`) something holds that holds at `since` and, once it stops, has stopped
    /// for as long as the gate hears nothing.
    fn last(&self, end: Time, holds: impl Fn(Now) -> bool) -> Option<Time> {
        let holds = |time| holds(self.clock.now(time));
        if self.since >= end || !holds(self.since) {
            return None;
        }
        let (mut yes, mut no) = (self.since, end);
        while no - yes > 1 {
            let middle = yes + (no - yes) / 2;
            if holds(middle) { yes = middle } else { no = middle }
        }
        Some(yes)
    }

    /// Notes when writes could be acknowledged from the last event on, until this one.
    fn watch(&mut self, until: Time) -> Result<(), Violation> {
        let last_permit = self.last(until, |now| self.gate.permit(now).is_ok());
        for time in [Some(self.since), last_permit].into_iter().flatten() {
            let Ok(permit) = self.gate.permit(self.clock.now(time)) else { continue };
            if let Some(told) = self.told.filter(|told| permit.epoch <= *told) {
                return Err(Violation::Reopened { epoch: permit.epoch, told });
            }
            self.permits.push(permit);
        }
        let mut end = last_permit;
        for permit in &self.permits {
            end = end.max(self.last(until, |now| self.gate.holds(now, permit)));
        }
        if let Some(end) = end {
            self.open.push((self.since, end));
        }
        let now = self.clock.now(until);
        self.permits.retain(|permit| now.moment < permit.deadline);
        // The oldest and the newest few stand for the others, or the watching takes too long.
        if self.permits.len() > 6 {
            self.permits.drain(2..self.permits.len() - 4);
        }
        self.since = until;
        Ok(())
    }
}

struct World<'a> {
    case: &'a Case,
    bug: Bug,
    terms: GateTerms,
    ledger: Ledger,
    /// The ledger when it was last read, and its cell.
    stored: Rc<(Ledger, Cell)>,
    sites: [Site; 2],
    mover: Mover,
    mover_clock: Rate,
    moves: u64,
    /// The region that hears nothing.
    cut_off: Option<usize>,
    hops: usize,
    time: Time,
    events: BTreeMap<(Time, u64), Event>,
    sequence: u64,
}

impl<'a> World<'a> {
    fn new(case: &'a Case, bug: Bug) -> Self {
        let millis = Duration::from_millis;
        let terms = GateTerms {
            trust: millis(case.trust),
            write_deadline: millis(case.write_deadline),
            rate_margin: RateMargin::DEFAULT,
        };
        let site = |index: usize| {
            let mut gate = GateMachine::new(cells(), region(NAMES[index]), case.renew);
            gate.seeded.trust_from_answer = bug == Bug::TrustFromAnswer;
            gate.seeded.any_order = bug == Bug::AnyOrder;
            let clock = Rate { ppm: case.gate_ppm[index], offset: 1_000_000_007 * (index as u64 + 1) };
            Site { gate, clock, permits: Vec::new(), since: 0, open: Vec::new(), told: None }
        };
        let ledger = ledger_with(deployment::Strategy::ActivePassive, terms);
        let mut world = Self {
            case,
            bug,
            terms,
            stored: Rc::new((ledger.clone(), cell(&ledger))),
            ledger,
            sites: [site(0), site(1)],
            mover: Mover::Idle,
            mover_clock: Rate { ppm: case.mover_ppm, offset: 5 },
            moves: 0,
            cut_off: None,
            hops: 0,
            time: 0,
            events: BTreeMap::new(),
            sequence: 0,
        };
        world.schedule(0, Event::Wake(0));
        world.schedule(0, Event::Wake(1));
        world.schedule(case.moves[0].pause, Event::Mover);
        world
    }

    fn schedule(&mut self, time: Time, event: Event) {
        self.sequence += 1;
        self.events.insert((time.max(self.time), self.sequence), event);
    }

    fn run(mut self) -> Result<Story, Violation> {
        while let Some(((time, _), event)) = self.events.pop_first() {
            if time > END {
                break;
            }
            self.time = time;
            match event {
                Event::Wake(gate) => self.input(gate, Input::Wake)?,
                Event::Effect { gate, id, back, fate, timeout } => {
                    self.effect(gate, id, back, fate, timeout);
                }
                Event::Answer { gate, id, ledger } => self.answer(gate, id, ledger)?,
                Event::Mover => self.step_mover(),
                Event::Patience { number } => {
                    if number == self.moves && matches!(self.mover, Mover::Aiming { .. }) {
                        self.seal();
                    }
                }
            }
        }
        self.verdict()
    }

    fn input(&mut self, index: usize, input: Input) -> Result<(), Violation> {
        let time = self.time;
        let site = &mut self.sites[index];
        site.watch(time)?;
        let asked = step(&mut site.gate, site.clock.now(time), input);
        let clock = site.clock;
        for (id, deadline) in asked.reads {
            let hop = self.case.hops[self.hops % self.case.hops.len()];
            self.hops += 1;
            let (cut, from, length) = self.case.cut;
            let is_cut = cut == index && (from..from + length).contains(&time);
            let (fate, timeout) = (if is_cut { Fate::Lost } else { hop.fate }, clock.after(time, deadline));
            let effect = Event::Effect { gate: index, id, back: hop.back, fate, timeout };
            self.schedule(time + hop.there, effect);
        }
        for wake in asked.wakes {
            self.schedule(clock.when(wake), Event::Wake(index));
        }
        Ok(())
    }

    fn effect(&mut self, gate: usize, id: CallId, back: Time, fate: Fate, timeout: Time) {
        let answered = self.time + back;
        let lost = self.cut_off == Some(gate);
        let (time, ledger) = match fate {
            Fate::InTime if answered <= timeout && !lost => (answered, Some(self.read())),
            Fate::Late if !lost => (answered, Some(self.read())),
            _ => (timeout, None),
        };
        let heard = ledger.is_some();
        self.schedule(time, Event::Answer { gate, id, ledger });
        if let Mover::Aiming { aim } = self.mover
            && heard
            && back >= aim
            && self.active() == gate
        {
            self.seal();
        }
    }

    fn answer(
        &mut self,
        index: usize,
        id: CallId,
        ledger: Option<Rc<(Ledger, Cell)>>,
    ) -> Result<(), Violation> {
        let reply = match &ledger {
            Some(read) => Ok(Some(read.1.clone())),
            None => Err(Error::new(ErrorKind::Timeout, "load", "no answer")),
        };
        self.input(index, Input::Reply { id, reply: Reply::Load(reply) })?;
        if let Some(ledger) = ledger {
            let admission = &ledger.0.admissions[&region(NAMES[index])];
            if admission.state != AdmissionState::Active {
                let site = &mut self.sites[index];
                site.told = site.told.max(Some(admission.epoch));
            }
        }
        Ok(())
    }

    /// What a read sees that takes effect now.
    fn read(&mut self) -> Rc<(Ledger, Cell)> {
        if self.stored.0 != self.ledger {
            self.stored = Rc::new((self.ledger.clone(), cell(&self.ledger)));
        }
        Rc::clone(&self.stored)
    }

    fn active(&self) -> usize {
        NAMES.iter().position(|name| self.ledger.admitted(&region(name)).is_some()).unwrap()
    }

    fn plan(&self) -> Plan {
        self.case.moves[usize::try_from(self.moves).unwrap() % self.case.moves.len()]
    }

    /// The seal takes effect now, and is answered a little later.
    fn seal(&mut self) {
        let (number, leave, plan) = (self.moves, self.active(), self.plan());
        self.ledger = sealed(&self.ledger, number, NAMES[leave]);
        self.cut_off = plan.cut_off.then_some(leave);
        self.mover = Mover::Sealed { number, give_up: plan.give_up };
        let hop = self.case.hops[self.hops % self.case.hops.len()];
        self.schedule(self.time + hop.back, Event::Mover);
    }

    fn step_mover(&mut self) {
        match self.mover {
            Mover::Idle => {
                self.mover = Mover::Aiming { aim: self.plan().aim };
                self.schedule(self.time + PATIENCE, Event::Patience { number: self.moves });
            }
            Mover::Aiming { .. } => {}
            Mover::Sealed { number, give_up: true } => {
                self.ledger = self.ledger.reopen(self.ledger.lease.term, &execution(number)).unwrap();
                self.finish();
            }
            Mover::Sealed { number, give_up: false } => {
                let wait = match self.bug {
                    Bug::NoMargin => self.terms.trust + self.terms.write_deadline,
                    _ => self.terms.seal_wait(),
                };
                self.mover = Mover::Waited { number };
                self.schedule(self.mover_clock.after(self.time, wait), Event::Mover);
            }
            Mover::Waited { number } => {
                let standby = NAMES
                    .iter()
                    .find(|name| self.ledger.admissions[&region(name)].state == AdmissionState::Standby);
                let to = region(standby.unwrap());
                self.ledger = self.ledger.open(self.ledger.lease.term, &execution(number), &to).unwrap();
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        self.ledger.execution = None;
        self.cut_off = None;
        self.moves += 1;
        self.mover = Mover::Idle;
        self.schedule(self.time + self.plan().pause, Event::Mover);
    }

    fn verdict(mut self) -> Result<Story, Violation> {
        for site in &mut self.sites {
            site.watch(END.max(site.since))?;
        }
        let [east, west] = &self.sites;
        for (from, until) in &east.open {
            if let Some((other, _)) =
                west.open.iter().find(|(other, until_other)| from <= until_other && other <= until)
            {
                return Err(Violation::TwoOpen(*from.max(other)));
            }
        }
        let length = |site: &Site| site.open.iter().map(|(from, until)| until - from + 1).sum();
        Ok(Story { moves: usize::try_from(self.moves).unwrap(), open: [length(east), length(west)] })
    }
}

fn runner(cases: u32, shrinks: u32) -> TestRunner {
    let config = Config { cases, max_shrink_iters: shrinks, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Runs cases until one is wrong.
fn search(cases: u32, shrinks: u32, bug: Bug) -> Result<(), Box<TestError<Case>>> {
    let run = runner(cases, shrinks).run(&case(), |case| {
        let outcome = World::new(&case, bug).run();
        outcome.map(|_| ()).map_err(|violation| TestCaseError::fail(format!("{violation:?}")))
    });
    run.map_err(Box::new)
}

#[track_caller]
fn finds(bug: Bug, what: &str) {
    let found = search(2_000, 0, bug).expect_err("this bug must be found");
    let TestError::Fail(why, _) = *found else { panic!("{bug:?}: {found}") };
    assert!(why.message().starts_with(what), "{why}");
}

#[test]
fn two_regions_gates_are_never_open_at_once_and_no_gate_reopens_what_it_was_told_is_over() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100);
    if let Err(error) = search(cases, 500, Bug::None) {
        panic!("{error}");
    }
}

#[test]
fn in_the_cases_of_the_property_gates_do_open_and_moves_do_happen() {
    let (stories, moves) = (std::cell::Cell::new([0; 2]), std::cell::Cell::new(0));
    runner(60, 0)
        .run(&case(), |case| {
            let story = World::new(&case, Bug::None).run().unwrap();
            let open = story.open.map(|open| usize::from(open > END / 20));
            let sum = stories.get();
            stories.set([sum[0] + open[0], sum[1] + open[1]]);
            moves.set(moves.get() + story.moves);
            Ok(())
        })
        .unwrap();
    let [east, west] = stories.get();
    assert!(east > 40 && west > 25, "cases in which east, west were open for a while: {east}, {west}");
    assert!(moves.get() > 150, "{} moves", moves.get());
}

// ===== the test of the test =====

#[test]
fn the_property_finds_trust_that_counts_from_the_answer() {
    finds(Bug::TrustFromAnswer, "TwoOpen");
}

#[test]
fn the_property_finds_a_mover_that_allows_no_margin_for_clock_rates() {
    finds(Bug::NoMargin, "TwoOpen");
}

#[test]
fn the_property_finds_answers_that_are_used_out_of_order() {
    finds(Bug::AnyOrder, "Reopened");
}
