//! What can happen in the world, and what comes of it.

use super::actor::{Actor, Desk, Effect, Input, Seen};
use super::explore::Model;
use super::rules;
use super::seeded::Seeded;
use super::service::Services;
use super::setup::{Bounds, SLOW, Setup, TICK, TO};
use super::state::{Letter, State, What, Wrong};
use super::table::{Interner, Memo};
use crate::clock::Moment;

mod letters;
mod start;

use letters::rank_of;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Time goes on; one region's clocks may be slow.
    Tick { slow: Option<usize> },
    /// A gate reads the ledger, and gets the answer at once or later.
    Ask { region: usize, later: bool },
    /// A gate gets an answer of an earlier tick.
    Hear { region: usize },
    /// A write is permitted, made and acknowledged.
    Write { region: usize },
    /// A write is permitted, and begins.
    Begin { region: usize },
    /// The write under way is answered, and acknowledged.
    Acknowledge { region: usize },
    /// A controller looks what there is to do. If it takes the lease, that takes effect at once, and it gets the answer at
    /// once or later.
    Wake { region: usize, later: bool },
    /// A person orders it to give the move up.
    Abort { region: usize },
    /// A controller is lost.
    Crash { region: usize },
    /// What a controller sent takes effect, and it gets the answer at once or later.
    Land { letter: usize, later: bool },
    /// A controller gets an answer of an earlier tick.
    Reply { letter: usize },
    /// No answer arrives in time.
    GiveUp { letter: usize },
}

/// An actor, what it sees and is told, and when.
type Told = (u32, u8, Seen, Input);

/// The model.
#[derive(Debug)]
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) services: Services,
    pub(super) actors: Interner<Actor>,
    slots: Interner<Vec<u8>>,
    journals: Interner<Vec<u32>>,
    told: Memo<Told, (u32, Vec<Effect>)>,
    aged: Memo<(u32, usize, u8), u32>,
    starts: Vec<State>,
}

impl World {
    pub(super) fn new(bounds: Bounds, seeded: Option<Seeded>) -> Self {
        let mut world = Self {
            setup: Setup::new(bounds, seeded),
            services: Services::default(),
            actors: Interner::default(),
            slots: Interner::default(),
            journals: Interner::default(),
            told: Memo::default(),
            aged: Memo::default(),
            starts: Vec::new(),
        };
        let begun = world.begun();
        let drained = world.drained(&begun);
        world.starts = vec![begun, drained];
        world
    }

    fn number(&self, actor: Actor, now: Moment) -> u32 {
        self.actors.number(actor.key(&self.setup, now), actor)
    }

    fn journal(&self, slots: Vec<u32>) -> u32 {
        self.journals.number(format!("{slots:?}"), slots)
    }

    pub(super) fn actor(&self, state: &State, region: usize) -> Option<std::rc::Rc<Actor>> {
        state.actors[region].map(|actor| self.actors.get(actor))
    }

    /// What an actor makes of what it is told; nothing if it makes nothing of it.
    fn tell(&self, state: &State, region: usize, input: Input) -> Option<(u32, Vec<Effect>)> {
        let actor = state.actors[region]?;
        let clock = state.clocks[region];
        let (writer, behind) = (state.store.writer, state.store.behind);
        let (ledger, journal, take_over) = (state.ledger, state.journal, state.left.take_overs > 0);
        let seen = Seen { ledger, journal, writer, behind, take_over };
        let told = self.told.get(&(actor, clock, seen, input), || {
            let (journal, now) = (self.journals.get(seen.journal), self.setup.now(region, clock));
            self.actors.of(actor, |actor| {
                let (setup, slots, mut next) = (&self.setup, &self.slots, actor.clone());
                let mut desk = Desk { setup, slots, journal: &journal, now, seen, effects: Vec::new() };
                next.step(&mut desk, input);
                let effects = desk.effects;
                (self.number(next, now.moment), effects)
            })
        });
        (told.0 != actor || !told.1.is_empty()).then_some(told)
    }

