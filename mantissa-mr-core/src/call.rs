//! Calls and answers as data: what the algorithms ask of the world, so that one and the same code runs against clouds,
//! against a simulated world and under a model checker.

use std::time::Duration;

use crate::cell::{Cell, CellName, Expected, StoreOutcome};
use crate::check::Assessment;
use crate::clock::{Moment, Now};
use crate::compute::{Capacity, Target};
use crate::error::Result;
use crate::ledger::Epoch;
use crate::name::{Region, ResourceName};
use crate::notify::{HookAnswer, HookQuestion, Notice};
use crate::store::{Barrier, Cursor, Drained, Fence, Promotion, Reconciled, StoreStatus};
use crate::traffic::{Convergence, Routing, Shift, Weights};

/// The number of a call, unique within its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Something asked of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is a method of a trait, with that method's parameters")]
pub enum Call {
    /// [`CellStore::load`](crate::cell::CellStore::load).
    Load { cell: CellName },
    /// [`CellStore::store`](crate::cell::CellStore::store).
    Store { cell: CellName, expected: Expected, value: Vec<u8> },
    /// [`ReplicatedStore::status`](crate::store::ReplicatedStore::status).
    Status { store: ResourceName },
    /// [`ReplicatedStore::drained`](crate::store::ReplicatedStore::drained).
    Drained { store: ResourceName, barrier: Barrier },
    /// [`ReplicatedStore::promote`](crate::store::ReplicatedStore::promote).
    Promote { store: ResourceName, region: Region, promotion: Promotion, epoch: Epoch },
    /// [`ReplicatedStore::fence`](crate::store::ReplicatedStore::fence).
    Fence { store: ResourceName, region: Region, epoch: Epoch },
    /// [`ReplicatedStore::unfence`](crate::store::ReplicatedStore::unfence).
    Unfence { store: ResourceName, region: Region, epoch: Epoch },
    /// [`ReplicatedStore::reconcile`](crate::store::ReplicatedStore::reconcile).
    Reconcile { store: ResourceName, serving: Region, after: Option<Cursor> },
    /// [`TrafficRouter::routing`](crate::traffic::TrafficRouter::routing).
    Routing { router: ResourceName },
    /// [`TrafficRouter::shift`](crate::traffic::TrafficRouter::shift).
    Shift { router: ResourceName, shift: Shift },
    /// [`TrafficRouter::converged`](crate::traffic::TrafficRouter::converged).
    Converged { router: ResourceName, weights: Weights },
    /// [`ComputeScaler::capacity`](crate::compute::ComputeScaler::capacity).
    Capacity { scaler: ResourceName, region: Region },
    /// [`ComputeScaler::scale`](crate::compute::ComputeScaler::scale).
    Scale { scaler: ResourceName, region: Region, target: Target, epoch: Epoch },
    /// [`Check::assess`](crate::check::Check::assess).
    Assess { check: ResourceName, region: Region },
    /// [`Hook::before`](crate::notify::Hook::before), of every hook: the first veto is the answer.
    Ask { question: HookQuestion },
    /// [`Notifier::notify`](crate::notify::Notifier::notify), of every notifier.
    Notify { notice: Notice },
}

impl Call {
    /// Whether it asks a cloud to change something: such a call goes out only after its intention was journaled. What
    /// [`Reconcile`](Self::Reconcile) puts back is data, and needs no journal.
    pub fn changes_cloud(&self) -> bool {
        matches!(
            self,
            Self::Promote { .. }
                | Self::Fence { .. }
                | Self::Unfence { .. }
                | Self::Shift { .. }
                | Self::Scale { .. }
        )
    }
}

/// The answer to a [`Call`] of the same name.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the result of the method that its call names")]
pub enum Reply {
    Load(Result<Option<Cell>>),
    Store(Result<StoreOutcome>),
    Status(Result<StoreStatus>),
    Drained(Result<Drained>),
    Promote(Result<()>),
    Fence(Result<Fence>),
    Unfence(Result<()>),
    Reconcile(Result<Reconciled>),
    Routing(Result<Routing>),
    Shift(Result<()>),
    Converged(Result<Convergence>),
    Capacity(Result<Capacity>),
    Scale(Result<()>),
    Assess(Result<Assessment>),
    Ask(Result<HookAnswer>),
    Notify(Result<()>),
}

/// A call with its number and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: CallId,
    /// What is asked.
    pub call: Call,
    /// Whoever carries it out must not send it later than this after it was handed out, nor wait longer for its answer.
    pub deadline: Duration,
}

/// What a [`Machine`] is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It began, or a moment that it asked to be woken at has come.
    Wake,
    /// A call was answered, or its deadline passed (then the reply is a `Timeout`).
    Reply {
        /// Which call.
        id: CallId,
        /// The answer.
        reply: Reply,
    },
}

/// What a [`Machine`] wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A call is to be made; its answer comes back as [`Input::Reply`], exactly once.
    Call(Request),
    /// It wants to be woken at this moment of its own clock.
    WakeAt(Moment),
}

/// An algorithm without I/O, clock or randomness of its own: told what happened and what time it is, it says what to do.
///
/// A driver calls [`step`](Self::step) with [`Input::Wake`] once at the begin, then for every wake and every reply.
pub trait Machine {
    /// Takes one input.
    fn step(&mut self, now: Now, input: Input) -> Vec<Output>;
}
