//! Unplanned shifts, and lost answers.

use super::{Context, Outcome, RouterFault, Stop, ensure};
use crate::error::{Effect, ErrorKind};
use crate::traffic::{Shift, Urgency, Weights};

pub(super) async fn an_unplanned_shift_works_or_is_refused(context: &Context) -> Outcome {
    context.shifted(&Weights::all_to(&context.one), Urgency::Planned).await?;
    let all = Weights::all_to(&context.two);
    if context.can.unplanned_needs.is_some() {
        context.shifted(&all, Urgency::Unplanned).await?;
        // And it leaves behind what a planned shift can go on from.
        return context.shifted(&Weights::all_to(&context.one), Urgency::Planned).await;
    }
    let shift = Shift { urgency: Urgency::Unplanned, ..context.planned(all, &context.routing().await?) };
    context
        .refused(&shift, &[ErrorKind::Unsupported], "an unplanned shift by a router that has none")
        .await?;
    Err(Stop::Skip("this router has no unplanned way, and says so".to_owned()))
}

pub(super) async fn an_unplanned_shift_needs_nothing_of_the_region_that_is_left(
    context: &Context,
) -> Outcome {
    let Some(needs) = &context.can.unplanned_needs else {
        return Err(Stop::Skip("this router has no unplanned way".to_owned()));
    };
    for (left, other) in [(&context.one, &context.two), (&context.two, &context.one)] {
        if needs.contains(left) {
            return Err(Stop::Skip(format!("it declares that an unplanned shift needs {left}")));
        }
        context.shifted(&Weights::all_to(left), Urgency::Planned).await?;
        context.inject(RouterFault::CutOff(left.clone())).await?;
        let shifted = context.shifted(&Weights::all_to(other), Urgency::Unplanned).await;
        context.inject(RouterFault::Heal(left.clone())).await?;
        shifted?;
    }
    Ok(())
}

pub(super) async fn a_lost_answer_is_not_a_refusal(context: &Context) -> Outcome {
    context.shifted(&Weights::all_to(&context.one), Urgency::Planned).await?;
    let all = Weights::all_to(&context.two);
    let shift = context.planned(all.clone(), &context.routing().await?);
    context.inject(RouterFault::LoseAnswer).await?;
    if let Err(error) = context.router.shift(&shift).await {
        ensure!(
            error.effect() == Effect::Unknown,
            "a shift took effect, its answer was lost, and the error says that nothing happened: {error:#}"
        );
    }
    context.set(&all).await
}
