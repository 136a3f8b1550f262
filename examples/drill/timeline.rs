//! What people would see of a run, line by line.

use std::collections::BTreeMap;
use std::time::Duration;

use mantissa_mr_core::check::Fitness;
use mantissa_mr_core::controller::Happening;
use mantissa_mr_core::deployment::Deployment;
use mantissa_mr_core::detect::{Tally, Verdict};
use mantissa_mr_core::guard::{GuardAnswer, GuardVerdict};
use mantissa_mr_core::ledger::{Epoch, Outcome};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::plan::Plan;
use mantissa_mr_core::sim::{Book, Event, Fate, History, Place, ProcessId, Role, TrueTime, What};
use serde::{Serialize, Serializer};

use super::ledgers::LedgerView;
use super::text::{WIDTH, clock, wrap};

/// Who or what a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// What goes wrong, and is mended.
    World,
    /// What a person does.
    Person,
    /// What the library sees, decides and does.
    Library,
    /// Gates, and the ledger behind them.
    Gate,
    /// What clients get.
    Clients,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    #[serde(serialize_with = "seconds")]
    pub(crate) at: TrueTime,
    pub(crate) kind: Kind,
    pub(crate) who: String,
    pub(crate) text: String,
}

/// A time as seconds since the begin, exact to a millisecond.
pub(crate) fn seconds<S: Serializer>(at: &TrueTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((at.as_nanos() / 1_000_000) as f64 / 1_000.0)
}

impl Line {
    pub(crate) fn new(at: TrueTime, kind: Kind, who: impl Into<String>, text: impl Into<String>) -> Self {
        Self { at, kind, who: who.into(), text: text.into() }
    }

    /// As it is shown: the first row says when and who.
    pub(crate) fn rows(&self) -> Vec<String> {
        let head = format!("{:>7}  {:<10.10} ", clock(self.at), self.who);
        let blank = " ".repeat(head.len());
        let rows = wrap(&self.text, WIDTH - head.len());
        let row = |(number, row): (usize, String)| match number {
            0 => format!("{head}{row}"),
            _ => format!("{blank}{row}"),
        };
        rows.into_iter().enumerate().map(row).collect()
    }
}

/// A region from which nothing was acknowledged for this long is quiet.
const QUIET: Duration = Duration::from_secs(10);
/// From one look at the clients' writes to the next.
const LOOK: Duration = Duration::from_millis(100);

/// How far a move is.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) kind: String,
    pub(crate) done: u64,
    pub(crate) steps: u64,
}

/// What clients get of a region.
#[derive(Clone, Copy, Debug)]
struct Served {
    last: TrueTime,
    quiet: bool,
}

/// Turns what happens into lines.
#[derive(Debug)]
pub(crate) struct Timeline {
    regions: Vec<Region>,
    group: String,
    /// The open ones: where, under which epoch, and until when at most.
    gates: BTreeMap<ProcessId, (String, Epoch, TrueTime)>,
    verdicts: BTreeMap<Region, (Fitness, bool)>,
    sealed: Vec<String>,
    active: Vec<String>,
    pending: Vec<usize>,
    counted: usize,
    next_look: TrueTime,
    served: BTreeMap<Region, Served>,
    acknowledged: u64,
    refused: u64,
    progress: Option<Progress>,
    /// Why, as it was last said.
    said: String,
}

impl Timeline {
    pub(crate) fn new(deployment: &Deployment) -> Self {
        Self {
            regions: deployment.regions().cloned().collect(),
            group: deployment.spec().groups.first().map(|group| group.name.to_string()).unwrap_or_default(),
            gates: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            sealed: Vec::new(),
            active: Vec::new(),
            pending: Vec::new(),
            counted: 0,
            next_look: TrueTime::START,
            served: BTreeMap::new(),
            acknowledged: 0,
            refused: 0,
            progress: None,
            said: String::new(),
        }
    }

    /// The regions that may serve.
    pub(crate) fn active(&self) -> &[String] {
        &self.active
    }

    /// How many writes were acknowledged and refused so far.
    pub(crate) fn writes(&self) -> (u64, u64) {
        (self.acknowledged, self.refused)
    }

