//! Multi-region failover: the traits, the decisions and the guarantees, for any cloud.

pub mod backend;
pub mod call;
pub mod cell;
pub mod check;
pub mod clock;
pub mod compute;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod controller;
pub mod decide;
pub mod deployment;
pub mod detect;
pub mod drive;
pub mod error;
pub mod execute;
pub mod facts;
#[cfg(test)]
mod fixture;
pub mod gate;
pub mod guard;
pub mod journal;
pub mod ledger;
#[cfg(test)]
mod model_check;
pub mod multi_region;
pub mod name;
pub mod notify;
pub mod operator;
mod plain;
pub mod plan;
pub mod problem;
pub mod register;
pub mod report;
#[cfg(feature = "sim")]
pub mod sim;
pub mod state;
pub mod store;
pub mod traffic;
