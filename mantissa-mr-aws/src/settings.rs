//! Reads the settings of a resource: all that is wrong is collected, and each problem says where to mend it.
//!
//! Every key is named where it is read, so what is known and what is read cannot differ: [`Reader::finish`] calls
//! everything else unknown.

use std::ops::RangeInclusive;

use mantissa_mr_core::deployment::{ResourceSpec, Settings};
use mantissa_mr_core::name::{GroupName, Region};
use mantissa_mr_core::problem::Problem;
use toml::Value;

/// Reads one table of settings.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    settings: Option<&'a Settings>,
    /// The field, such as `groups.logs.stores.state.settings`.
    field: String,
    /// The place in words, for the advice.
    place: String,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// The settings of a group's resource; `list` is `stores`, `routers` and so on.
    pub(crate) fn resource(group: &GroupName, list: &str, resource: &'a ResourceSpec) -> Self {
        let field = format!("groups.{group}.{list}.{}.settings", resource.name);
        let one = list.strip_suffix('s').unwrap_or(list);
        let place = format!("the `settings` of {one} `{}` of group `{group}`", resource.name);
        Self::new(Some(&resource.settings), field, place)
    }

    /// What a group's resource says of one region.
    pub(crate) fn region(group: &GroupName, list: &str, resource: &'a ResourceSpec, region: &Region) -> Self {
        let field = format!("groups.{group}.{list}.{}.regions.{region}", resource.name);
        let one = list.strip_suffix('s').unwrap_or(list);
        let place = format!("`regions.{region}` of {one} `{}` of group `{group}`", resource.name);
        Self::new(resource.regions.get(region), field, place)
    }

    /// Any other settings.
    pub(crate) fn new(settings: Option<&'a Settings>, field: String, place: String) -> Self {
        Self { settings, field, place, known: Vec::new(), problems: Vec::new() }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.settings?.get(key)
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.field)
    }

    fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(self.at(key), message));
    }

    /// Says that a value will not do, and what would.
    pub(crate) fn refuse(&mut self, key: &str, message: impl Into<String>, advice: impl Into<String>) {
        self.problems.push(Problem::new(self.at(key), message).with_advice(advice));
    }

    fn mistyped(&mut self, key: &str, wanted: &str, found: &Value) {
        let message = format!("must be {wanted}, and is a TOML {}", found.type_str());
        self.problem(key, message);
    }

    /// A text that must be there. What is missing reads as empty; its problem is kept.
    pub(crate) fn text(&mut self, key: &'static str, what: &str) -> String {
        match self.optional_text(key) {
            Some(text) => text,
            None if self.settings.is_some_and(|settings| settings.contains_key(key)) => String::new(),
            None => {
                let advice = format!("add `{key} = \"...\"` ({what}) to {} in the overlay", self.place);
                self.refuse(key, "is missing", advice);
                String::new()
            }
        }
    }

    /// A text that may be missing.
    pub(crate) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if text.trim().is_empty() => {
                self.problem(key, "is empty");
                None
            }
            Value::String(text) => Some(text.trim().to_owned()),
            other => {
                self.mistyped(key, "a text", other);
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word(
        &mut self,
        key: &'static str,
        words: &[&'static str],
        default: &'static str,
    ) -> &'static str {
        let Some(text) = self.optional_text(key) else { return default };
        if let Some(word) = words.iter().find(|word| **word == text) {
            return word;
        }
        let message = format!("`{text}` is none of: {}", words.join(", "));
        match nearest(&text, words) {
            Some(near) => self.refuse(key, message, format!("did you mean `{near}`?")),
            None => self.problem(key, message),
        }
        default
    }

    /// A whole number.
    pub(crate) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        match self.value(key) {
            None => default,
            Some(value) => self.in_range(key, value, &range).unwrap_or(default),
        }
    }

    fn in_range(&mut self, key: &str, value: &Value, range: &RangeInclusive<u64>) -> Option<u64> {
        let Value::Integer(number) = value else {
            self.mistyped(key, "a whole number", value);
            return None;
        };
        let fits = u64::try_from(*number).ok().filter(|number| range.contains(number));
        if fits.is_none() {
            let message = format!("{number} is not between {} and {}", range.start(), range.end());
            self.problem(key, message);
        }
        fits
    }

    /// A number that may be missing.
    pub(crate) fn optional_number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        self.in_range(key, value, &range)
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, key: &'static str) -> bool {
        match self.value(key) {
            None => false,
            Some(Value::Boolean(flag)) => *flag,
            Some(other) => {
                self.mistyped(key, "true or false", other);
                false
            }
        }
    }

    /// A list that must have an entry at least. What is missing reads as empty; its problem is kept.
    pub(crate) fn list(&mut self, key: &'static str, what: &str) -> &'a [Value] {
        match self.value(key) {
            Some(Value::Array(values)) if !values.is_empty() => values,
            Some(Value::Array(_)) => {
                self.problem(key, "is an empty list");
                &[]
            }
            Some(other) => {
                self.mistyped(key, "a list", other);
                &[]
            }
            None => {
                let advice = format!("add `{key} = [...]` ({what}) to {} in the overlay", self.place);
                self.refuse(key, "is missing", advice);
                &[]
            }
        }
    }

    /// Calls every key that was not read unknown, and gives all problems.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        let known = std::mem::take(&mut self.known);
        for key in self.settings.into_iter().flat_map(Settings::keys) {
            if known.contains(&key.as_str()) {
                continue;
            }
            let advice = match nearest(key, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => format!("nothing is set in {}", self.place),
                None => format!("known are: {}", known.join(", ")),
            };
            self.refuse(key, "is not a known setting", advice);
        }
        self.problems
    }
}

