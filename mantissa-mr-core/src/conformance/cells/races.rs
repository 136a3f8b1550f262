//! Several clients, and several tasks at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::{Context, Outcome, Stop, ensure};
use crate::cell::{Cell, CellName, CellStore, Expected};
use crate::ledger::Token;
use crate::register::{Patience, Swap, Swapped, swap};

/// The value is its token.
pub(super) fn whole(value: &[u8]) -> Option<Token> {
    std::str::from_utf8(value).ok().filter(|text| !text.is_empty()).map(|text| Token(text.to_owned()))
}

pub(super) async fn a_load_sees_every_store_that_was_applied_before(context: &Context) -> Outcome {
    let second = context.second()?;
    let name = context.name("read-elsewhere")?;
    let mut expected = Expected::Absent;
    for round in 0..32 {
        let value = format!("round {round}");
        // By turns, since a client may see its own stores sooner.
        let (writes, reads) =
            if round % 2 == 0 { (&context.cells, &second) } else { (&second, &context.cells) };
        let outcome = writes.store(&name, &expected, value.as_bytes()).await?;
        let read = reads.load(&name).await?;
        let seen = read.as_ref().map(|cell| String::from_utf8_lossy(&cell.value));
        ensure!(
            seen.as_deref() == Some(value.as_str()),
            "after `{value}` was {outcome:?}, the other client read {seen:?}"
        );
        expected = Expected::of(read.as_ref());
    }
    Ok(())
}

/// A number that only grows, read by tasks that know how far it was when they began to read.
pub(super) async fn loads_never_go_back(context: &Context) -> Outcome {
    let second = context.second()?;
    let name = context.name("never-back")?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for cells in [&context.cells, &context.cells, &second, &second] {
        let (cells, name) = (Arc::clone(cells), name.clone());
        let (acknowledged, done) = (Arc::clone(&acknowledged), Arc::clone(&done));
        readers.spawn(async move {
            let mut least = 0;
            while !done.load(Ordering::SeqCst) {
                least = acknowledged.load(Ordering::SeqCst).max(least);
                let read = number(cells.load(&name).await?.as_ref())?;
                ensure!(read >= least, "a load gave {read} although {least} had been stored or read before");
                least = read;
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    let mut expected = Expected::Absent;
    for next in 1..=40_u64 {
        match context.applied(&name, &expected, next.to_string().as_bytes()).await {
            Ok(version) => expected = Expected::Version(version),
            Err(stop) => {
                done.store(true, Ordering::SeqCst);
                return Err(stop);
            }
        }
        acknowledged.store(next, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    joined(readers).await.map(drop)
}

fn number(cell: Option<&Cell>) -> Outcome<u64> {
    let Some(cell) = cell else { return Ok(0) };
    let text = String::from_utf8_lossy(&cell.value);
    text.parse().map_err(|_| Stop::Fail(format!("the cell holds {text:?}, which nobody stored")))
}

pub(super) async fn racing_creators_have_one_winner(context: &Context) -> Outcome {
    for round in 0..8 {
        race(context, context.name(&format!("race-to-create-{round}"))?, Expected::Absent).await?;
    }
    Ok(())
}

pub(super) async fn racing_swaps_have_one_winner(context: &Context) -> Outcome {
    let name = context.name("race-to-swap")?;
    context.applied(&name, &Expected::Absent, b"start").await?;
    for _ in 0..8 {
        let expected = Expected::of(Some(&context.present(&name).await?));
        race(context, name.clone(), expected).await?;
    }
    Ok(())
}

/// Many writers that saw the same state: one of them, and what it wrote, wins.
async fn race(context: &Context, name: CellName, expected: Expected) -> Outcome {
    let second = context.fixture.second().ok();
    let mut writers = JoinSet::new();
    for writer in 0..12 {
        let other = second.as_ref().filter(|_| writer % 2 == 0);
        let cells = Arc::clone(other.unwrap_or(&context.cells));
        let value = format!("{expected:?} by {writer}");
        let wish = Swap::new(name.clone(), expected.clone(), value.clone().into_bytes(), whole)?;
        writers.spawn(async move {
            let swapped = swap(cells.as_ref(), wish, &Patience::default()).await?;
            Ok(matches!(swapped, Swapped::Applied { .. }).then_some(value))
        });
    }
    let winners: Vec<String> = joined(writers).await?.into_iter().flatten().collect();
    let held = context.present(&name).await?.value;
    let held = String::from_utf8_lossy(&held);
    ensure!(
        matches!(winners.as_slice(), [winner] if *winner == held),
        "{name} holds `{held}`, and these think that they won: {winners:?}"
    );
    Ok(())
}

const WRITERS: u64 = 4;
const INCREMENTS: u64 = 8;

/// Each task counts on from what it has just read; if two of them could swap the same state, a count would be missing.
pub(super) async fn no_increment_is_lost(context: &Context) -> Outcome {
    let name = context.name("counter")?;
    let second = context.fixture.second().ok();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let other = second.as_ref().filter(|_| writer % 2 == 0);
        let (cells, name) = (Arc::clone(other.unwrap_or(&context.cells)), name.clone());
        writers.spawn(async move {
            for round in 0..INCREMENTS {
                increment(cells.as_ref(), &name, &format!("{writer}.{round}")).await?;
            }
            Ok(())
        });
    }
    joined(writers).await?;
    let value = context.present(&name).await?.value;
    let count = counted(&value);
    ensure!(
        count == WRITERS * INCREMENTS,
        "{} increments were applied, {count} are left",
        WRITERS * INCREMENTS
    );
    Ok(())
}

/// The count is in the token: `<count> <who>`.
fn counted(value: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(value);
    text.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

async fn increment(cells: &dyn CellStore, name: &CellName, who: &str) -> Outcome {
    // Who loses has lost to somebody who has won since the load.
    for _ in 0..WRITERS * INCREMENTS {
        let cell = cells.load(name).await?;
        let count = cell.as_ref().map_or(0, |cell| counted(&cell.value));
        let value = format!("{} {who}", count + 1);
        let wish = Swap::new(name.clone(), Expected::of(cell.as_ref()), value.into_bytes(), whole)?;
        if let Swapped::Applied { .. } = swap(cells, wish, &Patience::default()).await? {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    Err(Stop::Fail("a writer lost more often than the others can have won".to_owned()))
}

async fn joined<T: Send + 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut results = Vec::new();
    while let Some(result) = tasks.join_next().await {
        results.push(result.map_err(|gone| Stop::Fail(format!("a task is gone: {gone}")))??);
    }
    Ok(results)
}
