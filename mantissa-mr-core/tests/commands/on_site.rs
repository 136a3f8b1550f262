//! The library's own [`Operator`], as a person at a keyboard has it, over the world as it is at one moment.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mantissa_mr_core::clock::{Clock, Moment};
use mantissa_mr_core::name::ActorId;
use mantissa_mr_core::operator::Operator;
use mantissa_mr_core::sim::adapters::SharedWorld;

use super::stage::Turn;

#[derive(Debug)]
struct WorldClock(SharedWorld);

impl Clock for WorldClock {
    fn moment(&self) -> Moment {
        Moment::from_nanos(self.0.now().as_nanos())
    }

    fn wall(&self) -> Timestamp {
        self.0.now().wall()
    }
}

/// Asks something that changes nothing: it is done in a copy of the world, in which nobody else acts.
pub(crate) fn ask<T>(turn: &Turn, question: impl AsyncFnOnce(&Operator) -> T) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let since = Duration::from_nanos(turn.simulation.now().as_nanos());
    runtime.block_on(async {
        let world = SharedWorld::new(turn.simulation.world().clone());
        tokio::time::advance(since).await;
        let (clock, backend) = (Arc::new(WorldClock(world.clone())), world.backend());
        let actor = ActorId::new("somebody").unwrap();
        let operator = Operator::new(turn.cast.deployment.clone(), backend, clock, actor).unwrap();
        question(&operator).await
    })
}
