//! Where the traffic goes: one file, swapped as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mantissa_mr_core::deployment::{Deployment, ResourceSpec};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{Region, ResourceName};
use mantissa_mr_core::traffic::{
    Convergence, RouterCapabilities, Routing, RoutingVersion, Shift, TrafficRouter, Urgency, Weights,
};
use serde::{Deserialize, Serialize};

use super::settings::Known;
use super::{World, alone, disk, remaining, unknown_region};

/// A router in one file. Clients follow a change after `convergence`.
///
/// With `control-plane = "us-east-1"` a planned change needs that region, as Route 53's record changes do; an unplanned
/// one needs nothing.
#[derive(Debug)]
pub(super) struct FileRouter {
    world: Arc<World>,
    name: ResourceName,
    regions: Vec<Region>,
    convergence: Duration,
    control_plane: Option<Region>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct State {
    version: u64,
    epoch: Epoch,
    weights: Weights,
    changed: Timestamp,
}

impl FileRouter {
    pub(super) fn new(
        world: Arc<World>,
        deployment: &Deployment,
        resource: &ResourceSpec,
        known: &mut Known<'_>,
    ) -> Self {
        let convergence = known.duration("convergence", Duration::from_secs(1));
        let control_plane = known.text("control-plane");
        if let Some(problem) = control_plane.and_then(|text| unknown_region(deployment, text)) {
            known.wrong("control-plane", problem);
        }
        Self {
            world,
            name: resource.name.clone(),
            regions: deployment.regions().cloned().collect(),
            convergence,
            control_plane: control_plane.and_then(|text| Region::new(text).ok()),
        }
    }

    pub(super) fn name(&self) -> &ResourceName {
        &self.name
    }

    fn path(&self) -> PathBuf {
        self.world.root.join("routers").join(format!("{}.json", self.name))
    }

    pub(super) fn create<'a>(&self, serving: impl Iterator<Item = &'a Region>) -> Result<Option<String>> {
        let path = self.path();
        if path.exists() {
            return Ok(None);
        }
        disk::make_folder(&self.world.root.join("routers"))?;
        let weights = Weights::even(serving);
        let text = format!("router {}: made it, with {weights}", self.name);
        disk::replace_json(
            &path,
            &State { version: 1, epoch: Epoch(1), weights, changed: Timestamp::now() },
        )?;
        Ok(Some(text))
    }

    async fn read(&self) -> Result<State> {
        let path = self.path();
        alone(&self.world, "read the routing", move |world| load(world, &path)).await
    }
}

fn load(world: &World, path: &Path) -> Result<State> {
    let state = disk::read_json(path)?;
    state.ok_or_else(|| world.missing("read the routing", "the router"))
}

/// Sees that a shift may be made, and makes it.
fn swap(path: &Path, state: State, shift: &Shift) -> Result<()> {
    let refuse = |kind, message: String| Err(Error::new(kind, "shift", message));
    if shift.epoch < state.epoch {
        return refuse(
            ErrorKind::Superseded,
            format!("the routing is of epoch {}, this shift of epoch {}", state.epoch, shift.epoch),
        );
    }
    if shift.based_on != version(&state) {
        // The very change that is asked for may be the one that was made: repeating it is no conflict.
        if shift.epoch == state.epoch && shift.weights == state.weights {
            return Ok(());
        }
        return refuse(ErrorKind::Conflict, "the routing was changed since it was read".into());
    }
    let (version, epoch, weights) = (state.version + 1, shift.epoch, shift.weights.clone());
    disk::replace_json(path, &State { version, epoch, weights, changed: Timestamp::now() })
}

fn version(state: &State) -> RoutingVersion {
    RoutingVersion(state.version.to_string())
}

#[async_trait]
impl TrafficRouter for FileRouter {
    fn capabilities(&self) -> RouterCapabilities {
        RouterCapabilities {
            planned_needs: self.control_plane.iter().cloned().collect(),
            unplanned_needs: Some(BTreeSet::new()),
            splits_traffic: true,
            expected_convergence: self.convergence,
        }
    }

    async fn routing(&self) -> Result<Routing> {
        let state = self.read().await?;
        let up = |region: &Region| (region.clone(), !self.world.is_down(region));
        let health: BTreeMap<Region, bool> = self.regions.iter().map(up).collect();
        Ok(Routing { version: version(&state), weights: state.weights, health, unfinished: None })
    }

    async fn shift(&self, shift: &Shift) -> Result<()> {
        let wrong =
            |message: String| Err(Error::new(ErrorKind::InvalidInput, "shift", message).on(&self.name));
        if shift.weights.serving().next().is_none() {
            return wrong("it would leave every region without traffic".into());
        }
        if let Some(region) = shift.weights.0.keys().find(|region| !self.regions.contains(region)) {
            return wrong(format!("{region} is not a region of this router"));
        }
        let needed = self.control_plane.clone().filter(|_| shift.urgency == Urgency::Planned);
        let (path, shift) = (self.path(), shift.clone());
        alone(&self.world, "shift", move |world| {
            needed.map_or(Ok(()), |region| world.see_that_up(&region, "shift"))?;
            swap(&path, load(world, &path)?, &shift)
        })
        .await
    }

    async fn converged(&self, weights: &Weights) -> Result<Convergence> {
        let state = self.read().await?;
        if !state.weights.same_shares(weights) {
            return Ok(Convergence::NotYet { why: format!("the routing is {}", state.weights) });
        }
        Ok(match remaining(state.changed, self.convergence) {
            Some(left) => {
                Convergence::NotYet { why: format!("clients may hold on for {:.1} s", left.as_secs_f64()) }
            }
            None => Convergence::Converged {
                how: format!("{:.1} s have passed since the change", self.convergence.as_secs_f64()),
            },
        })
    }
}
