//! Somebody else makes another region a store's writer.

use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::controller::Happening;
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::sim::Place;
use mantissa_mr_core::store::Promotion;

use super::stage::{Turn, region, store};

const WRONG: &str = "does not let write where the ledger says";
const AGAIN: &str = "lets write where the ledger says again";

fn promote(turn: &mut Turn, name: &str) {
    let (region, epoch) = (region(name), Epoch(1));
    let call = Call::Promote { store: store(), region, promotion: Promotion::Planned, epoch };
    let now = turn.simulation.now();
    let reply = turn.simulation.world_mut().perform(now, &Place::Operator, &call);
    assert_eq!(reply, Reply::Promote(Ok(())));
}

fn said(turn: &Turn, text: &str) -> usize {
    let board = turn.cast.board.borrow();
    let says = |what: &Happening| matches!(what, Happening::Trouble(said) if said.contains(text));
    board.iter().filter(|(_, news)| says(&news.what)).count()
}

/// The region that serves cannot write, and its gates are open: people are told at once, once, and nothing is promoted by
/// itself.
#[test]
fn people_are_told_when_the_region_that_serves_is_not_the_writer() {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
    turn.pass(60);
    assert_eq!(said(&turn, WRONG), 0);
    promote(&mut turn, "west");
    turn.pass(120);
    assert_eq!((said(&turn, WRONG), said(&turn, AGAIN)), (1, 0));
    assert_eq!(turn.told(WRONG), 1, "by a notice as well");
    assert_eq!(turn.simulation.world().writers(&store()), [region("west")], "nobody fights");
    promote(&mut turn, "east");
    turn.pass(60);
    assert_eq!((said(&turn, WRONG), said(&turn, AGAIN)), (1, 1));
}

/// A move takes the promotion with it, and nobody takes that for another's doing.
#[test]
fn a_move_that_promotes_is_no_news() {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
    turn.order(mantissa_mr_core::plan::Move::Switchover, "west", false);
    turn.until("it has ended", |turn| turn.ledger().ended.is_some());
    turn.pass(120);
    assert_eq!(said(&turn, WRONG), 0);
}
