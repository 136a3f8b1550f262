//! Chance, all of it from one seed.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::clock::nanos;

/// How often something happens: so many times in a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u32);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1_000_000);

    /// One time in so many.
    pub const fn one_in(count: u32) -> Self {
        match count {
            0 => Self::NEVER,
            count => Self(1_000_000 / count),
        }
    }
}

/// A span of time that is drawn evenly between two limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The least.
    pub least: Duration,
    /// The most.
    pub most: Duration,
}

impl Spread {
    /// Between two limits.
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most }
    }

    /// Between two limits in milliseconds.
    pub const fn millis(least: u64, most: u64) -> Self {
        Self::new(Duration::from_millis(least), Duration::from_millis(most))
    }

    /// Always the same.
    pub const fn exactly(span: Duration) -> Self {
        Self::new(span, span)
    }
}

/// One stream of random numbers. Each user has its own, so that a draw more in one place changes nothing in another.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of this name that belongs to a seed. ChaCha8's stream is portable and stays the same between
    /// versions, so a seed names the same run on every machine.
    pub fn new(seed: u64, stream: &str) -> Self {
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in stream.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Self(ChaCha8Rng::seed_from_u64(state))
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below a limit; zero if the limit is zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        let product = u128::from(self.any()) * u128::from(limit);
        u64::try_from(product >> 64).unwrap_or_default()
    }

    /// An index into something of this length; zero if it is empty.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    /// One of these; none if there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.index(choices.len()))
    }

    /// Whether it happens this time.
    pub fn happens(&mut self, rate: Rate) -> bool {
        rate.0 > 0 && self.below(1_000_000) < u64::from(rate.0)
    }

    /// A span of time.
    pub fn span(&mut self, spread: Spread) -> Duration {
        let (least, most) = (nanos(spread.least), nanos(spread.most));
        let extra = self.below(most.saturating_sub(least).saturating_add(1));
        Duration::from_nanos(least.saturating_add(extra))
    }
}

/// SplitMix64's last step.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_one_run_for_good() {
        // These numbers must never change: seeds in bug reports depend on them.
        let mut random = Random::new(1, "network");
        let first: Vec<u64> = (0..3).map(|_| random.below(1_000_000)).collect();
        assert_eq!(first, FIRST);
        assert_ne!(Random::new(1, "network").any(), Random::new(1, "clients").any());
        assert_ne!(Random::new(1, "network").any(), Random::new(2, "network").any());
    }

    const FIRST: [u64; 3] = [733_493, 819_291, 310_643];

    #[test]
    fn what_is_drawn_stays_within_its_limits_and_reaches_both() {
        let mut random = Random::new(7, "limits");
        let spread = Spread::new(Duration::from_nanos(2), Duration::from_nanos(4));
        let spans: std::collections::BTreeSet<_> = (0..100).map(|_| random.span(spread).as_nanos()).collect();
        assert_eq!(spans.into_iter().collect::<Vec<_>>(), [2, 3, 4]);
        assert!((0..100).all(|_| !random.happens(Rate::NEVER) && random.happens(Rate::ALWAYS)));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.pick::<u8>(&[]), None);
    }
}
