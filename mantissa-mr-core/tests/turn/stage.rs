//! A world in which somebody ordered a move and went away.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::controller::{Happening, Mandate};
use mantissa_mr_core::deployment::{Deployment, DeploymentSpec, Strategy};
use mantissa_mr_core::journal::{Event, Slot};
use mantissa_mr_core::ledger::{GroupCells, Ledger, Outcome};
use mantissa_mr_core::name::{GroupName, Region, ResourceName};
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{
    self, Cast, Fault, Person, RegionState, Settings, SimClock, Simulation, TrueTime, oracle,
};

pub(crate) const SEEDS: [u64; 3] = [1, 2, 3];

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

pub(crate) fn group() -> GroupName {
    GroupName::new("logs").unwrap()
}

pub(crate) fn store() -> ResourceName {
    ResourceName::new("logs-state").unwrap()
}

/// How far the move is when a region dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
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
pub(crate) struct Turn {
    pub(crate) simulation: Simulation,
    pub(crate) cast: Cast,
    pub(crate) person: Person,
    /// The ledger as it was last asked for, and its bytes.
    seen: RefCell<Option<(Vec<u8>, Ledger)>>,
}

impl Turn {
    pub(crate) fn new(seed: u64, strategy: Strategy, tweak: impl Fn(&mut DeploymentSpec)) -> Self {
        Self::with(seed, strategy, Settings::CALM, tweak, |simulation, cast| {
            simulation.spawn_all(cast, SimClock::exact);
        })
    }

    /// A world with these processes, a minute later.
    pub(crate) fn with(
        seed: u64,
        strategy: Strategy,
        settings: Settings,
        tweak: impl Fn(&mut DeploymentSpec),
        spawn: impl FnOnce(&mut Simulation, &Cast),
    ) -> Self {
        let mut spec = sim::spec(if strategy == Strategy::ActivePassive { 2 } else { 3 }, strategy).unwrap();
        tweak(&mut spec);
        let deployment = Deployment::new(spec).unwrap();
        let mut simulation = Simulation::new(&deployment, seed, settings).unwrap();
        simulation.init_ledgers();
        let cast = Cast::new(&simulation);
        spawn(&mut simulation, &cast);
        simulation.run_until(TrueTime::from_secs(60));
        Self { simulation, cast, person: Person::new(SimClock::exact()), seen: RefCell::default() }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let cell = GroupCells::new(&self.cast.deployment.spec().name, &group()).ledger();
        let bytes = self.simulation.world().cell(&cell).unwrap();
        let mut seen = self.seen.borrow_mut();
        if seen.as_ref().is_none_or(|(known, _)| known != bytes) {
            *seen = Some((bytes.to_vec(), Ledger::decode(bytes).unwrap()));
        }
        seen.as_ref().unwrap().1.clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let cells = GroupCells::new(&self.cast.deployment.spec().name, &group());
        let slot = |number| self.simulation.world().cell(&cells.journal(number)).map(<[u8]>::to_vec);
        let slots = (0..).map_while(slot).map(|bytes| serde_json::from_slice::<Slot>(&bytes).unwrap());
        slots.flat_map(|slot| slot.records).map(|record| record.event).collect()
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        let now = self.simulation.now();
        self.simulation.schedule(now, fault);
    }

    pub(crate) fn dies(&mut self, name: &str) {
        self.fault(Fault::Region { region: region(name), state: RegionState::Dark });
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        let until = self.simulation.now() + Duration::from_secs(seconds);
        self.simulation.run_until(until);
    }

    /// Runs until something is so; not for ever.
    pub(crate) fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let late = self.simulation.now() + Duration::from_secs(300);
        while !so(self) {
            assert!(self.simulation.now() < late, "{what}: {:?}", self.ledger());
            let next = self.simulation.now() + Duration::from_millis(10);
            self.simulation.run_until(next);
        }
    }

    /// Somebody orders a move, and is lost as soon as it has begun.
    pub(crate) fn order(&mut self, kind: Move, to: &str, drill: bool) {
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
    pub(crate) fn switchover(&mut self, stage: Stage) {
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
    pub(crate) fn rests(&mut self) {
        self.fault(Fault::Heal);
        self.pass(400);
        self.simulation.audit();
        assert_eq!(oracle::check(self.simulation.history()), []);
    }

    pub(crate) fn serves(&self, name: &str) {
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

    pub(crate) fn told(&self, text: &str) -> usize {
        let notices = self.simulation.world().notices().iter();
        notices.filter(|(_, notice)| notice.text.contains(text)).count()
    }

    /// People and the journal know that the first move was superseded.
    pub(crate) fn says_so(&self) {
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
