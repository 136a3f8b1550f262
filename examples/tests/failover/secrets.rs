//! Secrets in the environment and in the variables are in nothing that the command says, logs or leaves behind. A reason
//! that somebody types is no secret: it is the evidence.

use crate::support::{Said, World};

const SECRET: &str = "hunter2";
const REASON: &str = "ticket 4711";

const ENVIRONMENT: [(&str, &str); 6] = [
    ("RUST_LOG", "trace"),
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "hunter2-key"),
    ("AWS_SESSION_TOKEN", "hunter2-session"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("SLACK_WEBHOOK", "https://hooks.example.com/hunter2"),
];

const VARIABLES: &str = "db_password = \"hunter2\"\nslack_token = <<E\nhunter2\nE\n";

/// Nothing to which a command of these would connect answers.
const ON_AWS: &str = r#"
name = "demo"
strategy = "active-passive"
preferred = "us-east-1"
regions = [{ name = "us-east-1", provider = "aws" }, { name = "us-west-2", provider = "aws" }]
witness = { kind = "dynamodb", region = "us-east-2", settings = { table = "ledger" } }
policy.timing.call-deadline = "2s"

[[groups]]
name = "logs"
tier = "important"

[[groups.stores]]
name = "state"
kind = "dynamodb-global-table"
settings = { table = "state" }
"#;

/// Runs a command with secrets all around it.
fn run(world: &World, line: &str) -> Said {
    let said = world.run_in(&ENVIRONMENT, line);
    for text in [&said.out, &said.err] {
        let told = text.lines().find(|told| told.contains(SECRET));
        assert_eq!(told, None, "{line}");
    }
    said
}

#[test]
fn a_move_of_files_repeats_none() {
    let world = World::empty();
    std::fs::write(world.path("secret.tfvars"), VARIABLES).unwrap();
    let with = |line: &str| run(&world, &format!("--config secret.tfvars {line}"));
    with("init").code(0);
    with(&format!("switchover --to us-west-2 --yes --reason '{REASON}'")).code(0);
    with("status").code(0);
    let history = with("history").code(0);
    assert!(history.out.contains(REASON), "{}", history.out);
    let kept = world.files();
    assert!(kept.len() > 10);
    for (path, content) in kept {
        let content = String::from_utf8_lossy(&content).into_owned();
        assert!(!content.contains(SECRET), "{}", path.display());
    }
}

#[test]
fn what_somebody_typed_is_shown_to_others_and_not_obeyed_by_their_terminal() {
    let world = World::new();
    world.run("switchover --to us-west-2 --yes --reason '\u{1b}[2Jall is well\u{7}'").code(0);
    for line in ["history", "status"] {
        let said = world.run(line).code(0);
        assert!(!said.out.contains(['\u{1b}', '\u{7}']), "{line}: {:?}", said.out);
    }
    let history = world.run("history").out;
    assert!(history.contains("\\u{1b}[2Jall") && history.contains("well\\u{7}"), "{history}");
}

#[test]
fn what_is_wrong_is_said_without_any() {
    let world = World::empty();
    let bad = format!("{VARIABLES}api_token = \"hunter2\nsecondary_regoin = \"hunter2\"\n");
    std::fs::write(world.path("secret.tfvars"), bad).unwrap();
    let said = run(&world, "--config secret.tfvars status").code(2);
    assert!(said.err.contains("secret.tfvars:"), "{}", said.err);
}

#[test]
fn a_cloud_that_does_not_answer_brings_none_out() {
    let world = World::empty();
    std::fs::write(world.path("quick.toml"), ON_AWS).unwrap();
    for line in ["init", "status"] {
        let said = run(&world, &format!("--endpoint-url http://127.0.0.1:1 {line}"));
        assert_ne!(said.code, 0, "{line}: {}", said.out);
        assert!(said.err.contains("aws_smithy"), "the SDK's own words were heard: {:.2000}", said.err);
    }
}
