//! The library's own gates and controllers in the simulated world.

use std::sync::Arc;

use mantissa_mr_core::call::{Call, Input, Machine, Output, Reply, Request};
use mantissa_mr_core::cell::{Cell, CellVersion, StoreOutcome};
use mantissa_mr_core::clock::{Moment, Now};
use mantissa_mr_core::controller::{Controller, ControllerSettings, Happening, Mandate, News};
use mantissa_mr_core::deployment::{Automatic, Deployment, DeploymentSpec, Strategy};
use mantissa_mr_core::ledger::{GroupCells, Ledger, Token};
use mantissa_mr_core::name::{ActorId, Region, ResourceName};
use mantissa_mr_core::notify::Severity;
use mantissa_mr_core::sim::{
    self, Cast, Fault, ProcessId, RegionState, Settings, SimClock, Simulation, TrueTime, oracle,
};
use mantissa_mr_core::state::State;

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

#[test]
fn a_region_that_dies_is_left_and_nothing_breaks_a_rule() {
    let deployment = sim::deployment(2, Strategy::ActivePassive).unwrap();
    let mut simulation = Simulation::new(&deployment, 1, Settings::CALM).unwrap();
    simulation.init_ledgers();
    let cast = Cast::new(&simulation);
    simulation.spawn_all(&cast, SimClock::exact);
    simulation.schedule(
        TrueTime::from_secs(60),
        Fault::Region { region: region("east"), state: RegionState::Dark },
    );
    simulation.schedule(TrueTime::from_secs(600), Fault::Heal);
    simulation.run_until(TrueTime::from_secs(1200));
    simulation.audit();
    for (actor, news) in cast.board.borrow().iter() {
        println!("{} {actor} {:.300}", news.moment, format!("{:?}", news.what));
    }
    println!("{:?} steps {}", simulation.history().book.count(), simulation.steps());
    assert_eq!(oracle::check(simulation.history()), []);
    let last = simulation.history().book.acknowledged().last().unwrap().1;
    assert_eq!(last.region, region("west"));
}

/// Two regions in which these things go wrong, in seconds since the begin.
fn run(tweak: impl Fn(&mut DeploymentSpec), faults: &[(u64, Fault)], ends: u64) -> (Simulation, Cast) {
    let mut spec = sim::spec(2, Strategy::ActivePassive).unwrap();
    tweak(&mut spec);
    let deployment = Deployment::new(spec).unwrap();
    let mut simulation = Simulation::new(&deployment, 1, Settings::CALM).unwrap();
    simulation.init_ledgers();
    let cast = Cast::new(&simulation);
    simulation.spawn_all(&cast, SimClock::exact);
    for (at, fault) in faults {
        simulation.schedule(TrueTime::from_secs(*at), fault.clone());
    }
    simulation.run_until(TrueTime::from_secs(ends));
    (simulation, cast)
}

fn ledger(simulation: &Simulation) -> Ledger {
    let deployment = &simulation.history().deployment;
    let group = &deployment.spec().groups[0].name;
    let cell = GroupCells::new(&deployment.spec().name, group).ledger();
    Ledger::decode(simulation.world().cell(&cell).unwrap()).unwrap()
}

fn east(state: RegionState) -> Fault {
    Fault::Region { region: region("east"), state }
}

fn quota(quota: u64) -> Fault {
    Fault::Quota { scaler: ResourceName::new("logs-workers").unwrap(), region: region("west"), quota }
}

fn told(simulation: &Simulation, text: &str) -> usize {
    let loud = simulation.world().notices().iter().filter(|(_, it)| it.severity == Severity::Critical);
    loud.filter(|(_, notice)| notice.text.contains(text)).count()
}

