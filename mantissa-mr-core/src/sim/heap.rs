//! The simulation itself: a heap of what happens next, in true time. One seed gives one run, byte for byte.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::TrueTime;
use super::fault::Fault;
use super::history::{Event, History, ProcessInfo, What};
use super::network::Letter;
use super::place::{At, Place};
pub use super::process::{Birth, Body, Gate, ProcessId, ProcessSpec, Role, SimPermit};
use super::process::{Open, Process};
use super::random::Random;
use super::world::{Climate, Journey, World, unanswered};
use super::writers::{Step, Traffic, Writers};
use crate::call::{Call, CallId, Input, Output, Reply, Request};
use crate::cell::CellName;
use crate::clock::Moment;
use crate::deployment::Deployment;
use crate::ledger::{GroupCells, Ledger, Token};
use crate::name::ActorId;
use crate::problem::Problems;

mod admit;
mod life;
mod serve;

/// How a simulation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the world behaves.
    pub climate: Climate,
    /// How clients write.
    pub traffic: Traffic,
}

impl Settings {
    /// Nothing goes wrong by itself.
    pub const CALM: Self = Self { climate: Climate::CALM, traffic: Traffic::CALM };
}

/// A call on its way.
#[derive(Debug)]
struct Travelling {
    number: u64,
    process: ProcessId,
    life: u32,
    id: CallId,
    call: Arc<Call>,
    from: At,
    journey: Journey,
}

/// What happens.
#[derive(Debug)]
enum Due {
    Wake { process: ProcessId, life: u32, moment: Moment },
    Arrive(Box<Travelling>),
    Apply(Box<Travelling>),
    Answer { process: ProcessId, life: u32, id: CallId, reply: Arc<Reply> },
    GiveUp { process: ProcessId, life: u32, id: CallId },
    Begin(ProcessId),
    Fault(Box<Fault>),
    Settle,
    Write(Step),
}

#[derive(Debug)]
struct Entry {
    at: TrueTime,
    sequence: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// So much can hardly happen at one and the same time.
const STANDSTILL: u64 = 20_000;

type Observer = Box<dyn FnMut(&Event, &World)>;

/// A simulated world with the processes that run in it.
pub struct Simulation {
    now: TrueTime,
    sequence: u64,
    calls: u64,
    heap: BinaryHeap<Reverse<Entry>>,
    world: World,
    processes: Vec<Process>,
    writers: Writers,
    history: History,
    admissions: admit::Admissions,
    observers: Vec<Observer>,
    trace: Trace,
    steps: u64,
    at_this_time: u64,
    random: Random,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("now", &self.now)
            .field("trace", &self.trace.0)
            .finish_non_exhaustive()
    }
}

/// FNV-1a over everything that happens.
struct Trace(u64);

impl Trace {
    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}

impl Simulation {
    /// Builds a simulation: the same deployment, seed, settings and processes give the same run.
    ///
    /// # Errors
    /// What [`World::new`] says is wrong with the deployment.
    pub fn new(deployment: &Deployment, seed: u64, settings: Settings) -> Result<Self, Problems> {
        let world = World::new(deployment, seed, settings.climate)?;
        let mut simulation = Self {
            now: TrueTime::START,
            sequence: 0,
            calls: 0,
            heap: BinaryHeap::new(),
            world,
            processes: Vec::new(),
            writers: Writers::new(deployment, settings.traffic, seed),
            history: History::new(Arc::new(deployment.clone())),
            admissions: admit::Admissions::default(),
            observers: Vec::new(),
            trace: Trace(0xcbf2_9ce4_8422_2325 ^ seed),
            steps: 0,
            at_this_time: 0,
            random: Random::new(seed, "births"),
        };
        for client in 0..simulation.writers.clients.len() {
            let wait = simulation.writers.random.span(settings.traffic.every);
            simulation.push(TrueTime::START + wait, Due::Write(Step::Client(client as u32)));
        }
        Ok(simulation)
    }

    /// Puts every group's first ledger into its cell, as `init` does.
    pub fn init_ledgers(&mut self) {
        let deployment = self.history.deployment.clone();
        let Ok(actor) = ActorId::new("init") else { return };
        for (number, group) in deployment.spec().groups.iter().enumerate() {
            let ledger = Ledger::init(&deployment, &group.name, Token::new(&actor, number as u64));
            let cell = GroupCells::new(&deployment.spec().name, &group.name).ledger();
            self.put_cell(cell, ledger.encode());
        }
    }

    /// Puts a value into a cell that was never stored, without a call.
    pub fn put_cell(&mut self, cell: CellName, value: Vec<u8>) {
        self.world.put_cell(self.now, &cell, &value);
        self.take_stored();
    }

