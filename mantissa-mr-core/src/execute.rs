//! Carrying a plan out: as parallel as its graph allows, observing before acting, every call to a cloud journaled
//! before it is made. Pure: told what happened, it says what to do next; the controller does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::call::{Call, Reply};
use crate::clock::{Moment, Now, RateMargin};
use crate::deployment::{Share, Strategy};
use crate::error::Error;
use crate::journal::{Event, Record};
use crate::ledger::{AdmissionState, Epoch, Ledger};
use crate::name::{ExecutionId, GroupName, Region, StepId};
use crate::plan::{Action, Plan, Step, abort_steps};
use crate::state::Phase;
use crate::store::Promotion;

mod action;
mod open;
mod routing;

use action::{Judgement, change};
pub(crate) use open::OpenCalls;

/// From one question to the next while something is waited for.
const POLL: Duration = Duration::from_secs(1);

/// What an execution needs to know beside its plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) call_deadline: Duration,
    pub(crate) seal_wait: Duration,
    pub(crate) rate_margin: RateMargin,
    pub(crate) strategy: Strategy,
    pub(crate) standby: Share,
    /// Draws the jitter of retries.
    pub(crate) seed: u64,
}

/// What an execution wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Want {
    /// Make this call and hand its reply to [`Execution::replied`].
    Call { step: StepId, call: Call, deadline: Duration },
    /// Journal this; if a step is named, call [`Execution::journaled`] when it is durable.
    Journal { event: Event, then: Option<StepId> },
    /// Change the ledger for this step and call [`Execution::swapped`].
    Swap { step: StepId, change: Change },
    /// Call [`Execution::advance`] again at this moment.
    WakeAt(Moment),
    /// The first step after which nothing can be given up is about to begin.
    Commit,
    /// It waits for a person from now on.
    Pause { why: String, overdue: bool },
    /// It is being given up from now on.
    Abort { why: String },
    /// People are to know this.
    Warn { text: String },
    /// Every step is done or left out; it is to be ended in the ledger.
    Complete { aborted: bool },
}

/// A change of the ledger that a step stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Seal(Vec<Region>),
    Open(Region),
    Leave(Region),
    Reopen,
}

#[derive(Clone, Debug, PartialEq)]
enum Status {
    Pending,
    /// Not before this moment.
    Resting(Moment),
    /// A question is open.
    Asking,
    /// The intention is being journaled, since this moment.
    Journaling(Call, Moment),
    /// A call that changes something is open.
    Acting,
    /// The ledger is being changed.
    Swapping,
    /// The ledger was changed; gates may still be open until this moment.
    Holding(Moment),
    Done(String),
    Skipped(String),
    Failed(String),
}

impl Status {
    fn is_over(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Skipped(_))
    }

    /// Whether something outside was asked and has not answered.
    fn is_open(&self) -> bool {
        matches!(self, Self::Asking | Self::Journaling(..) | Self::Acting | Self::Swapping)
    }
}

#[derive(Debug)]
struct StepRun {
    step: Step,
    status: Status,
    attempt: u32,
    /// This process was told that the step's call was accepted.
    accepted: bool,
    /// It called itself the writer before anybody had promoted it in this execution.
    claimed: bool,
    /// It may act on what it sees; after an attempt it first waits a while, however good the call's answer was: what the
    /// cloud shows may lag behind what it accepted.
    rested: bool,
    since: Option<Moment>,
    delays: ExponentialBackoff,
    /// What is known of the routing, for a step that waits until clients follow.
    routing: routing::Look,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Running,
    Paused(String),
}

/// How far a step is, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepProgress {
    /// The step.
    pub step: StepId,
    /// Its phase.
    pub phase: Phase,
    /// What it does.
    pub what: String,
    /// `waiting`, `working`, `done`, `skipped` or `failed`.
    pub status: &'static str,
    /// What was seen, or why it is so.
    pub why: String,
}

