//! A small gate and a small mover, made only to exercise the simulated world and to be broken on purpose. They are no
//! part of the library, which has better ones.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use mantissa_mr_core::call::{Call, CallId, Input, Machine, Output, Reply, Request};
use mantissa_mr_core::cell::{CellVersion, Expected, StoreOutcome};
use mantissa_mr_core::clock::{Moment, Now};
use mantissa_mr_core::compute::Target;
use mantissa_mr_core::deployment::Share;
use mantissa_mr_core::ledger::{AdmissionState, Ended, Epoch, GroupCells, Ledger, Outcome, Running, Term};
use mantissa_mr_core::name::{ActorId, ExecutionId, GroupName, Region, ResourceName};
use mantissa_mr_core::plan::{Move, PlanHash};
use mantissa_mr_core::sim::{Birth, Body, Gate, Place, ProcessSpec, Role, SimClock, SimPermit};
use mantissa_mr_core::store::{Barrier, Drained, Promotion};
use mantissa_mr_core::traffic::{Shift, Urgency, Weights};

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bug {
    #[default]
    None,
    /// The gate counts its trust from the receipt of the answer.
    TrustFromReceipt,
    /// The gate lets every answered write be acknowledged.
    AcknowledgesLate,
    /// The mover admits the target without waiting for the gates.
    NoWait,
    /// The mover does not wait until the store is drained.
    NoDrain,
    /// The mover admits the target under the epoch that was.
    KeepsEpoch,
}

pub(crate) fn cells(group: &GroupName) -> GroupCells {
    GroupCells::new(&mantissa_mr_core::name::DeploymentName::new("sim").unwrap(), group)
}

/// Reads the ledger at a third of the trust.
#[derive(Debug)]
pub(crate) struct TestGate {
    region: Region,
    cells: GroupCells,
    bug: Bug,
    next: u64,
    sent: Option<(CallId, Moment)>,
    trusted: Option<(Epoch, Moment, Duration)>,
}

impl TestGate {
    pub(crate) fn new(region: Region, group: &GroupName, bug: Bug) -> Self {
        Self { region, cells: cells(group), bug, next: 0, sent: None, trusted: None }
    }
}

impl Machine for TestGate {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut trust = Duration::from_secs(15);
        if let Input::Reply { id, reply: Reply::Load(answer) } = input
            && let Some((expected, sent)) = self.sent
            && expected == id
        {
            self.sent = None;
            if let Ok(Some(cell)) = answer {
                let ledger = Ledger::decode(&cell.value).unwrap();
                trust = ledger.gate.trust;
                let from = if self.bug == Bug::TrustFromReceipt { now.moment } else { sent };
                let admitted = ledger.admitted(&self.region);
                self.trusted = admitted.map(|epoch| (epoch, from + trust, ledger.gate.write_deadline));
            }
            return vec![Output::WakeAt(now.moment + trust / 3)];
        }
        if self.sent.is_some() {
            return Vec::new();
        }
        self.next += 1;
        let id = CallId(self.next);
        self.sent = Some((id, now.moment));
        let call = Call::Load { cell: self.cells.ledger() };
        vec![Output::Call(Request { id, call, deadline: trust / 3 })]
    }
}

impl Gate for TestGate {
    fn permit(&mut self, now: Now) -> Option<SimPermit> {
        let (epoch, until, deadline) = self.trusted?;
        (now.moment + deadline <= until)
            .then_some(SimPermit { epoch, number: (now.moment + deadline).as_nanos() })
    }

    fn holds(&mut self, now: Now, permit: &SimPermit) -> bool {
        let open = self.trusted.is_some_and(|(epoch, until, _)| epoch == permit.epoch && now.moment < until);
        self.bug == Bug::AcknowledgesLate || open && now.moment.as_nanos() < permit.number
    }

    fn open(&self, _now: Now) -> Option<(Epoch, Moment)> {
        self.trusted.map(|(epoch, until, _)| (epoch, until))
    }
}

