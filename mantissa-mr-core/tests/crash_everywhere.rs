//! Rule 5: a crash anywhere is resumable. For every kind of plan, whoever carries it out is killed right before and right
//! after every slot of its journal and every change of the ledger, and never comes back; somebody else takes over, and
//! the world ends in the state that it ends in without a crash.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mantissa_mr_core::controller::Ending;
use mantissa_mr_core::deployment::{Automatic, Deployment, Strategy};
use mantissa_mr_core::ledger::{GroupCells, Ledger, OrderKind};
use mantissa_mr_core::name::{GroupName, Region};
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::report::Report;
use mantissa_mr_core::sim::{
    self, Cast, Fault, Person, ProcessId, RegionState, Settings, SimClock, Simulation, TrueTime, What, Wish,
    oracle,
};

/// The world's seed, when the move is asked for, and when everything must have come to rest.
const SEED: u64 = 7;
const ASKED: u64 = 400;
const END: u64 = 900;

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

fn group() -> GroupName {
    GroupName::new("logs").unwrap()
}

/// A kind of plan, and what must have happened before it.
#[derive(Clone, Copy, Debug)]
struct Case {
    kind: Move,
    strategy: Strategy,
    before: Option<(Move, &'static str)>,
    region: &'static str,
    dark: bool,
}

const PASSIVE: Strategy = Strategy::ActivePassive;
const ACTIVE: Strategy = Strategy::ActiveActive;
const CASES: [Case; 6] = [
    Case { kind: Move::Switchover, strategy: PASSIVE, before: None, region: "west", dark: false },
    Case { kind: Move::Failover, strategy: PASSIVE, before: None, region: "west", dark: true },
    Case {
        kind: Move::Failback,
        strategy: PASSIVE,
        before: Some((Move::Switchover, "west")),
        region: "east",
        dark: false,
    },
    Case { kind: Move::Evacuate, strategy: ACTIVE, before: None, region: "east", dark: false },
    Case { kind: Move::Evacuate, strategy: ACTIVE, before: None, region: "east", dark: true },
    Case {
        kind: Move::Rejoin,
        strategy: ACTIVE,
        before: Some((Move::Evacuate, "east")),
        region: "east",
        dark: false,
    },
];

/// What is left of a run that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EndState {
    generation: u64,
    under_way: Option<String>,
    active: Vec<Region>,
    writers: Vec<Region>,
    weights: BTreeMap<Region, u32>,
    requested: BTreeMap<Region, u64>,
}

/// A moment at which somebody who acts can be killed: right before it, or right after.
type Boundary = (TrueTime, ProcessId);

fn deployment(strategy: Strategy) -> Deployment {
    let mut spec = sim::spec(2, strategy).unwrap();
    // Only people begin moves here; what they began is finished by whoever is there.
    spec.policy.automatic = Automatic::Off;
    Deployment::new(spec).unwrap()
}

fn ledger(simulation: &Simulation, deployment: &Deployment) -> Ledger {
    let cell = GroupCells::new(&deployment.spec().name, &group()).ledger();
    Ledger::decode(simulation.world().cell(&cell).unwrap()).unwrap()
}

fn end_state(simulation: &Simulation, deployment: &Deployment) -> EndState {
    let ledger = ledger(simulation, deployment);
    let spec = &deployment.spec().groups[0];
    let world = simulation.world();
    let capacity = |region: &Region| {
        let capacity = world.capacity(simulation.now(), &spec.scalers[0].name, region);
        (region.clone(), capacity.unwrap().requested)
    };
    EndState {
        generation: ledger.generation.0,
        under_way: ledger.execution.as_ref().map(|running| format!("{} {:?}", running.id, running.paused)),
        active: ledger.active().cloned().collect(),
        writers: world.writers(&spec.stores[0].name),
        weights: world.weights(&spec.routers[0].name).unwrap().0.clone(),
        requested: deployment.regions().map(capacity).collect(),
    }
}

/// What a run leaves behind: the end, the boundaries of the move itself, and the reports of the moves that ended.
struct Run {
    end: EndState,
    boundaries: Vec<Boundary>,
    reports: Vec<Report>,
}

