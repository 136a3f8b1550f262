//! The situations in which a person may give a command, and how they arise.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::cell::Expected;
use mantissa_mr_core::controller::{Happening, Mandate};
use mantissa_mr_core::deployment::{Automatic, DeploymentSpec, Strategy};
use mantissa_mr_core::ledger::{GroupCells, OrderKind};
use mantissa_mr_core::name::ResourceName;
use mantissa_mr_core::plan::{Move, Plan};
use mantissa_mr_core::sim::{Fault, Place, ProcessId, Settings, SimClock, Spread, Traffic, Wish};
use mantissa_mr_core::state::State;

use super::on_site;
use super::setting::{quick, request};
use super::stage::{Turn, group, region, store};

macro_rules! situations {
    ($($name:ident $state:ident $words:literal;)*) => {
        /// A situation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Situation {
            $($name,)*
        }

        impl Situation {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The state that whoever holds the lease is in.
            pub(crate) fn state(self) -> State {
                match self { $(Self::$name => State::$state,)* }
            }
        }

        impl fmt::Display for Situation {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $words,)* })
            }
        }
    };
}

situations! {
    Calm Steady "nothing has happened yet";
    Moved Steady "a switchover has ended, and nobody has looked at it";
    GivenUp Steady "a switchover was given up a moment ago";
    LedgerGone Steady "the ledger does not answer";
    Suspected Suspected "the region that serves has just died";
    Confirmed Confirmed "it is called unfit, and a failover is about to begin by itself";
    Proposed Proposed "it is called unfit, and a failover is proposed";
    Refused Refused "it is called unfit, and a guard refuses the failover";
    Scaling Moving "a switchover waits for capacity";
    Sealed Moving "a switchover has sealed, and not opened: nobody serves";
    SealedLedgerGone Moving "a switchover has sealed, and the ledger does not answer";
    ByHand Moving "a person's command carries a switchover out";
    Racing Steady "another person's switchover is about to begin";
    Orphaned Moving "a switchover has begun, and nobody is there to carry it out";
    Superseded Committed "a failover has just taken the place of a switchover";
    Unreadable Steady "a switchover has begun, and its plan cannot be read";
    Opened Committed "a switchover has opened, and cannot change the routing";
    Aborting Aborting "a switchover is being given up";
    Paused Paused "a switchover is paused";
    PausedLate Paused "a switchover is paused past the point of no return";
    Stuck Stuck "a switchover is overdue";
    StuckLate Stuck "a switchover is overdue past the point of no return";
    AllServe Steady "active-active, nothing has happened yet";
    Leaving Moving "active-active, a region leaves and is sealed";
    Left Steady "active-active, a region has left, and nobody has looked at it";
    Returning Moving "active-active, a region comes back";
}

/// A world in a situation, and a plan that was made when nothing had happened yet.
pub(crate) struct Site {
    pub(crate) turn: Turn,
    pub(crate) old: Plan,
}

impl Situation {
    fn strategy(self) -> Strategy {
        match self {
            Self::AllServe | Self::Leaving | Self::Left | Self::Returning => Strategy::ActiveActive,
            _ => Strategy::ActivePassive,
        }
    }

    fn automatic(self) -> Automatic {
        match self {
            Self::Confirmed | Self::Superseded => Automatic::On,
            _ => Automatic::Propose,
        }
    }

    /// A world in this situation.
    pub(crate) fn arise(self) -> Site {
        let tweak = |spec: &mut DeploymentSpec| {
            quick(spec);
            spec.policy.automatic = self.automatic();
        };
        // Clients that write now and then are enough to be judged by.
        let traffic = Traffic { every: Spread::millis(4_000, 8_000), ..Traffic::CALM };
        let settings = Settings { traffic, ..Settings::CALM };
        let turn = Turn::with(1, self.strategy(), settings, tweak, |simulation, cast| {
            simulation.spawn_all(cast, SimClock::exact);
        });
        let kind = match self.strategy() {
            Strategy::ActivePassive => Move::Switchover,
            Strategy::ActiveActive => Move::Evacuate,
        };
        let old = on_site::ask(&turn, async |operator| {
            operator.plan(&group(), &request(kind, &turn)).await.unwrap()
        });
        let mut site = Site { turn, old };
        site.bring_about(self);
        assert_eq!(site.state(), self.state(), "{self}");
        site
    }
}