    /// Adds a process; it begins at once. A name that another process has already is made another one.
    pub fn spawn(&mut self, mut spec: ProcessSpec) -> ProcessId {
        let id = ProcessId(self.processes.len() as u32);
        if self.processes.iter().any(|other| other.name == spec.name) {
            spec.name = format!("{}-{}", spec.name, id.0);
        }
        let at = self.world.places.find(&spec.place).unwrap_or(self.world.places.operator());
        self.history.processes.push(ProcessInfo {
            name: spec.name.clone(),
            place: spec.place.clone(),
            role: spec.role,
            serves: spec.serves.clone(),
        });
        for group in &mut self.writers.groups {
            if spec.serves.as_ref() == Some(&group.name) {
                group.services.push(id);
            }
        }
        self.processes.push(Process::new(spec, at));
        self.push(self.now, Due::Begin(id));
        id
    }

    /// Lets something go wrong at a time; in the past means now.
    pub fn schedule(&mut self, at: TrueTime, fault: Fault) {
        self.push(at.max(self.now), Due::Fault(Box::new(fault)));
    }

    /// Shows everything that happens from now on to an observer, with the world as it then is.
    pub fn observe(&mut self, observer: impl FnMut(&Event, &World) + 'static) {
        self.observers.push(Box::new(observer));
    }

