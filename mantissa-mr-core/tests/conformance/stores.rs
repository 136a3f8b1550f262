//! Stores: a small replicated map passes in each of its characters; with one mistake each it is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use mantissa_mr_core::conformance::stores::{FAULT_CASES, StoreFault, StoreFixture, suite};
use mantissa_mr_core::conformance::{Fixture, Injection, RunId};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{
    Barrier, Cursor, Drained, Fence, Item, Key, Lag, LateWrites, LossBound, Overtaken, Precondition,
    Promotion, PutItem, Reconciled, Reconciliation, ReplicaStatus, ReplicatedStore, Replication, Role,
    StoreCapabilities, StoreStatus, Version,
};

use crate::{assert_covered, assert_found};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    ValuesAreCut,
    VersionsAreAllTheSame,
    EpochIsForgotten,
    UnknownIsEmpty,
    ConditionsAreIgnored,
    RefusedWritesLand,
    ConflictsAreUnavailable,
    DeletesDoNothing,
    DeletingNothingIsAnError,
    DeletesAskNothing,
    ListsEverything,
    ListsWhatWasDeleted,
    ListsOnePage,
    UnknownRegionsAreHome,
    OlderEpochsAreTaken,
    LostAnswerIsConflict,
    StatusNeedsEveryRegion,
    StatusForgetsARegion,
    StatusIsBlind,
    DryRunActs,
    SetsUpAgainAndAgain,
    NothingReplicates,
    DrainedAtOnce,
    DrainedIfNothingMoves,
    DrainedWithoutTheTarget,
    FencesNobody,
    FenceStopsReplication,
    FenceIsNeverTakenDown,
    FenceIsPretended,
    PromotesNobody,
    PromotesASecond,
    ForcedNeedsTheOther,
    SecondPromotionFails,
    TakesWritesEverywhere,
    ReconcilingIsPretended,
    FindsNothing,
    OnlyReports,
    PutsBackBlindly,
    PutsBackUnderTheOldEpoch,
    CallsEveryWriteLate,
}

#[derive(Clone, Debug)]
struct Kept {
    value: Vec<u8>,
    epoch: Option<Epoch>,
    version: u64,
}

#[derive(Debug, Default)]
struct World {
    replicas: BTreeMap<Region, BTreeMap<Key, Kept>>,
    /// Changes under way: to where, of which key, to what.
    under_way: Vec<(Region, Key, Option<Kept>)>,
    /// What took the place of what, in which region.
    overtaken: Vec<(Region, Key, Kept, Kept)>,
    writes: u64,
    set_up: bool,
    writer: Option<Region>,
    fenced: BTreeSet<Region>,
    cut_off: BTreeSet<Region>,
    paused: bool,
    lose_answer: Option<Region>,
}

#[derive(Clone, Debug)]
struct Fake {
    mistake: Mistake,
    can: StoreCapabilities,
    world: Arc<Mutex<World>>,
}

impl World {
    fn take_in(&mut self, region: &Region, key: &Key, kept: Option<Kept>, always_late: bool) {
        let replica = self.replicas.get_mut(region).unwrap();
        let before = replica.remove(key);
        let Some(kept) = kept else { return };
        replica.insert(key.clone(), kept.clone());
        if let Some(before) = before
            && (kept.epoch < before.epoch || always_late)
        {
            self.overtaken.push((region.clone(), key.clone(), kept, before));
        }
    }
}

fn region(text: &str) -> Region {
    Region::new(text).unwrap()
}

fn error<T>(kind: ErrorKind, message: &str) -> Result<T> {
    Err(Error::new(kind, "use the fake", message))
}

fn capable() -> StoreCapabilities {
    StoreCapabilities {
        replication: Replication::Ordered,
        late_writes: LateWrites::Refused,
        needs_promotion: true,
        can_fence: true,
        loss: LossBound::Enforceable,
        expected_promotion: Duration::ZERO,
    }
}

