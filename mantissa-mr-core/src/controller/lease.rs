//! Reading and changing the ledger, one swap at a time; taking, keeping and losing the lease.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Controller, Ending, Happening, Tag};
use crate::call::{Call, Reply};
use crate::cell::{Cell, CellVersion, Expected, StoreOutcome};
use crate::clock::Moment;
use crate::deployment::Policy;
use crate::error::{Error, ErrorKind};
use crate::execute::Change;
use crate::journal::ahead;
use crate::ledger::{Ended, Lease, Ledger, LedgerRefusal, Order, OrderKind, Proposal, Running, Term};
use crate::name::{ExecutionId, Region, StepId};
use crate::notify::Severity;
use crate::register::{Next, Swap, writer};

/// What is known of the ledger, and what is being changed in it.
#[derive(Debug, Default)]
pub(super) struct LedgerView {
    read: Option<(CellVersion, Ledger)>,
    stale: bool,
    next_read: Moment,
    /// After a failure nothing is asked of the ledger before this: a service in trouble is not asked in a tight loop.
    rests_until: Moment,
    queue: VecDeque<Purpose>,
    swap: Option<(Swap, Purpose, Ledger)>,
    /// A begin that was let go may land as long as the ledger is at this version.
    doubt: Option<CellVersion>,
    /// Since when no question to it was answered.
    silent_since: Option<Moment>,
    /// Whether people were told so.
    silence_told: bool,
}

impl LedgerView {
    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.read.as_ref().map(|(_, ledger)| ledger)
    }

    /// Whether somebody else may have changed it since it was read.
    pub(super) fn stale(&self) -> bool {
        self.stale || self.read.is_none()
    }

    /// Whether a begin that was let go may have landed, or may land yet.
    pub(super) fn in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    fn found(&mut self, version: CellVersion, ledger: Ledger) {
        self.doubt.take_if(|doubt| *doubt != version);
        self.read = Some((version, ledger));
    }

    pub(super) fn has(&self, wanted: impl Fn(&Purpose) -> bool) -> bool {
        self.queue.iter().any(&wanted) || self.swap.as_ref().is_some_and(|(_, purpose, _)| wanted(purpose))
    }
}

/// This actor's part in the group.
#[derive(Debug, Default)]
pub(super) enum LeaseRole {
    /// It watches whoever holds the lease.
    #[default]
    Unsure,
    Following {
        seen: Lease,
        since: Moment,
    },
    /// It has the lease and reads the journal, which may take longer than the lease lasts.
    Recovering {
        term: Term,
        last_beat: Moment,
    },
    Leading {
        term: Term,
        last_beat: Moment,
    },
}

impl LeaseRole {
    pub(super) fn leading(&self) -> Option<Term> {
        match self {
            Self::Leading { term, .. } => Some(*term),
            _ => None,
        }
    }

    pub(super) fn holding(&self) -> Option<Term> {
        match self {
            Self::Leading { term, .. } | Self::Recovering { term, .. } => Some(*term),
            _ => None,
        }
    }
}

/// Why the ledger is to be changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Purpose {
    Acquire(Lease),
    Release,
    Beat,
    Begin { running: Running, planned: crate::ledger::Basis },
    Supersede { old: ExecutionId, running: Running, planned: crate::ledger::Basis },
    Step { execution: ExecutionId, step: StepId, change: Change },
    SetPaused { execution: ExecutionId, why: Option<String> },
    Propose(Option<Proposal>),
    Orders(Vec<Order>),
    End(Ended),
}

impl Purpose {
    /// Whether an execution begins with it.
    pub(super) fn begins(&self) -> bool {
        matches!(self, Self::Begin { .. } | Self::Supersede { .. })
    }

    /// The lowest goes first.
    fn rank(&self) -> u8 {
        match self {
            Self::Acquire(_) | Self::Begin { .. } | Self::Supersede { .. } | Self::Step { .. } => 0,
            Self::End(_) | Self::SetPaused { .. } => 1,
            Self::Orders(_) | Self::Propose(_) => 2,
            Self::Beat => 3,
            Self::Release => 4,
        }
    }

