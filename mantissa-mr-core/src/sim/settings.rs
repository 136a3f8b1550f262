//! What the settings of a simulated resource say, read with every problem at once.

use std::time::Duration;

use jiff::SignedDuration;

use super::random::Spread;
use crate::deployment::{ResourceSpec, Settings};
use crate::problem::Problem;

/// Reads the settings of one resource; whatever is left over at the end is unknown.
pub(crate) struct Reader<'a> {
    field: String,
    settings: &'a Settings,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(list: &str, spec: &'a ResourceSpec, problems: &'a mut Vec<Problem>) -> Self {
        let field = format!("{list}.{}.settings", spec.name);
        Self { field, settings: &spec.settings, known: Vec::new(), problems }
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        wants: &str,
        parse: impl Fn(&toml::Value) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.settings.get(key)?;
        let parsed = parse(value);
        if parsed.is_none() {
            self.problems
                .push(Problem::new(format!("{}.{key}", self.field), format!("`{value}` is not {wants}")));
        }
        parsed
    }

    pub(crate) fn span(&mut self, key: &'static str, default: Duration) -> Duration {
        self.read(key, "a duration such as \"1500ms\" or \"2s\"", span).unwrap_or(default)
    }

    /// One duration, or two: the least and the most.
    pub(crate) fn spread(&mut self, key: &'static str, default: Spread) -> Spread {
        let parse = |value: &toml::Value| match value {
            toml::Value::Array(limits) => match limits.as_slice() {
                [least, most] => {
                    let (least, most) = (span(least)?, span(most)?);
                    (least <= most).then_some(Spread { least, most })
                }
                _ => None,
            },
            value => span(value).map(Spread::exactly),
        };
        self.read(key, "a duration or [least, most]", parse).unwrap_or(default)
    }

    pub(crate) fn count(&mut self, key: &'static str) -> Option<u64> {
        self.read(key, "a number of units", |value| u64::try_from(value.as_integer()?).ok())
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.read(key, "true or false", toml::Value::as_bool).unwrap_or(default)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}.{key}", self.field), message));
    }

    /// Says what is left over.
    pub(crate) fn finish(self) {
        for key in self.settings.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let problem =
                Problem::new(format!("{}.{key}", self.field), "the simulated world has no such setting");
            self.problems.push(problem.with_advice(format!("it knows {}", self.known.join(", "))));
        }
    }
}

fn span(value: &toml::Value) -> Option<Duration> {
    let span: SignedDuration = value.as_str()?.parse().ok()?;
    Duration::try_from(span).ok()
}
