//! Lines that fit, tables, and times that can be read.

use std::time::Duration;

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};

/// The widest line.
const WIDTH: usize = 80;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('-').junction('-'));

/// A table without frames.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_width(80);
    table.set_header(header);
    table.add_rows(rows);
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Breaks a text between words so that it fits into the terminal. A word that is too long by itself (a path, a hash) is
/// kept whole, so that it can be copied.
pub(crate) fn wrap(text: &str, first: &str, rest: &str) -> Vec<String> {
    wrap_to(WIDTH, text, first, rest)
}

/// The same for another width.
pub(crate) fn wrap_to(width: usize, text: &str, first: &str, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let room = line.chars().count() + usize::from(!empty) + word.chars().count() <= width;
        if !empty && !room {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// A name and what is to be said of it, in a column of their own.
pub(crate) fn fact(name: &str, text: &str) -> Vec<String> {
    wrap(text, &format!("{name:<11} "), &" ".repeat(12))
}

/// A text with what a terminal would obey, but for the ends of its lines, written out: reasons and messages come from
/// other people and machines.
pub(crate) fn printable(text: &str) -> String {
    let acts = |letter: char| letter.is_control() && letter != '\n';
    let letter = |letter: char| {
        let written_out = acts(letter).then(|| letter.escape_default());
        written_out.into_iter().flatten().chain((!acts(letter)).then_some(letter))
    };
    text.chars().flat_map(letter).collect()
}

/// A time, short.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.subsec_millis() == 0 => "0 s".to_owned(),
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
