//! The renewal: when the ledger is read, and what each answer does to the gate.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::{Answer, Heard, Progress};
use super::shut::{Shut, ShutReason};
use super::view::{Opening, Permit, Replica, RpoBound, Standing, View, diverged};
use crate::call::{Call, CallId, Input, Machine, Output, Reply, Request};
use crate::cell::Cell;
use crate::clock::{Moment, Now};
use crate::deployment::{DeploymentHash, GateTerms};
use crate::error::Error;
use crate::ledger::{Epoch, GroupCells};
use crate::name::Region;

/// How often a gate reads the ledger, as parts of the trust that the ledger grants.
///
/// It is about availability and load only: whatever it says, the gate is as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewPolicy {
    /// A good answer is renewed after this part of the trust, and a read without an answer is given up after it.
    pub renewals: u32,
    /// A read that failed, or has no answer yet, is followed by the next after this part of the trust.
    pub attempts: u32,
    /// What takes the place of the trust, for the rhythm alone, until a ledger was read.
    pub first: Duration,
}

impl Default for RenewPolicy {
    /// A third; a tenth; as if the trust were 15 s.
    fn default() -> Self {
        Self { renewals: 3, attempts: 10, first: Duration::from_secs(15) }
    }
}

/// No two reads are closer than this, however short the trust is.
const CLOSEST: Duration = Duration::from_millis(10);

/// No more reads than this wait for their answers.
const MOST_READS: usize = 8;

impl RenewPolicy {
    fn renewal(&self, trust: Duration) -> Duration {
        (trust / self.renewals.max(1)).max(CLOSEST)
    }

    fn attempt(&self, trust: Duration) -> Duration {
        (trust / self.attempts.max(1)).max(CLOSEST)
    }
}

/// The write gate of one region for one group, as pure state.
///
/// [`step`](Machine::step) keeps it open; [`permit`](Self::permit) and [`holds`](Self::holds) are what a writer asks.
///
/// # Which answers count
///
/// Reads overlap: while one has no answer, the next is sent, so that one lost packet does not cost the trust. Each
/// answer is used with the send time of its own read. For answers that come out of order:
///
/// - A region's admission only ever grows: by its epoch and, within an epoch, from active to sealed to standby. So most
///   answers can be put in order by what they say. One that is older than what was already seen is ignored if its read was
///   sent before that was seen; if it was sent after, the ledger itself went back, and the gate shuts.
/// - An answer that says active, to a read that was sent before a read whose answer was used already, is ignored: it can
///   neither reopen the gate nor extend its trust. Ignoring is always safe, it only costs the wait for the next answer.
/// - An answer that says not active shuts the gate at once, except when the order above proves that it is an old one.
///   The active answer that it contradicts was not wrong, for a move waits out its trust; shutting early is a courtesy.
///   That goes even for an answer that is not waited for any more.
/// - An answer that cannot be put in order (no ledger, unreadable, another deployment's) shuts the gate unless a
///   later read was answered before.
/// - No answer, or an error, says nothing: trust goes on running out.
#[derive(Clone, Debug)]
pub struct GateMachine {
    cells: GroupCells,
    renew: RenewPolicy,
    deployment: Option<DeploymentHash>,
    view: View,
    /// The ledger's terms, as last read: for the rhythm.
    terms: Option<GateTerms>,
    /// Reads without an answer, with both clocks at their send.
    reads: BTreeMap<CallId, Now>,
    next: CallId,
    /// The newest read whose answer was used.
    used: Option<CallId>,
    seen: Option<Seen>,
    /// When the next read is sent.
    due: Moment,
    last_sent: Option<Moment>,
    /// The wake that was asked for and has not come.
    alarm: Option<Moment>,
    #[cfg(test)]
    pub(super) seeded: super::tests::Seeded,
}

/// The furthest that a ledger was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    progress: Progress,
    /// Reads from this one on were sent after it was seen.
    from: CallId,
}

impl GateMachine {
    /// A gate that is shut and has not read the ledger yet.
    pub fn new(cells: GroupCells, region: Region, renew: RenewPolicy) -> Self {
        Self {
            cells,
            renew,
            deployment: None,
            view: View::new(region),
            terms: None,
            reads: BTreeMap::new(),
            next: CallId(0),
            used: None,
            seen: None,
            due: Moment::START,
            last_sent: None,
            alarm: None,
            #[cfg(test)]
            seeded: super::tests::Seeded::default(),
        }
    }

    /// Lets only a ledger of this deployment open the gate. Without it the first ledger that is read decides which
    /// deployment it is, for good.
    #[must_use]
    pub fn for_deployment(mut self, hash: &DeploymentHash) -> Self {
        self.deployment = Some(hash.clone());
        self
    }

    /// Has the gate bound the loss of a failover as well.
    #[must_use]
    pub fn with_rpo(mut self, bound: RpoBound) -> Self {
        self.view.rpo = Some(bound);
        self
    }

    /// The right to make one write now.
    ///
    /// # Errors
    /// [`Shut`], which says why and who serves. Nothing must be written.
    pub fn permit(&self, now: Now) -> Result<Permit, Shut> {
        self.view.permit(now)
    }

