//! Fences and promotions.

use super::{Context, Outcome, Stop, StoreFault, ensure, refused, refused_somehow};
use crate::conformance::eventually;
use crate::error::ErrorKind;
use crate::name::Region;
use crate::store::{Fence, Precondition, Promotion, Role};

pub(super) async fn a_fence_keeps_writers_out_and_spares_replication(context: &Context) -> Outcome {
    let (store, region) = (&context.store, &context.writer);
    if !context.can.can_fence {
        let answer = store.fence(region, context.next_epoch()).await;
        refused(answer, ErrorKind::Unsupported, "a fence by a store that has none")?;
        return Err(Stop::Skip("this store cannot fence, and says so".to_owned()));
    }
    let (before, during) = (context.key("before-fence"), context.key("during-fence"));
    context.put(region, &before, 1).await?;
    let epoch = context.next_epoch();
    let fenced = fenced(context, region, &during, epoch).await;
    let unfence = context.next_epoch();
    store.unfence(region, unfence).await?;
    fenced?;
    // Twice, since an answer may have been lost.
    store.unfence(region, unfence).await?;
    let key = &during;
    eventually(&*context.fixture, "a write after the fence was taken down", || async move {
        match store.put(region, context.item(key, 2), Precondition::None).await {
            Ok(_) => Ok(Some(())),
            Err(_) => Ok(None),
        }
    })
    .await
}

async fn fenced(
    context: &Context,
    region: &Region,
    key: &crate::store::Key,
    epoch: crate::ledger::Epoch,
) -> Outcome {
    let store = &context.store;
    eventually(&*context.fixture, "the confirmation of a fence", || async move {
        Ok((store.fence(region, epoch).await? == Fence::Confirmed).then_some(()))
    })
    .await?;
    ensure!(store.fence(region, epoch).await? == Fence::Confirmed, "asked again, it is not confirmed");
    let write = store.put(region, context.item(key, 1), Precondition::None).await;
    refused_somehow(write, "a write in a region whose fence is confirmed")?;
    let there = context.get(region, key).await?;
    ensure!(there.is_none(), "the fence is confirmed, and a write came through: {there:?}");
    let before = &context.key("before-fence");
    eventually(&*context.fixture, "a write from before the fence at the target", || async move {
        Ok(context.holds(&context.target, before, 1).await?.then_some(()))
    })
    .await
}

fn must_promote(context: &Context) -> Outcome {
    if context.can.needs_promotion {
        return Ok(());
    }
    Err(Stop::Skip("this store needs no promotion: every region takes writes".to_owned()))
}

/// Makes a region the writer, twice, and sees that it is.
async fn promote(context: &Context, region: &Region, promotion: Promotion, case: &str) -> Outcome {
    let (store, epoch, key) = (&context.store, context.next_epoch(), context.key(case));
    // A region that has just come back may need a while until it can be promoted.
    eventually(&*context.fixture, &format!("the promotion of {region}"), || async move {
        match store.promote(region, promotion, epoch).await {
            Err(error) if error.can_retry() => Ok(None),
            answer => Ok(Some(answer?)),
        }
    })
    .await?;
    store.promote(region, promotion, epoch).await?;
    eventually(&*context.fixture, &format!("the status that {region} is the writer"), || async move {
        let status = store.status().await?;
        Ok(status.replicas.get(region).filter(|replica| replica.role == Role::Writer).map(drop))
    })
    .await?;
    context.put(region, &key, 1).await?;
    context.present(region, &key, 1).await.map(drop)
}

/// A region that is not the writer takes no write, and does not pretend to.
async fn takes_no_writes(context: &Context, region: &Region, case: &str) -> Outcome {
    let key = context.key(case);
    let write = context.store.put(region, context.item(&key, 1), Precondition::None).await;
    refused_somehow(write, &format!("a write in {region}, which is not promoted"))?;
    let there = context.get(region, &key).await?;
    ensure!(there.is_none(), "{region} refused a write, and holds it: {there:?}");
    Ok(())
}

pub(super) async fn a_planned_promotion_moves_the_writer_and_can_be_repeated(context: &Context) -> Outcome {
    let (old, new) = (&context.writer, &context.target);
    if !context.can.needs_promotion {
        // It may have nothing to do, or say that it does nothing.
        if let Err(error) = context.store.promote(new, Promotion::Planned, context.next_epoch()).await {
            ensure!(error.kind() == ErrorKind::Unsupported, "a promotion that is not needed: {error:#}");
        }
        context.put(new, &context.key("not-promoted"), 1).await?;
        return must_promote(context);
    }
    takes_no_writes(context, new, "before-promotion").await?;
    let there_and_back = async {
        promote(context, new, Promotion::Planned, "promoted").await?;
        takes_no_writes(context, old, "after-promotion").await
    };
    let moved = there_and_back.await;
    promote(context, old, Promotion::Planned, "promoted-back").await?;
    moved
}

pub(super) async fn a_forced_promotion_needs_nothing_of_the_region_that_is_left(
    context: &Context,
) -> Outcome {
    let (old, new) = (&context.writer, &context.target);
    must_promote(context)?;
    context.inject(StoreFault::CutOff(old.clone())).await?;
    let forced = promote(context, new, Promotion::Forced, "forced").await;
    context.inject(StoreFault::Heal(old.clone())).await?;
    // Back to where it was; what the old region had is reconciled elsewhere.
    promote(context, old, Promotion::Planned, "forced-back").await?;
    forced
}