/// Runs a case, killing somebody at a moment if asked to.
fn run(case: Case, seed: u64, kill: Option<Boundary>) -> Run {
    let deployment = deployment(case.strategy);
    let mut simulation = Simulation::new(&deployment, seed, Settings::CALM).unwrap();
    simulation.init_ledgers();
    let cast = Cast::new(&simulation);
    simulation.spawn_all(&cast, SimClock::exact);
    let boundaries: Rc<RefCell<Vec<Boundary>>> = Rc::default();
    let senders: Rc<RefCell<BTreeMap<u64, ProcessId>>> = Rc::default();
    let (found, sent) = (boundaries.clone(), senders);
    let names = GroupCells::new(&deployment.spec().name, &group());
    let (ledger_cell, journal) = (names.ledger(), names.journal(0));
    let journal = journal.as_str().trim_end_matches('0').to_owned();
    simulation.observe(move |event, _| match &event.what {
        What::Sent { number, process, .. } => {
            sent.borrow_mut().insert(*number, *process);
        }
        What::Stored { cell, number, .. } if *cell == ledger_cell || cell.as_str().starts_with(&journal) => {
            if let Some(process) = sent.borrow().get(number) {
                found.borrow_mut().push((event.at, *process));
            }
        }
        _ => {}
    });
    let mut person = Person::new(SimClock::exact());
    simulation.run_until(TrueTime::from_secs(60));
    if let Some((kind, to)) = case.before {
        let wish = Wish::Move { group: group(), kind, region: Some(region(to)), force: false };
        person.act(&mut simulation, &cast, &wish);
    }
    simulation.run_until(TrueTime::from_secs(ASKED - 100));
    if case.dark {
        simulation.schedule(
            TrueTime::from_secs(ASKED - 100),
            Fault::Region { region: region("east"), state: RegionState::Dark },
        );
    }
    let acknowledge = Wish::Order { group: group(), what: OrderKind::Acknowledge };
    person.act(&mut simulation, &cast, &acknowledge);
    simulation.run_until(TrueTime::from_secs(ASKED));
    boundaries.borrow_mut().clear();
    let wish = Wish::Move { group: group(), kind: case.kind, region: Some(region(case.region)), force: true };
    person.act(&mut simulation, &cast, &wish);
    if let Some((at, process)) = kill {
        simulation.schedule(at, Fault::Crash { process, back_after: None });
    }
    simulation.run_until(TrueTime::from_secs(END));
    let end = end_state(&simulation, &deployment);
    assert_eq!(oracle::check(simulation.history()), [], "{case:?} {kill:?}");
    let boundaries = boundaries.borrow().clone();
    let report = |ending: &Ending| match ending {
        Ending::Ended { report, .. } => Some(report.clone()),
        _ => None,
    };
    let reports = cast.endings.borrow().values().filter_map(report).collect();
    Run { end, boundaries, reports }
}

fn crash_everywhere(case: Case) {
    let Run { end: calm, boundaries, .. } = run(case, SEED, None);
    assert_eq!(calm.under_way, None, "{case:?} ends without a crash");
    let before = case.before.map_or(0, |_| 1);
    assert_eq!(calm.generation, before + 1, "{case:?} was carried out: {calm:?}");
    // The last ledger change of the mover hands its lease back; from there on only watchers beat.
    let mover = boundaries.first().unwrap().1;
    let last = boundaries.iter().rposition(|(_, process)| *process == mover).unwrap();
    let boundaries: Vec<Boundary> =
        boundaries[..=last].iter().filter(|(_, by)| *by == mover).copied().collect();
    assert!(boundaries.len() > 15, "{case:?}: {}", boundaries.len());
    let (mut finished, mut not_begun) = (0, 0);
    for (at, process) in boundaries {
        let right_before = TrueTime::from_nanos(at.as_nanos() - 1);
        let right_after = TrueTime::from_nanos(at.as_nanos() + 1);
        for at in [right_before, right_after] {
            let end = run(case, SEED, Some((at, process))).end;
            if end.generation == before {
                // Killed before it began: nothing was begun, and nothing is left behind.
                not_begun += 1;
                assert_eq!(end.under_way, None, "{case:?}, killed at {at}");
            } else {
                finished += 1;
                assert_eq!(end, calm, "{case:?}, killed at {at}");
            }
        }
    }
    println!(
        "{:?} {}: {finished} crashes finished by others, {not_begun} before it began",
        case.kind, case.dark
    );
    assert!(finished > 10);
}

#[test]
fn switchover() {
    crash_everywhere(CASES[0]);
}

#[test]
fn failover() {
    crash_everywhere(CASES[1]);
}

#[test]
fn failback() {
    crash_everywhere(CASES[2]);
}

#[test]
fn evacuation_of_a_region_that_works() {
    crash_everywhere(CASES[3]);
}

#[test]
fn evacuation_of_a_region_that_is_gone() {
    crash_everywhere(CASES[4]);
}

#[test]
fn rejoin() {
    crash_everywhere(CASES[5]);
}

/// The prediction is worth something: in a calm world, by virtual time, a move takes at most a twentieth longer than the
/// critical path of its plan.
#[test]
fn a_move_takes_at_most_a_twentieth_longer_than_its_critical_path() {
    for case in CASES {
        for seed in 0..5 {
            let run = run(case, seed, None);
            assert!(!run.reports.is_empty(), "{case:?}");
            for report in run.reports {
                let ratio = report.measured.as_secs_f64() / report.predicted.as_secs_f64();
                assert!(ratio <= 1.05, "{case:?}, seed {seed}: {}", report.summary());
            }
        }
    }
}
