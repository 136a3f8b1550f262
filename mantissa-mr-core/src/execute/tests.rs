use super::*;
use crate::clock::Moment;
use crate::deployment::Strategy;
use crate::error::ErrorKind;
use crate::fixture::{Fixture, region, resource};
use crate::guard::Initiator;
use crate::notify::HookAnswer;
use crate::plan::{self, Move, MoveRequest};
use crate::store::{Drained, Role, StoreStatus};

/// A switchover from `a` to `b`, step by step.
struct Bench {
    execution: Execution,
    status: StoreStatus,
    now: Moment,
}

impl Bench {
    fn new() -> Self {
        let fixture = Fixture::new(Strategy::ActivePassive);
        let request = MoveRequest {
            kind: Move::Switchover,
            from: None,
            to: Some(region("b")),
            drill: false,
            waivers: Vec::new(),
            why: "a test".into(),
        };
        let plan = fixture.ask(Initiator::Person, |situation| plan::build(situation, &request)).unwrap();
        let status = fixture.facts.stores[&resource("state")].value.clone();
        let id = ExecutionId::new("switchover-1").unwrap();
        let execution = Execution::new(id, Arc::new(plan), Epoch(2), terms());
        Self { execution, status, now: fixture.now.moment }
    }

    /// Answers whatever is asked, so that every step is done as soon as it can be, up to the first call that this
    /// refuses to answer; that one's step.
    fn run_until(&mut self, stop: impl Fn(&Want) -> bool) -> Want {
        let mut wants = self.execution.advance(self.now);
        for _ in 0..1_000 {
            if let Some(at) = wants.iter().position(&stop) {
                return wants.swap_remove(at);
            }
            wants = wants.into_iter().flat_map(|want| self.fulfil(want)).collect();
            self.now = self.now + Duration::from_secs(1);
            wants.extend(self.execution.advance(self.now));
        }
        panic!("it never came to that: {:#?}", self.execution.progress());
    }

    fn fulfil(&mut self, want: Want) -> Vec<Want> {
        match want {
            Want::Call { step, call, .. } => {
                let reply = self.answer(call);
                self.execution.replied(self.now, &step, reply)
            }
            Want::Journal { then: Some(step), .. } => self.execution.journaled(self.now, &step),
            Want::Swap { step, .. } => self.execution.swapped(self.now, &step, Ok(())),
            _ => Vec::new(),
        }
    }

    fn answer(&self, call: Call) -> Reply {
        match call {
            Call::Ask { .. } => Reply::Ask(Ok(HookAnswer::Allow)),
            Call::Capacity { .. } => Reply::Capacity(Ok(crate::compute::Capacity {
                ready: 100,
                requested: 100,
                full: 100,
                limit: None,
                unit: "instances".into(),
            })),
            Call::Drained { .. } => Reply::Drained(Ok(Drained::Proven { how: "a test".into() })),
            Call::Unfence { .. } => Reply::Unfence(Ok(())),
            Call::Status { .. } => Reply::Status(Ok(self.status.clone())),
            other => panic!("nobody has an answer to {other:?}"),
        }
    }
}

fn terms() -> Terms {
    Terms {
        call_deadline: Duration::from_secs(10),
        seal_wait: Duration::from_secs(20),
        rate_margin: RateMargin::default(),
        strategy: Strategy::ActivePassive,
        standby: Share::FULL,
        seed: 1,
    }
}

fn at(moment: Moment) -> Now {
    Now { moment, wall: jiff::Timestamp::UNIX_EPOCH }
}

fn asks_whether_to_promote(want: &Want) -> bool {
    matches!(want, Want::Call { step, call: Call::Status { .. }, .. } if step.as_str().starts_with("promote"))
}

fn intends(wants: &[Want]) -> bool {
    wants.iter().any(|want| matches!(want, Want::Journal { event: Event::Intended { .. }, .. }))
}

#[test]
fn a_question_that_is_open_when_the_move_is_given_up_leads_to_no_call() {
    let mut bench = Bench::new();
    let Want::Call { step, call, .. } = bench.run_until(asks_whether_to_promote) else { panic!() };
    bench.execution.abort("a person wants it").unwrap();
    assert_eq!(bench.execution.advance(bench.now), [], "the question is open yet");
    let reply = bench.answer(call);
    let wants = bench.execution.replied(bench.now, &step, reply);
    assert!(!bench.execution.is_committed(), "nothing was promoted");
    assert!(wants.iter().any(|want| matches!(want, Want::Abort { .. })), "{wants:?}");
    assert!(!wants.iter().any(
        |want| matches!(want, Want::Journal { then: Some(step), .. } if step.as_str().starts_with("promote"))
    ));
}

