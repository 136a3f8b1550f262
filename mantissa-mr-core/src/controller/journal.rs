//! Appending to the journal, one slot at a time, and reading it after a take-over.

use super::{Controller, Ending, Happening, Tag};
use crate::call::{Call, Reply};
use crate::cell::{Expected, StoreOutcome};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::journal::{Event, FORMAT, JournalHead, Reader, Record, Slot, SlotHash};
use crate::ledger::Ledger;
use crate::name::StepId;
use crate::register::{Next, Swap, writer};

/// At most so many records go into one slot.
const RECORDS_PER_SLOT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct JournalWriter {
    head: Option<JournalHead>,
    reader: Option<Reader>,
    queue: Vec<(Record, Option<StepId>)>,
    open: Option<OpenSlot>,
    /// After a failure nothing is appended before this.
    rests_until: Moment,
}

#[derive(Debug)]
struct OpenSlot {
    swap: Swap,
    head: JournalHead,
    records: Vec<(Record, Option<StepId>)>,
}

impl JournalWriter {
    /// The head of what is durable, once the journal was read.
    pub(super) fn head(&self) -> Option<&JournalHead> {
        self.head.as_ref()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.open.is_none()
    }

    /// What is not durable yet.
    pub(super) fn queued(&self) -> impl Iterator<Item = &Record> {
        let open = self.open.iter().flat_map(|open| &open.records);
        open.chain(&self.queue).map(|(record, _)| record)
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Controller {
    /// Reads the journal from the begin of what is under way, or from its anchor.
    pub(super) fn recover(&mut self, ledger: &Ledger) {
        let start = ledger.execution.as_ref().map_or(&ledger.journal, |running| &running.journal_from);
        self.records.clear();
        self.journal.reset();
        self.journal.reader = Some(Reader::new(start.clone(), ledger.journal.clone()));
        self.read_slot();
    }

    fn read_slot(&mut self) {
        let Some(reader) = &self.journal.reader else { return };
        let number = reader.next();
        let call = Call::Load { cell: self.cells.journal(number) };
        let deadline = self.timing().call_deadline;
        self.call(Tag::SlotLoad(number), call, deadline);
    }

    pub(super) fn slot_loaded(&mut self, _number: u64, reply: Reply) {
        let Some(reader) = &mut self.journal.reader else { return };
        let fed = match reply {
            Reply::Load(Ok(cell)) => reader.feed(cell.as_ref().map(|cell| cell.value.as_slice())),
            Reply::Load(Err(error)) if error.can_retry() => {
                let number = reader.next();
                let call = Call::Load { cell: self.cells.journal(number) };
                return self.call_again(Tag::SlotLoad(number), call);
            }
            Reply::Load(Err(error)) => Err(error),
            _ => return,
        };
        match fed {
            Ok(Some(slot)) if self.role.holding().is_none_or(|term| slot.term > term) => {
                // Somebody has taken over since: a record of this term must not follow theirs. The ledger, read anew, must
                // know of it.
                self.overtaken = Some((slot.number, slot.term));
                self.calls.retain(|_, tag| *tag != Tag::LedgerLoad);
                self.step_down(format!("{} acts for the group now, at term {}", slot.actor, slot.term));
            }
            Ok(Some(slot)) => {
                self.records.extend(slot.records);
                self.read_slot();
            }
            Ok(None) => {
                self.journal.head = Some(reader.head().clone());
                self.journal.reader = None;
                self.append(Event::TookOver, None);
            }
            Err(error) => self.journal_unusable(error),
        }
    }

    /// A journal that contradicts itself stops everything: nothing is built on it. One that only cannot be used is left to
    /// whoever can, and tried again later.
    pub(super) fn journal_unusable(&mut self, error: Error) {
        self.tell(Happening::Trouble(error.to_string()));
        self.notify(crate::notify::Severity::Critical, error.to_string());
        self.halted = error.kind() == ErrorKind::Corrupt;
        self.rest(&error);
        self.finish_mandate(Ending::Failed(error.clone()));
        self.step_down(error.to_string());
    }

    pub(super) fn append(&mut self, event: Event, then: Option<StepId>) {
        self.journal.queue.push((Record { at: self.now.wall, event }, then));
    }

    /// Writes what is queued into the next slot, if none is being written.
    pub(super) fn run_journal(&mut self) {
        let Some(term) = self.role.holding() else { return };
        let Some(head) = self.journal.head.clone() else { return };
        if self.journal.open.is_some() || self.journal.queue.is_empty() {
            return;
        }
        if self.moment() < self.journal.rests_until {
            let at = self.journal.rests_until;
            return self.wake_at(at);
        }
        let count = self.journal.queue.len().min(RECORDS_PER_SLOT);
        let records: Vec<_> = self.journal.queue.drain(..count).collect();
        let slot = Slot {
            format: FORMAT,
            number: head.slots,
            previous: head.hash,
            term,
            actor: self.settings.actor.clone(),
            records: records.iter().map(|(record, _)| record.clone()).collect(),
            writer: self.token(),
        };
        let bytes = slot.encode();
        let after = JournalHead { slots: head.slots + 1, hash: SlotHash::of(&bytes) };
        let Ok(mut swap) = Swap::new(self.cells.journal(head.slots), Expected::Absent, bytes, writer) else {
            return;
        };
        let call = swap.begin();
        self.journal.open = Some(OpenSlot { swap, head: after, records });
        let deadline = self.timing().call_deadline;
        self.call(Tag::SlotSwap, call, deadline);
    }

    pub(super) fn slot_swapped(&mut self, reply: Reply) {
        let Some(mut open) = self.journal.open.take() else { return };
        let lost = reply == Reply::Store(Ok(StoreOutcome::Lost));
        match open.swap.step(reply) {
            Next::Call(call) => {
                self.journal.open = Some(open);
                self.swap_on(Tag::SlotSwap, call, lost);
            }
            Next::Applied { .. } => self.slot_durable(open),
            Next::Lost(_) => self.slot_taken(open),
            Next::Failed(error) if error.can_retry() => {
                // Certainly not applied: the same records go into the same slot after a while.
                self.journal.queue.splice(0..0, open.records);
                let wait = (self.timing().beat / 4).max(error.retry_after().unwrap_or_default());
                self.journal.rests_until = self.moment() + wait;
            }
            Next::Failed(error) => self.journal_unusable(error),
        }
    }

    fn slot_durable(&mut self, open: OpenSlot) {
        self.journal.head = Some(open.head);
        let recovering = self.role.leading().is_none();
        for (record, then) in open.records {
            if let Event::Done { step, how } = &record.event {
                self.tell(Happening::Step(step.clone(), how.clone()));
            }
            if let Event::Skipped { step, why } = &record.event {
                self.tell(Happening::Step(step.clone(), format!("left out: {why}")));
            }
            self.records.push(record);
            if let Some(step) = then {
                self.step_journaled(&step);
            }
        }
        if recovering {
            self.took_over();
        }
    }

    /// Somebody else has written this slot. While reading the journal that is an actor before this one, which appended
    /// once more; later it can only be one after it.
    fn slot_taken(&mut self, open: OpenSlot) {
        if self.role.leading().is_some() {
            self.step_down("another actor writes the journal".into());
            return;
        }
        let anchor = self.view.ledger().map(|ledger| ledger.journal.clone());
        if let (Some(head), Some(anchor)) = (self.journal.head.take(), anchor) {
            drop(open);
            self.journal.queue.clear();
            self.journal.reader = Some(Reader::new(head, anchor));
            self.read_slot();
        }
    }
}
