//! Rule 9: every state has a deadline and a way out.

use std::time::Duration;

use super::Violation;
use super::view::{Records, StoredLedger, wrong_clocks};
use crate::sim::history::{History, What};

const RULE: u8 = 9;

/// Checks a run: an execution leaves the ledger ended or superseded, a pause says why, a proposal does not outlive its
/// time once everything is mended, and time never stands still.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    for event in &history.events {
        if let What::Standstill { process } = &event.what {
            let who = process.and_then(|id| history.process(id)).map_or("nobody", |info| info.name.as_str());
            let what = format!("{who} goes on for ever without waiting");
            found.push(Violation { rule: RULE, at: event.at, what });
        }
    }
    for (group, ledgers) in records.by_group() {
        for (before, after) in ledgers.iter().zip(ledgers.iter().skip(1)) {
            let what = vanished(before, after).or_else(|| silent(after));
            found.extend(what.map(|what| Violation {
                rule: RULE,
                at: after.at,
                what: format!("{group}: {what}"),
            }));
        }
        found.extend(ledgers.last().and_then(|last| overdue(history, last)));
    }
    found
}

/// An execution that is gone, and nobody says how it ended.
fn vanished(before: &StoredLedger, after: &StoredLedger) -> Option<String> {
    let old = before.ledger.execution.as_ref()?;
    let new = after.ledger.execution.as_ref();
    if new.is_some_and(|new| new.id == old.id) {
        return None;
    }
    let ended = after.ledger.ended.as_ref().filter(|ended| ended.id == old.id);
    let superseded = new.is_some();
    let well = match ended {
        Some(ended) => ["finished", "aborted", "superseded"].contains(&ended.outcome.as_str()),
        None => superseded,
    };
    (!well).then(|| format!("{} is gone, and nobody says how it ended", old.id))
}

/// A pause without a reason.
fn silent(after: &StoredLedger) -> Option<String> {
    let paused = after.ledger.execution.as_ref()?.paused.as_ref()?;
    paused.trim().is_empty().then(|| "it is paused, and nobody says why".into())
}

/// A proposal that nobody approved and nobody took away, at the end of a run that was mended long enough ago.
fn overdue(history: &History, last: &StoredLedger) -> Option<Violation> {
    // Whoever takes the lease over after the mending needs a while to, and to see that the time is up.
    let enough = Duration::from_secs(110);
    history.healed.filter(|healed| history.ended.since(*healed) >= enough)?;
    let proposal = last.ledger.proposal.as_ref()?;
    let late = Duration::try_from(history.ended.wall().duration_since(proposal.expires)).unwrap_or_default();
    (late > wrong_clocks(history) + enough).then(|| Violation {
        rule: RULE,
        at: history.ended,
        what: format!("{}: a proposal expired {late:.0?} ago and still stands", last.ledger.group),
    })
}
