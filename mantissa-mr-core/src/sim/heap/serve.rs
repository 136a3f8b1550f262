//! A write's way from the client through the service to the store and back.

use std::time::Duration;

use super::{Due, Simulation};
use crate::name::Region;
use crate::sim::clock::TrueTime;
use crate::sim::network::Letter;
use crate::sim::place::At;
use crate::sim::process::{Body, ProcessId, SimPermit};
use crate::sim::writers::{Begun, Fate, SHARED_KEYS, Step, Write};
use crate::store::Key;

impl Simulation {
    pub(super) fn write(&mut self, step: Step) {
        match step {
            Step::Client(client) => self.client(client),
            Step::Arrive(number) => self.write_arrives(number),
            Step::Apply(number) => self.write_applies(number),
            Step::Answered(number) => self.write_answered(number),
            Step::Deadline(number) => self.write_deadline(number),
        }
    }

    /// A client begins a write.
    fn client(&mut self, number: u32) {
        let wait = self.writers.random.span(self.writers.traffic.every);
        self.push_after(wait, Due::Write(Step::Client(number)));
        let Some(region) = self.resolve(number as usize) else { return };
        let group = self.writers.clients[number as usize].group;
        let Some(store) = self.writers.random.pick(&self.writers.groups[group].stores).cloned() else {
            return;
        };
        let write = self.history.book.writes.len() as u32;
        let shared = self.writers.random.happens(self.writers.traffic.shared);
        let key = match shared {
            true => Key::new(format!("shared-{}", self.writers.random.below(SHARED_KEYS))),
            false => Key::new(format!("write-{write}")),
        };
        let Some(data) = self.world.data_mut(&store) else { return };
        let key = if shared { data.key(&key) } else { data.new_key(key) };
        let services: Vec<ProcessId> = self.writers.groups[group].services.clone();
        let here = |id: &&ProcessId| self.processes[id.0 as usize].place == region.clone().into();
        let services: Vec<ProcessId> = services.iter().filter(here).copied().collect();
        let service = self.writers.random.pick(&services).copied();
        self.history.book.writes.push(Write {
            group: self.writers.groups[group].name.clone(),
            store,
            region: region.clone(),
            service,
            key,
            epoch: None,
            sent: self.now,
            begun: None,
            applied: None,
            ended: None,
            fate: Fate::Pending,
            change: None,
        });
        let to = self.world.places.region(&region).map(At);
        let edge = self.world.places.edge();
        let takes = to.and_then(|to| self.world.network.hop(edge, to, Letter::Request));
        match (service, takes) {
            (Some(_), Some(takes)) => self.push_after(takes, Due::Write(Step::Arrive(write))),
            _ => self.end_write(write, Fate::Unreached),
        }
    }

    /// The region that a client goes to: what its name server said last, as long as it keeps that.
    fn resolve(&mut self, number: usize) -> Option<Region> {
        let client = &self.writers.clients[number];
        if let Some((region, until)) = &client.answer
            && self.now < *until
        {
            return Some(region.clone());
        }
        let (group, keeps) = (client.group, client.keeps);
        let router = self.writers.groups[group].router.as_ref()?;
        let router = self.world.router(router)?;
        let region = router.answer(self.now, self.writers.random.any())?.clone();
        let ttl = if keeps { router.ttl.saturating_mul(10) } else { router.ttl };
        self.writers.clients[number].answer = Some((region.clone(), self.now + ttl));
        Some(region)
    }

    pub(super) fn end_write(&mut self, number: u32, fate: Fate) {
        self.writers.begun.remove(&number);
        self.trace.add(u64::from(number));
        let now = self.now;
        if let Some(write) = self.history.book.writes.get_mut(number as usize) {
            write.fate = fate;
            write.ended = Some(now);
        }
    }

    fn write_arrives(&mut self, number: u32) {
        let Some(write) = self.history.book.writes.get(number as usize) else { return };
        let Some(service) = write.service else { return };
        let region = write.region.clone();
        let process = self.process(service);
        if process.body.is_none() {
            return self.end_write(number, Fate::Unreached);
        }
        if process.frozen() {
            process.inbox.writes.push(Step::Arrive(number));
            return;
        }
        if self.overloaded(number, &region) {
            return self.end_write(number, Fate::Overloaded);
        }
        match self.permit(service) {
            Err(()) => self.end_write(number, Fate::Refused),
            Ok(permit) => self.begin_write(number, service, permit),
        }
    }

