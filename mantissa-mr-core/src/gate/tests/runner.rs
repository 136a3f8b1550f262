//! The runner and the gate in a runtime whose time is the test's: nothing here waits for real.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::cell::{CellDurability, CellName, CellStore, Expected, StoreOutcome};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::{GateRunner, RpoBound, ShutReason, WhyUnknown, WriteError, WriteGate};
use crate::ledger::Epoch;
use crate::store::Lag;

/// A clock that goes with the runtime's, plus jumps that the runtime does not see.
#[derive(Debug)]
struct TestClock {
    start: Instant,
    boot: AtomicU64,
    wall: AtomicI64,
}

impl TestClock {
    /// The machine is suspended: both clocks count it, the runtime's timers do not.
    fn suspend(&self, span: Duration) {
        self.boot.fetch_add(nanos(span), SeqCst);
        self.stop(span);
    }

    /// The machine is stopped from outside: only the wall clock, once set right, tells.
    fn stop(&self, span: Duration) {
        self.wall.fetch_add(nanos(span).cast_signed(), SeqCst);
    }

    fn elapsed(&self) -> u64 {
        nanos(self.start.elapsed())
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}

impl Clock for TestClock {
    fn moment(&self) -> Moment {
        Moment::from_nanos(self.elapsed() + self.boot.load(SeqCst))
    }

    fn wall(&self) -> Timestamp {
        let nanos = self.elapsed().cast_signed() + self.wall.load(SeqCst);
        at(0).wall + jiff::SignedDuration::from_nanos(nanos)
    }
}

/// What becomes of reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Answer,
    Fail,
    Hang,
    Panic,
}

#[derive(Debug)]
struct TestCells {
    ledger: Mutex<Ledger>,
    mode: Mutex<Mode>,
    /// From send to effect, and from effect to answer.
    way: Mutex<Duration>,
    loads: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl TestCells {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn swap(&self, change: impl FnOnce(&Ledger) -> Ledger) {
        let mut ledger = self.ledger.lock().unwrap();
        *ledger = change(&ledger);
    }

    fn seal(&self, number: u64) {
        self.swap(|ledger| sealed(ledger, number, EAST));
    }
}

/// Counts a read as under way until it is answered or dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl CellStore for TestCells {
    fn durability(&self) -> CellDurability {
        CellDurability { place: "a test".into(), survives_region_loss: Some(false) }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        assert_eq!(*name, cells().ledger());
        self.loads.fetch_add(1, SeqCst);
        let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
        let _under_way = UnderWay(&self.under_way);
        self.most_under_way.fetch_max(under_way, SeqCst);
        let way = *self.way.lock().unwrap();
        sleep(way).await;
        let mode = *self.mode.lock().unwrap();
        let read = cell(&self.ledger.lock().unwrap());
        match mode {
            Mode::Answer => {}
            Mode::Fail => return Err(Error::new(ErrorKind::Unavailable, "load", "the witness is down")),
            Mode::Hang => pending().await,
            Mode::Panic => panic!("a bug in a cell store"),
        }
        sleep(way).await;
        Ok(Some(read))
    }

    async fn store(&self, _: &CellName, _: &Expected, _: &[u8]) -> Result<StoreOutcome> {
        unreachable!("a gate never writes the ledger")
    }
}

struct World {
    clock: Arc<TestClock>,
    cells: Arc<TestCells>,
    gate: WriteGate,
    runner: JoinHandle<()>,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A gate that was just started; reads take 100 ms.
fn start(machine: GateMachine) -> World {
    let (clock, cells) = parts();
    let (runner, gate) = GateRunner::new(machine, cells.clone(), clock.clone());
    let runner = tokio::spawn(runner.run(pending()));
    World { clock, cells, gate, runner }
}

fn parts() -> (Arc<TestClock>, Arc<TestCells>) {
    let start = Instant::now();
    let clock = TestClock { start, boot: AtomicU64::new(1_000_000), wall: AtomicI64::new(0) };
    let cells = TestCells {
        ledger: Mutex::new(ledger()),
        mode: Mutex::new(Mode::Answer),
        way: Mutex::new(millis(50)),
        loads: AtomicUsize::new(0),
        under_way: AtomicUsize::new(0),
        most_under_way: AtomicUsize::new(0),
    };
    (Arc::new(clock), Arc::new(cells))
}

/// A gate that was opened.
async fn opened() -> World {
    let world = start(gate());
    world.gate.opened().await.unwrap();
    world
}

fn reason(gate: &WriteGate) -> ShutReason {
    gate.permit().unwrap_err().reason().clone()
}

async fn good_write(_: Epoch) -> io::Result<&'static str> {
    sleep(millis(20)).await;
    Ok("stored")
}

