//! JSON, with the place of every key and value.
//!
//! `serde_json` reads one level at a time and leaves the values as slices of the text: where a slice lies says where
//! the value stands.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::hcl::TEMPLATE;
use crate::config::findings::Findings;
use crate::config::tree::{At, Entry, Node, Table, Value};
use crate::problem::Problem;

/// Deeper values are refused: reading is recursive.
const DEEPEST: usize = 64;

pub(super) fn read(source: usize, text: &str, findings: &mut Findings) -> Option<Table> {
    let mut reader = Reader { source, text, findings };
    let raw = match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => raw,
        Err(error) => {
            reader.syntax(&error);
            return None;
        }
    };
    let node = reader.node(raw.get(), 0);
    match node.value {
        Value::Table(table) => Some(table),
        Value::Broken => None,
        _ => {
            let problem = Problem::new("", format!("{} where an object is needed", node.shown()));
            reader.findings.at(node.at, problem);
            None
        }
    }
}

struct Reader<'t, 'f> {
    source: usize,
    text: &'t str,
    findings: &'f mut Findings,
}

impl<'t> Reader<'t, '_> {
    /// Where a slice of the text starts.
    fn at(&self, slice: &str) -> At {
        let offset = (slice.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        At { source: self.source, offset }
    }

    /// The parser's message without the place that it appends.
    fn syntax(&mut self, error: &serde_json::Error) {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let lines = self.text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let offset = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let at = At { source: self.source, offset };
        self.findings.at(at, Problem::new("", format!("syntax: {message}")));
    }

    fn broken(&mut self, at: At, message: impl Into<String>) -> Value {
        self.findings.at(at, Problem::new("", message));
        Value::Broken
    }

    fn node(&mut self, raw: &'t str, depth: usize) -> Node {
        let at = self.at(raw);
        let value = match raw.as_bytes().first() {
            _ if depth > DEEPEST => self.broken(at, format!("nested more than {DEEPEST} deep")),
            Some(b'{') => self.object(at, raw, depth),
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(raw) {
                Ok(elements) => {
                    Value::List(elements.iter().map(|element| self.node(element.get(), depth + 1)).collect())
                }
                Err(_) => self.broken(at, "the list cannot be read"),
            },
            Some(b'"') => match serde_json::from_str::<String>(raw) {
                Ok(text) => Value::Text(text),
                Err(_) => self.broken(at, "the text holds an escape that stands for no character"),
            },
            Some(b't') => Value::Flag(true),
            Some(b'f') => Value::Flag(false),
            Some(b'n') => Value::Null,
            _ => self.number(at, raw),
        };
        Node { at, value }
    }

    fn number(&mut self, at: At, raw: &str) -> Value {
        if let Ok(whole) = raw.parse::<i64>() {
            return Value::Integer(whole);
        }
        match raw.parse::<f64>() {
            Ok(float) if float.is_finite() && raw.contains(['.', 'e', 'E']) => Value::Float(float),
            _ => self.broken(at, "the number is out of range"),
        }
    }

    fn object(&mut self, at: At, raw: &'t str, depth: usize) -> Value {
        let Ok(pairs) = serde_json::Deserializer::from_str(raw).deserialize_map(Pairs) else {
            return self.broken(at, "the object cannot be read");
        };
        let mut table = Table::new();
        let mut end = at.offset;
        for (key, value) in pairs {
            // Only the brace or the comma and blanks lie between the value before and this key.
            let gap = self.text.get(end..).and_then(|rest| rest.find('"')).unwrap_or_default();
            let key_at = At { offset: end + gap, ..at };
            let node = self.node(value.get(), depth + 1);
            end = node.at.offset + value.get().len();
            if table.contains_key(key.as_ref()) {
                self.broken(key_at, format!("`{}` is set twice", key.escape_debug()));
            } else {
                table.insert(key.into_owned(), Entry { key: key_at, node });
            }
        }
        Value::Table(table)
    }
}

/// The keys and values of an object in their order, those that come twice too.
struct Pairs;

/// A key that borrows where it can.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'t> Visitor<'t> for Pairs {
    type Value = Vec<(Cow<'t, str>, &'t RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            pairs.push((key, value));
        }
        Ok(pairs)
    }
}

/// In a variable file of Terraform texts are templates, in JSON too.
pub(super) fn templates_unresolved(mut table: Table) -> Table {
    table.values_mut().for_each(|entry| template(&mut entry.node));
    table
}

fn template(node: &mut Node) {
    match &mut node.value {
        Value::Text(text) => {
            let bare = text.replace("$${", "").replace("%%{", "");
            if bare.contains("${") || bare.contains("%{") {
                node.value = Value::Unresolved(TEMPLATE);
            } else {
                *text = text.replace("$${", "${").replace("%%{", "%{");
            }
        }
        Value::List(nodes) => nodes.iter_mut().for_each(template),
        Value::Table(table) => table.values_mut().for_each(|entry| template(&mut entry.node)),
        _ => {}
    }
}
