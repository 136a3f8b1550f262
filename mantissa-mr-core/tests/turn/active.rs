//! Active-active: a region leaves the rotation, or comes back.

use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::ledger::{Ledger, OrderKind};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{Fault, Wish};

use super::stage::{SEEDS, Turn, group, region, store};

fn active(ledger: &Ledger) -> Vec<&str> {
    ledger.active().map(Region::as_str).collect()
}

/// The evacuation of a region that works, at its begin or while its gates shut.
fn evacuation(seed: u64, leaves: &str, sealed: bool) -> Turn {
    let mut turn = Turn::new(seed, Strategy::ActiveActive, |_| {});
    turn.order(Move::Evacuate, leaves, false);
    if sealed {
        turn.until("it is sealed", |turn| turn.ledger().active().count() == 2);
    }
    turn
}

fn ends(mut turn: Turn, serve: &[&str], executions: u64) {
    turn.pass(500);
    let ledger = turn.ledger();
    assert_eq!(ledger.execution, None);
    assert_eq!((active(&ledger), ledger.generation.0), (serve.to_vec(), executions));
    turn.rests();
}

#[test]
fn the_region_that_leaves_dies() {
    for seed in SEEDS {
        for sealed in [false, true] {
            let mut turn = evacuation(seed, "east", sealed);
            turn.dies("east");
            turn.pass(400);
            turn.says_so();
            ends(turn, &["north", "west"], 2);
        }
    }
}

#[test]
fn a_region_that_stays_dies() {
    for seed in SEEDS {
        // Before the seal the one that leaves stays in its stead.
        let mut turn = evacuation(seed, "east", false);
        turn.dies("north");
        turn.pass(400);
        turn.says_so();
        ends(turn, &["east", "west"], 2);
        // After it the gates of the one that leaves reopen first, and the other is evacuated next.
        let mut turn = evacuation(seed, "east", true);
        turn.dies("north");
        turn.pass(400);
        assert_eq!(turn.told("the move is given up"), 1);
        ends(turn, &["east", "west"], 2);
    }
}

/// East was evacuated, and comes back.
fn rejoin(seed: u64) -> Turn {
    let mut turn = evacuation(seed, "east", false);
    turn.until("it has ended", |turn| turn.ledger().ended.is_some());
    turn.person.act(
        &mut turn.simulation,
        &turn.cast,
        &Wish::Order { group: group(), what: OrderKind::Acknowledge },
    );
    turn.pass(30);
    // It is not begun to the end: what the others hold does not come.
    turn.fault(Fault::Replication { store: store(), runs: false });
    turn.pass(10);
    turn.order(Move::Rejoin, "east", false);
    turn.pass(20);
    turn.fault(Fault::Replication { store: store(), runs: true });
    turn
}

#[test]
fn the_region_that_comes_back_dies() {
    for seed in SEEDS {
        let mut turn = rejoin(seed);
        turn.dies("east");
        turn.pass(300);
        let ledger = turn.ledger();
        assert_eq!(
            (active(&ledger), ledger.execution.as_ref()),
            (vec!["north", "west"], None),
            "seed {seed}"
        );
        assert_eq!(turn.told("the move is given up"), 1);
        ends(turn, &["north", "west"], 2);
    }
}

#[test]
fn a_region_that_serves_dies_while_another_comes_back() {
    let mut undrained = 0;
    for seed in SEEDS {
        let mut turn = rejoin(seed);
        assert_eq!(turn.ledger().admitted(&region("east")), None, "it still drains");
        // Clients may have written nothing in the north since: then nothing of it is missing, and the way back goes on.
        let drained = turn.has_done("drain.logs-state.north.east");
        undrained += u32::from(!drained);
        turn.dies("north");
        turn.pass(400);
        turn.says_so();
        let serve: &[&str] = if drained { &["east", "west"] } else { &["west"] };
        assert_eq!(active(&turn.ledger()), serve, "seed {seed}");
        turn.fault(Fault::Heal);
        turn.rests();
    }
    assert!(undrained > 0, "no seed puts what it is about");
}
