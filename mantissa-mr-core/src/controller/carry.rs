//! Deciding, beginning an execution, and doing for it what it wants done.

use std::sync::Arc;
use std::time::Duration;

use super::begin::Begin;
use super::lease::Purpose;
use super::{Controller, Ending, Happening, Mandate, Tag};
use crate::call::{Call, Reply};
use crate::decide::{Decision, decide};
use crate::deployment::Writers;
use crate::error::{Error, ErrorKind};
use crate::execute::{Execution, OpenCalls, Terms, Want};
use crate::guard::{GIVEN_UP, Initiator};
use crate::journal::{Event, Record, of_execution};
use crate::ledger::{Ended, Epoch, Ledger, LedgerRefusal, Order, Outcome, Proposal, Running};
use crate::name::{ExecutionId, Region, StepId};
use crate::notify::Severity;
use crate::plan::{Move, Plan, PlanHash, PredictedLoss};
use crate::report::Report;
use crate::state::{State, Trigger};
use crate::traffic::Urgency;

/// From one decision to the next.
const DECIDE: Duration = Duration::from_secs(1);

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// A plan that is being begun.
    pub(super) begin: Option<Begin>,
    /// A plan that is being loaded, and what for.
    pub(super) load: Option<(PlanHash, LoadFor)>,
    /// The execution whose plan cannot be read.
    pub(super) unreadable: Option<ExecutionId>,
    /// Orders that were taken and are being crossed out.
    pub(super) orders: Vec<Order>,
    /// The execution is over and is being ended in the ledger.
    pub(super) ended: Option<Ended>,
    /// A proposal whose plan is being stored.
    pub(super) proposal: Option<Proposal>,
    /// Somebody asked for a pause while a plan was being begun, and why.
    pub(super) pause: Option<String>,
    /// What another actor may have left open of the execution whose place is to be taken.
    pub(super) open: OpenCalls,
}

#[derive(Clone, Debug)]
pub(super) enum LoadFor {
    /// Going on with what is under way.
    Resume(Running),
    /// Carrying out what a person approved.
    Approved,
}

impl Controller {
    // ----- after a take-over -----

    /// The journal was read, and this actor's name is in it.
    pub(super) fn took_over(&mut self) {
        let Some(ledger) = self.view.ledger().cloned() else { return };
        self.lead();
        let margin = ledger.gate.rate_margin;
        self.pending.open = OpenCalls::read(&self.records, margin, self.now);
        match (&ledger.execution, self.settings.mandate.clone()) {
            (Some(_), Mandate::Carry(plan)) | (None, Mandate::Carry(plan)) => self.start(plan, false),
            (Some(running), _) => self.go_on_with(running),
            (None, Mandate::Finish { .. }) => {
                self.finish_mandate(Ending::Refused(
                    "nothing is under way: there is nothing to resume".into(),
                ));
            }
            (None, Mandate::Watch) => {}
        }
    }

    /// Loads the plan of what is under way, and goes on with it.
    pub(super) fn go_on_with(&mut self, running: &Running) {
        if self.pending.load.is_none() {
            self.pending.load = Some((running.plan.clone(), LoadFor::Resume(running.clone())));
            self.load_plan(&running.plan);
        }
    }

    pub(super) fn load_plan(&mut self, hash: &PlanHash) {
        let deadline = self.timing().call_deadline;
        self.call(Tag::PlanLoad(hash.clone()), Call::Load { cell: self.cells.plan(hash) }, deadline);
    }

