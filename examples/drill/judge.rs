//! Whether the library did the right thing: judged by what the run shows from outside, never by asking the library.

use std::collections::BTreeSet;
use std::time::Duration;

use mantissa_mr_core::call::Call;
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::guard::Guard;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::sim::{History, ProcessId, TrueTime, What, oracle};
use serde::Serialize;

use super::evidence::{Evidence, Moved};
use super::scenario::{By, Expect, ExpectedMove, Who};
use super::text::clock;

/// One thing that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Whether it is as it should be.
    pub(crate) right: bool,
    /// What should be.
    pub(crate) wanted: String,
    /// What was seen.
    pub(crate) seen: String,
}

impl Finding {
    fn new(right: bool, wanted: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { right, wanted: wanted.into(), seen: seen.into() }
    }
}

/// Judges a run: by what its scenario expects, and by the rules that hold always.
pub(crate) fn judge(evidence: &Evidence<'_>, expects: &[Expect]) -> Vec<Finding> {
    let expected = expects.iter().map(|expect| Judge(evidence).expect(expect));
    let mut findings: Vec<Finding> = expected.collect();
    findings.extend(Judge(evidence).rules());
    findings
}

#[derive(Clone, Copy)]
struct Judge<'a>(&'a Evidence<'a>);

fn at(seconds: u64) -> TrueTime {
    TrueTime::from_secs(seconds)
}

