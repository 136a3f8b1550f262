//! True time, which only the simulation knows, and the clocks of its processes, which show something else.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Moment, Now};

/// A point in the one true time of a simulation, in nanoseconds since it began. No process can read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrueTime(u64);

impl TrueTime {
    /// The begin of the simulation.
    pub const START: Self = Self(0);
    /// Later than anything that happens.
    pub const END: Self = Self(u64::MAX);

    /// The time that many nanoseconds after the begin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The time that many seconds after the begin.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the begin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time this long before, or the begin.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// What a wall clock without error shows: the simulation begins with the year 2026, in UTC.
    pub fn wall(self) -> Timestamp {
        let seconds = i64::try_from(self.0 / 1_000_000_000).unwrap_or(i64::MAX);
        let nanos = i32::try_from(self.0 % 1_000_000_000).unwrap_or_default();
        Timestamp::new(BEGIN_SECONDS.saturating_add(seconds), nanos).unwrap_or(Timestamp::MAX)
    }
}

/// 2026-01-01T00:00:00Z.
const BEGIN_SECONDS: i64 = 1_767_225_600;

impl Add<Duration> for TrueTime {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl fmt::Display for TrueTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1_000);
        f.pad(&text)
    }
}

pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The clocks of one process: an own clock that counts suspension (it is a function of true time alone) but starts
/// anywhere and runs a little too fast or too slow, and a wall clock that is wrong by some offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimClock {
    true_anchor: TrueTime,
    own_anchor: Moment,
    rate_ppm: i32,
    wall_error: SignedDuration,
}

const MILLION: i128 = 1_000_000;

impl SimClock {
    /// A clock that shows `start` when the simulation begins, and runs too fast (or, below zero, too slow) by so many
    /// parts per million. Rates are limited to half of the true rate, up and down.
    pub fn new(start: Moment, rate_ppm: i32, wall_error: SignedDuration) -> Self {
        let rate_ppm = rate_ppm.clamp(-500_000, 500_000);
        Self { true_anchor: TrueTime::START, own_anchor: start, rate_ppm, wall_error }
    }

    /// A clock without error.
    pub fn exact() -> Self {
        Self::new(Moment::START, 0, SignedDuration::ZERO)
    }

    /// What the own clock shows at a true time. Never less for a later time.
    pub fn own(&self, at: TrueTime) -> Moment {
        let passed = i128::from(at.0.saturating_sub(self.true_anchor.0));
        let counted = passed * (MILLION + i128::from(self.rate_ppm)) / MILLION;
        Moment::from_nanos(
            self.own_anchor.as_nanos().saturating_add(u64::try_from(counted).unwrap_or(u64::MAX)),
        )
    }

    /// The first true time at which the own clock shows at least this moment, as long as the rate stays.
    pub fn true_time(&self, moment: Moment) -> TrueTime {
        let counted = i128::from(moment.as_nanos().saturating_sub(self.own_anchor.as_nanos()));
        let rate = MILLION + i128::from(self.rate_ppm);
        let passed = (counted * MILLION + rate - 1) / rate;
        TrueTime(self.true_anchor.0.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }

    /// Both clocks at a true time.
    pub fn now(&self, at: TrueTime) -> Now {
        let wall = at.wall();
        Now { moment: self.own(at), wall: wall.checked_add(self.wall_error).unwrap_or(wall) }
    }

    /// Changes how fast the own clock runs from a true time on.
    pub fn set_rate(&mut self, at: TrueTime, rate_ppm: i32) {
        self.own_anchor = self.own(at);
        self.true_anchor = at;
        self.rate_ppm = rate_ppm.clamp(-500_000, 500_000);
    }

    /// Sets the error of the wall clock.
    pub fn set_wall_error(&mut self, error: SignedDuration) {
        self.wall_error = error;
    }

    /// By how much the own clock runs too fast, in parts per million.
    pub fn rate_ppm(&self) -> i32 {
        self.rate_ppm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_true_time_of_a_moment_is_the_first_at_which_the_clock_shows_it() {
        // A timer must neither fire early by its own clock nor a nanosecond late.
        for rate in [-20_000, -1, 0, 7, 333, 20_000] {
            let mut clock = SimClock::new(Moment::from_nanos(12_345), rate, SignedDuration::ZERO);
            clock.set_rate(TrueTime::from_secs(7), rate);
            for moment in [1_u64, 999_999_937, 60_000_000_001]
                .map(|n| clock.own(TrueTime::from_secs(7)) + Duration::from_nanos(n))
            {
                let at = clock.true_time(moment);
                assert!(clock.own(at) >= moment, "{rate}");
                assert!(clock.own(TrueTime(at.0 - 1)) < moment, "{rate}");
            }
        }
    }

    #[test]
    fn a_change_of_rate_never_turns_the_clock_back() {
        let mut clock = SimClock::new(Moment::START, 20_000, SignedDuration::ZERO);
        let before = clock.own(TrueTime::from_secs(10));
        assert_eq!(before, Moment::from_nanos(10_200_000_000));
        clock.set_rate(TrueTime::from_secs(10), -20_000);
        assert_eq!(clock.own(TrueTime::from_secs(10)), before);
        assert_eq!(clock.own(TrueTime::from_secs(20)), Moment::from_nanos(20_000_000_000));
    }

    #[test]
    fn the_wall_clock_is_wrong_by_its_error_and_the_own_clock_is_not() {
        let mut clock = SimClock::exact();
        clock.set_wall_error(SignedDuration::from_secs(-3));
        let now = clock.now(TrueTime::from_secs(5));
        assert_eq!(now.wall.to_string(), "2026-01-01T00:00:02Z");
        assert_eq!(now.moment, Moment::from_nanos(5_000_000_000));
    }
}
