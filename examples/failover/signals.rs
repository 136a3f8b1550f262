//! Ctrl-C: the first one pauses in good order, the second one leaves at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::render::note;

/// Ctrl-C, or the request to end.
#[derive(Debug)]
pub(crate) struct Interrupts {
    keyboard: Option<Signal>,
    request: Option<Signal>,
}

impl Interrupts {
    /// Begins to listen: from now on an interrupt no longer kills the process.
    pub(crate) fn listen() -> Self {
        Self { keyboard: signal(SignalKind::interrupt()).ok(), request: signal(SignalKind::terminate()).ok() }
    }

    /// Waits for the next one. Nothing is lost if this future is dropped.
    pub(crate) async fn next(&mut self) {
        let wait = async |signal: &mut Option<Signal>| match signal {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        };
        tokio::select! {
            biased;
            _ = wait(&mut self.keyboard) => {}
            _ = wait(&mut self.request) => {}
        }
    }

    /// Waits for the first one, says what happens now, and from then on leaves at the second.
    pub(crate) async fn first(mut self, what_happens: &str) {
        self.next().await;
        note(what_happens);
        tokio::spawn(async move {
            self.next().await;
            note("left at once: what is under way stays as it is; `resume` goes on with it");
            std::process::exit(1);
        });
    }
}
