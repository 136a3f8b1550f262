//! Time, handed in from outside.
//!
//! Decisions about safety rest on [`Moment`]s: durations measured on *one* process's own clock, which must count the
//! time that the machine is suspended. Wall time ([`jiff::Timestamp`]) is evidence for people and is compared across
//! machines only where a mistake costs nothing but a delay (cool-down, velocity, expiry of an approval).

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point in time on the own clock of one process, in nanoseconds since a start that only that clock knows.
///
/// Moments of two clocks must never be compared: they never leave the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(u64);

impl Moment {
    /// The clock's start.
    pub const START: Self = Self(0);

    /// The moment that many nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment this long before, or the clock's start.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", Duration::from_nanos(self.0).as_secs_f64())
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What the clocks say at one instant: the own clock, and the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The own clock, for everything that safety rests on.
    pub moment: Moment,
    /// The wall clock, for people and for limits where a wrong clock only delays.
    pub wall: Timestamp,
}

/// A source of time.
///
/// # To ensure correctness
/// `moment` never goes back, and counts the time in which the machine or the process is suspended; otherwise a gate
/// that slept through its trust would open again. [`SystemClock`] reads `CLOCK_BOOTTIME`.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Reads the own clock.
    fn moment(&self) -> Moment;

    /// Reads the wall clock.
    fn wall(&self) -> Timestamp;

    /// Reads both.
    fn now(&self) -> Now {
        Now { moment: self.moment(), wall: self.wall() }
    }
}

/// The machine's clocks: boot time, which counts suspension, and real time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
impl Clock for SystemClock {
    fn moment(&self) -> Moment {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
        Moment(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    fn wall(&self) -> Timestamp {
        let time = clock_gettime(ClockId::Realtime);
        let nanos = i32::try_from(time.tv_nsec).unwrap_or_default();
        Timestamp::new(time.tv_sec, nanos).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// How much faster or slower two clocks may run against each other, in parts per million.
///
/// Quartz is within 200 ppm and a disciplined clock is slewed by at most 500 ppm (`adjtimex(2)`); 20 000 ppm (2 %) is
/// a margin of forty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateMargin {
    /// Parts per million.
    pub ppm: u32,
}

impl RateMargin {
    /// Two per cent.
    pub const DEFAULT: Self = Self { ppm: 20_000 };

    /// How long to wait on the own clock to be sure that `span` has passed on every other clock, rounded up.
    pub fn wait_for(self, span: Duration) -> Duration {
        let extra = span.as_nanos().saturating_mul(u128::from(self.ppm)).div_ceil(1_000_000);
        span.saturating_add(Duration::from_nanos(u64::try_from(extra).unwrap_or(u64::MAX)))
    }
}

impl Default for RateMargin {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_span_covers_a_clock_that_runs_slower_by_the_margin() {
        // Two percent more than 10 s, and never less than the span itself, however small it is.
        assert_eq!(RateMargin::DEFAULT.wait_for(Duration::from_secs(10)), Duration::from_millis(10_200));
        assert_eq!(RateMargin { ppm: 1 }.wait_for(Duration::from_nanos(1)), Duration::from_nanos(2));
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let (first, second) = (SystemClock.moment(), SystemClock.moment());
        assert!(second >= first && first > Moment::START);
    }
}
