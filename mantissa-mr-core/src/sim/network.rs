//! One-way links between places: each has its delays, loses some messages, and can be cut in one direction alone.

use std::time::Duration;

use super::place::At;
use super::random::{Random, Rate, Spread};

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The usual time from place to place, drawn for each message.
    pub delay: Spread,
    /// How often a message is slow instead.
    pub slow: Rate,
    /// How long a slow one takes. Slow answers arrive after their deadlines; slow requests are applied after them.
    pub slow_delay: Spread,
    /// How often a request is lost on its way.
    pub lost_requests: Rate,
    /// How often an answer is lost on its way back: the request was carried out, and nobody says so.
    pub lost_answers: Rate,
}

impl Weather {
    /// Nothing is lost and nothing is slow.
    pub const CALM: Self = Self {
        delay: Spread::millis(10, 80),
        slow: Rate::NEVER,
        slow_delay: Spread::millis(0, 0),
        lost_requests: Rate::NEVER,
        lost_answers: Rate::NEVER,
    };
}

/// Within one place.
const NEAR: Spread = Spread::new(Duration::from_micros(200), Duration::from_millis(2));

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    Request,
    Answer,
}

/// The links.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    places: usize,
    cuts: Vec<u32>,
    weather: Weather,
    random: Random,
}

impl Network {
    pub(crate) fn new(places: usize, weather: Weather, random: Random) -> Self {
        Self { places, cuts: vec![0; places * places], weather, random }
    }

    fn link(&mut self, from: At, to: At) -> Option<&mut u32> {
        self.cuts.get_mut(from.0 * self.places + to.0)
    }

    /// Whether a message can get from one place to the other now.
    pub(crate) fn open(&self, from: At, to: At) -> bool {
        from == to || self.cuts.get(from.0 * self.places + to.0) == Some(&0)
    }

    /// Whether a question and its answer can.
    pub(crate) fn both_ways(&self, one: At, other: At) -> bool {
        self.open(one, other) && self.open(other, one)
    }

    /// Cuts a link. Cuts add up: each needs its own mend.
    pub(crate) fn cut(&mut self, from: At, to: At) {
        if let Some(cuts) = self.link(from, to) {
            *cuts = cuts.saturating_add(1);
        }
    }

    /// Takes one cut back.
    pub(crate) fn mend(&mut self, from: At, to: At) {
        if let Some(cuts) = self.link(from, to) {
            *cuts = cuts.saturating_sub(1);
        }
    }

    /// Takes all cuts back.
    pub(crate) fn mend_all(&mut self) {
        self.cuts.fill(0);
    }

    pub(crate) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// How long a message that is sent now will take; none if it is lost.
    pub(crate) fn hop(&mut self, from: At, to: At, letter: Letter) -> Option<Duration> {
        if from == to {
            return Some(self.random.span(NEAR));
        }
        let Weather { delay, slow, slow_delay, lost_requests, lost_answers } = self.weather;
        let spread = if self.random.happens(slow) { slow_delay } else { delay };
        let takes = self.random.span(spread);
        let lost = self.random.happens(match letter {
            Letter::Request => lost_requests,
            Letter::Answer => lost_answers,
        });
        (self.open(from, to) && !lost).then_some(takes)
    }

    /// How long a question and its answer take on an open link.
    pub(crate) fn round_trip(&mut self, one: At, other: At) -> Duration {
        let spread = if one == other { NEAR } else { self.weather.delay };
        self.random.span(spread) + self.random.span(spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_link_lets_the_other_direction_pass() {
        let mut network = Network::new(3, Weather::CALM, Random::new(1, "network"));
        network.cut(At(0), At(1));
        network.cut(At(0), At(1));
        assert_eq!(network.hop(At(0), At(1), Letter::Request), None);
        assert!(network.hop(At(1), At(0), Letter::Request).is_some());
        network.mend(At(0), At(1));
        assert!(!network.open(At(0), At(1)), "two cuts need two mends");
        network.mend(At(0), At(1));
        assert!(network.both_ways(At(0), At(1)));
    }

    #[test]
    fn requests_and_answers_are_lost_independently() {
        let weather = Weather { lost_answers: Rate::ALWAYS, ..Weather::CALM };
        let mut network = Network::new(2, weather, Random::new(1, "network"));
        assert!(network.hop(At(0), At(1), Letter::Request).is_some());
        assert_eq!(network.hop(At(1), At(0), Letter::Answer), None);
        assert!(network.hop(At(1), At(1), Letter::Answer).is_some(), "within a place nothing is lost");
    }
}
