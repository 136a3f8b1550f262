//! What is fuzzed: one function for each family of parsers. Whatever the bytes are, it must return; it panics where a
//! parser breaks its word.
//!
//! The fuzzer (`fuzz/`) includes this folder as it is, so that what it found is replayed by the same code.

mod config;
mod journal;
mod json;
mod ledger;
mod plan;
mod registers;

/// Takes any bytes.
type Target = fn(&[u8]);

/// Each target by its name, which is also its folder's in `fuzz/kept`.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("journal", journal::journal),
    ("ledger", ledger::ledger),
    ("overlay_json", config::overlay_json),
    ("overlay_toml", config::overlay_toml),
    ("plan", plan::plan),
    ("registers", registers::registers),
    ("tfvars", config::tfvars),
    ("tfvars_json", config::tfvars_json),
];

/// Gives these bytes to a target.
pub(crate) fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target(data);
}
