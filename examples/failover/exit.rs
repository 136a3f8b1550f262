//! How a command ends: its exit code, and what it says of a failure.

use std::process::ExitCode;

use mantissa_mr_core::error::{Error, ErrorKind};
use mantissa_mr_core::operator::PlanError;
use mantissa_mr_core::problem::{Problem, Problems};
use serde_json::{Value, json};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is done.
    Done = 0,
    /// A call failed, or somebody else took over.
    Failed = 1,
    /// What was typed or configured is wrong; nothing was touched.
    BadInput = 2,
    /// A guard, a person or the state of things refuses; nothing was begun.
    Refused = 3,
    /// The move waits for a person.
    Paused = 4,
    /// A step of the move is overdue and waits for a person.
    Stuck = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What came of a command: its exit code, and its document for `--json`.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) document: Value,
}

impl Outcome {
    pub(crate) fn new(exit: Exit, document: Value) -> Self {
        Self { exit, document }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The input is wrong: everything that is, at once.
    Input(Problems),
    /// It must not be done now.
    Refused(String),
    /// A call failed.
    Failed(Error),
}

impl Stop {
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Input(_) => Exit::BadInput,
            Self::Refused(_) => Exit::Refused,
            Self::Failed(error) => match error.kind() {
                ErrorKind::InvalidInput | ErrorKind::NotFound => Exit::BadInput,
                _ => Exit::Failed,
            },
        }
    }

    /// What is wrong, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Input(problems) => {
                problems.as_slice().iter().map(|problem| format!("error: {problem}")).collect()
            }
            Self::Refused(why) => vec![format!("refused: {why}")],
            Self::Failed(error) => format!("error: {error:#}").lines().map(str::to_owned).collect(),
        }
    }

    pub(crate) fn document(&self) -> Value {
        let texts: Vec<String> = match self {
            Self::Input(problems) => problems.as_slice().iter().map(ToString::to_string).collect(),
            Self::Refused(why) => vec![why.clone()],
            Self::Failed(error) => vec![error.to_string()],
        };
        match self {
            Self::Refused(_) => json!({ "refused": texts }),
            _ => json!({ "errors": texts }),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Problems> for Stop {
    fn from(problems: Problems) -> Self {
        Self::Input(problems)
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Input(problem.into())
    }
}

impl From<PlanError> for Stop {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Request(problems) => Self::Input(problems),
            PlanError::Ledger(error) => Self::Failed(error),
        }
    }
}
