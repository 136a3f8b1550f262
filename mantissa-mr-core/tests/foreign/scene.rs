//! Every kind of plan, and when each of its steps is done.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mantissa_mr_core::controller::Happening;
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::journal::{Event, Slot};
use mantissa_mr_core::ledger::OrderKind;
use mantissa_mr_core::name::{Region, ResourceName, StepId};
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{Fault, TrueTime, What, Wish};
use mantissa_mr_core::traffic::Weights;

use super::stage::{Turn, group};

/// A kind of plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) kind: Move,
    /// The region that it leaves is gone.
    pub(crate) dark: bool,
}

pub(crate) const CASES: [Case; 6] = [
    Case { kind: Move::Switchover, dark: false },
    Case { kind: Move::Failover, dark: true },
    Case { kind: Move::Failback, dark: false },
    Case { kind: Move::Evacuate, dark: false },
    Case { kind: Move::Evacuate, dark: true },
    Case { kind: Move::Rejoin, dark: false },
];

pub(crate) fn router() -> ResourceName {
    ResourceName::new("logs-dns").unwrap()
}

/// When a step was done, in the order in which they were.
pub(crate) type Steps = Rc<RefCell<Vec<(TrueTime, StepId)>>>;

/// A move that has begun.
pub(crate) struct Begun {
    pub(crate) turn: Turn,
    /// What the routing was.
    pub(crate) before: Weights,
    pub(crate) steps: Steps,
    executions: u64,
}

impl Case {
    fn strategy(self) -> Strategy {
        match self.kind {
            Move::Evacuate | Move::Rejoin => Strategy::ActiveActive,
            _ => Strategy::ActivePassive,
        }
    }

    pub(crate) fn begin(self) -> Begun {
        let mut turn = Turn::new(1, self.strategy(), |_| {});
        match self.kind {
            Move::Failback => first(&mut turn, Move::Switchover, "west"),
            Move::Rejoin => first(&mut turn, Move::Evacuate, "east"),
            _ => {}
        }
        let before = weights(&turn);
        let (steps, executions) = (Steps::default(), turn.ledger().generation.0 + 1);
        let seen = steps.clone();
        turn.simulation.observe(move |event, _| {
            let What::Stored { cell, value, .. } = &event.what else { return };
            if !cell.as_str().contains("/journal/") {
                return;
            }
            let slot: Slot = serde_json::from_slice(value).unwrap();
            let done = slot.records.into_iter().filter_map(|record| match record.event {
                Event::Done { step, .. } => Some((event.at, step)),
                _ => None,
            });
            seen.borrow_mut().extend(done);
        });
        match (self.kind, self.dark) {
            (_, true) => turn.dies("east"),
            (Move::Switchover, _) => turn.order(self.kind, "west", false),
            _ => turn.order(self.kind, "east", false),
        }
        Begun { turn, before, steps, executions }
    }
}

/// A move that must have come before, and that somebody has looked at.
fn first(turn: &mut Turn, kind: Move, to: &str) {
    turn.order(kind, to, false);
    turn.until("it has ended", |turn| turn.ledger().ended.is_some());
    let wish = Wish::Order { group: group(), what: OrderKind::Acknowledge };
    turn.person.act(&mut turn.simulation, &turn.cast, &wish);
    turn.pass(30);
}

pub(crate) fn weights(turn: &Turn) -> Weights {
    turn.simulation.world().weights(&router()).unwrap().clone()
}

impl Begun {
    /// Somebody else sets the routing at this time.
    pub(crate) fn sets(&mut self, at: TrueTime, weights: &Weights) {
        let fault = Fault::ForeignShift { router: router(), weights: weights.clone() };
        self.turn.simulation.schedule(at, fault);
    }

    /// Until the move is over, and that long on.
    pub(crate) fn ends(&mut self, and: u64) {
        let late = self.turn.simulation.now() + Duration::from_secs(900);
        while !self.is_over() {
            assert!(self.turn.simulation.now() < late, "it does not end: {:?}", self.turn.ledger());
            self.turn.pass(1);
        }
        self.turn.pass(and);
    }

    pub(crate) fn is_over(&self) -> bool {
        let ledger = self.turn.ledger();
        ledger.generation.0 == self.executions && ledger.execution.is_none()
    }

    /// Clients are sent to every region that serves, and to no other.
    pub(crate) fn is_right(&self) -> bool {
        let ledger = self.turn.ledger();
        let serve: Vec<&Region> = ledger.active().collect();
        weights(&self.turn).serving().collect::<Vec<_>>() == serve
    }

    /// How often actors said so.
    pub(crate) fn said(&self, text: &str) -> usize {
        let board = self.turn.cast.board.borrow();
        let says = |what: &Happening| matches!(what, Happening::Trouble(said) if said.contains(text));
        board.iter().filter(|(_, news)| says(&news.what)).count()
    }
}