/// One that cannot refuse late writes, and finds what they overwrote.
fn last_writer_wins() -> StoreCapabilities {
    StoreCapabilities { late_writes: LateWrites::Undone, needs_promotion: false, ..capable() }
}

impl Fake {
    fn new(mistake: Mistake, can: StoreCapabilities) -> Arc<Self> {
        let world = World { writer: Some(region("one")), ..World::default() };
        let fake = Self { mistake, can, world: Arc::new(Mutex::new(world)) };
        fake.regions()
            .into_iter()
            .for_each(|region| drop(fake.world().replicas.insert(region, BTreeMap::new())));
        Arc::new(fake)
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The region, if it can be spoken to.
    fn reach(&self, region: &Region) -> Result<Region> {
        let world = self.world();
        if world.cut_off.contains(region) {
            return error(ErrorKind::Unavailable, "it cannot be reached");
        }
        match world.replicas.contains_key(region) {
            true => Ok(region.clone()),
            false if self.is(Mistake::UnknownRegionsAreHome) => Ok(self.regions()[0].clone()),
            false => error(ErrorKind::InvalidInput, "there is no such region"),
        }
    }

    fn may_write(&self, region: &Region) -> Result<()> {
        let world = self.world();
        if world.fenced.contains(region) {
            return error(ErrorKind::PermissionDenied, "fenced");
        }
        let promoted = world.writer.as_ref() == Some(region) || !self.can.needs_promotion;
        if promoted || self.is(Mistake::TakesWritesEverywhere) || self.is(Mistake::PromotesASecond) {
            return Ok(());
        }
        error(ErrorKind::PermissionDenied, "this region takes no writes")
    }

    fn judge(&self, current: Option<&Kept>, epoch: Option<Epoch>, condition: &Precondition) -> Result<()> {
        let older = current.and_then(|kept| kept.epoch) > epoch;
        if self.can.late_writes == LateWrites::Refused && older && !self.is(Mistake::OlderEpochsAreTaken) {
            return error(ErrorKind::Superseded, "an older epoch");
        }
        let holds = match condition {
            Precondition::None => true,
            Precondition::Absent => current.is_none(),
            Precondition::Version(version) => current.is_some_and(|kept| self.version(kept) == *version),
        };
        match holds || self.is(Mistake::ConditionsAreIgnored) {
            true => Ok(()),
            false if self.is(Mistake::ConflictsAreUnavailable) => error(ErrorKind::Unavailable, "try again"),
            false => error(ErrorKind::Conflict, "the precondition does not hold"),
        }
    }

    fn version(&self, kept: &Kept) -> Version {
        Version(if self.is(Mistake::VersionsAreAllTheSame) {
            "1".to_owned()
        } else {
            kept.version.to_string()
        })
    }

    fn item(&self, key: &Key, kept: &Kept) -> Item {
        let epoch = kept.epoch.filter(|_| !self.is(Mistake::EpochIsForgotten));
        Item { key: key.clone(), value: kept.value.clone(), epoch, version: self.version(kept) }
    }

    fn change(&self, region: &Region, key: &Key, kept: Option<Kept>) {
        let mut world = self.world();
        let others: Vec<Region> = world.replicas.keys().filter(|other| *other != region).cloned().collect();
        let stopped = self.is(Mistake::FenceStopsReplication) && !world.fenced.is_empty();
        if !self.is(Mistake::NothingReplicates) && !stopped {
            others.into_iter().for_each(|other| world.under_way.push((other, key.clone(), kept.clone())));
        }
        world.take_in(region, key, kept, self.is(Mistake::CallsEveryWriteLate));
    }

    fn answer<T>(&self, region: &Region, answer: T) -> Result<T> {
        let lost = self.world().lose_answer.take_if(|of| of == region).is_some();
        match (lost, self.mistake) {
            (false, _) => Ok(answer),
            (true, Mistake::LostAnswerIsConflict) => error(ErrorKind::Conflict, "it is there"),
            (true, _) => error(ErrorKind::Timeout, "no answer"),
        }
    }

    /// One change arrives, if any can.
    fn replicate(&self) {
        let mut world = self.world();
        let stopped = self.is(Mistake::FenceStopsReplication) && !world.fenced.is_empty();
        if world.paused || stopped {
            return;
        }
        let first = world.under_way.iter().position(|(to, ..)| !world.cut_off.contains(to));
        if let Some(first) = first {
            let (to, key, kept) = world.under_way.remove(first);
            world.take_in(&to, &key, kept, false);
        }
    }
}

#[async_trait]
impl ReplicatedStore for Fake {
    fn capabilities(&self) -> StoreCapabilities {
        self.can.clone()
    }

