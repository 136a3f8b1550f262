//! Where the traffic of a group goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::deployment::friendly;
use crate::error::Result;
use crate::ledger::Epoch;
use crate::name::Region;

/// What decides which region a client reaches: DNS records, a load balancer, a switch.
///
/// # Contract
/// - [`shift`](Self::shift) is one atomic change and fails with `Conflict` if somebody else changed the routing since
///   it was read; it never gives every region zero.
/// - A router that keeps the epoch of its last change refuses an older one with `Superseded`, whatever it is based on.
///   So who loses a race may meet either: `Conflict`, or, if the winner's epoch is the newer one, `Superseded`. Both
///   changed nothing.
/// - [`shift`](Self::shift) with [`Urgency::Unplanned`] needs nothing in the regions that lose their traffic, nor a
///   control plane that lives there.
#[async_trait]
pub trait TrafficRouter: fmt::Debug + Send + Sync + 'static {
    /// What this router can do.
    fn capabilities(&self) -> RouterCapabilities;

    /// What each region gets now.
    async fn routing(&self) -> Result<Routing>;

    /// Gives each region its weight.
    async fn shift(&self, shift: &Shift) -> Result<()>;

    /// Whether clients have followed.
    async fn converged(&self, weights: &Weights) -> Result<Convergence>;
}

/// What a router can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterCapabilities {
    /// What a planned shift needs to be up, beside the regions that get traffic: control planes, by the region that
    /// they live in.
    pub planned_needs: BTreeSet<Region>,
    /// What an unplanned shift needs; none if it cannot do any.
    pub unplanned_needs: Option<BTreeSet<Region>>,
    /// Whether it can give more than one region traffic at once.
    pub splits_traffic: bool,
    /// How long clients take to follow, for the prediction (health checks, TTL).
    #[serde(with = "friendly")]
    pub expected_convergence: Duration,
}

/// What each region gets, as relative numbers. A region that is not named gets nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weights(pub BTreeMap<Region, u32>);

impl Weights {
    /// Everything to one region.
    pub fn all_to(region: &Region) -> Self {
        Self(BTreeMap::from([(region.clone(), 100)]))
    }

    /// The same to each of these regions.
    pub fn even<'a>(regions: impl IntoIterator<Item = &'a Region>) -> Self {
        Self(regions.into_iter().map(|region| (region.clone(), 100)).collect())
    }

    /// What a region gets.
    pub fn of(&self, region: &Region) -> u32 {
        self.0.get(region).copied().unwrap_or_default()
    }

    /// The regions that get anything.
    pub fn serving(&self) -> impl Iterator<Item = &Region> {
        self.0.iter().filter(|(_, weight)| **weight > 0).map(|(region, _)| region)
    }

    /// Whether the same regions get the same shares, whatever the numbers.
    pub fn same_shares(&self, other: &Self) -> bool {
        let total = |weights: &Self| weights.0.values().map(|weight| u128::from(*weight)).sum::<u128>();
        let (mine, theirs) = (total(self), total(other));
        let regions: BTreeSet<_> = self.serving().chain(other.serving()).collect();
        regions
            .into_iter()
            .all(|region| u128::from(self.of(region)) * theirs == u128::from(other.of(region)) * mine)
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(region, weight)| format!("{region}={weight}")).collect();
        f.write_str(&parts.join(" "))
    }
}

/// What each region gets now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Routing {
    /// What is set.
    pub weights: Weights,
    /// What the cloud's own health checks say, where it has any.
    #[serde(default)]
    pub health: BTreeMap<Region, bool>,
    /// The state of what was read; a shift names it.
    pub version: RoutingVersion,
    /// What a shift that broke off has left open: one to the same weights is still needed, even if they are what is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
}

/// What a router calls the state of its routing: a fingerprint, an ETag, the records themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoutingVersion(pub String);

/// A change of the routing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shift {
    /// What each region gets afterwards.
    pub weights: Weights,
    /// The epoch under which it is changed.
    pub epoch: Epoch,
    /// Which way to take.
    pub urgency: Urgency,
    /// The state that this change was decided on.
    pub based_on: RoutingVersion,
}

/// Whether the region that loses its traffic can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// All regions and control planes are up.
    Planned,
    /// Nothing of the region that is left may be needed.
    Unplanned,
}

/// Whether clients have followed a shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convergence {
    /// Yes, and how it is known.
    Converged {
        /// The measurement, or the time that must have passed.
        how: String,
    },
    /// Not yet.
    NotYet {
        /// What is still missing.
        why: String,
    },
}
