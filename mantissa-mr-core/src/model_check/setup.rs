//! The one deployment of the model, its plan and its ledger, and how small numbers stand for times and values.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::seeded::Seeded;
use super::table::Interner;
use crate::cell::{Cell, CellVersion};
use crate::clock::{Moment, Now, RateMargin};
use crate::deployment::{Deployment, GateTerms, Policy, Strategy};
use crate::fixture::{Fixture, region, resource};
use crate::guard::Initiator;
use crate::journal::JournalHead;
use crate::ledger::{Generation, GroupCells, Lease, Ledger, Running, Token};
use crate::name::{ActorId, ExecutionId, Region};
use crate::plan::{self, Move, MoveRequest, Plan};

/// What the clocks count in. Far longer than the pauses that the code makes between two questions, so that each of
/// those ends by the next tick.
pub(super) const UNIT: Duration = Duration::from_secs(10);
/// By how much a clock goes on in a tick, in units; one that is slow, by half of it.
pub(super) const TICK: u8 = 2;
pub(super) const SLOW: u8 = 1;

/// No more regions than this.
pub(super) const MOST: usize = 3;
/// The region that serves at first, and the one that the move is to, from which it is led at first.
pub(super) const FROM: usize = 0;
pub(super) const TO: usize = 1;

/// How much can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    pub(super) regions: usize,
    pub(super) ticks: u8,
    pub(super) faults: Faults,
    pub(super) terms: Terms,
}

/// What can still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    /// Controllers that take the lease over, be its holder lost or only slow.
    pub(super) take_overs: u8,
    /// Controllers that are lost for good.
    pub(super) crashes: u8,
    /// Ticks in which one region's clocks are slow.
    pub(super) slips: u8,
    /// Stores to a cell that are given up without an answer.
    pub(super) silences: u8,
    /// Orders to give the move up.
    pub(super) aborts: u8,
}

/// The times that gates and moves keep to. A clock that is slow in as many ticks as the bounds allow keeps the margin over
/// every span that something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Terms {
    /// What the rates of clocks can add to the trust is more than the write deadline: at most two slow ticks.
    Drift,
    /// It is less, and a write can take until the next tick: at most one slow tick.
    Deadline,
}

impl Terms {
    fn gate(self) -> GateTerms {
        let (trust, write_deadline, ppm) = match self {
            // A seal is waited out in (3 + 1) * 3/2 units: three ticks.
            Self::Drift => (3, 1, 500_000),
            // In (3 + 2) * 4/3 units: four ticks.
            Self::Deadline => (3, 2, 333_333),
        };
        let (trust, write_deadline) = (UNIT * trust, UNIT * write_deadline);
        GateTerms { trust, write_deadline, rate_margin: RateMargin { ppm } }
    }

    /// Half of it more is journaled, and whoever takes over waits for that in three ticks.
    fn call_deadline(self) -> Duration {
        match self {
            Self::Drift => UNIT * 2,
            Self::Deadline => UNIT * 3,
        }
    }
}

/// A ledger, and its bytes.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) ledger: Ledger,
    bytes: Vec<u8>,
}

/// What does not change.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) bounds: Bounds,
    pub(super) seeded: Option<Seeded>,
    pub(super) policy: Policy,
    pub(super) deployment: Deployment,
    pub(super) cells: GroupCells,
    pub(super) genesis: JournalHead,
    pub(super) regions: Vec<Region>,
    pub(super) plan: Arc<Plan>,
    pub(super) running: Running,
    /// Every value that the ledger ever had, or was to have.
    pub(super) ledgers: Interner<Written>,
}

