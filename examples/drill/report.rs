//! What came of it: each move's phases, predicted and measured; clients' writes; the judge's findings.

use std::time::Duration;

use mantissa_mr_core::plan::{Move, PhaseTime};
use mantissa_mr_core::report::Report;
use mantissa_mr_core::sim::{Fate, Fault, History, RegionState, TrueTime, What};
use mantissa_mr_core::state::Phase;
use serde::Serialize;

use super::evidence::{Evidence, Moved};
use super::judge::{Finding, judge};
use super::scenario::Scenario;
use super::stage::Run;
use super::text::{WIDTH, clock, seconds, wrap};
use super::timeline::{self, Line};

/// All that is told of a run, as text and as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Drill<'a> {
    scenario: &'static str,
    seed: u64,
    regions: usize,
    story: &'static str,
    right: &'static str,
    timeline: &'a [Line],
    moves: Vec<MoveReport<'a>>,
    writes: Writes,
    findings: Vec<Finding>,
    /// Whether the library did the right thing.
    pub(crate) passed: bool,
}

/// A move, by the library's own report and as clients saw it.
#[derive(Debug, Serialize)]
struct MoveReport<'a> {
    #[serde(serialize_with = "timeline::seconds")]
    ended: TrueTime,
    to: String,
    report: &'a Report,
    /// For a move that a fault called for.
    #[serde(skip_serializing_if = "Option::is_none")]
    detection: Option<Spans>,
    /// Where one region serves: the longest time without an acknowledged write; predicted is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Spans>,
    loss: Loss,
}

/// A time as predicted and as measured, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spans {
    predicted: f64,
    measured: f64,
}

/// What a move lost, as far as is known when the drill ends.
#[derive(Clone, Debug, Serialize)]
struct Loss {
    predicted: String,
    writes: usize,
    /// How long before the fault, or else the move, the oldest of them was accepted; in seconds.
    reaches_back: f64,
}

/// What became of the clients' writes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Writes {
    tried: usize,
    acknowledged: usize,
    /// Of the acknowledged ones: missing in the end.
    lost: usize,
    /// By a gate that was shut; nothing was written.
    refused: usize,
    /// By the store, for want of capacity, or because no service was there; nothing was written.
    failed: usize,
    /// It may have been written: the answer came too late, or never.
    unknown: usize,
}

impl<'a> Drill<'a> {
    pub(crate) fn new(scenario: &'static Scenario, seed: u64, run: &'a Run) -> Self {
        let evidence = Evidence::new(&run.history);
        let findings = judge(&evidence, scenario.expects);
        let moves = run.reports.iter().filter_map(|(ended, report)| {
            let moved = evidence.moves.iter().find(|moved| moved.id == report.execution.as_str())?;
            Some(MoveReport::new(&evidence, moved, *ended, report))
        });
        Self {
            scenario: scenario.name,
            seed,
            regions: run.history.deployment.regions().count(),
            story: scenario.story,
            right: scenario.right,
            timeline: &run.lines,
            moves: moves.collect(),
            writes: Writes::new(&evidence),
            passed: findings.iter().all(|finding| finding.right),
            findings,
        }
    }

    /// The report without the timeline, row by row.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows = vec![String::new()];
        for moved in &self.moves {
            rows.extend(moved.rows());
            rows.push(String::new());
        }
        rows.extend(self.writes.rows());
        rows.push(String::new());
        let right = if self.moves.is_empty() { "Right here, without a move: " } else { "Right here: " };
        rows.extend(wrap(&format!("{right}{}", self.right), WIDTH));
        for finding in &self.findings {
            let mark = if finding.right { "ok   " } else { "WRONG" };
            let text = format!("{} ({})", finding.wanted, finding.seen);
            rows.extend(indent(&format!("  {mark} "), &text));
        }
        rows.push(String::new());
        let verdict = if self.passed { "did the right thing" } else { "DID THE WRONG THING" };
        rows.push(format!("{}, seed {}: the library {verdict}.", self.scenario, self.seed));
        rows
    }
}

