//! What each action asks, does, and makes of the answers.

use super::{Change, Execution};
use crate::call::{Call, Reply};
use crate::check::Fitness;
use crate::error::{Error, ErrorKind};
use crate::name::Region;
use crate::notify::{HookAnswer, HookQuestion};
use crate::plan::Action;
use crate::store::{Barrier, Drained, Fence, Promotion, ReplicaStatus, Role, StoreStatus};
use crate::traffic::{Convergence, Shift};

impl Execution {
    /// The question that says whether the action is still needed; `None` for one that is simply done.
    pub(super) fn question(&self, action: &Action) -> Option<Call> {
        Some(match action {
            Action::Ask { point } => Call::Ask {
                question: HookQuestion {
                    point: *point,
                    group: self.group.clone(),
                    execution: self.id.clone(),
                    from: self.plan.from.clone(),
                    to: self.plan.to.clone(),
                },
            },
            Action::Drain { store, from, to, .. } => Call::Drained {
                store: store.clone(),
                barrier: Barrier {
                    execution: self.id.clone(),
                    epoch: self.plan.epoch,
                    from: from.clone(),
                    to: to.clone(),
                },
            },
            Action::Scale { scaler, region, .. } => {
                Call::Capacity { scaler: scaler.clone(), region: region.clone() }
            }
            Action::Promote { store, .. } | Action::Verify { store, .. } => {
                Call::Status { store: store.clone() }
            }
            Action::Shift { router, .. } => Call::Routing { router: router.clone() },
            Action::Converge { router, weights } => {
                Call::Converged { router: router.clone(), weights: weights.clone() }
            }
            Action::Validate { check, region } => {
                Call::Assess { check: check.clone(), region: region.clone() }
            }
            _ => return None,
        })
    }

    /// The call of an action that is simply done, being idempotent.
    pub(super) fn deed(&self, action: &Action) -> Option<Call> {
        let epoch = self.epoch;
        match action {
            Action::Fence { store, region } => {
                Some(Call::Fence { store: store.clone(), region: region.clone(), epoch })
            }
            Action::Unfence { store, region } => {
                Some(Call::Unfence { store: store.clone(), region: region.clone(), epoch })
            }
            _ => None,
        }
    }

    /// Whether nobody else is the writer any more. A region that was cut off when another one took over calls itself the
    /// writer until it is told: to find the target so is not enough before its promotion was accepted, unless every other
    /// region says that it is not; and after a forced one, the region that was left may go on calling itself so.
    fn gave_way(&self, region: &Region, promotion: Promotion, status: &StoreStatus, accepted: bool) -> bool {
        let writes =
            |other: &Region| status.replicas.get(other).is_some_and(|replica| replica.role == Role::Writer);
        match (accepted, promotion) {
            (false, _) => {
                let known =
                    |replica: &ReplicaStatus| !matches!(replica.role, Role::Writer | Role::Unreachable);
                status.replicas.iter().all(|(other, replica)| other == region || known(replica))
            }
            (true, Promotion::Planned) => !self.plan.from.as_ref().is_some_and(writes),
            (true, Promotion::Forced) => true,
        }
    }

