//! A model check of lease, epoch, gate and take-over: every way in which the steps of a move, its messages, lost
//! controllers, slow clocks and a take-over can follow one another, within bounds, breadth first (`explore`). That
//! covers the rules 1, 2, 4 and 5 as far as one planned move of one store goes (`rules`, `heal`); what it does not cover
//! (long histories, several moves, every kind of plan, detection) is what the simulation is for.
//!
//! # What is real
//! - Every change of the ledger: [`Ledger`](crate::ledger::Ledger)'s own transitions, on encoded records.
//! - The gates: [`GateMachine`](crate::gate::GateMachine), told and asked as in a service.
//! - The move: the plan that [`plan::build`](crate::plan::build) makes, carried out by the library's `Execution`, which also
//!   knows what to wait for: a seal, and an open call after a take-over.
//! - Who may take the lease and when: [`may_take`](crate::controller::may_take).
//! - The journal: `Slot`, `Reader`, hash chain and anchor; a lost answer is settled by
//!   [`Swap`](crate::register::Swap), of the ledger and of the journal.
//!
//! # What is abstract
//! - The controller around these (`actor`): a follower that reads the ledger when it is woken, takes the lease, reads the
//!   journal, appends that it took over, and then goes on; it stops when a swap or an append shows it that somebody else
//!   acts. It neither detects nor decides, and gives no sign of life: it may be taken over whenever it was silent for a
//!   lease, dead or not, which is more than can happen to one that does.
//! - The store: who its writer is, and whether an acknowledged write is missing at the target; what is missing arrives when
//!   it is asked for. A write takes effect when it is acknowledged. A call takes effect by its deadline, or never.
//! - Time: clocks of whole units, one for each region; a tick is two units, for one region's clocks in a slow tick one
//!   (`setup`). Any number of things can happen in one tick, in any order. Requests can be on their way for any
//!   number of ticks.
//!
//! # What is left out because something else stands for it
//! - A question (a read by a controller, a status, a drain) is answered in the step in which it is asked: one that is
//!   answered later is one that was acted on later. A gate's read finds what is there when it is sent; the answer may come
//!   later, and its trust counts from the send either way.
//! - An answer comes in the step that caused it or in a later tick, then before anything else happens in that tick: in
//!   between, nobody could tell. One at most is on its way to each gate.
//! - A swap that takes the lease lands when it is sent (`World::wake`).
//! - A gate that is shut and would be told to stay so does not ask; a write while its region is admitted is seen by
//!   every drain.
//! - States that differ only in what no code looks at any more count as one: by how many calls an actor made, when a wait
//!   that is over began (`Execution::key`, `GateMachine::key`, `Actor::aged`). That those do the same from then on is
//!   checked as they come up (`Interner::of`).
//!
//! How often the lease is taken over is bounded too, and so is everything else that goes wrong ([`Faults`]). A bug of each
//! kind is found in the shortest way (`seeded`, `traces`).
//!
//! # Running more of it
//! ```text
//! cargo test --release -p mantissa-mr-core --lib model_check::larger -- --ignored --nocapture
//! MODEL="regions=2 ticks=5 crashes=1 take-overs=1 slips=1" cargo test --release … (as above)
//! cargo test -p mantissa-mr-core --lib model_check::write_traces -- --ignored    (after a change that was meant)
//! ```

mod actor;
mod carry;
mod explore;
mod heal;
mod rules;
mod seeded;
mod service;
mod setup;
mod state;
mod table;
mod trace;
mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::time::{ClockId, clock_gettime};

use crate::ledger::Outcome;
use explore::{Extent, explore};
use heal::Healed;
use seeded::Seeded;
use setup::{Bounds, Faults, Terms};
use state::State;
use world::World;

/// What an exploration found.
#[derive(Debug)]
struct Found {
    extent: Extent,
    /// The shortest way to something that must not be.
    trace: Option<String>,
    /// How the move ended somewhere: given up or not, and under which term.
    ends: BTreeSet<(bool, u64)>,
}

fn check(bounds: Bounds, seeded: Option<Seeded>) -> Found {
    let world = World::new(bounds, seeded);
    let (healed, ends) = (Healed::default(), RefCell::new(BTreeSet::new()));
    let (extent, trace) = explore(&world, |state| {
        ends.borrow_mut().extend(end(&world, state));
        (state.ticks == bounds.ticks).then(|| healed.fault(&world, state)).flatten()
    });
    let trace = trace.map(|trace| trace::text(&world, &trace));
    Found { extent, trace, ends: ends.into_inner() }
}

