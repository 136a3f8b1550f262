//! Pausing, going on, giving up, leaving out: from the keyboard, and from another process.

use serde_json::json;

use crate::support::World;

#[test]
fn ctrl_c_pauses_and_another_process_ends_it_where_it_would_have_ended() {
    let untouched = World::new();
    untouched.run("switchover --yes").code(0);

    let world = World::new();
    let mut moving = world.spawn("switchover --yes");
    world.wait_for_slots(3, &mut moving);
    moving.interrupt();
    world.finish(moving).code(4).says("paused: interrupted at the keyboard");
    world.run("status").code(0).says("PAUSED").says("failover resume").says("failover abort");
    world.run("pause").code(0).says("is paused already");
    world.run("switchover --yes").code(3).says("is under way: resume, abort or wait for it");
    world.run("resume --dry-run").code(0).says("would go on with switchover-1");
    world.run("resume --reason test").code(0).says("switchover finished");
    assert_eq!(world.end_state(), untouched.end_state());
    world.run("resume").code(3).says("nothing is under way");
    world.run("history").code(0).says("PAUSED: interrupted").says("resumed by");
}

#[test]
fn what_is_given_up_before_the_point_of_no_return_is_put_back() {
    let world = World::new();
    let before = world.end_state();
    let mut moving = world.spawn("switchover --yes");
    world.wait_for_slots(3, &mut moving);
    moving.interrupt();
    world.finish(moving).code(4);
    world.run("abort --reason 'second thoughts'").code(0).says("switchover aborted");
    let after = world.end_state();
    assert_eq!(after["outcome"], json!("aborted"));
    for same in ["execution", "orders", "holder", "roles", "capacity", "routing"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["admissions"]["us-east-1"]["state"], json!("active"));
    world.run("abort").code(3).says("nothing is under way");
    world.run("switchover --yes").code(0).says("switchover finished");
}

#[test]
fn another_process_pauses_leaves_a_step_out_and_goes_on() {
    let world = World::slow();
    let mut moving = world.spawn("switchover --yes");
    world.wait_for_slots(2, &mut moving);
    let paused = world.run("pause --reason wait");
    world.finish(moving).code(4).says("wait");
    paused.code(0).says("is paused");
    world.run("skip nonsense").code(3).says("there is no step nonsense");
    world.run("skip seal").code(3).says("changes the ledger");
    world
        .run("skip settle.workers.us-east-1 --reason 'keep it warm'")
        .code(0)
        .says("as soon as somebody goes on");
    world.run("resume").code(0).says("left out settle.workers.us-east-1");
    assert_eq!(world.end_state()["capacity"], json!([10, 10]));
    world.run("history").code(0).says("left out settle.workers.us-east-1");
}

#[test]
fn somebody_elses_living_move_is_not_taken_over() {
    let world = World::slow();
    let moving = world.spawn("switchover --yes");
    crate::support::until("it is under way", || world.ledger()["execution"] != json!(null));
    let resumed = world.run("resume");
    world.finish(moving).code(0);
    assert_eq!(resumed.code, 3, "{}\n{}", resumed.out, resumed.err);
}
