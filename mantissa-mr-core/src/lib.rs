//! Multi-region failover: the traits, the decisions and the guarantees, for any cloud.

pub mod call;
pub mod cell;
pub mod check;
pub mod clock;
pub mod compute;
pub mod deployment;
pub mod error;
pub mod guard;
pub mod journal;
pub mod ledger;
pub mod name;
pub mod notify;
pub mod plan;
pub mod problem;
#[cfg(feature = "sim")]
pub mod sim;
pub mod state;
pub mod store;
pub mod traffic;
