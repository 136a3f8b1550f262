//! Appending to the journal on the memory cell, and reading a long one back with every hash checked.

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use mantissa_mr_core::cell::{CellStore, Expected, MemoryCells, StoreOutcome};
use mantissa_mr_core::deployment::{
    Deployment, DeploymentSpec, GroupSpec, Provider, RegionSpec, Strategy, TierChoice, WitnessSpec,
};
use mantissa_mr_core::journal::{Event, FORMAT, JournalHead, Reader, Record, Slot, SlotHash};
use mantissa_mr_core::ledger::{GroupCells, Term, Token};
use mantissa_mr_core::name::{ActorId, DeploymentName, GroupName, Region, StepId};

const ENTRIES: u64 = 10_000;

fn deployment() -> Deployment {
    let region = |name: &str| RegionSpec::new(Region::new(name).unwrap(), Provider::Simulated);
    let group = GroupSpec::new(GroupName::new("logs").unwrap(), TierChoice::Important);
    let spec = DeploymentSpec::new(
        DeploymentName::new("bench").unwrap(),
        Strategy::ActivePassive,
        region("east"),
        WitnessSpec::multi_region("memory"),
    );
    Deployment::new(spec.region(region("west")).group(group)).unwrap()
}

/// A slot with one record, as the controller writes it.
fn slot(head: &JournalHead) -> Vec<u8> {
    let event = Event::Failed {
        step: StepId::try_from("promote.logs-state".to_owned()).unwrap(),
        attempt: 1,
        error: "promote on logs-state in west: throttled: slow down".into(),
    };
    Slot {
        format: FORMAT,
        number: head.slots,
        previous: head.hash.clone(),
        term: Term(1),
        actor: ActorId::new("bench").unwrap(),
        records: vec![Record { at: Timestamp::UNIX_EPOCH, event }],
        writer: Token(format!("bench#{}", head.slots)),
    }
    .encode()
}

fn after(head: &JournalHead, bytes: &[u8]) -> JournalHead {
    JournalHead { slots: head.slots + 1, hash: SlotHash::of(bytes) }
}

fn append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let group = GroupName::new("logs").unwrap();
    let names = GroupCells::new(&deployment().spec().name, &group);
    let cells = MemoryCells::new();
    let mut head = JournalHead::genesis(&deployment().spec().name, &group);
    criterion.bench_function("journal: append one entry on the memory cell", |bencher| {
        bencher.iter(|| {
            let bytes = slot(&head);
            let name = names.journal(head.slots);
            let stored = runtime.block_on(cells.store(&name, &Expected::Absent, &bytes));
            assert!(matches!(stored, Ok(StoreOutcome::Applied { .. })));
            head = after(&head, &bytes);
        });
    });
}

fn replay(criterion: &mut Criterion) {
    let genesis = JournalHead::genesis(&deployment().spec().name, &GroupName::new("logs").unwrap());
    let mut head = genesis.clone();
    let mut slots = Vec::new();
    for _ in 0..ENTRIES {
        let bytes = slot(&head);
        head = after(&head, &bytes);
        slots.push(bytes);
    }
    criterion.bench_function("journal: replay 10,000 entries", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::new(genesis.clone(), head.clone());
            for bytes in &slots {
                assert!(reader.feed(Some(bytes)).unwrap().is_some());
            }
            assert!(reader.feed(None).unwrap().is_none());
        });
    });
}

criterion_group!(benches, append, replay);
criterion_main!(benches);
