//! Making a plan. Pure: the same situation and the same request give the same plan.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Action, FORMAT, Move, Plan, PredictedLoss, Step, Superseded, predict};
use crate::check::Fitness;
use crate::compute::Target;
use crate::deployment::{Share, Strategy, Writers};
use crate::facts::Situation;
use crate::guard::{self, Initiator, Override, Waiver};
use crate::ledger::{Admission, AdmissionState};
use crate::name::{Region, ResourceName, StepId};
use crate::notify::HookPoint;
use crate::problem::{Problem, Problems};
use crate::state::Phase;
use crate::store::Promotion;
use crate::traffic::{Urgency, Weights};

/// What a step costs beside what its resource takes: its journal entries, its calls and their answers.
const OVERHEAD: Duration = Duration::from_millis(500);
/// A step that only asks.
const QUESTION: Duration = Duration::from_millis(200);
/// What a step may take beyond three times what is expected, before it needs a person.
const PATIENCE: Duration = Duration::from_secs(120);

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveRequest {
    /// The kind of move.
    pub kind: Move,
    /// The region to leave; taken from the ledger if not said.
    pub from: Option<Region>,
    /// The region to move to; the best that is known if not said.
    pub to: Option<Region>,
    /// Whether it is a rehearsal.
    pub drill: bool,
    /// What a person allows.
    pub waivers: Vec<Waiver>,
    /// Who wants it, and why.
    pub why: String,
}

/// Makes the plan of a move, with every guard's answer in it. A plan that a guard refuses is a plan too: it says what
/// would be done, and why it must not be.
///
/// # Errors
/// What is wrong with the request itself: a region that is not the deployment's, nothing to leave, nowhere to go.
pub fn build(situation: &Situation<'_>, request: &MoveRequest) -> Result<Plan, Problems> {
    make(situation, request, situation.initiator == Initiator::Person)
}

/// Makes the plan of a move that takes the place of the one under way, whoever wants it.
pub(crate) fn build_instead(situation: &Situation<'_>, request: &MoveRequest) -> Result<Plan, Problems> {
    make(situation, request, true)
}

fn make(situation: &Situation<'_>, request: &MoveRequest, instead: bool) -> Result<Plan, Problems> {
    let (from, to) = endpoints(situation, request)?;
    let urgency = urgency(situation, request.kind, from.as_ref());
    let under_way = superseded(situation, from.as_ref(), &to);
    let supersedes = under_way.filter(|_| instead && urgency == Urgency::Unplanned);
    let serves = request.kind == Move::Failover && situation.ledger.admitted(&to).is_some();
    let mut graph = Graph { situation, urgency, from: from.as_ref(), to: &to, steps: Vec::new() };
    match request.kind {
        Move::Failover if serves => graph.follow(),
        Move::Switchover | Move::Failback | Move::Failover => graph.replace(),
        Move::Evacuate => graph.evacuate(),
        Move::Rejoin => graph.rejoin(),
    }
    let mut steps = graph.steps;
    let fence_deadline = situation.deployment.spec().policy.timing.fence_deadline;
    accept(&mut steps, &request.waivers, fence_deadline);
    let loss = match serves {
        true => PredictedLoss::Nothing,
        false => predict::loss(situation, urgency, from.as_ref(), &to, &steps),
    };
    let draft = guard::Draft {
        kind: request.kind,
        urgency,
        from: from.as_ref(),
        to: &to,
        steps: &steps,
        loss,
        waivers: &request.waivers,
        supersedes: supersedes.as_ref().map(|superseded| &superseded.execution),
    };
    let guards = guard::evaluate(situation, &draft);
    Ok(Plan {
        format: FORMAT,
        deployment: situation.deployment.hash().clone(),
        group: situation.group.name.clone(),
        kind: request.kind,
        urgency,
        drill: request.drill,
        generation: situation.ledger.generation,
        epoch: situation.ledger.epoch(),
        supersedes,
        from,
        to,
        made: situation.now.wall,
        why: request.why.clone(),
        predicted: predict::predict(&steps, loss),
        steps,
        guards,
        waivers: request.waivers.clone(),
    })
}

