//! The rules that every run must keep. Each is a pure function of the [`History`], in a file of its own;
//! none shares logic with what it judges: they read records as plain JSON.

use std::fmt;

use super::clock::TrueTime;
use super::history::History;
use super::world::DataSet;
use super::writers::Write;

mod bounded_loss;
mod fail_safe;
mod late_writes;
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
    (1, "one writer", fenced),
    (2, "no acknowledged write is lost on a switchover", no_loss::check),
    (3, "the loss of a failover is bounded or labelled", bounded_loss::check),
    (4, "the ledger alone decides", one_ledger::check),
    (5, "a crash anywhere is resumable", resumable),
    (6, "fail safe", fail_safe::check),
    (7, "no flapping", no_flapping::check),
    (8, "static stability", static_stability::check),
    (9, "every state has a deadline and a way out", way_out::check),
];

fn fenced(history: &History, records: &Records) -> Vec<Violation> {
    let mut found = one_writer::check(history, records);
    found.extend(late_writes::check(history, records));
    found
}

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

/// What a region's replica shows of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It, or one to the same key that was made after it.
    Shown,
    /// One of an older epoch that came after it.
    Overtaken,
    /// Neither.
    Missing,
}

/// Looks for a write in a region's replica. What was put back counts as what it was when it was first written.
pub(crate) fn sight(data: &DataSet, region: usize, write: &Write) -> Sight {
    let Some(own) = write.change else { return Sight::Missing };
    let Some((id, shown)) = data.shown(region, write.key) else { return Sight::Missing };
    let content = data.original(id);
    let (Some(change), Some(original)) = (data.change(own), data.change(content)) else {
        return Sight::Missing;
    };
    if content == own || (original.epoch, original.at) > (change.epoch, change.at) {
        return Sight::Shown;
    }
    let is_late = shown.epoch < change.epoch && shown.at > change.at;
    if is_late || content != id { Sight::Overtaken } else { Sight::Missing }
}
