//! Proof that a region's writes have arrived: every object of `from`, key and ETag, is found in `to`.
//!
//! Objects replicate one by one, so only looking at all of them proves anything. When the comparison is asked for, no gate is
//! open in `from`; what was once seen to have arrived need not be looked at again, and a comparison goes on from call to
//! call. What differs is looked at again in both regions until they agree, and what S3 itself says of it decides the rest: an
//! object of `from` without a replication status, or with a failed one, never arrives by itself. An object that only `to` has
//! is a delete that has not arrived, unless it was written in `to` and is not in `from` yet.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use mantissa_mr_core::error::{Error, Result};
use mantissa_mr_core::store::{Barrier, Drained};
use tokio::time::Instant;

use super::S3Bucket;
use super::look::{Replicated, Seen};

/// How many keys are listed at a time: the most that S3 gives.
const LISTED: i32 = 1000;
/// How many objects are looked at again at the same time.
const AGAIN: usize = 16;

/// How far the listing of one side is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listing {
    After(Option<String>),
    Done,
}

/// A comparison that is under way.
#[derive(Debug)]
pub(super) struct Comparison {
    barrier: Barrier,
    from: Listing,
    to: Listing,
    /// Objects that differ or are on one side only, and what became of them when they were looked at again.
    differing: BTreeMap<String, Differing>,
    objects: u64,
}

/// An object that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Differing {
    /// In `from` with this ETag; not seen in `to` yet.
    From(String),
    /// Seen in `to` only.
    To,
    /// Looked at again: it will arrive.
    Underway,
    /// Looked at again: no rule covers it, or it is older than the rule.
    Uncovered,
    /// Looked at again: its replication failed.
    Failed,
}

impl Comparison {
    fn new(barrier: Barrier) -> Self {
        let listing = Listing::After(None);
        Self { barrier, from: listing.clone(), to: listing, differing: BTreeMap::new(), objects: 0 }
    }

    fn take_from(&mut self, keys: Vec<(String, String)>) {
        for (key, etag) in keys {
            self.objects += 1;
            self.differing.insert(key, Differing::From(etag));
        }
    }

    fn take_to(&mut self, keys: Vec<(String, String)>) {
        for (key, etag) in keys {
            match self.differing.get(&key) {
                Some(Differing::From(wanted)) if *wanted == etag => {
                    self.differing.remove(&key);
                }
                Some(_) => {}
                None => {
                    self.differing.insert(key, Differing::To);
                }
            }
        }
    }

    fn answer(&self) -> Drained {
        if self.from != Listing::Done || self.to != Listing::Done {
            return Drained::NotYet { remaining: None };
        }
        let Barrier { from, to, .. } = &self.barrier;
        if self.differing.is_empty() {
            let how = format!("compared all {} objects of {from} with {to}, key and ETag", self.objects);
            return Drained::Proven { how };
        }
        let count =
            |wanted: &Differing| self.differing.values().filter(|differing| *differing == wanted).count();
        let (uncovered, failed) = (count(&Differing::Uncovered), count(&Differing::Failed));
        if uncovered + failed == 0 {
            return Drained::NotYet { remaining: u64::try_from(self.differing.len()).ok() };
        }
        let gone = |differing: &Differing| matches!(differing, Differing::Uncovered | Differing::Failed);
        let first = self.differing.iter().find(|(_, differing)| gone(differing)).map_or("", |(key, _)| key);
        Drained::CannotProve {
            why: format!(
                "{uncovered} objects of {from} are older than the rule to {to} or covered by none, and of {failed} the \
                 replication failed (the first: {first}): S3 replicates neither by itself; run S3 Batch Replication, and \
                 for those that failed see the role's permissions first"
            ),
        }
    }
}

impl S3Bucket {
    /// Goes on with the comparison for this barrier, for as long as one call may take.
    pub(super) async fn compare(&self, barrier: &Barrier) -> Result<Drained> {
        let until = Instant::now() + self.budget;
        let mut slot = self.comparison.lock().await;
        if slot.as_ref().is_none_or(|running| running.barrier != *barrier) {
            *slot = None;
        }
        let running = slot.get_or_insert_with(|| Comparison::new(barrier.clone()));
        // All of `from` comes first: what is written in `to` meanwhile is no surplus.
        while let Listing::After(after) = &running.from {
            if Instant::now() >= until {
                return Ok(running.answer());
            }
            let (keys, last) = self.page(&barrier.from, "", LISTED, after.clone()).await?;
            running.take_from(keys);
            running.from = last.map_or(Listing::Done, |last| Listing::After(Some(last)));
            if running.objects > self.settings.compare_limit {
                let why = self.above_limit(barrier);
                *slot = None;
                return Ok(Drained::CannotProve { why });
            }
        }
        while let Listing::After(after) = &running.to {
            if Instant::now() >= until {
                return Ok(running.answer());
            }
            let (keys, last) = self.page(&barrier.to, "", LISTED, after.clone()).await?;
            running.take_to(keys);
            running.to = last.map_or(Listing::Done, |last| Listing::After(Some(last)));
        }
        self.look_again(running, until).await?;
        Ok(running.answer())
    }

