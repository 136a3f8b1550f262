//! The words of a deployment: its regions, its tiers and strategy, the groups that move together, the witness.
//!
//! A [`DeploymentSpec`] is plain data, written in code or read from files; [`Deployment::new`] checks all of it at once
//! and gives a [`Deployment`], which is valid for good.

use std::fmt;
use std::time::Duration;

use jiff::fmt::friendly::SpanPrinter;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::name::{DeploymentName, FailureDomain, GroupName, Region, VantageName};
use crate::problem::Problems;

mod group;
mod policy;
pub(crate) mod secret;
mod share;
mod tier;
pub(crate) mod validate;
mod warnings;

#[cfg(test)]
mod tests;

pub use group::{GroupSpec, ResourceSpec, Settings, Writers};
pub use policy::{Automatic, DetectionPolicy, GateTerms, Policy, StandbyShare, Timing, Velocity};
pub use share::{InvalidShare, Share};
pub use tier::{Tier, TierChoice};

/// Durations in files: `90s`, `15m`, `1h 30m`.
pub(crate) mod friendly {
    pub(crate) use jiff::fmt::serde::unsigned_duration::friendly::compact::required::{
        deserialize, serialize,
    };
}

/// A duration for people, in the form in which files have it.
pub(crate) fn spoken(span: Duration) -> String {
    SpanPrinter::new().unsigned_duration_to_string(&span)
}

/// Who may serve at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// One region serves, the others stand by.
    ActivePassive,
    /// All regions serve, by proximity.
    ActiveActive,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ActivePassive => "active-passive",
            Self::ActiveActive => "active-active",
        })
    }
}

/// Who runs a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
    /// The simulated world, or the world of files.
    Simulated,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Simulated => "simulated",
        })
    }
}

/// A region of the deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegionSpec {
    /// Its name.
    pub name: Region,
    /// Who runs it.
    pub provider: Provider,
}

impl RegionSpec {
    /// A region of this provider.
    pub fn new(name: Region, provider: Provider) -> Self {
        Self { name, provider }
    }
}

/// The third failure domain, which holds the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WitnessSpec {
    /// Which cells serve it, such as `dynamodb`.
    pub kind: String,
    /// The region it is in; none for a service that is itself multi-region and survives the loss of any one region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// What its backend needs to know.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
}

impl WitnessSpec {
    /// A witness that survives the loss of any one region.
    pub fn multi_region(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), region: None, settings: Settings::new() }
    }

    /// A witness in one region, which must be none of the deployment's.
    pub fn in_region(kind: impl Into<String>, region: Region) -> Self {
        Self { region: Some(region), ..Self::multi_region(kind) }
    }

    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<toml::Value>) -> Self {
        self.settings.insert(key.into(), value.into());
        self
    }
}

/// A place that checks run from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VantageSpec {
    /// Its name; the controller that runs there says it on start.
    pub name: VantageName,
    /// The thing that takes this vantage down with it.
    pub failure_domain: FailureDomain,
}

impl VantageSpec {
    /// A vantage in this failure domain.
    pub fn new(name: VantageName, failure_domain: FailureDomain) -> Self {
        Self { name, failure_domain }
    }
}

/// A deployment as it is written down; [`Deployment::new`] checks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeploymentSpec {
    /// Its name: part of the name of every cell, so that deployments can share a witness.
    pub name: DeploymentName,
    /// Who may serve at the same time.
    pub strategy: Strategy,
    /// The region that serves when nothing is wrong (active-passive), and the first one to scale.
    pub preferred: Region,
    /// All regions, two at least.
    pub regions: Vec<RegionSpec>,
    /// Where the ledger is.
    pub witness: WitnessSpec,
    /// Where checks run from. Without at least three, in three failure domains, nothing moves by itself.
    #[serde(default)]
    pub vantages: Vec<VantageSpec>,
    /// How it is run.
    #[serde(default)]
    pub policy: Policy,
    /// What moves together, one at least.
    pub groups: Vec<GroupSpec>,
}

impl DeploymentSpec {
    /// A deployment with its preferred region, run by the default policy; add the other regions and the groups.
    pub fn new(
        name: DeploymentName,
        strategy: Strategy,
        preferred: RegionSpec,
        witness: WitnessSpec,
    ) -> Self {
        Self {
            name,
            strategy,
            preferred: preferred.name.clone(),
            regions: vec![preferred],
            witness,
            vantages: Vec::new(),
            policy: Policy::default(),
            groups: Vec::new(),
        }
    }

    /// Adds a region.
    #[must_use]
    pub fn region(mut self, region: RegionSpec) -> Self {
        self.regions.push(region);
        self
    }

    /// Adds a vantage.
    #[must_use]
    pub fn vantage(mut self, vantage: VantageSpec) -> Self {
        self.vantages.push(vantage);
        self
    }

    /// Adds a group.
    #[must_use]
    pub fn group(mut self, group: GroupSpec) -> Self {
        self.groups.push(group);
        self
    }
}

/// A valid deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    spec: DeploymentSpec,
    warnings: Vec<String>,
    hash: DeploymentHash,
}

/// Two deployments with the same hash are the same in everything that a ledger must agree on: name, strategy, regions,
/// groups with their resources, vantages and gate terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentHash(String);

impl fmt::Display for DeploymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Deployment {
    /// Checks a deployment.
    ///
    /// # Errors
    /// Every problem at once: two regions of the same name, an unknown preferred region, a witness in one of the
    /// regions, groups that share a failover unit, absurd durations, and so on.
    pub fn new(spec: DeploymentSpec) -> Result<Self, Problems> {
        Problems::check(validate::problems((&spec).into()))?;
        let warnings = warnings::warnings(&spec);
        let hash = hash(&spec);
        Ok(Self { spec, warnings, hash })
    }

    /// With warnings of where it was read from, which come first.
    pub(crate) fn with_warnings(mut self, mut warnings: Vec<String>) -> Self {
        warnings.append(&mut self.warnings);
        Self { warnings, ..self }
    }

    /// What was written down.
    pub fn spec(&self) -> &DeploymentSpec {
        &self.spec
    }

    /// What is allowed but not advised.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What a ledger must agree on.
    pub fn hash(&self) -> &DeploymentHash {
        &self.hash
    }

    /// The names of the regions, in the order written down.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.spec.regions.iter().map(|region| &region.name)
    }

    /// Whether a region is one of the deployment's.
    pub fn has_region(&self, region: &Region) -> bool {
        self.regions().any(|other| other == region)
    }

    /// A group by its name.
    pub fn group(&self, name: &GroupName) -> Option<&GroupSpec> {
        self.spec.groups.iter().find(|group| group.name == *name)
    }
}

fn hash(spec: &DeploymentSpec) -> DeploymentHash {
    let agreed = (&spec.name, spec.strategy, &spec.regions, &spec.groups, &spec.vantages, spec.policy.gate);
    // Serialising plain data with string keys cannot fail; were it to, the hash of the debug form still tells apart.
    let text = serde_json::to_string(&agreed).unwrap_or_else(|_| format!("{agreed:?}"));
    DeploymentHash(hex(&Sha256::digest(text)))
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
