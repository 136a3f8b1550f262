//! All replicas of one store at one time: what may be done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{
    Drained, Item, Key, Lag, Precondition, Promotion, ReplicaStatus, Role, Version,
};

use super::Terms;
use crate::files::replica::{self, Change, Order, Promoted, Replica, Seen, Stored};
use crate::files::{World, see_that_known};

/// All replicas of one store, under the world's lock.
pub(super) struct Replicas<'a> {
    world: &'a World,
    pub(super) terms: &'a Terms,
    operation: &'static str,
    up: BTreeMap<Region, Replica>,
    down: BTreeSet<Region>,
    now: Timestamp,
}

impl<'a> Replicas<'a> {
    /// Reads the replicas of the regions that are up, and lets happen what time has made due between them.
    pub(super) fn load(world: &'a World, terms: &'a Terms, operation: &'static str) -> Result<Self> {
        let now = Timestamp::now();
        let mut replicas = Self { world, terms, operation, up: BTreeMap::new(), down: BTreeSet::new(), now };
        for region in &terms.regions {
            if world.is_down(region) {
                replicas.down.insert(region.clone());
            } else if let Some(replica) = Replica::load(replicas.folder(region))? {
                replicas.up.insert(region.clone(), replica);
            }
        }
        replicas.replicate()?;
        Ok(replicas)
    }

    fn folder(&self, region: &Region) -> PathBuf {
        self.world.region(region).join("stores").join(self.terms.name.as_str())
    }

    fn order(&self) -> Order {
        match self.terms.strategy {
            Strategy::ActivePassive => Order::ByEpoch,
            Strategy::ActiveActive => Order::ByTime,
        }
    }

    fn replicate(&mut self) -> Result<()> {
        let lag = SignedDuration::try_from(self.terms.lag).unwrap_or(SignedDuration::MAX);
        let before = self.now.checked_sub(lag).unwrap_or(Timestamp::MIN);
        let held = self.world.root.join("HOLD").exists();
        let regions: Vec<Region> = self.up.keys().cloned().collect();
        for target in &regions {
            let Some(mut replica) = self.up.remove(target) else { continue };
            for other in self.up.values().filter(|_| !held) {
                replica.follow(other, before)?;
            }
            self.up.insert(target.clone(), replica);
        }
        if self.terms.strategy == Strategy::ActivePassive {
            self.demote_older();
        }
        self.look_around(&regions);
        self.settle()
    }

    /// Whoever was promoted before another one, and sees it now, takes no more writes.
    fn demote_older(&mut self) {
        let newest = self.up.values().filter_map(|replica| replica.state.writer).max();
        for replica in self.up.values_mut() {
            replica.state.writer = replica.state.writer.filter(|promoted| Some(*promoted) == newest);
        }
    }

    /// Each replica notes what it sees of the others, for the time when it does not.
    fn look_around(&mut self, regions: &[Region]) {
        for target in regions {
            let Some(mut replica) = self.up.remove(target) else { continue };
            for (region, other) in &self.up {
                let missing: Vec<&Change> =
                    replica.missing_of(other).flat_map(|(_, changes)| changes).collect();
                let seen = Seen {
                    at: self.now,
                    writer: other.state.writer,
                    missing: missing.len() as u64,
                    oldest: missing.iter().map(|change| change.at).min(),
                };
                replica.state.seen.insert(region.clone(), seen);
            }
            self.up.insert(target.clone(), replica);
        }
    }

    pub(super) fn settle(&mut self) -> Result<()> {
        let order = self.order();
        self.up.values_mut().try_for_each(|replica| replica.settle(order))
    }

    pub(super) fn replica(&mut self, region: &Region) -> Result<&mut Replica> {
        see_that_known(&self.terms.regions, region, self.operation)?;
        self.world.see_that_up(region, self.operation)?;
        match self.up.get_mut(region) {
            Some(replica) => Ok(replica),
            None => Err(self.world.missing(self.operation, &format!("a replica in {region}"))),
        }
    }

