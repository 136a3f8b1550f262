//! Docs come.
pub mod cell;
pub mod check;
pub(crate) mod clients;
mod connect;
mod error;
pub mod router;
pub mod scaler;
mod settings;
pub mod store;
mod table;

pub use connect::{CHECK, Connected, ROUTER, SCALER, STORE, WITNESS, connect};
