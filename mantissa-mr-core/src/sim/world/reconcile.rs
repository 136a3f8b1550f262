//! Late writes in a simulated store in which the last writer wins: each replica remembers what took the place of a newer
//! epoch's item, as the streams and version histories of real ones do.

use std::collections::BTreeMap;

use super::data::{Change, ChangeId, DataSet};
use crate::error::{ErrorKind, Result};
use crate::sim::clock::TrueTime;
use crate::store::{Cursor, Overtaken, Reconciled, Reconciliation};

/// Something overtaken: where it was found, by what, and what it was.
type Found = (usize, ChangeId, ChangeId);

impl DataSet {
    /// Looks through the histories of the replicas that answer, and puts back what late writes took the place of.
    pub(crate) fn reconcile(
        &mut self,
        at: TrueTime,
        serving: usize,
        after: Option<&Cursor>,
        reaches: &[bool],
    ) -> Result<Reconciled> {
        self.settle(at);
        if self.ordered() {
            let message = "it refuses the writes of older epochs: there is nothing to reconcile";
            return Err(self.error_in(serving, ErrorKind::Unsupported, "reconcile", message));
        }
        self.present(serving, "reconcile")?;
        let answers = |region: usize| reaches.get(region).copied().unwrap_or(false);
        if !answers(serving) {
            let message = "the region that serves does not answer";
            return Err(self.error_in(serving, ErrorKind::Unavailable, "reconcile", message));
        }
        let mut positions = self.positions(serving, after)?;
        let mut found: BTreeMap<u32, Found> = BTreeMap::new();
        let mut unread = Vec::new();
        for (region, position) in positions.iter_mut().enumerate() {
            let replica = &self.replicas[region];
            if !answers(region) {
                unread.push(self.regions[region].clone());
                continue;
            }
            for (late, over) in replica.overtaken.get(*position..).unwrap_or_default() {
                let (Some(change), Some(key)) = (self.change(*over), self.change(*late).map(|late| late.key))
                else {
                    continue;
                };
                let newest = found.get(&key).and_then(|(_, _, over)| self.change(*over));
                if newest.is_none_or(|newest| order(change) > order(newest)) {
                    found.insert(key, (region, *late, *over));
                }
            }
            *position = replica.overtaken.len();
        }
        let overtaken = found.into_iter().filter_map(|(key, found)| self.put_back(at, serving, key, found));
        let overtaken = overtaken.collect();
        let positions: Vec<String> = positions.iter().map(usize::to_string).collect();
        Ok(Reconciled { overtaken, cursor: Some(Cursor(positions.join(","))), unread })
    }

    /// How far each replica's history has been looked through.
    fn positions(&self, serving: usize, after: Option<&Cursor>) -> Result<Vec<usize>> {
        let Some(Cursor(text)) = after else { return Ok(vec![0; self.count()]) };
        let positions: Option<Vec<usize>> = text.split(',').map(|part| part.parse().ok()).collect();
        positions.filter(|positions| positions.len() == self.count()).ok_or_else(|| {
            let message = "the cursor is not one of this store's";
            self.error_in(serving, ErrorKind::InvalidInput, "reconcile", message)
        })
    }

    /// Puts an item back in the region that serves, unless that shows it, or something of its epoch or later.
    fn put_back(
        &mut self,
        at: TrueTime,
        serving: usize,
        key: u32,
        (region, late, over): Found,
    ) -> Option<Overtaken> {
        let (late, over) = (self.change(late)?.clone(), self.original(over));
        let change = self.change(over)?.clone();
        let (id, shown) = self.shown(serving, key)?;
        if self.original(id) == over {
            return None;
        }
        let outcome = if shown.epoch < change.epoch {
            let id = self.accept(at, serving, key, change.value, change.epoch);
            if let Some(restored) = self.changes.get_mut(id as usize) {
                restored.restores = Some(over);
            }
            Reconciliation::Restored
        } else {
            Reconciliation::Rewritten
        };
        Some(Overtaken {
            key: self.key_name(key)?.clone(),
            found_in: self.regions[region].clone(),
            late: late.epoch?,
            newer: change.epoch?,
            outcome,
        })
    }

    /// The change whose content a change shows.
    pub(crate) fn original(&self, id: ChangeId) -> ChangeId {
        self.change(id).and_then(|change| change.restores).unwrap_or(id)
    }
}

/// Which of two changes to one item is the newer one.
fn order(change: &Change) -> (Option<crate::ledger::Epoch>, u64) {
    (change.epoch, change.stamp)
}
