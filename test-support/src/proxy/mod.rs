//! A proxy between the code under test and an emulator: it writes down every request, and breaks what it
//! is told to break.

mod aws;
mod log;
mod rules;
mod serve;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

pub use self::{
    log::Exchange,
    rules::{Action, Hook, Match, RuleId},
};
use self::{log::Log, rules::Rules};
use crate::http;

/// A running proxy, stopped when dropped.
///
/// It is an HTTP/1.1 server on a free port of 127.0.0.1, so another process can use it as well. It runs on
/// a thread and a real clock of its own: tests need no runtime for it, and may block while it works.
///
/// Without rules every request is forwarded as it came and its answer passed back. If upstream cannot be
/// reached, the connection is closed without an answer, as a region does that died.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// `host:port`
    upstream: String,
    log: Log,
    rules: Rules,
}

/// Why a proxy could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is not one that can be forwarded to.
    #[error("cannot forward to `{0}`: an address of the form http://host:port is needed")]
    Upstream(String),
    /// The system refused a port or a thread.
    #[error("the proxy could not start to listen on 127.0.0.1: {0}")]
    Listen(#[from] io::Error),
}

impl Proxy {
    /// Starts a proxy in front of `upstream` (`http://host:port`).
    pub fn start(upstream: &str) -> Result<Self, ProxyError> {
        let authority = http::authority(upstream).ok_or_else(|| ProxyError::Upstream(upstream.to_owned()))?;
        let shared = Shared { upstream: authority.to_owned(), log: Log::new(), rules: Rules::default() };
        let shared = Arc::new(shared);
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let thread = spawn(shared.clone(), listener, stopped)?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens: `http://127.0.0.1:port`, without a slash at the end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets a rule, which holds until it is removed. If several rules match a request, the oldest decides.
    pub fn when(&self, matched: Match, action: Action) -> RuleId {
        self.shared.rules.add(matched, action)
    }

    /// Makes a region accept requests and never answer them, nor see them.
    pub fn black_hole(&self, region: &str) -> RuleId {
        self.when(Match::any().region(region), Action::BlackHole)
    }

    /// Makes a region reset every connection that brings it a request.
    pub fn reset(&self, region: &str) -> RuleId {
        self.when(Match::any().region(region), Action::Reset)
    }

    /// Removes a rule; one that is gone already is fine. What it did to earlier requests stays done.
    pub fn remove(&self, rule: RuleId) {
        self.shared.rules.remove(rule);
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.shared.rules.clear();
    }

    /// Every request so far, in the order of arrival.
    pub fn log(&self) -> Vec<Exchange> {
        self.shared.log.all()
    }

    /// The requests so far that match, [`Match::nth`] and [`Match::first`] left aside.
    pub fn log_of(&self, matched: &Match) -> Vec<Exchange> {
        let mut log = self.log();
        log.retain(|exchange| matched.fits(exchange));
        log
    }

    /// Writes the log into a file, one JSON object a line. A body that is not text is written in
    /// hexadecimal, as `body_hex` in the place of `body`.
    pub fn write_log(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.shared.log.write(path.as_ref())
    }
}

/// Runs the proxy on a thread of its own until told to stop.
fn spawn(
    shared: Arc<Shared>,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    thread::Builder::new().name("proxy".to_owned()).spawn(move || {
        runtime.spawn(serve::accept(shared, listener));
        let _ = runtime.block_on(stopped);
        runtime.shutdown_background(); // a hook may still be busy
    })
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("endpoint", &self.endpoint())
            .field("upstream", &self.shared.upstream)
            .finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
