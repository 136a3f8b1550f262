//! Somebody else changes the routing under a move: Terraform puts back what its files say. What was shifted is shifted again,
//! a few times; then a person must see who it is. No move ends before it has looked once more.

use super::{Execution, Status, StepRun, Want};
use crate::call::{Call, Reply};
use crate::clock::Moment;
use crate::journal::Event;
use crate::name::{ResourceName, StepId};
use crate::plan::Action;
use crate::traffic::{Convergence, Routing, Weights};

/// So often the routing is shifted again. More would be a fight, and clients would be sent to and fro.
const AGAIN: u32 = 3;

/// What a step that waits until clients follow knows of the routing.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Clients do not follow yet: what is set is looked at next.
    next: bool,
    /// The step was done for this reason, and is looked at once more before the move ends.
    once_more: Option<String>,
    /// It was.
    confirmed: bool,
    /// Why clients do not follow yet, as the router says.
    pub(super) why: Option<String>,
}

impl Look {
    pub(super) fn question(&self, action: &Action) -> Option<Call> {
        match action {
            Action::Converge { router, .. } if self.next => Some(Call::Routing { router: router.clone() }),
            _ => None,
        }
    }
}

/// The router that a step has shifted.
fn shifted(run: &StepRun) -> Option<ResourceName> {
    match (&run.step.action, &run.status) {
        (Action::Shift { router, .. }, Status::Done(_)) => Some(router.clone()),
        _ => None,
    }
}

impl Execution {
    /// Takes in what a step that waits for clients was answered, if that says something of the routing; whether it did.
    pub(super) fn looked_at_routing(
        &mut self,
        now: Moment,
        id: &StepId,
        action: &Action,
        reply: &Reply,
        wants: &mut Vec<Want>,
    ) -> bool {
        let (Action::Converge { router, weights }, Some(run)) = (action, self.steps.get_mut(id)) else {
            return false;
        };
        match reply {
            Reply::Converged(Ok(Convergence::NotYet { why })) => {
                (run.routing.next, run.routing.why) = (true, Some(why.clone()));
                false
            }
            Reply::Routing(answer) => {
                run.routing.next = false;
                match answer {
                    Ok(routing) if !routing.weights.same_shares(weights) => {
                        self.misrouted(now, id, router, weights, routing, wants);
                    }
                    // What cannot be seen is no reason to keep a move from its end.
                    _ => self.routed(now, id),
                }
                true
            }
            _ => false,
        }
    }

    /// The routing is what this move has set: whether clients follow is asked next, if it was not known before.
    fn routed(&mut self, now: Moment, id: &StepId) {
        let Some(run) = self.steps.get_mut(id) else { return };
        let status = match run.routing.once_more.take() {
            Some(how) => Status::Done(how),
            None => Status::Resting(now),
        };
        self.set(now, id, status);
    }

    /// The routing is another. If this move had shifted it, somebody else has changed it since.
    fn misrouted(
        &mut self,
        now: Moment,
        id: &StepId,
        router: &ResourceName,
        weights: &Weights,
        found: &Routing,
        wants: &mut Vec<Want>,
    ) {
        let Some(shift) = self.steps.values_mut().find(|run| shifted(run).as_ref() == Some(router)) else {
            // It was left out: then clients are not expected to follow before somebody else shifts it.
            return self.set(now, id, Status::Resting(now + super::POLL));
        };
        let what = format!("somebody else changed the routing of {router} to {}", found.weights);
        self.misled += 1;
        if self.misled > AGAIN {
            let why = format!(
                "{what}, again and again; this move shifts it to {weights}: stop what changes it (Terraform?), then resume"
            );
            self.set(now, id, Status::Failed(why.clone()));
            return self.wait_for_person(why, false, wants);
        }
        let event =
            Event::Failed { step: shift.step.id.clone(), attempt: shift.attempt, error: what.clone() };
        (shift.status, shift.since, shift.rested) = (Status::Pending, None, true);
        if let Some(run) = self.steps.get_mut(id) {
            (run.status, run.since, run.routing) = (Status::Pending, None, Look::default());
        }
        wants.push(Want::Journal { event, then: None });
        wants.push(Want::Warn { text: format!("{what}: it is shifted to {weights} again") });
    }

    /// Before the end: whether clients are still sent where this move has sent them. What takes a while after they followed
    /// gives others the time to send them elsewhere.
    pub(super) fn looks_once_more(&mut self, now: Moment, wants: &mut Vec<Want>) -> bool {
        let shifted: Vec<ResourceName> = self.steps.values().filter_map(shifted).collect();
        let mut looks = Vec::new();
        for (id, run) in &mut self.steps {
            let (Status::Done(how), Action::Converge { router, .. }) = (&run.status, &run.step.action) else {
                continue;
            };
            if shifted.contains(router) && !run.routing.confirmed {
                let once_more = Some(how.clone());
                run.routing = Look { next: true, once_more, confirmed: true, why: None };
                (run.status, run.since) = (Status::Pending, None);
                looks.push(id.clone());
            }
        }
        for id in &looks {
            self.begin(now, id, wants);
        }
        !looks.is_empty()
    }
}
