//! An actor: what a controller does with the lease, the journal and the execution, around the library's own rules for
//! each. It is told one thing at a time, and says what it sends.

use std::collections::VecDeque;

use super::carry::{Carry, Told};
use super::seeded::Seeded;
use super::setup::{Setup, UNIT, version_of, wall};
use super::table::Interner;
use crate::call::{Call, Reply};
use crate::cell::StoreOutcome;
use crate::clock::{Moment, Now};
use crate::error::{Error, ErrorKind};
use crate::execute::{Change, Want};
use crate::journal::{Event, JournalHead, Record};
use crate::ledger::{Lease, Ledger, Term};
use crate::name::StepId;
use crate::register::Swap;

mod journal;
mod lease;

/// A ledger after so many changes.
pub(super) type Read = (u8, u32);

/// Something that an actor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// Time may have passed.
    Wake,
    /// A person orders it to give the move up.
    Abort,
    /// Its swap of the ledger was answered: applied, with this version, or lost.
    Swapped(Option<u8>),
    /// Nobody answered it in time.
    SwapSilent,
    /// Its slot of the journal was answered: written, or lost.
    Appended(bool),
    /// Nobody answered it in time.
    AppendSilent,
    /// The store has done what it was called for.
    Called,
    /// It has not said so in time.
    CallSilent,
}

/// What it can read of the world, in one step with what it does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) ledger: Read,
    pub(super) journal: u32,
    /// The region that the store calls its writer.
    pub(super) writer: u8,
    /// Whether something acknowledged has not reached the target yet.
    pub(super) behind: bool,
    /// Whether the bounds let anybody take the lease over.
    pub(super) take_over: bool,
}

/// What it does to the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// A swap of the ledger of this version for this value is sent.
    Swap { expected: u8, value: u32 },
    /// A slot of the journal is sent.
    Slot { number: u8, value: u32 },
    /// The store is called, by an actor of this term; the call lands within so many units, or not at all.
    Call { term: u8, within: u8 },
    /// The store has proven that it is drained.
    Drained,
    /// It waits for no answer any more.
    Forgets,
}

#[derive(Clone, Debug, PartialEq)]
enum Role {
    Following { seen: Lease, since: Moment },
    Recovering { term: Term },
    Leading { term: Term },
}

#[derive(Clone, Debug, PartialEq)]
enum Purpose {
    Acquire(Lease),
    Step(StepId, Change),
    End,
}

/// A change of the ledger that is being made.
#[derive(Clone, Debug)]
struct OpenSwap {
    swap: Swap,
    purpose: Purpose,
    /// What it is swapped for, and on what.
    value: u32,
    on: Read,
    /// How often it was sent again.
    again: u8,
}

/// A slot that is being written.
#[derive(Clone, Debug)]
struct OpenSlot {
    swap: Swap,
    after: JournalHead,
    records: Vec<(Record, Option<StepId>)>,
    value: u32,
    sent: Moment,
    again: u8,
}

/// What an actor knows and does.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    region: usize,
    role: Role,
    view: Read,
    queue: VecDeque<Purpose>,
    swap: Option<OpenSwap>,
    /// When its swap was sent.
    sent: Moment,
    head: JournalHead,
    records: Vec<Record>,
    unwritten: Vec<(Record, Option<StepId>)>,
    slot: Option<OpenSlot>,
    carry: Option<Carry>,
    complete: bool,
    call: Option<StepId>,
}

/// An actor at one moment of its own clock, and what it can see and say there.
pub(super) struct Desk<'a> {
    pub(super) setup: &'a Setup,
    pub(super) slots: &'a Interner<Vec<u8>>,
    /// The slots of the journal, in order.
    pub(super) journal: &'a [u32],
    pub(super) now: Now,
    pub(super) seen: Seen,
    pub(super) effects: Vec<Effect>,
}

impl Desk<'_> {
    fn ledger(&self, read: Read) -> Ledger {
        self.setup.ledgers.get(read.1).ledger.clone()
    }

    fn slot(&self, number: u64) -> Option<Vec<u8>> {
        let value = self.journal.get(usize::try_from(number).ok()?)?;
        Some(self.slots.get(*value).as_ref().clone())
    }
}

impl Actor {
    /// One that watches, and has just seen this ledger.
    pub(super) fn following(region: usize, setup: &Setup, view: Read, now: Moment) -> Self {
        let seen = setup.ledgers.get(view.1).ledger.lease.clone();
        Self {
            region,
            role: Role::Following { seen, since: now },
            view,
            queue: VecDeque::new(),
            swap: None,
            sent: Moment::START,
            head: setup.genesis.clone(),
            records: Vec::new(),
            unwritten: Vec::new(),
            slot: None,
            carry: None,
            complete: false,
            call: None,
        }
    }

    /// The one that has begun the move, and its slot of the journal that says so.
    pub(super) fn leading(region: usize, setup: &Setup, view: Read) -> (Self, Vec<u8>) {
        let mut actor = Self::following(region, setup, view, Moment::START);
        let ledger = &setup.ledgers.get(view.1).ledger;
        let term = ledger.lease.term;
        let (execution, plan) = (setup.running.id.clone(), setup.running.plan.clone());
        let began = Event::Began { execution, plan, kind: setup.plan.kind, why: setup.plan.why.clone() };
        actor.records = [Event::TookOver, began].map(|event| Record { at: wall(), event }).into();
        let (slot, after) = actor.slot_of(setup, term, actor.records.clone());
        actor.head = after;
        actor.role = Role::Leading { term };
        actor.carry = Some(Carry::begun(setup, ledger));
        (actor, slot)
    }

