//! A whole world, in a few small numbers: what is large has a number of its own (`table`).

use super::actor::Read;
use super::setup::{Faults, MOST};

/// Everything that there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// True time.
    pub(super) ticks: u8,
    /// What can still go wrong.
    pub(super) left: Faults,
    /// Each region's clock.
    pub(super) clocks: [u8; MOST],
    /// The ledger's cell.
    pub(super) ledger: Read,
    /// The journal's cells.
    pub(super) journal: u32,
    pub(super) store: Store,
    pub(super) services: [Service; MOST],
    /// Each region's controller; none if it is lost.
    pub(super) actors: [Option<u32>; MOST],
    /// What is on its way, in order.
    pub(super) letters: Vec<Letter>,
    /// Which process may be the next to get an answer that has been waiting since an earlier tick; none if something else
    /// has happened in this tick already.
    pub(super) early: Option<u8>,
    /// What has just been violated.
    pub(super) wrong: Option<Wrong>,
}

/// The replicated store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Store {
    /// The region that it calls its writer.
    pub(super) writer: u8,
    /// Whether a write that was acknowledged has not reached the target.
    pub(super) behind: bool,
    /// The highest term under which it was called, or a region was admitted.
    pub(super) acted: u8,
}

/// A region's service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Service {
    pub(super) gate: u32,
    /// A read of the ledger on its way back: how many were sent since, itself included, and what it found.
    pub(super) answer: Option<(u64, u32)>,
    /// The permit of the write that is under way.
    pub(super) permit: Option<u32>,
}

/// What a controller has sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Letter {
    /// The controller's region.
    pub(super) from: u8,
    pub(super) what: What,
    /// Whether anybody waits for an answer.
    pub(super) live: bool,
    /// It has landed, and this is the answer.
    pub(super) answer: Option<Answer>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    /// That the ledger of this version be swapped for this value.
    Swap { expected: u8, value: u32 },
    /// That this slot of the journal be created.
    Slot { number: u8, value: u32 },
    /// That the store be promoted, before the sender's clock is past this.
    Call { term: u8, until: u8 },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Answer {
    /// Done; the ledger's version since then.
    Applied(u8),
    /// Not done, and never will be.
    Lost,
}

/// A rule that was violated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wrong {
    TwoOpen,
    OpenedTooEarly,
    Lost,
    LateAcknowledgement,
    TwoActive,
    EpochKept,
    WentBack,
    TwoHolders,
    LostChange,
    StaleCall,
}

impl Wrong {
    /// Which of the rules that hold always, and how.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::TwoOpen => "rule 1: two regions could acknowledge writes at once",
            Self::OpenedTooEarly => "rule 1: a region is admitted while another's gate is open",
            Self::Lost => "rule 2: a region is admitted that has not everything that was acknowledged",
            Self::LateAcknowledgement => "rule 2: a write is acknowledged after another region was admitted",
            Self::TwoActive => "rule 4: two regions are admitted at once",
            Self::EpochKept => "rule 4: a region is admitted under an epoch that is not new",
            Self::WentBack => "rule 4: an epoch or a term went back",
            Self::TwoHolders => "rule 4: one term has two holders",
            Self::LostChange => {
                "rule 4: a change of the ledger was made to another ledger than the one that was read"
            }
            Self::StaleCall => "rule 5: a call takes effect after somebody of a higher term has acted",
        }
    }
}
