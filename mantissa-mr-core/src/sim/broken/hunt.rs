//! How many seeds it takes to catch a variant.

use std::fmt;

use super::{Broken, chosen};
use crate::problem::Problems;
use crate::sim::oracle::{self, Violation};
use crate::sim::swarm::{Phases, Swarm};

/// A variant that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bite {
    /// What was caught.
    pub broken: Broken,
    /// At which seed.
    pub seed: u64,
    /// The first violation of its rule there.
    pub violation: Violation,
}

impl fmt::Display for Bite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broken, seed, violation } = self;
        write!(f, "{broken} is caught at seed {seed}: {violation}\n  REPRODUCE WITH: ")?;
        write!(f, "cargo run --release -p mantissa-mr-core --features sim --example seeds -- ")?;
        write!(f, "--broken {broken} {seed} 1")
    }
}

/// What came of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// The first time that the variant was caught, if it was.
    pub bite: Option<Bite>,
    /// How many seeds were tried, that one included.
    pub seeds: u64,
}

/// Runs a seed, with the library broken or as it is, and says what every oracle found. Most variants run in a world drawn
/// from the seed; one whose bug sits in a narrow window of time runs in a world that is made for it.
///
/// # Errors
/// None that a seed could bring about.
pub fn run(broken: Option<Broken>, seed: u64) -> Result<Vec<Violation>, Problems> {
    swarm(broken, seed, broken)
}

/// A world for one variant, in which it is at work, or not.
fn swarm(world: Option<Broken>, seed: u64, broken: Option<Broken>) -> Result<Vec<Violation>, Problems> {
    if world == Some(Broken::NoRateMargin) {
        return Ok(oracle::check(&chosen::narrow_margin(seed, broken)?));
    }
    let mut swarm = Swarm::draw(seed, Phases::default())?;
    swarm.broken = broken;
    let (simulation, _) = swarm.run()?;
    Ok(oracle::check(simulation.history()))
}

/// Looks for the first seed, of so many, at which the oracle of the variant's rule catches it, and at which the library as
/// it is keeps every rule in the same world.
///
/// # Errors
/// None that a seed could bring about.
pub fn hunt(broken: Broken, first: u64, count: u64) -> Result<Hunt, Problems> {
    for seed in first..first.saturating_add(count) {
        let violations = swarm(Some(broken), seed, Some(broken))?;
        let Some(violation) = violations.into_iter().find(|violation| violation.rule == broken.rule()) else {
            continue;
        };
        if swarm(Some(broken), seed, None)?.is_empty() {
            let bite = Some(Bite { broken, seed, violation });
            return Ok(Hunt { bite, seeds: seed - first + 1 });
        }
    }
    Ok(Hunt { bite: None, seeds: count })
}
