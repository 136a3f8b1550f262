//! Reads a deployment from files: the `tfvars` that Terraform deploys it with, and overlays for what those do not name.
//!
//! The guide's `prod-multi-region.tfvars` names the regions and the strategy. Which tables, zones and functions there
//! are it does not say: an overlay does, in TOML or JSON, with the keys of a
//! [`DeploymentSpec`](crate::deployment::DeploymentSpec).
//!
//! ```
//! use mantissa_mr_core::config::{Format, Source};
//! use mantissa_mr_core::deployment::Deployment;
//!
//! let tfvars = r#"
//! primary_region    = "us-east-1"
//! secondary_region  = "us-west-2"
//! failover_strategy = "active-passive"  # or "active-active"
//! environment       = "prod"
//! project           = "mantissa-log"
//! hosted_zone_id    = "Z0123456789"
//! "#;
//! let overlay = r#"
//! [witness]
//! kind = "dynamodb"
//! region = "us-east-2"
//!
//! [[groups]]
//! name = "detection"
//! tier = "important"
//!
//! [[groups.stores]]
//! name = "state"
//! kind = "dynamodb-global-table"
//! settings.table = "mantissa-log-state"
//!
//! [[groups.routers]]
//! name = "api"
//! kind = "route53-failover"
//! settings.zone = { variable = "hosted_zone_id" }  # taken from the tfvars
//! "#;
//! // From files: Deployment::load(["prod-multi-region.tfvars", "overlay.toml"])
//! let deployment = Deployment::from_sources([
//!     Source::new("prod-multi-region.tfvars", Format::Tfvars, tfvars),
//!     Source::new("overlay.toml", Format::Toml, overlay),
//! ])?;
//! assert_eq!(deployment.spec().name.as_str(), "mantissa-log-prod");
//! assert_eq!(deployment.spec().preferred.as_str(), "us-east-1");
//! # Ok::<(), mantissa_mr_core::problem::Problems>(())
//! ```
//!
//! What is wrong is said all at once, each thing with its place and how to mend it:
//!
//! ```
//! # use mantissa_mr_core::config::{Format, Source};
//! # use mantissa_mr_core::deployment::Deployment;
//! let tfvars = "primary_region = \"us-east-1\"\nsecondary_regoin = \"us-west-2\"\n";
//! let problems = Deployment::from_sources([Source::new("prod.tfvars", Format::Tfvars, tfvars)]).unwrap_err();
//! let first = problems.as_slice()[0].to_string();
//! assert_eq!(first, "prod.tfvars:2:1: secondary_regoin: is not a known variable (did you mean `secondary_region`?)");
//! ```
//!
//! # Order
//!
//! Files are laid over each other in their order, and the name of each says its [`Format`]. Tables are merged key by
//! key, lists of things that have a `name` (regions, groups, stores, vantages and so on) name by name, everything else is
//! replaced as a whole. A `null` (JSON, tfvars) takes back what an earlier file said. A date of TOML's is taken as text.
//!
//! # What the variables give
//!
//! | in the deployment | from the variables |
//! | --- | --- |
//! | `name` | `project`, `-`, `environment` |
//! | `regions`, `preferred` | `primary_region` and `secondary_region`, or Azure's `primary_location` and `secondary_location`; preferred is the primary one |
//! | the regions' `provider` | the form of their names, and the variables that only one cloud has; `provider` at the top of the overlay goes before |
//! | `strategy` | `failover_strategy` |
//! | `policy.standby` | `secondary_region_scale` |
//! | any value of the overlay | `{ variable = "hosted_zone_id" }` in its place, for any variable that holds a value |
//!
//! All other variables are let alone, whatever they hold. A name that is one or two slips away from a variable that
//! matters here is refused, unless its file sets the right one too or the overlay refers to it: a misspelt
//! `failover_strategy` must not be passed over in silence.
//!
//! A variable whose name ends like a secret's (`password`, `token`, ...) cannot be referred to: plans show settings. Nor
//! can a setting be called so and hold a text, or hold a URL with a user in it.
//!
//! # What contradicts
//!
//! | in the tfvars | does not go with |
//! | --- | --- |
//! | one region twice | |
//! | `primary_region` or `secondary_region` | `primary_location` or `secondary_location` |
//! | a region's name of one cloud's form | a region of another cloud's form, or a variable that only another cloud has (unless `provider` is named) |
//! | `cosmos_multi_region_write = false` | the strategy `active-active` (and `true` with `active-passive` is warned of) |
//! | `enable_dynamodb_global_tables = false` | a store whose kind starts with `dynamodb-global-table` |
//! | `enable_s3_cross_region_replication = false` | a store whose kind starts with `s3-` |
//! | `storage_replication_type = "LRS"` or `"ZRS"` | a store whose kind starts with `storage-account` |
//! | `storage_dual_region = false` | a store whose kind starts with `gcs-dual-region` |
//! | `firestore_multi_region = false` | a store whose kind starts with `firestore-multi-region` |
//!
//! # In code
//!
//! ```
//! use mantissa_mr_core::deployment::{
//!     Deployment, DeploymentSpec, GroupSpec, Provider, RegionSpec, ResourceSpec, Strategy, TierChoice, VantageSpec,
//!     WitnessSpec,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let state = ResourceSpec::new("state".try_into()?, "dynamodb-global-table").with("table", "mantissa-log-state");
//! let api = ResourceSpec::new("api".try_into()?, "route53-failover")
//!     .in_unit("api.example.com")
//!     .with_in("us-east-1".try_into()?, "endpoint", "a1b2.execute-api.us-east-1.amazonaws.com");
//!
//! let spec = DeploymentSpec::new(
//!     "mantissa-log-prod".try_into()?,
//!     Strategy::ActivePassive,
//!     RegionSpec::new("us-east-1".try_into()?, Provider::Aws),
//!     WitnessSpec::in_region("dynamodb", "us-east-2".try_into()?),
//! )
//! .region(RegionSpec::new("us-west-2".try_into()?, Provider::Aws))
//! .vantage(VantageSpec::new("office".try_into()?, "office".try_into()?))
//! .group(GroupSpec::new("detection".try_into()?, TierChoice::Important).store(state).router(api));
//!
//! let deployment = Deployment::new(spec)?;
//! assert!(deployment.warnings().iter().any(|warning| warning.starts_with("fewer than three vantages")));
//! # Ok(())
//! # }
//! ```

