//! Whoever takes the lease over reads the journal first, slot by slot. With the witness far away, and a move that was tried
//! again and again, that may take longer than the lease lasts.

use std::time::Duration;

use mantissa_mr_core::controller::Mandate;
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::ledger::Outcome;
use mantissa_mr_core::name::ResourceName;
use mantissa_mr_core::sim::{Fault, SimClock, Spread, Weather};

use super::stage::{Stage, Turn, group};

/// It shows that it lives while it reads: else the next one would take over, and the next one after that, for ever.
#[test]
fn who_reads_a_long_journal_keeps_the_lease() {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |spec| {
        spec.policy.timing.lease = Duration::from_secs(6);
        spec.policy.timing.beat = Duration::from_secs(2);
    });
    turn.switchover(Stage::Open);
    let routing = |up| Fault::ControlPlane { router: ResourceName::new("logs-dns").unwrap(), up };
    turn.fault(routing(false));
    turn.until("it is overdue", |turn| turn.ledger().execution.unwrap().paused.is_some());
    let slots = turn.ledger().journal.slots;
    turn.fault(routing(true));
    let far = Weather { delay: Spread::millis(150, 250), ..Weather::CALM };
    turn.fault(Fault::Weather { weather: far });
    assert!(slots > 20, "{slots} slots are read within a lease");

    let finish = Mandate::Finish { by: "a person".into() };
    let command = turn.cast.command("finish", &group(), finish, SimClock::exact());
    let before = turn.ledger().lease.term;
    turn.simulation.spawn(command);
    turn.pass(180);
    let ledger = turn.ledger();
    assert_eq!((ledger.execution, ledger.ended.map(|ended| ended.outcome)), (None, Some(Outcome::Finished)));
    let takes = ledger.lease.term.0 - before.0;
    assert!(takes <= 2, "the lease was taken {takes} times: by the command, and by a watcher after it");
    turn.rests();
}
