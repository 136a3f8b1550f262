//! Who supersedes a move is lost too, or takes over from somebody whose call is still on its way.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::call::Call;
use mantissa_mr_core::controller::Mandate;
use mantissa_mr_core::deployment::{Automatic, Strategy};
use mantissa_mr_core::journal::Event;
use mantissa_mr_core::ledger::{Ledger, Outcome};
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{Fault, ProcessId, SimClock, TrueTime, What};

use super::stage::{Stage, Turn, group, region};

/// Changes of the ledger from a time on: when, by whose call, and what it says.
type Changes = Rc<RefCell<Vec<(TrueTime, ProcessId, Ledger)>>>;

fn watch(turn: &mut Turn) -> Changes {
    let changes = Changes::default();
    let (found, senders) = (changes.clone(), RefCell::new(std::collections::BTreeMap::new()));
    turn.simulation.observe(move |event, _| match &event.what {
        What::Sent { number, process, .. } => {
            senders.borrow_mut().insert(*number, *process);
        }
        What::Stored { cell, value, number, .. } if cell.as_str().ends_with("/ledger") => {
            if let (Some(by), Ok(ledger)) = (senders.borrow().get(number), Ledger::decode(value)) {
                found.borrow_mut().push((event.at, *by, ledger));
            }
        }
        _ => {}
    });
    changes
}

fn turned(seed: u64, dies: &str, stage: Stage, kill: Option<(TrueTime, ProcessId)>) -> (Turn, Changes) {
    let mut turn = Turn::new(seed, Strategy::ActivePassive, |_| {});
    turn.switchover(stage);
    turn.dies(dies);
    let changes = watch(&mut turn);
    if let Some((at, process)) = kill {
        turn.simulation.schedule(at, Fault::Crash { process, back_after: Some(Duration::from_secs(5)) });
    }
    turn.pass(500);
    (turn, changes)
}

#[test]
fn who_supersedes_a_move_is_lost_at_any_moment_and_somebody_else_finishes() {
    let mut killed = 0;
    for (dies, stage, serves) in [("east", Stage::Draining, "west"), ("west", Stage::Open, "east")] {
        let (_, changes) = turned(1, dies, stage, None);
        let changes = changes.borrow();
        let begun = changes.iter().position(|(_, _, ledger)| ledger.generation.0 == 2).unwrap();
        // From a little before it supersedes the other to the end.
        for (at, by, _) in changes.iter().skip(begun.saturating_sub(2)).take(8) {
            for at in [at.as_nanos() - 1, at.as_nanos() + 1] {
                let (mut turn, _) = turned(1, dies, stage, Some((TrueTime::from_nanos(at), *by)));
                let ledger = turn.ledger();
                assert_eq!((ledger.execution.as_ref(), ledger.generation.0), (None, 2), "killed at {at}");
                turn.serves(serves);
                let superseded =
                    |event: &Event| matches!(event, Event::Ended { outcome: Outcome::Superseded, .. });
                assert_eq!(turn.events().iter().filter(|event| superseded(event)).count(), 1);
                turn.rests();
                killed += 1;
            }
        }
    }
    assert!(killed > 20, "{killed}");
}

#[test]
fn a_person_who_supersedes_a_move_waits_for_the_call_that_may_be_open() {
    let run = |kill: Option<TrueTime>| {
        let mut turn = Turn::new(1, Strategy::ActivePassive, |spec| {
            spec.policy.automatic = Automatic::Off;
            spec.policy.timing.lease = Duration::from_secs(6);
            spec.policy.timing.beat = Duration::from_secs(1);
            spec.policy.timing.call_deadline = Duration::from_secs(30);
        });
        // Nobody but people acts.
        for process in 2..5 {
            turn.fault(Fault::Suspend { process: ProcessId(process) });
        }
        turn.pass(1);
        let plan = |turn: &mut Turn, kind, force| {
            let (target, name) = (region("west"), group());
            turn.person.plan(&mut turn.simulation, &turn.cast, &name, kind, Some(&target), force).unwrap()
        };
        let planned = Arc::new(plan(&mut turn, Move::Switchover, false));
        let command = turn.cast.command("move", &group(), Mandate::Carry(planned), SimClock::exact());
        let process = turn.simulation.spawn(command);
        let promoted: Rc<RefCell<Option<TrueTime>>> = Rc::default();
        let found = promoted.clone();
        turn.simulation.observe(move |event, _| {
            if let What::Sent { call, .. } = &event.what
                && matches!(**call, Call::Promote { .. })
            {
                found.borrow_mut().get_or_insert(event.at);
            }
        });
        let Some(at) = kill else {
            turn.pass(300);
            let at = promoted.borrow().unwrap();
            return (turn, at);
        };
        turn.simulation.schedule(at, Fault::Crash { process, back_after: None });
        turn.simulation.run_until(at + Duration::from_millis(1));
        let changes = watch(&mut turn);
        let forced = Arc::new(plan(&mut turn, Move::Failover, true));
        assert!(forced.supersedes.is_some());
        let command = turn.cast.command("instead", &group(), Mandate::Carry(forced), SimClock::exact());
        turn.simulation.spawn(command);
        turn.pass(400);
        let begun = changes.borrow().iter().find(|(_, _, ledger)| ledger.generation.0 == 2).unwrap().0;
        (turn, begun)
    };
    let (_, sent) = run(None);
    let (mut turn, begun) = run(Some(TrueTime::from_nanos(sent.as_nanos() + 1)));
    // The journal names one and a half times the call's deadline.
    assert!(begun.since(sent) >= Duration::from_secs(45), "{:?}", begun.since(sent));
    turn.serves("west");
    turn.rests();
}