fn end(world: &World, state: &State) -> Option<(bool, u64)> {
    let ledger = &world.setup.ledgers.get(state.ledger.1).ledger;
    let ended = ledger.ended.as_ref()?;
    Some((ended.outcome == Outcome::Aborted, ledger.lease.term.0))
}

/// Regions, ticks, crashes, and otherwise nothing that goes wrong.
const fn bounds(regions: usize, ticks: u8, crashes: u8) -> Bounds {
    let faults = Faults { take_overs: 0, crashes, slips: 0, silences: 0, aborts: 0 };
    Bounds { regions, ticks, faults, terms: Terms::Drift }
}

impl Bounds {
    const fn take_overs(mut self, most: u8) -> Self {
        self.faults.take_overs = most;
        self
    }

    const fn slips(mut self, most: u8) -> Self {
        self.faults.slips = most;
        self
    }

    const fn silences(mut self, most: u8) -> Self {
        self.faults.silences = most;
        self
    }

    const fn aborts(mut self, most: u8) -> Self {
        self.faults.aborts = most;
        self
    }

    const fn terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }
}

/// Nothing must be found; and neither fewer nor more states than are known, or the model is another one than it was.
#[track_caller]
fn holds(bounds: Bounds, states: usize, ends: &[(bool, u64)]) {
    let found = check(bounds, None);
    assert_eq!(found.trace, None, "{bounds:?}\n{}", found.trace.clone().unwrap_or_default());
    assert_eq!(found.ends.iter().copied().collect::<Vec<_>>(), ends, "how it ends within {bounds:?}");
    assert_eq!(found.extent.states, states, "{bounds:?}: {:?}", found.extent);
}

const FINISHED: bool = false;
const ABORTED: bool = true;

#[test]
fn two_regions_four_ticks_one_crash_with_slow_clocks() {
    holds(bounds(2, 4, 1).take_overs(1).slips(2), 6_514_893, &[(FINISHED, 1), (FINISHED, 2)]);
}

#[test]
fn two_regions_four_ticks_one_crash_two_take_overs() {
    holds(bounds(2, 4, 1).take_overs(2), 2_076_694, &[(FINISHED, 1), (FINISHED, 2), (FINISHED, 3)]);
}

#[test]
fn three_regions_three_ticks() {
    holds(bounds(3, 3, 0).take_overs(1), 869_900, &[(FINISHED, 1), (FINISHED, 2)]);
}

#[test]
fn writes_that_last_into_the_next_tick() {
    let bounds = bounds(2, 4, 0).take_overs(1).slips(1).terms(Terms::Deadline);
    holds(bounds, 1_950_677, &[(FINISHED, 1), (FINISHED, 2)]);
}

#[test]
fn orders_to_give_up() {
    let ends = [(FINISHED, 1), (FINISHED, 2), (ABORTED, 1), (ABORTED, 2)];
    holds(bounds(2, 2, 1).take_overs(1).aborts(1), 294_045, &ends);
}

#[test]
fn answers_that_never_come() {
    holds(bounds(2, 2, 1).take_overs(1).silences(1), 237_042, &[(FINISHED, 1), (FINISHED, 2)]);
}

/// With one bug the shortest way to a violation is this one, which stands in a file of the bug's name.
#[track_caller]
fn finds(bounds: Bounds, seeded: Seeded) {
    let trace = check(bounds, Some(seeded)).trace.unwrap_or_else(|| "nothing was found\n".into());
    let known = std::fs::read_to_string(file(seeded)).unwrap_or_default();
    assert!(trace == known, "{}: the shortest trace is another one now:\n{trace}", file(seeded).display());
}

fn file(seeded: Seeded) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/model_check/traces");
    folder.join(format!("{}.txt", seeded.name()))
}

macro_rules! finds {
    ($($name:ident: $seeded:ident within $bounds:expr;)*) => {
        $(#[test]
        fn $name() {
            finds($bounds, Seeded::$seeded);
        })*

        /// The bugs, and within which bounds each is found.
        const SEEDED: &[(Seeded, Bounds)] = &[$((Seeded::$seeded, $bounds),)*];
    };
}

