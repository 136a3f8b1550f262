//! A planned move turns unplanned midway, and says so: the region that it leaves dies, or the one that it moves to, at
//! every stage, with every policy. Whoever ordered the move is gone by then; the controllers are there.

use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::controller::{Happening, Mandate};
use mantissa_mr_core::deployment::{Automatic, Deployment, DeploymentSpec, Strategy};
use mantissa_mr_core::journal::{Event, Slot};
use mantissa_mr_core::ledger::{AdmissionState, GroupCells, Ledger, OrderKind, Outcome};
use mantissa_mr_core::name::{GroupName, Region, ResourceName};
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{
    self, Cast, Fault, Person, RegionState, Settings, SimClock, Simulation, TrueTime, Wish, oracle,
};

const SEEDS: [u64; 3] = [1, 2, 3];

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

fn group() -> GroupName {
    GroupName::new("logs").unwrap()
}

fn store() -> ResourceName {
    ResourceName::new("logs-state").unwrap()
}

/// How far the move is when a region dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The target's capacity is not there yet.
    Scaling,
    /// The gates are shut, and the source has not given all its data.
    Draining,
    /// The target is the stores' writer, and does not serve yet.
    Promoted,
    /// The target serves.
    Open,
}

/// A world in which somebody ordered a move and went away.
struct Turn {
    simulation: Simulation,
    cast: Cast,
    person: Person,
}

impl Turn {
    fn new(seed: u64, strategy: Strategy, tweak: impl Fn(&mut DeploymentSpec)) -> Self {
        let mut spec = sim::spec(if strategy == Strategy::ActivePassive { 2 } else { 3 }, strategy).unwrap();
        tweak(&mut spec);
        let deployment = Deployment::new(spec).unwrap();
        let mut simulation = Simulation::new(&deployment, seed, Settings::CALM).unwrap();
        simulation.init_ledgers();
        let cast = Cast::new(&simulation);
        simulation.spawn_all(&cast, SimClock::exact);
        simulation.run_until(TrueTime::from_secs(60));
        Self { simulation, cast, person: Person::new(SimClock::exact()) }
    }

    fn ledger(&self) -> Ledger {
        let cell = GroupCells::new(&self.cast.deployment.spec().name, &group()).ledger();
        Ledger::decode(self.simulation.world().cell(&cell).unwrap()).unwrap()
    }

    fn events(&self) -> Vec<Event> {
        let cells = GroupCells::new(&self.cast.deployment.spec().name, &group());
        let slot = |number| self.simulation.world().cell(&cells.journal(number)).map(<[u8]>::to_vec);
        let slots = (0..).map_while(slot).map(|bytes| serde_json::from_slice::<Slot>(&bytes).unwrap());
        slots.flat_map(|slot| slot.records).map(|record| record.event).collect()
    }

    fn fault(&mut self, fault: Fault) {
        let now = self.simulation.now();
        self.simulation.schedule(now, fault);
    }

    fn dies(&mut self, name: &str) {
        self.fault(Fault::Region { region: region(name), state: RegionState::Dark });
    }

    fn pass(&mut self, seconds: u64) {
        let until = self.simulation.now() + Duration::from_secs(seconds);
        self.simulation.run_until(until);
    }

