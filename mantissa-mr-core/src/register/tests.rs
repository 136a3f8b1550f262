//! A simulated cell whose stores may land late, whose answers get lost, and several writers that settle their doubts.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::cell::{CellDurability, MemoryCells};

fn name() -> CellName {
    CellName::try_from("a/cell").unwrap()
}

fn token(text: &str) -> Token {
    Token(text.to_owned())
}

/// In these tests a value is its token.
fn plain(value: &[u8]) -> Option<Token> {
    (!value.is_empty()).then(|| token(&String::from_utf8_lossy(value)))
}

fn cell(value: &str, version: u64) -> Cell {
    Cell { value: value.as_bytes().to_vec(), version: CellVersion(version.to_string()) }
}

fn swap_from(expected: Expected) -> Swap {
    Swap::new(name(), expected, b"mine".to_vec(), plain).unwrap()
}

fn unknown() -> Reply {
    Reply::Store(Ok(StoreOutcome::Unknown { why: "no answer".to_owned() }))
}

fn refused(kind: ErrorKind) -> Error {
    Error::new(kind, "store", "no").with_effect(Effect::None)
}

fn is_load(next: &Next) -> bool {
    matches!(next, Next::Call(Call::Load { .. }))
}

#[test]
fn a_clear_answer_needs_no_second_call() {
    let version = CellVersion("7".to_owned());
    let outcomes = [
        (Ok(StoreOutcome::Applied { version: version.clone() }), Next::Applied { version }),
        (Ok(StoreOutcome::Lost), Next::Lost(None)),
        (Err(refused(ErrorKind::Throttled)), Next::Failed(refused(ErrorKind::Throttled))),
    ];
    for (answer, next) in outcomes {
        let mut swap = swap_from(Expected::Absent);
        let Call::Store { value, expected, .. } = swap.begin() else { panic!("no store") };
        assert_eq!((value.as_slice(), expected), (b"mine".as_slice(), Expected::Absent));
        assert_eq!(swap.step(Reply::Store(answer)), next);
        assert!(!swap.in_doubt());
    }
}

#[test]
fn the_own_token_read_back_means_applied() {
    let mut swap = swap_from(Expected::Version(CellVersion("1".to_owned())));
    swap.begin();
    assert!(is_load(&swap.step(unknown())));
    let version = CellVersion("2".to_owned());
    assert_eq!(swap.step(Reply::Load(Ok(Some(cell("mine", 2))))), Next::Applied { version });
}

#[test]
fn an_unchanged_cell_settles_nothing_and_the_same_store_is_sent_again() {
    let mut swap = swap_from(Expected::Version(CellVersion("1".to_owned())));
    let first = swap.begin();
    for _ in 0..3 {
        let timeout = Error::new(ErrorKind::Timeout, "store", "nothing");
        assert!(is_load(&swap.step(Reply::Store(Err(timeout)))));
        assert_eq!(swap.step(Reply::Load(Ok(Some(cell("old", 1))))), Next::Call(first.clone()));
        assert!(swap.in_doubt());
    }
    // The second copy was lost: to the first one.
    assert!(is_load(&swap.step(Reply::Store(Ok(StoreOutcome::Lost)))));
    let applied = Next::Applied { version: CellVersion("2".to_owned()) };
    assert_eq!(swap.step(Reply::Load(Ok(Some(cell("mine", 2))))), applied);
}

#[test]
fn somebody_elses_token_means_lost_and_shows_the_cell() {
    let mut swap = swap_from(Expected::Absent);
    swap.begin();
    swap.step(unknown());
    let theirs = Some(cell("theirs", 5));
    assert_eq!(swap.step(Reply::Load(Ok(theirs.clone()))), Next::Lost(theirs));
    assert!(!swap.in_doubt());
}

