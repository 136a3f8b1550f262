//! A move that takes the place of the one under way: by a person's word, or because a region is lost that a planned move
//! counts on.

use super::lease::Purpose;
use super::{Controller, Happening};
use crate::clock::Moment;
use crate::decide::{Decision, Midway, midway};
use crate::guard::Initiator;
use crate::journal::{Event, Record};
use crate::ledger::{Ledger, Outcome, Running};
use crate::name::Region;
use crate::notify::Severity;
use crate::plan::Plan;
use crate::report::Report;
use crate::state::Trigger;

impl Controller {
    /// Sees whether what is under way can go on.
    pub(super) fn judge_midway(&mut self, ledger: &Ledger) {
        let Some(execution) = &self.execution else { return };
        let plan = execution.plan().clone();
        let found = Midway {
            plan: &plan,
            committed: execution.is_committed(),
            aborting: execution.is_aborting(),
            drains: execution.drains(),
            needs: execution.needs(),
        };
        let decision = midway(&self.situation(ledger, Initiator::Controller), &found);
        // As long as its place may have been taken already, it does nothing.
        if !matches!(decision, Decision::Begin(_)) && !self.view.in_doubt() {
            self.hold(false);
        }
        self.follow(decision, ledger);
    }

    fn hold(&mut self, held: bool) {
        if let Some(execution) = &mut self.execution {
            execution.hold(held);
        }
    }

    /// Whether nothing of what is under way can take effect any more. Until then it begins nothing new: a call of it that
    /// came late would meet what takes its place, under the same epoch.
    pub(super) fn may_supersede(&mut self) -> bool {
        self.hold(true);
        if let Some(until) = self.open_until() {
            self.wake_at(until);
            return false;
        }
        let changes = |purpose: &Purpose| !matches!(purpose, Purpose::Beat | Purpose::Orders(_));
        self.pending.ended.is_none() && self.journal.is_idle() && !self.view.has(changes)
    }

    /// Until when something of what is under way may take effect.
    pub(super) fn open_until(&self) -> Option<Moment> {
        let now = self.moment();
        let own = self.execution.as_ref().and_then(|execution| execution.busy_until(now));
        own.max(self.pending.open.until(now))
    }

    /// The ledger says that another execution has taken the place of the one under way.
    pub(super) fn superseded(&mut self, running: &Running, ledger: &Ledger) {
        if let Some(old) = self.execution.take() {
            let id = old.id().clone();
            let report = Report::new(old.plan(), id, Outcome::Superseded, &self.records_so_far());
            self.tell(Happening::Ended(Outcome::Superseded, Box::new(report)));
        }
        let known = self.state.on(Trigger::Supersede).is_some();
        self.begun(running, ledger, if known { Trigger::Supersede } else { Trigger::Begin });
    }

    /// Journals that an execution began, and that it ended another; once, also where who began it was lost right after.
    pub(super) fn journal_begin(&mut self, running: &Running, plan: &Plan) {
        let began = |record: &Record| matches!(&record.event, Event::Began { execution, .. } if *execution == running.id);
        if self.records.iter().any(began) {
            return;
        }
        if let Some(old) = &plan.supersedes {
            let summary = format!("superseded by {}: {}", running.id, plan.why);
            let execution = old.execution.clone();
            self.append(Event::Ended { execution, outcome: Outcome::Superseded, summary }, None);
        }
        let (execution, plan_hash) = (running.id.clone(), running.plan.clone());
        let event = Event::Began { execution, plan: plan_hash, kind: plan.kind, why: plan.why.clone() };
        self.append(event, None);
    }

    /// Gives up what is under way.
    pub(super) fn give_up(&mut self, why: &str) {
        let Some(execution) = &mut self.execution else { return };
        // It is asked again until it is: by then it may be past the point of no return.
        let _ = execution.abort(why);
    }

    /// Tells people, once, what the policy leaves to them.
    pub(super) fn leave_to_people(&mut self, lost: &Region, why: String) {
        let key = format!("{lost} is lost");
        if self.refused.as_ref() != Some(&key) {
            self.refused = Some(key);
            self.notify(Severity::Critical, why.clone());
            self.tell(Happening::Trouble(why));
        }
    }
}