fn superseded(situation: &Situation<'_>, from: Option<&Region>, to: &Region) -> Option<Superseded> {
    let running = situation.ledger.execution.as_ref()?;
    let sealed = |(_, admission): &(&Region, &Admission)| {
        admission.state == AdmissionState::Sealed { by: running.id.clone() }
    };
    let sealed =
        situation.ledger.admissions.iter().filter(sealed).map(|(region, _)| region.clone()).collect();
    let weights = match situation.ledger.strategy {
        Strategy::ActivePassive if situation.ledger.admitted(to).is_some() => Weights::all_to(to),
        Strategy::ActivePassive => Weights::all_to(from?),
        Strategy::ActiveActive => {
            let serves = |admission: &Admission| admission.state != AdmissionState::Standby;
            let admissions = situation.ledger.admissions.iter();
            Weights::even(admissions.filter(|(_, admission)| serves(admission)).map(|(region, _)| region))
        }
    };
    Some(Superseded { execution: running.id.clone(), sealed, weights })
}

fn urgency(situation: &Situation<'_>, kind: Move, from: Option<&Region>) -> Urgency {
    let unfit = from.is_some_and(|from| situation.facts.fitness(from) == Fitness::Unfit);
    match kind {
        Move::Failover => Urgency::Unplanned,
        Move::Evacuate if unfit => Urgency::Unplanned,
        _ => Urgency::Planned,
    }
}

/// What a person's waivers change in the steps: who accepts a loss without a limit also accepts that a drain cannot be
/// proven; who passes the control-plane guard over accepts that a fence in the lost region may not be confirmed.
fn accept(steps: &mut [Step], waivers: &[Waiver], fence_deadline: Duration) {
    let allowed = |what: &Override| waivers.iter().any(|waiver| waiver.allows == *what);
    let unbounded = allowed(&Override::AllowDataLoss { up_to: guard::LossLimit::Unbounded });
    let unfenced = allowed(&Override::Guard(guard::Guard::ControlPlane));
    for step in steps {
        match &mut step.action {
            Action::Drain { unproven, .. } => *unproven = unbounded,
            Action::Fence { .. } if unfenced => {
                step.best_effort = true;
                step.deadline = fence_deadline;
            }
            _ => {}
        }
    }
}

fn endpoints(situation: &Situation<'_>, request: &MoveRequest) -> Result<(Option<Region>, Region), Problems> {
    let known: Vec<&str> = situation.deployment.regions().map(Region::as_str).collect();
    let mut problems = Vec::new();
    for (field, region) in [("from", &request.from), ("to", &request.to)] {
        if let Some(region) = region.as_ref().filter(|region| !situation.deployment.has_region(region)) {
            let message = format!("{region} is not a region of this deployment ({})", known.join(", "));
            problems.push(Problem::new(field, message));
        }
    }
    if request.from.is_some() && request.from == request.to {
        problems.push(Problem::new("to", "a group cannot move to the region that it leaves"));
    }
    Problems::check(problems)?;
    let from = match request.kind {
        Move::Rejoin => None,
        Move::Evacuate => Some(request.from.clone().or_else(|| only_unfit(situation)).ok_or_else(|| {
            Problem::new("from", "which region shall be evacuated?").with_advice("name it")
        })?),
        _ => Some(request.from.clone().or_else(|| serving(situation, request.to.as_ref())).ok_or_else(
            || {
                Problem::new(
                    "from",
                    "no region serves and none is sealed: there is nothing to move away from",
                )
            },
        )?),
    };
    let to = request.to.clone().or_else(|| target(situation, request.kind, from.as_ref()));
    if to.is_none() && request.kind == Move::Evacuate && situation.ledger.strategy == Strategy::ActivePassive
    {
        return Err(Problem::new("", "evacuate is for active-active groups: use failover").into());
    }
    let to = to.ok_or_else(|| Problem::new("to", "there is no region to move to").with_advice("name one"))?;
    if from.as_ref() == Some(&to) {
        return Err(Problem::new("to", format!("{to} serves already")).into());
    }
    Ok((from, to))
}

fn only_unfit(situation: &Situation<'_>) -> Option<Region> {
    let unfit = |region: &&Region| situation.facts.fitness(region) == Fitness::Unfit;
    let mut active = situation.ledger.active().filter(unfit);
    let first = active.next()?;
    active.next().is_none().then(|| first.clone())
}

