//! What each guard looks at. Pure: the same situation and the same draft give the same answers.

use std::time::Duration;

use super::{Guard, GuardAnswer, GuardVerdict, Initiator, LossLimit, Override, Waiver};
use crate::check::Fitness;
use crate::deployment::{Strategy, Writers};
use crate::facts::Situation;
use crate::ledger::{AdmissionState, Outcome};
use crate::name::{ExecutionId, Region};
use crate::plan::{Action, Move, PredictedLoss, Step};
use crate::state::Phase;
use crate::traffic::Urgency;

/// What is to be judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) kind: Move,
    pub(crate) urgency: Urgency,
    pub(crate) from: Option<&'a Region>,
    pub(crate) to: &'a Region,
    pub(crate) steps: &'a [Step],
    pub(crate) loss: PredictedLoss,
    pub(crate) waivers: &'a [Waiver],
    /// The execution whose place it takes.
    pub(crate) supersedes: Option<&'a ExecutionId>,
}

/// What one guard looks at.
type Ask = fn(&Situation<'_>, &Draft<'_>) -> Finding;

enum Finding {
    Pass(String),
    NotApplicable(String),
    Refuse(String, Option<Override>),
}

use Finding::{NotApplicable, Pass, Refuse};

/// Asks every guard; none is left out, whatever the others say.
pub(crate) fn evaluate(situation: &Situation<'_>, draft: &Draft<'_>) -> Vec<GuardAnswer> {
    let guards: [(Guard, Ask); 13] = [
        (Guard::Alone, alone),
        (Guard::Admission, admission),
        (Guard::Quorum, quorum),
        (Guard::NotAllBad, not_all_bad),
        (Guard::TargetFit, target_fit),
        (Guard::SourceFit, source_fit),
        (Guard::Loss, loss),
        (Guard::Capacity, capacity),
        (Guard::CoolDown, cool_down),
        (Guard::Velocity, velocity),
        (Guard::ControlPlane, control_plane),
        (Guard::Fence, fence),
        (Guard::Reconciled, reconciled),
    ];
    guards.into_iter().map(|(guard, ask)| answer(situation, draft, guard, ask(situation, draft))).collect()
}

fn answer(situation: &Situation<'_>, draft: &Draft<'_>, guard: Guard, finding: Finding) -> GuardAnswer {
    let (verdict, why) = match finding {
        Pass(why) => (GuardVerdict::Pass, why),
        NotApplicable(why) => (GuardVerdict::NotApplicable, why),
        Refuse(why, needs) => {
            let waiver = needs.as_ref().and_then(|needs| {
                let valid =
                    |waiver: &&Waiver| waiver.expires > situation.now.wall && covers(&waiver.allows, needs);
                draft.waivers.iter().find(valid)
            });
            match waiver {
                Some(waiver) => {
                    (GuardVerdict::Waived, format!("{why}; waived by {}: {}", waiver.approver, waiver.reason))
                }
                None => (GuardVerdict::Refuse { needs }, why),
            }
        }
    };
    GuardAnswer { guard, verdict, why }
}

fn covers(allowed: &Override, needed: &Override) -> bool {
    match (allowed, needed) {
        (Override::Guard(allowed), Override::Guard(needed)) => allowed == needed,
        (Override::AllowDataLoss { up_to: allowed }, Override::AllowDataLoss { up_to: needed }) => {
            allowed >= needed
        }
        _ => false,
    }
}

fn refuse(guard: Guard, why: impl Into<String>) -> Finding {
    Refuse(why.into(), Some(Override::Guard(guard)))
}

fn alone(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    match &situation.ledger.execution {
        None => Pass("nothing else is under way".into()),
        Some(running) if draft.supersedes == Some(&running.id) => {
            Pass(format!("it supersedes {} ({})", running.id, running.kind))
        }
        Some(running) => Refuse(
            format!("{} ({}) is under way: resume, abort or wait for it", running.id, running.kind),
            None,
        ),
    }
}

