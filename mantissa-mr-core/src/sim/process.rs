//! The processes of a simulation: an algorithm, where it runs, and the clock that it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::clock::{SimClock, TrueTime};
use super::place::{At, Place};
use crate::call::{Call, CallId, Machine, Reply};
use crate::clock::{Moment, Now};
use crate::ledger::Epoch;
use crate::name::{ActorId, GroupName};

/// A process, over all its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// What a process is there for; oracles hold a controller to rules that do not bind a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It watches, decides and carries out by itself.
    Controller,
    /// It does what a person says.
    Operator,
    /// It serves clients.
    Service,
    /// Anything else, such as a test's own machine.
    Other,
}

/// A permit of a [`Gate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimPermit {
    /// The epoch under which the write is made.
    pub epoch: Epoch,
    /// Tells the gate's permits apart.
    pub number: u64,
}

/// A write gate, as a simulated service uses it beside stepping it.
pub trait Gate: Machine {
    /// A permit for one write that begins now, if the gate is open for it.
    fn permit(&mut self, now: Now) -> Option<SimPermit>;

    /// Whether a write under this permit, answered now, may be acknowledged.
    fn holds(&mut self, now: Now, permit: &SimPermit) -> bool;

    /// The epoch that the gate is open under, and the moment until which a write could yet be acknowledged if nothing
    /// more is heard; none if it is shut.
    fn open(&self, now: Now) -> Option<(Epoch, Moment)>;
}

/// What runs in a process.
pub enum Body {
    /// An algorithm.
    Machine(Box<dyn Machine>),
    /// A service that asks a gate before each write.
    Gated(Box<dyn Gate>),
    /// A service whose writers ask nobody.
    Ungated,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine(_) => "Machine",
            Self::Gated(_) => "Gated",
            Self::Ungated => "Ungated",
        })
    }
}

/// What a process is told when it begins, or begins again without memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// A name that no other life of any process had.
    pub actor: ActorId,
    /// Where it runs.
    pub place: Place,
    /// Its own clocks.
    pub now: Now,
    /// Random enough for what it needs.
    pub seed: u64,
}

/// A process to be.
pub struct ProcessSpec {
    /// Its name, made of the letters that names are made of; each life's [`ActorId`] begins with it.
    pub name: String,
    /// Where it runs.
    pub place: Place,
    /// What it is there for.
    pub role: Role,
    /// The group whose clients it serves, for a service.
    pub serves: Option<GroupName>,
    /// Its clocks.
    pub clock: SimClock,
    /// Makes what runs in it, for each life anew.
    pub make: Box<dyn FnMut(&Birth) -> Body>,
}

impl fmt::Debug for ProcessSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessSpec")
            .field("name", &self.name)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A call that is not answered yet.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) call: Arc<Call>,
    pub(crate) number: u64,
    pub(crate) deadline: Moment,
}

/// What came while the process stood still, to be handed over in this order.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) answers: Vec<(CallId, Arc<Reply>)>,
    pub(crate) given_up: Vec<CallId>,
    pub(crate) wakes: bool,
    pub(crate) writes: Vec<super::writers::Step>,
}

pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) place: Place,
    pub(crate) clock: SimClock,
    pub(crate) make: Box<dyn FnMut(&Birth) -> Body>,
    /// None while it is crashed.
    pub(crate) body: Option<Body>,
    /// How often it began. What was meant for an earlier life is thrown away.
    pub(crate) life: u32,
    pub(crate) suspended: bool,
    pub(crate) region_down: bool,
    pub(crate) open: BTreeMap<CallId, Open>,
    pub(crate) wakes: BTreeSet<Moment>,
    pub(crate) inbox: Inbox,
    /// What the gate said last.
    pub(crate) gate: Option<(Epoch, TrueTime)>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).field("life", &self.life).finish_non_exhaustive()
    }
}

impl Process {
    pub(crate) fn new(spec: ProcessSpec, at: At) -> Self {
        Self {
            name: spec.name,
            at,
            place: spec.place,
            clock: spec.clock,
            make: spec.make,
            body: None,
            life: 0,
            suspended: false,
            region_down: false,
            open: BTreeMap::new(),
            wakes: BTreeSet::new(),
            inbox: Inbox::default(),
            gate: None,
        }
    }

    /// Whether it stands still.
    pub(crate) fn frozen(&self) -> bool {
        self.suspended || self.region_down
    }

    /// Whether it can take an input of this life.
    pub(crate) fn lives(&self, life: u32) -> bool {
        self.body.is_some() && self.life == life
    }

    pub(crate) fn machine(&mut self) -> Option<&mut dyn Machine> {
        match self.body.as_mut()? {
            Body::Machine(machine) => Some(machine.as_mut()),
            Body::Gated(gate) => Some(&mut **gate as &mut dyn Machine),
            Body::Ungated => None,
        }
    }

    /// What the gate says now, in true time.
    pub(crate) fn gate_now(&self, now: TrueTime) -> Option<(Epoch, TrueTime)> {
        let Some(Body::Gated(gate)) = &self.body else { return None };
        let (epoch, until) = gate.open(self.clock.now(now))?;
        let until = self.clock.true_time(until);
        (until > now).then_some((epoch, until))
    }

    /// Loses all memory; gives the writes that waited for it to go on.
    pub(crate) fn crash(&mut self) -> Vec<super::writers::Step> {
        self.body = None;
        self.open.clear();
        self.wakes.clear();
        self.gate = None;
        std::mem::take(&mut self.inbox).writes
    }

    /// The name of the life that begins next; none if the process's name is no name.
    pub(crate) fn next_actor(&self) -> Option<ActorId> {
        ActorId::new(&format!("{:.80}.{}", self.name, self.life + 1)).ok()
    }
}
