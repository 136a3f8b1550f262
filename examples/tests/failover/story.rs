//! What people do, from the first command to the last.

use serde_json::json;

use crate::support::{Running, World, until};

#[test]
fn there_and_back_again_each_time_with_everything_in_its_place() {
    let world = World::empty();
    world.run("init --dry-run").code(0).says("would create the ledger demo/logs/ledger");
    assert!(!world.root().exists(), "a dry run makes nothing");
    world.run("init").code(0).says("created the ledger").says("make a replica in us-west-2");
    world.run("init").code(0).says("the ledger is there, at epoch 1");
    world.run("ensure-replicated").code(0).says("every store is replicated");
    world.run("status").code(0).says("us-east-1 serves");

    let dry = world.run("switchover --dry-run").code(0).says("dry run: nothing was done");
    assert!(dry.out.contains("promote.state"), "{}", dry.out);
    world.run("switchover --yes --reason test").code(0).says("switchover finished");
    let state = world.end_state();
    assert_eq!(state["admissions"]["us-west-2"], json!({ "epoch": 2, "state": "active" }));
    assert_eq!(state["admissions"]["us-east-1"], json!({ "epoch": 1, "state": "standby" }));
    assert_eq!(state["routing"]["weights"], json!({ "us-west-2": 100 }));
    assert_eq!(state["roles"], json!(["replica", "writer"]));
    assert_eq!(state["capacity"], json!([1, 10]));
    assert_eq!(state["holder"], json!(null), "the lease was handed back");

    world.run("ack --reason seen").code(0).says("the cool-down is over");
    world.run("failback --yes").code(0).says("failback finished");
    let state = world.end_state();
    assert_eq!(state["admissions"]["us-east-1"], json!({ "epoch": 3, "state": "active" }));
    assert_eq!(state["roles"], json!(["writer", "replica"]));
    assert_eq!(state["capacity"], json!([10, 1]));
    world.run("history").code(0).says("every one sound").says("BEGAN failback-2");
}

/// Protects whoever trusts a witness that is lost with its region: they are told before, wherever they look, what that costs
/// and what to take instead.
#[test]
fn a_witness_that_does_not_survive_is_warned_of_wherever_one_looks() {
    let world = World::empty();
    let commands = ["init --dry-run", "init", "init", "status", "plan switchover", "switchover --dry-run"];
    for command in commands {
        world
            .run(command)
            .code(0)
            .says("does not survive the loss of the place it is in")
            .says("nothing is written and nothing moves until it is back")
            .says("multi-Region strong consistency (MRSC)")
            .says("dual-region bucket")
            .says("Cosmos DB with strong consistency in three regions");
    }
    for command in ["--json init", "--json plan switchover", "--json switchover --dry-run"] {
        let document = world.run(command).code(0).json();
        let warning = document["warnings"][0].as_str().unwrap_or_default();
        assert!(warning.contains("does not survive"), "{command}: {document}");
    }
    let group = &world.run("--json status").code(0).json()["groups"][0];
    assert_eq!(group["witness"]["survives-region-loss"], json!(false));
    assert!(group["warnings"][0].as_str().unwrap().contains("does not survive"), "{group}");
}

#[test]
fn a_lost_region_is_left_once_somebody_says_how_much_may_be_lost() {
    let world = World::new();
    world.run("status").code(0);
    world.down("regions/us-east-1", true);
    world
        .run("status")
        .code(0)
        .says("us-east-1 (unfit) serves")
        .says("failover failover --dry-run us-east-1 is to serve and is unfit");
    world.run("switchover --yes").code(3).says("refused by: source-fit");
    world.run("failover --yes").code(2).says("--max-loss: this move may lose data");
    world
        .run("failover --yes --max-loss 0s --approver ann --reason 'region lost'")
        .code(3)
        .says("--max-loss is 0s");
    world
        .run("failover --yes --max-loss 5m --approver ann --reason 'region lost'")
        .code(0)
        .says("failover finished");
    let state = world.end_state();
    assert_eq!(state["admissions"]["us-west-2"]["state"], json!("active"));
    assert_eq!(state["roles"], json!(["unreachable", "writer"]));
    assert_eq!(state["unreconciled"], json!(["us-east-1"]));

    world.down("regions/us-east-1", false);
    world.run("failback --yes").code(3).says("reconciled REFUSES").says("--override reconciled");
    world
        .run("failback --yes --override reconciled --approver ann --reason 'compared, nothing is missing'")
        .code(0)
        .says("waived by ann");
    assert_eq!(world.end_state()["roles"], json!(["writer", "replica"]));
    world.run("history").code(0).says("ann: region lost");
}

#[test]
fn a_plan_that_was_kept_is_carried_out_once_and_refused_when_it_is_stale() {
    let world = World::new();
    world.run("plan switchover -o kept.json --reason test").code(0).says("kept in kept.json");
    let other = world.run("--json plan switchover").code(0).json();
    assert_eq!(other["plan"]["to"], json!("us-west-2"));
    world.run("failover --plan kept.json --yes").code(2).says("it is the plan of a switchover");
    world.run("switchover --plan kept.json --to us-west-2 --yes").code(2).says("a saved plan says itself");
    let done = world.run("--json switchover --plan kept.json --yes").code(0).json();
    assert_eq!((&done["ending"], &done["exit-code"]), (&json!("finished"), &json!(0)));
    world.run("switchover --plan kept.json --yes").code(3).says("it is stale: it was made at generation 0");

    // A plan is judged by what is seen now, not by what its file says of the guards.
    world.run("plan switchover -o back.json").code(0);
    std::fs::write(world.root().join("regions/us-east-1/DEGRADED"), "").unwrap();
    world.run("switchover --plan back.json --yes").code(3).says("the target-fit guard refuses");
}

