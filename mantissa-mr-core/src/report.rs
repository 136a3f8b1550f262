//! What a move took: predicted against measured, phase by phase, from its plan and its journal.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::deployment::friendly;
use crate::journal::{Event, Record};
use crate::ledger::Outcome;
use crate::name::{ExecutionId, StepId};
use crate::plan::{Move, PhaseTime, Plan, PredictedLoss};
use crate::state::Phase;

/// What a move took.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The execution.
    pub execution: ExecutionId,
    /// What it did.
    pub kind: Move,
    /// The execution whose place it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded: Option<ExecutionId>,
    /// How it ended.
    pub outcome: Outcome,
    /// From its begin to its end, as predicted.
    #[serde(serialize_with = "friendly::serialize")]
    pub predicted: Duration,
    /// From its begin to its end, by the wall clocks of who carried it out.
    #[serde(serialize_with = "friendly::serialize")]
    pub measured: Duration,
    /// Each phase.
    pub phases: BTreeMap<Phase, PhaseReport>,
    /// Steps that were left out, and why.
    pub skipped: BTreeMap<StepId, String>,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// How often another actor took over.
    pub take_overs: u32,
    /// What the plan said would be lost. What was lost is known only when the region that was left returns.
    pub predicted_loss: PredictedLoss,
}

/// A phase's times, counted from the begin of the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PhaseReport {
    /// As predicted.
    pub predicted: PhaseTime,
    /// As measured; none if no step of it was done.
    pub measured: Option<PhaseTime>,
}

impl Report {
    /// Puts a report together from the records of one execution.
    pub fn new(plan: &Plan, execution: ExecutionId, outcome: Outcome, records: &[Record]) -> Self {
        let began =
            records.iter().find(|record| matches!(record.event, Event::Began { .. })).map(|record| record.at);
        let last = records.iter().map(|record| record.at).max();
        let since = |at: Timestamp| {
            began.and_then(|began| Duration::try_from(at.duration_since(began)).ok()).unwrap_or_default()
        };
        let mut ends: BTreeMap<StepId, Duration> = BTreeMap::new();
        let mut skipped = BTreeMap::new();
        let (mut failed_attempts, mut take_overs) = (0, 0);
        for record in records {
            match &record.event {
                Event::Done { step, .. } => {
                    ends.insert(step.clone(), since(record.at));
                }
                Event::Skipped { step, why } => {
                    ends.insert(step.clone(), since(record.at));
                    skipped.insert(step.clone(), why.clone());
                }
                Event::Failed { .. } => failed_attempts += 1,
                Event::TookOver if record.at > began.unwrap_or(Timestamp::MAX) => take_overs += 1,
                _ => {}
            }
        }
        let phase = |(phase, predicted): (&Phase, &PhaseTime)| {
            (*phase, PhaseReport { predicted: *predicted, measured: measured(plan, *phase, &ends) })
        };
        Self {
            execution,
            kind: plan.kind,
            superseded: plan.supersedes.as_ref().map(|superseded| superseded.execution.clone()),
            outcome,
            predicted: plan.predicted.rto,
            measured: last.map(since).unwrap_or_default(),
            phases: plan.predicted.phases.iter().map(phase).collect(),
            skipped,
            failed_attempts,
            take_overs,
            predicted_loss: plan.predicted.loss,
        }
    }

    /// The report in one line, for the journal.
    pub fn summary(&self) -> String {
        let instead = self.superseded.as_ref().map(|old| format!(" in place of {old}")).unwrap_or_default();
        format!(
            "{}{instead} {}: predicted {:.1} s, took {:.1} s; predicted loss: {}",
            self.kind,
            self.outcome,
            self.predicted.as_secs_f64(),
            self.measured.as_secs_f64(),
            self.predicted_loss
        )
    }
}

/// A step begins when the last one that it waits for has ended.
fn measured(plan: &Plan, phase: Phase, ends: &BTreeMap<StepId, Duration>) -> Option<PhaseTime> {
    let times = plan.steps.iter().filter(|step| step.phase == phase).filter_map(|step| {
        let end = *ends.get(&step.id)?;
        let begin = step.after.iter().filter_map(|id| ends.get(id)).max().copied().unwrap_or_default();
        Some((begin, end))
    });
    let begin_and_end = times.reduce(|(begin, end), (other, later)| (begin.min(other), end.max(later)));
    begin_and_end.map(|(begin, end)| PhaseTime { begin, end })
}
