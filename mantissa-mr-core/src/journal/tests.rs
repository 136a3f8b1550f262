//! A journal that was cut, changed or forged is found, never silently read as far as it goes.

use super::*;
use crate::error::ErrorKind;

fn deployment() -> DeploymentName {
    DeploymentName::new("test").unwrap()
}

fn group() -> GroupName {
    GroupName::new("logs").unwrap()
}

fn slot(head: &JournalHead, term: u64) -> Vec<u8> {
    Slot {
        format: FORMAT,
        number: head.slots,
        previous: head.hash.clone(),
        term: Term(term),
        actor: ActorId::new("x").unwrap(),
        records: vec![Record { at: Timestamp::UNIX_EPOCH, event: Event::TookOver }],
        writer: Token(format!("x#{}", head.slots)),
    }
    .encode()
}

fn after(head: &JournalHead, bytes: &[u8]) -> JournalHead {
    JournalHead { slots: head.slots + 1, hash: SlotHash::of(bytes) }
}

/// Slots with these terms, and the head behind each.
fn journal(terms: &[u64]) -> (Vec<Vec<u8>>, Vec<JournalHead>) {
    let mut heads = vec![JournalHead::genesis(&deployment(), &group())];
    let mut slots = Vec::new();
    for term in terms {
        let head = heads.last().unwrap();
        let bytes = slot(head, *term);
        heads.push(after(head, &bytes));
        slots.push(bytes);
    }
    (slots, heads)
}

fn read(slots: &[Vec<u8>], anchor: &JournalHead) -> Result<u64> {
    let mut reader = Reader::new(JournalHead::genesis(&deployment(), &group()), anchor.clone());
    for bytes in slots {
        reader.feed(Some(bytes))?;
    }
    reader.feed(None)?;
    Ok(reader.head().slots)
}

#[test]
fn a_whole_journal_is_read_to_its_end_past_the_anchor_too() {
    let (slots, heads) = journal(&[1, 1, 2, 2]);
    for anchor in &heads {
        assert_eq!(read(&slots, anchor).unwrap(), 4);
    }
}

#[test]
fn a_slot_missing_before_the_anchor_is_no_end() {
    let (slots, heads) = journal(&[1, 1, 2]);
    let error = read(&slots[..2], &heads[3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("it is missing, and the ledger anchors 3 slots"), "{error}");
    assert_eq!(read(&slots[..2], &heads[2]).unwrap(), 2, "behind the anchor it is the end");
}

#[test]
fn a_slot_changed_anywhere_breaks_the_chain_or_the_anchor() {
    let (slots, heads) = journal(&[1, 1, 2]);
    for number in 0..slots.len() {
        for byte in 0..slots[number].len() {
            let mut forged = slots.clone();
            forged[number][byte] ^= 1;
            let result = read(&forged, heads.last().unwrap());
            assert_eq!(
                result.map_err(|error| error.kind()),
                Err(ErrorKind::Corrupt),
                "slot {number}, byte {byte}"
            );
        }
    }
}

#[test]
fn a_forged_journal_with_a_chain_of_its_own_does_not_fit_the_anchor() {
    let (_, heads) = journal(&[1, 1, 2]);
    let (forged, _) = journal(&[1, 2, 2]);
    let error = read(&forged, heads.last().unwrap()).unwrap_err();
    assert!(error.to_string().contains("the ledger anchors"), "{error}");
}

#[test]
fn a_record_of_an_earlier_term_after_a_later_one_is_a_forgery() {
    let (slots, heads) = journal(&[1, 3, 2]);
    let error = read(&slots, &heads[0]).unwrap_err();
    assert!(error.to_string().contains("its term 2 follows term 3"), "{error}");
}

#[test]
fn slots_of_another_group_or_deployment_do_not_fit_where_nothing_is_anchored_yet() {
    let (slots, _) = journal(&[1]);
    let other = |name: &str| (DeploymentName::new(name).unwrap(), GroupName::new(name).unwrap());
    for (deployment, group) in [(deployment(), other("other").1), (other("other").0, group())] {
        let genesis = JournalHead::genesis(&deployment, &group);
        let mut reader = Reader::new(genesis.clone(), genesis);
        let error = reader.feed(Some(&slots[0])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("slot 0 of the journal: corrupt: it follows"), "{error}");
    }
}
