//! Rule 4: the ledger alone decides. Epochs and terms only grow, each change is one compare-and-swap, and whoever calls a
//! cloud has put its intention into the journal first, under the epoch that is current.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Violation;
use super::view::{Records, SentCall, StoredLedger, StoredSlot, span};
use crate::call::Call;
use crate::deployment::Strategy;
use crate::sim::history::History;
use crate::sim::process::Role;

const RULE: u8 = 4;

/// Checks a run.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    for ledgers in records.by_group().values() {
        let mut writers = BTreeSet::new();
        for stored in ledgers {
            if !writers.insert(&stored.ledger.writer) {
                found
                    .push(violation(stored, format!("the write {} took effect twice", stored.ledger.writer)));
            }
        }
        for (before, after) in ledgers.iter().zip(ledgers.iter().skip(1)) {
            let passive = history.deployment.spec().strategy == Strategy::ActivePassive;
            found.extend(step(before, after, passive).map(|what| violation(after, what)));
        }
    }
    found.extend(journal(records));
    found.extend(calls(history, records));
    found
}

fn violation(stored: &StoredLedger, what: String) -> Violation {
    Violation { rule: RULE, at: stored.at, what: format!("{}: {what}", stored.ledger.group) }
}

/// What is wrong with one change of a ledger.
fn step(before: &StoredLedger, after: &StoredLedger, passive: bool) -> Option<String> {
    let (old, new) = (&before.ledger, &after.ledger);
    if new.lease.term < old.lease.term || new.generation < old.generation {
        return Some(format!("term {} and generation {} went back", old.lease.term, old.generation));
    }
    let holders = (&old.lease.holder, &new.lease.holder);
    if new.lease.term == old.lease.term && holders.1.is_some() && holders.0 != holders.1 {
        return Some(format!("term {} has two holders, {:?} and {:?}", new.lease.term, holders.0, holders.1));
    }
    for (region, admission) in &new.admissions {
        let Some(was) = old.admissions.get(region) else { return Some(format!("{region} appeared")) };
        if admission.epoch < was.epoch {
            return Some(format!(
                "the epoch of {region} went back from {} to {}",
                was.epoch, admission.epoch
            ));
        }
        let opened = admission.state == "active" && was.state != "active";
        if opened && admission.epoch <= old.epoch() {
            return Some(format!("{region} was admitted under epoch {}, which is not new", admission.epoch));
        }
    }
    let active: Vec<&str> = new.active().collect();
    (passive && active.len() > 1).then(|| format!("{} are active at once", active.join(" and ")))
}

/// The journal: no slot is written twice, each follows the one before, terms do not go back.
fn journal(records: &Records) -> Vec<Violation> {
    let mut last: BTreeMap<&str, (&StoredSlot, String)> = BTreeMap::new();
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for stored in &records.slots {
        let journal = stored.cell.rsplit_once('/').map_or("", |(journal, _)| journal);
        let bad =
            |what: &str| Violation { rule: RULE, at: stored.at, what: format!("{}: {what}", stored.cell) };
        if !names.insert(&stored.cell) {
            found.push(bad("the slot was written twice"));
        }
        if let Some((before, hash)) = last.get(journal) {
            if stored.slot["previous"] != hash.as_str() {
                found.push(bad("it does not follow the slot before it"));
            }
            if stored.slot["term"].as_u64() < before.slot["term"].as_u64() {
                found.push(bad("its term goes back"));
            }
        }
        let hash = Sha256::digest(&stored.value).iter().map(|byte| format!("{byte:02x}")).collect();
        last.insert(journal, (stored, hash));
    }
    found
}

/// Every call that changes a cloud: it was intended in the journal by the same actor not longer ago than the deadline that
/// stands there, nobody had taken over in the journal before that, and it carries the epoch that is, or is to come.
fn calls(history: &History, records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    for sent in records.calls.values() {
        let Some(epoch) = epoch_of(&sent.call) else { continue };
        let judged = history.process(sent.process).is_some_and(|info| info.role != Role::Other);
        if let Some(what) = judged.then(|| wrong(records, sent, epoch)).flatten() {
            let name = history.process(sent.process).map(|info| info.name.clone()).unwrap_or_default();
            found.push(Violation {
                rule: RULE,
                at: sent.at,
                what: format!("{name}: {:?}: {what}", sent.call),
            });
        }
    }
    found
}

fn epoch_of(call: &Call) -> Option<u64> {
    match call {
        Call::Promote { epoch, .. }
        | Call::Fence { epoch, .. }
        | Call::Unfence { epoch, .. }
        | Call::Scale { epoch, .. } => Some(epoch.0),
        Call::Shift { shift, .. } => Some(shift.epoch.0),
        _ => None,
    }
}

fn wrong(records: &Records, sent: &SentCall, epoch: u64) -> Option<String> {
    let Some(actor) = records.actor(sent.process, sent.at) else { return Some("nobody lives there".into()) };
    let before = |slot: &&StoredSlot| slot.at <= sent.at;
    let mine = |slot: &&StoredSlot| slot.slot["actor"] == actor && !intentions(&slot.slot).is_empty();
    let Some(intended) = records.slots.iter().rev().filter(before).find(mine) else {
        return Some("the journal knows of no intention".into());
    };
    let deadline = intentions(&intended.slot).into_iter().max().unwrap_or_default();
    let age = sent.at.since(intended.at);
    if age > deadline + deadline / 20 {
        return Some(format!("it was intended {age:?} ago, for {deadline:?} at most"));
    }
    let journal = intended.cell.rsplit_once('/').map_or("", |(journal, _)| journal);
    let group = journal.split('/').nth(1).unwrap_or_default();
    let ledgers = records.ledgers.iter().rev().filter(|stored| stored.ledger.group == group);
    let current = ledgers.clone().find(|stored| stored.at <= sent.at).map(|stored| stored.ledger.epoch())?;
    (epoch != current && epoch != current + 1).then(|| format!("the epoch is {current}"))
}

/// The deadlines of the intentions in a slot.
fn intentions(slot: &Value) -> Vec<std::time::Duration> {
    let records = slot["records"].as_array().map(Vec::as_slice).unwrap_or_default();
    records.iter().filter_map(|record| span(&record["event"]["intended"]["deadline"])).collect()
}