    pub(super) fn refuse<T>(&self, kind: ErrorKind, region: &Region, message: String) -> Result<T> {
        Err(Error::new(kind, self.operation, message).in_region(region))
    }

    /// Writes a change in a region, if its writers may and the precondition holds.
    pub(super) fn write(
        &mut self,
        region: &Region,
        key: Key,
        value: Option<Vec<u8>>,
        epoch: Option<Epoch>,
        condition: &Precondition,
    ) -> Result<Version> {
        let (now, order, operation) = (self.now, self.order(), self.operation);
        let replica = self.replica(region)?;
        let refuse = |kind, message: String| Err(Error::new(kind, operation, message).in_region(region));
        let state = &replica.state;
        let Some(promoted) = state.writer else {
            return refuse(ErrorKind::PermissionDenied, "this replica takes no writes".into());
        };
        if let Some(fence) = state.fence {
            return refuse(ErrorKind::PermissionDenied, format!("its writers are fenced by epoch {fence}"));
        }
        // Who names no epoch writes under the one that the replica was promoted under.
        let epoch = epoch.or_else(|| (order == Order::ByEpoch).then_some(promoted.epoch));
        let found = replica.item(&key)?;
        let newest = found.as_ref().and_then(|stored| stored.change.epoch).max(Some(promoted.epoch));
        if order == Order::ByEpoch && epoch < newest {
            let newest = newest.unwrap_or_default();
            return refuse(ErrorKind::Superseded, format!("epoch {newest} has begun"));
        }
        let here = found.filter(|stored| stored.change.value.is_some());
        let holds = match (condition, &here) {
            (Precondition::None, _) | (Precondition::Absent, None) => true,
            (Precondition::Version(wanted), Some(stored)) => version(stored) == *wanted,
            _ => false,
        };
        if !holds {
            return refuse(ErrorKind::Conflict, format!("the precondition does not hold for {key}"));
        }
        replica::file_name(&key)?;
        let number = replica.holds(region);
        // Later than everything that is known here, even if the wall clock went back.
        let at = replica.newest().map_or(now, |newest| newest.max(now));
        let change = Change { number, at, epoch, key, value: value.map(Into::into) };
        replica.append(region, vec![change.clone()])?;
        Ok(version(&Stored { origin: region.clone(), change }))
    }

    /// The replica that a region follows: active-passive, the writer that was promoted last, as far as the region knows.
    fn sources(&self, replica: &Replica) -> Vec<(Region, Seen)> {
        let mut sources: Vec<(Region, Seen)> =
            replica.state.seen.iter().map(|(region, seen)| (region.clone(), *seen)).collect();
        sources.retain(|(_, seen)| seen.writer.is_some());
        if self.terms.strategy == Strategy::ActivePassive {
            let newest = sources.iter().filter_map(|(_, seen)| seen.writer).max();
            sources.retain(|(_, seen)| seen.writer == newest);
        }
        sources
    }

    pub(super) fn status_of(&self, region: &Region) -> ReplicaStatus {
        let unknown = |role, why: String| ReplicaStatus {
            role,
            lag: Lag::Unknown { why },
            watermark: None,
            backlog: None,
        };
        if self.down.contains(region) {
            return unknown(Role::Unreachable, format!("regions/{region}/DOWN is there"));
        }
        let Some(replica) = self.up.get(region) else {
            return unknown(Role::Absent, "there is no replica".into());
        };
        let writes = replica.state.writer.is_some();
        let fenced = replica.state.fence.is_some() && self.terms.strategy == Strategy::ActiveActive;
        let role = if writes && !fenced { Role::Writer } else { Role::Replica };
        if writes && self.terms.strategy == Strategy::ActivePassive {
            let lag = Lag::Known { lag: Duration::ZERO, age: Duration::ZERO };
            return ReplicaStatus { role, lag, watermark: replica.newest(), backlog: Some(0) };
        }
        let sources = self.sources(replica);
        let lags = sources.iter().map(|(_, seen)| {
            let behind = seen.oldest.map_or(Duration::ZERO, |oldest| since(oldest, seen.at));
            (behind, since(seen.at, self.now))
        });
        let lag = match lags.max_by_key(|(lag, age)| *lag + *age) {
            Some((lag, age)) => Lag::Known { lag, age },
            None => Lag::Unknown { why: "it has seen no region that takes writes".into() },
        };
        let backlog = sources.iter().map(|(_, seen)| seen.missing).sum();
        ReplicaStatus { role, lag, watermark: replica.newest(), backlog: Some(backlog) }
    }

