//! Runs seeds of the simulated world through every oracle.
//!
//! ```text
//! cargo run --release -p mantissa-mr-core --features sim --example seeds -- 0 1000
//! cargo run --release -p mantissa-mr-core --features sim --example seeds -- --seed 42
//! ```
//!
//! The first form runs a range (first seed, how many) and prints what broke, with the command that shows it; its exit
//! code is 1 if anything did. The second tells the story of one seed.

use std::collections::BTreeMap;
use std::process::ExitCode;

use mantissa_mr_core::sim::{History, Phases, Swarm, What, oracle};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().filter_map(|text| text.parse().ok()).collect();
    match (arguments.first().map(String::as_str), numbers.as_slice()) {
        (Some("--seed"), [seed]) => story(*seed),
        (_, [first, count]) => sweep(*first, *count),
        _ => {
            eprintln!("usage: seeds FIRST COUNT | seeds --seed SEED");
            ExitCode::from(2)
        }
    }
}

fn sweep(first: u64, count: u64) -> ExitCode {
    let (mut steps, mut broken) = (0, 0);
    let mut writes: BTreeMap<String, u64> = BTreeMap::new();
    let mut admitted = 0;
    for seed in first..first + count {
        let (simulation, _) =
            Swarm::draw(seed, Phases::default()).and_then(Swarm::run).expect("a seed's own draw");
        steps += simulation.steps();
        for (fate, count) in simulation.history().book.count() {
            *writes.entry(format!("{fate:?}")).or_default() += count;
        }
        admitted += simulation
            .history()
            .events
            .iter()
            .filter(|event| matches!(event.what, What::Admitted { .. }))
            .count();
        let violations = oracle::check(simulation.history());
        if let Some(violation) = violations.first() {
            broken += 1;
            println!("seed {seed}: {violation} ({} in all)", violations.len());
            println!(
                "  REPRODUCE WITH: cargo run --release -p mantissa-mr-core --features sim --example seeds -- --seed {seed}"
            );
        }
    }
    println!(
        "{count} seeds, {} steps a seed, {admitted} admissions, {broken} seeds broke a rule; writes: {writes:?}",
        steps / count.max(1)
    );
    ExitCode::from(u8::from(broken > 0))
}

fn story(seed: u64) -> ExitCode {
    let swarm = Swarm::draw(seed, Phases::default()).expect("a seed's own draw");
    println!("{swarm}");
    let (simulation, cast) = swarm.run().expect("a seed's own draw");
    let history = simulation.history();
    for event in &history.events {
        if let Some(line) = line(history, &event.what) {
            println!("{:>9} {line}", event.at);
        }
    }
    println!("what the actors said, by their own clocks:");
    for (actor, news) in cast.board.borrow().iter() {
        println!("  {actor} {} {:.200}", news.moment, format!("{:?}", news.what));
    }
    println!("writes: {:?}; trace {:016x}", history.book.count(), simulation.trace());
    let violations = oracle::check(history);
    for violation in &violations {
        println!("{violation}");
    }
    ExitCode::from(u8::from(!violations.is_empty()))
}

/// The events that tell a story; calls and gates' renewals do not.
fn line(history: &History, what: &What) -> Option<String> {
    let name = |process| history.process(process).map(|info| info.name.clone()).unwrap_or_default();
    match what {
        What::Fault(fault) => Some(format!("! {fault:?}")),
        What::Crashed(process) => Some(format!("{} crashes", name(*process))),
        What::Frozen(process) => Some(format!("{} stands still", name(*process))),
        What::Thawed(process) => Some(format!("{} goes on", name(*process))),
        What::Born { actor, .. } => Some(format!("{actor} begins")),
        What::Admitted { region, epoch, missing, .. } => {
            Some(format!("{region} is admitted under epoch {epoch}, {} writes missing", missing.len()))
        }
        What::Audited { region, missing, .. } => Some(format!("{region} lacks {} writes", missing.len())),
        What::Standstill { process } => Some(format!("TIME STANDS STILL: {:?}", process.map(name))),
        What::Gate { process, open: None } => Some(format!("the gate of {} shuts", name(*process))),
        _ => None,
    }
}
