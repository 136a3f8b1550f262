//! What a vantage writes to its register.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::check::Fitness;
use crate::deployment::friendly;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::COUNTED_MOST;
use crate::name::{ActorId, Region, VantageName};

/// The version of the ballot's format that this library reads and writes.
pub const FORMAT: u32 = 1;

/// The longest reason in a ballot, in bytes; longer ones are cut. A ballot is written every few seconds.
pub const MAX_WHY: usize = 240;

/// Tells the runs of one vantage apart, and says which is newer: grows with every start of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Run(pub u64);

impl Run {
    /// The run of a process that starts now and found this in its vantage's register.
    ///
    /// It is greater than the one found, and at least the wall clock's milliseconds, so that a vantage whose register
    /// was lost or restored from an old copy is still newer than what readers remember of it. A wall clock that is
    /// wrong as well only delays: readers go on to see the vantage as stale until they start anew.
    pub fn next(found: Option<&Ballot>, wall: Timestamp) -> Self {
        let after = found.map_or(0, |ballot| ballot.run.0.saturating_add(1));
        Self(after.max(u64::try_from(wall.as_millisecond()).unwrap_or_default()))
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What one vantage sees of all regions, as it writes it to its own register
/// ([`GroupCells::vantage`](crate::ledger::GroupCells::vantage)).
///
/// Ballots of one vantage are ordered by run, then by sequence; readers keep the newest, in whatever order they come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ballot {
    /// The version of this format.
    pub format: u32,
    /// Which vantage.
    pub vantage: VantageName,
    /// The process that writes for it.
    pub writer: ActorId,
    /// Grows with every start of the vantage.
    pub run: Run,
    /// Grows with every ballot of the run.
    pub sequence: u64,
    /// Why the vantage trusts itself to say nothing now; none if it votes.
    pub abstains: Option<String>,
    /// What it says of each region.
    pub votes: BTreeMap<Region, Vote>,
}

/// What one vantage says of one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Vote {
    /// What it calls the region, after so many answers in a row. `Unknown` if the last question could not be put, if
    /// the last answer is too old, or if no answers came in a row that would say more.
    pub fitness: Fitness,
    /// Whether the last probe failed.
    pub failing_now: bool,
    /// How many probes in a row ended like the last one: failed, or did not.
    pub streak: u32,
    /// How old the last answer was when the ballot was written, by the vantage's own clock.
    #[serde(with = "friendly")]
    pub age: Duration,
    /// What the last answer, or the last question that could not be put, said.
    pub why: String,
}

impl Ballot {
    /// The ballot as bytes, for the vantage's register.
    pub fn encode(&self) -> Vec<u8> {
        // Plain data with string keys: serialising it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the ballot in a vantage's register.
    ///
    /// # Errors
    /// `Corrupt` if it is no ballot, has another format, or is another vantage's: the vantage then counts as silent
    /// until it has written a ballot that can be read.
    pub fn decode(bytes: &[u8], vantage: &VantageName) -> Result<Self> {
        let corrupt = |message: String| {
            Error::new(ErrorKind::Corrupt, "read the ballot", message)
                .on(vantage)
                .with_advice("look which program writes to this vantage's register")
        };
        let format: Format = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if format.format != FORMAT {
            return Err(corrupt(format!("it has format {}, this program reads {FORMAT}", format.format)));
        }
        let ballot: Self = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        // One that nothing can follow would silence its vantage for ever.
        if ballot.run.0.max(ballot.sequence) >= COUNTED_MOST {
            return Err(corrupt(format!(
                "nothing can have counted up to {}",
                ballot.run.0.max(ballot.sequence)
            )));
        }
        if ballot.vantage != *vantage {
            return Err(corrupt(format!("it is the ballot of {}", ballot.vantage)));
        }
        Ok(ballot)
    }

    /// Whether this ballot replaces the other one of the same vantage.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.run, self.sequence) > (other.run, other.sequence)
    }
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = if self.failing_now { "failed" } else { "did not fail" };
        write!(f, "{}: the last {} {ended}: {}", self.fitness, self.streak, self.why)
    }
}

