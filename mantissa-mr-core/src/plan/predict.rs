//! What should come of a plan: its critical path, its phases, its loss.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{LossBoundTime, PhaseTime, PredictedLoss, Prediction, Step};
use crate::facts::Situation;
use crate::name::{Region, StepId};
use crate::state::Phase;
use crate::store::{LossBound, Replication};
use crate::traffic::Urgency;

/// The earliest times of every step, and the longest way through the graph. Steps come after those they depend on.
pub(super) fn predict(steps: &[Step], loss: PredictedLoss) -> Prediction {
    let mut ends: BTreeMap<&StepId, (Duration, Option<&StepId>)> = BTreeMap::new();
    let mut phases: BTreeMap<_, PhaseTime> = BTreeMap::new();
    for step in steps {
        let latest = step.after.iter().filter_map(|id| ends.get(id).map(|(end, _)| (*end, id))).max();
        let begin = latest.map_or(Duration::ZERO, |(end, _)| end);
        let end = begin.saturating_add(step.expected);
        ends.insert(&step.id, (end, latest.map(|(_, id)| id)));
        let phase = phases.entry(step.phase).or_insert(PhaseTime { begin, end });
        phase.begin = phase.begin.min(begin);
        phase.end = phase.end.max(end);
    }
    let last = ends.iter().max_by_key(|(_, (end, _))| *end).map(|(id, (end, _))| (*id, *end));
    let mut critical_path = Vec::new();
    let mut at = last.map(|(id, _)| id);
    while let Some(id) = at {
        critical_path.push(id.clone());
        at = ends.get(id).and_then(|(_, before)| *before);
    }
    critical_path.reverse();
    Prediction { rto: last.map_or(Duration::ZERO, |(_, end)| end), critical_path, phases, loss }
}

/// What would be lost of what `from` acknowledged, once `to` takes over.
pub(super) fn loss(
    situation: &Situation<'_>,
    urgency: Urgency,
    from: Option<&Region>,
    to: &Region,
    steps: &[Step],
) -> PredictedLoss {
    let Some(from) = from.filter(|_| urgency == Urgency::Unplanned) else { return PredictedLoss::Nothing };
    let now = situation.now.moment;
    let phases = predict(steps, PredictedLoss::Nothing).phases;
    let until_shut = phases.get(&Phase::Seal).map_or(situation.ledger.gate.seal_wait(), |seal| seal.end);
    let mut worst = PredictedLoss::Nothing;
    for (name, capabilities) in situation.stores() {
        if capabilities.loss == LossBound::None {
            continue;
        }
        let Some(seen) = situation.lag(name, to) else {
            return PredictedLoss::Unknown;
        };
        // What was acknowledged after the replica's watermark and before the region's last sign of life may be missing.
        let last_sign = situation.facts.last_success.get(from).copied().unwrap_or(now);
        let about = last_sign.since(seen.watermark());
        let bound = LossBoundTime(now.since(seen.watermark()).saturating_add(until_shut));
        let at_most = (capabilities.replication == Replication::Ordered).then_some(bound);
        worst = worse(worst, about, at_most);
    }
    worst
}

fn worse(so_far: PredictedLoss, about: Duration, at_most: Option<LossBoundTime>) -> PredictedLoss {
    match so_far {
        PredictedLoss::Estimated { about: other, at_most: bound } => PredictedLoss::Estimated {
            about: about.max(other),
            at_most: at_most.zip(bound).map(|(one, other)| one.max(other)),
        },
        _ => PredictedLoss::Estimated { about, at_most },
    }
}