fn stock(stock: u64) -> Fault {
    let scaler = ResourceName::new("logs-workers").unwrap();
    Fault::Stock { scaler, region: region("west"), stock }
}

fn routing(up: bool) -> Fault {
    Fault::ControlPlane { router: ResourceName::new("logs-dns").unwrap(), up }
}

impl Site {
    /// The state of whoever holds the lease; what it said last, by the board.
    pub(crate) fn state(&self) -> State {
        let lease = self.turn.ledger().lease;
        let board = self.turn.cast.board.borrow();
        let mut states = board.iter().rev().filter(|(actor, _)| Some(actor) == lease.holder.as_ref());
        let state = states.find_map(|(_, news)| match &news.what {
            Happening::State { to, .. } => Some(*to),
            Happening::LostLease(_) => Some(State::Steady),
            _ => None,
        });
        // Who began to watch a moment ago has said nothing yet; neither has who is not there any more.
        state.unwrap_or(match &self.turn.ledger().execution {
            Some(_) if lease.holder.is_none() => State::Moving,
            _ => State::Steady,
        })
    }

    fn until_state(&mut self, state: State) {
        let late = self.turn.simulation.now() + Duration::from_secs(300);
        while self.state() != state {
            let said = self.turn.cast.board.borrow().len();
            while self.turn.cast.board.borrow().len() == said {
                let at = self.turn.simulation.step();
                assert!(at.is_some_and(|at| at < late), "it is {}, not {state}", self.state());
            }
        }
    }

    fn order(&mut self, what: OrderKind) {
        let wish = Wish::Order { group: group(), what };
        self.turn.person.act(&mut self.turn.simulation, &self.turn.cast, &wish);
    }

    /// A switchover that a controller has taken over.
    fn switchover(&mut self) {
        self.turn.order(Move::Switchover, "west", false);
        self.until_state(State::Moving);
        self.turn.pass(5);
    }

    /// Another person's, whose command goes on.
    fn spawn_switchover(&mut self) {
        let (target, name) = (region("west"), group());
        let Turn { simulation, cast, person, .. } = &mut self.turn;
        let plan = person.plan(simulation, cast, &name, Move::Switchover, Some(&target), false);
        let mandate = Mandate::Carry(Arc::new(plan.unwrap()));
        simulation.spawn(cast.command("other", &name, mandate, SimClock::exact()));
    }

    fn sealed(&mut self) {
        self.turn.fault(Fault::Replication { store: store(), runs: false });
        self.switchover();
        self.turn.until("it is sealed", |turn| turn.ledger().active().next().is_none());
        self.turn.pass(2);
    }

    /// Something else than the library has written into the plan's cell, before a controller takes the move over.
    fn unreadable(&mut self) {
        self.turn.order(Move::Switchover, "west", false);
        let hash = self.turn.ledger().execution.unwrap().plan;
        let cell = GroupCells::new(&self.turn.cast.deployment.spec().name, &group()).plan(&hash);
        let (now, load) = (self.turn.simulation.now(), Call::Load { cell: cell.clone() });
        let world = self.turn.simulation.world_mut();
        let Reply::Load(Ok(Some(found))) = world.perform(now, &Place::Operator, &load) else {
            panic!("there is no plan");
        };
        let (expected, value) = (Expected::Version(found.version), b"no plan".to_vec());
        world.perform(now, &Place::Operator, &Call::Store { cell, expected, value });
        let waits = |turn: &Turn| turn.ledger().execution.is_some_and(|running| running.paused.is_some());
        self.turn.until("somebody has tried to read it", waits);
        self.turn.pass(2);
    }