    pub(super) fn plan_loaded(&mut self, hash: &PlanHash, reply: Reply) {
        if self.pending.load.as_ref().is_none_or(|(wanted, _)| wanted != hash)
            || self.role.leading().is_none()
        {
            return;
        }
        let corrupt = |message: String| {
            Error::new(ErrorKind::Corrupt, "read a plan", message)
                .on(hash)
                .with_advice("nothing is done until a person has looked; a new move can take its place")
        };
        let plan = match reply {
            Reply::Load(Ok(Some(cell))) => serde_json::from_slice::<Plan>(&cell.value)
                .map_err(|error| corrupt(error.to_string()))
                .and_then(|plan| {
                    if plan.hash() == *hash { Ok(plan) } else { Err(corrupt("its hash is another".into())) }
                }),
            Reply::Load(Ok(None)) => Err(corrupt("it is not there".into())),
            Reply::Load(Err(error)) if error.can_retry() || self.watches() => {
                let call = Call::Load { cell: self.cells.plan(hash) };
                return self.call_again(Tag::PlanLoad(hash.clone()), call);
            }
            Reply::Load(Err(error)) => Err(error),
            _ => return,
        };
        let Some((_, purpose)) = self.pending.load.take() else { return };
        match (plan, purpose) {
            (Ok(plan), LoadFor::Resume(running)) => self.go_on(&running, Arc::new(plan)),
            (Ok(plan), LoadFor::Approved) => self.start(Arc::new(plan), false),
            (Err(error), purpose) => {
                self.tell(Happening::Trouble(error.to_string()));
                self.notify(Severity::Critical, error.to_string());
                if let LoadFor::Resume(running) = purpose {
                    if running.paused.is_none() {
                        // So that a person's command may take the lease, and put another move in its place.
                        self.set_paused(&running.id, Some(format!("its plan cannot be read: {error}")));
                    }
                    self.pending.unreadable = Some(running.id);
                    self.take_orders();
                }
                self.finish_mandate(Ending::Failed(error));
            }
        }
    }

    /// Goes on with an execution that somebody else began.
    fn go_on(&mut self, running: &Running, plan: Arc<Plan>) {
        let Some(ledger) = self.view.ledger() else { return };
        let epoch = move_epoch(ledger, &plan);
        let terms = self.terms(ledger);
        // What came before its begin is another execution's, whose steps may have the same names.
        self.records = of_execution(&self.records, &running.id).to_vec();
        let id = running.id.clone();
        let mut execution = Execution::resumed(id, plan.clone(), epoch, terms, &self.records, self.now);
        execution.inherit(ledger);
        if let Some(why) = &running.paused {
            execution.found_paused(why);
        }
        self.plans.insert(running.plan.clone(), plan.clone());
        self.journal_begin(running, &plan);
        let (committed, aborting) = (execution.is_committed(), execution.is_aborting());
        let paused = execution.paused().map(str::to_owned);
        self.execution = Some(execution);
        if running.paused.is_none() && paused.is_some() {
            // Journaled by whoever acted before, and not yet in the ledger, which is where people look.
            self.set_paused(&running.id, paused.clone());
        }
        self.transition(Trigger::Begin, &format!("{} is under way", running.id));
        if committed {
            self.transition(Trigger::Commit, "past the point of no return");
        } else if aborting {
            self.transition(Trigger::Abort, "it is being given up");
        }
        if let Some(why) = paused {
            self.transition(Trigger::Pause, &why);
        }
        if let Mandate::Finish { by } = self.settings.mandate.clone() {
            self.resume_execution(&by);
        }
        self.take_orders();
    }

    /// Says whether there was anything that waited.
    pub(super) fn resume_execution(&mut self, by: &str) -> bool {
        let Some(execution) = &mut self.execution else { return false };
        let wants = execution.resume(by);
        if wants.is_empty() {
            return false;
        }
        let (committed, id) = (execution.is_committed(), execution.id().clone());
        self.transition(Trigger::Resume, &format!("{by} says go on"));
        if committed {
            self.transition(Trigger::Commit, "past the point of no return");
        }
        self.set_paused(&id, None);
        self.fulfil(wants);
        true
    }

    fn set_paused(&mut self, execution: &ExecutionId, why: Option<String>) {
        self.change_ledger(Purpose::SetPaused { execution: execution.clone(), why });
    }

    fn terms(&self, ledger: &Ledger) -> Terms {
        let policy = &self.deployment().spec().policy;
        Terms {
            call_deadline: policy.timing.call_deadline,
            seal_wait: ledger.gate.seal_wait(),
            rate_margin: ledger.gate.rate_margin,
            strategy: ledger.strategy,
            standby: policy.standby.0,
            seed: self.settings.seed,
        }
    }

    // ----- deciding -----

