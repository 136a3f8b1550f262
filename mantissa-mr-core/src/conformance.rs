//! The tests that every implementation of a trait must pass, as functions that a test of yours calls.
//!
//! One suite for each trait: [`cells`], [`stores`], [`routers`], [`scalers`], [`checks`], [`notices`]. A suite takes a
//! *fixture*, which hands out the implementation and, where it can, breaks the world around it on request: loses an
//! answer, holds a request back, cuts a region off. It returns a [`Report`].
//!
//! - What an implementation does not offer, or what a fixture cannot inject, is **skipped with its reason**, never
//!   passed; and the test names the skips that it expects, so that one more or one less is seen. Where a capability is
//!   missing, a case is skipped only after it has seen that the implementation says so when it is asked.
//! - Everything a suite creates carries the name of the run, and it deletes nothing else: it can run beside other
//!   things in a shared account, and twice at once.
//! - A case that does not end within the fixture's patience has failed. A panic of the implementation is not caught.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! use async_trait::async_trait;
//! use mantissa_mr_core::cell::{CellStore, MemoryCells};
//! use mantissa_mr_core::conformance::cells::{self, CellFault, CellFixture, FAULT_CASES};
//! use mantissa_mr_core::conformance::{Fixture, Injection, RunId};
//!
//! #[derive(Debug)]
//! struct Memory(MemoryCells);
//!
//! #[async_trait]
//! impl Fixture for Memory {
//!     fn patience(&self) -> Duration {
//!         Duration::from_secs(30)
//!     }
//!     async fn wait(&self, round: u32) -> bool {
//!         round < 10
//!     }
//! }
//!
//! #[async_trait]
//! impl CellFixture for Memory {
//!     fn cells(&self) -> Arc<dyn CellStore> {
//!         Arc::new(self.0.clone())
//!     }
//!     fn second(&self) -> Result<Arc<dyn CellStore>, String> {
//!         Ok(self.cells())
//!     }
//!     async fn inject(&self, _: CellFault) -> Injection {
//!         Injection::Cannot("nothing lies between a program and its own memory".to_owned())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let report = cells::suite(Arc::new(Memory(MemoryCells::new())), &RunId::new("doc-1")?).await;
//! report.assert_passed_with_skips(FAULT_CASES);
//! # Ok(()) }
//! ```

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Effect, Error, Result};
use crate::name::{InvalidName, Region, ResourceName};

pub mod cells;
pub mod checks;
pub mod notices;
pub mod routers;
pub mod scalers;
pub mod stores;

/// What a suite found. Each case is in exactly one of the lists, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The cases that hold.
    pub passed: Vec<&'static str>,
    /// The cases that could not be put, and why.
    pub skipped: Vec<(&'static str, String)>,
    /// The cases that do not hold, and what was seen.
    pub failed: Vec<(&'static str, String)>,
}

impl Report {
    /// Whether nothing failed and exactly these cases were skipped, in whatever order.
    ///
    /// # Errors
    /// What differs, a line each.
    pub fn check(&self, skips: &[&str]) -> Result<(), String> {
        let failed = self.failed.iter().map(|(case, why)| format!("failed: {case}: {why}"));
        let unexpected = self.skipped.iter().filter(|(case, _)| !skips.contains(case));
        let unexpected = unexpected.map(|(case, why)| format!("skipped, unexpectedly: {case}: {why}"));
        let skipped = |case: &str| self.skipped.iter().any(|(name, _)| *name == case);
        let missing = skips.iter().filter(|case| !skipped(case)).map(|case| format!("not skipped: {case}"));
        let lines: Vec<String> = failed.chain(unexpected).chain(missing).collect();
        if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
    }

    /// Asserts in a test that nothing failed and that exactly these cases were skipped.
    ///
    /// # Panics
    /// With what differs; see [`check`](Self::check).
    pub fn assert_passed_with_skips(&self, skips: &[&str]) {
        if let Err(differences) = self.check(skips) {
            panic!("the suite does not hold:\n{differences}");
        }
    }

    /// Runs a case and files what came of it.
    async fn run(
        &mut self,
        case: &'static str,
        patience: Duration,
        work: impl Future<Output = Outcome> + Send,
    ) {
        match tokio::time::timeout(patience, work).await {
            Ok(Ok(())) => self.passed.push(case),
            Ok(Err(Stop::Skip(why))) => self.skipped.push((case, why)),
            Ok(Err(Stop::Fail(why))) => self.failed.push((case, why)),
            Err(_) => self.failed.push((case, format!("it did not end within {patience:?}"))),
        }
    }
}

impl fmt::Display for Report {
    /// A line for each case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.passed {
            writeln!(f, "passed   {case}")?;
        }
        for (case, why) in &self.skipped {
            writeln!(f, "skipped  {case}: {why}")?;
        }
        for (case, why) in &self.failed {
            writeln!(f, "FAILED   {case}: {why}")?;
        }
        Ok(())
    }
}

