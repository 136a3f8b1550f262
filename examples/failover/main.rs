//! The operator's binary.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod backend;
mod commands;
mod config;
mod exit;
mod files;
mod follow;
mod input;
mod render;
mod signals;
mod words;

use args::Arguments;
use exit::{Outcome, Stop};
use input::Input;
use render::{Screen, note, wrap};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging();
    let screen = Screen::new(arguments.common.json);
    let done = match Input::read(&arguments) {
        Ok(input) => commands::perform(input, &arguments.common, screen).await,
        Err(problems) => Err(Stop::Input(problems)),
    };
    let outcome = done.unwrap_or_else(|stop| {
        for line in stop.lines() {
            wrap(&line, "", "  ").iter().for_each(|line| note(line));
        }
        Outcome::new(stop.exit(), stop.document())
    });
    let mut document = outcome.document;
    document["exit-code"] = (outcome.exit as u8).into();
    screen.finish(&document);
    outcome.exit.into()
}

/// The library's log, on the standard error, as far as `RUST_LOG` asks for it.
fn logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