    /// Runs until something is so; not for ever.
    fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let late = self.simulation.now() + Duration::from_secs(300);
        while !so(self) {
            assert!(self.simulation.now() < late, "{what}: {:?}", self.ledger());
            let next = self.simulation.now() + Duration::from_millis(10);
            self.simulation.run_until(next);
        }
    }

    /// Somebody orders a move, and is lost as soon as it has begun.
    fn order(&mut self, kind: Move, to: &str, drill: bool) {
        let (target, at) = (region(to), self.simulation.now());
        let plan = self.person.plan(&mut self.simulation, &self.cast, &group(), kind, Some(&target), false);
        let mut plan = plan.unwrap();
        plan.drill = drill;
        let mandate = Mandate::Carry(Arc::new(plan));
        let command = self.cast.command("move", &group(), mandate, SimClock::exact());
        let process = self.simulation.spawn(command);
        self.until("it begins", |turn| turn.ledger().execution.is_some());
        self.fault(Fault::Crash { process, back_after: None });
        assert!(at < self.simulation.now());
    }

    /// A switchover from east to west that has come so far.
    fn switchover(&mut self, stage: Stage) {
        let scaler = ResourceName::new("logs-workers").unwrap();
        let stock = |stock| Fault::Stock { scaler: scaler.clone(), region: region("west"), stock };
        let replication = |runs| Fault::Replication { store: store(), runs };
        self.fault(stock(40));
        self.order(Move::Switchover, "west", false);
        self.pass(30);
        self.fault(stock(u64::MAX));
        if stage == Stage::Scaling {
            return;
        }
        self.until("it is sealed", |turn| turn.ledger().active().next().is_none());
        if stage == Stage::Draining {
            self.fault(replication(false));
            self.pass(22);
            // What was written before the gates shut is not there yet.
            return self.fault(replication(true));
        }
        let writes = |turn: &Self| turn.simulation.world().writers(&store()) == [region("west")];
        self.until("it is promoted", writes);
        if stage == Stage::Open {
            self.until("it is open", |turn| turn.ledger().admitted(&region("west")).is_some());
        }
    }

    /// Heals the world, runs on, and holds it against every rule.
    fn rests(&mut self) {
        self.fault(Fault::Heal);
        self.pass(400);
        self.simulation.audit();
        assert_eq!(oracle::check(self.simulation.history()), []);
    }

    fn serves(&self, name: &str) {
        let ledger = self.ledger();
        assert_eq!(ledger.active().collect::<Vec<_>>(), [&region(name)], "{ledger:?}");
        let (_, last) = self.simulation.history().book.acknowledged().last().unwrap();
        let ago = self.simulation.now().since(last.ended.unwrap());
        assert!(
            last.region == region(name) && ago < Duration::from_secs(30),
            "{ago:?} ago in {}",
            last.region
        );
    }

    fn told(&self, text: &str) -> usize {
        let notices = self.simulation.world().notices().iter();
        notices.filter(|(_, notice)| notice.text.contains(text)).count()
    }

    /// People and the journal know that the first move was superseded.
    fn says_so(&self) {
        assert_eq!(self.told("turns unplanned"), 1);
        let board = self.cast.board.borrow();
        let superseded = |what: &Happening| matches!(what, Happening::Ended(Outcome::Superseded, _));
        assert_eq!(board.iter().filter(|(_, news)| superseded(&news.what)).count(), 1);
        let ended = self.events().into_iter().filter_map(|event| match event {
            Event::Ended { outcome: Outcome::Superseded, summary, .. } => Some(summary),
            _ => None,
        });
        let ended: Vec<String> = ended.collect();
        assert!(ended.len() == 1 && ended[0].contains("turns unplanned"), "{ended:?}");
        let instead = |what: &Happening| match what {
            Happening::Ended(Outcome::Finished, report) => report.superseded.is_some(),
            _ => false,
        };
        assert!(board.iter().any(|(_, news)| instead(&news.what)), "the report says so");
    }
}

fn policy(automatic: Automatic) -> impl Fn(&mut DeploymentSpec) {
    move |spec| spec.policy.automatic = automatic
}

/// By itself: a region dies at a stage; this one serves in the end, by so many executions.
fn by_itself(dies: &str, stage: Stage, serves: &str, executions: u64) {
    for seed in SEEDS {
        let mut turn = Turn::new(seed, Strategy::ActivePassive, |_| {});
        turn.switchover(stage);
        turn.dies(dies);
        turn.pass(400);
        let ledger = turn.ledger();
        assert_eq!((ledger.execution.as_ref(), ledger.generation.0), (None, executions), "seed {seed}");
        turn.serves(serves);
        if executions > 1 {
            turn.says_so();
        }
        turn.rests();
    }
}

#[test]
fn the_source_dies_before_the_seal() {
    by_itself("east", Stage::Scaling, "west", 2);
}

#[test]
fn the_source_dies_during_the_drain() {
    by_itself("east", Stage::Draining, "west", 2);
}

#[test]
fn the_source_dies_after_the_promote_and_is_not_needed_any_more() {
    by_itself("east", Stage::Promoted, "west", 1);
    by_itself("east", Stage::Open, "west", 1);
}

#[test]
fn the_target_dies_before_the_promote_and_the_gates_reopen() {
    for stage in [Stage::Scaling, Stage::Draining] {
        by_itself("west", stage, "east", 1);
    }
}

#[test]
fn the_target_dies_after_the_promote() {
    by_itself("west", Stage::Promoted, "east", 2);
    by_itself("west", Stage::Open, "east", 2);
}

#[test]
fn clients_follow_although_the_routing_was_to_be_changed_from_the_region_that_died() {
    for seed in SEEDS {
        let mut turn = Turn::new(seed, Strategy::ActivePassive, |spec| {
            sim::set(spec, "dns", "control-plane", "east");
        });
        turn.switchover(Stage::Open);
        turn.dies("east");
        turn.pass(400);
        assert_eq!(turn.ledger().execution, None);
        turn.serves("west");
        turn.says_so();
        let ended = turn.ledger().ended.unwrap();
        assert!(ended.unreconciled.is_empty(), "everything was drained: {ended:?}");
        turn.rests();
    }
}

