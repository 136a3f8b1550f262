//! The published words under every interleaving, and every reordering that the memory model allows.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::at;
use crate::clock::{Moment, RateMargin};
use crate::gate::published::{Published, Word};
use crate::gate::view::Opening;
use crate::ledger::Epoch;

impl Word for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self) -> u64 {
        self.load(Acquire)
    }

    fn store(&self, value: u64) {
        self.store(value, Release);
    }
}

fn opening(number: u64, until: u64) -> Opening {
    Opening {
        number,
        epoch: Epoch(number * 7),
        until: Moment::from_nanos(until),
        write_deadline: Duration::from_nanos(number),
        sent: at(until),
        rate_margin: RateMargin { ppm: u32::try_from(number).unwrap() },
    }
}

/// What must be true of whatever a reader takes: all of it is of one opening, and was granted.
fn check(cell: &Published<AtomicU64>, granted: &[(u64, u64)]) -> bool {
    let Some(words) = cell.read() else { return false };
    let read = words.opening();
    let until = read.until.as_nanos();
    assert!(granted.contains(&(read.number, until)), "{read:?}");
    assert_eq!(
        (read.epoch, read.write_deadline, read.rate_margin),
        {
            let whole = opening(read.number, until);
            (whole.epoch, whole.write_deadline, whole.rate_margin)
        },
        "{read:?}"
    );
    true
}

/// Searches up to so many preemptions, which takes seconds; `LOOM_MAX_PREEMPTIONS=100` searches all, in minutes.
fn model(preemptions: usize, test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(test);
}

#[test]
fn a_reader_never_mixes_two_openings() {
    model(3, || {
        let cell = Arc::new(Published::<AtomicU64>::new());
        cell.open(&opening(1, 10));
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || check(&cell, &[(1, 10), (2, 20)]))
        };
        cell.shut();
        cell.open(&opening(2, 20));
        reader.join().unwrap();
        assert!(check(&cell, &[(2, 20)]), "once all is done, it is read");
    });
}

#[test]
fn a_reader_never_mixes_two_openings_of_which_the_first_was_never_shut() {
    model(3, || {
        let cell = Arc::new(Published::<AtomicU64>::new());
        cell.open(&opening(1, 10));
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || check(&cell, &[(1, 10), (2, 20)]))
        };
        cell.open(&opening(2, 20));
        reader.join().unwrap();
    });
}

#[test]
fn a_renewal_is_read_as_before_or_after_and_never_refused() {
    model(3, || {
        let cell = Arc::new(Published::<AtomicU64>::new());
        cell.open(&opening(1, 10));
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || assert!(check(&cell, &[(1, 10), (1, 12)])))
        };
        cell.open(&opening(1, 12));
        reader.join().unwrap();
    });
}

#[test]
fn who_knows_that_the_gate_shut_reads_nothing_from_before() {
    model(3, || {
        let cell = Arc::new(Published::<AtomicU64>::new());
        cell.open(&opening(1, 10));
        let told = Arc::new(AtomicU64::new(0));
        let reader = {
            let (cell, told) = (Arc::clone(&cell), Arc::clone(&told));
            thread::spawn(move || {
                if told.load(Acquire) == 1 {
                    check(&cell, &[(2, 20)]);
                }
            })
        };
        cell.shut();
        told.store(1, Release);
        cell.open(&opening(2, 20));
        reader.join().unwrap();
    });
}

// ===== the test of the test =====

/// Two words without a number, as one might write it first.
#[derive(Debug)]
struct TwoWords {
    until: AtomicU64,
    epoch: AtomicU64,
}

#[test]
fn the_search_finds_the_bug_of_two_words_without_a_number() {
    let found = std::panic::catch_unwind(|| {
        model(3, || {
            let cell = Arc::new(TwoWords { until: Word::new(10), epoch: Word::new(1) });
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    let (until, epoch) = (Word::load(&cell.until), Word::load(&cell.epoch));
                    assert!([(0, 1), (10, 1), (0, 2), (20, 2)].contains(&(until, epoch)), "mixed");
                })
            };
            Word::store(&cell.until, 0);
            Word::store(&cell.epoch, 2);
            Word::store(&cell.until, 20);
            reader.join().unwrap();
        });
    });
    assert!(found.is_err());
}
