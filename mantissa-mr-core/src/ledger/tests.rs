//! What the ledger's transitions allow, and what they never do.

use jiff::Timestamp;
use proptest::prelude::{Just, any, prop_assert, prop_oneof, proptest};
use proptest::strategy::Strategy as _;

use super::*;
use crate::fixture::{Fixture, region};

fn actor(name: &str) -> ActorId {
    ActorId::new(name).unwrap()
}

fn execution(name: &str) -> ExecutionId {
    ExecutionId::new(name).unwrap()
}

fn running(ledger: &Ledger, name: &str, kind: Move) -> Running {
    Running {
        id: execution(name),
        plan: PlanHash::try_from("0".repeat(64)).unwrap(),
        kind,
        region: region("b"),
        journal_from: ledger.journal.clone(),
        began: Timestamp::UNIX_EPOCH,
        paused: None,
    }
}

fn ended(name: &str, outcome: Outcome) -> Ended {
    Ended {
        id: execution(name),
        kind: Move::Failover,
        outcome,
        region: region("b"),
        at: Timestamp::UNIX_EPOCH,
        acknowledged: false,
        unreconciled: Vec::new(),
    }
}

/// A group that `x` acts for, at term 1, with an execution `one` under way.
fn under_way(strategy: Strategy) -> Ledger {
    let ledger = Fixture::new(strategy).ledger().acquire(&actor("x"));
    let one = running(&ledger, "one", Move::Failover);
    ledger.begin(Term(1), ledger.basis(), one).unwrap()
}

#[test]
fn active_passive_the_next_region_is_admitted_only_once_the_old_one_is_sealed() {
    let ledger = under_way(Strategy::ActivePassive);
    let one = execution("one");
    let refusal = ledger.open(Term(1), &one, &region("b")).unwrap_err();
    assert_eq!(refusal.to_string(), "region a is active, which does not allow this");
    let sealed = ledger.seal(Term(1), &one, &[region("a")]).unwrap();
    assert_eq!(sealed.active().count(), 0);
    let open = sealed.open(Term(1), &one, &region("b")).unwrap();
    assert_eq!(open.active().collect::<Vec<_>>(), [&region("b")]);
    assert_eq!(open.admitted(&region("b")), Some(Epoch(2)));
    assert_eq!(open.admissions[&region("a")].state, AdmissionState::Standby);
}

#[test]
fn a_stale_term_changes_nothing() {
    let ledger = under_way(Strategy::ActivePassive).acquire(&actor("y"));
    let one = execution("one");
    let refused = |result: Result<Ledger, LedgerRefusal>| {
        assert!(matches!(result, Err(LedgerRefusal::Superseded { .. })), "{result:?}");
    };
    refused(ledger.seal(Term(1), &one, &[region("a")]));
    refused(ledger.open(Term(1), &one, &region("b")));
    refused(ledger.reopen(Term(1), &one));
    refused(ledger.finish(Term(1), ended("one", Outcome::Finished)));
    refused(ledger.beat(Term(1)));
    refused(ledger.release(Term(1)));
}

#[test]
fn one_execution_at_a_time_and_each_plan_once() {
    let ledger = under_way(Strategy::ActivePassive);
    let two = running(&ledger, "two", Move::Switchover);
    let busy = ledger.begin(Term(1), ledger.basis(), two.clone()).unwrap_err();
    assert_eq!(busy, LedgerRefusal::Busy(execution("one")));
    let over = ledger.finish(Term(1), ended("one", Outcome::Aborted)).unwrap();
    let early = Basis { generation: Generation(0), ..over.basis() };
    let stale = over.begin(Term(1), early, two.clone()).unwrap_err();
    assert_eq!(stale, LedgerRefusal::Stale { planned: early, current: over.basis() });
    assert!(over.begin(Term(1), over.basis(), two).is_ok());
}