#[test]
fn at_a_terminal_a_move_is_confirmed_by_typing_the_region_that_it_moves_to() {
    let world = World::new();
    world
        .run_at_a_terminal("switchover", "us-east-1")
        .code(3)
        .says("lost of what was acknowledged: nothing. Type us-west-2 to go on:")
        .says("it was not confirmed; nothing was begun");
    assert_eq!(world.ledger()["generation"], json!(0));
    world.run_at_a_terminal("switchover", "us-west-2").code(0).says("switchover finished");

    // What may be lost is said before anything is asked.
    world.down("regions/us-west-2", true);
    let lossy = "failover --max-loss 5m --approver ann --reason lost";
    world.run_at_a_terminal(lossy, "").code(3).says("lost of what was acknowledged: about");
}

#[test]
fn a_rehearsal_is_marked_as_one() {
    let world = World::new();
    world.run("drill switchover --yes").code(0).says("drill: switchover of logs");
    let plan = world.run("--json plan failback --drill").code(0).json();
    assert_eq!(plan["plan"]["drill"], json!(true));
}

#[test]
fn a_region_leaves_an_active_active_rotation_and_comes_back() {
    let world = World::with("active-active", "off").made();
    world.run("switchover --yes").code(2).says("use evacuate");
    world.run("evacuate --yes").code(2).says("which region shall be evacuated?");
    world.run("evacuate --from us-east-1 --yes").code(0).says("evacuate finished");
    let state = world.end_state();
    assert_eq!(state["admissions"]["us-east-1"]["state"], json!("standby"));
    assert_eq!(state["routing"]["weights"], json!({ "us-west-2": 100 }));
    world.run("rejoin --to us-east-1 --yes").code(0).says("rejoin finished");
    let state = world.end_state();
    assert_eq!(state["admissions"]["us-east-1"]["state"], json!("active"));
    assert_eq!(state["admissions"]["us-west-2"]["state"], json!("active"));
    assert_eq!(state["routing"]["weights"], json!({ "us-east-1": 100, "us-west-2": 100 }));
}

#[test]
fn controllers_leave_a_lost_region_by_themselves_once_a_majority_says_so() {
    let world = World::with("active-passive", "on").made();
    let controllers =
        ["oregon", "ohio"].map(|vantage| world.spawn(&format!("--json run --vantage {vantage}")));
    until("both vantages vote", || both_vote(&world));
    world.down("regions/us-east-1", true);
    until("the group has moved", || world.ledger()["ended"]["outcome"] == json!("finished"));
    assert_eq!(world.ledger()["admissions"]["us-west-2"]["state"], json!("active"));
    leave(&world, controllers.into());
    world.run("history").code(0).says("ENDED failover-1").says("every one sound");
}

#[test]
fn a_proposal_is_carried_out_by_the_controller_that_lives_once_somebody_approves_it() {
    let (world, controllers, hash) = proposed();
    world.run("approve 0123456789 --yes").code(3).says("the plan that is proposed is");
    world.run(&format!("approve {} --yes", &hash[..12])).code(2).says("--max-loss");
    world.run(&format!("approve {hash} --dry-run")).code(0).says("would approve");
    let allowed = "--yes --max-loss 5m --approver ann --reason test";
    world.run(&format!("approve {} {allowed}", &hash[..12])).code(0).says("carries it out");
    until("it has moved", || world.ledger()["ended"]["outcome"] == json!("finished"));
    assert_eq!(world.ledger()["admissions"]["us-west-2"]["state"], json!("active"));
    leave(&world, controllers);
}

#[test]
fn a_proposal_is_carried_out_here_when_its_controller_is_gone() {
    let (world, controllers, hash) = proposed();
    for controller in controllers {
        controller.kill();
    }
    let allowed = "--yes --max-loss 5m --approver ann --reason test";
    world.run(&format!("approve {} {allowed}", &hash[..12])).code(0).says("failover finished");
    assert_eq!(world.ledger()["proposal"], json!(null));
}

/// A world whose controllers propose to leave the region that is down.
fn proposed() -> (World, Vec<Running>, String) {
    let world = World::with("active-passive", "propose").made();
    world.run("approve 0123456789 --yes").code(3).says("no plan is proposed");
    let controllers = ["oregon", "ohio"].map(|vantage| world.spawn(&format!("run --vantage {vantage}")));
    until("both vantages vote", || both_vote(&world));
    world.down("regions/us-east-1", true);
    until("a plan is proposed", || world.ledger()["proposal"] != json!(null));
    let hash = world.ledger()["proposal"]["plan"].as_str().unwrap().to_owned();
    (world, controllers.into(), hash)
}

fn both_vote(world: &World) -> bool {
    ["oregon", "ohio"].iter().all(|vantage| world.cell(&format!("demo/logs/vantage/{vantage}")).is_some())
}

/// Ctrl-C for controllers.
fn leave(world: &World, controllers: Vec<Running>) {
    controllers.iter().for_each(Running::interrupt);
    for controller in controllers {
        world.finish(controller).code(0).says("leaving");
    }
}
