//! A plan that cannot be read, a ledger that cannot be changed: nobody waits for ever, and a person has a way out.

use std::sync::Arc;

use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::cell::Expected;
use mantissa_mr_core::controller::{Ending, Mandate};
use mantissa_mr_core::deployment::Automatic;
use mantissa_mr_core::error::ErrorKind;
use mantissa_mr_core::ledger::{GroupCells, OrderKind, Outcome};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{Place, Wish};

use super::scene::Scene;
use super::stage::{group, region};
use super::tap::{self, Fate, denied, to_store, unknown};

fn reads_plan(call: &Call) -> bool {
    matches!(call, Call::Load { cell } if cell.as_str().contains("/plan/"))
}

fn stores_plan(call: &Call) -> bool {
    matches!(call, Call::Store { cell, .. } if cell.as_str().contains("/plan/"))
}

/// What is under way went on to its end by itself, and another move can be made.
fn goes_on(mut scene: Scene) {
    scene.turn.pass(300);
    let ledger = scene.turn.ledger();
    assert_eq!(ledger.execution, None);
    assert_eq!(ledger.ended.map(|ended| ended.outcome), Some(Outcome::Finished));
    scene.turn.serves("west");
    moves_again(scene, false);
}

/// The group can be moved back; after a failover a person must accept what that may have left in the region.
fn moves_again(mut scene: Scene, force: bool) {
    let wish = Wish::Move { group: group(), kind: Move::Switchover, region: Some(region("east")), force };
    let turn = &mut scene.turn;
    turn.person.act(&mut turn.simulation, &turn.cast, &wish);
    turn.pass(300);
    turn.serves("east");
    turn.rests();
}

/// Somebody's move is under way whose plan nobody can read: it is paused, so that a person's command may take the lease and
/// put another move in its place.
fn has_a_way_out(mut scene: Scene) {
    scene.turn.pass(60);
    let running = scene.turn.ledger().execution.unwrap();
    assert!(running.paused.is_some_and(|why| why.contains("its plan cannot be read")));
    assert_eq!(scene.turn.told("read a plan"), 1, "people are told, once");

    // An order that met nothing would be kept, and meet the move that takes its place.
    scene.ask(OrderKind::Abort);
    scene.turn.pass(20);
    assert_eq!(scene.said("only another move can take its place"), 1);

    let finish = Mandate::Finish { by: "a person".into() };
    let (_, remote) = tap::spawn(&mut scene.turn.simulation, &scene.turn.cast, None, &finish);
    remote.rule(|call| match call {
        call if reads_plan(call) => Fate::Answer(Reply::Load(Ok(None))),
        _ => Fate::Pass,
    });
    scene.turn.pass(60);
    let failed =
        |ending: &Ending| matches!(ending, Ending::Failed(error) if error.kind() == ErrorKind::Corrupt);
    assert!(remote.ending().as_ref().is_some_and(failed), "{:?}", remote.ending());

    let wish = Wish::Move { group: group(), kind: Move::Failover, region: Some(region("west")), force: true };
    let turn = &mut scene.turn;
    turn.person.act(&mut turn.simulation, &turn.cast, &wish);
    scene.turn.pass(200);
    assert_eq!(scene.turn.ledger().execution, None);
    scene.turn.serves("west");
    scene.leader.pass();
    moves_again(scene, true);
}

#[test]
fn a_plan_that_is_not_there() {
    let mut scene = Scene::new(|_| {});
    scene.leader.rule(|call| match call {
        call if reads_plan(call) => Fate::Answer(Reply::Load(Ok(None))),
        _ => Fate::Pass,
    });
    scene.turn.order(Move::Switchover, "west", false);
    has_a_way_out(scene);
}