#[test]
fn a_plan_made_before_other_regions_served_never_begins() {
    let one = execution("one");
    let moving = under_way(Strategy::ActivePassive).seal(Term(1), &one, &[region("a")]).unwrap();
    let planned = moving.basis();
    let open = moving.open(Term(1), &one, &region("b")).unwrap();
    let stale = LedgerRefusal::Stale { planned, current: open.basis() };
    let two = running(&open, "two", Move::Failover);
    assert_eq!(open.supersede(Term(1), &one, planned, two.clone()).unwrap_err(), stale);
    let over = open.finish(Term(1), ended("one", Outcome::Finished)).unwrap();
    assert_eq!(over.begin(Term(1), planned, two).unwrap_err(), stale);
}

#[test]
fn an_execution_does_not_end_with_a_region_still_sealed() {
    let sealed = under_way(Strategy::ActivePassive).seal(Term(1), &execution("one"), &[region("a")]).unwrap();
    assert!(matches!(
        sealed.finish(Term(1), ended("one", Outcome::Finished)),
        Err(LedgerRefusal::WrongAdmission { .. })
    ));
    let reopened = sealed.reopen(Term(1), &execution("one")).unwrap();
    assert_eq!(reopened.admitted(&region("a")), Some(Epoch(2)), "a new epoch: the active set changed");
    assert!(reopened.finish(Term(1), ended("one", Outcome::Aborted)).is_ok());
}

#[test]
fn what_supersedes_takes_the_seal_over() {
    let one = execution("one");
    let sealed = under_way(Strategy::ActivePassive).seal(Term(1), &one, &[region("a")]).unwrap();
    let two = running(&sealed, "two", Move::Failover);
    let next = sealed.supersede(Term(1), &one, sealed.basis(), two).unwrap();
    assert_eq!(next.admissions[&region("a")].state, AdmissionState::Sealed { by: execution("two") });
    assert!(matches!(next.open(Term(1), &one, &region("b")), Err(LedgerRefusal::NotRunning(_))));
    assert!(next.open(Term(1), &execution("two"), &region("c")).is_ok());
}

#[test]
fn active_active_the_last_region_that_serves_is_not_sealed() {
    let one = execution("one");
    let two_left =
        under_way(Strategy::ActiveActive).seal(Term(1), &one, &[region("a"), region("b")]).unwrap();
    let refusal = two_left.seal(Term(1), &one, &[region("c")]).unwrap_err();
    assert_eq!(refusal, LedgerRefusal::LastToServe(region("c")));
    assert_eq!(
        two_left.seal(Term(1), &one, &[region("a")]),
        Ok(two_left.clone()),
        "once more changes nothing"
    );
}

#[test]
fn active_active_what_the_superseded_execution_sealed_leaves_too() {
    let (one, two) = (execution("one"), execution("two"));
    let sealed = under_way(Strategy::ActiveActive).seal(Term(1), &one, &[region("a")]).unwrap();
    let second = running(&sealed, "two", Move::Evacuate);
    let next = sealed.supersede(Term(1), &one, sealed.basis(), second).unwrap();
    let left = next.seal(Term(1), &two, &[region("b")]).unwrap().leave(Term(1), &two, &region("b")).unwrap();
    assert_eq!(left.active().collect::<Vec<_>>(), [&region("c")]);
    assert!(left.finish(Term(1), ended("two", Outcome::Finished)).is_ok());
}

#[test]
fn active_active_the_last_region_that_serves_does_not_leave() {
    let mut ledger = under_way(Strategy::ActiveActive);
    let one = execution("one");
    for name in ["b", "c"] {
        ledger = ledger.seal(Term(1), &one, &[region(name)]).unwrap();
        ledger = ledger.leave(Term(1), &one, &region(name)).unwrap();
    }
    // Were it sealed all the same:
    ledger.admissions.get_mut(&region("a")).unwrap().state = AdmissionState::Sealed { by: one.clone() };
    assert!(ledger.leave(Term(1), &one, &region("a")).is_err());
}

