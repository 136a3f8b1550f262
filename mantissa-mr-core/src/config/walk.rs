//! Holds a merged overlay against the schema: finds every unknown key, every missing one and every value of the wrong
//! kind, and puts the variables' values in the places that refer to them.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::nearest::nearest;
use super::schema::{Field, Leaf, Need, Shape};
use super::tree::{At, Entry, Node, Table, Value};
use super::variables::Variables;
use crate::deployment::secret;
use crate::name::Region;
use crate::problem::Problem;

/// The walk's surroundings.
pub(super) struct Walk<'a> {
    pub(super) variables: &'a Variables,
    pub(super) findings: &'a mut Findings,
    /// Whether every file could be read: only then is something missing that was not found.
    pub(super) complete: bool,
}

impl Walk<'_> {
    /// Walks a table. Returns whether all of it is as it must be; else something was found, here or before.
    fn table(&mut self, path: &str, at: At, table: &mut Table, fields: &[Field]) -> bool {
        let good = self.known_keys(path, table, fields).len() == table.len();
        let mut missing = false;
        for field in fields.iter().filter(|field| !table.contains_key(field.key)) {
            let Need::Required(example) = field.need else { continue };
            missing = true;
            if self.complete {
                let problem = Problem::new(join(path, field.key), "is missing");
                self.findings.at(at, problem.with_advice(format!("add to it: {example}")));
            }
        }
        good && !missing
    }

    /// Walks the keys of a table that are there, and says which are as they must be.
    pub(super) fn known_keys(
        &mut self,
        path: &str,
        table: &mut Table,
        fields: &[Field],
    ) -> BTreeSet<&'static str> {
        let mut good = BTreeSet::new();
        for (key, entry) in table.iter_mut() {
            let path = join(path, key);
            match fields.iter().find(|field| field.key == key) {
                Some(field) => {
                    if self.shape(&path, &mut entry.node, field.shape) {
                        good.insert(field.key);
                    }
                }
                None => self.unknown_key(&path, key, entry.key, fields),
            }
        }
        good
    }

    fn unknown_key(&mut self, path: &str, key: &str, at: At, fields: &[Field]) {
        let meant = nearest(key, fields.iter().map(|field| field.key), (key.len() / 3).clamp(1, 3));
        let advice = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if super::variables::is_known(key) => {
                "this is a variable: it belongs in a tfvars file".to_owned()
            }
            None => {
                let keys: Vec<_> = fields.iter().map(|field| field.key).collect();
                format!("the keys here are {}", keys.join(", "))
            }
        };
        let problem = Problem::new(printable(path), "is not a known key");
        self.findings.at(at, problem.with_advice(advice));
    }

    fn shape(&mut self, path: &str, node: &mut Node, shape: Shape) -> bool {
        match shape {
            Shape::Leaf(leaf) => self.leaf(path, node, leaf),
            Shape::LeafOrTable(leaf, _) if node.as_table().is_none() || node.is_reference() => {
                self.leaf(path, node, leaf)
            }
            Shape::LeafOrTable(_, fields) | Shape::Table(fields) => {
                let at = node.at;
                match &mut node.value {
                    Value::Table(table) => self.table(path, at, table, fields),
                    _ => self.wrong_kind(path, node, "a table"),
                }
            }
            Shape::Named(fields) => self.named(path, node, fields),
            Shape::Settings => match &mut node.value {
                Value::Table(table) => self.settings(path, table),
                _ => self.wrong_kind(path, node, "a table of settings"),
            },
            Shape::RegionSettings => match &mut node.value {
                Value::Table(table) => self.region_settings(path, table),
                _ => self.wrong_kind(path, node, "a table of settings by region"),
            },
        }
    }

    fn named(&mut self, path: &str, node: &mut Node, fields: &'static [Field]) -> bool {
        let Value::List(nodes) = &mut node.value else {
            return self.wrong_kind(path, node, "a list of tables");
        };
        let mut good = true;
        for (index, element) in nodes.iter_mut().enumerate() {
            let path = match element.name() {
                Some(name) => join(path, name),
                None => join(path, &index.to_string()),
            };
            good &= self.shape(&path, element, Shape::Table(fields));
        }
        good
    }

    fn wrong_kind(&mut self, path: &str, node: &Node, wanted: &str) -> bool {
        if !matches!(node.value, Value::Broken) {
            let message = format!("{} is not {wanted}", node.shown());
            self.findings.at(node.at, Problem::new(printable(path), message));
        }
        false
    }

    fn leaf(&mut self, path: &str, node: &mut Node, leaf: Leaf) -> bool {
        let reference = node.is_reference();
        if reference && !self.resolve(path, node) {
            return false;
        }
        match leaf.refuses(node) {
            _ if matches!(node.value, Value::Broken) => false,
            None => true,
            Some(_) if reference => {
                // The value of a variable is not shown: it may be anything.
                let message = format!("the value of the variable is not {}", leaf.what());
                self.findings.at(node.at, Problem::new(printable(path), message));
                false
            }
            Some((message, advice)) => {
                let problem = Problem::new(printable(path), message);
                self.findings.at(node.at, Problem { advice, ..problem });
                false
            }
        }
    }

    fn settings(&mut self, path: &str, table: &mut Table) -> bool {
        let mut good = true;
        for (key, entry) in table.iter_mut() {
            good &= self.setting(&join(path, key), &mut entry.node);
        }
        good
    }

    fn setting(&mut self, path: &str, node: &mut Node) -> bool {
        if node.is_reference() {
            return self.resolve(path, node);
        }
        match &mut node.value {
            Value::Table(table) => self.settings(path, table),
            Value::List(nodes) => {
                let mut good = true;
                for (index, element) in nodes.iter_mut().enumerate() {
                    good &= self.setting(&join(path, &index.to_string()), element);
                }
                good
            }
            Value::Null => self.wrong_kind(path, node, "a value that a list can hold"),
            Value::Broken | Value::Unresolved(_) => false,
            _ => true,
        }
    }

    fn region_settings(&mut self, path: &str, table: &mut Table) -> bool {
        let mut good = true;
        for (region, entry) in table.iter_mut() {
            let path = join(path, region);
            if let Err(error) = Region::new(region) {
                self.findings.at(entry.key, Problem::new(printable(&path), error.to_string()));
                good = false;
            }
            good &= self.shape(&path, &mut entry.node, Shape::Settings);
        }
        good
    }

    /// Puts a variable's value in the place of the table that refers to it.
    fn resolve(&mut self, path: &str, node: &mut Node) -> bool {
        let Some(name) = node.get("variable").and_then(Node::as_text).map(str::to_owned) else {
            return false;
        };
        let at = node.at;
        // Among many variables the search takes its time: not for what is not told.
        let searches = !self.findings.is_full();
        let near = |name: &str| if searches { self.variables.nearest(name) } else { None };
        let mut refuse = |message: String, advice: Option<String>| {
            self.findings.at(at, Problem { advice, ..Problem::new(printable(path), message) });
            false
        };
        let Some(Entry { node: value, .. }) = self.variables.get(&name) else {
            if !self.complete {
                return false;
            }
            let name = printable(&name);
            let advice = match near(&name) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("add it to the tfvars file: {name} = ..."),
            };
            return refuse(format!("no tfvars file sets the variable `{name}`"), Some(advice));
        };
        if secret::is_named_so(&name) {
            let advice = "let the backend read it from a secret store";
            let message = format!("the variable `{name}` looks like a secret, and plans show settings");
            return refuse(message, Some(advice.into()));
        }
        if let Value::Unresolved(what) = value.value {
            let message = format!("{what} is no value, and {path} needs one");
            let advice = super::variables::VALUES_ONLY;
            self.findings.at(value.at, Problem::new(printable(&name), message).with_advice(advice));
            return false;
        }
        if matches!(value.value, Value::Broken) {
            return false;
        }
        if !value.is_whole() {
            return refuse(format!("not all of the variable `{name}` is a value"), None);
        }
        *node = value.clone();
        true
    }
}

/// The variables that an overlay refers to.
pub(super) fn references(table: &Table) -> BTreeSet<String> {
    fn collect(node: &Node, found: &mut BTreeSet<String>) {
        if node.is_reference() {
            found.extend(node.get("variable").and_then(Node::as_text).map(str::to_owned));
        }
        node.elements().iter().for_each(|element| collect(element, found));
        node.as_table().into_iter().flat_map(Table::values).for_each(|entry| collect(&entry.node, found));
    }
    let mut found = BTreeSet::new();
    table.values().for_each(|entry| collect(&entry.node, &mut found));
    found
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A path as it is shown: keys may hold anything.
fn printable(path: &str) -> String {
    path.escape_debug().to_string()
}