#[test]
fn a_gate_can_be_shared_by_threads_and_kept_in_futures() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    fn check_send<T: Send>(_: T) {}
    check::<WriteGate>();
    let (_, gate, _) = super::super::handle::Publisher::new(
        &super::super::view::View::new(region(EAST)),
        Arc::new(crate::clock::SystemClock),
    );
    check_send(gate.shut());
    check_send(gate.opened());
    check_send(gate.write(good_write));
    check_send(gate.permit());
}

#[tokio::test(start_paused = true)]
async fn it_opens_by_itself_and_stays_open_by_renewing_every_third_of_the_trust() {
    let world = start(gate());
    assert!(matches!(reason(&world.gate), ShutReason::NotYetRead { .. }));
    world.gate.opened().await.unwrap();
    assert!(world.clock.elapsed() < nanos(millis(110)));
    for _ in 0..36_000 {
        sleep(millis(100)).await;
        let permit = world.gate.permit().expect("open for the whole hour");
        assert_eq!(permit.epoch(), Epoch(1));
        permit.confirm().unwrap();
    }
    let loads = world.cells.loads.load(SeqCst);
    assert!((715..=725).contains(&loads), "{loads} reads an hour");
    assert_eq!(world.cells.most_under_way.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sealed_ledger_ends_permits_at_the_next_renewal() {
    let world = opened().await;
    world.cells.seal(1);
    let shut = timeout(seconds(6), world.gate.shut()).await.unwrap();
    assert!(matches!(shut.reason(), ShutReason::NotActive { .. }), "{shut}");
    assert_eq!(shut.to_string(), reason_text(&world.gate));
}

fn reason_text(gate: &WriteGate) -> String {
    gate.permit().unwrap_err().to_string()
}

#[tokio::test(start_paused = true)]
async fn lost_answers_end_permits_within_the_trust_and_the_gate_opens_again_when_they_come() {
    for mode in [Mode::Hang, Mode::Fail] {
        let world = opened().await;
        world.cells.set(mode);
        let shut = world.gate.shut().await;
        assert!(matches!(shut.reason(), ShutReason::TrustRanOut { .. }), "{shut}");
        // Sent at 0, trusted for 15 s, of which the last 5 are too short for a write.
        let elapsed = world.clock.elapsed();
        assert!((nanos(seconds(10))..nanos(millis(10_010))).contains(&elapsed), "{mode:?}: {elapsed}");
        sleep(seconds(600)).await;
        assert!(world.gate.permit().is_err());
        assert!(world.cells.most_under_way.load(SeqCst) <= 4, "reads that hang are bounded");
        world.cells.set(Mode::Answer);
        timeout(seconds(2), world.gate.opened()).await.expect("retried every tenth of the trust").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_witness_opens_the_gate_but_its_way_is_taken_off_the_trust() {
    let world = start(gate());
    *world.cells.way.lock().unwrap() = seconds(2);
    world.gate.opened().await.unwrap();
    let permit = world.gate.permit().unwrap().permit();
    let granted = permit.valid_until.since(world.clock.moment());
    assert_eq!(granted, seconds(11), "15 s from the send, of which 4 have passed");
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_is_dropped_shuts_the_gate_at_once() {
    let world = opened().await;
    let permit = world.gate.permit().unwrap();
    world.runner.abort();
    let shut = timeout(millis(1), world.gate.shut()).await.unwrap();
    assert_eq!(*shut.reason(), ShutReason::Stopped);
    assert_eq!(permit.confirm().unwrap_err().why(), WhyUnknown::GateShut);
    assert_eq!(*world.gate.opened().await.unwrap_err().reason(), ShutReason::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_panics_shuts_the_gate_and_whoever_waits_hears_of_it() {
    let world = opened().await;
    world.cells.set(Mode::Panic);
    let shut = timeout(seconds(10), world.gate.shut()).await.unwrap();
    assert_eq!(*shut.reason(), ShutReason::Stopped);
    assert!(world.runner.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_gets_no_time_to_run_leaves_a_gate_that_shuts_by_itself() {
    let (clock, cells) = parts();
    let (runner, gate) = GateRunner::new(gate(), cells, clock.clone());
    let mut run = Box::pin(runner.run(pending()));
    tokio::select! {
        biased;
        opened = gate.opened() => opened.unwrap(),
        () = &mut run => unreachable!(),
    }
    // From here on nobody polls the runner, nor is it dropped.
    let shut = gate.shut().await;
    assert!(matches!(shut.reason(), ShutReason::TrustRanOut { failure: None, .. }), "{shut}");
    assert!(clock.elapsed() <= nanos(millis(10_010)));
    drop(run);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_runner_though_a_read_is_under_way() {
    let (clock, cells) = parts();
    cells.set(Mode::Hang);
    let (runner, gate) = GateRunner::new(gate(), cells.clone(), clock);
    runner.run(sleep(millis(200))).await;
    assert_eq!(cells.under_way.load(SeqCst), 0);
    assert_eq!(reason(&gate), ShutReason::Stopped);
}

#[tokio::test(start_paused = true)]
async fn after_a_suspension_nothing_is_permitted_or_acknowledged_before_the_ledger_was_read_again() {
    let world = opened().await;
    let permit = world.gate.permit().unwrap();
    let waiting = tokio::spawn({
        let gate = world.gate.clone();
        async move { gate.shut().await }
    });
    tokio::task::yield_now().await;
    world.clock.suspend(seconds(3_600));
    // Nothing ran since: these are the first instructions after the machine woke up.
    assert!(matches!(reason(&world.gate), ShutReason::TrustRanOut { .. }));
    assert_eq!(permit.confirm().unwrap_err().why(), WhyUnknown::DeadlinePassed);
    let woke = world.clock.elapsed();
    assert!(matches!(waiting.await.unwrap().reason(), ShutReason::TrustRanOut { .. }));
    assert!(
        world.clock.elapsed() - woke <= nanos(seconds(1)),
        "timers that slept through it are not waited for"
    );
    timeout(seconds(2), world.gate.opened()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_only_the_wall_clock_shows_voids_what_is_under_way_and_shuts_at_the_next_look() {
    let world = opened().await;
    let permit = world.gate.permit().unwrap();
    world.clock.stop(seconds(3_600));
    assert_eq!(permit.confirm().unwrap_err().why(), WhyUnknown::GateShut, "no look was needed for that");
    let shut = timeout(seconds(2), async {
        loop {
            if let Err(shut) = world.gate.permit() {
                return shut;
            }
            sleep(millis(1)).await;
        }
    });
    assert!(matches!(shut.await.unwrap().reason(), ShutReason::ClocksDiverged { .. }));
    timeout(seconds(2), world.gate.opened()).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failover_shuts_one_gate_and_opens_the_other() {
    let east = opened().await;
    let machine = GateMachine::new(cells(), region(WEST), RenewPolicy::default());
    let (runner, west) = GateRunner::new(machine, east.cells.clone(), east.clock.clone());
    tokio::spawn(runner.run(pending()));
    sleep(seconds(1)).await;
    assert!(matches!(reason(&west), ShutReason::NotActive { .. }));
    east.cells.seal(1);
    sleep(TERMS.seal_wait()).await;
    east.cells.swap(|ledger| ledger.open(ledger.lease.term, &execution(1), &region(WEST)).unwrap());
    timeout(seconds(6), west.opened()).await.unwrap().unwrap();
    assert_eq!(west.permit().unwrap().epoch(), Epoch(2));
    sleep(seconds(6)).await;
    assert_eq!(east.gate.permit().unwrap_err().active_regions(), [region(WEST)]);
}

// ===== writes =====

#[tokio::test(start_paused = true)]
async fn a_write_is_acknowledged_under_the_epoch_of_its_permit() {
    let world = opened().await;
    let mut epoch = None;
    let answer = world.gate.write(|under| {
        epoch = Some(under);
        good_write(under)
    });
    assert_eq!(answer.await.unwrap(), "stored");
    assert_eq!(epoch, Some(Epoch(1)));
}

#[tokio::test(start_paused = true)]
async fn a_write_at_a_shut_gate_never_begins() {
    let world = start(gate());
    let answer = world.gate.write(|_| async { unreachable!("it must not begin") as io::Result<()> }).await;
    assert!(matches!(answer, Err(WriteError::Shut(_))));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_by_itself_gives_its_own_error() {
    let world = opened().await;
    let answer = world.gate.write(|_| async { Err::<(), _>("condition failed") }).await;
    assert_eq!(answer, Err(WriteError::Failed("condition failed")));
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_by_the_deadline_is_unknown_and_its_future_is_dropped() {
    let world = opened().await;
    let under_way = AtomicUsize::new(1);
    let begun = world.clock.elapsed();
    let answer: Result<(), WriteError<io::Error>> = world
        .gate
        .write(|_| async {
            let _under_way = UnderWay(&under_way);
            pending().await
        })
        .await;
    let Err(WriteError::Unknown(unknown)) = answer else { panic!("{answer:?}") };
    assert_eq!(unknown.why(), WhyUnknown::DeadlinePassed);
    assert_eq!(under_way.load(SeqCst), 0);
    assert_eq!((world.clock.elapsed() - begun) / 1_000_000_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_answered_after_the_gate_shut_is_unknown() {
    let world = opened().await;
    sleep(seconds(4)).await;
    let cells = world.cells.clone();
    let answer = world.gate.write(|_| async move {
        cells.seal(1);
        sleep(seconds(3)).await;
        Ok::<_, io::Error>(())
    });
    let Err(WriteError::Unknown(unknown)) = answer.await else {
        panic!("acknowledged after the seal was seen")
    };
    assert_eq!(unknown.why(), WhyUnknown::GateShut);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_answered_after_a_suspension_is_unknown_though_no_timer_fired() {
    let world = opened().await;
    let clock = world.clock.clone();
    let answer = world.gate.write(|_| async move {
        clock.suspend(seconds(60));
        Ok::<_, io::Error>(())
    });
    let Err(WriteError::Unknown(unknown)) = answer.await else { panic!("acknowledged a minute later") };
    assert_eq!(unknown.why(), WhyUnknown::DeadlinePassed);
}

// ===== the loss bound =====

fn known(lag: u64, age: u64) -> Lag {
    Lag::Known { lag: seconds(lag), age: seconds(age) }
}

#[tokio::test(start_paused = true)]
async fn lags_reach_the_machine_with_their_age_and_the_time_since_they_were_asked_for() {
    let world = start(gate().with_rpo(RpoBound { rpo: seconds(20) }));
    sleep(seconds(1)).await;
    assert!(matches!(reason(&world.gate), ShutReason::ReplicaBehind { lag: None, .. }));
    world.gate.observe_lag(world.clock.moment(), &Lag::Unknown { why: "no samples".into() });
    sleep(seconds(1)).await;
    assert!(
        matches!(reason(&world.gate), ShutReason::ReplicaBehind { lag: None, .. }),
        "unknown is not zero"
    );
    let asked = world.clock.moment();
    sleep(seconds(2)).await;
    world.gate.observe_lag(asked, &known(1, 3));
    world.gate.opened().await.unwrap();
    // 4 s behind when asked, 20 s allowed, 5 s for the write: the last permit is 11 s after the question.
    world.gate.shut().await;
    let since = nanos(world.clock.moment().since(asked));
    assert!((nanos(seconds(11))..nanos(millis(11_010))).contains(&since), "{since}");
    assert!(matches!(reason(&world.gate), ShutReason::ReplicaBehind { lag: Some(_), .. }));
}

#[tokio::test(start_paused = true)]
async fn a_lag_that_was_asked_for_earlier_does_not_replace_a_later_one() {
    let world = start(gate().with_rpo(RpoBound { rpo: seconds(20) }));
    let early = world.clock.moment();
    sleep(seconds(2)).await;
    world.gate.observe_lag(world.clock.moment(), &known(1, 0));
    world.gate.opened().await.unwrap();
    world.gate.observe_lag(early, &known(60, 0));
    sleep(seconds(1)).await;
    assert!(world.gate.permit().is_ok());
    world.gate.observe_lag(world.clock.moment(), &known(60, 0));
    let shut = timeout(millis(1), world.gate.shut()).await.unwrap();
    assert!(matches!(shut.reason(), ShutReason::ReplicaBehind { .. }));
}
