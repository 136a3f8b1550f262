//! Proof that a region's writes have arrived: every item of `from`, key and content, is found in `to`.
//!
//! Items replicate one by one, so no marker and no lag metric proves anything about the others; only looking at all of
//! them does. When the comparison is called for, no gate is open in `from`: what is read there is final, and what was
//! once seen to have arrived need not be looked at again. A comparison goes on from call to call (each does as much as
//! its time allows), so a table that takes minutes to read is no problem of deadlines. Up to `compare-limit` items are
//! compared, at about 200 bytes of memory each.
//!
//! Reads are strongly consistent in each region. An item that is only in `to` counts as missing as well: it may be a
//! delete that has not arrived. Where other regions go on writing (active-active) such an item may as well be one of
//! their new ones; it is then looked at again in both regions until they agree.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Barrier, Drained, Key};
use tokio::time::Instant;

use super::item::{self, Fingerprint};
use super::scan::Segment;
use super::{GlobalTable, canary, understood};
use crate::error::ApiCall;
use crate::table;

/// How many parts of a table are read at the same time.
const SEGMENTS: i32 = 4;
/// How many items are looked at again at the same time.
const AGAIN: usize = 16;

/// A comparison that is under way.
#[derive(Debug)]
pub(super) struct Comparison {
    barrier: Barrier,
    from: Vec<Segment>,
    to: Vec<Segment>,
    /// Items of `from` that were not yet seen in `to`.
    missing: BTreeMap<Key, Fingerprint>,
    /// Items that were seen only in `to`.
    surplus: BTreeSet<Key>,
    items: u64,
}

/// Which side of the comparison is read.
#[derive(Clone, Copy, Debug)]
enum Side {
    From,
    To,
}

impl Comparison {
    fn new(barrier: Barrier) -> Self {
        let (missing, surplus) = (BTreeMap::new(), BTreeSet::new());
        let (from, to) = (Segment::parts(SEGMENTS), Segment::parts(SEGMENTS));
        Self { barrier, from, to, missing, surplus, items: 0 }
    }

    /// The side that is to be read next; none when both are read. All of `from` comes first.
    fn unread(&self) -> Option<Side> {
        let read = |segments: &[Segment]| segments.iter().all(Segment::is_done);
        match (read(&self.from), read(&self.to)) {
            (false, _) => Some(Side::From),
            (true, false) => Some(Side::To),
            (true, true) => None,
        }
    }

    fn region(&self, side: Side) -> &Region {
        match side {
            Side::From => &self.barrier.from,
            Side::To => &self.barrier.to,
        }
    }

    /// Takes in what was read of one part.
    fn take(&mut self, side: Side, segment: Segment, items: Vec<(Key, Fingerprint)>) {
        for (key, content) in items {
            match side {
                Side::From => {
                    self.items += 1;
                    self.missing.insert(key, content);
                }
                Side::To => self.seen(key, content),
            }
        }
        let segments = match side {
            Side::From => &mut self.from,
            Side::To => &mut self.to,
        };
        if let Some(place) = segments.iter_mut().find(|place| place.is_same_part(&segment)) {
            *place = segment;
        }
    }

    fn seen(&mut self, key: Key, content: Fingerprint) {
        match self.missing.get(&key) {
            Some(wanted) if *wanted == content => {
                self.missing.remove(&key);
            }
            Some(_) => {}
            // Either only in `to`, or a part of `to` was read twice: a second look tells.
            None => {
                self.surplus.insert(key);
            }
        }
    }

    fn differing(&self) -> Vec<Key> {
        self.missing.keys().chain(&self.surplus).cloned().collect()
    }

    fn agreed(&mut self, key: &Key) {
        self.missing.remove(key);
        self.surplus.remove(key);
    }

    fn answer(&self) -> Drained {
        if self.unread().is_some() {
            return Drained::NotYet { remaining: None };
        }
        match self.missing.len() + self.surplus.len() {
            0 => {
                let Barrier { from, to, .. } = &self.barrier;
                Drained::Proven {
                    how: format!("compared all {} items of {from} with {to}, key and content", self.items),
                }
            }
            remaining => Drained::NotYet { remaining: u64::try_from(remaining).ok() },
        }
    }
}

impl GlobalTable {
    /// Goes on with the comparison for this barrier, for as long as one call may take.
    pub(super) async fn compare(&self, barrier: &Barrier) -> Result<Drained> {
        let until = Instant::now() + self.budget;
        let mut slot = self.comparison.lock().await;
        if slot.as_ref().is_none_or(|running| running.barrier != *barrier) {
            if let Some(why) = self.too_many(&barrier.from).await? {
                return Ok(Drained::CannotProve { why });
            }
            *slot = None;
        }
        let running = slot.get_or_insert_with(|| Comparison::new(barrier.clone()));
        while let Some(side) = running.unread() {
            if Instant::now() >= until {
                return Ok(running.answer());
            }
            self.read_on(running, side).await?;
            if running.items > self.compare_limit {
                let why = self.above_limit(running.items);
                *slot = None;
                return Ok(Drained::CannotProve { why });
            }
        }
        self.look_again(running, until).await?;
        Ok(running.answer())
    }

