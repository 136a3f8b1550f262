use mantissa_mr_aws::connect;
use test_support::{Emulator, Match, or_skip};

use crate::world::{World, deployment, parse};

const GROUP: &str = r#"
[[groups.stores]]
name = "state"
kind = "dynamodb-global-table"
settings = { tabel = "mantissa-log-state", compare-limit = 0, canary = "yes" }
regions.us-west-2 = { bucket = "x" }

[[groups.stores]]
name = "sessions"
kind = "dynamodb-global-tables"

[[groups.routers]]
name = "api"
kind = "route53-failover"
settings = { zone = "Z1", record = "api.example.com", type = "AA", check-interval = 20 }
regions.us-east-1 = { set-identifier = "primary", bucket = "one.two" }

[[groups.scalers]]
name = "detection"
kind = "lambda"
settings = { functions = ["a", "a", { name = "b", ful = 5 }, 7], memory = 64 }

[[groups.checks]]
name = "table"
kind = "dynamodb-table"
"#;

/// Protects the operator: every problem in one message, each with its field and what to do, and nothing is sent.
#[tokio::test]
async fn all_problems_of_all_settings_are_told_at_once() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let text = deployment(GROUP).replace("{ table = \"ledger\" }", "{ Table = \"ledger\" }");
    let problems = connect(&parse(&text), &world.config()).await.unwrap_err();
    let told = problems.to_string();
    for wanted in [
        "witness.settings.table: is missing (add `table = \"...\"` (the name of the ledger's own table) to \
         `witness.settings` in the overlay)",
        "witness.settings.Table: is not a known setting (did you mean `table`?)",
        "groups.logs.stores.state.settings.table: is missing (add `table = \"...\"` (the name of the Global Table) to \
         the `settings` of store `state` of group `logs` in the overlay)",
        "groups.logs.stores.state.settings.tabel: is not a known setting (did you mean `table`?)",
        "groups.logs.stores.state.settings.compare-limit: 0 is not between 1 and 100000000",
        "groups.logs.stores.state.settings.canary: must be true or false, and is a TOML string",
        "groups.logs.stores.state.regions.us-west-2.bucket: is not a known setting (nothing is set in \
         `regions.us-west-2` of store `state` of group `logs`)",
        "groups.logs.stores.sessions.kind: `dynamodb-global-tables` is not a kind of mantissa-mr-aws (did you mean \
         `dynamodb-global-table`?)",
        "groups.logs.routers.api.settings.type: `AA` is none of: A, AAAA, CNAME",
        "groups.logs.routers.api.settings.check-interval: 20 s is not offered by Route 53 (use 10 or 30)",
        "groups.logs.routers.api.regions.us-east-1.bucket: `one.two` has a dot",
        "groups.logs.routers.api.regions.us-west-2.set-identifier: is missing (add `set-identifier = \"...\"` (of this \
         region's record) to `regions.us-west-2` of router `api` of group `logs` in the overlay)",
        "groups.logs.routers.api.regions: only one region has a bucket",
        "groups.logs.scalers.detection.settings.memory: 64 is not between 128 and 10240",
        "groups.logs.scalers.detection.settings.functions[0].full: is missing: nothing says what full capacity is",
        "groups.logs.scalers.detection.settings.functions[2].ful: is not a known setting (did you mean `full`?)",
        "groups.logs.scalers.detection.settings.functions[3]: must be a name or { name, full, memory }",
        "groups.logs.checks.table.settings.table: is missing",
    ] {
        assert!(told.contains(wanted), "missing: {wanted}\nin:\n{told}");
    }
    assert_eq!(world.asked(&Match::any()), 0);
}

/// Protects static stability: connecting needs no region, so it works while any of them is down.
#[tokio::test]
async fn connecting_sends_nothing() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let connected = world.connect(&deployment("")).await;
    assert!(connected.stores.is_empty() && connected.routers.is_empty());
    assert_eq!(world.asked(&Match::any()), 0);
}

/// Protects against a cloud crate that takes another cloud's regions for its own.
#[tokio::test]
async fn regions_of_another_cloud_are_refused() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let text = deployment("").replacen("provider = \"aws\"", "provider = \"gcp\"", 1);
    let problems = connect(&parse(&text), &world.config()).await.unwrap_err().to_string();
    assert!(problems.contains("us-east-1 is a region of gcp, not of aws"), "{problems}");
}
