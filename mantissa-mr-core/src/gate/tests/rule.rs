//! Each sentence of rule 1 that is the gate's to keep, and each answer that it may get.

use std::time::Duration;

use super::*;
use crate::call::Reply;
use crate::error::{Error, ErrorKind};
use crate::gate::answer::Progress;
use crate::gate::{RpoBound, Shut, ShutReason};
use crate::ledger::{AdmissionState, Epoch};

fn reason(gate: &GateMachine, now: Now) -> ShutReason {
    gate.permit(now).unwrap_err().reason().clone()
}

fn timeout() -> Reply {
    Reply::Load(Err(Error::new(ErrorKind::Timeout, "load", "no answer")))
}

#[test]
fn a_gate_is_shut_until_the_ledger_says_active() {
    let mut gate = gate();
    assert_eq!(reason(&gate, at(0)), ShutReason::NotYetRead { failure: None });
    let read = wake(&mut gate, at(0)).read();
    assert!(gate.permit(at(50)).is_err());
    answer(&mut gate, at(100), read, &ledger());
    let permit = gate.permit(at(100)).unwrap();
    assert_eq!(permit.epoch, Epoch(1));
    assert!(gate.holds(at(100), &permit));
}

#[test]
fn trust_counts_from_the_send_of_the_read() {
    // Sent at 0, answered at 4 s: 15 s of trust end at 15 s, not at 19.
    let mut gate = gate();
    let read = wake(&mut gate, at(0)).read();
    answer(&mut gate, at(4_000), read, &ledger());
    assert_eq!(gate.permit(at(9_999)).unwrap().valid_until, at(15_000).moment);
    assert!(gate.permit(at(10_001)).is_err());
}

#[test]
fn a_permit_is_given_only_if_the_remaining_trust_covers_the_write_deadline() {
    let gate = open();
    let last = gate.permit(at(10_000)).unwrap();
    assert_eq!((last.deadline, last.valid_until), (at(15_000).moment, at(15_000).moment));
    assert_eq!(
        reason(&gate, at(10_001)),
        ShutReason::TrustRanOut { left: Duration::from_millis(4_999), failure: None }
    );
}

#[test]
fn a_permit_given_in_time_holds_until_its_deadline_though_no_further_one_is_given() {
    let gate = open();
    let permit = gate.permit(at(10_000)).unwrap();
    assert!(gate.permit(at(14_999)).is_err());
    assert!(gate.holds(at(14_999), &permit));
    assert!(!gate.holds(at(15_000), &permit), "the answer came too late: the write is unknown");
}

#[test]
fn a_permit_never_outlives_one_invocation_however_often_the_gate_is_renewed() {
    let mut gate = open();
    let permit = gate.permit(at(100)).unwrap();
    let read = wake(&mut gate, at(5_000)).read();
    answer(&mut gate, at(5_100), read, &ledger());
    assert!(gate.permit(at(5_100)).is_ok());
    assert!(gate.holds(at(5_099), &permit));
    assert!(!gate.holds(at(5_100), &permit));
}

#[test]
fn an_answer_that_says_sealed_shuts_at_once_and_revokes_what_was_permitted() {
    let mut gate = open();
    let permit = gate.permit(at(4_900)).unwrap();
    let read = wake(&mut gate, at(5_000)).read();
    let sealed = sealed(&ledger(), 1, EAST);
    answer(&mut gate, at(5_100), read, &sealed);
    assert!(!gate.holds(at(5_100), &permit));
    let shut = gate.permit(at(5_100)).unwrap_err();
    assert_eq!(*shut.reason(), ShutReason::NotActive { state: AdmissionState::Sealed { by: execution(1) } });
    assert!(shut.active_regions().is_empty());
}

#[test]
fn a_move_ends_with_the_old_gate_shut_and_the_new_one_open_under_a_higher_epoch() {
    let sealed = sealed(&ledger(), 1, EAST);
    let opened = sealed.open(sealed.lease.term, &execution(1), &region(WEST)).unwrap();
    let mut east = open();
    let read = wake(&mut east, at(5_000)).read();
    answer(&mut east, at(5_100), read, &opened);
    let shut = east.permit(at(5_100)).unwrap_err();
    assert_eq!(shut.active_regions(), [region(WEST)]);
    assert!(shut.to_string().contains("served now by west"), "{shut}");
    let west = open_by(GateMachine::new(cells(), region(WEST), RenewPolicy::default()), &opened);
    assert_eq!(west.permit(at(100)).unwrap().epoch, Epoch(2));
}