#[test]
fn an_error_while_in_doubt_never_says_that_nothing_happened() {
    let mut swap = swap_from(Expected::Absent);
    swap.begin();
    assert!(is_load(&swap.step(unknown())));
    // A read that may succeed later is asked again; a refusal ends it, in doubt.
    assert!(is_load(&swap.step(Reply::Load(Err(refused(ErrorKind::Throttled))))));
    let Next::Failed(error) = swap.step(Reply::Load(Err(refused(ErrorKind::PermissionDenied)))) else {
        panic!("it must fail")
    };
    assert_eq!((error.kind(), error.effect()), (ErrorKind::PermissionDenied, Effect::Unknown));
    assert_eq!(swap.abandon("enough").effect(), Effect::Unknown);

    // The second copy is refused: the first may land yet.
    let mut swap = swap_from(Expected::Absent);
    swap.begin();
    swap.step(unknown());
    swap.step(Reply::Load(Ok(None)));
    assert!(is_load(&swap.step(Reply::Store(Err(refused(ErrorKind::Throttled))))));
    swap.step(Reply::Load(Ok(None)));
    let Next::Failed(error) = swap.step(Reply::Store(Err(refused(ErrorKind::PermissionDenied)))) else {
        panic!("it must fail")
    };
    assert_eq!(error.effect(), Effect::Unknown);
}

