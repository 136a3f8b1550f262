//! Everything that was seen of the routing at one time, and what follows from it.

use std::collections::BTreeMap;

use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::traffic::RoutingVersion;

use super::records::Records;
use super::state::{Switch, View};
use super::switch::{Memo, Stored, SwitchedOn};

/// What was seen.
#[derive(Debug)]
pub(super) struct Observed {
    records: Result<Records>,
    buckets: BTreeMap<Region, Contents>,
}

/// What was seen in one region's bucket.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) switch: Result<Option<SwitchedOn>>,
    pub(super) memo: Result<Option<Stored<Memo>>>,
}

impl Observed {
    /// # Errors
    /// That of the records, unless Route 53's control plane was merely silent. A bucket that failed counts as unseen.
    pub(super) fn new(records: Result<Records>, buckets: BTreeMap<Region, Contents>) -> Result<Self> {
        if let Err(error) = &records
            && !is_silence(error)
        {
            return Err(error.clone());
        }
        for (region, contents) in &buckets {
            for error in [contents.switch.as_ref().err(), contents.memo.as_ref().err()].into_iter().flatten()
            {
                tracing::warn!(%region, "a switch's bucket: {error}");
            }
        }
        Ok(Self { records, buckets })
    }

    /// What was seen of the buckets alone.
    pub(super) fn without_records(buckets: BTreeMap<Region, Contents>) -> Self {
        let records = Err(Error::new(ErrorKind::Unavailable, "ListResourceRecordSets", "was not asked"));
        Self { records, buckets }
    }

