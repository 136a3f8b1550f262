//! A stored plan (the first line), and the journal of its execution (the other lines), read as a command reads what is
//! under way.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::cell::{CellStore, Expected, MemoryCells};
use mantissa_mr_core::clock::SystemClock;
use mantissa_mr_core::deployment::{
    Deployment, DeploymentSpec, GroupSpec, Provider, RegionSpec, Strategy, TierChoice, WitnessSpec,
};
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::journal::{Event, JournalHead, Record, Slot};
use mantissa_mr_core::ledger::{GroupCells, Ledger, Outcome, Running, Token};
use mantissa_mr_core::name::{ActorId, ExecutionId, GroupName, Region};
use mantissa_mr_core::operator::{Operator, UnderWay};
use mantissa_mr_core::plan::{Move, Plan, PlanHash};
use mantissa_mr_core::report::Report;

use super::journal::Chain;
use super::json::{kept_whole, refused};

pub(crate) fn plan(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let plan = serde_json::from_slice::<Plan>(first);
    let chain = Chain::of(&lines.collect::<Vec<_>>());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    match runtime.block_on(under_way(first, plan.as_ref().ok(), &chain)) {
        Ok(Some(found)) => shown(found, first, &chain),
        Ok(None) => panic!("the ledger says that something is under way"),
        // A plan under another name than its hash, or none at all.
        Err(error) => refused(&error, &[ErrorKind::Corrupt]),
    }
}

/// Everything that a command shows of it.
fn shown(mut found: UnderWay, first: &[u8], chain: &Chain) {
    kept_whole(first, &found.plan.encode());
    let ids: Vec<_> = found.plan.steps.iter().map(|step| step.id.clone()).collect();
    for step in &found.plan.steps {
        assert!(!step.action.describe().is_empty());
    }
    let records = records(chain);
    let report = Report::new(&found.plan, found.running.id.clone(), Outcome::Finished, &records);
    assert!(!report.summary().is_empty());
    for id in &ids {
        // Whether it can be is the step's affair; the answer must come.
        let _ = found.can_skip(id, "because");
    }
    let _ = found.can_abort("because");
}

fn records(chain: &Chain) -> Vec<Record> {
    let slots = chain.slots.iter().map(|bytes| serde_json::from_slice::<Slot>(bytes).expect("a slot"));
    slots.flat_map(|slot| slot.records).collect()
}

/// What began last, by the journal.
fn began_last(chain: &Chain) -> ExecutionId {
    let began = records(chain).into_iter().rev().find_map(|record| match record.event {
        Event::Began { execution, .. } => Some(execution),
        _ => None,
    });
    began.unwrap_or_else(|| ExecutionId::new("it").expect("a name"))
}

static DEPLOYMENT: LazyLock<Arc<Deployment>> = LazyLock::new(|| {
    let name = |text: &'static str| Region::new(text).expect("a name");
    let mut spec = DeploymentSpec::new(
        "corpus".try_into().expect("a name"),
        Strategy::ActivePassive,
        RegionSpec::new(name("east"), Provider::Simulated),
        WitnessSpec::multi_region("memory"),
    );
    spec = spec.region(RegionSpec::new(name("west"), Provider::Simulated));
    let spec = spec.group(GroupSpec::new(group(), TierChoice::Important));
    Arc::new(Deployment::new(spec).expect("a sound deployment"))
});

fn group() -> GroupName {
    GroupName::new("logs").expect("a name")
}

async fn under_way(bytes: &[u8], plan: Option<&Plan>, chain: &Chain) -> Result<Option<UnderWay>> {
    let cells = MemoryCells::new();
    let names = GroupCells::new(&DEPLOYMENT.spec().name, &group());
    let mut ledger = Ledger::init(&DEPLOYMENT, &group(), Token("fuzzer#0".into()));
    let Some(plan) = plan else {
        // No such plan has a name of its own: whatever has its place in the cell must be refused.
        let name = "0".repeat(64).try_into().expect("a hash");
        cells.store(&names.plan(&name), &Expected::Absent, bytes).await?;
        ledger.execution = Some(running(began_last(chain), name, &ledger.journal));
        cells.store(&names.ledger(), &Expected::Absent, &ledger.encode()).await?;
        return operator(cells).under_way(&group()).await;
    };
    cells.store(&names.plan(&plan.hash()), &Expected::Absent, bytes).await?;
    for (number, slot) in (0..).zip(&chain.slots) {
        cells.store(&names.journal(number), &Expected::Absent, slot).await?;
    }
    ledger.execution = Some(running(began_last(chain), plan.hash(), &ledger.journal));
    ledger.journal = chain.head.clone();
    cells.store(&names.ledger(), &Expected::Absent, &ledger.encode()).await?;
    operator(cells).under_way(&group()).await
}

fn running(id: ExecutionId, plan: PlanHash, journal: &JournalHead) -> Running {
    Running {
        id,
        plan,
        kind: Move::Switchover,
        region: Region::new("west").expect("a name"),
        journal_from: journal.clone(),
        began: Timestamp::UNIX_EPOCH,
        paused: None,
    }
}

fn operator(cells: MemoryCells) -> Operator {
    let actor = ActorId::new("fuzzer").expect("a name");
    let backend = Backend::new(Arc::new(cells));
    Operator::new(DEPLOYMENT.clone(), backend, Arc::new(SystemClock), actor).expect("nothing is unserved")
}