/// The name of one run of a suite; everything that the run creates carries it.
///
/// Give each run another one, such as the process number and a time: what a run left behind may be removed by its
/// name, and a second run must not meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// The longest name of a run, in bytes.
    pub const MAX_LENGTH: usize = 32;

    /// Checks the text and makes a name of it.
    ///
    /// # Errors
    /// [`InvalidRunId`] if some storage would not keep it as it is, or it is too long to be part of every name.
    pub fn new(text: &str) -> Result<Self, InvalidRunId> {
        if text.len() > Self::MAX_LENGTH || ResourceName::new(text).is_err() {
            return Err(InvalidRunId(
                text.chars().take(Self::MAX_LENGTH).flat_map(char::escape_default).collect(),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number that is another one for most other runs: the seed of what a suite draws.
    fn seed(&self) -> u64 {
        // FNV-1a, which is enough to tell names apart.
        let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text names no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("run `{0}` is not a name: use 1 to 32 characters out of A-Z a-z 0-9 . _ - (letter or digit first)")]
pub struct InvalidRunId(String);

/// What every fixture says.
#[async_trait]
pub trait Fixture: fmt::Debug + Send + Sync + 'static {
    /// How long one case may take, on tokio's clock.
    fn patience(&self) -> Duration;

    /// Lets time pass before a question is asked again, for the `round`-th time, from zero: sleeps, or moves simulated
    /// time on. `false` if the answer should have come by now.
    async fn wait(&self, round: u32) -> bool;
}

/// Whether a fixture did what a suite asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Injection {
    /// It did, or will do it to the next request.
    Armed,
    /// It cannot, and why: the case is skipped with these words.
    Cannot(String),
}

impl Injection {
    fn armed(self) -> Outcome {
        match self {
            Self::Armed => Ok(()),
            Self::Cannot(why) => Err(Stop::Skip(format!("the fixture cannot inject it: {why}"))),
        }
    }
}

/// Why a case ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    Skip(String),
    Fail(String),
}

type Outcome<T = ()> = Result<T, Stop>;

impl From<Error> for Stop {
    /// An error where the contract asks for a success.
    fn from(error: Error) -> Self {
        Self::Fail(format!("an error that was not expected: {error:#}"))
    }
}

impl From<InvalidName> for Stop {
    fn from(error: InvalidName) -> Self {
        Self::Fail(error.to_string())
    }
}

/// Ends a case as failed unless something holds.
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err($crate::conformance::Stop::Fail(format!($($why)+)));
        }
    };
}
use ensure;

/// Runs cases one after another: `cases!(report, patience, context: case, case)`.
macro_rules! cases {
    ($report:ident, $fixture:expr, $context:expr => $($module:ident::$case:ident),+ $(,)?) => {
        $($report.run(stringify!($case), $fixture.patience(), $module::$case($context)).await;)+
    };
}
use cases;

/// Asks until there is an answer; failed if the fixture's patience ends before.
async fn eventually<F, T, Asked>(fixture: &(impl Fixture + ?Sized), what: &str, mut ask: F) -> Outcome<T>
where
    F: FnMut() -> Asked + Send,
    Asked: Future<Output = Outcome<Option<T>>> + Send,
    T: Send,
{
    for round in 0_u32.. {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if !fixture.wait(round).await {
            break;
        }
    }
    Err(Stop::Fail(format!("it never came: {what}")))
}

/// A region that no deployment has.
fn nowhere() -> Outcome<Region> {
    Ok(Region::new("conformance-nowhere")?)
}

/// An error that must say that nothing was changed.
fn without_effect(error: &Error) -> Outcome {
    ensure!(error.effect() == Effect::None, "the refusal does not say that nothing was changed: {error:#}");
    Ok(())
}

/// Numbers that look random and are the same for the same seed (SplitMix64, by Sebastiano Vigna).
#[derive(Clone, Debug)]
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

#[cfg(test)]
mod tests;
