//! What a person's command reads of a journal that somebody tampered with: the part that is sound, and why the rest is
//! not. Never a part without a word.

use std::sync::Arc;

use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::cell::{CellStore, Expected, MemoryCells};
use mantissa_mr_core::clock::SystemClock;
use mantissa_mr_core::deployment::{Deployment, Strategy};
use mantissa_mr_core::error::{Error, ErrorKind};
use mantissa_mr_core::journal::{JournalHead, Slot, SlotHash};
use mantissa_mr_core::ledger::{GroupCells, Ledger, Term};
use mantissa_mr_core::name::{ActorId, DeploymentName, GroupName};
use mantissa_mr_core::operator::{History, Operator};
use mantissa_mr_core::sim::adapters::SharedWorld;
use mantissa_mr_core::sim::{Settings, World};

use super::stage::{Stage, Turn, group};

/// What the cells of a group hold.
#[derive(Clone)]
struct Kept {
    deployment: Arc<Deployment>,
    ledger: Ledger,
    slots: Vec<Vec<u8>>,
    plan: Vec<u8>,
}

/// The cells in the midst of a move.
fn kept() -> Kept {
    let mut turn = Turn::new(1, Strategy::ActivePassive, |_| {});
    turn.switchover(Stage::Promoted);
    let cells = GroupCells::new(&turn.cast.deployment.spec().name, &group());
    let slot = |number| turn.simulation.world().cell(&cells.journal(number)).map(<[u8]>::to_vec);
    let slots: Vec<_> = (0..).map_while(slot).collect();
    let ledger = turn.ledger();
    let plan = cells.plan(&ledger.execution.as_ref().unwrap().plan);
    let plan = turn.simulation.world().cell(&plan).unwrap().to_vec();
    let kept = Kept { deployment: turn.cast.deployment.clone(), ledger, slots, plan };
    assert!(kept.anchored() > 8 && kept.ledger.lease.term > Term(1), "{:?}", kept.ledger);
    kept
}

impl Kept {
    fn anchored(&self) -> usize {
        self.ledger.journal.slots as usize
    }

    /// A head behind so many slots.
    fn head(&self, slots: usize) -> JournalHead {
        let genesis = JournalHead::genesis(&self.deployment.spec().name, &group());
        let last = self.slots[..slots].last();
        last.map_or(genesis, |last| JournalHead { slots: slots as u64, hash: SlotHash::of(last) })
    }

    /// The slots from this one on in a chain of their own, with each changed a little: nothing in them tells.
    fn rewritten(&self, from: usize) -> Vec<Vec<u8>> {
        let mut new = Self { slots: self.slots[..from].to_vec(), ..self.clone() };
        for (number, bytes) in self.slots.iter().enumerate().skip(from) {
            let mut slot: Slot = serde_json::from_slice(bytes).unwrap();
            slot.actor = ActorId::new("mallory").unwrap();
            slot.previous = new.head(number).hash;
            new.slots.push(slot.encode());
        }
        new.slots
    }

    async fn operator(&self) -> Operator {
        let cells = MemoryCells::new();
        let names = GroupCells::new(&self.deployment.spec().name, &group());
        cells.store(&names.ledger(), &Expected::Absent, &self.ledger.encode()).await.unwrap();
        if let Some(running) = &self.ledger.execution {
            cells.store(&names.plan(&running.plan), &Expected::Absent, &self.plan).await.unwrap();
        }
        for (number, slot) in self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_empty()) {
            cells.store(&names.journal(number as u64), &Expected::Absent, slot).await.unwrap();
        }
        let world = World::new(&self.deployment, 1, Settings::CALM.climate).unwrap();
        let backend = Backend { cells: Arc::new(cells), ..SharedWorld::new(world).backend() };
        let actor = ActorId::new("person").unwrap();
        Operator::new(self.deployment.clone(), backend, Arc::new(SystemClock), actor).unwrap()
    }

    async fn history(&self) -> Result<History, Error> {
        self.operator().await.history(&group()).await
    }
}

/// Sees that exactly the slots before this one are called sound, and that it is said which one is not, and why.
async fn broken_at(kept: &Kept, number: usize, why: &str) {
    let history = kept.history().await.unwrap();
    let broken = history.broken.unwrap_or_else(|| panic!("nothing was found; expected at {number}: {why}"));
    let said = broken.to_string();
    assert_eq!(broken.kind(), ErrorKind::Corrupt, "{said}");
    assert!(said.starts_with(&format!("read slot {number} of the journal: corrupt: ")), "{said}");
    assert!(said.contains(why), "{said}");
    let sound: Vec<_> = history.slots.iter().map(Slot::encode).collect();
    assert_eq!(sound, kept.slots[..number], "the slots before are sound");
}

#[tokio::test]
async fn nothing_is_found_where_nobody_tampered() {
    let kept = kept();
    let history = kept.history().await.unwrap();
    assert_eq!(history.broken, None);
    assert_eq!((history.slots.len(), history.anchored), (kept.slots.len(), kept.anchored() as u64));
}

