//! Rule 3: a failover's loss is bounded or labelled.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Violation;
use super::view::{
    ExecutionView, LedgerView, Records, StoredLedger, has_waivers, is_planned, span, wrong_clocks,
};
use crate::deployment::Strategy;
use crate::sim::clock::TrueTime;
use crate::sim::history::{History, What};
use crate::sim::writers::Write;

const RULE: u8 = 3;

/// Checks a run: what an unplanned move lost of the writes under permits is within the bound that its plan names; and
/// what the plan calls unknown, or more than the tier allows, was agreed to by a person.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    if history.deployment.spec().strategy != Strategy::ActivePassive {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (_, stored, execution) in records.begun() {
        let Some(plan) = records.plan(execution).filter(|plan| !is_planned(plan)) else { continue };
        let group = &stored.ledger.group;
        if let Some(what) = unagreed(history, group, plan) {
            let what = format!("{group}: {} began and {what}", execution.id);
            found.push(Violation { rule: RULE, at: stored.at, what });
        }
        let Some(bound) = bound(&plan["predicted"]["loss"]) else { continue };
        // The bound is for what was there when the plan was made: until the seal, writes go on being lost.
        let bound = if bound.is_zero() { bound } else { bound + late(history, records, stored, plan) };
        let admitted =
            lost(history, group, stored.at).filter(|(at, _)| *at <= until(records, stored, execution));
        if let Some((at, lost)) = admitted.filter(|(_, lost)| *lost > bound) {
            let what = format!("{group}: {} lost {lost:?}, its plan says at most {bound:?}", execution.id);
            found.push(Violation { rule: RULE, at, what });
        }
    }
    found
}

/// When the ledger first says that an execution is not under way any more: what is admitted after that is another's doing.
fn until(records: &Records, begun: &StoredLedger, execution: &ExecutionView) -> TrueTime {
    let runs = |ledger: &LedgerView| ledger.execution.as_ref().is_some_and(|other| other.id == execution.id);
    let later = records.ledgers.iter().filter(|stored| stored.ledger.group == begun.ledger.group);
    let over = later.filter(|stored| stored.at > begun.at).find(|stored| !runs(&stored.ledger));
    over.map_or(TrueTime::from_nanos(u64::MAX), |stored| stored.at)
}

/// How long after the plan was made the region that it leaves was sealed, by wall clocks that may be wrong.
fn late(history: &History, records: &Records, begun: &StoredLedger, plan: &Value) -> Duration {
    let of_group = records.ledgers.iter().filter(|stored| stored.ledger.group == begun.ledger.group);
    let serves = |ledger: &LedgerView| ledger.active().any(|region| plan["from"] == *region);
    let sealed = of_group.filter(|stored| stored.at >= begun.at).find(|stored| !serves(&stored.ledger));
    let made = plan["made"].as_str().and_then(|made| made.parse::<Timestamp>().ok());
    let (Some(sealed), Some(made)) = (sealed, made) else { return Duration::ZERO };
    let since = sealed.at.wall().duration_since(made);
    // Clocks that nothing happened to are wrong by up to two seconds.
    Duration::try_from(since).unwrap_or_default() + wrong_clocks(history) + Duration::from_secs(2)
}

/// What a plan says will be lost at most; none if it names no bound.
fn bound(loss: &Value) -> Option<Duration> {
    if *loss == "nothing" { Some(Duration::ZERO) } else { span(&loss["estimated"]["at_most"]) }
}

/// What of a plan's loss nobody agreed to.
fn unagreed(history: &History, group: &str, plan: &Value) -> Option<String> {
    if has_waivers(plan) {
        return None;
    }
    let groups = &history.deployment.spec().groups;
    let rpo = groups.iter().find(|known| known.name.as_str() == group)?.tier.tier().rpo;
    let loss = &plan["predicted"]["loss"];
    match span(&loss["estimated"]["about"]) {
        Some(about) if about > rpo => Some(format!("may lose {about:?}, the tier allows {rpo:?}")),
        None if *loss == "unknown" => Some("what it may lose is unknown".into()),
        _ => None,
    }
}

/// How far back from the last acknowledged write the first lost one was, at the next admission after a time. What an
/// earlier admission lacked was lost by an earlier move, and is missing still.
fn lost(history: &History, group: &str, since: TrueTime) -> Option<(TrueTime, Duration)> {
    let admitted = history.events.iter().filter_map(|event| match &event.what {
        What::Admitted { group: of, missing, .. } if of.as_str() == group => Some((event.at, missing)),
        _ => None,
    });
    let (before, after): (Vec<_>, Vec<_>) = admitted.partition(|(at, _)| *at <= since);
    let (at, missing) = after.first()?;
    let earlier: BTreeSet<&u32> = before.iter().flat_map(|(_, missing)| missing.iter()).collect();
    let bound = |write: &&Write| write.group.as_str() == group && write.epoch.is_some();
    let lost = missing.iter().filter(|number| !earlier.contains(number));
    let lost = lost.filter_map(|number| history.book.writes.get(*number as usize)).filter(bound);
    let first = lost.filter_map(|write| write.applied).min()?;
    let last =
        history.book.acknowledged().filter(|(_, write)| bound(write)).filter_map(|(_, write)| write.ended);
    let last = last.filter(|ended| ended <= at).max()?;
    Some((*at, last.since(first)))
}
