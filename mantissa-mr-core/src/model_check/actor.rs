//! An actor: what a controller does with the lease, the journal and the execution, around the library's own rules for
//! each. It is told one thing at a time, and says what it sends.

use std::collections::VecDeque;

use super::carry::{Carry, Told};
use super::seeded::Seeded;
use super::setup::{Setup, UNIT, version_of, wall};
use super::table::Interner;
use crate::call::{Call, Reply};
use crate::cell::{Cell, Expected, StoreOutcome};
use crate::clock::{Moment, Now};
use crate::controller::may_take;
use crate::error::{Error, ErrorKind};
use crate::execute::{Change, Want};
use crate::journal::{Event, FORMAT, JournalHead, Reader, Record, Slot, SlotHash};
use crate::ledger::{Ended, Lease, Ledger, LedgerRefusal, Outcome, Term, Token};
use crate::name::StepId;
use crate::register::{Next, Swap, writer};

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

/// A slot that is being written.
#[derive(Clone, Debug)]
struct OpenSlot {
    swap: Swap,
    after: JournalHead,
    records: Vec<(Record, Option<StepId>)>,
    value: u32,
    sent: Moment,
}

/// What an actor knows and does.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    region: usize,
    role: Role,
    view: Read,
    queue: VecDeque<Purpose>,
    swap: Option<(Swap, Purpose, u32, Read)>,
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
            head: JournalHead::genesis(&setup.plan.group),
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
        let Self { region, role, view, queue, swap, sent, head, .. } = self;
        let Self { records, unwritten, slot, carry, complete, call, .. } = self;
        let swap = swap.as_ref().map(|(swap, purpose, next, on)| (swap.token(), purpose, next, on));
        let slot = slot.as_ref().map(|slot| (slot.swap.token(), slot.value, &slot.records, slot.sent));
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

    // ----- the lease -----

    fn look(&mut self, desk: &mut Desk<'_>) {
        self.adopt(desk);
        let Role::Following { seen, since } = &self.role else { return };
        let setup = desk.setup;
        let (ledger, here) = (desk.ledger(self.view), Some(&setup.regions[self.region]));
        let waited = desk.now.moment.since(*since);
        let busy = self.swap.is_some() || !self.queue.is_empty();
        // Once the move is over there is nothing to take the lease for.
        let more = desk.seen.take_over && ledger.execution.is_some();
        if more && !busy && may_take(&setup.policy, &ledger, here, true, waited) {
            self.queue.push_back(Purpose::Acquire(seen.clone()));
        }
    }

    /// Reads the ledger, and sees whose it is.
    fn adopt(&mut self, desk: &mut Desk<'_>) {
        let ledger = desk.ledger(desk.seen.ledger);
        let lease = ledger.lease.clone();
        let mine = lease.holder.as_ref() == Some(&desk.setup.actor(self.region));
        match &self.role {
            Role::Leading { term } | Role::Recovering { term } if mine && lease.term == *term => {}
            Role::Leading { .. } | Role::Recovering { .. } => self.step_down(desk),
            Role::Following { seen, .. } if *seen == lease => {}
            Role::Following { .. } => {
                self.role = Role::Following { seen: lease.clone(), since: desk.now.moment };
            }
        }
        self.view = desk.seen.ledger;
        if mine && self.held().is_none() && self.swap.is_none() {
            self.recover(desk, lease.term, &ledger);
        }
    }

    /// Stops acting: what it had begun is somebody else's now.
    fn step_down(&mut self, desk: &mut Desk<'_>) {
        let view = desk.seen.ledger;
        *self = Self::following(self.region, desk.setup, view, desk.now.moment);
        desk.effects.push(Effect::Forgets);
    }

    /// Sends the next change of the ledger, if none is under way.
    fn run_swaps(&mut self, desk: &mut Desk<'_>) {
        while self.swap.is_none()
            && let Some(purpose) = self.queue.pop_front()
        {
            let ledger = desk.ledger(self.view);
            if matches!(&purpose, Purpose::Acquire(seen) if *seen != ledger.lease) {
                continue;
            }
            match self.apply(desk, &purpose, &ledger) {
                Ok(next) => self.send(desk, purpose, next),
                Err(LedgerRefusal::Superseded { .. }) if self.held().is_some() => self.step_down(desk),
                Err(refusal) => {
                    if let Purpose::Step(step, _) = purpose {
                        self.tell(desk, Told::Swapped(step, Err(refusal)));
                    }
                }
            }
        }
    }

    fn apply(&self, desk: &Desk<'_>, purpose: &Purpose, ledger: &Ledger) -> Result<Ledger, LedgerRefusal> {
        let (setup, id) = (desk.setup, &desk.setup.running.id);
        let term = self.held().unwrap_or(ledger.lease.term);
        let mut next = match purpose {
            Purpose::Acquire(_) => {
                let mut next = ledger.acquire(&setup.actor(self.region));
                if setup.has(Seeded::KeepsTerm) {
                    next.lease.term = ledger.lease.term;
                }
                next
            }
            Purpose::Step(_, Change::Seal(regions)) => ledger.seal(term, id, regions)?,
            Purpose::Step(_, Change::Open(region)) => {
                let mut next = ledger.open(term, id, region)?;
                if setup.has(Seeded::KeepsEpoch)
                    && let Some(admission) = next.admissions.get_mut(region)
                {
                    admission.epoch = ledger.epoch();
                }
                next
            }
            Purpose::Step(_, Change::Leave(region)) => ledger.leave(term, id, region)?,
            Purpose::Step(_, Change::Reopen) => ledger.reopen(term, id)?,
            Purpose::End => ledger.finish(term, self.ended(setup))?,
        };
        if self.head.slots > next.journal.slots {
            next.journal = self.head.clone();
        }
        Ok(next)
    }

    fn ended(&self, setup: &Setup) -> Ended {
        let aborted = self.records.iter().any(|record| matches!(record.event, Event::Aborting { .. }));
        Ended {
            id: setup.running.id.clone(),
            kind: setup.plan.kind,
            outcome: if aborted { Outcome::Aborted } else { Outcome::Finished },
            region: setup.plan.to.clone(),
            at: wall(),
            acknowledged: true,
            unreconciled: Vec::new(),
        }
    }

    fn send(&mut self, desk: &mut Desk<'_>, purpose: Purpose, mut next: Ledger) {
        let setup = desk.setup;
        next.writer = self.token(setup, next.lease.term, 2 * u64::from(self.view.0));
        let (expected, bytes) = (Expected::Version(version_of(self.view.0)), next.encode());
        let mut swap = Swap::new(setup.cells.ledger(), expected, bytes, writer).unwrap();
        // The call says nothing that its swap does not.
        let _ = swap.begin();
        let value = setup.number(next);
        desk.effects.push(Effect::Swap { expected: self.view.0, value });
        self.swap = Some((swap, purpose, value, self.view));
        if setup.has(Seeded::WaitFromSend) {
            self.sent = desk.now.moment;
        }
    }

    /// The token of its write upon this state of this cell, under this term: it makes no two.
    fn token(&self, setup: &Setup, term: Term, upon: u64) -> Token {
        Token::new(&setup.actor(self.region), term.0 * 1_000 + upon)
    }

    fn swapped(&mut self, desk: &mut Desk<'_>, mut reply: Reply) {
        let Some((mut swap, purpose, value, on)) = self.swap.take() else { return };
        loop {
            match swap.step(reply) {
                Next::Call(Call::Load { .. }) => {
                    let (version, there) = desk.seen.ledger;
                    reply = Reply::Load(Ok(Some(desk.setup.cell(there, version))));
                }
                Next::Call(_) => {
                    desk.effects.push(Effect::Swap { expected: on.0, value });
                    self.swap = Some((swap, purpose, value, on));
                    return;
                }
                Next::Applied { version } => {
                    let version = version.0.parse().expect("a number of changes");
                    return self.applied(desk, purpose, (version, value));
                }
                Next::Lost(_) => {
                    self.queue.push_front(purpose);
                    self.queue.retain(|purpose| !matches!(purpose, Purpose::Acquire(_)));
                    return self.adopt(desk);
                }
                Next::Failed(error) => panic!("no cell of the model fails: {error}"),
            }
        }
    }

    fn applied(&mut self, desk: &mut Desk<'_>, purpose: Purpose, read: Read) {
        self.view = read;
        match purpose {
            Purpose::Acquire(_) => {
                let ledger = desk.ledger(read);
                self.recover(desk, ledger.lease.term, &ledger);
            }
            Purpose::Step(step, _) => self.tell(desk, Told::Swapped(step, Ok(()))),
            Purpose::End => (self.carry, self.complete) = (None, false),
        }
    }

    // ----- the journal -----

    /// Reads the journal from where the execution began.
    fn recover(&mut self, desk: &mut Desk<'_>, term: Term, ledger: &Ledger) {
        self.role = Role::Recovering { term };
        self.records.clear();
        let from = ledger.execution.as_ref().map_or(&ledger.journal, |running| &running.journal_from);
        self.read_on(desk, Reader::new(from.clone(), ledger.journal.clone()));
    }

    /// Reads to the journal's end, and puts its own name there.
    fn read_on(&mut self, desk: &mut Desk<'_>, mut reader: Reader) {
        let Some(term) = self.held() else { return };
        while let Some(slot) = reader.feed(desk.slot(reader.next()).as_deref()).expect("it is in order") {
            if slot.term > term {
                return self.step_down(desk);
            }
            self.records.extend(slot.records);
        }
        self.head = reader.head().clone();
        self.append(Event::TookOver, None);
    }

    fn append(&mut self, event: Event, then: Option<StepId>) {
        self.unwritten.push((Record { at: wall(), event }, then));
    }

    fn slot_of(&self, setup: &Setup, term: Term, records: Vec<Record>) -> (Vec<u8>, JournalHead) {
        let slot = Slot {
            format: FORMAT,
            number: self.head.slots,
            previous: self.head.hash.clone(),
            term,
            actor: setup.actor(self.region),
            records,
            writer: self.token(setup, term, 2 * self.head.slots + 1),
        };
        let bytes = slot.encode();
        let after = JournalHead { slots: self.head.slots + 1, hash: SlotHash::of(&bytes) };
        (bytes, after)
    }

    /// Writes what is unwritten into the next slot, if none is being written.
    fn run_journal(&mut self, desk: &mut Desk<'_>) {
        let Some(term) = self.held() else { return };
        if self.slot.is_some() || self.unwritten.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.unwritten);
        let number = self.head.slots;
        let said = records.iter().map(|(record, _)| record.clone()).collect();
        let (bytes, after) = self.slot_of(desk.setup, term, said);
        let value = desk.slots.number(after.hash.to_string(), bytes.clone());
        let cell = desk.setup.cells.journal(number);
        let mut swap = Swap::new(cell, Expected::Absent, bytes, writer).unwrap();
        let _ = swap.begin();
        desk.effects.push(Effect::Slot { number: u8::try_from(number).unwrap(), value });
        let late = desk.setup.has(Seeded::CallsTooLate);
        let sent = if late { desk.now.moment } else { Moment::START };
        self.slot = Some(OpenSlot { swap, after, records, value, sent });
        if desk.setup.has(Seeded::CallsTooEarly) {
            self.journaled(desk);
        }
    }

    /// The calls whose intentions are journaled go out.
    fn journaled(&mut self, desk: &mut Desk<'_>) {
        let Some(open) = &mut self.slot else { return };
        let steps: Vec<StepId> = open.records.iter_mut().filter_map(|(_, then)| then.take()).collect();
        let sent = open.sent;
        for step in steps {
            self.tell(desk, Told::Journaled(step, sent));
        }
    }

    fn appended(&mut self, desk: &mut Desk<'_>, mut reply: Reply) {
        let Some(mut open) = self.slot.take() else { return };
        if desk.setup.has(Seeded::IgnoresTakenSlot) && reply == Reply::Store(Ok(StoreOutcome::Lost)) {
            reply = Reply::Store(Ok(StoreOutcome::Applied { version: version_of(0) }));
        }
        loop {
            match open.swap.step(reply) {
                Next::Call(Call::Load { .. }) => {
                    let there = desk.slot(self.head.slots);
                    let cell = there.map(|value| Cell { value, version: version_of(0) });
                    reply = Reply::Load(Ok(cell));
                }
                Next::Call(_) => {
                    let (number, value) = (u8::try_from(self.head.slots).unwrap(), open.value);
                    desk.effects.push(Effect::Slot { number, value });
                    self.slot = Some(open);
                    return;
                }
                Next::Applied { .. } => return self.durable(desk, open),
                Next::Lost(_) => return self.taken(desk),
                Next::Failed(error) => panic!("no cell of the model fails: {error}"),
            }
        }
    }

    fn durable(&mut self, desk: &mut Desk<'_>, open: OpenSlot) {
        self.head = open.after.clone();
        self.records.extend(open.records.iter().map(|(record, _)| record.clone()));
        self.slot = Some(open);
        self.journaled(desk);
        self.slot = None;
        if let Role::Recovering { term } = self.role {
            self.role = Role::Leading { term };
            let ledger = desk.ledger(self.view);
            if ledger.execution.is_some() && !desk.setup.has(Seeded::ForgetsMove) {
                self.carry = Some(Carry::resumed(desk.setup, &ledger, &self.records, desk.now.moment));
                self.tell(desk, Told::Advance);
            }
        }
    }

    fn taken(&mut self, desk: &mut Desk<'_>) {
        if self.leads() {
            return self.step_down(desk);
        }
        self.unwritten.clear();
        let anchor = desk.ledger(self.view).journal;
        self.read_on(desk, Reader::new(self.head.clone(), anchor));
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
            Want::WakeAt(_) | Want::Commit | Want::Pause { .. } | Want::Abort { .. } => {}
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