#[tokio::test]
async fn every_slot_that_is_anchored_edited_or_taken_out_or_put_elsewhere() {
    let sound = kept();
    for number in 0..sound.anchored() {
        let mut edited = sound.clone();
        let text = String::from_utf8(edited.slots[number].clone()).unwrap();
        // Still a slot, of the same length: only its hash tells.
        edited.slots[number] = text.replacen("\"at\":\"2026-", "\"at\":\"2025-", 1).into_bytes();
        let last = number + 1 == sound.anchored();
        let (at, why) = if last { (number, "the ledger anchors") } else { (number + 1, "it follows") };
        broken_at(&edited, at, why).await;

        let mut removed = sound.clone();
        removed.slots.remove(number);
        let renumbered = format!("it says that it is slot {}", number + 1);
        let why = if number + 1 < sound.slots.len() { renumbered.as_str() } else { "it is missing" };
        broken_at(&removed, number, why).await;

        let mut gap = sound.clone();
        gap.slots[number].clear();
        broken_at(&gap, number, &format!("it is missing, and the ledger anchors {} slots", sound.anchored()))
            .await;

        if number > 0 {
            let mut swapped = sound.clone();
            swapped.slots.swap(number - 1, number);
            broken_at(&swapped, number - 1, &format!("it says that it is slot {number}")).await;
        }
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_no_end() {
    let sound = kept();
    for left in 0..sound.anchored() {
        let mut cut = sound.clone();
        cut.slots.truncate(left);
        broken_at(&cut, left, &format!("it is missing, and the ledger anchors {} slots", sound.anchored()))
            .await;
    }
}

#[tokio::test]
async fn history_that_was_rewritten_with_a_sound_chain_does_not_fit_the_anchor() {
    let sound = kept();
    for from in 0..sound.anchored() {
        let forged = Kept { slots: sound.rewritten(from), ..sound.clone() };
        let history = forged.history().await.unwrap();
        let said = history.broken.map(|error| error.to_string()).unwrap_or_default();
        let anchor = format!("read slot {} of the journal: corrupt: its hash is", sound.anchored() - 1);
        assert!(said.starts_with(&anchor) && said.contains("the ledger anchors"), "{said}");
    }
}

#[tokio::test]
async fn a_forged_slot_past_the_anchor_of_a_term_that_is_over_or_was_never_given() {
    let sound = kept();
    let number = sound.slots.len();
    for (term, why) in
        [(0, "its term 0 follows term"), (99, "its term is 99, and the ledger has given none after")]
    {
        let mut forged = sound.clone();
        let mut slot: Slot = serde_json::from_slice(sound.slots.last().unwrap()).unwrap();
        let head = sound.head(number);
        (slot.number, slot.previous, slot.term) = (head.slots, head.hash, Term(term));
        forged.slots.push(slot.encode());
        broken_at(&forged, number, why).await;
    }
    // One that was written for another place does not follow.
    let mut repeated = sound.clone();
    repeated.slots.push(sound.slots[number - 1].clone());
    broken_at(&repeated, number, &format!("it says that it is slot {}", number - 1)).await;
}

#[tokio::test]
async fn the_journal_of_another_group_or_deployment_is_not_this_ones() {
    let sound = kept();
    let spec = sound.deployment.spec();
    let others = [
        JournalHead::genesis(&DeploymentName::new("other").unwrap(), &group()),
        JournalHead::genesis(&spec.name, &GroupName::new("other").unwrap()),
    ];
    for genesis in others {
        let mut copied = sound.clone();
        copied.slots.clear();
        let mut head = genesis;
        for bytes in &sound.slots {
            let mut slot: Slot = serde_json::from_slice(bytes).unwrap();
            slot.previous = head.hash;
            let bytes = slot.encode();
            head = JournalHead { slots: head.slots + 1, hash: SlotHash::of(&bytes) };
            copied.slots.push(bytes);
        }
        broken_at(&copied, 0, "it follows").await;
        // Also where the ledger is new and anchors nothing yet.
        copied.ledger.journal = JournalHead::genesis(&spec.name, &group());
        broken_at(&copied, 0, "it follows").await;
    }
}

#[tokio::test]
async fn a_ledger_that_was_set_back_or_copied_is_found_by_the_slots_behind_it_or_by_what_it_says() {
    let sound = kept();
    // Set back to an older anchor and term, with the slots that it anchored and those after them.
    let mut set_back = sound.clone();
    set_back.ledger.journal = sound.head(1);
    set_back.ledger.lease.term = Term(1);
    let first = |kept: &Kept| {
        let slots = kept.slots.iter().map(|bytes| serde_json::from_slice::<Slot>(bytes).unwrap());
        slots.take_while(|slot| slot.term <= Term(1)).count()
    };
    broken_at(&set_back, first(&sound), "and the ledger has given none after 1").await;
    // A stale anchor does not make rewritten slots fit.
    set_back.slots = sound.rewritten(0);
    broken_at_anchor(&set_back).await;

    let mut other = sound.clone();
    other.ledger.group = GroupName::new("other").unwrap();
    let error = other.history().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("it is the ledger of group other"), "{error}");
    let error = other.operator().await.under_way(&group()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

async fn broken_at_anchor(kept: &Kept) {
    let said = kept.history().await.unwrap().broken.map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("the ledger anchors"), "{said}");
}

#[tokio::test]
async fn what_is_under_way_is_not_shown_from_a_plan_or_a_journal_that_is_not_sound() {
    let sound = kept();
    let found = sound.operator().await.under_way(&group()).await.unwrap().expect("a move");
    assert!(!found.steps.is_empty());
    let from = sound.ledger.execution.as_ref().unwrap().journal_from.slots as usize;
    assert!(from + 3 < sound.anchored());
    for number in from..sound.anchored() {
        let mut cut = sound.clone();
        cut.slots.truncate(number);
        let error = cut.operator().await.under_way(&group()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().starts_with(&format!("read slot {number} of the journal")), "{error}");
    }
    let mut other = sound.clone();
    other.plan = String::from_utf8(sound.plan.clone()).unwrap().replacen("west", "east", 1).into_bytes();
    let error = other.operator().await.under_way(&group()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("its hash is another"), "{error}");
}