/// One execution of one plan.
#[derive(Debug)]
pub(crate) struct Execution {
    id: ExecutionId,
    group: GroupName,
    plan: Arc<Plan>,
    epoch: Epoch,
    terms: Terms,
    steps: BTreeMap<StepId, StepRun>,
    order: Vec<StepId>,
    mode: Mode,
    committed: bool,
    aborting: bool,
    abort_asked: Option<String>,
    complete: bool,
    /// Calls that may still take effect.
    open: OpenCalls,
    /// Nothing new begins: another execution is about to take its place.
    held: bool,
    /// How often somebody else changed the routing since a person looked.
    misled: u32,
}

impl Execution {
    pub(crate) fn new(id: ExecutionId, plan: Arc<Plan>, epoch: Epoch, terms: Terms) -> Self {
        let mut execution = Self {
            id,
            group: plan.group.clone(),
            plan: plan.clone(),
            epoch,
            terms,
            steps: BTreeMap::new(),
            order: Vec::new(),
            mode: Mode::Running,
            committed: false,
            aborting: false,
            abort_asked: None,
            complete: false,
            open: OpenCalls::default(),
            held: false,
            misled: 0,
        };
        execution.load(&plan.steps);
        execution
    }

    /// An execution that somebody else began: what the journal says is done is done; what may still be under way is
    /// waited out, observed, and acted on only where there is a difference.
    pub(crate) fn resumed(
        id: ExecutionId,
        plan: Arc<Plan>,
        epoch: Epoch,
        terms: Terms,
        records: &[Record],
        now: Now,
    ) -> Self {
        let mut execution = Self::new(id, plan, epoch, terms);
        for record in records {
            execution.replay(record, now);
        }
        execution
    }

    /// The ledger says that it waits for a person, whatever the journal has of it: whoever acted before may have got no
    /// further than the one or the other.
    pub(crate) fn found_paused(&mut self, why: &str) {
        if self.paused().is_none() {
            self.mode = Mode::Paused(why.to_owned());
        }
    }

    fn replay(&mut self, record: &Record, now: Now) {
        self.open.replay(record, self.terms.rate_margin, now);
        match &record.event {
            Event::Aborting { .. } => self.give_up(),
            Event::Paused { why } => self.mode = Mode::Paused(why.clone()),
            Event::Resumed { .. } => self.mode = Mode::Running,
            Event::Intended { step, attempt, deadline, .. } => {
                let until = now.moment + self.terms.rate_margin.wait_for(*deadline);
                let Some(run) = self.steps.get_mut(step) else { return };
                (run.attempt, run.status) = (*attempt, Status::Resting(until));
                self.committed |= run.step.action.is_point_of_no_return();
            }
            Event::Done { step, how } => self.replay_end(step, Status::Done(how.clone())),
            Event::Skipped { step, why } => self.replay_end(step, Status::Skipped(why.clone())),
            Event::Failed { .. } | Event::TookOver | Event::Began { .. } | Event::Ended { .. } => {}
        }
    }

    fn replay_end(&mut self, step: &StepId, status: Status) {
        if let Some(run) = self.steps.get_mut(step) {
            self.committed |= run.step.action.is_point_of_no_return() && matches!(status, Status::Done(_));
            run.status = status;
        }
    }

    fn load(&mut self, steps: &[Step]) {
        self.order = steps.iter().map(|step| step.id.clone()).collect();
        let seed = self.terms.seed;
        let run = |(index, step): (usize, &Step)| {
            let delays = ExponentialBuilder::new()
                .with_min_delay(Duration::from_millis(250))
                .with_max_delay(Duration::from_secs(10))
                .with_jitter_seed(seed.wrapping_add(index as u64))
                .without_max_times()
                .build();
            (
                step.id.clone(),
                StepRun {
                    step: step.clone(),
                    status: Status::Pending,
                    attempt: 0,
                    accepted: false,
                    claimed: false,
                    rested: true,
                    since: None,
                    delays,
                    routing: routing::Look::default(),
                },
            )
        };
        self.steps = steps.iter().enumerate().map(run).collect();
    }

