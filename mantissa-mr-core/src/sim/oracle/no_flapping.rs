//! Rule 7: no flapping. After a move nothing moves by itself for the cool-down, unless a person acknowledged it; not more
//! groups move in a window than the policy allows; and nothing fails back by itself unless it says so.

use std::time::Duration;

use super::Violation;
use super::view::{Records, StoredLedger, is_controller};
use crate::sim::clock::TrueTime;
use crate::sim::fault::Fault;
use crate::sim::history::{History, What};

const RULE: u8 = 7;

/// Checks a run.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let policy = &history.deployment.spec().policy;
    let tolerance = wrong_clocks(history);
    let mut found = Vec::new();
    let mut moves: Vec<TrueTime> = Vec::new();
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
        let ended = before.ledger.ended.as_ref().filter(|ended| !ended.acknowledged);
        let since = ended.and_then(|ended| {
            let of = |stored: &&&StoredLedger| stored.ledger.ended.as_ref().is_some_and(|e| e.id == ended.id);
            groups.get(group)?.iter().find(of).map(|first| stored.at.since(first.at))
        });
        if let Some(since) = since.filter(|since| *since + tolerance < policy.timing.cool_down) {
            bad(format!("{since:?} after the last move, the cool-down is {:?}", policy.timing.cool_down));
        }
        let back = matches!(execution.kind.as_str(), "failback" | "rejoin");
        if back && !policy.automatic_failback {
            bad("although coming back is left to a person".into());
        }
        moves.push(stored.at);
    }
    moves.sort_unstable();
    let window = policy.velocity.window.saturating_sub(tolerance);
    let most = policy.velocity.moves as usize;
    for (number, at) in moves.iter().enumerate() {
        let within = moves.iter().take(number).filter(|other| at.since(**other) < window).count();
        if within >= most {
            let what =
                format!("{} moves began by themselves within {window:?}, {most} are allowed", within + 1);
            found.push(Violation { rule: RULE, at: *at, what });
        }
    }
    found
}

/// How much wall clocks may differ, and how long the record of a move's end may have travelled.
fn wrong_clocks(history: &History) -> Duration {
    let errors = history.events.iter().filter_map(|event| match &event.what {
        What::Fault(Fault::WallClock { error, .. }) => Some(error.unsigned_abs()),
        _ => None,
    });
    errors.max().unwrap_or_default() * 2 + Duration::from_secs(35)
}
