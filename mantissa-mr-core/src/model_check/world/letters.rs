//! What becomes of what controllers send.

use super::World;
use crate::model_check::actor::Input;
use crate::model_check::rules;
use crate::model_check::seeded::Seeded;
use crate::model_check::setup::{MOST, TO};
use crate::model_check::state::{Answer, Letter, State, What, Wrong};

impl World {
    pub(in crate::model_check) fn land(&self, state: &State, index: usize, later: bool) -> Option<State> {
        let mut next = state.clone();
        let letter = next.letters.remove(index);
        let answer = match letter.what {
            What::Swap { expected, value } => self.land_swap(&mut next, expected, value),
            What::Slot { number, value } => {
                let mut slots = self.journals.get(next.journal).as_ref().clone();
                let free = slots.len() == usize::from(number);
                if free {
                    slots.push(value);
                    next.journal = self.journal(slots);
                }
                if free { Answer::Applied(0) } else { Answer::Lost }
            }
            What::Call { term, .. } => {
                if term < next.store.acted {
                    next.wrong = Some(Wrong::StaleCall);
                }
                next.store.writer = u8::try_from(TO).unwrap();
                Answer::Applied(0)
            }
        };
        match (letter.live, later) {
            (true, true) => next.letters.push(Letter { answer: Some(answer), ..letter }),
            (true, false) => return Some(self.answer(next, &letter, answer)),
            (false, true) => return None,
            (false, false) => {}
        }
        Some(next)
    }

    fn land_swap(&self, next: &mut State, expected: u8, value: u32) -> Answer {
        let blind = self.setup.has(Seeded::BlindPut);
        if expected != next.ledger.0 && !blind {
            return Answer::Lost;
        }
        let before = next.ledger;
        next.ledger = (before.0 + 1, value);
        next.wrong = rules::of_change(self, next, before.1, value);
        if expected != before.0 {
            next.wrong = next.wrong.or(Some(Wrong::LostChange));
        }
        let (old, new) = (self.setup.ledgers.get(before.1), self.setup.ledgers.get(value));
        if new.ledger.epoch() > old.ledger.epoch() {
            next.store.acted = next.store.acted.max(u8::try_from(new.ledger.lease.term.0).unwrap());
        }
        Answer::Applied(next.ledger.0)
    }

    pub(in crate::model_check) fn reply(&self, state: &State, index: usize) -> Option<State> {
        let mut next = state.clone();
        let letter = next.letters.remove(index);
        let answer = letter.answer?;
        Some(self.answer(next, &letter, answer))
    }

    fn answer(&self, state: State, letter: &Letter, answer: Answer) -> State {
        let input = match (&letter.what, answer) {
            (What::Swap { .. }, Answer::Applied(version)) => Input::Swapped(Some(version)),
            (What::Swap { .. }, Answer::Lost) => Input::Swapped(None),
            (What::Slot { .. }, answer) => Input::Appended(answer != Answer::Lost),
            (What::Call { .. }, _) => Input::Called,
        };
        self.follow(&state, usize::from(letter.from), input).unwrap_or(state)
    }

    pub(in crate::model_check) fn give_up(&self, state: &State, index: usize) -> Option<State> {
        let mut next = state.clone();
        let letter = &mut next.letters[index];
        letter.live = false;
        let input = match letter.what {
            What::Swap { .. } => Input::SwapSilent,
            What::Slot { .. } => Input::AppendSilent,
            What::Call { .. } => Input::CallSilent,
        };
        next.left.silences -= u8::from(input != Input::CallSilent);
        let letter = &next.letters[index];
        let region = usize::from(letter.from);
        self.follow(&next, region, input)
    }

    /// Whether what was sent can still take effect.
    pub(in crate::model_check) fn can_land(&self, state: &State, letter: &Letter) -> bool {
        match letter.what {
            What::Swap { expected, .. } => {
                letter.live || expected == state.ledger.0 || self.setup.has(Seeded::BlindPut)
            }
            What::Slot { number, .. } => {
                letter.live || usize::from(number) == self.journals.get(state.journal).len()
            }
            What::Call { until, .. } => state.clocks[usize::from(letter.from)] <= until,
        }
    }

    /// Brings a state into the one form that stands for all that differ in nothing that matters.
    pub(in crate::model_check) fn normal(&self, mut state: State) -> State {
        let mut letters = std::mem::take(&mut state.letters);
        letters.retain(|letter| letter.live || letter.answer.is_none() && self.can_land(&state, letter));
        letters.sort_unstable();
        state.letters = letters;
        let waits = |next: u8| {
            let services =
                (0..).zip(&state.services).any(|(rank, service)| rank >= next && service.answer.is_some());
            services || state.letters.iter().any(|letter| letter.answer.is_some() && rank_of(letter) >= next)
        };
        state.early = state.early.filter(|next| waits(*next));
        state
    }
}

/// Services get their answers first, then controllers.
pub(super) fn rank_of(letter: &Letter) -> u8 {
    u8::try_from(MOST).unwrap() + letter.from
}
