//! The words of a deployment: its regions, its tiers and strategy, the groups that move together, the witness.
//!
//! A [`DeploymentSpec`] is plain data, written in code or read from files; [`Deployment::new`] checks all of it at once
//! and gives a [`Deployment`], which is valid for good.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::name::{DeploymentName, FailureDomain, GroupName, Region, ResourceName, VantageName};
use crate::problem::Problems;

mod policy;
mod share;
mod tier;
pub(crate) mod validate;

pub use policy::{Automatic, DetectionPolicy, GateTerms, Policy, StandbyShare, Timing, Velocity};
pub use share::{InvalidShare, Share};
pub use tier::{Tier, TierChoice};

/// Durations in files: `90s`, `15m`, `1h 30m`.
pub(crate) mod friendly {
    pub(crate) use jiff::fmt::serde::unsigned_duration::friendly::compact::required::{
        deserialize, serialize,
    };
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

/// Settings of a resource that only its backend understands. They hold no secrets: they are shown in plans.
pub type Settings = BTreeMap<String, toml::Value>;

/// A store, router, scaler or check of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResourceSpec {
    /// Its name, unique in the deployment.
    pub name: ResourceName,
    /// Which implementation serves it, such as `dynamodb-global-table`.
    pub kind: String,
    /// The thing that fails over as a whole, if there is one (a Cosmos account, a DNS record set): two groups must not
    /// share one. Without it the resource's own name is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_unit: Option<String>,
    /// What its backend needs to know.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    /// What its backend needs to know of each region. A region that is not named has no settings of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<Region, Settings>,
}

impl ResourceSpec {
    /// A resource without settings.
    pub fn new(name: ResourceName, kind: impl Into<String>) -> Self {
        Self {
            name,
            kind: kind.into(),
            failover_unit: None,
            settings: Settings::new(),
            regions: BTreeMap::new(),
        }
    }

    /// What fails over as a whole with this resource.
    pub fn unit(&self) -> &str {
        self.failover_unit.as_deref().unwrap_or(self.name.as_str())
    }
}

/// How the group's services write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writers {
    /// Every writer asks a write gate first: sealing the ledger stops them all within the trust and the write deadline.
    #[default]
    Gated,
    /// Some writer asks nobody: a move then needs a confirmed fence at every store, or a person's waiver.
    Ungated,
}

/// What moves together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GroupSpec {
    /// Its name.
    pub name: GroupName,
    /// Its recovery objectives.
    pub tier: TierChoice,
    /// How its services write.
    #[serde(default)]
    pub writers: Writers,
    /// Its data.
    #[serde(default)]
    pub stores: Vec<ResourceSpec>,
    /// Its traffic.
    #[serde(default)]
    pub routers: Vec<ResourceSpec>,
    /// Its compute.
    #[serde(default)]
    pub scalers: Vec<ResourceSpec>,
    /// The questions that say whether a region is fit to serve it.
    #[serde(default)]
    pub checks: Vec<ResourceSpec>,
}

impl GroupSpec {
    /// All its resources, with the kind of list each is in.
    pub fn resources(&self) -> impl Iterator<Item = (&'static str, &ResourceSpec)> {
        let lists = [
            ("stores", &self.stores),
            ("routers", &self.routers),
            ("scalers", &self.scalers),
            ("checks", &self.checks),
        ];
        lists.into_iter().flat_map(|(list, resources)| resources.iter().map(move |resource| (list, resource)))
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

/// A place that checks run from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VantageSpec {
    /// Its name; the controller that runs there says it on start.
    pub name: VantageName,
    /// The thing that takes this vantage down with it.
    pub failure_domain: FailureDomain,
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
        Problems::check(validate::problems(&spec))?;
        let warnings = validate::warnings(&spec);
        let hash = hash(&spec);
        Ok(Self { spec, warnings, hash })
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
