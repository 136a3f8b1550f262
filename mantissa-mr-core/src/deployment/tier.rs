//! Recovery objectives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Strategy, friendly};

/// Recovery objectives. The three of the guide are [`Tier::CRITICAL`], [`Tier::IMPORTANT`] and [`Tier::STANDARD`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tier {
    /// The tier's place in the order in which groups move: the lowest first.
    pub order: u8,
    /// Data that may be lost in a failover, as time.
    #[serde(with = "friendly")]
    pub rpo: Duration,
    /// Time until the service is back.
    #[serde(with = "friendly")]
    pub rto: Duration,
    /// The strategy that the guide asks for at this tier.
    pub strategy: Strategy,
    /// How long a failure must last, seen by probes that fail now, before it counts.
    #[serde(with = "friendly")]
    pub hold: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Tier {
    /// Tier 1 of the guide: RPO under 1 minute, RTO under 15 minutes, active-active.
    pub const CRITICAL: Self = Self {
        order: 1,
        rpo: MINUTE,
        rto: Duration::from_secs(15 * 60),
        strategy: Strategy::ActiveActive,
        hold: MINUTE,
    };
    /// Tier 2 of the guide: RPO under 15 minutes, RTO under 1 hour, active-passive with a hot standby.
    pub const IMPORTANT: Self = Self {
        order: 2,
        rpo: Duration::from_secs(15 * 60),
        rto: Duration::from_secs(60 * 60),
        strategy: Strategy::ActivePassive,
        hold: MINUTE,
    };
    /// Tier 3 of the guide: RPO under 1 hour, RTO under 4 hours, active-passive with a warm standby.
    pub const STANDARD: Self = Self {
        order: 3,
        rpo: Duration::from_secs(60 * 60),
        rto: Duration::from_secs(4 * 60 * 60),
        strategy: Strategy::ActivePassive,
        hold: Duration::from_secs(120),
    };
}

/// A tier by its name in the guide, or one of the deployment's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TierChoice {
    /// [`Tier::CRITICAL`].
    Critical,
    /// [`Tier::IMPORTANT`].
    Important,
    /// [`Tier::STANDARD`].
    Standard,
    /// Objectives of one's own.
    #[serde(untagged)]
    Custom(Tier),
}

impl TierChoice {
    /// The objectives.
    pub fn tier(&self) -> Tier {
        match self {
            Self::Critical => Tier::CRITICAL,
            Self::Important => Tier::IMPORTANT,
            Self::Standard => Tier::STANDARD,
            Self::Custom(tier) => tier.clone(),
        }
    }
}
