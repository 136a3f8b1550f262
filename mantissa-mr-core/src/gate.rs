//! The write gate: what a service asks before it writes.
//!
//! Two regions' gates are never open at once, whatever is partitioned, paused or crashed, as long as clocks *run* at
//! nearly the same rate. Why that holds, in four sentences:
//!
//! 1. A gate opens by a linearizable read of the ledger that says that its region is active, and trusts that answer
//!    for [`GateTerms::trust`](crate::deployment::GateTerms::trust), counted from the *send* of the read on its own
//!    clock. A read that still sees the region active was sent before the answer of the swap that seals it.
//! 2. A move swaps the ledger to sealed, and waits
//!    [`GateTerms::seal_wait`](crate::deployment::GateTerms::seal_wait) from the *answer* of that swap before it admits
//!    another region. That is longer than the trust on any clock within the rate margin, so by then every gate of
//!    the sealed region has run out, whether or not it ever heard of the seal.
//! 3. A permit is given only if the remaining trust covers the write deadline, and a write is acknowledged only while
//!    its permit [holds](GateMachine::holds): so no write is acknowledged after its gate's trust.
//! 4. Whatever may break the premise shuts the gate: a clock that was stopped or set (boot time and wall time diverge),
//!    a ledger that cannot be read, that is another deployment's, or that went back.
//!
//! This bounds acknowledgements, not arrivals: a write that was sent and not acknowledged may still land late, where
//! the store cannot refuse it. That is why writes carry the [`Epoch`](crate::ledger::Epoch) of their permit.
//!
//! A gate can also bound what a failover loses (see [`RpoBound`]): it then shuts when the region that would take over
//! is not known to be close enough behind. A standby that is gone shuts such a gate too: that is what the bound costs.
//!
//! [`GateMachine`] is the algorithm, without I/O or clock. [`WriteGate`] is what a service holds, and [`GateRunner`] what
//! keeps it open.

mod answer;
mod handle;
mod machine;
mod published;
mod runner;
mod shut;
mod view;

pub use handle::{Unknown, WhyUnknown, WriteError, WriteGate, WritePermit};
pub use machine::{GateMachine, RenewPolicy};
pub use runner::GateRunner;
pub use shut::{Shut, ShutReason};
pub use view::{Permit, RpoBound};

#[cfg(test)]
mod tests;
