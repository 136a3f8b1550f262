//! `kill -9` in the middle of a move, at every place of its journal: another process ends it where it would have ended.

use std::thread::scope;
use std::time::Duration;

use crate::support::World;

#[test]
fn a_move_that_was_killed_anywhere_ends_where_it_would_have_ended() {
    let untouched = World::new();
    untouched.run("switchover --yes").code(0);
    let expected = untouched.end_state();
    let last = untouched.slots();
    assert!(last > 8, "{last}");
    scope(|scope| {
        for (index, slots) in (1..=last).step_by(2).enumerate() {
            let expected = &expected;
            scope.spawn(move || {
                let world = World::new();
                let mut moving = world.spawn("switchover --yes");
                world.wait_for_slots(slots, &mut moving);
                // Somewhere between this slot and the next call, a little later each time.
                std::thread::sleep(Duration::from_millis(7 * index as u64));
                moving.kill();
                let begun = world.ledger()["generation"] == serde_json::json!(1);
                let over = world.ledger()["execution"].is_null();
                match (begun, over) {
                    (false, _) => _ = world.run("switchover --yes").code(0),
                    (true, false) => _ = world.run("resume").code(0).says("switchover finished"),
                    (true, true) => _ = world.run("resume").code(3),
                }
                let mut state = world.end_state();
                if over && begun {
                    // Killed between the end and handing the lease back: whoever comes next waits for it.
                    state["holder"] = serde_json::Value::Null;
                }
                assert_eq!(state, *expected, "killed after {slots} slots");
                world.run("history").code(0).says("every one sound");
            });
        }
    });
}

#[test]
fn a_move_that_was_killed_can_be_given_up_by_another_process() {
    let world = World::new();
    let mut moving = world.spawn("switchover --yes");
    world.wait_for_slots(3, &mut moving);
    moving.kill();
    world.run("status").code(0).says("SILENT").says("failover resume");
    world.run("abort --reason test").code(0).says("switchover aborted");
    assert_eq!(world.end_state()["admissions"]["us-east-1"]["state"], serde_json::json!("active"));
}