    pub(super) fn drained(&mut self, from: &Region, to: &Region) -> Result<Drained> {
        self.replica(to)?;
        self.replica(from)?;
        let (Some(source), Some(target)) = (self.up.get(from), self.up.get(to)) else {
            return self.refuse(ErrorKind::Unavailable, from, "it went down".into());
        };
        let remaining: usize = target.missing_of(source).map(|(_, changes)| changes.len()).sum();
        if remaining > 0 {
            return Ok(Drained::NotYet { remaining: Some(remaining as u64) });
        }
        let position = |origin: &Region| format!("{} of {origin}'s log", source.holds(origin));
        let positions: Vec<String> = source.origins().map(position).collect();
        let positions =
            if positions.is_empty() { "0: nothing was written".into() } else { positions.join(", ") };
        Ok(Drained::Proven { how: format!("{to} holds log position {positions}") })
    }

    pub(super) fn promote(&mut self, region: &Region, promotion: Promotion, epoch: Epoch) -> Result<()> {
        let at = self.now;
        let held = self.replica(region)?.state.writer;
        let newest = self.up.values().filter_map(|replica| replica.state.writer).max();
        if let Some(newest) = newest.filter(|newest| newest.epoch > epoch) {
            return self.refuse(ErrorKind::Superseded, region, format!("epoch {} has begun", newest.epoch));
        }
        if held.is_some() {
            self.replica(region)?.state.writer = Some(Promoted { epoch, at });
            return Ok(());
        }
        if promotion == Promotion::Planned {
            let sources = self.up.get(region).map(|replica| self.sources(replica)).unwrap_or_default();
            for (source, _) in sources {
                if let Drained::NotYet { remaining } = self.drained(&source, region)? {
                    let message =
                        format!("{} changes of {source} are missing", remaining.unwrap_or_default());
                    return self.refuse(ErrorKind::Conflict, region, message);
                }
            }
        }
        // The old one first: whoever is killed between the two leaves no writer, never two.
        for (other, replica) in &mut self.up {
            replica.state.writer = replica.state.writer.filter(|_| other == region);
        }
        self.settle()?;
        self.replica(region)?.state.writer = Some(Promoted { epoch, at });
        Ok(())
    }

    pub(super) fn ensure(&self, dry_run: bool) -> Result<Vec<String>> {
        let mut made = Vec::new();
        let writes = |replica: &Replica| replica.state.writer.is_some();
        let fresh = self.down.is_empty() && !self.up.values().any(writes);
        for region in &self.terms.regions {
            self.world.see_that_up(region, self.operation)?;
            if self.up.contains_key(region) {
                continue;
            }
            let writes =
                self.terms.strategy == Strategy::ActiveActive || (fresh && *region == self.terms.preferred);
            made.push(description(region, writes));
            if !dry_run {
                let writer = writes.then_some(Promoted { epoch: Epoch(1), at: self.now });
                Replica::create(&self.folder(region), writer)?;
            }
        }
        Ok(made)
    }
}

/// What is made, or would be.
pub(super) fn description(region: &Region, writes: bool) -> String {
    let role = if writes { "a replica that takes writes" } else { "a replica" };
    format!("make {role} in {region}")
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

fn version(stored: &Stored) -> Version {
    Version(format!("{}-{}", stored.origin, stored.change.number))
}

pub(super) fn item(stored: Stored) -> Option<Item> {
    let version = version(&stored);
    let Change { key, value, epoch, .. } = stored.change;
    value.map(|value| Item { key, value: value.into(), epoch, version })
}
