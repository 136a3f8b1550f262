//! Carrying a mandate out while somebody watches.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mantissa_mr_core::controller::{Controller, Ending, Happening, Mandate, News};
use mantissa_mr_core::execute::StepProgress;
use mantissa_mr_core::ledger::Outcome as Ended;
use mantissa_mr_core::name::{GroupName, StepId};
use mantissa_mr_core::operator::Operator;
use mantissa_mr_core::state::State;
use serde_json::{Value, json};

use crate::exit::{Exit, Outcome, Stop};
use crate::render::{Screen, note, report, span, wrap};
use crate::signals::Interrupts;

/// Carries a mandate out and shows what happens; Ctrl-C pauses it.
///
/// # Errors
/// Somebody else holds the lease and lives, so nothing was begun; or the ledger or the journal cannot be used.
pub(crate) async fn carry_out(
    operator: &Operator,
    group: &GroupName,
    mandate: Mandate,
    screen: Screen,
) -> Result<Outcome, Stop> {
    let leads = Arc::new(AtomicBool::new(false));
    let mut progress = Progress::new(leads.clone());
    let stop = stop(operator, leads);
    let ending =
        operator.carry_out(group, mandate, |news, controller| progress.show(news, controller), stop).await;
    progress.close();
    match ending? {
        Some(ending) => ended(ending, screen),
        None => Err(Stop::refused(
            "somebody else holds the lease and lives, so nothing was begun; `status` shows who: `pause` first, or wait",
        )),
    }
}

/// Resolves at Ctrl-C, or when the lease did not come free in time.
async fn stop(operator: &Operator, leads: Arc<AtomicBool>) {
    let policy = &operator.deployment().spec().policy;
    let timing = &policy.timing;
    let patience = policy.gate.rate_margin.wait_for(timing.lease) + timing.beat * 3 + timing.call_deadline;
    let late = async {
        tokio::time::sleep(patience).await;
        if leads.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let interrupted =
        Interrupts::listen().first("interrupted: it pauses in good order (again: leave at once)");
    tokio::select! {
        biased;
        () = interrupted => {}
        () = late => {}
    }
}

fn ended(ending: Ending, screen: Screen) -> Result<Outcome, Stop> {
    match ending {
        Ending::Ended { outcome, report: measured } => {
            screen.show(report(&measured));
            let exit = if outcome == Ended::Finished { Exit::Done } else { Exit::Refused };
            Ok(Outcome::new(exit, json!({ "ending": outcome.to_string(), "report": measured })))
        }
        Ending::Paused { why, overdue } => {
            let (exit, word) = if overdue { (Exit::Stuck, "stuck") } else { (Exit::Paused, "paused") };
            screen.say(&format!("{word}: {why}"));
            screen.say(
                "`status` shows how far it is, `resume` goes on, `abort` gives it up while that can be done",
            );
            Ok(Outcome::new(exit, json!({ "ending": word, "why": why })))
        }
        Ending::Refused(why) => Err(Stop::Refused(why)),
        Ending::Superseded(why) => {
            screen.say(&format!("somebody else took over: {why}; `status` shows how it goes on"));
            Ok(Outcome::new(Exit::Failed, json!({ "ending": "taken over", "why": why })))
        }
        Ending::Failed(error) => Err(Stop::Failed(error)),
    }
}

/// Shows progress on the standard error: a bar at a terminal, plain lines elsewhere.
struct Progress {
    began: Instant,
    bar: Option<ProgressBar>,
    leads: Arc<AtomicBool>,
    /// The steps that are being worked on, since when, and whether that was told.
    working: BTreeMap<StepId, (Instant, bool)>,
}

/// A step is told of while it is worked on only if that takes longer than this.
const WORTH_TELLING: Duration = Duration::from_millis(700);

impl Progress {
    fn new(leads: Arc<AtomicBool>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {elapsed} {pos}/{len} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_message("takes the lease");
            bar
        });
        Self { began: Instant::now(), bar, leads, working: BTreeMap::new() }
    }

    fn show(&mut self, news: &[News], controller: &Controller) {
        for piece in news {
            if let Happening::TookLease(_) = piece.what {
                self.leads.store(true, Ordering::Relaxed);
            }
            // The plan was shown before, the end is shown after.
            let elsewhere = matches!(
                piece.what,
                Happening::Planned(_) | Happening::Ended(..) | Happening::State { to: State::Steady, .. }
            );
            if let Some(text) = text(&piece.what).filter(|_| !elsewhere) {
                self.line(&text);
            }
        }
        if let Some((_, steps)) = controller.progress() {
            self.steps(&steps);
        }
    }

    fn steps(&mut self, steps: &[StepProgress]) {
        for step in steps {
            if step.status != "working" {
                self.working.remove(&step.step);
                continue;
            }
            let (since, told) = self.working.entry(step.step.clone()).or_insert((Instant::now(), false));
            if !*told && since.elapsed() >= WORTH_TELLING {
                *told = true;
                self.line(&format!("waits  {}: {}", step.step, step.what));
            }
        }
        if let Some(bar) = &self.bar {
            let over = steps.iter().filter(|step| matches!(step.status, "done" | "skipped")).count();
            let open: Vec<&str> =
                steps.iter().filter(|step| step.status == "working").map(|step| step.step.as_str()).collect();
            bar.set_length(steps.len() as u64);
            bar.set_position(over as u64);
            bar.set_message(open.join(", "));
        }
    }

    fn line(&self, text: &str) {
        let at = format!("+{:<8} ", span(self.began.elapsed()));
        for line in wrap(text, &at, &" ".repeat(10)) {
            match &self.bar {
                Some(bar) => bar.println(line),
                None => note(&line),
            }
        }
    }

    fn close(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is told of a happening; not everything is worth a line.
pub(crate) fn text(what: &Happening) -> Option<String> {
    Some(match what {
        Happening::State { from, to, why } => format!("{from} -> {to}: {why}"),
        Happening::Verdict(region, verdict) => format!("{region} is {}: {verdict}", verdict.fitness),
        Happening::TookLease(term) => format!("holds the lease, term {term}"),
        Happening::LostLease(why) => format!("lost the lease: {why}"),
        Happening::Planned(plan) => format!("plan {:.12}: {} to {}", plan.hash(), plan.kind, plan.to),
        Happening::Refused(answers) => {
            let refusing = answers.iter().filter(|answer| {
                matches!(answer.verdict, mantissa_mr_core::guard::GuardVerdict::Refuse { .. })
            });
            let said: Vec<String> =
                refusing.map(|answer| format!("{}: {}", answer.guard, answer.why)).collect();
            format!("a move is called for, and refused: {}", said.join("; "))
        }
        Happening::Step(step, how) => format!("done   {step}: {how}"),
        Happening::Ended(outcome, report) => format!("{outcome}: {}", report.summary()),
        Happening::Trouble(why) => format!("trouble: {why}"),
    })
}

/// A happening as data.
pub(crate) fn document(what: &Happening) -> Value {
    let kind = match what {
        Happening::State { .. } => "state",
        Happening::Verdict(..) => "verdict",
        Happening::TookLease(_) => "took-lease",
        Happening::LostLease(_) => "lost-lease",
        Happening::Planned(_) => "planned",
        Happening::Refused(_) => "refused",
        Happening::Step(..) => "step",
        Happening::Ended(..) => "ended",
        Happening::Trouble(_) => "trouble",
    };
    json!({ "what": kind, "text": text(what) })
}
