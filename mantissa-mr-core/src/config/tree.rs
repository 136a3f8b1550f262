//! What a file holds, in whatever format it is written: values that know where they stand.

use std::collections::{BTreeMap, VecDeque};

/// Where something stands: which of the sources, and the byte in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) source: usize,
    pub(super) offset: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// A key's value, and where the key stands.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: At,
    pub(super) node: Node,
}

pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Takes back what an earlier file said.
    Null,
    Flag(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Table),
    /// What stands in a tfvars file but is no value, in words.
    Unresolved(&'static str),
    /// Something stands here, and what is wrong with it has been said.
    Broken,
}

impl Node {
    pub(super) fn text(at: At, text: impl Into<String>) -> Self {
        Self { at, value: Value::Text(text.into()) }
    }

    pub(super) fn broken(at: At) -> Self {
        Self { at, value: Value::Broken }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// The value of a key, if it is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.as_table()?.get(key).map(|entry| &entry.node)
    }

    /// The name by which lists know it.
    pub(super) fn name(&self) -> Option<&str> {
        self.get("name")?.as_text()
    }

    /// Whether it is `{ variable = "name" }` and nothing else: it stands for the variable's value.
    pub(super) fn is_reference(&self) -> bool {
        self.as_table().is_some_and(|table| table.len() == 1)
            && self.get("variable").is_some_and(|name| name.as_text().is_some())
    }

    /// Whether it says nothing that is wrong in itself, down to the leaves.
    pub(super) fn is_whole(&self) -> bool {
        match &self.value {
            Value::Null | Value::Unresolved(_) | Value::Broken => false,
            Value::List(nodes) => nodes.iter().all(Self::is_whole),
            Value::Table(table) => table.values().all(|entry| entry.node.is_whole()),
            _ => true,
        }
    }

    /// The value as serde reads it; none if something in it is not whole.
    pub(super) fn to_toml(&self) -> Option<toml::Value> {
        Some(match &self.value {
            Value::Null | Value::Unresolved(_) | Value::Broken => return None,
            Value::Flag(flag) => toml::Value::Boolean(*flag),
            Value::Integer(number) => toml::Value::Integer(*number),
            Value::Float(number) => toml::Value::Float(*number),
            Value::Text(text) => toml::Value::String(text.clone()),
            Value::List(nodes) => toml::Value::Array(nodes.iter().map(Self::to_toml).collect::<Option<_>>()?),
            Value::Table(table) => {
                let pairs = table.iter().map(|(key, entry)| Some((key.clone(), entry.node.to_toml()?)));
                toml::Value::Table(pairs.collect::<Option<_>>()?)
            }
        })
    }

    /// The value in a few words, for a message.
    pub(super) fn shown(&self) -> String {
        const MOST: usize = 60;
        match &self.value {
            Value::Null => "null".into(),
            Value::Flag(flag) => format!("`{flag}`"),
            Value::Integer(number) => format!("`{number}`"),
            Value::Float(number) => format!("`{number}`"),
            Value::Text(text) => {
                let start: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
                let more = if text.chars().nth(MOST).is_some() { "..." } else { "" };
                format!("`{start}{more}`")
            }
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
            Value::Unresolved(what) => (*what).into(),
            Value::Broken => "what stands here".into(),
        }
    }
}

/// Lays a later value over an earlier one: tables key by key, lists of named tables name by name; of all else the
/// value of the later source stays. Sources are in order, so this does not depend on which is laid over which.
pub(super) fn merge(into: &mut Node, other: Node) {
    // What stands for a value is replaced as one.
    let references = into.is_reference() || other.is_reference();
    match (&mut into.value, other.value) {
        (Value::Table(table), Value::Table(others)) if !references => merge_tables(table, others),
        (Value::List(nodes), Value::List(others)) if are_of_named(nodes, &others) => {
            merge_by_name(nodes, others);
        }
        (value, later) if other.at.source >= into.at.source => {
            *value = later;
            into.at = other.at;
        }
        _ => {}
    }
}

pub(super) fn merge_tables(into: &mut Table, others: Table) {
    for (key, entry) in others {
        match into.get_mut(&key) {
            None => {
                into.insert(key, entry);
            }
            Some(known) => {
                let at = entry.node.at;
                merge(&mut known.node, entry.node);
                if known.node.at == at {
                    known.key = entry.key;
                }
            }
        }
    }
}

/// Whether these are lists of things that have names. One that lacks its name changes nothing of it: it stays in the
/// list, to be complained about.
fn are_of_named(nodes: &[Node], others: &[Node]) -> bool {
    !nodes.is_empty() && !others.is_empty() && nodes.iter().chain(others).any(|node| node.name().is_some())
}

/// Each of the others goes into the one of its name, or to the end. One takes one only: a name that one file has twice
/// stays there twice, to be complained about.
fn merge_by_name(nodes: &mut Vec<Node>, others: Vec<Node>) {
    let mut left: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if let Some(name) = node.name() {
            left.entry(name.to_owned()).or_default().push_back(index);
        }
    }
    for other in others {
        let first = other.name().and_then(|name| left.get_mut(name)?.pop_front());
        match first.and_then(|index| nodes.get_mut(index)) {
            Some(node) => merge(node, other),
            None => nodes.push(other),
        }
    }
}

/// Removes the keys that a later file took back.
pub(super) fn without_nulls(node: &mut Node) {
    match &mut node.value {
        Value::Table(table) => {
            table.retain(|_, entry| !matches!(entry.node.value, Value::Null));
            table.values_mut().for_each(|entry| without_nulls(&mut entry.node));
        }
        Value::List(nodes) => nodes.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Where the thing stands that a field's path names, or the nearest thing around it. Names in a path may hold dots:
/// every reading of the path is tried, the one that leads farthest counts.
pub(super) fn locate(node: &Node, path: &str) -> Option<At> {
    deepest(node, path, 0).map(|(_, at)| at)
}

fn deepest(node: &Node, path: &str, depth: usize) -> Option<(usize, At)> {
    let mut best = None;
    let mut consider = |found: Option<(usize, At)>| {
        if found.map(|(depth, _)| depth) >= best.map(|(depth, _)| depth) {
            best = found;
        }
    };
    match &node.value {
        Value::Table(table) => {
            for (key, entry) in table {
                let Some(rest) = after(path, key) else { continue };
                let at = if entry.node.as_table().is_some() { entry.key } else { entry.node.at };
                consider(Some((depth + 1, at)));
                consider(deepest(&entry.node, rest, depth + 1));
            }
        }
        Value::List(nodes) => {
            for (index, element) in nodes.iter().enumerate() {
                let rest = match element.name() {
                    Some(name) => after(path, name),
                    None => after(path, &index.to_string()),
                };
                let Some(rest) = rest else { continue };
                consider(Some((depth + 1, element.at)));
                consider(deepest(element, rest, depth + 1));
            }
        }
        _ => {}
    }
    best
}

/// The rest of the path after this part, if it starts with it.
fn after<'p>(path: &'p str, part: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(part)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}
