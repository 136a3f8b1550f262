//! Rule 6: fail safe. Nothing moves by itself without a majority that sees the region fail, or when all regions look unfit,
//! or against the policy; and a gate is never open on more than the ledger's word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Violation;
use super::view::{ExecutionView, Records, StoredLedger, is_controller};
use crate::call::{Call, Reply};
use crate::check::Fitness;
use crate::deployment::Automatic;
use crate::sim::clock::TrueTime;
use crate::sim::history::{History, What};
use crate::sim::process::ProcessId;

const RULE: u8 = 6;

/// Checks a run.
pub(super) fn check(history: &History, records: &Records) -> Vec<Violation> {
    let mut found = Vec::new();
    let answers = answers(history, records);
    for (before, stored, execution) in records.begun() {
        if is_controller(history, stored.by) && !was_approved(before, execution) {
            let what = by_itself(history, records, &answers, stored, execution);
            found.extend(what.map(|what| {
                let what = format!("{}: {} began by itself: {what}", stored.ledger.group, execution.id);
                Violation { rule: RULE, at: stored.at, what }
            }));
        }
    }
    found.extend(trust(history, records));
    found
}

/// Whether a person approved the plan that was begun.
fn was_approved(before: &StoredLedger, execution: &ExecutionView) -> bool {
    let approves = |order: &serde_json::Value| order["what"]["approve"] == execution.plan.as_str();
    let ledger = &before.ledger;
    ledger.orders.iter().any(approves)
        || ledger.proposal.as_ref().is_some_and(|proposal| proposal.plan == execution.plan)
}

/// What a vantage was told about a region, when.
struct Answer {
    at: TrueTime,
    process: ProcessId,
    region: String,
    good: bool,
}

fn answers(history: &History, records: &Records) -> Vec<Answer> {
    let mut found = Vec::new();
    for event in &history.events {
        let What::Answered { number, reply } = &event.what else { continue };
        let (Some(sent), Reply::Assess(answer)) = (records.calls.get(number), reply.as_ref()) else {
            continue;
        };
        let Call::Assess { region, .. } = sent.call.as_ref() else { continue };
        let good = answer.as_ref().is_ok_and(|answer| answer.fitness != Fitness::Unfit);
        found.push(Answer { at: event.at, process: sent.process, region: region.to_string(), good });
    }
    found
}

/// Why an execution must not have begun by itself.
fn by_itself(
    history: &History,
    records: &Records,
    answers: &[Answer],
    stored: &StoredLedger,
    execution: &ExecutionView,
) -> Option<String> {
    let spec = history.deployment.spec();
    let unplanned = matches!(execution.kind.as_str(), "failover" | "evacuate");
    if !unplanned {
        let may = spec.policy.automatic_failback && spec.policy.automatic != Automatic::Off;
        return (!may).then(|| "the policy leaves it to a person".into());
    }
    if spec.policy.automatic != Automatic::On {
        return Some("the policy leaves it to a person".into());
    }
    let detection = spec.policy.detection;
    // A vote is fresh for two intervals and a probe, by a clock that may run a little fast, and travels.
    let fresh = detection.interval * 4 + detection.probe_deadline * 2 + Duration::from_secs(40);
    let since = stored.at.before(fresh);
    let recent: Vec<&Answer> =
        answers.iter().filter(|answer| answer.at >= since && answer.at <= stored.at).collect();
    let from = records.plan(execution).and_then(|plan| plan["from"].as_str())?.to_owned();
    let see_it_fail: BTreeSet<ProcessId> = recent
        .iter()
        .filter(|answer| answer.region == from && !answer.good)
        .map(|answer| answer.process)
        .collect();
    let needed = spec.vantages.len() / 2 + 1;
    if see_it_fail.len() < needed {
        return Some(format!("{} vantages saw {from} fail lately, {needed} are needed", see_it_fail.len()));
    }
    let works = |region: &str| recent.iter().any(|answer| answer.region == region && answer.good);
    let none = !history.deployment.regions().any(|region| works(region.as_str()));
    none.then(|| "nobody saw any region work lately".into())
}

/// Every gate that was open: it had read the ledger, and trusted the answer no longer than it may, counted from the send.
fn trust(history: &History, records: &Records) -> Vec<Violation> {
    let spec = history.deployment.spec();
    let margin = spec.policy.gate.rate_margin;
    let longest = margin.wait_for(spec.policy.gate.trust);
    let mut read: BTreeMap<ProcessId, TrueTime> = BTreeMap::new();
    let mut found = Vec::new();
    for event in &history.events {
        match &event.what {
            What::Answered { number, reply } => {
                let Some(sent) = records.calls.get(number) else { continue };
                if let (Call::Load { cell }, Reply::Load(Ok(Some(_)))) = (sent.call.as_ref(), reply.as_ref())
                    && cell.as_str().ends_with("/ledger")
                {
                    let newest = read.entry(sent.process).or_insert(sent.at);
                    *newest = sent.at.max(*newest);
                }
            }
            What::Crashed(process) => {
                read.remove(process);
            }
            What::Gate { process, open: Some((_, until)) } => {
                let trusted = read.get(process).map(|sent| *sent + longest);
                if trusted.is_none_or(|trusted| *until > trusted) {
                    let name = history.process(*process).map(|info| info.name.clone()).unwrap_or_default();
                    let what =
                        format!("the gate of {name} is open until {until}, its trust ends {trusted:?}");
                    found.push(Violation { rule: RULE, at: event.at, what });
                }
            }
            _ => {}
        }
    }
    found
}