#[test]
fn a_gate_that_was_shut_and_opened_again_does_not_honour_what_it_permitted_before() {
    let (mut gate, first, second) = two_reads();
    let permit = gate.permit(at(6_550)).unwrap();
    reply(&mut gate, at(6_600), first, Reply::Load(Ok(None)));
    assert_eq!(reason(&gate, at(6_600)), ShutReason::NoLedger);
    answer(&mut gate, at(6_700), second, &ledger());
    assert!(gate.permit(at(6_700)).is_ok(), "same epoch, trusted again");
    assert!(!gate.holds(at(6_700), &permit), "within its deadline, but the gate was shut meanwhile");
}

#[test]
fn an_aborted_move_reopens_under_a_new_epoch_and_old_permits_stay_void() {
    let mut gate = open();
    let permit = gate.permit(at(4_999)).unwrap();
    let sealed = sealed(&ledger(), 1, EAST);
    let reopened = sealed.reopen(sealed.lease.term, &execution(1)).unwrap();
    let read = wake(&mut gate, at(5_000)).read();
    answer(&mut gate, at(5_001), read, &reopened);
    assert_eq!(gate.permit(at(5_001)).unwrap().epoch, Epoch(2));
    assert!(!gate.holds(at(5_001), &permit));
}

#[test]
fn the_terms_are_the_ledgers_not_the_programs() {
    let terms = GateTerms {
        trust: Duration::from_secs(30),
        write_deadline: Duration::from_secs(1),
        rate_margin: RateMargin::DEFAULT,
    };
    let gate = open_by(gate(), &ledger_with(Strategy::ActivePassive, terms));
    let permit = gate.permit(at(29_000)).unwrap();
    assert_eq!((permit.deadline, permit.valid_until), (at(30_000).moment, at(30_000).moment));
    assert!(gate.permit(at(29_001)).is_err());
}

#[test]
fn active_active_gates_are_open_in_every_region_that_is_admitted_each_under_its_own_epoch() {
    let ledger = ledger_with(Strategy::ActiveActive, TERMS);
    let of = |name| GateMachine::new(cells(), region(name), RenewPolicy::default());
    let (mut east, west) = (open_by(of(EAST), &ledger), open_by(of(WEST), &ledger));
    assert!(east.permit(at(100)).is_ok() && west.permit(at(100)).is_ok());
    let sealed = sealed(&ledger, 1, EAST);
    let left = sealed.leave(sealed.lease.term, &execution(1), &region(EAST)).unwrap();
    let read = wake(&mut east, at(5_000)).read();
    answer(&mut east, at(5_100), read, &left);
    assert_eq!(reason(&east, at(5_100)), ShutReason::NotActive { state: AdmissionState::Standby });
    let west = open_by(of(WEST), &left);
    assert_eq!(west.permit(at(100)).unwrap().epoch, Epoch(1), "west's admission did not change");
}

// ===== when it reads =====

#[test]
fn it_renews_after_a_third_of_the_trust() {
    let mut gate = gate();
    let asked = wake(&mut gate, at(0));
    assert_eq!(asked.reads[0].1, Duration::from_secs(5), "given up after a third");
    answer(&mut gate, at(100), asked.read(), &ledger());
    assert!(wake(&mut gate, at(4_999)).reads.is_empty());
    wake(&mut gate, at(5_000)).read();
}

#[test]
fn a_gate_that_stands_by_reads_in_the_rhythm_of_the_ledgers_trust_too() {
    let terms = GateTerms { trust: Duration::from_secs(60), ..TERMS };
    let ledger = ledger_with(Strategy::ActivePassive, terms);
    let mut west = open_by(GateMachine::new(cells(), region(WEST), RenewPolicy::default()), &ledger);
    assert!(wake(&mut west, at(19_999)).reads.is_empty());
    wake(&mut west, at(20_000)).read();
}

