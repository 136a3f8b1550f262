//! The journal, a line for each thing that happened.

use mantissa_mr_core::journal::{Event, Record, Slot};
use mantissa_mr_core::operator::History;

use super::{span, wrap};

/// The whole journal, and whether it can be trusted.
pub(crate) fn history(history: &History) -> Vec<String> {
    let mut lines = Vec::new();
    for slot in &history.slots {
        lines.push(head(slot));
        lines.extend(slot.records.iter().flat_map(record));
    }
    let sound = history.slots.len();
    let verdict = match &history.broken {
        None => format!("{sound} slots, every one sound; the ledger vouches for {}", history.anchored),
        Some(error) => format!(
            "BROKEN after {sound} sound slots: {error}. The ledger vouches for {} slots",
            history.anchored
        ),
    };
    lines.extend(wrap(&verdict, "", "  "));
    lines
}

fn head(slot: &Slot) -> String {
    format!("slot {} · term {} · {}", slot.number, slot.term, slot.actor)
}

fn record(record: &Record) -> Vec<String> {
    let at = record.at.strftime("%Y-%m-%d %H:%M:%S%.3f");
    wrap(&event(&record.event), &format!("  {at} "), &" ".repeat(26))
}

/// One event in one line.
fn event(event: &Event) -> String {
    match event {
        Event::TookOver => "took the lease over".into(),
        Event::Began { execution, why, .. } => format!("BEGAN {execution} ({why})"),
        Event::Intended { step, attempt: 1, .. } => format!("calls for {step}"),
        Event::Intended { step, attempt, deadline, .. } => {
            format!("calls for {step}, attempt {attempt}, within {}", span(*deadline))
        }
        Event::Done { step, how } => format!("done {step}: {how}"),
        Event::Failed { step, attempt, error } => format!("failed {step}, attempt {attempt}: {error}"),
        Event::Skipped { step, why } => format!("left out {step}: {why}"),
        Event::Paused { why } => format!("PAUSED: {why}"),
        Event::Resumed { by } => format!("resumed by {by}"),
        Event::Aborting { why } => format!("GIVEN UP: {why}"),
        Event::Ended { execution, summary, .. } => format!("ENDED {execution}: {summary}"),
    }
}
