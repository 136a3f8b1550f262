//! Cells: memory and file pass; cells with one mistake each are found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::cell::{
    Cell, CellDurability, CellName, CellStore, CellVersion, Expected, FileCells, MAX_VALUE, MemoryCells,
    StoreOutcome,
};
use mantissa_mr_core::conformance::cells::{
    CellFault, CellFixture, FAULT_CASES, FaultyCells, Guess, Op, check_against_model, suite,
};
use mantissa_mr_core::conformance::{Fixture, Injection, RunId};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use proptest::prelude::*;

use crate::{assert_covered, assert_found};

/// Cells without a wire: the faults lie between the suite and them.
#[derive(Debug)]
pub(crate) struct Local {
    cells: Arc<FaultyCells>,
    second: Arc<dyn CellStore>,
}

impl Local {
    pub(crate) fn new(cells: impl CellStore, second: impl CellStore) -> Arc<Self> {
        Arc::new(Self { cells: Arc::new(FaultyCells::new(Arc::new(cells))), second: Arc::new(second) })
    }
}

#[async_trait]
impl Fixture for Local {
    fn patience(&self) -> Duration {
        Duration::from_secs(120)
    }
    async fn wait(&self, round: u32) -> bool {
        round < 10
    }
}

#[async_trait]
impl CellFixture for Local {
    fn cells(&self) -> Arc<dyn CellStore> {
        Arc::clone(&self.cells) as Arc<dyn CellStore>
    }
    fn second(&self) -> Result<Arc<dyn CellStore>, String> {
        Ok(Arc::clone(&self.second))
    }
    async fn inject(&self, fault: CellFault) -> Injection {
        self.cells.inject(fault).await;
        Injection::Armed
    }
}

