//! Each oracle bites: the library, broken in one way at a time, is caught by the oracle of the rule that it breaks, at a
//! seed at which the library as it is keeps every rule.
//!
//! How many seeds each took: `cargo run --release -p mantissa-mr-core --features sim --example seeds -- --broken`.

use mantissa_mr_core::sim::broken::{Hunt, World, hunt};
use mantissa_mr_core::sim::{Broken, oracle};

/// So many seeds are tried for each variant. Most need one or two.
const MOST: u64 = 60;

fn bites(rule: u8) {
    let variants: Vec<Broken> = Broken::ALL.iter().copied().filter(|broken| broken.rule() == rule).collect();
    assert!(!variants.is_empty(), "nothing offends the oracle of rule {rule}");
    let mut away = Vec::new();
    for variant in variants {
        let Hunt { bite, seeds } = hunt(variant, World::Chosen, 0, MOST).expect("a seed's own draw");
        match bite {
            Some(bite) => {
                println!("{seeds} seeds: {bite}");
                let shows = format!("--broken {variant} {} 1", bite.seed);
                assert!(bite.to_string().contains(&shows), "{bite}");
            }
            None => away.push(variant.name()),
        }
    }
    assert!(away.is_empty(), "rule {rule} did not catch within {MOST} seeds: {}", away.join(", "));
}

#[test]
fn rule_1_one_writer() {
    bites(1);
}

#[test]
fn rule_2_no_loss() {
    bites(2);
}

#[test]
fn rule_3_bounded_loss() {
    bites(3);
}

#[test]
fn rule_4_one_ledger() {
    bites(4);
}

#[test]
fn rule_5_resumable() {
    bites(5);
}

#[test]
fn rule_6_fail_safe() {
    bites(6);
}

#[test]
fn rule_7_no_flapping() {
    bites(7);
}

#[test]
fn rule_8_static_stability() {
    bites(8);
}

#[test]
fn rule_9_way_out() {
    bites(9);
}

#[test]
fn there_are_nine_rules_and_every_variant_has_a_name_of_its_own() {
    let rules: Vec<u8> = oracle::rules().map(|(number, _)| number).collect();
    assert_eq!(rules, (1..=9).collect::<Vec<u8>>(), "a test for each is above");
    for variant in Broken::ALL {
        assert_eq!(variant.name().parse(), Ok(*variant));
        assert!(variant.does().ends_with('.'));
    }
    let unknown = "no-such-bug".parse::<Broken>().unwrap_err();
    assert_eq!(unknown.to_string(), "there is no variant `no-such-bug`");
}
