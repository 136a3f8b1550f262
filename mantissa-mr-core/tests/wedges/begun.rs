//! A begin whose answer was lost for too long is let go, since what it rests on is not fresh any more. It may have begun, or
//! begin a moment later: then whoever let it go carries it out, for nobody else can as long as its lease is alive.

use std::cell::Cell;
use std::rc::Rc;

use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::ledger::{OrderKind, Outcome};
use mantissa_mr_core::plan::Move;

use super::scene::Scene;
use super::tap::{self, Fate, to_store, unknown};

/// The failover from east that nobody asked for was carried out, once.
fn failed_over(mut scene: Scene) {
    scene.turn.pass(200);
    let ledger = scene.turn.ledger();
    assert_eq!((ledger.execution.as_ref(), ledger.generation.0), (None, 1));
    assert_eq!(ledger.ended.map(|ended| ended.outcome), Some(Outcome::Finished));
    scene.finished_by_its_own_steps();
    scene.turn.serves("west");
    scene.turn.rests();
}

/// It lands right after it was let go, and is found when the ledger is read next.
///
/// It is carried out by its own records (`journal::of_execution`): its steps have the names of those of the switchover that
/// the same actor carried out before. Were they taken for done, the region that is left would not be sealed.
#[test]
fn what_is_begun_after_all_is_carried_out_by_its_own_records() {
    let mut scene = Scene::new(|_| {});
    scene.turn.order(Move::Switchover, "west", false);
    scene.turn.pass(200);
    assert_eq!(scene.turn.ledger().ended.map(|ended| ended.outcome), Some(Outcome::Finished));
    scene.ask(OrderKind::Acknowledge);
    scene.turn.pass(20);

    scene.turn.dies("west");
    let begin = scene.begin_is_lost();
    scene.is_let_go();
    scene.lands(&begin);
    scene.leader.pass();
    scene.turn.pass(200);
    let ledger = scene.turn.ledger();
    assert_eq!((ledger.execution.as_ref(), ledger.generation.0), (None, 2));
    assert_eq!(ledger.ended.as_ref().map(|ended| ended.outcome), Some(Outcome::Finished));
    scene.finished_by_its_own_steps();
    scene.turn.serves("east");
    scene.turn.rests();
}

/// The next attempt, with a plan of its own, is refused by the ledger, since the first one is under way by then.
#[test]
fn what_meets_the_next_attempt_is_carried_out() {
    let mut scene = Scene::new(|_| {});
    scene.turn.dies("east");
    let begin = scene.begin_is_lost();
    scene.is_let_go();
    let due = Rc::new(Cell::new(false));
    let seen = due.clone();
    scene.leader.rule(move |call| {
        seen.set(seen.get() || to_store(call).is_some());
        Fate::Pass
    });
    scene.step_until("it gives a sign of life", |_| due.get());
    scene.lands(&begin);
    scene.step_until("the next one is refused", |scene| scene.said("is under way") > 0);
    failed_over(scene);
}

/// It began at once, but the ledger could not be read for so long that it is let go; by then somebody else has written on
/// top of it, so that the own token is gone.
#[test]
fn what_began_at_once_and_was_written_over_is_carried_out() {
    let mut scene = Scene::new(|_| {});
    scene.turn.dies("east");
    let begin = scene.begin_is_lost();
    scene.lands(&begin);
    scene.ask(OrderKind::Acknowledge);
    scene.leader.rule(|call| match call {
        Call::Load { cell } if cell.as_str().ends_with("/ledger") => {
            Fate::Answer(Reply::Load(Err(tap::silence())))
        }
        call if to_store(call).is_some() => Fate::Answer(unknown()),
        _ => Fate::Pass,
    });
    scene.turn.pass(40);
    scene.leader.pass();
    scene.is_let_go();
    failed_over(scene);
}
