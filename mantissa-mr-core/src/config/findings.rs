//! Collects all that is wrong with the files, and says it in their order.

use std::collections::BTreeSet;

use super::tree::At;
use crate::problem::{Location, Problem, Problems};

/// So many problems are told; nobody reads more, and a wrong file can have one at every byte.
pub(super) const MOST: usize = 1_000;

/// Where a finding belongs; in this order they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In a file, at a byte if it is known.
    File { source: usize, offset: Option<usize> },
    /// In none of the files.
    Nowhere,
}

/// What was found to be wrong, and what to warn of.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<(Place, Problem)>,
    pub(super) warnings: Vec<String>,
}

/// A file's name and text, for turning bytes into lines and columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Findings {
    pub(super) fn at(&mut self, at: At, problem: Problem) {
        let place = Place::File { source: at.source, offset: Some(at.offset) };
        self.problems.push((place, problem));
    }

    pub(super) fn in_file(&mut self, source: usize, problem: Problem) {
        self.problems.push((Place::File { source, offset: None }, problem));
    }

    pub(super) fn nowhere(&mut self, problem: Problem) {
        self.problems.push((Place::Nowhere, problem));
    }

    /// Whether there is more than is told.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() > MOST
    }

    /// The problems in the order of the files, each with its line and column.
    pub(super) fn check(mut self, texts: &[Text<'_>]) -> Result<Vec<String>, Problems> {
        self.problems.sort_by_key(|(place, _)| *place);
        let mut seen = BTreeSet::new();
        self.problems.retain(|found| seen.insert(found.clone()));
        let all = self.problems.len() <= MOST;
        self.problems.truncate(MOST);
        let located = self.problems.into_iter().map(|(place, problem)| match location(place, texts) {
            Some(location) if problem.location.is_none() => problem.at(location),
            _ => problem,
        });
        let mut problems: Vec<Problem> = Vec::new();
        for problem in located {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if !all {
            problems.push(Problem::new("", "there are more problems than these"));
        }
        Problems::check(problems)?;
        Ok(self.warnings)
    }
}

fn location(place: Place, texts: &[Text<'_>]) -> Option<Location> {
    let Place::File { source, offset } = place else { return None };
    let Text { name, text } = texts.get(source)?;
    let position = offset.map(|offset| position(text, offset));
    Some(Location { file: (*name).to_owned(), position })
}

/// Line and column of a byte, from one; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    // Inside a character: its start.
    let boundary = (0..=offset.min(text.len())).rev().find_map(|end| text.get(..end));
    let before = boundary.unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_becomes_a_line_and_a_column_in_characters_even_inside_a_character_or_past_the_end() {
        let text = "a\nüx\n";
        let cases =
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (3, (2, 1)), (4, (2, 2)), (6, (3, 1)), (99, (3, 1))];
        for (offset, expected) in cases {
            assert_eq!(position(text, offset), expected, "byte {offset}");
        }
        assert_eq!(position("", 0), (1, 1));
    }

    #[test]
    fn problems_come_in_the_order_of_the_files_and_the_ones_of_no_file_last() {
        let mut findings = Findings::default();
        findings.nowhere(Problem::new("d", "d"));
        findings.at(At { source: 1, offset: 0 }, Problem::new("c", "c"));
        findings.at(At { source: 0, offset: 1 }, Problem::new("b", "b"));
        findings.in_file(0, Problem::new("a", "a"));
        findings.in_file(0, Problem::new("a", "a"));
        let texts = [Text { name: "one", text: "\n\n" }, Text { name: "two", text: "" }];
        let said = findings.check(&texts).unwrap_err().to_string();
        assert_eq!(said, "one: a: a\none:2:1: b: b\ntwo:1:1: c: c\nd: d");
    }
}
