//! Somebody who can write the cells changes the journal or the ledger while a move is under way: whoever takes over
//! finds it, says so, and does nothing more.

use std::sync::Arc;

use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::cell::{CellName, Expected};
use mantissa_mr_core::controller::{Happening, Mandate};
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::journal::{JournalHead, Slot, SlotHash};
use mantissa_mr_core::ledger::{GroupCells, Ledger, Term};
use mantissa_mr_core::name::{ActorId, GroupName};
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::{Fault, Place, SimClock};

use super::stage::{Turn, group, region};

fn cells(turn: &Turn) -> GroupCells {
    GroupCells::new(&turn.cast.deployment.spec().name, &group())
}

/// Writes a cell as somebody does who has the credentials of the witness.
fn write(turn: &mut Turn, cell: CellName, value: Vec<u8>) {
    let at = turn.simulation.now();
    let world = turn.simulation.world_mut();
    let load = Call::Load { cell: cell.clone() };
    let Reply::Load(Ok(found)) = world.perform(at, &Place::Operator, &load) else { panic!("no answer") };
    let store = Call::Store { cell, expected: Expected::of(found.as_ref()), value };
    let Reply::Store(Ok(_)) = world.perform(at, &Place::Operator, &store) else { panic!("not stored") };
}

fn slots(turn: &Turn) -> Vec<Vec<u8>> {
    let slot = |number| turn.simulation.world().cell(&cells(turn).journal(number)).map(<[u8]>::to_vec);
    (0..).map_while(slot).collect()
}

fn trouble(turn: &Turn, text: &str) -> usize {
    let board = turn.cast.board.borrow();
    let said = |what: &Happening| matches!(what, Happening::Trouble(said) if said.contains(text));
    board.iter().filter(|(_, news)| said(&news.what)).count()
}

/// A move has begun, and who began it is gone.
fn begun() -> Turn {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
    turn.order(Move::Switchover, "west", false);
    turn
}

/// The same a little later: its first steps are in the journal.
fn halfway() -> Turn {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
    let plan = turn.person.plan(
        &mut turn.simulation,
        &turn.cast,
        &group(),
        Move::Switchover,
        Some(&region("west")),
        false,
    );
    let mandate = Mandate::Carry(Arc::new(plan.unwrap()));
    let command = turn.cast.command("move", &group(), mandate, SimClock::exact());
    let process = turn.simulation.spawn(command);
    turn.until("its first steps are journaled", |turn| slots(turn).len() > from(turn) + 3);
    turn.fault(Fault::Crash { process, back_after: None });
    turn
}

/// The number of the first slot of what is under way.
fn from(turn: &Turn) -> usize {
    turn.ledger().execution.map_or(usize::MAX - 3, |running| running.journal_from.slots as usize)
}

/// Lets the controllers try, and sees that none of them carried anything out; people were told why.
fn nobody_acts(mut turn: Turn, text: &str) {
    let Ledger { generation, admissions, .. } = turn.ledger();
    let steps = slots(&turn).len();
    turn.pass(300);
    let ledger = turn.ledger();
    assert!(ledger.execution.is_some() && ledger.generation == generation, "{ledger:?}");
    assert_eq!(ledger.admissions, admissions, "the gates stay as they were");
    assert_eq!(slots(&turn).len(), steps, "nobody writes on");
    assert!(turn.told(text) > 0, "people are told");
    // Each of the controllers looks once and stops.
    let controllers = turn.cast.deployment.spec().vantages.len();
    assert!((1..=controllers).contains(&trouble(&turn, text)), "{} times", trouble(&turn, text));
}

#[test]
fn what_is_under_way_is_carried_out_if_nobody_tampers() {
    let mut turn = begun();
    turn.pass(300);
    assert_eq!(turn.ledger().execution, None);
    turn.serves("west");
}

#[test]
fn a_slot_that_was_changed() {
    let mut turn = halfway();
    let number = from(&turn);
    let mut bytes = slots(&turn)[number].clone();
    let at = bytes.windows(6).position(|part| part == b"\"why\":").expect("it says why it began");
    bytes[at + 8] ^= 1;
    let cell = cells(&turn).journal(number as u64);
    write(&mut turn, cell, bytes);
    nobody_acts(turn, "the journal: corrupt: it follows");
}

/// The slot that would follow, as somebody forges it who knows how the chain is made.
fn forged(turn: &Turn, term: Term) -> (u64, Vec<u8>) {
    let slots = slots(turn);
    let last = slots.last().unwrap();
    let mut slot: Slot = serde_json::from_slice(last).unwrap();
    let head = JournalHead { slots: slots.len() as u64, hash: SlotHash::of(last) };
    (slot.number, slot.previous, slot.term) = (head.slots, head.hash.clone(), term);
    slot.actor = ActorId::new("mallory").unwrap();
    assert!(Slot::decode(&slot.encode(), &head).is_ok(), "the chain alone does not give it away");
    (head.slots, slot.encode())
}

#[test]
fn a_slot_forged_past_the_anchor_under_a_term_that_the_ledger_never_gave() {
    let mut turn = begun();
    let (number, bytes) = forged(&turn, Term(1_000));
    let cell = cells(&turn).journal(number);
    write(&mut turn, cell, bytes);
    nobody_acts(turn, "its term is 1000, and the ledger has given none after");
}

#[test]
fn a_slot_forged_under_a_term_that_is_over() {
    let mut turn = halfway();
    let (number, bytes) = forged(&turn, Term(0));
    let cell = cells(&turn).journal(number);
    write(&mut turn, cell, bytes);
    nobody_acts(turn, "its term 0 follows term");
}

#[test]
fn the_ledger_of_another_group_in_the_place_of_this_ones() {
    let mut turn = begun();
    let before = slots(&turn).len();
    let copied = Ledger { group: GroupName::new("other").unwrap(), ..turn.ledger() };
    let cell = cells(&turn).ledger();
    write(&mut turn, cell, copied.encode());
    turn.pass(300);
    assert_eq!(turn.ledger(), copied, "nobody writes into it");
    assert_eq!(slots(&turn).len(), before);
    assert!(trouble(&turn, "it is the ledger of group other") > 0);
}
