//! What became of a compare-and-swap whose answer was lost: settled by the token of its writer.
//!
//! A store that is answered [`Unknown`](StoreOutcome::Unknown) may be in force, may land later, or never. [`Swap`]
//! finds out, as a pure state machine that a controller drives with [`Call`]s and [`Reply`]s; [`swap`] drives it for
//! programs that may simply wait.
//!
//! ```text
//!            Applied                                      own token
//!   store ------------> Applied                    load ------------> Applied
//!     |  \ Lost                                     |  \ other state
//!     |   `-----------> Lost (if never in doubt)    |   `-----------> Lost
//!     | Unknown, or Lost after a doubt              | unchanged: still in doubt
//!     `----------------> load                       `---------------> the same store again
//! ```
//!
//! # Why it is right
//! A cell's version never comes back, so once it has moved from the expected one, no copy of the store that is still on
//! its way can apply. "Unchanged" proves nothing, since the write may land a moment later; sending the same store
//! again, with the same value and token, moves the version either by itself or because the first one was faster, and
//! both of them are this write. All copies expect the same version, so at most one of them ever applies.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use serde::Deserialize;

use crate::call::{Call, Reply};
use crate::cell::{Cell, CellName, CellStore, CellVersion, Expected, StoreOutcome};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::ledger::Token;

/// Finds the token of its writer in a cell's value; `None` if there is none.
pub type TokenOf = fn(&[u8]) -> Option<Token>;

/// The token in the `writer` field of a JSON object: of a ledger, and of a journal's slot.
pub fn writer(value: &[u8]) -> Option<Token> {
    #[derive(Deserialize)]
    struct Written {
        writer: Token,
    }
    // Serde would take a list for an object, field by field.
    let is_object = value.trim_ascii_start().starts_with(b"{");
    let written = is_object.then(|| serde_json::from_slice(value).ok()).flatten();
    written.map(|Written { writer }| writer)
}

/// One compare-and-swap, until it is known what became of it.
///
/// [`begin`](Self::begin) gives the first call; each reply goes into [`step`](Self::step), until that returns anything
/// else than [`Next::Call`]. The machine asks without end while there is doubt: whoever drives it decides how long, how
/// often and with which waits, and calls [`abandon`](Self::abandon) when it gives up.
///
/// # To ensure correctness
/// The value's token must be in no other value that was ever stored in this cell.
#[derive(Clone, Debug)]
pub struct Swap {
    cell: CellName,
    expected: Expected,
    value: Vec<u8>,
    token: Token,
    token_of: TokenOf,
    awaits: Awaits,
    /// A store was handed out, and it is not known that it has not been applied and will not be.
    in_doubt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    Nothing,
    Store { first: bool },
    Load,
}

/// What to do after a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Make this call, and feed its reply into [`Swap::step`].
    Call(Call),
    /// The value is in force, or was until somebody swapped it for another, having read it.
    Applied {
        /// The state that it left behind.
        version: CellVersion,
    },
    /// The value is not in force and never will be. After a doubt it may have been, if somebody else has already
    /// swapped it for another: observe again, and decide anew.
    ///
    /// Holds the cell as read while settling; `None` if it was not read, or is not there.
    Lost(Option<Cell>),
    /// It cannot go on. [`Effect::None`]: the value is not in force and never will be, and if the error
    /// [can be retried](Error::can_retry), the same swap may be begun again. [`Effect::Unknown`]: the value may be in
    /// force, or may land yet; observe before anything is built on either. Such an error is never one to retry.
    Failed(Error),
}

impl Swap {
    /// A compare-and-swap of a cell in the expected state for a value, which must carry a fresh token.
    ///
    /// # Errors
    /// `InvalidInput` if `token_of` finds no token in the value: a lost answer could never be settled.
    pub fn new(cell: CellName, expected: Expected, value: Vec<u8>, token_of: TokenOf) -> Result<Self> {
        let Some(token) = token_of(&value) else {
            let message = "the value carries no token of its writer";
            return Err(Error::new(ErrorKind::InvalidInput, "swap a cell", message).on(cell));
        };
        Ok(Self { cell, expected, value, token, token_of, awaits: Awaits::Nothing, in_doubt: false })
    }

