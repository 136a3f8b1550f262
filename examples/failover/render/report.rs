//! What a move took: predicted against measured.

use mantissa_mr_core::plan::PhaseTime;
use mantissa_mr_core::report::Report;

use super::{fact, span, table, wrap};

/// All of a report.
pub(crate) fn report(report: &Report) -> Vec<String> {
    let time = |time: &PhaseTime| format!("+{} to +{}", span(time.begin), span(time.end));
    let row = |(phase, times): (&mantissa_mr_core::state::Phase, &mantissa_mr_core::report::PhaseReport)| {
        let measured = times.measured.as_ref().map_or("-".to_owned(), time);
        [phase.to_string(), time(&times.predicted), measured]
    };
    let mut lines = wrap(&format!("{} {}: {}", report.kind, report.outcome, report.execution), "", "");
    lines.extend(table(["phase", "predicted", "measured"], report.phases.iter().map(row)));
    let total = format!("{}, predicted {}", span(report.measured), span(report.predicted));
    lines.push(String::new());
    lines.extend(fact("took", &total));
    lines.extend(fact("loss", &format!("{} (predicted)", report.predicted_loss)));
    if report.failed_attempts > 0 || report.take_overs > 0 {
        let text =
            format!("{} attempts failed, taken over {} times", report.failed_attempts, report.take_overs);
        lines.extend(fact("on the way", &text));
    }
    for (step, why) in &report.skipped {
        lines.extend(fact("left out", &format!("{step}: {why}")));
    }
    lines
}