    async fn get(&self, region: &Region, key: &Key) -> Result<Option<Item>> {
        let region = self.reach(region)?;
        let world = self.world();
        let kept = world.replicas[&region].get(key).cloned();
        if self.is(Mistake::UnknownIsEmpty) && kept.is_none() {
            return Ok(Some(self.item(key, &Kept { value: Vec::new(), epoch: None, version: 0 })));
        }
        Ok(kept.map(|kept| self.item(key, &kept)))
    }

    async fn put(&self, region: &Region, item: PutItem, condition: Precondition) -> Result<Version> {
        let region = self.reach(region)?;
        self.may_write(&region)?;
        let current = self.world().replicas[&region].get(&item.key).cloned();
        let refusal = self.judge(current.as_ref(), item.epoch, &condition);
        if !self.is(Mistake::RefusedWritesLand) {
            refusal.clone()?;
        }
        let version = {
            let mut world = self.world();
            world.writes += 1;
            world.writes
        };
        let cut = usize::from(self.is(Mistake::ValuesAreCut));
        let value = item.value[..item.value.len() - cut].to_vec();
        let kept = Kept { value, epoch: item.epoch, version };
        self.change(&region, &item.key, Some(kept.clone()));
        refusal?;
        self.answer(&region, self.version(&kept))
    }

    async fn delete(
        &self,
        region: &Region,
        key: &Key,
        epoch: Option<Epoch>,
        condition: Precondition,
    ) -> Result<()> {
        let region = self.reach(region)?;
        self.may_write(&region)?;
        let current = self.world().replicas[&region].get(key).cloned();
        if !self.is(Mistake::DeletesAskNothing) {
            self.judge(current.as_ref(), epoch, &condition)?;
        }
        if current.is_none() && self.is(Mistake::DeletingNothingIsAnError) {
            return error(ErrorKind::NotFound, "it is not there");
        }
        if !self.is(Mistake::DeletesDoNothing) {
            let hidden = Kept { value: b"deleted".to_vec(), epoch, version: 0 };
            self.change(&region, key, None);
            if self.is(Mistake::ListsWhatWasDeleted) {
                let key = Key(vec![key.first().to_owned(), "deleted".to_owned()]);
                self.change(&region, &key, Some(hidden));
            }
        }
        self.answer(&region, ())
    }

    fn list<'a>(&'a self, region: &Region, prefix: &str) -> BoxStream<'a, Result<Item>> {
        let region = match self.reach(region) {
            Ok(region) => region,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        let page = if self.is(Mistake::ListsOnePage) { 10 } else { usize::MAX };
        let everything = self.is(Mistake::ListsEverything);
        let world = self.world();
        let found =
            world.replicas[&region].iter().filter(|(key, _)| everything || key.first().starts_with(prefix));
        let items: Vec<_> = found.map(|(key, kept)| Ok(self.item(key, kept))).take(page).collect();
        stream::iter(items).boxed()
    }

