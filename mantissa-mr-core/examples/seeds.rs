//! Runs seeds of the simulated world through every oracle.
//!
//! ```text
//! cargo run --release -p mantissa-mr-core --features sim --example seeds -- 0 1000
//! cargo run --release -p mantissa-mr-core --features sim --example seeds -- --witness 0 1000
//! cargo run --release -p mantissa-mr-core --features sim --example seeds -- --twice 0 500 [--witness]
//! cargo run --release -p mantissa-mr-core --features sim --example seeds -- --seed 42 [--calls] [--witness] [--broken NAME] [--drawn]
//! cargo run --release -p mantissa-mr-core --features sim --example seeds -- --broken [NAME] [FIRST COUNT] [--drawn]
//! ```
//!
//! The first form runs a range (first seed, how many) and prints what broke, with the command that shows it; its exit
//! code is 1 if anything did. The second does so in worlds in which the witness fails. The third runs each seed twice and
//! compares all that happened; its exit code is 1 if any two runs differ. The fourth tells the story of one seed. The fifth
//! breaks the library on purpose, in one way or in each in turn, and prints at which seed the rule's oracle caught it; its
//! exit code is 1 if one got away. Variants that chance rarely gives an occasion are hunted in worlds made for them, unless
//! `--drawn` says otherwise.

use std::collections::BTreeMap;
use std::process::ExitCode;

use mantissa_mr_core::problem::Problems;
use mantissa_mr_core::sim::{Broken, History, Phases, Swarm, What, broken, broken::World, oracle};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().filter_map(|text| text.parse().ok()).collect();
    let wrong = arguments.iter().position(|text| text == "--broken").map(|at| arguments.get(at + 1));
    let name = wrong.flatten().filter(|text| text.parse::<u64>().is_err() && !text.starts_with("--"));
    let name = match name.map(|name| name.parse::<Broken>()).transpose() {
        Ok(name) => name,
        Err(unknown) => {
            eprintln!("{unknown}; `--broken` alone lists them");
            return ExitCode::from(2);
        }
    };
    let has = |flag: &str| arguments.iter().any(|text| text == flag);
    let draw = match has("--witness") {
        true => Draw { draw: Swarm::draw_witness_outage, flag: " --witness" },
        false => Draw { draw: |seed| Swarm::draw(seed, Phases::default()), flag: "" },
    };
    let world = match arguments.iter().any(|text| text == "--drawn") {
        true => World::Drawn,
        false => World::Chosen,
    };
    match (arguments.first().map(String::as_str), numbers.as_slice()) {
        (Some("--seed"), [seed]) => story(*seed, has("--calls"), draw, name, world),
        (Some("--broken"), []) => hunt(name, world, 0, MOST),
        (Some("--broken"), [first, count]) => hunt(name, world, *first, *count),
        (_, [first, count]) if has("--twice") => twice(*first, *count, draw),
        (_, [first, count]) => sweep(*first, *count, draw),
        _ => {
            eprintln!("usage: seeds FIRST COUNT [--witness] | seeds --twice FIRST COUNT [--witness]");
            eprintln!("       seeds --seed SEED [--calls] [--witness] [--broken NAME]");
            eprintln!("       seeds --broken [NAME] [FIRST COUNT]");
            ExitCode::from(2)
        }
    }
}

/// How a run is drawn from a seed, and the flag that says so.
#[derive(Clone, Copy)]
struct Draw {
    draw: fn(u64) -> Result<Swarm, Problems>,
    flag: &'static str,
}

impl Draw {
    fn swarm(self, seed: u64) -> Swarm {
        (self.draw)(seed).expect("a seed's own draw")
    }

    /// The line that shows what went wrong.
    fn reproduce(self, what: &str) -> String {
        let command = "cargo run --release -p mantissa-mr-core --features sim --example seeds --";
        format!("  REPRODUCE WITH: {command} {what}{}", self.flag)
    }
}

/// So many seeds are tried for each variant, unless said.
const MOST: u64 = 300;

