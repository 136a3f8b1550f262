//! Gates that are open when they must not be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::Broken;
use super::tampered::{Desk, Tamper, Tampered};
use crate::call::{CallId, Input, Machine, Output, Reply, Request};
use crate::cell::Cell;
use crate::clock::{Moment, Now};
use crate::deployment::Deployment;
use crate::ledger::{Epoch, Ledger};
use crate::sim::process::{Gate, SimPermit};

pub(super) fn tamper(broken: Broken, real: &Arc<Deployment>, gate: Box<dyn Gate>) -> Box<dyn Gate> {
    let terms = real.spec().policy.gate;
    let tamper: Box<dyn Tamper> = match broken {
        Broken::TrustFromAnswer => Box::new(FromAnswer::default()),
        Broken::ReadsReplica => Box::new(Replica::default()),
        Broken::FailsOpen => Box::new(LastAnswer::default()),
        Broken::ClockStopsInSleep => {
            Box::new(Sleeper { trust: terms.trust, last: None, slept: Duration::ZERO })
        }
        Broken::AcknowledgesLate => {
            return Box::new(Careless { gate, keeps: Duration::MAX, permits: BTreeMap::new(), given: 0 });
        }
        Broken::NoWriteDeadline => {
            let keeps = terms.write_deadline;
            return Box::new(Careless { gate, keeps, permits: BTreeMap::new(), given: 0 });
        }
        _ => return gate,
    };
    Box::new(Tampered::new(gate, tamper))
}

/// Adds to the trust what the answer took to come.
#[derive(Debug, Default)]
struct FromAnswer {
    sent: BTreeMap<CallId, Moment>,
}

impl Tamper for FromAnswer {
    fn output(&mut self, now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        self.sent.insert(request.id, now.moment);
        Some(request)
    }

    fn input(&mut self, now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, reply: Reply::Load(Ok(Some(cell))) } = input else { return Some(input) };
        let took = self.sent.remove(&id).map_or(Duration::ZERO, |sent| now.moment.since(sent));
        let value = match Ledger::decode(&cell.value) {
            Ok(mut ledger) => {
                ledger.gate.trust += took;
                ledger.encode()
            }
            Err(_) => cell.value,
        };
        Some(Input::Reply { id, reply: Reply::Load(Ok(Some(Cell { value, ..cell }))) })
    }
}

/// So far is the replica behind: longer than any move waits.
const BEHIND: Duration = Duration::from_secs(60);

/// Answers with what was there a while ago.
#[derive(Debug, Default)]
struct Replica {
    seen: Vec<(Moment, Option<Cell>)>,
}

impl Tamper for Replica {
    fn input(&mut self, now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, reply: Reply::Load(Ok(cell)) } = input else { return Some(input) };
        self.seen.push((now.moment, cell));
        let there = self.seen.iter().rposition(|(at, _)| now.moment.since(*at) >= BEHIND);
        self.seen.drain(..there.unwrap_or_default());
        let cell = self.seen.first().and_then(|(_, cell)| cell.clone());
        Some(Input::Reply { id, reply: Reply::Load(Ok(cell)) })
    }
}

/// Answers with the last answer where none came.
#[derive(Debug, Default)]
struct LastAnswer {
    last: Option<Cell>,
}

impl Tamper for LastAnswer {
    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, reply: Reply::Load(answer) } = input else { return Some(input) };
        let reply = match (answer, &self.last) {
            (Err(_), Some(last)) => Ok(Some(last.clone())),
            (answer, _) => answer,
        };
        if let Ok(Some(cell)) = &reply {
            self.last = Some(cell.clone());
        }
        Some(Input::Reply { id, reply: Reply::Load(reply) })
    }
}

/// Both clocks stand still with the process.
#[derive(Debug)]
struct Sleeper {
    trust: Duration,
    last: Option<Moment>,
    slept: Duration,
}

impl Tamper for Sleeper {
    /// A gate that is awake is woken far more often than this.
    fn tick(&mut self, now: Now) {
        let gap = self.last.replace(now.moment).map_or(Duration::ZERO, |last| now.moment.since(last));
        if gap > self.trust / 2 {
            self.slept += gap;
        }
    }

    fn ahead(&self) -> SignedDuration {
        SignedDuration::try_from(self.slept).map_or(SignedDuration::ZERO, |slept| -slept)
    }
}

/// Permits writes for as long as any trust is left, and lets them be acknowledged for this long whatever is heard.
struct Careless {
    gate: Box<dyn Gate>,
    keeps: Duration,
    permits: BTreeMap<u64, Moment>,
    given: u64,
}

impl Machine for Careless {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.gate.step(now, input)
    }
}

impl Gate for Careless {
    fn permit(&mut self, now: Now) -> Option<SimPermit> {
        let (epoch, _) = self.gate.open(now).filter(|(_, until)| *until > now.moment)?;
        self.given += 1;
        self.permits.insert(self.given, now.moment + self.keeps);
        Some(SimPermit { epoch, number: self.given })
    }

    fn holds(&mut self, now: Now, permit: &SimPermit) -> bool {
        self.permits.remove(&permit.number).is_some_and(|until| now.moment < until)
    }

    fn open(&self, now: Now) -> Option<(Epoch, Moment)> {
        self.gate.open(now)
    }
}