    pub(super) fn follow(&self, state: &State, region: usize, input: Input) -> Option<State> {
        let (actor, effects) = self.tell(state, region, input)?;
        let mut next = state.clone();
        next.actors[region] = Some(actor);
        let from = u8::try_from(region).unwrap();
        for effect in effects {
            let what = match effect {
                Effect::Swap { expected, value, .. } => What::Swap { expected, value },
                Effect::Slot { number, value, .. } => What::Slot { number, value },
                Effect::Call { term, within } => {
                    next.store.acted = next.store.acted.max(term);
                    What::Call { term, until: next.clocks[region] + within }
                }
                Effect::Drained => {
                    next.store.behind = false;
                    continue;
                }
                Effect::Forgets => {
                    self.orphan(&mut next, region);
                    continue;
                }
            };
            next.letters.push(Letter { from, what, live: true, answer: None });
        }
        Some(next)
    }

    /// A swap that takes the lease lands at once: had it been on its way for a while and then landed, nothing would have
    /// changed since it was sent, and it might as well have been sent then; had it not landed, not at all.
    pub(super) fn wake(&self, state: &State, region: usize, later: bool) -> Option<State> {
        let next = self.follow(state, region, Input::Wake)?;
        let leads = |state: &State| self.actor(state, region).is_some_and(|actor| actor.holds());
        let taken = |letter: &Letter| {
            letter.live && usize::from(letter.from) == region && matches!(letter.what, What::Swap { .. })
        };
        match next.letters.iter().position(taken).filter(|_| !leads(state)) {
            Some(index) if next.letters.len() > state.letters.len() => {
                let mut landed = self.land(&next, index, later)?;
                landed.left.take_overs -= 1;
                Some(landed)
            }
            _ => (!later).then_some(next),
        }
    }

    /// Nobody waits for what was sent from there any more; it may land yet.
    fn orphan(&self, state: &mut State, region: usize) {
        let from = u8::try_from(region).unwrap();
        for letter in state.letters.iter_mut().filter(|letter| letter.from == from) {
            letter.live = false;
        }
    }

    fn crash(&self, state: &State, region: usize) -> State {
        let mut next = state.clone();
        next.actors[region] = None;
        next.left.crashes -= 1;
        self.orphan(&mut next, region);
        next
    }

    pub(super) fn tick(&self, state: &State, slow: Option<usize>) -> State {
        let mut next = state.clone();
        next.ticks += 1;
        next.left.slips -= u8::from(slow.is_some());
        for (region, clock) in next.clocks.iter_mut().enumerate().take(self.setup.regions.len()) {
            *clock += if slow == Some(region) { SLOW } else { TICK };
            let aged = next.actors[region].map(|actor| self.aged(actor, region, *clock));
            next.actors[region] = aged;
            let service = &mut next.services[region];
            service.gate = self.services.aged(&self.setup, (service.gate, region, *clock));
        }
        self.services.forget_writes(&self.setup, &mut next);
        next
    }

    /// A write that is made and answered at once. One that is made while its region is admitted is seen by every drain.
    fn write(&self, state: &State, region: usize) -> Option<State> {
        let ledger = &self.setup.ledgers.get(state.ledger.1).ledger;
        if ledger.admitted(&self.setup.regions[region]).is_some() || state.store.behind {
            return None;
        }
        let permit = self.services.permit(&self.setup, state, region)?;
        Some(self.acknowledge(state, region, permit))
    }

    fn aged(&self, actor: u32, region: usize, clock: u8) -> u32 {
        self.aged.get(&(actor, region, clock), || {
            let now = self.setup.now(region, clock).moment;
            self.actors.of(actor, |actor| self.number(actor.aged(&self.setup, now), now))
        })
    }

    fn acknowledge(&self, state: &State, region: usize, permit: u32) -> State {
        let mut next = state.clone();
        let epoch = self.services.epoch(permit);
        let setup = &self.setup;
        let ledger = &setup.ledgers.get(state.ledger.1).ledger;
        let elsewhere = ledger.active().any(|active| *active != setup.regions[region]);
        if elsewhere && epoch < ledger.epoch().0 {
            next.wrong = Some(Wrong::LateAcknowledgement);
        }
        next.store.behind |= region != TO;
        next
    }