fn hunt(one: Option<Broken>, world: World, first: u64, count: u64) -> ExitCode {
    let mut away = 0;
    println!("{:>4}  {:<21} {:>5} {:>5}  {:<6}  what it does", "rule", "variant", "seeds", "seed", "world");
    for variant in Broken::ALL.iter().copied().filter(|variant| one.is_none_or(|one| one == *variant)) {
        let hunt = broken::hunt(variant, world, first, count).expect("a seed's own draw");
        let (rule, does) = (variant.rule(), variant.does());
        let (seed, world) = match &hunt.bite {
            Some(bite) => (bite.seed.to_string(), if bite.chosen { "chosen" } else { "drawn" }),
            None => ("none".to_owned(), ""),
        };
        println!("{rule:>4}  {variant:<21} {:>5} {seed:>5}  {world:<6}  {does}", hunt.seeds);
        if let (Some(bite), Some(_)) = (&hunt.bite, one) {
            println!("{bite}");
        }
        away += u8::from(hunt.bite.is_none());
    }
    ExitCode::from(u8::from(away > 0))
}

fn sweep(first: u64, count: u64, draw: Draw) -> ExitCode {
    let (mut steps, mut broken) = (0, 0);
    let mut writes: BTreeMap<String, u64> = BTreeMap::new();
    let mut admitted = 0;
    for seed in first..first + count {
        let (simulation, _) = draw.swarm(seed).run().expect("a seed's own draw");
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
            println!("{}", draw.reproduce(&format!("--seed {seed}")));
        }
    }
    println!(
        "{count} seeds, {} steps a seed, {admitted} admissions, {broken} seeds broke a rule; writes: {writes:?}",
        steps / count.max(1)
    );
    ExitCode::from(u8::from(broken > 0))
}

/// Runs each seed twice: one seed is one run, to the last answer.
fn twice(first: u64, count: u64, draw: Draw) -> ExitCode {
    let run = |seed| draw.swarm(seed).run().expect("a seed's own draw").0.into_history();
    let (mut events, mut differ) = (0, 0);
    for seed in first..first + count {
        let (one, other) = (run(seed), run(seed));
        events += one.events.len();
        if one.hash() != other.hash() {
            differ += 1;
            println!("seed {seed}: {}", first_difference(&one, &other));
            println!("{}", draw.reproduce(&format!("--twice {seed} 1")));
        }
    }
    println!("{count} seeds run twice, {events} events compared, {differ} seeds gave two different runs");
    ExitCode::from(u8::from(differ > 0))
}

/// Where two runs part.
fn first_difference(one: &History, other: &History) -> String {
    match one.events.iter().zip(&other.events).find(|(one, other)| one != other) {
        Some((one, other)) => format!("{:.300} | {:.300}", format!("{one:?}"), format!("{other:?}")),
        None => format!(
            "{} events and {}, {} writes and {}, or their fates",
            one.events.len(),
            other.events.len(),
            one.book.writes.len(),
            other.book.writes.len()
        ),
    }
}

fn story(seed: u64, calls: bool, draw: Draw, broken: Option<Broken>, world: World) -> ExitCode {
    let mut swarm = match broken {
        Some(variant) => broken::stage(variant, seed, world).expect("a seed's own draw").0,
        None => draw.swarm(seed),
    };
    swarm.broken = broken;
    println!("{swarm}");
    let (simulation, cast) = swarm.run().expect("a seed's own draw");
    let history = simulation.history();
    for event in &history.events {
        let line = line(history, &event.what).or_else(|| calls.then(|| call(history, &event.what)).flatten());
        if let Some(line) = line {
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

/// Calls and their answers, and what they stored.
fn call(history: &History, what: &What) -> Option<String> {
    let name = |process| history.process(process).map(|info| info.name.clone()).unwrap_or_default();
    match what {
        What::Sent { number, process, call } => {
            Some(format!("#{number} {} -> {:.160}", name(*process), format!("{call:?}")))
        }
        What::Applied { number, reply } => Some(format!("#{number} done: {:.160}", format!("{reply:?}"))),
        What::Answered { number, reply } => Some(format!("#{number} told: {:.160}", format!("{reply:?}"))),
        What::Stored { cell, value, number, .. } => {
            Some(format!("#{number} {cell} = {}", String::from_utf8_lossy(value)))
        }
        _ => None,
    }
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
