//! What a simulated store says of its replication: sometimes old, sometimes nothing, never more than it can know.

use std::collections::BTreeMap;
use std::time::Duration;

use super::data::DataSet;
use crate::error::{Error, ErrorKind, Result};
use crate::sim::clock::TrueTime;
use crate::store::{Barrier, Drained, Lag, ReplicaStatus, Role, StoreStatus};

/// A measurement of one replica, as it is kept until the next one.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    at: TrueTime,
    lag: Option<Duration>,
    watermark: Option<TrueTime>,
    backlog: Option<u64>,
    why: &'static str,
}

/// Where replicas write item by item, a minute without a write is a minute without a measurement.
const QUIET: Duration = Duration::from_secs(60);

impl DataSet {
    /// The status as somebody sees it who reaches these regions.
    pub(crate) fn status(&mut self, at: TrueTime, reaches: &[bool]) -> StoreStatus {
        self.settle(at);
        let mut replicas = BTreeMap::new();
        for (region, reached) in reaches.iter().enumerate().take(self.count()) {
            replicas.insert(self.regions[region].clone(), self.replica_status(at, region, *reached, reaches));
        }
        StoreStatus { replicas }
    }

    fn replica_status(
        &mut self,
        at: TrueTime,
        region: usize,
        reached: bool,
        reaches: &[bool],
    ) -> ReplicaStatus {
        let unknown = |role, why: &str| {
            let lag = Lag::Unknown { why: why.to_owned() };
            ReplicaStatus { role, lag, watermark: None, backlog: None }
        };
        if !reached {
            return unknown(Role::Unreachable, "the region does not answer");
        }
        let replica = &self.replicas[region];
        if !replica.present {
            return unknown(Role::Absent, "there is no replica");
        }
        let role = if replica.writer { Role::Writer } else { Role::Replica };
        let old = |sample: &Sample| at.since(sample.at) >= self.settings.metric_period;
        if self.samples[region].as_ref().is_none_or(old) {
            self.samples[region] = Some(self.measure(at, region, reaches));
        }
        let Some(sample) = &self.samples[region] else { return unknown(role, "there is no measurement") };
        let lag = match sample.lag {
            Some(lag) => Lag::Known { lag, age: at.since(sample.at) },
            None => Lag::Unknown { why: sample.why.to_owned() },
        };
        ReplicaStatus { role, lag, watermark: sample.watermark.map(TrueTime::wall), backlog: sample.backlog }
    }

    fn measure(&self, at: TrueTime, region: usize, reaches: &[bool]) -> Sample {
        if self.ordered() {
            self.measure_ordered(at, region, reaches)
        } else {
            self.measure_items(at, region, reaches)
        }
    }

    /// A log position says what is there; the source's heartbeats travel in the log, so it grows without writes too.
    fn measure_ordered(&self, at: TrueTime, region: usize, reaches: &[bool]) -> Sample {
        let replica = &self.replicas[region];
        let nothing =
            Sample { at, lag: None, watermark: None, backlog: None, why: "it follows no other replica" };
        let Some(source) = replica.follows else {
            let (lag, watermark) = (replica.writer.then_some(Duration::ZERO), replica.writer.then_some(at));
            return Sample { lag, watermark, backlog: replica.writer.then_some(0), ..nothing };
        };
        let pipe = self.pipe(source, region);
        let heard = pipe.closed_since.unwrap_or(at).before(self.settings.lag.least);
        let first = pipe.queue.first().and_then(|(_, id)| self.change(*id));
        let watermark = match first {
            Some(change) => heard.min(change.at.before(Duration::from_nanos(1))),
            None => heard,
        };
        let watermark = Some(watermark);
        // How far it is behind can only be said against what the source has.
        if !reaches.get(source).copied().unwrap_or(false) {
            return Sample { watermark, why: "the region that it follows does not answer", ..nothing };
        }
        Sample {
            lag: watermark.map(|mark| at.since(mark)),
            watermark,
            backlog: Some(pipe.queue.len() as u64),
            ..nothing
        }
    }

    /// Nobody knows what has not arrived: the regions that write say how old their oldest change is that is still on
    /// its way, those that do not answer say nothing, and where nothing was written there is no sample.
    fn measure_items(&self, at: TrueTime, region: usize, reaches: &[bool]) -> Sample {
        let none = |why| Sample { at, lag: None, watermark: None, backlog: None, why };
        let others = (0..self.count()).filter(|other| *other != region && self.replicas[*other].present);
        let mut lag = Duration::ZERO;
        let mut missing = 0;
        for other in others {
            if !reaches.get(other).copied().unwrap_or(false) {
                return none("a region that may have written does not answer");
            }
            let queue = &self.pipe(other, region).queue;
            missing += queue.len() as u64;
            let oldest = queue.iter().filter_map(|(_, id)| self.change(*id)).map(|change| change.at).min();
            lag = lag.max(oldest.map_or(Duration::ZERO, |oldest| at.since(oldest)));
        }
        let newest = self.changes.last().map(|change| change.at);
        if missing == 0 && newest.is_none_or(|newest| at.since(newest) > QUIET) {
            return none("nothing was written lately, so there is no sample");
        }
        let backlog = self.settings.provable.then_some(missing);
        Sample { lag: Some(lag), backlog, ..none("") }
    }

    /// Whether everything that one region accepted is in another.
    pub(crate) fn drained(&mut self, at: TrueTime, barrier: &Barrier, reaches: &[bool]) -> Result<Drained> {
        self.settle(at);
        let from = self.region("drained", &barrier.from)?;
        let to = self.region("drained", &barrier.to)?;
        for region in [from, to] {
            if !reaches.get(region).copied().unwrap_or(false) {
                return Err(Error::new(ErrorKind::Unavailable, "drained", "the region does not answer")
                    .on(&self.name)
                    .in_region(&self.regions[region]));
            }
        }
        let missing = self.missing(from, to);
        if self.ordered() {
            let position = self.replicas[from].log.len();
            return Ok(match missing {
                0 => Drained::Proven { how: format!("log position {position}") },
                remaining => Drained::NotYet { remaining: Some(remaining) },
            });
        }
        if !self.settings.provable {
            let why = "items replicate one by one, and the replicas cannot be compared".to_owned();
            return Ok(Drained::CannotProve { why });
        }
        Ok(match missing {
            0 => Drained::Proven { how: format!("{} keys compared", self.key_count()) },
            remaining => Drained::NotYet { remaining: Some(remaining) },
        })
    }

    /// How many changes of one replica another lacks. Ordered: how much of its log; else how many keys show something
    /// older there.
    fn missing(&self, from: usize, to: usize) -> u64 {
        if self.ordered() {
            let (source, target) = (&self.replicas[from].log, &self.replicas[to].log);
            let common = source.iter().zip(target).take_while(|(one, other)| one == other).count();
            return (source.len() - common) as u64;
        }
        let older = |key: &u32| match (self.shown(from, *key), self.shown(to, *key)) {
            (Some((_, ours)), Some((_, theirs))) => (theirs.stamp, theirs.origin) < (ours.stamp, ours.origin),
            (Some(_), None) => true,
            (None, _) => false,
        };
        (0..self.key_count() as u32).filter(older).count() as u64
    }
}