#[test]
fn a_drill_turns_as_well() {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
    let stock = Fault::Stock {
        scaler: ResourceName::new("logs-workers").unwrap(),
        region: region("west"),
        stock: 40,
    };
    turn.fault(stock);
    turn.order(Move::Switchover, "west", true);
    turn.pass(30);
    turn.dies("east");
    turn.pass(200);
    turn.fault(Fault::Heal);
    turn.dies("east");
    turn.pass(200);
    turn.serves("west");
    turn.says_so();
    assert_eq!(turn.told("(a drill) turns unplanned"), 1);
}

#[test]
fn what_is_paused_or_stuck_turns_as_well() {
    for stuck in [false, true] {
        let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
        let stock = |stock| Fault::Stock {
            scaler: ResourceName::new("logs-workers").unwrap(),
            region: region("west"),
            stock,
        };
        turn.fault(stock(40));
        turn.order(Move::Switchover, "west", false);
        turn.pass(30);
        if stuck {
            turn.pass(250);
        } else {
            let wish = Wish::Order { group: group(), what: OrderKind::Pause };
            turn.person.act(&mut turn.simulation, &turn.cast, &wish);
            turn.pass(20);
        }
        assert!(turn.ledger().execution.unwrap().paused.is_some());
        turn.fault(stock(u64::MAX));
        turn.dies("east");
        turn.pass(400);
        turn.serves("west");
        turn.says_so();
        turn.rests();
    }
}

#[test]
fn a_person_approves_what_is_proposed_midway() {
    let cases = [("east", Stage::Scaling, "west"), ("east", Stage::Draining, "west")];
    let cases = cases.into_iter().chain([("west", Stage::Promoted, "east"), ("west", Stage::Open, "east")]);
    for (seed, (dies, stage, serves)) in (1..).zip(cases) {
        let mut turn = Turn::new(seed, Strategy::ActivePassive, policy(Automatic::Propose));
        turn.switchover(stage);
        turn.dies(dies);
        turn.pass(200);
        let ledger = turn.ledger();
        assert_eq!((ledger.generation.0, ledger.execution.is_some()), (1, true), "nobody said go");
        let proposal = ledger.proposal.unwrap();
        assert!(proposal.why.contains("turns unplanned"), "{}", proposal.why);
        let wish = Wish::Order { group: group(), what: OrderKind::Approve(proposal.plan) };
        turn.person.act(&mut turn.simulation, &turn.cast, &wish);
        turn.pass(300);
        assert_eq!(turn.ledger().execution, None);
        turn.serves(serves);
        turn.rests();
    }
}

#[test]
fn a_proposal_is_taken_back_when_the_region_is_there_again() {
    let mut turn = Turn::new(1, Strategy::ActivePassive, policy(Automatic::Propose));
    turn.switchover(Stage::Draining);
    turn.dies("east");
    turn.pass(200);
    assert!(turn.ledger().proposal.is_some());
    turn.fault(Fault::Region { region: region("east"), state: RegionState::Up });
    turn.pass(100);
    let ledger = turn.ledger();
    assert_eq!((ledger.proposal, ledger.generation.0), (None, 1));
    let wish = Wish::Order { group: group(), what: OrderKind::Resume };
    turn.person.act(&mut turn.simulation, &turn.cast, &wish);
    turn.pass(200);
    turn.serves("west");
    turn.rests();
}

#[test]
fn where_the_policy_leaves_it_to_people_they_are_told_and_nothing_else_is_done() {
    for (dies, stage) in [("east", Stage::Draining), ("west", Stage::Open)] {
        let mut turn = Turn::new(1, Strategy::ActivePassive, policy(Automatic::Off));
        turn.switchover(stage);
        turn.dies(dies);
        turn.pass(300);
        let ledger = turn.ledger();
        assert_eq!((ledger.generation.0, ledger.execution.is_some(), ledger.proposal), (1, true, None));
        assert_eq!(turn.told("turns unplanned"), 1);
        turn.rests();
    }
    for automatic in [Automatic::Off, Automatic::Propose] {
        let mut turn = Turn::new(1, Strategy::ActivePassive, policy(automatic));
        turn.switchover(Stage::Draining);
        turn.dies("west");
        turn.pass(200);
        let sealed = |state: &AdmissionState| matches!(state, AdmissionState::Sealed { .. });
        assert!(turn.ledger().admissions.values().any(|admission| sealed(&admission.state)));
        assert_eq!(turn.told("`abort` gives it up"), 1);
        let wish = Wish::Order { group: group(), what: OrderKind::Abort };
        turn.person.act(&mut turn.simulation, &turn.cast, &wish);
        turn.pass(200);
        turn.serves("east");
        turn.rests();
    }
}
