//! What every [`ComputeScaler`] must do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::{Fixture, Injection, Outcome, Report, Stop, cases, ensure, eventually, nowhere, without_effect};
use crate::compute::{Capacity, ComputeScaler, Target};
use crate::deployment::Share;
use crate::error::{Effect, ErrorKind};
use crate::ledger::Epoch;
use crate::name::Region;

/// Hands out a scaler, and breaks the world around it on request.
#[async_trait]
pub trait ScalerFixture: Fixture {
    /// The scaler. The suite scales its regions up and down, and in the end asks for what was asked for before.
    fn scaler(&self) -> Arc<dyn ComputeScaler>;

    /// Two or more regions with compute.
    fn regions(&self) -> Vec<Region>;

    /// An epoch above all that were ever used with this scaler.
    fn first_epoch(&self) -> Epoch;

    /// Breaks something, or mends it.
    async fn inject(&self, fault: ScalerFault) -> Injection;
}

/// What can go wrong around a scaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScalerFault {
    /// The quota of this region is what it has now: asking for more is refused.
    Exhaust(Region),
    /// It has its quota back.
    Refill(Region),
    /// The next request takes effect, and its answer is lost.
    LoseAnswer,
}

/// The cases that need a [`ScalerFault`]: the skips of a fixture that can inject none.
pub const FAULT_CASES: &[&str] =
    &["an_exhausted_quota_is_refused_and_changes_nothing", "a_lost_answer_is_not_a_refusal"];

/// Puts all cases.
pub async fn suite(fixture: Arc<dyn ScalerFixture>) -> Report {
    let mut report = Report::default();
    let context = match Context::new(fixture).await {
        Ok(context) => context,
        Err(Stop::Skip(why) | Stop::Fail(why)) => {
            report.failed.push(("the_capacity_can_be_read_in_two_regions", why));
            return report;
        }
    };
    let context = &context;
    cases!(report, context.fixture, context =>
        self::the_capacity_adds_up,
        self::a_share_is_of_full_capacity_and_rounded_up,
        self::units_are_units,
        self::what_was_asked_for_is_there_in_the_end,
        self::a_repeated_request_changes_nothing,
        self::other_regions_are_left_alone,
        self::nothing_is_a_target_or_refused,
        self::an_unknown_region_is_refused,
        self::more_than_the_limit_is_refused_and_changes_nothing,
        self::an_exhausted_quota_is_refused_and_changes_nothing,
        self::a_lost_answer_is_not_a_refusal,
        self::what_was_asked_for_at_first_is_asked_for_again,
    );
    report
}

struct Context {
    fixture: Arc<dyn ScalerFixture>,
    scaler: Arc<dyn ComputeScaler>,
    one: Region,
    two: Region,
    /// What was asked for in the first region before.
    found: u64,
    epoch: AtomicU64,
}

impl Context {
    async fn new(fixture: Arc<dyn ScalerFixture>) -> Outcome<Self> {
        let regions = fixture.regions();
        let [one, two, ..] = regions.as_slice() else {
            return Err(Stop::Fail(format!("the fixture has these regions: {regions:?}")));
        };
        let scaler = fixture.scaler();
        let found = scaler.capacity(one).await?.requested;
        let epoch = AtomicU64::new(fixture.first_epoch().0);
        Ok(Self { one: one.clone(), two: two.clone(), found, epoch, scaler, fixture })
    }

    fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.fetch_add(1, Ordering::SeqCst).saturating_add(1))
    }

    async fn inject(&self, fault: ScalerFault) -> Outcome {
        self.fixture.inject(fault).await.armed()
    }

    async fn capacity(&self) -> Outcome<Capacity> {
        Ok(self.scaler.capacity(&self.one).await?)
    }

    /// Asks, and sees that so many units are asked for.
    async fn scaled(&self, target: Target) -> Outcome {
        let wanted = target.units(self.capacity().await?.full);
        self.scaler.scale(&self.one, target, self.next_epoch()).await?;
        let capacity = self.capacity().await?;
        ensure!(
            capacity.requested == wanted,
            "asked for {target}, which is {wanted} of {}, requested is {}",
            capacity.full,
            capacity.requested
        );
        Ok(())
    }

    /// Waits until what was asked for is there.
    async fn ready(&self) -> Outcome {
        eventually(&*self.fixture, "the capacity that was asked for", || async {
            let capacity = self.capacity().await?;
            Ok((capacity.ready == capacity.requested).then_some(()))
        })
        .await
    }

    /// A request that must be refused, as one of these kinds, and change nothing.
    async fn refused(&self, target: Target, kinds: &[ErrorKind], what: &str) -> Outcome {
        let before = self.capacity().await?.requested;
        let Err(error) = self.scaler.scale(&self.one, target, self.next_epoch()).await else {
            return Err(Stop::Fail(format!("{what}: not refused")));
        };
        ensure!(kinds.contains(&error.kind()), "{what}: refused, but as {error:#}");
        without_effect(&error)?;
        let after = self.capacity().await?.requested;
        ensure!(before == after, "{what}: refused, and yet requested went from {before} to {after}");
        Ok(())
    }
}

async fn the_capacity_adds_up(context: &Context) -> Outcome {
    for region in context.fixture.regions() {
        let capacity = context.scaler.capacity(&region).await?;
        ensure!(capacity.full > 0, "full capacity in {region} is nothing");
        ensure!(!capacity.unit.is_empty(), "the capacity in {region} has no unit");
        if let Some(limit) = capacity.limit {
            ensure!(capacity.requested <= limit, "{region} was given more than its limit: {capacity:?}");
        }
    }
    Ok(())
}

fn share(number: f64) -> Outcome<Target> {
    let share = Share::try_from(number).map_err(|error| Stop::Fail(error.to_string()))?;
    Ok(Target::Share(share))
}

