//! TOML, with the place of every key and value.

use toml::de::{DeTable, DeValue, Error};

use crate::config::findings::{Findings, MOST};
use crate::config::tree::{At, Entry, Node, Table, Value};
use crate::problem::Problem;

pub(super) fn read(source: usize, text: &str, findings: &mut Findings) -> Option<Table> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MOST + 1) {
        syntax(source, text, error, findings);
    }
    errors.is_empty().then(|| self::table(source, table.get_ref(), findings))
}

fn syntax(source: usize, text: &str, error: &Error, findings: &mut Findings) {
    let (offset, message) = match (error.span(), error.message()) {
        (Some(span), message) => (Some(span.start), message),
        // The one thing of which the parser does not say where it is.
        (None, "recursion limit") => (Some(most_dots(text)), "a key of too many parts"),
        (None, message) => (None, message),
    };
    let problem = Problem::new("", format!("syntax: {message}"));
    match offset {
        Some(offset) => findings.at(At { source, offset }, problem),
        None => findings.in_file(source, problem),
    }
}

/// Where the line with the most dots starts.
fn most_dots(text: &str) -> usize {
    let mut start = 0;
    let mut most = (0, 0);
    for line in text.split_inclusive('\n') {
        let dots = line.matches('.').count();
        if dots > most.0 {
            most = (dots, start);
        }
        start += line.len();
    }
    most.1
}

fn table(source: usize, table: &DeTable<'_>, findings: &mut Findings) -> Table {
    let mut entries = Table::new();
    for (key, value) in table {
        let at = At { source, offset: key.span().start };
        let node = node(At { source, offset: value.span().start }, value.get_ref(), findings);
        entries.insert(key.get_ref().clone().into_owned(), Entry { key: at, node });
    }
    entries
}

fn node(at: At, value: &DeValue<'_>, findings: &mut Findings) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        // Only settings can hold one, and backends get it as JSON would have it.
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Broken, Value::Integer)
        }
        // Neither JSON nor the hash of a deployment knows infinity.
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(float) if float.is_finite() => Value::Float(float),
            _ => Value::Broken,
        },
        DeValue::Array(array) => {
            let elements = array.iter();
            let node = |element: &toml::Spanned<DeValue<'_>>, findings: &mut Findings| {
                self::node(At { offset: element.span().start, ..at }, element.get_ref(), findings)
            };
            Value::List(elements.map(|element| node(element, findings)).collect())
        }
        DeValue::Table(table) => Value::Table(self::table(at.source, table, findings)),
    };
    if matches!(value, Value::Broken) {
        findings.at(at, Problem::new("", "the number is out of range"));
    }
    Node { at, value }
}
