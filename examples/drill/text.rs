//! Times and paragraphs as text.

use std::time::Duration;

use mantissa_mr_core::sim::TrueTime;

/// No row is longer than this.
pub(crate) const WIDTH: usize = 80;

/// Minutes and seconds since the begin.
pub(crate) fn clock(at: TrueTime) -> String {
    let tenths = at.as_nanos() / 100_000_000;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

/// Seconds, to a tenth.
pub(crate) fn seconds(span: Duration) -> String {
    format!("{:.1}", span.as_secs_f64())
}

/// Breaks a text into rows of at most so many characters, at spaces where there are any. Control characters, which
/// would break out of the row, become spaces.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let row = rows.last_mut().filter(|row| !row.is_empty());
            let used = row.as_ref().map_or(0, |row| row.chars().count() + 1);
            if used + word.len() <= width {
                match row {
                    Some(row) => row.extend([' '].into_iter().chain(word.drain(..))),
                    None => fill(&mut rows, &mut word, width),
                }
            } else if used > 0 {
                rows.push(String::new());
            } else {
                // Longer than a row: it is cut.
                fill(&mut rows, &mut word, width);
            }
        }
    }
    rows
}

/// Puts as much of a word as fits into the last row, which is empty.
fn fill(rows: &mut [String], word: &mut Vec<char>, width: usize) {
    let count = word.len().min(width);
    if let Some(row) = rows.last_mut() {
        row.extend(word.drain(..count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_never_too_long_and_lose_no_letter() {
        let text = "a bb ccc dddd eeeeeeeeeeeeeeeeeeeeeee f\ng  h";
        for width in 1..=30 {
            let rows = wrap(text, width);
            assert!(rows.iter().all(|row| row.chars().count() <= width), "{width}: {rows:?}");
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(letters(&rows.concat()), letters(text), "{width}");
        }
        assert_eq!(wrap(text, 10), ["a bb ccc", "dddd", "eeeeeeeeee", "eeeeeeeeee", "eee f g h"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn a_time_is_in_minutes_and_tenths_of_a_second() {
        assert_eq!(clock(TrueTime::from_nanos(61_450_000_000)), "1:01.4");
        assert_eq!(clock(TrueTime::START), "0:00.0");
    }
}
