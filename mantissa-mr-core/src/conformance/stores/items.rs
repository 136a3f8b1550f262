//! Items in one region.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;

use super::{Context, Outcome, Stop, StoreFault, ensure, refused, refused_somehow};
use crate::conformance::nowhere;
use crate::error::{Effect, ErrorKind};
use crate::ledger::Epoch;
use crate::name::Region;
use crate::store::{Key, LateWrites, Precondition, PutItem};

pub(super) async fn an_item_comes_back(context: &Context) -> Outcome {
    let key = context.key("item");
    for number in 0..3 {
        let version = context.put(&context.writer, &key, number).await?;
        let item = context.present(&context.writer, &key, number).await?;
        ensure!(item.version == version, "it is {:?}, the write said {version:?}", item.version);
        if context.can.late_writes == LateWrites::Refused {
            ensure!(item.epoch == Some(context.epoch()), "its epoch was not kept: {:?}", item.epoch);
        }
    }
    Ok(())
}

pub(super) async fn an_unknown_key_is_absent(context: &Context) -> Outcome {
    let key = context.key("unknown");
    let item = context.get(&context.writer, &key).await?;
    ensure!(item.is_none(), "it is there: {item:?}");
    Ok(())
}

pub(super) async fn an_item_is_created_once(context: &Context) -> Outcome {
    let (store, region, key) = (&context.store, &context.writer, context.key("created"));
    store.put(region, context.item(&key, 1), Precondition::Absent).await?;
    let before = context.present(region, &key, 1).await?;
    let again = store.put(region, context.item(&key, 2), Precondition::Absent).await;
    refused(again, ErrorKind::Conflict, "creating it again")?;
    let after = context.present(region, &key, 1).await?;
    ensure!(before == after, "the refused write changed {before:?} to {after:?}");
    Ok(())
}

pub(super) async fn a_precondition_on_a_version_is_kept(context: &Context) -> Outcome {
    let (store, region, key) = (&context.store, &context.writer, context.key("versioned"));
    let first = context.put(region, &key, 1).await?;
    let second = store.put(region, context.item(&key, 2), Precondition::Version(first.clone())).await?;
    ensure!(first != second, "two states have the version {first:?}");
    let stale = store.put(region, context.item(&key, 3), Precondition::Version(first.clone())).await;
    refused(stale, ErrorKind::Conflict, "writing over a state that is gone")?;
    context.present(region, &key, 2).await?;

    let elsewhere = context.key("versioned-absent");
    let absent = store.put(region, context.item(&elsewhere, 1), Precondition::Version(first)).await;
    refused(absent, ErrorKind::Conflict, "writing over a state of what is not there")?;
    let item = context.get(region, &elsewhere).await?;
    ensure!(item.is_none(), "the refused write created {item:?}");
    Ok(())
}

pub(super) async fn a_deleted_item_is_gone(context: &Context) -> Outcome {
    let (store, region, key) = (&context.store, &context.writer, context.key("deleted"));
    let epoch = Some(context.epoch());
    let version = context.put(region, &key, 1).await?;
    store.delete(region, &key, epoch, Precondition::Version(version)).await?;
    let item = context.get(region, &key).await?;
    ensure!(item.is_none(), "it is still there: {item:?}");
    // Once more, since its answer may have been lost.
    store.delete(region, &key, epoch, Precondition::None).await?;
    context.put(region, &key, 2).await?;
    store.delete(region, &key, epoch, Precondition::None).await?;
    let item = context.get(region, &key).await?;
    ensure!(item.is_none(), "it is still there: {item:?}");
    Ok(())
}

pub(super) async fn a_refused_delete_changes_nothing(context: &Context) -> Outcome {
    let (store, region, key) = (&context.store, &context.writer, context.key("not-deleted"));
    let stale = context.put(region, &key, 1).await?;
    context.put(region, &key, 2).await?;
    let answer = store.delete(region, &key, Some(context.epoch()), Precondition::Version(stale)).await;
    refused(answer, ErrorKind::Conflict, "deleting a state that is gone")?;
    context.present(region, &key, 2).await.map(drop)
}

async fn listed(context: &Context, region: &Region, prefix: &str) -> Outcome<BTreeMap<Key, Vec<u8>>> {
    let items: Vec<_> = context.store.list(region, prefix).try_collect().await?;
    let count = items.len();
    let listed: BTreeMap<_, _> = items.into_iter().map(|item| (item.key, item.value)).collect();
    ensure!(listed.len() == count, "an item was listed twice");
    Ok(listed)
}