    fn give_up(&mut self) {
        if !self.aborting {
            self.aborting = true;
            self.abort_asked = None;
            self.mode = Mode::Running;
            let began = |step: &Step| self.steps.get(&step.id).is_some_and(|run| run.attempt > 0);
            let steps = abort_steps(&self.plan, self.terms.strategy, self.terms.standby, began);
            self.load(&steps);
        }
    }

    pub(crate) fn id(&self) -> &ExecutionId {
        &self.id
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.committed
    }

    pub(crate) fn is_aborting(&self) -> bool {
        self.aborting
    }

    pub(crate) fn paused(&self) -> Option<&str> {
        match &self.mode {
            Mode::Running => None,
            Mode::Paused(why) => Some(why),
        }
    }

    /// What only the ledger knows when somebody takes over. The change that names who serves may have landed and its
    /// record not: forward only.
    /// And what was superseded after a seal may have promoted already, wherever its journal ends: beside the ledger nobody
    /// knows, so that a seal of its own counts as well.
    pub(crate) fn inherit(&mut self, ledger: &Ledger) {
        let is = |region: &Region, wanted: AdmissionState| {
            ledger.admissions.get(region).is_some_and(|admission| admission.state == wanted)
        };
        let landed = |run: &StepRun| match &run.step.action {
            Action::Open { region } => is(region, AdmissionState::Active),
            Action::Leave { region } => is(region, AdmissionState::Standby),
            _ => false,
        };
        self.committed |= !self.aborting && self.steps.values().any(landed);
        let sealed = |state: &AdmissionState| matches!(state, AdmissionState::Sealed { .. });
        let passive = ledger.strategy == Strategy::ActivePassive;
        let midway = ledger.admissions.values().any(|admission| sealed(&admission.state))
            || ledger.admitted(&self.plan.to).is_some();
        self.committed |= passive && midway && !self.aborting && self.plan.supersedes.is_some();
    }

    /// Begins nothing new until it is released. What is open is waited for, and a question that is answered has no
    /// consequence.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Until when something of it may still take effect outside; none if nothing can.
    pub(crate) fn busy_until(&self, now: Moment) -> Option<Moment> {
        let acts =
            |run: &StepRun| matches!(run.status, Status::Journaling(..) | Status::Acting | Status::Swapping);
        let acting = self.steps.values().any(acts).then(|| now + POLL);
        self.open.until(now).max(acting)
    }

    /// The regions that must be up for what is still to be done.
    pub(crate) fn needs(&self) -> BTreeSet<Region> {
        let needed = self.steps.values().filter(|run| !run.status.is_over() && !run.step.best_effort);
        needed.flat_map(|run| run.step.needs.iter().cloned()).collect()
    }

    /// Whether the region that is left must still do its part: give its data, or hand over.
    pub(crate) fn drains(&self) -> bool {
        let asks = |action: &Action| {
            matches!(action, Action::Drain { .. } | Action::Promote { promotion: Promotion::Planned, .. })
        };
        self.steps.values().any(|run| !run.status.is_over() && asks(&run.step.action))
    }

    /// Whether nothing more may begin: it waits for a person, for open calls before it is given up, or for another execution
    /// to take its place.
    fn is_held(&self) -> bool {
        self.held || self.paused().is_some() || self.abort_asked.is_some()
    }

    /// The steps and how far they are.
    pub(crate) fn progress(&self) -> Vec<StepProgress> {
        self.order.iter().filter_map(|id| self.steps.get(id)).map(progress).collect()
    }

    // ----- what people say -----

    pub(crate) fn pause(&mut self, why: &str) -> Vec<Want> {
        if self.paused().is_some() || self.complete {
            return Vec::new();
        }
        self.mode = Mode::Paused(why.to_owned());
        vec![
            Want::Journal { event: Event::Paused { why: why.to_owned() }, then: None },
            Want::Pause { why: why.to_owned(), overdue: false },
        ]
    }

