//! What every plan must have, whatever its kind.

use std::collections::BTreeSet;

use super::{Action, Move, MoveRequest, Plan, PredictedLoss, build};
use crate::check::Fitness;
use crate::deployment::Strategy;
use crate::fixture::{Fixture, region};
use crate::guard::Initiator;
use crate::ledger::{AdmissionState, Running, Term};
use crate::name::{ActorId, ExecutionId, Region, StepId};
use crate::problem::Problems;
use crate::state::Phase;
use crate::store::Role;
use crate::traffic::Urgency;

fn request(kind: Move, from: Option<&str>, to: Option<&str>) -> MoveRequest {
    let (from, to) = (from.map(region), to.map(region));
    MoveRequest { kind, from, to, drill: false, waivers: Vec::new(), why: "test".into() }
}

fn make(fixture: &Fixture, request: &MoveRequest) -> Result<Plan, Problems> {
    fixture.ask(Initiator::Person, |situation| build(situation, request))
}

/// Every kind of plan there is, with the region that it leaves up or down.
fn every_kind() -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut passive = Fixture::new(Strategy::ActivePassive);
    plans.push(make(&passive, &request(Move::Switchover, None, None)).unwrap());
    passive.health("a", Fitness::Unfit, true);
    plans.push(make(&passive, &request(Move::Failover, None, None)).unwrap());
    let mut active = Fixture::new(Strategy::ActiveActive);
    plans.push(make(&active, &request(Move::Evacuate, Some("b"), None)).unwrap());
    active.health("b", Fitness::Unfit, true);
    plans.push(make(&active, &request(Move::Evacuate, None, None)).unwrap());
    let mut left = active.ledger();
    left.admissions.get_mut(&region("b")).unwrap().state = AdmissionState::Standby;
    active.ledger = Some(left);
    plans.push(make(&active, &request(Move::Rejoin, None, None)).unwrap());
    let mut away = Fixture::new(Strategy::ActivePassive);
    let mut ledger = away.ledger();
    for (name, state) in [("a", AdmissionState::Standby), ("c", AdmissionState::Active)] {
        ledger.admissions.get_mut(&region(name)).unwrap().state = state;
    }
    away.ledger = Some(ledger);
    plans.push(make(&away, &request(Move::Failback, None, None)).unwrap());
    plans
}

#[test]
fn steps_come_after_those_that_they_wait_for_and_have_names_of_their_own() {
    for plan in every_kind() {
        let mut seen: BTreeSet<&StepId> = BTreeSet::new();
        for step in &plan.steps {
            assert!(
                step.after.iter().all(|id| seen.contains(id)),
                "{} {}: {:?}",
                plan.kind,
                step.id,
                step.after
            );
            assert!(seen.insert(&step.id), "{} twice in {}", step.id, plan.kind);
            assert!(!step.deadline.is_zero());
        }
    }
}

/// Everything that a step waits for, directly or not.
fn ancestors<'a>(plan: &'a Plan, id: &'a StepId) -> BTreeSet<&'a StepId> {
    let mut found = BTreeSet::new();
    let mut todo = vec![id];
    while let Some(id) = todo.pop() {
        for before in &plan.step(id).unwrap().after {
            if found.insert(before) {
                todo.push(before);
            }
        }
    }
    found
}

#[test]
fn active_passive_no_gate_opens_and_no_store_is_promoted_before_the_old_gates_have_shut() {
    for plan in every_kind().iter().filter(|plan| !matches!(plan.kind, Move::Evacuate | Move::Rejoin)) {
        let seal = plan.steps.iter().find(|step| matches!(step.action, Action::Seal { .. })).unwrap();
        for step in &plan.steps {
            if step.action.is_point_of_no_return() || matches!(step.action, Action::Drain { .. }) {
                assert!(ancestors(plan, &step.id).contains(&seal.id), "{} in {}", step.id, plan.kind);
            }
        }
    }
}

#[test]
fn planned_nothing_is_promoted_or_opened_before_every_store_is_drained() {
    for plan in every_kind().iter().filter(|plan| plan.urgency == Urgency::Planned) {
        let drains: Vec<_> =
            plan.steps.iter().filter(|step| matches!(step.action, Action::Drain { .. })).collect();
        assert!(!drains.is_empty(), "{} drains nothing", plan.kind);
        for step in plan.steps.iter().filter(|step| step.action.is_point_of_no_return()) {
            let before = ancestors(plan, &step.id);
            assert!(drains.iter().all(|drain| before.contains(&drain.id)), "{} in {}", step.id, plan.kind);
        }
    }
}

