//! Clients that write, services that carry it out, and the book in which each write's fate is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::TrueTime;
use super::process::{ProcessId, SimPermit};
use super::random::{Random, Rate, Spread};
use super::world::ChangeId;
use crate::deployment::Deployment;
use crate::error::ErrorKind;
use crate::ledger::Epoch;
use crate::name::{GroupName, Region, ResourceName};

/// How clients write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// How many clients each group has.
    pub clients: u32,
    /// From one write of a client to its next.
    pub every: Spread,
    /// How often a client keeps its name server's answer ten times too long.
    pub keeps_answers: Rate,
    /// How often a write goes to one of a few keys that others write to as well, instead of a key of its own.
    pub shared: Rate,
    /// How long a store works on a write.
    pub store_work: Spread,
    /// How often it takes long instead, or the answer is lost.
    pub slow: Rate,
    /// How long a slow one takes; more than the write deadline, at times.
    pub slow_work: Spread,
}

impl Traffic {
    /// A handful of clients whose writes are quick.
    pub const CALM: Self = Self {
        clients: 3,
        every: Spread::millis(1_000, 3_000),
        keeps_answers: Rate::NEVER,
        shared: Rate(200_000),
        store_work: Spread::millis(2, 20),
        slow: Rate::NEVER,
        slow_work: Spread::millis(0, 0),
    };
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Still under way.
    Pending,
    /// The service said that it is done.
    Acknowledged,
    /// The service's gate was shut; nothing was written.
    Refused,
    /// The service had not enough capacity; nothing was written.
    Overloaded,
    /// The store refused it; nothing was written.
    Failed(ErrorKind),
    /// It may have been written.
    Unknown,
    /// It never reached a service that runs.
    Unreached,
}

/// One write that a client tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The group that it belongs to.
    pub group: GroupName,
    /// The store that it goes to.
    pub store: ResourceName,
    /// The region that the client was sent to.
    pub region: Region,
    /// The service that took it.
    pub service: Option<ProcessId>,
    /// The key, by its number in the store.
    pub key: u32,
    /// The epoch of its permit; none without a gate.
    pub epoch: Option<Epoch>,
    /// When the client sent it.
    pub sent: TrueTime,
    /// When the service began it.
    pub begun: Option<TrueTime>,
    /// When the store accepted it.
    pub applied: Option<TrueTime>,
    /// When its fate was sealed.
    pub ended: Option<TrueTime>,
    /// Its fate.
    pub fate: Fate,
    /// The store's number of the change.
    pub change: Option<u32>,
}

/// Every write that any client tried, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// The writes.
    pub writes: Vec<Write>,
}

impl Book {
    /// How many writes there are of each fate.
    pub fn count(&self) -> BTreeMap<Fate, u64> {
        let mut counts = BTreeMap::new();
        for write in &self.writes {
            *counts.entry(write.fate).or_default() += 1;
        }
        counts
    }

    /// The writes that were acknowledged.
    pub fn acknowledged(&self) -> impl Iterator<Item = (u32, &Write)> {
        let numbered = self.writes.iter().enumerate().map(|(number, write)| (number as u32, write));
        numbered.filter(|(_, write)| write.fate == Fate::Acknowledged)
    }
}

/// A step of a write, on the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A client begins its next write.
    Client(u32),
    /// The write reaches the service.
    Arrive(u32),
    /// It reaches the store.
    Apply(u32),
    /// The store's answer reaches the service.
    Answered(u32),
    /// The service waits no longer.
    Deadline(u32),
}

/// A client: it belongs to a group, and remembers where its name server sent it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) group: usize,
    pub(crate) keeps: bool,
    pub(crate) answer: Option<(Region, TrueTime)>,
}

/// What the clients of one group use.
#[derive(Clone, Debug)]
pub(crate) struct ClientGroup {
    pub(crate) name: GroupName,
    pub(crate) router: Option<ResourceName>,
    pub(crate) scaler: Option<ResourceName>,
    pub(crate) stores: Vec<ResourceName>,
    pub(crate) services: Vec<ProcessId>,
}

/// What a service knows of a write that it has begun.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) life: u32,
    pub(crate) permit: Option<SimPermit>,
    pub(crate) answer: Option<Result<ChangeId, ErrorKind>>,
}

/// The clients, and what is under way.
#[derive(Clone, Debug)]
pub(crate) struct Writers {
    pub(crate) traffic: Traffic,
    pub(crate) clients: Vec<Client>,
    pub(crate) groups: Vec<ClientGroup>,
    pub(crate) begun: BTreeMap<u32, Begun>,
    pub(crate) write_deadline: Duration,
    pub(crate) random: Random,
}

/// How many keys the shared writes go to.
pub(crate) const SHARED_KEYS: u64 = 8;

impl Writers {
    pub(crate) fn new(deployment: &Deployment, traffic: Traffic, seed: u64) -> Self {
        let mut random = Random::new(seed, "clients");
        let spec = deployment.spec();
        let group = |group: &crate::deployment::GroupSpec| ClientGroup {
            name: group.name.clone(),
            router: group.routers.first().map(|router| router.name.clone()),
            scaler: group.scalers.first().map(|scaler| scaler.name.clone()),
            stores: group.stores.iter().map(|store| store.name.clone()).collect(),
            services: Vec::new(),
        };
        let groups: Vec<ClientGroup> = spec.groups.iter().map(group).collect();
        let mut clients = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let writes = group.router.is_some() && !group.stores.is_empty();
            for _ in 0..if writes { traffic.clients } else { 0 } {
                let keeps = random.happens(traffic.keeps_answers);
                clients.push(Client { group: number, keeps, answer: None });
            }
        }
        let write_deadline = spec.policy.gate.write_deadline;
        Self { traffic, clients, groups, begun: BTreeMap::new(), write_deadline, random }
    }
}
