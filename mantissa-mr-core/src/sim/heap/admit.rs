//! Sees in the ledgers which regions may serve, and measures at that very moment what they lack.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Simulation;
use crate::cell::CellName;
use crate::ledger::Epoch;
use crate::name::{GroupName, Region, ResourceName};
use crate::sim::history::What;
use crate::sim::oracle::{Sight, sight};
use crate::store::Key;
use crate::traffic::Weights;

/// What was last seen in each ledger.
#[derive(Debug, Default)]
pub(super) struct Admissions(BTreeMap<CellName, Seen>);

#[derive(Debug, Default)]
struct Seen {
    group: Option<GroupName>,
    text: Vec<u8>,
    admitted: BTreeMap<Region, u64>,
}

#[derive(Deserialize)]
struct LedgerView {
    group: GroupName,
    admissions: BTreeMap<Region, AdmissionView>,
}

#[derive(Deserialize)]
struct AdmissionView {
    epoch: u64,
    state: serde_json::Value,
}

impl Simulation {
    /// Looks at a cell that was stored.
    pub(super) fn admit(&mut self, cell: &CellName, value: &[u8]) {
        if !cell.as_str().ends_with("/ledger") {
            return;
        }
        let seen = self.admissions.0.entry(cell.clone()).or_default();
        let text = admissions_text(value);
        if seen.text == text {
            return;
        }
        seen.text = text.to_vec();
        let Ok(view) = serde_json::from_slice::<LedgerView>(value) else { return };
        let admitted: BTreeMap<Region, u64> = view
            .admissions
            .into_iter()
            .filter(|(_, admission)| admission.state == "active")
            .map(|(region, admission)| (region, admission.epoch))
            .collect();
        seen.group = Some(view.group.clone());
        let before = std::mem::replace(&mut seen.admitted, admitted.clone());
        for (region, epoch) in admitted {
            if before.get(&region) != Some(&epoch) {
                let missing = self.lacks(&view.group, &region, Sight::Missing);
                let (group, epoch) = (view.group.clone(), Epoch(epoch));
                self.record(What::Admitted { group, region, epoch, missing });
            }
        }
    }

    /// Looks in every region that may serve for every write that was acknowledged.
    pub fn audit(&mut self) {
        let seen: Vec<(GroupName, Region)> = self
            .admissions
            .0
            .values()
            .filter_map(|seen| Some((seen.group.clone()?, &seen.admitted)))
            .flat_map(|(group, admitted)| admitted.keys().map(move |region| (group.clone(), region.clone())))
            .collect();
        for (group, region) in seen {
            let missing = self.lacks(&group, &region, Sight::Missing);
            let overtaken = self.lacks(&group, &region, Sight::Overtaken);
            let overtaken = overtaken.into_iter().filter_map(|number| Some((number, self.key_of(number)?)));
            let overtaken = overtaken.collect();
            let (writers, weights) = self.resources_of(&group);
            self.record(What::Audited { group, region, missing, overtaken, writers, weights });
        }
    }

    fn key_of(&self, write: u32) -> Option<Key> {
        let write = self.history.book.writes.get(write as usize)?;
        self.world.data(&write.store)?.key_name(write.key).cloned()
    }

    /// Who takes writes of a group, and where its clients are sent.
    fn resources_of(
        &self,
        group: &GroupName,
    ) -> (BTreeMap<ResourceName, Vec<Region>>, BTreeMap<ResourceName, Weights>) {
        let deployment = self.history.deployment.clone();
        let Some(spec) = deployment.group(group) else { return Default::default() };
        let ordered = spec
            .stores
            .iter()
            .filter(|store| self.world.data(&store.name).is_some_and(|data| data.ordered()));
        let writers = ordered.map(|store| (store.name.clone(), self.world.writers(&store.name)));
        let weights = spec
            .routers
            .iter()
            .filter_map(|router| Some((router.name.clone(), self.world.weights(&router.name)?.clone())));
        (writers.collect(), weights.collect())
    }

    /// The writes of a group, acknowledged by now, of which a region's replicas show this.
    pub(super) fn lacks(&mut self, group: &GroupName, region: &Region, what: Sight) -> Vec<u32> {
        let now = self.now;
        let Some(number) = self.world.places.region(region) else { return Vec::new() };
        for store in self.world.store_names().cloned().collect::<Vec<_>>() {
            if let Some(data) = self.world.data_mut(&store) {
                data.settle(now);
            }
        }
        let lacks = |write: &crate::sim::writers::Write| {
            write.group == *group
                && self.world.data(&write.store).is_some_and(|data| sight(data, number, write) == what)
        };
        self.history.book.acknowledged().filter(|(_, write)| lacks(write)).map(|(number, _)| number).collect()
    }
}

/// The part of a ledger's text that says who may serve; most changes of a ledger leave it as it is.
fn admissions_text(value: &[u8]) -> &[u8] {
    let find = |needle: &[u8]| value.windows(needle.len()).position(|window| window == needle);
    match (find(b"\"admissions\""), find(b"\"lease\"")) {
        (Some(begin), Some(end)) if begin < end => &value[begin..end],
        _ => value,
    }
}