/// Cuts a reason to [`MAX_WHY`], at a character's boundary.
pub(super) fn cut(why: &str) -> String {
    if why.len() <= MAX_WHY {
        return why.to_owned();
    }
    let room = MAX_WHY - '…'.len_utf8();
    let end = (0..=room).rev().find(|end| why.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", why.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(run: u64, sequence: u64) -> Ballot {
        let vote = Vote {
            fitness: Fitness::Unfit,
            failing_now: true,
            streak: 4,
            age: Duration::from_millis(1_250),
            why: "no answer in 5 s".into(),
        };
        Ballot {
            format: FORMAT,
            vantage: VantageName::new("ohio").unwrap(),
            writer: ActorId::new("controller-7").unwrap(),
            run: Run(run),
            sequence,
            abstains: None,
            votes: BTreeMap::from([(Region::new("us-east-1").unwrap(), vote)]),
        }
    }

    #[test]
    fn the_format_of_ballots_in_registers_does_not_change_unseen() {
        let text = concat!(
            r#"{"format":1,"vantage":"ohio","writer":"controller-7","run":1700000000000,"sequence":12,"#,
            r#""abstains":null,"votes":{"us-east-1":{"fitness":"unfit","failing-now":true,"streak":4,"#,
            r#""age":"1s 250ms","why":"no answer in 5 s"}}}"#
        );
        let ballot = ballot(1_700_000_000_000, 12);
        assert_eq!(String::from_utf8(ballot.encode()).unwrap(), text);
        assert_eq!(Ballot::decode(text.as_bytes(), &ballot.vantage).unwrap(), ballot);
    }

    #[test]
    fn a_register_that_holds_something_else_is_corrupt_and_never_a_vote() {
        let ohio = VantageName::new("ohio").unwrap();
        let newer = r#"{"format":2,"something":"else"}"#;
        let error = Ballot::decode(newer.as_bytes(), &ohio).unwrap_err();
        assert!(error.message().contains("format 2, this program reads 1"), "{error}");
        let other = VantageName::new("oregon").unwrap();
        let error = Ballot::decode(&ballot(1, 1).encode(), &other).unwrap_err();
        assert!(error.message().contains("ballot of ohio"), "{error}");
        let mut extra = String::from_utf8(ballot(1, 1).encode()).unwrap();
        extra.insert_str(1, r#""more":1,"#);
        for bytes in [extra.as_bytes(), b"", b"null"] {
            assert_eq!(Ballot::decode(bytes, &ohio).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_forged_ballot_that_nothing_could_follow_is_corrupt_and_does_not_silence_its_vantage() {
        let ohio = VantageName::new("ohio").unwrap();
        for (run, sequence) in [(u64::MAX, 1), (1, u64::MAX), (COUNTED_MOST, 1)] {
            let error = Ballot::decode(&ballot(run, sequence).encode(), &ohio).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        let last = Ballot::decode(&ballot(COUNTED_MOST - 1, COUNTED_MOST - 1).encode(), &ohio).unwrap();
        let next = Run::next(Some(&last), Timestamp::UNIX_EPOCH);
        assert!(ballot(next.0, 1).is_newer_than(&last));
    }

    #[test]
    fn a_restarted_vantage_is_newer_than_all_it_wrote_before_even_if_its_register_was_lost() {
        let wall = Timestamp::from_millisecond(1_700_000_000_000).unwrap();
        let before = Run::next(None, wall);
        let old = ballot(before.0, u64::MAX);
        // At the same millisecond, with a wall clock that went back, and without the register.
        for run in [
            Run::next(Some(&old), wall),
            Run::next(Some(&old), Timestamp::UNIX_EPOCH),
            Run::next(None, Timestamp::from_millisecond(1_700_000_000_001).unwrap()),
        ] {
            assert!(ballot(run.0, 1).is_newer_than(&old), "{run}");
            assert!(!old.is_newer_than(&ballot(run.0, 1)), "{run}");
        }
        assert_eq!(Run::next(None, Timestamp::from_second(-5).unwrap()), Run(0));
        assert!(!old.is_newer_than(&old));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"ü".repeat(MAX_WHY));
        assert!(long.len() <= MAX_WHY && long.ends_with("ü…"), "{long}");
    }
}
