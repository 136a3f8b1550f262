//! Bad input: all of it is said at once, and nothing is touched. And how output looks.

use serde_json::json;

use crate::support::World;

/// Every command there must be.
const COMMANDS: &str = "init ensure-replicated status plan switchover failover failback evacuate rejoin drill approve \
                        resume skip abort pause ack history run";

#[test]
fn everything_that_is_wrong_with_a_command_line_is_said_before_anything_is_touched() {
    let world = World::new();
    let before = world.files();
    world
        .run("switchover --to us-wets-2 --from nowhere --override qorum --override alone --max-loss 5x --group lgos")
        .code(2)
        .says("--to: there is no region us-wets-2: there are us-east-1, us-west-2 (did you mean us-west-2?)")
        .says("--from: there is no region nowhere")
        .says("--override: there is no guard qorum")
        .says("did you mean quorum?")
        .says("alone cannot be passed over")
        .says("--max-loss: `5x` is neither a time")
        .says("--group: there is no group lgos: there are logs (did you mean logs?)")
        .says("--approver: an override needs somebody")
        .says("--reason: an override needs a reason")
        .says("--yes: there is no terminal");
    world.run("failover --yes --override loss --approver a --reason r").code(2).says("say --max-loss");
    world.run("failover --yes --max-loss 1s --approver a --reason r --expires 2020-01-01T00:00:00Z").code(2);
    world.run("approve nonsense --yes").code(2).says("is not 8 to 64 lower-case hexadecimal digits");
    world.run("skip 'no such'").code(2).says("step `no such` is not a name");
    world
        .run("run --vantage utah --local-region utah")
        .code(2)
        .says("no vantage utah")
        .says("no region utah");
    world.run("switchover --plan nowhere.json --yes").code(2).says("nowhere.json: it cannot be read");
    world.run("status --endpoint-url http://localhost:1").code(2).says("--endpoint-url");
    world.run("switchover --no-such-option").code(2);
    assert_eq!(world.files(), before);
}

#[test]
fn everything_that_is_wrong_with_a_configuration_is_said_with_its_place() {
    let world = World::new();
    let text = std::fs::read_to_string(world.path("quick.toml")).unwrap();
    let broken = text
        .replace("lag = \"0s\"", "lagg = \"0s\"")
        .replace("start = \"0s\"", "start = 200")
        .replace("convergence = \"0s\"", "control-plane = \"mars\"");
    std::fs::write(world.path("quick.toml"), broken).unwrap();
    world
        .run("status")
        .code(2)
        .says("groups.logs.stores.state.settings.lagg: there is no such setting (known are: lag, promotion)")
        .says("groups.logs.scalers.workers.settings.start: 200 is not a duration")
        .says("groups.logs.routers.traffic.settings.control-plane: mars is not one of the regions");
    std::fs::write(world.path("quick.toml"), text.replace("regions = [", "regions = [[")).unwrap();
    world.run("status --group x").code(2).says("quick.toml:");
    std::fs::remove_file(world.path("quick.toml")).unwrap();
    world.run("status").code(2).says("quick.toml: cannot be read");
}

#[test]
fn what_is_not_there_or_is_another_deployments_is_said_so() {
    let world = World::empty();
    world.run("status").code(2).says("there is no world in mantissa-world");
    world.run("switchover --yes").code(2).says("there is no world in mantissa-world");
    assert!(!world.root().exists());
    let world = world.made();
    let text = std::fs::read_to_string(world.path("quick.toml")).unwrap();
    std::fs::write(world.path("quick.toml"), text.replace("trust = \"700ms\"", "trust = \"20s\"")).unwrap();
    let before = world.cell("demo/logs/ledger");
    for line in ["switchover --yes", "init", "resume", "ack", "run --vantage ohio", "run"] {
        let said = world.run(line).code(2).says("it was made for another deployment");
        said.says("run every controller and command with the same configuration files");
    }
    world.run("status").code(1).says("it was made for another deployment");
    assert_eq!(world.cell("demo/logs/ledger"), before, "it was let alone");
}

#[test]
fn guards_refuse_with_the_override_that_would_pass_them_and_the_override_passes_them() {
    let world = World::new();
    let before = world.status()["ledger"]["generation"].clone();
    world.run("failback --yes").code(2).says("us-east-1 serves already");
    world.run("evacuate --from us-east-1 --yes").code(2).says("evacuate is not for active-passive");
    world.run("plan failover -o refused.json").code(3).says("to pass: --override quorum --approver NAME");
    world.run("failover --plan refused.json --yes").code(3).says("the quorum guard refuses");
    world.run("failover --yes").code(3).says("refused by: quorum");
    assert_eq!(world.status()["ledger"]["generation"], before, "nothing was begun");
    let allowed = "--yes --override quorum --max-loss 5m --approver ann --reason test";
    world.run(&format!("failover {allowed}")).code(0).says("quorum waived");
}

#[test]
fn people_get_lines_of_eighty_columns_and_programs_get_one_document() {
    let world = World::new();
    world.down("regions/us-west-2", true);
    let hint = "--approver ann --reason test";
    let mut lines = ["status", "plan switchover", "history", "--help"].map(str::to_owned).to_vec();
    lines.push(format!("plan failover {hint}"));
    lines.extend(COMMANDS.split_whitespace().map(|command| format!("{command} --help")));
    for line in lines {
        let said = world.run(&line);
        assert!(!line.ends_with("--help") || said.code == 0, "{line}: {}", said.err);
        let long: Vec<&str> =
            said.out.lines().chain(said.err.lines()).filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "`{line}` is too wide:\n{}", long.join("\n"));
    }
    for (line, code) in [
        ("status", 0),
        ("plan switchover", 3),
        ("switchover --to mars --yes", 2),
        ("history", 0),
        ("resume", 3),
        ("pause", 3),
        ("switchover --yes", 3),
    ] {
        let said = world.run(&format!("--json {line}")).code(code);
        assert_eq!(said.json()["exit-code"], json!(code), "{line}");
    }
}

#[test]
fn with_the_ledger_down_status_shows_the_rest_and_nothing_moves() {
    let world = World::new();
    world.down("witness", true);
    world
        .run("status")
        .code(1)
        .says("CANNOT BE READ")
        .says("the witness is down")
        .says("writer")
        .says("10 of 10 workers");
    world.run("switchover --yes").code(1).says("the witness is down");
    world.run("resume").code(1).says("the witness is down");
    world.down("witness", false);
    world.run("status").code(0).says("us-east-1 serves");
}
