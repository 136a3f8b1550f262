//! Rule 7: no flapping. After a move nothing moves by itself for the cool-down, unless a person acknowledged it, and what
//! was given up is not tried again at once; not more groups move in a window than the policy allows; and nothing fails back
//! by itself unless it says so.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Violation;
use super::view::{Records, StoredLedger, StoredSlot, is_controller, wrong_clocks};
use crate::sim::clock::TrueTime;
use crate::sim::history::History;

const RULE: u8 = 7;

/// What was given up is not begun again sooner than this.
const BREATHER: Duration = Duration::from_secs(5);

/// When the journal first said that an execution is over.
fn journaled(records: &Records, id: &str) -> Option<TrueTime> {
    let says = |slot: &&StoredSlot| {
        let records = slot.slot["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        records.iter().any(|record| record["event"]["ended"]["execution"] == id)
    };
    records.slots.iter().find(says).map(|slot| slot.at)
}

/// Checks a run.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let policy = &history.deployment.spec().policy;
    // The record of a move's end may have travelled for a while.
    let tolerance = wrong_clocks(history) + Duration::from_secs(35);
    let mut found = Vec::new();
    let mut moves: Vec<(TrueTime, &str)> = Vec::new();
    let groups = records.by_group();
    for (before, stored, execution) in records.begun() {
        if !is_controller(history, stored.by) || !before.ledger.orders.is_empty() {
            continue;
        }
        let group = stored.ledger.group.as_str();
        let mut bad = |what: String| {
            let what = format!("{group}: {} began by itself {what}", execution.id);
            found.push(Violation { rule: RULE, at: stored.at, what });
        };
        let ended = before.ledger.ended.as_ref();
        let since = ended.and_then(|ended| {
            let of = |stored: &&&StoredLedger| stored.ledger.ended.as_ref().is_some_and(|e| e.id == ended.id);
            let recorded = groups.get(group)?.iter().find(of)?;
            // The journal has the end first; it may not have reached the ledger at once.
            let over = journaled(records, &ended.id).unwrap_or(recorded.at).min(recorded.at);
            Some(stored.at.since(over))
        });
        let cool_down = match ended {
            Some(ended) if !ended.acknowledged => policy.timing.cool_down.saturating_sub(tolerance),
            Some(ended) if ended.outcome == "aborted" => policy.timing.cool_down.min(BREATHER),
            _ => Duration::ZERO,
        };
        if let Some(since) = since.filter(|since| *since < cool_down) {
            bad(format!("{since:?} after the last move, it must rest for {cool_down:?}"));
        }
        let back = matches!(execution.kind.as_str(), "failback" | "rejoin");
        if back && !policy.automatic_failback {
            bad("although coming back is left to a person".into());
        }
        moves.push((stored.at, group));
    }
    moves.sort_unstable();
    let window = policy.velocity.window.saturating_sub(tolerance);
    let most = policy.velocity.moves as usize;
    for (number, (at, group)) in moves.iter().enumerate() {
        let lately = moves.iter().take(number).filter(|(other, _)| at.since(*other) < window);
        let mut groups: BTreeSet<&str> = lately.map(|(_, group)| *group).collect();
        let began_alone = groups.insert(group);
        if began_alone && groups.len() > most {
            let what =
                format!("{} groups began to move by themselves within {window:?}, {most} may", groups.len());
            found.push(Violation { rule: RULE, at: *at, what });
        }
    }
    found
}