    /// Reads the next page of every part that has one.
    async fn read_on(&self, running: &mut Comparison, side: Side) -> Result<()> {
        let region = running.region(side);
        let segments = match side {
            Side::From => &running.from,
            Side::To => &running.to,
        };
        let unfinished = segments.iter().filter(|segment| !segment.is_done());
        let pages = try_join_all(unfinished.map(|segment| self.fingerprints(region, segment))).await?;
        for (segment, items) in pages {
            running.take(side, segment, items);
        }
        Ok(())
    }

    /// One page of a part: each item's key and fingerprint, and where the next page begins.
    async fn fingerprints(
        &self,
        region: &Region,
        segment: &Segment,
    ) -> Result<(Segment, Vec<(Key, Fingerprint)>)> {
        let call = ApiCall::read("Scan", &self.table, region);
        let keys = self.keys(region).await?;
        let (attributes, rest) = self.scan(region, segment, None).await?;
        let mut items = Vec::new();
        for attributes in attributes {
            let key = understood(call, item::key_of(&attributes, keys))?;
            if !canary::is_canary(&key) {
                items.push((key, understood(call, item::fingerprint(&attributes))?));
            }
        }
        Ok((rest, items))
    }

    /// Reads what differed once more, in both regions.
    async fn look_again(&self, running: &mut Comparison, until: Instant) -> Result<()> {
        for keys in running.differing().chunks(AGAIN) {
            if Instant::now() >= until {
                return Ok(());
            }
            let looks = keys.iter().map(|key| self.agree(&running.barrier, key));
            for (key, agree) in keys.iter().zip(try_join_all(looks).await?) {
                if agree {
                    running.agreed(key);
                }
            }
        }
        Ok(())
    }

    /// Whether both regions have the same item, or neither has it.
    async fn agree(&self, barrier: &Barrier, key: &Key) -> Result<bool> {
        let content = async |region: &Region| match self.read(region, key).await? {
            None => Ok(None),
            Some(attributes) => {
                let call = ApiCall::read("GetItem", &self.table, region);
                understood(call, item::fingerprint(&attributes)).map(Some)
            }
        };
        Ok(content(&barrier.from).await? == content(&barrier.to).await?)
    }

    /// Why the table is too large to compare, if the service's own count (up to six hours old) says so.
    async fn too_many(&self, region: &Region) -> Result<Option<String>> {
        let client = &self.clients(region)?.dynamodb_reads;
        let Some(table) = table::describe(client, region, &self.table).await? else {
            let call = ApiCall::read("DescribeTable", &self.table, region);
            return Err(call.error(ErrorKind::NotFound, "the table is not in this region"));
        };
        let items = table.item_count().and_then(|items| u64::try_from(items).ok()).unwrap_or_default();
        Ok((items > self.compare_limit).then(|| self.above_limit(items)))
    }

    fn above_limit(&self, items: u64) -> String {
        format!(
            "{} has more than {} items ({items} were seen), the most that are compared: raise `compare-limit` (about \
             200 bytes of memory an item), or accept that it is not proven",
            self.table, self.compare_limit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mantissa_mr_core::ledger::Epoch;
    use mantissa_mr_core::name::ExecutionId;

    fn comparison(from: &[(&str, u8)], to: &[(&str, u8)]) -> Comparison {
        let region = |name| Region::new(name).unwrap();
        let barrier = Barrier {
            execution: ExecutionId::new("e").unwrap(),
            epoch: Epoch(1),
            from: region("a"),
            to: region("b"),
        };
        let mut comparison = Comparison::new(barrier);
        for (side, items) in [(Side::From, from), (Side::To, to)] {
            let items = items.iter().map(|(key, content)| (Key::new(*key), [*content; 32]));
            let mut parts = Segment::parts(SEGMENTS).into_iter();
            comparison.take(side, parts.next().unwrap().finished(), items.collect());
            parts.for_each(|part| comparison.take(side, part.finished(), Vec::new()));
        }
        comparison
    }

    #[test]
    fn nothing_is_proven_before_both_sides_were_read_to_the_end() {
        let mut half = comparison(&[], &[]);
        half.to = Segment::parts(SEGMENTS);
        assert_eq!(half.answer(), Drained::NotYet { remaining: None });
    }

    #[test]
    fn every_difference_counts_missing_changed_and_surplus() {
        let same = [("x", 1), ("y", 2)];
        assert!(matches!(comparison(&same, &same).answer(), Drained::Proven { .. }));
        for to in [&[("x", 1)][..], &[("x", 1), ("y", 3)], &[("x", 1), ("y", 2), ("z", 1)]] {
            let mut different = comparison(&same, to);
            assert_eq!(different.answer(), Drained::NotYet { remaining: Some(1) }, "{to:?}");
            let keys = different.differing();
            different.agreed(&keys[0]);
            assert!(matches!(different.answer(), Drained::Proven { .. }), "{to:?}");
        }
    }
}