    /// The time that it is.
    pub fn now(&self) -> TrueTime {
        self.now
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world, to be asked by somebody who is no process.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// What happened so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What happened, by value.
    pub fn into_history(self) -> History {
        self.history
    }

    /// A number that depends on everything that happened so far: equal runs have equal ones.
    pub fn trace(&self) -> u64 {
        self.trace.0
    }

    /// How many things happened so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Runs until this time.
    pub fn run_until(&mut self, end: TrueTime) {
        while self.heap.peek().is_some_and(|Reverse(entry)| entry.at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
        self.history.ended = self.now;
    }

    /// Lets the next thing happen; none is left if the answer is none.
    pub fn step(&mut self) -> Option<TrueTime> {
        let Reverse(Entry { at, sequence, due }) = self.heap.pop()?;
        self.at_this_time = if at > self.now { 0 } else { self.at_this_time + 1 };
        self.now = at;
        if self.at_this_time > STANDSTILL {
            return self.stand_still(&due);
        }
        self.history.ended = at;
        self.steps += 1;
        self.trace.add(at.as_nanos());
        self.trace.add(sequence);
        match due {
            Due::Wake { process, life, moment } => self.wake(process, life, moment),
            Due::Arrive(call) => self.arrive(call),
            Due::Apply(call) => self.apply(*call),
            Due::Answer { process, life, id, reply } => self.answered(process, life, id, reply),
            Due::GiveUp { process, life, id } => self.give_up(process, life, id),
            Due::Begin(process) => self.begin(process),
            Due::Fault(fault) => self.fault(*fault),
            Due::Settle => {
                self.world.settle_cells(at);
                self.take_stored();
            }
            Due::Write(step) => self.write(step),
        }
        Some(at)
    }

    /// Time no longer passes: something goes on for ever without waiting. The run ends, and says so.
    fn stand_still(&mut self, due: &Due) -> Option<TrueTime> {
        let process = match due {
            Due::Wake { process, .. } | Due::Answer { process, .. } | Due::GiveUp { process, .. } => {
                Some(*process)
            }
            Due::Arrive(call) | Due::Apply(call) => Some(call.process),
            _ => None,
        };
        self.heap.clear();
        self.record(What::Standstill { process });
        None
    }

    fn push(&mut self, at: TrueTime, due: Due) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, due }));
    }

    fn push_after(&mut self, wait: Duration, due: Due) {
        self.push(self.now + wait, due);
    }

    fn record(&mut self, what: What) {
        let event = Event { at: self.now, what };
        for observer in &mut self.observers {
            observer(&event, &self.world);
        }
        self.history.events.push(event);
    }

    fn process(&mut self, id: ProcessId) -> &mut Process {
        &mut self.processes[id.0 as usize]
    }

    /// Sends a call of a process.
    fn send(&mut self, id: ProcessId, request: Request) {
        self.calls += 1;
        let (number, now) = (self.calls, self.now);
        let call = Arc::new(request.call);
        self.record(What::Sent { number, process: id, call: call.clone() });
        let process = self.process(id);
        let (life, from) = (process.life, process.at);
        let deadline = process.clock.own(now) + request.deadline;
        let gives_up = process.clock.true_time(deadline).max(now);
        process.open.insert(request.id, Open { call: call.clone(), number, deadline });
        self.push(gives_up, Due::GiveUp { process: id, life, id: request.id });
        let journey = self.world.journey(&call);
        let travelling =
            Box::new(Travelling { number, process: id, life, id: request.id, call, from, journey });
        match travelling.journey {
            Journey::To(place) => {
                if let Some(takes) = self.world.network.hop(from, place, Letter::Request) {
                    self.push_after(takes, Due::Arrive(travelling));
                }
            }
            _ => self.arrive(travelling),
        }
    }

    /// A call reaches the place where it is carried out.
    fn arrive(&mut self, call: Box<Travelling>) {
        if matches!(call.journey, Journey::To(place) if self.world.is_silent(place)) {
            return;
        }
        let work = self.world.work(call.from, &call.journey, &call.call);
        self.push_after(work, Due::Apply(call));
    }

    /// A call is carried out, whatever has become of its caller.
    fn apply(&mut self, travelling: Travelling) {
        let Travelling { number, process, life, id, call, from, journey } = travelling;
        let place = match journey {
            Journey::To(place) => place,
            _ => from,
        };
        if self.world.is_silent(place) {
            return;
        }
        let reply = Arc::new(self.world.answer(self.now, from, &call, number));
        self.trace.add(number);
        self.record(What::Applied { number, reply: reply.clone() });
        self.take_stored();
        if let Some(landing) = self.world.next_change() {
            self.push(landing.max(self.now), Due::Settle);
        }
        if let Some(takes) = self.world.network.hop(place, from, Letter::Answer) {
            self.push_after(takes, Due::Answer { process, life, id, reply });
        }
    }

    /// Records what changed in the cells.
    fn take_stored(&mut self) {
        for stored in self.world.take_stored() {
            let value: Arc<[u8]> = self.world.cell(&stored.cell).unwrap_or_default().into();
            self.trace.add(stored.version);
            self.record(What::Stored {
                cell: stored.cell.clone(),
                version: stored.version,
                value: value.clone(),
                number: stored.tag,
            });
            self.admit(&stored.cell, &value);
        }
    }

    fn answered(&mut self, id: ProcessId, life: u32, call: CallId, reply: Arc<Reply>) {
        let process = self.process(id);
        if !process.lives(life) || !process.open.contains_key(&call) {
            return;
        }
        if process.frozen() {
            process.inbox.answers.push((call, reply));
            return;
        }
        self.tell(id, call, reply);
    }

    fn give_up(&mut self, id: ProcessId, life: u32, call: CallId) {
        let now = self.now;
        let process = self.process(id);
        if !process.lives(life) {
            return;
        }
        let Some(open) = process.open.get(&call) else { return };
        let deadline = open.deadline;
        if process.clock.own(now) < deadline {
            let later = process.clock.true_time(deadline);
            return self.push(later, Due::GiveUp { process: id, life, id: call });
        }
        if process.frozen() {
            process.inbox.given_up.push(call);
            return;
        }
        let reply = Arc::new(unanswered(&open.call));
        self.tell(id, call, reply);
    }

    /// Tells a process the answer to an open call.
    fn tell(&mut self, id: ProcessId, call: CallId, reply: Arc<Reply>) {
        let Some(open) = self.process(id).open.remove(&call) else { return };
        self.record(What::Answered { number: open.number, reply: reply.clone() });
        let reply = Arc::unwrap_or_clone(reply);
        self.input(id, Input::Reply { id: call, reply });
    }

    /// Steps the machine of a process.
    fn input(&mut self, id: ProcessId, input: Input) {
        let now = self.now;
        let process = self.process(id);
        let clocks = process.clock.now(now);
        let Some(machine) = process.machine() else { return };
        for output in machine.step(clocks, input) {
            match output {
                Output::Call(request) => self.send(id, request),
                Output::WakeAt(moment) => self.wake_at(id, moment),
            }
        }
        self.look_at_gate(id);
    }

    fn wake_at(&mut self, id: ProcessId, moment: Moment) {
        let now = self.now;
        let process = self.process(id);
        if process.wakes.insert(moment) {
            let (life, at) = (process.life, process.clock.true_time(moment).max(now));
            self.push(at, Due::Wake { process: id, life, moment });
        }
    }

    fn wake(&mut self, id: ProcessId, life: u32, moment: Moment) {
        let now = self.now;
        let process = self.process(id);
        if !process.lives(life) || !process.wakes.contains(&moment) {
            return;
        }
        if process.clock.own(now) < moment {
            let later = process.clock.true_time(moment);
            return self.push(later, Due::Wake { process: id, life, moment });
        }
        // As the driver does: one wake for all moments that have come.
        let own = process.clock.own(now);
        process.wakes = process.wakes.split_off(&own);
        process.wakes.remove(&own);
        if process.frozen() {
            process.inbox.wakes = true;
            return;
        }
        self.input(id, Input::Wake);
    }

    /// Records what the gate of a process says, if that changed.
    fn look_at_gate(&mut self, id: ProcessId) {
        let now = self.now;
        let process = self.process(id);
        let open = process.gate_now(now);
        if open != process.gate {
            process.gate = open;
            self.record(What::Gate { process: id, open });
        }
    }
}

/// A place by the region's name, for tests and examples.
impl From<crate::name::Region> for Place {
    fn from(region: crate::name::Region) -> Self {
        Self::Region(region)
    }
}
