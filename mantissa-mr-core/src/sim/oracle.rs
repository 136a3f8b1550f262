//! The rules that every run must keep. Each is a pure function of the [`History`](super::History), in a file of its own;
//! none shares logic with what it judges: they read records as plain JSON.

use std::fmt;

use super::clock::TrueTime;
use super::history::History;
use super::world::DataSet;
use super::writers::Write;

mod bounded_loss;
mod fail_safe;
mod no_flapping;
mod no_loss;
mod one_ledger;
mod one_writer;
mod rest;
mod static_stability;
mod take_over;
mod view;
mod way_out;

use view::Records;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's number in the design.
    pub rule: u8,
    /// When it was broken.
    pub at: TrueTime,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} at {}: {}", self.rule, self.at, self.what)
    }
}

/// A rule and its judge.
type Oracle = (u8, &'static str, fn(&History, &Records) -> Vec<Violation>);

const ORACLES: [Oracle; 9] = [
    (1, "one writer", one_writer::check),
    (2, "no acknowledged write is lost on a switchover", no_loss::check),
    (3, "the loss of a failover is bounded or labelled", bounded_loss::check),
    (4, "the ledger alone decides", one_ledger::check),
    (5, "a crash anywhere is resumable", resumable),
    (6, "fail safe", fail_safe::check),
    (7, "no flapping", no_flapping::check),
    (8, "static stability", static_stability::check),
    (9, "every state has a deadline and a way out", way_out::check),
];

fn resumable(history: &History, records: &Records) -> Vec<Violation> {
    let mut found = rest::check(history, records);
    found.extend(take_over::check(records));
    found
}

/// The rules, by number.
pub fn rules() -> impl Iterator<Item = (u8, &'static str)> {
    ORACLES.iter().map(|(number, name, _)| (*number, *name))
}

/// Everything that is wrong with a run.
pub fn check(history: &History) -> Vec<Violation> {
    let records = Records::read(history);
    ORACLES.iter().flat_map(|(_, _, judge)| judge(history, &records)).collect()
}

/// Whether a region's replica shows a write, or one to the same key that was made after it. What an older epoch
/// overwrote is lost, however late that one came.
pub(crate) fn shows(data: &DataSet, region: usize, write: &Write) -> bool {
    let Some(change) = write.change.and_then(|id| data.change(id)) else { return false };
    let Some((id, shown)) = data.shown(region, write.key) else { return false };
    Some(id) == write.change || (shown.epoch, shown.at) > (change.epoch, change.at)
}