    fn opened(&mut self) {
        self.turn.fault(routing(false));
        self.switchover();
        self.turn.until("it is open", |turn| turn.ledger().admitted(&region("west")).is_some());
        self.turn.pass(2);
    }

    fn loses_the_ledger(&mut self) {
        self.turn.fault(Fault::Witness { up: false });
        self.turn.pass(2);
    }

    fn ended(&mut self) {
        self.turn.until("it has ended", |turn| turn.ledger().ended.is_some());
        self.turn.pass(2);
    }

    fn bring_about(&mut self, situation: Situation) {
        match situation {
            Situation::Calm | Situation::AllServe => {}
            Situation::LedgerGone => self.loses_the_ledger(),
            Situation::Moved => {
                self.switchover();
                self.ended();
            }
            Situation::Suspected | Situation::Confirmed | Situation::Proposed => {
                self.turn.dies("east");
                self.until_state(situation.state());
                if situation == Situation::Proposed {
                    self.turn.until("it is proposed", |turn| turn.ledger().proposal.is_some());
                }
            }
            Situation::Refused => {
                let scaler = ResourceName::new("logs-workers").unwrap();
                self.turn.fault(Fault::Quota { scaler, region: region("west"), quota: 40 });
                self.turn.pass(10);
                self.turn.dies("east");
                self.until_state(State::Refused);
            }
            Situation::Racing => self.spawn_switchover(),
            Situation::ByHand => {
                self.turn.fault(stock(40));
                self.spawn_switchover();
                self.until_state(State::Moving);
                self.turn.pass(5);
            }
            other => self.midway(other),
        }
    }

    fn midway(&mut self, situation: Situation) {
        match situation {
            Situation::Scaling | Situation::Orphaned | Situation::Paused | Situation::Stuck => {
                self.turn.fault(stock(40));
                self.switchover();
                self.held(situation);
            }
            Situation::Sealed => self.sealed(),
            Situation::Unreadable => self.unreadable(),
            Situation::SealedLedgerGone => {
                self.sealed();
                self.loses_the_ledger();
            }
            Situation::Aborting => {
                self.sealed();
                self.order(OrderKind::Abort);
                self.until_state(State::Aborting);
            }
            Situation::GivenUp => {
                self.sealed();
                self.order(OrderKind::Abort);
                self.turn.fault(Fault::Replication { store: store(), runs: true });
                self.ended();
            }
            Situation::Superseded => {
                self.sealed();
                self.turn.dies("east");
                self.turn.until("it is superseded", |turn| turn.ledger().generation.0 == 2);
            }
            Situation::Opened | Situation::PausedLate | Situation::StuckLate => {
                self.opened();
                self.held(situation);
            }
            Situation::Leaving => {
                self.turn.order(Move::Evacuate, "east", false);
                self.turn.until("it is sealed", |turn| turn.ledger().active().count() == 2);
                self.until_state(State::Moving);
            }
            _ => self.left(situation),
        }
    }

    fn held(&mut self, situation: Situation) {
        match situation {
            Situation::Paused | Situation::PausedLate => {
                self.order(OrderKind::Pause);
                self.until_state(State::Paused);
                self.turn.pass(5);
            }
            Situation::Stuck | Situation::StuckLate => self.until_state(State::Stuck),
            Situation::Orphaned => {
                // The two services come before the three controllers.
                for process in 2..5 {
                    self.turn.fault(Fault::Crash { process: ProcessId(process), back_after: None });
                }
                self.turn.pass(10);
            }
            _ => {}
        }
    }

    fn left(&mut self, situation: Situation) {
        self.turn.order(Move::Evacuate, "east", false);
        self.ended();
        if situation == Situation::Returning {
            self.turn.fault(Fault::Replication { store: store(), runs: false });
            self.turn.pass(5);
            self.turn.order(Move::Rejoin, "east", false);
            self.until_state(State::Moving);
            self.turn.pass(5);
        }
    }
}
