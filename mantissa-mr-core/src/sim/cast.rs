//! Who plays in a simulation: the library's own gates and controllers, and people with orders.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::broken::Broken;
use super::clock::SimClock;
use super::heap::{Birth, Body, Gate, ProcessId, ProcessSpec, Role, SimPermit, Simulation};
use super::place::Place;
use crate::call::{Call, CallId, Input, Machine, Output, Reply, Request};
use crate::cell::{Expected, StoreOutcome};
use crate::clock::{Moment, Now};
use crate::controller::{Controller, ControllerSettings, Ending, Mandate, News};
use crate::deployment::{Deployment, Writers};
use crate::facts::Catalog;
use crate::gate::{GateMachine, Permit, RenewPolicy, ShutReason};
use crate::ledger::{Epoch, GroupCells, Ledger, Order, Token};
use crate::name::{ActorId, GroupName, Region, VantageName};

/// What actors had to say, in the order in which they said it. Whoever shows it may take it out.
pub type NewsBoard = Rc<RefCell<Vec<(ActorId, News)>>>;

/// A service's gate: the library's [`GateMachine`], with the permits that it gave.
#[derive(Debug)]
pub struct GatedService {
    gate: GateMachine,
    permits: BTreeMap<u64, Permit>,
    given: u64,
    epoch: Option<Epoch>,
}

impl GatedService {
    /// A service of a region.
    pub fn new(gate: GateMachine) -> Self {
        Self { gate, permits: BTreeMap::new(), given: 0, epoch: None }
    }
}

impl Machine for GatedService {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let outputs = self.gate.step(now, input);
        if let Ok(permit) = self.gate.permit(now) {
            self.epoch = Some(permit.epoch);
        }
        self.permits.retain(|_, permit| permit.deadline > now.moment);
        outputs
    }
}

impl Gate for GatedService {
    fn permit(&mut self, now: Now) -> Option<SimPermit> {
        let permit = self.gate.permit(now).ok()?;
        self.given += 1;
        self.permits.insert(self.given, permit);
        Some(SimPermit { epoch: permit.epoch, number: self.given })
    }

    fn holds(&mut self, now: Now, permit: &SimPermit) -> bool {
        self.permits.remove(&permit.number).is_some_and(|permit| self.gate.holds(now, &permit))
    }

    fn open(&self, now: Now) -> Option<(Epoch, Moment)> {
        match self.gate.permit(now) {
            Ok(permit) => Some((permit.epoch, permit.valid_until)),
            // Too little trust for another permit, but those given before may hold yet.
            Err(shut) => match shut.reason() {
                ShutReason::TrustRanOut { left, .. } if !left.is_zero() => {
                    self.epoch.map(|epoch| (epoch, now.moment + *left))
                }
                _ => None,
            },
        }
    }
}

/// A service of a group in a region: behind a gate, unless the group's writers are declared to have none.
pub fn service(deployment: &Deployment, group: &GroupName, region: &Region, clock: SimClock) -> ProcessSpec {
    let cells = GroupCells::new(&deployment.spec().name, group);
    let gated = deployment.group(group).is_none_or(|group| group.writers == Writers::Gated);
    let (hash, at) = (deployment.hash().clone(), region.clone());
    ProcessSpec {
        name: name(&["service", group.as_str(), region.as_str()]),
        place: Place::Region(region.clone()),
        role: Role::Service,
        serves: Some(group.clone()),
        clock,
        make: Box::new(move |_| {
            let gate = GateMachine::new(cells.clone(), at.clone(), RenewPolicy::default());
            if gated {
                Body::Gated(Box::new(GatedService::new(gate.for_deployment(&hash))))
            } else {
                Body::Ungated
            }
        }),
    }
}

/// A controller whose news go to a board, and which rests when its mandate has ended.
struct Reporting {
    actor: ActorId,
    controller: Controller,
    board: NewsBoard,
    endings: Endings,
}

