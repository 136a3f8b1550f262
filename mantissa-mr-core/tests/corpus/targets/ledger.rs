//! The ledger: read, written, and changed by every transition.

use jiff::Timestamp;
use mantissa_mr_core::error::ErrorKind;
use mantissa_mr_core::ledger::{AdmissionState, Ended, Ledger, LedgerRefusal, Outcome, Running};
use mantissa_mr_core::name::{ActorId, ExecutionId};
use mantissa_mr_core::plan::{Move, PlanHash};

use super::json::{kept_whole, readable, refused};

pub(crate) fn ledger(data: &[u8]) {
    let ledger = match Ledger::decode(data) {
        Ok(ledger) => ledger,
        Err(error) => return refused(&error, &[ErrorKind::Corrupt, ErrorKind::InvalidInput]),
    };
    let written = ledger.encode();
    assert_eq!(Ledger::decode(&written).as_ref(), Ok(&ledger));
    kept_whole(data, &written);
    assert!(ledger.gate.seal_wait() >= ledger.gate.trust);
    let actor = ActorId::new("fuzzer").expect("a name");
    let held = ledger.acquire(&actor);
    assert!(held.lease.term > ledger.lease.term, "whoever takes over has a higher term");
    for ledger in [&ledger, &held] {
        changes(ledger);
    }
}

fn running(ledger: &Ledger, id: ExecutionId) -> Option<Running> {
    Some(Running {
        id,
        plan: PlanHash::try_from("0".repeat(64)).ok()?,
        kind: Move::Switchover,
        region: ledger.admissions.keys().next()?.clone(),
        journal_from: ledger.journal.clone(),
        began: Timestamp::UNIX_EPOCH,
        paused: None,
    })
}

/// Every transition of a ledger.
fn changes(ledger: &Ledger) {
    let term = ledger.lease.term;
    let grows = |next: Result<Ledger, LedgerRefusal>| match next {
        Ok(next) => {
            assert!(next.epoch() >= ledger.epoch() && next.lease.term >= term, "{ledger:?}\n{next:?}");
            for (region, admission) in &next.admissions {
                let before = &ledger.admissions[region];
                assert!(admission.epoch >= before.epoch, "{region}");
                let admitted =
                    admission.state == AdmissionState::Active && before.state != AdmissionState::Active;
                assert!(
                    !admitted || admission.epoch > ledger.epoch(),
                    "{region} is admitted under an old epoch"
                );
            }
            assert_eq!(Ledger::decode(&next.encode()).as_ref(), Ok(&next));
        }
        Err(refusal) => readable(&refusal.to_string()),
    };
    grows(ledger.beat(term));
    grows(ledger.release(term));
    let new = ExecutionId::new("new").expect("a name");
    if let Some(running) = running(ledger, new) {
        grows(ledger.begin(term, ledger.basis(), running));
    }
    let Some(under_way) = &ledger.execution else { return };
    let id = &under_way.id;
    grows(ledger.reopen(term, id));
    let regions: Vec<_> = ledger.admissions.keys().cloned().collect();
    grows(ledger.seal(term, id, &regions));
    for region in &regions {
        grows(ledger.open(term, id, region));
        grows(ledger.leave(term, id, region));
        grows(ledger.seal(term, id, std::slice::from_ref(region)));
    }
    if let Some(running) = running(ledger, ExecutionId::new("other").expect("a name")) {
        grows(ledger.supersede(term, id, ledger.basis(), running));
    }
    grows(ledger.finish(
        term,
        Ended {
            id: id.clone(),
            kind: under_way.kind,
            outcome: Outcome::Finished,
            region: under_way.region.clone(),
            at: Timestamp::UNIX_EPOCH,
            acknowledged: false,
            unreconciled: Vec::new(),
        },
    ));
}