    fn apply(&self, ledger: &Ledger, term: Term, me: &crate::name::ActorId) -> Result<Ledger, LedgerRefusal> {
        match self {
            Self::Acquire(_) => Ok(ledger.acquire(me)),
            Self::Release => ledger.release(term),
            Self::Beat => ledger.beat(term),
            Self::Begin { running, planned } => ledger.begin(term, *planned, running.clone()),
            Self::Supersede { old, running, planned } => {
                ledger.supersede(term, old, *planned, running.clone())
            }
            Self::Step { execution: id, change, .. } => match change {
                Change::Seal(regions) => ledger.seal(term, id, regions),
                Change::Open(region) => ledger.open(term, id, region),
                Change::Leave(region) => ledger.leave(term, id, region),
                Change::Reopen => ledger.reopen(term, id),
            },
            Self::SetPaused { execution, why } => ledger.beat(term).map(|mut next| {
                if let Some(running) = next.execution.as_mut().filter(|running| running.id == *execution) {
                    running.paused = why.clone();
                }
                next
            }),
            Self::Propose(proposal) => {
                ledger.beat(term).map(|next| Ledger { proposal: proposal.clone(), ..next })
            }
            Self::Orders(done) => ledger.beat(term).map(|mut next| {
                next.orders.retain(|order| !done.contains(order));
                if done.iter().any(|order| order.what == OrderKind::Acknowledge)
                    && let Some(ended) = &mut next.ended
                {
                    ended.acknowledged = true;
                }
                next
            }),
            Self::End(ended) => ledger.finish(term, ended.clone()),
        }
    }
}

/// Whether an actor in this region may take the lease, which it has seen unchanged for this long; one that watches, or a
/// person's command.
pub(crate) fn may_take(
    policy: &Policy,
    ledger: &Ledger,
    here: Option<&Region>,
    watches: bool,
    waited: Duration,
) -> bool {
    let lease = policy.gate.rate_margin.wait_for(policy.timing.lease);
    // A region that is about to fail is the worst place to act from: others have the first chance.
    let active_here = here.is_some_and(|here| ledger.admitted(here).is_some());
    let courtesy = if active_here { policy.timing.lease / 2 } else { Duration::ZERO };
    let silent = waited >= lease.saturating_add(courtesy);
    let free = ledger.lease.holder.is_none();
    let idle = ledger.execution.as_ref().is_none_or(|running| running.paused.is_some());
    match watches {
        // Right after a start, a free lease is not taken before a beat has passed: a watcher does not rush.
        true => silent || (free && waited >= policy.timing.beat.saturating_add(courtesy)),
        false => free || idle || silent,
    }
}

impl Controller {
    // ----- reading -----

    /// Reads the ledger when it is time, keeps the lease alive, or takes it.
    pub(super) fn run_lease(&mut self) {
        let timing = self.timing();
        let now = self.moment();
        if self.view.swap.is_none() && !self.waits_for(|tag| *tag == Tag::LedgerLoad) {
            let due = now >= self.view.next_read && self.role.holding().is_none();
            let wanted = self.view.read.is_none() || self.view.stale || due;
            if wanted && now < self.view.rests_until {
                self.wake_at(self.view.rests_until);
            } else if wanted {
                self.view.next_read = now + timing.beat;
                let call = Call::Load { cell: self.cells.ledger() };
                self.call(Tag::LedgerLoad, call, timing.call_deadline);
            }
        }
        match &self.role {
            LeaseRole::Leading { last_beat, .. } | LeaseRole::Recovering { last_beat, .. } => {
                let due = *last_beat + timing.beat;
                if now >= due && !self.view.has(|_| true) {
                    self.change_ledger(Purpose::Beat);
                }
                self.wake_at_or_within(due, timing.beat / 4);
            }
            LeaseRole::Following { .. } => {
                self.consider_taking();
                let at = self.view.next_read;
                self.wake_at_or_within(at, timing.beat / 4);
            }
            LeaseRole::Unsure => self.wake_at(self.view.next_read),
        }
    }