fn run(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_cells_conform() {
    let cells = MemoryCells::new();
    let report = suite(Local::new(cells.clone(), cells), &run("memory")).await;
    report.assert_passed_with_skips(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn file_cells_conform_and_a_second_run_does_not_meet_the_first() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["file-1", "file-2"] {
        let cells = FileCells::create(folder.path()).await.unwrap();
        let second = FileCells::open(folder.path()).await.unwrap();
        suite(Local::new(cells, second), &run(name)).await.assert_passed_with_skips(&[]);
    }
}

/// A fixture that can do nothing but hand out cells.
#[derive(Debug)]
struct Bare(MemoryCells);

#[async_trait]
impl Fixture for Bare {
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn wait(&self, _: u32) -> bool {
        false
    }
}

#[async_trait]
impl CellFixture for Bare {
    fn cells(&self) -> Arc<dyn CellStore> {
        Arc::new(self.0.clone())
    }
    fn second(&self) -> Result<Arc<dyn CellStore>, String> {
        Err("there is only one".to_owned())
    }
    async fn inject(&self, _: CellFault) -> Injection {
        Injection::Cannot("it has no wire".to_owned())
    }
}

#[tokio::test]
async fn what_a_fixture_cannot_do_is_skipped_with_its_reason() {
    let report = suite(Arc::new(Bare(MemoryCells::new())), &run("bare")).await;
    let of_the_second = ["a_load_sees_every_store_that_was_applied_before", "loads_never_go_back"];
    report.assert_passed_with_skips(&[FAULT_CASES, of_the_second.as_slice()].concat());
    assert!(report.skipped.iter().any(|(_, why)| why.contains("it has no wire")), "{report}");
}

// ===== cells with one mistake each =====

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    NoPlace,
    PutsBlindly,
    CreatesOverWhatIsThere,
    SwapsWhatWasNeverStored,
    TakesAnyVersionForAStar,
    ChecksThenWrites,
    VersionsAreContents,
    LoadsAreOneBehind,
    LoadsGoBack,
    LostWritesLand,
    TextOnly,
    CutsLongValues,
    CutsTooLongValues,
    FoldsCase,
    FlattensNames,
    CountsRefusedStores,
    LostAnswerIsLost,
    LostAnswerIsAnError,
    SecondAttemptAppliesTwice,
    DroppedIsLost,
    DroppedIsApplied,
    LateArrivalsLand,
    HeldIsLost,
    ThrottledIsLost,
    ThrottledIsConflict,
}

#[derive(Debug, Default)]
struct State {
    stores: u64,
    cells: BTreeMap<String, Vec<Cell>>,
    fault: Option<CellFault>,
    held: Vec<(CellName, Expected, Vec<u8>)>,
    loads: u64,
}

#[derive(Clone, Debug)]
struct Wrong {
    mistake: Mistake,
    state: Arc<Mutex<State>>,
}

impl Wrong {
    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == mistake
    }

    fn key(&self, name: &CellName) -> String {
        match self.mistake {
            Mistake::FoldsCase => name.as_str().to_lowercase(),
            Mistake::FlattensNames => name.as_str().replace('/', "-"),
            _ => name.as_str().to_owned(),
        }
    }

    fn holds(&self, name: &CellName, expected: &Expected) -> bool {
        let state = self.state.lock().unwrap();
        let current = state.cells.get(&self.key(name)).and_then(|cells| cells.last());
        match (self.mistake, expected, current) {
            (Mistake::PutsBlindly, ..) => true,
            (Mistake::CreatesOverWhatIsThere, Expected::Absent, _) => true,
            (Mistake::SwapsWhatWasNeverStored, Expected::Version(_), None) => true,
            (Mistake::TakesAnyVersionForAStar, Expected::Version(version), _) if version.0 == "*" => true,
            _ => expected.holds(current.map(|cell| &cell.version)),
        }
    }

    fn write(&self, name: &CellName, value: &[u8]) -> CellVersion {
        let mut state = self.state.lock().unwrap();
        state.stores += 1;
        let mut value = value.to_vec();
        match self.mistake {
            Mistake::TextOnly => value = String::from_utf8_lossy(&value).into_owned().into_bytes(),
            Mistake::CutsLongValues => value.truncate(60 * 1024),
            Mistake::CutsTooLongValues => value.truncate(MAX_VALUE),
            _ => {}
        }
        let version = match self.mistake {
            Mistake::VersionsAreContents => format!("{:?}", value.first_chunk::<4>()),
            _ => state.stores.to_string(),
        };
        let version = CellVersion(version);
        let cell = Cell { value, version: version.clone() };
        state.cells.entry(self.key(name)).or_default().push(cell);
        version
    }

    async fn attempt(&self, name: &CellName, expected: &Expected, value: &[u8]) -> StoreOutcome {
        let holds = self.holds(name, expected);
        if self.is(Mistake::ChecksThenWrites) {
            tokio::task::yield_now().await;
        }
        if holds {
            return StoreOutcome::Applied { version: self.write(name, value) };
        }
        if self.is(Mistake::LostWritesLand) {
            self.write(name, value);
        }
        StoreOutcome::Lost
    }
}

