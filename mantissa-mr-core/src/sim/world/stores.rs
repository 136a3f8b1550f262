//! Reading, writing, promoting and fencing a simulated store.

use super::data::{ChangeId, DataSet};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Epoch;
use crate::name::Region;
use crate::sim::clock::TrueTime;
use crate::store::{
    Fence, Item, Key, LateWrites, LossBound, Precondition, Promotion, PutItem, Replication,
    StoreCapabilities, Version,
};

impl DataSet {
    pub(crate) fn capabilities(&self) -> StoreCapabilities {
        let ordered = self.ordered();
        StoreCapabilities {
            replication: if ordered { Replication::Ordered } else { Replication::ItemByItem },
            late_writes: if ordered { LateWrites::Refused } else { LateWrites::Undone },
            needs_promotion: ordered,
            can_fence: ordered,
            loss: if ordered { LossBound::Enforceable } else { LossBound::Estimated },
            expected_promotion: self.settings.promotion.most,
        }
    }

    pub(crate) fn region(&self, operation: &str, region: &Region) -> Result<usize> {
        let known = self.regions.iter().position(|other| other == region);
        known.ok_or_else(|| {
            self.error(ErrorKind::NotFound, operation, "the store is not in this region").in_region(region)
        })
    }

    fn error(&self, kind: ErrorKind, operation: &str, message: impl Into<String>) -> Error {
        Error::new(kind, operation, message).on(&self.name)
    }

    pub(super) fn error_in(
        &self,
        region: usize,
        kind: ErrorKind,
        operation: &str,
        message: impl Into<String>,
    ) -> Error {
        self.error(kind, operation, message).in_region(&self.regions[region])
    }

    pub(crate) fn get(&mut self, at: TrueTime, region: usize, key: &Key) -> Result<Option<Item>> {
        self.settle(at);
        self.present(region, "get")?;
        Ok(self.find_key(key).and_then(|key| self.item(region, key)))
    }

    fn item(&self, region: usize, key: u32) -> Option<Item> {
        let (id, change) = self.shown(region, key)?;
        let value = change.value.clone()?;
        let key = self.key_name(key)?.clone();
        Some(Item { key, value, epoch: change.epoch, version: version(id) })
    }

