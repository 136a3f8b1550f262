//! What a simulated store says of its replication: sometimes old, sometimes nothing, never more than it can know.

use std::collections::BTreeMap;
use std::time::Duration;

use super::data::{DataSet, Line, Stamp};
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
        let key = (barrier.execution.clone(), from, to);
        let line = self.lines.remove(&key).unwrap_or_else(|| self.draw_line(from, to));
        let (line, missing) = self.behind(line, from, to);
        self.lines.insert(key, line);
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

    /// What another replica must get before it has all that this one has now.
    fn draw_line(&self, from: usize, to: usize) -> Line {
        if self.ordered() {
            return Line::Position(self.replicas[from].log.len());
        }
        let lacks = |key: u32| {
            let (_, ours) = self.shown(from, key)?;
            let wanted = (ours.stamp, ours.origin);
            (!self.shows_as_new(to, key, wanted)).then_some((key, wanted))
        };
        Line::Items((0..self.key_count() as u32).filter_map(lacks).collect())
    }

    /// What is left of a line, and how many changes that are. Ordered: of the log up to there; else keys that still show
    /// something older.
    fn behind(&self, line: Line, from: usize, to: usize) -> (Line, u64) {
        match line {
            Line::Position(position) => {
                let (source, target) = (&self.replicas[from].log, &self.replicas[to].log);
                let common = source.iter().zip(target).take_while(|(one, other)| one == other).count();
                (Line::Position(position), position.saturating_sub(common) as u64)
            }
            Line::Items(mut items) => {
                items.retain(|key, wanted| !self.shows_as_new(to, *key, *wanted));
                let missing = items.len() as u64;
                (Line::Items(items), missing)
            }
        }
    }

    /// Whether a key shows, in a region, something at least as new.
    fn shows_as_new(&self, region: usize, key: u32, wanted: Stamp) -> bool {
        self.shown(region, key).is_some_and(|(_, theirs)| (theirs.stamp, theirs.origin) >= wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Epoch;
    use crate::name::{ExecutionId, Region, ResourceName};
    use crate::sim::random::{Random, Spread};
    use crate::sim::world::data::StoreSettings;
    use crate::store::{Key, Replication};

    fn data(replication: Replication) -> DataSet {
        let second = Spread::exactly(Duration::from_secs(1));
        let settings = StoreSettings {
            replication,
            lag: second,
            promotion: second,
            flushes: false,
            provable: true,
            fence_delay: Duration::ZERO,
            metric_period: Duration::ZERO,
            replicated: true,
        };
        let regions = ["east", "west"].map(|name| Region::new(name).unwrap()).to_vec();
        DataSet::new(&ResourceName::new("state").unwrap(), settings, regions, 0, Random::new(1, "test"))
    }

    #[test]
    fn a_drain_ends_although_the_source_goes_on_writing() {
        // A region rejoins beside others that never stop: what they had at the first question is what must arrive.
        for replication in [Replication::Ordered, Replication::ItemByItem] {
            let mut data = data(replication);
            let barrier = Barrier {
                execution: ExecutionId::new("rejoin-1").unwrap(),
                epoch: Epoch(1),
                from: Region::new("east").unwrap(),
                to: Region::new("west").unwrap(),
            };
            let mut answers = Vec::new();
            for tenth in 0..20 {
                let at = TrueTime::from_nanos(tenth * 100_000_000);
                // The same key over and over, and a new one each time.
                let (shared, own) = (data.key(&Key::new("shared")), data.new_key(Key::new("own")));
                data.write(at, 0, shared, Vec::new(), None).unwrap();
                data.write(at, 0, own, Vec::new(), None).unwrap();
                answers.push(data.drained(at, &barrier, &[true, true]).unwrap());
            }
            let proven = answers.iter().position(|answer| matches!(answer, Drained::Proven { .. }));
            assert_eq!(proven, Some(10), "{replication:?}: a second later, which is how long a change takes");
            assert_eq!(answers[9], Drained::NotYet { remaining: Some(2) });
        }
    }
}