    pub(super) fn judge(&self, action: &Action, reply: Reply, acting: bool, accepted: bool) -> Judgement {
        match (action, reply) {
            (_, Reply::Fence(Ok(Fence::Confirmed))) => Judgement::Good("confirmed by the store".into()),
            (_, Reply::Fence(Ok(Fence::Requested { why }))) => Judgement::Failed(Error::new(
                ErrorKind::Unavailable,
                "fence",
                format!("not confirmed: {why}"),
            )),
            (_, Reply::Unfence(Ok(()))) => Judgement::Good("accepted by the store".into()),
            (_, Reply::Promote(Ok(())) | Reply::Shift(Ok(())) | Reply::Scale(Ok(()))) if acting => {
                Judgement::Look
            }
            (_, Reply::Ask(Ok(HookAnswer::Allow))) => Judgement::Good("no veto".into()),
            (_, Reply::Ask(Ok(HookAnswer::Veto { reason }))) => Judgement::Veto(reason),
            (Action::Drain { unproven, .. }, Reply::Drained(Ok(drained))) => {
                judge_drained(*unproven, drained)
            }
            (Action::Scale { scaler, region, target }, Reply::Capacity(Ok(capacity))) => {
                let wanted = target.units(capacity.full);
                if capacity.requested != wanted {
                    let (scaler, region) = (scaler.clone(), region.clone());
                    return Judgement::Act(Call::Scale {
                        scaler,
                        region,
                        target: *target,
                        epoch: self.epoch,
                    });
                }
                if capacity.ready < wanted {
                    return Judgement::Wait;
                }
                Judgement::Good(format!("{} {} ready", capacity.ready, capacity.unit))
            }
            (Action::Promote { store, region, promotion }, Reply::Status(Ok(status))) => {
                if status.replicas.get(region).is_some_and(|replica| replica.role == Role::Writer) {
                    if self.gave_way(region, *promotion, &status, accepted) {
                        return Judgement::Good(format!("{region} is the writer"));
                    }
                    if accepted {
                        return Judgement::Wait;
                    }
                }
                let (store, region) = (store.clone(), region.clone());
                Judgement::Act(Call::Promote { store, region, promotion: *promotion, epoch: self.epoch })
            }
            (Action::Verify { region, .. }, Reply::Status(Ok(status))) => {
                match status.replicas.get(region).map(|replica| replica.role) {
                    Some(Role::Writer) => Judgement::Good(format!("{region} takes writes")),
                    _ => Judgement::Wait,
                }
            }
            (Action::Shift { router, weights, urgency }, Reply::Routing(Ok(routing))) => {
                if routing.weights.same_shares(weights) && routing.unfinished.is_none() {
                    return Judgement::Good(format!("the routing is {}", routing.weights));
                }
                let shift = Shift {
                    weights: weights.clone(),
                    epoch: self.epoch,
                    urgency: *urgency,
                    based_on: routing.version,
                };
                Judgement::Act(Call::Shift { router: router.clone(), shift })
            }
            (Action::Converge { .. }, Reply::Converged(Ok(convergence))) => match convergence {
                Convergence::Converged { how } => Judgement::Good(how),
                Convergence::NotYet { .. } => Judgement::Wait,
            },
            (Action::Validate { .. }, Reply::Assess(Ok(assessment))) => match assessment.fitness {
                Fitness::Fit => Judgement::Good(assessment.why),
                _ => Judgement::Wait,
            },
            (_, reply) => Judgement::Failed(failure(reply)),
        }
    }
}

/// Whether the region that is to be promoted is the writer already, by its own word.
pub(super) fn claims(action: &Action, reply: &Reply) -> bool {
    let (Action::Promote { region, .. }, Reply::Status(Ok(status))) = (action, reply) else { return false };
    status.replicas.get(region).is_some_and(|replica| replica.role == Role::Writer)
}

/// What follows from an answer.
pub(super) enum Judgement {
    /// The step is done.
    Good(String),
    /// Look again at once.
    Look,
    /// Look again a little later.
    Wait,
    /// Journal the intention, then make this call.
    Act(Call),
    Veto(String),
    Failed(Error),
}

fn judge_drained(unproven: bool, drained: Drained) -> Judgement {
    match drained {
        Drained::Proven { how } => Judgement::Good(format!("proven: {how}")),
        Drained::NotYet { .. } => Judgement::Wait,
        Drained::CannotProve { why } if unproven => {
            Judgement::Good(format!("not proven, and accepted: {why}"))
        }
        Drained::CannotProve { why } => {
            let message = format!("it cannot be proven that nothing is missing: {why}");
            Judgement::Failed(
                Error::new(ErrorKind::Unsupported, "drain", message)
                    .with_advice("abort, or plan again with --max-loss unbounded"),
            )
        }
    }
}

/// The error in a reply, or the error that it is no answer to what was asked.
fn failure(reply: Reply) -> Error {
    let error = match reply {
        Reply::Load(Err(error)) | Reply::Store(Err(error)) | Reply::Status(Err(error)) => Some(error),
        Reply::Drained(Err(error)) | Reply::Promote(Err(error)) | Reply::Fence(Err(error)) => Some(error),
        Reply::Unfence(Err(error)) | Reply::Routing(Err(error)) | Reply::Shift(Err(error)) => Some(error),
        Reply::Converged(Err(error)) | Reply::Capacity(Err(error)) | Reply::Scale(Err(error)) => Some(error),
        Reply::Assess(Err(error)) | Reply::Ask(Err(error)) | Reply::Notify(Err(error)) => Some(error),
        _ => None,
    };
    error.unwrap_or_else(|| {
        Error::new(ErrorKind::Unexpected, "carry out a step", "the answer fits no question")
    })
}

/// The change of the ledger that an action stands for.
pub(super) fn change(action: &Action) -> Option<Change> {
    match action {
        Action::Seal { regions } => Some(Change::Seal(regions.clone())),
        Action::Open { region } => Some(Change::Open(region.clone())),
        Action::Leave { region } => Some(Change::Leave(region.clone())),
        Action::Reopen { .. } => Some(Change::Reopen),
        _ => None,
    }
}
