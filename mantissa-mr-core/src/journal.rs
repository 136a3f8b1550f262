//! The evidence of every execution: hash-chained slots, created if absent, the head anchored in the ledger.
//!
//! A slot is created only if nobody else has created it: appending is therefore also the check that the writer still
//! acts for the group. Whoever takes the lease over appends [`Event::TookOver`] first; after that, an append of the
//! actor before it meets a slot that is taken, and it stops. A step's call to a cloud is made only after its
//! [`Event::Intended`] was appended, so a successor always knows which call may still be open, and until when.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::deployment::{friendly, hex};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Outcome, Term, Token};
use crate::name::{ActorId, DeploymentName, ExecutionId, GroupName, StepId};
use crate::plan::{Move, PlanHash};

/// The version of a slot's format.
pub const FORMAT: u32 = 1;

/// The SHA-256 of a slot's bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotHash(String);

impl SlotHash {
    /// The hash of bytes as stored.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }
}

impl fmt::Display for SlotHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SlotHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.12}", self.0)
    }
}

/// How far a journal goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JournalHead {
    /// How many slots there are; the next one has this number.
    pub slots: u64,
    /// The hash of the last one; before the first, one of the deployment's and the group's name.
    pub hash: SlotHash,
}

impl JournalHead {
    /// The head of an empty journal: no other group's, of no other deployment, begins with it.
    pub fn genesis(deployment: &DeploymentName, group: &GroupName) -> Self {
        Self {
            slots: 0,
            hash: SlotHash::of(format!("mantissa-mr journal of {deployment}/{group}").as_bytes()),
        }
    }
}

/// One slot: what its writer had to say at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Slot {
    /// The version of this format.
    pub format: u32,
    /// Its number.
    pub number: u64,
    /// The hash of the slot before.
    pub previous: SlotHash,
    /// The term under which it was written.
    pub term: Term,
    /// Who wrote it.
    pub actor: ActorId,
    /// What happened.
    pub records: Vec<Record>,
    /// Which write this is.
    pub writer: Token,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Record {
    /// When, by the wall clock of who says it: evidence, never a basis of decisions.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// An actor took the lease over; nobody with a lower term writes after this.
    TookOver,
    /// An execution began.
    Began {
        /// Its name.
        execution: ExecutionId,
        /// Its plan.
        plan: PlanHash,
        /// What it does.
        kind: Move,
        /// Who wanted it, and why.
        why: String,
    },
    /// A call is about to be made.
    Intended {
        /// The step.
        step: StepId,
        /// The attempt, from one.
        attempt: u32,
        /// The call is not sent, nor waited for, later than this after the append.
        #[serde(with = "friendly")]
        deadline: Duration,
        /// What it asks for may take effect as late as this after the append, answered or not: a promotion that a region in
        /// distress carries out slowly. None for a call that has its effect before it is answered.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
        )]
        lands: Option<Duration>,
    },
    /// A step is done.
    Done {
        /// The step.
        step: StepId,
        /// What was seen.
        how: String,
    },
    /// An attempt failed.
    Failed {
        /// The step.
        step: StepId,
        /// The attempt, from one.
        attempt: u32,
        /// The error, in one line.
        error: String,
    },
    /// A step was left out.
    Skipped {
        /// The step.
        step: StepId,
        /// Who or what left it out, and why.
        why: String,
    },
    /// No further step begins until a person says so.
    Paused {
        /// Why.
        why: String,
    },
    /// It goes on.
    Resumed {
        /// Who said so.
        by: String,
    },
    /// The move is given up; the gates are reopened.
    Aborting {
        /// Why.
        why: String,
    },
    /// It ended.
    Ended {
        /// The execution.
        execution: ExecutionId,
        /// How.
        outcome: Outcome,
        /// What was measured, in one line.
        summary: String,
    },
}

/// The records of one execution: those that follow its begin; none if that is not among them.
pub(crate) fn of_execution<'a>(records: &'a [Record], id: &ExecutionId) -> &'a [Record] {
    let begins = |record: &Record| matches!(&record.event, Event::Began { execution, .. } if execution == id);
    let from = records.iter().position(begins).unwrap_or(records.len());
    &records[from..]
}

impl Slot {
    /// The slot as bytes. Its hash is that of these bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Plain data with string keys: serialising it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a slot that must follow a head.
    ///
    /// # Errors
    /// `Corrupt` if it is no slot, has another number, or does not follow the head's hash.
    pub fn decode(bytes: &[u8], head: &JournalHead) -> Result<Self> {
        let corrupt = |message: String| corrupt(head.slots, message);
        let slot: Self = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if slot.format != FORMAT {
            return Err(corrupt(format!("it has format {}, this program reads {FORMAT}", slot.format)));
        }
        if slot.number != head.slots {
            return Err(corrupt(format!("it says that it is slot {}", slot.number)));
        }
        if slot.previous != head.hash {
            return Err(corrupt(format!("it follows {:.12}, not {:.12}", slot.previous, head.hash)));
        }
        Ok(slot)
    }
}

fn corrupt(slot: u64, message: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("read slot {slot} of the journal"), message).with_advice(
        "the journal was changed by something else than mantissa-mr: nothing is done until a person has looked",
    )
}

/// A slot of a term that the ledger, read after it, has never given: nobody can have written it who acts for the group.
pub(crate) fn ahead(slot: u64, term: Term, ledger: Term) -> Error {
    corrupt(slot, format!("its term is {term}, and the ledger has given none after {ledger}"))
}

/// Reads a journal slot by slot and checks it against the anchor in the ledger.
///
/// Feed it each slot's bytes in order, then `None` where there is no slot: up to the anchor a missing slot, another
/// hash at the anchor, or a broken chain is an error; slots past the anchor are read as far as they go.
#[derive(Clone, Debug)]
pub struct Reader {
    head: JournalHead,
    anchor: JournalHead,
    term: Term,
}

impl Reader {
    /// Reads on from `start` (a head that is already trusted, or the genesis) to the anchor and past it.
    pub fn new(start: JournalHead, anchor: JournalHead) -> Self {
        Self { head: start, anchor, term: Term(0) }
    }

    /// The head so far.
    pub fn head(&self) -> &JournalHead {
        &self.head
    }

    /// The number of the slot to feed next.
    pub fn next(&self) -> u64 {
        self.head.slots
    }

    /// Takes the next slot; `Ok(None)` at the end.
    ///
    /// # Errors
    /// `Corrupt`: a slot before the anchor is missing, the chain is broken, terms go back, or the anchor does not fit.
    pub fn feed(&mut self, bytes: Option<&[u8]>) -> Result<Option<Slot>> {
        let Some(bytes) = bytes else {
            if self.head.slots < self.anchor.slots {
                let message = format!("it is missing, and the ledger anchors {} slots", self.anchor.slots);
                return Err(corrupt(self.head.slots, message));
            }
            return Ok(None);
        };
        let slot = Slot::decode(bytes, &self.head)?;
        if slot.term < self.term {
            return Err(corrupt(slot.number, format!("its term {} follows term {}", slot.term, self.term)));
        }
        self.term = slot.term;
        self.head = JournalHead { slots: self.head.slots.saturating_add(1), hash: SlotHash::of(bytes) };
        if self.head.slots == self.anchor.slots && self.head.hash != self.anchor.hash {
            let message =
                format!("its hash is {:.12}, the ledger anchors {:.12}", self.head.hash, self.anchor.hash);
            return Err(corrupt(slot.number, message));
        }
        Ok(Some(slot))
    }
}

#[cfg(test)]
mod tests;