#[test]
fn an_admission_only_ever_grows_whatever_is_done_to_the_ledger() {
    // The order that answers are put in rests on this.
    let start = ledger();
    let sealed = sealed(&start, 1, EAST);
    let term = sealed.lease.term;
    let open = |to| sealed.open(term, &execution(1), &region(to)).unwrap();
    let reopened = sealed.reopen(term, &execution(1)).unwrap();
    let both = super::sealed(&ledger_with(Strategy::ActiveActive, TERMS), 1, EAST);
    let left = both.leave(term, &execution(1), &region(EAST)).unwrap();
    let rejoined = left.open(term, &execution(1), &region(EAST)).unwrap();
    let histories: [&[&Ledger]; 4] = [
        &[&start, &sealed, &open(WEST)],
        &[&start, &sealed, &open(EAST)],
        &[&start, &sealed, &reopened],
        &[&both, &left, &rejoined],
    ];
    for history in histories {
        for name in [EAST, WEST] {
            let progress = |ledger: &&Ledger| {
                let admission = &ledger.admissions[&region(name)];
                Progress::of(admission.epoch, &admission.state)
            };
            let steps: Vec<Progress> = history.iter().map(progress).collect();
            assert!(steps.is_sorted(), "{name}: {steps:?}");
        }
    }
}

#[test]
fn a_read_that_failed_or_is_silent_is_followed_by_another_after_a_tenth_of_the_trust() {
    let mut gate = open();
    let failed = wake(&mut gate, at(5_000)).read();
    assert!(reply(&mut gate, at(5_010), failed, timeout()).reads.is_empty());
    assert!(wake(&mut gate, at(6_499)).reads.is_empty());
    let silent = wake(&mut gate, at(6_500)).read();
    let third = wake(&mut gate, at(8_000)).read();
    assert!(silent != third && failed != silent);
    assert!(gate.permit(at(8_000)).is_ok(), "no answer says nothing: trust runs on");
    assert!(matches!(reason(&gate, at(12_000)), ShutReason::TrustRanOut { failure: Some(_), .. }));
}

#[test]
fn a_throttled_read_waits_as_long_as_the_service_asks_but_not_longer_than_a_renewal() {
    for (asked, next) in [(3_000, 8_010), (60_000, 10_010)] {
        let mut gate = open();
        let read = wake(&mut gate, at(5_000)).read();
        let error = Error::new(ErrorKind::Throttled, "load", "slow down")
            .with_retry_after(Duration::from_millis(asked));
        reply(&mut gate, at(5_010), read, Reply::Load(Err(error)));
        assert!(wake(&mut gate, at(next - 1)).reads.is_empty());
        wake(&mut gate, at(next)).read();
    }
}

#[test]
fn every_wake_that_is_due_was_asked_for_and_wakes_do_not_multiply() {
    let mut gate = gate();
    let (mut wakes, mut reads) = (vec![at(0).moment], Vec::new());
    for _ in 0..2_000 {
        let next = *wakes.iter().min().expect("a gate that is never woken never renews");
        wakes.retain(|wake| *wake != next);
        let millis = next.as_nanos() / 1_000_000;
        let mut asked = wake(&mut gate, at(millis));
        wakes.append(&mut asked.wakes);
        for (read, _) in asked.reads {
            reads.push(millis);
            wakes.append(&mut answer(&mut gate, at(millis + 1), read, &ledger()).wakes);
        }
        assert!(wakes.len() <= 3, "{wakes:?}");
    }
    assert!(reads.windows(2).all(|pair| pair[1] - pair[0] == 5_000), "{reads:?}");
    assert!(reads.len() > 500);
}

#[test]
fn reads_without_an_answer_are_bounded_even_if_the_driver_loses_them() {
    let mut gate = gate();
    let sent: usize = (0..200).map(|n| wake(&mut gate, at(n * 10)).reads.len()).sum();
    assert_eq!(sent, 2, "a wake too many sends nothing");
    let mut lost = 0;
    for second in (0..10_000).step_by(2) {
        lost += wake(&mut gate, at(second * 1_000)).reads.len();
    }
    assert!(lost > 1_000, "it goes on trying");
}

// ===== answers out of order =====

/// An open gate with two reads under way, the first sent at 5 s, the second at 6.5 s.
fn two_reads() -> (GateMachine, CallId, CallId) {
    let mut gate = open();
    let first = wake(&mut gate, at(5_000)).read();
    let second = wake(&mut gate, at(6_500)).read();
    (gate, first, second)
}

#[test]
fn a_late_active_answer_to_an_older_read_does_not_reopen() {
    let (mut gate, first, second) = two_reads();
    answer(&mut gate, at(6_600), second, &sealed(&ledger(), 1, EAST));
    answer(&mut gate, at(6_700), first, &ledger());
    assert!(matches!(reason(&gate, at(6_700)), ShutReason::NotActive { .. }));
}