#[test]
fn a_region_that_is_back_is_not_left_because_its_replica_has_caught_up() {
    // The loss guard refused while it was away. It passes at once when replication goes on; the probes say a little
    // later that nothing is wrong any more.
    let store = ResourceName::new("logs-state").unwrap();
    let replication = |runs| Fault::Replication { store: store.clone(), runs };
    let faults = [
        (60, replication(false)),
        (300, east(RegionState::Dark)),
        (600, east(RegionState::Up)),
        (600, replication(true)),
    ];
    let (simulation, _) = run(|_| {}, &faults, 900);
    assert_eq!(told(&simulation, "refused by: loss"), 1);
    assert_eq!(ledger(&simulation).generation.0, 0, "nothing was begun");
}

#[test]
fn what_a_guard_refused_is_done_soon_after_it_passes() {
    let faults = [(10, quota(40)), (60, east(RegionState::Dark)), (360, quota(200))];
    let (simulation, _) = run(|_| {}, &faults, 420);
    assert_eq!(told(&simulation, "refused by: capacity"), 1);
    assert_eq!(ledger(&simulation).generation.0, 1, "begun within a minute");
}

/// The controllers at west and beside the witness sleep, so that the one in the region that serves takes the lease.
fn led_from_east(ends: u64) -> Vec<(u64, Fault)> {
    // After the two services, the controllers come in the order of their vantages: east, west, witness.
    let others = [ProcessId(3), ProcessId(4)];
    let sleep = others.into_iter().map(|process| (0, Fault::Suspend { process }));
    let wake = others.into_iter().map(move |process| (ends, Fault::Resume { process }));
    sleep.chain(wake).collect()
}

#[test]
fn a_region_that_dies_with_the_leader_is_left_all_the_same() {
    let mut faults = led_from_east(30);
    faults.push((120, east(RegionState::Dark)));
    let (before, _) = run(|_| {}, &faults, 119);
    let holder = ledger(&before).lease.holder.unwrap();
    assert!(holder.as_str().contains("east"), "{holder}");
    // The successor had looked before, and knows what the replica held.
    let (after, _) = run(|_| {}, &faults, 420);
    assert_eq!(told(&after, "refused by"), 0);
    assert_eq!(ledger(&after).admitted(&region("west")).map(|epoch| epoch.0), Some(2));
}

#[test]
fn the_lease_is_taken_from_outside_the_region_that_serves_where_somebody_is_there() {
    let (simulation, _) = run(|_| {}, &[], 60);
    let holder = ledger(&simulation).lease.holder.unwrap();
    assert!(!holder.as_str().contains("east"), "{holder}");
}

#[test]
fn who_took_the_lease_does_not_lose_it_to_an_older_answer() {
    // A question that was open when the lease was taken is answered after that, with what was there before.
    let deployment = Arc::new(sim::deployment(2, Strategy::ActivePassive).unwrap());
    let group = deployment.spec().groups[0].name.clone();
    let mut controller = Controller::new(ControllerSettings {
        deployment: deployment.clone(),
        group: group.clone(),
        actor: ActorId::new("me").unwrap(),
        vantage: None,
        local_region: None,
        mandate: Mandate::Watch,
        catalog: Default::default(),
        seed: 1,
    })
    .unwrap();
    let free = Ledger::init(&deployment, &group, Token("init".into()));
    let version = CellVersion("1".into());
    let loaded = || Reply::Load(Ok(Some(Cell { version: version.clone(), value: free.encode() })));
    let mut step = |seconds: u64, input: Input| {
        let moment = Moment::from_nanos(seconds * 1_000_000_000);
        controller.step(Now { moment, wall: TrueTime::from_secs(seconds).wall() }, input)
    };
    let of_ledger = |outputs: &[Output], stores: bool| {
        outputs.iter().find_map(|output| match output {
            Output::Call(Request { id, call: Call::Load { cell }, .. }) if !stores => {
                cell.as_str().ends_with("/ledger").then_some(*id)
            }
            Output::Call(Request { id, call: Call::Store { cell, .. }, .. }) if stores => {
                cell.as_str().ends_with("/ledger").then_some(*id)
            }
            _ => None,
        })
    };
    let first = of_ledger(&step(0, Input::Wake), false).unwrap();
    step(0, Input::Reply { id: first, reply: loaded() });
    // The next question is due, and the lease is free for long enough: both go out.
    let outputs = step(3, Input::Wake);
    let (question, swap) = (of_ledger(&outputs, false).unwrap(), of_ledger(&outputs, true).unwrap());
    let applied = StoreOutcome::Applied { version: CellVersion("2".into()) };
    step(3, Input::Reply { id: swap, reply: Reply::Store(Ok(applied)) });
    step(3, Input::Reply { id: question, reply: loaded() });
    let news = controller.take_news();
    assert!(news.iter().any(|news| matches!(news.what, Happening::TookLease(_))), "{news:?}");
    assert!(!news.iter().any(|news| matches!(news.what, Happening::LostLease(_))), "{news:?}");
}