fn admission(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    let ledger = situation.ledger;
    let state = |region: &Region| ledger.admissions.get(region).map(|admission| &admission.state);
    let active = |region: &Region| state(region) == Some(&AdmissionState::Active);
    if let Some(from) = draft.from
        && matches!(state(from), None | Some(AdmissionState::Standby))
    {
        // What it supersedes was taking the group there, or counts on that region for what is left to do.
        let midway = draft.supersedes.is_some() && ledger.strategy == Strategy::ActivePassive;
        if midway && draft.kind == Move::Failover && ledger.active().all(|region| region == draft.to) {
            return Pass(format!("nothing but {} serves: it is reached without {from}", draft.to));
        }
        return Refuse(format!("{from} does not serve: there is nothing to move away from it"), None);
    }
    let active_active = ledger.strategy == Strategy::ActiveActive;
    match draft.kind {
        Move::Evacuate if !active_active => {
            Refuse("evacuate is for active-active groups: use failover".into(), None)
        }
        Move::Rejoin if !active_active => {
            Refuse("rejoin is for active-active groups: use failback".into(), None)
        }
        Move::Evacuate if !active(draft.to) => Refuse(format!("{} does not serve either", draft.to), None),
        Move::Evacuate => Pass(format!("{} goes on serving", draft.to)),
        _ if active_active && draft.kind != Move::Rejoin => {
            Refuse(format!("{} is for active-passive groups: use evacuate or rejoin", draft.kind), None)
        }
        _ if active(draft.to) => Refuse(format!("{} serves already", draft.to), None),
        _ => Pass(format!("{} stands by", draft.to)),
    }
}

fn quorum(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    let Some(from) = draft.from.filter(|_| draft.urgency == Urgency::Unplanned) else {
        return NotApplicable("a planned move needs no failure".into());
    };
    match situation.facts.health.get(from) {
        Some(health) if health.fitness == Fitness::Unfit && health.confirmed => {
            Pass(format!("{from} is unfit: {}", health.why))
        }
        Some(health) => refuse(
            Guard::Quorum,
            format!("no confirmed majority calls {from} unfit, it is {}: {}", health.fitness, health.why),
        ),
        None => refuse(Guard::Quorum, format!("nothing is known of {from}")),
    }
}

fn not_all_bad(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    if draft.urgency == Urgency::Planned {
        return NotApplicable("a planned move needs no failure".into());
    }
    let bad = |region: &&Region| situation.facts.fitness(region) == Fitness::Unfit;
    if situation.deployment.regions().all(|region| bad(&region)) {
        let why = "every region looks unfit: the fault is more likely with those who look";
        return refuse(Guard::NotAllBad, why);
    }
    Pass("not every region looks unfit".into())
}

fn target_fit(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    match situation.facts.health.get(draft.to) {
        Some(health) if health.fitness == Fitness::Fit => Pass(format!("{} is fit", draft.to)),
        Some(health) => {
            refuse(Guard::TargetFit, format!("{} is {}: {}", draft.to, health.fitness, health.why))
        }
        None => refuse(Guard::TargetFit, format!("nothing is known of {}", draft.to)),
    }
}

fn source_fit(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    let Some(from) = draft.from.filter(|_| draft.urgency == Urgency::Planned) else {
        return NotApplicable("it leaves no region that it counts on".into());
    };
    match situation.facts.fitness(from) {
        Fitness::Unfit => refuse(
            Guard::SourceFit,
            format!("{from} is unfit: it could not be drained; an unplanned move leaves it as it is"),
        ),
        fitness => Pass(format!("{from} is {fitness}")),
    }
}

fn loss(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    let rpo = situation.group.tier.tier().rpo;
    match draft.loss {
        PredictedLoss::Nothing => Pass("nothing that was acknowledged is lost".into()),
        PredictedLoss::Estimated { about, .. } if about <= rpo => {
            Pass(format!("{}; the tier allows {:.0} s", draft.loss, rpo.as_secs_f64()))
        }
        PredictedLoss::Estimated { about, .. } => Refuse(
            format!("{}, more than the {:.0} s that the tier allows", draft.loss, rpo.as_secs_f64()),
            Some(Override::AllowDataLoss { up_to: LossLimit::Time(round_up(about)) }),
        ),
        PredictedLoss::Unknown => Refuse(
            "how much would be lost is not known, and unknown is not zero".into(),
            Some(Override::AllowDataLoss { up_to: LossLimit::Unbounded }),
        ),
    }
}

fn round_up(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0)))
}

