//! A machine that is told something else than what happened, or whose words are changed.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::SignedDuration;

use crate::call::{Call, CallId, Input, Machine, Output, Reply, Request};
use crate::clock::{Moment, Now};
use crate::ledger::Epoch;
use crate::sim::process::{Gate, SimPermit};

/// What stands between a machine and the world.
pub(super) trait Tamper {
    /// Time has come this far.
    fn tick(&mut self, _now: Now) {}

    /// By how much the machine's clocks are ahead of the process's.
    fn ahead(&self) -> SignedDuration {
        SignedDuration::ZERO
    }

    /// What the machine is told instead; none tells it nothing.
    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        Some(input)
    }

    /// What is asked of the world instead; none asks nothing.
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        Some(request)
    }
}

/// The numbers of calls that no machine made begin here.
const OWN: u64 = 1 << 62;

/// What a [`Tamper`] says of itself, to either side.
#[derive(Debug, Default)]
pub(super) struct Desk {
    answers: VecDeque<Input>,
    calls: Vec<Output>,
    sent: u64,
}

impl Desk {
    /// Tells the machine an answer.
    pub(super) fn answer(&mut self, id: CallId, reply: Reply) {
        self.answers.push_back(Input::Reply { id, reply });
    }

    /// Makes a call that the machine did not make; the answer comes under this number.
    pub(super) fn call(&mut self, call: Call, deadline: Duration) -> CallId {
        let id = CallId(OWN + self.sent);
        self.sent += 1;
        self.send(Request { id, call, deadline });
        id
    }

    /// Makes a call whose answer the machine gets.
    pub(super) fn send(&mut self, request: Request) {
        self.calls.push(Output::Call(request));
    }

    pub(super) fn wake_at(&mut self, at: Moment) {
        self.calls.push(Output::WakeAt(at));
    }
}

/// Whether a call is one of a [`Desk`]'s own.
pub(super) fn is_own(id: CallId) -> bool {
    id.0 >= OWN
}

/// A machine and what stands between it and the world.
pub(super) struct Tampered<M: ?Sized> {
    machine: Box<M>,
    tamper: Box<dyn Tamper>,
    desk: Desk,
}

impl<M: ?Sized> Tampered<M> {
    pub(super) fn new(machine: Box<M>, tamper: Box<dyn Tamper>) -> Self {
        Self { machine, tamper, desk: Desk::default() }
    }

    fn seen(&self, now: Now) -> Now {
        let ahead = self.tamper.ahead();
        let wall = now.wall.saturating_add(ahead).unwrap_or(now.wall);
        Now { moment: moved(now.moment, ahead), wall }
    }
}

fn moved(moment: Moment, by: SignedDuration) -> Moment {
    if by.is_negative() { moment.before(by.unsigned_abs()) } else { moment + by.unsigned_abs() }
}

impl<M: Machine + ?Sized> Machine for Tampered<M> {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        self.tamper.tick(now);
        let mut outputs = Vec::new();
        let mut inputs = VecDeque::from_iter(self.tamper.input(now, input, &mut self.desk));
        loop {
            inputs.append(&mut self.desk.answers);
            let Some(input) = inputs.pop_front() else { break };
            let ahead = self.tamper.ahead();
            for output in self.machine.step(self.seen(now), input) {
                match output {
                    Output::Call(request) => {
                        let request = self.tamper.output(now, request, &mut self.desk);
                        outputs.extend(request.map(Output::Call));
                    }
                    Output::WakeAt(at) => outputs.push(Output::WakeAt(moved(at, -ahead))),
                }
            }
        }
        outputs.append(&mut self.desk.calls);
        outputs
    }
}

impl<M: Gate + ?Sized> Gate for Tampered<M> {
    fn permit(&mut self, now: Now) -> Option<SimPermit> {
        self.tamper.tick(now);
        self.machine.permit(self.seen(now))
    }

    fn holds(&mut self, now: Now, permit: &SimPermit) -> bool {
        self.tamper.tick(now);
        self.machine.holds(self.seen(now), permit)
    }

    fn open(&self, now: Now) -> Option<(Epoch, Moment)> {
        let (epoch, until) = self.machine.open(self.seen(now))?;
        Some((epoch, moved(until, -self.tamper.ahead())))
    }
}