fn join(names: impl IntoIterator<Item = impl Into<String>>) -> String {
    let names: Vec<String> = names.into_iter().map(Into::into).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Longer things than names.
fn list(things: impl IntoIterator<Item = String>) -> String {
    let things: Vec<String> = things.into_iter().collect();
    if things.is_empty() { "none".to_owned() } else { things.join("; ") }
}

impl<'a> Judge<'a> {
    fn history(self) -> &'a History {
        self.0.history
    }

    fn preferred(self) -> &'a Region {
        &self.history().deployment.spec().preferred
    }

    fn expect(self, expect: &Expect) -> Finding {
        match *expect {
            Expect::Moves(expected) => self.moves(expected),
            Expect::Serves(who) => self.serves(who),
            Expect::ShutFrom(seconds) => self.shut_from(at(seconds)),
            Expect::LosesNothing => {
                Finding::new(self.0.lost.is_empty(), "no acknowledged write is lost", self.lost())
            }
            Expect::LosesAtMost { seconds, before } => self.loses_at_most(seconds, at(before)),
            Expect::NoBreakOver(seconds) => self.no_break_over(Duration::from_secs(seconds)),
            Expect::Refuses { guard, from, until } => self.refuses(guard, at(from), at(until)),
            Expect::Tells { text, from, until } => self.tells(text, at(from), at(until)),
            Expect::TellsNothing => {
                let told: Vec<&str> = self.0.told(TrueTime::START, TrueTime::END).collect();
                Finding::new(told.is_empty(), "nobody is woken up", join(told))
            }
            Expect::OrderRefused(number) => self.order_refused(number),
            Expect::TakeOvers(least) => self.take_overs(least),
            Expect::NothingTwice => self.nothing_twice(),
        }
    }

    // ----- what scenarios expect -----

    fn moves(self, expected: &[ExpectedMove]) -> Finding {
        let moves = &self.0.moves;
        let fits = moves.len() == expected.len()
            && moves.iter().zip(expected).all(|(seen, expected)| self.fits(seen, expected));
        let wanted = match expected {
            [] => "nothing moves".to_owned(),
            some => list(some.iter().map(|expected| self.wanted(expected))),
        };
        Finding::new(fits, wanted, list(moves.iter().map(seen)))
    }

    fn fits(self, seen: &Moved, expected: &ExpectedMove) -> bool {
        let (first, last) = expected.within;
        let finished = seen.ended.as_ref().is_some_and(|(_, outcome)| outcome == "finished");
        seen.kind == expected.kind.to_string()
            && seen.by_person == (expected.by == By::Person)
            && expected.to.is(&seen.to, self.preferred())
            && seen.from.as_deref() != Some(seen.to.as_str())
            && (at(first)..=at(last)).contains(&seen.began)
            && finished
    }

    fn wanted(self, expected: &ExpectedMove) -> String {
        let ExpectedMove { kind, by, to, within: (first, last) } = expected;
        let by = if *by == By::Person { "a person" } else { "a controller" };
        let to = match to {
            Who::Preferred => self.preferred().as_str(),
            Who::Others => "another region",
            Who::All => "any region",
        };
        format!("{kind} to {to} by {by}, begun from {} to {}", clock(at(*first)), clock(at(*last)))
    }

    fn serves(self, who: Who) -> Finding {
        let (preferred, ends) = (self.preferred(), self.history().ended);
        let active: BTreeSet<&str> =
            self.0.last().map(|ledger| ledger.active().into_iter().collect()).unwrap_or_default();
        let late = ends.before(Duration::from_secs(30));
        let acknowledge: BTreeSet<&str> = self
            .0
            .acknowledged()
            .into_iter()
            .filter(|(at, _)| *at >= late)
            .map(|(_, region)| region)
            .collect();
        let all = self.history().deployment.regions().count();
        let count = if who == Who::All { all } else { 1 };
        let right = active.len() == count
            && active.iter().all(|region| who.is(region, preferred))
            && active == acknowledge;
        let wanted = match who {
            Who::Preferred => format!("in the end {preferred} serves, alone"),
            Who::Others => format!("in the end one region other than {preferred} serves, alone"),
            Who::All => "in the end every region serves".to_owned(),
        };
        let seen = format!("admitted: {}; acknowledge: {}", join(active), join(acknowledge));
        Finding::new(right, wanted, seen)
    }

    fn shut_from(self, from: TrueTime) -> Finding {
        let mut open: Vec<(ProcessId, TrueTime)> = Vec::new();
        let mut last = TrueTime::START;
        for event in &self.history().events {
            let What::Gate { process, open: now } = &event.what else { continue };
            // A gate that was open until now; one that says nothing more is open until its trust runs out.
            for (_, until) in open.iter().filter(|(other, _)| other == process) {
                last = last.max(event.at.min(*until));
            }
            open.retain(|(other, _)| other != process);
            open.extend(now.map(|(_, until)| (*process, until)));
        }
        last = open.iter().map(|(_, until)| *until).fold(last, TrueTime::max);
        let acknowledged = self.0.acknowledged().last().map_or(TrueTime::START, |(at, _)| *at);
        let right = last < from && acknowledged < from;
        let wanted = format!("from {} on every gate is shut and nothing is acknowledged", clock(from));
        let seen =
            format!("the last gate shut at {}, the last write at {}", clock(last), clock(acknowledged));
        Finding::new(right, wanted, seen)
    }

    fn lost(self) -> String {
        match self.0.lost.as_slice() {
            [] => "none is missing".to_owned(),
            lost => {
                let times = || lost.iter().filter_map(|write| write.applied);
                let (first, last) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
                format!("{} are missing, accepted from {} to {}", lost.len(), clock(first), clock(last))
            }
        }
    }

    fn loses_at_most(self, seconds: u64, before: TrueTime) -> Finding {
        let first = before.before(Duration::from_secs(seconds));
        let within = |at: TrueTime| at >= first && at <= before;
        let right = self.0.lost.iter().all(|write| write.applied.is_some_and(within));
        let wanted = format!(
            "of what was acknowledged, the last {seconds} s before {} are lost at most",
            clock(before)
        );
        Finding::new(right, wanted, self.lost())
    }

    fn no_break_over(self, most: Duration) -> Finding {
        let times = self.0.acknowledged();
        let times = || times.iter().map(|(at, _)| *at);
        let ends = [TrueTime::START].into_iter().chain(times()).zip(times().chain([self.history().ended]));
        let longest = ends.max_by_key(|(from, until)| until.since(*from)).unwrap_or_default();
        let (from, until) = longest;
        let wanted = format!("no {} s pass without an acknowledged write", most.as_secs());
        let took = until.since(from);
        let seen = format!("the longest time is {:.1} s, from {}", took.as_secs_f64(), clock(from));
        Finding::new(took <= most, wanted, seen)
    }

    fn refuses(self, guard: Guard, from: TrueTime, until: TrueTime) -> Finding {
        let name = guard.to_string();
        let refuses = |text: &str| {
            let refused = text.split_once("refused by: ").map(|(_, guards)| guards);
            refused.is_some_and(|guards| guards.split(", ").any(|guard| guard == name))
        };
        let told: Vec<&str> = self.0.told(from, until).collect();
        let right = told.iter().any(|text| refuses(text));
        let wanted = format!("from {} to {} people are told that {name} refuses", clock(from), clock(until));
        Finding::new(right, wanted, join(told))
    }

    fn tells(self, text: &str, from: TrueTime, until: TrueTime) -> Finding {
        let told: Vec<&str> = self.0.told(from, until).collect();
        let right = told.iter().any(|notice| notice.contains(text));
        let wanted = format!("from {} to {} people are told: {text}", clock(from), clock(until));
        Finding::new(right, wanted, join(told))
    }

    fn order_refused(self, number: usize) -> Finding {
        let name = format!("person-{number}");
        let processes = &self.history().processes;
        let process = processes.iter().position(|info| info.name == name);
        let (mut asked, mut changed) = (0, 0);
        for event in &self.history().events {
            let What::Sent { process: sender, call, .. } = &event.what else { continue };
            if Some(sender.0 as usize) != process {
                continue;
            }
            asked += 1;
            changed += usize::from(matches!(
                &**call,
                Call::Store { .. }
                    | Call::Promote { .. }
                    | Call::Fence { .. }
                    | Call::Unfence { .. }
                    | Call::Shift { .. }
                    | Call::Scale { .. }
            ));
        }
        let wanted = format!("a person's order number {number} is refused before it changes anything");
        Finding::new(
            asked > 0 && changed == 0,
            wanted,
            format!("it asked {asked} times, and changed {changed}"),
        )
    }

    fn take_overs(self, least: usize) -> Finding {
        let taken =
            self.0.moves.iter().map(|moved| moved.terms.len().saturating_sub(1)).max().unwrap_or_default();
        let wanted = format!("another actor takes over {least} times while it moves");
        Finding::new(taken >= least, wanted, format!("{taken} times"))
    }

    fn nothing_twice(self) -> Finding {
        let changes = self.0.changes();
        let twice: Vec<&String> =
            changes.iter().filter(|(_, times)| **times > 1).map(|(call, _)| call).collect();
        let seen = match twice.as_slice() {
            [] => format!("{} changes, each once", changes.len()),
            some => format!("twice: {}", join(some.iter().map(|call| call.as_str()))),
        };
        Finding::new(
            twice.is_empty() && !changes.is_empty(),
            "no store, router or scaler is changed twice",
            seen,
        )
    }

    // ----- what holds always -----

    fn rules(self) -> Vec<Finding> {
        let broken = oracle::check(self.history());
        let simulated = Finding::new(
            broken.is_empty(),
            "one writer at a time, and no loss on a switchover",
            join(broken.iter().map(ToString::to_string)),
        );
        vec![simulated, self.counters(), self.rest(), self.planned_moves_lose_nothing(), self.within_bound()]
    }

    /// Epochs and terms only grow; active-passive, the ledger never admits two regions.
    fn counters(self) -> Finding {
        let ledgers: Vec<_> = self.0.ledgers.iter().map(|(_, _, ledger)| ledger).collect();
        let back = ledgers.windows(2).filter(
            |pair| matches!(pair, [old, new] if new.epoch() < old.epoch() || new.lease.term < old.lease.term),
        );
        let passive = self.history().deployment.spec().strategy == Strategy::ActivePassive;
        let two = ledgers.iter().filter(|ledger| passive && ledger.active().len() > 1);
        let (back, two) = (back.count(), two.count());
        let seen = format!("{} ledgers: {back} go back, {two} admit two", ledgers.len());
        Finding::new(back == 0 && two == 0 && !ledgers.is_empty(), "epochs and terms only grow", seen)
    }

    fn rest(self) -> Finding {
        let open = self.0.moves.iter().filter(|moved| moved.ended.is_none());
        let open: Vec<&str> = open.map(|moved| moved.id.as_str()).collect();
        let running = self.0.last().and_then(|ledger| ledger.execution.as_ref());
        Finding::new(open.is_empty() && running.is_none(), "no move is left unfinished", join(open))
    }

    /// Active-passive: what a planned move's target lacks when it is admitted was lost before.
    fn planned_moves_lose_nothing(self) -> Finding {
        let mut lost: BTreeSet<u32> = BTreeSet::new();
        let mut worse = 0;
        for event in &self.history().events {
            let What::Admitted { missing, .. } = &event.what else { continue };
            let moved = self.0.moves.iter().rev().find(|moved| moved.began <= event.at);
            let planned = moved.is_some_and(|moved| moved.kind != "failover");
            if self.history().deployment.spec().strategy == Strategy::ActivePassive && planned {
                worse += missing.iter().filter(|number| !lost.contains(number)).count();
            }
            lost.extend(missing);
        }
        Finding::new(worse == 0, "a planned move loses nothing", format!("{worse} writes lost by one"))
    }

    /// What a move loses is within the bound that its plan gave.
    fn within_bound(self) -> Finding {
        let mut beyond = 0;
        let mut seen = Vec::new();
        for moved in &self.0.moves {
            let (Some(since), Some(from)) = (moved.loses_since, &moved.from) else { continue };
            let theirs = self.0.lost.iter().filter(|write| write.region.as_str() == from);
            beyond += theirs.filter(|write| write.applied.is_none_or(|at| at < since)).count();
            seen.push(format!("{} since {} at most", moved.kind, clock(since)));
        }
        let seen = format!("{beyond} writes beyond it; bounds: {}", join(seen));
        Finding::new(beyond == 0, "a loss is within the bound that the plan gave", seen)
    }
}

fn seen(moved: &Moved) -> String {
    let Moved { kind, from, to, by_person, began, ended, .. } = moved;
    let by = if *by_person { "a person" } else { "a controller" };
    let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    let end = match ended {
        Some((at, outcome)) => format!("{outcome} at {}", clock(*at)),
        None => "not ended".to_owned(),
    };
    format!("{kind}{from} to {to} by {by}, begun at {}, {end}", clock(*began))
}

#[cfg(test)]
mod tests;