    async fn status(&self) -> Result<StoreStatus> {
        let world = self.world();
        if self.is(Mistake::StatusNeedsEveryRegion) && !world.cut_off.is_empty() {
            return error(ErrorKind::Unavailable, "a region does not answer");
        }
        let replica = |region: &Region| {
            let cut_off = world.cut_off.contains(region) && !self.is(Mistake::StatusIsBlind);
            let writes = world.writer.as_ref() == Some(region) || !self.can.needs_promotion;
            let role = match (cut_off, writes) {
                (true, _) => Role::Unreachable,
                (false, true) => Role::Writer,
                (false, false) => Role::Replica,
            };
            let lag = match cut_off {
                true => Lag::Unknown { why: "it does not answer".to_owned() },
                false => Lag::Known { lag: Duration::ZERO, age: Duration::ZERO },
            };
            ReplicaStatus { role, lag, watermark: None, backlog: None }
        };
        let skip = usize::from(self.is(Mistake::StatusForgetsARegion));
        let replicas = world.replicas.keys().skip(skip).map(|region| (region.clone(), replica(region)));
        Ok(StoreStatus { replicas: replicas.collect() })
    }

    async fn ensure_replicated(&self, dry_run: bool) -> Result<Vec<String>> {
        let mut world = self.world();
        let missing = !world.set_up || self.is(Mistake::SetsUpAgainAndAgain);
        world.set_up |= !dry_run || self.is(Mistake::DryRunActs);
        Ok(missing.then(|| "add a replica".to_owned()).into_iter().collect())
    }

    async fn drained(&self, barrier: &Barrier) -> Result<Drained> {
        let proven = || Ok(Drained::Proven { how: "nothing is under way".to_owned() });
        let world = self.world();
        if self.is(Mistake::DrainedAtOnce) || (self.is(Mistake::DrainedIfNothingMoves) && world.paused) {
            return proven();
        }
        if world.cut_off.contains(&barrier.to) && !self.is(Mistake::DrainedWithoutTheTarget) {
            return error(ErrorKind::Unavailable, "the target does not answer");
        }
        if self.can.loss == LossBound::Estimated {
            return Ok(Drained::CannotProve { why: "there is no log".to_owned() });
        }
        let left = world.under_way.iter().filter(|(to, ..)| *to == barrier.to).count();
        if left == 0 || self.is(Mistake::DrainedWithoutTheTarget) && world.cut_off.contains(&barrier.to) {
            return proven();
        }
        Ok(Drained::NotYet { remaining: Some(left as u64) })
    }

    async fn promote(&self, region: &Region, promotion: Promotion, _: Epoch) -> Result<()> {
        let region = self.reach(region)?;
        if !self.can.needs_promotion {
            return error(ErrorKind::Unsupported, "every region takes writes");
        }
        let mut world = self.world();
        let all_up = world.cut_off.is_empty();
        let must_be_up = promotion == Promotion::Planned || self.is(Mistake::ForcedNeedsTheOther);
        if must_be_up && !all_up {
            return error(ErrorKind::PermissionDenied, "the other region does not agree");
        }
        if self.is(Mistake::SecondPromotionFails) && world.writer.as_ref() == Some(&region) {
            return error(ErrorKind::Conflict, "it is the writer");
        }
        if !self.is(Mistake::PromotesNobody) {
            world.writer = Some(region);
        }
        Ok(())
    }

    async fn fence(&self, region: &Region, _: Epoch) -> Result<Fence> {
        let region = self.reach(region)?;
        if !self.can.can_fence && !self.is(Mistake::FenceIsPretended) {
            return error(ErrorKind::Unsupported, "there is no fence");
        }
        let asked_before = match self.is(Mistake::FencesNobody) {
            true => true,
            false => !self.world().fenced.insert(region),
        };
        // The first answer is never the last word.
        let why = "it takes a moment".to_owned();
        Ok(if asked_before { Fence::Confirmed } else { Fence::Requested { why } })
    }

    async fn unfence(&self, region: &Region, _: Epoch) -> Result<()> {
        let region = self.reach(region)?;
        if !self.is(Mistake::FenceIsNeverTakenDown) {
            self.world().fenced.remove(&region);
        }
        Ok(())
    }

