//! Active-passive: from the region that serves to another.

use mantissa_mr_core::deployment::{Automatic, DeploymentSpec, Strategy};
use mantissa_mr_core::ledger::{AdmissionState, OrderKind};
use mantissa_mr_core::name::ResourceName;
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{self, Fault, RegionState, Wish};

use super::stage::{SEEDS, Stage, Turn, group, region};

fn policy(automatic: Automatic) -> impl Fn(&mut DeploymentSpec) {
    move |spec| spec.policy.automatic = automatic
}

/// By itself: a region dies at a stage; this one serves in the end, by so many executions.
fn by_itself(dies: &str, stage: Stage, serves: &str, executions: u64) {
    for seed in SEEDS {
        let mut turn = Turn::new(seed, Strategy::ActivePassive, |_| {});
        turn.switchover(stage);
        turn.dies(dies);
        turn.pass(400);
        let ledger = turn.ledger();
        assert_eq!((ledger.execution.as_ref(), ledger.generation.0), (None, executions), "seed {seed}");
        turn.serves(serves);
        if executions > 1 {
            turn.says_so();
        }
        turn.rests();
    }
}

#[test]
fn the_source_dies_before_the_seal() {
    by_itself("east", Stage::Scaling, "west", 2);
}

#[test]
fn the_source_dies_during_the_drain() {
    by_itself("east", Stage::Draining, "west", 2);
}

#[test]
fn the_source_dies_after_the_promote_and_is_not_needed_any_more() {
    by_itself("east", Stage::Promoted, "west", 1);
    by_itself("east", Stage::Open, "west", 1);
}

#[test]
fn the_target_dies_before_the_promote_and_the_gates_reopen() {
    for stage in [Stage::Scaling, Stage::Draining] {
        by_itself("west", stage, "east", 1);
    }
}

#[test]
fn the_target_dies_after_the_promote() {
    by_itself("west", Stage::Promoted, "east", 2);
    by_itself("west", Stage::Open, "east", 2);
}

#[test]
fn clients_follow_although_the_routing_was_to_be_changed_from_the_region_that_died() {
    for seed in SEEDS {
        let mut turn = Turn::new(seed, Strategy::ActivePassive, |spec| {
            sim::set(spec, "dns", "control-plane", "east");
        });
        turn.switchover(Stage::Open);
        turn.dies("east");
        turn.pass(400);
        assert_eq!(turn.ledger().execution, None);
        turn.serves("west");
        turn.says_so();
        let ended = turn.ledger().ended.unwrap();
        assert!(ended.unreconciled.is_empty(), "everything was drained: {ended:?}");
        turn.rests();
    }
}

#[test]
fn a_drill_turns_as_well() {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
    let stock = Fault::Stock {
        scaler: ResourceName::new("logs-workers").unwrap(),
        region: region("west"),
        stock: 40,
    };
    turn.fault(stock);
    turn.order(Move::Switchover, "west", true);
    turn.pass(30);
    turn.dies("east");
    turn.pass(200);
    turn.fault(Fault::Heal);
    turn.dies("east");
    turn.pass(200);
    turn.serves("west");
    turn.says_so();
    assert_eq!(turn.told("(a drill) turns unplanned"), 1);
}

#[test]
fn what_is_paused_or_stuck_turns_as_well() {
    for stuck in [false, true] {
        let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
        let stock = |stock| Fault::Stock {
            scaler: ResourceName::new("logs-workers").unwrap(),
            region: region("west"),
            stock,
        };
        turn.fault(stock(40));
        turn.order(Move::Switchover, "west", false);
        turn.pass(30);
        if stuck {
            turn.pass(250);
        } else {
            let wish = Wish::Order { group: group(), what: OrderKind::Pause };
            turn.person.act(&mut turn.simulation, &turn.cast, &wish);
            turn.pass(20);
        }
        assert!(turn.ledger().execution.unwrap().paused.is_some());
        turn.fault(stock(u64::MAX));
        turn.dies("east");
        turn.pass(400);
        turn.serves("west");
        turn.says_so();
        turn.rests();
    }
}

#[test]
fn a_person_approves_what_is_proposed_midway() {
    let cases = [("east", Stage::Scaling, "west"), ("east", Stage::Draining, "west")];
    let cases = cases.into_iter().chain([("west", Stage::Promoted, "east"), ("west", Stage::Open, "east")]);
    for (seed, (dies, stage, serves)) in (1..).zip(cases) {
        let mut turn = Turn::new(seed, Strategy::ActivePassive, policy(Automatic::Propose));
        turn.switchover(stage);
        turn.dies(dies);
        turn.pass(200);
        let ledger = turn.ledger();
        assert_eq!((ledger.generation.0, ledger.execution.is_some()), (1, true), "nobody said go");
        let proposal = ledger.proposal.unwrap();
        assert!(proposal.why.contains("turns unplanned"), "{}", proposal.why);
        let wish = Wish::Order { group: group(), what: OrderKind::Approve(proposal.plan) };
        turn.person.act(&mut turn.simulation, &turn.cast, &wish);
        turn.pass(300);
        assert_eq!(turn.ledger().execution, None);
        turn.serves(serves);
        turn.rests();
    }
}

#[test]
fn a_proposal_is_taken_back_when_the_region_is_there_again() {
    let mut turn = Turn::new(1, Strategy::ActivePassive, policy(Automatic::Propose));
    turn.switchover(Stage::Draining);
    turn.dies("east");
    turn.pass(200);
    assert!(turn.ledger().proposal.is_some());
    turn.fault(Fault::Region { region: region("east"), state: RegionState::Up });
    turn.pass(100);
    let ledger = turn.ledger();
    assert_eq!((ledger.proposal, ledger.generation.0), (None, 1));
    let wish = Wish::Order { group: group(), what: OrderKind::Resume };
    turn.person.act(&mut turn.simulation, &turn.cast, &wish);
    turn.pass(200);
    turn.serves("west");
    turn.rests();
}

#[test]
fn where_the_policy_leaves_it_to_people_they_are_told_and_nothing_else_is_done() {
    for (dies, stage) in [("east", Stage::Draining), ("west", Stage::Open)] {
        let mut turn = Turn::new(1, Strategy::ActivePassive, policy(Automatic::Off));
        turn.switchover(stage);
        turn.dies(dies);
        turn.pass(300);
        let ledger = turn.ledger();
        assert_eq!((ledger.generation.0, ledger.execution.is_some(), ledger.proposal), (1, true, None));
        assert_eq!(turn.told("turns unplanned"), 1);
        turn.rests();
    }
    for automatic in [Automatic::Off, Automatic::Propose] {
        let mut turn = Turn::new(1, Strategy::ActivePassive, policy(automatic));
        turn.switchover(Stage::Draining);
        turn.dies("west");
        turn.pass(200);
        let sealed = |state: &AdmissionState| matches!(state, AdmissionState::Sealed { .. });
        assert!(turn.ledger().admissions.values().any(|admission| sealed(&admission.state)));
        assert_eq!(turn.told("`abort` gives it up"), 1);
        let wish = Wish::Order { group: group(), what: OrderKind::Abort };
        turn.person.act(&mut turn.simulation, &turn.cast, &wish);
        turn.pass(200);
        turn.serves("east");
        turn.rests();
    }
}
