//! A service and a person's move in a simulated world whose stores hold secrets, and whose notifiers and hooks know some.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use mantissa_mr_core::backend::Backend;
use mantissa_mr_core::cell::{CellName, CellStore, MemoryCells};
use mantissa_mr_core::clock::{Clock, Moment};
use mantissa_mr_core::controller::{Ending, Mandate};
use mantissa_mr_core::deployment::{Deployment, Strategy};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::{GroupCells, Outcome};
use mantissa_mr_core::multi_region::{MultiRegion, log};
use mantissa_mr_core::name::{ActorId, GroupName, Region, ResourceName, VantageName};
use mantissa_mr_core::notify::{Hook, HookAnswer, HookQuestion, Notice, Notifier};
use mantissa_mr_core::operator::Operator;
use mantissa_mr_core::plan::{Move, MoveRequest};
use mantissa_mr_core::sim::adapters::SharedWorld;
use mantissa_mr_core::sim::{Climate, World, deployment};
use mantissa_mr_core::store::{Key, Precondition, PutItem};
use tokio::time::Instant;

use super::log::{Log, SECRET, clean};

/// What a person typed. It is evidence, and no secret.
const REASON: &str = "ticket 4711, ordered by the duty officer";

/// The paused runtime's clock.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn moment(&self) -> Moment {
        Moment::START + Duration::from_secs(1) + self.0.elapsed()
    }

    fn wall(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.0.elapsed()).unwrap_or_default();
        Timestamp::from_second(1_800_000_000).and_then(|begin| begin.checked_add(since)).unwrap_or_default()
    }
}

/// Posts to a webhook, whose address is a secret. It prints that itself if one asks it to.
#[derive(Debug, Default)]
struct Webhook {
    #[expect(dead_code, reason = "only printed")]
    address: String,
    notices: Mutex<Vec<Notice>>,
}

impl Webhook {
    fn new() -> Self {
        Self { address: format!("https://hooks.example.com/{SECRET}"), ..Self::default() }
    }

    fn all(&self) -> String {
        format!("{:?}", self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn notify(&self, notice: &Notice) -> Result<()> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice.clone());
        Err(Error::new(ErrorKind::Unavailable, "post a notice", "the webhook answered 503"))
    }
}

#[async_trait]
impl Hook for Webhook {
    async fn before(&self, _question: &HookQuestion) -> Result<HookAnswer> {
        Ok(HookAnswer::Allow)
    }
}

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

struct Stage {
    deployment: Deployment,
    group: GroupName,
    cells: MemoryCells,
    backend: Backend,
    webhook: Arc<Webhook>,
    clock: Arc<Paused>,
}

impl Stage {
    fn new() -> Self {
        let deployment = deployment(2, Strategy::ActivePassive).unwrap();
        let world = SharedWorld::new(World::new(&deployment, 1, Climate::CALM).unwrap());
        let (cells, webhook) = (MemoryCells::new(), Arc::new(Webhook::new()));
        let mut backend = Backend { cells: Arc::new(cells.clone()), ..world.backend() };
        backend.notifiers.push(webhook.clone());
        backend.hooks.push(webhook.clone());
        let group = deployment.spec().groups[0].name.clone();
        Self { deployment, group, cells, backend, webhook, clock: Arc::new(Paused(Instant::now())) }
    }

    fn operator(&self) -> Operator {
        let actor = ActorId::new("person").unwrap();
        Operator::new(Arc::new(self.deployment.clone()), self.backend.clone(), self.clock.clone(), actor)
            .unwrap()
    }

    async fn service(&self, name: &str) -> MultiRegion {
        let builder = MultiRegion::builder(self.deployment.clone())
            .backend(self.backend.clone())
            .clock(self.clock.clone())
            .actor(ActorId::new(&format!("service-{name}")).unwrap())
            .vantage(VantageName::new(name).unwrap())
            .local_region(region(name));
        clean("a builder's {:?}", &format!("{builder:?}"));
        builder.start().await.unwrap()
    }

