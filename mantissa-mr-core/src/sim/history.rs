//! Everything that happened in a run, in true time: what oracles judge by.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::clock::TrueTime;
use super::fault::Fault;
use super::place::Place;
use super::process::{ProcessId, Role};
use super::writers::Book;
use crate::call::{Call, Reply};
use crate::cell::CellName;
use crate::deployment::Deployment;
use crate::ledger::Epoch;
use crate::name::{ActorId, GroupName, Region, ResourceName};
use crate::store::Key;
use crate::traffic::Weights;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: TrueTime,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A process began, or began again.
    Born {
        /// Which.
        process: ProcessId,
        /// The name of this life.
        actor: ActorId,
    },
    /// A process lost its memory.
    Crashed(ProcessId),
    /// A process stands still.
    Frozen(ProcessId),
    /// It goes on.
    Thawed(ProcessId),
    /// A call was sent.
    Sent {
        /// Its number: calls are numbered in the order in which they are sent, from one.
        number: u64,
        /// By whom.
        process: ProcessId,
        /// What was asked.
        call: Arc<Call>,
    },
    /// A call was carried out; its answer, if it arrives, is this.
    Applied {
        /// The call's number.
        number: u64,
        /// The answer.
        reply: Arc<Reply>,
    },
    /// A process was told the answer.
    Answered {
        /// The call's number.
        number: u64,
        /// What it was told.
        reply: Arc<Reply>,
    },
    /// A cell changed.
    Stored {
        /// Which cell.
        cell: CellName,
        /// Its new version; versions grow over all cells.
        version: u64,
        /// What it holds now.
        value: Arc<[u8]>,
        /// The call that did it; zero for what was there from the begin.
        number: u64,
    },
    /// A gate opened, shut, or was given more time.
    Gate {
        /// The service's process.
        process: ProcessId,
        /// The epoch it is open under and when it shuts if nothing more is heard; none if it is shut.
        open: Option<(Epoch, TrueTime)>,
    },
    /// A region may serve from now on.
    Admitted {
        /// The group.
        group: GroupName,
        /// The region.
        region: Region,
        /// The epoch that began with it.
        epoch: Epoch,
        /// Writes acknowledged before that the region's replicas do not show, by their number in the book. Not those that
        /// a late write of an older epoch took the place of: see [`Self::Audited`].
        missing: Vec<u32>,
    },
    /// What a region that may serve lacks at a time when somebody looked.
    Audited {
        /// The group.
        group: GroupName,
        /// The region.
        region: Region,
        /// Acknowledged writes that the region's replicas do not show, by their number in the book.
        missing: Vec<u32>,
        /// Acknowledged writes that a late one of an older epoch shows in the place of, with their keys' names.
        overtaken: Vec<(u32, Key)>,
        /// The regions that take writes, of each store that has one writer.
        writers: BTreeMap<ResourceName, Vec<Region>>,
        /// Where each router sends clients.
        weights: BTreeMap<ResourceName, Weights>,
    },
    /// Time stopped: something went on for ever without waiting. The run ended here.
    Standstill {
        /// Whose doing it was.
        process: Option<ProcessId>,
    },
    /// Something went wrong or was mended.
    Fault(Fault),
}

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub place: Place,
    /// What it is there for.
    pub role: Role,
    /// The group that it serves.
    pub serves: Option<GroupName>,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct History {
    /// What the world was built from.
    pub deployment: Arc<Deployment>,
    /// The processes, by their numbers.
    pub processes: Vec<ProcessInfo>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Every write that any client tried.
    pub book: Book,
    /// When everything was mended, if it was.
    pub healed: Option<TrueTime>,
    /// When the run ended.
    pub ended: TrueTime,
}

impl History {
    /// The history of a run that has not begun.
    pub fn new(deployment: Arc<Deployment>) -> Self {
        Self {
            deployment,
            processes: Vec::new(),
            events: Vec::new(),
            book: Book::default(),
            healed: None,
            ended: TrueTime::START,
        }
    }

    /// A hash of all of it, what was asked, answered, stored and written included: equal runs have equal ones. It is for
    /// comparing runs of one build: another build may show the same run in other words.
    pub fn hash(&self) -> u64 {
        let Self { deployment, processes, events, book, healed, ended } = self;
        let mut hasher = Fnv(Fnv::START);
        let all = (deployment.hash(), processes, events, &book.writes, healed, ended);
        // Writing into a hasher cannot fail.
        let _ = write!(hasher, "{all:?}");
        hasher.0
    }

    /// What is known of a process.
    pub fn process(&self, id: ProcessId) -> Option<&ProcessInfo> {
        self.processes.get(id.0 as usize)
    }
}

/// FNV-1a over text.
struct Fnv(u64);

impl Fnv {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
