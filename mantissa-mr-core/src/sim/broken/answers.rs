//! Controllers that are told something else than what the world answered, or make more of it than it says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::Broken;
use super::lens::is_ledger;
use super::tampered::{Desk, Tamper};
use crate::call::{Call, CallId, Input, Reply, Request};
use crate::check::{Assessment, Fitness};
use crate::clock::Now;
use crate::ledger::Ledger;
use crate::name::Region;
use crate::store::{Drained, Lag, Role};
use crate::traffic::{Convergence, Weights};

pub(super) fn tamper(broken: Broken) -> Option<Box<dyn Tamper>> {
    let told: fn(&Call, Reply) -> Option<Reply> = match broken {
        Broken::TakesAnyDrain => |_, reply| Some(any_drain(reply)),
        Broken::TakesUnproven => |_, reply| Some(unproven(reply)),
        Broken::UnknownLagIsZero => |_, reply| Some(no_lag(reply)),
        Broken::NeverTriesAgain => no_error,
        Broken::ForgetsMove => no_plan,
        Broken::DrainsByLag => return Some(Box::new(ByLag::default())),
        Broken::OneVoteForAll => return Some(Box::new(OneVote::default())),
        Broken::TargetUnseen => return Some(Box::new(Blindfold::default())),
        Broken::ShiftUnseen | Broken::PromotionUnseen => return Some(Box::new(Unseen::new(broken))),
        _ => return None,
    };
    Some(Box::new(Told { calls: BTreeMap::new(), told }))
}

/// Tells something else, by the call and its answer alone.
struct Told {
    calls: BTreeMap<CallId, Call>,
    told: fn(&Call, Reply) -> Option<Reply>,
}

impl Tamper for Told {
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        if !matches!(request.call, Call::Store { .. }) {
            self.calls.insert(request.id, request.call.clone());
        }
        Some(request)
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, reply } = input else { return Some(input) };
        let reply = match self.calls.remove(&id) {
            Some(call) => (self.told)(&call, reply)?,
            None => reply,
        };
        Some(Input::Reply { id, reply })
    }
}

fn proven() -> Reply {
    Reply::Drained(Ok(Drained::Proven { how: "it must be".into() }))
}

fn any_drain(reply: Reply) -> Reply {
    if matches!(reply, Reply::Drained(Ok(_))) { proven() } else { reply }
}

fn unproven(reply: Reply) -> Reply {
    if matches!(reply, Reply::Drained(Ok(Drained::CannotProve { .. }))) { proven() } else { reply }
}

const NO_LAG: Lag = Lag::Known { lag: Duration::ZERO, age: Duration::ZERO };

fn no_lag(mut reply: Reply) -> Reply {
    if let Reply::Status(Ok(status)) = &mut reply {
        for replica in status.replicas.values_mut() {
            if matches!(replica.lag, Lag::Unknown { .. }) {
                replica.lag = NO_LAG;
            }
        }
    }
    reply
}

/// Nobody hears of a failure of a call to a cloud.
fn no_error(_call: &Call, reply: Reply) -> Option<Reply> {
    let failed = match &reply {
        Reply::Status(answer) => answer.is_err(),
        Reply::Drained(answer) => answer.is_err(),
        Reply::Promote(answer) | Reply::Unfence(answer) | Reply::Shift(answer) | Reply::Scale(answer) => {
            answer.is_err()
        }
        Reply::Fence(answer) => answer.is_err(),
        Reply::Routing(answer) => answer.is_err(),
        Reply::Converged(answer) => answer.is_err(),
        Reply::Capacity(answer) => answer.is_err(),
        _ => false,
    };
    (!failed).then_some(reply)
}

/// No plan is ever read.
fn no_plan(call: &Call, reply: Reply) -> Option<Reply> {
    let plan = matches!(call, Call::Load { cell } if cell.as_str().contains("/plan/"));
    (!plan).then_some(reply)
}

/// Asks for the lag instead of the proof.
#[derive(Debug, Default)]
struct ByLag {
    asked: BTreeMap<CallId, Region>,
}

impl Tamper for ByLag {
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        let Request { id, call, deadline } = request;
        let call = match call {
            Call::Drained { store, barrier } => {
                self.asked.insert(id, barrier.to);
                Call::Status { store }
            }
            call => call,
        };
        Some(Request { id, call, deadline })
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, reply } = input else { return Some(input) };
        let Some(to) = self.asked.remove(&id) else { return Some(Input::Reply { id, reply }) };
        let reply = match reply {
            Reply::Status(Ok(status)) => match status.replicas.get(&to).map(|replica| &replica.lag) {
                Some(Lag::Known { lag, .. }) if *lag > Duration::from_millis(100) => {
                    Reply::Drained(Ok(Drained::NotYet { remaining: None }))
                }
                _ => proven(),
            },
            Reply::Status(Err(error)) => Reply::Drained(Err(error)),
            reply => reply,
        };
        Some(Input::Reply { id, reply })
    }
}