fn same(found: &BTreeMap<Key, Vec<u8>>, expected: &BTreeMap<Key, Vec<u8>>) -> Outcome {
    let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(key)).take(5).collect();
    let strange: Vec<_> = found.keys().filter(|key| !expected.contains_key(key)).take(5).collect();
    ensure!(
        missing.is_empty() && strange.is_empty(),
        "{} of {} items were listed; missing: {missing:?}; too many: {strange:?}",
        found.len(),
        expected.len()
    );
    let changed: Vec<_> =
        found.iter().filter(|(key, value)| expected.get(*key) != Some(value)).take(5).collect();
    ensure!(changed.is_empty(), "listed with other values: {changed:?}");
    Ok(())
}

pub(super) async fn a_listing_gives_all_of_a_prefix_and_nothing_else(context: &Context) -> Outcome {
    let region = &context.writer;
    let mut expected = BTreeMap::new();
    for (number, case) in
        ["list-a-1", "list-a-2", "list-a-", "list-a-1.1", "list-b-1", "list-A-1"].iter().enumerate()
    {
        let (key, number) = (context.key(case), number as u64);
        context.put(region, &key, number).await?;
        if case.starts_with("list-a-") {
            expected.insert(key, context.fixture.value(number));
        }
    }
    let gone = context.key("list-a-gone");
    context.put(region, &gone, 9).await?;
    context.store.delete(region, &gone, Some(context.epoch()), Precondition::None).await?;
    let found = listed(context, region, &context.text("list-a-")).await?;
    same(&found, &expected)?;
    let nothing = listed(context, region, &context.text("list-nothing-")).await?;
    ensure!(nothing.is_empty(), "listed were {nothing:?}");
    Ok(())
}

pub(super) async fn a_listing_goes_on_after_the_first_page(context: &Context) -> Outcome {
    let count = context.fixture.items_for_two_pages().map_err(Stop::Skip)?;
    let mut expected = BTreeMap::new();
    for number in 0..count {
        let (key, number) = (context.key(&format!("page-{number}")), number as u64);
        context.put(&context.writer, &key, number).await?;
        expected.insert(key, context.fixture.value(number));
    }
    let found = listed(context, &context.writer, &context.text("page-")).await?;
    same(&found, &expected)
}

pub(super) async fn an_unknown_region_is_refused(context: &Context) -> Outcome {
    let (store, region, key) = (&context.store, nowhere()?, context.key("nowhere"));
    refused_somehow(store.get(&region, &key).await, "reading in an unknown region")?;
    let put = store.put(&region, context.item(&key, 1), Precondition::None).await;
    refused_somehow(put, "writing in an unknown region")?;
    let delete = store.delete(&region, &key, Some(context.epoch()), Precondition::None).await;
    refused_somehow(delete, "deleting in an unknown region")?;
    let list = store.list(&region, &context.text("")).try_collect::<Vec<_>>().await;
    refused_somehow(list, "listing an unknown region")?;
    let item = context.get(&context.writer, &key).await?;
    ensure!(item.is_none(), "a write to an unknown region is in {}: {item:?}", context.writer);
    Ok(())
}

pub(super) async fn an_older_epoch_is_refused(context: &Context) -> Outcome {
    if context.can.late_writes != LateWrites::Refused {
        return Err(Stop::Skip("this store does not refuse older epochs: the last writer wins".to_owned()));
    }
    let (store, region, key) = (&context.store, &context.writer, context.key("epochs"));
    let older = context.epoch();
    context.next_epoch();
    context.put(region, &key, 1).await?;
    let before = context.present(region, &key, 1).await?;
    for epoch in [older, Epoch(0)] {
        let item = PutItem { key: key.clone(), value: context.fixture.value(2), epoch: Some(epoch) };
        let put = store.put(region, item.clone(), Precondition::None).await;
        refused(put, ErrorKind::Superseded, "a write of an older epoch")?;
        let put = store.put(region, item, Precondition::Version(before.version.clone())).await;
        refused(put, ErrorKind::Superseded, "a write of an older epoch over a known state")?;
        let delete = store.delete(region, &key, Some(epoch), Precondition::None).await;
        refused(delete, ErrorKind::Superseded, "a delete of an older epoch")?;
    }
    let after = context.present(region, &key, 1).await?;
    ensure!(before == after, "a refused write changed {before:?} to {after:?}");
    // The same epoch goes on, and so does a newer one.
    context.put(region, &key, 3).await?;
    context.next_epoch();
    context.put(region, &key, 4).await.map(drop)
}

pub(super) async fn a_lost_answer_is_not_a_refusal(context: &Context) -> Outcome {
    let (store, region, key) = (&context.store, &context.writer, context.key("lost-answer"));
    context.inject(StoreFault::LoseAnswer(region.clone())).await?;
    if let Err(error) = store.put(region, context.item(&key, 1), Precondition::Absent).await {
        ensure!(
            error.effect() == Effect::Unknown,
            "a write took effect, its answer was lost, and the error says that nothing happened: {error:#}"
        );
    }
    context.present(region, &key, 1).await.map(drop)
}
