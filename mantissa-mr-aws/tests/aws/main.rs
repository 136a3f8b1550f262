//! Everything against the emulator, through a proxy that keeps a log and injects faults.

mod bucket;
mod cell;
mod conformance;
mod connect;
mod errors;
mod late;
mod late_streams;
mod router;
mod s3_cells;
mod scaler;
mod store;
mod unfinished;
mod world;
