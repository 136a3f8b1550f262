//! The state machine, as one table of data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The phase of a step or an execution, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Hooks are asked, readiness is looked at.
    Precheck,
    /// The gates of the region that is left are shut.
    Seal,
    /// The region that is left is kept out at the stores.
    Fence,
    /// Capacity is brought up.
    Scale,
    /// Everything acknowledged arrives.
    Drain,
    /// The target becomes the stores' writer.
    Promote,
    /// It is seen that the target takes writes.
    Verify,
    /// The target's gates open.
    Open,
    /// The routing is changed.
    Shift,
    /// Clients follow.
    Converge,
    /// The service is seen to work.
    Validate,
    /// What was left is brought to its standby state.
    Settle,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Precheck,
        Self::Seal,
        Self::Fence,
        Self::Scale,
        Self::Drain,
        Self::Promote,
        Self::Verify,
        Self::Open,
        Self::Shift,
        Self::Converge,
        Self::Validate,
        Self::Settle,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Precheck => "precheck",
            Self::Seal => "seal",
            Self::Fence => "fence",
            Self::Scale => "scale",
            Self::Drain => "drain",
            Self::Promote => "promote",
            Self::Verify => "verify",
            Self::Open => "open",
            Self::Shift => "shift",
            Self::Converge => "converge",
            Self::Validate => "validate",
            Self::Settle => "settle",
        })
    }
}
