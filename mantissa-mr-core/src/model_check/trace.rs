//! A trace in words, a line for each step.

use super::explore::{Model, Trace};
use super::state::{Letter, State, What};
use super::world::{Action, World};
use crate::journal::{Event, Slot};
use crate::ledger::Ledger;

/// The whole trace.
pub(super) fn text(world: &World, trace: &Trace<Action>) -> String {
    let starts = ["the move has just begun", "all is drained, and the promotion about to be journaled"];
    let mut lines = vec![format!("start: {}", starts[trace.start])];
    let mut state = world.starts().swap_remove(trace.start);
    for (number, action) in (1..).zip(&trace.actions) {
        let next = world.next(&state, action).expect("it was taken before");
        lines.push(format!("{number:>3}. {}{}", said(world, &state, action), sent(world, &state, &next)));
        state = next;
    }
    lines.push(format!("  => {}", trace.what));
    lines.join("\n") + "\n"
}

fn said(world: &World, state: &State, action: &Action) -> String {
    let name = |region: usize| &world.setup.regions[region];
    let later = |later: bool| if later { "; the answer will come later" } else { "" };
    let about =
        |index: usize| (name(usize::from(state.letters[index].from)), letter(world, &state.letters[index]));
    match *action {
        Action::Tick { slow: None } => "time goes on".to_owned(),
        Action::Tick { slow: Some(region) } => {
            format!("time goes on, and {}'s clocks are slow", name(region))
        }
        Action::Ask { region, later: waits } => {
            let ledger = &world.setup.ledgers.get(state.ledger.1).ledger;
            format!("{}'s gate reads the ledger: {}{}", name(region), admissions(ledger), later(waits))
        }
        Action::Hear { region } => {
            let read = state.services[region].answer.map(|(_, read)| world.setup.ledgers.get(read));
            let read = read.map_or("nothing".to_owned(), |read| admissions(&read.ledger));
            format!("{}'s gate gets its answer: {read}", name(region))
        }
        Action::Write { region } => format!("{} makes a write and acknowledges it", name(region)),
        Action::Begin { region } => format!("{} begins a write", name(region)),
        Action::Acknowledge { region } => format!("{} acknowledges its write", name(region)),
        Action::Wake { region, later: waits } => {
            format!("{}'s controller looks{}", name(region), later(waits))
        }
        Action::Abort { region } => format!("{}'s controller is told to give the move up", name(region)),
        Action::Crash { region } => format!("{}'s controller is lost", name(region)),
        Action::Land { letter, later: waits } => {
            let (from, what) = about(letter);
            format!("what {from}'s controller sent lands ({what}){}", later(waits))
        }
        Action::Reply { letter } => {
            let (from, what) = about(letter);
            format!("{from}'s controller gets its answer ({what})")
        }
        Action::GiveUp { letter } => {
            let (from, what) = about(letter);
            format!("{from}'s controller waits no longer for the answer to ({what})")
        }
    }
}

/// What is on its way now and was not before; and whose the ledger is, if that has changed.
fn sent(world: &World, before: &State, after: &State) -> String {
    let mut said = String::new();
    let lease = |state: &State| world.setup.ledgers.get(state.ledger.1).ledger.lease.clone();
    if let (lease, true) = (lease(after), lease(before) != lease(after)) {
        let holder = lease.holder.as_ref().map_or("nobody", |holder| holder.as_str());
        said.push_str(&format!("; {holder} has term {}", lease.term));
    }
    for new in after.letters.iter().filter(|new| new.answer.is_none() && !before.letters.contains(new)) {
        let orphaned = Letter { live: true, ..(*new).clone() };
        if !before.letters.contains(&orphaned) {
            said.push_str(&format!(
                "; {}'s sends ({})",
                world.setup.regions[usize::from(new.from)],
                letter(world, new)
            ));
        }
    }
    said
}

fn admissions(ledger: &Ledger) -> String {
    let said = |(region, admission): (&crate::name::Region, &crate::ledger::Admission)| {
        format!("{region} {} {}", admission.state, admission.epoch)
    };
    let all: Vec<String> = ledger.admissions.iter().map(said).collect();
    all.join(", ").replace(" by switchover-1", "")
}

/// A letter in words.
pub(super) fn letter(world: &World, letter: &Letter) -> String {
    match letter.what {
        What::Swap { value, .. } => {
            let ledger = &world.setup.ledgers.get(value).ledger;
            let holder = ledger.lease.holder.as_ref().map_or("nobody", |holder| holder.as_str());
            format!("{}; term {} of {holder}", admissions(ledger), ledger.lease.term)
        }
        What::Slot { number, value } => {
            let slot: Slot = serde_json::from_slice(&world.slot(value)).unwrap();
            let events: Vec<String> = slot.records.iter().map(|record| in_words(&record.event)).collect();
            format!("slot {number}: {}", events.join(", "))
        }
        What::Call { term, .. } => format!("promote {}, term {term}", world.setup.plan.to),
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::TookOver => "took over".to_owned(),
        Event::Began { .. } => "began".to_owned(),
        Event::Intended { step, attempt, .. } => format!("intended {step} ({attempt})"),
        Event::Done { step, .. } => format!("done {step}"),
        Event::Failed { step, .. } => format!("failed {step}"),
        Event::Skipped { step, .. } => format!("skipped {step}"),
        Event::Paused { .. } => "paused".to_owned(),
        Event::Resumed { .. } => "resumed".to_owned(),
        Event::Aborting { .. } => "aborting".to_owned(),
        Event::Ended { .. } => "ended".to_owned(),
    }
}
