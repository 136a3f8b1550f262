//! A world of files in a folder: regions, stores, a router, scalers, checks and a witness that outlive a process, so
//! that every command can be tried in two minutes without a cloud.
//!
//! ```text
//! mantissa-world/
//!   lock                            whoever changes the world holds a lock on it
//!   HOLD                            while this file is there, nothing is replicated
//!   regions/us-east-1/DOWN          while this file is there, nothing in the region answers
//!   regions/us-east-1/UNFIT         while this file is there, its checks call it unfit, and all else answers
//!   regions/us-east-1/DEGRADED      while this file is there, its checks call it degraded
//!   regions/us-east-1/NO-CAPACITY   while this file is there, it gets no more compute than it has
//!   regions/us-east-1/stores/state/ one replica: its logs, its items, what it knows of the others
//!   regions/us-east-1/scalers/workers.json
//!   routers/traffic.json            what each region gets
//!   witness/cells/                  the ledger, the journal, the vantages' ballots
//!   witness/DOWN                    while this file is there, the witness does not answer
//! ```
//!
//! What is simulated is simulated honestly: changes are in ordered logs and reach the other regions no sooner than the
//! store's `lag`, and only while both regions are up; capacity is there after the scaler's `start`; a change of the
//! routing fails if the routing was changed since it was read. Whatever time does, it has done by the next access.
//!
//! Every change is made under one lock and lands by a rename or by one line that ends: a process can be killed at any
//! byte. Power cuts are another matter: nothing is synced to the disk, but for the witness.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::deployment::{Deployment, Strategy};
use mantissa_mr_core::error::{Effect, Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::problem::Problems;

mod check;
mod disk;
mod replica;
mod router;
mod scaler;
mod settings;
mod store;
mod witness;

use check::FileCheck;
use router::FileRouter;
use scaler::FileScaler;
use settings::Known;
use store::FileStore;
use witness::Witness;

const README: &str =
    "A world of mantissa-mr's `failover` example: regions, data, traffic and compute as files.

Take a region down:              touch regions/us-east-1/DOWN
Bring it back:                   rm regions/us-east-1/DOWN
Let its service fail, or ail:    touch regions/us-east-1/UNFIT, .../DEGRADED
Give it no more compute:         touch regions/us-west-2/NO-CAPACITY
Let replication stand still:     touch HOLD
Take the witness down:           touch witness/DOWN

All else can be read, and is better left alone.
";

/// Whether a folder is a world, as far as `init` has come.
pub(crate) fn is_there(root: &Path) -> bool {
    root.join("witness/cells").is_dir()
}

/// Makes the world of a deployment, as its infrastructure tool would: regions, routing and capacity. Says what was made;
/// what is there already is let alone.
///
/// # Errors
/// The folder cannot be written. Running it again goes on from there.
pub(crate) async fn create(root: &Path, deployment: &Deployment) -> Result<Vec<String>, Failure> {
    let resources = Resources::new(root, deployment)?;
    let mut made = Vec::new();
    let world = resources.world.clone();
    made.extend(world.make_root(deployment)?);
    let spec = deployment.spec();
    let serves = |region: &Region| spec.strategy == Strategy::ActiveActive || *region == spec.preferred;
    for router in &resources.routers {
        made.extend(router.create(deployment.regions().filter(|region| serves(region)))?);
    }
    for scaler in &resources.scalers {
        for region in deployment.regions() {
            let share = if serves(region) { None } else { Some(spec.policy.standby.0) };
            made.extend(scaler.create(region, share)?);
        }
    }
    witness::create(&world.root).await?;
    Ok(made)
}

/// Everything of the deployment that the world serves. A world that is not there yet is empty.
///
/// # Errors
/// Every setting that is wrong.
pub(crate) fn connect(root: &Path, deployment: &Deployment) -> Result<Backend, Problems> {
    let resources = Resources::new(root, deployment)?;
    let mut backend = Backend::new(Arc::new(Witness::new(root)));
    for store in resources.stores {
        backend.stores.insert(store.name().clone(), Arc::new(store));
    }
    for router in resources.routers {
        backend.routers.insert(router.name().clone(), Arc::new(router));
    }
    for scaler in resources.scalers {
        backend.scalers.insert(scaler.name().clone(), Arc::new(scaler));
    }
    for check in resources.checks {
        backend.checks.insert(check.name().clone(), Arc::new(check));
    }
    Ok(backend)
}

/// Why a world cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A setting is wrong.
    #[error("{0}")]
    Settings(#[from] Problems),
    /// A file cannot be read or written.
    #[error("{0}")]
    Files(#[from] Error),
}

struct Resources {
    world: Arc<World>,
    stores: Vec<FileStore>,
    routers: Vec<FileRouter>,
    scalers: Vec<FileScaler>,
    checks: Vec<FileCheck>,
}

impl Resources {
    fn new(root: &Path, deployment: &Deployment) -> Result<Self, Problems> {
        let world = Arc::new(World { root: root.to_owned() });
        let mut problems = Vec::new();
        let (mut stores, mut routers, mut scalers, mut checks) = (vec![], vec![], vec![], vec![]);
        for group in &deployment.spec().groups {
            for (list, resource) in group.resources() {
                let mut known = Known::new(&group.name, list, resource);
                match (list, resource.kind.as_str()) {
                    ("stores", "file-store") => {
                        stores.push(FileStore::new(world.clone(), deployment, resource, &mut known));
                    }
                    ("routers", "file-router") => {
                        routers.push(FileRouter::new(world.clone(), deployment, resource, &mut known));
                    }
                    ("scalers", "file-scaler") => {
                        scalers.push(FileScaler::new(world.clone(), deployment, resource, &mut known));
                    }
                    ("checks", "file-check") => checks.push(FileCheck::new(world.clone(), resource)),
                    _ => continue,
                }
                problems.extend(known.finish());
            }
        }
        Problems::check(problems)?;
        Ok(Self { world, stores, routers, scalers, checks })
    }
}

/// The folder, and whether things in it are up.
#[derive(Debug)]
struct World {
    root: PathBuf,
}

impl World {
    fn make_root(&self, deployment: &Deployment) -> Result<Option<String>> {
        let readme = self.root.join("README.txt");
        let made = !readme.exists();
        for region in deployment.regions() {
            disk::make_folder(&self.region(region))?;
        }
        if made {
            disk::replace(&readme, README.as_bytes())?;
        }
        Ok(made.then(|| format!("made the world {}", self.root.display())))
    }

    fn region(&self, region: &Region) -> PathBuf {
        self.root.join("regions").join(region.as_str())
    }

    /// Whether a region has this file.
    fn says(&self, region: &Region, file: &str) -> bool {
        self.region(region).join(file).exists()
    }

    fn is_down(&self, region: &Region) -> bool {
        self.says(region, "DOWN")
    }

    /// Nothing in a region that is down answers.
    fn see_that_up(&self, region: &Region, operation: &str) -> Result<()> {
        if !self.is_down(region) {
            return Ok(());
        }
        let message = format!("the region is down (regions/{region}/DOWN is there)");
        Err(Error::new(ErrorKind::Unavailable, operation, message)
            .in_region(region)
            .with_effect(Effect::None))
    }

    /// Something that `init` makes and is not there.
    fn missing(&self, operation: &str, what: &str) -> Error {
        let message = format!("{what} is not in the world {}", self.root.display());
        Error::new(ErrorKind::NotFound, operation, message)
            .with_advice("run `init`, or name the right folder with --world")
    }
}

/// Does something to the world, alone: nobody else changes it meanwhile.
async fn alone<T: Send + 'static>(
    world: &Arc<World>,
    operation: &'static str,
    work: impl FnOnce(&World) -> Result<T> + Send + 'static,
) -> Result<T> {
    let world = world.clone();
    let done = tokio::task::spawn_blocking(move || {
        if !world.root.is_dir() {
            return Err(world.missing(operation, "the folder"));
        }
        let _lock = disk::lock(&world.root.join("lock"), operation)?;
        work(&world)
    });
    done.await.unwrap_or_else(|gone| Err(Error::new(ErrorKind::Unexpected, operation, gone.to_string())))
}

/// How long until `span` has passed since a time; none if it has.
fn remaining(since: jiff::Timestamp, span: Duration) -> Option<Duration> {
    let age = Duration::try_from(jiff::Timestamp::now().duration_since(since)).unwrap_or_default();
    span.checked_sub(age).filter(|left| !left.is_zero())
}

/// A call that names a region which the resource does not have.
fn see_that_known(regions: &[Region], region: &Region, operation: &str) -> Result<()> {
    if regions.contains(region) {
        return Ok(());
    }
    let known: Vec<&str> = regions.iter().map(Region::as_str).collect();
    let message = format!("it is not one of the regions ({})", known.join(", "));
    Err(Error::new(ErrorKind::InvalidInput, operation, message).in_region(region))
}

/// What is wrong with a region's name in a setting.
fn unknown_region(deployment: &Deployment, text: &str) -> Option<String> {
    let known: Vec<&str> = deployment.regions().map(Region::as_str).collect();
    (!known.contains(&text)).then(|| format!("{text} is not one of the regions ({})", known.join(", ")))
}
