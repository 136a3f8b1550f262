//! What a simulated store holds: every change that was ever accepted, which replica has which, and what is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ledger::Epoch;
use crate::name::{ExecutionId, Region, ResourceName};
use crate::sim::clock::TrueTime;
use crate::sim::random::{Random, Spread};
use crate::store::{Key, Replication};

/// How a simulated store behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreSettings {
    pub(crate) replication: Replication,
    /// From the acceptance of a change to its arrival at another replica.
    pub(crate) lag: Spread,
    pub(crate) promotion: Spread,
    /// Whether a planned promotion carries the rest of the log over, or just changes the roles.
    pub(crate) flushes: bool,
    /// Whether replicas can be compared key by key.
    pub(crate) provable: bool,
    /// From the request of a fence to its being in force.
    pub(crate) fence_delay: Duration,
    /// How often the lag is measured.
    pub(crate) metric_period: Duration,
    /// Whether replication is set up from the begin.
    pub(crate) replicated: bool,
}

/// The number of a change, in the order of acceptance.
pub(crate) type ChangeId = u32;

/// No change.
pub(crate) const NONE: ChangeId = ChangeId::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: u32,
    /// None deletes.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) origin: usize,
    pub(crate) at: TrueTime,
    /// The origin's clock at that time, which is what the last writer wins by.
    pub(crate) stamp: u64,
    /// The change whose content it puts back.
    pub(crate) restores: Option<ChangeId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) present: bool,
    /// The changes it has, in the order of their arrival.
    pub(crate) log: Vec<ChangeId>,
    /// The change that each key shows.
    pub(crate) items: Vec<ChangeId>,
    /// Ordered: whether it takes writes, as it knows.
    pub(crate) writer: bool,
    /// Ordered: whose log it takes over.
    pub(crate) follows: Option<usize>,
    /// The epoch it was promoted under.
    pub(crate) epoch: Epoch,
    /// From when on its writers are kept out, and under which epoch that was asked.
    pub(crate) fence: Option<(Epoch, TrueTime)>,
    /// What it had to throw away to follow another one.
    pub(crate) orphans: Vec<ChangeId>,
    /// Item by item: each change that took the place of one of a newer epoch, and that one.
    pub(crate) overtaken: Vec<(ChangeId, ChangeId)>,
}

/// What is on its way from one replica to another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) queue: BTreeSet<(TrueTime, ChangeId)>,
    pub(crate) last: TrueTime,
    pub(crate) closed_since: Option<TrueTime>,
}

/// What the last writer wins by: the origin's clock, then its number.
pub(crate) type Stamp = (u64, usize);

/// What must arrive before a barrier is passed: what the source had when it was asked for the first time.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// Ordered: so much of its log.
    Position(usize),
    /// Else these keys, or newer than this.
    Items(BTreeMap<u32, Stamp>),
}

#[derive(Clone, Debug)]
pub(crate) struct DataSet {
    pub(crate) name: ResourceName,
    pub(crate) settings: StoreSettings,
    pub(crate) regions: Vec<Region>,
    keys: BTreeMap<Key, u32>,
    names: Vec<Key>,
    pub(crate) changes: Vec<Change>,
    pub(crate) replicas: Vec<Replica>,
    pipes: Vec<Pipe>,
    /// Ordered: the replica that was promoted last.
    pub(crate) leader: usize,
    pub(crate) paused: bool,
    pub(crate) samples: Vec<Option<super::status::Sample>>,
    /// The barriers that were asked for, by execution, source and target.
    pub(crate) lines: BTreeMap<(ExecutionId, usize, usize), Line>,
    skews: Vec<u64>,
    random: Random,
}

impl DataSet {
    pub(crate) fn new(
        name: &ResourceName,
        settings: StoreSettings,
        regions: Vec<Region>,
        leader: usize,
        mut random: Random,
    ) -> Self {
        let count = regions.len();
        let ordered = settings.replication == Replication::Ordered;
        let replica = |region: usize| Replica {
            present: settings.replicated || region == leader,
            log: Vec::new(),
            items: Vec::new(),
            writer: !ordered || region == leader,
            follows: (ordered && settings.replicated && region != leader).then_some(leader),
            epoch: Epoch(0),
            fence: None,
            orphans: Vec::new(),
            overtaken: Vec::new(),
        };
        Self {
            name: name.clone(),
            regions,
            keys: BTreeMap::new(),
            names: Vec::new(),
            changes: Vec::new(),
            replicas: (0..count).map(replica).collect(),
            pipes: vec![Pipe::default(); count * count],
            leader,
            paused: false,
            samples: vec![None; count],
            lines: BTreeMap::new(),
            // Clocks of the service itself are within a few milliseconds of each other.
            skews: (0..count).map(|_| random.below(5_000_000)).collect(),
            settings,
            random,
        }
    }

    pub(crate) fn ordered(&self) -> bool {
        self.settings.replication == Replication::Ordered
    }

    pub(crate) fn count(&self) -> usize {
        self.regions.len()
    }

    pub(crate) fn key(&mut self, key: &Key) -> u32 {
        if let Some(number) = self.find_key(key) {
            return number;
        }
        let number = self.new_key(key.clone());
        self.keys.insert(key.clone(), number);
        number
    }

    /// A key that nobody has used before; it is only found by number, or slowly.
    pub(crate) fn new_key(&mut self, key: Key) -> u32 {
        let number = self.names.len() as u32;
        self.names.push(key);
        for replica in &mut self.replicas {
            replica.items.push(NONE);
        }
        number
    }

    pub(crate) fn key_name(&self, number: u32) -> Option<&Key> {
        self.names.get(number as usize)
    }

