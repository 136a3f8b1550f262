//! What a run shows from outside: clients' writes, calls, and the records in the cells as plain JSON. The judge and the
//! report rest on nothing else, and share no code with what they judge.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::notify::{Notice, Severity};
use mantissa_mr_core::sim::{Fate, History, Role, TrueTime, What, Write};
use serde_json::Value;

use super::ledgers::{LedgerView, read};

/// Where all regions serve, a change needs a moment to arrive: this late it must have.
const SETTLED: Duration = Duration::from_secs(60);

/// A move, as the ledgers show it.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    /// Whether a person's command began it.
    pub(crate) by_person: bool,
    pub(crate) began: TrueTime,
    /// How it ended, and when.
    pub(crate) ended: Option<(TrueTime, String)>,
    /// The terms under which it was carried out.
    pub(crate) terms: Vec<u64>,
    /// What the plan says of its loss: nothing that was accepted before this time, if it says anything.
    pub(crate) loses_since: Option<TrueTime>,
}

/// A run, looked through.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) history: &'a History,
    /// Every ledger that was stored, and by what kind of process.
    pub(crate) ledgers: Vec<(TrueTime, Option<Role>, LedgerView)>,
    pub(crate) moves: Vec<Moved>,
    /// What people were told.
    pub(crate) notices: Vec<(TrueTime, &'a Notice)>,
    /// Acknowledged writes that are missing in the end.
    pub(crate) lost: Vec<&'a Write>,
}

impl<'a> Evidence<'a> {
    /// Looks through a run that was audited at its end.
    pub(crate) fn new(history: &'a History) -> Self {
        let mut senders: BTreeMap<u64, Role> = BTreeMap::new();
        let mut plans: BTreeMap<String, Value> = BTreeMap::new();
        let (mut ledgers, mut notices) = (Vec::new(), Vec::new());
        for event in &history.events {
            match &event.what {
                What::Sent { number, process, call } => {
                    if let Some(info) = history.process(*process) {
                        senders.insert(*number, info.role);
                    }
                    if let Call::Notify { notice } = &**call {
                        notices.push((event.at, notice));
                    }
                }
                What::Stored { cell, value, number, .. } => {
                    if let Some(ledger) = read(cell, value) {
                        ledgers.push((event.at, senders.get(number).copied(), ledger));
                    } else if let Some((_, hash)) = cell.as_str().rsplit_once("/plan/")
                        && let Ok(plan) = serde_json::from_slice(value)
                    {
                        plans.insert(hash.to_owned(), plan);
                    }
                }
                _ => {}
            }
        }
        let moves = moves(&ledgers, &plans);
        Self { history, ledgers, moves, notices, lost: lost(history) }
    }

    pub(crate) fn last(&self) -> Option<&LedgerView> {
        self.ledgers.last().map(|(_, _, ledger)| ledger)
    }

    /// What people were told loudly, from one time to another.
    pub(crate) fn told(&self, from: TrueTime, until: TrueTime) -> impl Iterator<Item = &'a str> {
        let within = move |at: TrueTime| at >= from && at <= until;
        let loud = |notice: &Notice| notice.severity == Severity::Critical;
        let told = self.notices.iter().filter(move |(at, notice)| within(*at) && loud(notice));
        told.map(|(_, notice)| notice.text.as_str())
    }

    /// When writes were acknowledged, and by which region, in order.
    pub(crate) fn acknowledged(&self) -> Vec<(TrueTime, &'a str)> {
        let writes = self.history.book.writes.iter().filter(|write| write.fate == Fate::Acknowledged);
        let mut times: Vec<_> =
            writes.filter_map(|write| Some((write.ended?, write.region.as_str()))).collect();
        times.sort_unstable();
        times
    }

    /// How often each change of a store, a router or a scaler was carried out with success, by what was asked.
    pub(crate) fn changes(&self) -> BTreeMap<String, usize> {
        let mut asked = BTreeMap::new();
        let mut done: BTreeMap<String, usize> = BTreeMap::new();
        for event in &self.history.events {
            match &event.what {
                What::Sent { number, call, .. } => {
                    asked.insert(*number, call);
                }
                What::Applied { number, reply } if changed(reply) => {
                    let Some(call) = asked.get(number) else { continue };
                    *done.entry(format!("{call:?}")).or_default() += 1;
                }
                _ => {}
            }
        }
        done
    }
}