/// The region that serves, or, where none does, the one that an unfinished execution has sealed; if that is where to go
/// back to, the one that it was to move to.
fn serving(situation: &Situation<'_>, back: Option<&Region>) -> Option<Region> {
    let ledger = situation.ledger;
    let sealed = |admission: &Admission| matches!(admission.state, AdmissionState::Sealed { .. });
    let mut all = ledger.admissions.iter();
    let serves = ledger.active().next();
    let left = serves.or_else(|| Some(all.find(|(_, admission)| sealed(admission))?.0))?;
    let running = ledger.execution.as_ref().map(|running| &running.region);
    Some(running.filter(|_| serves.is_none() && back == Some(left)).unwrap_or(left).clone())
}

/// The best region to move to: fit before degraded before unknown before unfit; then the preferred one; then the one
/// that is least behind; then the order in which they were written down.
fn target(situation: &Situation<'_>, kind: Move, from: Option<&Region>) -> Option<Region> {
    let spec = situation.deployment.spec();
    if kind == Move::Failback {
        return Some(spec.preferred.clone());
    }
    let ledger = situation.ledger;
    let may = |region: &&Region| match kind {
        Move::Evacuate => ledger.admitted(region).is_some(),
        _ => ledger.admitted(region).is_none(),
    };
    let rank = |region: &&Region| {
        let fitness = match situation.facts.fitness(region) {
            Fitness::Fit => 0,
            Fitness::Degraded => 1,
            Fitness::Unknown => 2,
            Fitness::Unfit => 3,
        };
        let behind = situation
            .stores()
            .map(|(store, _)| situation.lag(store, region).map_or(Duration::MAX, |seen| seen.value));
        (fitness, **region != spec.preferred, behind.max().unwrap_or_default())
    };
    situation
        .deployment
        .regions()
        .filter(|region| Some(*region) != from)
        .filter(may)
        .min_by_key(rank)
        .cloned()
}

/// The steps of one plan, in an order in which each comes after those that it depends on.
struct Graph<'a> {
    situation: &'a Situation<'a>,
    urgency: Urgency,
    from: Option<&'a Region>,
    to: &'a Region,
    steps: Vec<Step>,
}

type Ids = Vec<StepId>;

fn flat(ids: &[&Ids]) -> Ids {
    ids.iter().flat_map(|ids| ids.iter().cloned()).collect()
}

