//! Measures the lag with an object of this store's own, if the deployment asks for it.
//!
//! In each region that takes writes the object `mantissa-canary.<region>` gets the time of its writing; the other regions are
//! asked until they have it, for up to [`PATIENCE`], or for a sixth of a call's deadline if that is less. S3 takes longer as a
//! rule; then the newest canary that is there says how old what is there is.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use mantissa_mr_core::clock::{Clock, SystemClock};
use mantissa_mr_core::error::Result;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Key, Precondition, PutItem, ReplicaStatus, ReplicatedStore, Role};
use tokio::time::{Instant, sleep, timeout};

use super::S3Bucket;
use super::look::{Replicated, Seen};
use crate::store::{Sighting, worst};

/// What the canaries' keys begin with.
const PREFIX: &str = "mantissa-canary.";
/// How long a canary is waited for at most.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

/// Whether this is a canary's key.
pub(super) fn is_canary(key: &str) -> bool {
    key.starts_with(PREFIX)
}

fn canary(source: &Region) -> Key {
    Key::new(format!("{PREFIX}{source}"))
}

/// Each reader's sighting of one source, or why there is none.
type Sightings = Vec<(Region, Result<Sighting, String>)>;

impl S3Bucket {
    /// Puts the measured lag into the status of each region that takes writes.
    pub(super) async fn measure(&self, replicas: &mut BTreeMap<Region, ReplicaStatus>) {
        if !self.settings.canary {
            return;
        }
        let writers: Vec<Region> = replicas
            .iter()
            .filter(|(_, replica)| replica.role == Role::Writer)
            .map(|(region, _)| region.clone())
            .collect();
        let sources = self.regions.iter().map(|source| self.sightings(source, &writers));
        let seen: Vec<(&Region, Sightings)> = self.regions.iter().zip(join_all(sources).await).collect();
        for (region, replica) in replicas.iter_mut().filter(|(_, replica)| replica.role == Role::Writer) {
            let of_others = seen.iter().filter(|(source, _)| *source != region);
            let mine = of_others.flat_map(|(source, sightings)| {
                let mine = sightings.iter().filter(|(reader, _)| reader == region);
                mine.map(move |(_, sighting)| (*source, sighting))
            });
            (replica.lag, replica.watermark) = worst(mine);
        }
    }

    /// Writes the canary of one region and looks for it in the others.
    async fn sightings(&self, source: &Region, readers: &[Region]) -> Sightings {
        let (begin, at) = (Instant::now(), SystemClock.wall());
        let written = readers.contains(source)
            && matches!(timeout(self.patience(), self.release(source, at)).await, Ok(Ok(())));
        let looks = readers.iter().filter(|reader| *reader != source).map(|reader| async move {
            (reader.clone(), self.await_canary(source, reader, written.then_some(at), begin).await)
        });
        join_all(looks).await
    }

    fn patience(&self) -> Duration {
        PATIENCE.min(self.budget / 3)
    }

    /// Looks until the canary is there, or for as long as one waits.
    async fn await_canary(
        &self,
        source: &Region,
        reader: &Region,
        wanted: Option<Timestamp>,
        begin: Instant,
    ) -> Result<Sighting, String> {
        let patience = self.patience();
        loop {
            let found = timeout(patience, self.newest(source, reader)).await;
            let found = found.map_err(|_| format!("{reader} did not answer within {patience:?}"))?;
            let found = found.map_err(|error| error.to_string())?;
            let millis = |at: Timestamp| at.as_millisecond();
            if let (Some(found), Some(wanted)) = (found, wanted)
                && millis(found) >= millis(wanted)
            {
                return Ok(Sighting { lag: begin.elapsed(), watermark: found });
            }
            if wanted.is_none() || begin.elapsed() >= patience {
                if wanted.is_some() && self.has_failed(source).await {
                    return Err(format!(
                        "S3 failed to replicate the canary of {source}, for good: see the role's permissions and the rules"
                    ));
                }
                let watermark = found.ok_or_else(|| format!("no canary of {source} has arrived yet"))?;
                let age = Duration::try_from(SystemClock.wall().duration_since(watermark));
                return Ok(Sighting { lag: age.unwrap_or_default(), watermark });
            }
            sleep(LOOK).await;
        }
    }

    async fn release(&self, source: &Region, at: Timestamp) -> Result<()> {
        let value = at.as_millisecond().to_string().into_bytes();
        let item = PutItem { key: canary(source), value, epoch: None };
        self.put(source, item, Precondition::None).await.map(drop)
    }

    /// When the newest canary of `source` that `reader` has was written.
    async fn newest(&self, source: &Region, reader: &Region) -> Result<Option<Timestamp>> {
        let found = self.read(reader, &canary(source)).await?;
        let at = found.and_then(|item| String::from_utf8(item.value).ok()?.parse::<i64>().ok());
        Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }

    async fn has_failed(&self, source: &Region) -> bool {
        let seen = timeout(self.patience(), self.look(source, canary(source).first())).await;
        matches!(seen, Ok(Ok(Seen::There(head))) if head.replication == Some(Replicated::Failed))
    }
}