#[async_trait]
impl CellStore for Wrong {
    fn durability(&self) -> CellDurability {
        let place = if self.is(Mistake::NoPlace) { "" } else { "here" };
        CellDurability { place: place.to_owned(), survives_region_loss: Some(false) }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        let mut state = self.state.lock().unwrap();
        state.loads += 1;
        let now_and_then = state.loads.is_multiple_of(3);
        let Some(cells) = state.cells.get(&self.key(name)) else { return Ok(None) };
        let behind = match self.mistake {
            Mistake::LoadsAreOneBehind => true,
            Mistake::LoadsGoBack => now_and_then,
            _ => false,
        };
        let back = usize::from(behind && cells.len() > 1);
        Ok(cells.iter().rev().nth(back).cloned())
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        let error = |kind| Err(Error::new(kind, "store a cell", "no"));
        let unknown = Ok(StoreOutcome::Unknown { why: "no answer".to_owned() });
        if value.len() > MAX_VALUE && !self.is(Mistake::CutsTooLongValues) {
            if self.is(Mistake::CountsRefusedStores) {
                self.write(name, b"refused");
            }
            return error(ErrorKind::InvalidInput);
        }
        let fault = self.state.lock().unwrap().fault.take();
        match fault {
            None | Some(CellFault::Release) => Ok(self.attempt(name, expected, value).await),
            Some(CellFault::LoseAnswer) => {
                self.attempt(name, expected, value).await;
                match self.mistake {
                    Mistake::LostAnswerIsLost => Ok(self.attempt(name, expected, value).await),
                    Mistake::LostAnswerIsAnError => error(ErrorKind::Timeout),
                    Mistake::SecondAttemptAppliesTwice => {
                        Ok(StoreOutcome::Applied { version: self.write(name, b"mine again") })
                    }
                    _ => unknown,
                }
            }
            Some(CellFault::Drop) => match self.mistake {
                Mistake::DroppedIsLost => Ok(StoreOutcome::Lost),
                Mistake::DroppedIsApplied => {
                    Ok(StoreOutcome::Applied { version: CellVersion("0".to_owned()) })
                }
                _ => unknown,
            },
            Some(CellFault::Hold) => {
                self.state.lock().unwrap().held.push((name.clone(), expected.clone(), value.to_vec()));
                if self.is(Mistake::HeldIsLost) { Ok(StoreOutcome::Lost) } else { unknown }
            }
            Some(CellFault::Throttle) => match self.mistake {
                Mistake::ThrottledIsLost => Ok(StoreOutcome::Lost),
                Mistake::ThrottledIsConflict => error(ErrorKind::Conflict),
                _ => error(ErrorKind::Throttled),
            },
        }
    }
}

#[async_trait]
impl Fixture for Wrong {
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn wait(&self, _: u32) -> bool {
        false
    }
}

#[async_trait]
impl CellFixture for Wrong {
    fn cells(&self) -> Arc<dyn CellStore> {
        Arc::new(self.clone())
    }
    fn second(&self) -> Result<Arc<dyn CellStore>, String> {
        Ok(self.cells())
    }
    async fn inject(&self, fault: CellFault) -> Injection {
        if fault != CellFault::Release {
            self.state.lock().unwrap().fault = Some(fault);
            return Injection::Armed;
        }
        let held = std::mem::take(&mut self.state.lock().unwrap().held);
        for (name, expected, value) in held {
            if self.is(Mistake::LateArrivalsLand) {
                self.write(&name, &value);
            } else {
                self.attempt(&name, &expected, &value).await;
            }
        }
        Injection::Armed
    }
}

