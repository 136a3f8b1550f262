//! The rules that hold always, as far as the model goes.

use super::state::{State, Wrong};
use super::world::World;
use crate::ledger::Ledger;

/// Rule 1: at most one region could acknowledge a write now.
pub(super) fn of_gates(world: &World, state: &State) -> Option<Wrong> {
    let regions = 0..world.setup.regions.len();
    let serving = regions.filter(|region| world.services.serves(&world.setup, state, *region));
    (serving.count() > 1).then_some(Wrong::TwoOpen)
}

/// The rules about one change of the ledger.
pub(super) fn of_change(world: &World, state: &State, before: u32, after: u32) -> Option<Wrong> {
    let (old, new) = (&world.setup.ledgers.get(before).ledger, &world.setup.ledgers.get(after).ledger);
    let admits = new
        .admissions
        .iter()
        .find(|(region, _)| old.admitted(region).is_none() && new.admitted(region).is_some());
    if let Some(wrong) = of_records(old, new) {
        return Some(wrong);
    }
    let (region, _) = admits?;
    let others = world.setup.regions.iter().enumerate().filter(|(_, other)| *other != region);
    for (index, _) in others {
        if world.services.serves(&world.setup, state, index) {
            return Some(Wrong::OpenedTooEarly);
        }
    }
    (state.store.behind && *region == world.setup.plan.to).then_some(Wrong::Lost)
}

/// Rule 4: epochs and terms only grow, by one change after the other.
fn of_records(old: &Ledger, new: &Ledger) -> Option<Wrong> {
    if new.lease.term < old.lease.term || new.epoch() < old.epoch() || new.journal.slots < old.journal.slots {
        return Some(Wrong::WentBack);
    }
    if new.lease.term == old.lease.term && new.lease.holder != old.lease.holder {
        return Some(Wrong::TwoHolders);
    }
    for (region, admission) in &new.admissions {
        let was = &old.admissions[region];
        if admission.epoch < was.epoch {
            return Some(Wrong::WentBack);
        }
        let admitted = new.admitted(region).is_some() && old.admitted(region).is_none();
        if admitted && admission.epoch <= old.epoch() {
            return Some(Wrong::EpochKept);
        }
    }
    (new.active().count() > 1).then_some(Wrong::TwoActive)
}
