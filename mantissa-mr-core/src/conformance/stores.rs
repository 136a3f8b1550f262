//! What every [`ReplicatedStore`] must do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::{Fixture, Injection, Outcome, Report, RunId, Stop, cases, ensure, without_effect};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Epoch;
use crate::name::{ExecutionId, Region};
use crate::store::{Barrier, Item, Key, Precondition, PutItem, ReplicatedStore, StoreCapabilities, Version};

mod items;
mod late;
mod moves;
mod replication;

/// Hands out a store, and breaks the world around it on request.
#[async_trait]
pub trait StoreFixture: Fixture {
    /// The store. It may hold other things.
    fn store(&self) -> Arc<dyn ReplicatedStore>;

    /// Its regions: first one that takes writes now, then one that it replicates to, then any others. Two at least.
    fn regions(&self) -> Vec<Region>;

    /// An epoch above all that were ever used with this store.
    fn first_epoch(&self) -> Epoch;

    /// The key of an item; the text is the begin of its first part, and different texts give different keys.
    fn key(&self, text: &str) -> Key;

    /// A value in the form that the store takes and gives back byte for byte; another one for each number.
    fn value(&self, number: u64) -> Vec<u8>;

    /// So many items that a listing needs a second page; else why not.
    fn items_for_two_pages(&self) -> Result<usize, String>;

    /// Breaks something, or mends it.
    async fn inject(&self, fault: StoreFault) -> Injection;
}

/// What can go wrong around a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Changes stay in the region that they were made in.
    PauseReplication,
    /// They arrive again.
    ResumeReplication,
    /// Nothing reaches this region any more.
    CutOff(Region),
    /// It can be reached again.
    Heal(Region),
    /// The next write in this region takes effect, and its answer is lost.
    LoseAnswer(Region),
}

/// The cases that need a [`StoreFault`]: the skips of a fixture that can inject none, if the store can do everything.
pub const FAULT_CASES: &[&str] = &[
    "a_lost_answer_is_not_a_refusal",
    "a_region_that_is_cut_off_is_unreachable_in_the_status",
    "what_replication_holds_back_is_not_drained",
    "nothing_is_proven_of_a_region_that_is_cut_off",
    "a_forced_promotion_needs_nothing_of_the_region_that_is_left",
];

/// Puts all cases. The keys of what it leaves behind begin with `conformance-<run>-`. Where a store needs promotion or
/// can be fenced, writers of other things in it are disturbed; in the end the first region takes writes again.
pub async fn suite(fixture: Arc<dyn StoreFixture>, run: &RunId) -> Report {
    let mut report = Report::default();
    let context = match Context::new(fixture, run) {
        Ok(context) => context,
        Err(Stop::Skip(why) | Stop::Fail(why)) => {
            report.failed.push(("the_fixture_has_two_regions", why));
            return report;
        }
    };
    let context = &context;
    cases!(report, context.fixture, context =>
        replication::setting_up_replication_twice_changes_nothing_more,
        replication::a_dry_run_changes_nothing,
        replication::the_status_names_every_region,
        items::an_item_comes_back,
        items::an_unknown_key_is_absent,
        items::an_item_is_created_once,
        items::a_precondition_on_a_version_is_kept,
        items::a_deleted_item_is_gone,
        items::a_refused_delete_changes_nothing,
        items::a_listing_gives_all_of_a_prefix_and_nothing_else,
        items::a_listing_goes_on_after_the_first_page,
        items::an_unknown_region_is_refused,
        items::an_older_epoch_is_refused,
        items::a_lost_answer_is_not_a_refusal,
        late::a_store_that_finds_no_late_writes_says_so,
        late::what_a_late_write_overwrote_is_put_back,
        late::what_was_written_since_is_left_alone,
        replication::a_write_reaches_the_other_regions,
        replication::a_region_that_is_cut_off_is_unreachable_in_the_status,
        replication::drained_means_that_it_can_be_read_at_the_target,
        replication::what_replication_holds_back_is_not_drained,
        replication::nothing_is_proven_of_a_region_that_is_cut_off,
        moves::a_fence_keeps_writers_out_and_spares_replication,
        moves::a_planned_promotion_moves_the_writer_and_can_be_repeated,
        moves::a_forced_promotion_needs_nothing_of_the_region_that_is_left,
    );
    report
}

