//! What services hold: a gate that is asked before each write.

use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use tokio::sync::watch;

use super::published::Published;
use super::shut::{Shut, ShutReason};
use super::view::{Permit, Standing, View};
use crate::clock::{Clock, Moment, Now};
use crate::ledger::Epoch;
use crate::name::Region;
use crate::store::Lag;

/// No wait is longer than this before the clock is looked at again: the runtime's own timers do not count the time in
/// which the machine was suspended, the clock does.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// The write gate of this process's region, for one group.
///
/// Cheap to clone; every clone is the same gate. A [`GateRunner`](super::GateRunner) keeps it open. If that ends,
/// panics, or gets no time to run, the gate shuts by itself, at the latest when the trust has run out.
///
/// ```
/// # use mantissa_mr_core::gate::WriteGate;
/// # struct Table;
/// # impl Table { async fn put(&self, item: &str, epoch: u64) -> std::io::Result<()> { Ok(()) } }
/// async fn store(gate: &WriteGate, table: &Table, item: &str) -> Result<(), Box<dyn std::error::Error>> {
///     let permit = gate.permit()?;
///     table.put(item, permit.epoch().0).await?;
///     permit.confirm()?; // Only now is the write acknowledged.
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct WriteGate {
    shared: Arc<Shared>,
    changes: watch::Receiver<()>,
    lags: Arc<watch::Sender<Option<LagReport>>>,
}

/// How far the replica was behind when it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct LagReport {
    pub(super) asked: Moment,
    pub(super) lag: Duration,
}

/// What the runner publishes and all gates read.
#[derive(Debug)]
pub(super) struct Shared {
    words: Published<AtomicU64>,
    /// All that is known: read only to say why the gate is shut.
    view: RwLock<View>,
    clock: Arc<dyn Clock>,
    region: Region,
}

/// The one who may publish.
#[derive(Debug)]
pub(super) struct Publisher {
    shared: Arc<Shared>,
    changes: watch::Sender<()>,
}

impl Publisher {
    /// A publisher of this view, the gate that reads it, and the reports of lag that come through the gate.
    pub(super) fn new(
        view: &View,
        clock: Arc<dyn Clock>,
    ) -> (Self, WriteGate, watch::Receiver<Option<LagReport>>) {
        let (changes, changed) = watch::channel(());
        let (lags, reports) = watch::channel(None);
        let shared = Arc::new(Shared {
            words: Published::new(),
            view: RwLock::new(view.clone()),
            clock,
            region: view.region.clone(),
        });
        let gate = WriteGate { shared: Arc::clone(&shared), changes: changed, lags: Arc::new(lags) };
        let publisher = Self { shared, changes };
        (publisher, gate, reports)
    }

    /// Makes the view known to every gate.
    pub(super) fn publish(&self, view: &View, now: Now) {
        let opening = view.open_at(now);
        // A gate that shuts does so before anything else is done.
        if opening.is_none() {
            self.shared.words.shut();
        }
        self.shared.view.write().unwrap_or_else(PoisonError::into_inner).clone_from(view);
        if let Some(opening) = opening {
            self.shared.words.open(&opening);
        }
        self.changes.send_replace(());
    }
}

impl Drop for Publisher {
    /// Nobody renews any more: shut at once, rather than when the trust has run out.
    fn drop(&mut self) {
        self.shared.words.shut();
        let mut view = self.shared.view.write().unwrap_or_else(PoisonError::into_inner);
        view.standing = Standing::Shut(ShutReason::Stopped);
        drop(view);
        self.changes.send_replace(());
    }
}

