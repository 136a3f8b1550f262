//! After a move has ended.

use mantissa_mr_core::traffic::Weights;

use super::scene::{CASES, weights};
use super::stage::region;

const WRONG: &str = "is not as the ledger says";
const AGAIN: &str = "is as the ledger says again";

/// Whoever watches tells people, once for each change, and changes nothing.
#[test]
fn people_are_told_once_for_each_change() {
    for case in CASES {
        let mut begun = case.begin();
        begun.ends(40);
        let (right, now) = (weights(&begun.turn), begun.turn.simulation.now());
        assert_eq!(begun.said(WRONG), 0, "{case:?}");
        let before = begun.before.clone();
        begun.sets(now, &before);
        begun.turn.pass(200);
        assert_eq!((begun.said(WRONG), begun.said(AGAIN)), (1, 0), "{case:?}");
        assert_eq!(begun.turn.told(WRONG), 1, "{case:?}: by a notice as well");
        assert_eq!(weights(&begun.turn), before, "{case:?}: nobody fights");

        // Another wrong one is another change.
        let (other, now) = (Weights::all_to(&region("nowhere")), begun.turn.simulation.now());
        begun.sets(now, &other);
        begun.turn.pass(60);
        assert_eq!((begun.said(WRONG), begun.said(AGAIN)), (2, 0), "{case:?}");
        let now = begun.turn.simulation.now();
        begun.sets(now, &right);
        begun.turn.pass(60);
        assert_eq!((begun.said(WRONG), begun.said(AGAIN)), (2, 1), "{case:?}");
    }
}

/// How the regions that serve share clients is the operators' own matter.
#[test]
fn another_share_for_a_region_that_serves_is_no_news() {
    let mut begun = CASES[5].begin();
    begun.ends(40);
    let mut shares = weights(&begun.turn);
    for (number, weight) in shares.0.values_mut().enumerate() {
        *weight = 10 * (1 + number as u32);
    }
    let now = begun.turn.simulation.now();
    begun.sets(now, &shares);
    begun.turn.pass(100);
    assert_eq!(begun.said(WRONG), 0);
}
