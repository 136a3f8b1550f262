//! What every [`CellStore`] must do.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Fixture, Injection, Outcome, Report, RunId, Stop, cases, ensure};
use crate::cell::{Cell, CellName, CellStore, CellVersion, Expected, StoreOutcome};
use crate::error::Effect;

mod basics;
mod faults;
mod faulty;
mod model;
mod races;

pub use faulty::FaultyCells;
pub use model::{Guess, Op, check_against_model};

/// Hands out cells, and breaks the way to them on request.
#[async_trait]
pub trait CellFixture: Fixture {
    /// The cells.
    fn cells(&self) -> Arc<dyn CellStore>;

    /// The same cells through another client that shares as little as possible with the first, as another process
    /// would have it; else why there is none.
    fn second(&self) -> Result<Arc<dyn CellStore>, String>;

    /// Breaks the way from [`cells`](Self::cells) to the storage. Inject as close to the storage as you can, at best
    /// on the wire: what the client itself does about it, such as sending again, is what is being tested.
    async fn inject(&self, fault: CellFault) -> Injection;
}

/// What can go wrong on the way of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellFault {
    /// The next store's first request takes effect; its answer never comes back.
    LoseAnswer,
    /// The next store's first request never arrives, nor does any answer.
    Drop,
    /// The next store's first request is held back on its way, and is given no answer, until `Release`.
    Hold,
    /// What was held back arrives now.
    Release,
    /// The storage refuses the next store's first request because there were too many.
    Throttle,
}

/// The cases that need a [`CellFault`]: the skips of a fixture that can inject none.
pub const FAULT_CASES: &[&str] = &[
    "a_lost_answer_is_not_an_answer_and_can_be_settled",
    "the_own_second_attempt_is_not_called_lost",
    "a_store_that_never_arrived_is_sent_again",
    "a_late_arrival_does_not_apply_once_it_was_settled",
    "a_late_arrival_does_not_apply_behind_another_writer",
    "a_throttled_store_does_no_harm",
];

/// Puts all cases. The cells that it leaves behind are named `conformance/<run>/...`.
pub async fn suite(fixture: Arc<dyn CellFixture>, run: &RunId) -> Report {
    let mut report = Report::default();
    let context = &Context { cells: fixture.cells(), run: run.clone(), fixture };
    cases!(report, context.fixture, context =>
        basics::says_where_it_is,
        basics::a_cell_is_created_once,
        basics::a_swap_applies_to_the_expected_version_only,
        basics::a_version_is_lost_on_a_cell_that_was_never_stored,
        basics::a_made_up_version_changes_nothing,
        basics::versions_never_come_back,
        basics::values_come_back_byte_for_byte,
        basics::a_value_that_is_too_long_is_refused_or_kept_whole,
        basics::names_do_not_meet,
        model::agrees_with_the_reference,
        races::a_load_sees_every_store_that_was_applied_before,
        races::loads_never_go_back,
        races::racing_creators_have_one_winner,
        races::racing_swaps_have_one_winner,
        races::no_increment_is_lost,
        faults::a_lost_answer_is_not_an_answer_and_can_be_settled,
        faults::the_own_second_attempt_is_not_called_lost,
        faults::a_store_that_never_arrived_is_sent_again,
        faults::a_late_arrival_does_not_apply_once_it_was_settled,
        faults::a_late_arrival_does_not_apply_behind_another_writer,
        faults::a_throttled_store_does_no_harm,
    );
    report
}

struct Context {
    fixture: Arc<dyn CellFixture>,
    cells: Arc<dyn CellStore>,
    run: RunId,
}

impl Context {
    fn name(&self, cell: &str) -> Outcome<CellName> {
        Ok(CellName::try_from(format!("conformance/{}/{cell}", self.run).as_str())?)
    }

    /// Another client's view; a case that needs one is skipped where there is none.
    fn second(&self) -> Outcome<Arc<dyn CellStore>> {
        self.fixture.second().map_err(|why| Stop::Skip(format!("there is no second client: {why}")))
    }

    async fn load(&self, name: &CellName) -> Outcome<Option<Cell>> {
        Ok(self.cells.load(name).await?)
    }

    /// The cell, which must be there.
    async fn present(&self, name: &CellName) -> Outcome<Cell> {
        self.load(name).await?.ok_or_else(|| Stop::Fail(format!("{name} is not there")))
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Outcome<StoreOutcome> {
        let answer = self.cells.store(name, expected, value).await;
        if let Err(error) = &answer {
            ensure!(
                error.effect() == Effect::None,
                "an error must mean that nothing was stored, doubt is `Unknown`: {error:#}"
            );
        }
        Ok(answer?)
    }

    /// A store that must apply.
    async fn applied(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Outcome<CellVersion> {
        match self.store(name, expected, value).await? {
            StoreOutcome::Applied { version } => Ok(version),
            other => Err(Stop::Fail(format!("a store of {name} that had to apply was answered {other:?}"))),
        }
    }

    /// A store that must be lost and change nothing.
    async fn lost(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Outcome {
        let before = self.load(name).await?;
        let outcome = self.store(name, expected, value).await?;
        ensure!(
            outcome == StoreOutcome::Lost,
            "a store of {name} that had to be lost was answered {outcome:?}"
        );
        let after = self.load(name).await?;
        ensure!(before == after, "a lost store changed {name} from {before:?} to {after:?}");
        Ok(())
    }
}