fn capacity(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    let mut short = Vec::new();
    let mut seen = Vec::new();
    // What is scaled down at the end needs nothing.
    for step in draft.steps.iter().filter(|step| step.phase == Phase::Scale && !step.best_effort) {
        let Action::Scale { scaler, region, target } = &step.action else { continue };
        let key = (scaler.clone(), region.clone());
        match situation.fresh(situation.facts.capacities.get(&key)) {
            None => short.push(format!("{scaler} in {region}: not known")),
            Some(capacity) => {
                let needed = target.units(capacity.full);
                match capacity.limit {
                    Some(limit) if limit < needed && capacity.ready < needed => short.push(format!(
                        "{scaler} in {region}: {needed} {} needed, the quota gives {limit}",
                        capacity.unit
                    )),
                    _ => {
                        seen.push(format!("{scaler}: {} of {needed} {} ready", capacity.ready, capacity.unit))
                    }
                }
            }
        }
    }
    if short.is_empty() { Pass(seen.join("; ")) } else { refuse(Guard::Capacity, short.join("; ")) }
}

/// What was given up is not tried again at once.
pub(crate) const GIVEN_UP: Duration = Duration::from_secs(10);

fn cool_down(situation: &Situation<'_>, _draft: &Draft<'_>) -> Finding {
    if situation.initiator == Initiator::Person {
        return NotApplicable("a person asks".into());
    }
    let Some(ended) = &situation.ledger.ended else { return Pass("nothing has moved yet".into()) };
    let cool_down = situation.deployment.spec().policy.timing.cool_down;
    let pause = match (ended.outcome, ended.acknowledged) {
        (_, false) => cool_down,
        (Outcome::Aborted, true) => cool_down.min(GIVEN_UP),
        (_, true) => Duration::ZERO,
    };
    let age = situation.now.wall.duration_since(ended.at);
    if Duration::try_from(age).is_ok_and(|age| age >= pause) || pause.is_zero() {
        return Pass(format!("the last move ({}) was looked at, or is long ago", ended.kind));
    }
    let why = format!("the last move ({}) ended at {} and nobody has acknowledged it", ended.kind, ended.at);
    Refuse(why, None)
}

fn velocity(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    if situation.initiator == Initiator::Person {
        return NotApplicable("a person asks".into());
    }
    let Some(recent) = situation.recent else {
        return Refuse("how many groups moved lately is not known".into(), None);
    };
    let velocity = situation.deployment.spec().policy.velocity;
    let (now, supersedes) = (situation.now.wall, draft.supersedes.is_some());
    let moved = recent.count(now, velocity.window, &situation.group.name, supersedes);
    let most = usize::try_from(velocity.moves).unwrap_or(usize::MAX);
    if moved >= most {
        return Refuse(format!("{moved} groups moved in the last {:?}, {most} may", velocity.window), None);
    }
    Pass(format!("{moved} of {most} groups moved in the last {:?}", velocity.window))
}

fn control_plane(_situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    let Some(from) = draft.from.filter(|_| draft.urgency == Urgency::Unplanned) else {
        return NotApplicable("a planned move may count on every region".into());
    };
    let needy: Vec<&str> = draft
        .steps
        .iter()
        .filter(|step| !step.best_effort && step.needs.contains(from))
        .map(|step| step.id.as_str())
        .collect();
    if needy.is_empty() {
        return Pass(format!("no step needs {from}"));
    }
    refuse(
        Guard::ControlPlane,
        format!("{} need {from}, or a control plane that lives there", needy.join(", ")),
    )
}

fn fence(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    if situation.group.writers == Writers::Gated || draft.kind == Move::Rejoin {
        return NotApplicable("every writer asks a gate".into());
    }
    let cannot: Vec<&str> = situation
        .stores()
        .filter(|(_, capabilities)| !capabilities.can_fence)
        .map(|(name, _)| name.as_str())
        .collect();
    if cannot.is_empty() {
        return Pass("every store fences the writers that ask no gate".into());
    }
    refuse(
        Guard::Fence,
        format!("some writers ask no gate, and these stores cannot fence them: {}", cannot.join(", ")),
    )
}

fn reconciled(situation: &Situation<'_>, draft: &Draft<'_>) -> Finding {
    let ended = situation.ledger.ended.as_ref();
    if ended.is_some_and(|ended| ended.unreconciled.contains(draft.to)) {
        return refuse(
            Guard::Reconciled,
            format!(
                "{} may hold acknowledged writes that the group does not have: compare and restore them",
                draft.to
            ),
        );
    }
    Pass("nothing is left over from an earlier failover".into())
}