    pub(super) fn run_decision(&mut self) {
        let looks = self.recent.is_none() && self.waits_for(|tag| *tag == Tag::RecentLoad);
        let busy = self.pending.begin.is_some() || self.pending.load.is_some() || looks;
        self.see_given_up();
        if !self.watches() || self.role.leading().is_none() || busy || self.view.stale() {
            return;
        }
        let now = self.moment();
        if !self.watch.has_looked() || now < self.next_decision {
            let at = self.next_decision;
            return self.wake_at(at);
        }
        self.next_decision = now + DECIDE;
        self.wake_at(now + DECIDE);
        self.judge_regions();
        let Some(ledger) = self.view.ledger().cloned() else { return };
        match (&ledger.execution, &self.execution) {
            (None, None) => {
                let decision = decide(&self.situation(&ledger, Initiator::Controller));
                self.follow(decision, &ledger);
            }
            (Some(running), Some(execution))
                if running.id == *execution.id() && self.pending.ended.is_none() =>
            {
                self.judge_midway(&ledger);
            }
            _ => {}
        }
    }

    pub(super) fn follow(&mut self, decision: Decision, ledger: &Ledger) {
        let expired = ledger.proposal.as_ref().is_some_and(|proposal| proposal.expires <= self.now.wall);
        if expired && !self.view.has(|purpose| matches!(purpose, Purpose::Propose(_))) {
            self.change_ledger(Purpose::Propose(None));
            self.transition(Trigger::Expire, "nobody approved the plan in time");
        }
        match decision {
            Decision::Rest(why) => {
                (self.refused, self.refused_at) = (None, None);
                self.withdraw(ledger);
                self.transition(Trigger::Recover, &why);
            }
            Decision::Suspect { why, .. } => self.transition(Trigger::Suspect, &why),
            Decision::Refuse(plan) => {
                self.refused_at = Some(self.moment());
                // What was proposed before the guard refused must not be approved now.
                self.withdraw(ledger);
                self.transition(Trigger::Confirm, &plan.why);
                self.transition(Trigger::Refuse, "a guard refuses");
                let refusals: Vec<_> = plan.refusals().cloned().collect();
                let key =
                    refusals.iter().map(|answer| answer.guard.to_string()).collect::<Vec<_>>().join(", ");
                if self.refused.as_ref() != Some(&key) {
                    let text = format!("a {} to {} is refused by: {key}", plan.kind, plan.to);
                    self.refused = Some(key);
                    self.notify(Severity::Critical, text);
                    self.tell(Happening::Refused(plan.guards.clone()));
                }
            }
            Decision::Propose(_) | Decision::Begin(_) if self.refused_lately() => {}
            Decision::Begin(_) if self.gave_up_lately() => {}
            Decision::Propose(plan) => {
                if self.state != State::Proposed {
                    self.transition(Trigger::Confirm, &plan.why);
                }
                self.propose(Arc::new(*plan), ledger);
            }
            Decision::Abort { why } => self.give_up(&why),
            Decision::Tell { region, why } => {
                self.withdraw(ledger);
                // With a move under way, its own state says more.
                self.transition(Trigger::Confirm, &why);
                self.transition(Trigger::Refuse, "the policy leaves it to people");
                self.leave_to_people(&region, why);
            }
            // Decided anew once what is under way is quiet.
            Decision::Begin(plan) if plan.supersedes.is_some() && !self.may_supersede() => {}
            Decision::Begin(plan) => {
                self.transition(Trigger::Confirm, &plan.why);
                self.start(Arc::new(*plan), true);
            }
        }
    }

    /// Whether a guard refused so short a time ago that it may let the move pass only because the region that is to be
    /// left is back: its capacity, its lag are seen at once, its health with the next probes of every vantage.
    fn refused_lately(&self) -> bool {
        let settled = self.deployment().spec().policy.detection.fresh_for();
        self.refused_at.is_some_and(|at| self.moment().since(at) < settled)
    }

    /// Takes note of a planned move that was given up.
    fn see_given_up(&mut self) {
        let now = self.moment();
        let Some(ended) = self.view.ledger().and_then(|ledger| ledger.ended.as_ref()) else { return };
        let known = self.given_up.as_ref().is_some_and(|(id, _)| *id == ended.id);
        if ended.outcome == Outcome::Aborted && ended.acknowledged && !known {
            self.given_up = Some((ended.id.clone(), now));
        }
    }