    /// The move that is under way.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// Something happened in the world.
    pub(crate) fn event(&mut self, event: &Event, history: &History) -> Option<Line> {
        let info = |process: ProcessId| history.process(process);
        let line = |who: &str, kind, text: String| Some(Line::new(event.at, kind, who, text));
        match &event.what {
            What::Crashed(process) => {
                let name = place(&info(*process)?.place);
                line("WORLD", Kind::World, format!("the controller at {name} crashes and forgets everything"))
            }
            What::Born { process, actor } => {
                let info = info(*process)?;
                let again = info.role == Role::Controller && !actor.as_str().ends_with(".1");
                let text = format!("the controller at {} begins again", place(&info.place));
                again.then(|| Line::new(event.at, Kind::World, "WORLD", text))
            }
            What::Gate { process, open } => {
                let region = place(&info(*process)?.place).to_owned();
                let before = self.gates.remove(process).map(|(_, epoch, _)| epoch);
                if let Some((epoch, until)) = open {
                    self.gates.insert(*process, (region.clone(), *epoch, *until));
                }
                match open.map(|(epoch, _)| epoch) {
                    now if now == before => None,
                    Some(epoch) => line(&region, Kind::Gate, format!("its gate opens under epoch {epoch}")),
                    None => line(&region, Kind::Gate, "its gate shuts".into()),
                }
            }
            What::Admitted { region, epoch, missing, .. } => {
                let lacks = match missing.len() {
                    0 => String::new(),
                    1 => "; it lacks 1 acknowledged write".into(),
                    count => format!("; it lacks {count} acknowledged writes"),
                };
                line("ledger", Kind::Gate, format!("{region} may serve under epoch {epoch}{lacks}"))
            }
            _ => None,
        }
    }

    /// A ledger was stored.
    pub(crate) fn ledger(&mut self, at: TrueTime, ledger: &LedgerView) -> Vec<Line> {
        let sealed = ledger.admissions.iter().filter(|(_, admission)| admission.is_sealed());
        let sealed: Vec<String> = sealed.map(|(region, _)| region.clone()).collect();
        let before = std::mem::replace(&mut self.sealed, sealed.clone());
        self.active = ledger.active().into_iter().map(str::to_owned).collect();
        let new = sealed.into_iter().filter(|region| !before.contains(region));
        let text = |region: String| format!("{region} is sealed: its gates get no more trust");
        new.map(|region| Line::new(at, Kind::Gate, "ledger", text(region))).collect()
    }

    /// An actor of the library had something to say; `leads` says whether it acts for the group.
    pub(crate) fn news(&mut self, at: TrueTime, actor: &str, leads: bool, what: &Happening) -> Vec<Line> {
        let who = short(actor, &self.group);
        let line = |text: String| Line::new(at, Kind::Library, &*who, text);
        match what {
            Happening::Verdict(region, verdict) if leads => {
                let now = (verdict.fitness, verdict.confirmed);
                let before = self.verdicts.insert(region.clone(), now);
                let first = before.is_none() && verdict.fitness != Fitness::Unfit;
                if first || before == Some(now) {
                    return Vec::new();
                }
                self.said = verdict.to_string();
                vec![line(judged(verdict))]
            }
            // What the last line says is not said again.
            Happening::State { from, to, why } if self.said == *why => vec![line(format!("{from} -> {to}"))],
            Happening::State { from, to, why } => {
                self.said.clone_from(why);
                vec![line(format!("{from} -> {to}: {why}"))]
            }
            Happening::TookLease(term) => vec![line(format!("acts for the group now, at term {term}"))],
            Happening::LostLease(why) => vec![line(format!("acts no more: {why}"))],
            Happening::Planned(plan) => {
                let steps = plan.steps.len() as u64;
                self.progress = Some(Progress { kind: plan.kind.to_string(), done: 0, steps });
                vec![line(planned(plan))]
            }
            Happening::Refused(guards) => guards.iter().filter_map(refusal).map(line).collect(),
            Happening::Step(step, how) => {
                if let Some(progress) = &mut self.progress {
                    progress.done += 1;
                }
                vec![line(format!("{step}: {how}"))]
            }
            // The plan that takes its place is shown.
            Happening::Ended(Outcome::Superseded, report) => vec![line(report.summary())],
            // The state says it.
            Happening::Ended(..) => {
                self.progress = None;
                Vec::new()
            }
            Happening::Trouble(text) => vec![line(text.clone())],
            Happening::Verdict(..) => Vec::new(),
        }
    }

