//! Outages that are shorter than the lease harm nobody; how long that is, to the renewal, and what happens beyond.
//!
//! A gate trusts the last good answer from the send of its read, `S`, until `S + trust`, and gives permits until
//! `S + trust - write deadline`. It reads again at `S + renewal`, and while it has no answer, every `attempt` from there. The
//! worst outage begins right before the read at `S + renewal` arrives. What it delays is harmless if some read of that grid
//! that comes after it is answered in time, so an outage is harmless for writers up to the last grid line of
//!
//! ```text
//! S + renewal + n * attempt + round trip <= S + trust - write deadline
//! ```
//!
//! counted from `S + renewal`, and gates stay open as long as the same holds without the write deadline. With the defaults
//! (15 s, 5 s, a third, a tenth) that is 4.5 s and 9 s. Whatever the grid: an outage shorter than `trust - write deadline -
//! renewal - attempt - round trip` is harmless. A clock that runs fast takes its rate from that.
//!
//! What it costs even so: a move that is under way, or asked for, waits for the witness. An outage while a region's loss is not
//! confirmed yet has the vantages count anew, and the hold begin anew: the failover begins later by as much.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mantissa_mr_core::controller::Ending;
use mantissa_mr_core::deployment::{Automatic, Deployment, GateTerms, Strategy};
use mantissa_mr_core::gate::RenewPolicy;
use mantissa_mr_core::ledger::{GroupCells, Ledger, Outcome};
use mantissa_mr_core::name::{GroupName, Region};
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{
    self, Cast, Fate, Fault, History, Person, ProcessId, RegionState, Settings, SimClock, Simulation, Spread,
    TrueTime, What, Wish, oracle,
};

/// The longest that a calm world takes for a question and its answer: twice the longest delay, and the work.
const ROUND_TRIP: Duration = Duration::from_millis(180);
/// From one moment at which an outage begins to the next that is tried in a steady phase.
const STEP: Duration = Duration::from_millis(100);
/// When the first outage of a steady phase begins, and when a move is asked for or its region is lost.
const STEADY: TrueTime = TrueTime::from_secs(30);
/// So long is looked on after all is over, for gates that shut late.
const AFTER: Duration = Duration::from_secs(15);

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

fn group() -> GroupName {
    GroupName::new("logs").unwrap()
}

/// The longest outage after which a read is sent, and answered, while the last good one is still good for this long.
fn longest(terms: GateTerms, good_for: Duration) -> Duration {
    let renew = RenewPolicy::default();
    let (renewal, attempt) = (terms.trust / renew.renewals, terms.trust / renew.attempts);
    let grid = (good_for - renewal - ROUND_TRIP).as_nanos() / attempt.as_nanos();
    attempt * u32::try_from(grid).unwrap()
}

/// The longest outage that no writer notices.
fn unnoticed(terms: GateTerms) -> Duration {
    longest(terms, terms.trust - terms.write_deadline)
}

/// The longest outage that shuts no gate.
fn unshut(terms: GateTerms) -> Duration {
    longest(terms, terms.trust)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Steady,
    Switchover,
    Failover,
}

struct Run {
    history: History,
    endings: Vec<Ending>,
}

fn run(story: Story, outage: Option<(TrueTime, Duration)>, end: TrueTime) -> Run {
    let mut spec = sim::spec(2, Strategy::ActivePassive).unwrap();
    spec.policy.automatic = Automatic::On;
    let deployment = Deployment::new(spec).unwrap();
    let mut settings = Settings::CALM;
    // So many that a gate that gives no permits for a fifth of a second is noticed.
    settings.traffic.every = Spread::millis(100, 300);
    let mut simulation = Simulation::new(&deployment, 7, settings).unwrap();
    simulation.init_ledgers();
    let cast = Cast::new(&simulation);
    simulation.spawn_all(&cast, SimClock::exact);
    if let Some((at, span)) = outage {
        simulation.schedule(at, Fault::Witness { up: false });
        simulation.schedule(at + span, Fault::Witness { up: true });
    }
    match story {
        Story::Steady => {}
        Story::Switchover => {
            simulation.run_until(STEADY);
            let (kind, to) = (Move::Switchover, Some(region("west")));
            let wish = Wish::Move { group: group(), kind, region: to, force: false };
            Person::new(SimClock::exact()).act(&mut simulation, &cast, &wish);
        }
        Story::Failover => {
            let lost = Fault::Region { region: region("east"), state: RegionState::Dark };
            simulation.schedule(STEADY, lost);
        }
    }
    run_to_the_end(&mut simulation, story, outage, end);
    let endings = cast.endings.borrow().values().cloned().collect();
    Run { history: simulation.into_history(), endings }
}