fn changed(reply: &Reply) -> bool {
    matches!(reply, Reply::Promote(Ok(())) | Reply::Shift(Ok(())) | Reply::Scale(Ok(())))
}

/// Puts the moves together from the ledgers, in which each begins once and ends once.
fn moves(ledgers: &[(TrueTime, Option<Role>, LedgerView)], plans: &BTreeMap<String, Value>) -> Vec<Moved> {
    let mut moves: Vec<Moved> = Vec::new();
    for (at, role, ledger) in ledgers {
        if let Some(running) = &ledger.execution {
            let term = ledger.lease.term;
            match moves.iter_mut().find(|known| known.id == running.id) {
                Some(known) if !known.terms.contains(&term) => known.terms.push(term),
                Some(_) => {}
                None => {
                    let plan = plans.get(&running.plan).cloned().unwrap_or_default();
                    let text = |key: &str| plan.get(key).and_then(Value::as_str).map(str::to_owned);
                    moves.push(Moved {
                        id: running.id.clone(),
                        kind: running.kind.clone(),
                        from: text("from"),
                        to: text("to").unwrap_or_default(),
                        by_person: *role == Some(Role::Operator),
                        began: *at,
                        ended: None,
                        terms: vec![term],
                        loses_since: loses_since(&plan),
                    });
                }
            }
        }
        if let Some(ended) = &ledger.ended
            && let Some(known) = moves.iter_mut().find(|known| known.id == ended.id && known.ended.is_none())
        {
            known.ended = Some((*at, ended.outcome.clone()));
        }
    }
    moves
}

/// The bound of a plan's loss, counted back from when the plan was made. Whoever made it has a wall clock that is wrong by
/// a fraction of a second.
fn loses_since(plan: &Value) -> Option<TrueTime> {
    let bound = plan.pointer("/predicted/loss/estimated/at_most")?.as_str()?;
    let bound: Duration = bound.parse::<SignedDuration>().ok()?.try_into().ok()?;
    let made: Timestamp = plan.get("made")?.as_str()?.parse().ok()?;
    let made: Duration = made.duration_since(TrueTime::START.wall()).try_into().ok()?;
    Some((TrueTime::START + made).before(bound + Duration::from_millis(100)))
}

/// What no region that serves shows, by the last audit of each; where one region serves also what a region lacked when
/// it was admitted, although a later write to the same key may hide it by now.
fn lost(history: &History) -> Vec<&Write> {
    let passive = history.deployment.spec().strategy == Strategy::ActivePassive;
    let mut audited: BTreeMap<&str, Vec<&u32>> = BTreeMap::new();
    let mut numbers: BTreeSet<u32> = BTreeSet::new();
    for event in &history.events {
        match &event.what {
            What::Audited { region, missing, overtaken, .. } => {
                let overtaken = overtaken.iter().map(|(number, _)| number);
                audited.insert(region.as_str(), missing.iter().chain(overtaken).collect());
            }
            What::Admitted { missing, .. } if passive => numbers.extend(missing),
            _ => {}
        }
    }
    numbers.extend(audited.into_values().flatten());
    let writes = numbers.into_iter().filter_map(|number| history.book.writes.get(number as usize));
    if passive {
        return writes.collect();
    }
    // Where all regions serve, what came last to a key is what counts; and it needs a moment to arrive.
    let settled = history.ended.before(SETTLED);
    let overwritten = |write: &Write| {
        let same = |other: &Write| (&other.store, other.key) == (&write.store, write.key);
        history.book.writes.iter().any(|other| same(other) && other.applied > write.applied)
    };
    writes.filter(|write| write.ended.is_some_and(|ended| ended <= settled) && !overwritten(write)).collect()
}