/// A paragraph whose first row has a head and whose other rows are set in as far.
fn indent(head: &str, text: &str) -> Vec<String> {
    let rows = wrap(text, WIDTH - head.len());
    let row = |(number, row): (usize, String)| match number {
        0 => format!("{head}{row}"),
        _ => format!("{}{row}", " ".repeat(head.len())),
    };
    rows.into_iter().enumerate().map(row).collect()
}

impl<'a> MoveReport<'a> {
    fn new(evidence: &Evidence<'_>, moved: &Moved, ended: TrueTime, report: &'a Report) -> Self {
        let history = evidence.history;
        let fault = outage(history, moved);
        let detects = detection(history);
        let detection = fault.map(|fault| Spans {
            predicted: detects.as_secs_f64(),
            measured: moved.began.since(fault).as_secs_f64(),
        });
        let from = fault.unwrap_or(moved.began);
        let service = out_of_service(report, fault.map(|_| detects)).map(|predicted| Spans {
            predicted: predicted.as_secs_f64(),
            measured: longest_break(evidence, from, ended),
        });
        Self {
            ended,
            to: moved.to.clone(),
            report,
            detection,
            service,
            loss: Loss::new(evidence, moved, from, report),
        }
    }

    fn rows(&self) -> Vec<String> {
        let Self { report, detection, service, loss, .. } = self;
        let title = format!("{} to {}, {}", report.kind, self.to, report.outcome);
        let mut rows = vec![
            format!("{title:<40} {:>17}   {:>17}", "predicted", "measured"),
            format!(
                "{:<40} {:>8} {:>8}   {:>8} {:>8}",
                "  seconds since it began", "from", "to", "from", "to"
            ),
        ];
        if let Some(Spans { predicted, measured }) = detection {
            let name = "  detect and decide";
            rows.push(format!(
                "{name:<40} {:>8.1} {:>8.1}   {:>8.1} {:>8.1}",
                -predicted, 0.0, -measured, 0.0
            ));
        }
        for (phase, times) in &report.phases {
            let name = format!("  {phase}");
            let PhaseTime { begin, end } = times.predicted;
            let (from, to) = match times.measured {
                Some(PhaseTime { begin, end }) => (seconds(begin), seconds(end)),
                None => ("-".to_owned(), "-".to_owned()),
            };
            rows.push(format!("{name:<40} {:>8} {:>8}   {from:>8} {to:>8}", seconds(begin), seconds(end)));
        }
        let total = |name: &str, predicted: f64, measured: f64| {
            format!("{name:<40} {predicted:>17.1}   {measured:>17.1}")
        };
        rows.push(total("  in all", report.predicted.as_secs_f64(), report.measured.as_secs_f64()));
        if let Some(Spans { predicted, measured }) = service {
            rows.push(total("  clients without service, at most", *predicted, *measured));
        }
        let measured = match loss.writes {
            0 => "no write".to_owned(),
            1 => format!("1 write, from the last {:.1} s", loss.reaches_back),
            count => format!("{count} writes, from the last {:.1} s", loss.reaches_back),
        };
        rows.extend(indent("  loss: ", &format!("predicted {}; measured {measured}", loss.predicted)));
        rows
    }
}

/// When the outage began that called for a move; none for a move that nothing called for.
fn outage(history: &History, moved: &Moved) -> Option<TrueTime> {
    let unplanned = matches!(moved.kind.as_str(), "failover" | "evacuate");
    let faults = history.events.iter().filter(|event| event.at <= moved.began && unplanned);
    let hurts = |fault: &Fault| match fault {
        Fault::Region { region, state } => {
            Some(region.as_str()) == moved.from.as_deref() && *state == RegionState::Dark
        }
        Fault::Cut { .. } => true,
        _ => false,
    };
    let first =
        faults.filter(|event| matches!(&event.what, What::Fault(fault) if hurts(fault))).map(|it| it.at);
    first.min()
}