/// How mandates ended, by the actor.
pub type Endings = Rc<RefCell<BTreeMap<ActorId, Ending>>>;

impl Machine for Reporting {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        if self.endings.borrow().contains_key(&self.actor) {
            return Vec::new();
        }
        let outputs = self.controller.step(now, input);
        let news = self.controller.take_news();
        self.board.borrow_mut().extend(news.into_iter().map(|news| (self.actor.clone(), news)));
        if let Some(ending) = self.controller.ending() {
            self.endings.borrow_mut().insert(self.actor.clone(), ending.clone());
        }
        outputs
    }
}

/// What is common to the controllers of one simulation.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The deployment.
    pub deployment: Arc<Deployment>,
    /// What its resources can do.
    pub catalog: Catalog,
    /// What the actors say.
    pub board: NewsBoard,
    /// How mandates ended.
    pub endings: Endings,
    /// What is wrong with the gates and controllers, for the test of the oracles.
    pub broken: Option<Broken>,
}

impl Cast {
    /// For the controllers of a simulation.
    pub fn new(simulation: &Simulation) -> Self {
        Self {
            deployment: simulation.history().deployment.clone(),
            catalog: simulation.world().catalog(),
            board: NewsBoard::default(),
            endings: Endings::default(),
            broken: None,
        }
    }

    /// A controller that watches and acts for a group from a vantage.
    pub fn controller(&self, group: &GroupName, vantage: &VantageName, clock: SimClock) -> ProcessSpec {
        let spec = self.deployment.spec();
        let domain =
            spec.vantages.iter().find(|known| known.name == *vantage).map(|known| &known.failure_domain);
        let region =
            self.deployment.regions().find(|region| domain.is_some_and(|d| d.as_str() == region.as_str()));
        let place = match (region, domain) {
            (Some(region), _) => Place::Region(region.clone()),
            (None, Some(domain)) if domain.as_str() == "witness" => Place::Witness,
            (None, _) => Place::Operator,
        };
        let name = name(&["controller", group.as_str(), vantage.as_str()]);
        self.actor(name, place, Role::Controller, group, Some(vantage), region, Mandate::Watch, clock)
    }

    /// A person's command that carries a mandate out.
    pub fn command(&self, title: &str, group: &GroupName, mandate: Mandate, clock: SimClock) -> ProcessSpec {
        let name = name(&[title, group.as_str()]);
        self.actor(name, Place::Operator, Role::Operator, group, None, None, mandate, clock)
    }

    #[allow(clippy::too_many_arguments, reason = "all of a controller's settings")]
    fn actor(
        &self,
        name: String,
        place: Place,
        role: Role,
        group: &GroupName,
        vantage: Option<&VantageName>,
        region: Option<&Region>,
        mandate: Mandate,
        clock: SimClock,
    ) -> ProcessSpec {
        let (cast, group, vantage, region) = (self.clone(), group.clone(), vantage.cloned(), region.cloned());
        let broken = cast.broken;
        let deployment = broken.map_or(cast.deployment.clone(), |broken| broken.deployment(&cast.deployment));
        let catalog = broken.map_or(cast.catalog.clone(), |broken| broken.catalog(&cast.catalog));
        let make = move |birth: &Birth| {
            let settings = ControllerSettings {
                deployment: deployment.clone(),
                group: group.clone(),
                actor: birth.actor.clone(),
                vantage: vantage.clone(),
                local_region: region.clone(),
                mandate: mandate.clone(),
                catalog: catalog.clone(),
                seed: birth.seed,
            };
            let Ok(controller) = Controller::new(settings) else { return Body::Machine(Box::new(Idle)) };
            let controller: Box<dyn Machine> = Box::new(Reporting {
                actor: birth.actor.clone(),
                controller,
                board: cast.board.clone(),
                endings: cast.endings.clone(),
            });
            Body::Machine(match broken {
                Some(broken) => broken.controller(&cast.deployment, controller),
                None => controller,
            })
        };
        ProcessSpec { name, place, role, serves: None, clock, make: Box::new(make) }
    }

