//! A person at the keyboard, as a process of the simulated world: looks at everything, makes a plan, carries it out.
//! What the command line does over a cloud, this does over the simulated network.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use mantissa_mr_core::call::{Call, CallId, Input, Machine, Output, Reply, Request};
use mantissa_mr_core::check::{Assessment, Fitness};
use mantissa_mr_core::clock::Now;
use mantissa_mr_core::controller::{Controller, ControllerSettings, Happening, Mandate, News};
use mantissa_mr_core::detect;
use mantissa_mr_core::error::Result;
use mantissa_mr_core::facts::{Facts, Health, Seen, Situation};
use mantissa_mr_core::guard::Initiator;
use mantissa_mr_core::ledger::{GroupCells, Ledger};
use mantissa_mr_core::name::{GroupName, Region, ResourceName};
use mantissa_mr_core::plan::{self, MoveRequest};
use mantissa_mr_core::sim::{Birth, Body, Cast, Place, ProcessSpec, Role, SimClock};

/// How often a region is asked that seems unfit, and the pause between.
const ROUNDS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// A person who wants a move of a group.
pub(crate) fn person(
    cast: &Cast,
    name: String,
    group: &GroupName,
    request: MoveRequest,
    clock: SimClock,
) -> ProcessSpec {
    let (cast, group) = (cast.clone(), group.clone());
    let make = move |birth: &Birth| {
        let person = Person {
            cast: cast.clone(),
            group: group.clone(),
            request: request.clone(),
            birth: birth.clone(),
            stage: Stage::Begin,
        };
        Body::Machine(Box::new(person))
    };
    ProcessSpec {
        name,
        place: Place::Operator,
        role: Role::Operator,
        serves: None,
        clock,
        make: Box::new(make),
    }
}

#[derive(Debug)]
struct Person {
    cast: Cast,
    group: GroupName,
    request: MoveRequest,
    birth: Birth,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Looking(Box<Look>),
    Carrying(Box<Controller>),
    Over,
}

/// What was asked, and what was answered.
#[derive(Debug, Default)]
struct Look {
    next: u64,
    open: BTreeMap<CallId, Call>,
    ledger: Option<Ledger>,
    facts: Facts,
    checks: BTreeMap<Region, Vec<(ResourceName, Result<Assessment>)>>,
    rounds: u32,
}

impl Look {
    fn take(&mut self, now: Now, call: Call, reply: Reply) {
        let at = now.moment;
        match (call, reply) {
            (Call::Load { .. }, Reply::Load(Ok(Some(cell)))) => {
                self.ledger = Ledger::decode(&cell.value).ok()
            }
            (Call::Status { store }, Reply::Status(Ok(status))) => self.facts.saw_status(at, &store, status),
            (Call::Routing { router }, Reply::Routing(Ok(value))) => {
                self.facts.routings.insert(router, Seen { value, at });
            }
            (Call::Capacity { scaler, region }, Reply::Capacity(Ok(value))) => {
                self.facts.answered(at, &region);
                self.facts.capacities.insert((scaler, region), Seen { value, at });
            }
            (Call::Assess { check, region }, Reply::Assess(answer)) => {
                self.checks.entry(region).or_default().push((check, answer));
            }
            _ => {}
        }
    }

    /// Judges each region by the last round; gives those that must be asked once more.
    fn judge(&mut self, now: Now) -> Vec<Region> {
        self.rounds += 1;
        let mut again = Vec::new();
        for (region, answers) in mem::take(&mut self.checks) {
            // No answer at all is what a lost region looks like.
            let seen = |answer: Result<Assessment>| {
                answer.or_else(|error| Ok(Assessment::new(Fitness::Unfit, error.to_string())))
            };
            let Assessment { fitness, why } =
                detect::fold(answers.into_iter().map(|(check, answer)| (check, seen(answer))));
            if fitness == Fitness::Unfit && self.rounds < ROUNDS {
                again.push(region.clone());
            } else if fitness != Fitness::Unfit {
                self.facts.answered(now.moment, &region);
            }
            let health = Health { fitness, confirmed: fitness == Fitness::Unfit, since: now.moment, why };
            self.facts.health.insert(region, health);
        }
        again
    }
}

impl Person {
    fn questions(&self) -> Vec<Call> {
        let Some(group) = self.cast.deployment.group(&self.group) else { return Vec::new() };
        let cells = GroupCells::new(&self.cast.deployment.spec().name, &self.group);
        let mut calls = vec![Call::Load { cell: cells.ledger() }];
        calls.extend(group.stores.iter().map(|store| Call::Status { store: store.name.clone() }));
        calls.extend(group.routers.iter().map(|router| Call::Routing { router: router.name.clone() }));
        for region in self.cast.deployment.regions() {
            calls.extend(
                group
                    .scalers
                    .iter()
                    .map(|scaler| Call::Capacity { scaler: scaler.name.clone(), region: region.clone() }),
            );
            calls.extend(self.probes(region));
        }
        calls
    }

