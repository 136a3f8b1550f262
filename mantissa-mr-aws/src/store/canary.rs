//! Measures the lag with an item of this store's own, if the deployment asks for it.
//!
//! In each region that takes writes the item `mantissa-canary.<region>` gets the time of its writing; the other regions
//! are asked until they have it, for up to [`PATIENCE`], or for a sixth of a call's deadline if that is less. What is not
//! seen in that time is as old as the newest canary that is there; of a region that does not even answer in that time
//! nothing is known. Both times are of this machine's clock, so clocks of different machines do not matter unless the newest
//! canary was written by another machine.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use futures_util::future::join_all;
use jiff::Timestamp;
use mantissa_mr_core::clock::{Clock, SystemClock};
use mantissa_mr_core::error::Result;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Key, Lag};
use tokio::time::{Instant, sleep, timeout};

use super::item::Attributes;
use super::{GlobalTable, Replicas};
use crate::error::ApiCall;
use crate::table::KeySchema;

/// What the canaries' keys begin with.
const PREFIX: &str = "mantissa-canary.";
/// When it was written, in milliseconds since 1970.
const AT: &str = "mantissa_at";
/// How long a canary is waited for at most.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

/// Whether this is a canary's key.
pub(super) fn is_canary(key: &Key) -> bool {
    key.first().starts_with(PREFIX)
}

/// What one region holds of another's canary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sighting {
    /// How old the newest change that arrived is.
    pub(crate) lag: Duration,
    /// When that change was made.
    pub(crate) watermark: Timestamp,
}

/// Each reader's sighting of one source, or why there is none.
type Sightings<'a> = Vec<(&'a Region, Result<Sighting, String>)>;

impl GlobalTable {
    /// Puts the measured lag into the status of each region that takes writes.
    pub(super) async fn measure(&self, replicas: &mut Replicas) {
        if !self.canary {
            return;
        }
        let writers: Vec<Region> = replicas
            .iter()
            .filter(|(_, replica)| replica.takes_writes())
            .map(|(region, _)| region.clone())
            .collect();
        // The dead regions' newest canaries still tell how much of their data is here.
        let sources = self.regions.iter().map(|source| self.sightings(source, &writers));
        let seen: Vec<(&Region, Sightings<'_>)> = self.regions.iter().zip(join_all(sources).await).collect();
        for (region, replica) in replicas.iter_mut().filter(|(_, replica)| replica.takes_writes()) {
            let of_others =
                seen.iter().filter(|(source, _)| *source != region).flat_map(|(source, sightings)| {
                    let mine = sightings.iter().filter(|(reader, _)| *reader == region);
                    mine.map(move |(_, sighting)| (*source, sighting))
                });
            let (lag, watermark) = worst(of_others);
            replica.status.lag = lag;
            replica.status.watermark = watermark;
        }
    }

    /// Writes the canary of one region and looks for it in the others.
    async fn sightings<'a>(&self, source: &Region, readers: &'a [Region]) -> Sightings<'a> {
        let begin = Instant::now();
        let at = SystemClock.wall();
        let patience = self.patience();
        let written = readers.contains(source)
            && matches!(timeout(patience, self.release(source, at)).await, Ok(Ok(())));
        let looks = readers.iter().filter(|reader| *reader != source).map(|reader| async move {
            (reader, self.look(source, reader, written.then_some(at), begin).await)
        });
        join_all(looks).await
    }

    /// How long is waited for a canary, and for the answer to one question.
    fn patience(&self) -> Duration {
        PATIENCE.min(self.budget / 3)
    }

    /// Looks until the canary is there, or for as long as one waits.
    async fn look(
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
            let arrived =
                wanted.is_some_and(|wanted| found.is_some_and(|found| millis(found) >= millis(wanted)));
            if let (Some(watermark), true) = (found, arrived) {
                return Ok(Sighting { lag: begin.elapsed(), watermark });
            }
            if wanted.is_none() || begin.elapsed() >= patience {
                let watermark = found.ok_or_else(|| format!("no canary of {source} has arrived yet"))?;
                let age = Duration::try_from(SystemClock.wall().duration_since(watermark));
                return Ok(Sighting { lag: age.unwrap_or_default(), watermark });
            }
            sleep(LOOK).await;
        }
    }

    async fn release(&self, source: &Region, at: Timestamp) -> Result<()> {
        let call = ApiCall::change("PutItem", &self.table, source);
        let mut item = self.canary_key(call, source, source).await?;
        item.insert(AT.to_owned(), AttributeValue::N(millis(at).to_string()));
        let request = self.clients(source)?.dynamodb.put_item().table_name(&self.table);
        request.set_item(Some(item)).send().await.map_err(|error| call.failed(error))?;
        Ok(())
    }

    /// When the newest canary of `source` that `reader` has was written.
    async fn newest(&self, source: &Region, reader: &Region) -> Result<Option<Timestamp>> {
        let call = ApiCall::read("GetItem", &self.table, reader);
        let key = self.canary_key(call, source, reader).await?;
        let request = self.clients(reader)?.dynamodb.get_item().table_name(&self.table).consistent_read(true);
        let item = request.set_key(Some(key)).send().await.map_err(|error| call.failed(error))?.item;
        let at = item.as_ref().and_then(|item| item.get(AT)?.as_n().ok()?.parse::<i64>().ok());
        Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }

    async fn canary_key(&self, call: ApiCall<'_>, source: &Region, asked: &Region) -> Result<Attributes> {
        let keys = self.keys(asked).await?;
        canary_key(source, keys)
            .map_err(|why| call.error(mantissa_mr_core::error::ErrorKind::Unsupported, why))
    }
}

