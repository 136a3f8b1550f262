//! What every writer reads before every write: an open gate's promise, in a few words of memory, without a lock.
//!
//! One thread publishes; any number read. An [`Opening`] is several words, and a reader must never mix those of two
//! openings: an old `until` with a new epoch would let a write through under an epoch that was never granted that long.
//! So the words carry a number, the opening's own, which is odd while they are being changed:
//!
//! - The publisher of a new opening stores the odd number, then the words, then the even number, each with release.
//! - A reader loads the number, then the words, each with acquire, then the number again, and takes the words only if
//!   both numbers are the same even one.
//!
//! If it loaded any word of a later opening, that load synchronised with its store, which comes after the store of the
//! odd number: so the second load of the number sees that one or a later one, and differs from the first. If it loaded
//! the even number first, that load synchronised with the end of that opening's stores: so no word is of an earlier one.
//!
//! Within an opening, renewals store `until` and the clocks of the read without touching the number. A reader may mix
//! those of two renewals, which does no harm: each `until` was granted, and the clocks of two renewals of one opening
//! agree, for else the gate would have shut between them. A gate that shuts stores zero for `until`.
//!
//! A reader never waits and never tries again: what it cannot read at once it takes for shut.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::view::{Opening, Permit};
use crate::clock::{Moment, Now, RateMargin};
use crate::ledger::Epoch;

/// An atomic word. It is a trait so that the tests can run this file, as it is, under every interleaving and reordering
/// that the memory model allows.
pub(super) trait Word {
    fn new(value: u64) -> Self;
    fn load(&self) -> u64;
    fn store(&self, value: u64);
}

impl Word for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }
}

/// The published words. They share a cache line that only a renewal writes.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Published<W> {
    /// Twice the opening's number; one more while the words change.
    number: W,
    /// In nanoseconds of the own clock; zero: shut.
    until: W,
    epoch: W,
    /// In nanoseconds.
    write_deadline: W,
    /// The own clock at the send of the trusted read.
    sent: W,
    /// The wall clock at that instant less the own clock, in nanoseconds, as two's complement.
    apart: W,
    /// In parts per million.
    rate_margin: W,
}

/// What a reader took: the words of one opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    number: u64,
    until: u64,
    epoch: u64,
    write_deadline: u64,
    sent: u64,
    apart: u64,
    rate_margin: u64,
}

impl<W: Word> Published<W> {
    /// Shut.
    pub(super) fn new() -> Self {
        let zero = || W::new(0);
        Self {
            number: zero(),
            until: zero(),
            epoch: zero(),
            write_deadline: zero(),
            sent: zero(),
            apart: zero(),
            rate_margin: zero(),
        }
    }

    /// Publishes an opening, or the renewal of the one that is published. For one thread alone.
    pub(super) fn open(&self, opening: &Opening) {
        let words = Words::of(opening);
        let renewal = self.number.load() == words.number;
        if !renewal {
            self.number.store(words.number | 1);
            self.epoch.store(words.epoch);
            self.write_deadline.store(words.write_deadline);
            self.rate_margin.store(words.rate_margin);
        }
        self.sent.store(words.sent);
        self.apart.store(words.apart);
        self.until.store(words.until);
        if !renewal {
            self.number.store(words.number);
        }
    }

    /// Publishes that the gate is shut. Before it is opened again it must be given another number.
    pub(super) fn shut(&self) {
        self.until.store(0);
    }

    /// What is published, unless it is that the gate is shut, or just being changed.
    #[inline]
    pub(super) fn read(&self) -> Option<Words> {
        let words = Words {
            number: self.number.load(),
            until: self.until.load(),
            epoch: self.epoch.load(),
            write_deadline: self.write_deadline.load(),
            sent: self.sent.load(),
            apart: self.apart.load(),
            rate_margin: self.rate_margin.load(),
        };
        let whole = words.number & 1 == 0 && self.number.load() == words.number;
        (whole && words.until != 0).then_some(words)
    }
}

impl Words {
    fn of(opening: &Opening) -> Self {
        let wall = wall_nanos(opening.sent.wall);
        Self {
            number: opening.number << 1,
            until: opening.until.as_nanos(),
            epoch: opening.epoch.0,
            write_deadline: u64::try_from(opening.write_deadline.as_nanos()).unwrap_or(u64::MAX),
            sent: opening.sent.moment.as_nanos(),
            apart: wall.wrapping_sub(opening.sent.moment.as_nanos()),
            rate_margin: u64::from(opening.rate_margin.ppm),
        }
    }

    /// The permit that the opening gives at this moment. Cheap: it looks at the own clock alone.
    #[inline]
    pub(super) fn permit(&self, moment: Moment) -> Option<Permit> {
        let deadline = moment.as_nanos().saturating_add(self.write_deadline);
        (deadline <= self.until).then_some(Permit {
            epoch: Epoch(self.epoch),
            valid_until: Moment::from_nanos(self.until),
            deadline: Moment::from_nanos(deadline),
            opening: self.number >> 1,
        })
    }

    /// The opening that was published.
    pub(super) fn opening(&self) -> Opening {
        let sent = Moment::from_nanos(self.sent);
        let wall = self.apart.wrapping_add(self.sent).cast_signed();
        Opening {
            number: self.number >> 1,
            epoch: Epoch(self.epoch),
            until: Moment::from_nanos(self.until),
            write_deadline: Duration::from_nanos(self.write_deadline),
            sent: Now {
                moment: sent,
                wall: Timestamp::from_nanosecond(i128::from(wall)).unwrap_or(Timestamp::UNIX_EPOCH),
            },
            rate_margin: RateMargin { ppm: u32::try_from(self.rate_margin).unwrap_or(u32::MAX) },
        }
    }
}

/// Nanoseconds since 1970 as two's complement. Good until 2262; a wall clock beyond that counts as one at the very end,
/// and a gate that is then found to have diverged is shut.
fn wall_nanos(wall: Timestamp) -> u64 {
    i64::try_from(wall.as_nanosecond()).unwrap_or(i64::MAX).cast_unsigned()
}