    /// Goes on; what failed is tried again.
    pub(crate) fn resume(&mut self, by: &str) -> Vec<Want> {
        if self.paused().is_none() {
            return Vec::new();
        }
        self.mode = Mode::Running;
        self.misled = 0;
        for run in self.steps.values_mut() {
            run.since = None;
            if matches!(run.status, Status::Failed(_)) {
                run.status = Status::Pending;
            }
        }
        vec![Want::Journal { event: Event::Resumed { by: by.to_owned() }, then: None }]
    }

    /// Gives the move up, as soon as no call is open, another actor's included.
    ///
    /// # Errors
    /// Past the point of no return.
    pub(crate) fn abort(&mut self, why: &str) -> Result<(), String> {
        if self.committed {
            return Err(
                "past the point of no return: forward only, or a new failover that supersedes this one"
                    .into(),
            );
        }
        if !self.aborting {
            self.abort_asked = Some(why.to_owned());
            self.mode = Mode::Running;
        }
        Ok(())
    }

    /// Leaves a step out.
    ///
    /// # Errors
    /// For a step that is not there, is over, or changes the ledger: without it there would be two writers, or none.
    pub(crate) fn skip(&mut self, id: &StepId, why: &str) -> Result<Vec<Want>, String> {
        let Some(run) = self.steps.get_mut(id) else { return Err(format!("there is no step {id}")) };
        if run.status.is_over() {
            return Err(format!("{id} is over already"));
        }
        if run.step.action.changes_ledger() {
            return Err(format!(
                "{id} changes the ledger: without it the move would be unsafe or without end"
            ));
        }
        run.status = Status::Skipped(why.to_owned());
        let event = Event::Skipped { step: id.clone(), why: why.to_owned() };
        Ok(vec![Want::Journal { event, then: None }])
    }

    // ----- what happened -----

    /// Begins everything that can begin.
    pub(crate) fn advance(&mut self, now: Moment) -> Vec<Want> {
        let mut wants = Vec::new();
        if let (Some(why), false) =
            (self.abort_asked.clone(), self.steps.values().any(|run| run.status.is_open()))
        {
            match self.open.until(now) {
                // A call that landed after what takes it back would stand: a fence at a region that serves again.
                Some(until) => wants.push(Want::WakeAt(until)),
                None => {
                    self.give_up();
                    wants.push(Want::Journal { event: Event::Aborting { why: why.clone() }, then: None });
                    wants.push(Want::Abort { why });
                }
            }
        }
        // What is about to be given up is not overdue any more.
        if self.held || self.abort_asked.is_some() {
            return wants;
        }
        self.overdue(now, &mut wants);
        if self.is_held() || self.complete {
            return wants;
        }
        for id in self.order.clone() {
            self.begin(now, &id, &mut wants);
        }
        if self.steps.values().all(|run| run.status.is_over()) && !self.looks_once_more(now, &mut wants) {
            match self.open.until(now) {
                // A step was left out while its call was open: what comes next must not meet that call.
                Some(until) => wants.push(Want::WakeAt(until)),
                None => {
                    self.complete = true;
                    wants.push(Want::Complete { aborted: self.aborting });
                }
            }
        }
        wants
    }

