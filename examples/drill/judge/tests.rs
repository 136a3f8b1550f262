//! The judge bites: it takes no scenario for another, and sees each thing that is broken by hand.

use std::sync::Arc;

use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::sim::{Event, Fate, History, TrueTime, What, Write};
use serde_json::Value;

use super::super::evidence::Evidence;
use super::super::scenario::Scenario;
use super::super::scenarios::SCENARIOS;
use super::super::stage::Stage;
use super::{Finding, judge};

fn scenario(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap()
}

fn play(scenario: &'static Scenario) -> History {
    let mut stage = Stage::new(scenario, 1, 2).unwrap();
    while stage.step().is_some() {}
    stage.finish().history
}

fn wrong(scenario: &Scenario, history: &History) -> Vec<Finding> {
    let findings = judge(&Evidence::new(history), scenario.expects);
    findings.into_iter().filter(|finding| !finding.right).collect()
}

#[test]
fn no_scenario_passes_for_another() {
    for played in SCENARIOS {
        let history = play(played);
        for expected in SCENARIOS {
            let right = wrong(expected, &history).is_empty();
            assert_eq!(right, played.name == expected.name, "{} as {}", played.name, expected.name);
        }
    }
}

/// Breaks a good run of a scenario, and gives what the judge finds wrong with it.
fn broken(name: &str, breaks: impl FnOnce(&mut History)) -> Vec<String> {
    let scenario = scenario(name);
    let mut history = play(scenario);
    assert_eq!(wrong(scenario, &history), []);
    breaks(&mut history);
    wrong(scenario, &history).into_iter().map(|finding| finding.wanted).collect()
}

fn last_acknowledged(history: &History, region: &str) -> Write {
    let writes = history.book.writes.iter();
    let found = writes.filter(|write| write.fate == Fate::Acknowledged && write.region.as_str() == region);
    found.max_by_key(|write| write.ended).unwrap().clone()
}

/// Changes the last ledger that was stored.
fn change_last_ledger(history: &mut History, change: impl FnOnce(&mut Value)) {
    let last = history.events.iter_mut().rev().find_map(|event| match &mut event.what {
        What::Stored { cell, value, .. } if cell.as_str().ends_with("/ledger") => Some(value),
        _ => None,
    });
    let value = last.unwrap();
    let mut ledger: Value = serde_json::from_slice(value).unwrap();
    change(&mut ledger);
    *value = Arc::from(serde_json::to_vec(&ledger).unwrap());
}

#[test]
fn a_write_acknowledged_by_the_region_that_was_left_is_seen() {
    let found = broken("one-way-partition", |history| {
        let mut late = last_acknowledged(history, "east");
        let after = last_acknowledged(history, "west").ended.unwrap();
        (late.begun, late.applied, late.ended) = (Some(after), Some(after), Some(after));
        history.book.writes.push(late);
    });
    let both = "one writer at a time, and no loss on a switchover".to_owned();
    assert!(found.contains(&both), "{found:?}");
}

#[test]
fn a_write_that_was_lost_too_long_before_is_seen() {
    let found = broken("region-loss", |history| {
        let numbers: Vec<u32> = history.book.acknowledged().map(|(number, _)| number).collect();
        // Written at the very begin, and missing in the end.
        let event = history.events.iter_mut().rev();
        let audited = event.into_iter().find_map(|event| match &mut event.what {
            What::Audited { missing, .. } => Some(missing),
            _ => None,
        });
        audited.unwrap().push(numbers[0]);
    });
    assert!(
        found.iter().any(|wanted| wanted.starts_with("of what was acknowledged, the last 5 s")),
        "{found:?}"
    );
}

#[test]
fn a_loss_beyond_the_bound_of_the_plan_is_seen() {
    let found = broken("controller-crash", |history| {
        // The plan of this run bounds its loss by some two minutes; this write is older.
        for event in &mut history.events {
            if let What::Stored { cell, value, .. } = &mut event.what
                && cell.as_str().contains("/plan/")
            {
                let mut plan: Value = serde_json::from_slice(value).unwrap();
                plan["predicted"]["loss"]["estimated"]["at_most"] = "1s".into();
                *value = Arc::from(serde_json::to_vec(&plan).unwrap());
            }
        }
    });
    assert_eq!(found, ["a loss is within the bound that the plan gave"]);
}

#[test]
fn a_switchover_that_leaves_writes_behind_is_seen() {
    let found = broken("graceful-switchover", |history| {
        let number = history.book.acknowledged().next().unwrap().0;
        let admitted = history.events.iter_mut().rev().find_map(|event| match &mut event.what {
            What::Admitted { missing, .. } => Some(missing),
            _ => None,
        });
        admitted.unwrap().push(number);
    });
    assert!(found.contains(&"a planned move loses nothing".to_owned()), "{found:?}");
    assert!(found.contains(&"no acknowledged write is lost".to_owned()), "{found:?}");
}

#[test]
fn an_epoch_that_goes_back_and_a_second_active_region_are_seen() {
    let back = broken("flapping-health", |history| {
        change_last_ledger(history, |ledger| {
            for admission in ledger["admissions"].as_object_mut().unwrap().values_mut() {
                admission["epoch"] = 0.into();
            }
        });
    });
    assert!(back.contains(&"epochs and terms only grow".to_owned()), "{back:?}");
    let two = broken("flapping-health", |history| {
        change_last_ledger(history, |ledger| ledger["admissions"]["west"]["state"] = "active".into());
    });
    assert!(two.contains(&"epochs and terms only grow".to_owned()), "{two:?}");
}

#[test]
fn a_move_that_does_not_end_is_seen() {
    let found = broken("approval", |history| {
        let ended = |event: &Event| match &event.what {
            What::Stored { cell, value, .. } if cell.as_str().ends_with("/ledger") => {
                serde_json::from_slice::<Value>(value).is_ok_and(|ledger| !ledger["ended"].is_null())
            }
            _ => false,
        };
        history.events.retain(|event| !ended(event));
    });
    assert!(found.contains(&"no move is left unfinished".to_owned()), "{found:?}");
}

#[test]
fn a_gate_that_stays_open_without_the_witness_is_seen() {
    let found = broken("witness-loss", |history| {
        let open = history.events.iter_mut().rev().find_map(|event| match &mut event.what {
            What::Gate { open, .. } => Some(open),
            _ => None,
        });
        *open.unwrap() = Some((Epoch(1), TrueTime::from_secs(90)));
    });
    assert!(found.iter().any(|wanted| wanted.contains("every gate is shut")), "{found:?}");
}

#[test]
fn a_change_that_is_carried_out_twice_is_seen() {
    let found = broken("controller-crash", |history| {
        let promoted = |event: &Event| matches!(&event.what, What::Applied { reply, .. } if matches!(&**reply, mantissa_mr_core::call::Reply::Promote(Ok(()))));
        let again = history.events.iter().find(|event| promoted(event)).unwrap().clone();
        history.events.push(again);
    });
    assert_eq!(found, ["no store, router or scaler is changed twice"]);
}
