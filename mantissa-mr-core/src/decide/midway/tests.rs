//! What becomes of a planned move at each stage when a region is lost.

use std::collections::BTreeSet;

use jiff::ToSpan;

use super::*;
use crate::facts::RecentMoves;
use crate::fixture::{Fixture, region, resource};
use crate::guard::{Guard, Initiator};
use crate::ledger::{Ended, Outcome, Running, Term};
use crate::name::{ActorId, ExecutionId, GroupName};
use crate::plan::{Action, Move, PredictedLoss, build};
use crate::state::Phase;

/// A move that somebody ordered, and how far it is.
struct Bench {
    fixture: Fixture,
    plan: Plan,
    committed: bool,
    aborting: bool,
    drains: bool,
    needs: BTreeSet<Region>,
}

fn id() -> ExecutionId {
    ExecutionId::new("one").unwrap()
}

impl Bench {
    fn new(kind: Move, tweak: impl Fn(&mut Fixture)) -> Self {
        let strategy = match kind {
            Move::Evacuate | Move::Rejoin => Strategy::ActiveActive,
            _ => Strategy::ActivePassive,
        };
        let mut fixture = Fixture::new(strategy);
        fixture.spec.policy.automatic = Automatic::On;
        tweak(&mut fixture);
        let mut ledger = fixture.ledger();
        if kind == Move::Rejoin {
            ledger.admissions.get_mut(&region("b")).unwrap().state = AdmissionState::Standby;
        }
        fixture.ledger = Some(ledger.clone());
        let (from, to) = match kind {
            Move::Rejoin => (None, Some(region("b"))),
            _ => (Some(region("a")), Some(region("b"))),
        };
        let request = MoveRequest { kind, from, to, drill: false, waivers: Vec::new(), why: "test".into() };
        let plan = fixture.ask(Initiator::Person, |situation| build(situation, &request)).unwrap();
        let running = Running {
            id: id(),
            plan: plan.hash(),
            kind,
            region: region("b"),
            journal_from: ledger.journal.clone(),
            began: fixture.now.wall,
            paused: None,
        };
        let ledger = ledger.acquire(&ActorId::new("x").unwrap());
        fixture.ledger = Some(ledger.begin(Term(1), ledger.basis(), running).unwrap());
        let needs = plan.steps.iter().flat_map(|step| step.needs.clone()).collect();
        Self { fixture, plan, committed: false, aborting: false, drains: true, needs }
    }

    fn switchover() -> Self {
        Self::new(Move::Switchover, |_| {})
    }

    fn sealed(mut self) -> Self {
        let ledger = self.fixture.ledger();
        self.fixture.ledger = Some(ledger.seal(Term(1), &id(), &[region("a")]).unwrap());
        self
    }

    /// Every store's writer is the target.
    fn promoted(mut self) -> Self {
        self = self.sealed();
        (self.committed, self.drains) = (true, false);
        self
    }

    fn opened(mut self) -> Self {
        self = self.promoted();
        let ledger = self.fixture.ledger();
        self.fixture.ledger = Some(ledger.open(Term(1), &id(), &region("b")).unwrap());
        self.needs = [region("b")].into();
        self
    }

    fn lost(mut self, name: &str) -> Self {
        self.fixture.health(name, Fitness::Unfit, true);
        self
    }

    fn decide(&self) -> Decision {
        let midway = Midway {
            plan: &self.plan,
            committed: self.committed,
            aborting: self.aborting,
            drains: self.drains,
            needs: self.needs.clone(),
        };
        self.fixture.ask(Initiator::Controller, |situation| super::midway(situation, &midway))
    }