/// Until this time, or, of a move, for a while after it and the outage are over.
fn run_to_the_end(
    simulation: &mut Simulation,
    story: Story,
    outage: Option<(TrueTime, Duration)>,
    end: TrueTime,
) {
    let quiet = outage.map_or(TrueTime::START, |(at, span)| at + span);
    let cell = GroupCells::new(&simulation.history().deployment.spec().name, &group()).ledger();
    while story != Story::Steady && simulation.now() < end {
        let ledger = Ledger::decode(simulation.world().cell(&cell).unwrap()).unwrap();
        if ledger.ended.is_some() && simulation.now() > quiet {
            break;
        }
        simulation.run_until(simulation.now() + AFTER);
    }
    simulation.run_until(if story == Story::Steady { end } else { simulation.now() + AFTER });
}

/// The ledger, whenever it changed.
fn ledgers(history: &History) -> BTreeMap<TrueTime, Ledger> {
    let cell = GroupCells::new(&history.deployment.spec().name, &group()).ledger();
    let stored = history.events.iter().filter_map(|event| match &event.what {
        What::Stored { cell: stored, value, .. } if *stored == cell => {
            Some((event.at, Ledger::decode(value).unwrap()))
        }
        _ => None,
    });
    stored.collect()
}

/// What an outage did to those who write: gates that shut, and writes that were refused by a gate that had opened, while the
/// ledger called their region active.
#[derive(Debug, Default, PartialEq, Eq)]
struct Harm {
    shut: Vec<(TrueTime, ProcessId)>,
    refused: Vec<(TrueTime, ProcessId)>,
}

fn harm(history: &History) -> Harm {
    let ledgers = ledgers(history);
    let serves = |process: ProcessId, at: TrueTime| {
        let place = &history.process(process).unwrap().place;
        let ledger = ledgers.range(..=at).next_back().map(|(_, ledger)| ledger);
        ledger
            .is_some_and(|ledger| ledger.active().any(|active| *place == sim::Place::Region(active.clone())))
    };
    let mut harm = Harm::default();
    // When each gate first opened: until then nobody could know that its region serves.
    let mut opened: BTreeMap<ProcessId, TrueTime> = BTreeMap::new();
    for event in &history.events {
        match &event.what {
            What::Gate { process, open: Some(_) } => {
                opened.entry(*process).or_insert(event.at);
            }
            What::Gate { process, open: None } if serves(*process, event.at) => {
                harm.shut.push((event.at, *process));
            }
            _ => {}
        }
    }
    for write in history.book.writes.iter().filter(|write| write.fate == Fate::Refused) {
        let (Some(process), Some(at)) = (write.service, write.ended) else { continue };
        if opened.get(&process).is_some_and(|opened| *opened <= at) && serves(process, at) {
            harm.refused.push((at, process));
        }
    }
    harm
}

/// Every moment of a renewal, and a little more: an outage that begins at one of these is the worst that there is.
fn steady_moments(terms: GateTerms) -> Vec<TrueTime> {
    let all = terms.trust / RenewPolicy::default().renewals + ROUND_TRIP;
    let steps = u32::try_from(all.as_nanos() / STEP.as_nanos()).unwrap() + 1;
    (0..steps).map(|step| STEADY + STEP * step).collect()
}

/// What outages of this length do, whenever they begin in a steady phase.
fn steady(span: Duration) -> Vec<(TrueTime, Harm)> {
    let moments = steady_moments(GateTerms::default()).into_iter();
    let runs = moments.map(|at| {
        let history = run(Story::Steady, Some((at, span)), STEADY + Duration::from_secs(30)).history;
        assert_eq!(oracle::check(&history), [], "an outage of {span:?} at {at}");
        let moved = ledgers(&history).into_values().any(|ledger| ledger.generation.0 > 0);
        assert!(!moved, "an outage of {span:?} at {at} moved something");
        (at, harm(&history))
    });
    runs.collect()
}

#[test]
fn up_to_the_bound_nobody_notices_and_beyond_it_writes_are_refused() {
    let bound = unnoticed(GateTerms::default());
    assert_eq!(bound, Duration::from_millis(4_500));
    for span in [Duration::from_millis(500), bound / 2, bound - ROUND_TRIP] {
        for (at, harm) in steady(span) {
            assert_eq!(harm, Harm::default(), "an outage of {span:?} at {at}");
        }
    }
    let beyond = steady(bound + ROUND_TRIP + STEP);
    assert!(beyond.iter().any(|(_, harm)| !harm.refused.is_empty()), "the bound is too low");
    assert!(beyond.iter().all(|(_, harm)| harm.shut.is_empty()), "gates shut later than that");
}

