//! The loop of one actor for one group: watch, decide, carry out. Many may run; the lease says which one acts.
//!
//! [`Controller`] is a [`Machine`]: it is told what happened and says what to do. The async driver
//! ([`drive`](crate::drive)) runs it against a cloud, the simulation runs the very same code on an event heap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::call::{Call, CallId, Input, Machine, Output, Reply, Request};
use crate::check::{Assessment, Fitness};
use crate::clock::{Moment, Now};
use crate::deployment::{Deployment, GroupSpec};
use crate::detect::Verdict;
use crate::error::{Error, ErrorKind};
use crate::execute::{Execution, StepProgress};
use crate::facts::{Catalog, Facts, RecentMoves, Situation};
use crate::guard::{GuardAnswer, Initiator};
use crate::journal::Record;
use crate::ledger::{GroupCells, Ledger, Outcome, Term, Token};
use crate::name::{ActorId, ExecutionId, GroupName, Region, ResourceName, StepId, VantageName};
use crate::notify::{Notice, Severity};
use crate::plan::{Plan, PlanHash};
use crate::report::Report;
use crate::state::{State, Trigger};
use crate::traffic::Weights;

mod at_rest;
mod begin;
mod carry;
mod journal;
mod lease;
mod misplaced;
mod misrouted;
mod orders;
mod reconcile;
mod turn;
mod watch;

#[cfg(test)]
pub(crate) use carry::move_epoch;
use journal::JournalWriter;
#[cfg(test)]
pub(crate) use lease::may_take;
use lease::{LeaseRole, LedgerView};
use watch::Watch;

/// The shortest sleep.
const BREATH: Duration = Duration::from_millis(50);
/// The pause before a call that failed is made again.
const RETRY: Duration = Duration::from_millis(500);

/// What an actor is there for.
#[derive(Clone, Debug, PartialEq)]
pub enum Mandate {
    /// To watch, and to act as far as the policy allows.
    Watch,
    /// To carry out this plan for a person, and to hand the lease back.
    Carry(Arc<Plan>),
    /// To finish what is under way for a person, and to hand the lease back.
    Finish {
        /// Who wants it.
        by: String,
    },
}

/// What a controller needs to know from the start.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// The deployment.
    pub deployment: Arc<Deployment>,
    /// The group it acts for.
    pub group: GroupName,
    /// Its name, unique to this process.
    pub actor: ActorId,
    /// The vantage that it watches from; none watches nothing.
    pub vantage: Option<VantageName>,
    /// The region that it runs in; none for the witness's site or an operator's machine.
    pub local_region: Option<Region>,
    /// What it is there for.
    pub mandate: Mandate,
    /// What the resources can do.
    pub catalog: Catalog,
    /// Draws the jitter of retries.
    pub seed: u64,
}

/// How a person's mandate ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The execution ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// What was predicted and what was measured.
        report: Report,
    },
    /// It waits for a person; the ledger says so, and any process can resume it.
    Paused {
        /// Why.
        why: String,
        /// A step's deadline passed.
        overdue: bool,
    },
    /// Nothing was begun, and why.
    Refused(String),
    /// Somebody else acts for the group now.
    Superseded(String),
    /// The ledger or the journal cannot be used.
    Failed(Error),
}