/// The word that differs from this text by the fewest edits, if those are few enough for a slip.
pub(crate) fn nearest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let measured = words.iter().map(|word| (distance(text, word), *word));
    let (edits, word) = measured.min_by_key(|(edits, _)| *edits)?;
    let most = (text.chars().count() / 3).max(2);
    (edits <= most && edits < word.chars().count()).then_some(word)
}

/// Edits (insert, delete, replace) from one text to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    fn read<T>(text: &str, read: impl FnOnce(&mut Reader<'_>) -> T) -> (T, Vec<String>) {
        let settings = settings(text);
        let mut reader = Reader::new(Some(&settings), "s".to_owned(), "the settings".to_owned());
        let value = read(&mut reader);
        (value, reader.finish().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_missing_text_says_where_to_add_it() {
        let (text, problems) = read("", |reader| reader.text("table", "the table's name"));
        assert_eq!(text, "");
        let wanted =
            "s.table: is missing (add `table = \"...\"` (the table's name) to the settings in the overlay)";
        assert_eq!(problems, [wanted]);
    }

    #[test]
    fn a_mistyped_value_is_one_problem_and_not_also_a_missing_one() {
        let (_, problems) = read("table = 5", |reader| reader.text("table", "name"));
        assert_eq!(problems, ["s.table: must be a text, and is a TOML integer"]);
        let (_, problems) = read("table = ' '", |reader| reader.text("table", "name"));
        assert_eq!(problems, ["s.table: is empty"]);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let (_, problems) = read("tabel = 't'\nzzz = 1", |reader| reader.optional_text("table"));
        assert_eq!(
            problems,
            [
                "s.tabel: is not a known setting (did you mean `table`?)",
                "s.zzz: is not a known setting (known are: table)"
            ]
        );
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        let (number, problems) = read("n = -1", |reader| reader.number("n", 1..=5, 3));
        assert_eq!((number, problems), (3, vec!["s.n: -1 is not between 1 and 5".to_owned()]));
    }

    #[test]
    fn the_distance_counts_edits() {
        for (left, right, edits) in
            [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("table", "tabel", 2)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }
}