#[test]
fn a_question_that_is_open_when_it_is_paused_leads_to_no_call_until_it_goes_on() {
    let mut bench = Bench::new();
    let Want::Call { step, call, .. } = bench.run_until(asks_whether_to_promote) else { panic!() };
    bench.execution.pause("a person looks");
    let reply = bench.answer(call);
    let wants = bench.execution.replied(bench.now, &step, reply);
    assert!(!intends(&wants) && !bench.execution.is_committed(), "{wants:?}");
    bench.execution.resume("a person");
    let wants = bench.execution.advance(bench.now);
    assert!(wants.iter().any(asks_whether_to_promote), "it is asked again: {wants:?}");
}

/// Whoever carried it out died between the swap that admits the region and the record of it.
#[test]
fn a_move_whose_opening_only_the_ledger_knows_of_is_not_given_up_any_more() {
    let bench = Bench::new();
    let plan = bench.execution.plan().clone();
    let fixture = Fixture::new(Strategy::ActivePassive);
    let resumed = |ledger: &Ledger| {
        let id = ExecutionId::new("switchover-1").unwrap();
        let mut execution = Execution::resumed(id, plan.clone(), Epoch(2), terms(), &[], at(bench.now));
        execution.inherit(ledger);
        execution
    };
    let mut ledger = fixture.ledger();
    assert!(resumed(&ledger).abort("a person wants it").is_ok());
    for (name, state) in [("a", AdmissionState::Standby), ("b", AdmissionState::Active)] {
        ledger.admissions.get_mut(&region(name)).unwrap().state = state;
    }
    let mut execution = resumed(&ledger);
    assert!(execution.is_committed());
    assert!(execution.abort("a person wants it").is_err());
}

#[test]
fn what_the_ledger_does_not_let_end_waits_for_a_person_and_is_tried_again() {
    let mut bench = Bench::new();
    bench.execution.complete = true;
    let ids: Vec<StepId> = bench.execution.order.clone();
    for id in ids {
        bench.execution.set(bench.now, &id, Status::Done("a test".into()));
    }
    let wants = bench.execution.cannot_end("region a is sealed".into());
    assert!(wants.iter().any(|want| matches!(want, Want::Pause { overdue: false, .. })), "{wants:?}");
    assert_eq!(bench.execution.advance(bench.now), []);
    bench.execution.resume("a person");
    // What cannot be seen of the routing is no reason to keep a move from its end.
    let wants = bench.execution.advance(bench.now);
    let [Want::Call { step, call: Call::Routing { .. }, .. }, Want::WakeAt(_)] = &wants[..] else {
        panic!("it looks at the routing before it ends: {wants:?}");
    };
    let silence = Error::new(ErrorKind::Unavailable, "read the routing", "no answer");
    let wants = bench.execution.replied(bench.now, step, Reply::Routing(Err(silence)));
    assert_eq!(wants, [Want::Complete { aborted: false }]);
}

#[test]
fn a_pause_that_only_the_ledger_knows_of_holds() {
    let mut bench = Bench::new();
    bench.execution.found_paused("a person looks");
    assert_eq!(bench.execution.advance(bench.now), []);
    assert_eq!(bench.execution.paused(), Some("a person looks"));
}

#[test]
fn a_target_that_only_calls_itself_the_writer_is_promoted_all_the_same() {
    let mut bench = Bench::new();
    // Cut off when `a` took over from it, `b` has not been told yet.
    bench.status.replicas.get_mut(&region("b")).unwrap().role = Role::Writer;
    let Want::Call { step, call, .. } = bench.run_until(asks_whether_to_promote) else { panic!() };
    let reply = bench.answer(call);
    let wants = bench.execution.replied(bench.now, &step, reply.clone());
    assert!(intends(&wants), "{wants:?}");
    let wants = bench.execution.journaled(bench.now, &step);
    assert!(matches!(&wants[..], [Want::Call { call: Call::Promote { .. }, .. }]), "{wants:?}");
    bench.execution.replied(bench.now, &step, Reply::Promote(Ok(())));
    // Accepted, and `a` has not stepped back yet: that is waited for.
    let wants = bench.execution.replied(bench.now, &step, reply);
    assert!(!intends(&wants) && wants.iter().any(|want| matches!(want, Want::WakeAt(_))), "{wants:?}");
    bench.status.replicas.get_mut(&region("a")).unwrap().role = Role::Replica;
    bench.run_until(|want| matches!(want, Want::Journal { event: Event::Done { step, .. }, .. } if step.as_str().starts_with("promote")));
}