    pub(crate) fn list(&mut self, at: TrueTime, region: usize, prefix: &str) -> Result<Vec<Item>> {
        self.settle(at);
        self.present(region, "list")?;
        let all = (0..self.key_count() as u32).filter_map(|key| self.item(region, key));
        let mut found: Vec<Item> = all.filter(|item| item.key.first().starts_with(prefix)).collect();
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    pub(crate) fn put(
        &mut self,
        at: TrueTime,
        region: usize,
        item: PutItem,
        condition: &Precondition,
    ) -> Result<Version> {
        self.settle(at);
        let key = self.key(&item.key);
        self.writable(at, region, key, item.epoch, "put")?;
        self.holds(region, key, condition, "put")?;
        Ok(version(self.accept(at, region, key, Some(item.value), item.epoch)))
    }

    /// A write without a precondition, by the number of its key.
    pub(crate) fn write(
        &mut self,
        at: TrueTime,
        region: usize,
        key: u32,
        value: Vec<u8>,
        epoch: Option<Epoch>,
    ) -> Result<ChangeId> {
        self.settle(at);
        self.writable(at, region, key, epoch, "put")?;
        Ok(self.accept(at, region, key, Some(value), epoch))
    }

    pub(crate) fn delete(
        &mut self,
        at: TrueTime,
        region: usize,
        key: &Key,
        epoch: Option<Epoch>,
        condition: &Precondition,
    ) -> Result<()> {
        self.settle(at);
        let key = self.key(key);
        self.writable(at, region, key, epoch, "delete")?;
        self.holds(region, key, condition, "delete")?;
        if self.item(region, key).is_some() {
            self.accept(at, region, key, None, epoch);
        }
        Ok(())
    }

    pub(super) fn present(&self, region: usize, operation: &str) -> Result<()> {
        if self.replicas[region].present {
            return Ok(());
        }
        Err(self
            .error_in(region, ErrorKind::NotFound, operation, "there is no replica in this region")
            .with_advice("set replication up first (ensure-replicated)"))
    }

    fn writable(
        &self,
        at: TrueTime,
        region: usize,
        key: u32,
        epoch: Option<Epoch>,
        operation: &str,
    ) -> Result<()> {
        self.present(region, operation)?;
        let replica = &self.replicas[region];
        if replica.fence.is_some_and(|(_, from)| at >= from) {
            return Err(self.error_in(
                region,
                ErrorKind::PermissionDenied,
                operation,
                "its writers are fenced",
            ));
        }
        if !replica.writer {
            return Err(self.error_in(
                region,
                ErrorKind::Conflict,
                operation,
                "this replica takes no writes",
            ));
        }
        let shown = self.shown(region, key).and_then(|(_, change)| change.epoch);
        let newest = replica.epoch.max(shown.unwrap_or_default());
        if self.ordered() && epoch.is_some_and(|epoch| epoch < newest) {
            let message = format!("epoch {newest} has begun");
            return Err(self.error_in(region, ErrorKind::Superseded, operation, message));
        }
        Ok(())
    }

    fn holds(&self, region: usize, key: u32, condition: &Precondition, operation: &str) -> Result<()> {
        let current = self.item(region, key).map(|item| item.version);
        let holds = match condition {
            Precondition::None => true,
            Precondition::Absent => current.is_none(),
            Precondition::Version(version) => current.as_ref() == Some(version),
        };
        if holds {
            return Ok(());
        }
        Err(self.error_in(region, ErrorKind::Conflict, operation, "the precondition does not hold"))
    }

    /// Makes a region the writer. `reaches` says which regions the target reaches.
    pub(crate) fn promote(
        &mut self,
        at: TrueTime,
        region: usize,
        promotion: Promotion,
        epoch: Epoch,
        reaches: &[bool],
    ) -> Result<()> {
        self.settle(at);
        if !self.ordered() {
            let message = "every replica takes writes: there is nothing to promote";
            return Err(self.error_in(region, ErrorKind::Unsupported, "promote", message));
        }
        self.present(region, "promote")?;
        let newest = self.replicas[region].epoch.max(self.known_leader_epoch(region, reaches));
        if epoch < newest {
            let message = format!("it was promoted under epoch {newest} already");
            return Err(self.error_in(region, ErrorKind::Superseded, "promote", message));
        }
        if self.replicas[region].writer && self.leader == region {
            self.replicas[region].epoch = epoch;
            return Ok(());
        }
        if promotion == Promotion::Planned {
            self.hand_over(region, reaches)?;
        }
        self.take_over(at, region, epoch);
        Ok(())
    }

    fn known_leader_epoch(&self, region: usize, reaches: &[bool]) -> Epoch {
        let known = self.leader == region || reaches.get(self.leader).copied().unwrap_or(false);
        if known { self.replicas[self.leader].epoch } else { Epoch::default() }
    }

    /// The old writer steps back in agreement with the new one.
    fn hand_over(&mut self, region: usize, reaches: &[bool]) -> Result<()> {
        let old = self.leader;
        if !reaches.get(old).copied().unwrap_or(false) || self.replicas[region].follows != Some(old) {
            let message = format!("{} does not answer, and a planned promotion needs it", self.regions[old]);
            return Err(self
                .error_in(region, ErrorKind::Unavailable, "promote", message)
                .with_effect(crate::error::Effect::None));
        }
        if self.settings.flushes {
            let rest = std::mem::take(&mut self.pipe_mut(old, region).queue);
            for (_, id) in rest {
                self.arrive(region, id);
            }
        }
        Ok(())
    }

    fn take_over(&mut self, at: TrueTime, region: usize, epoch: Epoch) {
        for from in 0..self.count() {
            self.pipe_mut(from, region).queue.clear();
        }
        let replica = &mut self.replicas[region];
        replica.writer = true;
        replica.follows = None;
        replica.epoch = epoch;
        self.leader = region;
        self.samples.fill(None);
        // The others are told at once where the way to them is open, else when it opens.
        for other in 0..self.count() {
            if other != region && self.pipe(region, other).closed_since.is_none() {
                self.follow_leader(at, other);
            }
        }
    }

    pub(crate) fn fence(&mut self, at: TrueTime, region: usize, epoch: Epoch) -> Result<Fence> {
        self.can_fence(region, epoch, "fence")?;
        let from = match self.replicas[region].fence {
            Some((_, from)) => from,
            None => at + self.settings.fence_delay,
        };
        self.replicas[region].fence = Some((epoch, from));
        Ok(if at >= from {
            Fence::Confirmed
        } else {
            Fence::Requested { why: "the policy has not reached every node yet".into() }
        })
    }

    pub(crate) fn unfence(&mut self, region: usize, epoch: Epoch) -> Result<()> {
        self.can_fence(region, epoch, "unfence")?;
        self.replicas[region].fence = None;
        Ok(())
    }

    fn can_fence(&self, region: usize, epoch: Epoch, operation: &str) -> Result<()> {
        if !self.ordered() {
            let message = "writers cannot be kept out of a replica of this kind";
            return Err(self.error_in(region, ErrorKind::Unsupported, operation, message));
        }
        self.present(region, operation)?;
        match self.replicas[region].fence {
            Some((newest, _)) if epoch < newest => {
                let message = format!("it was fenced under epoch {newest}");
                Err(self.error_in(region, ErrorKind::Superseded, operation, message))
            }
            _ => Ok(()),
        }
    }

    /// Sets replicas up where there are none; says what was done, or would be.
    pub(crate) fn ensure_replicated(
        &mut self,
        at: TrueTime,
        dry_run: bool,
        up: &[bool],
    ) -> Result<Vec<String>> {
        let absent: Vec<usize> = (0..self.count()).filter(|region| !self.replicas[*region].present).collect();
        if let Some(down) = absent.iter().find(|region| !up.get(**region).copied().unwrap_or(false)) {
            let message = "the region does not answer";
            return Err(self.error_in(*down, ErrorKind::Unavailable, "ensure_replicated", message));
        }
        if !dry_run {
            for region in absent.iter().copied() {
                self.add_replica(at, region);
            }
        }
        Ok(absent
            .iter()
            .map(|region| format!("{}: replica in {}", self.name, self.regions[*region]))
            .collect())
    }

    fn add_replica(&mut self, at: TrueTime, region: usize) {
        self.replicas[region].present = true;
        if self.ordered() {
            self.follow_leader(at, region);
            return;
        }
        let have = self.replicas[self.leader].log.clone();
        for id in have {
            self.enqueue(at, self.leader, region, id);
        }
    }
}

pub(crate) fn version(id: ChangeId) -> Version {
    Version(format!("v{id}"))
}
