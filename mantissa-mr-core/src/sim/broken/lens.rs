//! Controllers that read something else in the ledger than what is there, or write something else than they mean to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Broken;
use super::tampered::{Desk, Tamper};
use crate::call::{Call, CallId, Input, Reply, Request};
use crate::cell::{Cell, CellName, StoreOutcome};
use crate::clock::{Now, RateMargin};
use crate::deployment::{Deployment, DeploymentHash, GateTerms};
use crate::ledger::{AdmissionState, Ledger};
use crate::name::Region;

pub(super) fn tamper(broken: Broken, real: &Arc<Deployment>) -> Option<Box<dyn Tamper>> {
    let given = broken.deployment(real).hash().clone();
    let edits = matches!(
        broken,
        Broken::NoSealWait
            | Broken::NoRateMargin
            | Broken::NoWriteDeadline
            | Broken::KeepsEpoch
            | Broken::KeepsTerm
            | Broken::OpensBeside
            | Broken::PausesSilently
            | Broken::EndsSilently
            | Broken::KeepsProposal
    );
    if !edits && given == *real.hash() {
        return None;
    }
    let (loads, stores) = (BTreeSet::new(), BTreeMap::new());
    Some(Box::new(Lens { broken, real: real.clone(), given, loads, stores, last: None }))
}

/// Whether a cell is a ledger.
pub(super) fn is_ledger(cell: &CellName) -> bool {
    cell.as_str().ends_with("/ledger")
}

/// Between a controller and the ledger.
struct Lens {
    broken: Broken,
    real: Arc<Deployment>,
    /// The deployment that the controller was given: it must not see that the ledger's is another.
    given: DeploymentHash,
    loads: BTreeSet<CallId>,
    stores: BTreeMap<CallId, Ledger>,
    /// What was last seen to be there.
    last: Option<Ledger>,
}

impl Tamper for Lens {
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        let Request { id, call, deadline } = request;
        let call = match call {
            Call::Load { cell } if is_ledger(&cell) => {
                self.loads.insert(id);
                Call::Load { cell }
            }
            Call::Store { cell, expected, value } if is_ledger(&cell) => {
                let value = match Ledger::decode(&value) {
                    Ok(mut ledger) => {
                        self.write(&mut ledger);
                        let value = ledger.encode();
                        self.stores.insert(id, ledger);
                        value
                    }
                    Err(_) => value,
                };
                Call::Store { cell, expected, value }
            }
            call => call,
        };
        Some(Request { id, call, deadline })
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        let Input::Reply { id, mut reply } = input else { return Some(input) };
        let stored = self.stores.remove(&id);
        if let Reply::Store(Ok(StoreOutcome::Applied { .. })) = &reply {
            self.last = stored.or(self.last.take());
        }
        if self.loads.remove(&id)
            && let Reply::Load(Ok(Some(Cell { value, .. }))) = &mut reply
            && let Ok(mut ledger) = Ledger::decode(value)
        {
            self.last = Some(ledger.clone());
            self.read(&mut ledger);
            *value = ledger.encode();
        }
        Some(Input::Reply { id, reply })
    }
}

impl Lens {
    fn read(&self, ledger: &mut Ledger) {
        ledger.deployment = self.given.clone();
        let GateTerms { trust, write_deadline, rate_margin } = ledger.gate;
        let exact = RateMargin { ppm: 0 };
        let moment = Duration::from_millis(1);
        ledger.gate = match self.broken {
            Broken::NoSealWait => GateTerms { trust: moment, write_deadline: moment, rate_margin },
            Broken::NoWriteDeadline => GateTerms { trust, write_deadline: Duration::ZERO, rate_margin },
            Broken::NoRateMargin => GateTerms { trust, write_deadline, rate_margin: exact },
            _ => ledger.gate,
        };
    }

    fn write(&self, ledger: &mut Ledger) {
        ledger.deployment = self.real.hash().clone();
        ledger.gate = self.real.spec().policy.gate;
        if let Some(before) = &self.last {
            change(self.broken, before, ledger);
        }
    }
}

/// What a controller writes instead.
fn change(broken: Broken, before: &Ledger, ledger: &mut Ledger) {
    let opened: Vec<Region> =
        ledger.active().filter(|region| before.admitted(region).is_none()).cloned().collect();
    match broken {
        Broken::KeepsEpoch => {
            for admission in opened.iter().filter_map(|region| before.admissions.get(region)) {
                let epoch = before.epoch().max(admission.epoch);
                for admission in ledger.admissions.values_mut() {
                    admission.epoch = admission.epoch.min(epoch);
                }
            }
        }
        Broken::KeepsTerm if before.lease.holder != ledger.lease.holder => {
            ledger.lease.term = before.lease.term;
        }
        Broken::OpensBeside if !opened.is_empty() => {
            for (region, was) in &before.admissions {
                if let (AdmissionState::Sealed { .. }, Some(admission)) =
                    (&was.state, ledger.admissions.get_mut(region))
                {
                    admission.state = AdmissionState::Active;
                }
            }
        }
        Broken::PausesSilently => {
            if let Some(running) = &mut ledger.execution {
                running.paused = running.paused.take().map(|_| String::new());
            }
        }
        Broken::EndsSilently if before.execution.is_some() && ledger.execution.is_none() => {
            ledger.ended = before.ended.clone();
        }
        Broken::KeepsProposal if ledger.generation == before.generation && ledger.proposal.is_none() => {
            ledger.proposal = before.proposal.clone();
        }
        _ => {}
    }
}
