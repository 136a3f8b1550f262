//! The embedding service as people run it, and as short as it is said to be.

use std::process::Command;

use test_support::program;

#[test]
fn it_acknowledges_what_its_gate_lets_it_and_says_who_serves_otherwise() {
    let output =
        Command::new(program::example(env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_NAME"), "embed_service"))
            .output()
            .expect("the example runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    let expected = "the gate of east is open, epoch 1\n\
                    order-1: acknowledged\n\
                    order-2: acknowledged\n\
                    order-3: acknowledged\n\
                    the gate of west: the region is standby; served now by east\n";
    assert_eq!(shown, expected, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn it_is_shorter_than_sixty_lines() {
    let lines = include_str!("../embed_service.rs").lines().count();
    assert!(lines < 60, "{lines} lines");
}