    fn probes(&self, region: &Region) -> Vec<Call> {
        let checks = self.cast.deployment.group(&self.group).map(|group| group.checks.as_slice());
        let probe = |check: &ResourceName| Call::Assess { check: check.clone(), region: region.clone() };
        checks.unwrap_or_default().iter().map(|check| probe(&check.name)).collect()
    }

    fn ask(&self, look: &mut Look, calls: Vec<Call>) -> Vec<Output> {
        let deadline = self.cast.deployment.spec().policy.timing.call_deadline;
        let ask = |call: Call| {
            look.next += 1;
            let id = CallId(look.next);
            look.open.insert(id, call.clone());
            Output::Call(Request { id, call, deadline })
        };
        calls.into_iter().map(ask).collect()
    }

    fn look(&mut self, now: Now, mut look: Look, input: Input) -> Vec<Output> {
        match input {
            Input::Reply { id, reply } => {
                if let Some(call) = look.open.remove(&id) {
                    look.take(now, call, reply);
                }
            }
            Input::Wake if look.open.is_empty() => {
                let unfit = |health: &Health| health.fitness == Fitness::Unfit;
                let regions = look.facts.health.iter().filter(|(_, health)| unfit(health));
                let calls = regions.flat_map(|(region, _)| self.probes(region)).collect();
                let outputs = self.ask(&mut look, calls);
                self.stage = Stage::Looking(Box::new(look));
                return outputs;
            }
            Input::Wake => {}
        }
        if look.open.is_empty() {
            if look.judge(now).is_empty() {
                return self.plan(now, look);
            }
            self.stage = Stage::Looking(Box::new(look));
            return vec![Output::WakeAt(now.moment + PAUSE)];
        }
        self.stage = Stage::Looking(Box::new(look));
        Vec::new()
    }

    /// Plans, and begins unless a guard refuses.
    fn plan(&mut self, now: Now, look: Look) -> Vec<Output> {
        let (Some(ledger), Some(group)) = (&look.ledger, self.cast.deployment.group(&self.group)) else {
            self.tell(now, Happening::Trouble("the ledger cannot be read: nothing is planned".into()));
            return Vec::new();
        };
        let situation = Situation {
            deployment: &self.cast.deployment,
            group,
            ledger,
            facts: &look.facts,
            catalog: &self.cast.catalog,
            recent: None,
            initiator: Initiator::Person,
            now,
        };
        let plan = match plan::build(&situation, &self.request) {
            Ok(plan) if plan.refusals().next().is_some() => {
                self.tell(now, Happening::Refused(plan.guards));
                return Vec::new();
            }
            Ok(plan) => plan,
            Err(problems) => {
                self.tell(now, Happening::Trouble(problems.to_string()));
                return Vec::new();
            }
        };
        let settings = ControllerSettings {
            deployment: self.cast.deployment.clone(),
            group: self.group.clone(),
            actor: self.birth.actor.clone(),
            vantage: None,
            local_region: None,
            mandate: Mandate::Carry(Arc::new(plan)),
            catalog: self.cast.catalog.clone(),
            seed: self.birth.seed,
        };
        match Controller::new(settings) {
            Ok(controller) => self.carry(now, Box::new(controller), Input::Wake),
            Err(error) => {
                self.tell(now, Happening::Trouble(error.to_string()));
                Vec::new()
            }
        }
    }

    fn carry(&mut self, now: Now, mut controller: Box<Controller>, input: Input) -> Vec<Output> {
        let outputs = controller.step(now, input);
        let actor = &self.birth.actor;
        let news = controller.take_news().into_iter().map(|news| (actor.clone(), news));
        self.cast.board.borrow_mut().extend(news);
        if let Some(ending) = controller.ending() {
            self.cast.endings.borrow_mut().insert(actor.clone(), ending.clone());
        } else {
            self.stage = Stage::Carrying(controller);
        }
        outputs
    }

    fn tell(&self, now: Now, what: Happening) {
        let news = News { at: now.wall, moment: now.moment, what };
        self.cast.board.borrow_mut().push((self.birth.actor.clone(), news));
    }
}

impl Machine for Person {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begin => {
                let mut look = Look::default();
                let outputs = self.ask(&mut look, self.questions());
                self.stage = Stage::Looking(Box::new(look));
                outputs
            }
            Stage::Looking(look) => self.look(now, *look, input),
            Stage::Carrying(controller) => self.carry(now, controller, input),
            Stage::Over => Vec::new(),
        }
    }
}
