//! Rule 8: static stability. An unplanned move changes nothing in the region that it leaves, save fences at best effort,
//! and uses no control plane for planned changes.

use super::Violation;
use super::view::{Records, StoredSlot, is_planned};
use crate::call::Call;
use crate::sim::clock::TrueTime;
use crate::sim::history::History;
use crate::sim::process::ProcessId;
use crate::traffic::Urgency;

const RULE: u8 = 8;

/// Checks a run.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    for (_, stored, execution) in records.begun() {
        let Some(plan) = records.plan(execution).filter(|plan| !is_planned(plan)) else { continue };
        let Some(from) = plan["from"].as_str() else { continue };
        let waived = |waiver: &serde_json::Value| waiver["allows"]["guard"] == "control-plane";
        let waived = plan["waivers"].as_array().is_some_and(|waivers| waivers.iter().any(waived));
        let group = stored.ledger.group.as_str();
        let of_group =
            |other: &&super::view::StoredLedger| other.ledger.group == group && other.at > stored.at;
        let gone = |other: &&super::view::StoredLedger| {
            other.ledger.execution.as_ref().is_none_or(|running| running.id != execution.id)
        };
        let until =
            records.ledgers.iter().filter(of_group).find(gone).map_or(history.ended, |other| other.at);
        // A move that is given up goes back to where it came from.
        let until = until.min(given_up(records, group, stored.at).unwrap_or(until));
        for sent in records.calls.iter().filter(|sent| sent.at > stored.at && sent.at < until) {
            let acts = acts_for(records, sent.process, &stored.ledger.group, sent.at);
            let what = if acts { needs(&sent.call, from, waived) } else { None };
            found.extend(what.map(|what| {
                let what = format!("{group}: {} leaves {from} unplanned and {what}", execution.id);
                Violation { rule: RULE, at: sent.at, what }
            }));
        }
    }
    found
}

/// When a group's journal first says after a time that a move is given up.
fn given_up(records: &Records, group: &str, since: TrueTime) -> Option<TrueTime> {
    let says = |slot: &&StoredSlot| {
        let records = slot.slot["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        records.iter().any(|record| !record["event"]["aborting"].is_null())
    };
    let of_group = |slot: &&StoredSlot| slot.cell.split('/').nth(1) == Some(group) && slot.at > since;
    records.slots.iter().filter(of_group).find(says).map(|slot| slot.at)
}

/// Whether a process holds the group's lease.
fn acts_for(records: &Records, process: ProcessId, group: &str, at: TrueTime) -> bool {
    let actor = records.actor(process, at);
    let last = records.ledgers.iter().rev().find(|stored| stored.at <= at && stored.ledger.group == group);
    last.is_some_and(|stored| stored.ledger.lease.holder.as_deref() == actor)
}

/// What a call needs that may be gone.
fn needs(call: &Call, from: &str, waived: bool) -> Option<String> {
    match call {
        Call::Promote { region, .. } | Call::Unfence { region, .. } | Call::Scale { region, .. }
            if region.as_str() == from =>
        {
            Some(format!("asks there for {call:?}"))
        }
        Call::Shift { shift, .. } if shift.urgency == Urgency::Planned && !waived => {
            Some("shifts by the control plane for planned changes".into())
        }
        _ => None,
    }
}