#[test]
fn a_late_active_answer_to_an_older_read_does_not_reopen_what_a_bad_answer_shut() {
    let (mut gate, first, second) = two_reads();
    reply(&mut gate, at(6_600), second, Reply::Load(Ok(None)));
    answer(&mut gate, at(6_700), first, &ledger());
    assert_eq!(reason(&gate, at(6_700)), ShutReason::NoLedger);
}

#[test]
fn a_late_active_answer_neither_extends_nor_shortens_the_trust() {
    let (mut gate, first, second) = two_reads();
    answer(&mut gate, at(6_600), second, &ledger());
    answer(&mut gate, at(6_700), first, &ledger());
    assert_eq!(gate.permit(at(6_700)).unwrap().valid_until, at(21_500).moment);
}

#[test]
fn an_active_answer_to_a_newer_read_that_saw_the_older_state_does_not_reopen() {
    // The first read saw the seal; the second, sent later, was answered from before it: both reads were under way.
    let (mut gate, first, second) = two_reads();
    answer(&mut gate, at(6_600), first, &sealed(&ledger(), 1, EAST));
    answer(&mut gate, at(6_700), second, &ledger());
    assert!(matches!(reason(&gate, at(6_700)), ShutReason::NotActive { .. }));
}

#[test]
fn a_late_answer_that_says_sealed_shuts_if_it_is_not_proven_old() {
    let (mut gate, first, second) = two_reads();
    answer(&mut gate, at(6_600), second, &ledger());
    answer(&mut gate, at(6_700), first, &sealed(&ledger(), 1, EAST));
    assert!(matches!(reason(&gate, at(6_700)), ShutReason::NotActive { .. }));
}

#[test]
fn a_late_answer_that_says_sealed_is_ignored_if_a_higher_epoch_proves_it_old() {
    let (mut gate, first, second) = two_reads();
    let sealed = sealed(&ledger(), 1, EAST);
    let reopened = sealed.reopen(sealed.lease.term, &execution(1)).unwrap();
    answer(&mut gate, at(6_600), second, &reopened);
    answer(&mut gate, at(6_700), first, &sealed);
    assert_eq!(gate.permit(at(6_700)).unwrap().epoch, Epoch(2));
}

#[test]
fn a_ledger_that_went_back_shuts_the_gate_until_it_is_right_again() {
    let sealed = sealed(&ledger(), 1, EAST);
    let reopened = sealed.reopen(sealed.lease.term, &execution(1)).unwrap();
    let mut gate = open_by(gate(), &reopened);
    let restored = wake(&mut gate, at(5_000)).read();
    answer(&mut gate, at(5_100), restored, &ledger());
    assert_eq!(reason(&gate, at(5_100)), ShutReason::WentBack { now: Epoch(1), before: Epoch(2) });
    let again = wake(&mut gate, at(10_000)).read();
    answer(&mut gate, at(10_100), again, &ledger());
    assert!(matches!(reason(&gate, at(10_100)), ShutReason::WentBack { .. }));
    let right = wake(&mut gate, at(15_000)).read();
    answer(&mut gate, at(15_100), right, &reopened);
    assert!(gate.permit(at(15_100)).is_ok());
}

#[test]
fn answers_to_what_was_never_asked_change_nothing_and_a_second_answer_opens_nothing() {
    let mut gate = gate();
    let read = wake(&mut gate, at(0)).read();
    answer(&mut gate, at(10), CallId(999), &ledger());
    assert!(matches!(reason(&gate, at(10)), ShutReason::NotYetRead { .. }));
    reply(&mut gate, at(20), read, timeout());
    answer(&mut gate, at(30), read, &ledger());
    assert!(matches!(reason(&gate, at(30)), ShutReason::NotYetRead { failure: Some(_) }));
}

#[test]
fn an_answer_that_was_given_up_still_shuts_the_gate_if_it_says_sealed() {
    let mut gate = open();
    let read = wake(&mut gate, at(5_000)).read();
    reply(&mut gate, at(5_100), read, timeout());
    answer(&mut gate, at(5_200), read, &sealed(&ledger(), 1, EAST));
    assert!(matches!(reason(&gate, at(5_200)), ShutReason::NotActive { .. }));
}