use std::borrow::Borrow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::deployment::Deployment;
use crate::problem::{Location, Problem, Problems};

mod assemble;
mod contradictions;
mod derive;
mod findings;
mod nearest;
mod read;
mod schema;
mod tree;
mod variables;
mod walk;

#[cfg(test)]
mod tests;

/// Larger files are refused, in bytes: nobody writes a configuration of this size, and a wrong path may lead anywhere.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Terraform's variables (`.tfvars`).
    Tfvars,
    /// Terraform's variables in JSON (`.tfvars.json`).
    TfvarsJson,
    /// An overlay in TOML (`.toml`).
    Toml,
    /// An overlay in JSON (`.json`).
    Json,
}

impl Format {
    /// The format that the ending of a file's name tells, if it is one of these.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        [
            (".tfvars", Self::Tfvars),
            (".tfvars.json", Self::TfvarsJson),
            (".toml", Self::Toml),
            (".json", Self::Json),
        ]
        .into_iter()
        .find_map(|(ending, format)| name.ends_with(ending).then_some(format))
    }
}

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// What problems call it: the path as the user wrote it.
    pub name: String,
    /// What it is written in.
    pub format: Format,
    /// What it holds.
    pub text: String,
}

impl Source {
    /// A file's content.
    pub fn new(name: impl Into<String>, format: Format, text: impl Into<String>) -> Self {
        Self { name: name.into(), format, text: text.into() }
    }

    /// The text without the byte order mark that some editors put before it.
    fn text_without_mark(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }
}

impl Deployment {
    /// Reads a deployment from files; later ones extend and override earlier ones (see [`config`](crate::config)).
    ///
    /// Reads a few small files and blocks meanwhile: call it on start, before there is a runtime to hold up.
    ///
    /// # Errors
    /// Everything that is wrong, in all files: what cannot be read (with the system's reason), what cannot be parsed,
    /// unknown keys, misspelt variables, values of the wrong kind, contradictions, everything that no file says, and
    /// what [`Deployment::new`] refuses; of more than a thousand, the first thousand. Each says where it is, and how to
    /// mend it where that is known.
    pub fn load<I, P>(paths: I) -> Result<Self, Problems>
    where
        I: IntoIterator<Item = P>,
        P: AsRef<Path>,
    {
        let sources: Vec<_> = paths.into_iter().map(|path| read_file(path.as_ref())).collect();
        assemble::assemble(&sources)
    }

    /// The same from texts, without reading any file.
    ///
    /// # Errors
    /// As for [`load`](Self::load), but for the reading.
    pub fn from_sources<I, S>(sources: I) -> Result<Self, Problems>
    where
        I: IntoIterator<Item = S>,
        S: Borrow<Source>,
    {
        let sources: Vec<_> = sources.into_iter().map(|source| Ok(source.borrow().clone())).collect();
        assemble::assemble(&sources)
    }
}

fn read_file(path: &Path) -> Result<Source, Problem> {
    let name = path.display().to_string();
    let problem =
        |message: String| Problem::new("", message).at(Location { file: name.clone(), position: None });
    let format = Format::of(path).ok_or_else(|| {
        problem("its name says no format that is known".into())
            .with_advice("it must end in .tfvars, .tfvars.json, .toml or .json")
    })?;
    let bytes = read_bytes(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(problem(format!("is larger than {MAX_FILE_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| problem(format!("is not UTF-8 text: byte {}", error.utf8_error().valid_up_to())))?;
    Ok(Source { name, format, text })
}

fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