impl WriteGate {
    /// The right to make one write now.
    ///
    /// It never waits and takes no lock: it reads the own clock once, and a few words of memory. Only where no permit can
    /// be given does it look further, to say why.
    ///
    /// # Errors
    /// [`Shut`], which says why and who serves. Nothing must be written.
    #[inline]
    pub fn permit(&self) -> Result<WritePermit<'_>, Shut> {
        let moment = self.shared.clock.moment();
        match self.shared.words.read().and_then(|words| words.permit(moment)) {
            Some(permit) => Ok(WritePermit { gate: self, permit }),
            None => self.refuse(),
        }
    }

    #[cold]
    fn refuse(&self) -> Result<WritePermit<'_>, Shut> {
        let view = match self.shared.view.try_read() {
            Ok(view) => view,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let region = self.shared.region.clone();
                return Err(Shut { region, reason: ShutReason::Changing, active: Vec::new() });
            }
        };
        // The words may have been changed just while they were read: the view knows.
        view.permit(self.shared.clock.now()).map(|permit| WritePermit { gate: self, permit })
    }

    /// Whether a write that was made with this permit, and was answered, may be acknowledged. It looks at both clocks.
    pub fn holds(&self, permit: &Permit) -> bool {
        let words = self.shared.words.read();
        words.is_some_and(|words| words.opening().holds(self.shared.clock.now(), permit))
    }

    /// Makes one write, within the write deadline, and says what became of it.
    ///
    /// The write is given the epoch to write under. Its future is dropped at the deadline.
    ///
    /// ```
    /// # use mantissa_mr_core::gate::{WriteError, WriteGate};
    /// # struct Table;
    /// # impl Table { async fn put(&self, item: &str, epoch: u64) -> std::io::Result<()> { Ok(()) } }
    /// async fn store(gate: &WriteGate, table: &Table) -> &'static str {
    ///     match gate.write(|epoch| table.put("item", epoch.0)).await {
    ///         Ok(()) => "acknowledged",
    ///         Err(WriteError::Shut(_)) => "not begun",
    ///         Err(WriteError::Failed(_)) => "the store says no",
    ///         Err(WriteError::Unknown(_)) => "it may be there or not, or come yet: look before you write again",
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// - [`WriteError::Shut`]: it never began.
    /// - [`WriteError::Failed`]: the write's own error, which alone knows whether something changed.
    /// - [`WriteError::Unknown`]: no answer by the deadline, or it was answered when the permit did not hold any more. It
    ///   must not be acknowledged.
    ///
    /// # Cancel safety
    /// A call that is dropped may have written: its outcome is unknown too.
    pub async fn write<T, E, F>(&self, write: impl FnOnce(Epoch) -> F) -> Result<T, WriteError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let permit = self.permit().map_err(WriteError::Shut)?;
        let left = permit.deadline().since(self.shared.clock.moment());
        match tokio::time::timeout(left, write(permit.epoch())).await {
            Err(_) => Err(WriteError::Unknown(Unknown { why: WhyUnknown::DeadlinePassed })),
            Ok(Err(error)) => Err(WriteError::Failed(error)),
            Ok(Ok(answer)) => permit.confirm().map(|()| answer).map_err(WriteError::Unknown),
        }
    }

    /// Waits until the gate gives no more permits, and says why. If it gives none now, that is at once.
    ///
    /// It notices the passing of time by itself, whatever became of the runner. Permits that were given before may hold
    /// for up to the write deadline yet.
    pub async fn shut(&self) -> Shut {
        let mut changes = self.changes.clone();
        loop {
            changes.mark_unchanged();
            let spare = match self.permit() {
                Ok(permit) => permit.spare(),
                Err(shut) if *shut.reason() == ShutReason::Changing => Duration::ZERO,
                Err(shut) => return shut,
            };
            // A moment more than what is spare, for at that very moment the last permit is given.
            let wait = spare.saturating_add(Duration::from_millis(1)).min(LOOK);
            tokio::select! {
                biased;
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Waits until the gate gives permits. If it gives them now, that is at once.
    ///
    /// # Errors
    /// [`Shut`] if the runner has ended: the gate opens no more.
    pub async fn opened(&self) -> Result<(), Shut> {
        let mut changes = self.changes.clone();
        loop {
            changes.mark_unchanged();
            match self.permit() {
                Ok(_) => return Ok(()),
                Err(shut) if *shut.reason() == ShutReason::Stopped => return Err(shut),
                Err(_) => {}
            }
            // If there is nobody to change it, the next round says that the runner has ended.
            if changes.changed().await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Tells how far the replica that would take over is behind, as a [status](crate::store::ReplicatedStore::status)
    /// that was asked for at this moment of the gate's [clock](Self::clock) says.
    ///
    /// Only a gate with an [`RpoBound`](super::RpoBound) cares. An unknown lag changes nothing: the one known before goes
    /// on growing. What was asked earlier than what was told before is ignored.
    pub fn observe_lag(&self, asked: Moment, lag: &Lag) {
        let Lag::Known { lag, age } = lag else { return };
        let report = LagReport { asked, lag: lag.saturating_add(*age) };
        self.lags.send_if_modified(|known| {
            let newer = known.is_none_or(|known| known.asked <= report.asked);
            if newer {
                *known = Some(report);
            }
            newer
        });
    }

    /// The clock that decides.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The region whose gate it is.
    pub fn region(&self) -> &Region {
        &self.shared.region
    }
}

impl fmt::Debug for WriteGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGate").field("region", &self.shared.region).finish_non_exhaustive()
    }
}

/// The right to make one write, as given by a [`WriteGate`].
#[derive(Clone, Debug)]
#[must_use = "a write is acknowledged only after its permit was confirmed"]
pub struct WritePermit<'gate> {
    gate: &'gate WriteGate,
    permit: Permit,
}

impl WritePermit<'_> {
    /// The epoch to write under: it goes with the item where the store keeps it.
    pub fn epoch(&self) -> Epoch {
        self.permit.epoch
    }

    /// When the write, all retries included, must have been answered.
    pub fn deadline(&self) -> Moment {
        self.permit.deadline
    }

    /// How long is left for the write.
    pub fn left(&self) -> Duration {
        self.deadline().since(self.gate.shared.clock.moment())
    }

    /// The permit as plain data, to be asked about with [`WriteGate::holds`].
    pub fn permit(&self) -> Permit {
        self.permit
    }

    /// Whether the write may be acknowledged now that it was answered. It looks at both clocks.
    ///
    /// # Errors
    /// [`Unknown`] if the answer came after the deadline, or the gate was shut since the permit was given. The write must
    /// not be acknowledged: it may be lost, or may be there. Look before you write again.
    pub fn confirm(self) -> Result<(), Unknown> {
        if self.gate.holds(&self.permit) {
            return Ok(());
        }
        let late = self.gate.shared.clock.moment() >= self.permit.deadline;
        let why = if late { WhyUnknown::DeadlinePassed } else { WhyUnknown::GateShut };
        Err(Unknown { why })
    }

    /// For how long the gate gives further permits if nothing new is heard.
    fn spare(&self) -> Duration {
        self.permit.valid_until.since(self.permit.deadline)
    }
}

/// The outcome of a write is unknown, and it must not be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outcome of the write is unknown: {why}; look before you write again")]
pub struct Unknown {
    why: WhyUnknown,
}

/// Why the outcome of a write is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyUnknown {
    /// It was not answered within the write deadline.
    #[error("it was not answered within the write deadline")]
    DeadlinePassed,
    /// The gate was shut while it was under way: the region may have been sealed.
    #[error("the gate was shut while it was under way")]
    GateShut,
}

impl Unknown {
    /// Why.
    pub fn why(&self) -> WhyUnknown {
        self.why
    }
}

/// Why a write is not acknowledged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError<E> {
    /// The gate is shut: nothing was written.
    #[error("not written: {0}")]
    Shut(Shut),
    /// The write itself failed.
    #[error("the write failed: {0}")]
    Failed(#[source] E),
    /// What became of it is not known.
    #[error(transparent)]
    Unknown(Unknown),
}
