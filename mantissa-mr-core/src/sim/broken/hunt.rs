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
    /// Whether the world was made for it.
    pub chosen: bool,
    /// The first violation of its rule there.
    pub violation: Violation,
}

impl fmt::Display for Bite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broken, seed, chosen, violation } = self;
        write!(f, "{broken} is caught at seed {seed}: {violation}\n  REPRODUCE WITH: ")?;
        write!(f, "cargo run --release -p mantissa-mr-core --features sim --example seeds -- ")?;
        write!(f, "--broken {broken} {seed} 1{}", if *chosen { "" } else { " --drawn" })
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

/// Where a variant is hunted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// In worlds that are drawn from the seed alone.
    Drawn,
    /// In worlds in which the bug has an occasion, where chance rarely gives it one; else in drawn ones.
    Chosen,
}

/// A run at a seed in one of a variant's worlds, before the library is broken. Says whether it was chosen.
///
/// # Errors
/// None that a seed could bring about.
pub fn stage(broken: Broken, seed: u64, world: World) -> Result<(Swarm, bool), Problems> {
    let mut swarm = Swarm::draw(seed, Phases::default())?;
    let chosen = world == World::Chosen && chosen::choose(broken, &mut swarm)?;
    Ok((swarm, chosen))
}

fn violations(swarm: Swarm) -> Result<Vec<Violation>, Problems> {
    let (simulation, _) = swarm.run()?;
    Ok(oracle::check(simulation.history()))
}

/// Looks for the first seed, of so many, at which the oracle of the variant's rule catches it, and at which the library as
/// it is keeps every rule in the same world.
///
/// # Errors
/// None that a seed could bring about.
pub fn hunt(broken: Broken, world: World, first: u64, count: u64) -> Result<Hunt, Problems> {
    for seed in first..first.saturating_add(count) {
        let (mut swarm, chosen) = stage(broken, seed, world)?;
        swarm.broken = Some(broken);
        let mine = |violation: &Violation| violation.rule == broken.rule();
        let Some(violation) = violations(swarm)?.into_iter().find(mine) else { continue };
        if violations(stage(broken, seed, world)?.0)?.is_empty() {
            let bite = Some(Bite { broken, seed, chosen, violation });
            return Ok(Hunt { bite, seeds: seed - first + 1 });
        }
    }
    Ok(Hunt { bite: None, seeds: count })
}
