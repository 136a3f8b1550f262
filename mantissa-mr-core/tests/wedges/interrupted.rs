//! Ctrl-C while a move is being begun: what a person is told is what the ledger says.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use mantissa_mr_core::call::Call;
use mantissa_mr_core::controller::{Ending, Mandate};
use mantissa_mr_core::ledger::{OrderKind, Outcome};
use mantissa_mr_core::plan::Move;

use super::scene::Scene;
use super::stage::{group, region};
use super::tap::{self, Fate, Remote, to_store, unknown};

/// A person's switchover, some of whose calls get no answer.
fn switchover(lost: impl Fn(&Call) -> bool + 'static) -> (Scene, Remote, Rc<RefCell<Option<Call>>>) {
    let mut scene = Scene::new(|_| {});
    let turn = &mut scene.turn;
    let (target, name) = (region("west"), group());
    let plan =
        turn.person.plan(&mut turn.simulation, &turn.cast, &name, Move::Switchover, Some(&target), false);
    let mandate = Mandate::Carry(Arc::new(plan.unwrap()));
    let (_, remote) = tap::spawn(&mut turn.simulation, &turn.cast, None, &mandate);
    let first: Rc<RefCell<Option<Call>>> = Rc::default();
    let kept = first.clone();
    remote.rule(move |call| {
        if !lost(call) {
            return Fate::Pass;
        }
        kept.borrow_mut().get_or_insert(call.clone());
        Fate::Answer(unknown())
    });
    scene.step_until("it begins", |_| first.borrow().is_some());
    (scene, remote, first)
}

fn begins(call: &Call) -> bool {
    to_store(call).is_some_and(|ledger| ledger.execution.is_some())
}

/// The person is told that nothing was begun; nothing is, now or later.
fn nothing_was_begun(mut scene: Scene, remote: &Remote) {
    scene.turn.pass(100);
    let refused = |ending: &Ending| matches!(ending, Ending::Refused(why) if why.contains("interrupted"));
    assert!(remote.ending().as_ref().is_some_and(refused), "{:?}", remote.ending());
    let ledger = scene.turn.ledger();
    assert_eq!((ledger.execution.as_ref(), ledger.generation.0), (None, 0));
    scene.turn.order(Move::Switchover, "west", false);
    scene.turn.pass(200);
    scene.turn.serves("west");
    scene.turn.rests();
}

/// The plan is stored while the lease is about to be handed back, which a sign of life holds up: nothing begins in between.
#[test]
fn while_the_plan_is_being_stored_nothing_is_begun() {
    let stores_plan =
        |call: &Call| matches!(call, Call::Store { cell, .. } if cell.as_str().contains("/plan/"));
    let (mut scene, remote, _) = switchover(stores_plan);
    let beats = Rc::new(Cell::new(0));
    let seen = beats.clone();
    remote.rule(move |call| {
        let beat = to_store(call).is_some_and(|ledger| ledger.lease.holder.is_some());
        seen.set(seen.get() + u32::from(beat));
        if beat || stores_plan(call) { Fate::Answer(unknown()) } else { Fate::Pass }
    });
    scene.step_until("it gives a sign of life", |_| beats.get() > 0);
    remote.interrupt();
    scene.turn.pass(1);
    remote.rule(|call| match to_store(call) {
        Some(ledger) if ledger.execution.is_none() && ledger.lease.holder.is_some() => {
            Fate::Answer(unknown())
        }
        _ => Fate::Pass,
    });
    scene.turn.pass(2);
    remote.pass();
    nothing_was_begun(scene, &remote);
}

#[test]
fn while_the_ledger_is_asked_to_begin_it_and_does_not_nothing_is_begun() {
    let (mut scene, remote, _) = switchover(begins);
    remote.interrupt();
    scene.turn.pass(2);
    // Somebody else changes the ledger first: no attempt so far can land any more.
    scene.ask(OrderKind::Acknowledge);
    scene.turn.pass(2);
    remote.pass();
    nothing_was_begun(scene, &remote);
}

#[test]
fn while_the_ledger_is_asked_to_begin_it_and_has_it_is_paused_at_once() {
    let (mut scene, remote, begin) = switchover(begins);
    remote.interrupt();
    scene.turn.pass(2);
    let begin = begin.take().unwrap();
    scene.lands(&begin);
    remote.pass();
    scene.turn.pass(30);
    let paused = |ending: &Ending| matches!(ending, Ending::Paused { why, .. } if why == "interrupted");
    assert!(remote.ending().as_ref().is_some_and(paused), "{:?}", remote.ending());
    let running = scene.turn.ledger().execution.unwrap();
    assert_eq!(running.paused.as_deref(), Some("interrupted"));
    assert_eq!(scene.turn.ledger().active().collect::<Vec<_>>(), [&region("east")], "nothing was sealed");
    let finish = Mandate::Finish { by: "a person".into() };
    tap::spawn(&mut scene.turn.simulation, &scene.turn.cast, None, &finish);
    scene.turn.pass(200);
    assert_eq!(scene.turn.ledger().ended.map(|ended| ended.outcome), Some(Outcome::Finished));
    scene.turn.serves("west");
    scene.turn.rests();
}