/// A service behind a [`TestGate`].
pub(crate) fn service(region: &Region, group: &GroupName, clock: SimClock, bug: Bug) -> ProcessSpec {
    let (to, of) = (region.clone(), group.clone());
    ProcessSpec {
        name: format!("service-{region}"),
        place: Place::Region(region.clone()),
        role: Role::Service,
        serves: Some(group.clone()),
        clock,
        make: Box::new(move |_| Body::Gated(Box::new(TestGate::new(to.clone(), &of, bug)))),
    }
}

/// What a [`TestMover`] is to do.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) kind: Move,
    pub(crate) group: GroupName,
    pub(crate) store: ResourceName,
    pub(crate) router: ResourceName,
    pub(crate) scaler: ResourceName,
    pub(crate) from: Region,
    pub(crate) to: Region,
    /// Seconds after its birth.
    pub(crate) after: u64,
    pub(crate) bug: Bug,
}

/// Moves a group once: it looks at the ledger and does what comes next, until nothing does.
#[derive(Debug)]
pub(crate) struct TestMover {
    order: Order,
    actor: ActorId,
    next: u64,
    step: Step,
    begin: Option<Moment>,
    sealed: Option<Moment>,
    scaled: bool,
    drained: bool,
    promoted: bool,
    shifted: bool,
    pub(crate) done: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Idle,
    Load,
    Store,
    Scale,
    Drain,
    Promote,
    Routing,
    Shift,
}

const PAUSE: Duration = Duration::from_secs(1);

impl TestMover {
    pub(crate) fn new(order: Order, birth: &Birth) -> Self {
        Self {
            order,
            actor: birth.actor.clone(),
            next: 0,
            step: Step::Idle,
            begin: None,
            sealed: None,
            scaled: false,
            drained: false,
            promoted: false,
            shifted: false,
            done: false,
        }
    }

    fn call(&mut self, step: Step, call: Call) -> Vec<Output> {
        self.next += 1;
        self.step = step;
        vec![Output::Call(Request { id: CallId(self.next), call, deadline: Duration::from_secs(30) })]
    }

    fn again(&mut self, now: Now) -> Vec<Output> {
        self.step = Step::Idle;
        vec![Output::WakeAt(now.moment + PAUSE)]
    }

    fn store(&mut self, version: CellVersion, mut next: Ledger) -> Vec<Output> {
        next.writer = mantissa_mr_core::ledger::Token::new(&self.actor, self.next);
        let cell = cells(&self.order.group).ledger();
        self.call(
            Step::Store,
            Call::Store { cell, expected: Expected::Version(version), value: next.encode() },
        )
    }