    /// Asks both regions once more for what differed.
    async fn look_again(&self, running: &mut Comparison, until: Instant) -> Result<()> {
        let keys: Vec<String> = running.differing.keys().cloned().collect();
        for keys in keys.chunks(AGAIN) {
            if Instant::now() >= until {
                return Ok(());
            }
            let looks = keys.iter().map(|key| async {
                // First `from`, so that an object that arrives in between is not taken for one that is only in `to`.
                let from = self.look(&running.barrier.from, key).await?;
                Ok::<_, Error>((from, self.look(&running.barrier.to, key).await?))
            });
            for (key, (from, to)) in keys.iter().zip(try_join_all(looks).await?) {
                match judge(&from, &to) {
                    Some(differing) => running.differing.insert(key.clone(), differing),
                    None => running.differing.remove(key),
                };
            }
        }
        Ok(())
    }

    fn above_limit(&self, barrier: &Barrier) -> String {
        format!(
            "{} has more than {} objects, the most that are compared: raise `compare-limit` (about 200 bytes of memory an \
             object), or accept that it is not proven",
            self.settings.buckets.get(&barrier.from).map_or("the bucket", String::as_str),
            self.settings.compare_limit
        )
    }
}

/// What a second look at both sides says; none if nothing of `from` is missing in `to`.
fn judge(from: &Seen, to: &Seen) -> Option<Differing> {
    match (from, to) {
        (Seen::Absent | Seen::Deleted, Seen::Absent | Seen::Deleted) => None,
        (Seen::There(from), Seen::There(to)) if from.etag == to.etag => None,
        (Seen::There(from), _) => Some(match from.replication {
            None => Differing::Uncovered,
            Some(Replicated::Failed) => Differing::Failed,
            // Also what was completed and is not there: that was changed in `to`, or has just been.
            Some(Replicated::Pending | Replicated::Completed | Replicated::Replica) => Differing::Underway,
        }),
        // It was in `from`, and its delete has not arrived; or `to` has written it again, and that arrives in `from`.
        (Seen::Deleted, Seen::There(_)) => Some(Differing::Underway),
        (Seen::Absent, Seen::There(to)) => match to.replication {
            // It was in `from`, and was removed there without a delete marker.
            Some(Replicated::Replica | Replicated::Completed) => Some(Differing::Underway),
            // It never was in `from`.
            None | Some(Replicated::Pending | Replicated::Failed) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::Head;
    use super::*;
    use mantissa_mr_core::ledger::Epoch;
    use mantissa_mr_core::name::{ExecutionId, Region};

    fn there(etag: &str, replication: Option<Replicated>) -> Seen {
        Seen::There(Head { etag: etag.to_owned(), token: None, replication })
    }

    fn comparison(from: &[(&str, &str)], to: &[(&str, &str)]) -> Comparison {
        let region = |name| Region::new(name).unwrap();
        let mut comparison = Comparison::new(Barrier {
            execution: ExecutionId::new("e").unwrap(),
            epoch: Epoch(1),
            from: region("a"),
            to: region("b"),
        });
        let owned = |keys: &[(&str, &str)]| {
            keys.iter().map(|(key, etag)| ((*key).to_owned(), (*etag).to_owned())).collect()
        };
        comparison.take_from(owned(from));
        comparison.from = Listing::Done;
        comparison.take_to(owned(to));
        comparison
    }

    fn done(mut comparison: Comparison) -> Drained {
        comparison.to = Listing::Done;
        comparison.answer()
    }

    #[test]
    fn only_all_of_both_sides_is_a_proof() {
        let same = || comparison(&[("k", "1"), ("l", "2")], &[("k", "1"), ("l", "2")]);
        assert_eq!(same().answer(), Drained::NotYet { remaining: None });
        let Drained::Proven { how } = done(same()) else { panic!() };
        assert!(how.contains("all 2 objects of a with b"), "{how}");
        for (from, to) in [(&[("k", "1")][..], &[][..]), (&[("k", "1")], &[("k", "2")]), (&[], &[("k", "1")])]
        {
            assert_eq!(done(comparison(from, to)), Drained::NotYet { remaining: Some(1) });
        }
    }

    #[test]
    fn what_never_arrives_by_itself_is_told_and_nothing_is_proven() {
        for (became, wanted) in [
            (
                Differing::Uncovered,
                "1 objects of a are older than the rule to b or covered by none, and of 0",
            ),
            (Differing::Failed, "0 objects of a are older than the rule to b or covered by none, and of 1"),
        ] {
            let mut comparison = comparison(&[("k", "1"), ("l", "1")], &[]);
            comparison.differing.insert("k".to_owned(), became);
            let Drained::CannotProve { why } = done(comparison) else { panic!() };
            assert!(why.contains(wanted) && why.contains("the first: k"), "{why}");
        }
    }

    #[test]
    fn what_s3_says_of_an_object_decides() {
        use Replicated::{Completed, Failed, Pending, Replica};
        let from = |replication| judge(&there("1", replication), &there("2", None));
        assert_eq!(from(None), Some(Differing::Uncovered));
        assert_eq!(from(Some(Failed)), Some(Differing::Failed));
        for replication in [Pending, Completed, Replica] {
            assert_eq!(from(Some(replication)), Some(Differing::Underway));
        }
        assert_eq!(judge(&there("1", None), &there("1", None)), None);
        let only_in_to = |replication| judge(&Seen::Absent, &there("1", replication));
        for replication in [Completed, Replica] {
            assert_eq!(only_in_to(Some(replication)), Some(Differing::Underway));
        }
        for replication in [None, Some(Pending), Some(Failed)] {
            assert_eq!(only_in_to(replication), None);
            // With three regions an object that `from` had is pending, or failed, because of the third.
            assert_eq!(judge(&Seen::Deleted, &there("1", replication)), Some(Differing::Underway));
        }
        assert_eq!(judge(&Seen::Deleted, &Seen::Absent), None);
    }
}
