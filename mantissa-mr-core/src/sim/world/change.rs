//! How faults change a world.

use super::World;
use crate::sim::clock::TrueTime;
use crate::sim::fault::{Fault, RegionState};
use crate::sim::place::At;

pub(super) fn apply(world: &mut World, at: TrueTime, fault: &Fault) {
    match fault {
        Fault::Region { region, state } => {
            if let Some(number) = world.places.region(region) {
                world.regions[number] = *state;
            }
        }
        Fault::Looks { region, fitness } => {
            if let Some(number) = world.places.region(region) {
                world.looks[number].fixed = *fitness;
            }
        }
        Fault::Flap { region, turn } => {
            if let Some(number) = world.places.region(region) {
                world.looks[number].turn = *turn;
            }
        }
        Fault::Witness { up } => world.witness_up = *up,
        Fault::Cut { from, to } => {
            if let (Some(from), Some(to)) = (world.places.find(from), world.places.find(to)) {
                world.network.cut(from, to);
            }
        }
        Fault::Mend { from, to } => {
            if let (Some(from), Some(to)) = (world.places.find(from), world.places.find(to)) {
                world.network.mend(from, to);
            }
        }
        Fault::Weather { weather } => world.network.set_weather(*weather),
        Fault::Heal => heal(world, at),
        resource => apply_to_resource(world, at, resource),
    }
    reopen(world, at);
}

fn apply_to_resource(world: &mut World, at: TrueTime, fault: &Fault) {
    match fault {
        Fault::Replication { store, runs } => {
            if let Some(data) = world.stores.get_mut(store) {
                data.paused = !runs;
            }
        }
        Fault::ForeignShift { router, weights } => {
            if let Some(router) = world.routers.get_mut(router) {
                router.set(at, weights.clone());
            }
        }
        Fault::ControlPlane { router, up } => {
            if let Some(router) = world.routers.get_mut(router) {
                router.control_plane_up = *up;
            }
        }
        Fault::Quota { scaler, region, quota } => {
            if let (Some(number), Some(scaler)) = (world.places.region(region), world.scalers.get_mut(scaler))
            {
                scaler.set_quota(number, *quota);
            }
        }
        Fault::Stock { scaler, region, stock } => {
            if let (Some(number), Some(scaler)) = (world.places.region(region), world.scalers.get_mut(scaler))
            {
                scaler.set_stock(number, *stock);
            }
        }
        Fault::Veto { point, reason: Some(reason) } => {
            world.vetoes.insert(*point, reason.clone());
        }
        Fault::Veto { point, reason: None } => {
            world.vetoes.remove(point);
        }
        _ => {}
    }
}

fn heal(world: &mut World, _at: TrueTime) {
    world.regions.fill(RegionState::Up);
    for looks in &mut world.looks {
        *looks = super::Looks { fixed: None, turn: std::time::Duration::ZERO };
    }
    world.witness_up = true;
    world.network.mend_all();
    world.network.set_weather(super::Weather::CALM);
    world.cells.troubles = super::CellTroubles::default();
    world.climate.refusals = super::Rate::NEVER;
    for data in world.stores.values_mut() {
        data.paused = false;
    }
    for router in world.routers.values_mut() {
        router.control_plane_up = true;
    }
    for scaler in world.scalers.values_mut() {
        let full = scaler.full;
        scaler.heal(full);
    }
    world.vetoes.clear();
}

/// Opens and closes the ways between replicas as regions and links now are.
fn reopen(world: &mut World, at: TrueTime) {
    let count = world.places.regions();
    for data in world.stores.values_mut() {
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            let up = world.regions[from].works() && world.regions[to].works();
            let open = from == to || (up && world.network.open(At(from), At(to)));
            data.set_open(at, from, to, open);
        }
    }
}