finds! {
    finds_trust_from_answer: TrustFromAnswer within bounds(2, 4, 0).slips(2);
    finds_no_rate_margin: NoRateMargin within bounds(2, 4, 0).slips(2);
    finds_no_seal_wait: NoSealWait within bounds(2, 4, 0);
    finds_wait_from_send: WaitFromSend within bounds(2, 4, 0).slips(2);
    finds_permit_outlives_wait: PermitOutlivesWait within bounds(2, 4, 0).slips(1).terms(Terms::Deadline);
    finds_blind_put: BlindPut within bounds(2, 4, 0).take_overs(1);
    finds_keeps_epoch: KeepsEpoch within bounds(2, 4, 0);
    finds_keeps_term: KeepsTerm within bounds(2, 4, 0).take_overs(1);
    finds_ignores_taken_slot: IgnoresTakenSlot within bounds(2, 4, 0).take_overs(1).slips(2);
    finds_calls_too_early: CallsTooEarly within bounds(2, 4, 0).take_overs(1).slips(2);
    finds_calls_too_late: CallsTooLate within bounds(2, 4, 0).take_overs(1).slips(2);
    finds_does_not_wait_out: DoesNotWaitOut within bounds(2, 4, 0).take_overs(1);
    finds_waits_out_without_margin: WaitsOutWithoutMargin within bounds(2, 4, 0).take_overs(1).slips(2);
    finds_forgets_move: ForgetsMove within bounds(2, 4, 0).take_overs(1);
    finds_takes_any_drain: TakesAnyDrain within bounds(2, 4, 0);
}

/// Two lines of defence that hold one without the other: a permit ends with the trust, and a move waits for the write
/// deadline as well. Without both there are two writers (`PermitOutlivesWait`).
#[test]
fn a_permit_that_ends_with_the_trust_and_a_wait_for_the_deadline_are_each_enough() {
    let bounds = bounds(2, 4, 0).slips(1).terms(Terms::Deadline);
    for seeded in [Seeded::NoDeadlineWait, Seeded::PermitOutlivesTrust] {
        let found = check(bounds, Some(seeded));
        assert_eq!(found.trace, None, "{seeded:?}");
        assert_eq!(found.ends.len(), 1, "it ends, under the one term");
    }
}

/// Writes the files that `finds_…` compare with: look at what has changed, and why.
#[test]
#[ignore = "writes into the sources"]
fn write_traces() {
    for (seeded, bounds) in SEEDED {
        let found = check(*bounds, Some(*seeded));
        let trace = found.trace.expect("it is found");
        println!("{:<26} {:>3} steps {:>9} states", seeded.name(), found.extent.depth, found.extent.states);
        std::fs::write(file(*seeded), trace).unwrap();
    }
}

/// Within larger bounds than there is time for in every run; see above for how to choose them.
#[test]
#[ignore = "takes minutes, and gigabytes"]
fn larger() {
    let all = match std::env::var("MODEL") {
        Ok(text) => vec![parse(&text)],
        Err(_) => vec![
            bounds(2, 4, 1).take_overs(2).slips(1),
            bounds(2, 5, 0).take_overs(1).slips(1),
            bounds(2, 5, 1).take_overs(1).slips(1),
            bounds(2, 3, 1).take_overs(2).aborts(1),
            bounds(2, 3, 1).take_overs(2).silences(1),
            bounds(3, 3, 0).take_overs(2),
            bounds(3, 3, 0).take_overs(1).slips(1),
            bounds(3, 3, 1).take_overs(2),
        ],
    };
    println!("{:>9} {:>11} {:>5} {:>6}  bounds", "states", "transitions", "depth", "CPU s");
    for bounds in all {
        let before = processor_seconds();
        let Found { extent, trace, .. } = check(bounds, None);
        let (Extent { states, transitions, depth }, took) = (extent, processor_seconds() - before);
        println!("{states:>9} {transitions:>11} {depth:>5} {took:>6}  {bounds:?}");
        assert_eq!(trace, None, "{}", trace.clone().unwrap_or_default());
    }
}

/// Bounds as `regions=2 ticks=5 crashes=1 take-overs=1 slips=1 silences=0 aborts=0 deadline=0`; what is left out is none.
fn parse(text: &str) -> Bounds {
    let value = |name: &str| {
        let mut words = text.split_whitespace().filter_map(|word| word.split_once('='));
        words.find(|(key, _)| *key == name).map_or(0, |(_, value)| value.parse().expect("a small number"))
    };
    let terms = if value("deadline") > 0 { Terms::Deadline } else { Terms::Drift };
    let bounds = bounds(value("regions").into(), value("ticks"), value("crashes")).terms(terms);
    let bounds = bounds.take_overs(value("take-overs")).slips(value("slips"));
    bounds.silences(value("silences")).aborts(value("aborts"))
}

#[expect(clippy::disallowed_methods, reason = "for people to read: nothing is decided by it")]
fn processor_seconds() -> i64 {
    clock_gettime(ClockId::ProcessCPUTime).tv_sec
}
