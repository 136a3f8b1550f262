//! How much compute a region has.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::deployment::{Share, friendly};
use crate::error::Result;
use crate::ledger::Epoch;
use crate::name::Region;

/// The compute of a group: functions, instances, containers.
///
/// # Contract
/// - [`scale`](Self::scale) returns when the request was accepted. Scaling is done when
///   [`capacity`](Self::capacity) says that it is there.
/// - A target beyond a quota is refused with `Quota` and changes nothing.
#[async_trait]
pub trait ComputeScaler: fmt::Debug + Send + Sync + 'static {
    /// What this scaler can do.
    fn capabilities(&self) -> ScalerCapabilities;

    /// What a region has.
    async fn capacity(&self, region: &Region) -> Result<Capacity>;

    /// Asks for a target.
    async fn scale(&self, region: &Region, target: Target, epoch: Epoch) -> Result<()>;
}

/// What a scaler can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScalerCapabilities {
    /// How long full capacity takes to be there, for the prediction.
    #[serde(with = "friendly")]
    pub expected_start: Duration,
}

/// What a region has, in the scaler's own unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capacity {
    /// What serves now.
    pub ready: u64,
    /// What was asked for.
    pub requested: u64,
    /// What full capacity is.
    pub full: u64,
    /// The most that the region's quota gives, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The unit, for people: `concurrent executions`, `instances`.
    pub unit: String,
}

/// How much to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A share of full capacity.
    Share(Share),
    /// So many units.
    Units(u64),
}

impl Target {
    /// The target in units.
    pub fn units(self, full: u64) -> u64 {
        match self {
            Self::Share(share) => share.of(full),
            Self::Units(units) => units,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{share}"),
            Self::Units(units) => write!(f, "{units} units"),
        }
    }
}
