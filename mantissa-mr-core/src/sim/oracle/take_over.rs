//! Rule 5, the other half: whoever takes over waits out the call that may still be open.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Violation;
use super::view::{Records, StoredSlot, span};
use crate::sim::clock::TrueTime;

const RULE: u8 = 5;

/// An intention of which nobody has said yet what came of it.
struct Open<'a> {
    actor: &'a str,
    at: TrueTime,
    deadline: Duration,
}

/// Checks a run: nobody puts the intention into the journal to do what another actor has intended, before what that one
/// did about it is over by its deadline.
pub(super) fn check(records: &Records) -> Vec<Violation> {
    let mut open: BTreeMap<(&str, &str), Open<'_>> = BTreeMap::new();
    let mut found = Vec::new();
    for stored in &records.slots {
        let journal = stored.cell.rsplit_once('/').map_or("", |(journal, _)| journal);
        for event in events(&stored.slot) {
            if !event["began"].is_null() {
                open.retain(|(other, _), _| *other != journal);
            }
            let over = ["done", "skipped", "failed"].iter().find_map(|kind| event[kind]["step"].as_str());
            if let Some(step) = over {
                open.remove(&(journal, step));
            }
            let intended = &event["intended"];
            if let (Some(step), Some(deadline)) = (intended["step"].as_str(), span(&intended["deadline"])) {
                let actor = stored.slot["actor"].as_str().unwrap_or_default();
                let before = open.insert((journal, step), Open { actor, at: stored.at, deadline });
                found.extend(before.and_then(|before| too_early(stored, step, actor, &before)));
            }
        }
    }
    found
}

fn events(slot: &Value) -> impl Iterator<Item = &Value> {
    let records = slot["records"].as_array().map(Vec::as_slice).unwrap_or_default();
    records.iter().map(|record| &record["event"])
}

fn too_early(stored: &StoredSlot, step: &str, actor: &str, before: &Open<'_>) -> Option<Violation> {
    let waited = stored.at.since(before.at);
    let early = before.actor != actor && waited < before.deadline;
    early.then(|| Violation {
        rule: RULE,
        at: stored.at,
        what: format!(
            "{}: {actor} is about to do {step} {waited:?} after {} was, whose call may be open for {:?}",
            stored.cell, before.actor, before.deadline
        ),
    })
}
