//! Planned shifts, while everything is up.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Context, Outcome, Stop, ensure, refused, weights};
use crate::conformance::{eventually, nowhere, without_effect};
use crate::error::ErrorKind;
use crate::traffic::{Convergence, Shift, Urgency, Weights};

pub(super) async fn the_routing_names_who_is_served(context: &Context) -> Outcome {
    let routing = &context.found;
    ensure!(routing.weights.serving().next().is_some(), "nobody is served: {routing:?}");
    let known = context.fixture.regions();
    let unknown: Vec<_> = routing.weights.0.keys().filter(|region| !known.contains(region)).collect();
    ensure!(unknown.is_empty(), "regions that the fixture does not name: {unknown:?}");
    Ok(())
}

pub(super) async fn a_shift_is_read_back(context: &Context) -> Outcome {
    for region in [&context.two, &context.one] {
        let before = context.routing().await?;
        context.shifted(&Weights::all_to(region), Urgency::Planned).await?;
        let after = context.routing().await?;
        let moved = !before.weights.same_shares(&after.weights);
        ensure!(
            !moved || before.version != after.version,
            "two routings have the version {:?}",
            after.version
        );
    }
    Ok(())
}

pub(super) async fn a_repeated_shift_changes_nothing(context: &Context) -> Outcome {
    let all = Weights::all_to(&context.two);
    let shift = context.planned(all.clone(), &context.routing().await?);
    context.router.shift(&shift).await?;
    // The very same request again, as after a lost answer: done already, or based on what is gone.
    if let Err(error) = context.router.shift(&shift).await {
        ensure!(error.kind() == ErrorKind::Conflict, "the same request again: {error:#}");
        without_effect(&error)?;
    }
    context.set(&all).await?;
    // The same wish on a fresh look is no error.
    context.shifted(&all, Urgency::Planned).await
}

pub(super) async fn a_shift_that_was_decided_on_an_old_routing_is_refused(context: &Context) -> Outcome {
    context.shifted(&Weights::all_to(&context.one), Urgency::Planned).await?;
    let old = context.routing().await?;
    context.shifted(&Weights::all_to(&context.two), Urgency::Planned).await?;
    let late = context.planned(weights([(&context.one, 70)]), &old);
    context.refused(&late, &[ErrorKind::Conflict], "a shift based on a routing that is gone").await
}

/// Decided on a fresh look, but under an epoch that is over: only a router that keeps epochs can tell.
pub(super) async fn an_older_epoch_is_superseded_or_taken(context: &Context) -> Outcome {
    let old = context.next_epoch();
    context.shifted(&Weights::all_to(&context.one), Urgency::Planned).await?;
    let all = Weights::all_to(&context.two);
    let before = context.routing().await?;
    let late = Shift { epoch: old, ..context.planned(all.clone(), &before) };
    match context.router.shift(&late).await {
        Ok(()) => context.set(&all).await,
        answer => {
            refused(answer, &[ErrorKind::Superseded], "a shift of an older epoch")?;
            context.unchanged_since(&before, "a shift of an older epoch").await
        }
    }
}

/// Several shifts at once, all decided on the same routing. Where each of them wants other shares, one is accepted;
/// where a router can only give all to one region, they want the same, which it may call done. The others are told that
/// the routing changed, or that a newer epoch's shift was accepted if one was.
pub(super) async fn racing_shifts_have_one_winner(context: &Context) -> Outcome {
    let split = context.can.splits_traffic;
    for _ in 0..4 {
        context.shifted(&Weights::all_to(&context.one), Urgency::Planned).await?;
        let seen = context.routing().await?;
        let wish = |number| match split {
            true => weights([(&context.one, 40 + number), (&context.two, 60 - number)]),
            false => Weights::all_to(&context.two),
        };
        let mut shifts = JoinSet::new();
        for number in 0..6_u32 {
            let shift = context.planned(wish(number), &seen);
            let router = Arc::clone(&context.router);
            shifts.spawn(async move { (router.shift(&shift).await, shift) });
        }
        let (mut accepted, mut lost) = (Vec::new(), Vec::new());
        while let Some(answer) = shifts.join_next().await {
            match answer.map_err(|gone| Stop::Fail(format!("a task is gone: {gone}")))? {
                (Ok(()), shift) => accepted.push(shift),
                (Err(error), shift) => lost.push((shift.epoch, error)),
            }
        }
        let one = if split { accepted.len() == 1 } else { !accepted.is_empty() };
        ensure!(one, "of 6 shifts, all decided on the same routing, these were accepted: {accepted:?}");
        for winner in &accepted {
            context.set(&winner.weights).await?;
        }
        for (epoch, error) in lost {
            let allowed = match error.kind() {
                ErrorKind::Conflict => true,
                ErrorKind::Superseded => accepted.iter().any(|winner| winner.epoch > epoch),
                _ => false,
            };
            ensure!(allowed, "a race that epoch {epoch} lost to {accepted:?} was called {error:#}");
            without_effect(&error)?;
        }
    }
    Ok(())
}

