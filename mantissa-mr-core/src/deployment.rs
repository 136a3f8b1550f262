//! The words of a deployment: its regions, its tiers and strategy, the groups that move together, the witness.
//!
//! A [`DeploymentSpec`] is plain data, written in code or read from files; [`Deployment::new`] checks all of it at once
//! and gives a [`Deployment`], which is valid for good.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::RateMargin;
use crate::name::{DeploymentName, FailureDomain, GroupName, Region, ResourceName, VantageName};
use crate::problem::Problems;

mod validate;

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

/// What a gate promises. Written into the ledger at `init`: every gate takes it from there, so no service can trust
/// for longer than a move waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GateTerms {
    /// How long an answer of the ledger is trusted, counted from the send of the question.
    #[serde(with = "friendly")]
    pub trust: Duration,
    /// The time within which a permitted write, all retries included, must have been answered. Shorter than `trust`.
    #[serde(with = "friendly")]
    pub write_deadline: Duration,
    /// How much faster or slower clocks may run against each other.
    pub rate_margin: RateMargin,
}

impl Default for GateTerms {
    fn default() -> Self {
        Self {
            trust: Duration::from_secs(15),
            write_deadline: Duration::from_secs(5),
            rate_margin: RateMargin::DEFAULT,
        }
    }
}

impl GateTerms {
    /// How long a move waits from the answer of its seal until no gate can be open and no permitted write can be
    /// unanswered.
    pub fn seal_wait(&self) -> Duration {
        self.rate_margin.wait_for(self.trust.saturating_add(self.write_deadline))
    }
}

/// When a vantage and a majority call a region unfit (`facts` behind the defaults: ARCHITECTURE.md, "Detection").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DetectionPolicy {
    /// The time from probe to probe.
    #[serde(with = "friendly")]
    pub interval: Duration,
    /// A probe without an answer for this long has failed.
    #[serde(with = "friendly")]
    pub probe_deadline: Duration,
    /// Failures in a row after which a vantage calls a region unfit.
    pub failures: u32,
    /// Good answers in a row after which it calls it fit again.
    pub recoveries: u32,
}

impl Default for DetectionPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            probe_deadline: Duration::from_secs(5),
            failures: 3,
            recoveries: 5,
        }
    }
}

impl DetectionPolicy {
    /// A vantage's vote is fresh for this long: two intervals and a probe's deadline.
    pub fn fresh_for(&self) -> Duration {
        self.interval.saturating_mul(2).saturating_add(self.probe_deadline)
    }
}

/// What the controller may do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Automatic {
    /// Watch, tell, do nothing.
    Off,
    /// Propose a plan and wait for a person's approval.
    #[default]
    Propose,
    /// Carry out a failover whose guards all pass.
    On,
}

/// How often groups may move by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Velocity {
    /// At most so many groups...
    pub moves: u32,
    /// ...within this time.
    #[serde(with = "friendly")]
    pub window: Duration,
}

impl Default for Velocity {
    fn default() -> Self {
        Self { moves: 4, window: Duration::from_secs(3600) }
    }
}

/// How the deployment is run. Every value has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// What a gate promises.
    pub gate: GateTerms,
    /// When a region counts as unfit.
    pub detection: DetectionPolicy,
    /// What the controller may do by itself.
    pub automatic: Automatic,
    /// Whether it may also fail back by itself. Off unless said.
    pub automatic_failback: bool,
    /// Times of the controller.
    pub timing: Timing,
    /// How often groups may move by themselves.
    pub velocity: Velocity,
    /// The standby's share of full capacity.
    pub standby: StandbyShare,
}

/// The standby's share of full capacity; a tenth unless said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StandbyShare(pub Share);

impl Default for StandbyShare {
    fn default() -> Self {
        Self(Share::TENTH)
    }
}

/// Times of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Timing {
    /// Others take the group's lease over when its holder was silent for this long.
    #[serde(with = "friendly")]
    pub lease: Duration,
    /// From one beat of the holder to the next.
    #[serde(with = "friendly")]
    pub beat: Duration,
    /// From one look at stores, routers and scalers to the next.
    #[serde(with = "friendly")]
    pub observe: Duration,
    /// A call to a cloud without an answer for this long has failed.
    #[serde(with = "friendly")]
    pub call_deadline: Duration,
    /// Best-effort calls to a region that is being left get no more than this.
    #[serde(with = "friendly")]
    pub fence_deadline: Duration,
    /// After a move nothing moves by itself for this long, unless a person acknowledges it.
    #[serde(with = "friendly")]
    pub cool_down: Duration,
    /// A region must have been fit for this long before a failback to it is proposed.
    #[serde(with = "friendly")]
    pub failback_after: Duration,
    /// A proposed plan waits this long for a person.
    #[serde(with = "friendly")]
    pub approval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            lease: seconds(15),
            beat: seconds(3),
            observe: seconds(15),
            call_deadline: seconds(10),
            fence_deadline: seconds(10),
            cool_down: seconds(3600),
            failback_after: seconds(3600),
            approval: seconds(3600),
        }
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
