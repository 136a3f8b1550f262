//! How much compute a region has: a file a region, and a time that capacity takes to start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use mantissa_mr_core::compute::{Capacity, ComputeScaler, ScalerCapabilities, Target};
use mantissa_mr_core::deployment::{Deployment, ResourceSpec, Share};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{Region, ResourceName};
use serde::{Deserialize, Serialize};

use super::settings::Known;
use super::{World, alone, disk, remaining, see_that_known};

/// A scaler whose `full` capacity takes `start` to be there, within a `limit` if there is one.
#[derive(Debug)]
pub(super) struct FileScaler {
    world: Arc<World>,
    name: ResourceName,
    regions: Vec<Region>,
    terms: Terms,
    unit: String,
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    start: Duration,
    full: u64,
    limit: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct State {
    epoch: Epoch,
    requested: u64,
    /// What was ready when it was requested.
    before: u64,
    since: Timestamp,
}

impl State {
    fn ready(&self, terms: Terms) -> u64 {
        let starting = remaining(self.since, terms.start).is_some();
        if starting { self.before.min(self.requested) } else { self.requested }
    }
}

impl FileScaler {
    pub(super) fn new(
        world: Arc<World>,
        deployment: &Deployment,
        resource: &ResourceSpec,
        known: &mut Known<'_>,
    ) -> Self {
        let regions = deployment.regions().cloned().collect();
        let terms = Terms {
            start: known.duration("start", Duration::from_secs(1)),
            full: known.number("full").unwrap_or(10),
            limit: known.number("limit"),
        };
        let unit = known.text("unit").unwrap_or("workers").to_owned();
        Self { world, name: resource.name.clone(), regions, terms, unit }
    }

    pub(super) fn name(&self) -> &ResourceName {
        &self.name
    }

    fn path(&self, region: &Region) -> PathBuf {
        self.world.region(region).join("scalers").join(format!("{}.json", self.name))
    }

    /// Gives a region a share of full capacity; none is full capacity.
    pub(super) fn create(&self, region: &Region, share: Option<Share>) -> Result<Option<String>> {
        let path = self.path(region);
        if path.exists() {
            return Ok(None);
        }
        disk::make_folder(&self.world.region(region).join("scalers"))?;
        let units = share.unwrap_or(Share::FULL).of(self.terms.full);
        let state = State { epoch: Epoch(1), requested: units, before: units, since: Timestamp::now() };
        disk::replace_json(&path, &state)?;
        Ok(Some(format!("scaler {}: {region} has {units} {}", self.name, self.unit)))
    }
}

/// Reads what a region was asked for, and the most that it may be asked for.
fn load(
    world: &World,
    path: &Path,
    region: &Region,
    terms: Terms,
    operation: &str,
) -> Result<(State, Option<u64>)> {
    world.see_that_up(region, operation)?;
    let state: Option<State> = disk::read_json(path)?;
    let state = state.ok_or_else(|| world.missing(operation, &format!("the scaler of {region}")))?;
    let exhausted = world.says(region, "NO-CAPACITY").then_some(state.requested);
    let limit = exhausted.into_iter().chain(terms.limit).min();
    Ok((state, limit))
}

#[async_trait]
impl ComputeScaler for FileScaler {
    fn capabilities(&self) -> ScalerCapabilities {
        ScalerCapabilities { expected_start: self.terms.start }
    }

    async fn capacity(&self, region: &Region) -> Result<Capacity> {
        see_that_known(&self.regions, region, "read the capacity")?;
        let (path, region, terms) = (self.path(region), region.clone(), self.terms);
        let read = move |world: &World| load(world, &path, &region, terms, "read the capacity");
        let (state, limit) =
            alone(&self.world, "read the capacity", read).await.map_err(|error| error.on(&self.name))?;
        Ok(Capacity {
            ready: state.ready(terms),
            requested: state.requested,
            full: terms.full,
            limit,
            unit: self.unit.clone(),
        })
    }

    async fn scale(&self, region: &Region, target: Target, epoch: Epoch) -> Result<()> {
        see_that_known(&self.regions, region, "scale")?;
        let (path, region, terms) = (self.path(region), region.clone(), self.terms);
        let scaled = alone(&self.world, "scale", move |world| {
            let (state, limit) = load(world, &path, &region, terms, "scale")?;
            if epoch < state.epoch {
                let message = format!("it was scaled under epoch {}, this asks under {epoch}", state.epoch);
                return Err(Error::new(ErrorKind::Superseded, "scale", message).in_region(&region));
            }
            let requested = target.units(terms.full);
            if let Some(limit) = limit.filter(|limit| requested > *limit) {
                let message = format!("{requested} were asked for, the limit is {limit}");
                return Err(Error::new(ErrorKind::Quota, "scale", message).in_region(&region));
            }
            if requested == state.requested {
                return disk::replace_json(&path, &State { epoch, ..state });
            }
            let before = state.ready(terms);
            disk::replace_json(&path, &State { epoch, requested, before, since: Timestamp::now() })
        });
        scaled.await.map_err(|error| error.on(&self.name))
    }
}
