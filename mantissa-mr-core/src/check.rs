//! A question about one region. The same trait serves detection, readiness before a move and validation after it.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::name::Region;

/// One question about one region.
#[async_trait]
pub trait Check: fmt::Debug + Send + Sync + 'static {
    /// Asks. An error means that the question could not be put: it counts as [`Fitness::Unknown`]. A service that does
    /// not answer the check's own request is `Ok` with [`Fitness::Unfit`].
    async fn assess(&self, region: &Region) -> Result<Assessment>;
}

/// The answer to a check, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Assessment {
    /// The answer.
    pub fitness: Fitness,
    /// Why.
    pub why: String,
}

impl Assessment {
    /// An answer.
    pub fn new(fitness: Fitness, why: impl Into<String>) -> Self {
        Self { fitness, why: why.into() }
    }
}

/// Whether a region can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fitness {
    /// It serves well.
    Fit,
    /// It serves, badly: reason for a planned move, never for one that loses data.
    Degraded,
    /// It does not serve.
    Unfit,
    /// Nobody knows.
    Unknown,
}

impl fmt::Display for Fitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fit => "fit",
            Self::Degraded => "degraded",
            Self::Unfit => "unfit",
            Self::Unknown => "unknown",
        })
    }
}
