//! Rule 2: no acknowledged write is lost on a switchover.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Violation;
use super::view::{ExecutionView, is_ledger, plan};
use crate::deployment::Strategy;
use crate::sim::history::{History, What};

const RULE: u8 = 2;

/// Checks a run: at the very moment at which a planned move admits a region, that region's replicas show every write
/// that was acknowledged; and if no unplanned move was ever begun, so does, whenever somebody looks, each that serves.
pub(super) fn check(history: &History) -> Vec<Violation> {
    if history.deployment.spec().strategy != Strategy::ActivePassive {
        return Vec::new();
    }
    let mut under_way: BTreeMap<String, Option<ExecutionView>> = BTreeMap::new();
    let mut lossy = false;
    let mut found = Vec::new();
    for event in &history.events {
        let (group, region, missing, why) = match &event.what {
            What::Stored { cell, value, .. } if is_ledger(cell) => {
                let Ok(ledger) = serde_json::from_slice::<super::view::LedgerView>(value) else { continue };
                lossy |= ledger.execution.as_ref().is_some_and(|execution| may_lose(history, execution));
                under_way.insert(ledger.group, ledger.execution);
                continue;
            }
            What::Admitted { group, region, missing, epoch } => {
                let Some(Some(execution)) = under_way.get(group.as_str()) else { continue };
                if may_lose(history, execution) {
                    continue;
                }
                (group, region, missing, format!("{} {} began epoch {epoch}", execution.kind, execution.id))
            }
            What::Audited { group, region, missing } if !lossy => {
                (group, region, missing, "nothing unplanned was ever done".to_owned())
            }
            _ => continue,
        };
        if let Some(first) = missing.first() {
            let what = format!(
                "{group}: {} acknowledged writes (first {first}) are not in {region}: {why}",
                missing.len()
            );
            found.push(Violation { rule: RULE, at: event.at, what });
        }
    }
    found
}

/// Whether a loss was agreed to: by the kind of the move, or by a person's word in the plan.
fn may_lose(history: &History, execution: &ExecutionView) -> bool {
    let waived = |plan: Value| plan["waivers"].as_array().is_some_and(|waivers| !waivers.is_empty());
    !execution.is_planned() || plan(history, &execution.plan).is_some_and(waived)
}