    fn begin(&mut self, now: Moment, id: &StepId, wants: &mut Vec<Want>) {
        let over = |id: &StepId| self.steps.get(id).is_none_or(|run| run.status.is_over());
        let Some(run) = self.steps.get(id) else { return };
        let ready = match run.status {
            Status::Pending => run.step.after.iter().all(over),
            Status::Resting(until) if now < until => {
                wants.push(Want::WakeAt(until));
                false
            }
            Status::Resting(_) => true,
            Status::Holding(until) if now < until => {
                wants.push(Want::WakeAt(until));
                false
            }
            Status::Holding(_) => {
                let how = "every gate has shut".to_owned();
                self.done(id, how, wants);
                // What waits for this step begins in the same round only if it comes later in the order, which it does.
                return;
            }
            _ => false,
        };
        if !ready {
            return;
        }
        let action = run.step.action.clone();
        let deadline = self.call_deadline(run);
        if let Some(change) = change(&action) {
            if action.is_point_of_no_return() && !self.committed {
                self.committed = true;
                wants.push(Want::Commit);
            }
            wants.push(Want::Swap { step: id.clone(), change });
            self.set(now, id, Status::Swapping);
        } else if let Some(call) = run.routing.question(&action).or_else(|| self.question(&action)) {
            wants.push(Want::Call { step: id.clone(), call, deadline });
            self.set(now, id, Status::Asking);
        } else if let Some(call) = self.deed(&action) {
            self.intend(now, id, call, wants);
        }
        if let Some(since) = self.steps.get(id).and_then(|run| run.since) {
            let limit = self.steps.get(id).map_or(Duration::ZERO, |run| run.step.deadline);
            wants.push(Want::WakeAt(since + limit));
        }
    }

    /// Best effort never holds a step's call open for longer than the step may take.
    fn call_deadline(&self, run: &StepRun) -> Duration {
        if run.step.best_effort {
            self.terms.call_deadline.min(run.step.deadline)
        } else {
            self.terms.call_deadline
        }
    }

    fn intend(&mut self, now: Moment, id: &StepId, call: Call, wants: &mut Vec<Want>) {
        let Some(run) = self.steps.get_mut(id) else { return };
        run.attempt += 1;
        run.rested = false;
        let attempt = run.attempt;
        let commits = run.step.action.is_point_of_no_return() && !self.committed;
        let deadline = self.steps.get(id).map_or(Duration::ZERO, |run| self.call_deadline(run));
        if commits {
            self.committed = true;
            wants.push(Want::Commit);
        }
        // The append may take half as long as the call: both together end within what is journaled.
        let deadline = deadline.saturating_mul(3) / 2;
        let lands = self.steps.get(id).and_then(|run| open::lands(&run.step));
        self.open.intended(id, attempt, now + deadline, lands.map(|span| now + span));
        let event = Event::Intended { step: id.clone(), attempt, deadline, lands };
        wants.push(Want::Journal { event, then: Some(id.clone()) });
        self.set(now, id, Status::Journaling(call, now));
    }

    /// The intention of a step is durable: the call may go out.
    pub(crate) fn journaled(&mut self, now: Moment, id: &StepId) -> Vec<Want> {
        let Some(run) = self.steps.get(id) else { return Vec::new() };
        let Status::Journaling(call, since) = run.status.clone() else { return Vec::new() };
        if self.held {
            self.open.settled(id, run.attempt);
            self.set(now, id, Status::Resting(now));
            return Vec::new();
        }
        let deadline = self.call_deadline(run);
        if now.since(since) > deadline / 2 {
            // Too long ago (a slow append, or a process that slept): whoever takes over would not wait for this call any
            // more. The intention is journaled anew.
            let mut wants = Vec::new();
            self.open.settled(id, run.attempt);
            match self.is_held() {
                true => self.set(now, id, Status::Resting(now)),
                false => self.intend(now, id, call, &mut wants),
            }
            return wants;
        }
        self.set(now, id, Status::Acting);
        vec![Want::Call { step: id.clone(), call, deadline }]
    }

    /// The ledger was changed for a step, or cannot be.
    pub(crate) fn swapped(&mut self, now: Moment, id: &StepId, result: Result<(), Error>) -> Vec<Want> {
        let Some(run) = self.steps.get(id) else { return Vec::new() };
        if run.status != Status::Swapping {
            return Vec::new();
        }
        let sealing = matches!(run.step.action, Action::Seal { .. });
        let mut wants = Vec::new();
        match result {
            Ok(()) if sealing => self.set(now, id, Status::Holding(now + self.terms.seal_wait)),
            Ok(()) => self.done(id, "the ledger says so".to_owned(), &mut wants),
            Err(error) => self.failed(now, id, &error, &mut wants),
        }
        wants.extend(self.advance(now));
        wants
    }