impl Graph<'_> {
    fn add(&mut self, id: StepId, phase: Phase, action: Action, after: &[&Ids], expected: Duration) -> Ids {
        let mut needs = BTreeSet::new();
        match &action {
            Action::Fence { region, .. }
            | Action::Unfence { region, .. }
            | Action::Scale { region, .. }
            | Action::Promote { region, .. }
            | Action::Verify { region, .. }
            | Action::Validate { region, .. } => {
                needs.insert(region.clone());
            }
            Action::Drain { from, to, .. } => needs.extend([from.clone(), to.clone()]),
            _ => {}
        }
        let after = flat(after);
        let deadline = expected.saturating_mul(3).saturating_add(PATIENCE);
        let step =
            Step { id: id.clone(), phase, action, after, needs, expected, deadline, best_effort: false };
        self.steps.push(step);
        vec![id]
    }

    /// The step added last is tried only, and only for this long.
    fn best_effort(&mut self, deadline: Duration) {
        if let Some(step) = self.steps.last_mut() {
            step.best_effort = true;
            step.deadline = deadline;
        }
    }

    fn stores(&self) -> Vec<ResourceName> {
        self.situation.group.stores.iter().map(|resource| resource.name.clone()).collect()
    }

    fn ask(&mut self, point: HookPoint, phase: Phase, after: &[&Ids]) -> Ids {
        self.add(StepId::of("ask", &[&point.to_string()]), phase, Action::Ask { point }, after, QUESTION)
    }

    fn scale(&mut self, phase: Phase, region: &Region, share: Share, after: &[&Ids]) -> Ids {
        let mut ids = Ids::new();
        for resource in &self.situation.group.scalers {
            let scaler = resource.name.clone();
            let id = StepId::of(phase.as_str(), &[scaler.as_str(), region.as_str()]);
            let expected = match self.situation.catalog.scalers.get(&scaler) {
                Some(capabilities) if phase == Phase::Scale => self
                    .still_to_start(&scaler, region, share)
                    .map_or(capabilities.expected_start, |missing| {
                        if missing { capabilities.expected_start } else { Duration::ZERO }
                    }),
                _ => Duration::ZERO,
            };
            let action = Action::Scale { scaler, region: region.clone(), target: Target::Share(share) };
            ids.extend(self.add(id, phase, action, after, expected.saturating_add(OVERHEAD)));
        }
        ids
    }

    /// Whether capacity is missing, as far as is known.
    fn still_to_start(&self, scaler: &ResourceName, region: &Region, share: Share) -> Option<bool> {
        let seen = self.situation.facts.capacities.get(&(scaler.clone(), region.clone()));
        self.situation.fresh(seen).map(|capacity| capacity.ready < share.of(capacity.full))
    }

    fn seal(&mut self, region: &Region, after: &[&Ids]) -> Ids {
        let wait = self.situation.ledger.gate.seal_wait().saturating_add(OVERHEAD);
        let action = Action::Seal { regions: vec![region.clone()] };
        self.add(StepId::of("seal", &[]), Phase::Seal, action, after, wait)
    }

    fn drain(&mut self, from: &Region, to: &Region, after: &[&Ids]) -> Ids {
        let mut ids = Ids::new();
        for store in self.stores() {
            let lag = self.situation.lag(&store, to).map_or(Duration::ZERO, |lag| lag.value);
            let id = StepId::of("drain", &[store.as_str(), from.as_str(), to.as_str()]);
            let action = Action::Drain { store, from: from.clone(), to: to.clone(), unproven: false };
            ids.extend(self.add(id, Phase::Drain, action, after, lag.saturating_add(OVERHEAD)));
        }
        ids
    }

    /// Keeps writers of a region out at the stores: all that can be done beside the gates, unless some writer asks none.
    fn fence(&mut self, region: &Region, after: &[&Ids]) -> Ids {
        let mut ids = Ids::new();
        let gated = self.situation.group.writers == Writers::Gated;
        if gated && self.urgency == Urgency::Planned {
            return ids;
        }
        for store in self.stores() {
            if !self.situation.catalog.stores.get(&store).is_some_and(|capabilities| capabilities.can_fence) {
                continue;
            }
            let id = StepId::of("fence", &[store.as_str()]);
            let action = Action::Fence { store, region: region.clone() };
            ids.extend(self.add(id, Phase::Fence, action, after, OVERHEAD));
            if gated {
                self.best_effort(self.situation.deployment.spec().policy.timing.fence_deadline);
            }
        }
        ids
    }

    fn unfence(&mut self, region: &Region, after: &[&Ids]) -> Ids {
        let mut ids = Ids::new();
        for store in self.stores() {
            if self.situation.catalog.stores.get(&store).is_some_and(|capabilities| capabilities.can_fence) {
                let id = StepId::of("unfence", &[store.as_str()]);
                let action = Action::Unfence { store, region: region.clone() };
                ids.extend(self.add(id, Phase::Promote, action, after, OVERHEAD));
            }
        }
        ids
    }

    fn promote(&mut self, region: &Region, after: &[&Ids]) -> Ids {
        let promotion = match self.urgency {
            Urgency::Planned => Promotion::Planned,
            Urgency::Unplanned => Promotion::Forced,
        };
        let mut ids = Ids::new();
        for store in self.stores() {
            let mut before = flat(after);
            if let Some(capabilities) =
                self.situation.catalog.stores.get(&store).filter(|store| store.needs_promotion)
            {
                let expected = capabilities.expected_promotion.saturating_add(OVERHEAD);
                let id = StepId::of("promote", &[store.as_str()]);
                let action = Action::Promote { store: store.clone(), region: region.clone(), promotion };
                before = self.add(id, Phase::Promote, action, &[&before], expected);
            }
            let id = StepId::of("verify", &[store.as_str()]);
            let action = Action::Verify { store, region: region.clone() };
            ids.extend(self.add(id, Phase::Verify, action, &[&before], QUESTION));
        }
        ids
    }

    fn open(&mut self, region: &Region, after: &[&Ids]) -> Ids {
        self.add(
            StepId::of("open", &[]),
            Phase::Open,
            Action::Open { region: region.clone() },
            after,
            OVERHEAD,
        )
    }

    fn shift(&mut self, weights: &Weights, after: &[&Ids]) -> Ids {
        let mut ids = Ids::new();
        for resource in &self.situation.group.routers {
            let router = resource.name.clone();
            let capabilities = self.situation.catalog.routers.get(&router);
            let unplanned = capabilities.and_then(|router| router.unplanned_needs.clone());
            let planned = capabilities.map(|router| router.planned_needs.clone()).unwrap_or_default();
            // Without a way that survives the region, the only way is the planned one; the guard says what that needs.
            let (urgency, needs) = match (self.urgency, unplanned) {
                (Urgency::Unplanned, Some(needs)) => (Urgency::Unplanned, needs),
                _ => (Urgency::Planned, planned),
            };
            let id = StepId::of("shift", &[router.as_str()]);
            let action = Action::Shift { router: router.clone(), weights: weights.clone(), urgency };
            let shifted = self.add(id, Phase::Shift, action, after, OVERHEAD);
            if let Some(step) = self.steps.last_mut() {
                step.needs = needs;
            }
            let expected = capabilities.map_or(Duration::ZERO, |router| router.expected_convergence);
            let id = StepId::of("converge", &[router.as_str()]);
            let action = Action::Converge { router, weights: weights.clone() };
            ids.extend(self.add(id, Phase::Converge, action, &[&shifted], expected.saturating_add(QUESTION)));
        }
        if ids.is_empty() { flat(after) } else { ids }
    }

    fn validate(&mut self, region: &Region, after: &[&Ids]) -> Ids {
        let mut ids = Ids::new();
        for resource in &self.situation.group.checks {
            let check = resource.name.clone();
            let id = StepId::of("validate", &[check.as_str()]);
            let action = Action::Validate { check, region: region.clone() };
            ids.extend(self.add(id, Phase::Validate, action, after, QUESTION));
        }
        if ids.is_empty() { flat(after) } else { ids }
    }

    /// Active-passive: `to` takes the place of `from`.
    fn replace(&mut self) {
        let (Some(from), to) = (self.from, self.to) else { return };
        let planned = self.urgency == Urgency::Planned;
        let asked = self.ask(HookPoint::Fence, Phase::Precheck, &[]);
        let scaled = self.scale(Phase::Scale, to, Share::FULL, &[]);
        // Planned, the service is down from the seal on: capacity first. Unplanned, it is down already: both at once.
        let before_seal = if planned { [asked.clone(), scaled.clone()].concat() } else { asked.clone() };
        let sealed = self.seal(from, &[&before_seal]);
        let fenced = self.fence(from, &[&before_seal]);
        let drained = if planned { self.drain(from, to, &[&sealed, &fenced]) } else { Ids::new() };
        let asked = self.ask(HookPoint::Promote, Phase::Promote, &[&sealed, &fenced, &drained]);
        let unfenced = self.unfence(to, &[&asked]);
        let promoted = self.promote(to, &[&asked, &unfenced]);
        let opened = self.open(to, &[&sealed, &asked, &promoted]);
        let asked = self.ask(HookPoint::Shift, Phase::Shift, &[&opened]);
        let shifted = self.shift(&Weights::all_to(to), &[&asked, &scaled]);
        let validated = self.validate(to, &[&shifted]);
        if planned {
            let standby = self.situation.deployment.spec().policy.standby.0;
            let settled = self.scale(Phase::Settle, from, standby, &[&validated]);
            // The region that was left may be lost meanwhile: the move does not depend on it.
            for step in self.steps.iter_mut().filter(|step| settled.contains(&step.id)) {
                step.best_effort = true;
            }
        }
    }

    /// Active-passive: `to` serves already, and what was to follow waits for a region that is lost: clients follow without
    /// it.
    fn follow(&mut self) {
        let to = self.to;
        let scaled = self.scale(Phase::Scale, to, Share::FULL, &[]);
        let opened = self.open(to, &[]);
        let asked = self.ask(HookPoint::Shift, Phase::Shift, &[&opened]);
        let shifted = self.shift(&Weights::all_to(to), &[&asked, &scaled]);
        self.validate(to, &[&shifted]);
    }

    /// Active-active: `from` leaves the rotation. Planned, its traffic goes first and nothing is refused; unplanned, its
    /// admission goes first.
    fn evacuate(&mut self) {
        let Some(from) = self.from else { return };
        let others: Vec<Region> =
            self.situation.ledger.active().filter(|region| *region != from).cloned().collect();
        let weights = Weights::even(&others);
        let asked = self.ask(HookPoint::Fence, Phase::Precheck, &[]);
        let mut scaled = Ids::new();
        for other in &others {
            scaled.extend(self.scale(Phase::Scale, other, Share::FULL, &[]));
        }
        if self.urgency == Urgency::Unplanned {
            let sealed = self.seal(from, &[&asked]);
            self.fence(from, &[&asked]);
            let id = StepId::of("leave", &[]);
            self.add(id, Phase::Open, Action::Leave { region: from.clone() }, &[&sealed], OVERHEAD);
            let asked = self.ask(HookPoint::Shift, Phase::Shift, &[&asked]);
            let shifted = self.shift(&weights, &[&asked, &scaled]);
            self.validate(self.to, &[&shifted]);
            return;
        }
        let asked = self.ask(HookPoint::Shift, Phase::Shift, &[&asked]);
        let shifted = self.shift(&weights, &[&asked, &scaled]);
        let sealed = self.seal(from, &[&shifted]);
        let mut drained = sealed.clone();
        for other in &others {
            drained.extend(self.drain(from, other, &[&sealed]));
        }
        let id = StepId::of("leave", &[]);
        let left = self.add(id, Phase::Open, Action::Leave { region: from.clone() }, &[&drained], OVERHEAD);
        self.validate(self.to, &[&left]);
    }

    /// Active-active: `to` comes back; what the others hold must have reached it before its gates open.
    fn rejoin(&mut self) {
        let others: Vec<Region> = self.situation.ledger.active().cloned().collect();
        let all = Weights::even(others.iter().chain([self.to]));
        let asked = self.ask(HookPoint::Promote, Phase::Precheck, &[]);
        let scaled = self.scale(Phase::Scale, self.to, Share::FULL, &[]);
        let unfenced = self.unfence(self.to, &[&asked]);
        let mut drained = Ids::new();
        for other in &others {
            drained.extend(self.drain(other, self.to, &[&asked]));
        }
        let verified = self.promote(self.to, &[&drained, &unfenced]);
        let opened = self.open(self.to, &[&asked, &drained, &verified]);
        let asked = self.ask(HookPoint::Shift, Phase::Shift, &[&opened]);
        let shifted = self.shift(&all, &[&asked, &scaled]);
        self.validate(self.to, &[&shifted]);
    }
}