#[test]
fn an_answer_that_is_older_than_its_own_trust_opens_nothing() {
    let mut gate = gate();
    let read = wake(&mut gate, at(0)).read();
    answer(&mut gate, at(15_000), read, &ledger());
    assert!(matches!(reason(&gate, at(15_000)), ShutReason::TrustRanOut { .. }));
}

// ===== clocks =====

#[test]
fn a_suspension_that_the_own_clock_counts_ends_trust_and_permits() {
    let gate = open();
    let permit = gate.permit(at(100)).unwrap();
    assert!(!gate.holds(at(60_100), &permit));
    assert!(gate.permit(at(60_100)).is_err());
}

#[test]
fn boot_and_wall_that_diverge_shut_the_gate_until_a_read_that_was_sent_afterwards() {
    // A hypervisor stopped the machine for an hour: the own clock did not count it, the wall clock was set right.
    let hour = 3_600_000;
    let mut gate = open();
    let permit = gate.permit(at(4_000)).unwrap();
    let before = wake(&mut gate, at(5_000)).read();
    assert!(matches!(reason(&gate, now(5_010, 5_010 + hour)), ShutReason::ClocksDiverged { .. }));
    assert!(!gate.holds(now(5_010, 5_010 + hour), &permit));
    answer(&mut gate, now(5_020, 5_020 + hour), before, &ledger());
    assert!(
        matches!(reason(&gate, now(5_020, 5_020 + hour)), ShutReason::ClocksDiverged { .. }),
        "the read that was under way then proves nothing"
    );
    let after = wake(&mut gate, now(6_600, 6_600 + hour)).read();
    answer(&mut gate, now(6_700, 6_700 + hour), after, &ledger());
    assert!(gate.permit(now(6_700, 6_700 + hour)).is_ok());
    assert!(!gate.holds(now(6_700, 6_700 + hour), &permit));
}

#[test]
fn a_divergence_is_remembered_though_the_wall_clock_is_set_back() {
    let mut gate = open();
    let asked = wake(&mut gate, now(2_000, 62_000));
    asked.read();
    assert!(matches!(reason(&gate, at(2_100)), ShutReason::ClocksDiverged { .. }));
}

#[test]
fn a_wall_clock_that_stands_still_or_is_set_back_shuts_too_and_rates_within_the_margin_do_not() {
    let gate = open();
    // Sent at 0: after 8 s the clocks may differ by 1 s and two per cent.
    for wall in [6_841, 9_159] {
        assert!(gate.permit(now(8_000, wall)).is_ok(), "{wall}");
    }
    for wall in [6_839, 9_161, 0] {
        assert!(matches!(reason(&gate, now(8_000, wall)), ShutReason::ClocksDiverged { .. }), "{wall}");
    }
}

#[test]
fn an_own_clock_that_goes_back_shuts() {
    let mut gate = gate();
    let read = wake(&mut gate, at(10_000)).read();
    answer(&mut gate, at(10_100), read, &ledger());
    assert!(matches!(reason(&gate, at(9_000)), ShutReason::ClocksDiverged { .. }));
}

// ===== ledgers that do not count =====

fn shut_by(value: Option<Vec<u8>>) -> Shut {
    let mut gate = open();
    let permit = gate.permit(at(4_900)).unwrap();
    let read = wake(&mut gate, at(5_000)).read();
    let cell = value.map(|value| Cell { value, version: CellVersion("9".into()) });
    reply(&mut gate, at(5_100), read, Reply::Load(Ok(cell)));
    assert!(!gate.holds(at(5_100), &permit));
    gate.permit(at(5_100)).unwrap_err()
}

fn edited(edit: impl FnOnce(&mut serde_json::Value)) -> Option<Vec<u8>> {
    let mut value = serde_json::from_slice(&ledger().encode()).unwrap();
    edit(&mut value);
    Some(serde_json::to_vec(&value).unwrap())
}