    #[track_caller]
    fn begins(&self) -> Plan {
        match self.decide() {
            Decision::Begin(plan) => *plan,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn begins_from(&self, kind: Move, from: &str, to: &str) {
        let plan = self.begins();
        let found = (plan.kind, plan.from.as_ref(), &plan.to);
        assert_eq!(found, (kind, Some(&region(from)), &region(to)));
        assert_eq!(
            (plan.supersedes.as_ref().map(|old| &old.execution), plan.urgency, plan.drill),
            (Some(&id()), Urgency::Unplanned, false)
        );
        assert!(plan.why.contains("turns unplanned") && plan.why.contains(from), "{}", plan.why);
    }

    #[track_caller]
    fn rests(&self) {
        assert!(matches!(self.decide(), Decision::Rest(_)), "{:?}", self.decide());
    }

    #[track_caller]
    fn is_given_up(&self) {
        assert!(matches!(self.decide(), Decision::Abort { .. }), "{:?}", self.decide());
    }

    #[track_caller]
    fn is_refused_by(&self, guard: Guard) {
        match self.decide() {
            Decision::Refuse(plan) => assert!(plan.refusals().any(|answer| answer.guard == guard)),
            other => panic!("{other:?}"),
        }
    }
}

use Move::{Evacuate, Failover, Rejoin};

#[test]
fn with_every_region_fit_it_goes_on() {
    Bench::switchover().rests();
    Bench::switchover().sealed().rests();
    Bench::switchover().opened().rests();
    Bench::new(Evacuate, |_| {}).rests();
    Bench::new(Rejoin, |_| {}).rests();
}

#[test]
fn the_source_is_lost() {
    Bench::switchover().lost("a").begins_from(Failover, "a", "b");
    Bench::switchover().sealed().lost("a").begins_from(Failover, "a", "b");
    // All of its data is there, and it has handed over.
    Bench::switchover().promoted().lost("a").rests();
    Bench::switchover().opened().lost("a").rests();
    // Stores without a promotion: nothing is committed, and yet nothing more is to come from it.
    let mut drained = Bench::switchover().promoted().lost("a");
    drained.committed = false;
    drained.rests();
}

#[test]
fn what_is_not_confirmed_is_waited_for() {
    for name in ["a", "b"] {
        let mut bench = Bench::switchover().sealed();
        bench.fixture.health(name, Fitness::Unfit, false);
        bench.rests();
    }
    // The target is lost, and perhaps the source too: neither back nor on.
    let mut bench = Bench::switchover().sealed().lost("b");
    bench.fixture.health("a", Fitness::Unfit, false);
    bench.rests();
}

#[test]
fn the_target_is_lost() {
    Bench::switchover().lost("b").is_given_up();
    Bench::switchover().sealed().lost("b").is_given_up();
    Bench::switchover().promoted().lost("b").begins_from(Failover, "b", "a");
    Bench::switchover().opened().lost("b").begins_from(Failover, "b", "a");
    let mut aborting = Bench::switchover().sealed().lost("b");
    aborting.aborting = true;
    aborting.rests();
}

#[test]
fn a_third_region_takes_over_where_the_first_two_are_lost() {
    for bench in [Bench::switchover(), Bench::switchover().sealed(), Bench::switchover().promoted()] {
        bench.lost("a").lost("b").begins_from(Failover, "a", "c");
    }
    Bench::switchover().opened().lost("a").lost("b").begins_from(Failover, "b", "c");
}

#[test]
fn the_region_that_reopened_is_lost() {
    let mut bench = Bench::switchover().lost("a");
    (bench.aborting, bench.drains) = (true, false);
    bench.begins_from(Failover, "a", "b");
}

#[test]
fn what_is_left_to_do_is_done_without_the_region_that_it_needs() {
    let mut bench = Bench::switchover().opened().lost("a");
    bench.needs.insert(region("a"));
    let plan = bench.begins();
    assert_eq!((plan.from, &plan.to), (Some(region("a")), &region("b")));
    assert_eq!(plan.predicted.loss, PredictedLoss::Nothing);
    let phases: BTreeSet<Phase> = plan.steps.iter().map(|step| step.phase).collect();
    let expected = [Phase::Scale, Phase::Open, Phase::Shift, Phase::Converge, Phase::Validate];
    assert_eq!(phases, expected.into());
    let urgent = |action: &Action| matches!(action, Action::Shift { urgency: Urgency::Unplanned, .. });
    assert!(plan.steps.iter().any(|step| urgent(&step.action)));
    // A third region, whose control plane is needed: before the point of no return there is no hurry.
    let mut bench = Bench::switchover().lost("c");
    bench.rests();
    bench.needs.insert(region("c"));
    bench.is_given_up();
}

#[test]
fn the_guards_of_any_unplanned_move_hold() {
    let mut all_bad = Bench::switchover().lost("a").lost("b");
    all_bad.fixture.health("c", Fitness::Unfit, false);
    all_bad.is_refused_by(Guard::NotAllBad);
    all_bad.is_refused_by(Guard::TargetFit);
    let mut lossy = Bench::switchover().sealed().lost("a");
    lossy.fixture.facts.lags.clear();
    lossy.is_refused_by(Guard::Loss);
    let mut urgent = Bench::switchover().lost("a");
    urgent.fixture.catalog.routers.get_mut(&resource("dns")).unwrap().unplanned_needs = None;
    urgent.is_refused_by(Guard::ControlPlane);
    let mut again = Bench::switchover().lost("a");
    let mut ledger = again.fixture.ledger();
    ledger.ended = Some(Ended {
        id: ExecutionId::new("zero").unwrap(),
        kind: Failover,
        outcome: Outcome::Finished,
        region: region("a"),
        at: again.fixture.now.wall - 5.minutes(),
        acknowledged: false,
        unreconciled: Vec::new(),
    });
    again.fixture.ledger = Some(ledger);
    again.is_refused_by(Guard::CoolDown);
}

#[test]
fn the_move_that_it_supersedes_does_not_count_as_one_more() {
    let moved = |group: &str, count: usize| {
        let mut bench = Bench::switchover().lost("a");
        let at = bench.fixture.now.wall - 5.minutes();
        bench.fixture.recent = Some(RecentMoves { moves: vec![(at, GroupName::new(group).unwrap()); count] });
        bench
    };
    moved("logs", 4).begins_from(Failover, "a", "b");
    moved("other", 4).is_refused_by(Guard::Velocity);
}

#[test]
fn the_policy_decides() {
    let propose = |fixture: &mut Fixture| fixture.spec.policy.automatic = Automatic::Propose;
    let off = |fixture: &mut Fixture| fixture.spec.policy.automatic = Automatic::Off;
    let proposed = Bench::new(Move::Switchover, propose).lost("a").decide();
    assert!(
        matches!(&proposed, Decision::Propose(plan) if plan.supersedes.as_ref().is_some_and(|old| old.execution == id())),
        "{proposed:?}"
    );
    let told = |bench: Bench, lost: &str, says: &str| match bench.lost(lost).decide() {
        Decision::Tell { region: found, why } => {
            assert_eq!(found, region(lost));
            assert!(why.contains(says), "{why}");
        }
        other => panic!("{other:?}"),
    };
    told(Bench::new(Move::Switchover, off), "a", "turns unplanned");
    told(Bench::new(Move::Switchover, propose).sealed(), "b", "`abort`");
    told(Bench::new(Move::Switchover, off).sealed(), "b", "`abort`");
}

#[test]
fn an_unplanned_move_is_not_superseded_by_itself() {
    let mut bench = Bench::switchover().lost("a");
    bench.plan.urgency = Urgency::Unplanned;
    bench.rests();
}

/// Its clients must reach the region that goes on, which is lost.
#[test]
fn an_unplanned_move_that_cannot_be_given_up_is_superseded_once_it_waits_for_a_person() {
    let mut bench = Bench::switchover().lost("a");
    (bench.plan.urgency, bench.aborting, bench.drains) = (Urgency::Unplanned, true, false);
    bench.rests();
    let mut ledger = bench.fixture.ledger();
    ledger.execution.as_mut().unwrap().paused = Some("overdue".into());
    bench.fixture.ledger = Some(ledger);
    bench.begins_from(Failover, "a", "b");
}

#[test]
fn a_drill_is_called_one() {
    let mut bench = Bench::switchover().lost("a");
    bench.plan.drill = true;
    assert!(bench.begins().why.contains("(a drill) turns unplanned"));
}

#[test]
fn a_region_is_lost_while_one_leaves_the_rotation() {
    Bench::new(Evacuate, |_| {}).lost("a").begins_from(Evacuate, "a", "b");
    Bench::new(Evacuate, |_| {}).sealed().lost("a").begins_from(Evacuate, "a", "b");
    let mut left = Bench::new(Evacuate, |_| {}).sealed().lost("a");
    left.drains = false;
    left.rests();
    // Another one: before the seal it goes instead; after it the gates reopen first, or two would stay sealed.
    Bench::new(Evacuate, |_| {}).lost("b").begins_from(Evacuate, "b", "a");
    Bench::new(Evacuate, |_| {}).sealed().lost("b").is_given_up();
    let mut committed = Bench::new(Evacuate, |_| {}).sealed().lost("b");
    committed.committed = true;
    committed.rests();
}

#[test]
fn a_region_is_lost_while_one_comes_back() {
    Bench::new(Rejoin, |_| {}).lost("b").is_given_up();
    Bench::new(Rejoin, |_| {}).lost("a").begins_from(Evacuate, "a", "c");
    let mut open = Bench::new(Rejoin, |_| {});
    let ledger = open.fixture.ledger();
    open.fixture.ledger = Some(ledger.open(Term(1), &id(), &region("b")).unwrap());
    open.committed = true;
    open.lost("b").begins_from(Evacuate, "b", "a");
}
