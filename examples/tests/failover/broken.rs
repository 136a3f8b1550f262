//! A journal or a ledger that was changed by something else: found, said, and never cut.

use std::path::PathBuf;

use mantissa_mr_core::cell::{CellName, CellStore, Expected, StoreOutcome};
use serde_json::Value;

use crate::support::World;

fn slot(number: u64) -> CellName {
    CellName::try_from(format!("demo/logs/journal/{number:012}").as_str()).unwrap()
}

fn folder(world: &World, number: u64) -> PathBuf {
    world.root().join(format!("witness/cells/demo+logs+journal+{number:012}.cell"))
}

/// Swaps a cell for one that its storage cannot tell from a real one.
fn forge(world: &World, name: &CellName, forge: impl Fn(Value) -> Value) {
    world.on_cells(async |cells| {
        let cell = cells.load(name).await.unwrap().unwrap();
        let forged = serde_json::to_vec(&forge(serde_json::from_slice(&cell.value).unwrap())).unwrap();
        assert_ne!(forged, cell.value);
        let outcome = cells.store(name, &Expected::Version(cell.version), &forged).await.unwrap();
        assert!(matches!(outcome, StoreOutcome::Applied { .. }), "{outcome:?}");
    });
}

fn moved() -> World {
    let world = World::new();
    world.run("switchover --yes").code(0);
    world.run("history").code(0).says("every one sound");
    world
}

#[test]
fn a_slot_whose_bytes_were_changed_is_found_and_what_is_sound_is_shown() {
    let world = moved();
    let file = folder(&world, 4).join("value");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let before = world.files();
    let said = world.run("history").code(1).says("BROKEN after 4 sound slots");
    assert!(said.out.contains("slot 3 ") && !said.out.contains("slot 4 "), "{}", said.out);
    assert_eq!(world.files(), before, "nothing was cut or mended");
    let document = world.run("--json history").code(1).json();
    assert_eq!(document["history"]["slots"].as_array().unwrap().len(), 4);
}

#[test]
fn a_forged_slot_is_found_by_the_chain_or_by_the_anchor() {
    let world = moved();
    let lie = |mut slot: Value| {
        slot["actor"] = "somebody-else".into();
        slot
    };
    forge(&world, &slot(4), lie);
    world
        .run("history")
        .code(1)
        .says("BROKEN after 5 sound slots")
        .says("read slot 5 of the journal: corrupt");

    let world = moved();
    // The last slot that the ledger vouches for: no slot follows whose chain would break.
    let anchored = world.ledger()["journal"]["slots"].as_u64().unwrap();
    forge(&world, &slot(anchored - 1), lie);
    world.run("history").code(1).says("the ledger anchors");
}

#[test]
fn a_slot_that_was_taken_away_is_missed() {
    let world = moved();
    std::fs::remove_dir_all(folder(&world, 2)).unwrap();
    world.run("history").code(1).says("BROKEN after 2 sound slots").says("it is missing");
}

#[test]
fn nothing_goes_on_over_a_journal_that_was_forged_meanwhile() {
    let world = World::new();
    let mut moving = world.spawn("switchover --yes");
    world.wait_for_slots(4, &mut moving);
    moving.interrupt();
    world.finish(moving).code(4);
    forge(&world, &slot(1), |mut slot| {
        slot["records"] = serde_json::json!([]);
        slot
    });
    let slots = world.slots();
    world.run("resume").code(1).says("corrupt");
    world.run("abort").code(1).says("corrupt");
    world.run("status").code(1).says("corrupt");
    assert_eq!(world.slots(), slots, "nothing was appended");
}

#[test]
fn a_ledger_of_a_newer_version_is_let_alone() {
    let world = World::new();
    let ledger = CellName::try_from("demo/logs/ledger").unwrap();
    forge(&world, &ledger, |mut ledger| {
        ledger["format"] = 2.into();
        ledger
    });
    let before = world.cell("demo/logs/ledger");
    for line in ["switchover --yes", "init", "resume", "run --vantage ohio"] {
        let said = world.run(line).code(2).says("it has format 2, this program reads 1");
        said.says("use the version of mantissa-mr that wrote it, or a newer one");
    }
    world.run("status").code(1).says("it has format 2");
    assert_eq!(world.cell("demo/logs/ledger"), before, "it was let alone");
}