    /// The cell.
    pub fn cell(&self) -> &CellName {
        &self.cell
    }

    /// The token that the value carries.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Whether the value may be in force, or may land yet.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// The first call. Also the next one after [`Next::Failed`], if that may be tried again.
    pub fn begin(&mut self) -> Call {
        self.awaits = Awaits::Store { first: !self.in_doubt };
        self.in_doubt = true;
        Call::Store { cell: self.cell.clone(), expected: self.expected.clone(), value: self.value.clone() }
    }

    /// Takes the reply to the last call.
    pub fn step(&mut self, reply: Reply) -> Next {
        match (std::mem::replace(&mut self.awaits, Awaits::Nothing), reply) {
            (Awaits::Store { first }, Reply::Store(answer)) => self.stored(first, answer),
            (Awaits::Load, Reply::Load(answer)) => self.loaded(answer),
            (Awaits::Nothing, _) => {
                let effect = if self.in_doubt { Effect::Unknown } else { Effect::None };
                let message = "a reply came, and nothing had been asked";
                let error = Error::new(ErrorKind::InvalidInput, "swap a cell", message);
                Next::Failed(error.on(&self.cell).with_effect(effect))
            }
            // The reply to something else says nothing of the call that was made.
            _ => self.load(),
        }
    }

    /// The error for whoever gives up waiting; its effect is unknown if there is doubt.
    pub fn abandon(&self, why: &str) -> Error {
        let effect = if self.in_doubt { Effect::Unknown } else { Effect::None };
        Error::new(ErrorKind::Timeout, "swap a cell", why)
            .on(&self.cell)
            .with_effect(effect)
            .with_advice("read the cell before anything is built on either outcome")
    }

    fn stored(&mut self, first: bool, answer: Result<StoreOutcome>) -> Next {
        match answer {
            Ok(StoreOutcome::Applied { version }) => self.applied(version),
            Ok(StoreOutcome::Lost) if first => self.lost(None),
            // The version has moved: by an earlier copy of this store, or by somebody else.
            Ok(StoreOutcome::Lost | StoreOutcome::Unknown { .. }) => self.load(),
            Err(error) if error.effect() == Effect::Unknown => self.load(),
            Err(error) if first => {
                self.in_doubt = false;
                Next::Failed(error)
            }
            // This copy was not applied; an earlier one may be.
            Err(error) => self.load_or_fail(error),
        }
    }

    fn loaded(&mut self, answer: Result<Option<Cell>>) -> Next {
        match answer {
            // First of all, since a store that was applied has left another version behind.
            Ok(cell) if self.expected.holds(cell.as_ref().map(|cell| &cell.version)) => {
                Next::Call(self.begin())
            }
            Ok(Some(cell)) if (self.token_of)(&cell.value).as_ref() == Some(&self.token) => {
                self.applied(cell.version)
            }
            Ok(cell) => self.lost(cell),
            Err(error) => self.load_or_fail(error),
        }
    }

    fn applied(&mut self, version: CellVersion) -> Next {
        self.in_doubt = false;
        Next::Applied { version }
    }

    fn lost(&mut self, cell: Option<Cell>) -> Next {
        self.in_doubt = false;
        Next::Lost(cell)
    }

    fn load(&mut self) -> Next {
        self.awaits = Awaits::Load;
        Next::Call(Call::Load { cell: self.cell.clone() })
    }

    fn load_or_fail(&mut self, error: Error) -> Next {
        if error.can_retry() { self.load() } else { Next::Failed(error.with_effect(Effect::Unknown)) }
    }
}

/// How long [`swap`] tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How many calls it makes at most, loads and stores together.
    pub calls: usize,
    /// How long it waits before its second call; each wait after that is twice as long.
    pub first_wait: Duration,
    /// The longest wait between two calls, unless the service asks for more.
    pub longest_wait: Duration,
    /// How long it waits for the answer to one call.
    pub deadline: Duration,
}

