//! What serves a deployment's resources, chosen by who runs its regions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::BehaviorVersion;
use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::deployment::{Deployment, Provider};
use mantissa_mr_core::problem::{Problem, Problems};

use crate::args::Common;
use crate::exit::Stop;
use crate::files;

/// What serves a deployment, and what must be there before its ledger.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) backend: Backend,
    ground: Ground,
}

#[derive(Debug)]
enum Ground {
    Files(PathBuf),
    Aws(Box<mantissa_mr_aws::Connected>),
}

impl Connection {
    /// Connects to everything that the deployment names.
    ///
    /// # Errors
    /// Wrong settings, all at once; providers that this program knows nothing of.
    pub(crate) async fn new(deployment: &Deployment, common: &Common) -> Result<Self, Stop> {
        let spec = deployment.spec();
        let providers: BTreeSet<Provider> = spec.regions.iter().map(|region| region.provider).collect();
        let on_aws = providers.contains(&Provider::Aws);
        let mut problems: Vec<Problem> = Vec::new();
        for provider in
            providers.iter().filter(|provider| !matches!(provider, Provider::Aws | Provider::Simulated))
        {
            let message = format!("this program has no backend for {provider} yet");
            problems.push(Problem::new("regions.provider", message));
        }
        if common.endpoint_url.is_some() && !on_aws {
            let message = "no region of the deployment has an API that it could be the address of";
            problems.push(Problem::new("--endpoint-url", message));
        }
        Problems::check(problems)?;
        let connection = if on_aws {
            Self::aws(deployment, common).await?
        } else {
            Self::files(deployment, &common.world)?
        };
        connection.backend.check(deployment)?;
        Ok(connection)
    }

    fn files(deployment: &Deployment, world: &Path) -> Result<Self, Stop> {
        let backend = files::connect(world, deployment)?;
        Ok(Self { backend, ground: Ground::Files(world.to_owned()) })
    }

    async fn aws(deployment: &Deployment, common: &Common) -> Result<Self, Stop> {
        let region = aws_config::Region::new(deployment.spec().preferred.as_str().to_owned());
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region);
        if let Some(url) = &common.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let connected = mantissa_mr_aws::connect(deployment, &loader.load().await).await?;
        let mut backend = Backend::new(Arc::clone(&connected.cells));
        backend.stores = connected.stores.clone();
        backend.routers = connected.routers.clone();
        backend.scalers = connected.scalers.clone();
        backend.checks = connected.checks.clone();
        Ok(Self { backend, ground: Ground::Aws(Box::new(connected)) })
    }

    /// Whether what the deployment rests on is there at all; a folder that was misspelt is not.
    ///
    /// # Errors
    /// There is no such folder.
    pub(crate) fn see_that_there(&self) -> Result<(), Problems> {
        match &self.ground {
            Ground::Files(world) if !files::is_there(world) => {
                let message = format!("there is no world in {}", world.display());
                Err(Problem::new("--world", message).with_advice("`init` makes one").into())
            }
            _ => Ok(()),
        }
    }

    /// Makes what must be there before the ledger, and says what was made, or, dry, would be.
    ///
    /// # Errors
    /// The first that happened; running it again goes on from there.
    pub(crate) async fn prepare(&self, deployment: &Deployment, dry_run: bool) -> Result<Vec<String>, Stop> {
        match &self.ground {
            Ground::Files(world) if dry_run => {
                let would = format!("would make the world {}", world.display());
                Ok(if files::is_there(world) { Vec::new() } else { vec![would] })
            }
            Ground::Files(world) => files::create(world, deployment).await.map_err(|failure| match failure {
                files::Failure::Settings(problems) => Stop::Input(problems),
                files::Failure::Files(error) => Stop::Failed(error),
            }),
            Ground::Aws(connected) => Ok(connected.init(dry_run).await?),
        }
    }
}
