//! The gate that services ask (a few words of memory) and the machine (all that is known) give the same answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{GateMachine, GateTerms, Moment, Now, RateMargin, RenewPolicy, at, cells, region};
use crate::clock::Clock;
use crate::gate::handle::{Publisher, WriteGate};
use crate::gate::view::{Standing, View};
use crate::gate::{Permit, RpoBound, ShutReason};
use crate::ledger::Epoch;

/// A clock that is set by hand.
#[derive(Debug)]
struct SetClock(Mutex<Now>);

impl Clock for SetClock {
    fn moment(&self) -> Moment {
        self.0.lock().unwrap().moment
    }

    fn wall(&self) -> Timestamp {
        self.0.lock().unwrap().wall
    }
}

/// One thing that is done to a gate, or asked of it.
#[derive(Clone, Debug)]
enum Deed {
    Open { epoch: u64, trust: u64, write_deadline: u64 },
    Shut,
    Lag(u64),
    Pass { boot: u64, wall: u64 },
    Ask,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => (1..4u64, 0..3_000u64, 0..500u64)
            .prop_map(|(epoch, trust, write_deadline)| Deed::Open { epoch, trust, write_deadline }),
        1 => Just(Deed::Shut),
        1 => (0..3_000u64).prop_map(Deed::Lag),
        4 => (0..400u64).prop_map(|millis| Deed::Pass { boot: millis, wall: millis }),
        1 => (0..400u64, 0..3_000u64).prop_map(|(boot, wall)| Deed::Pass { boot, wall }),
        6 => Just(Deed::Ask),
    ]
}

struct Both {
    clock: Arc<SetClock>,
    machine: GateMachine,
    publisher: Publisher,
    gate: WriteGate,
    permits: Vec<Permit>,
    given: usize,
}

impl Both {
    fn new(rpo: Option<u64>) -> Self {
        let clock = Arc::new(SetClock(Mutex::new(at(1_000))));
        let mut machine = GateMachine::new(cells(), region("east"), RenewPolicy::default());
        if let Some(rpo) = rpo {
            machine = machine.with_rpo(RpoBound { rpo: Duration::from_millis(rpo) });
        }
        let (publisher, gate, _) = Publisher::new(machine.view(), clock.clone());
        Self { clock, machine, publisher, gate, permits: Vec::new(), given: 0 }
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn change(&mut self, change: impl FnOnce(&mut View)) {
        let now = self.now();
        self.machine.change(now, change);
        self.publisher.publish(self.machine.view(), now);
    }

    fn carry_out(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        let (now, millis) = (self.now(), Duration::from_millis);
        match *deed {
            Deed::Open { epoch, trust, write_deadline } => {
                let (trust, write_deadline) = (millis(trust), millis(write_deadline));
                let terms = GateTerms { trust, write_deadline, rate_margin: RateMargin::DEFAULT };
                self.change(|view| view.standing = Standing::Open { epoch: Epoch(epoch), terms, sent: now });
            }
            Deed::Shut => self.change(|view| view.standing = Standing::Shut(ShutReason::NoLedger)),
            Deed::Lag(lag) => {
                self.machine.observe_lag(now, millis(lag));
                self.publisher.publish(self.machine.view(), now);
            }
            Deed::Pass { boot, wall } => {
                let wall = now.wall + jiff::SignedDuration::try_from(millis(wall)).unwrap();
                *self.clock.0.lock().unwrap() = Now { moment: now.moment + millis(boot), wall };
            }
            Deed::Ask => return self.ask(now),
        }
        Ok(())
    }

    fn ask(&mut self, now: Now) -> Result<(), TestCaseError> {
        let (fast, slow) = (self.gate.permit().map(|permit| permit.permit()), self.machine.permit(now));
        match (fast, slow) {
            (Ok(fast), Ok(slow)) => {
                prop_assert_eq!(fast, slow);
                self.given += 1;
                self.permits.push(fast);
            }
            (Err(fast), Err(slow)) => prop_assert_eq!(fast, slow),
            // To give a permit the gate looks at the own clock alone; what it gives then cannot be confirmed.
            (Ok(fast), Err(slow)) if matches!(slow.reason(), ShutReason::ClocksDiverged { .. }) => {
                prop_assert!(!self.gate.holds(&fast));
            }
            (fast, slow) => prop_assert!(false, "{fast:?} but {slow:?}"),
        }
        for permit in &self.permits {
            prop_assert_eq!(self.gate.holds(permit), self.machine.holds(now, permit), "{:?}", permit);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_published_words_say_what_the_machine_says(
        rpo in prop::option::of(500..4_000u64),
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let mut both = Both::new(rpo);
        for deed in &deeds {
            both.carry_out(deed)?;
        }
    }
}

#[test]
fn a_gate_that_is_asked_at_the_last_instant_of_its_trust_says_what_the_machine_says() {
    let mut both = Both::new(None);
    both.carry_out(&Deed::Open { epoch: 1, trust: 1_000, write_deadline: 400 }).unwrap();
    for boot in [0, 599, 1, 1, 398, 1] {
        both.carry_out(&Deed::Pass { boot, wall: boot }).unwrap();
        both.carry_out(&Deed::Ask).unwrap();
    }
    assert_eq!(both.given, 3);
}
