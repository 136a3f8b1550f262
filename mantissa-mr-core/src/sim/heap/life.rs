//! Birth, death and sleep of processes, and the faults that bring them about.

use std::sync::Arc;

use super::{Due, Simulation};
use crate::call::Input;
use crate::sim::fault::Fault;
use crate::sim::history::What;
use crate::sim::place::Place;
use crate::sim::process::{Birth, ProcessId};
use crate::sim::world::unanswered;
use crate::sim::writers::{Fate, Step};

impl Simulation {
    pub(super) fn fault(&mut self, fault: Fault) {
        self.world.change(self.now, &fault);
        if fault == Fault::Heal {
            self.history.healed = Some(self.now);
        }
        self.record(What::Fault(fault.clone()));
        match fault {
            Fault::Region { region, state } => self.freeze_region(&Place::Region(region), !state.works()),
            Fault::Crash { process, back_after } => self.crash(process, back_after),
            Fault::Suspend { process } => self.freeze(process, |process| process.suspended = true),
            Fault::Resume { process } => self.freeze(process, |process| process.suspended = false),
            Fault::ClockRate { process, ppm } => self.set_rate(process, ppm),
            Fault::WallClock { process, error } => {
                if let Some(process) = self.processes.get_mut(process.0 as usize) {
                    process.clock.set_wall_error(error);
                }
            }
            Fault::Heal => self.thaw_all(),
            _ => {}
        }
    }

    /// A process begins, if it does not live already.
    pub(super) fn begin(&mut self, id: ProcessId) {
        let (now, seed) = (self.now, self.random.any());
        let down = self.region_is_down(id);
        let process = self.process(id);
        if process.body.is_some() {
            return;
        }
        process.region_down = down;
        let Some(actor) = process.next_actor() else { return };
        let birth =
            Birth { actor: actor.clone(), place: process.place.clone(), now: process.clock.now(now), seed };
        process.life += 1;
        process.body = Some((process.make)(&birth));
        let frozen = process.frozen();
        process.inbox.wakes = frozen;
        self.record(What::Born { process: id, actor });
        if !frozen {
            self.input(id, Input::Wake);
        }
    }

    fn region_is_down(&self, id: ProcessId) -> bool {
        match &self.processes[id.0 as usize].place {
            Place::Region(region) => !self.world.region(region).works(),
            _ => false,
        }
    }

    fn crash(&mut self, id: ProcessId, back_after: Option<std::time::Duration>) {
        let Some(process) = self.processes.get_mut(id.0 as usize) else { return };
        if process.body.is_some() {
            let open = process.gate.is_some();
            let writes = process.crash();
            self.record(What::Crashed(id));
            for step in writes {
                match step {
                    Step::Arrive(number) => self.end_write(number, Fate::Unreached),
                    step => self.write(step),
                }
            }
            if open {
                self.record(What::Gate { process: id, open: None });
            }
        }
        if let Some(wait) = back_after {
            self.push_after(wait, Due::Begin(id));
        }
    }

    fn freeze_region(&mut self, place: &Place, down: bool) {
        for number in 0..self.processes.len() {
            if self.processes[number].place == *place {
                self.freeze(ProcessId(number as u32), |process| process.region_down = down);
            }
        }
    }

    fn thaw_all(&mut self) {
        for number in 0..self.processes.len() {
            let id = ProcessId(number as u32);
            self.freeze(id, |process| {
                process.region_down = false;
                process.suspended = false;
            });
            self.push(self.now, Due::Begin(id));
        }
    }

    fn freeze(&mut self, id: ProcessId, change: impl FnOnce(&mut crate::sim::process::Process)) {
        let Some(process) = self.processes.get_mut(id.0 as usize) else { return };
        let before = process.frozen();
        change(process);
        let after = process.frozen();
        if before == after {
            return;
        }
        self.record(if after { What::Frozen(id) } else { What::Thawed(id) });
        if !after {
            self.catch_up(id);
        }
    }

    /// Hands over what came in the meantime: answers first, however late they are by now, which is the hardest order
    /// for an algorithm that must not trust them.
    fn catch_up(&mut self, id: ProcessId) {
        let process = self.process(id);
        let inbox = std::mem::take(&mut process.inbox);
        for (call, reply) in inbox.answers {
            self.tell(id, call, reply);
        }
        for step in inbox.writes {
            self.write(step);
        }
        for call in inbox.given_up {
            let reply = self.process(id).open.get(&call).map(|open| Arc::new(unanswered(&open.call)));
            if let Some(reply) = reply {
                self.tell(id, call, reply);
            }
        }
        if inbox.wakes {
            self.input(id, Input::Wake);
        }
    }

    /// A clock that runs at another rate reaches its moments at other times.
    fn set_rate(&mut self, id: ProcessId, ppm: i32) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(id.0 as usize) else { return };
        process.clock.set_rate(now, ppm);
        let (clock, life) = (process.clock, process.life);
        let wakes: Vec<_> = process.wakes.iter().copied().collect();
        let open: Vec<_> = process.open.iter().map(|(id, open)| (*id, open.deadline)).collect();
        for moment in wakes {
            self.push(clock.true_time(moment).max(now), Due::Wake { process: id, life, moment });
        }
        for (call, deadline) in open {
            self.push(clock.true_time(deadline).max(now), Due::GiveUp { process: id, life, id: call });
        }
        self.look_at_gate(id);
    }
}
