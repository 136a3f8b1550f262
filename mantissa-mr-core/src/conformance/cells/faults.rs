//! Lost answers, lost and late requests, refusals: what a client makes of them, and whether it can be settled.

use super::races::whole;
use super::{CellFault, Context, Outcome, Stop, ensure};
use crate::cell::{CellName, CellVersion, Expected, StoreOutcome};
use crate::error::{Effect, ErrorKind};
use crate::register::{Patience, Swap, Swapped, swap};

impl Context {
    async fn inject(&self, fault: CellFault) -> Outcome {
        self.fixture.inject(fault).await.armed()
    }

    /// A cell with one value, and the expectation to swap it.
    async fn begun(&self, cell: &str) -> Outcome<(CellName, Expected)> {
        let name = self.name(cell)?;
        let version = self.applied(&name, &Expected::Absent, b"start").await?;
        Ok((name, Expected::Version(version)))
    }

    /// Settles a swap of this value as a controller would; it must turn out to be applied.
    async fn settled(&self, name: &CellName, expected: &Expected, value: &str) -> Outcome<CellVersion> {
        let wish = Swap::new(name.clone(), expected.clone(), value.as_bytes().to_vec(), whole)?;
        match swap(self.cells.as_ref(), wish, &Patience::default()).await? {
            Swapped::Applied { version } => Ok(version),
            Swapped::Lost(seen) => Err(Stop::Fail(format!("nobody else wrote, but it was lost to {seen:?}"))),
        }
    }

    async fn holds(&self, name: &CellName, value: &str, version: &CellVersion) -> Outcome {
        let cell = self.present(name).await?;
        let held = String::from_utf8_lossy(&cell.value);
        ensure!(
            held == value && cell.version == *version,
            "{name} holds `{held}` in state {:?}, not `{value}` in {version:?}",
            cell.version
        );
        Ok(())
    }
}

pub(super) async fn a_lost_answer_is_not_an_answer_and_can_be_settled(context: &Context) -> Outcome {
    for (cell, create) in [("lost-answer-created", true), ("lost-answer-swapped", false)] {
        let (name, expected) =
            if create { (context.name(cell)?, Expected::Absent) } else { context.begun(cell).await? };
        context.inject(CellFault::LoseAnswer).await?;
        let outcome = context.store(&name, &expected, b"mine").await?;
        ensure!(
            !matches!(outcome, StoreOutcome::Lost),
            "a store that was applied, and whose answer was lost, was called lost"
        );
        let cell = context.present(&name).await?;
        ensure!(cell.value == b"mine", "the fixture did not let the store take effect");
        if let StoreOutcome::Applied { version } = outcome {
            // A client that found out by itself must have found the truth.
            context.holds(&name, "mine", &version).await?;
        }
        // Settling sends nothing that could apply a second time.
        let version = context.settled(&name, &Expected::of(Some(&cell)), "next").await?;
        context.holds(&name, "next", &version).await?;
    }
    Ok(())
}

pub(super) async fn the_own_second_attempt_is_not_called_lost(context: &Context) -> Outcome {
    let (name, expected) = context.begun("second-attempt").await?;
    context.inject(CellFault::LoseAnswer).await?;
    let version = context.settled(&name, &expected, "mine").await?;
    context.holds(&name, "mine", &version).await
}

pub(super) async fn a_store_that_never_arrived_is_sent_again(context: &Context) -> Outcome {
    let (name, expected) = context.begun("dropped").await?;
    context.inject(CellFault::Drop).await?;
    let outcome = context.store(&name, &expected, b"probe").await?;
    ensure!(outcome != StoreOutcome::Lost, "a request that never arrived was called lost to another");
    let cell = context.present(&name).await?;
    context.inject(CellFault::Drop).await?;
    let version = context.settled(&name, &Expected::of(Some(&cell)), "mine").await?;
    context.holds(&name, "mine", &version).await
}

pub(super) async fn a_late_arrival_does_not_apply_once_it_was_settled(context: &Context) -> Outcome {
    let (name, expected) = context.begun("late-own").await?;
    context.inject(CellFault::Hold).await?;
    let version = context.settled(&name, &expected, "mine").await?;
    context.holds(&name, "mine", &version).await?;
    context.inject(CellFault::Release).await?;
    context.holds(&name, "mine", &version).await?;
    // And not onto what came after it.
    let version = context.applied(&name, &Expected::Version(version), b"next").await?;
    context.holds(&name, "next", &version).await
}

pub(super) async fn a_late_arrival_does_not_apply_behind_another_writer(context: &Context) -> Outcome {
    let (name, expected) = context.begun("late-behind").await?;
    context.inject(CellFault::Hold).await?;
    let outcome = context.store(&name, &expected, b"late").await?;
    ensure!(outcome != StoreOutcome::Lost, "a store that is still on its way was called lost");
    let now = context.present(&name).await?;
    let version = context.applied(&name, &Expected::of(Some(&now)), b"theirs").await?;
    // Back to the value that the late store expected, under another version.
    let version = context.applied(&name, &Expected::Version(version), b"start").await?;
    context.inject(CellFault::Release).await?;
    context.holds(&name, "start", &version).await
}

pub(super) async fn a_throttled_store_does_no_harm(context: &Context) -> Outcome {
    let (name, expected) = context.begun("throttled").await?;
    context.inject(CellFault::Throttle).await?;
    match context.cells.store(&name, &expected, b"mine").await {
        Ok(StoreOutcome::Lost) => return Err(Stop::Fail("a throttled store was called lost".to_owned())),
        Ok(_) => {}
        Err(error) => {
            ensure!(error.kind() == ErrorKind::Throttled, "it was called {error:#}");
            ensure!(error.effect() == Effect::None, "an error must mean that nothing was stored: {error:#}");
            let cell = context.present(&name).await?;
            ensure!(cell.value == b"start", "it was refused, and holds {:?}", cell.value);
        }
    }
    let cell = context.present(&name).await?;
    let version = context.settled(&name, &Expected::of(Some(&cell)), "next").await?;
    context.holds(&name, "next", &version).await
}
