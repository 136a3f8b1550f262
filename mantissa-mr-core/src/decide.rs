//! What to do, and why: pure, so that the same situation gives the same decision everywhere.

use crate::check::Fitness;
use crate::deployment::{Automatic, Strategy};
use crate::facts::Situation;
use crate::name::Region;
use crate::plan::{self, Move, MoveRequest, Plan};
use crate::problem::Problems;

mod midway;

pub(crate) use midway::{Midway, midway};

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing, and why.
    Rest(String),
    /// A region that serves is called unfit, but not for long enough yet.
    Suspect {
        /// The region.
        region: Region,
        /// Who says what.
        why: String,
    },
    /// A move would be called for, and a guard refuses it: the plan holds every guard's answer.
    Refuse(Box<Plan>),
    /// This plan is to be put before a person.
    Propose(Box<Plan>),
    /// This plan is to be carried out; if it supersedes what is under way, in its place.
    Begin(Box<Plan>),
    /// What is under way is to be given up: the region that it moves to is lost, and the one that it leaves is not.
    Abort {
        /// Who says what.
        why: String,
    },
    /// Nothing, because the policy leaves it to people; they are to be told.
    Tell {
        /// The region that is lost.
        region: Region,
        /// What they can do, and who says what.
        why: String,
    },
}

/// Decides by what is known.
pub fn decide(situation: &Situation<'_>) -> Decision {
    if let Some(running) = &situation.ledger.execution {
        return Decision::Rest(format!("{} is under way", running.id));
    }
    if let Some(decision) = unfit(situation) {
        return decision;
    }
    if let Some(decision) = degraded(situation).or_else(|| come_back(situation)) {
        return decision;
    }
    Decision::Rest("every region that serves is fit, or nothing better is known".into())
}

/// A region that serves and does not.
fn unfit(situation: &Situation<'_>) -> Option<Decision> {
    let health = |region: &Region| situation.facts.health.get(region);
    let bad = |region: &&Region| health(region).is_some_and(|health| health.fitness == Fitness::Unfit);
    let confirmed = |region: &&Region| health(region).is_some_and(|health| health.confirmed);
    let active: Vec<&Region> = situation.ledger.active().filter(bad).collect();
    let first = active.iter().find(|region| confirmed(region)).or_else(|| active.first())?;
    let why = health(first).map(|health| health.why.clone()).unwrap_or_default();
    if !confirmed(first) {
        return Some(Decision::Suspect { region: (*first).clone(), why });
    }
    let kind = unplanned(situation.ledger.strategy);
    let automatic = situation.deployment.spec().policy.automatic;
    if automatic == Automatic::Off {
        let why = format!("{first} is lost: {why}; nothing moves by itself: a person's {kind} leaves it");
        return Some(Decision::Tell { region: (*first).clone(), why });
    }
    Some(propose(situation, kind, Some(first), None, why, automatic == Automatic::On))
}

/// The move that leaves a region that is lost.
fn unplanned(strategy: Strategy) -> Move {
    match strategy {
        Strategy::ActivePassive => Move::Failover,
        Strategy::ActiveActive => Move::Evacuate,
    }
}

/// A region that serves badly for longer than the tier's recovery time: a planned move is put before a person, never
/// one that loses data.
fn degraded(situation: &Situation<'_>) -> Option<Decision> {
    let rto = situation.group.tier.tier().rto;
    let long = |region: &&Region| {
        situation.facts.health.get(region).is_some_and(|health| {
            health.fitness == Fitness::Degraded && situation.now.moment.since(health.since) >= rto
        })
    };
    let region = situation.ledger.active().find(long)?;
    let kind = match situation.ledger.strategy {
        Strategy::ActivePassive => Move::Switchover,
        Strategy::ActiveActive => Move::Evacuate,
    };
    let why = format!("{region} has been degraded for longer than {rto:?}");
    Some(propose(situation, kind, Some(region), None, why, false))
}

/// A region that could serve again.
fn come_back(situation: &Situation<'_>) -> Option<Decision> {
    let spec = situation.deployment.spec();
    let fit_long = |region: &&Region| {
        situation.facts.health.get(region).is_some_and(|health| {
            health.fitness == Fitness::Fit
                && situation.now.moment.since(health.since) >= spec.policy.timing.failback_after
        })
    };
    let away = |region: &&Region| situation.ledger.admitted(region).is_none();
    let moved = situation.ledger.ended.is_some();
    let region = match situation.ledger.strategy {
        Strategy::ActivePassive => Some(&spec.preferred).filter(|region| away(region) && moved),
        Strategy::ActiveActive => situation.deployment.regions().filter(away).find(fit_long),
    }
    .filter(fit_long)?;
    let kind = match situation.ledger.strategy {
        Strategy::ActivePassive => Move::Failback,
        Strategy::ActiveActive => Move::Rejoin,
    };
    let why = format!("{region} has been fit for {:?}", spec.policy.timing.failback_after);
    match propose(situation, kind, None, Some(region), why, spec.policy.automatic_failback) {
        // Nothing is wrong: a guard that refuses to come back is no news.
        Decision::Refuse(_) => None,
        decision => Some(decision),
    }
}

fn propose(
    situation: &Situation<'_>,
    kind: Move,
    from: Option<&Region>,
    to: Option<&Region>,
    why: String,
    automatic: bool,
) -> Decision {
    if situation.deployment.spec().policy.automatic == Automatic::Off {
        return Decision::Rest(format!("the policy lets nothing move by itself: {why}"));
    }
    let request =
        MoveRequest { kind, from: from.cloned(), to: to.cloned(), drill: false, waivers: Vec::new(), why };
    weigh(plan::build(situation, &request), automatic)
}

/// What follows from a plan, or from there being none.
fn weigh(plan: Result<Plan, Problems>, automatic: bool) -> Decision {
    match plan {
        Err(problems) => Decision::Rest(problems.to_string()),
        Ok(plan) if plan.refusals().next().is_some() => Decision::Refuse(Box::new(plan)),
        Ok(plan) if automatic => Decision::Begin(Box::new(plan)),
        Ok(plan) => Decision::Propose(Box::new(plan)),
    }
}
