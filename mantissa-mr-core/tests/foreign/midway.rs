//! While a move is under way.

use std::time::Duration;

use mantissa_mr_core::ledger::{OrderKind, Outcome};
use mantissa_mr_core::sim::{TrueTime, Wish, oracle};

use super::scene::{Begun, CASES, Case, weights};
use super::stage::group;

const CHANGED: &str = "somebody else changed the routing";

/// A move without anybody else: when its steps were done, and when it ended.
fn calm(case: Case) -> (Vec<TrueTime>, TrueTime) {
    let mut begun = case.begin();
    begun.ends(60);
    assert!(begun.is_right(), "{case:?}");
    assert_eq!((begun.said(CHANGED), begun.said("the routing of")), (0, 0), "{case:?}: nothing was wrong");
    let steps = begun.steps.borrow().iter().map(|(at, _)| *at).collect();
    let ended = begun.turn.ledger().ended.unwrap().at;
    (steps, TrueTime::START + Duration::try_from(ended.duration_since(TrueTime::START.wall())).unwrap())
}

fn every_step(case: Case) {
    let (steps, ended) = calm(case);
    assert!(steps.len() >= 6, "{case:?}: {steps:?}");
    let mut repaired = 0;
    // The last one comes when the move has looked for the last time, and the ledger does not say yet that it is over.
    let after = steps.iter().map(|at| at.as_nanos() + 1).filter(|at| *at < ended.as_nanos());
    for at in after.chain([ended.as_nanos() - 1_000_000]).map(TrueTime::from_nanos) {
        let mut begun = case.begin();
        let before = begun.before.clone();
        begun.sets(at, &before);
        begun.ends(0);
        assert_eq!(begun.turn.ledger().ended.unwrap().outcome, Outcome::Finished, "{case:?} at {at}");
        let told = begun.said(CHANGED);
        repaired += told;
        // By the last look of the move, or, if it came later than that, by the looks after it.
        begun.turn.pass(60);
        let noticed = begun.said("is not as the ledger says");
        assert!(begun.is_right() || noticed == 1, "{case:?} at {at}: {}", weights(&begun.turn));
        assert!(told + noticed <= 1, "{case:?} at {at}: people are told once");
        assert_eq!(oracle::check(begun.turn.simulation.history()), [], "{case:?} at {at}");
    }
    assert!(repaired >= 2, "{case:?}: only {repaired} moves shifted again");
}

#[test]
fn at_every_step_of_a_switchover() {
    every_step(CASES[0]);
}

#[test]
fn at_every_step_of_a_failover() {
    every_step(CASES[1]);
}

#[test]
fn at_every_step_of_a_failback() {
    every_step(CASES[2]);
}

#[test]
fn at_every_step_of_an_evacuation() {
    every_step(CASES[3]);
    every_step(CASES[4]);
}

#[test]
fn at_every_step_of_a_rejoin() {
    every_step(CASES[5]);
}

/// Somebody who puts the old routing back every few seconds, for five minutes.
fn fights(begun: &mut Begun) {
    let (now, before) = (begun.turn.simulation.now(), begun.before.clone());
    for seconds in (0..300).step_by(4) {
        begun.sets(now + Duration::from_secs(seconds), &before);
    }
}

/// It is not fought for ever: a person is asked to stop it, is told what it is, and then the move goes on.
#[test]
fn who_puts_it_back_again_and_again_makes_the_move_wait_for_a_person() {
    for case in CASES {
        let mut begun = case.begin();
        fights(&mut begun);
        begun.turn.pass(400);
        let running = begun.turn.ledger().execution;
        let why = running.and_then(|running| running.paused).unwrap_or_default();
        let says = [CHANGED, "logs-dns", &begun.before.to_string(), "again and again", "then resume"];
        assert!(says.iter().all(|word| why.contains(word)), "{case:?}: `{why}`");
        let wish = Wish::Order { group: group(), what: OrderKind::Resume };
        begun.turn.person.act(&mut begun.turn.simulation, &begun.turn.cast, &wish);
        begun.ends(30);
        assert!(begun.is_right(), "{case:?}: {}", weights(&begun.turn));
        assert_eq!(oracle::check(begun.turn.simulation.history()), [], "{case:?}");
    }
}
