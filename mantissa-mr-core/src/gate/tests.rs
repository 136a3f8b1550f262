//! What the tests of the gate share.

use std::time::Duration;

use jiff::Timestamp;

use crate::call::{Call, CallId, Input, Machine, Output, Reply};
use crate::cell::{Cell, CellVersion};
use crate::clock::{Moment, Now, RateMargin};
use crate::deployment::{
    Deployment, DeploymentSpec, GateTerms, GroupSpec, Policy, Provider, RegionSpec, Strategy, TierChoice,
    WitnessSpec, Writers,
};
use crate::gate::{GateMachine, RenewPolicy};
use crate::journal::JournalHead;
use crate::ledger::{GroupCells, Ledger, Running, Token};
use crate::name::{ActorId, DeploymentName, ExecutionId, GroupName, Region};
use crate::plan::Move;

mod agree;
mod memory;
mod property;
mod rule;
mod runner;

/// Bugs that the tests must catch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seeded {
    /// Trust counts from the answer.
    pub(super) trust_from_answer: bool,
    /// Answers are used whatever order they come in.
    pub(super) any_order: bool,
}

pub(super) const EAST: &str = "east";
pub(super) const WEST: &str = "west";

pub(super) const TERMS: GateTerms = GateTerms {
    trust: Duration::from_secs(15),
    write_deadline: Duration::from_secs(5),
    rate_margin: RateMargin::DEFAULT,
};

pub(super) fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

pub(super) fn group() -> GroupName {
    GroupName::new("alerts").unwrap()
}

pub(super) fn cells() -> GroupCells {
    GroupCells::new(&DeploymentName::new("prod").unwrap(), &group())
}

/// Both clocks, in step, this many milliseconds after some instant.
pub(super) fn at(millis: u64) -> Now {
    now(millis, millis)
}

/// Both clocks, each this many milliseconds after some instant.
pub(super) fn now(boot: u64, wall: u64) -> Now {
    let wall = 1_800_000_000_000 + i64::try_from(wall).unwrap();
    Now {
        moment: Moment::START + Duration::from_millis(boot),
        wall: Timestamp::from_millisecond(wall).unwrap(),
    }
}

pub(super) fn deployment(strategy: Strategy, gate: GateTerms) -> Deployment {
    let spec = |name: &str| RegionSpec { name: region(name), provider: Provider::Simulated };
    Deployment::new(DeploymentSpec {
        name: DeploymentName::new("prod").unwrap(),
        strategy,
        preferred: region(EAST),
        regions: vec![spec(EAST), spec(WEST)],
        witness: WitnessSpec { kind: "memory".into(), region: None, settings: Default::default() },
        vantages: Vec::new(),
        policy: Policy { gate, ..Policy::default() },
        groups: vec![GroupSpec {
            name: group(),
            tier: TierChoice::Important,
            writers: Writers::Gated,
            stores: Vec::new(),
            routers: Vec::new(),
            scalers: Vec::new(),
            checks: Vec::new(),
        }],
    })
    .unwrap()
}

/// A new group's ledger, with its lease taken: east serves.
pub(super) fn ledger_with(strategy: Strategy, gate: GateTerms) -> Ledger {
    let actor = ActorId::new("mover").unwrap();
    Ledger::init(&deployment(strategy, gate), &group(), Token("t".into())).acquire(&actor)
}

pub(super) fn ledger() -> Ledger {
    ledger_with(Strategy::ActivePassive, TERMS)
}

pub(super) fn execution(number: u64) -> ExecutionId {
    ExecutionId::new(&format!("move-{number}")).unwrap()
}

/// The ledger with this execution begun.
pub(super) fn begun(ledger: &Ledger, number: u64, to: &str) -> Ledger {
    let running = Running {
        id: execution(number),
        plan: serde_json::from_value(serde_json::json!("0".repeat(64))).unwrap(),
        kind: Move::Switchover,
        region: region(to),
        journal_from: JournalHead::genesis(&DeploymentName::new("test").unwrap(), &group()),
        began: at(0).wall,
        paused: None,
    };
    ledger.begin(ledger.lease.term, ledger.basis(), running).unwrap()
}

/// The ledger with this region sealed by a new execution.
pub(super) fn sealed(ledger: &Ledger, number: u64, leave: &str) -> Ledger {
    let ledger = begun(ledger, number, leave);
    ledger.seal(ledger.lease.term, &execution(number), &[region(leave)]).unwrap()
}

pub(super) fn cell(ledger: &Ledger) -> Cell {
    Cell { value: ledger.encode(), version: CellVersion("1".into()) }
}

pub(super) fn gate() -> GateMachine {
    GateMachine::new(cells(), region(EAST), RenewPolicy::default())
}

/// What a step asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) reads: Vec<(CallId, Duration)>,
    pub(super) wakes: Vec<Moment>,
}

impl Asked {
    /// The one read that was asked for.
    #[track_caller]
    pub(super) fn read(&self) -> CallId {
        assert_eq!(self.reads.len(), 1, "{self:?}");
        self.reads[0].0
    }
}

pub(super) fn step(gate: &mut GateMachine, now: Now, input: Input) -> Asked {
    let mut asked = Asked::default();
    for output in gate.step(now, input) {
        match output {
            Output::Call(request) => {
                assert_eq!(request.call, Call::Load { cell: cells().ledger() });
                asked.reads.push((request.id, request.deadline));
            }
            Output::WakeAt(moment) => asked.wakes.push(moment),
        }
    }
    asked
}

pub(super) fn wake(gate: &mut GateMachine, now: Now) -> Asked {
    step(gate, now, Input::Wake)
}

pub(super) fn answer(gate: &mut GateMachine, now: Now, id: CallId, ledger: &Ledger) -> Asked {
    reply(gate, now, id, Reply::Load(Ok(Some(cell(ledger)))))
}

pub(super) fn reply(gate: &mut GateMachine, now: Now, id: CallId, reply: Reply) -> Asked {
    step(gate, now, Input::Reply { id, reply })
}

/// A gate that was opened by a read sent at 0 and answered after 100 ms.
pub(super) fn open() -> GateMachine {
    open_by(gate(), &ledger())
}

pub(super) fn open_by(mut gate: GateMachine, ledger: &Ledger) -> GateMachine {
    let read = wake(&mut gate, at(0)).read();
    answer(&mut gate, at(100), read, ledger);
    gate
}