#[test]
fn a_ledger_that_is_gone_unreadable_newer_or_not_ones_own_shuts_with_the_reason() {
    assert_eq!(*shut_by(None).reason(), ShutReason::NoLedger);
    let kind = |shut: Shut| match shut.reason() {
        ShutReason::Unreadable { error } => error.kind(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(shut_by(Some(b"not json".to_vec()))), ErrorKind::Corrupt);
    assert_eq!(kind(shut_by(edited(|value| value["format"] = 2.into()))), ErrorKind::InvalidInput);
    let other = shut_by(edited(|value| value["deployment"] = "f00".into()));
    assert!(matches!(other.reason(), ShutReason::OtherDeployment { .. }));
    let other = shut_by(edited(|value| value["group"] = "billing".into()));
    assert!(matches!(other.reason(), ShutReason::OtherGroup { .. }));
    let unknown = shut_by(edited(|value| {
        value["admissions"].as_object_mut().unwrap().remove(EAST);
    }));
    assert_eq!(*unknown.reason(), ShutReason::UnknownRegion);
}

#[test]
fn a_gate_of_a_deployment_is_not_opened_by_the_first_ledger_it_meets_but_by_its_own() {
    let terms = GateTerms { trust: Duration::from_secs(20), ..TERMS };
    let other = deployment(Strategy::ActivePassive, terms);
    let mine = open_by(gate().for_deployment(other.hash()), &ledger_with(Strategy::ActivePassive, terms));
    assert!(mine.permit(at(100)).is_ok());
    let wrong = open_by(gate().for_deployment(other.hash()), &ledger());
    assert!(matches!(reason(&wrong, at(100)), ShutReason::OtherDeployment { .. }));
}

// ===== the loss bound =====

fn bounded(rpo: u64) -> GateMachine {
    open_by(gate().with_rpo(RpoBound { rpo: Duration::from_secs(rpo) }), &ledger())
}

#[test]
fn a_gate_that_bounds_the_loss_is_shut_while_the_lag_is_not_known() {
    let gate = bounded(60);
    let rpo = Duration::from_secs(60);
    assert_eq!(reason(&gate, at(100)), ShutReason::ReplicaBehind { lag: None, rpo });
}

#[test]
fn nothing_is_acknowledged_further_than_the_rpo_from_what_the_replica_holds() {
    let mut gate = bounded(10);
    gate.observe_lag(at(200), Duration::from_secs(2));
    // The replica holds everything up to 2 s before 0.2 s: with 10 s of RPO the last acknowledgement is before 8.2 s.
    let permit = gate.permit(at(3_200)).unwrap();
    assert_eq!(permit.deadline, at(8_200).moment);
    assert!(gate.holds(at(8_199), &permit) && !gate.holds(at(8_200), &permit));
    let lag = Some(Duration::from_millis(5_001));
    assert_eq!(
        reason(&gate, at(3_201)),
        ShutReason::ReplicaBehind { lag, rpo: Duration::from_secs(10) },
        "the lag counts as growing while nothing is heard"
    );
    gate.observe_lag(at(4_000), Duration::from_secs(1));
    assert!(gate.permit(at(4_000)).is_ok());
    assert!(gate.holds(at(8_199), &permit), "the gate was never shut beyond what the permit needs");
}

#[test]
fn a_replica_that_falls_behind_shuts_the_gate_and_revokes_though_it_catches_up_again() {
    let mut gate = bounded(10);
    gate.observe_lag(at(200), Duration::from_secs(1));
    let permit = gate.permit(at(1_000)).unwrap();
    gate.observe_lag(at(2_000), Duration::from_secs(11));
    assert!(matches!(reason(&gate, at(2_000)), ShutReason::ReplicaBehind { .. }));
    assert!(!gate.holds(at(2_000), &permit));
    gate.observe_lag(at(3_000), Duration::from_secs(1));
    assert!(gate.permit(at(3_000)).is_ok());
    assert!(!gate.holds(at(3_000), &permit), "it was shut meanwhile");
}

#[test]
fn the_loss_bound_opens_nothing_and_a_gate_without_one_does_not_care() {
    let mut gate = gate().with_rpo(RpoBound { rpo: Duration::from_secs(60) });
    gate.observe_lag(at(0), Duration::ZERO);
    assert!(matches!(reason(&gate, at(0)), ShutReason::NotYetRead { .. }));
    let mut plain = open();
    plain.observe_lag(at(200), Duration::from_secs(9_999));
    assert!(plain.permit(at(200)).is_ok());
    let mut bounded = bounded(60);
    bounded.observe_lag(at(200), Duration::ZERO);
    assert!(matches!(reason(&bounded, at(12_000)), ShutReason::TrustRanOut { .. }));
}

#[test]
fn every_reason_says_what_to_do() {
    let shut = gate().permit(at(0)).unwrap_err();
    assert_eq!(
        shut.to_string(),
        "the write gate of east is shut: the ledger was not read yet; try again soon; if it stays, see that this \
         process reaches the witness"
    );
}