    /// Whether a planned move was given up so short a time ago, by this actor's own clock, that nothing begins by itself:
    /// for a few seconds the guard of the cool-down is no help, where wall clocks differ by more.
    fn gave_up_lately(&self) -> bool {
        let pause = self.timing().cool_down.min(GIVEN_UP);
        self.given_up.as_ref().is_some_and(|(_, since)| self.moment().since(*since) < pause)
    }

    /// Takes a proposal back.
    fn withdraw(&mut self, ledger: &Ledger) {
        self.pending.proposal = None;
        if ledger.proposal.is_some() && !self.view.has(|purpose| matches!(purpose, Purpose::Propose(_))) {
            self.change_ledger(Purpose::Propose(None));
        }
    }

    fn propose(&mut self, plan: Arc<Plan>, ledger: &Ledger) {
        let stands = ledger.proposal.as_ref().is_some_and(|known| {
            // In place of what is under way, another region may be left than a moment ago.
            let same = |known: &Arc<Plan>| known.from == plan.from && known.generation == plan.generation;
            let same = plan.supersedes.is_none() || self.plans.get(&known.plan).is_some_and(same);
            same && known.kind == plan.kind && known.region == plan.to && known.expires > self.now.wall
        });
        let proposes = self.view.has(|purpose| matches!(purpose, Purpose::Propose(_)));
        if stands || proposes || self.pending.proposal.is_some() {
            return self.transition(Trigger::Propose, &plan.why);
        }
        let hash = plan.hash();
        let expires = self.now.wall.saturating_add(self.timing().approval).unwrap_or(self.now.wall);
        let proposal = Proposal {
            plan: hash.clone(),
            kind: plan.kind,
            region: plan.to.clone(),
            why: plan.why.clone(),
            made: self.now.wall,
            expires,
        };
        self.plans.insert(hash.clone(), plan.clone());
        self.store_plan(&hash, &plan);
        self.pending.proposal = Some(proposal);
        self.transition(Trigger::Propose, &plan.why);
        let text = format!(
            "a {} to {} is proposed: `approve {hash}` carries it out ({})",
            plan.kind, plan.to, plan.why
        );
        self.notify(Severity::Critical, text);
        self.tell(Happening::Planned(plan));
    }

    // ----- what the ledger said -----

    pub(super) fn purpose_applied(&mut self, purpose: Purpose, next: &Ledger) {
        match purpose {
            Purpose::Begin { running, .. } => self.begun(&running, next, Trigger::Begin),
            Purpose::Supersede { running, .. } => self.superseded(&running, next),
            Purpose::Step { execution, step, .. } => self.step_swapped(&execution, &step, Ok(())),
            Purpose::Orders(done) => self.pending.orders.retain(|order| !done.contains(order)),
            Purpose::End(ended) => self.ended(ended),
            _ => {}
        }
    }

    pub(super) fn purpose_refused(&mut self, purpose: Purpose, refusal: LedgerRefusal) {
        let ledger = self.view.ledger().cloned();
        let under_way =
            ledger.as_ref().and_then(|ledger| ledger.execution.as_ref()).map(|running| &running.id);
        let over = ledger.as_ref().and_then(|ledger| ledger.ended.as_ref()).map(|ended| &ended.id);
        match purpose {
            // Applied earlier, its answer lost, and something written on top of it since.
            Purpose::Begin { running, .. } | Purpose::Supersede { running, .. }
                if under_way == Some(&running.id) =>
            {
                let known = self.execution.as_ref().is_some_and(|execution| *execution.id() == running.id);
                if let (Some(ledger), false) = (&ledger, known) {
                    self.superseded(&running, ledger);
                }
            }
            Purpose::End(ended) if over == Some(&ended.id) => self.ended(ended),
            Purpose::Begin { .. } | Purpose::Supersede { .. } => {
                self.pending.begin = None;
                self.tell(Happening::Trouble(format!("the move was not begun: {refusal}")));
                self.finish_mandate(Ending::Refused(refusal.to_string()));
                if let Some(ledger) = &ledger {
                    self.find_begun(ledger);
                }
            }
            Purpose::Step { execution, step, .. } => {
                self.step_swapped(&execution, &step, Err(refusal.into()));
            }
            Purpose::End(_) => {
                self.pending.ended = None;
                let why = format!("the ledger does not let it end: {refusal}");
                let wants =
                    self.execution.as_mut().map(|execution| execution.cannot_end(why)).unwrap_or_default();
                self.fulfil(wants);
            }
            other => {
                tracing::warn!(group = %self.settings.group, ?other, %refusal, "the ledger was not changed");
            }
        }
    }