const FOUND: &[(Mistake, &str)] = &[
    (Mistake::NoPlace, "says_where_it_is"),
    (Mistake::PutsBlindly, "a_swap_applies_to_the_expected_version_only"),
    (Mistake::CreatesOverWhatIsThere, "a_cell_is_created_once"),
    (Mistake::SwapsWhatWasNeverStored, "a_version_is_lost_on_a_cell_that_was_never_stored"),
    (Mistake::TakesAnyVersionForAStar, "a_made_up_version_changes_nothing"),
    (Mistake::ChecksThenWrites, "racing_creators_have_one_winner"),
    (Mistake::ChecksThenWrites, "racing_swaps_have_one_winner"),
    (Mistake::ChecksThenWrites, "no_increment_is_lost"),
    (Mistake::VersionsAreContents, "versions_never_come_back"),
    (Mistake::VersionsAreContents, "agrees_with_the_reference"),
    (Mistake::LoadsAreOneBehind, "a_load_sees_every_store_that_was_applied_before"),
    (Mistake::LoadsGoBack, "loads_never_go_back"),
    (Mistake::LostWritesLand, "a_cell_is_created_once"),
    (Mistake::TextOnly, "values_come_back_byte_for_byte"),
    (Mistake::CutsLongValues, "values_come_back_byte_for_byte"),
    (Mistake::CutsTooLongValues, "a_value_that_is_too_long_is_refused_or_kept_whole"),
    (Mistake::CountsRefusedStores, "a_value_that_is_too_long_is_refused_or_kept_whole"),
    (Mistake::FoldsCase, "names_do_not_meet"),
    (Mistake::FlattensNames, "names_do_not_meet"),
    (Mistake::LostAnswerIsLost, "a_lost_answer_is_not_an_answer_and_can_be_settled"),
    (Mistake::LostAnswerIsLost, "the_own_second_attempt_is_not_called_lost"),
    (Mistake::LostAnswerIsAnError, "a_lost_answer_is_not_an_answer_and_can_be_settled"),
    (Mistake::SecondAttemptAppliesTwice, "a_lost_answer_is_not_an_answer_and_can_be_settled"),
    (Mistake::DroppedIsLost, "a_store_that_never_arrived_is_sent_again"),
    (Mistake::DroppedIsApplied, "a_store_that_never_arrived_is_sent_again"),
    (Mistake::LateArrivalsLand, "a_late_arrival_does_not_apply_once_it_was_settled"),
    (Mistake::LateArrivalsLand, "a_late_arrival_does_not_apply_behind_another_writer"),
    (Mistake::HeldIsLost, "a_late_arrival_does_not_apply_behind_another_writer"),
    (Mistake::ThrottledIsLost, "a_throttled_store_does_no_harm"),
    (Mistake::ThrottledIsConflict, "a_throttled_store_does_no_harm"),
];

#[tokio::test(start_paused = true)]
async fn every_known_mistake_is_found_by_its_case() {
    let wrong = |mistake| Arc::new(Wrong { mistake, state: Arc::default() });
    let right = suite(wrong(Mistake::None), &run("right")).await;
    right.assert_passed_with_skips(&[]);
    for (mistake, case) in FOUND {
        assert_found(mistake, case, &suite(wrong(*mistake), &run("wrong")).await);
    }
    assert_covered(&right, FOUND.iter().map(|(_, case)| *case));
}

// ===== any sequence of operations =====

fn op() -> impl Strategy<Value = Op> {
    let guess = prop_oneof![
        1 => Just(Guess::Absent),
        3 => Just(Guess::Current),
        1 => (0..5_usize).prop_map(|back| Guess::Stale { back }),
    ];
    let store = (0..3_usize, guess, proptest::collection::vec(0..3_u8, 0..3));
    prop_oneof![
        1 => (0..3_usize).prop_map(|cell| Op::Load { cell }),
        4 => store.prop_map(|(cell, guess, value)| Op::Store { cell, guess, value }),
    ]
}

fn names() -> Vec<CellName> {
    ["a", "a/b", "A"].iter().map(|text| CellName::try_from(*text).unwrap()).collect()
}

fn agrees(cells: impl CellStore, ops: &[Op]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(check_against_model(&cells, &names(), ops)).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn memory_cells_agree_with_the_reference(ops in proptest::collection::vec(op(), 0..60)) {
        agrees(MemoryCells::new(), &ops)?;
    }

    #[test]
    fn the_reference_accepts_no_version_that_comes_back(
        values in proptest::collection::vec(0..3_u8, 4..20),
    ) {
        // Contents as versions: more values than there are contents must show it.
        let store = |value| Op::Store { cell: 0, guess: Guess::Current, value: vec![value; 4] };
        let ops: Vec<Op> = values.into_iter().map(store).collect();
        let wrong = Wrong { mistake: Mistake::VersionsAreContents, state: Arc::default() };
        prop_assert!(agrees(wrong, &ops).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn file_cells_agree_with_the_reference(ops in proptest::collection::vec(op(), 0..24)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let cells = runtime.block_on(FileCells::create(folder.path())).unwrap();
        agrees(cells, &ops)?;
    }
}
