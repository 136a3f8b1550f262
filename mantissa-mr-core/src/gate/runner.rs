//! What keeps a gate open: it reads the ledger when the machine says so.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

use super::handle::{LOOK, LagReport, Publisher, WriteGate};
use super::machine::GateMachine;
use super::view::View;
use crate::call::{Call, CallId, Input, Machine, Output, Reply, Request};
use crate::cell::CellStore;
use crate::clock::{Clock, Moment, Now};
use crate::error::{Error, ErrorKind};

/// No wait is shorter than this, whatever the clock says.
const TICK: Duration = Duration::from_millis(1);

/// Keeps a [`WriteGate`] open, as long as the ledger allows.
///
/// [`run`](Self::run) is a future for whoever owns the gate to spawn. Whenever it ends (its shutdown came, it was dropped,
/// it panicked) the gate shuts at once; if it is kept from running, the gate shuts when the trust has run out.
pub struct GateRunner {
    machine: GateMachine,
    cells: Arc<dyn CellStore>,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
    published: View,
    /// Whether it was open when that was last told.
    open: bool,
    lags: watch::Receiver<Option<LagReport>>,
    reads: FuturesUnordered<BoxFuture<'static, (CallId, Reply)>>,
    alarm: Option<Moment>,
}

impl fmt::Debug for GateRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateRunner").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl GateRunner {
    /// A gate, and what keeps it open. It is shut until this has [run](Self::run) for the time of a read.
    ///
    /// The cells must be [linearizable](CellStore#to-ensure-correctness), and the clock must count
    /// [suspension](Clock#to-ensure-correctness).
    pub fn new(machine: GateMachine, cells: Arc<dyn CellStore>, clock: Arc<dyn Clock>) -> (Self, WriteGate) {
        let published = machine.view().clone();
        let (publisher, gate, lags) = Publisher::new(&published, Arc::clone(&clock));
        let reads = FuturesUnordered::new();
        let runner =
            Self { machine, cells, clock, publisher, published, open: false, lags, reads, alarm: None };
        (runner, gate)
    }

    /// Keeps the gate open until the shutdown comes.
    ///
    /// # Cancel safety
    /// It may be dropped at any time: it only reads, and the gate shuts.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        self.step(Input::Wake);
        loop {
            let nap = self.nap();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some((id, reply)) = self.reads.next() => self.step(Input::Reply { id, reply }),
                Ok(()) = self.lags.changed() => self.lag(),
                // Due or not: the machine also compares the clocks.
                () = tokio::time::sleep(nap) => self.step(Input::Wake),
            }
        }
    }

    /// How long there is nothing to do.
    fn nap(&self) -> Duration {
        let due = self.alarm.map_or(LOOK, |alarm| alarm.since(self.clock.moment()));
        due.clamp(TICK, LOOK)
    }

    fn lag(&mut self) {
        let Some(report) = *self.lags.borrow_and_update() else { return };
        let now = self.clock.now();
        self.machine.observe_lag(now, report.lag.saturating_add(now.moment.since(report.asked)));
        self.publish(now);
    }

    fn step(&mut self, input: Input) {
        let now = self.clock.now();
        if self.alarm.is_some_and(|alarm| alarm <= now.moment) {
            self.alarm = None;
        }
        for output in self.machine.step(now, input) {
            match output {
                Output::Call(request) => self.read(request),
                Output::WakeAt(moment) => {
                    self.alarm = Some(self.alarm.map_or(moment, |alarm| alarm.min(moment)));
                }
            }
        }
        self.publish(now);
    }

    fn read(&mut self, request: Request) {
        // The machine makes no other call.
        let Call::Load { cell } = request.call else { return };
        let (cells, id, deadline) = (Arc::clone(&self.cells), request.id, request.deadline);
        self.reads.push(Box::pin(async move {
            let answer = tokio::time::timeout(deadline, cells.load(&cell)).await;
            let answer = answer.unwrap_or_else(|_| {
                let message = format!("no answer within {deadline:?}");
                Err(Error::new(ErrorKind::Timeout, "read the ledger", message).on(&cell))
            });
            (id, Reply::Load(answer))
        }));
    }

    fn publish(&mut self, now: Now) {
        let view = self.machine.view();
        if *view != self.published {
            self.publisher.publish(view, now);
            self.published.clone_from(view);
        }
        self.tell(now);
    }

    /// Logs what people want to know: that it opened, and why it shut.
    fn tell(&mut self, now: Now) {
        let was_open = self.open;
        let permit = self.published.permit(now);
        self.open = permit.is_ok();
        let region = &self.published.region;
        match permit {
            Ok(permit) if !was_open => {
                tracing::info!(%region, epoch = %permit.epoch, "the write gate opened")
            }
            Err(shut) if was_open => tracing::warn!(%region, "{shut}"),
            _ => {}
        }
    }
}