    pub(super) fn begun(&mut self, running: &Running, ledger: &Ledger, trigger: Trigger) {
        (self.pending.begin, self.pending.ended) = (None, None);
        let Some(plan) = self.plans.get(&running.plan).cloned() else { return };
        let terms = self.terms(ledger);
        self.records.clear();
        let mut execution =
            Execution::new(running.id.clone(), plan.clone(), move_epoch(ledger, &plan), terms);
        execution.inherit(ledger);
        let committed = execution.is_committed();
        self.execution = Some(execution);
        self.journal_begin(running, &plan);
        self.transition(trigger, &plan.why);
        if committed {
            self.transition(Trigger::Commit, "what it supersedes may have promoted: forward only");
        }
        let old = plan.supersedes.as_ref().map(|old| format!(" in place of {}", old.execution));
        let instead = old.unwrap_or_default();
        let text = format!("{} to {} begins{instead}: {}", plan.kind, plan.to, plan.why);
        self.notify(Severity::Critical, text);
        // Somebody asked for a pause while it was being begun.
        if let (Some(why), Some(execution)) = (self.pending.pause.take(), &mut self.execution) {
            let wants = execution.pause(&why);
            self.fulfil(wants);
        }
    }

    // ----- carrying out -----

    pub(super) fn run_execution(&mut self) {
        if self.role.leading().is_some() && self.ending.is_none() {
            if let Some(begin) = self.pending.begin.clone().filter(|begin| begin.waits) {
                self.begin_in_ledger(&begin.plan);
            }
            let now = self.moment();
            let wants = self.execution.as_mut().map(|execution| execution.advance(now)).unwrap_or_default();
            self.fulfil(wants);
            self.end_in_ledger();
        }
        let flushed = self.journal.is_idle() && !self.view.has(|_| true);
        if self.ending.is_some() && self.role.leading().is_some() && flushed && !self.handed_back {
            self.change_ledger(Purpose::Release);
        }
    }

    pub(super) fn step_replied(&mut self, execution: &ExecutionId, step: &StepId, reply: Reply) {
        let now = self.moment();
        let current = self.execution.as_mut().filter(|current| current.id() == execution);
        let wants = current.map(|current| current.replied(now, step, reply)).unwrap_or_default();
        self.fulfil(wants);
    }

    pub(super) fn step_journaled(&mut self, step: &StepId) {
        let now = self.moment();
        let wants =
            self.execution.as_mut().map(|execution| execution.journaled(now, step)).unwrap_or_default();
        self.fulfil(wants);
    }

    fn step_swapped(&mut self, of: &ExecutionId, step: &StepId, result: Result<(), Error>) {
        let now = self.moment();
        let current = self.execution.as_mut().filter(|execution| execution.id() == of);
        let wants = current.map(|execution| execution.swapped(now, step, result)).unwrap_or_default();
        self.fulfil(wants);
    }

    pub(super) fn fulfil(&mut self, wants: Vec<Want>) {
        let Some(id) = self.execution.as_ref().map(|execution| execution.id().clone()) else { return };
        for want in wants {
            match want {
                Want::Call { step, call, deadline } => self.call(Tag::Step(id.clone(), step), call, deadline),
                Want::Journal { event, then } => self.append(event, then),
                Want::Swap { step, change } => {
                    self.change_ledger(Purpose::Step { execution: id.clone(), step, change });
                }
                Want::WakeAt(at) => self.wake_at(at),
                Want::Commit => self.transition(Trigger::Commit, "past the point of no return"),
                Want::Abort { why } => {
                    self.transition(Trigger::Abort, &why);
                    self.set_paused(&id, None);
                    let text = format!("the move is given up: {why}; `ack` ends the cool-down that follows");
                    self.notify(Severity::Critical, text);
                }
                Want::Pause { why, overdue } => {
                    let trigger = if overdue { Trigger::Overdue } else { Trigger::Pause };
                    self.transition(trigger, &why);
                    self.set_paused(&id, Some(why.clone()));
                    self.notify(Severity::Critical, format!("the move waits for a person: {why}"));
                    self.finish_mandate(Ending::Paused { why, overdue });
                }
                Want::Warn { text } => {
                    self.tell(Happening::Trouble(text.clone()));
                    self.notify(Severity::Warning, text);
                }
                Want::Complete { aborted } => self.complete(aborted),
            }
        }
    }