#[test]
fn a_value_without_a_token_is_refused_before_it_is_sent() {
    let error = Swap::new(name(), Expected::Absent, Vec::new(), plain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_reply_to_something_else_settles_nothing() {
    let mut swap = swap_from(Expected::Absent);
    let stray = swap.step(Reply::Load(Ok(None)));
    assert!(matches!(&stray, Next::Failed(error) if error.effect() == Effect::None), "{stray:?}");
    swap.begin();
    assert!(is_load(&swap.step(Reply::Notify(Ok(())))));
    assert!(is_load(&swap.step(unknown())));
    let applied = swap.step(Reply::Load(Ok(Some(cell("mine", 2)))));
    assert!(matches!(applied, Next::Applied { .. }), "{applied:?}");
}

#[test]
fn the_token_of_json_is_its_writer() {
    assert_eq!(writer(br#"{"format": 1, "writer": "cli#3"}"#), Some(token("cli#3")));
    // A list would do for serde, field by field.
    for none in ["{}", "", "[]", r#"{"writer": 3}"#, r#"["cli#3"]"#, r#" ["cli#3"]"#] {
        assert_eq!(writer(none.as_bytes()), None);
    }
}

// ===== the simulated world =====

/// Whoever settles a doubt: the machine, or one of the mistakes that it must not make.
trait Settler {
    fn new(expected: Expected, value: &str) -> Self;
    fn begin(&mut self) -> Call;
    fn step(&mut self, reply: Reply) -> Next;
}

impl Settler for Swap {
    fn new(expected: Expected, value: &str) -> Self {
        Swap::new(name(), expected, value.as_bytes().to_vec(), plain).unwrap()
    }
    fn begin(&mut self) -> Call {
        self.begin()
    }
    fn step(&mut self, reply: Reply) -> Next {
        self.step(reply)
    }
}

#[derive(Clone, Copy)]
enum Mistake {
    UnchangedIsLost,
    UnknownIsLost,
    SecondLostIsLost,
    ChangedIsApplied,
    RefusedCopyIsRefused,
}

struct Wrong<const MISTAKE: u8> {
    machine: Swap,
    copies: usize,
}

const MISTAKES: [Mistake; 5] = [
    Mistake::UnchangedIsLost,
    Mistake::UnknownIsLost,
    Mistake::SecondLostIsLost,
    Mistake::ChangedIsApplied,
    Mistake::RefusedCopyIsRefused,
];

impl<const MISTAKE: u8> Settler for Wrong<MISTAKE> {
    fn new(expected: Expected, value: &str) -> Self {
        Self { machine: Settler::new(expected, value), copies: 0 }
    }
    fn begin(&mut self) -> Call {
        self.copies += 1;
        self.machine.begin()
    }
    fn step(&mut self, reply: Reply) -> Next {
        let next = self.machine.step(reply.clone());
        let again = matches!(next, Next::Call(Call::Store { .. }));
        self.copies += usize::from(again);
        let second = self.copies > 1;
        match (MISTAKES[usize::from(MISTAKE)], reply, next) {
            (Mistake::UnchangedIsLost, _, _) if again => Next::Lost(None),
            (Mistake::UnknownIsLost, Reply::Store(Ok(StoreOutcome::Unknown { .. })), _) => Next::Lost(None),
            (Mistake::SecondLostIsLost, Reply::Store(Ok(StoreOutcome::Lost)), _) if second => {
                Next::Lost(None)
            }
            (Mistake::ChangedIsApplied, _, Next::Lost(Some(cell))) => Next::Applied { version: cell.version },
            (Mistake::RefusedCopyIsRefused, Reply::Store(Err(error)), _)
                if error.effect() == Effect::None =>
            {
                Next::Failed(error)
            }
            (_, _, next) => next,
        }
    }
}

/// What happens to a call; the number is what the schedule says.
#[derive(Clone, Copy)]
enum Fate {
    /// Carried out and answered.
    Answered,
    /// Carried out; the answer is lost.
    AnswerLost,
    /// Not answered; carried out whenever the schedule says so.
    Late,
    /// Never carried out nor answered.
    Dropped,
    /// Refused, certainly without effect.
    Refused,
}

const FATES: [Fate; 5] = [Fate::Answered, Fate::AnswerLost, Fate::Late, Fate::Dropped, Fate::Refused];

struct Writer<S> {
    machine: S,
    token: Token,
    call: Option<Call>,
}

struct Verdict {
    token: Token,
    next: Next,
    /// How many stores had been applied when it was pronounced.
    at: usize,
}

struct World<S> {
    /// Every store that was applied, in order; the cell's version is how many there are.
    applied: Vec<Token>,
    late: Vec<(Expected, Token)>,
    writers: Vec<Writer<S>>,
    verdicts: Vec<Verdict>,
    swaps_left: usize,
    swaps: usize,
}

impl<S: Settler> World<S> {
    fn new(writers: usize, swaps_left: usize) -> Self {
        let mut world = Self {
            applied: Vec::new(),
            late: Vec::new(),
            writers: Vec::new(),
            verdicts: Vec::new(),
            swaps_left,
            swaps: 0,
        };
        for _ in 0..writers {
            let writer = world.new_writer();
            world.writers.push(writer);
        }
        world
    }

    /// A writer that has observed the cell and swaps it with a fresh token.
    fn new_writer(&mut self) -> Writer<S> {
        self.swaps += 1;
        let token = token(&format!("w{}", self.swaps));
        let mut machine = S::new(Expected::of(self.cell().as_ref()), &token.0);
        let call = Some(machine.begin());
        Writer { machine, token, call }
    }

    fn cell(&self) -> Option<Cell> {
        self.applied.last().map(|token| cell(&token.0, self.applied.len() as u64))
    }

    fn apply(&mut self, expected: &Expected, token: Token) -> StoreOutcome {
        if !expected.holds(self.cell().map(|cell| cell.version).as_ref()) {
            return StoreOutcome::Lost;
        }
        self.applied.push(token);
        StoreOutcome::Applied { version: self.cell().unwrap().version }
    }

    /// How many things can happen next.
    fn choices(&self) -> usize {
        self.writers.iter().filter(|writer| writer.call.is_some()).count() * FATES.len() + self.late.len()
    }

    fn happen(&mut self, choice: usize) {
        let calling: Vec<usize> =
            (0..self.writers.len()).filter(|at| self.writers[*at].call.is_some()).collect();
        match calling.get(choice / FATES.len()) {
            Some(writer) => self.answer(*writer, FATES[choice % FATES.len()]),
            None => {
                let (expected, token) = self.late.remove(choice - calling.len() * FATES.len());
                self.apply(&expected, token);
            }
        }
    }

    fn answer(&mut self, at: usize, fate: Fate) {
        let (call, token) = (self.writers[at].call.take().unwrap(), self.writers[at].token.clone());
        let reply = match call {
            Call::Store { expected, .. } => Reply::Store(self.store(&expected, token, fate)),
            Call::Load { .. } => Reply::Load(match fate {
                Fate::Answered => Ok(self.cell()),
                Fate::Refused => Err(refused(ErrorKind::Throttled)),
                _ => Err(Error::new(ErrorKind::Timeout, "load", "nothing")),
            }),
            other => panic!("{other:?}"),
        };
        match self.writers[at].machine.step(reply) {
            Next::Call(call) => self.writers[at].call = Some(call),
            next => {
                let token = self.writers[at].token.clone();
                self.verdicts.push(Verdict { token, next, at: self.applied.len() });
                if self.swaps_left > 0 {
                    self.swaps_left -= 1;
                    self.writers[at] = self.new_writer();
                }
            }
        }
    }

    fn store(&mut self, expected: &Expected, token: Token, fate: Fate) -> Result<StoreOutcome> {
        match fate {
            Fate::Answered => return Ok(self.apply(expected, token)),
            Fate::Refused => return Err(refused(ErrorKind::Throttled)),
            Fate::AnswerLost => drop(self.apply(expected, token)),
            Fate::Late => self.late.push((expected.clone(), token)),
            Fate::Dropped => return Err(Error::new(ErrorKind::Timeout, "store", "nothing")),
        }
        Ok(StoreOutcome::Unknown { why: "the answer was lost".to_owned() })
    }

    /// The faults end: every writer comes to a verdict, then everything late lands.
    fn finish(mut self) -> Result<(), String> {
        self.swaps_left = 0;
        while let Some(at) = self.writers.iter().position(|writer| writer.call.is_some()) {
            self.answer(at, Fate::Answered);
        }
        for (expected, token) in std::mem::take(&mut self.late) {
            self.apply(&expected, token);
        }
        let distinct: std::collections::BTreeSet<_> = self.applied.iter().collect();
        if distinct.len() < self.applied.len() {
            return Err(format!("a write was applied twice: {:?}", self.applied));
        }
        self.verdicts.iter().try_for_each(|verdict| self.judge(verdict))
    }

    fn judge(&self, Verdict { token, next, at }: &Verdict) -> Result<(), String> {
        let places: Vec<usize> = (0..self.applied.len()).filter(|i| self.applied[*i] == *token).collect();
        let ok = match next {
            // Once, before it was said, under that version.
            Next::Applied { version } => {
                places.len() == 1 && places[0] < *at && version.0 == (places[0] + 1).to_string()
            }
            // Not later; and if before, it was somebody else's value by the time that it was said.
            Next::Lost(_) => places.iter().all(|place| place + 1 < *at),
            Next::Failed(error) if error.effect() == Effect::Unknown => !error.can_retry(),
            Next::Failed(_) => places.is_empty(),
            Next::Call(_) => false,
        };
        let story = || format!("{token:?}: {next:?} after {at} stores, but applied were {:?}", self.applied);
        if ok { Ok(()) } else { Err(story()) }
    }
}

fn run<S: Settler>(
    writers: usize,
    swaps: usize,
    schedule: impl IntoIterator<Item = usize>,
) -> Result<(), String> {
    let mut world = World::<S>::new(writers, swaps);
    for choice in schedule {
        if world.choices() > 0 {
            world.happen(choice % world.choices());
        }
    }
    world.finish()
}

/// Runs every schedule of so many steps, two writers with one swap each and one more for whoever ends first.
fn every_schedule<S: Settler>(steps: usize) -> Result<usize, String> {
    let (mut prefix, mut schedules) = (VecDeque::from([Vec::new()]), 0);
    while let Some(schedule) = prefix.pop_back() {
        schedules += 1;
        run::<S>(2, 1, schedule.iter().copied()).map_err(|story| format!("{schedule:?}: {story}"))?;
        if schedule.len() < steps {
            let mut world = World::<S>::new(2, 1);
            schedule.iter().for_each(|choice| world.happen(*choice));
            prefix.extend((0..world.choices()).map(|choice| [schedule.as_slice(), &[choice]].concat()));
        }
    }
    Ok(schedules)
}

#[test]
fn no_schedule_of_four_faults_makes_a_writer_believe_what_is_not_so() {
    let schedules = every_schedule::<Swap>(4).unwrap();
    // A world that grew smaller would prove less.
    assert!(schedules > 10_000, "{schedules}");
}

#[test]
fn the_oracle_finds_every_known_mistake() {
    let found = [
        every_schedule::<Wrong<0>>(4),
        every_schedule::<Wrong<1>>(4),
        every_schedule::<Wrong<2>>(4),
        every_schedule::<Wrong<3>>(4),
        every_schedule::<Wrong<4>>(4),
    ];
    for (mistake, result) in found.iter().enumerate() {
        assert!(result.is_err(), "mistake {mistake} was not found");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn nobody_believes_applied_for_what_was_not_nor_lost_for_what_later_lands(
        writers in 1..5_usize,
        schedule in proptest::collection::vec(0..1_000_usize, 0..80),
    ) {
        run::<Swap>(writers, 20, schedule).map_err(TestCaseError::fail)?;
    }
}

// ===== the driver that waits =====

/// Answers stores and loads with what was written down; the rest goes to real cells.
#[derive(Debug, Default)]
struct Scripted {
    cells: MemoryCells,
    /// For each store: whether it is carried out, and what is answered instead of the truth.
    stores: Mutex<VecDeque<(bool, Option<Result<StoreOutcome>>)>>,
    calls: Mutex<Vec<&'static str>>,
}

impl Scripted {
    fn new(stores: impl IntoIterator<Item = (bool, Option<Result<StoreOutcome>>)>) -> Self {
        Self { stores: Mutex::new(stores.into_iter().collect()), ..Self::default() }
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl CellStore for Scripted {
    fn durability(&self) -> CellDurability {
        self.cells.durability()
    }
    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        self.calls.lock().unwrap().push("load");
        self.cells.load(name).await
    }
    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        self.calls.lock().unwrap().push("store");
        let Some((carry_out, answer)) = self.stores.lock().unwrap().pop_front() else {
            return self.cells.store(name, expected, value).await;
        };
        let truth = if carry_out { Some(self.cells.store(name, expected, value).await) } else { None };
        match answer.or(truth) {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_settles_a_lost_answer_a_silent_service_and_a_refusal() {
    let throttled = refused(ErrorKind::Throttled).with_retry_after(Duration::from_secs(60));
    let unknown = StoreOutcome::Unknown { why: "lost".to_owned() };
    let cells = Scripted::new([(false, Some(Err(throttled))), (false, None), (true, Some(Ok(unknown)))]);
    let start = tokio::time::Instant::now();
    let outcome = swap(&cells, swap_from(Expected::Absent), &Patience::default()).await.unwrap();
    assert!(matches!(outcome, Swapped::Applied { .. }), "{outcome:?}");
    assert_eq!(cells.calls(), ["store", "store", "load", "store", "load"]);
    assert!(start.elapsed() >= Duration::from_secs(60), "it must wait as long as the service asked for");
}

#[tokio::test(start_paused = true)]
async fn patience_ends_in_an_error_that_keeps_the_doubt() {
    let silent = Scripted::new(std::iter::repeat_with(|| (false, None)).take(100));
    let patience = Patience { calls: 4, ..Patience::default() };
    let error = swap(&silent, swap_from(Expected::Absent), &patience).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, Effect::Unknown));
    assert_eq!(silent.calls(), ["store", "load", "store", "load"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_to_the_end_was_certainly_not_applied() {
    let refuse = |kind| Scripted::new((0..100).map(move |_| (false, Some(Err(refused(kind))))));
    let patience = Patience { calls: 3, ..Patience::default() };
    for (kind, calls) in
        [(ErrorKind::Throttled, 3), (ErrorKind::PermissionDenied, 1), (ErrorKind::Conflict, 1)]
    {
        let cells = refuse(kind);
        let error = swap(&cells, swap_from(Expected::Absent), &patience).await.unwrap_err();
        assert_eq!((error.kind(), error.effect(), cells.calls().len()), (kind, Effect::None, calls));
    }
}