    /// Looks at what became of clients' writes, now and then.
    pub(crate) fn clients(&mut self, now: TrueTime, book: &Book, last: bool) -> Vec<Line> {
        if now < self.next_look && !last {
            return Vec::new();
        }
        self.next_look = now + LOOK;
        self.pending.extend(self.counted..book.writes.len());
        self.counted = book.writes.len();
        let mut lines = Vec::new();
        for number in std::mem::take(&mut self.pending) {
            let Some(write) = book.writes.get(number) else { continue };
            match (write.fate, write.ended) {
                (Fate::Pending, _) | (_, None) => self.pending.push(number),
                (Fate::Acknowledged, Some(ended)) => {
                    self.acknowledged += 1;
                    lines.extend(self.served(now, &write.region, ended));
                }
                (Fate::Refused, _) => self.refused += 1,
                _ => {}
            }
        }
        // A region that died says nothing of its gate; what it was trusted for has run out all the same.
        let (open, shut) =
            std::mem::take(&mut self.gates).into_iter().partition(|(_, (_, _, until))| *until > now);
        self.gates = open;
        let shut: BTreeMap<ProcessId, (String, Epoch, TrueTime)> = shut;
        for (region, _, _) in shut.into_values() {
            lines.push(Line::new(now, Kind::Gate, region, "its gate is shut: its trust has run out"));
        }
        let text = |last| format!("nothing was acknowledged by it since {}", clock(last));
        for (region, served) in &mut self.served {
            if !served.quiet && now.since(served.last) >= QUIET {
                served.quiet = true;
                lines.push(Line::new(now, Kind::Clients, region.as_str(), text(served.last)));
            }
        }
        lines
    }

    fn served(&mut self, now: TrueTime, region: &Region, ended: TrueTime) -> Option<Line> {
        let before = self.served.insert(region.clone(), Served { last: ended, quiet: false });
        let text = match before {
            None => "clients' writes are acknowledged by it".to_owned(),
            Some(served) if served.quiet => "clients' writes are acknowledged by it again".to_owned(),
            Some(_) => return None,
        };
        // As long as another region acknowledges too, clients had no break.
        let others = self.served.iter().filter(|(other, _)| *other != region);
        let last = others.map(|(_, served)| served.last).chain(before.map(|served| served.last)).max();
        let pause = last.map(|last| ended.since(last)).filter(|pause| *pause >= QUIET);
        let pause = pause.map(|pause| format!(", after {:.1} s without any", pause.as_secs_f64()));
        Some(Line::new(now, Kind::Clients, region.as_str(), text + &pause.unwrap_or_default()))
    }

    /// The regions' names, for people.
    pub(crate) fn regions(&self) -> String {
        self.regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn place(place: &Place) -> &str {
    match place {
        Place::Region(region) => region.as_str(),
        Place::Witness => "witness",
        Place::Operator => "person",
        Place::Edge => "edge",
    }
}

/// An actor by where it is: `controller-logs-west.1` is west's.
fn short(actor: &str, group: &str) -> String {
    let name = actor.rsplit_once('.').map_or(actor, |(name, _)| name);
    let place = name.strip_prefix("controller-").and_then(|name| name.strip_prefix(group));
    match place.and_then(|place| place.strip_prefix('-')) {
        Some(place) => place.to_owned(),
        None if name.starts_with("person-") => "person".to_owned(),
        None => name.to_owned(),
    }
}

fn judged(verdict: &Verdict) -> String {
    let Verdict { region, fitness, confirmed, tally, lasted, .. } = verdict;
    let all = verdict.votes.len();
    match (fitness, confirmed) {
        (Fitness::Unfit, false) => {
            format!("calls {region} unfit: {} of {all} vantages see it fail; the hold begins", tally.unfit)
        }
        (Fitness::Unfit, true) => {
            format!("calls {region} unfit, confirmed: it has failed for {} s", lasted.as_secs())
        }
        (Fitness::Unknown, _) => {
            let Tally { fit, degraded, unfit, silent, .. } = tally;
            format!(
                "cannot tell how {region} is: to {unfit} vantages it fails, to {degraded} it is degraded, to \
                 {fit} fit, {silent} are silent"
            )
        }
        (Fitness::Fit, _) => format!("calls {region} fit: {} of {all} vantages do", tally.fit),
        (Fitness::Degraded, _) => format!("calls {region} degraded: it works badly, or not for all"),
    }
}

fn planned(plan: &Plan) -> String {
    let from = plan.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    format!(
        "plans: {}{from} to {} in {} steps; predicted {:.1} s, loss: {}",
        plan.kind,
        plan.to,
        plan.steps.len(),
        plan.predicted.rto.as_secs_f64(),
        plan.predicted.loss
    )
}

fn refusal(answer: &GuardAnswer) -> Option<String> {
    let GuardVerdict::Refuse { needs } = &answer.verdict else { return None };
    let pass = match needs {
        Some(needs) => format!(" (a person passes it over with {needs})"),
        None => " (nothing passes it over)".to_owned(),
    };
    Some(format!("the guard {} refuses: {}{pass}", answer.guard, answer.why))
}
