//! A model check.

mod actor;
mod carry;
mod explore;
mod heal;
mod rules;
mod seeded;
mod service;
mod setup;
mod state;
mod table;
mod trace;
mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;

use explore::{Extent, explore};
use heal::Healed;
use seeded::Seeded;
use setup::{Bounds, Faults, Terms};
use state::State;
use world::World;

const NONE: Faults = Faults { take_overs: 0, crashes: 0, slips: 0, silences: 0, aborts: 0 };

/// What an exploration found.
struct Found {
    extent: Extent,
    /// The shortest way to something that must not be.
    trace: Option<String>,
    /// How the move went: each thing that was seen at least once.
    seen: BTreeSet<String>,
}

fn check(bounds: Bounds, seeded: Option<Seeded>) -> Found {
    let world = World::new(bounds, seeded);
    let (healed, seen) = (Healed::default(), RefCell::new(BTreeSet::new()));
    let (extent, trace) = explore(&world, |state| {
        note(&world, state, &mut seen.borrow_mut());
        (state.ticks == bounds.ticks).then(|| healed.fault(&world, state)).flatten()
    });
    let trace = trace.map(|trace| trace::text(&world, &trace));
    Found { extent, trace, seen: seen.into_inner() }
}

fn note(world: &World, state: &State, seen: &mut BTreeSet<String>) {
    let ledger = &world.setup.ledgers.get(state.ledger.1).ledger;
    if let Some(ended) = &ledger.ended {
        let text = format!("{} under term {}", ended.outcome, ledger.lease.term);
        if !seen.contains(&text) {
            seen.insert(text);
        }
    }
}

#[test]
#[ignore]
fn try_it() {
    let arg = |name: &str, default: u8| std::env::var(name).ok().map_or(default, |v| v.parse().unwrap());
    let faults = Faults { crashes: arg("CRASHES", 0), slips: arg("SLIPS", 0), silences: arg("SILENCES", 0), aborts: arg("ABORTS", 0), take_overs: arg("TAKE", 9) };
    let terms = if arg("DEADLINE", 0) > 0 { Terms::Deadline } else { Terms::Drift };
    let bounds = Bounds { regions: arg("REGIONS", 2).into(), ticks: arg("TICKS", 2), faults, terms };
    if arg("SEEDS", 0) > 0 {
        for seeded in Seeded::ALL {
            if std::env::var("SEED").is_ok_and(|name| seeded.name() != name) { continue; }
            let found = check(bounds, Some(seeded));
            println!("{} {:?}\n{}", seeded.name(), found.extent, found.trace.unwrap_or("NOTHING".into()));
        }
        return;
    }
    let found = check(bounds, None);
    println!("{:?}", found.extent);
    println!("{:?}\n{}", found.seen, found.trace.unwrap_or_default());
}
