//! The driver: runs a [`Machine`] against a [`Backend`], in real time or on tokio's paused clock. Only here and in the
//! gate's runner is anything spawned or slept for.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backend::{Backend, unanswered};
use crate::call::{CallId, Input, Machine, Output, Reply, Request};
use crate::clock::{Clock, Moment};
use crate::error::{Effect, Error, ErrorKind};

/// Drives one machine until `until` says that it is over.
#[derive(Debug)]
pub struct Driver {
    backend: Backend,
    clock: Arc<dyn Clock>,
    wakes: BTreeSet<Moment>,
    sender: mpsc::UnboundedSender<(CallId, Reply)>,
    answers: mpsc::UnboundedReceiver<(CallId, Reply)>,
    calls: JoinSet<()>,
}

impl Driver {
    /// A driver over these implementations and this clock.
    pub fn new(backend: Backend, clock: Arc<dyn Clock>) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        Self { backend, clock, wakes: BTreeSet::new(), sender, answers, calls: JoinSet::new() }
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Does what the machine wants done: makes its calls, notes when to wake it.
    pub fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::WakeAt(at) => {
                    self.wakes.insert(at);
                }
                Output::Call(request) => self.send(request),
            }
        }
        // Calls that were answered have nothing more to say.
        while self.calls.try_join_next().is_some() {}
    }

    fn send(&mut self, request: Request) {
        let (backend, clock, answers) = (self.backend.clone(), self.clock.clone(), self.sender.clone());
        let expires = clock.moment() + request.deadline;
        self.calls.spawn(async move {
            let Request { id, call, deadline } = request;
            let late = |effect: Effect| {
                let message = format!("no answer within {deadline:?}");
                Error::new(ErrorKind::Timeout, "call", message).with_effect(effect)
            };
            // A process that was suspended between the decision and this line must not act on it any more.
            let reply = if clock.moment() > expires {
                unanswered(&call, late(Effect::None))
            } else {
                let question = call.clone();
                match timeout(deadline, backend.perform(call)).await {
                    Ok(reply) => reply,
                    Err(_) => unanswered(&question, late(Effect::Unknown)),
                }
            };
            // Nobody listens any more: the machine is gone.
            let _ = answers.send((id, reply));
        });
    }

    /// Waits for the next thing that the machine must be told.
    ///
    /// # Cancel safety
    /// Nothing is lost when this future is dropped.
    pub async fn next(&mut self) -> Input {
        let now = self.clock.moment();
        let due = self.wakes.first().copied();
        let wait = due.map(|due| due.since(now));
        let answer = async {
            match self.answers.recv().await {
                Some((id, reply)) => Input::Reply { id, reply },
                // The sender lives in `self`: the channel is never closed.
                None => std::future::pending().await,
            }
        };
        match wait {
            None => answer.await,
            Some(wait) => {
                if let Ok(input) = timeout(wait, answer).await {
                    return input;
                }
                let now = self.clock.moment();
                self.wakes.retain(|at| *at > now);
                Input::Wake
            }
        }
    }

    /// Runs a machine until `over` says so after one of its steps, or for ever.
    pub async fn run<M: Machine>(&mut self, machine: &mut M, mut over: impl FnMut(&mut M) -> bool) {
        let mut input = Input::Wake;
        loop {
            let outputs = machine.step(self.clock.now(), input);
            self.carry_out(outputs);
            if over(machine) {
                return;
            }
            input = self.next().await;
        }
    }
}
