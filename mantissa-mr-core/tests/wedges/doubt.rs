//! A move is let go that was to take the place of another, and then it turns out that it has: in between, nobody knows which
//! of the two is under way. As long as that is so the other one does nothing (its calls would meet its successor under the
//! same epoch), and whatever it wanted to change in the ledger names the execution that it was meant for.

use std::time::Duration;

use mantissa_mr_core::call::Call;
use mantissa_mr_core::deployment::DeploymentSpec;
use mantissa_mr_core::ledger::Ledger;
use mantissa_mr_core::name::ResourceName;
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{Fault, RegionState};

use super::scene::{Scene, Wanted};
use super::stage::{region, store};

fn stock(stock: u64) -> Fault {
    let scaler = ResourceName::new("logs-workers").unwrap();
    Fault::Stock { scaler, region: region("west"), stock }
}

/// A region that is back is seen to be back before what rests on its loss is let go.
fn quick(spec: &mut DeploymentSpec) {
    spec.policy.detection.interval = Duration::from_secs(4);
    spec.policy.detection.probe_deadline = Duration::from_secs(3);
    spec.policy.detection.recoveries = 1;
}

/// A region dies while a move is under way; the failover that takes its place is let go, and the region is back.
fn let_go(mut scene: Scene, dies: &str) -> (Scene, Call) {
    scene.turn.dies(dies);
    let begin = scene.begin_is_lost();
    scene.turn.fault(Fault::Region { region: region(dies), state: RegionState::Up });
    scene.is_let_go();
    (scene, begin)
}

/// The failover that had begun is the one that is carried out, to its end, and by its own steps.
fn carries_the_successor_out(mut scene: Scene, wanted: &Wanted) {
    assert_eq!(*wanted.borrow(), [], "as long as nobody knew which of the two was under way");
    let first = scene.since_begin()[0].execution.clone().unwrap().id;
    scene.turn.pass(300);
    let ledger = scene.turn.ledger();
    assert_eq!((ledger.execution.as_ref(), ledger.generation.0), (None, 2), "{ledger:?}");
    assert_eq!(ledger.ended.as_ref().map(|ended| &ended.id), Some(&first));
    let paused = |ledger: &Ledger| ledger.execution.as_ref().is_some_and(|running| running.paused.is_some());
    assert!(!scene.since_begin().iter().any(paused), "nobody had it paused");
    scene.finished_by_its_own_steps();
    scene.turn.rests();
}

/// What is overdue pauses its own move, not the one in its place, which nobody would resume.
#[test]
fn a_pause_meets_no_other_execution() {
    let mut scene = Scene::new(quick);
    scene.turn.fault(stock(40));
    scene.turn.order(Move::Switchover, "west", false);
    scene.turn.pass(30);
    scene.turn.fault(stock(u64::MAX));
    scene.turn.until("it is sealed", |turn| turn.ledger().active().next().is_none());
    scene.turn.fault(Fault::Replication { store: store(), runs: false });
    let (mut scene, begin) = let_go(scene, "east");
    let (blind, wanted) = scene.lands_before_the_next_change(&begin);
    scene.turn.pass(200);
    scene.turn.fault(Fault::Replication { store: store(), runs: true });
    blind.set(false);
    carries_the_successor_out(scene, &wanted);
}

/// What is left to do when the successor begins (traffic, capacity, the end itself) is not done any more.
#[test]
fn an_end_meets_no_other_execution() {
    let mut scene = Scene::new(quick);
    scene.turn.switchover(super::stage::Stage::Open);
    scene.turn.fault(Fault::ControlPlane { router: ResourceName::new("logs-dns").unwrap(), up: false });
    let (mut scene, begin) = let_go(scene, "west");
    let (blind, wanted) = scene.lands_before_the_next_change(&begin);
    scene.turn.fault(Fault::ControlPlane { router: ResourceName::new("logs-dns").unwrap(), up: true });
    scene.turn.pass(100);
    blind.set(false);
    carries_the_successor_out(scene, &wanted);
}