pub(super) async fn a_shift_to_nobody_is_refused(context: &Context) -> Outcome {
    for nobody in
        [Weights::default(), weights([(&context.one, 0)]), weights([(&context.one, 0), (&context.two, 0)])]
    {
        for urgency in [Urgency::Planned, Urgency::Unplanned] {
            let mut shift = context.planned(nobody.clone(), &context.routing().await?);
            shift.urgency = urgency;
            let unsupported = urgency == Urgency::Unplanned && context.can.unplanned_needs.is_none();
            let kind = if unsupported { ErrorKind::Unsupported } else { ErrorKind::InvalidInput };
            let what = format!("a shift to nobody ({urgency:?}, `{nobody}`)");
            context.refused(&shift, &[ErrorKind::InvalidInput, kind], &what).await?;
        }
    }
    Ok(())
}

pub(super) async fn a_shift_to_an_unknown_region_is_refused(context: &Context) -> Outcome {
    let nowhere = nowhere()?;
    let kinds = [ErrorKind::InvalidInput, ErrorKind::NotFound];
    let shift = context.planned(Weights::all_to(&nowhere), &context.routing().await?);
    context.refused(&shift, &kinds, "a shift to an unknown region").await?;
    let both = weights([(&context.one, 100), (&nowhere, 100)]);
    let shift = context.planned(both, &context.routing().await?);
    let kinds = [ErrorKind::InvalidInput, ErrorKind::NotFound, ErrorKind::Unsupported];
    context.refused(&shift, &kinds, "a shift to a known and an unknown region").await
}

pub(super) async fn the_same_shares_in_other_numbers_are_the_same_routing(context: &Context) -> Outcome {
    let mut pairs = vec![(weights([(&context.two, 1)]), weights([(&context.two, 100), (&context.one, 0)]))];
    if context.can.splits_traffic {
        let split = |one, two| weights([(&context.one, one), (&context.two, two)]);
        pairs.push((split(1, 1), split(50, 50)));
        pairs.push((split(1, 3), split(25, 75)));
    }
    for (small, large) in pairs {
        context.shifted(&small, Urgency::Planned).await?;
        context.set(&large).await?;
        converges(context, &large).await?;
        context.shifted(&large, Urgency::Planned).await?;
        converges(context, &small).await?;
    }
    Ok(())
}

pub(super) async fn traffic_is_split_or_the_split_refused(context: &Context) -> Outcome {
    let split = Weights::even([&context.one, &context.two]);
    if context.can.splits_traffic {
        context.shifted(&split, Urgency::Planned).await?;
        let uneven = weights([(&context.one, 10), (&context.two, 90)]);
        return context.shifted(&uneven, Urgency::Planned).await;
    }
    let shift = context.planned(split, &context.routing().await?);
    let kinds = [ErrorKind::Unsupported, ErrorKind::InvalidInput];
    context.refused(&shift, &kinds, "a split by a router that cannot").await?;
    Err(Stop::Skip("this router cannot split traffic, and says so".to_owned()))
}

async fn converges(context: &Context, weights: &Weights) -> Outcome {
    eventually(&*context.fixture, &format!("that clients follow to {weights}"), || async move {
        match context.router.converged(weights).await? {
            Convergence::Converged { how } => {
                ensure!(!how.is_empty(), "it does not say how it is known");
                Ok(Some(()))
            }
            Convergence::NotYet { why } => {
                ensure!(!why.is_empty(), "it does not say what is missing");
                Ok(None)
            }
        }
    })
    .await
}

pub(super) async fn clients_follow_in_the_end(context: &Context) -> Outcome {
    for region in [&context.one, &context.two, &context.one] {
        let all = Weights::all_to(region);
        context.shifted(&all, Urgency::Planned).await?;
        converges(context, &all).await?;
    }
    Ok(())
}

pub(super) async fn clients_are_not_said_to_follow_what_is_not_set(context: &Context) -> Outcome {
    let (set, other) = (Weights::all_to(&context.one), Weights::all_to(&context.two));
    context.shifted(&set, Urgency::Planned).await?;
    converges(context, &set).await?;
    let answer = context.router.converged(&other).await;
    ensure!(
        !matches!(answer, Ok(Convergence::Converged { .. })),
        "set and followed is {set}, and yet it says {answer:?} of {other}"
    );
    Ok(())
}

/// Last: not only a courtesy, it must be possible.
pub(super) async fn the_first_routing_is_put_back(context: &Context) -> Outcome {
    context.shifted(&context.found.weights, Urgency::Planned).await
}