async fn a_share_is_of_full_capacity_and_rounded_up(context: &Context) -> Outcome {
    let full = context.capacity().await?.full;
    // A little more than one unit is two: never less than was asked for.
    let a_little_more = (1.25 / full as f64).min(1.0);
    for number in [0.1, 0.5, 1.0 / 3.0, a_little_more, 1.0] {
        context.scaled(share(number)?).await?;
        // Of full capacity, not of what was there before.
        ensure!(context.capacity().await?.full == full, "scaling changed what full capacity is");
    }
    Ok(())
}

async fn units_are_units(context: &Context) -> Outcome {
    let full = context.capacity().await?.full;
    for units in [full, full.div_ceil(2), 1] {
        context.scaled(Target::Units(units)).await?;
    }
    Ok(())
}

async fn what_was_asked_for_is_there_in_the_end(context: &Context) -> Outcome {
    // Up and down.
    for target in [share(0.1)?, Target::Share(Share::FULL), share(0.1)?] {
        context.scaled(target).await?;
        context.ready().await?;
        let capacity = context.capacity().await?;
        ensure!(
            capacity.ready == target.units(capacity.full),
            "asked for {target}, ready is {} of {}",
            capacity.ready,
            capacity.full
        );
    }
    Ok(())
}

async fn a_repeated_request_changes_nothing(context: &Context) -> Outcome {
    let (target, epoch) = (share(0.5)?, context.next_epoch());
    context.scaler.scale(&context.one, target, epoch).await?;
    context.ready().await?;
    let before = context.capacity().await?;
    context.scaler.scale(&context.one, target, epoch).await?;
    let after = context.capacity().await?;
    ensure!(
        (before.ready, before.requested) == (after.ready, after.requested),
        "the same request again changed {before:?} to {after:?}"
    );
    Ok(())
}

async fn other_regions_are_left_alone(context: &Context) -> Outcome {
    let before = context.scaler.capacity(&context.two).await?.requested;
    for target in [share(0.1)?, Target::Share(Share::FULL), share(0.5)?] {
        context.scaled(target).await?;
        let after = context.scaler.capacity(&context.two).await?.requested;
        ensure!(before == after, "scaling {} changed {} from {before} to {after}", context.one, context.two);
    }
    Ok(())
}

async fn nothing_is_a_target_or_refused(context: &Context) -> Outcome {
    context.scaled(Target::Units(1)).await?;
    for target in [Target::Share(Share::NONE), Target::Units(0)] {
        let before = context.capacity().await?.requested;
        let answer = context.scaler.scale(&context.one, target, context.next_epoch()).await;
        let requested = context.capacity().await?.requested;
        match answer {
            Ok(()) => ensure!(requested == 0, "asked for nothing, requested is {requested}"),
            Err(error) => {
                let kinds = [ErrorKind::InvalidInput, ErrorKind::Unsupported];
                ensure!(kinds.contains(&error.kind()), "nothing as a target: {error:#}");
                without_effect(&error)?;
                ensure!(requested == before, "refused, and yet requested went from {before} to {requested}");
            }
        }
    }
    Ok(())
}

async fn an_unknown_region_is_refused(context: &Context) -> Outcome {
    let nowhere = nowhere()?;
    let Err(error) = context.scaler.scale(&nowhere, Target::Units(1), context.next_epoch()).await else {
        return Err(Stop::Fail("scaling an unknown region was accepted".to_owned()));
    };
    without_effect(&error)?;
    let capacity = context.scaler.capacity(&nowhere).await;
    ensure!(capacity.is_err(), "an unknown region has {capacity:?}");
    Ok(())
}

async fn more_than_the_limit_is_refused_and_changes_nothing(context: &Context) -> Outcome {
    let Some(limit) = context.capacity().await?.limit else {
        return Err(Stop::Skip("this scaler does not know its limit".to_owned()));
    };
    context.scaled(Target::Units(1)).await?;
    for units in [limit.saturating_add(1), u64::MAX] {
        let what = format!("{units} units where the limit is {limit}");
        // What cannot even be expressed to the cloud may be refused as such.
        let kinds = [ErrorKind::Quota, ErrorKind::InvalidInput];
        let kinds = if units == u64::MAX { &kinds[..] } else { &kinds[..1] };
        context.refused(Target::Units(units), kinds, &what).await?;
    }
    Ok(())
}

async fn an_exhausted_quota_is_refused_and_changes_nothing(context: &Context) -> Outcome {
    context.scaled(Target::Units(1)).await?;
    context.ready().await?;
    context.inject(ScalerFault::Exhaust(context.one.clone())).await?;
    let full = Target::Share(Share::FULL);
    let refused = context.refused(full, &[ErrorKind::Quota], "more than an exhausted quota").await;
    context.inject(ScalerFault::Refill(context.one.clone())).await?;
    refused?;
    context.scaled(full).await
}

async fn a_lost_answer_is_not_a_refusal(context: &Context) -> Outcome {
    context.scaled(Target::Units(1)).await?;
    let full = context.capacity().await?.full;
    context.inject(ScalerFault::LoseAnswer).await?;
    if let Err(error) = context.scaler.scale(&context.one, Target::Units(full), context.next_epoch()).await {
        ensure!(
            error.effect() == Effect::Unknown,
            "a request took effect, its answer was lost, and the error says that nothing happened: {error:#}"
        );
    }
    let requested = context.capacity().await?.requested;
    ensure!(requested == full, "requested is {requested}, not {full}: did the fixture let it take effect?");
    Ok(())
}

/// Last: not only a courtesy, it must be possible.
async fn what_was_asked_for_at_first_is_asked_for_again(context: &Context) -> Outcome {
    context.scaled(Target::Units(context.found)).await
}
