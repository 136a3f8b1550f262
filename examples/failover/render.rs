//! What is shown to people: plain lines and tables, at most 80 columns wide.

mod history;
mod plan;
mod report;
mod status;
mod text;

pub(crate) use history::history;
pub(crate) use plan::plan;
pub(crate) use report::report;
pub(crate) use status::{Seen, status};
pub(crate) use text::{fact, printable, span, table, wrap, wrap_to};

/// Where results go: lines for people, or one document for programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    json: bool,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Shows lines to people; a program gets a document at the end instead.
    pub(crate) fn show(self, lines: impl IntoIterator<Item = String>) {
        if !self.json {
            print(&lines.into_iter().map(|line| printable(&line)).collect::<Vec<_>>().join("\n"));
        }
    }

    /// Shows one sentence.
    pub(crate) fn say(self, sentence: &str) {
        self.show(wrap(sentence, "", ""));
    }

    /// Gives a program its document.
    pub(crate) fn finish(self, document: &serde_json::Value) {
        if self.json {
            print(&serde_json::to_string_pretty(document).unwrap_or_default());
        }
    }
}

/// A reader that has gone away (`| head`) is no reason to fail half-way through a move.
fn print(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A warning among the results, if there is one.
pub(crate) fn warning(warning: Option<&str>) -> Vec<String> {
    warning.map_or_else(Vec::new, |warning| wrap(&format!("warning: {warning}"), "", "  "))
}

/// A line for people beside the results: progress, questions, warnings.
pub(crate) fn note(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(line));
}
