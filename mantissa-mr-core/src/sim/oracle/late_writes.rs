//! Rule 1's caveat: where a store cannot refuse late writes, what an older epoch overwrote is restored or reported.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Violation;
use super::view::Records;
use crate::call::Call;
use crate::deployment::Strategy;
use crate::sim::history::{History, What};
use crate::sim::writers::Write;

const RULE: u8 = 1;

/// A group at rest has seen and mended within this what came late.
const ENOUGH: Duration = Duration::from_secs(90);

/// Checks a run that was mended: of a group at rest, each acknowledged write under a permit that a late one of an older
/// epoch took the place of is back in the region that serves, or people were told its key.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let active_passive = history.deployment.spec().strategy == Strategy::ActivePassive;
    let Some(healed) = history.healed.filter(|_| active_passive) else { return Vec::new() };
    let last = history.events.iter().filter_map(|event| match &event.what {
        What::Audited { group, region, overtaken, .. } if event.at == history.ended => {
            Some((group, region, overtaken))
        }
        _ => None,
    });
    let mut found = Vec::new();
    for (group, region, overtaken) in last {
        let ledgers = records.ledgers.iter().filter(|stored| stored.ledger.group == group.as_str());
        let moved =
            ledgers.filter(|stored| stored.ledger.execution.is_some()).map(|stored| stored.at).next_back();
        let rested = history.ended.since(moved.unwrap_or(healed).max(healed));
        if rested < ENOUGH {
            continue;
        }
        let arrivals = history.book.writes.iter().filter(|write| {
            write.group == *group && write.applied.is_some_and(|at| history.ended.since(at) < ENOUGH)
        });
        let recent: BTreeSet<_> = arrivals.map(|write| (&write.store, write.key)).collect();
        for (number, key) in overtaken {
            let Some(write) = history.book.writes.get(*number as usize) else { continue };
            let is_recent = recent.contains(&(&write.store, write.key));
            if write.epoch.is_some() && !is_recent && !was_told(history, write, &key.to_string()) {
                let what = format!(
                    "{group}: a late write took the place of write {number} to {key} of {} in {region}, unseen",
                    write.store
                );
                found.push(Violation { rule: RULE, at: history.ended, what });
            }
        }
    }
    found
}

/// Whether people were told of a key of a store after a write to it.
fn was_told(history: &History, write: &Write, key: &str) -> bool {
    let applied = write.applied.unwrap_or(history.ended);
    history.events.iter().filter(|event| event.at > applied).any(|event| match &event.what {
        What::Sent { call, .. } => match call.as_ref() {
            Call::Notify { notice } => {
                let mut words = notice.text.split([' ', ',', ';', ':']);
                notice.text.contains(write.store.as_str()) && words.any(|word| word == key)
            }
            _ => false,
        },
        _ => false,
    })
}
