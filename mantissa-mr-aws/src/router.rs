//! Route 53 failover records as a router between two regions.
//!
//! It drives what the guide's deployment has: two records of one name, one PRIMARY and one SECONDARY, alias targets or
//! plain ones, each with a set identifier that stays with its region. There are two ways to shift:
//!
//! - **Planned**: primary and secondary change places in *one* `ChangeResourceRecordSets` batch that deletes the exact
//!   old records and creates the new ones. If anybody changed them since they were read, the whole batch fails. Alias
//!   targets, health checks, set identifiers, TTLs and everything else stay as they are. This needs Route 53's control
//!   plane, which is in us-east-1
//!   ([AWS Fault Isolation Boundaries, appendix B](https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/appendix-b---edge-network-global-service-guidance.html)).
//! - **Unplanned**: an object is written into a bucket of the region that takes over: its *switch*. The other region's
//!   record hangs on an inverted health check that watches the object, and fails as soon as it is there
//!   ([AWS: standby takes over primary](https://aws.amazon.com/blogs/networking-and-content-delivery/creating-disaster-recovery-mechanisms-using-amazon-route-53/)).
//!   This needs nothing but S3 in the region that takes over, and Route 53's data plane.
//!
//! [`Route53Failover::prepare`] sets the second way up, once, while all is well: the health checks (one that a record
//! already has is kept: both must succeed), and a memo in each bucket that says what an unplanned shift must know. A
//! planned shift, and `prepare` again, also tidy up after an unplanned one: the records are put in order, and the
//! switches turned off.
//!
//! Health checkers come without credentials, so the objects under `failover/` must be readable by everybody, or at
//! least by the [checkers' addresses](https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/route-53-ip-addresses.html).
//! `prepare` tries it and says which statement the bucket's policy lacks; it never changes a policy itself.
//!
//! Settings: `zone` (hosted zone id), `record`, `type` (`A` unless said), `check-interval` (10 or 30 s, 10 unless said),
//! `check-failures` (3 unless said), `checker-access` (`verify`, or `trust` where the policy admits only the checkers);
//! for each of the two regions `set-identifier`, and `bucket`. Without buckets the router knows the planned way only.
//!
//! Terraform that owns these records may undo a planned shift with its next `apply`; the switches cause no drift.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::traffic::{
    Convergence, RouterCapabilities, Routing, Shift, TrafficRouter, Urgency, Weights,
};
use tokio::time::{Instant, timeout};

use crate::error::ApiCall;
use observed::{Contents, Observed};
use records::{RecordSets, Records};
use switch::{Bucket, Memo};

mod observed;
mod prepare;
mod records;
mod settings;
mod shift;
mod state;
mod switch;

pub(crate) use settings::read;

/// Route 53's servers usually have a change within this time
/// ([API: ChangeResourceRecordSets](https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html)).
const PROPAGATION: Duration = Duration::from_secs(60);
/// How long clients keep an answer, in seconds, until the records were read.
const TTL_ASSUMED: u64 = 60;

/// Two failover records in Route 53.
pub struct Route53Failover {
    records: RecordSets,
    /// The buckets of both regions, or of none.
    buckets: BTreeMap<Region, Bucket>,
    /// The object that is a region's switch.
    switch_key: String,
    memo_key: String,
    checks: CheckSettings,
    /// A part of an observation that takes longer than this counts as unseen.
    patience: Duration,
    seen: Mutex<Seen>,
}

/// How the health checks of the switches are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckSettings {
    /// Seconds from one request of a checker to its next.
    interval: u64,
    /// Failures in a row until the check fails.
    failures: u64,
    /// Whether it is tried that strangers can read the switches.
    verify_access: bool,
}

impl CheckSettings {
    /// How long it takes a check to follow its switch.
    fn reaction(self) -> Duration {
        Duration::from_secs(self.interval.saturating_mul(self.failures))
    }
}

/// What this process remembers.
#[derive(Debug)]
struct Seen {
    ttl: u64,
    /// The last change of the records that this process made.
    change: Option<Made>,
    /// The state that was last asked about, and since when it was seen.
    since: Option<(String, Instant)>,
}

/// A change of the records.
#[derive(Clone, Debug)]
struct Made {
    id: String,
    /// The fingerprint of the records that it made.
    records: String,
    at: Instant,
}

