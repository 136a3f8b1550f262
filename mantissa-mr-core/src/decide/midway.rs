//! A planned move that is under way when a region that it counts on is lost: it turns unplanned.

use std::collections::BTreeSet;

use super::Decision;
use crate::check::Fitness;
use crate::deployment::{Automatic, Strategy};
use crate::facts::Situation;
use crate::ledger::AdmissionState;
use crate::name::Region;
use crate::plan::{self, MoveRequest, Plan};
use crate::traffic::Urgency;

/// How far the move under way is.
#[derive(Clone, Debug)]
pub(crate) struct Midway<'a> {
    pub(crate) plan: &'a Plan,
    /// It cannot be given up any more.
    pub(crate) committed: bool,
    /// It is being given up.
    pub(crate) aborting: bool,
    /// The region that is left must still give its data, or hand over.
    pub(crate) drains: bool,
    /// The regions that must be up for what is still to be done.
    pub(crate) needs: BTreeSet<Region>,
}

/// What becomes of a move that cannot go on as planned.
enum Turn<'a> {
    /// It is given up, because this region is lost: the one that it leaves goes on.
    GiveUp(&'a Region),
    /// Another takes its place: it leaves the first region, for the second if that is the best.
    Instead(&'a Region, Option<&'a Region>),
}

/// Decides what becomes of the move under way.
pub(crate) fn midway(situation: &Situation<'_>, midway: &Midway<'_>) -> Decision {
    let waits = situation.ledger.execution.as_ref().is_some_and(|running| running.paused.is_some());
    // Giving one up needs the region that goes on: clients must reach it.
    if midway.plan.urgency == Urgency::Unplanned && !(midway.aborting && waits) {
        return Decision::Rest("the move under way counts on nothing that can be lost to it".into());
    }
    let turn = match situation.ledger.strategy {
        Strategy::ActivePassive => passive(situation, midway),
        Strategy::ActiveActive => active(situation, midway),
    };
    let Some(turn) = turn else {
        return Decision::Rest("the move under way can go on as planned".into());
    };
    let (Turn::GiveUp(lost) | Turn::Instead(lost, _)) = &turn;
    let drill = if midway.plan.drill { " (a drill)" } else { "" };
    let why = situation.facts.health.get(*lost).map(|health| health.why.clone()).unwrap_or_default();
    let becomes = if matches!(turn, Turn::GiveUp(_)) { "cannot go on" } else { "turns unplanned" };
    let why =
        format!("the {} to {}{drill} {becomes}: {lost} is unfit: {why}", midway.plan.kind, midway.plan.to);
    let automatic = situation.deployment.spec().policy.automatic;
    match turn {
        Turn::GiveUp(_) if automatic == Automatic::On => Decision::Abort { why },
        Turn::GiveUp(lost) => {
            let why = format!("{why}; `abort` gives it up and reopens the gates");
            Decision::Tell { region: lost.clone(), why }
        }
        Turn::Instead(lost, _) if automatic == Automatic::Off => {
            let kind = super::unplanned(situation.ledger.strategy);
            let why = format!("{why}; nothing moves by itself: a person's {kind} can take its place");
            Decision::Tell { region: lost.clone(), why }
        }
        Turn::Instead(from, to) => instead(situation, from, to, why),
    }
}

fn instead(situation: &Situation<'_>, from: &Region, to: Option<&Region>, why: String) -> Decision {
    let kind = super::unplanned(situation.ledger.strategy);
    let (from, to) = (Some(from.clone()), to.cloned());
    let request = MoveRequest { kind, from, to, drill: false, waivers: Vec::new(), why };
    let automatic = situation.deployment.spec().policy.automatic == Automatic::On;
    super::weigh(plan::build_instead(situation, &request), automatic)
}

fn lost(situation: &Situation<'_>, region: &Region) -> bool {
    let health = situation.facts.health.get(region);
    health.is_some_and(|health| health.fitness == Fitness::Unfit && health.confirmed)
}

/// The first of these that is fit and is not the one that is left.
fn fit<'a>(situation: &Situation<'_>, from: &Region, choices: [&'a Region; 2]) -> Option<&'a Region> {
    choices.into_iter().find(|region| *region != from && situation.facts.fitness(region) == Fitness::Fit)
}

/// One region serves, or none does while it is handed over.
fn passive<'a>(situation: &'a Situation<'_>, midway: &'a Midway<'_>) -> Option<Turn<'a>> {
    let lost = |region: &Region| lost(situation, region);
    let (to, left) = (&midway.plan.to, midway.plan.from.as_ref()?);
    let missed = || midway.needs.iter().find(|region| lost(region));
    match situation.ledger.active().next() {
        Some(serves) if lost(serves) => Some(Turn::Instead(serves, fit(situation, serves, [to, left]))),
        // What is left to do is done without the region that it needs.
        Some(serves) if serves == to => missed().map(|region| Turn::Instead(region, Some(to))),
        Some(serves) => give_up(situation, midway, Some(serves), lost(to).then_some(to).or_else(missed)),
        None if lost(left) && (midway.drains || lost(to)) => {
            Some(Turn::Instead(left, fit(situation, left, [to, left])))
        }
        None if lost(to) && midway.committed => Some(Turn::Instead(to, fit(situation, to, [left, to]))),
        None => give_up(situation, midway, Some(left), lost(to).then_some(to).or_else(missed)),
    }
}

/// All regions serve, save one that leaves or comes back.
fn active<'a>(situation: &'a Situation<'_>, midway: &'a Midway<'_>) -> Option<Turn<'a>> {
    let lost = |region: &Region| lost(situation, region);
    let (ledger, to) = (situation.ledger, &midway.plan.to);
    let gone = ledger.active().find(|region| lost(region));
    let sealed = ledger.admissions.iter().find_map(|(region, admission)| {
        matches!(admission.state, AdmissionState::Sealed { .. }).then_some(region)
    });
    let serves = |region: &Region| ledger.admitted(region).is_some();
    match (sealed, gone) {
        (Some(left), _) if lost(left) => {
            midway.drains.then(|| Turn::Instead(left, serving(situation, left, to)))
        }
        // Its own evacuation comes once the gates of the first are open again.
        (Some(left), Some(gone)) => give_up(situation, midway, Some(left), Some(gone)),
        (None, Some(gone)) => Some(Turn::Instead(gone, serving(situation, gone, to))),
        (left, None) => {
            let back = (!serves(to) && lost(to)).then_some(to);
            let missed = || midway.needs.iter().find(|region| lost(region));
            give_up(situation, midway, left, back.or_else(missed))
        }
    }
}

/// The plan's target as long as it is fit and serves.
fn serving<'a>(situation: &Situation<'_>, from: &Region, to: &'a Region) -> Option<&'a Region> {
    let serves = situation.ledger.admitted(to).is_some();
    fit(situation, from, [to, to]).filter(|_| serves)
}

/// Gives the move up because a region is lost, if that can be done and the one that goes on is not unfit itself.
fn give_up<'a>(
    situation: &Situation<'_>,
    midway: &Midway<'_>,
    goes_on: Option<&Region>,
    lost: Option<&'a Region>,
) -> Option<Turn<'a>> {
    let can = !midway.committed && !midway.aborting;
    let well = goes_on.is_none_or(|region| situation.facts.fitness(region) != Fitness::Unfit);
    lost.filter(|_| can && well).map(Turn::GiveUp)
}

#[cfg(test)]
mod tests;
