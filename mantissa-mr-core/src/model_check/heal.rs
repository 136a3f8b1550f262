//! Rule 5: from every state the move can be ended, by whoever is left. Nothing goes wrong any more; whoever holds the lease
//! goes on if it is alive, else one of the others takes over.

use std::cell::RefCell;

use super::explore::fingerprint;
use super::state::{Letter, Service, State, What};
use super::table::Fingerprints;
use super::world::World;

/// So many ticks are enough for a take-over, an open call to be waited out, a seal, and what follows.
const PATIENCE: u8 = 40;

/// The states that are known to end well, gates left aside.
#[derive(Debug, Default)]
pub(super) struct Healed(RefCell<Fingerprints>);

impl Healed {
    /// What keeps the move from its end, if something does.
    pub(super) fn fault(&self, world: &World, state: &State) -> Option<String> {
        let mut state = State { ticks: 0, early: None, services: Default::default(), ..state.clone() };
        state.store.behind = false;
        (state.left.take_overs, state.left.crashes) = (u8::MAX, 0);
        loop {
            // Whether it has been this way before; the time is part of the clocks.
            let known = State { ticks: 0, ..state.clone() };
            if ended(world, &state) || !self.0.borrow_mut().insert(fingerprint(&known)) {
                return None;
            }
            match step(world, &state) {
                Some(next) => state = world.normal(next),
                None if state.ticks == PATIENCE => {
                    return Some("rule 5: a move has no end, though nothing goes wrong any more".to_owned());
                }
                None => {
                    state = world.tick(&state, None);
                    state.services = std::array::from_fn(|_| Service::default());
                }
            }
        }
    }
}

fn ended(world: &World, state: &State) -> bool {
    let ledger = &world.setup.ledgers.get(state.ledger.1).ledger;
    ledger.ended.is_some() && ledger.execution.is_none() && ledger.active().count() == 1
}

/// The next thing that can be done, in a fixed order.
fn step(world: &World, state: &State) -> Option<State> {
    let answered = |letter: &Letter| letter.answer.is_some();
    if let Some(index) = state.letters.iter().position(answered) {
        return world.reply(state, index);
    }
    if let Some(index) = state.letters.iter().position(|letter| world.can_land(state, letter)) {
        return world.land(state, index, false);
    }
    // A call that was lost: whoever made it has waited long enough.
    let lost = |letter: &Letter| letter.live && matches!(letter.what, What::Call { .. });
    if let Some(index) = state.letters.iter().position(lost) {
        return world.give_up(state, index);
    }
    let regions = 0..world.setup.regions.len();
    let alive = || regions.clone().filter(|region| state.actors[*region].is_some());
    let holder = world.setup.ledgers.get(state.ledger.1).ledger.lease.holder.clone();
    let holds = |region: &usize| holder.as_ref() == Some(&world.setup.actor(*region));
    let acts = alive().find(holds).or_else(|| alive().next())?;
    world.wake(state, acts, false)
}