    /// Whether a write that was made with this permit, and was answered, may be acknowledged: it is within its deadline
    /// and the gate was not shut meanwhile. If not, the outcome of the write is unknown.
    pub fn holds(&self, now: Now, permit: &Permit) -> bool {
        self.view.holds(now, permit)
    }

    /// Tells how far the replica that would take over is behind now: the age of the newest change that it is known to
    /// hold, the age of that measurement and the time since its question included.
    ///
    /// Only a gate with an [`RpoBound`] cares. Between two observations the lag counts as growing with time.
    pub fn observe_lag(&mut self, now: Now, lag: Duration) {
        self.check_clocks(now);
        let replica = Some(Replica { seen: now.moment, lag });
        self.change(now, |view| view.replica = replica);
    }

    /// Whether its trust has not run out, be it too short for another permit.
    #[cfg(test)]
    pub(crate) fn is_open(&self, now: Now) -> bool {
        self.view.open_at(now).is_some()
    }

    /// What tells it apart, at this moment, from other gates of the same region: two that have the same key do the same from
    /// now on. Its reads are named by how many were sent since; see [`number`](Self::number).
    #[cfg(test)]
    pub(crate) fn key(&self, now: Now) -> String {
        let Self {
            cells: _,
            renew: _,
            deployment,
            view,
            terms,
            reads,
            next,
            used,
            seen,
            due,
            last_sent,
            alarm,
            seeded: _,
        } = self;
        let since = |id: CallId| next.0 - id.0;
        let reads: Vec<_> = reads.iter().map(|(id, sent)| (since(*id), sent.moment)).collect();
        let (used, seen) = (used.map(since), seen.map(|seen| (seen.progress, since(seen.from))));
        // What was due, or was sent longer ago than anything that is counted from it takes, is so for good.
        let past = now.moment.before(self.trust());
        let (due, alarm) = (now.moment.max(*due), alarm.map(|alarm| now.moment.max(alarm)));
        let last_sent = last_sent.map(|sent| past.max(sent));
        let mut view = view.clone();
        if let (Standing::Open { sent, .. }, None) = (&mut view.standing, self.view.open_at(now)) {
            sent.moment = past;
            sent.wall = now.wall;
        }
        format!("{deployment:?} {view:?} {terms:?} {reads:?} {used:?} {seen:?} {due} {last_sent:?} {alarm:?}")
    }

    /// The number of the read after which so many were sent, itself included.
    #[cfg(test)]
    pub(crate) fn number(&self, since: u64) -> CallId {
        CallId(self.next.0 - since)
    }

