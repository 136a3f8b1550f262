//! Through which region the ledger's table is asked.
//!
//! A table with multi-Region strong consistency answers in each of its regions, with the same content: a strongly consistent
//! read in one sees every write that was answered in another, and of two writes under one condition at most one succeeds
//! ([AWS: how global tables work](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html)).
//! So it does not matter through which it is asked. It is asked through one, the witness's, as long as that answers. A request
//! without an answer is not sent again elsewhere: it fails as ever, and the *next* one goes through another region.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use mantissa_mr_core::error::{Error, ErrorKind};
use mantissa_mr_core::name::Region;

/// A region, and the client that sends each request there once.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) region: Region,
    pub(crate) client: Client,
}

/// The regions through which a table can be asked, and the one that is.
#[derive(Debug)]
pub(super) struct Ways<'a> {
    /// At least one.
    all: Vec<&'a Way>,
    current: &'a AtomicUsize,
}

impl<'a> Ways<'a> {
    pub(super) fn new(all: Vec<&'a Way>, current: &'a AtomicUsize) -> Self {
        Self { all, current }
    }

    /// One request, through the region that is asked now.
    pub(super) fn attempt(self) -> Attempt<'a> {
        let number = self.current.load(Ordering::Relaxed) % self.all.len();
        Attempt { ways: self, number, answered: false }
    }
}

/// One request. Unless it was answered, and also where nobody waits for the answer any more, the next one goes through the
/// next region.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    ways: Ways<'a>,
    number: usize,
    answered: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn way(&self) -> &'a Way {
        self.ways.all[self.number]
    }

    /// It was answered.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }

    /// It failed with this. A refusal is an answer, too.
    pub(super) fn failed(mut self, error: &Error) {
        self.answered = !is_silent(error);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let next = (self.number + 1) % self.ways.all.len();
            // Of several that fail at once, one turns.
            let turn =
                self.ways.current.compare_exchange(self.number, next, Ordering::Relaxed, Ordering::Relaxed);
            if turn.is_ok() && next != self.number {
                let (from, to) = (&self.way().region, &self.ways.all[next].region);
                tracing::warn!(%from, %to, "the ledger's table did not answer: the next request goes elsewhere");
            }
        }
    }
}

/// Whether a region did not answer, or could not.
pub(super) fn is_silent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}
