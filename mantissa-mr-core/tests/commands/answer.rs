//! What a person gets for a command.

use std::fmt;

use super::text;

/// An answer; anything else than one of these is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What was asked for is so, or is on its way.
    Done(String),
    /// Nothing was done, and why.
    Refused(String),
    /// Nothing was done yet: this must be said too.
    Asks(String),
}

impl Answer {
    pub(crate) fn done(text: impl fmt::Display) -> Self {
        Self::Done(text.to_string())
    }

    pub(crate) fn refused(why: impl fmt::Display) -> Self {
        let why = why.to_string();
        // A reason that says nothing is none.
        assert!(why.split_whitespace().count() >= 3, "`{why}` is no reason");
        Self::Refused(why)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, rest) = match self {
            Self::Done(rest) => ("done", rest),
            Self::Refused(rest) => ("refused", rest),
            Self::Asks(rest) => ("asks", rest),
        };
        write!(f, "{word}: {}", text::timeless(rest))
    }
}