    fn hear_or_miss(&mut self, reply: &Reply) {
        match reply {
            Reply::Load(Ok(_)) | Reply::Store(Ok(StoreOutcome::Applied { .. } | StoreOutcome::Lost)) => {
                self.heard_ledger();
            }
            _ => self.miss_ledger(),
        }
    }

    /// The ledger did not answer. If that lasts, people are told: without it gates shut and nothing moves, and nobody else
    /// would say why.
    fn miss_ledger(&mut self) {
        let (now, patience) = (self.moment(), self.timing().lease);
        let since = *self.view.silent_since.get_or_insert(now);
        if self.view.silence_told || now.since(since) < patience {
            return;
        }
        self.view.silence_told = true;
        let text = format!(
            "{} gets no answer from the ledger: gates that get none shut, and nothing moves by itself",
            self.settings.actor
        );
        self.tell(Happening::Trouble(text.clone()));
        self.notify(Severity::Critical, text);
    }

    /// The ledger answered.
    fn heard_ledger(&mut self) {
        self.view.silent_since = None;
        if std::mem::take(&mut self.view.silence_told) {
            let text = format!("the ledger answers {} again", self.settings.actor);
            self.tell(Happening::Trouble(text.clone()));
            self.notify(Severity::Warning, text);
        }
    }

    fn consider_taking(&mut self) {
        let LeaseRole::Following { seen, since } = &self.role else { return };
        let (Some(ledger), false) = (self.view.ledger(), self.view.stale) else { return };
        if self.halted
            || self.ending.is_some()
            || self.view.has(|purpose| matches!(purpose, Purpose::Acquire(_)))
        {
            return;
        }
        let here = self.settings.local_region.as_ref();
        let waited = self.moment().since(*since);
        let policy = &self.deployment().spec().policy;
        if may_take(policy, ledger, here, self.watches(), waited) {
            let seen = seen.clone();
            self.change_ledger(Purpose::Acquire(seen));
        }
    }

    pub(super) fn ledger_loaded(&mut self, reply: Reply) {
        self.hear_or_miss(&reply);
        match reply {
            Reply::Load(Ok(Some(cell))) => {
                self.saw_ledger(cell);
            }
            Reply::Load(Ok(None)) => {
                let error = Error::new(ErrorKind::NotFound, "read the ledger", "this group has no ledger")
                    .on(self.cells.ledger())
                    .with_advice("run `init` once for this deployment");
                self.rest(&error);
                self.give_up_mandate(error);
            }
            Reply::Load(Err(error)) => {
                self.view.stale = true;
                self.rest(&error);
                if !error.can_retry() {
                    self.give_up_mandate(error);
                }
            }
            _ => {}
        }
    }

    /// Leaves the ledger alone for a while after an error, for as long as the service asks for.
    pub(super) fn rest(&mut self, error: &Error) {
        let wait = (self.timing().beat / 2).max(error.retry_after().unwrap_or_default());
        self.view.rests_until = self.moment() + wait;
    }

    fn give_up_mandate(&mut self, error: Error) {
        self.tell(Happening::Trouble(error.to_string()));
        self.finish_mandate(Ending::Failed(error));
    }

    fn saw_ledger(&mut self, cell: Cell) {
        let decoded = Ledger::decode(&cell.value).and_then(|ledger| {
            ledger.check(self.deployment(), &self.settings.group)?;
            Ok(ledger)
        });
        match decoded {
            Ok(ledger) => self.adopt(cell.version, ledger),
            Err(error) => {
                self.rest(&error);
                self.give_up_mandate(error);
            }
        }
    }

