//! The journal: slots, one a line, as they are; then put into a chain, which must be read whole; then the chain tampered
//! with, which must be found.

use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::journal::{FORMAT, JournalHead, Reader, Slot, SlotHash};
use mantissa_mr_core::name::GroupName;

use super::json::{kept_whole, refused};

pub(crate) fn journal(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    as_it_is(&lines);
    let chain = Chain::of(&lines);
    assert_eq!(chain.read(&chain.slots).ok(), Some(chain.slots.len()), "a sound journal is read to its end");
    if !chain.slots.is_empty() {
        chain.tampered(data);
    }
}

fn genesis() -> JournalHead {
    JournalHead::genesis(&"corpus".try_into().expect("a name"), &GroupName::new("logs").expect("a name"))
}

/// Anchored nowhere, so that the first slot that does not follow is the end.
fn as_it_is(lines: &[&[u8]]) {
    let mut reader = Reader::new(genesis(), genesis());
    for line in lines {
        match reader.feed(Some(line)) {
            Ok(slot) => {
                let slot = slot.expect("bytes are a slot or an error");
                kept_whole(line, &slot.encode());
            }
            Err(error) => {
                refused(&error, &[ErrorKind::Corrupt]);
                break;
            }
        }
    }
}

/// A sound journal.
pub(crate) struct Chain {
    pub(crate) slots: Vec<Vec<u8>>,
    pub(crate) head: JournalHead,
}

impl Chain {
    /// The lines that are slots, as a chain: whoever wrote the first one wrote on.
    pub(crate) fn of(lines: &[&[u8]]) -> Self {
        let mut chain = Self { slots: Vec::new(), head: genesis() };
        let mut term = Default::default();
        for line in lines {
            let Ok(mut slot) = serde_json::from_slice::<Slot>(line) else { continue };
            term = slot.term.max(term);
            (slot.format, slot.number, slot.term) = (FORMAT, chain.head.slots, term);
            slot.previous = chain.head.hash.clone();
            let bytes = slot.encode();
            assert_eq!(Slot::decode(&bytes, &chain.head).as_ref(), Ok(&slot));
            chain.head = JournalHead { slots: chain.head.slots + 1, hash: SlotHash::of(&bytes) };
            chain.slots.push(bytes);
        }
        chain
    }

    fn read(&self, slots: &[Vec<u8>]) -> Result<usize> {
        let mut reader = Reader::new(genesis(), self.head.clone());
        for bytes in slots {
            reader.feed(Some(bytes))?;
        }
        reader.feed(None)?;
        Ok(slots.len())
    }

    /// Does to the journal what somebody may who can write the cells, at a place that the data says.
    fn tampered(&self, data: &[u8]) {
        let draw = data.iter().fold(7_usize, |draw, byte| draw.wrapping_mul(31) ^ usize::from(*byte));
        let place = draw % self.slots.len();
        let mut edited = self.slots.clone();
        let byte = draw / self.slots.len() % edited[place].len();
        edited[place][byte] ^= 1 << (draw % 7);
        let mut removed = self.slots.clone();
        removed.remove(place);
        let cut = self.slots[..place].to_vec();
        let mut repeated = self.slots.clone();
        repeated.insert(place, self.slots[place].clone());
        let mut forged = vec![edited, removed, cut, repeated];
        if place > 0 {
            let mut swapped = self.slots.clone();
            swapped.swap(place - 1, place);
            forged.push(swapped);
        }
        for slots in forged {
            match self.read(&slots) {
                Ok(count) => panic!("{count} slots were taken for the {} of the journal", self.slots.len()),
                Err(error) => refused(&error, &[ErrorKind::Corrupt]),
            }
        }
    }
}
