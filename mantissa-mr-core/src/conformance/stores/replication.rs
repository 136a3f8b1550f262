//! What is in the other regions, and what is said of it.

use std::collections::BTreeSet;

use super::{Context, Outcome, Stop, StoreFault, ensure};
use crate::conformance::eventually;
use crate::error::Result;
use crate::store::{Drained, Lag, Precondition, Replication, Role, StoreStatus};

pub(super) async fn setting_up_replication_twice_changes_nothing_more(context: &Context) -> Outcome {
    let planned = context.store.ensure_replicated(true).await?;
    let done = context.store.ensure_replicated(false).await?;
    ensure!(planned == done, "the dry run said {planned:?}, done was {done:?}");
    let again = context.store.ensure_replicated(false).await?;
    ensure!(again.is_empty(), "the second time it changed {again:?}");
    Ok(())
}

/// Whatever the first case had to do, a dry run after a dry run says the same; and a status is not changed by one.
pub(super) async fn a_dry_run_changes_nothing(context: &Context) -> Outcome {
    let roles = |status: &StoreStatus| {
        status.replicas.iter().map(|(region, replica)| (region.clone(), replica.role)).collect::<Vec<_>>()
    };
    let before = context.store.status().await?;
    let first = context.store.ensure_replicated(true).await?;
    let second = context.store.ensure_replicated(true).await?;
    ensure!(first == second, "the first dry run said {first:?}, the second {second:?}");
    ensure!(first.is_empty(), "after everything was set up, a dry run still says {first:?}");
    let after = context.store.status().await?;
    ensure!(roles(&before) == roles(&after), "a dry run changed {before:?} to {after:?}");
    Ok(())
}

pub(super) async fn the_status_names_every_region(context: &Context) -> Outcome {
    let status = context.store.status().await?;
    let named: BTreeSet<_> = status.replicas.keys().cloned().collect();
    let regions: BTreeSet<_> = context.fixture.regions().into_iter().collect();
    ensure!(named == regions, "it names {named:?}, not {regions:?}");
    let writer = status.replicas.get(&context.writer).map(|replica| replica.role);
    ensure!(writer == Some(Role::Writer), "{} is the writer, and called {writer:?}", context.writer);
    for (region, replica) in &status.replicas {
        ensure!(
            matches!(replica.role, Role::Writer | Role::Replica),
            "{region} is up and replicated, and called {:?}",
            replica.role
        );
    }
    Ok(())
}

pub(super) async fn a_write_reaches_the_other_regions(context: &Context) -> Outcome {
    let key = context.key("replicated");
    for number in 1..3 {
        context.put(&context.writer, &key, number).await?;
        for region in context.fixture.regions() {
            let (key, region) = (&key, &region);
            eventually(
                &*context.fixture,
                &format!("a write of {} in {region}", context.writer),
                || async move { Ok(context.holds(region, key, number).await?.then_some(())) },
            )
            .await?;
        }
    }
    Ok(())
}

pub(super) async fn a_region_that_is_cut_off_is_unreachable_in_the_status(context: &Context) -> Outcome {
    for region in [&context.target, &context.writer] {
        context.inject(StoreFault::CutOff(region.clone())).await?;
        let status = context.store.status().await;
        context.inject(StoreFault::Heal(region.clone())).await?;
        let status = status
            .map_err(|error| Stop::Fail(format!("{region} is cut off, and that is an error: {error:#}")))?;
        let replica =
            status.replicas.get(region).ok_or_else(|| Stop::Fail(format!("{region} is not named")))?;
        ensure!(replica.role == Role::Unreachable, "{region} is cut off, and called {:?}", replica.role);
        let fresh = matches!(&replica.lag, Lag::Known { age, .. } if age.is_zero());
        ensure!(!fresh, "{region} is cut off, and its lag was measured just now: {:?}", replica.lag);
        let others = status.replicas.iter().filter(|(other, _)| *other != region);
        let lost: Vec<_> = others.filter(|(_, replica)| replica.role == Role::Unreachable).collect();
        ensure!(lost.is_empty(), "only {region} is cut off, and these are called unreachable: {lost:?}");
    }
    Ok(())
}

/// Asks until it is drained; whenever that is said to be proven, the write must be there to be read.
async fn drains(context: &Context, case: &str) -> Outcome {
    let (key, barrier) = (context.key(case), context.barrier(case)?);
    context.put(&context.writer, &key, 7).await?;
    let (key, barrier) = (&key, &barrier);
    eventually(&*context.fixture, "the proof that all was drained", || async move {
        let answer = context.store.drained(barrier).await?;
        let there = context.holds(&context.target, key, 7).await?;
        match answer {
            Drained::Proven { how } if !there => {
                Err(Stop::Fail(format!("it is called proven ({how}), and the write is not at the target")))
            }
            Drained::Proven { how } => {
                ensure!(!how.is_empty(), "it does not say how it is proven");
                Ok(Some(()))
            }
            Drained::NotYet { .. } => Ok(None),
            Drained::CannotProve { why } => Err(Stop::Skip(format!("it cannot be proven: {why}"))),
        }
    })
    .await
}

pub(super) async fn drained_means_that_it_can_be_read_at_the_target(context: &Context) -> Outcome {
    for round in 0..3 {
        drains(context, &format!("drained-{round}")).await?;
    }
    Ok(())
}

pub(super) async fn what_replication_holds_back_is_not_drained(context: &Context) -> Outcome {
    let case = "held-back";
    // A first proof, so that the second cannot rest on "nothing was ever written".
    drains(context, "held-back-before").await?;
    context.inject(StoreFault::PauseReplication).await?;
    let answers = asked_while_held_back(context, case).await;
    context.inject(StoreFault::ResumeReplication).await?;
    for (answer, there) in answers? {
        let proven = matches!(answer, Ok(Drained::Proven { .. }));
        ensure!(!proven || there, "replication was held back, and yet it said {answer:?}");
    }
    drains(context, "held-back-after").await
}

/// Each answer, and whether the write could be read at the target right after it.
async fn asked_while_held_back(context: &Context, case: &str) -> Outcome<Vec<(Result<Drained>, bool)>> {
    let key = context.key(case);
    let mut answers = Vec::new();
    let write = context.store.put(&context.writer, context.item(&key, 7), Precondition::None).await;
    if let Err(error) = write {
        // A store that replicates before it acknowledges cannot take the write now, and must say that it did not.
        ensure!(context.can.replication == Replication::Synchronous, "the write failed: {error:#}");
        return Ok(answers);
    }
    let barrier = context.barrier(case)?;
    for round in 0..4 {
        let answer = context.store.drained(&barrier).await;
        answers.push((answer, context.holds(&context.target, &key, 7).await?));
        context.fixture.wait(round).await;
    }
    Ok(answers)
}

pub(super) async fn nothing_is_proven_of_a_region_that_is_cut_off(context: &Context) -> Outcome {
    let case = "cut-off";
    context.put(&context.writer, &context.key(case), 7).await?;
    let barrier = context.barrier(case)?;
    context.inject(StoreFault::CutOff(context.target.clone())).await?;
    let answer = context.store.drained(&barrier).await;
    context.inject(StoreFault::Heal(context.target.clone())).await?;
    ensure!(
        !matches!(answer, Ok(Drained::Proven { .. })),
        "the target could not be reached, and yet it said {answer:?}"
    );
    Ok(())
}