impl Route53Failover {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(self.seen().ttl)
    }

    fn call<'a>(&'a self, operation: &'static str, region: &'a Region) -> ApiCall<'a> {
        ApiCall::change(operation, &self.records.name, region)
    }

    /// An answer, or the error of having waited for too long.
    async fn patiently<T>(
        &self,
        operation: &'static str,
        region: &Region,
        asked: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        timeout(self.patience, asked).await.unwrap_or_else(|_| {
            let call = ApiCall::read(operation, &self.records.name, region);
            Err(call.error(ErrorKind::Timeout, format!("no answer within {:?}", self.patience)))
        })
    }

    async fn contents(&self, bucket: &Bucket) -> (Region, Contents) {
        let switch = self.patiently("GetObject", &bucket.region, bucket.switch(&self.switch_key));
        let memo = self.patiently("GetObject", &bucket.region, bucket.load::<Memo>(&self.memo_key));
        let (switch, memo) = tokio::join!(switch, memo);
        (bucket.region.clone(), Contents { switch, memo })
    }

    /// Looks at the buckets and at the records, at the same time.
    async fn observe(&self) -> Result<Observed> {
        let records =
            self.patiently("ListResourceRecordSets", &self.records.control_plane, self.records.read());
        let buckets = join_all(self.buckets.values().map(|bucket| self.contents(bucket)));
        let (records, buckets) = tokio::join!(records, buckets);
        let observed = Observed::new(records, buckets.into_iter().collect())?;
        let ttl = observed.records().map(Records::ttl).ok().or_else(|| observed.memo().map(|memo| memo.ttl));
        self.seen().ttl = ttl.unwrap_or(TTL_ASSUMED);
        Ok(observed)
    }

    /// The one region that is to get all traffic.
    fn target<'a>(&'a self, weights: &'a Weights) -> Result<&'a Region> {
        let mut serving = weights.serving();
        let call = self.call("shift", &self.records.control_plane);
        let target = match (serving.next(), serving.next()) {
            (Some(target), None) => target,
            (None, _) => return Err(call.error(ErrorKind::InvalidInput, "nobody would be served")),
            (Some(_), Some(_)) => {
                let message = "failover records give all traffic to exactly one region";
                return Err(call.error(ErrorKind::Unsupported, message));
            }
        };
        if self.records.identifiers.contains_key(target) {
            return Ok(target);
        }
        Err(self
            .call("shift", target)
            .error(ErrorKind::InvalidInput, "the router has no record for this region"))
    }

    /// How long after a state was first seen clients have followed, and a name for that state; or why not even Route 53
    /// has followed.
    async fn settling(&self, target: &Region, observed: &Observed) -> Result<Result<Settling, String>> {
        let view = observed.view()?;
        if view.primary == *target
            && let Some(change) = self.last_change(observed)
        {
            match self.records.in_sync(&change).await {
                Ok(true) => {
                    let state = format!("change {change} is in sync");
                    return Ok(Ok(Settling { state, wait: self.ttl() }));
                }
                Ok(false) => {
                    return Ok(Err(format!("change {change} has not reached all servers of Route 53")));
                }
                // Long forgotten by the service: then it is judged by its age.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let follow = if view.primary == *target {
            PROPAGATION.max(self.checks.reaction())
        } else {
            self.checks.reaction()
        };
        let state = format!("{target} is served in state {}", observed.version().0);
        Ok(Ok(Settling { state, wait: follow + self.ttl() }))
    }

    /// The id of the change that made the records what they are, if it is known.
    fn last_change(&self, observed: &Observed) -> Option<String> {
        let now = observed.records().ok()?.fingerprint();
        let made = self.seen().change.clone().filter(|made| made.records == now);
        made.map(|made| made.id).or_else(|| observed.noted_change(&now))
    }

    /// How long a state has been seen without a break.
    fn seen_for(&self, state: &str) -> Duration {
        let now = Instant::now();
        let mut seen = self.seen();
        match &seen.since {
            Some((known, since)) if known == state => now.duration_since(*since),
            _ => {
                seen.since = Some((state.to_owned(), now));
                Duration::ZERO
            }
        }
    }
}

/// A state of the routing that clients follow after some time.
struct Settling {
    state: String,
    wait: Duration,
}

#[async_trait]
impl TrafficRouter for Route53Failover {
    fn capabilities(&self) -> RouterCapabilities {
        RouterCapabilities {
            planned_needs: BTreeSet::from([self.records.control_plane.clone()]),
            // Beside the region that takes over, whose bucket has the switch: nothing.
            unplanned_needs: (!self.buckets.is_empty()).then(BTreeSet::new),
            splits_traffic: false,
            expected_convergence: PROPAGATION.max(self.checks.reaction()) + self.ttl(),
        }
    }

    /// Records and switches taken together. With Route 53's control plane silent it is what the memo says of the
    /// records. A planned shift that broke off before its change was noted down as made is unfinished.
    async fn routing(&self) -> Result<Routing> {
        let observed = self.observe().await?;
        let (view, unfinished) = observed.look()?;
        let health = |region: &Region| view.health(region).map(|healthy| (region.clone(), healthy));
        let armed = view.armed.iter().filter(|(_, armed)| **armed).map(|(region, _)| region);
        Ok(Routing {
            weights: Weights::all_to(view.served()),
            health: armed.filter_map(health).collect(),
            version: observed.version(),
            unfinished,
        })
    }

    async fn shift(&self, shift: &Shift) -> Result<()> {
        let target = self.target(&shift.weights)?;
        match shift.urgency {
            Urgency::Planned => self.shift_planned(target, shift).await,
            Urgency::Unplanned => self.shift_unplanned(target, shift).await,
        }
    }

    /// Clients have followed when Route 53 says that the change is in sync, or a switch's health checks have had the
    /// time to notice, and then the records' TTL has passed. Times count from the first call that saw that state, in
    /// this process.
    async fn converged(&self, weights: &Weights) -> Result<Convergence> {
        let target = self.target(weights)?;
        let observed = self.observe().await?;
        let view = observed.view()?;
        if view.served() != target {
            return Ok(Convergence::NotYet { why: format!("clients get {}", view.served()) });
        }
        let Settling { state, wait } = match self.settling(target, &observed).await? {
            Ok(settling) => settling,
            Err(why) => return Ok(Convergence::NotYet { why }),
        };
        let passed = self.seen_for(&state);
        if passed < wait {
            let why = format!("{state}: clients follow within {wait:?}, of which {passed:.0?} have passed");
            return Ok(Convergence::NotYet { why });
        }
        Ok(Convergence::Converged { how: format!("{state}, and {wait:?} have passed since") })
    }
}

impl fmt::Debug for Route53Failover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route53Failover")
            .field("record", &self.records.name)
            .field("zone", &self.records.zone)
            .finish()
    }
}
