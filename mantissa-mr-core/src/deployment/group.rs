//! What moves together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TierChoice;
use crate::name::{GroupName, Region, ResourceName};

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

    /// Names the thing that it fails over with as a whole.
    #[must_use]
    pub fn in_unit(mut self, unit: impl Into<String>) -> Self {
        self.failover_unit = Some(unit.into());
        self
    }

    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<toml::Value>) -> Self {
        self.settings.insert(key.into(), value.into());
        self
    }

    /// Adds a setting of one region.
    #[must_use]
    pub fn with_in(mut self, region: Region, key: impl Into<String>, value: impl Into<toml::Value>) -> Self {
        self.regions.entry(region).or_default().insert(key.into(), value.into());
        self
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
    /// A group without resources, whose writers are gated.
    pub fn new(name: GroupName, tier: TierChoice) -> Self {
        let (stores, routers, scalers, checks) = Default::default();
        Self { name, tier, writers: Writers::Gated, stores, routers, scalers, checks }
    }

    /// Adds a store.
    #[must_use]
    pub fn store(mut self, store: ResourceSpec) -> Self {
        self.stores.push(store);
        self
    }

    /// Adds a router.
    #[must_use]
    pub fn router(mut self, router: ResourceSpec) -> Self {
        self.routers.push(router);
        self
    }

    /// Adds a scaler.
    #[must_use]
    pub fn scaler(mut self, scaler: ResourceSpec) -> Self {
        self.scalers.push(scaler);
        self
    }

    /// Adds a check.
    #[must_use]
    pub fn check(mut self, check: ResourceSpec) -> Self {
        self.checks.push(check);
        self
    }

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