impl Default for Patience {
    /// Ten calls of at most five seconds, with waits from a tenth of a second to two seconds.
    fn default() -> Self {
        Self {
            calls: 10,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(2),
            deadline: Duration::from_secs(5),
        }
    }
}

/// What became of a [`swap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// As [`Next::Applied`].
    Applied {
        /// The state that it left behind.
        version: CellVersion,
    },
    /// As [`Next::Lost`].
    Lost(Option<Cell>),
}

/// Carries out a compare-and-swap and settles it if its answer is lost; for programs that may simply wait, such as
/// command-line tools. What was certainly refused is tried again, with longer and longer waits, where that can help.
///
/// # Errors
/// As [`Next::Failed`]; with [`Effect::Unknown`] also when the patience ends in doubt.
///
/// # Cancel safety
/// When it is dropped, the store may be in force or land yet.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mantissa_mr_core::cell::{CellName, Expected, MemoryCells};
/// use mantissa_mr_core::register::{Patience, Swap, Swapped, swap, writer};
///
/// let cells = MemoryCells::new();
/// let value = br#"{"writer": "cli-7#1", "says": "hello"}"#.to_vec();
/// let wish = Swap::new(CellName::try_from("greeting")?, Expected::Absent, value, writer)?;
/// let outcome = swap(&cells, wish, &Patience::default()).await?;
/// assert!(matches!(outcome, Swapped::Applied { .. }));
/// # Ok(()) }
/// ```
pub async fn swap(cells: &dyn CellStore, mut swap: Swap, patience: &Patience) -> Result<Swapped> {
    let mut waits = ExponentialBuilder::new()
        .with_min_delay(patience.first_wait)
        .with_max_delay(patience.longest_wait)
        .with_max_times(patience.calls.saturating_sub(1))
        .build();
    let mut call = swap.begin();
    loop {
        let reply = make(cells, call, patience.deadline).await;
        let asked = asked_to_wait(&reply);
        let refused = match swap.step(reply) {
            Next::Applied { version } => return Ok(Swapped::Applied { version }),
            Next::Lost(cell) => return Ok(Swapped::Lost(cell)),
            Next::Failed(error) if swap.in_doubt() || !worth_repeating(&error) => return Err(error),
            Next::Failed(error) => {
                call = swap.begin();
                Some(error)
            }
            Next::Call(next) => {
                tracing::debug!(cell = %swap.cell(), "a store is in doubt");
                call = next;
                None
            }
        };
        let Some(wait) = waits.next() else {
            return Err(refused
                .unwrap_or_else(|| swap.abandon("it is still in doubt, and the patience is at its end")));
        };
        tokio::time::sleep(wait.max(asked)).await;
    }
}

/// A conflict is for whoever read the cell: the same request cannot succeed.
fn worth_repeating(error: &Error) -> bool {
    error.can_retry() && error.kind() != ErrorKind::Conflict
}

fn asked_to_wait(reply: &Reply) -> Duration {
    let error = match reply {
        Reply::Store(answer) => answer.as_ref().err(),
        Reply::Load(answer) => answer.as_ref().err(),
        _ => None,
    };
    error.and_then(Error::retry_after).unwrap_or_default()
}

/// Makes one call; past its deadline the reply is a `Timeout`.
async fn make(cells: &dyn CellStore, call: Call, deadline: Duration) -> Reply {
    let late = |cell: &CellName| {
        let message = format!("no answer within {deadline:?}");
        Error::new(ErrorKind::Timeout, "swap a cell", message).on(cell)
    };
    match call {
        Call::Store { cell, expected, value } => {
            let answer = tokio::time::timeout(deadline, cells.store(&cell, &expected, &value)).await;
            Reply::Store(answer.unwrap_or_else(|_| Err(late(&cell))))
        }
        Call::Load { cell } => {
            let answer = tokio::time::timeout(deadline, cells.load(&cell)).await;
            Reply::Load(answer.unwrap_or_else(|_| Err(late(&cell))))
        }
        other => {
            let message = format!("a swap does not make the call {other:?}");
            Reply::Load(Err(Error::new(ErrorKind::Unsupported, "swap a cell", message)))
        }
    }
}

#[cfg(test)]
mod tests;
