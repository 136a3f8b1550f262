//! Each guard refuses what it is there for, names the override that would pass it, and that override passes it.

use std::time::Duration;

use jiff::ToSpan;

use super::{Guard, GuardAnswer, GuardVerdict, Initiator, LossLimit, Override, Waiver};
use crate::check::Fitness;
use crate::deployment::{Strategy, Writers};
use crate::facts::RecentMoves;
use crate::fixture::{Fixture, region, resource};
use crate::ledger::{Ended, Outcome, Running, Term};
use crate::name::{ActorId, ExecutionId, GroupName};
use crate::plan::{Move, MoveRequest, Plan, build};

fn plan(fixture: &Fixture, initiator: Initiator, kind: Move, waivers: Vec<Waiver>) -> Plan {
    let request =
        MoveRequest { kind, from: None, to: Some(region("b")), drill: false, waivers, why: "test".into() };
    fixture.ask(initiator, |situation| build(situation, &request)).unwrap()
}

fn answer(plan: &Plan, guard: Guard) -> &GuardAnswer {
    plan.guards.iter().find(|answer| answer.guard == guard).unwrap()
}

fn waiver(fixture: &Fixture, allows: Override) -> Waiver {
    let expires = fixture.now.wall + 1.hour();
    Waiver { allows, approver: "ada".into(), reason: "a test".into(), expires }
}

/// The guard refuses; the override that it names, and no lesser one, lets it pass; an expired one does not.
fn refused(fixture: &Fixture, initiator: Initiator, kind: Move, guard: Guard, needs: Option<Override>) {
    let plan_without = plan(fixture, initiator, kind, Vec::new());
    let refusal = answer(&plan_without, guard);
    assert_eq!(refusal.verdict, GuardVerdict::Refuse { needs: needs.clone() }, "{}", refusal.why);
    assert!(plan_without.refusals().any(|answer| answer.guard == guard));
    let Some(needs) = needs else { return };
    let waived = plan(fixture, initiator, kind, vec![waiver(fixture, needs.clone())]);
    assert_eq!(answer(&waived, guard).verdict, GuardVerdict::Waived);
    let expired = Waiver { expires: fixture.now.wall, ..waiver(fixture, needs) };
    let late = plan(fixture, initiator, kind, vec![expired]);
    assert!(matches!(answer(&late, guard).verdict, GuardVerdict::Refuse { .. }));
}

fn by_guard(guard: Guard) -> Option<Override> {
    Some(Override::Guard(guard))
}

fn down(fixture: &mut Fixture) {
    fixture.health("a", Fitness::Unfit, true);
}

#[test]
fn with_a_confirmed_failure_and_everything_known_no_guard_refuses_a_failover() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    let plan = plan(&fixture, Initiator::Controller, Move::Failover, Vec::new());
    assert_eq!(plan.refusals().count(), 0, "{:?}", plan.refusals().collect::<Vec<_>>());
    assert_eq!(plan.guards.len(), 13, "every guard's answer is kept");
}

#[test]
fn without_a_confirmed_majority_no_failover() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    refused(&fixture, Initiator::Person, Move::Failover, Guard::Quorum, by_guard(Guard::Quorum));
    fixture.health("a", Fitness::Unfit, false);
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::Quorum, by_guard(Guard::Quorum));
    fixture.facts.health.remove(&region("a"));
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::Quorum, by_guard(Guard::Quorum));
}

#[test]
fn when_every_region_looks_unfit_the_fault_is_with_those_who_look() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    for name in ["a", "b", "c"] {
        fixture.health(name, Fitness::Unfit, true);
    }
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::NotAllBad, by_guard(Guard::NotAllBad));
}

#[test]
fn a_target_that_is_not_known_to_be_fit_is_refused() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    for fitness in [Fitness::Unknown, Fitness::Degraded, Fitness::Unfit] {
        fixture.health("b", fitness, false);
        refused(
            &fixture,
            Initiator::Controller,
            Move::Failover,
            Guard::TargetFit,
            by_guard(Guard::TargetFit),
        );
    }
}

#[test]
fn a_planned_move_does_not_leave_a_region_that_cannot_be_drained() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    fixture.health("a", Fitness::Unfit, true);
    refused(&fixture, Initiator::Person, Move::Switchover, Guard::SourceFit, by_guard(Guard::SourceFit));
}

#[test]
fn a_loss_beyond_the_tier_needs_a_person_who_allows_as_much() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    let lag = fixture.facts.lags.get_mut(&(resource("state"), region("b"))).unwrap();
    lag.value = Duration::from_secs(16 * 60);
    let needs = Override::AllowDataLoss { up_to: LossLimit::Time(Duration::from_secs(16 * 60)) };
    refused(&fixture, Initiator::Person, Move::Failover, Guard::Loss, Some(needs));
    let less = Override::AllowDataLoss { up_to: LossLimit::Time(Duration::from_secs(15 * 60)) };
    let plan = plan(&fixture, Initiator::Person, Move::Failover, vec![waiver(&fixture, less)]);
    assert!(matches!(answer(&plan, Guard::Loss).verdict, GuardVerdict::Refuse { .. }));
}

