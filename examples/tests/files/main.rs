//! The world of files keeps the contracts of the traits, and loses nothing to whoever is killed over it.

// It belongs to the example; here it is only judged.
#[path = "../../failover/files/mod.rs"]
mod files;

mod conformance;
mod world;
