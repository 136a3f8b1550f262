//! The rules that every run must keep. Each is a pure function of the [`History`](super::History), in a file of its own;
//! none shares code with what it judges: they read records as plain JSON.

use std::fmt;

use super::clock::TrueTime;
use super::history::History;
use super::world::DataSet;
use super::writers::Write;

mod no_loss;
mod one_writer;
mod view;

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

/// A rule: what its judge is called, and the judge.
pub type Oracle = (&'static str, fn(&History) -> Vec<Violation>);

/// All of them.
pub const ORACLES: &[Oracle] =
    &[("one writer", one_writer::check), ("no loss on a switchover", no_loss::check)];

/// Everything that is wrong with a run.
pub fn check(history: &History) -> Vec<Violation> {
    ORACLES.iter().flat_map(|(_, judge)| judge(history)).collect()
}

/// Whether a region's replica shows a write, or one to the same key that was made after it. What an older epoch
/// overwrote is lost, however late that one came.
pub(crate) fn shows(data: &DataSet, region: usize, write: &Write) -> bool {
    let Some(change) = write.change.and_then(|id| data.change(id)) else { return false };
    let Some((id, shown)) = data.shown(region, write.key) else { return false };
    Some(id) == write.change || (shown.epoch, shown.at) > (change.epoch, change.at)
}