#[test]
fn a_ledger_of_a_newer_version_or_of_something_else_is_not_guessed_at() {
    let mut newer: serde_json::Value =
        serde_json::from_slice(&under_way(Strategy::ActivePassive).encode()).unwrap();
    newer["format"] = 2.into();
    newer["something-new"] = true.into();
    let error = Ledger::decode(newer.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("it has format 2, this program reads 1"), "{error}");
    for bytes in [&b""[..], b"{}", b"null", b"{\"format\": 1}", b"\xff\xfe"] {
        assert_eq!(Ledger::decode(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

/// Every place in a JSON value where an object stands, as a path.
fn objects(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    if value.is_object() {
        found.push(path.to_owned());
    }
    let inner: Vec<_> = match value {
        serde_json::Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        serde_json::Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|(key, value)| objects(value, &format!("{path}/{key}"), found));
}

#[test]
fn what_this_version_does_not_know_is_refused_wherever_it_stands_and_never_dropped_on_the_next_change() {
    let mut full = under_way(Strategy::ActivePassive);
    let plan = crate::plan::PlanHash::try_from("0".repeat(64)).unwrap();
    full = full.seal(Term(1), &execution("one"), &[region("a")]).unwrap();
    full.proposal = Some(Proposal {
        plan: plan.clone(),
        kind: Move::Failover,
        region: region("b"),
        why: "it is lost".into(),
        made: Timestamp::UNIX_EPOCH,
        expires: Timestamp::UNIX_EPOCH,
    });
    let order = |what| Order { what, by: "me".into(), reason: "so".into(), at: Timestamp::UNIX_EPOCH };
    full.orders = vec![order(OrderKind::Pause), order(OrderKind::Approve(plan))];
    full.ended = Some(ended("zero", Outcome::Finished));
    let value: serde_json::Value = serde_json::from_slice(&full.encode()).unwrap();
    assert_eq!(Ledger::decode(value.to_string().as_bytes()).unwrap(), full);
    let mut places = Vec::new();
    objects(&value, "", &mut places);
    // Names of regions and of alternatives are refused for being none.
    assert!(places.len() > 12, "{places:?}");
    for place in places {
        let mut more = value.clone();
        let object = more.pointer_mut(&place).and_then(serde_json::Value::as_object_mut).unwrap();
        object.insert("no such key".into(), 1.into());
        let read = Ledger::decode(more.to_string().as_bytes());
        assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::Corrupt), "at {place}");
    }
}

#[test]
fn a_count_that_nothing_can_have_come_to_is_corrupt_and_leaves_room_for_what_must_grow() {
    let sound = under_way(Strategy::ActivePassive);
    let most = COUNTED_MOST - 1;
    let changes: [fn(&mut Ledger, u64); 6] = [
        |ledger, count| ledger.lease.term = Term(count),
        |ledger, count| ledger.lease.beat = count,
        |ledger, count| ledger.generation = Generation(count),
        |ledger, count| ledger.journal.slots = count,
        |ledger, count| ledger.execution.as_mut().unwrap().journal_from.slots = count,
        |ledger, count| ledger.admissions.get_mut(&region("b")).unwrap().epoch = Epoch(count),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut ledger = sound.clone();
        change(&mut ledger, most);
        let read = Ledger::decode(&ledger.encode()).unwrap();
        assert!(read.acquire(&ActorId::new("next").unwrap()).lease.term > read.lease.term);
        change(&mut ledger, COUNTED_MOST);
        let error = Ledger::decode(&ledger.encode()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{number}");
        assert!(error.to_string().contains("nothing can have counted"), "{error}");
    }
}

#[test]
fn what_a_cell_holds_is_not_repeated_to_a_terminal_as_it_is() {
    let error = Ledger::decode(b"{\"format\": 1, \"\\u001b[2Jall is well\": 1}").unwrap_err().to_string();
    assert!(error.contains("\\u{1b}[2Jall is well") && !error.contains('\u{1b}'), "{error}");
    let long = format!("{{\"format\": 1, \"{}\": 1}}", "x".repeat(200_000));
    let error = Ledger::decode(long.as_bytes()).unwrap_err().to_string();
    assert!(error.len() < 1_000, "{} bytes", error.len());
}

#[test]
fn the_ledger_of_another_group_is_not_this_ones() {
    let fixture = Fixture::new(Strategy::ActivePassive);
    let ledger = fixture.ledger();
    assert!(ledger.check(&fixture.deployment(), &ledger.group).is_ok());
    let error = ledger.check(&fixture.deployment(), &GroupName::new("other").unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("it is the ledger of group logs"), "{error}");
}

#[test]
fn two_controllers_with_different_deployments_do_not_share_a_ledger() {
    let fixture = Fixture::new(Strategy::ActivePassive);
    let ledger = fixture.ledger();
    assert!(ledger.check_deployment(&fixture.deployment()).is_ok());
    let mut other = fixture;
    other.spec.groups[0].stores.clear();
    let error = ledger.check_deployment(&other.deployment()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.advice().unwrap().contains("same configuration"), "{error}");
}

/// One change that somebody tries.
#[derive(Clone, Debug)]
enum Attempt {
    Acquire,
    Begin,
    Seal(usize),
    Open(usize),
    Leave(usize),
    Reopen,
    Supersede,
    Finish,
}

fn attempt() -> impl proptest::strategy::Strategy<Value = Attempt> {
    prop_oneof![
        Just(Attempt::Acquire),
        Just(Attempt::Begin),
        (0..3_usize).prop_map(Attempt::Seal),
        (0..3_usize).prop_map(Attempt::Open),
        (0..3_usize).prop_map(Attempt::Leave),
        Just(Attempt::Reopen),
        Just(Attempt::Supersede),
        Just(Attempt::Finish),
    ]
}

fn apply(ledger: &Ledger, attempt: &Attempt, term: Term, count: usize) -> Result<Ledger, LedgerRefusal> {
    let names = ["a", "b", "c"].map(region);
    let current = ledger.execution.as_ref().map_or_else(|| execution("none"), |running| running.id.clone());
    let next = running(ledger, &format!("number-{count}"), Move::Failover);
    match attempt {
        Attempt::Acquire => Ok(ledger.acquire(&actor("x"))),
        Attempt::Begin => ledger.begin(term, ledger.basis(), next),
        Attempt::Seal(number) => ledger.seal(term, &current, &names[*number..=*number]),
        Attempt::Open(number) => ledger.open(term, &current, &names[*number]),
        Attempt::Leave(number) => ledger.leave(term, &current, &names[*number]),
        Attempt::Reopen => ledger.reopen(term, &current),
        Attempt::Supersede => ledger.supersede(term, &current, ledger.basis(), next),
        Attempt::Finish => ledger.finish(term, ended(current.as_str(), Outcome::Finished)),
    }
}

proptest! {
    /// Whatever is tried in whatever order: never two active regions in an active-passive group, epochs, terms and
    /// generations only grow, and a region that becomes active has a higher epoch than any before it.
    #[test]
    fn no_order_of_changes_admits_two_writers_or_turns_a_counter_back(
        attempts in proptest::collection::vec((attempt(), any::<bool>()), 1..60),
        active_active in any::<bool>(),
    ) {
        let strategy = if active_active { Strategy::ActiveActive } else { Strategy::ActivePassive };
        let mut ledger = Fixture::new(strategy).ledger();
        for (count, (attempt, stale)) in attempts.iter().enumerate() {
            let term = if *stale { Term(ledger.lease.term.0.wrapping_sub(1)) } else { ledger.lease.term };
            let Ok(next) = apply(&ledger, attempt, term, count) else { continue };
            prop_assert!(!stale || matches!(attempt, Attempt::Acquire), "a stale term changed the ledger: {:?}", attempt);
            prop_assert!(next.epoch() >= ledger.epoch());
            prop_assert!(next.lease.term >= ledger.lease.term && next.generation >= ledger.generation);
            if strategy == Strategy::ActivePassive {
                prop_assert!(next.active().count() <= 1, "{:?}", next.admissions);
            }
            for (region, admission) in &next.admissions {
                let before = &ledger.admissions[region];
                if admission.state == AdmissionState::Active && before.state != AdmissionState::Active {
                    prop_assert!(admission.epoch > ledger.epoch());
                }
            }
            ledger = next;
        }
    }
}