    /// A call of a step was answered.
    pub(crate) fn replied(&mut self, now: Moment, id: &StepId, reply: Reply) -> Vec<Want> {
        let Some(run) = self.steps.get_mut(id) else { return Vec::new() };
        if !matches!(run.status, Status::Asking | Status::Acting) {
            return Vec::new();
        }
        let acting = run.status == Status::Acting;
        if self.held && !acting {
            // Another move is about to take its place: what was asked for this one has no consequence any more.
            self.set(now, id, Status::Resting(now));
            return Vec::new();
        }
        match &reply {
            Reply::Promote(Ok(())) if acting => self.open.accepted(id, run.attempt),
            reply if acting && open::settles(reply) => self.open.settled(id, run.attempt),
            _ => {}
        }
        run.accepted |= acting && matches!(reply, Reply::Promote(Ok(())));
        // Once a call went out, what is seen is its doing, though its answer may be lost; unless it was seen before.
        let accepted = run.accepted || (run.attempt > 0 && !run.claimed);
        let action = run.step.action.clone();
        run.claimed |= !accepted && action::claims(&action, &reply);
        let mut wants = Vec::new();
        if self.looked_at_routing(now, id, &action, &reply, &mut wants) {
            wants.extend(self.advance(now));
            return wants;
        }
        match self.judge(&action, reply, acting, accepted) {
            Judgement::Good(how) => self.done(id, how, &mut wants),
            Judgement::Look => self.set(now, id, Status::Resting(now)),
            Judgement::Wait => self.set(now, id, Status::Resting(now + POLL)),
            // Nothing is begun any more: whether it is still needed is asked again when it goes on.
            Judgement::Act(_) if self.is_held() => self.set(now, id, Status::Resting(now)),
            Judgement::Act(_) if !self.has_rested(id) => self.rest(now, id, None),
            Judgement::Act(call) => self.intend(now, id, call, &mut wants),
            Judgement::Veto(reason) => self.veto(now, id, &reason, &mut wants),
            Judgement::Failed(error) => self.failed(now, id, &error, &mut wants),
        }
        wants.extend(self.advance(now));
        wants
    }

    /// The ledger refused to end it: a person must look, and once they say go on it is tried again.
    pub(crate) fn cannot_end(&mut self, why: String) -> Vec<Want> {
        let mut wants = Vec::new();
        self.complete = false;
        self.wait_for_person(why, false, &mut wants);
        wants
    }

    fn set(&mut self, now: Moment, id: &StepId, status: Status) {
        if let Some(run) = self.steps.get_mut(id) {
            run.since.get_or_insert(now);
            run.status = status;
        }
    }

    fn done(&mut self, id: &StepId, how: String, wants: &mut Vec<Want>) {
        let Some(run) = self.steps.get_mut(id) else { return };
        run.status = Status::Done(how.clone());
        self.open.landed(id);
        wants.push(Want::Journal { event: Event::Done { step: id.clone(), how }, then: None });
    }

    fn has_rested(&self, id: &StepId) -> bool {
        self.steps.get(id).is_none_or(|run| run.rested)
    }

    /// Waits before the next attempt, longer each time.
    fn rest(&mut self, now: Moment, id: &StepId, at_least: Option<Duration>) {
        let Some(run) = self.steps.get_mut(id) else { return };
        run.rested = true;
        let delay = run.delays.next().unwrap_or(POLL).max(at_least.unwrap_or_default());
        self.set(now, id, Status::Resting(now + delay));
    }

