//! People in a simulation: they look at the world from where they are, order moves, and look after what waits for them.

use std::sync::Arc;
use std::time::Duration;

use super::cast::Cast;
use super::clock::{SimClock, TrueTime};
use super::heap::Simulation;
use super::place::Place;
use super::random::{Random, Rate};
use super::world::World;
use crate::call::{Call, Reply};
use crate::check::{Assessment, Fitness};
use crate::clock::Now;
use crate::controller::Mandate;
use crate::deployment::{Deployment, GroupSpec, Strategy};
use crate::facts::{Facts, Health, Seen, Situation};
use crate::guard::{Initiator, LossLimit, Override, Waiver};
use crate::ledger::{GroupCells, Ledger, Order, OrderKind};
use crate::name::{GroupName, Region, StepId};
use crate::plan::{self, Move, MoveRequest, Plan};

/// What a person wants of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A move.
    Move {
        /// Of which group.
        group: GroupName,
        /// What.
        kind: Move,
        /// Where to, or, for an evacuation, what to leave; whatever the plan finds best without it.
        region: Option<Region>,
        /// Whether every refusal that can be passed over is.
        force: bool,
    },
    /// That the holder of the lease does something.
    Order {
        /// Of which group.
        group: GroupName,
        /// What.
        what: OrderKind,
    },
}

impl Wish {
    /// Any wish.
    pub fn draw(deployment: &Deployment, passive: bool, random: &mut Random) -> Self {
        let spec = deployment.spec();
        let groups: Vec<GroupName> = spec.groups.iter().map(|group| group.name.clone()).collect();
        let group = random.pick(&groups).cloned().unwrap_or_else(|| spec.groups[0].name.clone());
        if random.happens(Rate(300_000)) {
            let orders = [OrderKind::Pause, OrderKind::Resume, OrderKind::Abort, OrderKind::Acknowledge];
            let what = random.pick(&orders).cloned().unwrap_or(OrderKind::Resume);
            return Self::Order { group, what };
        }
        let kinds: &[Move] = match passive {
            true => &[Move::Switchover, Move::Switchover, Move::Failover, Move::Failback],
            false => &[Move::Evacuate, Move::Evacuate, Move::Rejoin],
        };
        let kind = random.pick(kinds).copied().unwrap_or(Move::Switchover);
        let regions: Vec<Region> = deployment.regions().cloned().collect();
        let region = if random.happens(Rate(700_000)) { random.pick(&regions).cloned() } else { None };
        Self::Move { group, kind, region, force: random.happens(Rate(400_000)) }
    }
}

/// A person at the operator's place.
#[derive(Debug)]
pub struct Person {
    clock: SimClock,
    cared: u32,
}

impl Person {
    /// A person with a clock.
    pub fn new(clock: SimClock) -> Self {
        Self { clock, cared: 0 }
    }

    /// Does what it takes to have a wish fulfilled; the rest is up to the command that is started, or to whoever holds
    /// the lease.
    pub fn act(&mut self, simulation: &mut Simulation, cast: &Cast, wish: &Wish) {
        match wish {
            Wish::Order { group, what } => self.order(simulation, cast, group, what.clone()),
            Wish::Move { group, kind, region, force } => {
                let found = self.plan(simulation, cast, group, *kind, region.as_ref(), *force);
                if let Some(plan) = found {
                    let mandate = Mandate::Carry(Arc::new(plan));
                    simulation.spawn(cast.command(&kind.to_string(), group, mandate, self.clock));
                }
            }
        }
    }

    /// Makes a plan from what can be seen now; none if the ledger cannot be read or there is nothing to plan.
    pub fn plan(
        &self,
        simulation: &mut Simulation,
        cast: &Cast,
        group: &GroupName,
        kind: Move,
        region: Option<&Region>,
        force: bool,
    ) -> Option<Plan> {
        let (at, now) = (simulation.now(), self.clock.now(simulation.now()));
        let world = simulation.world_mut();
        let ledger = ledger(world, at, &cast.deployment, group)?;
        let spec = cast.deployment.group(group)?;
        let facts = look(world, at, now, &cast.deployment, spec);
        let situation = Situation {
            deployment: &cast.deployment,
            group: spec,
            ledger: &ledger,
            facts: &facts,
            catalog: &cast.catalog,
            recent: None,
            initiator: Initiator::Person,
            now,
        };
        let (from, to) = match kind {
            Move::Evacuate => (region.cloned(), None),
            _ => (None, region.cloned()),
        };
        let mut request = MoveRequest {
            kind,
            from,
            to,
            drill: false,
            waivers: Vec::new(),
            why: "a person wants it".into(),
        };
        let mut plan = plan::build(&situation, &request).ok()?;
        if force {
            request.waivers = plan.guards.iter().filter_map(|answer| waiver(answer, now)).collect();
            plan = plan::build(&situation, &request).ok()?;
        }
        Some(plan)
    }