impl Setup {
    pub(super) fn new(bounds: Bounds, seeded: Option<Seeded>) -> Self {
        assert!((2..=MOST).contains(&bounds.regions), "two regions or three");
        let mut fixture = Fixture::new(Strategy::ActivePassive);
        fixture.spec.regions.truncate(bounds.regions);
        let policy = &mut fixture.spec.policy;
        policy.gate = bounds.terms.gate();
        // A lease of one tick, half of it more for who is in the region that serves.
        (policy.timing.lease, policy.timing.beat) = (UNIT, UNIT / 4);
        policy.timing.call_deadline = bounds.terms.call_deadline();
        let policy = policy.clone();
        let group = &mut fixture.spec.groups[0];
        (group.routers, group.scalers, group.checks) = (Vec::new(), Vec::new(), Vec::new());
        // Without it, nothing has to be let in again: one call less that changes the store.
        fixture.catalog.stores.get_mut(&resource("state")).unwrap().can_fence = false;
        let regions: Vec<Region> = fixture.spec.regions.iter().map(|spec| spec.name.clone()).collect();
        let plan = plan(&fixture, &regions);
        let deployment = fixture.deployment();
        let cells = GroupCells::new(&deployment.spec().name, &plan.group);
        let genesis = JournalHead::genesis(&deployment.spec().name, &plan.group);
        let running = Running {
            id: ExecutionId::new("switchover-1").unwrap(),
            plan: plan.hash(),
            kind: plan.kind,
            region: plan.to.clone(),
            journal_from: genesis.clone(),
            began: wall(),
            paused: None,
        };
        let ledgers = Interner::default();
        Self {
            bounds,
            seeded,
            policy,
            deployment,
            cells,
            genesis,
            regions,
            plan: Arc::new(plan),
            running,
            ledgers,
        }
    }

    pub(super) fn has(&self, seeded: Seeded) -> bool {
        self.seeded == Some(seeded)
    }

    /// The controller of a region.
    pub(super) fn actor(&self, region: usize) -> ActorId {
        ActorId::new(&format!("controller-{}", self.regions[region])).unwrap()
    }

    /// The ledger with the move just begun by the controller of the region that it is to.
    pub(super) fn begun(&self) -> Ledger {
        let first = Ledger::init(&self.deployment, &self.plan.group, Token("init".into()));
        let held = first.acquire(&self.actor(TO));
        held.begin(held.lease.term, held.basis(), self.running.clone()).unwrap()
    }

    /// The number of what a gate sees of a ledger.
    pub(super) fn seen_by_gates(&self, number: u32) -> u32 {
        let ledger = self.ledgers.get(number).ledger.clone();
        let (lease, generation, execution) = (Lease::default(), Generation(0), None);
        let journal = self.genesis.clone();
        let writer = Token("a gate does not look".into());
        self.number(Ledger { lease, generation, execution, ended: None, journal, writer, ..ledger })
    }

    /// The number of a ledger.
    pub(super) fn number(&self, ledger: Ledger) -> u32 {
        let bytes = ledger.encode();
        // It is JSON.
        let key = String::from_utf8(bytes.clone()).unwrap();
        self.ledgers.number(key, Written { ledger, bytes })
    }

    /// The cell of the ledger, with a value of this number, after so many changes.
    pub(super) fn cell(&self, number: u32, version: u8) -> Cell {
        Cell { value: self.ledgers.get(number).bytes.clone(), version: version_of(version) }
    }

    /// The clocks of a region. Those of two regions never agree, and the wall clock keeps step with the own one.
    pub(super) fn now(&self, region: usize, clock: u8) -> Now {
        let offset = 1_000 + 7 * u32::try_from(region).unwrap();
        let since = UNIT * u32::from(clock);
        let moment = Moment::START + UNIT * offset + since;
        Now { moment, wall: wall() + SignedDuration::try_from(since).unwrap() }
    }
}

/// What controllers' wall clocks say, always: nothing that the model looks at rests on it.
pub(super) fn wall() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A cell's state after so many changes.
pub(super) fn version_of(changes: u8) -> CellVersion {
    CellVersion(changes.to_string())
}

/// The library's own plan of a switchover of one store. Nothing in it is ever overdue.
fn plan(fixture: &Fixture, regions: &[Region]) -> Plan {
    let request = MoveRequest {
        kind: Move::Switchover,
        from: Some(regions[FROM].clone()),
        to: Some(region("b")),
        drill: false,
        waivers: Vec::new(),
        why: "the model".into(),
    };
    let mut plan = fixture.ask(Initiator::Person, |situation| plan::build(situation, &request)).unwrap();
    plan.steps.iter_mut().for_each(|step| step.deadline = UNIT * 1_000);
    plan
}
