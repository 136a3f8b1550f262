//! What every [`TrafficRouter`] must do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::{Fixture, Injection, Outcome, Report, Stop, cases, ensure, without_effect};
use crate::error::{ErrorKind, Result};
use crate::ledger::Epoch;
use crate::name::Region;
use crate::traffic::{RouterCapabilities, Routing, Shift, TrafficRouter, Urgency, Weights};

mod shifts;
mod urgent;

/// Hands out a router, and breaks the world around it on request.
#[async_trait]
pub trait RouterFixture: Fixture {
    /// The router. The suite shifts its traffic to and fro, and in the end puts back what it found.
    fn router(&self) -> Arc<dyn TrafficRouter>;

    /// Two or more regions that traffic can be given to.
    fn regions(&self) -> Vec<Region>;

    /// An epoch above all that were ever used with this router.
    fn first_epoch(&self) -> Epoch;

    /// Breaks something, or mends it.
    async fn inject(&self, fault: RouterFault) -> Injection;
}

/// What can go wrong around a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouterFault {
    /// The next shift takes effect, and its answer is lost.
    LoseAnswer,
    /// Nothing reaches this region any more, nor a control plane that lives there.
    CutOff(Region),
    /// It can be reached again.
    Heal(Region),
}

/// The cases that need a [`RouterFault`]: the skips of a fixture that can inject none.
pub const FAULT_CASES: &[&str] =
    &["a_lost_answer_is_not_a_refusal", "an_unplanned_shift_needs_nothing_of_the_region_that_is_left"];

/// Puts all cases.
pub async fn suite(fixture: Arc<dyn RouterFixture>) -> Report {
    let mut report = Report::default();
    let context = match Context::new(fixture).await {
        Ok(context) => context,
        Err(Stop::Skip(why) | Stop::Fail(why)) => {
            report.failed.push(("the_routing_can_be_read_and_has_two_regions", why));
            return report;
        }
    };
    let context = &context;
    cases!(report, context.fixture, context =>
        shifts::the_routing_names_who_is_served,
        shifts::a_shift_is_read_back,
        shifts::a_repeated_shift_changes_nothing,
        shifts::a_shift_that_was_decided_on_an_old_routing_is_refused,
        shifts::an_older_epoch_is_superseded_or_taken,
        shifts::racing_shifts_have_one_winner,
        shifts::a_shift_to_nobody_is_refused,
        shifts::a_shift_to_an_unknown_region_is_refused,
        shifts::the_same_shares_in_other_numbers_are_the_same_routing,
        shifts::traffic_is_split_or_the_split_refused,
        shifts::clients_follow_in_the_end,
        shifts::clients_are_not_said_to_follow_what_is_not_set,
        urgent::an_unplanned_shift_works_or_is_refused,
        urgent::an_unplanned_shift_needs_nothing_of_the_region_that_is_left,
        urgent::a_lost_answer_is_not_a_refusal,
        shifts::the_first_routing_is_put_back,
    );
    report
}

struct Context {
    fixture: Arc<dyn RouterFixture>,
    router: Arc<dyn TrafficRouter>,
    can: RouterCapabilities,
    found: Routing,
    one: Region,
    two: Region,
    epoch: AtomicU64,
}

impl Context {
    async fn new(fixture: Arc<dyn RouterFixture>) -> Outcome<Self> {
        let regions = fixture.regions();
        let [one, two, ..] = regions.as_slice() else {
            return Err(Stop::Fail(format!("the fixture has these regions: {regions:?}")));
        };
        let router = fixture.router();
        Ok(Self {
            can: router.capabilities(),
            found: router.routing().await?,
            one: one.clone(),
            two: two.clone(),
            epoch: AtomicU64::new(fixture.first_epoch().0),
            router,
            fixture,
        })
    }

    fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.fetch_add(1, Ordering::SeqCst).saturating_add(1))
    }

    async fn inject(&self, fault: RouterFault) -> Outcome {
        self.fixture.inject(fault).await.armed()
    }

    async fn routing(&self) -> Outcome<Routing> {
        Ok(self.router.routing().await?)
    }

    /// A planned shift that was decided on this routing.
    fn planned(&self, weights: Weights, based_on: &Routing) -> Shift {
        let urgency = Urgency::Planned;
        Shift { weights, epoch: self.next_epoch(), urgency, based_on: based_on.version.clone() }
    }

    /// Shifts from whatever is set now; it must succeed and be read back.
    async fn shifted(&self, weights: &Weights, urgency: Urgency) -> Outcome {
        let shift = Shift { urgency, ..self.planned(weights.clone(), &self.routing().await?) };
        self.router.shift(&shift).await?;
        self.set(weights).await
    }

    /// Sees that these shares are set now.
    async fn set(&self, weights: &Weights) -> Outcome {
        let routing = self.routing().await?;
        ensure!(routing.weights.same_shares(weights), "set is {}, not {weights}", routing.weights);
        Ok(())
    }

    /// A shift that must be refused, as one of these kinds, and change nothing.
    async fn refused(&self, shift: &Shift, kinds: &[ErrorKind], what: &str) -> Outcome {
        let before = self.routing().await?;
        refused(self.router.shift(shift).await, kinds, what)?;
        self.unchanged_since(&before, what).await
    }

    async fn unchanged_since(&self, before: &Routing, what: &str) -> Outcome {
        let after = self.routing().await?;
        ensure!(
            before.weights == after.weights && before.version == after.version,
            "{what}: refused, and yet {before:?} became {after:?}"
        );
        Ok(())
    }
}

fn refused(answer: Result<()>, kinds: &[ErrorKind], what: &str) -> Outcome {
    let Err(error) = answer else {
        return Err(Stop::Fail(format!("{what}: not refused")));
    };
    ensure!(kinds.contains(&error.kind()), "{what}: refused, but as {error:#}");
    without_effect(&error)
}

/// So much to each of these.
fn weights<'a>(of: impl IntoIterator<Item = (&'a Region, u32)>) -> Weights {
    Weights(of.into_iter().map(|(region, weight)| (region.clone(), weight)).collect::<BTreeMap<_, _>>())
}
