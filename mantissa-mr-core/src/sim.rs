//! A simulated multi-region world (feature `sim`): regions, stores, routers, scalers, cells, a network and clocks, all
//! with faults, in virtual time.
//!
//! - [`World`] is the truth: pure and synchronous, it answers every [`Call`](crate::call::Call).
//! - [`Simulation`] runs processes ([`Machine`](crate::call::Machine)s with a place and a clock of their own) and the
//!   clients of gated and ungated services in that world, on a heap of what happens next. One seed gives one run, byte
//!   for byte; no runtime, no real clock, no randomness but the seed's.
//! - [`History`] is what happened, in true time, with the [`Book`] of every write that any client tried: loss and
//!   double writing are measured there, not assumed.
//! - [`oracle`] holds the rules that every run must keep, each in a file of its own that shares no code with what it
//!   judges.
//! - [`broken`] has the library with one bug at a time, to show that each oracle bites.

pub mod adapters;
pub mod broken;
pub mod cast;
pub mod clock;
mod deployment;
pub mod fault;
pub mod heap;
pub mod history;
mod network;
pub mod oracle;
pub mod person;
mod place;
mod process;
pub mod random;
mod settings;
pub mod swarm;
mod world;
pub mod writers;

pub use broken::Broken;
pub use cast::{Cast, Endings, NewsBoard};
pub use clock::{SimClock, TrueTime};
pub use deployment::{deployment, group, set, spec};
pub use fault::{Fault, RegionState};
pub use heap::{Birth, Body, Gate, ProcessId, ProcessSpec, Role, Settings, SimPermit, Simulation};
pub use history::{Event, History, ProcessInfo, What};
pub use network::Weather;
pub use person::{Person, Wish};
pub use place::Place;
pub use random::{Random, Rate, Spread};
pub use swarm::{Phases, Swarm};
pub use world::{CellTroubles, Climate, World};
pub use writers::{Book, Fate, Traffic, Write};