struct Context {
    fixture: Arc<dyn StoreFixture>,
    store: Arc<dyn ReplicatedStore>,
    can: StoreCapabilities,
    run: RunId,
    /// Takes writes when a case begins and when it ends.
    writer: Region,
    /// Replicates from the writer.
    target: Region,
    epoch: AtomicU64,
}

impl Context {
    fn new(fixture: Arc<dyn StoreFixture>, run: &RunId) -> Outcome<Self> {
        let regions = fixture.regions();
        let [writer, target, ..] = regions.as_slice() else {
            return Err(Stop::Fail(format!("it has these: {regions:?}")));
        };
        let store = fixture.store();
        Ok(Self {
            can: store.capabilities(),
            run: run.clone(),
            writer: writer.clone(),
            target: target.clone(),
            epoch: AtomicU64::new(fixture.first_epoch().0),
            store,
            fixture,
        })
    }

    fn text(&self, case: &str) -> String {
        format!("conformance-{}-{case}", self.run)
    }

    fn key(&self, case: &str) -> Key {
        self.fixture.key(&self.text(case))
    }

    /// The epoch after all that were used.
    fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.fetch_add(1, Ordering::SeqCst).saturating_add(1))
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    async fn inject(&self, fault: StoreFault) -> Outcome {
        self.fixture.inject(fault).await.armed()
    }

    fn item(&self, key: &Key, number: u64) -> PutItem {
        PutItem { key: key.clone(), value: self.fixture.value(number), epoch: Some(self.epoch()) }
    }

    /// A write that must succeed.
    async fn put(&self, region: &Region, key: &Key, number: u64) -> Outcome<Version> {
        Ok(self.store.put(region, self.item(key, number), Precondition::None).await?)
    }

    async fn get(&self, region: &Region, key: &Key) -> Outcome<Option<Item>> {
        Ok(self.store.get(region, key).await?)
    }

    /// Whether the item is there with this value.
    async fn holds(&self, region: &Region, key: &Key, number: u64) -> Outcome<bool> {
        let item = self.get(region, key).await?;
        Ok(item.is_some_and(|item| item.value == self.fixture.value(number)))
    }

    /// Reads the item, which must have this value.
    async fn present(&self, region: &Region, key: &Key, number: u64) -> Outcome<Item> {
        let item = self.get(region, key).await?;
        let item = item.ok_or_else(|| Stop::Fail(format!("{key} is not there in {region}")))?;
        ensure!(item.key == *key, "asked for {key}, it gave {}", item.key);
        ensure!(
            item.value == self.fixture.value(number),
            "{key} holds {:?}",
            String::from_utf8_lossy(&item.value)
        );
        Ok(item)
    }

    /// What is drawn once everything before it was acknowledged.
    fn barrier(&self, case: &str) -> Outcome<Barrier> {
        let execution = ExecutionId::new(&self.text(case))?;
        Ok(Barrier { execution, epoch: self.epoch(), from: self.writer.clone(), to: self.target.clone() })
    }
}

/// Whether a refusal is of this kind and without effect.
fn refused<T>(answer: Result<T>, kind: ErrorKind, what: &str) -> Outcome {
    let error = refused_somehow(answer, what)?;
    ensure!(error.kind() == kind, "{what}: refused, not as `{kind}`: {error:#}");
    Ok(())
}

fn refused_somehow<T>(answer: Result<T>, what: &str) -> Outcome<Error> {
    let Err(error) = answer else {
        return Err(Stop::Fail(format!("{what}: not refused")));
    };
    without_effect(&error)?;
    Ok(error)
}
