//! A plan: what every guard says, what every step does, what is predicted.

use std::collections::BTreeMap;
use std::time::Duration;

use mantissa_mr_core::guard::{GuardAnswer, GuardVerdict};
use mantissa_mr_core::name::{Region, StepId};
use mantissa_mr_core::plan::{Plan, Step};
use mantissa_mr_core::traffic::Urgency;

use super::{fact, span, table, wrap, wrap_to};

/// How wide the words of a step may be.
const WHAT: usize = 58;

/// All of a plan.
pub(crate) fn plan(plan: &Plan) -> Vec<String> {
    let mut lines = head(plan);
    lines.push(String::new());
    lines.push("guards".into());
    lines.extend(plan.guards.iter().flat_map(guard));
    lines.push(String::new());
    lines.extend(steps(plan));
    let path: Vec<&str> = plan.predicted.critical_path.iter().map(StepId::as_str).collect();
    lines.push(String::new());
    lines.extend(fact("longest way", &path.join(", ")));
    lines.extend(fact("predicted", &format!("{} from begin to end", span(plan.predicted.rto))));
    lines.extend(fact("loss", &format!("{} of what was acknowledged", plan.predicted.loss)));
    lines
}

fn head(plan: &Plan) -> Vec<String> {
    let kind = if plan.drill { format!("drill: {}", plan.kind) } else { plan.kind.to_string() };
    let way = match &plan.from {
        Some(from) => format!("{kind} of {} from {from} to {}", plan.group, plan.to),
        None => format!("{kind} of {} in {}", plan.group, plan.to),
    };
    let urgency = match plan.urgency {
        Urgency::Planned => "planned: every region can be counted on",
        Urgency::Unplanned => "unplanned: nothing may need the region that is left",
    };
    let mut lines = vec![way];
    lines.extend(fact("why", &plan.why));
    lines.extend(fact("how", urgency));
    lines.extend(fact("made for", &format!("generation {}, epoch {}", plan.generation, plan.epoch)));
    lines.extend(fact("hash", plan.hash().as_str()));
    lines
}

fn guard(answer: &GuardAnswer) -> Vec<String> {
    let verdict = match &answer.verdict {
        GuardVerdict::Pass => "passes",
        GuardVerdict::NotApplicable => "no say",
        GuardVerdict::Waived => "waived",
        GuardVerdict::Refuse { .. } => "REFUSES",
    };
    let rest = " ".repeat(24);
    let mut lines = wrap(&answer.why, &format!("  {:<13} {verdict:<7} ", answer.guard), &rest);
    if let GuardVerdict::Refuse { needs } = &answer.verdict {
        let pass = match needs {
            Some(needs) => format!("to pass: {needs} --approver NAME --reason TEXT"),
            None => "nothing passes it".to_owned(),
        };
        lines.extend(wrap(&pass, &rest, &rest));
    }
    lines
}

fn steps(plan: &Plan) -> Vec<String> {
    let begins = begins(plan);
    let row = |step: &Step| {
        let mut what = step.action.describe();
        let needs: Vec<&str> = step.needs.iter().map(Region::as_str).collect();
        if !needs.is_empty() {
            what.push_str(&format!(" [needs {}]", needs.join(", ")));
        }
        if step.best_effort {
            what.push_str(&format!(" [best effort, for {}]", span(step.deadline)));
        }
        let critical = plan.predicted.critical_path.contains(&step.id);
        let begin = begins.get(&step.id).copied().unwrap_or_default();
        let mark = if critical { "*" } else { " " };
        let mut lines = vec![format!("{mark} {}", step.id)];
        lines.extend(wrap_to(WHAT, &what, "    ", "    "));
        [lines.join("\n"), format!("+{}", span(begin)), span(step.expected)]
    };
    table(["steps (*: on the longest way)", "begins", "takes"], plan.steps.iter().map(row))
}

/// When each step should begin, counted from the plan's begin.
fn begins(plan: &Plan) -> BTreeMap<&StepId, Duration> {
    let mut begins: BTreeMap<&StepId, Duration> = BTreeMap::new();
    let mut ends: BTreeMap<&StepId, Duration> = BTreeMap::new();
    for step in &plan.steps {
        let begin = step.after.iter().filter_map(|id| ends.get(id)).max().copied().unwrap_or_default();
        begins.insert(&step.id, begin);
        ends.insert(&step.id, begin + step.expected);
    }
    begins
}
