//! Configuration files, each beside a sound one of the other kind, so that a deployment can come of them.

use std::collections::BTreeSet;

use mantissa_mr_core::config::{Format, Source};
use mantissa_mr_core::deployment::Deployment;
use mantissa_mr_core::problem::{Problem, Problems};

/// Goes into a place where a secret may be; nothing that is said may hold it.
const SECRET: &str = "hunter2-7f3a91";
/// A key that no file may have.
const UNKNOWN: &str = "no-such-key";
/// No problem is longer, in characters: whoever reads it sits at a terminal.
const LONGEST: usize = 1_300;

const TFVARS: &str = r#"
primary_region    = "us-east-1"
secondary_region  = "us-west-2"
failover_strategy = "active-passive"
environment       = "prod"
project           = "mantissa-log"
hosted_zone_id    = "Z0123456789"
"#;

const OVERLAY: &str = r#"
[witness]
kind = "dynamodb"
region = "us-east-2"

[[groups]]
name = "detection"
tier = "important"

[[groups.routers]]
name = "api"
kind = "route53-failover"
settings.zone = { variable = "hosted_zone_id" }
"#;

pub(crate) fn tfvars(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A byte order mark must stay the first thing.
    let (mark, rest) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
    let hidden = format!("{mark}db_password = \"{SECRET}\"\n{rest}");
    variables(Format::Tfvars, text, &hidden);
}

pub(crate) fn tfvars_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    variables(Format::TfvarsJson, text, &first_in_object(text, &format!("\"db_password\":\"{SECRET}\"")));
}

pub(crate) fn overlay_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mark, rest) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
    overlay(Format::Toml, text, &format!("{mark}{UNKNOWN} = \"{SECRET}\"\n{rest}"));
}

pub(crate) fn overlay_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    overlay(Format::Json, text, &first_in_object(text, &format!("\"{UNKNOWN}\":\"{SECRET}\"")));
}

/// A file of variables, and the same with a secret in it.
fn variables(format: Format, text: &str, hidden: &str) {
    let sources =
        |text: &str| [Source::new("it", format, text), Source::new("overlay.toml", Format::Toml, OVERLAY)];
    let told = load(&sources(text));
    if !text.contains(SECRET) {
        let with_secret = load(&sources(hidden));
        assert!(!with_secret.all().contains(SECRET), "{}", with_secret.all());
        // A variable that concerns no deployment changes nothing.
        assert_eq!(told.is_ok(), with_secret.is_ok(), "{}\n{}", told.all(), with_secret.all());
    }
}

/// An overlay, and the same with a key that is not known and a value that nobody may see.
fn overlay(format: Format, text: &str, hidden: &str) {
    let sources =
        |text: &str| [Source::new("prod.tfvars", Format::Tfvars, TFVARS), Source::new("it", format, text)];
    let told = load(&sources(text));
    if text.contains(SECRET) || text.contains(UNKNOWN) {
        return;
    }
    let Told::Problems(problems) = load(&sources(hidden)) else {
        assert!(!hidden.contains(UNKNOWN), "an unknown key was let through");
        return;
    };
    assert!(!problems.to_string().contains(SECRET), "{problems}");
    // All problems come at once: the new one beside the ones that were there without it.
    if hidden.contains(UNKNOWN) && !is_syntax(&problems) {
        let said: BTreeSet<_> = problems.as_slice().iter().map(words).collect();
        assert!(said.iter().any(|(field, _)| field == UNKNOWN), "{problems}");
        if let Told::Problems(before) = told {
            let gone = before.as_slice().iter().map(words).find(|problem| !said.contains(problem));
            assert_eq!(gone, None, "is hidden by another problem:\n{problems}");
        }
    }
}

/// The object with one entry more, before all others.
fn first_in_object(text: &str, entry: &str) -> String {
    let Some((before, after)) = text.split_once('{') else { return text.to_owned() };
    if !before.trim_start_matches('\u{feff}').trim_start().is_empty() {
        return text.to_owned();
    }
    let comma = if after.trim_start().starts_with('}') { "" } else { "," };
    format!("{before}{{{entry}{comma}{after}")
}

fn words(problem: &Problem) -> (String, String) {
    (problem.field.clone(), problem.message.clone())
}

fn is_syntax(problems: &Problems) -> bool {
    problems.as_slice().iter().any(|problem| problem.message.starts_with("syntax:"))
}

enum Told {
    Deployment(Box<Deployment>),
    Problems(Problems),
}

impl Told {
    fn is_ok(&self) -> bool {
        matches!(self, Self::Deployment(_))
    }

    /// Everything that was said.
    fn all(&self) -> String {
        match self {
            Self::Deployment(deployment) => deployment.warnings().join("\n"),
            Self::Problems(problems) => format!("{problems}\n{problems:?}"),
        }
    }
}

/// Loads, and sees that what comes of it is what is promised.
fn load(sources: &[Source]) -> Told {
    match Deployment::from_sources(sources) {
        Ok(deployment) => {
            comes_back(&deployment);
            Told::Deployment(Box::new(deployment))
        }
        Err(problems) => {
            let mut seen = Vec::new();
            for problem in problems.as_slice() {
                is_clear(problem, sources);
                assert!(!seen.contains(&problem), "said twice: {problem}");
                seen.push(problem);
            }
            assert!(!seen.is_empty());
            Told::Problems(problems)
        }
    }
}

/// What was loaded is loaded again from what it is written as.
fn comes_back(deployment: &Deployment) {
    let spec = deployment.spec();
    let toml = toml::to_string(spec).expect("a deployment can be written as TOML");
    let json = serde_json::to_string(spec).expect("a deployment can be written as JSON");
    for (format, text) in [(Format::Toml, toml), (Format::Json, json)] {
        let again = Deployment::from_sources([Source::new("again", format, &text)]);
        let again = again.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(again.spec(), spec, "{text}");
        assert_eq!(again.hash(), deployment.hash(), "{text}");
    }
}

/// A problem says something, in one line of a length that can be read, and points into its file.
fn is_clear(problem: &Problem, sources: &[Source]) {
    assert!(!problem.message.is_empty(), "{problem:?}");
    let said = problem.to_string();
    assert!(!said.contains(char::is_control), "{said:?}");
    let length = said.chars().count();
    assert!(length <= LONGEST, "{length} characters: {said:.200}");
    let Some(location) = &problem.location else { return };
    let source = sources.iter().find(|source| source.name == location.file);
    let source = source.unwrap_or_else(|| panic!("{said}: there is no such file"));
    match location.position {
        Some((line, column)) => {
            let lines: Vec<&str> = source.text.split('\n').collect();
            let there =
                line.checked_sub(1).and_then(|index| lines.get(index)).map(|line| line.chars().count());
            assert!(there.is_some_and(|length| (1..=length + 1).contains(&column)), "{said}");
        }
        None => assert!(!problem.message.starts_with("syntax:"), "nobody knows where: {said}"),
    }
}
