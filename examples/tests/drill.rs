//! The drill as people run it: every scenario ends well, one seed gives one run, and no row is too long.
//!
//! The modules of the example are compiled in as well, so that their own tests run here.

use std::process::{Command, Output};

use test_support::program;

#[allow(dead_code, reason = "the example's own main is not called from here")]
#[path = "../drill/main.rs"]
mod drill;

/// Every scenario there must be; there may be more.
const WANTED: [&str; 9] = [
    "region-loss",
    "one-way-partition",
    "lagging-replica",
    "flapping-health",
    "target-without-capacity",
    "controller-crash",
    "witness-loss",
    "graceful-switchover",
    "active-active-evacuation",
];

fn drill(args: &[&str]) -> Output {
    Command::new(program::example(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "drill"))
        .args(args)
        .output()
        .expect("the example runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("what is printed is text")
}

/// No row is longer than 80 columns, and nothing is coloured: there is no terminal.
fn assert_plain(text: &str) {
    for row in text.lines() {
        assert!(row.chars().count() <= 80, "{} columns: {row}", row.chars().count());
        assert!(!row.contains('\u{1b}'), "{row:?}");
    }
}

fn scenarios() -> Vec<String> {
    drill::names().map(str::to_owned).collect()
}

#[test]
fn the_library_does_the_right_thing_in_every_scenario() {
    for scenario in scenarios() {
        for seed in ["1", "2", "7"] {
            let output = drill(&["--scenario", &scenario, "--seed", seed]);
            let shown = text(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "--scenario {scenario} --seed {seed}\n{shown}");
            assert_plain(shown);
            assert!(shown.contains(&format!("{scenario}, seed {seed}: the library did the right thing.")));
            assert_eq!(text(&output.stderr), "");
        }
    }
}

#[test]
fn it_does_so_with_more_regions_as_well() {
    for scenario in scenarios() {
        let output = drill(&["--scenario", &scenario, "--seed", "5", "--regions", "4"]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "--scenario {scenario} --seed 5 --regions 4\n{shown}");
        assert_plain(shown);
    }
}

#[test]
fn one_seed_gives_one_document_byte_for_byte_and_another_seed_another() {
    for scenario in scenarios() {
        let run = |seed| drill(&["--json", "--scenario", &scenario, "--seed", seed]).stdout;
        let first = run("3");
        assert_eq!(first, run("3"), "{scenario}");
        assert_ne!(first, run("4"), "{scenario}");
        let document: serde_json::Value = serde_json::from_slice(&first).expect("it is one document");
        assert_eq!((&document["scenario"], &document["passed"]), (&scenario.into(), &true.into()));
        assert_eq!(document["seed"], 3);
        let writes = |key: &str| document["writes"][key].as_u64().expect("a number");
        let fates = ["acknowledged", "refused", "failed", "unknown"].map(writes);
        assert_eq!(fates.iter().sum::<u64>(), writes("tried"), "every write has one fate");
        assert!(writes("acknowledged") > 100, "there was a load");
    }
}

#[test]
fn the_report_of_a_lost_region_says_what_was_predicted_and_what_was_measured() {
    let output = drill(&["--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is one document");
    let kinds: Vec<&str> = document["moves"]
        .as_array()
        .expect("moves")
        .iter()
        .filter_map(|it| it["report"]["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["failover", "failback"]);
    let failover = &document["moves"][0];
    for phase in ["scale", "seal", "promote", "open", "shift", "converge", "validate"] {
        for side in ["predicted", "measured"] {
            assert!(failover["report"]["phases"][phase][side]["end"].is_string(), "{phase} {side}");
        }
    }
    for side in ["predicted", "measured"] {
        assert!(failover["detection"][side].as_f64().is_some_and(|it| it > 60.0), "{side}");
        assert!(failover["service"][side].as_f64().is_some_and(|it| it > 60.0), "{side}");
    }
    let lost = document["writes"]["lost"].as_u64().expect("a number");
    assert!(lost > 0, "a region that dies under load takes its newest writes along: this seed shows it");
    assert_eq!(failover["loss"]["writes"], lost);
}

#[test]
fn the_list_names_every_scenario() {
    let output = drill(&["--list"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    assert_plain(shown);
    for name in WANTED {
        assert!(shown.lines().any(|row| row.starts_with(&format!("{name} "))), "{name} is missing");
    }
}

#[test]
fn the_help_is_as_narrow_as_everything_else() {
    let output = drill(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert_plain(text(&output.stdout));
}

#[test]
fn bad_input_is_answered_with_what_would_be_good() {
    let cases: [(&[&str], &str); 5] = [
        (&["--scenario", "region-los"], "the nearest is `region-loss`"),
        (&["--scenario", "graceful"], "the nearest is `graceful-switchover`"),
        (&["--regions", "1"], "2..=16"),
        (&["--speed", "0"], "more than 0"),
        (&["--seed", "one"], "--seed"),
    ];
    for (args, hint) in cases {
        let output = drill(args);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {shown}");
        assert!(shown.contains(hint), "{args:?}: {shown}");
        assert_plain(shown);
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn the_speed_changes_nothing_but_the_time_it_takes() {
    let plain = drill(&["--scenario", "witness-loss"]);
    let paced = drill(&["--scenario", "witness-loss", "--speed", "2000"]);
    assert_eq!(text(&paced.stdout), text(&plain.stdout));
}
