//! The journal: read after a take-over, appended to one slot at a time.

use super::{Actor, Desk, Effect, OpenSlot, Role};
use crate::call::{Call, Reply};
use crate::cell::{Cell, Expected, StoreOutcome};
use crate::clock::Moment;
use crate::journal::{Event, FORMAT, JournalHead, Reader, Record, Slot, SlotHash};
use crate::ledger::{Ledger, Term};
use crate::model_check::carry::{Carry, Told};
use crate::model_check::seeded::Seeded;
use crate::model_check::setup::{Setup, version_of, wall};
use crate::name::StepId;
use crate::register::{Next, Swap, writer};

impl Actor {
    /// Reads the journal from where the execution began.
    pub(super) fn recover(&mut self, desk: &mut Desk<'_>, term: Term, ledger: &Ledger) {
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

    pub(super) fn append(&mut self, event: Event, then: Option<StepId>) {
        self.unwritten.push((Record { at: wall(), event }, then));
    }

    pub(super) fn slot_of(&self, setup: &Setup, term: Term, records: Vec<Record>) -> (Vec<u8>, JournalHead) {
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
    pub(super) fn run_journal(&mut self, desk: &mut Desk<'_>) {
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
        self.slot = Some(OpenSlot { swap, after, records, value, sent, again: 0 });
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

    pub(super) fn appended(&mut self, desk: &mut Desk<'_>, mut reply: Reply) {
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
                    open.again += 1;
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
}
