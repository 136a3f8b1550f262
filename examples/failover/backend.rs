//! What serves a deployment's resources, chosen by who runs its regions.

use std::collections::BTreeSet;
use std::path::Path;

use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::deployment::{Deployment, Provider};
use mantissa_mr_core::problem::{Problem, Problems};

use crate::args::Common;
use crate::exit::Stop;
use crate::files::{self, Missing};

/// The kind of witness that is a folder of the world of files.
const FILES: &str = "files";

/// Connects to everything that the deployment names. The witness decides whose cells are taken.
///
/// # Errors
/// Wrong settings, all at once; providers that this program knows nothing of.
pub(crate) async fn connect(
    deployment: &Deployment,
    common: &Common,
    missing: Missing,
) -> Result<Backend, Stop> {
    let spec = deployment.spec();
    let mut providers: BTreeSet<Provider> = spec.regions.iter().map(|region| region.provider).collect();
    let files = providers.remove(&Provider::Simulated) || spec.witness.kind == FILES;
    let mut problems: Vec<Problem> = Vec::new();
    for provider in &providers {
        let message = format!("this program has no backend for {provider}");
        problems.push(Problem::new("regions.provider", message));
    }
    if common.endpoint_url.is_some() && !providers.contains(&Provider::Aws) {
        problems
            .push(Problem::new("--endpoint-url", "no region of the deployment has an API that it could be"));
    }
    Problems::check(problems)?;
    let mut backends: Vec<Backend> = Vec::new();
    if files {
        backends.push(files::connect(&common.world, deployment, missing)?);
    }
    let mut backends = backends.into_iter();
    let first = backends.next().ok_or_else(|| Problem::new("regions", "nothing serves this deployment"))?;
    let backend = backends.fold(first, Backend::and);
    backend.check(deployment)?;
    Ok(backend)
}

/// Makes what is only in files: for everything else, an infrastructure tool has done it.
///
/// # Errors
/// The folder cannot be written.
pub(crate) async fn create(deployment: &Deployment, world: &Path) -> Result<Vec<String>, Stop> {
    let spec = deployment.spec();
    let simulated = spec.regions.iter().any(|region| region.provider == Provider::Simulated);
    if !simulated && spec.witness.kind != FILES {
        return Ok(Vec::new());
    }
    files::create(world, deployment).await.map_err(|failure| match failure {
        files::Failure::Settings(problems) => Stop::Input(problems),
        files::Failure::Files(error) => Stop::Failed(error),
    })
}