    /// A person who hands an order to whoever holds the group's lease, and tries until it is handed over.
    pub fn petition(&self, group: &GroupName, order: Order, clock: SimClock) -> ProcessSpec {
        let cells = GroupCells::new(&self.deployment.spec().name, group);
        let make = move |birth: &Birth| {
            Body::Machine(Box::new(Petition {
                cells: cells.clone(),
                token: Token(format!("{}#order", birth.actor)),
                order: order.clone(),
                next: 0,
                over: false,
            }))
        };
        ProcessSpec {
            name: name(&["order", group.as_str()]),
            place: Place::Operator,
            role: Role::Operator,
            serves: None,
            clock,
            make: Box::new(make),
        }
    }
}

/// Nothing runs.
#[derive(Debug)]
struct Idle;

impl Machine for Idle {
    fn step(&mut self, _now: Now, _input: Input) -> Vec<Output> {
        Vec::new()
    }
}

/// Adds an order to the ledger, once.
#[derive(Debug)]
struct Petition {
    cells: GroupCells,
    token: Token,
    order: Order,
    next: u64,
    over: bool,
}

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

impl Petition {
    fn call(&mut self, call: Call) -> Vec<Output> {
        self.next += 1;
        vec![Output::Call(Request { id: CallId(self.next), call, deadline: DEADLINE })]
    }

    fn load(&mut self) -> Vec<Output> {
        self.call(Call::Load { cell: self.cells.ledger() })
    }
}

impl Machine for Petition {
    fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        if self.over {
            return Vec::new();
        }
        match input {
            Input::Reply { id, .. } if id != CallId(self.next) => Vec::new(),
            Input::Reply { reply: Reply::Load(Ok(Some(cell))), .. } => {
                let Ok(mut ledger) = Ledger::decode(&cell.value) else { return Vec::new() };
                // Handed over by an attempt whose answer was lost, or done already.
                if ledger.writer == self.token || ledger.orders.contains(&self.order) {
                    self.over = true;
                    return Vec::new();
                }
                ledger.orders.push(self.order.clone());
                ledger.writer = self.token.clone();
                let (cell_name, expected) = (self.cells.ledger(), Expected::Version(cell.version));
                self.call(Call::Store { cell: cell_name, expected, value: ledger.encode() })
            }
            Input::Reply { reply: Reply::Store(Ok(StoreOutcome::Applied { .. })), .. } => {
                self.over = true;
                Vec::new()
            }
            // A store whose fate is not known is not tried again: an order given twice may be obeyed twice.
            Input::Reply { reply: Reply::Store(Ok(StoreOutcome::Unknown { .. }) | Err(_)), .. } => {
                self.over = true;
                Vec::new()
            }
            Input::Reply { reply: Reply::Store(_), .. } => self.load(),
            Input::Reply { .. } => vec![Output::WakeAt(now.moment + DEADLINE)],
            Input::Wake => self.load(),
        }
    }
}

/// Names joined are a name again; only their length is cut.
fn name(parts: &[&str]) -> String {
    parts.join("-").chars().take(80).collect()
}

impl Simulation {
    /// Adds a service for each group in each region, and a controller for each group at each vantage. `clock` makes each
    /// process's clock.
    pub fn spawn_all(&mut self, cast: &Cast, mut clock: impl FnMut() -> SimClock) -> Vec<ProcessId> {
        let deployment = cast.deployment.clone();
        let mut spawned = Vec::new();
        for group in &deployment.spec().groups {
            for region in deployment.regions() {
                let service = service(&deployment, &group.name, region, clock());
                spawned.push(self.spawn(match cast.broken {
                    Some(broken) => broken.service(&deployment, service),
                    None => service,
                }));
            }
            for vantage in &deployment.spec().vantages {
                spawned.push(self.spawn(cast.controller(&group.name, &vantage.name, clock())));
            }
        }
        spawned
    }
}
