//! Rehearses the loss of a region, and what else can go wrong, in a simulated world: no account, no emulator.

use std::process::ExitCode;

use clap::Parser;

mod evidence;
mod judge;
mod ledgers;
mod person;
mod report;
mod scenario;
mod scenarios;
mod show;
mod stage;
mod text;
mod timeline;

use report::Drill;
use scenario::Scenario;
use scenarios::SCENARIOS;
use show::{Pace, Show};
use stage::Stage;

const EXIT_CODES: &str = "\
Exit codes: 0 the library did the right thing, which may be to refuse,
1 it did not, 2 bad input.";

/// Rehearses the loss of a region, and what else can go wrong, in simulation.
#[derive(Debug, Parser)]
#[command(name = "drill", after_help = EXIT_CODES)]
struct Args {
    /// What goes wrong; see --list.
    #[arg(long, value_name = "NAME", default_value = "region-loss", value_parser = find)]
    scenario: &'static Scenario,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many regions there are.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=16))]
    regions: u8,
    /// Virtual seconds a real second; at a terminal 30.
    #[arg(long, value_name = "X", value_parser = speed)]
    speed: Option<f64>,
    /// Tells what scenarios there are.
    #[arg(long)]
    list: bool,
    /// Prints one JSON document at the end, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Virtual seconds per real second on a terminal: the default scenario takes less than half a minute.
const SPEED: f64 = 30.0;

/// The names of all scenarios.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|scenario| scenario.name)
}

fn find(name: &str) -> Result<&'static Scenario, String> {
    if let Some(found) = SCENARIOS.iter().find(|scenario| scenario.name == name) {
        return Ok(found);
    }
    let near = |known: &&str| strsim::jaro_winkler(known, name);
    let nearest = names().max_by(|one, other| near(one).total_cmp(&near(other)));
    let hint = nearest.map(|it| format!("\n  the nearest is `{it}`")).unwrap_or_default();
    Err(format!("no such scenario{hint}\n  (--list shows all)"))
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if speed.is_finite() && speed > 0.0 { Ok(speed) } else { Err("it must be more than 0".to_owned()) }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        show::print(&report::list(SCENARIOS));
        return ExitCode::SUCCESS;
    }
    let stage = match Stage::new(args.scenario, args.seed, args.regions.into()) {
        Ok(stage) => stage,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(2);
        }
    };
    if play(stage, &args) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays a scenario; whether the library did the right thing.
fn play(mut stage: Stage, args: &Args) -> bool {
    let mut show = Show::new(args.json, stage.ends());
    let speed = args.speed.or(show.is_live().then_some(SPEED)).filter(|_| !args.json);
    let mut pace = Pace::new(speed);
    show.rows(&report::opening(args.scenario, args.seed, &stage.timeline().regions()));
    let mut lines = Vec::new();
    while let Some(now) = stage.step() {
        for line in stage.take_lines() {
            show.line(&line);
            lines.push(line);
        }
        if pace.reach(now) {
            show.progress(now, stage.timeline());
        }
    }
    let mut run = stage.finish();
    for line in &run.lines {
        show.line(line);
    }
    show.end();
    lines.append(&mut run.lines);
    run.lines = lines;
    let drill = Drill::new(args.scenario, args.seed, &run);
    match args.json {
        true => match serde_json::to_string_pretty(&drill) {
            Ok(text) => show::print(&[text]),
            Err(error) => eprintln!("{error}"),
        },
        false => show::print(&drill.rows()),
    }
    drill.passed
}