    async fn reconcile(&self, serving: &Region, after: Option<&Cursor>) -> Result<Reconciled> {
        if self.can.late_writes != LateWrites::Undone && !self.is(Mistake::ReconcilingIsPretended) {
            return error(ErrorKind::Unsupported, "late writes are not found");
        }
        let serving = self.reach(serving)?;
        let history = self.world().overtaken.clone();
        let cursor = Some(Cursor(history.len().to_string()));
        let seen = after.map_or(0, |Cursor(text)| text.parse().unwrap());
        let found = history.into_iter().skip(seen).filter(|_| !self.is(Mistake::FindsNothing));
        let overtaken = found.filter_map(|found| self.put_back(&serving, found)).collect();
        Ok(Reconciled { overtaken, cursor, unread: Vec::new() })
    }
}

impl Fake {
    fn put_back(
        &self,
        serving: &Region,
        (found_in, key, late, before): (Region, Key, Kept, Kept),
    ) -> Option<Overtaken> {
        let shown = self.world().replicas[serving].get(&key).cloned()?;
        if shown.value == before.value {
            return None;
        }
        let is_late = shown.epoch < before.epoch || self.is(Mistake::PutsBackBlindly);
        let outcome = if is_late { Reconciliation::Restored } else { Reconciliation::Rewritten };
        let (late, newer) = (late.epoch?, before.epoch?);
        if is_late && !self.is(Mistake::OnlyReports) {
            let epoch = Some(if self.is(Mistake::PutsBackUnderTheOldEpoch) { late } else { newer });
            self.change(serving, &key, Some(Kept { epoch, ..before }));
        }
        Some(Overtaken { key, found_in, late, newer, outcome })
    }
}

#[async_trait]
impl Fixture for Fake {
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn wait(&self, round: u32) -> bool {
        self.replicate();
        round < 300
    }
}

#[async_trait]
impl StoreFixture for Fake {
    fn store(&self) -> Arc<dyn ReplicatedStore> {
        Arc::new(self.clone())
    }
    fn regions(&self) -> Vec<Region> {
        ["one", "two", "three"].map(region).to_vec()
    }
    fn first_epoch(&self) -> Epoch {
        Epoch(7)
    }
    fn key(&self, text: &str) -> Key {
        Key(vec![text.to_owned(), "sort".to_owned()])
    }
    fn value(&self, number: u64) -> Vec<u8> {
        format!("value {number}").into_bytes()
    }
    fn items_for_two_pages(&self) -> Result<usize, String> {
        Ok(12)
    }
    async fn inject(&self, fault: StoreFault) -> Injection {
        let mut world = self.world();
        match fault {
            StoreFault::PauseReplication => world.paused = true,
            StoreFault::ResumeReplication => world.paused = false,
            StoreFault::CutOff(region) => drop(world.cut_off.insert(region)),
            StoreFault::Heal(region) => drop(world.cut_off.remove(&region)),
            StoreFault::LoseAnswer(region) => world.lose_answer = Some(region),
        }
        Injection::Armed
    }
}

fn run() -> RunId {
    RunId::new("fake").unwrap()
}

