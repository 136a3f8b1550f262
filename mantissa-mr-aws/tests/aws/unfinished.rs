//! Shifts that broke off: whoever comes next finishes them, and nobody is stuck with them.

use mantissa_mr_core::error::Effect;
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::traffic::{Convergence, Routing, Shift, Urgency, Weights};
use test_support::{Action, Emulator, Match, or_skip};

use crate::router::Setup;
use crate::world::{EAST, WEST, region};

fn batches() -> Match {
    Match::any().path("POST /2013-04-01/hostedzone/")
}

/// A planned shift to the west whose batch of record changes got this far.
async fn broken_off(emulator: &Emulator, how: Action) -> (Setup, Routing) {
    let setup = Setup::quick(emulator, true).await;
    let rule = setup.world.proxy.when(batches(), how);
    let error = shift(&setup, WEST, 2, Urgency::Planned).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    setup.world.proxy.remove(rule);
    let routing = setup.router.routing().await.unwrap();
    (setup, routing)
}

async fn shift(
    setup: &Setup,
    target: &str,
    epoch: u64,
    urgency: Urgency,
) -> mantissa_mr_core::error::Result<()> {
    let based_on = setup.router.routing().await.unwrap().version;
    let weights = Weights::all_to(&region(target));
    setup.router.shift(&Shift { weights, epoch: Epoch(epoch), urgency, based_on }).await
}

/// Protects the next failover: what a crash between the records and the memo left open is closed by the same shift.
#[tokio::test]
async fn a_planned_shift_that_was_made_and_not_noted_down_is_finished_by_the_same_one() {
    let emulator = or_skip!(Emulator::shared());
    let (setup, routing) = broken_off(emulator, Action::DropAfter).await;
    assert_eq!(routing.weights, Weights::all_to(&region(WEST)), "it was made");
    assert!(routing.unfinished.as_ref().is_some_and(|why| why.contains(WEST)), "{routing:?}");
    let before = setup.world.asked(&batches());
    shift(&setup, WEST, 2, Urgency::Planned).await.unwrap();
    let routing = setup.router.routing().await.unwrap();
    assert_eq!((routing.unfinished, setup.world.asked(&batches())), (None, before), "and not made again");
    // Nobody knows the change's id, so that an older one's being in sync must not count.
    let converged = setup.router.converged(&Weights::all_to(&region(WEST))).await.unwrap();
    assert!(matches!(&converged, Convergence::NotYet { why } if why.contains("within 60s")), "{converged:?}");
}

/// Protects the region that is gone back to: a change that was sent may land yet, and must not be taken for given up.
#[tokio::test]
async fn a_planned_shift_that_may_land_yet_is_unfinished_where_it_began() {
    let emulator = or_skip!(Emulator::shared());
    let (setup, routing) = broken_off(emulator, Action::DropBefore).await;
    assert_eq!(routing.weights, Weights::all_to(&region(EAST)), "it was not made");
    assert!(routing.unfinished.is_some(), "{routing:?}");
    shift(&setup, EAST, 3, Urgency::Planned).await.unwrap();
    assert_eq!(setup.router.routing().await.unwrap().unfinished, None);
}

/// Protects the next failover where the region that is served hides its memo: what is open is known from the other one.
#[tokio::test]
async fn a_broken_off_shift_is_seen_though_the_memo_of_the_served_region_is_not() {
    let emulator = or_skip!(Emulator::shared());
    let (setup, _) = broken_off(emulator, Action::DropBefore).await;
    let rule = setup.world.proxy.when(Match::any().service("s3").region(EAST), Action::Reset);
    let routing = setup.router.routing().await.unwrap();
    assert!(routing.unfinished.is_some_and(|why| why.contains(WEST)));
    setup.world.proxy.remove(rule);
}

/// Protects static stability: the region is lost in the middle of a planned shift, and with it whoever could say whether
/// that was made. The unplanned one is made, seen to be made, and waited for.
#[tokio::test]
async fn an_unplanned_shift_is_made_where_nobody_knows_whether_a_planned_one_was() {
    let emulator = or_skip!(Emulator::shared());
    for how in [Action::DropAfter, Action::DropBefore] {
        let (setup, _) = broken_off(emulator, how).await;
        setup.world.proxy.reset(EAST);
        let west = Weights::all_to(&region(WEST));
        let routing = setup.router.routing().await.unwrap();
        assert!(routing.unfinished.is_some(), "{routing:?}");
        shift(&setup, WEST, 3, Urgency::Unplanned).await.unwrap();
        let routing = setup.router.routing().await.unwrap();
        assert_eq!((&routing.weights, routing.unfinished), (&west, None));
        let converged = setup.router.converged(&west).await.unwrap();
        assert!(matches!(converged, Convergence::NotYet { .. }), "{converged:?}");
    }
}
