//! Rule 2: no acknowledged write is lost on a switchover.

use std::collections::BTreeMap;

use super::Violation;
use super::view::{ExecutionView, Records, has_waivers, is_planned};
use crate::deployment::Strategy;
use crate::sim::clock::TrueTime;
use crate::sim::history::{History, What};

const RULE: u8 = 2;

/// Checks a run: at the very moment at which a planned move admits a region, that region's replicas show every write
/// that was acknowledged; and if nothing that may lose was ever begun, so does, whenever somebody looks, each region
/// that serves.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    if history.deployment.spec().strategy != Strategy::ActivePassive {
        return Vec::new();
    }
    let lossy: BTreeMap<&str, TrueTime> = lossy(records);
    let mut found = Vec::new();
    for event in &history.events {
        let (group, region, missing, why) = match &event.what {
            What::Admitted { group, region, missing, epoch } => {
                let Some(execution) = under_way(records, group.as_str(), event.at) else { continue };
                (group, region, missing, format!("{} {} began epoch {epoch}", execution.kind, execution.id))
            }
            What::Audited { group, region, missing, .. } => {
                (group, region, missing, "no move that may lose was ever begun".to_owned())
            }
            _ => continue,
        };
        // Once something was given up it stays missing, whatever moves after it.
        if lossy.get(group.as_str()).is_some_and(|since| *since <= event.at) {
            continue;
        }
        let missing: Vec<u32> = missing.iter().copied().filter(|number| is_bound(history, *number)).collect();
        if let Some(first) = missing.first() {
            let count = missing.len();
            let what =
                format!("{group}: {count} acknowledged writes (first {first}) are not in {region}: {why}");
            found.push(Violation { rule: RULE, at: event.at, what });
        }
    }
    found
}

/// What was under way in a group at a time.
fn under_way<'a>(records: &'a Records, group: &str, at: TrueTime) -> Option<&'a ExecutionView> {
    let stored =
        records.ledgers.iter().rev().find(|stored| stored.at <= at && stored.ledger.group == group)?;
    stored.ledger.execution.as_ref()
}

/// From when on a group may lack writes: by the kind of a move, or by a person's word in its plan.
fn lossy(records: &Records) -> BTreeMap<&str, TrueTime> {
    let mut found = BTreeMap::new();
    for (_, stored, execution) in records.begun() {
        let may_lose = match records.plan(execution) {
            Some(plan) => !is_planned(plan) || has_waivers(plan),
            None => execution.kind == "failover",
        };
        if may_lose {
            let since = found.entry(stored.ledger.group.as_str()).or_insert(stored.at);
            *since = stored.at.min(*since);
        }
    }
    found
}

/// Whether the rule protects a write: one under a permit, or one to a store that keeps ungated writers out by itself.
fn is_bound(history: &History, number: u32) -> bool {
    let Some(write) = history.book.writes.get(number as usize) else { return false };
    let groups = &history.deployment.spec().groups;
    let store = groups.iter().flat_map(|group| &group.stores).find(|store| store.name == write.store);
    write.epoch.is_some() || store.is_some_and(|store| store.kind == "ordered")
}