    /// The memo in this region's bucket, or why it could not be read.
    pub(super) fn memo_in(&self, region: &Region) -> Result<Option<&Memo>> {
        match self.buckets.get(region).map(|contents| &contents.memo) {
            None => Ok(None),
            Some(Ok(memo)) => Ok(memo.as_ref().map(|stored| &stored.content)),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    /// The records.
    ///
    /// # Errors
    /// Why Route 53's control plane was silent.
    pub(super) fn records(&self) -> Result<&Records> {
        self.records.as_ref().map_err(Clone::clone)
    }

    /// The memo that was written last.
    pub(super) fn memo(&self) -> Option<&Memo> {
        self.memos().max_by_key(|memo| (memo.epoch, memo.moving_to.is_some()))
    }

    fn memos(&self) -> impl Iterator<Item = &Memo> {
        self.buckets.keys().filter_map(|region| self.stored_memo(region)).map(|stored| &stored.content)
    }

    /// The memo in one region's bucket.
    pub(super) fn stored_memo(&self, region: &Region) -> Option<&Stored<Memo>> {
        self.buckets.get(region)?.memo.as_ref().ok()?.as_ref()
    }

    /// Puts what was written in the place of what was read.
    pub(super) fn wrote(&mut self, region: &Region, memo: Stored<Memo>) {
        if let Some(contents) = self.buckets.get_mut(region) {
            contents.memo = Ok(Some(memo));
        }
    }

    /// The first failure of a bucket.
    pub(super) fn unseen(&self) -> Option<Error> {
        let errors = |contents: &Contents| {
            [contents.switch.as_ref().err(), contents.memo.as_ref().err()]
                .into_iter()
                .flatten()
                .next()
                .cloned()
        };
        self.buckets.values().find_map(errors)
    }

    /// A region's switch, if it was seen to be on.
    pub(super) fn switched_on(&self, region: &Region) -> Option<&SwitchedOn> {
        self.buckets.get(region)?.switch.as_ref().ok()?.as_ref()
    }

    fn switch(&self, region: &Region) -> Switch {
        match self.buckets.get(region).map(|contents| &contents.switch) {
            None | Some(Ok(None)) => Switch::Off,
            Some(Ok(Some(_))) => Switch::On,
            Some(Err(_)) => Switch::Unseen,
        }
    }

    /// The epoch under which a region's switch was turned on.
    pub(super) fn switch_epoch(&self, region: &Region) -> Option<Epoch> {
        self.switched_on(region)?.content.as_ref().map(|note| note.epoch)
    }

    /// The highest epoch under which the routing was seen to be changed.
    pub(super) fn newest_epoch(&self) -> Option<Epoch> {
        let switches = self.buckets.keys().filter_map(|region| self.switch_epoch(region));
        self.memos().map(|memo| memo.epoch).chain(switches).max()
    }

    /// The routing: by the records, or, where Route 53's control plane is silent, by the memo.
    ///
    /// # Errors
    /// Why the records could not be read, if no memo tells either.
    pub(super) fn view(&self) -> Result<View> {
        let memo = self.memo();
        let (primary, secondary) = match (&self.records, memo) {
            (Ok(records), _) => (records.primary.clone(), records.secondary.clone()),
            (Err(error), None) => return Err(error.clone()),
            (Err(error), Some(memo)) => {
                let view = self.view_by(memo);
                if let Some(to) = memo.moving_to.as_ref().filter(|_| view.depends_on_the_swap()) {
                    let advice = format!(
                        "a change to {to} was begun, and Route 53 cannot be asked whether it was made: ask again"
                    );
                    return Err(error.clone().with_advice(advice));
                }
                return Ok(view);
            }
        };
        let armed = |region: &Region| {
            let check = memo.and_then(|memo| memo.checks.get(region));
            check.is_some_and(|check| {
                self.records.as_ref().is_ok_and(|records| records.check(region) == Some(check))
            })
        };
        Ok(self.view_with(primary, secondary, armed))
    }

    /// The routing, and what a shift that broke off has left open of it. Where nobody can tell whether the records were
    /// changed, it is the routing without that change.
    ///
    /// # Errors
    /// As [`Observed::view`], for anything else than that doubt.
    pub(super) fn look(&self) -> Result<(View, Option<String>)> {
        let moving = |memo: &Memo, view: &View| memo.moving_to.clone().filter(|_| view.depends_on_the_swap());
        if let (Err(_), Some(memo)) = (&self.records, self.memo()) {
            let view = self.view_by(memo);
            let open = moving(memo, &view).map(|to| {
                format!("a change to {to} was begun, and Route 53 does not say whether it was made")
            });
            return Ok((view, open));
        }
        let view = self.view()?;
        let newest = self.memos().map(|memo| memo.epoch).max();
        let served = self.stored_memo(view.served()).map(|stored| &stored.content);
        // What was not seen, or was not written last, says nothing of what is open.
        let memo = served.filter(|memo| Some(memo.epoch) == newest).or_else(|| self.memo());
        let open = memo
            .and_then(|memo| moving(memo, &view))
            .map(|to| format!("a change to {to} was begun, and was never noted down as made or given up"));
        Ok((view, open))
    }

    /// The id of the change that made the records what they are, as far as it was noted down last.
    pub(super) fn noted_change(&self, records: &str) -> Option<String> {
        let newest = self.memos().map(|memo| memo.epoch).max()?;
        let mut last = self.memos().filter(|memo| memo.epoch == newest && memo.records == records);
        last.find_map(|memo| memo.change.clone())
    }

    /// The routing as a memo has it, with the switches as they were seen.
    pub(super) fn view_by(&self, memo: &Memo) -> View {
        let secondary = memo.checks.keys().find(|region| **region != memo.primary).unwrap_or(&memo.primary);
        self.view_with(memo.primary.clone(), secondary.clone(), |region| memo.checks.contains_key(region))
    }

    fn view_with(&self, primary: Region, secondary: Region, armed: impl Fn(&Region) -> bool) -> View {
        let both = [primary.clone(), secondary.clone()];
        View {
            switches: both.iter().map(|region| (region.clone(), self.switch(region))).collect(),
            armed: both.iter().map(|region| (region.clone(), armed(region))).collect(),
            primary,
            secondary,
        }
    }

    /// The state that a shift is decided on.
    pub(super) fn version(&self) -> RoutingVersion {
        let records = match &self.records {
            Ok(records) => records.fingerprint(),
            Err(_) => self.memo().map(|memo| memo.records.clone()).unwrap_or_default(),
        };
        let moving = self.memo().is_some_and(|memo| memo.moving_to.is_some());
        let noted =
            self.memo().map(|memo| format!(" epoch={}{}", memo.epoch, if moving { " moving" } else { "" }));
        let switches = self.buckets.keys().map(|region| format!(" {region}={}", self.switch_text(region)));
        RoutingVersion([records].into_iter().chain(noted).chain(switches).collect())
    }

    fn switch_text(&self, region: &Region) -> String {
        match self.switch(region) {
            Switch::Off => "off".to_owned(),
            Switch::On => self.switched_on(region).map_or_else(String::new, |on| format!("on:{}", on.etag)),
            Switch::Unseen => UNSEEN.to_owned(),
        }
    }

    /// Whether a region's switch is as it was when this version was read, as far as it was seen then.
    pub(super) fn switch_is_as_in(&self, region: &Region, version: &RoutingVersion) -> bool {
        let prefix = format!("{region}=");
        let then = version.0.split(' ').find_map(|part| part.strip_prefix(&prefix));
        then == Some(UNSEEN) || then == Some(&self.switch_text(region))
    }
}

const UNSEEN: &str = "unseen";

/// Whether an error means that nobody answered, and not that the question was wrong.
fn is_silence(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled | ErrorKind::Unexpected
    )
}