#[test]
fn up_to_the_longer_bound_no_gate_shuts_and_beyond_it_some_do() {
    let bound = unshut(GateTerms::default());
    assert_eq!(bound, Duration::from_secs(9));
    for (at, harm) in steady(bound - ROUND_TRIP) {
        assert_eq!(harm.shut, [], "an outage at {at}");
    }
    let beyond = steady(bound + ROUND_TRIP + STEP);
    assert!(beyond.iter().any(|(_, harm)| !harm.shut.is_empty()), "the bound is too low");
}

/// The moments of a move at which the ledger or a journal changed, and every second between.
fn moments_of(calm: &History, begins: TrueTime, over: TrueTime) -> BTreeSet<TrueTime> {
    let cells = GroupCells::new(&calm.deployment.spec().name, &group());
    let (ledger, journal) = (cells.ledger(), cells.journal(0));
    let journal = journal.as_str().trim_end_matches('0').to_owned();
    let stored = calm.events.iter().filter(|event| match &event.what {
        What::Stored { cell, .. } => *cell == ledger || cell.as_str().starts_with(&journal),
        _ => false,
    });
    let around = stored.flat_map(|event| {
        let at = event.at.as_nanos();
        [TrueTime::from_nanos(at.saturating_sub(1)), TrueTime::from_nanos(at + 1)]
    });
    let seconds = over.since(begins).as_secs();
    let grid = (0..=seconds).map(|second| begins + Duration::from_secs(second));
    around.chain(grid).filter(|at| (begins..=over).contains(at)).collect()
}

/// Whether the one move was finished, without a pause, and only it was begun.
fn finished(history: &History, endings: &[Ending]) -> Result<(), String> {
    let ledgers = ledgers(history);
    if let Some(ledger) = ledgers
        .values()
        .find(|ledger| ledger.execution.as_ref().is_some_and(|running| running.paused.is_some()))
    {
        return Err(format!("it was paused: {:?}", ledger.execution));
    }
    let (_, last) = ledgers.last_key_value().ok_or("no ledger")?;
    let outcome = last.ended.as_ref().map(|ended| ended.outcome);
    let active: Vec<&Region> = last.active().collect();
    let good = last.generation.0 == 1
        && last.execution.is_none()
        && outcome == Some(Outcome::Finished)
        && active == [&region("west")];
    let failed = endings.iter().find(|ending| !matches!(ending, Ending::Ended { .. }));
    match (good, failed) {
        (true, None) => Ok(()),
        (_, failed) => Err(format!("{} begun, {outcome:?}, active {active:?}, {failed:?}", last.generation)),
    }
}

fn in_every_phase_of(story: Story) {
    let span = unnoticed(GateTerms::default()) - ROUND_TRIP;
    let calm = run(story, None, STEADY + Duration::from_secs(400));
    assert_eq!(finished(&calm.history, &calm.endings), Ok(()), "{story:?} without an outage");
    assert_eq!(harm(&calm.history), Harm::default(), "{story:?} without an outage");
    let over = ledgers(&calm.history).into_iter().find(|(_, ledger)| ledger.ended.is_some()).unwrap().0;
    let begins = TrueTime::from_nanos(STEADY.as_nanos() + 1);
    let moments = moments_of(&calm.history, begins, over + Duration::from_secs(5));
    assert!(moments.len() > 60, "{story:?}: {} moments", moments.len());
    // An outage while a loss is not confirmed yet has the vantages count anew, and the hold begin anew: a failover then
    // begins later. What is under way goes on when the witness is back.
    let detection = calm.history.deployment.spec().policy.detection;
    let hold = calm.history.deployment.spec().groups[0].tier.tier().hold;
    let end = over + span + hold + detection.interval * (detection.failures + 3);
    let mut wrong = Vec::new();
    for at in moments {
        let run = run(story, Some((at, span)), end);
        let (harm, violations) = (harm(&run.history), oracle::check(&run.history));
        let finished = finished(&run.history, &run.endings);
        if finished.is_err() || harm != Harm::default() || !violations.is_empty() {
            wrong.push(format!("an outage of {span:?} at {at}: {finished:?}, {harm:?}, {violations:?}"));
        }
    }
    assert!(wrong.is_empty(), "{story:?}:\n{}", wrong.join("\n"));
}

#[test]
fn no_phase_of_a_switchover_is_harmed() {
    in_every_phase_of(Story::Switchover);
}

#[test]
fn no_phase_of_a_failover_is_harmed() {
    in_every_phase_of(Story::Failover);
}
