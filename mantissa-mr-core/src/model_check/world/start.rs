//! Where the model begins.

use super::{Action, World};
use crate::model_check::actor::Actor;
use crate::model_check::explore::Model;
use crate::model_check::setup::{FROM, MOST, TO};
use crate::model_check::state::{Letter, Service, State, Store};
use crate::model_check::trace;

impl World {
    /// The move has just begun, and everybody knows what the ledger says.
    pub(super) fn begun(&self) -> State {
        let setup = &self.setup;
        let ledger = (0, setup.number(setup.begun()));
        let (leader, slot) = Actor::leading(TO, setup, ledger);
        let slot = self.slots.number(format!("{slot:?}"), slot);
        let mut actors = [None; MOST];
        for (region, actor) in actors.iter_mut().enumerate().take(setup.regions.len()) {
            let now = setup.now(region, 0).moment;
            let begins =
                if region == TO { leader.clone() } else { Actor::following(region, setup, ledger, now) };
            *actor = Some(self.number(begins, now));
        }
        let service = |region| match region < setup.regions.len() {
            true => self.services.start(setup, region, ledger.1, 0),
            false => Service::default(),
        };
        State {
            ticks: 0,
            left: setup.bounds.faults,
            clocks: [0; MOST],
            ledger,
            journal: self.journal(vec![slot]),
            store: Store { writer: u8::try_from(FROM).unwrap(), behind: false, acted: 1 },
            services: std::array::from_fn(service),
            actors,
            letters: Vec::new(),
            early: None,
            wrong: None,
        }
    }

    /// Everything up to the drain is done, nothing went wrong, and time begins anew: only the promotion is left, and what
    /// comes after it.
    pub(super) fn drained(&self, begun: &State) -> State {
        let mut state = begun.clone();
        let intends = |state: &State| {
            let about = |letter: &Letter| trace::letter(self, letter).contains("intended");
            state.letters.iter().any(about)
        };
        let mut actions = Vec::new();
        while !intends(&state) {
            actions.clear();
            self.actions(&State { ticks: 0, ..state.clone() }, &mut actions);
            // Only what the leader does, as soon as it can be done; and time, where nothing else is left.
            let wanted = |action: &&Action| match action {
                Action::Land { later, .. } => !later,
                Action::Wake { region, later } => *region == TO && !later,
                _ => false,
            };
            let tick = Action::Tick { slow: None };
            let candidates = actions.iter().filter(wanted).chain([&tick]);
            state = candidates.filter_map(|action| self.next(&state, action)).next().expect("time goes on");
        }
        for region in (0..self.setup.regions.len()).filter(|region| *region != TO) {
            let now = self.setup.now(region, state.clocks[region]).moment;
            state.actors[region] =
                Some(self.number(Actor::following(region, &self.setup, state.ledger, now), now));
        }
        State { ticks: 0, ..state }
    }
}