fn canary_key(source: &Region, keys: &KeySchema) -> Result<Attributes, String> {
    if keys.hash.kind != ScalarAttributeType::S {
        return Err("a canary needs a table whose partition key is a text".to_owned());
    }
    let range = keys.range.as_ref().map(|range| match range.kind {
        ScalarAttributeType::N => "0".to_owned(),
        _ => "AA==".to_owned(),
    });
    let key = Key([format!("{PREFIX}{source}")].into_iter().chain(range).collect());
    super::item::key_attributes(&key, keys)
}

fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The largest lag and the oldest watermark; unknown if one of them is.
pub(crate) fn worst<'a>(
    sightings: impl Iterator<Item = (&'a Region, &'a Result<Sighting, String>)>,
) -> (Lag, Option<Timestamp>) {
    let mut worst: Option<Sighting> = None;
    for (source, sighting) in sightings {
        match sighting {
            Err(why) => return (Lag::Unknown { why: format!("of {source}: {why}") }, None),
            Ok(sighting) => {
                let so_far = worst.unwrap_or(*sighting);
                worst = Some(Sighting {
                    lag: so_far.lag.max(sighting.lag),
                    watermark: so_far.watermark.min(sighting.watermark),
                });
            }
        }
    }
    match worst {
        Some(Sighting { lag, watermark }) => (Lag::Known { lag, age: Duration::ZERO }, Some(watermark)),
        None => (Lag::Unknown { why: "there is no other region to lag behind".to_owned() }, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(lag: u64, at: i64) -> Result<Sighting, String> {
        let watermark = Timestamp::from_second(at).unwrap();
        Ok(Sighting { lag: Duration::from_secs(lag), watermark })
    }

    #[test]
    fn the_worst_source_counts_and_an_unknown_one_makes_the_lag_unknown() {
        let (a, b) = (Region::new("a").unwrap(), Region::new("b").unwrap());
        let (one, two) = (sighting(1, 100), sighting(9, 90));
        let (lag, watermark) = worst([(&a, &one), (&b, &two)].into_iter());
        assert_eq!(lag, Lag::Known { lag: Duration::from_secs(9), age: Duration::ZERO });
        assert_eq!(watermark, Some(Timestamp::from_second(90).unwrap()));
        let none = Err("no answer".to_owned());
        let (lag, _) = worst([(&a, &one), (&b, &none)].into_iter());
        assert_eq!(lag, Lag::Unknown { why: "of b: no answer".to_owned() });
    }
}
