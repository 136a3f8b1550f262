//! A controller in the simulated world, between which and the world a test sits: it answers some calls in the world's
//! place, and presses Ctrl-C.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use mantissa_mr_core::call::{Call, Input, Machine, Output, Reply, Request};
use mantissa_mr_core::cell::StoreOutcome;
use mantissa_mr_core::clock::Now;
use mantissa_mr_core::controller::{Controller, ControllerSettings, Ending, Mandate};
use mantissa_mr_core::error::{Error, ErrorKind};
use mantissa_mr_core::ledger::Ledger;
use mantissa_mr_core::name::VantageName;
use mantissa_mr_core::sim::{Body, Cast, NewsBoard, ProcessId, SimClock, Simulation};

use super::stage::group;

/// What becomes of a call.
pub(crate) enum Fate {
    /// The world answers it.
    Pass,
    /// It is never sent; this is its answer.
    Answer(Reply),
}

type Rule = Box<dyn FnMut(&Call) -> Fate>;

struct Wire {
    rule: Rule,
    interrupt: Option<String>,
    ending: Option<Ending>,
}

/// The test's end of the wire.
#[derive(Clone)]
pub(crate) struct Remote(Rc<RefCell<Wire>>);

impl Remote {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Wire { rule: Box::new(|_| Fate::Pass), interrupt: None, ending: None })))
    }

    /// From now on calls go as this says.
    pub(crate) fn rule(&self, rule: impl FnMut(&Call) -> Fate + 'static) {
        self.0.borrow_mut().rule = Box::new(rule);
    }

    /// Every call reaches the world again.
    pub(crate) fn pass(&self) {
        self.rule(|_| Fate::Pass);
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.0.borrow_mut().interrupt = Some("interrupted".into());
    }

    /// How the mandate ended.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.0.borrow().ending.clone()
    }
}

struct Tap {
    controller: Controller,
    board: NewsBoard,
    remote: Remote,
}

impl Tap {
    fn tell(&mut self, now: Now, input: Input) -> Vec<Output> {
        let outputs = self.controller.step(now, input);
        let actor = self.controller.ledger().and_then(|ledger| ledger.lease.holder.clone());
        let news = self.controller.take_news().into_iter();
        let by = actor.unwrap_or_else(|| mantissa_mr_core::name::ActorId::new("nobody").unwrap());
        self.board.borrow_mut().extend(news.map(|news| (by.clone(), news)));
        outputs
    }
}

impl Machine for Tap {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let interrupt = self.remote.0.borrow_mut().interrupt.take();
        let mut todo = interrupt.map(|why| self.controller.pause(now, &why)).unwrap_or_default();
        let (mut inputs, mut sent) = (VecDeque::from([input]), Vec::new());
        loop {
            for output in todo.drain(..) {
                let Output::Call(Request { id, call, .. }) = &output else {
                    sent.push(output);
                    continue;
                };
                let fate = (self.remote.0.borrow_mut().rule)(call);
                match fate {
                    Fate::Pass => sent.push(output),
                    Fate::Answer(reply) => inputs.push_back(Input::Reply { id: *id, reply }),
                }
            }
            let Some(input) = inputs.pop_front() else { break };
            todo = self.tell(now, input);
        }
        self.remote.0.borrow_mut().ending = self.controller.ending().cloned();
        sent
    }
}

/// A tapped controller that watches from a vantage, or carries a person's mandate out.
pub(crate) fn spawn(
    simulation: &mut Simulation,
    cast: &Cast,
    vantage: Option<&VantageName>,
    mandate: &Mandate,
) -> (ProcessId, Remote) {
    let mut spec = match vantage {
        Some(vantage) => cast.controller(&group(), vantage, SimClock::exact()),
        None => cast.command("tapped", &group(), mandate.clone(), SimClock::exact()),
    };
    let remote = Remote::new();
    let (cast, wire, vantage, mandate) = (cast.clone(), remote.clone(), vantage.cloned(), mandate.clone());
    spec.make = Box::new(move |birth| {
        let settings = ControllerSettings {
            deployment: cast.deployment.clone(),
            group: group(),
            actor: birth.actor.clone(),
            vantage: vantage.clone(),
            local_region: None,
            mandate: mandate.clone(),
            catalog: cast.catalog.clone(),
            seed: birth.seed,
        };
        let controller = Controller::new(settings).unwrap();
        Body::Machine(Box::new(Tap { controller, board: cast.board.clone(), remote: wire.clone() }))
    });
    (simulation.spawn(spec), remote)
}

/// Nobody knows whether it was stored.
pub(crate) fn unknown() -> Reply {
    Reply::Store(Ok(StoreOutcome::Unknown { why: "its answer was lost".into() }))
}

/// It is not allowed.
pub(crate) fn denied() -> Reply {
    Reply::Store(Err(Error::new(ErrorKind::PermissionDenied, "store a cell", "not allowed")))
}

/// What a call would store in the ledger.
pub(crate) fn to_store(call: &Call) -> Option<Ledger> {
    match call {
        Call::Store { cell, value, .. } if cell.as_str().ends_with("/ledger") => {
            Some(Ledger::decode(value).unwrap())
        }
        _ => None,
    }
}

/// It does not answer.
pub(crate) fn silence() -> Error {
    Error::new(ErrorKind::Timeout, "load a cell", "no answer")
}

/// It must not be read.
pub(crate) fn forbidden() -> Error {
    Error::new(ErrorKind::PermissionDenied, "load a cell", "not allowed")
}
