//! The library's [`Execution`], which is neither copied nor compared: it is built anew from what it was told.

use jiff::Timestamp;

use super::actor::{Desk, Effect};
use super::seeded::Seeded;
use super::setup::Setup;
use crate::call::{Call, Reply};
use crate::clock::{Moment, Now, RateMargin};
use crate::controller::move_epoch;
use crate::deployment::Share;
use crate::execute::{Execution, Terms, Want};
use crate::journal::{Event, Record, of_execution};
use crate::ledger::{Ledger, LedgerRefusal};
use crate::name::StepId;
use crate::notify::HookAnswer;
use crate::store::{Drained, Lag, ReplicaStatus, Role, StoreStatus};

/// Something that an execution is told.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Advance,
    /// With the moment at which the append was sent.
    Journaled(StepId, Moment),
    Swapped(StepId, Result<(), LedgerRefusal>),
    Replied(StepId, Reply),
    Abort,
}

/// How it came to be.
#[derive(Clone, Debug)]
enum Begin {
    New(Ledger),
    Resumed(Ledger, Vec<Record>, Moment),
}

/// An execution, as all that it was told.
#[derive(Clone, Debug)]
pub(super) struct Carry {
    begin: Begin,
    told: Vec<(Moment, Told)>,
}

impl Carry {
    pub(super) fn begun(_setup: &Setup, ledger: &Ledger) -> Self {
        Self { begin: Begin::New(ledger.clone()), told: Vec::new() }
    }

    /// What somebody else began, by the journal.
    pub(super) fn resumed(setup: &Setup, ledger: &Ledger, records: &[Record], now: Moment) -> Self {
        let mut records = of_execution(records, &setup.running.id).to_vec();
        if setup.has(Seeded::DoesNotWaitOut) {
            for record in &mut records {
                if let Event::Intended { deadline, .. } = &mut record.event {
                    *deadline = std::time::Duration::ZERO;
                }
            }
        }
        Self { begin: Begin::Resumed(ledger.clone(), records, now), told: Vec::new() }
    }

    fn execution(&self, setup: &Setup) -> Execution {
        let (id, plan) = (setup.running.id.clone(), setup.plan.clone());
        let mut execution = match &self.begin {
            Begin::New(ledger) => {
                let epoch = move_epoch(ledger, &plan);
                let mut execution = Execution::new(id, plan, epoch, terms(setup, ledger));
                execution.inherit(ledger);
                execution
            }
            Begin::Resumed(ledger, records, now) => {
                let (epoch, mut terms) = (move_epoch(ledger, &plan), terms(setup, ledger));
                if setup.has(Seeded::WaitsOutWithoutMargin) {
                    terms.rate_margin = RateMargin { ppm: 0 };
                }
                let mut execution = Execution::resumed(
                    id,
                    plan,
                    epoch,
                    terms,
                    records,
                    Now { moment: *now, wall: Timestamp::UNIX_EPOCH },
                );
                execution.inherit(ledger);
                execution
            }
        };
        for (at, told) in &self.told {
            let _ = tell(&mut execution, *at, told.clone());
        }
        execution
    }

    pub(super) fn key(&self, setup: &Setup, now: Moment) -> String {
        self.execution(setup).key(now)
    }

    /// Tells it something, and returns what it wants. What changes nothing is forgotten.
    pub(super) fn tell(&mut self, setup: &Setup, at: Moment, told: Told) -> Vec<Want> {
        let mut execution = self.execution(setup);
        let before = execution.key(at);
        let wants = tell(&mut execution, at, told.clone());
        if execution.key(at) != before {
            self.told.push((at, told));
        }
        wants
    }
}

fn tell(execution: &mut Execution, at: Moment, told: Told) -> Vec<Want> {
    match told {
        Told::Advance => execution.advance(at),
        Told::Journaled(step, _) => execution.journaled(at, &step),
        Told::Swapped(step, result) => execution.swapped(at, &step, result.map_err(Into::into)),
        Told::Replied(step, reply) => execution.replied(at, &step, reply),
        Told::Abort => {
            // Past the point of no return it refuses.
            let _ = execution.abort("a person says so");
            execution.advance(at)
        }
    }
}

fn terms(setup: &Setup, ledger: &Ledger) -> Terms {
    let gate = ledger.gate;
    let seal_wait = match setup.seeded {
        Some(Seeded::NoSealWait) => std::time::Duration::ZERO,
        Some(Seeded::NoRateMargin) => gate.trust + gate.write_deadline,
        Some(Seeded::NoDeadlineWait | Seeded::PermitOutlivesWait) => gate.rate_margin.wait_for(gate.trust),
        _ => gate.seal_wait(),
    };
    Terms {
        call_deadline: setup.policy.timing.call_deadline,
        seal_wait,
        rate_margin: gate.rate_margin,
        strategy: ledger.strategy,
        standby: Share::TENTH,
        seed: 0,
    }
}

/// What the world answers to a question, at once.
pub(super) fn answer(desk: &mut Desk<'_>, call: Call) -> Reply {
    match call {
        Call::Ask { .. } => Reply::Ask(Ok(HookAnswer::Allow)),
        Call::Drained { .. } if desk.setup.has(Seeded::TakesAnyDrain) => {
            Reply::Drained(Ok(Drained::Proven { how: "somebody answered".into() }))
        }
        // What is missing arrives while it is asked for.
        Call::Drained { .. } => {
            if desk.seen.behind {
                desk.seen.behind = false;
                desk.effects.push(Effect::Drained);
            }
            Reply::Drained(Ok(Drained::Proven { how: "everything has arrived".into() }))
        }
        Call::Status { .. } => Reply::Status(Ok(status(desk))),
        other => panic!("the plan of the model does not ask {other:?}"),
    }
}

fn status(desk: &Desk<'_>) -> StoreStatus {
    let replica = |(index, region): (usize, &crate::name::Region)| {
        let writes = index == usize::from(desk.seen.writer);
        let role = if writes { Role::Writer } else { Role::Replica };
        (
            region.clone(),
            ReplicaStatus { role, lag: Lag::Unknown { why: String::new() }, watermark: None, backlog: None },
        )
    };
    StoreStatus { replicas: desk.setup.regions.iter().enumerate().map(replica).collect() }
}