    /// The bytes of a slot.
    pub(super) fn slot(&self, value: u32) -> Vec<u8> {
        self.slots.get(value).as_ref().clone()
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn starts(&self) -> Vec<State> {
        self.starts.clone()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let regions = self.setup.regions.len();
        for (index, letter) in state.letters.iter().enumerate() {
            match letter.answer {
                None if self.can_land(state, letter) => {
                    actions.extend([false, true].map(|later| Action::Land { letter: index, later }));
                }
                Some(_) if state.early.is_some_and(|next| next <= rank_of(letter)) => {
                    actions.push(Action::Reply { letter: index });
                }
                _ => {}
            }
            let silent = match letter.what {
                What::Call { until, .. } => {
                    letter.answer.is_none() && state.clocks[usize::from(letter.from)] >= until
                }
                _ => state.left.silences > 0,
            } && letter.live;
            if silent {
                actions.push(Action::GiveUp { letter: index });
            }
        }
        for region in 0..regions {
            let service = &state.services[region];
            actions.extend([false, true].map(|later| Action::Ask { region, later }));
            if state.early.is_some_and(|next| usize::from(next) <= region) {
                actions.push(Action::Hear { region });
            }
            actions.push(Action::Write { region });
            match service.permit {
                None => actions.push(Action::Begin { region }),
                Some(_) if self.services.holds(&self.setup, state, region) => {
                    actions.push(Action::Acknowledge { region });
                }
                Some(_) => {}
            }
            if state.actors[region].is_some() {
                actions.push(Action::Wake { region, later: false });
                if state.left.take_overs > 0 {
                    actions.push(Action::Wake { region, later: true });
                }
                if state.left.aborts > 0 && self.actor(state, region).is_some_and(|actor| actor.leads()) {
                    actions.push(Action::Abort { region });
                }
                if state.left.crashes > 0 {
                    actions.push(Action::Crash { region });
                }
            }
        }
        if state.ticks < self.setup.bounds.ticks {
            actions.push(Action::Tick { slow: None });
            if state.left.slips > 0 {
                actions.extend((0..regions).map(|region| Action::Tick { slow: Some(region) }));
            }
        }
    }

    fn next(&self, state: &State, action: &Action) -> Option<State> {
        let next = match *action {
            Action::Tick { slow } => Some(self.tick(state, slow)),
            Action::Ask { region, later } => self.services.ask(&self.setup, state, region, later),
            Action::Hear { region } => self.services.hear(&self.setup, state, region),
            Action::Write { region } => self.write(state, region),
            Action::Begin { region } => self.services.begin(&self.setup, state, region),
            Action::Acknowledge { region } => state.services[region].permit.map(|permit| {
                let mut next = self.acknowledge(state, region, permit);
                next.services[region].permit = None;
                next
            }),
            Action::Wake { region, later } => self.wake(state, region, later),
            Action::Abort { region } => {
                let mut next = state.clone();
                next.left.aborts -= 1;
                self.follow(&next, region, Input::Abort)
            }
            Action::Crash { region } => Some(self.crash(state, region)),
            Action::Land { letter, later } => self.land(state, letter, later),
            Action::Reply { letter } => self.reply(state, letter),
            Action::GiveUp { letter } => self.give_up(state, letter),
        };
        let mut next = next?;
        next.early = match *action {
            Action::Tick { .. } => Some(0),
            Action::Hear { region, .. } => Some(u8::try_from(region).unwrap()),
            Action::Reply { letter } => Some(rank_of(&state.letters[letter])),
            _ => None,
        };
        let mut next = self.normal(next);
        // Time alone shuts gates, and opens none.
        if next.services != state.services {
            next.wrong = next.wrong.or_else(|| rules::of_gates(self, &next));
        }
        Some(next)
    }

    fn violation(&self, state: &State) -> Option<String> {
        state.wrong.map(|wrong| wrong.text().to_owned())
    }
}