/// How long the policy takes to call a region lost: the probes that must fail, the deadline of the last, the hold.
fn detection(history: &History) -> Duration {
    let spec = history.deployment.spec();
    let policy = spec.policy.detection;
    let hold = spec.groups.first().map_or(Duration::ZERO, |group| group.tier.tier().hold);
    policy.interval * policy.failures + policy.probe_deadline + hold
}

/// For how long the last client is without service at most: from the fault, or from the begin of the seal, until all have
/// followed. Where all regions serve, the others go on: none.
fn out_of_service(report: &Report, detection: Option<Duration>) -> Option<Duration> {
    let predicted = |phase| report.phases.get(&phase).map(|times| times.predicted);
    let followed = predicted(Phase::Converge)?.end;
    match report.kind {
        Move::Evacuate | Move::Rejoin => None,
        _ => match detection {
            Some(detection) => Some(detection + followed),
            None => Some(followed.saturating_sub(predicted(Phase::Seal)?.begin)),
        },
    }
}

/// The longest time without an acknowledged write that touches these times.
fn longest_break(evidence: &Evidence<'_>, from: TrueTime, until: TrueTime) -> f64 {
    let times: Vec<TrueTime> = evidence.acknowledged().into_iter().map(|(at, _)| at).collect();
    let pairs = times.windows(2).filter_map(|pair| match pair {
        [one, next] if *next >= from && *one <= until => Some(next.since(*one)),
        _ => None,
    });
    pairs.max().unwrap_or_default().as_secs_f64()
}

impl Loss {
    fn new(evidence: &Evidence<'_>, moved: &Moved, fault: TrueTime, report: &Report) -> Self {
        let from = |region: &str| moved.from.as_deref() == Some(region) && moved.kind == "failover";
        let lost = evidence.lost.iter().filter(|write| from(write.region.as_str()));
        let times: Vec<TrueTime> = lost.filter_map(|write| write.applied).collect();
        let oldest = times.iter().min().copied().unwrap_or(fault);
        Self {
            predicted: report.predicted_loss.to_string(),
            writes: times.len(),
            reaches_back: fault.since(oldest).as_secs_f64(),
        }
    }
}

impl Writes {
    fn new(evidence: &Evidence<'_>) -> Self {
        let mut counts = Self { lost: evidence.lost.len(), ..Self::default() };
        for (fate, count) in evidence.history.book.count() {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            counts.tried += count;
            match fate {
                Fate::Acknowledged => counts.acknowledged += count,
                Fate::Refused => counts.refused += count,
                Fate::Overloaded | Fate::Failed(_) | Fate::Unreached => counts.failed += count,
                Fate::Pending | Fate::Unknown => counts.unknown += count,
            }
        }
        counts
    }

    fn rows(&self) -> Vec<String> {
        let row = |count: usize, name: &str, what: &str| format!("{count:>8} {name:<13} {what}");
        vec![
            format!("Clients tried {} writes:", self.tried),
            row(self.acknowledged, "acknowledged", ""),
            row(self.lost, "of them lost", "the region that took over did not have them"),
            row(self.refused, "refused", "by a gate that was shut; nothing was written"),
            row(self.failed, "failed", "nothing was written: no capacity, or the store said no"),
            row(self.unknown, "unknown", "no answer in time: they may have been written"),
        ]
    }
}

/// The play's begin, for whoever watches.
pub(crate) fn opening(scenario: &Scenario, seed: u64, regions: &str) -> Vec<String> {
    let mut rows = vec![format!("{}, seed {seed}", scenario.name)];
    rows.extend(wrap(&format!("Regions: {regions}; {}.", scenario.strategy), WIDTH));
    rows.extend(wrap(scenario.story, WIDTH));
    rows.push(String::new());
    rows
}

/// All scenarios, for people.
pub(crate) fn list(scenarios: &[Scenario]) -> Vec<String> {
    let mut rows = Vec::new();
    for scenario in scenarios {
        rows.push(format!(
            "{} ({}, {})",
            scenario.name,
            scenario.strategy,
            clock(TrueTime::from_secs(scenario.ends))
        ));
        rows.extend(indent("    ", scenario.story));
        rows.extend(indent("    right: ", scenario.right));
    }
    rows
}
