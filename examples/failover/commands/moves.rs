//! Moves: plan, show, confirm, carry out.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use mantissa_mr_core::controller::Mandate;
use mantissa_mr_core::guard::{LossLimit, Override};
use mantissa_mr_core::name::GroupName;
use mantissa_mr_core::operator::Operator;
use mantissa_mr_core::plan::{Move, MoveRequest, Plan, PredictedLoss};
use mantissa_mr_core::problem::Problem;
use serde_json::{Value, json};

use crate::exit::{Exit, Outcome, Stop};
use crate::follow;
use crate::input::{Go, Wanted};
use crate::render::{self, Screen, note, span};

/// Makes a plan, shows it, and keeps it if a file was named. A plan that guards refuse is kept too, to be looked at.
pub(super) async fn plan(
    operator: &Operator,
    group: &GroupName,
    request: &MoveRequest,
    output: Option<&Path>,
    screen: Screen,
) -> Result<Outcome, Stop> {
    let plan = operator.plan(group, request).await?;
    screen.show(render::plan(&plan));
    let mut document = document(&plan);
    document["warnings"] = warn(operator, screen);
    if let Some(file) = output {
        std::fs::write(file, plan.encode())
            .map_err(|error| Problem::new("--output", format!("{}: {error}", file.display())))?;
        screen.say(&format!("kept in {}", file.display()));
    }
    if let Some(why) = refusal(&plan) {
        screen.say(&why);
        return Ok(Outcome::new(Exit::Refused, document));
    }
    if output.is_some() {
        screen.say(&format!("`{} --plan FILE` carries it out", command(&plan)));
    }
    Ok(Outcome::new(Exit::Done, document))
}

/// Says beside a plan, which is the same whatever the witness survives, what the witness's loss would cost.
fn warn(operator: &Operator, screen: Screen) -> Value {
    let warning = operator.witness_warning();
    screen.show(render::warning(warning.as_deref()));
    json!(super::warnings(warning))
}

fn command(plan: &Plan) -> String {
    if plan.drill { format!("drill {}", plan.kind) } else { plan.kind.to_string() }
}

/// The plan, with the hash that names it.
fn document(plan: &Plan) -> Value {
    json!({ "hash": plan.hash(), "plan": plan })
}

/// Why a plan must not be carried out, if a guard refuses it.
fn refusal(plan: &Plan) -> Option<String> {
    let guards: Vec<String> = plan.refusals().map(|answer| answer.guard.to_string()).collect();
    (!guards.is_empty()).then(|| format!("refused by: {}; nothing was begun", guards.join(", ")))
}

/// Carries out a move: a plan that is made now, or a saved one.
pub(super) async fn carry(
    operator: &Operator,
    group: &GroupName,
    wanted: Wanted,
    consent: Go,
    screen: Screen,
) -> Result<Outcome, Stop> {
    let plan = match wanted {
        Wanted::Now(request) => operator.plan(group, &request).await?,
        Wanted::Saved(plan) => {
            let objections = operator.recheck(&plan).await?;
            if !objections.is_empty() {
                return Err(Stop::Refused(objections.join("; ")));
            }
            *plan
        }
    };
    screen.show(render::plan(&plan));
    if let Some(why) = refusal(&plan) {
        screen.say(&why);
        return Ok(Outcome::new(Exit::Refused, document(&plan)));
    }
    if consent.dry_run {
        let mut document = document(&plan);
        document["warnings"] = warn(operator, screen);
        screen.say("dry run: nothing was done");
        return Ok(Outcome::new(Exit::Done, document));
    }
    confirm(&plan, consent)?;
    let kept = document(&plan);
    let mut outcome = follow::carry_out(operator, group, Mandate::Carry(Arc::new(plan)), screen).await?;
    if let (Some(outcome), Value::Object(kept)) = (outcome.document.as_object_mut(), kept) {
        outcome.extend(kept);
    }
    Ok(outcome)
}

/// Asks a person, or sees that everything was said beforehand.
///
/// # Errors
/// They do not agree, or something is missing.
pub(super) fn confirm(plan: &Plan, consent: Go) -> Result<(), Stop> {
    let limit = accepted(plan).max(consent.max_loss);
    within(plan.predicted.loss, limit)?;
    if consent.yes {
        if plan.predicted.loss != PredictedLoss::Nothing && limit.is_none() {
            let message = format!("this move may lose data ({}) and nobody is asked", plan.predicted.loss);
            let advice = "say how much may be lost, with --approver and --reason";
            return Err(Problem::new("--max-loss", message).with_advice(advice).into());
        }
        return Ok(());
    }
    // An evacuation is about the region that is left, everything else about the one that is moved to.
    let left = plan.from.as_ref().filter(|_| plan.kind == Move::Evacuate);
    let region = left.unwrap_or(&plan.to);
    note(&format!(
        "\nThis begins now. Predicted: {} from begin to end; lost of what was\nacknowledged: {}.",
        span(plan.predicted.rto),
        plan.predicted.loss
    ));
    if typed(&format!("Type {region} to go on: ")) == region.as_str() {
        return Ok(());
    }
    Err(Stop::refused("it was not confirmed; nothing was begun"))
}

/// How much may be lost, as the plan itself says.
fn accepted(plan: &Plan) -> Option<LossLimit> {
    let limits = plan.waivers.iter().filter_map(|waiver| match waiver.allows {
        Override::AllowDataLoss { up_to } => Some(up_to),
        Override::Guard(_) => None,
    });
    limits.max()
}

/// A person who names a limit means it, even where the tier would allow more.
fn within(loss: PredictedLoss, limit: Option<LossLimit>) -> Result<(), Stop> {
    let Some(limit) = limit else { return Ok(()) };
    let within = match (loss, limit) {
        (PredictedLoss::Nothing, _) | (_, LossLimit::Unbounded) => true,
        (PredictedLoss::Estimated { about, .. }, LossLimit::Time(most)) => about <= most,
        (PredictedLoss::Unknown, LossLimit::Time(_)) => false,
    };
    if within { Ok(()) } else { Err(Stop::Refused(format!("{loss} would be lost, --max-loss is {limit}"))) }
}

/// What somebody types after a question; nothing if nobody does.
fn typed(question: &str) -> String {
    let mut errors = std::io::stderr().lock();
    let asked = write!(errors, "{question}").and_then(|()| errors.flush());
    let mut line = String::new();
    match asked.and_then(|()| std::io::stdin().lock().read_line(&mut line)) {
        Ok(_) => line.trim().to_owned(),
        Err(_) => String::new(),
    }
}