    fn complete(&mut self, aborted: bool) {
        let Some(execution) = &self.execution else { return };
        let plan = execution.plan().clone();
        let outcome = if aborted { Outcome::Aborted } else { Outcome::Finished };
        let id = execution.id().clone();
        let summary = Report::new(&plan, id.clone(), outcome, &self.records_so_far()).summary();
        let region = if plan.kind == Move::Evacuate { plan.from.clone() } else { None };
        let ended = Ended {
            id: id.clone(),
            kind: plan.kind,
            outcome,
            region: region.unwrap_or_else(|| plan.to.clone()),
            at: self.now.wall,
            // Nothing came of a planned move that was given up. An unplanned one that somebody stopped must not begin anew by
            // itself before somebody has looked.
            acknowledged: aborted && plan.urgency == Urgency::Planned,
            unreconciled: self.unreconciled(&plan, outcome),
        };
        // Whoever acted before may have come so far as to journal it.
        let journaled = |record: &Record| matches!(&record.event, Event::Ended { execution, outcome: how, .. } if *execution == id && *how == outcome);
        if !self.records.iter().any(journaled) {
            self.append(Event::Ended { execution: id, outcome, summary }, None);
        }
        self.pending.ended = Some(ended);
    }

    /// Ends the execution in the ledger once all of its records are durable: a journal whose execution is over says so.
    fn end_in_ledger(&mut self) {
        let queued = self.view.has(|purpose| matches!(purpose, Purpose::End(_)));
        if let (Some(ended), true, false) = (&mut self.pending.ended, self.journal.is_idle(), queued) {
            ended.at = self.now.wall;
            let ended = ended.clone();
            self.change_ledger(Purpose::End(ended));
        }
    }

    /// What is durable, and what is on its way there.
    pub(super) fn records_so_far(&self) -> Vec<Record> {
        self.records.iter().cloned().chain(self.journal.queued().cloned()).collect()
    }

    /// The regions whose data may hold acknowledged writes that the group does not have.
    fn unreconciled(&self, plan: &Plan, outcome: Outcome) -> Vec<Region> {
        let before = self.view.ledger().and_then(|ledger| ledger.ended.as_ref());
        let mut regions: Vec<Region> = before.map(|ended| ended.unreconciled.clone()).unwrap_or_default();
        if outcome != Outcome::Finished {
            return regions;
        }
        regions.retain(|region| *region != plan.to);
        let loses = plan.predicted.loss != PredictedLoss::Nothing;
        let unplanned = plan.urgency == Urgency::Unplanned && loses;
        let ungated = self.group().writers == Writers::Ungated;
        let sealed = plan.supersedes.iter().flat_map(|superseded| &superseded.sealed);
        for left in plan.from.iter().chain(sealed.filter(|region| **region != plan.to)) {
            if (unplanned || ungated) && !regions.contains(left) {
                regions.push(left.clone());
            }
        }
        regions
    }

    fn ended(&mut self, ended: Ended) {
        self.pending.ended = None;
        let Some(execution) = self.execution.take() else { return };
        let report = Report::new(execution.plan(), ended.id.clone(), ended.outcome, &self.records_so_far());
        self.transition(Trigger::Finish, &report.summary());
        self.notify(Severity::Warning, report.summary());
        self.tell(Happening::Ended(ended.outcome, Box::new(report.clone())));
        self.finish_mandate(Ending::Ended { outcome: ended.outcome, report });
    }
}

/// The epoch that a move's calls carry: the one under which its target is, or will be, admitted.
pub(crate) fn move_epoch(ledger: &Ledger, plan: &Plan) -> Epoch {
    match ledger.admitted(&plan.to) {
        Some(epoch) if plan.kind != Move::Evacuate && epoch > plan.epoch => epoch,
        _ => ledger.epoch().next(),
    }
}
