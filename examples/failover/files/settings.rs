//! A resource's settings: known ones are taken, everything else is a problem that names the nearest known one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use mantissa_mr_core::deployment::ResourceSpec;
use mantissa_mr_core::name::GroupName;
use mantissa_mr_core::problem::Problem;
use toml::Value;

pub(super) struct Known<'a> {
    field: String,
    settings: &'a BTreeMap<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Known<'a> {
    pub(super) fn new(group: &GroupName, list: &str, resource: &'a ResourceSpec) -> Self {
        let field = format!("groups.{group}.{list}.{}.settings", resource.name);
        Self { field, settings: &resource.settings, known: Vec::new(), problems: Vec::new() }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.settings.get(name)
    }

    pub(super) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}.{name}", self.field), message));
    }

    pub(super) fn duration(&mut self, name: &'static str, otherwise: Duration) -> Duration {
        let Some(value) = self.take(name) else { return otherwise };
        let parsed = value.as_str().and_then(|text| text.parse::<SignedDuration>().ok());
        match parsed.and_then(|span| Duration::try_from(span).ok()) {
            Some(span) => span,
            None => {
                self.wrong(name, format!("{value} is not a duration such as \"500ms\" or \"2s\""));
                otherwise
            }
        }
    }

    pub(super) fn number(&mut self, name: &'static str) -> Option<u64> {
        let value = self.take(name)?;
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        if number.is_none() {
            self.wrong(name, format!("{value} is not a whole number of zero or more"));
        }
        number
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let value = self.take(name)?;
        if value.as_str().is_none() {
            self.wrong(name, format!("{value} is not a text"));
        }
        value.as_str()
    }

    /// The problems, with those of settings that nobody asked for.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for name in self.settings.keys().filter(|name| !self.known.contains(&name.as_str())) {
            let problem = Problem::new(format!("{}.{name}", self.field), "there is no such setting");
            let known = self.known.join(", ");
            let advice =
                if known.is_empty() { "there is none".to_owned() } else { format!("known are: {known}") };
            self.problems.push(problem.with_advice(advice));
        }
        self.problems
    }
}