#[test]
fn a_plan_that_is_none() {
    let mut scene = Scene::new(|_| {});
    scene.turn.order(Move::Switchover, "west", false);
    let hash = scene.turn.ledger().execution.unwrap().plan;
    let cell = GroupCells::new(&scene.turn.cast.deployment.spec().name, &group()).plan(&hash);
    let now = scene.turn.simulation.now();
    let world = scene.turn.simulation.world_mut();
    let Reply::Load(Ok(Some(found))) =
        world.perform(now, &Place::Operator, &Call::Load { cell: cell.clone() })
    else {
        panic!("there is no plan");
    };
    let (expected, value) = (Expected::Version(found.version), b"no plan".to_vec());
    scene.lands(&Call::Store { cell, expected, value });
    has_a_way_out(scene);
}

/// A plan that must not be read now may be read in a while: it is tried again, and nobody is asked to look.
#[test]
fn a_plan_that_must_not_be_read_for_a_while() {
    let mut scene = Scene::new(|_| {});
    scene.leader.rule(|call| match call {
        call if reads_plan(call) => Fate::Answer(Reply::Load(Err(tap::forbidden()))),
        _ => Fate::Pass,
    });
    scene.turn.order(Move::Switchover, "west", false);
    scene.turn.pass(90);
    assert_eq!(scene.turn.ledger().execution.unwrap().paused, None);
    scene.leader.pass();
    goes_on(scene);
}

/// A change of the ledger that is refused for good (a permission that is missing) is made again: who watches has nobody to
/// give it back to, and the step that waits for it would wait for ever.
#[test]
fn a_ledger_that_must_not_be_changed_for_a_while() {
    let mut scene = Scene::new(|_| {});
    scene.leader.rule(|call| match to_store(call) {
        Some(ledger) if ledger.active().next().is_none() => Fate::Answer(denied()),
        _ => Fate::Pass,
    });
    scene.turn.order(Move::Switchover, "west", false);
    scene.turn.pass(60);
    assert_eq!(scene.turn.ledger().active().map(Region::as_str).collect::<Vec<_>>(), ["east"]);
    scene.leader.pass();
    goes_on(scene);
}

/// A command that must not change the ledger any more says so and ends; it does not wait until it may hand its lease back.
#[test]
fn a_command_that_must_not_change_the_ledger_any_more_ends() {
    let mut scene = Scene::new(|_| {});
    // Nobody is there to take it over.
    scene.leader.rule(|call| to_store(call).map_or(Fate::Pass, |_| Fate::Answer(denied())));
    let turn = &mut scene.turn;
    let (target, name) = (region("west"), group());
    let plan =
        turn.person.plan(&mut turn.simulation, &turn.cast, &name, Move::Switchover, Some(&target), false);
    let mandate = Mandate::Carry(Arc::new(plan.unwrap()));
    let (_, remote) = tap::spawn(&mut turn.simulation, &turn.cast, None, &mandate);
    turn.until("it begins", |turn| turn.ledger().execution.is_some());
    remote.rule(|call| to_store(call).map_or(Fate::Pass, |_| Fate::Answer(denied())));
    scene.turn.pass(60);
    let failed = |ending: &Ending| matches!(ending, Ending::Failed(error) if error.kind() == ErrorKind::PermissionDenied);
    assert!(remote.ending().as_ref().is_some_and(failed), "{:?}", remote.ending());
    scene.leader.pass();
    goes_on(scene);
}

/// Who approves a plan must find it: it is proposed once it is stored, however long that takes.
#[test]
fn a_plan_is_proposed_once_it_is_stored() {
    let mut scene = Scene::new(|spec| spec.policy.automatic = Automatic::Propose);
    scene.leader.rule(|call| match call {
        call if stores_plan(call) => Fate::Answer(unknown()),
        _ => Fate::Pass,
    });
    scene.turn.dies("east");
    scene.turn.pass(180);
    assert_eq!(scene.turn.ledger().proposal, None);
    scene.leader.pass();
    scene.turn.pass(10);
    let proposal = scene.turn.ledger().proposal.unwrap();
    let cell = GroupCells::new(&scene.turn.cast.deployment.spec().name, &group()).plan(&proposal.plan);
    assert!(scene.turn.simulation.world().cell(&cell).is_some());
}