#[test]
fn an_unknown_lag_is_not_zero() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    fixture.facts.lags.clear();
    let needs = Override::AllowDataLoss { up_to: LossLimit::Unbounded };
    refused(&fixture, Initiator::Person, Move::Failover, Guard::Loss, Some(needs));
}

#[test]
fn the_stores_of_other_groups_are_no_concern_of_a_move() {
    // The catalog is the backend's: it has the stores of every group, and nothing is known here of the lag of others.
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    fixture.spec.groups[0].writers = Writers::Ungated;
    let mut other = fixture.catalog.stores[&resource("state")].clone();
    other.can_fence = false;
    fixture.catalog.stores.insert(resource("alerts-state"), other);
    let plan = plan(&fixture, Initiator::Controller, Move::Failover, Vec::new());
    for guard in [Guard::Loss, Guard::Fence] {
        assert_eq!(answer(&plan, guard).verdict, GuardVerdict::Pass, "{guard:?}");
    }
}

#[test]
fn capacity_that_the_quota_does_not_give_or_that_was_not_seen_lately_is_missing() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    let key = (resource("workers"), region("b"));
    fixture.facts.capacities.get_mut(&key).unwrap().value.limit = Some(99);
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::Capacity, by_guard(Guard::Capacity));
    let seen = fixture.facts.capacities.get_mut(&key).unwrap();
    (seen.value.limit, seen.at) = (Some(200), fixture.now.moment.before(Duration::from_secs(60)));
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::Capacity, by_guard(Guard::Capacity));
}

fn moved(fixture: &Fixture) -> Ended {
    Ended {
        id: ExecutionId::new("failover-1").unwrap(),
        kind: Move::Failover,
        outcome: Outcome::Finished,
        region: region("a"),
        at: fixture.now.wall - 10.minutes(),
        acknowledged: false,
        unreconciled: vec![region("b")],
    }
}

#[test]
fn nothing_moves_by_itself_within_the_cool_down_but_a_person_may() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    let mut ledger = fixture.ledger();
    ledger.ended = Some(moved(&fixture));
    fixture.ledger = Some(ledger.clone());
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::CoolDown, None);
    let asked = plan(&fixture, Initiator::Person, Move::Failover, Vec::new());
    assert_eq!(answer(&asked, Guard::CoolDown).verdict, GuardVerdict::NotApplicable);
    ledger.ended.as_mut().unwrap().acknowledged = true;
    fixture.ledger = Some(ledger);
    let looked_at = plan(&fixture, Initiator::Controller, Move::Failover, Vec::new());
    assert_eq!(answer(&looked_at, Guard::CoolDown).verdict, GuardVerdict::Pass);
}

#[test]
fn what_an_earlier_failover_left_behind_in_the_target_must_be_looked_at_first() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    let mut ledger = fixture.ledger();
    ledger.ended = Some(moved(&fixture));
    fixture.ledger = Some(ledger);
    refused(&fixture, Initiator::Person, Move::Switchover, Guard::Reconciled, by_guard(Guard::Reconciled));
}

#[test]
fn too_many_moves_lately_or_nobody_knows_how_many() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    let group = GroupName::new("other").unwrap();
    let moves = vec![(fixture.now.wall - 5.minutes(), group); 4];
    fixture.recent = Some(RecentMoves { moves });
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::Velocity, None);
    fixture.recent = None;
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::Velocity, None);
}

#[test]
fn an_unplanned_move_that_needs_the_lost_region_is_refused() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    fixture.catalog.routers.get_mut(&resource("dns")).unwrap().unplanned_needs = None;
    refused(
        &fixture,
        Initiator::Controller,
        Move::Failover,
        Guard::ControlPlane,
        by_guard(Guard::ControlPlane),
    );
}

#[test]
fn writers_that_ask_no_gate_need_stores_that_fence_them() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    fixture.spec.groups[0].writers = Writers::Ungated;
    let planned = plan(&fixture, Initiator::Person, Move::Switchover, Vec::new());
    assert_eq!(answer(&planned, Guard::Fence).verdict, GuardVerdict::Pass);
    fixture.catalog.stores.get_mut(&resource("state")).unwrap().can_fence = false;
    refused(&fixture, Initiator::Person, Move::Switchover, Guard::Fence, by_guard(Guard::Fence));
}

#[test]
fn one_execution_at_a_time_and_the_ledger_says_where_a_move_may_go() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    down(&mut fixture);
    let ledger = fixture.ledger().acquire(&ActorId::new("x").unwrap());
    let running = Running {
        id: ExecutionId::new("failover-1").unwrap(),
        plan: plan(&fixture, Initiator::Person, Move::Failover, Vec::new()).hash(),
        kind: Move::Failover,
        region: region("b"),
        journal_from: ledger.journal.clone(),
        began: fixture.now.wall,
        paused: None,
    };
    fixture.ledger = Some(ledger.begin(Term(1), ledger.basis(), running).unwrap());
    refused(&fixture, Initiator::Controller, Move::Failover, Guard::Alone, None);
    fixture.ledger = None;
    refused(&fixture, Initiator::Person, Move::Evacuate, Guard::Admission, None);
    refused(&fixture, Initiator::Person, Move::Rejoin, Guard::Admission, None);
}