    pub(crate) fn find_key(&self, key: &Key) -> Option<u32> {
        self.keys
            .get(key)
            .copied()
            .or_else(|| self.names.iter().position(|name| name == key).map(|n| n as u32))
    }

    pub(crate) fn key_count(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn change(&self, id: ChangeId) -> Option<&Change> {
        self.changes.get(id as usize)
    }

    /// The change that a key shows in a region.
    pub(crate) fn shown(&self, region: usize, key: u32) -> Option<(ChangeId, &Change)> {
        let id = *self.replicas.get(region)?.items.get(key as usize)?;
        self.change(id).map(|change| (id, change))
    }

    pub(crate) fn pipe(&self, from: usize, to: usize) -> &Pipe {
        &self.pipes[from * self.regions.len() + to]
    }

    pub(crate) fn pipe_mut(&mut self, from: usize, to: usize) -> &mut Pipe {
        let count = self.regions.len();
        &mut self.pipes[from * count + to]
    }

    /// Accepts a change in a region and sends it on its way to the others.
    pub(crate) fn accept(
        &mut self,
        at: TrueTime,
        origin: usize,
        key: u32,
        value: Option<Vec<u8>>,
        epoch: Option<Epoch>,
    ) -> ChangeId {
        let id = self.changes.len() as ChangeId;
        // What a region takes shows there at once, whatever the clock of the region says that wrote before.
        let shown = self.shown(origin, key).map_or(0, |(_, change)| change.stamp);
        let stamp = (at.as_nanos() + self.skews[origin]).max(shown + 1);
        self.changes.push(Change { key, value, epoch, origin, at, stamp, restores: None });
        self.arrive(origin, id);
        for to in 0..self.count() {
            let replica = &self.replicas[to];
            let follows = if self.ordered() { replica.follows == Some(origin) } else { to != origin };
            if replica.present && follows {
                self.enqueue(at, origin, to, id);
            }
        }
        id
    }

    pub(crate) fn enqueue(&mut self, at: TrueTime, from: usize, to: usize, id: ChangeId) {
        let mut arrives = at + self.random.span(self.settings.lag);
        let ordered = self.ordered();
        let pipe = self.pipe_mut(from, to);
        if ordered {
            arrives = arrives.max(pipe.last);
            pipe.last = arrives;
        }
        pipe.queue.insert((arrives, id));
    }

    /// A change is there.
    pub(crate) fn arrive(&mut self, region: usize, id: ChangeId) {
        let Some(change) = self.changes.get(id as usize) else { return };
        let (key, stamp, origin) = (change.key as usize, change.stamp, change.origin);
        let shown = self.replicas[region].items[key];
        let other = self.changes.get(shown as usize).filter(|_| !self.ordered());
        let newer = other.is_none_or(|other| (stamp, origin) >= (other.stamp, other.origin));
        let overtakes = other.is_some_and(|other| change.epoch.is_some() && change.epoch < other.epoch);
        let replica = &mut self.replicas[region];
        replica.log.push(id);
        if newer && overtakes {
            replica.overtaken.push((id, shown));
        }
        if newer {
            replica.items[key] = id;
        }
    }

    /// Lets everything arrive whose time has come.
    pub(crate) fn settle(&mut self, at: TrueTime) {
        for from in 0..self.count() {
            for to in 0..self.count() {
                while let Some((_, id)) = self.due(from, to, at) {
                    self.arrive(to, id);
                }
            }
        }
    }

    fn due(&mut self, from: usize, to: usize, at: TrueTime) -> Option<(TrueTime, ChangeId)> {
        let pipe = self.pipe_mut(from, to);
        if pipe.closed_since.is_some() || pipe.queue.first()?.0 > at {
            return None;
        }
        pipe.queue.pop_first()
    }

    /// Opens or closes the way from one replica to another.
    pub(crate) fn set_open(&mut self, at: TrueTime, from: usize, to: usize, open: bool) {
        let open = open && !self.paused;
        let was_open = self.pipe(from, to).closed_since.is_none();
        if was_open == open {
            return;
        }
        self.settle(at);
        if !open {
            self.pipe_mut(from, to).closed_since = Some(at);
            return;
        }
        let pipe = self.pipe_mut(from, to);
        pipe.closed_since = None;
        pipe.last = at;
        let held = std::mem::take(&mut pipe.queue);
        let mut held: Vec<ChangeId> = held.into_iter().map(|(_, id)| id).collect();
        held.sort_unstable();
        for id in held {
            self.enqueue(at, from, to, id);
        }
        if self.ordered() && from == self.leader && to != self.leader {
            self.follow_leader(at, to);
        }
    }

    /// Ordered: a replica takes over the log of the one that was promoted last, and throws away what that one lacks.
    pub(crate) fn follow_leader(&mut self, at: TrueTime, region: usize) {
        let leader = self.leader;
        let replica = &self.replicas[region];
        if !replica.present || replica.follows == Some(leader) {
            return;
        }
        let log = &self.replicas[leader].log;
        let common = log.iter().zip(&replica.log).take_while(|(one, other)| one == other).count();
        let missing: Vec<ChangeId> = log.get(common..).unwrap_or_default().to_vec();
        for from in 0..self.count() {
            self.pipe_mut(from, region).queue.clear();
        }
        let replica = &mut self.replicas[region];
        replica.orphans.extend(replica.log.drain(common..));
        replica.writer = false;
        replica.follows = Some(leader);
        replica.items.fill(NONE);
        for id in replica.log.iter().copied() {
            if let Some(change) = self.changes.get(id as usize) {
                replica.items[change.key as usize] = id;
            }
        }
        for id in missing {
            self.enqueue(at, leader, region, id);
        }
    }
}
