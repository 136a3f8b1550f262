//! The AWS emulator as a value: it starts, and is gone when the value is dropped.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    http::{self, Request},
    python::{self, Missing},
    supervised::{Order, Supervised},
};

/// The environment variable that names a running emulator, to be used instead of starting one.
pub const ENDPOINT_VARIABLE: &str = "MANTISSA_MR_AWS_ENDPOINT";

/// What Python runs.
const START: &str = include_str!("../emulators/ministack.py");

/// How long an emulator may take to answer; it needs 1 to 2 seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many ports to try before giving up.
const PORTS: u32 = 10;

/// A running AWS emulator, killed when dropped.
///
/// Its state is in memory, so it starts empty, and forgets everything in [`Emulator::kill`] and
/// [`Emulator::restart`]. One emulator serves all regions and any number of accounts: the region and the
/// account are read from a request's `Authorization` header, and an access key of 12 digits is an account.
///
/// All methods block for the short time they need. They may be called from any thread, so that an
/// `Arc<Emulator>` can be killed in a [`Hook`](crate::Hook).
pub struct Emulator {
    endpoint: String,
    /// Nothing if the emulator is somebody else's.
    process: Option<Mutex<Process>>,
}

/// Why there is no emulator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine lacks something: a reason to skip a test.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The process that guards the emulator failed.
    #[error("the emulator's supervisor failed: {0}")]
    Supervisor(#[source] io::Error),
    /// The emulator ended before it answered.
    #[error("the emulator ended before it answered; the end of its log:\n{log}")]
    Ended {
        /// The last lines that it printed.
        log: String,
    },
    /// The emulator runs, but does not answer.
    #[error("the emulator did not answer within {} s; the end of its log:\n{log}", PATIENCE.as_secs())]
    Silent {
        /// The last lines that it printed.
        log: String,
    },
    /// Others were faster on all the ports that were tried.
    #[error("{PORTS} ports were tried, and each was taken by another process before the emulator had it")]
    NoPort,
    /// The emulator that the environment names does not answer.
    #[error("no emulator answers at {endpoint}, which {ENDPOINT_VARIABLE} names: {source}")]
    Elsewhere {
        /// The address that was tried.
        endpoint: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl StartError {
    /// What this machine lacks; any other error is a failure and comes back as it is.
    pub fn into_missing(self) -> Result<Missing, Self> {
        match self {
            Self::Missing(missing) => Ok(missing),
            other => Err(other),
        }
    }
}

/// Why an emulator could not be stopped, paused or restarted.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It was started by somebody else.
    #[error(
        "the emulator at {endpoint} was not started by this test and is left alone; unset {ENDPOINT_VARIABLE}"
    )]
    NotOurs {
        /// Where it is.
        endpoint: String,
    },
    /// The process that guards the emulator failed.
    #[error("the emulator's supervisor failed: {0}")]
    Supervisor(#[source] io::Error),
    /// It did not come back.
    #[error("the emulator did not come back on its port: {0}")]
    Restart(#[source] StartError),
}

impl Emulator {
    /// Starts an emulator, after installing it if this is the first time; or uses the one that
    /// [`ENDPOINT_VARIABLE`] names.
    pub fn start() -> Result<Self, StartError> {
        match std::env::var(ENDPOINT_VARIABLE) {
            Ok(endpoint) => Self::elsewhere(&endpoint),
            Err(_) => Self::start_here(python::ministack()?),
        }
    }

    /// Returns the emulator that the tests of this process share, starting it for the first of them. It
    /// ends with the process. Tests keep apart by [`Emulator::fresh_account`]; a test that kills or pauses
    /// needs an emulator of its own.
    pub fn shared() -> Result<&'static Self, StartError> {
        static SHARED: OnceLock<Emulator> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(emulator) = SHARED.get() {
            return Ok(emulator);
        }
        Self::start().map(|emulator| SHARED.get_or_init(|| emulator))
    }

    /// Uses an emulator that runs already. It is asked for one answer, of whatever kind.
    pub fn elsewhere(endpoint: &str) -> Result<Self, StartError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        match Request::get(&endpoint, "/").send() {
            Ok(_) => Ok(Self { endpoint, process: None }),
            Err(source) => Err(StartError::Elsewhere { endpoint, source }),
        }
    }

    fn start_here(python: PathBuf) -> Result<Self, StartError> {
        for _ in 0..PORTS {
            let Some(port) = free_port() else { continue };
            if let Some(process) = Process::start(&python, port)? {
                return Ok(Self { endpoint: process.endpoint(), process: Some(Mutex::new(process)) });
            }
        }
        Err(StartError::NoPort)
    }

    /// Where it listens: `http://127.0.0.1:port`, without a slash at the end.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Returns the number of an account that no other test of this process uses, so that the tests can
    /// share an emulator. Use it as the access key; any secret will do.
    pub fn fresh_account(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // An emulator elsewhere may still hold what an earlier process left.
        let process = 100_000 + u64::from(std::process::id()) % 900_000;
        format!("{process}{:06}", NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000)
    }

    /// Kills it at once, like SIGKILL; when this returns it is dead. Its state is lost.
    pub fn kill(&self) -> Result<(), ControlError> {
        self.order(Order::Kill)
    }

    /// Stops it like a machine that hangs: connections are accepted, nothing is answered.
    pub fn pause(&self) -> Result<(), ControlError> {
        self.order(Order::Pause)
    }

    /// Lets it continue after [`Emulator::pause`], with its state.
    pub fn resume(&self) -> Result<(), ControlError> {
        self.order(Order::Resume)
    }

    /// Kills it, and starts it again on the same port, empty.
    pub fn restart(&self) -> Result<(), ControlError> {
        let mut process = self.process()?;
        process.control(Order::Kill)?;
        for _ in 0..PORTS {
            let started = Process::start(&process.python, process.port).map_err(ControlError::Restart)?;
            if let Some(new) = started {
                *process = new;
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(ControlError::Restart(StartError::NoPort))
    }

    /// What the emulator has printed so far; empty if it is somebody else's.
    pub fn log(&self) -> String {
        self.process().map(|process| process.supervised.log()).unwrap_or_default()
    }

    fn order(&self, order: Order) -> Result<(), ControlError> {
        self.process()?.control(order)
    }

    fn process(&self) -> Result<MutexGuard<'_, Process>, ControlError> {
        match &self.process {
            Some(process) => Ok(process.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Err(ControlError::NotOurs { endpoint: self.endpoint() }),
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if thread::panicking() && self.process.is_some() {
            eprintln!("the end of the emulator's log:\n{}", python::last_lines(&self.log(), 20));
        }
    }
}

struct Process {
    supervised: Supervised,
    python: PathBuf,
    port: u16,
}

impl Process {
    /// Starts the emulator and waits until it answers. Nothing if the port belongs to somebody else.
    fn start(python: &Path, port: u16) -> Result<Option<Self>, StartError> {
        let token = format!("{:016x}", random());
        let port_text = port.to_string();
        let variables = [
            ("BIND_HOST", "127.0.0.1"), // it would listen on all interfaces
            ("GATEWAY_PORT", &port_text),
            ("MINISTACK_EDITION", &token), // its health answer repeats this
            ("LOG_LEVEL", "WARNING"),
        ];
        let supervised =
            Supervised::start(python, &["-I", "-c", START], &variables).map_err(StartError::Supervisor)?;
        let process = Self { supervised, python: python.to_path_buf(), port };
        Ok(process.answers(&token)?.then_some(process))
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until the emulator answers with the token: true. False if the port is somebody else's.
    fn answers(&self, token: &str) -> Result<bool, StartError> {
        let health = Request::get(&self.endpoint(), "/_ministack/health");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(answer) = health.send() {
                return Ok(edition(&answer).as_deref() == Some(token));
            }
            if !self.supervised.alive().map_err(StartError::Supervisor)? {
                return self.ended();
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(StartError::Silent { log: self.end_of_log() })
    }

    /// The emulator ended: because its port was taken, or for a reason of its own?
    fn ended(&self) -> Result<bool, StartError> {
        let log = self.end_of_log();
        if log.contains("already in use") { Ok(false) } else { Err(StartError::Ended { log }) }
    }

    fn end_of_log(&self) -> String {
        python::last_lines(&self.supervised.log(), 20)
    }

    fn control(&self, order: Order) -> Result<(), ControlError> {
        self.supervised.order(order).map_err(ControlError::Supervisor)
    }
}

fn edition(health: &http::Response) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&health.body).ok()?;
    Some(body["edition"].as_str()?.to_owned())
}

/// A port that nobody listens on just now. It is below those that systems give to outgoing connections,
/// so that a restarted emulator finds it still free.
fn free_port() -> Option<u16> {
    let port = 20_000 + (random() % 12_000) as u16;
    TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
}

/// A different number each time; good enough to keep out of each other's way.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
