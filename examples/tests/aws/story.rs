//! What people do, from the first command to the last.

use serde_json::json;
use test_support::program::{Said, until};
use test_support::{Emulator, or_skip};

use crate::account::{Account, Answers, EAST, WEST};
use crate::requests::Deeds;
use crate::world::{Shape, World};

/// What a move changes in the cloud, and how often.
fn deeds(world: &World, before: usize) -> Vec<(String, usize)> {
    let log = world.proxy.log().split_off(before);
    world.aside(async |account| Deeds::of(&log, account)).cloud.into_iter().collect()
}

/// Protects the planned moves of a deployment such as the product's, with alias records: init, plan, there and back.
#[test]
fn there_and_back_again_with_everything_else_as_it_was() {
    let emulator = or_skip!(Emulator::shared());
    let shape = Shape { answers: Answers::Alias, canary: false, call_deadline: "15s" };
    let world = World::empty(emulator, shape);
    let untouched = world.aside(async |account| account.records().await);
    world.run("init --dry-run").code(0).says("would create the ledger");
    assert_eq!(world.aside(async |account| account.records().await), untouched, "a dry run makes nothing");
    world.run("init").code(0).says("created the ledger").says("add a replica");
    world.run("init").code(0).says("the ledger is there, at epoch 1");
    world.run("ensure-replicated").code(0).says("every store is replicated");
    world
        .run("status")
        .code(0)
        .says("us-east-1 serves")
        .says("does not survive the loss of the place it is in")
        .says("What survives: on AWS, a DynamoDB table with multi-Region strong consistency (MRSC)");
    let checks = world.aside(async |account| account.checks().await);
    let before = world.end_state();
    let records = &before["cloud"]["records"];
    assert_eq!(records["primary"]["alias"], untouched["primary"]["alias"]);
    assert_eq!(records["primary"]["check"], json!(["CALCULATED", 2]), "its own check, and the switch");
    assert_eq!(before["cloud"]["functions"], json!([[10, 1024], [1, 256]]));

    world.run("plan switchover --to us-west-2 -o plan.json").code(0).says("kept in plan.json");
    assert_eq!(world.end_state(), before, "a plan changes nothing");
    let requests = world.proxy.log().len();
    world.run("switchover --plan plan.json --yes").code(0).says("switchover finished");
    let there = world.end_state();
    assert_eq!(there["admissions"][WEST], json!({ "epoch": 2, "state": "active" }));
    assert_eq!(there["admissions"][EAST], json!({ "epoch": 1, "state": "standby" }));
    assert_eq!(there["holder"], json!(null), "the lease was handed back");
    let swapped = |identifier: &str, role: &str| {
        let mut wanted = records[identifier].clone();
        wanted["role"] = json!(role);
        wanted
    };
    assert_eq!(there["cloud"]["records"]["primary"], swapped("primary", "SECONDARY"));
    assert_eq!(there["cloud"]["records"]["secondary"], swapped("secondary", "PRIMARY"));
    assert_eq!(world.aside(async |account| account.checks().await), checks);
    assert_eq!(there["cloud"]["functions"], json!([[1, 1024], [10, 1024]]));
    assert_eq!(there["cloud"]["tables"], before["cloud"]["tables"]);
    let deeds = deeds(&world, requests);
    assert!(deeds.iter().all(|(_, times)| *times == 1), "{deeds:?}");
    assert!(!deeds.iter().any(|(deed, _)| deed.contains("UpdateTable")), "{deeds:?}");

    world.run("ack --reason seen").code(0).says("the cool-down is over");
    let back = async |account: &Account| account.records().await["primary"]["role"] == json!("PRIMARY");
    back_without_waiting_for_clients(&world, "failback --yes", back).says("failback finished");
    let back = world.end_state();
    assert_eq!(back["admissions"][EAST], json!({ "epoch": 3, "state": "active" }));
    assert_eq!(&back["cloud"]["records"], records);
    assert_eq!(back["cloud"]["functions"], json!([[10, 1024], [1, 1024]]), "memory is only ever raised");
    world
        .run("history")
        .code(0)
        .says("every one sound")
        .says("BEGAN failback-2")
        .says("left out converge.api");
}

/// Clients follow within a minute: whoever knows better leaves that step out, once the traffic is back.
fn back_without_waiting_for_clients(
    world: &World,
    line: &str,
    is_back: impl AsyncFn(&Account) -> bool,
) -> Said {
    let moving = world.spawn(line);
    until("the traffic is back", || moving.is_over() || world.aside(&is_back));
    world.run("skip converge.api --reason 'nobody is there'").code(0);
    moving.said().code(0)
}

/// Protects the unplanned move: us-east-1 answers nothing, Route 53's control plane with it, and somebody says how much
/// may be lost. The traffic follows an object in us-west-2. Then the region is back, and everything with it.
#[test]
fn a_region_that_answers_nothing_is_left_without_it_and_gone_back_to_once_it_is_there() {
    let emulator = or_skip!(Emulator::shared());
    let shape = Shape { answers: Answers::Address, canary: true, call_deadline: "8s" };
    let world = World::new(emulator, shape);
    world.run("status").code(0).says("us-east-1 serves");
    let before = world.end_state();
    let hole = world.proxy.black_hole(EAST);
    world.run("status").code(0).says("us-east-1 (unfit) serves");
    let requests = world.proxy.log().len();
    let said = world.run("failover --yes --max-loss 5m --approver ann --reason 'region lost'");
    said.code(0).says("failover finished");
    let there = world.end_state();
    assert_eq!(there["admissions"][WEST], json!({ "epoch": 2, "state": "active" }));
    assert_eq!(there["ended"], json!(["failover", "finished", WEST, [EAST]]), "and to be reconciled");
    assert_eq!(there["cloud"]["records"], before["cloud"]["records"], "nothing was asked of Route 53");
    let switch = json!({ "takes-over": WEST, "from": EAST, "epoch": 2 });
    assert_eq!(there["cloud"]["objects"][1]["failover"], switch);
    assert_eq!(there["cloud"]["functions"], json!([[10, 1024], [10, 1024]]));
    let deeds = deeds(&world, requests);
    assert!(deeds.iter().all(|(deed, _)| deed.starts_with(WEST)), "{deeds:?}");

    world.proxy.remove(hole);
    world.aside(async |account| account.write(WEST, "alert-4").await);
    world.run("failback --yes").code(3).says("reconciled REFUSES").says("--override reconciled");
    let reconciled = "--override reconciled --approver ann --reason 'compared, nothing is missing'";
    world
        .run(&format!("failback --yes {reconciled}"))
        .code(0)
        .says("waived by ann")
        .says("failback finished");
    let back = world.end_state();
    assert_eq!(back["admissions"][EAST], json!({ "epoch": 3, "state": "active" }));
    assert_eq!(back["cloud"]["records"], before["cloud"]["records"]);
    assert_eq!(back["cloud"]["objects"][1].get("failover"), None, "no switch is on");
    assert_eq!(back["cloud"]["functions"], json!([[10, 1024], [1, 1024]]));
    let items = json!(["alert-1", "alert-2", "alert-3", "alert-4"]);
    assert_eq!(
        [&back["cloud"]["tables"][0]["items"], &back["cloud"]["tables"][1]["items"]],
        [&items, &items]
    );
    world.run("history").code(0).says("every one sound").says("ann: region lost");
}