#[tokio::test]
async fn what_a_store_cannot_do_is_skipped_once_it_has_said_so() {
    let finds = &["what_a_late_write_overwrote_is_put_back", "what_was_written_since_is_left_alone"];
    suite(Fake::new(Mistake::None, capable()), &run()).await.assert_passed_with_skips(finds);
    let refuses = &[
        "an_older_epoch_is_refused",
        "a_planned_promotion_moves_the_writer_and_can_be_repeated",
        "a_forced_promotion_needs_nothing_of_the_region_that_is_left",
    ];
    suite(Fake::new(Mistake::None, last_writer_wins()), &run()).await.assert_passed_with_skips(refuses);
    let can = StoreCapabilities {
        replication: Replication::ItemByItem,
        late_writes: LateWrites::Unseen,
        needs_promotion: false,
        can_fence: false,
        loss: LossBound::Estimated,
        expected_promotion: Duration::ZERO,
    };
    suite(Fake::new(Mistake::None, can.clone()), &run()).await.assert_passed_with_skips(&[
        "an_older_epoch_is_refused",
        "what_a_late_write_overwrote_is_put_back",
        "what_was_written_since_is_left_alone",
        "drained_means_that_it_can_be_read_at_the_target",
        "what_replication_holds_back_is_not_drained",
        "a_fence_keeps_writers_out_and_spares_replication",
        "a_planned_promotion_moves_the_writer_and_can_be_repeated",
        "a_forced_promotion_needs_nothing_of_the_region_that_is_left",
    ]);
    let report = suite(Fake::new(Mistake::FenceIsPretended, can), &run()).await;
    assert_found(Mistake::FenceIsPretended, "a_fence_keeps_writers_out_and_spares_replication", &report);
}

/// The same store, and a fixture that can break nothing.
#[derive(Debug)]
struct Bare(Arc<Fake>);

#[async_trait]
impl Fixture for Bare {
    fn patience(&self) -> Duration {
        self.0.patience()
    }
    async fn wait(&self, round: u32) -> bool {
        self.0.wait(round).await
    }
}

#[async_trait]
impl StoreFixture for Bare {
    fn store(&self) -> Arc<dyn ReplicatedStore> {
        self.0.store()
    }
    fn regions(&self) -> Vec<Region> {
        StoreFixture::regions(&*self.0)
    }
    fn first_epoch(&self) -> Epoch {
        self.0.first_epoch()
    }
    fn key(&self, text: &str) -> Key {
        self.0.key(text)
    }
    fn value(&self, number: u64) -> Vec<u8> {
        self.0.value(number)
    }
    fn items_for_two_pages(&self) -> Result<usize, String> {
        Err("a page is a thousand items".to_owned())
    }
    async fn inject(&self, _: StoreFault) -> Injection {
        Injection::Cannot("it is a real cloud".to_owned())
    }
}

#[tokio::test]
async fn what_a_fixture_cannot_do_is_skipped_with_its_reason() {
    let report = suite(Arc::new(Bare(Fake::new(Mistake::None, capable()))), &run()).await;
    let others = [
        "a_listing_goes_on_after_the_first_page",
        "what_a_late_write_overwrote_is_put_back",
        "what_was_written_since_is_left_alone",
    ];
    report.assert_passed_with_skips(&[FAULT_CASES, &others].concat());
}

