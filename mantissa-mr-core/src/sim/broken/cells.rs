//! Cells whose answers are not what they seem, and journals that are not waited for.

use std::collections::{BTreeMap, BTreeSet};

use super::Broken;
use super::lens::is_ledger;
use super::tampered::{Desk, Tamper, is_own};
use crate::call::{Call, CallId, Input, Reply, Request};
use crate::cell::{CellName, CellVersion, Expected, StoreOutcome};
use crate::clock::Now;
use crate::ledger::Ledger;
use crate::name::ActorId;

pub(super) fn tamper(broken: Broken) -> Option<Box<dyn Tamper>> {
    Some(match broken {
        Broken::BlindPut => Box::new(Blind { always: true, ..Blind::default() }),
        Broken::PutsAgain => Box::new(Blind::default()),
        Broken::CallsTooEarly => Box::new(Early),
        Broken::IgnoresTakenSlot => Box::new(Deaf::default()),
        Broken::StaleEnactor => Box::new(Deaf { ledger: true, ..Deaf::default() }),
        _ => return None,
    })
}

fn is_slot(cell: &CellName) -> bool {
    cell.as_str().contains("/journal/")
}

/// Stores on top of whatever is there: always, or after a store whose answer was lost.
#[derive(Debug, Default)]
struct Blind {
    always: bool,
    /// Stores under way.
    stores: BTreeMap<CallId, Request>,
    /// What is there is being read, for this store.
    loads: BTreeMap<CallId, Request>,
}

impl Blind {
    fn look(&mut self, request: Request, desk: &mut Desk) {
        if let Call::Store { cell, .. } = &request.call {
            let load = desk.call(Call::Load { cell: cell.clone() }, request.deadline);
            self.loads.insert(load, request);
        }
    }

    fn put(request: Request, reply: Reply, desk: &mut Desk) {
        let Request { id, call: Call::Store { cell, value, .. }, deadline } = request else { return };
        match reply {
            Reply::Load(Ok(there)) => {
                let expected = Expected::of(there.as_ref());
                desk.send(Request { id, call: Call::Store { cell, expected, value }, deadline });
            }
            Reply::Load(Err(error)) => desk.answer(id, Reply::Store(Err(error))),
            _ => {}
        }
    }
}

impl Tamper for Blind {
    fn output(&mut self, _now: Now, request: Request, desk: &mut Desk) -> Option<Request> {
        let Call::Store { cell, .. } = &request.call else { return Some(request) };
        if !is_ledger(cell) && !is_slot(cell) {
            return Some(request);
        }
        if self.always {
            self.look(request, desk);
            return None;
        }
        self.stores.insert(request.id, request.clone());
        Some(request)
    }

    fn input(&mut self, _now: Now, input: Input, desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, reply } = input else { return Some(input) };
        if let Some(request) = self.loads.remove(&id) {
            Self::put(request, reply, desk);
            return None;
        }
        let lost = matches!(reply, Reply::Store(Ok(StoreOutcome::Unknown { .. }) | Err(_)));
        if let Some(request) = self.stores.remove(&id).filter(|_| lost) {
            self.look(request, desk);
            return None;
        }
        Some(Input::Reply { id, reply })
    }
}

fn applied() -> Reply {
    Reply::Store(Ok(StoreOutcome::Applied { version: CellVersion("it must be".into()) }))
}

/// Takes an append for done when it was sent.
#[derive(Debug)]
struct Early;

impl Tamper for Early {
    fn output(&mut self, _now: Now, request: Request, desk: &mut Desk) -> Option<Request> {
        if !matches!(&request.call, Call::Store { cell, .. } if is_slot(cell)) {
            return Some(request);
        }
        desk.answer(request.id, applied());
        desk.call(request.call, request.deadline);
        None
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        Some(input).filter(|input| !matches!(input, Input::Reply { id, .. } if is_own(*id)))
    }
}

/// Does not hear that somebody else was faster: in the journal, or in the ledger that it holds the lease of as well.
#[derive(Debug, Default)]
struct Deaf {
    ledger: bool,
    stores: BTreeSet<CallId>,
    /// Who acts here, once the lease was held.
    holder: Option<ActorId>,
}

impl Tamper for Deaf {
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        if let Call::Store { cell, value, .. } = &request.call {
            let held = is_ledger(cell) && {
                let holder = Ledger::decode(value).ok().and_then(|ledger| ledger.lease.holder);
                let before = std::mem::replace(&mut self.holder, holder);
                // Not the take-over itself: who does not hold the lease must not think so.
                before.is_some() && before == self.holder
            };
            if is_slot(cell) || (self.ledger && held) {
                self.stores.insert(request.id);
            }
        }
        Some(request)
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, reply } = input else { return Some(input) };
        let deaf = self.stores.remove(&id) && reply == Reply::Store(Ok(StoreOutcome::Lost));
        Some(Input::Reply { id, reply: if deaf { applied() } else { reply } })
    }
}