    fn adopt(&mut self, version: CellVersion, ledger: Ledger) {
        self.view.stale = false;
        if let Some((slot, term)) = self.overtaken.take()
            && ledger.lease.term < term
        {
            self.journal_unusable(ahead(slot, term, ledger.lease.term));
        }
        let lease = ledger.lease.clone();
        let mine = lease.holder.as_ref() == Some(&self.settings.actor);
        match &self.role {
            LeaseRole::Leading { term, .. } | LeaseRole::Recovering { term, .. } => {
                if !mine || lease.term != *term {
                    let holder = lease.holder.as_ref().map_or("nobody".to_owned(), ToString::to_string);
                    self.step_down(format!("{holder} acts for the group now, at term {}", lease.term));
                    self.role = LeaseRole::Following { seen: lease, since: self.moment() };
                }
            }
            LeaseRole::Following { seen, .. } if *seen == lease => {}
            LeaseRole::Following { .. } | LeaseRole::Unsure => {
                self.role = LeaseRole::Following { seen: lease, since: self.moment() };
            }
        }
        self.view.found(version, ledger.clone());
        // An own take-over whose answer was lost, and on whose record somebody has written since: it holds.
        if mine && self.role.holding().is_none() && !self.handed_back && !self.halted {
            self.role = LeaseRole::Recovering { term: ledger.lease.term, last_beat: self.moment() };
            self.tell(Happening::TookLease(ledger.lease.term));
            self.recover(&ledger);
        }
        if self.role.leading().is_some() {
            self.find_begun(&ledger);
            self.take_orders();
        }
    }

    /// An execution that this actor had begun and let go, since its answer was lost for too long: it began after all.
    pub(super) fn find_begun(&mut self, ledger: &Ledger) {
        if !self.watches() || self.pending.begin.is_some() {
            return;
        }
        let known = self.execution.as_ref().map(crate::execute::Execution::id);
        if let Some(running) = ledger.execution.as_ref().filter(|running| Some(&running.id) != known)
            && !self.view.has(Purpose::begins)
        {
            self.go_on_with(running);
        }
    }

    /// Stops acting. What this actor had begun is somebody else's now.
    pub(super) fn step_down(&mut self, why: String) {
        if self.role.holding().is_none() {
            return;
        }
        self.tell(Happening::LostLease(why.clone()));
        self.role = LeaseRole::Unsure;
        self.view.stale = true;
        self.view.queue.clear();
        self.view.swap = None;
        self.execution = None;
        self.journal.reset();
        self.pending = super::carry::Pending::default();
        self.state = crate::state::State::Steady;
        self.calls.retain(|_, tag| {
            !matches!(tag, Tag::LedgerSwap | Tag::SlotSwap | Tag::SlotLoad(_) | Tag::Step(..))
        });
        self.finish_mandate(Ending::Superseded(why));
    }

    // ----- changing -----

    pub(super) fn change_ledger(&mut self, purpose: Purpose) {
        // What an execution needs goes before signs of life and housekeeping.
        let at = self.view.queue.iter().position(|queued| queued.rank() > purpose.rank());
        let at = at.unwrap_or(self.view.queue.len());
        self.view.queue.insert(at, purpose);
    }

    /// Sends the next change, if none is under way and the ledger was read since the last one was lost.
    pub(super) fn run_swaps(&mut self) {
        if self.view.swap.is_some() || self.view.stale || self.view.read.is_none() {
            return;
        }
        while let Some(purpose) = self.view.queue.pop_front() {
            let Some((version, ledger)) = self.view.read.clone() else { return };
            if let Purpose::Acquire(seen) = &purpose
                && ledger.lease != *seen
            {
                // Its holder gave a sign of life meanwhile.
                continue;
            }
            if purpose.begins() && self.pending.pause.is_some() {
                let why = self.pending.pause.take().unwrap_or_default();
                self.drop_begin(&why);
                self.finish_mandate(Ending::Refused(format!("{why} before anything was begun")));
                continue;
            }
            if purpose.begins() && self.begins_too_late() {
                self.drop_begin("it took too long");
                // An earlier attempt may have begun it.
                self.find_begun(&ledger);
                continue;
            }
            let term = self.role.holding().unwrap_or(ledger.lease.term);
            match purpose.apply(&ledger, term, &self.settings.actor) {
                Ok(mut next) => {
                    let anchored = self.journal.head().filter(|head| head.slots > next.journal.slots);
                    if let Some(head) = anchored {
                        next.journal = head.clone();
                    }
                    next.writer = self.token();
                    let expected = Expected::Version(version);
                    let Ok(mut swap) = Swap::new(self.cells.ledger(), expected, next.encode(), writer) else {
                        return;
                    };
                    let call = swap.begin();
                    self.view.swap = Some((swap, purpose, next));
                    // What an open question finds may be older than what the swap makes of it: it says nothing new.
                    self.calls.retain(|_, tag| *tag != Tag::LedgerLoad);
                    let deadline = self.timing().call_deadline;
                    self.call(Tag::LedgerSwap, call, deadline);
                    return;
                }
                Err(refusal) => self.ledger_refused(purpose, refusal),
            }
        }
    }

