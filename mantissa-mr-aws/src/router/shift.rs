//! Both ways to shift.

use futures_util::future::join_all;
use mantissa_mr_core::error::{Effect, Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::traffic::Shift;
use tokio::time::Instant;

use super::observed::Observed;
use super::records::Records;
use super::state::Act;
use super::switch::{Bucket, Memo, Only, Stored, SwitchNote};
use super::{Made, Route53Failover};
use crate::error::ApiCall;

impl Route53Failover {
    pub(super) async fn shift_planned(&self, target: &Region, shift: &Shift) -> Result<()> {
        let begin = Instant::now();
        let mut observed = self.observe().await?;
        let call = self.call("shift", target);
        let records = observed.records()?.clone();
        // Of the two buckets the target's is needed: its memo is what the next unplanned shift goes by.
        observed.memo_in(target)?;
        let view = observed.view()?;
        // What changes nothing for clients is only tidied up, whatever it was decided on.
        if view.served() != target && observed.version() != shift.based_on {
            return Err(changed(call));
        }
        refuse_older(call, &observed, shift.epoch)?;
        let acts = view.planned(target);
        let change = self.carry_out(&acts, &mut observed, &records, shift.epoch).await?;
        let now = if acts.contains(&Act::Swap) { records.swapped() } else { records };
        let change = match acts.as_slice() {
            [] => self.last_change(&observed),
            [Act::Swap] => change,
            // Where clients follow a switch too, the records' being in sync does not tell that they have.
            _ => None,
        };
        if !acts.is_empty() {
            self.remember(change.as_deref(), &now, begin);
        }
        let settled = |memo: &mut Memo| {
            memo.primary = now.primary.clone();
            memo.records = now.fingerprint();
            memo.ttl = now.ttl();
            memo.epoch = shift.epoch;
            memo.moving_to = None;
            memo.change.clone_from(&change);
        };
        self.note_down(&mut observed, target, settled).await
    }

    /// Makes the changes of a planned shift one after the other; returns the id of the swap, where it is known.
    async fn carry_out(
        &self,
        acts: &[Act],
        observed: &mut Observed,
        records: &Records,
        epoch: Epoch,
    ) -> Result<Option<String>> {
        let mut change = None;
        for act in acts {
            tracing::info!(record = self.records.name, %epoch, ?act, "planned shift");
            match act {
                Act::Swap => change = self.swap(observed, records, epoch).await?,
                Act::TurnOff(region) => {
                    let turned_off = self.turn_off(region, observed).await;
                    let partly = acts.contains(&Act::Swap);
                    turned_off
                        .map_err(|error| if partly { error.with_effect(Effect::Unknown) } else { error })?;
                }
                Act::TurnOn(_) => {}
            }
        }
        Ok(change)
    }

    /// Remembers who made the records what they are. Where this call does not know, another one of this process may: it
    /// made that very change while this one was under way.
    fn remember(&self, change: Option<&str>, records: &Records, begin: Instant) {
        let records = records.fingerprint();
        let made = change.map(|id| Made { id: id.to_owned(), records: records.clone(), at: Instant::now() });
        let mut seen = self.seen();
        let by_another = seen.change.as_ref().is_some_and(|made| made.records == records && made.at >= begin);
        if made.is_some() || !by_another {
            seen.change = made;
        }
    }

    /// Swaps the records, between a memo that says so beforehand and, if it fails, one that takes it back. Returns the
    /// id of the change, unless it had been made already.
    async fn swap(&self, observed: &mut Observed, records: &Records, epoch: Epoch) -> Result<Option<String>> {
        let wanted = records.swapped();
        let target = wanted.primary.clone();
        self.note_down(observed, &target, |memo| {
            memo.epoch = epoch;
            memo.moving_to = Some(target.clone());
        })
        .await?;
        let why = format!("mantissa-mr: {target} becomes primary in epoch {epoch}");
        let error = match self.records.replace(records, &wanted, &why).await {
            Ok(change) => return Ok(Some(change)),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::Conflict
            && self.records.read().await?.fingerprint() == wanted.fingerprint()
        {
            return Ok(None);
        }
        if error.effect() == Effect::None {
            let taken_back = self.note_down(observed, &target, |memo| memo.moving_to = None).await;
            taken_back.unwrap_or_else(|error| tracing::warn!("the memo of the failed change stays: {error}"));
        }
        Err(error)
    }

    /// Needs nothing but S3 in the target region. The other region's bucket is looked at only to find a switch that an
    /// earlier failover left on.
    pub(super) async fn shift_unplanned(&self, target: &Region, shift: &Shift) -> Result<()> {
        let call = self.call("shift", target);
        let Some(bucket) = self.buckets.get(target) else {
            return Err(call
                .error(ErrorKind::Unsupported, "this router has no switch: its regions have no `bucket`")
                .with_advice("shift with `--override control-plane`, if Route 53's control plane is up"));
        };
        let looks = join_all(self.buckets.values().map(|bucket| self.contents(bucket)));
        let observed = Observed::without_records(looks.await.into_iter().collect());
        let Some(memo) = observed.memo_in(target)? else {
            return Err(call
                .error(ErrorKind::InvalidInput, "the switches of this router were never set up")
                .with_advice("run `init` while all is well; now shift with `--override control-plane`"));
        };
        refuse_older(call, &observed, shift.epoch)?;
        let done = observed.switch_epoch(target) == Some(shift.epoch);
        if !done && !observed.switch_is_as_in(target, &shift.based_on) {
            return Err(changed(call));
        }
        // The other bucket may know more: this one was perhaps out of reach when its memo was last written.
        let memo = observed.memo().unwrap_or(memo);
        let mut view = observed.view_by(memo);
        if memo.moving_to.is_some() && view.primary == *target {
            // Nobody knows whether that change was made: as the secondary the target needs more.
            view = view.after(&Act::Swap);
        }
        for act in view.unplanned(target) {
            tracing::info!(record = self.records.name, epoch = %shift.epoch, ?act, "unplanned shift");
            match act {
                Act::TurnOn(_) if done => {}
                Act::TurnOn(_) => self.turn_on(bucket, &observed, shift).await?,
                Act::TurnOff(region) => self.turn_off(&region, &observed).await.map_err(|error| {
                    error.with_effect(Effect::Unknown).with_advice(
                        "this switch is on since an earlier failover and keeps the target out of service: remove its \
                         object, or shift with `--override control-plane`",
                    )
                })?,
                Act::Swap => {}
            }
        }
        Ok(())
    }

    async fn turn_on(&self, bucket: &Bucket, observed: &Observed, shift: &Shift) -> Result<()> {
        let call = self.call("shift", &bucket.region);
        let from = self.records.identifiers.keys().find(|other| **other != bucket.region);
        let from = from.unwrap_or(&bucket.region).clone();
        let note = SwitchNote { takes_over: bucket.region.clone(), from, epoch: shift.epoch };
        let only = Only::from(observed.switched_on(&bucket.region));
        let error = match bucket.store(&self.switch_key, &note, only).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Conflict => return Err(error),
            Err(error) => error,
        };
        // Somebody was faster: perhaps this very shift, carried out by another process.
        let now = bucket.switch(&self.switch_key).await?;
        match now.and_then(|on| on.content).map(|note| note.epoch) {
            Some(epoch) if epoch == shift.epoch => Ok(()),
            Some(epoch) if epoch > shift.epoch => Err(superseded(call, epoch)),
            _ => Err(error),
        }
    }

    pub(super) async fn turn_off(&self, region: &Region, observed: &Observed) -> Result<()> {
        match (self.buckets.get(region), observed.switched_on(region)) {
            (Some(bucket), Some(on)) => bucket.remove(&self.switch_key, &on.etag).await,
            _ => Ok(()),
        }
    }

    /// Changes the memos that are there: that of the target must be written, the other one if it can be. The target's
    /// comes last: what it says of a change that is under way or not, the other one says too.
    pub(super) async fn note_down(
        &self,
        observed: &mut Observed,
        target: &Region,
        change: impl Fn(&mut Memo),
    ) -> Result<()> {
        let mut buckets: Vec<_> = self.buckets.iter().collect();
        buckets.sort_by_key(|(region, _)| *region == target);
        for (region, bucket) in buckets {
            let Some(stored) = observed.stored_memo(region) else { continue };
            let mut content = stored.content.clone();
            change(&mut content);
            if content == stored.content {
                continue;
            }
            match bucket.store(&self.memo_key, &content, Only::from(Some(stored))).await {
                Ok(etag) => observed.wrote(region, Stored { content, etag }),
                Err(error) if region == target || error.kind() == ErrorKind::Conflict => return Err(error),
                Err(error) => tracing::warn!(%region, "the memo could not be written: {error}"),
            }
        }
        Ok(())
    }
}

/// Nobody with an older epoch changes the routing.
fn refuse_older(call: ApiCall<'_>, observed: &Observed, epoch: Epoch) -> Result<()> {
    match observed.newest_epoch() {
        Some(newest) if newest > epoch => Err(superseded(call, newest)),
        _ => Ok(()),
    }
}

fn superseded(call: ApiCall<'_>, newest: Epoch) -> Error {
    call.error(ErrorKind::Superseded, format!("the routing was changed under epoch {newest} already"))
}

fn changed(call: ApiCall<'_>) -> Error {
    call.error(ErrorKind::Conflict, "the routing changed since it was read")
        .with_advice("read the routing again")
}