/// The promotion is about to be journaled.
fn promoting() -> (Bench, StepId) {
    let mut bench = Bench::new();
    let Want::Call { step, call, .. } = bench.run_until(asks_whether_to_promote) else { panic!() };
    let reply = bench.answer(call);
    assert!(intends(&bench.execution.replied(bench.now, &step, reply)));
    (bench, step)
}

/// How long a region in distress may take for what the step asks of it.
fn slowly(bench: &Bench, step: &StepId) -> Duration {
    let step = bench.execution.plan().steps.iter().find(|of| of.id == *step).unwrap();
    let slowly = step.expected * 10;
    assert!(slowly > Duration::from_secs(15), "longer than any call");
    slowly
}

/// Seed 30,009,482: a region in distress carried a promotion out a minute after its call was given up, when another move had
/// ended already.
#[test]
fn a_promotion_is_under_way_until_it_is_seen_whatever_its_call_was_answered() {
    let (mut bench, step) = promoting();
    bench.execution.journaled(bench.now, &step);
    bench.execution.replied(bench.now, &step, Reply::Promote(Ok(())));
    let late = bench.now + slowly(&bench, &step);
    assert_eq!(bench.execution.busy_until(bench.now), Some(late), "accepted, and not seen");
    let plan = bench.execution.plan().clone();
    for (region, replica) in &mut bench.status.replicas {
        replica.role = if *region == plan.to { Role::Writer } else { Role::Replica };
    }
    let status = Reply::Status(Ok(bench.status.clone()));
    bench.execution.replied(bench.now, &step, status);
    assert_eq!(bench.execution.busy_until(bench.now), None, "seen");
}

#[test]
fn what_is_held_begins_nothing_and_is_quiet_once_no_call_of_it_can_land() {
    let (mut bench, step) = promoting();
    bench.execution.journaled(bench.now, &step);
    bench.execution.hold(true);
    let timeout = Error::new(crate::error::ErrorKind::Timeout, "promote", "no answer");
    bench.execution.replied(bench.now, &step, Reply::Promote(Err(timeout)));
    let late = bench.now + slowly(&bench, &step);
    assert_eq!(bench.execution.busy_until(bench.now), Some(late));
    assert_eq!(bench.execution.busy_until(late), None);
    assert_eq!(bench.execution.advance(late), []);
    bench.execution.hold(false);
    assert!(bench.execution.advance(late).iter().any(asks_whether_to_promote));
}

#[test]
fn an_intention_that_becomes_durable_while_it_is_held_leads_to_no_call() {
    let (mut bench, step) = promoting();
    bench.execution.hold(true);
    assert!(bench.execution.busy_until(bench.now).is_some());
    assert_eq!(bench.execution.journaled(bench.now, &step), []);
    assert_eq!(bench.execution.busy_until(bench.now), None);
}

#[test]
fn a_move_ends_no_sooner_than_its_last_call_can_land() {
    let (mut bench, step) = promoting();
    bench.execution.journaled(bench.now, &step);
    let ids: Vec<StepId> = bench.execution.order.clone();
    for id in ids {
        bench.execution.set(bench.now, &id, Status::Skipped("a test".into()));
    }
    let late = bench.now + slowly(&bench, &step);
    assert_eq!(bench.execution.advance(bench.now), [Want::WakeAt(late)]);
    assert_eq!(bench.execution.advance(late), [Want::Complete { aborted: false }]);
}