    /// A customer's item, with a customer's secret in its key and its content.
    async fn write(&self, service: &MultiRegion) {
        let store = &self.backend.stores[&ResourceName::new("logs-state").unwrap()];
        let gate = service.gate().unwrap();
        gate.opened().await.unwrap();
        let item = |epoch| PutItem {
            key: Key::new(format!("customer/{SECRET}")),
            value: format!("password = {SECRET}").into_bytes(),
            epoch: Some(epoch),
        };
        let east = region("east");
        gate.write(|epoch| store.put(&east, item(epoch), Precondition::None)).await.unwrap();
    }

    /// Everything that the cells hold.
    async fn cells(&self) -> String {
        let names = GroupCells::new(&self.deployment.spec().name, &self.group);
        let ledger = self.operator().ledger(&self.group).await.unwrap().unwrap();
        let journal = (0..ledger.journal.slots).map(|slot| names.journal(slot));
        let history = self.operator().history(&self.group).await.unwrap();
        assert_eq!(history.broken, None);
        let plans =
            history.slots.iter().flat_map(|slot| &slot.records).filter_map(|record| match &record.event {
                mantissa_mr_core::journal::Event::Began { plan, .. } => Some(names.plan(plan)),
                _ => None,
            });
        let votes = self.deployment.spec().vantages.iter().map(|vantage| names.vantage(&vantage.name));
        let all: Vec<CellName> = journal.chain(plans).chain(votes).chain([names.ledger()]).collect();
        assert!(all.len() > 8, "{all:?}");
        let mut text = String::new();
        for cell in all {
            let found = self.cells.load(&cell).await.unwrap();
            text += &String::from_utf8(found.map(|cell| cell.value).unwrap_or_default()).unwrap();
        }
        text
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_repeats_nothing_that_the_stores_hold_or_that_notifiers_and_hooks_know() {
    let (heard, _listening) = Log::listen();
    let stage = Stage::new();
    let operator = stage.operator();
    let done = operator.init(false).await.unwrap().join("\n");
    let (east, west) = (stage.service("east").await, stage.service("west").await);
    stage.write(&east).await;
    tokio::time::sleep(Duration::from_secs(60)).await;

    let request = MoveRequest {
        kind: Move::Switchover,
        from: None,
        to: Some(region("west")),
        drill: false,
        waivers: Vec::new(),
        why: REASON.into(),
    };
    let plan = operator.plan(&stage.group, &request).await.unwrap();
    let mandate = Mandate::Carry(Arc::new(plan.clone()));
    let mut news = Vec::new();
    let watch = |told: &[mantissa_mr_core::controller::News], _: &_| {
        told.iter().for_each(log);
        news.extend_from_slice(told);
    };
    let ending = operator.carry_out(&stage.group, mandate, watch, std::future::pending()).await.unwrap();
    let finished = matches!(&ending, Some(Ending::Ended { outcome: Outcome::Finished, .. }));
    assert!(finished, "{ending:?}\n{news:?}");
    let status = operator.status(&stage.group).await.unwrap();

    let (cells, notices, logged) = (stage.cells().await, stage.webhook.all(), heard.text());
    clean("what init did", &done);
    clean(
        "what {:?} prints",
        &format!("{operator:?} {:?} {east:?} {west:?} {plan:?} {status:?} {news:?}", stage.backend),
    );
    clean("the ledger, the plans or the journal", &cells);
    clean("a notice", &notices);
    clean("the log", &logged);
    // All of this was looked at, and says what it is there to say.
    assert!(format!("{:?}", stage.webhook).contains(SECRET), "its own form would tell");
    assert!(
        logged.contains("the write gate opened") && logged.contains("a notice was not delivered"),
        "{logged}"
    );
    for (what, text) in [("cells", &cells), ("notices", &notices), ("log", &logged)] {
        assert!(text.contains("switchover"), "the {what} say nothing of the move: {text}");
    }
    for (what, text) in [("cells", &cells), ("log", &logged)] {
        assert!(text.contains(REASON), "a person's reason is evidence, and not in the {what}");
    }
    east.shutdown(Duration::from_secs(1)).await;
    west.shutdown(Duration::from_secs(1)).await;
}