    /// For the model check: its reads' numbers begin far from nought, so that there is one for any that went before; and
    /// with a bug, if wanted, for the test of the test.
    #[cfg(test)]
    pub(crate) fn modelled(mut self, trust_from_answer: bool) -> Self {
        self.next = CallId(1_000);
        self.seeded.trust_from_answer = trust_from_answer;
        self
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Changes what is known, and counts an opening if that opened the gate, or opened it on other terms.
    pub(super) fn change(&mut self, now: Now, change: impl FnOnce(&mut View)) {
        let promise = |opening: Opening| (opening.epoch, opening.write_deadline, opening.rate_margin);
        let before = self.view.open_at(now).map(promise);
        change(&mut self.view);
        let after = self.view.open_at(now).map(promise);
        if after.is_some() && after != before {
            self.view.opening += 1;
        }
    }

    fn shut(&mut self, now: Now, reason: ShutReason) {
        self.change(now, |view| view.standing = Standing::Shut(reason));
    }

    fn trust(&self) -> Duration {
        self.terms.map_or(self.renew.first, |terms| terms.trust)
    }

    /// Shuts a gate whose clocks diverged since the read that it trusts was sent.
    fn check_clocks(&mut self, now: Now) {
        let Standing::Open { sent, terms, .. } = &self.view.standing else { return };
        if let Some(by) = diverged(*sent, now, terms.rate_margin) {
            self.shut(now, ShutReason::ClocksDiverged { by });
            self.due = now.moment;
        }
    }

    /// Sends the next read if it is time, and sees to it that the next wake comes.
    fn go_on(&mut self, now: Now) -> Vec<Output> {
        let mut outputs = Vec::new();
        let (renewal, attempt) = (self.renew.renewal(self.trust()), self.renew.attempt(self.trust()));
        // A driver answers every call by its deadline; should it not, its reads must not block the others for ever.
        self.reads.retain(|_, sent| now.moment.since(sent.moment) <= renewal.saturating_mul(4));
        if now.moment >= self.due {
            if self.reads.len() < MOST_READS {
                outputs.push(Output::Call(self.read(now, renewal)));
            }
            self.due = now.moment + attempt;
        }
        if self.alarm.is_none_or(|alarm| self.due < alarm) {
            self.alarm = Some(self.due);
            outputs.push(Output::WakeAt(self.due));
        }
        outputs
    }

    fn read(&mut self, now: Now, deadline: Duration) -> Request {
        let id = self.next;
        self.next = CallId(id.0.saturating_add(1));
        self.reads.insert(id, now);
        self.last_sent = Some(now.moment);
        Request { id, call: Call::Load { cell: self.cells.ledger() }, deadline }
    }

    fn answered(&mut self, now: Now, id: CallId, reply: Reply) {
        let sent = self.reads.remove(&id);
        match reply {
            Reply::Load(Ok(cell)) if id < self.next => self.loaded(now, id, sent, cell),
            Reply::Load(Err(error)) if sent.is_some() => self.failed(now, id, &error),
            // An answer to what was never asked, or was answered before, says nothing.
            _ => {}
        }
    }

    fn failed(&mut self, now: Now, id: CallId, error: &Error) {
        if self.is_late(id) {
            return;
        }
        self.view.failure = Some(error.to_string());
        let trust = self.trust();
        let wait = error.retry_after().unwrap_or_default().min(self.renew.renewal(trust));
        self.due = (now.moment + wait).max(self.after_last(self.renew.attempt(trust)));
    }

    fn after_last(&self, span: Duration) -> Moment {
        self.last_sent.map_or(Moment::START, |sent| sent + span)
    }

    /// Whether a later read was answered already.
    fn is_late(&self, id: CallId) -> bool {
        #[cfg(test)]
        if self.seeded.any_order {
            return false;
        }
        self.used.is_some_and(|used| id < used)
    }

    /// A read was answered. When it was sent is not known any more if the answer took too long.
    fn loaded(&mut self, now: Now, id: CallId, sent: Option<Now>, cell: Option<Cell>) {
        let heard = Heard::of(cell, self.cells.group(), &self.view.region, &mut self.deployment);
        self.terms = heard.terms.or(self.terms);
        if let Some(progress) = heard.progress {
            match self.placed(id, progress) {
                Place::Old => return,
                Place::WentBack(before) => {
                    self.shut(now, ShutReason::WentBack { now: progress.epoch, before });
                    self.use_answer(now, id, sent);
                    return;
                }
                Place::Current => {}
            }
        }
        match (heard.answer, sent) {
            (Answer::Active { .. } | Answer::Bad(_), _) if self.is_late(id) => return,
            (Answer::Active { epoch, terms }, Some(sent)) => self.renewed(now, sent, epoch, terms),
            (Answer::Active { .. }, None) => return,
            (Answer::Inactive { state }, _) => self.shut(now, ShutReason::NotActive { state }),
            (Answer::Bad(reason), _) => self.shut(now, reason),
        }
        if let Some(progress) = heard.progress
            && self.seen.is_none_or(|seen| seen.progress < progress)
        {
            self.seen = Some(Seen { progress, from: self.next });
        }
        self.view.active = heard.active;
        self.use_answer(now, id, sent);
    }

    /// Notes that the answer was used: what else is late from now on, and when to ask again.
    fn use_answer(&mut self, now: Now, id: CallId, sent: Option<Now>) {
        self.used = self.used.max(Some(id));
        let trust = self.trust();
        let again = self.after_last(self.renew.attempt(trust));
        let renewal = sent.unwrap_or(now).moment + self.renew.renewal(trust);
        let diverged = matches!(self.view.standing, Standing::Shut(ShutReason::ClocksDiverged { .. }));
        self.due = if diverged { again } else { again.max(renewal) };
    }

    /// The region is active, by a read that was sent then.
    fn renewed(&mut self, now: Now, sent: Now, epoch: Epoch, terms: GateTerms) {
        self.view.failure = None;
        if let Some(by) = diverged(sent, now, terms.rate_margin) {
            self.shut(now, ShutReason::ClocksDiverged { by });
            return;
        }
        let sent = self.counted_from(sent, now);
        self.change(now, |view| view.standing = Standing::Open { epoch, terms, sent });
    }

    #[cfg(not(test))]
    fn counted_from(&self, sent: Now, _now: Now) -> Now {
        sent
    }

    /// As ever, but for the test of the test.
    #[cfg(test)]
    fn counted_from(&self, sent: Now, now: Now) -> Now {
        if self.seeded.trust_from_answer { now } else { sent }
    }

    /// Where an answer stands among those seen.
    fn placed(&self, id: CallId, progress: Progress) -> Place {
        match self.seen {
            #[cfg(test)]
            _ if self.seeded.any_order => Place::Current,
            Some(seen) if progress < seen.progress && id < seen.from => Place::Old,
            Some(seen) if progress < seen.progress => Place::WentBack(seen.progress.epoch),
            _ => Place::Current,
        }
    }
}

/// Where an answer stands among those seen.
enum Place {
    /// Older, and its read was sent before the newer one was seen.
    Old,
    /// Older, though its read was sent after the newer one, of this epoch, was seen.
    WentBack(Epoch),
    /// The newest, or as new.
    Current,
}

impl Machine for GateMachine {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        if self.alarm.is_some_and(|alarm| alarm <= now.moment) {
            self.alarm = None;
        }
        self.check_clocks(now);
        if let Input::Reply { id, reply } = input {
            self.answered(now, id, reply);
        }
        self.go_on(now)
    }
}
