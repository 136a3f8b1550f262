//! Sequences of operations against a reference: a map.

use std::collections::BTreeMap;

use super::{Context, Outcome, Stop};
use crate::cell::{Cell, CellName, CellStore, CellVersion, Expected, StoreOutcome};
use crate::conformance::Draw;

/// One operation on one of a few cells, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A load.
    Load {
        /// Which cell.
        cell: usize,
    },
    /// A store.
    Store {
        /// Which cell.
        cell: usize,
        /// What it expects.
        guess: Guess,
        /// What it stores.
        value: Vec<u8>,
    },
}

/// What a store expects, in words that need no knowledge of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// That the cell was never stored.
    Absent,
    /// The state that it is in.
    Current,
    /// A state that it was in before; the current one of another cell, if there was none.
    Stale {
        /// Which of them: as many stores ago, modulo how many there were.
        back: usize,
    },
}

/// What the reference knows of one cell.
#[derive(Debug, Default)]
struct Known {
    value: Vec<u8>,
    /// Every version it was ever in; the last one is the current.
    versions: Vec<CellVersion>,
}

impl Known {
    fn cell(&self) -> Option<Cell> {
        let version = self.versions.last()?.clone();
        Some(Cell { value: self.value.clone(), version })
    }
}

/// Carries out operations on cells, one after another, and compares each answer, and in the end each cell, with a
/// reference. The names must be of cells that were never stored, and at least one; operations take them by number,
/// modulo how many there are.
///
/// Feed it from a property test; the suite itself runs it with a drawn sequence.
///
/// # Errors
/// The first answer that differs. An `Unknown` differs: run it where no answer gets lost.
pub async fn check_against_model(
    cells: &dyn CellStore,
    names: &[CellName],
    ops: &[Op],
) -> Result<(), String> {
    let mut known: BTreeMap<usize, Known> = BTreeMap::new();
    for (step, op) in ops.iter().enumerate() {
        let at = |why: String| format!("step {step}, {op:?}: {why}");
        carry_out(cells, names, &mut known, op).await.map_err(at)?;
    }
    for (number, name) in names.iter().enumerate() {
        compare(cells, name, known.get(&number)).await?;
    }
    Ok(())
}

async fn carry_out(
    cells: &dyn CellStore,
    names: &[CellName],
    known: &mut BTreeMap<usize, Known>,
    op: &Op,
) -> Result<(), String> {
    let (Op::Load { cell } | Op::Store { cell, .. }) = op;
    let number = cell.checked_rem(names.len()).unwrap_or_default();
    let name = names.get(number).ok_or("there are no names")?;
    let Op::Store { guess, value, .. } = op else {
        return compare(cells, name, known.get(&number)).await;
    };
    let expected = expectation(known, number, *guess);
    let reference = known.entry(number).or_default();
    let applies = expected.holds(reference.versions.last());
    match cells.store(name, &expected, value).await {
        Ok(StoreOutcome::Applied { version }) if applies => {
            if reference.versions.contains(&version) {
                return Err(format!("{version:?} was the cell's before"));
            }
            reference.versions.push(version);
            reference.value.clone_from(value);
            Ok(())
        }
        Ok(StoreOutcome::Lost) if !applies => Ok(()),
        other => Err(format!("expecting {expected:?} it was answered {other:?}")),
    }
}

fn expectation(known: &BTreeMap<usize, Known>, number: usize, guess: Guess) -> Expected {
    let versions = known.get(&number).map_or(&[][..], |known| known.versions.as_slice());
    let (current, earlier) = match versions.split_last() {
        Some((current, earlier)) => (Some(current), earlier),
        None => (None, versions),
    };
    let version = match guess {
        Guess::Absent => None,
        Guess::Current => current,
        Guess::Stale { back } => {
            let stale = back.checked_rem(earlier.len()).and_then(|back| earlier.iter().rev().nth(back));
            let others = known.iter().filter(|(other, _)| **other != number);
            stale.or_else(|| others.filter_map(|(_, known)| known.versions.last()).next())
        }
    };
    version.map_or(Expected::Absent, |version| Expected::Version(version.clone()))
}

async fn compare(cells: &dyn CellStore, name: &CellName, known: Option<&Known>) -> Result<(), String> {
    let expected = known.and_then(Known::cell);
    let read = cells.load(name).await.map_err(|error| format!("{error:#}"))?;
    if read == expected { Ok(()) } else { Err(format!("{name} is {read:?}, not {expected:?}")) }
}

pub(super) async fn agrees_with_the_reference(context: &Context) -> Outcome {
    let names = (0..3).map(|cell| context.name(&format!("model-{cell}"))).collect::<Outcome<Vec<_>>>()?;
    let ops = drawn(context.run.seed(), 96);
    let answer = check_against_model(context.cells.as_ref(), &names, &ops).await;
    answer.map_err(|why| Stop::Fail(format!("with the sequence of run `{}`: {why}", context.run)))
}

fn drawn(seed: u64, steps: usize) -> Vec<Op> {
    let mut draw = Draw(seed);
    let mut next = |limit: usize| usize::try_from(draw.below(limit as u64)).unwrap_or_default();
    let mut op = || {
        let cell = next(3);
        let guess = match next(8) {
            0 => Guess::Absent,
            1 | 2 => Guess::Stale { back: next(4) },
            _ => Guess::Current,
        };
        // Few values, so that the same one comes back often: that is what confuses versions made of contents.
        let value = format!("value {}", next(3)).into_bytes();
        if next(4) == 0 { Op::Load { cell } } else { Op::Store { cell, guess, value } }
    };
    (0..steps).map(|_| op()).collect()
}