#[test]
fn a_proposal_is_withdrawn_when_a_guard_refuses_and_made_again_when_it_passes() {
    let propose = |spec: &mut DeploymentSpec| spec.policy.automatic = Automatic::Propose;
    let faults = [(60, east(RegionState::Dark)), (240, quota(40))];
    let (before, _) = run(propose, &faults, 230);
    assert!(ledger(&before).proposal.is_some());
    let (refused, _) = run(propose, &faults, 300);
    assert_eq!(ledger(&refused).proposal, None);
    let faults = [(60, east(RegionState::Dark)), (240, quota(40)), (300, quota(200))];
    let (again, _) = run(propose, &faults, 360);
    assert!(ledger(&again).proposal.is_some());
}

#[test]
fn a_proposal_that_stands_changes_no_state() {
    let propose = |spec: &mut DeploymentSpec| spec.policy.automatic = Automatic::Propose;
    let (_, cast) = run(propose, &[(60, east(RegionState::Dark))], 300);
    let board = cast.board.borrow();
    let proposed = |news: &News| matches!(&news.what, Happening::State { to: State::Proposed, .. });
    assert_eq!(board.iter().filter(|(_, news)| proposed(news)).count(), 1);
}

#[test]
fn people_are_told_once_that_the_ledger_answers_nobody() {
    let witness = |up| Fault::Witness { up };
    let faults = [(60, witness(false)), (300, witness(true))];
    let (simulation, cast) = run(|_| {}, &faults, 400);
    // Each of the three controllers says that it gets none, and later that it does again.
    assert_eq!(told(&simulation, "gets no answer from the ledger"), 3);
    let again = |news: &News| matches!(&news.what, Happening::Trouble(text) if text.contains("again"));
    assert_eq!(cast.board.borrow().iter().filter(|(_, news)| again(news)).count(), 3);
    // A short silence is no news.
    let (simulation, _) = run(|_| {}, &[(60, witness(false)), (68, witness(true))], 200);
    assert_eq!(told(&simulation, "no answer"), 0);
    assert!(ledger(&simulation).execution.is_none());
}

#[test]
fn people_are_told_once_that_a_region_is_lost_where_nothing_moves_by_itself() {
    let off = |spec: &mut DeploymentSpec| spec.policy.automatic = Automatic::Off;
    let (simulation, cast) = run(off, &[(60, east(RegionState::Dark)), (400, east(RegionState::Up))], 600);
    assert_eq!(told(&simulation, "east is lost"), 1);
    assert_eq!(told(&simulation, "a person's failover leaves it"), 1);
    assert_eq!(ledger(&simulation).generation.0, 0, "nothing was begun");
    let board = cast.board.borrow();
    let states = board.iter().filter_map(|(_, news)| match &news.what {
        Happening::State { to, .. } => Some(*to),
        _ => None,
    });
    let states: Vec<State> = states.collect();
    assert_eq!(states, [State::Suspected, State::Confirmed, State::Refused, State::Steady]);
}