/// Reads the own ballot in every register.
#[derive(Debug, Default)]
struct OneVote {
    own: Option<(String, Value)>,
    asked: BTreeMap<CallId, String>,
}

fn vantage(cell: &crate::cell::CellName) -> Option<&str> {
    cell.as_str().split_once("/vantage/").map(|(_, vantage)| vantage)
}

impl Tamper for OneVote {
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        match &request.call {
            Call::Store { cell, value, .. } => {
                if let (Some(name), Ok(ballot)) = (vantage(cell), serde_json::from_slice(value)) {
                    self.own = Some((name.to_owned(), ballot));
                }
            }
            Call::Load { cell } => {
                let asked = vantage(cell).map(|name| (request.id, name.to_owned()));
                self.asked.extend(asked);
            }
            _ => {}
        }
        Some(request)
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, mut reply } = input else { return Some(input) };
        if let (Some(name), Some((own, ballot))) = (self.asked.remove(&id), &self.own)
            && name != *own
            && let Reply::Load(Ok(Some(cell))) = &mut reply
        {
            let mut ballot = ballot.clone();
            ballot["vantage"] = name.into();
            // Newer than any that the vantage wrote itself.
            ballot["run"] = (crate::ledger::COUNTED_MOST / 2).into();
            cell.value = ballot.to_string().into_bytes();
        }
        Some(Input::Reply { id, reply })
    }
}

/// Calls every region fit that does not serve.
#[derive(Debug, Default)]
struct Blindfold {
    loads: BTreeSet<CallId>,
    asked: BTreeMap<CallId, Region>,
    active: Vec<Region>,
}

impl Tamper for Blindfold {
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        match &request.call {
            Call::Load { cell } if is_ledger(cell) => {
                self.loads.insert(request.id);
            }
            Call::Assess { region, .. } => {
                self.asked.insert(request.id, region.clone());
            }
            Call::Store { cell, value, .. } if is_ledger(cell) => self.see(value),
            _ => {}
        }
        Some(request)
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, mut reply } = input else { return Some(input) };
        if self.loads.remove(&id)
            && let Reply::Load(Ok(Some(cell))) = &reply
        {
            self.see(&cell.value);
        }
        if self.asked.remove(&id).is_some_and(|region| !self.active.contains(&region)) {
            reply = Reply::Assess(Ok(Assessment::new(Fitness::Fit, "it does not serve")));
        }
        Some(Input::Reply { id, reply })
    }
}

impl Blindfold {
    fn see(&mut self, value: &[u8]) {
        if let Ok(ledger) = Ledger::decode(value) {
            self.active = ledger.active().cloned().collect();
        }
    }
}

/// Makes no shift, or no promotion, and says that it is done.
struct Unseen {
    broken: Broken,
    calls: BTreeMap<CallId, Call>,
    weights: BTreeMap<crate::name::ResourceName, Weights>,
    writers: BTreeMap<crate::name::ResourceName, Region>,
}

impl Unseen {
    fn new(broken: Broken) -> Self {
        Self { broken, calls: BTreeMap::new(), weights: BTreeMap::new(), writers: BTreeMap::new() }
    }
}

impl Tamper for Unseen {
    fn output(&mut self, _now: Now, request: Request, desk: &mut Desk) -> Option<Request> {
        match &request.call {
            Call::Shift { router, shift } if self.broken == Broken::ShiftUnseen => {
                self.weights.insert(router.clone(), shift.weights.clone());
                desk.answer(request.id, Reply::Shift(Ok(())));
                return None;
            }
            Call::Promote { store, region, .. } if self.broken == Broken::PromotionUnseen => {
                self.writers.insert(store.clone(), region.clone());
                desk.answer(request.id, Reply::Promote(Ok(())));
                return None;
            }
            call @ (Call::Routing { .. } | Call::Converged { .. } | Call::Status { .. }) => {
                self.calls.insert(request.id, call.clone());
            }
            _ => {}
        }
        Some(request)
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, mut reply } = input else { return Some(input) };
        match (self.calls.remove(&id), &mut reply) {
            (Some(Call::Routing { router }), Reply::Routing(Ok(routing))) => {
                routing.weights = self.weights.get(&router).cloned().unwrap_or(routing.weights.clone());
            }
            (Some(Call::Converged { router, .. }), answer) if self.weights.contains_key(&router) => {
                *answer = Reply::Converged(Ok(Convergence::Converged { how: "it must be".into() }));
            }
            (Some(Call::Status { store }), Reply::Status(Ok(status))) => {
                if let Some(writer) = self.writers.get(&store) {
                    for (region, replica) in &mut status.replicas {
                        replica.role = if region == writer { Role::Writer } else { Role::Replica };
                    }
                }
            }
            _ => {}
        }
        Some(Input::Reply { id, reply })
    }
}