    /// What tells it apart from others.
    pub(super) fn key(&self, setup: &Setup, now: Moment) -> String {
        let Self {
            region,
            role,
            view,
            queue,
            swap,
            sent,
            head,
            records,
            unwritten,
            slot,
            carry,
            complete,
            call,
        } = self;
        let swap =
            swap.as_ref().map(|open| (open.swap.token(), &open.purpose, open.value, open.on, open.again));
        let slot =
            slot.as_ref().map(|slot| (slot.swap.token(), slot.value, &slot.records, slot.sent, slot.again));
        let carry = carry.as_ref().map(|carry| carry.key(setup, now));
        format!(
            "{region} {role:?} {view:?} {queue:?} {swap:?} {sent:?} {head:?} {records:?} {unwritten:?} \
             {slot:?} {carry:?} {complete} {call:?}"
        )
    }

    /// The same one, when it is later: how long ago something was does not matter once it is long enough.
    pub(super) fn aged(&self, setup: &Setup, now: Moment) -> Self {
        let mut aged = self.clone();
        if let Role::Following { since, .. } = &mut aged.role {
            *since = (*since).max(now.before(setup.policy.timing.lease * 4));
        }
        aged
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.role, Role::Leading { .. })
    }

    pub(super) fn holds(&self) -> bool {
        self.held().is_some()
    }

    fn held(&self) -> Option<Term> {
        match self.role {
            Role::Leading { term } | Role::Recovering { term } => Some(term),
            Role::Following { .. } => None,
        }
    }

    pub(super) fn step(&mut self, desk: &mut Desk<'_>, input: Input) {
        match input {
            Input::Wake if self.leads() => self.tell(desk, Told::Advance),
            Input::Wake => self.look(desk),
            Input::Abort => self.tell(desk, Told::Abort),
            Input::Swapped(Some(version)) => {
                let outcome = StoreOutcome::Applied { version: version_of(version) };
                self.swapped(desk, Reply::Store(Ok(outcome)));
            }
            Input::Swapped(None) => self.swapped(desk, Reply::Store(Ok(StoreOutcome::Lost))),
            Input::SwapSilent => self.swapped(desk, silence()),
            Input::Appended(true) => {
                self.appended(desk, Reply::Store(Ok(StoreOutcome::Applied { version: version_of(0) })));
            }
            Input::Appended(false) => self.appended(desk, Reply::Store(Ok(StoreOutcome::Lost))),
            Input::AppendSilent => self.appended(desk, silence()),
            Input::Called => self.called(desk, Ok(())),
            Input::CallSilent => {
                let message = "no answer in time";
                self.called(desk, Err(Error::new(ErrorKind::Timeout, "promote", message)));
            }
        }
        self.end();
        self.run_journal(desk);
        self.run_swaps(desk);
        // It reads anew before it does anything: what it read last is of no use.
        if self.held().is_none() && self.swap.is_none() {
            self.view = (0, 0);
        }
    }

    // ----- the execution -----

    fn called(&mut self, desk: &mut Desk<'_>, answer: Result<(), Error>) {
        if let Some(step) = self.call.take() {
            self.tell(desk, Told::Replied(step, Reply::Promote(answer)));
        }
    }

    fn tell(&mut self, desk: &mut Desk<'_>, told: Told) {
        let Some(mut carry) = self.carry.take() else { return };
        let at = match &told {
            Told::Swapped(..) if desk.setup.has(Seeded::WaitFromSend) => self.sent,
            Told::Journaled(_, sent) if desk.setup.has(Seeded::CallsTooLate) => *sent,
            _ => desk.now.moment,
        };
        let wants = carry.tell(desk.setup, at, told);
        self.carry = Some(carry);
        for want in wants {
            self.fulfil(desk, want);
        }
    }

    fn fulfil(&mut self, desk: &mut Desk<'_>, want: Want) {
        match want {
            Want::Journal { event, then } => self.append(event, then),
            Want::Swap { step, change } => self.queue.push_back(Purpose::Step(step, change)),
            Want::Complete { .. } => self.complete = true,
            Want::Call { step, call: Call::Promote { .. }, deadline } => {
                let within = u8::try_from(deadline.as_nanos() / UNIT.as_nanos()).unwrap();
                let term = self.held().map_or(0, |term| u8::try_from(term.0).unwrap());
                desk.effects.push(Effect::Call { term, within });
                self.call = Some(step);
            }
            Want::Call { step, call, .. } => {
                let reply = super::carry::answer(desk, call);
                self.tell(desk, Told::Replied(step, reply));
            }
            Want::WakeAt(_) | Want::Commit | Want::Pause { .. } | Want::Abort { .. } | Want::Warn { .. } => {}
        }
    }

    /// Ends the execution in the ledger once all that was said of it is durable.
    fn end(&mut self) {
        let quiet = self.unwritten.is_empty() && self.slot.is_none() && self.swap.is_none();
        if self.complete && quiet && !self.queue.contains(&Purpose::End) {
            self.queue.push_back(Purpose::End);
        }
    }
}

fn silence() -> Reply {
    Reply::Store(Ok(StoreOutcome::Unknown { why: "no answer in time".into() }))
}
