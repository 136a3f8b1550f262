//! Rule 1: active-passive, no two regions' gates are open at once, and no two regions acknowledge writes at once.

use std::collections::BTreeMap;

use super::Violation;
use super::view::Records;
use crate::deployment::Strategy;
use crate::name::{GroupName, Region};
use crate::sim::clock::TrueTime;
use crate::sim::history::{History, What};
use crate::sim::place::Place;
use crate::sim::process::ProcessId;

const RULE: u8 = 1;

/// A time in which a region could, or did, acknowledge writes.
#[derive(Clone, Debug)]
struct Span {
    from: TrueTime,
    until: TrueTime,
    group: GroupName,
    region: Region,
    what: String,
}

/// Checks a run.
pub(super) fn check(history: &History, _records: &Records) -> Vec<Violation> {
    if history.deployment.spec().strategy != Strategy::ActivePassive {
        return Vec::new();
    }
    let mut found = overlaps(gates(history));
    found.extend(overlaps(acknowledged(history)));
    found
}

/// Pairs of spans of different regions of a group that overlap; each span is named once at most.
fn overlaps(mut spans: Vec<Span>) -> Vec<Violation> {
    spans.sort_by(|one, other| (one.from, &one.region).cmp(&(other.from, &other.region)));
    let mut longest: BTreeMap<GroupName, BTreeMap<Region, Span>> = BTreeMap::new();
    let mut found = Vec::new();
    for span in spans {
        let regions = longest.entry(span.group.clone()).or_default();
        let clash = regions.values().find(|other| other.region != span.region && other.until > span.from);
        if let Some(other) = clash {
            let what = format!(
                "{}: {} of {} while {} of {} until {}",
                span.group, span.what, span.region, other.what, other.region, other.until
            );
            found.push(Violation { rule: RULE, at: span.from, what });
        }
        let region = span.region.clone();
        if regions.get(&region).is_none_or(|other| other.until < span.until) {
            regions.insert(region, span);
        }
    }
    found
}

/// From when to when gates were open.
fn gates(history: &History) -> Vec<Span> {
    let mut open: BTreeMap<ProcessId, Span> = BTreeMap::new();
    let mut spans = Vec::new();
    for event in &history.events {
        let What::Gate { process, open: now } = &event.what else { continue };
        if let Some(mut span) = open.remove(process) {
            span.until = span.until.min(event.at);
            spans.push(span);
        }
        let info = history.process(*process);
        if let Some((epoch, until)) = now
            && let Some(info) = info
            && let (Place::Region(region), Some(group)) = (&info.place, &info.serves)
        {
            let what = format!("the gate of {} (epoch {epoch})", info.name);
            let (region, group) = (region.clone(), group.clone());
            open.insert(*process, Span { from: event.at, until: *until, group, region, what });
        }
    }
    spans.extend(open.into_values());
    spans
}

/// From the begin of the first to the acknowledgement of the last write of each region's each epoch.
fn acknowledged(history: &History) -> Vec<Span> {
    let mut spans: BTreeMap<_, Span> = BTreeMap::new();
    for (number, write) in history.book.acknowledged() {
        let (Some(epoch), Some(from), Some(until)) = (write.epoch, write.begun, write.ended) else {
            continue;
        };
        let key = (write.group.clone(), write.region.clone(), epoch);
        let span = spans.entry(key).or_insert_with(|| Span {
            from,
            until,
            group: write.group.clone(),
            region: write.region.clone(),
            what: format!("acknowledged writes (epoch {epoch}, first {number})"),
        });
        span.from = span.from.min(from);
        span.until = span.until.max(until);
    }
    spans.into_values().collect()
}