    fn order(&self, simulation: &mut Simulation, cast: &Cast, group: &GroupName, what: OrderKind) {
        let now = self.clock.now(simulation.now());
        let order = Order { what, by: "a person".into(), reason: "it is wanted".into(), at: now.wall };
        simulation.spawn(cast.petition(group, order, self.clock));
    }

    /// Looks for what waits for a person: has it resumed, given up, its step left out, or the move superseded, in turns.
    /// Says whether anything is under way.
    pub fn look_after(&mut self, simulation: &mut Simulation, cast: &Cast) -> bool {
        let at = simulation.now();
        let groups: Vec<GroupName> =
            cast.deployment.spec().groups.iter().map(|group| group.name.clone()).collect();
        let is_passive = cast.deployment.spec().strategy == Strategy::ActivePassive;
        let mut busy = false;
        for group in groups {
            let Some(ledger) = ledger(simulation.world_mut(), at, &cast.deployment, &group) else { continue };
            let Some(running) = ledger.execution else { continue };
            busy = true;
            // An order that was not obeyed yet need not be given again.
            let Some(why) = running.paused.filter(|_| ledger.orders.is_empty()) else { continue };
            self.cared += 1;
            let step = why.split(' ').next().and_then(|step| StepId::try_from(step.to_owned()).ok());
            let what = match (self.cared % 4, step) {
                (1, _) => OrderKind::Resume,
                (2, _) => OrderKind::Abort,
                // What cannot be done nor given up is left out: the reason of a pause begins with the step.
                (3, Some(step)) => OrderKind::Skip(step),
                // What nothing else helps out of is superseded.
                (0, _) if is_passive => {
                    let kind = Move::Failover;
                    self.act(simulation, cast, &Wish::Move { group, kind, region: None, force: true });
                    continue;
                }
                _ => OrderKind::Resume,
            };
            self.order(simulation, cast, &group, what);
        }
        busy
    }
}

fn waiver(answer: &crate::guard::GuardAnswer, now: Now) -> Option<Waiver> {
    let crate::guard::GuardVerdict::Refuse { needs: Some(needs) } = &answer.verdict else { return None };
    // Who accepts a loss without knowing it accepts any.
    let allows = match needs {
        Override::AllowDataLoss { .. } => Override::AllowDataLoss { up_to: LossLimit::Unbounded },
        other => other.clone(),
    };
    let expires = now.wall.checked_add(jiff::SignedDuration::from_hours(1)).unwrap_or(now.wall);
    Some(Waiver { allows, approver: "a person".into(), reason: "it must be".into(), expires })
}

fn ask(world: &mut World, at: TrueTime, call: Call) -> Reply {
    world.perform(at, &Place::Operator, &call)
}

fn ledger(world: &mut World, at: TrueTime, deployment: &Deployment, group: &GroupName) -> Option<Ledger> {
    let cell = GroupCells::new(&deployment.spec().name, group).ledger();
    match ask(world, at, Call::Load { cell }) {
        Reply::Load(Ok(Some(cell))) => Ledger::decode(&cell.value).ok(),
        _ => None,
    }
}

/// What a person sees who asks everything at once.
fn look(world: &mut World, at: TrueTime, now: Now, deployment: &Deployment, group: &GroupSpec) -> Facts {
    let mut facts = Facts::default();
    for region in deployment.regions() {
        let mut worst = Assessment::new(Fitness::Fit, "nothing speaks against it");
        for check in &group.checks {
            let call = Call::Assess { check: check.name.clone(), region: region.clone() };
            if let Reply::Assess(Ok(answer)) = ask(world, at, call) {
                worst = if answer.fitness > worst.fitness { answer } else { worst };
            }
        }
        if worst.fitness != Fitness::Unfit {
            facts.answered(now.moment, region);
        }
        let health = Health {
            fitness: worst.fitness,
            confirmed: worst.fitness == Fitness::Unfit,
            since: now.moment.before(Duration::from_secs(60)),
            why: worst.why,
        };
        facts.health.insert(region.clone(), health);
        for scaler in &group.scalers {
            let call = Call::Capacity { scaler: scaler.name.clone(), region: region.clone() };
            if let Reply::Capacity(Ok(value)) = ask(world, at, call) {
                let key = (scaler.name.clone(), region.clone());
                facts.capacities.insert(key, Seen { value, at: now.moment });
            }
        }
    }
    for store in &group.stores {
        if let Reply::Status(Ok(status)) = ask(world, at, Call::Status { store: store.name.clone() }) {
            facts.saw_status(now.moment, &store.name, status);
        }
    }
    for router in &group.routers {
        if let Reply::Routing(Ok(value)) = ask(world, at, Call::Routing { router: router.name.clone() }) {
            facts.routings.insert(router.name.clone(), Seen { value, at: now.moment });
        }
    }
    facts
}
