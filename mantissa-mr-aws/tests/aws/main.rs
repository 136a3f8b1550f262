//! Everything against the emulator, through a proxy that keeps a log and injects faults.

mod cell;
mod conformance;
mod connect;
mod errors;
mod router;
mod scaler;
mod store;
mod unfinished;
mod world;
