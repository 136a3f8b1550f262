//! Whoever refuses at once is not asked in a tight loop: a throttled or unreachable service gets time to recover.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use mantissa_mr_core::call::{Call, Input, Machine, Output, Reply, Request};
use mantissa_mr_core::cell::{Cell, CellVersion, Expected, StoreOutcome};
use mantissa_mr_core::clock::{Moment, Now};
use mantissa_mr_core::controller::{Controller, ControllerSettings, Mandate};
use mantissa_mr_core::deployment::{Deployment, Strategy};
use mantissa_mr_core::error::{Error, ErrorKind};
use mantissa_mr_core::ledger::{GroupCells, Ledger, Token};
use mantissa_mr_core::name::ActorId;
use mantissa_mr_core::sim::{self, TrueTime};

const MINUTE: u64 = 60_000_000_000;

/// Every call is answered at once: reads of the ledger by what it holds, all else as the test says.
struct World {
    deployment: Arc<Deployment>,
    ledger: Option<(u64, Vec<u8>)>,
    refuses: fn(&Call) -> bool,
    asked: Vec<Call>,
}

impl World {
    fn new(refuses: fn(&Call) -> bool) -> Self {
        let deployment = Arc::new(sim::deployment(2, Strategy::ActivePassive).unwrap());
        let group = &deployment.spec().groups[0].name;
        let first = Ledger::init(&deployment, group, Token("init".into())).encode();
        Self { deployment, ledger: Some((1, first)), refuses, asked: Vec::new() }
    }

    fn controller(&self) -> Controller {
        Controller::new(ControllerSettings {
            deployment: self.deployment.clone(),
            group: self.deployment.spec().groups[0].name.clone(),
            actor: ActorId::new("me").unwrap(),
            vantage: None,
            local_region: None,
            mandate: Mandate::Watch,
            catalog: Default::default(),
            seed: 1,
        })
        .unwrap()
    }

    fn answer(&mut self, call: Call) -> Option<Reply> {
        let ledger = {
            let spec = self.deployment.spec();
            GroupCells::new(&spec.name, &spec.groups[0].name).ledger()
        };
        let refused = || Error::new(ErrorKind::Throttled, "ask", "slow down");
        self.asked.push(call.clone());
        match call {
            Call::Load { .. } if (self.refuses)(&call) => Some(Reply::Load(Err(refused()))),
            Call::Store { .. } if (self.refuses)(&call) => Some(Reply::Store(Err(refused()))),
            Call::Load { cell } if cell == ledger => Some(Reply::Load(Ok(self
                .ledger
                .clone()
                .map(|(version, value)| Cell { version: CellVersion(version.to_string()), value })))),
            Call::Load { .. } => Some(Reply::Load(Ok(None))),
            Call::Store { cell, expected, value } if cell == ledger => {
                let (version, held) = self.ledger.get_or_insert((0, Vec::new()));
                if expected != Expected::Version(CellVersion(version.to_string())) {
                    return Some(Reply::Store(Ok(StoreOutcome::Lost)));
                }
                (*version, *held) = (*version + 1, value);
                let version = CellVersion(version.to_string());
                Some(Reply::Store(Ok(StoreOutcome::Applied { version })))
            }
            Call::Store { .. } => {
                let version = CellVersion("1".into());
                Some(Reply::Store(Ok(StoreOutcome::Applied { version })))
            }
            _ => None,
        }
    }

    /// A minute of a controller's life; what it asked. More than a few hundred calls are a loop.
    fn minute(mut self) -> Vec<Call> {
        let mut controller = self.controller();
        let (mut wakes, mut inputs) = (BTreeSet::new(), VecDeque::from([Input::Wake]));
        let mut at = 0;
        while at < MINUTE && self.asked.len() < 2_000 {
            let Some(input) = inputs.pop_front() else {
                let Some(next) = wakes.pop_first() else { break };
                at = next;
                inputs.push_back(Input::Wake);
                continue;
            };
            let now = Now { moment: Moment::from_nanos(at), wall: TrueTime::from_nanos(at).wall() };
            for output in controller.step(now, input) {
                match output {
                    Output::WakeAt(moment) => _ = wakes.insert(moment.as_nanos()),
                    Output::Call(Request { id, call, .. }) => {
                        inputs.extend(self.answer(call).map(|reply| Input::Reply { id, reply }));
                    }
                }
            }
        }
        self.asked
    }
}

fn of(cell: &str, calls: &[Call]) -> usize {
    let named = |call: &&Call| match call {
        Call::Load { cell: name } | Call::Store { cell: name, .. } => name.as_str().contains(cell),
        _ => false,
    };
    calls.iter().filter(named).count()
}

/// Sees that a cell is asked for now and then: neither never nor in a loop.
#[track_caller]
fn now_and_then(world: World, cell: &str) {
    let count = of(cell, &world.minute());
    let range = if cell == "ledger" { 10..200 } else { 3..400 };
    assert!(range.contains(&count), "{count} calls in a minute");
}

fn stores(call: &Call, cell: &str) -> bool {
    matches!(call, Call::Store { cell: name, .. } if name.as_str().contains(cell))
}

#[test]
fn a_ledger_that_answers_is_asked_now_and_then() {
    now_and_then(World::new(|_| false), "ledger");
}

#[test]
fn a_ledger_that_refuses_to_be_read_is_left_alone_for_a_while() {
    now_and_then(World::new(|call| matches!(call, Call::Load { .. })), "ledger");
}

#[test]
fn a_ledger_that_refuses_to_be_changed_is_left_alone_for_a_while() {
    now_and_then(World::new(|call| stores(call, "ledger")), "ledger");
}

#[test]
fn a_journal_that_refuses_is_left_alone_for_a_while() {
    now_and_then(World::new(|call| stores(call, "journal")), "journal");
}

#[test]
fn a_ledger_that_is_not_there_or_is_none_is_looked_for_now_and_then() {
    for held in [None, Some((1, b"no ledger".to_vec()))] {
        let mut world = World::new(|_| false);
        world.ledger = held;
        now_and_then(world, "ledger");
    }
}