    pub(super) fn ledger_swapped(&mut self, reply: Reply) {
        self.hear_or_miss(&reply);
        let Some((mut swap, purpose, next)) = self.view.swap.take() else { return };
        let lost = reply == Reply::Store(Ok(StoreOutcome::Lost));
        match swap.step(reply) {
            Next::Call(Call::Store { .. }) if purpose.begins() && self.begins_too_late() => {
                // An attempt may land yet; the next change of the ledger moves the version that it needs, or finds it.
                self.view.doubt = self.view.read.as_ref().map(|(version, _)| version.clone());
                self.view.stale = true;
                self.drop_begin("it took too long");
            }
            Next::Call(call) => {
                self.view.swap = Some((swap, purpose, next));
                self.swap_on(Tag::LedgerSwap, call, lost);
            }
            Next::Applied { version } => {
                self.applied(purpose, version, next);
            }
            Next::Lost(_) => {
                // Somebody else changed it: read again, and see whether the purpose still stands.
                self.view.stale = true;
                if !matches!(purpose, Purpose::Acquire(_) | Purpose::Beat) {
                    self.view.queue.push_front(purpose);
                }
            }
            Next::Failed(error) => {
                self.view.stale = true;
                self.rest(&error);
                self.tell(Happening::Trouble(error.to_string()));
                // Who watches has nobody to give it back to: what is refused today may be granted again.
                if error.can_retry() || self.watches() {
                    if !matches!(purpose, Purpose::Acquire(_) | Purpose::Beat) {
                        self.view.queue.push_front(purpose);
                    }
                } else {
                    // The lease cannot be handed back either: it runs out.
                    let why = error.to_string();
                    self.give_up_mandate(error);
                    self.halted = true;
                    self.step_down(why);
                }
            }
        }
    }

    fn applied(&mut self, purpose: Purpose, version: CellVersion, next: Ledger) {
        let term = next.lease.term;
        let now = self.moment();
        if let LeaseRole::Leading { last_beat, .. } | LeaseRole::Recovering { last_beat, .. } = &mut self.role
        {
            *last_beat = now;
        }
        self.view.found(version, next.clone());
        self.view.stale = false;
        match purpose {
            Purpose::Acquire(_) => {
                self.role = LeaseRole::Recovering { term, last_beat: now };
                self.tell(Happening::TookLease(term));
                self.recover(&next);
            }
            Purpose::Release => {
                self.role = LeaseRole::Unsure;
                self.handed_back = true;
            }
            Purpose::Beat => {}
            other => self.purpose_applied(other, &next),
        }
        if self.role.leading().is_some() {
            self.take_orders();
        }
    }

    /// The journal was read and this actor's take-over is in it: from now on it acts.
    pub(super) fn lead(&mut self) {
        if let LeaseRole::Recovering { term, .. } = self.role {
            self.role = LeaseRole::Leading { term, last_beat: self.moment() };
            self.take_orders();
        }
    }

    fn ledger_refused(&mut self, purpose: Purpose, refusal: LedgerRefusal) {
        if matches!(refusal, LedgerRefusal::Superseded { .. }) && self.role.holding().is_some() {
            self.step_down(refusal.to_string());
            return;
        }
        self.purpose_refused(purpose, refusal);
    }
}