    /// What comes next, by what the ledger says.
    fn look(&mut self, now: Now, version: CellVersion, ledger: Ledger) -> Vec<Output> {
        let Order { group, from, to, kind, .. } = self.order.clone();
        let id = ExecutionId::new("move-1").unwrap();
        let term: Term = ledger.lease.term;
        if ledger.ended.as_ref().is_some_and(|ended| ended.id == id) {
            self.done = true;
            return Vec::new();
        }
        if ledger.lease.holder.as_ref() != Some(&self.actor) {
            return self.store(version, ledger.acquire(&self.actor));
        }
        if ledger.execution.is_none() {
            let plan = PlanHash::try_from("0".repeat(64)).unwrap();
            let running = Running {
                id: id.clone(),
                plan,
                kind,
                region: to,
                journal_from: ledger.journal.clone(),
                began: now.wall,
                paused: None,
            };
            let begun = ledger.begin(term, ledger.basis(), running).unwrap();
            return self.store(version, begun.seal(term, &id, &[from]).unwrap());
        }
        let opened = ledger.admitted(&to).is_some();
        let wait = ledger.gate.seal_wait();
        let sealed = *self.sealed.get_or_insert(now.moment);
        if !opened && now.moment < sealed + wait && self.order.bug != Bug::NoWait {
            return vec![Output::WakeAt(sealed + wait)];
        }
        let epoch = ledger.epoch().next();
        if !self.scaled {
            let (scaler, target) = (self.order.scaler.clone(), Target::Share(Share::FULL));
            return self.call(Step::Scale, Call::Scale { scaler, region: to, target, epoch });
        }
        if !opened && kind != Move::Failover && !self.drained && self.order.bug != Bug::NoDrain {
            let barrier = Barrier { execution: id, epoch: ledger.epoch(), from, to };
            return self.call(Step::Drain, Call::Drained { store: self.order.store.clone(), barrier });
        }
        if !opened && !self.promoted {
            let promotion = if kind == Move::Failover { Promotion::Forced } else { Promotion::Planned };
            let store = self.order.store.clone();
            return self.call(Step::Promote, Call::Promote { store, region: to, promotion, epoch });
        }
        if !opened {
            let mut next = ledger.open(term, &id, &to).unwrap();
            if self.order.bug == Bug::KeepsEpoch {
                let admission = next.admissions.get_mut(&to).unwrap();
                admission.epoch = ledger.epoch();
            }
            return self.store(version, next);
        }
        if !self.shifted {
            return self.call(Step::Routing, Call::Routing { router: self.order.router.clone() });
        }
        assert!(
            ledger.admissions.values().all(|a| !matches!(a.state, AdmissionState::Sealed { .. })),
            "{group}"
        );
        let ended = Ended {
            id,
            kind,
            outcome: Outcome::Finished,
            region: to,
            at: now.wall,
            acknowledged: false,
            unreconciled: Vec::new(),
        };
        self.store(version, ledger.finish(term, ended).unwrap())
    }

    fn load(&mut self) -> Vec<Output> {
        let cell = cells(&self.order.group).ledger();
        self.call(Step::Load, Call::Load { cell })
    }
}

impl Machine for TestMover {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let begin = *self.begin.get_or_insert(now.moment + Duration::from_secs(self.order.after));
        if now.moment < begin {
            return vec![Output::WakeAt(begin)];
        }
        let Input::Reply { id, reply } = input else {
            return if self.step == Step::Idle && !self.done { self.load() } else { Vec::new() };
        };
        if id != CallId(self.next) {
            return Vec::new();
        }
        match reply {
            Reply::Load(Ok(Some(cell))) => {
                self.step = Step::Idle;
                self.look(now, cell.version, Ledger::decode(&cell.value).unwrap())
            }
            // The wait for the gates counts from the next look, which comes after this answer.
            Reply::Store(Ok(StoreOutcome::Applied { .. })) => self.load(),
            Reply::Drained(Ok(Drained::Proven { .. })) => {
                self.drained = true;
                self.load()
            }
            Reply::Scale(Ok(())) => {
                self.scaled = true;
                self.load()
            }
            Reply::Promote(Ok(())) => {
                self.promoted = true;
                self.load()
            }
            Reply::Routing(Ok(routing)) => {
                let weights = Weights::all_to(&self.order.to);
                if routing.weights.same_shares(&weights) {
                    self.shifted = true;
                    return self.load();
                }
                let urgency =
                    if self.order.kind == Move::Failover { Urgency::Unplanned } else { Urgency::Planned };
                let shift = Shift { weights, epoch: Epoch(2), urgency, based_on: routing.version };
                self.call(Step::Shift, Call::Shift { router: self.order.router.clone(), shift })
            }
            Reply::Shift(Ok(())) => {
                self.shifted = true;
                self.load()
            }
            _ => self.again(now),
        }
    }
}

/// A process that carries out an order.
pub(crate) fn mover(place: Place, order: Order, clock: SimClock) -> ProcessSpec {
    ProcessSpec {
        name: "mover".into(),
        place,
        role: Role::Operator,
        serves: None,
        clock,
        make: Box::new(move |birth| Body::Machine(Box::new(TestMover::new(order.clone(), birth)))),
    }
}
