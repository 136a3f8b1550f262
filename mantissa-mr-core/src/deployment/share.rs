//! A share of full capacity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A share of full capacity, exact to a millionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share {
    millionths: u32,
}

/// A number that is no share: it must lie between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a share: it must lie between 0.0 and 1.0")]
pub struct InvalidShare(pub f64);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self { millionths: 0 };
    /// All of it.
    pub const FULL: Self = Self { millionths: 1_000_000 };
    /// The guide's standby: a tenth.
    pub const TENTH: Self = Self { millionths: 100_000 };

    /// The share of a full capacity, in whole units, rounded up.
    pub fn of(self, full: u64) -> u64 {
        let units = u128::from(full).saturating_mul(u128::from(self.millionths)).div_ceil(1_000_000);
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

impl TryFrom<f64> for Share {
    type Error = InvalidShare;
    fn try_from(number: f64) -> Result<Self, InvalidShare> {
        if !(0.0..=1.0).contains(&number) {
            return Err(InvalidShare(number));
        }
        // In range: the cast is exact.
        Ok(Self { millionths: (number * 1_000_000.0).round() as u32 })
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> f64 {
        f64::from(share.millionths) / 1_000_000.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.millionths) / 10_000.0)
    }
}