    fn failed(&mut self, now: Moment, id: &StepId, error: &Error, wants: &mut Vec<Want>) {
        let Some(run) = self.steps.get_mut(id) else { return };
        let event = Event::Failed { step: id.clone(), attempt: run.attempt, error: error.to_string() };
        wants.push(Want::Journal { event, then: None });
        if error.can_retry() {
            self.rest(now, id, error.retry_after());
        } else if run.step.best_effort {
            let why = format!("best effort: {error}");
            run.status = Status::Skipped(why.clone());
            wants.push(Want::Journal { event: Event::Skipped { step: id.clone(), why }, then: None });
        } else {
            run.status = Status::Failed(error.to_string());
            self.wait_for_person(format!("{id} failed: {error}"), false, wants);
        }
    }

    fn veto(&mut self, now: Moment, id: &StepId, reason: &str, wants: &mut Vec<Want>) {
        let why = format!("vetoed at {id}: {reason}");
        if self.committed {
            self.set(now, id, Status::Failed(why.clone()));
            self.wait_for_person(why, false, wants);
        } else {
            self.set(now, id, Status::Failed(why.clone()));
            self.abort_asked = Some(why);
        }
    }

    fn wait_for_person(&mut self, why: String, overdue: bool, wants: &mut Vec<Want>) {
        if self.paused().is_none() && self.abort_asked.is_none() {
            self.mode = Mode::Paused(why.clone());
            wants.push(Want::Journal { event: Event::Paused { why: why.clone() }, then: None });
            wants.push(Want::Pause { why, overdue });
        }
    }

    /// Best effort ends at its deadline; everything else then needs a person.
    fn overdue(&mut self, now: Moment, wants: &mut Vec<Want>) {
        let late: Vec<StepId> = self
            .steps
            .iter()
            .filter(|(_, run)| {
                !run.status.is_over() && !matches!(run.status, Status::Holding(_) | Status::Failed(_))
            })
            .filter(|(_, run)| run.since.is_some_and(|since| now >= since + run.step.deadline))
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            let Some(run) = self.steps.get_mut(&id) else { continue };
            if run.step.best_effort {
                let why = format!("best effort: not done within {:?}", run.step.deadline);
                run.status = Status::Skipped(why.clone());
                wants.push(Want::Journal { event: Event::Skipped { step: id, why }, then: None });
            } else {
                let reason = run.routing.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                let why = format!("{id} is not done within {:?}{reason}", run.step.deadline);
                self.wait_for_person(why, true, wants);
            }
        }
    }
}

#[cfg(test)]
impl Execution {
    /// What tells it apart, at this moment, from others of the same plan: two that have the same key do the same from now
    /// on, as long as nothing is overdue.
    pub(crate) fn key(&self, now: Moment) -> String {
        let Self {
            id,
            group: _,
            plan: _,
            epoch,
            terms: _,
            steps,
            order,
            mode,
            committed,
            aborting,
            abort_asked,
            complete,
            open,
            held,
            misled,
        } = self;
        let flags = [committed, aborting, complete, held];
        let mut key = format!("{id} {epoch} {mode:?} {flags:?} {abort_asked:?} {open:?} {misled}");
        for run in order.iter().filter_map(|id| steps.get(id)) {
            let StepRun { step, status, attempt, accepted, claimed, rested, since: _, delays, routing } = run;
            let status = match status {
                Status::Resting(until) => &Status::Resting(now.max(*until)),
                status => status,
            };
            let flags = [accepted, claimed, rested];
            key.push_str(&format!("; {} {status:?} {attempt} {flags:?} {delays:?} {routing:?}", step.id));
        }
        key
    }
}

fn progress(run: &StepRun) -> StepProgress {
    let (status, why) = match &run.status {
        Status::Pending => ("waiting", String::new()),
        Status::Done(how) => ("done", how.clone()),
        Status::Skipped(why) => ("skipped", why.clone()),
        Status::Failed(why) => ("failed", why.clone()),
        Status::Holding(_) => ("working", "waiting until every gate has shut".to_owned()),
        _ => ("working", String::new()),
    };
    let Step { id, phase, action, .. } = &run.step;
    StepProgress { step: id.clone(), phase: *phase, what: action.describe(), status, why }
}

#[cfg(test)]
mod tests;
