//! Settling a compare-and-swap whose answer was lost, by the writer's token in the value.

use crate::call::{Call, Reply};
use crate::cell::{Cell, CellName, Expected, StoreOutcome};
use crate::error::{Effect, Error, ErrorKind};
use crate::ledger::Token;

/// One compare-and-swap, carried on until it is known whether it holds.
#[derive(Clone, Debug)]
pub struct Swap {
    cell: CellName,
    expected: Expected,
    value: Vec<u8>,
    token: Token,
    token_of: fn(&[u8]) -> Option<Token>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Make this call and hand its reply to [`Swap::step`].
    Call(Call),
    /// The value is in force.
    Applied {
        /// The cell's state with it.
        version: crate::cell::CellVersion,
    },
    /// It is not in force and never will be, or was and has been written over: look at the cell again.
    Lost(Option<Cell>),
    /// It was not applied and will not be.
    Failed(Error),
}

impl Swap {
    /// A swap of a cell from the expected state to a value that carries the token.
    pub fn new(
        cell: CellName,
        expected: Expected,
        value: Vec<u8>,
        token: Token,
        token_of: fn(&[u8]) -> Option<Token>,
    ) -> Self {
        Self { cell, expected, value, token, token_of }
    }

    /// The first call.
    pub fn begin(&self) -> Call {
        Call::Store { cell: self.cell.clone(), expected: self.expected.clone(), value: self.value.clone() }
    }

    /// Takes the reply to the last call.
    pub fn step(&mut self, reply: Reply) -> Next {
        match reply {
            Reply::Store(Ok(StoreOutcome::Applied { version })) => Next::Applied { version },
            Reply::Store(Err(error)) if error.effect() == Effect::None => Next::Failed(error),
            // Lost, too, may mean that an earlier attempt of this very swap has won: the cell says whose value it holds.
            Reply::Store(_) => Next::Call(Call::Load { cell: self.cell.clone() }),
            Reply::Load(Ok(found)) => self.settle(found),
            Reply::Load(Err(error)) if error.can_retry() => {
                Next::Call(Call::Load { cell: self.cell.clone() })
            }
            Reply::Load(Err(error)) => Next::Failed(error.with_effect(Effect::Unknown)),
            _ => Next::Failed(
                Error::new(ErrorKind::Unexpected, "settle a swap", "the answer fits no question")
                    .on(&self.cell),
            ),
        }
    }

    fn settle(&self, found: Option<Cell>) -> Next {
        let mine = found.as_ref().filter(|cell| (self.token_of)(&cell.value).as_ref() == Some(&self.token));
        if let Some(cell) = mine {
            return Next::Applied { version: cell.version.clone() };
        }
        let unmoved = match (&self.expected, &found) {
            (Expected::Absent, None) => true,
            (Expected::Version(expected), Some(cell)) => cell.version == *expected,
            _ => false,
        };
        // Unmoved: the first attempt may land yet. The same swap again either applies, and then the first cannot any
        // more, or loses to it.
        if unmoved { Next::Call(self.begin()) } else { Next::Lost(found) }
    }
}
