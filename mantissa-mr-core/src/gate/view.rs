//! What a gate knows, and the permits that follow from it. All of it is a function of that knowledge and of the time.

use std::time::Duration;

use super::shut::{Shut, ShutReason};
use crate::clock::{Moment, Now, RateMargin};
use crate::deployment::GateTerms;
use crate::ledger::Epoch;
use crate::name::Region;

/// What clocks may diverge by beyond their rates before the gate shuts: a leap second, or a small step of the wall clock.
const STEP: Duration = Duration::from_secs(1);

/// The right to make one write.
///
/// It is for one invocation: it ends at its deadline, however often the gate is renewed meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The epoch to write under: it goes with the item where the store keeps it.
    pub epoch: Epoch,
    /// Until when the gate's trust reached when the permit was given. Never before the deadline.
    pub valid_until: Moment,
    /// When the write, all retries included, must have been answered. A write that is answered later is not acknowledged.
    pub deadline: Moment,
    /// Which opening of the gate gave it: one that shut and opened again has another.
    pub(super) opening: u64,
}

/// A gate that bounds what a failover loses: it shuts when the region that would take over is not known to be close
/// enough behind.
///
/// It is a bound only on a store with ordered replication
/// ([`LossBound::Enforceable`](crate::store::LossBound::Enforceable)): there a lag says that everything older has arrived.
/// While the lag is not known the gate is shut: unknown is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpoBound {
    /// How much data a failover may lose, as time: the tier's RPO.
    pub rpo: Duration,
}

/// Whether the gate was opened, and by what.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    Shut(ShutReason),
    Open {
        epoch: Epoch,
        /// The ledger's, with the answer that opened it.
        terms: GateTerms,
        /// Both clocks at the send of the read that is trusted.
        sent: Now,
    },
}

/// The newest that is known of the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replica {
    /// When it was.
    pub(super) seen: Moment,
    /// How far it was behind then.
    pub(super) lag: Duration,
}

/// What a gate knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub(super) region: Region,
    pub(super) standing: Standing,
    pub(super) rpo: Option<RpoBound>,
    pub(super) replica: Option<Replica>,
    /// The regions that the ledger's last answer called active.
    pub(super) active: Vec<Region>,
    /// The last failure to read the ledger since the last good answer.
    pub(super) failure: Option<String>,
    /// Grows whenever the gate opens after it was shut.
    pub(super) opening: u64,
}

/// What an open gate promises, apart from why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) number: u64,
    pub(super) epoch: Epoch,
    pub(super) until: Moment,
    pub(super) write_deadline: Duration,
    /// Both clocks at the send of the read that is trusted.
    pub(super) sent: Now,
    pub(super) rate_margin: RateMargin,
}

impl View {
    pub(super) fn new(region: Region) -> Self {
        Self {
            region,
            standing: Standing::Shut(ShutReason::NotYetRead { failure: None }),
            rpo: None,
            replica: None,
            active: Vec::new(),
            failure: None,
            opening: 0,
        }
    }

    /// What holds as long as nothing new is heard. It may have run out.
    pub(super) fn opening(&self) -> Option<Opening> {
        let Standing::Open { epoch, terms, sent } = &self.standing else { return None };
        let trusted = sent.moment + terms.trust;
        let until = match self.rpo {
            None => trusted,
            Some(bound) => trusted.min(self.replica?.keeps(bound)),
        };
        Some(Opening {
            number: self.opening,
            epoch: *epoch,
            until,
            write_deadline: terms.write_deadline,
            sent: *sent,
            rate_margin: terms.rate_margin,
        })
    }

    /// The opening, if it reaches beyond now, be it too short for another permit.
    pub(super) fn open_at(&self, now: Now) -> Option<Opening> {
        self.opening().filter(|opening| opening.covers(now))
    }

    pub(super) fn permit(&self, now: Now) -> Result<Permit, Shut> {
        let opening = self.open_at(now);
        opening.and_then(|opening| opening.permit(now.moment)).ok_or_else(|| self.shut(now))
    }

    pub(super) fn holds(&self, now: Now, permit: &Permit) -> bool {
        self.opening().is_some_and(|opening| opening.holds(now, permit))
    }

    /// Why no permit is given. Only for a gate that gives none.
    pub(super) fn shut(&self, now: Now) -> Shut {
        Shut { region: self.region.clone(), reason: self.reason(now), active: self.active.clone() }
    }

    fn reason(&self, now: Now) -> ShutReason {
        let failure = self.failure.clone();
        let (terms, sent) = match &self.standing {
            Standing::Shut(ShutReason::NotYetRead { .. }) => return ShutReason::NotYetRead { failure },
            Standing::Shut(reason) => return reason.clone(),
            Standing::Open { terms, sent, .. } => (terms, sent),
        };
        if let Some(by) = diverged(*sent, now, terms.rate_margin) {
            return ShutReason::ClocksDiverged { by };
        }
        let left = (sent.moment + terms.trust).since(now.moment);
        match self.rpo {
            Some(bound) if left >= terms.write_deadline => {
                let lag = self.replica.map(|replica| replica.lag_at(now.moment));
                ShutReason::ReplicaBehind { lag, rpo: bound.rpo }
            }
            _ => ShutReason::TrustRanOut { left, failure },
        }
    }
}

impl Opening {
    fn covers(&self, now: Now) -> bool {
        now.moment < self.until && diverged(self.sent, now, self.rate_margin).is_none()
    }

    /// The permit that it gives at this moment, as far as the own clock alone can tell.
    pub(super) fn permit(&self, moment: Moment) -> Option<Permit> {
        let deadline = moment + self.write_deadline;
        (deadline <= self.until).then_some(Permit {
            epoch: self.epoch,
            valid_until: self.until,
            deadline,
            opening: self.number,
        })
    }

    /// Whether a write that this permit was given for may be acknowledged now.
    pub(super) fn holds(&self, now: Now, permit: &Permit) -> bool {
        self.covers(now)
            && permit.opening == self.number
            && permit.epoch == self.epoch
            && now.moment < permit.deadline
    }
}

impl Replica {
    /// How far it may be behind by now: nothing newer is known, so every second adds one.
    fn lag_at(self, now: Moment) -> Duration {
        self.lag.saturating_add(now.since(self.seen))
    }

    /// Until when a write that is acknowledged would still be within the bound, were everything after what the replica is
    /// known to hold lost.
    fn keeps(self, bound: RpoBound) -> Moment {
        match bound.rpo.checked_sub(self.lag) {
            Some(left) => self.seen + left,
            None => self.seen.before(self.lag.saturating_sub(bound.rpo)),
        }
    }
}

/// By how much the two clocks drifted apart between two instants, if that is more than their rates explain: the own clock
/// did not count a suspension, or somebody set the wall clock.
pub(super) fn diverged(earlier: Now, later: Now, margin: RateMargin) -> Option<Duration> {
    if later.moment < earlier.moment {
        return Some(earlier.moment.since(later.moment));
    }
    let own = later.moment.since(earlier.moment);
    let wall = later.wall.duration_since(earlier.wall);
    let own_signed = jiff::SignedDuration::try_from(own).unwrap_or(jiff::SignedDuration::MAX);
    let apart = wall.saturating_sub(own_signed).unsigned_abs();
    (apart > tolerance(own, margin)).then_some(apart)
}

/// What two clocks may differ by after this span.
pub(super) fn tolerance(span: Duration, margin: RateMargin) -> Duration {
    margin.wait_for(span).saturating_sub(span).saturating_add(STEP)
}