/// What giving a plan up takes: stores let the old region's writers in again, its gates reopen, traffic that a superseded
/// execution had not shifted yet goes to where is served, capacity goes back.
///
/// A store that nobody had begun to fence needs no unfencing, and may be out of reach.
pub(crate) fn abort_steps(
    plan: &Plan,
    strategy: Strategy,
    standby: Share,
    began: impl Fn(&Step) -> bool,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let step = |id: StepId, phase: Phase, action: Action, after: Vec<StepId>| Step {
        id,
        phase,
        action,
        after,
        needs: BTreeSet::new(),
        expected: OVERHEAD,
        deadline: PATIENCE,
        best_effort: false,
    };
    for fence in plan.steps.iter().filter(|step| began(step)) {
        if let Action::Fence { store, region } = &fence.action {
            let action = Action::Unfence { store: store.clone(), region: region.clone() };
            steps.push(step(StepId::of("abort.unfence", &[store.as_str()]), Phase::Seal, action, Vec::new()));
        }
    }
    let unfenced: Vec<StepId> = steps.iter().map(|step| step.id.clone()).collect();
    let reopen = StepId::of("abort.reopen", &[]);
    let regions = plan.from.iter().cloned().collect();
    steps.push(step(reopen.clone(), Phase::Open, Action::Reopen { regions }, unfenced));
    for shift in &plan.steps {
        if let (Action::Shift { router, urgency, .. }, Some(superseded)) = (&shift.action, &plan.supersedes) {
            let (router, weights) = (router.clone(), superseded.weights.clone());
            let id = StepId::of("abort.shift", &[router.as_str()]);
            // Not best effort: without it clients are left where nobody serves.
            let action = Action::Shift { router, weights, urgency: *urgency };
            let mut back = step(id, Phase::Shift, action, vec![reopen.clone()]);
            back.needs = shift.needs.clone();
            steps.push(back);
        }
    }
    if strategy == Strategy::ActiveActive {
        return steps;
    }
    for scale in &plan.steps {
        if let (Action::Scale { scaler, region, .. }, Phase::Scale) = (&scale.action, scale.phase) {
            let target = Target::Share(standby);
            let action = Action::Scale { scaler: scaler.clone(), region: region.clone(), target };
            let id = StepId::of("abort.scale", &[scaler.as_str(), region.as_str()]);
            let mut settle = step(id, Phase::Settle, action, vec![reopen.clone()]);
            settle.best_effort = true;
            steps.push(settle);
        }
    }
    steps
}