const FOUND: &[(Mistake, &str)] = &[
    (Mistake::ValuesAreCut, "an_item_comes_back"),
    (Mistake::VersionsAreAllTheSame, "a_precondition_on_a_version_is_kept"),
    (Mistake::EpochIsForgotten, "an_item_comes_back"),
    (Mistake::UnknownIsEmpty, "an_unknown_key_is_absent"),
    (Mistake::ConditionsAreIgnored, "an_item_is_created_once"),
    (Mistake::ConditionsAreIgnored, "a_precondition_on_a_version_is_kept"),
    (Mistake::ConditionsAreIgnored, "a_refused_delete_changes_nothing"),
    (Mistake::RefusedWritesLand, "an_item_is_created_once"),
    (Mistake::ConflictsAreUnavailable, "an_item_is_created_once"),
    (Mistake::DeletesDoNothing, "a_deleted_item_is_gone"),
    (Mistake::DeletingNothingIsAnError, "a_deleted_item_is_gone"),
    (Mistake::DeletesAskNothing, "a_refused_delete_changes_nothing"),
    (Mistake::ListsEverything, "a_listing_gives_all_of_a_prefix_and_nothing_else"),
    (Mistake::ListsWhatWasDeleted, "a_listing_gives_all_of_a_prefix_and_nothing_else"),
    (Mistake::ListsOnePage, "a_listing_goes_on_after_the_first_page"),
    (Mistake::UnknownRegionsAreHome, "an_unknown_region_is_refused"),
    (Mistake::OlderEpochsAreTaken, "an_older_epoch_is_refused"),
    (Mistake::LostAnswerIsConflict, "a_lost_answer_is_not_a_refusal"),
    (Mistake::StatusNeedsEveryRegion, "a_region_that_is_cut_off_is_unreachable_in_the_status"),
    (Mistake::StatusIsBlind, "a_region_that_is_cut_off_is_unreachable_in_the_status"),
    (Mistake::StatusForgetsARegion, "the_status_names_every_region"),
    (Mistake::DryRunActs, "setting_up_replication_twice_changes_nothing_more"),
    (Mistake::SetsUpAgainAndAgain, "setting_up_replication_twice_changes_nothing_more"),
    (Mistake::SetsUpAgainAndAgain, "a_dry_run_changes_nothing"),
    (Mistake::NothingReplicates, "a_write_reaches_the_other_regions"),
    (Mistake::DrainedAtOnce, "drained_means_that_it_can_be_read_at_the_target"),
    (Mistake::DrainedIfNothingMoves, "what_replication_holds_back_is_not_drained"),
    (Mistake::DrainedWithoutTheTarget, "nothing_is_proven_of_a_region_that_is_cut_off"),
    (Mistake::FencesNobody, "a_fence_keeps_writers_out_and_spares_replication"),
    (Mistake::FenceStopsReplication, "a_fence_keeps_writers_out_and_spares_replication"),
    (Mistake::FenceIsNeverTakenDown, "a_fence_keeps_writers_out_and_spares_replication"),
    (Mistake::PromotesNobody, "a_planned_promotion_moves_the_writer_and_can_be_repeated"),
    (Mistake::PromotesASecond, "a_planned_promotion_moves_the_writer_and_can_be_repeated"),
    (Mistake::SecondPromotionFails, "a_planned_promotion_moves_the_writer_and_can_be_repeated"),
    (Mistake::TakesWritesEverywhere, "a_planned_promotion_moves_the_writer_and_can_be_repeated"),
    (Mistake::ReconcilingIsPretended, "a_store_that_finds_no_late_writes_says_so"),
    (Mistake::ForcedNeedsTheOther, "a_forced_promotion_needs_nothing_of_the_region_that_is_left"),
];

const FOUND_WHERE_THE_LAST_WRITER_WINS: &[(Mistake, &str)] = &[
    (Mistake::FindsNothing, "what_a_late_write_overwrote_is_put_back"),
    (Mistake::OnlyReports, "what_a_late_write_overwrote_is_put_back"),
    (Mistake::PutsBackUnderTheOldEpoch, "what_a_late_write_overwrote_is_put_back"),
    (Mistake::FindsNothing, "what_was_written_since_is_left_alone"),
    (Mistake::PutsBackBlindly, "what_was_written_since_is_left_alone"),
    (Mistake::CallsEveryWriteLate, "what_was_written_since_is_left_alone"),
];

#[tokio::test]
async fn every_known_mistake_is_found_by_its_case() {
    for (mistake, case) in FOUND {
        assert_found(mistake, case, &suite(Fake::new(*mistake, capable()), &run()).await);
    }
    for (mistake, case) in FOUND_WHERE_THE_LAST_WRITER_WINS {
        assert_found(mistake, case, &suite(Fake::new(*mistake, last_writer_wins()), &run()).await);
    }
    let right = suite(Fake::new(Mistake::None, capable()), &run()).await;
    assert_covered(&right, FOUND.iter().map(|(_, case)| *case));
    let right = suite(Fake::new(Mistake::None, last_writer_wins()), &run()).await;
    let both = [FOUND, FOUND_WHERE_THE_LAST_WRITER_WINS].concat();
    assert_covered(&right, both.iter().map(|(_, case)| *case));
}
