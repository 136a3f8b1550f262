//! Cells: one fixture for both kinds.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::cell::CellStore;
use mantissa_mr_core::conformance::cells::{self, CellFault, CellFixture};
use mantissa_mr_core::conformance::{Injection, RunId};
use test_support::{Action, Emulator, Exchange, Match, or_skip};

use super::Bench;
use crate::s3_cells::{self, is_cell};
use crate::world::{World, deployment};

#[async_trait]
impl CellFixture for Bench<dyn CellStore> {
    fn cells(&self) -> Arc<dyn CellStore> {
        self.subject.clone()
    }

    fn second(&self) -> Result<Arc<dyn CellStore>, String> {
        self.second.clone().ok_or_else(|| "none was made".to_owned())
    }

    async fn inject(&self, fault: CellFault) -> Injection {
        // Of a table, or of a bucket.
        let put = Match::any().only(|put| put.operation == "PutItem" || is_cell(put));
        let (status, throttled) = match self.subject.durability().place.starts_with("S3") {
            true => (503, "<Error><Code>SlowDown</Code><Message>slower</Message></Error>"),
            false => (400, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#),
        };
        match fault {
            CellFault::LoseAnswer => self.once(put, Action::DropAfter),
            CellFault::Drop => self.once(put, Action::DropBefore),
            CellFault::Throttle => self.once(put, Action::answer(status, throttled)),
            CellFault::Hold => {
                let (release, released) = channel();
                *self.held.lock().unwrap() = Some(release);
                let released = Mutex::new(released);
                let wait = move |_: &Exchange| {
                    let _ = released.lock().unwrap().recv();
                };
                self.once(put, Action::before(wait))
            }
            CellFault::Release => {
                self.held.lock().unwrap().take();
                // It has arrived when upstream has answered it.
                let is_late = |put: &Exchange| put.fault == Some("hook before") && put.upstream.is_none();
                while self.world.proxy.log_of(&put).iter().any(is_late) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Injection::Armed
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dynamodb_cells_conform() {
    let emulator = or_skip!(Emulator::shared());
    conform(World::new(emulator), &deployment("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_cells_conform() {
    let emulator = or_skip!(Emulator::shared());
    let world = World::new(emulator);
    let text = s3_cells::deployment(&world);
    conform(world, &text).await;
}

async fn conform(world: World, text: &str) {
    // A held back request is given up after this long.
    let text = text.replace("\"60s\"", "\"10s\"");
    let connected = world.connect(&text).await;
    connected.init(false).await.unwrap();
    let second = world.connect(&text).await.cells.clone();
    let bench = Bench { second: Some(second), ..Bench::new(world, connected.cells.clone()) };
    let report = cells::suite(Arc::new(bench), &RunId::new("run").unwrap()).await;
    report.assert_passed_with_skips(&[]);
}