#[test]
fn traffic_comes_only_after_capacity_and_an_open_gate() {
    for plan in every_kind().iter().filter(|plan| plan.kind != Move::Evacuate) {
        for shift in
            plan.steps.iter().filter(|step| step.phase == Phase::Shift && step.action.changes_cloud())
        {
            let before = ancestors(plan, &shift.id);
            let phases: BTreeSet<Phase> = before.iter().map(|id| plan.step(id).unwrap().phase).collect();
            assert!(
                phases.contains(&Phase::Scale) && phases.contains(&Phase::Open),
                "{}: {phases:?}",
                plan.kind
            );
        }
    }
}

#[test]
fn an_unplanned_move_needs_nothing_of_the_region_that_it_leaves() {
    let mut found = 0;
    for plan in every_kind().iter().filter(|plan| plan.urgency == Urgency::Unplanned) {
        found += 1;
        let from = plan.from.as_ref().unwrap();
        for step in plan.steps.iter().filter(|step| !step.best_effort) {
            assert!(!step.needs.contains(from), "{} needs {from}", step.id);
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn the_prediction_is_the_longest_way_through_the_graph() {
    for plan in every_kind() {
        let path: Vec<_> = plan.predicted.critical_path.iter().map(|id| plan.step(id).unwrap()).collect();
        assert_eq!(path.iter().map(|step| step.expected).sum::<std::time::Duration>(), plan.predicted.rto);
        for pair in path.windows(2) {
            assert!(pair[1].after.contains(&pair[0].id));
        }
    }
}

#[test]
fn a_plan_survives_a_file_and_its_hash_tells_every_change() {
    for plan in every_kind() {
        let again: Plan = serde_json::from_slice(&plan.encode()).unwrap();
        assert_eq!((&again, again.hash()), (&plan, plan.hash()));
        let mut other = plan.clone();
        other.steps.pop();
        assert_ne!(other.hash(), plan.hash());
    }
}

#[test]
fn the_target_is_fit_then_preferred_then_least_behind() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    fixture.health("b", Fitness::Unfit, true);
    assert_eq!(make(&fixture, &request(Move::Switchover, None, None)).unwrap().to, region("c"));
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    let key = (crate::fixture::resource("state"), region("b"));
    fixture.facts.lags.get_mut(&key).unwrap().value *= 2;
    assert_eq!(make(&fixture, &request(Move::Switchover, None, None)).unwrap().to, region("c"));
}

/// The region that was left may be back without having been told of its successor: it says that it lacks nothing.
#[test]
fn what_a_region_says_that_wrongly_calls_itself_the_writer_is_no_measure_of_a_loss() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    let failover = |fixture: &Fixture| {
        make(fixture, &request(Move::Failover, Some("a"), Some("b"))).unwrap().predicted.loss
    };
    assert!(matches!(failover(&fixture), PredictedLoss::Estimated { .. }));
    let state = crate::fixture::resource("state");
    let mut status = fixture.facts.stores[&state].value.clone();
    status.replicas.get_mut(&region("b")).unwrap().role = Role::Writer;
    fixture.facts.lags.clear();
    fixture.facts.saw_status(fixture.now.moment, &state, status);
    assert_eq!(failover(&fixture), PredictedLoss::Unknown);
}

/// The fixture in the middle of a move from a to b, before the seal.
fn under_way(kind: Move) -> Fixture {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    let planned = make(&fixture, &request(kind, Some("a"), Some("b"))).unwrap();
    let ledger = fixture.ledger().acquire(&ActorId::new("x").unwrap());
    let running = Running {
        id: ExecutionId::new("one").unwrap(),
        plan: planned.hash(),
        kind,
        region: region("b"),
        journal_from: ledger.journal.clone(),
        began: fixture.now.wall,
        paused: None,
    };
    fixture.ledger = Some(ledger.begin(Term(1), ledger.basis(), running).unwrap());
    fixture
}

/// Seed 30,144,987: what a failover has promoted lacks what the failover lost, and says that it lacks nothing.
#[test]
fn what_a_failover_promotes_is_no_measure_of_the_loss_of_the_next() {
    for (kind, believed) in [(Move::Switchover, true), (Move::Failover, false)] {
        let mut fixture = under_way(kind);
        let state = crate::fixture::resource("state");
        let mut status = fixture.facts.stores[&state].value.clone();
        status.replicas.get_mut(&region("b")).unwrap().role = Role::Writer;
        fixture.facts.lags.clear();
        fixture.facts.saw_status(fixture.now.moment, &state, status);
        let plan = make(&fixture, &request(Move::Failover, Some("a"), Some("b"))).unwrap();
        assert_eq!(plan.predicted.loss != PredictedLoss::Unknown, believed, "{kind}");
    }
}

/// Seed 30,309,594: a third region follows what the failover has promoted, and says how far it is behind that.
#[test]
fn a_lag_behind_what_a_failover_may_have_promoted_is_no_measure_of_the_loss_of_the_next() {
    for (kind, believed) in [(Move::Switchover, true), (Move::Failover, false)] {
        let mut fixture = under_way(kind);
        let loss = |fixture: &Fixture| {
            make(fixture, &request(Move::Failover, Some("a"), Some("c"))).unwrap().predicted.loss
        };
        assert_ne!(loss(&fixture), PredictedLoss::Unknown, "nothing is promoted before the seal");
        let (ledger, id) = (fixture.ledger(), ExecutionId::new("one").unwrap());
        fixture.ledger = Some(ledger.seal(Term(1), &id, &[region("a")]).unwrap());
        assert_eq!(loss(&fixture) != PredictedLoss::Unknown, believed, "{kind}");
    }
}

/// Seeds 30,227,972 and 30,265,858: where the planned way lay in the lost region, clients were left where nobody serves.
#[test]
fn giving_up_a_failover_shifts_clients_by_the_way_that_it_has_itself_and_leaves_that_to_no_luck() {
    let fixture = under_way(Move::Switchover);
    let plan = make(&fixture, &request(Move::Failover, Some("a"), Some("c"))).unwrap();
    assert!(plan.supersedes.is_some());
    let steps = super::abort_steps(&plan, Strategy::ActivePassive, crate::deployment::Share::FULL, |_| false);
    let forth = plan.steps.iter().find(|step| matches!(step.action, Action::Shift { .. })).unwrap();
    let back = steps.iter().find(|step| matches!(step.action, Action::Shift { .. })).unwrap();
    assert!(matches!(back.action, Action::Shift { urgency: Urgency::Unplanned, .. }), "{back:?}");
    assert_eq!((back.best_effort, &back.needs), (false, &forth.needs));
}

#[test]
fn a_wrong_request_is_told_all_at_once_before_anything_is_planned() {
    let fixture = Fixture::new(Strategy::ActivePassive);
    let unknown = make(&fixture, &request(Move::Switchover, Some("mars"), Some("venus"))).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "from: mars is not a region of this deployment (a, b, c)\n\
         to: venus is not a region of this deployment (a, b, c)"
    );
    let back = make(&fixture, &request(Move::Failback, None, None)).unwrap_err();
    assert_eq!(back.to_string(), "to: a serves already");
    let nowhere = make(&fixture, &request(Move::Switchover, Some("a"), Some("a"))).unwrap_err();
    assert_eq!(nowhere.to_string(), "to: a group cannot move to the region that it leaves");
}

#[test]
fn a_drain_speaks_to_both_regions_and_says_so() {
    let plan =
        make(&Fixture::new(Strategy::ActivePassive), &request(Move::Switchover, None, Some("b"))).unwrap();
    let drain = plan.steps.iter().find(|step| matches!(step.action, Action::Drain { .. })).unwrap();
    let needs: Vec<&str> = drain.needs.iter().map(Region::as_str).collect();
    assert_eq!(needs, ["a", "b"]);
}

#[test]
fn from_midway_back_to_the_sealed_region_what_is_left_is_the_one_that_was_moved_to() {
    let mut fixture = under_way(Move::Switchover);
    let (id, begun) = (ExecutionId::new("one").unwrap(), fixture.ledger());
    fixture.ledger = Some(begun.seal(Term(1), &id, &[region("a")]).unwrap());
    fixture.health("b", Fitness::Unfit, true);
    let plan = make(&fixture, &request(Move::Failover, None, Some("a"))).unwrap();
    assert_eq!((plan.from.as_ref(), &plan.to), (Some(&region("b")), &region("a")));
    assert_eq!(plan.supersedes.map(|superseded| superseded.execution), Some(id));
}
