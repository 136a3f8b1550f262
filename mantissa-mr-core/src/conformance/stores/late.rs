//! Writes of an older epoch that come late, in stores in which the last writer wins.

use super::{Context, Outcome, Stop, ensure, refused};
use crate::conformance::eventually;
use crate::error::ErrorKind;
use crate::ledger::Epoch;
use crate::name::Region;
use crate::store::{Cursor, Key, LateWrites, Overtaken, Precondition, PutItem, Reconciliation};

pub(super) async fn a_store_that_finds_no_late_writes_says_so(context: &Context) -> Outcome {
    if context.can.late_writes == LateWrites::Undone {
        return Ok(());
    }
    let answer = context.store.reconcile(&context.writer, None).await;
    refused(answer, ErrorKind::Unsupported, "looking for late writes that cannot be found")
}

/// Whether the store can; else the case is skipped.
fn finds(context: &Context) -> Outcome {
    match context.can.late_writes {
        LateWrites::Undone => Ok(()),
        LateWrites::Refused => Err(Stop::Skip("this store refuses late writes".to_owned())),
        LateWrites::Unseen => Err(Stop::Skip("this store does not find late writes".to_owned())),
    }
}

async fn write(context: &Context, region: &Region, key: &Key, number: u64, epoch: Epoch) -> Outcome {
    let item = PutItem { key: key.clone(), value: context.fixture.value(number), epoch: Some(epoch) };
    context.store.put(region, item, Precondition::None).await?;
    Ok(())
}

async fn arrives(context: &Context, region: &Region, key: &Key, number: u64) -> Outcome {
    let what = format!("value {number} of {key} in {region}");
    eventually(&*context.fixture, &what, || async move {
        Ok(context.holds(region, key, number).await?.then_some(()))
    })
    .await
}

/// Looks for late writes until one over this key is found, and on to the end of what is there now.
async fn found(context: &Context, key: &Key) -> Outcome<(Overtaken, Option<Cursor>)> {
    let cursor = &std::sync::Mutex::new(None::<Cursor>);
    let what = format!("a late write over {key} in the store's history");
    let overtaken = eventually(&*context.fixture, &what, || async move {
        let after = cursor.lock().ok().and_then(|cursor| cursor.clone());
        let reconciled = context.store.reconcile(&context.writer, after.as_ref()).await?;
        if let Ok(mut cursor) = cursor.lock() {
            *cursor = reconciled.cursor;
        }
        Ok(reconciled.overtaken.into_iter().find(|overtaken| overtaken.key == *key))
    })
    .await?;
    let cursor = cursor.lock().ok().and_then(|cursor| cursor.clone());
    Ok((overtaken, cursor))
}

/// A region was left, another serves, and then a write of the old epoch arrives where it was sent to.
pub(super) async fn what_a_late_write_overwrote_is_put_back(context: &Context) -> Outcome {
    finds(context)?;
    let (serving, left, key) = (&context.writer, &context.target, &context.key("late"));
    let older = context.epoch();
    context.next_epoch();
    let newer = context.epoch();
    write(context, serving, key, 1, newer).await?;
    arrives(context, left, key, 1).await?;
    write(context, left, key, 2, older).await?;
    arrives(context, serving, key, 2).await?;

    let (overtaken, cursor) = found(context, key).await?;
    ensure!(overtaken.outcome == Reconciliation::Restored, "it is called {:?}", overtaken.outcome);
    ensure!((overtaken.late, overtaken.newer) == (older, newer), "it names other epochs: {overtaken:?}");
    let item = context.present(serving, key, 1).await?;
    ensure!(item.epoch == Some(newer), "what was put back has the epoch {:?}", item.epoch);
    arrives(context, left, key, 1).await?;

    for after in [cursor.as_ref(), None] {
        let again = context.store.reconcile(serving, after).await?;
        let again: Vec<_> = again.overtaken.iter().filter(|overtaken| overtaken.key == *key).collect();
        ensure!(again.is_empty(), "what was put back is found again: {again:?}");
    }
    context.present(serving, key, 1).await.map(drop)
}

pub(super) async fn what_was_written_since_is_left_alone(context: &Context) -> Outcome {
    finds(context)?;
    let (serving, key, ordinary) = (&context.writer, &context.key("rewritten"), &context.key("ordinary"));
    let older = context.epoch();
    context.next_epoch();
    let newer = context.epoch();
    for number in 1..3 {
        // Nothing is late here: each epoch writes over the one before it, and over itself.
        write(context, serving, ordinary, number, if number == 1 { older } else { newer }).await?;
    }
    write(context, serving, key, 1, newer).await?;
    write(context, serving, key, 2, older).await?;
    write(context, serving, key, 3, newer).await?;
    write(context, serving, ordinary, 3, newer).await?;
    let (overtaken, _) = found(context, key).await?;
    ensure!(overtaken.outcome == Reconciliation::Rewritten, "it is called {:?}", overtaken.outcome);
    context.present(serving, key, 3).await?;
    let all = context.store.reconcile(serving, None).await?;
    let wrong: Vec<_> = all.overtaken.iter().filter(|overtaken| overtaken.key == *ordinary).collect();
    ensure!(wrong.is_empty(), "an ordinary write is called late: {wrong:?}");
    context.present(serving, ordinary, 3).await.map(drop)
}