#[test]
fn what_was_accepted_and_is_not_seen_yet_is_not_asked_for_again_at_once() {
    let mut bench = Bench::new();
    let promotes = |want: &Want| matches!(want, Want::Call { call: Call::Promote { .. }, .. });
    let Want::Call { step, .. } = bench.run_until(promotes) else { panic!() };
    let status = Reply::Status(Ok(bench.status.clone()));
    bench.execution.replied(bench.now, &step, Reply::Promote(Ok(())));
    let wants = bench.execution.replied(bench.now, &step, status.clone());
    assert!(!intends(&wants) && wants.iter().any(|want| matches!(want, Want::WakeAt(_))), "{wants:?}");
    // After a while it is.
    bench.now = bench.now + Duration::from_secs(30);
    bench.execution.advance(bench.now);
    assert!(intends(&bench.execution.replied(bench.now, &step, status)));
}

#[test]
fn what_is_overdue_when_the_move_is_given_up_does_not_hold_the_giving_up() {
    let mut bench = Bench::new();
    let Want::Call { step, call, .. } = bench.run_until(asks_whether_to_promote) else { panic!() };
    bench.now = bench.now + Duration::from_secs(3_600);
    bench.execution.abort("a person wants it").unwrap();
    assert_eq!(bench.execution.advance(bench.now), [], "the question is open yet");
    let reply = bench.answer(call);
    let wants = bench.execution.replied(bench.now, &step, reply);
    assert!(!wants.iter().any(|want| matches!(want, Want::Pause { .. })), "{wants:?}");
    assert!(wants.iter().any(|want| matches!(want, Want::Swap { change: Change::Reopen, .. })), "{wants:?}");
}

#[test]
fn a_promotion_that_outlasts_its_call_is_seen_to_be_done() {
    let mut bench = Bench::new();
    bench.status.replicas.get_mut(&region("a")).unwrap().role = Role::Unreachable;
    let promotes = |want: &Want| matches!(want, Want::Call { call: Call::Promote { .. }, .. });
    let Want::Call { step, .. } = bench.run_until(promotes) else { panic!() };
    let late = Error::new(crate::error::ErrorKind::Timeout, "promote", "no answer in time");
    bench.execution.replied(bench.now, &step, Reply::Promote(Err(late)));
    bench.status.replicas.get_mut(&region("b")).unwrap().role = Role::Writer;
    bench.run_until(|want| matches!(want, Want::Journal { event: Event::Done { step, .. }, .. } if step.as_str().starts_with("promote")));
}

#[test]
fn a_target_that_calls_itself_the_writer_is_promoted_while_nobody_hears_the_others() {
    let mut bench = Bench::new();
    bench.status.replicas.get_mut(&region("b")).unwrap().role = Role::Writer;
    bench.status.replicas.get_mut(&region("a")).unwrap().role = Role::Unreachable;
    let Want::Call { step, call, .. } = bench.run_until(asks_whether_to_promote) else { panic!() };
    let reply = bench.answer(call);
    assert!(intends(&bench.execution.replied(bench.now, &step, reply)));
}

#[test]
fn a_move_is_given_up_only_when_no_call_of_another_actor_can_land() {
    let mut fixture = Fixture::new(Strategy::ActivePassive);
    fixture.health("a", crate::check::Fitness::Unfit, true);
    let request = MoveRequest {
        kind: Move::Failover,
        from: None,
        to: Some(region("b")),
        drill: false,
        waivers: Vec::new(),
        why: "a test".into(),
    };
    let plan = fixture.ask(Initiator::Person, |situation| plan::build(situation, &request)).unwrap();
    let fence =
        plan.steps.iter().find(|step| matches!(step.action, Action::Fence { .. })).unwrap().id.clone();
    let event = Event::Intended { step: fence, attempt: 1, deadline: Duration::from_secs(15), lands: None };
    let (records, now) = ([Record { at: fixture.now.wall, event }], fixture.now.moment);
    let id = ExecutionId::new("failover-1").unwrap();
    let mut execution = Execution::resumed(id, Arc::new(plan), Epoch(2), terms(), &records, fixture.now);
    execution.abort("a person wants it").unwrap();
    // The fence that is to be taken back may be on its way yet: it would stand, at a region that serves again.
    let over = now + RateMargin::default().wait_for(Duration::from_secs(15));
    assert_eq!(execution.advance(now), [Want::WakeAt(over)]);
    assert!(!execution.is_aborting());
    let wants = execution.advance(over);
    assert!(execution.is_aborting() && intends(&wants), "now it is: {wants:?}");
}
