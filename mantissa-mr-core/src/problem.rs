//! What is wrong with an input: every problem at once, each with where it is and how to mend it.

use std::fmt;

use crate::plain::plain;

/// Longer parts of a problem are cut where they are shown, in characters.
const MOST: usize = 400;

/// Where in a file a problem is. Lines and columns count from one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as the user named it.
    pub file: String,
    /// The line and the column, where they are known.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.position.map_or(Ok(()), |(line, column)| write!(f, ":{line}:{column}"))
    }
}

/// One thing that is wrong with an input. It is shown in one line that is safe to print and not too long, whatever the
/// input holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is, if the input came from a file.
    pub location: Option<Location>,
    /// The field it concerns, such as `groups.logs.stores.state.regions`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub advice: Option<String>,
}

impl Problem {
    /// A problem with a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { location: None, field: field.into(), message: message.into(), advice: None }
    }

    /// Says how to mend it.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Says where it is.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", plain(&self.field, MOST))?;
        }
        write!(f, "{}", plain(&self.message, MOST))?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, " ({})", plain(advice, MOST)))
    }
}

/// Everything that is wrong with an input; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Ok` if there is no problem, else all of them.
    ///
    /// # Errors
    /// The problems, if there are any.
    pub fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// The problems.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// The problems, by value.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    /// A line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_that_can_be_printed_and_read_whatever_the_input_holds() {
        let bad = "\u{1b}[31m\nprod.tfvars:1:1: all is well\u{202e}";
        let problem = Problem::new(bad, format!("{bad}{}", "x".repeat(1 << 20))).with_advice(bad);
        let said = problem.at(Location { file: "it".into(), position: Some((1, 1)) }).to_string();
        assert!(!said.contains(['\n', '\u{1b}', '\u{202e}']), "{said}");
        assert!(said.starts_with("it:1:1: \\u{1b}[31m\\nprod.tfvars:1:1: all is well\\u{202e}: "), "{said}");
        assert!(said.len() < 1_500, "{} bytes", said.len());
    }
}
