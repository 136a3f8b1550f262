//! Rule 5: a crash anywhere is resumable. Once everything is mended, every execution ends, and the world is as the ledger
//! says: the gates of who serves are open, its stores take writes, and it gets the traffic.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use super::view::{LedgerView, Records};
use crate::deployment::{Strategy, Writers};
use crate::name::Region;
use crate::sim::clock::TrueTime;
use crate::sim::fault::Fault;
use crate::sim::history::{History, What};
use crate::sim::process::{ProcessId, Role};

const RULE: u8 = 5;

/// A move needs no longer than this where nothing fails, people included who resume it or give it up.
const ENOUGH: Duration = Duration::from_secs(1_500);

/// A service that lives again reads the ledger within this.
const A_WHILE: Duration = Duration::from_secs(60);

/// Checks a run that was mended and then went on for long enough.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let Some(healed) = history.healed else { return Vec::new() };
    let mut found = Vec::new();
    let mut bad = |what: String| found.push(Violation { rule: RULE, at: history.ended, what });
    for (group, ledgers) in records.by_group() {
        let Some(last) = ledgers.last() else { continue };
        match &last.ledger.execution {
            Some(execution) => {
                let same = |ledger: &LedgerView| {
                    ledger.execution.as_ref().is_some_and(|other| other.id == execution.id)
                };
                let begun = ledgers.iter().find(|stored| same(&stored.ledger)).map(|stored| stored.at);
                let since = begun.unwrap_or(healed).max(healed);
                if history.ended.since(since) >= ENOUGH {
                    bad(format!("{group}: {} has not ended ({:?})", execution.id, execution.paused));
                }
            }
            None => {
                // What was ended a moment ago may still be on its way to rest.
                let moved = ledgers.iter().rev().find(|stored| stored.ledger.execution.is_some());
                if moved.is_none_or(|stored| history.ended.since(stored.at) > Duration::from_secs(60)) {
                    found_at_rest(history, group, &last.ledger, &mut bad);
                }
            }
        }
    }
    found
}

/// Whether the world is as the ledger says: the region that serves has its stores' writers and its traffic.
fn found_at_rest(history: &History, group: &str, ledger: &LedgerView, bad: &mut impl FnMut(String)) {
    if history.deployment.spec().strategy != Strategy::ActivePassive {
        return;
    }
    let active: Vec<&str> = ledger.active().collect();
    let Some(serves) = active.first() else { return bad(format!("{group}: no region serves")) };
    // Nobody but the library may have changed the routing, if the routing is to be as the library left it.
    let foreign = |fault: &Fault| matches!(fault, Fault::ForeignShift { .. });
    let foreign =
        history.events.iter().any(|event| matches!(&event.what, What::Fault(fault) if foreign(fault)));
    let looked = history.events.iter().rev().find_map(|event| match &event.what {
        What::Audited { group: of, writers, weights, .. } if of.as_str() == group => Some((writers, weights)),
        _ => None,
    });
    let Some((writers, weights)) = looked else { return };
    for service in shut(history, group, serves) {
        bad(format!("{group}: {serves} serves, and the gate of {service} is shut"));
    }
    for (store, regions) in writers {
        if regions.iter().map(Region::as_str).ne([*serves]) {
            bad(format!("{group}: {serves} serves, and the writers of {store} are {regions:?}"));
        }
    }
    for (router, weights) in weights.iter().filter(|_| !foreign) {
        let sent: Vec<&str> = weights.serving().map(Region::as_str).collect();
        if sent != [*serves] {
            bad(format!("{group}: {serves} serves, and {router} sends clients to {}", sent.join(", ")));
        }
    }
}

/// The services in a region that have lived for a while, and whose gates are shut at the end.
fn shut(history: &History, group: &str, region: &str) -> Vec<String> {
    let mut lives: BTreeMap<ProcessId, TrueTime> = BTreeMap::new();
    let mut open: BTreeMap<ProcessId, TrueTime> = BTreeMap::new();
    for event in &history.events {
        match &event.what {
            What::Born { process, .. } | What::Thawed(process) => _ = lives.insert(*process, event.at),
            What::Crashed(process) | What::Frozen(process) => _ = lives.remove(process),
            What::Gate { process, open: Some((_, until)) } => _ = open.insert(*process, *until),
            What::Gate { process, open: None } => _ = open.remove(process),
            _ => {}
        }
    }
    let lived = lives.into_iter().filter(|(_, since)| history.ended.since(*since) > A_WHILE);
    let shut = lived.filter(|(process, _)| open.get(process).is_none_or(|until| *until < history.ended));
    let services = shut.filter_map(|(process, _)| history.process(process)).filter(|info| {
        let here = info.role == Role::Service && info.place.to_string() == region;
        let gated = history
            .deployment
            .spec()
            .groups
            .iter()
            .any(|of| of.name.as_str() == group && of.writers == Writers::Gated);
        here && gated && info.serves.as_ref().is_some_and(|serves| serves.as_str() == group)
    });
    services.map(|info| info.name.clone()).collect()
}
