//! A world whose controllers are tapped, and of which only the one beside the witness may change the ledger.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::cell::{CellName, StoreOutcome};
use mantissa_mr_core::controller::{Happening, Mandate};
use mantissa_mr_core::deployment::{DeploymentSpec, Strategy};
use mantissa_mr_core::journal::Event;
use mantissa_mr_core::ledger::{GroupCells, Ledger, OrderKind};
use mantissa_mr_core::plan::Plan;
use mantissa_mr_core::sim::{Place, Settings, SimClock, What, Wish, cast};

use super::stage::{Turn, group};
use super::tap::{self, Fate, Remote, denied, to_store, unknown};

/// Every ledger that was stored.
type Ledgers = Rc<RefCell<Vec<Ledger>>>;

/// Calls that somebody made.
pub(crate) type Wanted = Rc<RefCell<Vec<Call>>>;

pub(crate) struct Scene {
    pub(crate) turn: Turn,
    /// Of the controller that acts.
    pub(crate) leader: Remote,
    ledgers: Ledgers,
}

impl Scene {
    pub(crate) fn new(tweak: impl Fn(&mut DeploymentSpec)) -> Self {
        let (ledgers, mut leader) = (Ledgers::default(), None);
        let seen = ledgers.clone();
        let turn = Turn::with(1, Strategy::ActivePassive, Settings::CALM, tweak, |simulation, cast| {
            simulation.observe(move |event, _| {
                if let What::Stored { cell, value, .. } = &event.what
                    && cell.as_str().ends_with("/ledger")
                {
                    seen.borrow_mut().push(Ledger::decode(value).unwrap());
                }
            });
            for region in cast.deployment.regions() {
                simulation.spawn(cast::service(&cast.deployment, &group(), region, SimClock::exact()));
            }
            for vantage in &cast.deployment.spec().vantages {
                let (_, remote) = tap::spawn(simulation, cast, Some(&vantage.name), &Mandate::Watch);
                if vantage.failure_domain.as_str() == "witness" {
                    leader = Some(remote);
                } else {
                    remote.rule(|call| to_store(call).map_or(Fate::Pass, |_| Fate::Answer(denied())));
                }
            }
        });
        Self { turn, leader: leader.unwrap(), ledgers }
    }

    /// What was in the ledger since the begin of its last execution.
    pub(crate) fn since_begin(&self) -> Vec<Ledger> {
        let last = self.turn.ledger().generation;
        self.ledgers.borrow().iter().filter(|ledger| ledger.generation == last).cloned().collect()
    }

    /// Lets one thing happen after the other until something is so; not for ever.
    pub(crate) fn step_until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let late = self.turn.simulation.now() + Duration::from_secs(400);
        while !so(self) {
            let at = self.turn.simulation.step();
            assert!(at.is_some_and(|at| at < late), "{what}: {:?}", self.turn.ledger());
        }
    }

    pub(crate) fn said(&self, text: &str) -> usize {
        let board = self.turn.cast.board.borrow();
        let says = |what: &Happening| matches!(what, Happening::Trouble(trouble) if trouble.contains(text));
        board.iter().filter(|(_, news)| says(&news.what)).count()
    }

    pub(crate) fn ask(&mut self, what: OrderKind) {
        let wish = Wish::Order { group: group(), what };
        self.turn.person.act(&mut self.turn.simulation, &self.turn.cast, &wish);
    }

    /// No attempt to begin the next move is answered, nor does one arrive for now. Gives the first of them as soon as it is
    /// made: it may land yet.
    pub(crate) fn begin_is_lost(&mut self) -> Call {
        let (begun, first) = (self.turn.ledger().generation, Rc::new(RefCell::new(None)));
        let kept = first.clone();
        self.leader.rule(move |call| match to_store(call) {
            Some(ledger) if ledger.generation > begun => {
                kept.borrow_mut().get_or_insert(call.clone());
                Fate::Answer(unknown())
            }
            _ => Fate::Pass,
        });
        self.step_until("it begins", |_| first.borrow().is_some());
        first.take().unwrap()
    }

    /// The move that was to begin is let go.
    pub(crate) fn is_let_go(&mut self) {
        let before = self.said("was not begun: it took too long");
        self.step_until("it is let go", |scene| scene.said("was not begun: it took too long") > before);
    }

    /// A call arrives after all.
    pub(crate) fn lands(&mut self, call: &Call) {
        let now = self.turn.simulation.now();
        let reply = self.turn.simulation.world_mut().perform(now, &Place::Operator, call);
        assert!(matches!(reply, Reply::Store(Ok(StoreOutcome::Applied { .. }))), "{reply:?}");
    }

    /// A call arrives right before the leader's next change of the ledger. From then on the leader cannot read the ledger,
    /// until the switch is turned; what it wants to change meanwhile is kept.
    pub(crate) fn lands_before_the_next_change(&mut self, call: &Call) -> (Rc<Cell<bool>>, Wanted) {
        let (due, blind, wanted) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(true)), Wanted::default());
        let (seen, blinded, kept) = (due.clone(), blind.clone(), wanted.clone());
        self.leader.rule(move |call| {
            let is_ledger = |cell: &CellName| cell.as_str().ends_with("/ledger");
            match call {
                Call::Load { cell } if is_ledger(cell) && seen.get() && blinded.get() => {
                    return Fate::Answer(Reply::Load(Err(tap::silence())));
                }
                Call::Store { cell, .. } if is_ledger(cell) => seen.set(true),
                call if call.changes_cloud() && seen.get() && blinded.get() => {
                    kept.borrow_mut().push(call.clone());
                }
                _ => {}
            }
            Fate::Pass
        });
        self.step_until("it changes the ledger", |_| due.get());
        self.lands(call);
        (blind, wanted)
    }

    /// The last execution finished by its own steps: each of its plan's was done, or left out, after it began.
    pub(crate) fn finished_by_its_own_steps(&self) {
        let events = self.turn.events();
        let began = events.iter().rposition(|event| matches!(event, Event::Began { .. })).unwrap();
        let Event::Began { plan, execution, .. } = &events[began] else { unreachable!() };
        let ended = self.turn.ledger().ended.unwrap();
        assert_eq!(ended.id, *execution);
        let cells = GroupCells::new(&self.turn.cast.deployment.spec().name, &group());
        let bytes = self.turn.simulation.world().cell(&cells.plan(plan)).unwrap();
        let plan: Plan = serde_json::from_slice(bytes).unwrap();
        for step in &plan.steps {
            let over = |event: &Event| match event {
                Event::Done { step: done, .. } | Event::Skipped { step: done, .. } => *done == step.id,
                _ => false,
            };
            assert!(events[began..].iter().any(over), "{} of {execution}: {events:#?}", step.id);
        }
    }
}