/// Something that happened, for people who watch.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// When, by the actor's own clock.
    pub moment: Moment,
    /// What.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// The group's state changed.
    State {
        /// It was.
        from: State,
        /// It is.
        to: State,
        /// Why.
        why: String,
    },
    /// A region is called something else than before.
    Verdict(Region, Verdict),
    /// This actor holds the lease now.
    TookLease(Term),
    /// This actor no longer holds it.
    LostLease(String),
    /// A plan was made.
    Planned(Arc<Plan>),
    /// Guards refused a plan.
    Refused(Vec<GuardAnswer>),
    /// A step is over.
    Step(StepId, String),
    /// An execution ended.
    Ended(Outcome, Box<Report>),
    /// Something went wrong that does not end anything.
    Trouble(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Tag {
    LedgerLoad,
    LedgerSwap,
    SlotLoad(u64),
    SlotSwap,
    PlanLoad(PlanHash),
    PlanStore(PlanHash),
    Step(ExecutionId, StepId),
    Control { round: u64 },
    Probe { round: u64, region: Region, check: ResourceName },
    BallotLoad(VantageName),
    BallotStore,
    Status(ResourceName),
    Routing(ResourceName),
    Capacity(ResourceName, Region),
    Reconcile(ResourceName),
    RecentLoad,
    RecentStore,
    Forget,
}

/// One actor for one group.
#[derive(Debug)]
pub struct Controller {
    settings: ControllerSettings,
    cells: GroupCells,
    calls: BTreeMap<CallId, Tag>,
    next_call: u64,
    tokens: u64,
    out: Vec<Output>,
    /// The moments that it asked to be woken at.
    armed: BTreeSet<Moment>,
    /// Calls that are made again after a pause, because the last attempt failed.
    later: Vec<(Moment, Tag, Call)>,
    news: Vec<News>,
    view: LedgerView,
    role: LeaseRole,
    journal: JournalWriter,
    watch: Watch,
    reconciling: reconcile::Reconciling,
    facts: Facts,
    recent: Option<RecentMoves>,
    recent_version: Option<crate::cell::CellVersion>,
    execution: Option<Execution>,
    records: Vec<Record>,
    plans: BTreeMap<PlanHash, Arc<Plan>>,
    state: State,
    pending: carry::Pending,
    next_decision: Moment,
    /// The guards that refuse, as people were told.
    refused: Option<String>,
    /// When one did so last.
    refused_at: Option<Moment>,
    /// The planned move that was given up last, and since when that is known here.
    given_up: Option<(ExecutionId, Moment)>,
    /// Routers that send clients where nobody serves.
    misrouted: at_rest::Differences<Weights>,
    /// Stores whose writer is not the region that serves.
    misplaced: at_rest::Differences<String>,
    ending: Option<Ending>,
    handed_back: bool,
    /// A slot of the journal and its term, for which this actor gave way: the ledger must have given that term.
    overtaken: Option<(u64, crate::ledger::Term)>,
    /// The journal contradicts itself, or the ledger must not be changed: this actor does nothing more.
    halted: bool,
    now: Now,
}

impl Controller {
    /// A controller that knows nothing yet but its settings.
    ///
    /// # Errors
    /// `InvalidInput` if the deployment has no such group, or no such vantage.
    pub fn new(settings: ControllerSettings) -> crate::error::Result<Self> {
        let spec = settings.deployment.spec();
        let invalid = |message: String| Error::new(ErrorKind::InvalidInput, "start a controller", message);
        if settings.deployment.group(&settings.group).is_none() {
            return Err(invalid(format!("the deployment has no group {}", settings.group)));
        }
        if let Some(vantage) = &settings.vantage
            && !spec.vantages.iter().any(|known| known.name == *vantage)
        {
            return Err(invalid(format!("the deployment has no vantage {vantage}")));
        }
        let cells = GroupCells::new(&spec.name, &settings.group);
        let watch = Watch::new(&settings);
        Ok(Self {
            cells,
            calls: BTreeMap::new(),
            next_call: 0,
            tokens: 0,
            out: Vec::new(),
            armed: BTreeSet::new(),
            later: Vec::new(),
            news: Vec::new(),
            view: LedgerView::default(),
            role: LeaseRole::default(),
            journal: JournalWriter::default(),
            watch,
            reconciling: reconcile::Reconciling::default(),
            facts: Facts::default(),
            recent: None,
            recent_version: None,
            execution: None,
            records: Vec::new(),
            plans: BTreeMap::new(),
            state: State::Steady,
            pending: carry::Pending::default(),
            next_decision: Moment::START,
            refused: None,
            refused_at: None,
            given_up: None,
            misrouted: at_rest::Differences::default(),
            misplaced: at_rest::Differences::default(),
            ending: None,
            handed_back: false,
            overtaken: None,
            halted: false,
            now: Now { moment: Moment::START, wall: Timestamp::UNIX_EPOCH },
            settings,
        })
    }

    // ----- what others may know -----

    /// The group's state, as this actor sees it.
    pub fn state(&self) -> State {
        self.state
    }

    /// The ledger, as last read.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.view.ledger()
    }

    /// The term under which this actor acts, if it does.
    pub fn term(&self) -> Option<Term> {
        self.role.leading()
    }

    /// What is known.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What the vantages say of a region.
    pub fn verdict(&self, region: &Region) -> Option<&Verdict> {
        self.watch.verdict(region)
    }

    /// The plan being carried out by this actor, and how far each step is.
    pub fn progress(&self) -> Option<(Arc<Plan>, Vec<StepProgress>)> {
        self.execution.as_ref().map(|execution| (execution.plan().clone(), execution.progress()))
    }

    /// How this actor's mandate ended; `None` while it goes on, and for [`Mandate::Watch`] always.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref().filter(|_| self.handed_back || self.role.holding().is_none())
    }

    /// What happened since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Whether something is under way that a pause would hold.
    pub fn can_pause(&self) -> bool {
        self.execution.is_some() || self.role.holding().is_some()
    }

    /// Pauses the execution, if one is under way: no further step begins. For Ctrl-C.
    pub fn pause(&mut self, now: Now, why: &str) -> Vec<Output> {
        self.now = now;
        match &mut self.execution {
            Some(execution) => {
                let wants = execution.pause(why);
                self.fulfil(wants);
            }
            // Its fate is not known yet: if it begins, it pauses at once.
            None if self.view.has(lease::Purpose::begins) => self.pending.pause = Some(why.to_owned()),
            None => {
                self.pending.begin = None;
                self.finish_mandate(Ending::Refused(format!("{why} before anything was begun")));
            }
        }
        self.run();
        std::mem::take(&mut self.out)
    }

    // ----- the parts' common needs -----

    fn deployment(&self) -> &Deployment {
        &self.settings.deployment
    }

    fn group(&self) -> &GroupSpec {
        // `new` has checked that the group is there.
        let spec = self.settings.deployment.spec();
        let found = spec.groups.iter().find(|group| group.name == self.settings.group);
        found.unwrap_or(&spec.groups[0])
    }

    fn moment(&self) -> Moment {
        self.now.moment
    }

    fn timing(&self) -> crate::deployment::Timing {
        self.settings.deployment.spec().policy.timing
    }

    fn watches(&self) -> bool {
        self.settings.mandate == Mandate::Watch
    }

    fn call(&mut self, tag: Tag, call: Call, deadline: Duration) {
        self.next_call += 1;
        let id = CallId(self.next_call);
        self.calls.insert(id, tag);
        self.out.push(Output::Call(Request { id, call, deadline }));
    }

    /// Makes a call again, after a pause: a failing service is not asked in a tight loop.
    fn call_again(&mut self, tag: Tag, call: Call) {
        let at = self.moment() + RETRY;
        self.later.push((at, tag, call));
        self.wake_at(at);
    }

    /// The next call of a swap: at once after a lost race, after a pause when nothing came of the last one.
    fn swap_on(&mut self, tag: Tag, call: Call, lost: bool) {
        if lost {
            let deadline = self.timing().call_deadline;
            self.call(tag, call, deadline);
        } else {
            self.call_again(tag, call);
        }
    }

    fn run_later(&mut self) {
        let now = self.moment();
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _, _)| *at <= now);
        self.later = later;
        let due: Vec<(Moment, Tag, Call)> = due;
        let deadline = self.timing().call_deadline;
        for (_, tag, call) in due {
            self.call(tag, call, deadline);
        }
    }

    /// Asks to be woken, once for each moment, and never at once: what can be done now is done now. What is due already waits
    /// for something else, and is looked at again soon.
    fn wake_at(&mut self, at: Moment) {
        if at <= self.moment() {
            return self.wake_within(BREATH);
        }
        let at = at.max(self.moment() + BREATH);
        if self.armed.insert(at) {
            self.out.push(Output::WakeAt(at));
        }
    }

    /// Asks to be woken before so much time has passed. Every wake looks at everything, so that any that is asked for already
    /// will do: else each answer in a long wait would begin a row of wakes of its own.
    fn wake_within(&mut self, span: Duration) {
        let latest = self.moment() + span;
        if self.armed.first().is_none_or(|first| *first > latest) {
            self.armed.insert(latest);
            self.out.push(Output::WakeAt(latest));
        }
    }

    /// Asks to be woken at a moment, or, if that has come already, before so much time has passed.
    fn wake_at_or_within(&mut self, at: Moment, span: Duration) {
        if at > self.moment() { self.wake_at(at) } else { self.wake_within(span) }
    }

    fn waits_for(&self, wanted: impl Fn(&Tag) -> bool) -> bool {
        self.calls.values().any(&wanted) || self.later.iter().any(|(_, tag, _)| wanted(tag))
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token::new(&self.settings.actor, self.tokens)
    }

    fn tell(&mut self, what: Happening) {
        self.news.push(News { at: self.now.wall, moment: self.now.moment, what });
    }

    fn notify(&mut self, severity: Severity, text: String) {
        let notice = Notice {
            at: self.now.wall,
            severity,
            group: self.settings.group.clone(),
            execution: self.execution.as_ref().map(|execution| execution.id().clone()),
            text,
        };
        let deadline = self.timing().call_deadline;
        self.call(Tag::Forget, Call::Notify { notice }, deadline);
    }

    /// Changes state by a row of the table; a trigger that the table does not have here changes nothing.
    fn transition(&mut self, trigger: Trigger, why: &str) {
        let Some(to) = self.state.on(trigger) else { return };
        let from = std::mem::replace(&mut self.state, to);
        if from != to {
            self.tell(Happening::State { from, to, why: why.to_owned() });
        }
    }

    fn situation<'a>(&'a self, ledger: &'a Ledger, initiator: Initiator) -> Situation<'a> {
        Situation {
            deployment: self.deployment(),
            group: self.group(),
            ledger,
            facts: &self.facts,
            catalog: &self.settings.catalog,
            recent: self.recent.as_ref(),
            initiator,
            now: self.now,
        }
    }

    fn finish_mandate(&mut self, ending: Ending) {
        if self.watches() || self.ending.is_some() {
            return;
        }
        self.ending = Some(ending);
    }

    // ----- the loop -----

    /// Does everything that can be done now. Called at the end of every step; doing it twice does nothing more.
    fn run(&mut self) {
        self.run_later();
        self.run_watch();
        self.run_lease();
        self.run_execution();
        self.run_decision();
        self.run_reconcile();
        self.run_journal();
        self.run_swaps();
    }

    fn answered(&mut self, tag: Tag, reply: Reply) {
        match tag {
            Tag::LedgerLoad => self.ledger_loaded(reply),
            Tag::LedgerSwap => self.ledger_swapped(reply),
            Tag::SlotLoad(number) => self.slot_loaded(number, reply),
            Tag::SlotSwap => self.slot_swapped(reply),
            Tag::PlanLoad(hash) => self.plan_loaded(&hash, reply),
            Tag::PlanStore(hash) => self.plan_stored(&hash, reply),
            Tag::Step(execution, step) => self.step_replied(&execution, &step, reply),
            Tag::Control { round } => self.control_answered(round, reply),
            Tag::Probe { round, region, check } => self.probe_answered(round, &region, &check, reply),
            Tag::BallotLoad(vantage) => self.ballot_loaded(&vantage, reply),
            Tag::BallotStore => self.ballot_stored(reply),
            Tag::Status(store) => {
                self.status_answered(&store, reply);
                self.judge_writer(&store);
            }
            Tag::Routing(router) => {
                self.routing_answered(&router, reply);
                self.judge_routing(&router);
            }
            Tag::Capacity(scaler, region) => self.capacity_answered(&scaler, &region, reply),
            Tag::Reconcile(store) => self.reconciled(&store, reply),
            Tag::RecentLoad => self.recent_loaded(reply),
            Tag::RecentStore => self.recent_stored(reply),
            Tag::Forget => {}
        }
    }
}

/// No answer at all is what a lost region looks like; any other error says that the question could not be put.
///
/// # Errors
/// The error, if it says nothing of the region.
pub(crate) fn silence_is_unfit(error: Error) -> crate::error::Result<Assessment> {
    match error.kind() {
        ErrorKind::Timeout | ErrorKind::Unavailable => Ok(Assessment::new(Fitness::Unfit, error.to_string())),
        _ => Err(error),
    }
}

impl Machine for Controller {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.now = now;
        self.armed = self.armed.split_off(&(now.moment + Duration::from_nanos(1)));
        if let Input::Reply { id, reply } = input {
            // A reply to a call that was given up, or of a time before this actor lost the lease, says nothing new.
            if let Some(tag) = self.calls.remove(&id) {
                self.answered(tag, reply);
            }
        }
        self.run();
        std::mem::take(&mut self.out)
    }
}
