//! Texts from outside, as they may be shown: what a terminal would obey is written out, and what nobody would read to
//! its end is cut. A file, a cell and a service's answer can hold anything.

use std::fmt::{self, Write as _};

/// A text on one line, of at most so many characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'t> {
    text: &'t str,
    most: usize,
}

/// The text as it may be shown.
pub(crate) fn plain(text: &str, most: usize) -> Plain<'_> {
    Plain { text, most }
}

/// Whether a character changes the line it stands in, or how it reads, instead of being seen.
fn acts(letter: char) -> bool {
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}'];
    let turns = ['\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    letter.is_control() || marks.contains(&letter) || turns.iter().any(|range| range.contains(&letter))
}

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = self.most;
        for letter in self.text.chars() {
            let written_out = acts(letter).then(|| letter.escape_default());
            let length = written_out.as_ref().map_or(1, ExactSizeIterator::len);
            if length > room {
                return f.write_char('…');
            }
            room -= length;
            match written_out {
                Some(escape) => write!(f, "{escape}")?,
                None => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_that_a_terminal_obeys_and_the_rest_as_it_is() {
        for (text, shown) in [
            ("a region `us-east-1`, as ever: ü 東", "a region `us-east-1`, as ever: ü 東"),
            ("\u{1b}[2J\r\nall is well\u{7f}", "\\u{1b}[2J\\r\\nall is well\\u{7f}"),
            ("abc\u{202e}fdp.exe\u{2069}\u{feff}", "abc\\u{202e}fdp.exe\\u{2069}\\u{feff}"),
        ] {
            assert_eq!(plain(text, 100).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(plain("üüü", 3).to_string(), "üüü");
        assert_eq!(plain("üüüü", 3).to_string(), "üüü…");
        assert_eq!(
            plain("a\u{1b}\u{1b}", 8).to_string(),
            "a\\u{1b}…",
            "what is written out counts as it is shown"
        );
    }
}