    /// Whether the region has not enough compute for its share of the traffic, as far as this write is concerned.
    fn overloaded(&mut self, number: u32, region: &Region) -> bool {
        let Some(write) = self.history.book.writes.get(number as usize) else { return false };
        let group = self.writers.groups.iter().find(|group| group.name == write.group);
        let Some((scaler, router)) =
            group.and_then(|group| Some((group.scaler.as_ref()?, group.router.as_ref()?)))
        else {
            return false;
        };
        let Some(at) = self.world.places.region(region) else { return false };
        let Some(capacity) = self.world.scaler(scaler).map(|scaler| scaler.capacity(self.now, at)) else {
            return false;
        };
        let Some(weights) = self.world.weights(router) else { return false };
        let total: u64 = weights.0.values().map(|weight| u64::from(*weight)).sum();
        let needed = capacity
            .full
            .saturating_mul(u64::from(weights.of(region)))
            .checked_div(total)
            .unwrap_or_default();
        capacity.ready < needed && self.writers.random.below(needed) >= capacity.ready
    }

    /// Asks the service's gate, if it has one.
    fn permit(&mut self, service: ProcessId) -> Result<Option<SimPermit>, ()> {
        let now = self.now;
        let process = self.process(service);
        let clocks = process.clock.now(now);
        match &mut process.body {
            Some(Body::Gated(gate)) => gate.permit(clocks).map(Some).ok_or(()),
            Some(Body::Ungated) => Ok(None),
            Some(Body::Machine(_)) | None => Err(()),
        }
    }

    fn begin_write(&mut self, number: u32, service: ProcessId, permit: Option<SimPermit>) {
        let now = self.now;
        if let Some(write) = self.history.book.writes.get_mut(number as usize) {
            write.begun = Some(now);
            write.epoch = permit.map(|permit| permit.epoch);
        }
        let deadline = self.writers.write_deadline;
        let process = self.process(service);
        let gives_up = process.clock.true_time(process.clock.own(now) + deadline);
        let begun = Begun { life: process.life, permit, answer: None };
        let at = process.at;
        self.writers.begun.insert(number, begun);
        let work = self.store_time(at);
        self.push_after(work, Due::Write(Step::Apply(number)));
        self.push(gives_up, Due::Write(Step::Deadline(number)));
    }

    /// How long a store works on a write, with the way there.
    fn store_time(&mut self, at: At) -> Duration {
        let traffic = self.writers.traffic;
        let slow = self.writers.random.happens(traffic.slow);
        let spread = if slow { traffic.slow_work } else { traffic.store_work };
        let work = self.writers.random.span(spread);
        self.world.slowed(at, work)
    }

    /// The store takes the write, whatever has become of the service.
    fn write_applies(&mut self, number: u32) {
        let now = self.now;
        let Some(write) = self.history.book.writes.get(number as usize) else { return };
        let (store, key, epoch) = (write.store.clone(), write.key, write.epoch);
        let Some(region) = self.world.places.region(&write.region) else { return };
        if !self.world.region_works(region) {
            return;
        }
        let Some(data) = self.world.data_mut(&store) else { return };
        let value = number.to_be_bytes().to_vec();
        let answer = data.write(now, region, key, value, epoch).map_err(|error| error.kind());
        if let (Ok(change), Some(write)) = (&answer, self.history.book.writes.get_mut(number as usize)) {
            write.applied = Some(now);
            write.change = Some(*change);
        }
        if let Some(begun) = self.writers.begun.get_mut(&number) {
            begun.answer = Some(answer);
            let lost = self.writers.random.happens(self.writers.traffic.slow);
            let back = self.store_time(At(region));
            if !lost {
                self.push_after(back, Due::Write(Step::Answered(number)));
            }
        }
    }

    fn write_answered(&mut self, number: u32) {
        let now = self.now;
        let Some(service) = self.history.book.writes.get(number as usize).and_then(|write| write.service)
        else {
            return;
        };
        let Some(begun) = self.writers.begun.get(&number).cloned() else { return };
        let process = self.process(service);
        if !process.lives(begun.life) {
            return self.end_write(number, Fate::Unknown);
        }
        if process.frozen() {
            process.inbox.writes.push(Step::Answered(number));
            return;
        }
        let fate = match begun.answer {
            Some(Ok(_)) if self.may_acknowledge(service, begun.permit, now) => Fate::Acknowledged,
            Some(Err(kind)) => Fate::Failed(kind),
            _ => Fate::Unknown,
        };
        self.end_write(number, fate);
    }

    fn may_acknowledge(&mut self, service: ProcessId, permit: Option<SimPermit>, now: TrueTime) -> bool {
        let process = self.process(service);
        let clocks = process.clock.now(now);
        match (&mut process.body, permit) {
            (Some(Body::Gated(gate)), Some(permit)) => gate.holds(clocks, &permit),
            (Some(Body::Ungated), None) => true,
            _ => false,
        }
    }

    fn write_deadline(&mut self, number: u32) {
        let Some(begun) = self.writers.begun.get(&number) else { return };
        let life = begun.life;
        let Some(service) = self.history.book.writes.get(number as usize).and_then(|write| write.service)
        else {
            return;
        };
        let process = self.process(service);
        if process.lives(life) && process.frozen() {
            process.inbox.writes.push(Step::Deadline(number));
            return;
        }
        self.end_write(number, Fate::Unknown);
    }
}
