//! Checks words against what the deployment knows, and collects everything that is wrong.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mantissa_mr_core::deployment::Deployment;
use mantissa_mr_core::guard::{Guard, LossLimit, Override, Waiver};
use mantissa_mr_core::name::{GroupName, Region, VantageName};
use mantissa_mr_core::problem::Problem;

use crate::args::{Who, Wish};

/// How long an override lasts unless `--expires` says something else.
const EXPIRES: SignedDuration = SignedDuration::from_hours(1);

/// Words, checked one after the other; the problems are kept.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    /// None if it could not be read: then only the form of a word can be checked.
    deployment: Option<&'a Deployment>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(deployment: Option<&'a Deployment>) -> Self {
        Self { deployment, problems: Vec::new() }
    }

    pub(crate) fn wrong(&mut self, option: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(option, message));
    }

    fn unknown(&mut self, option: &str, what: &str, word: &str, known: &[String]) {
        let problem =
            Problem::new(option, format!("there is no {what} {word}: there are {}", known.join(", ")));
        self.problems.push(match nearest(word, known) {
            Some(near) => problem.with_advice(format!("did you mean {near}?")),
            None => problem,
        });
    }

    pub(crate) fn region(&mut self, option: &str, word: Option<&str>) -> Option<Region> {
        let word = word?;
        let known: Vec<String> =
            self.deployment.into_iter().flat_map(Deployment::regions).map(ToString::to_string).collect();
        if self.deployment.is_some() && !known.iter().any(|name| name == word) {
            self.unknown(option, "region", word, &known);
            return None;
        }
        Region::new(word).map_err(|error| self.wrong(option, error.to_string())).ok()
    }

    pub(crate) fn vantage(&mut self, word: Option<&str>) -> Option<VantageName> {
        let word = word?;
        let vantages = self.deployment.map(|deployment| deployment.spec().vantages.as_slice());
        let known: Vec<String> =
            vantages.unwrap_or_default().iter().map(|vantage| vantage.name.to_string()).collect();
        if vantages.is_some() && !known.iter().any(|name| name == word) {
            self.unknown("--vantage", "vantage", word, &known);
            return None;
        }
        VantageName::new(word).map_err(|error| self.wrong("--vantage", error.to_string())).ok()
    }

    /// The groups that were meant: the one that was named, or all.
    pub(crate) fn groups(&mut self, word: Option<&str>) -> Vec<GroupName> {
        let groups =
            self.deployment.map(|deployment| deployment.spec().groups.as_slice()).unwrap_or_default();
        let Some(word) = word else { return groups.iter().map(|group| group.name.clone()).collect() };
        if let Some(group) = groups.iter().find(|group| group.name.as_str() == word) {
            return vec![group.name.clone()];
        }
        let known: Vec<String> = groups.iter().map(|group| group.name.to_string()).collect();
        if self.deployment.is_some() {
            self.unknown("--group", "group", word, &known);
        }
        Vec::new()
    }

    /// The one group that a command is about.
    pub(crate) fn one_group(&mut self, word: Option<&str>) -> Option<GroupName> {
        let mut groups = self.groups(word);
        if groups.len() > 1 {
            let names: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
            self.wrong("--group", format!("which group? There are {}", names.join(", ")));
        }
        if groups.len() == 1 { groups.pop() } else { None }
    }

    /// What a person allows, and for how long.
    pub(crate) fn waivers(&mut self, wish: &Wish, approver: Option<&str>) -> Vec<Waiver> {
        let mut allowed: Vec<Override> = Vec::new();
        let limit = wish.max_loss.as_deref().and_then(|word| self.max_loss(word));
        allowed.extend(limit.map(|up_to| Override::AllowDataLoss { up_to }));
        allowed.extend(wish.overrides.iter().filter_map(|word| self.overridden(word)));
        let expires = self.expires(wish.expires.as_deref());
        if wish.max_loss.is_none() && wish.overrides.is_empty() {
            return Vec::new();
        }
        if approver.is_none() {
            self.wrong("--approver", "an override needs somebody who answers for it");
        }
        if wish.who.reason.is_none() {
            self.wrong("--reason", "an override needs a reason");
        }
        let (Some(approver), Some(reason), Some(expires)) = (approver, &wish.who.reason, expires) else {
            return Vec::new();
        };
        let waiver =
            |allows| Waiver { allows, approver: approver.to_owned(), reason: reason.clone(), expires };
        allowed.into_iter().map(waiver).collect()
    }

    /// How much may be lost by a plan that somebody else made.
    pub(crate) fn accepted_loss(&mut self, word: Option<&str>, who: &Who) -> Option<LossLimit> {
        let limit = self.max_loss(word?);
        for (option, said) in [("--approver", &who.approver), ("--reason", &who.reason)] {
            if said.is_none() {
                self.wrong(option, "a loss that is accepted needs it");
            }
        }
        limit
    }

    fn max_loss(&mut self, word: &str) -> Option<LossLimit> {
        let limit = match word {
            "unbounded" => Some(LossLimit::Unbounded),
            _ => span(word).map(LossLimit::Time),
        };
        if limit.is_none() {
            self.wrong("--max-loss", format!("`{word}` is neither a time such as 30s or 5m nor `unbounded`"));
        }
        limit
    }

    fn overridden(&mut self, word: &str) -> Option<Override> {
        let Some(guard) = Guard::ALL.into_iter().find(|guard| guard.to_string() == word) else {
            let known: Vec<String> = Guard::ALL.iter().map(ToString::to_string).collect();
            self.unknown("--override", "guard", word, &known);
            return None;
        };
        let instead = match guard {
            Guard::Loss => "say --max-loss, which names how much",
            Guard::Alone => "what is under way must be resumed, aborted or waited for",
            Guard::Admission => "it says what the ledger needs for this kind of move",
            Guard::CoolDown | Guard::Velocity => "it has no say in what a person asks for",
            _ => return Some(Override::Guard(guard)),
        };
        self.wrong("--override", format!("{guard} cannot be passed over: {instead}"));
        None
    }

    fn expires(&mut self, word: Option<&str>) -> Option<Timestamp> {
        let now = Timestamp::now();
        let Some(word) = word else { return now.checked_add(EXPIRES).ok() };
        let time = match (word.parse::<SignedDuration>(), word.parse::<Timestamp>()) {
            (Ok(span), _) => now.checked_add(span).ok(),
            (_, Ok(time)) => Some(time),
            _ => None,
        };
        match time {
            Some(time) if time > now => Some(time),
            Some(_) => {
                self.wrong("--expires", format!("{word} is over already"));
                None
            }
            None => {
                let message = format!("`{word}` is neither a time such as 30m nor one such as {now:.0}");
                self.wrong("--expires", message);
                None
            }
        }
    }
}

/// Who types: `--approver`, or the user of the machine.
pub(crate) fn by(who: &Who) -> String {
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    who.approver.clone().or_else(user).unwrap_or_else(|| "somebody".to_owned())
}

/// Who wants it and why, in one line.
pub(crate) fn why(who: &Who) -> String {
    match &who.reason {
        Some(reason) => format!("{}: {reason}", by(who)),
        None => format!("{} at the command line", by(who)),
    }
}

fn span(word: &str) -> Option<Duration> {
    word.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok())
}

/// The known word that is meant, if it is at most a third away.
fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a String> {
    let slips = |name: &&String| strsim::osa_distance(word, name);
    known.iter().min_by_key(slips).filter(|name| slips(name) <= name.len().div_ceil(3))
}
