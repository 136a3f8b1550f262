//! A scenario on the stage: the simulation, its script, and what people would see of it.

use std::time::Duration;

use jiff::SignedDuration;
use mantissa_mr_core::clock::Moment;
use mantissa_mr_core::controller::{Happening, News};
use mantissa_mr_core::deployment::{Deployment, Strategy};
use mantissa_mr_core::guard::{Guard, Override, Waiver};
use mantissa_mr_core::ledger::{Order, OrderKind};
use mantissa_mr_core::name::{GroupName, Region};
use mantissa_mr_core::plan::{Move, MoveRequest, PlanHash};
use mantissa_mr_core::problem::Problems;
use mantissa_mr_core::report::Report;
use mantissa_mr_core::sim::{
    self, Cast, Fault, History, Place, ProcessId, Random, RegionState, Settings, SimClock, Simulation,
    Spread, Traffic, TrueTime, What,
};

use super::ledgers::{LedgerView, Marks, read};
use super::person::person;
use super::scenario::{Do, Mark, Scenario, When, Who};
use super::timeline::{Kind, Line, Timeline};

/// How busy the group is: about eight writes a second; where all regions serve, in each.
const TRAFFIC: Traffic = Traffic { clients: 8, every: Spread::millis(500, 1_500), ..Traffic::CALM };

/// A run of a scenario.
#[derive(Debug)]
pub(crate) struct Stage {
    scenario: &'static Scenario,
    simulation: Simulation,
    cast: Cast,
    group: GroupName,
    clocks: Random,
    /// What is still to come: at a time that is known, or after something that was not seen yet.
    due: Vec<(TrueTime, Do)>,
    waiting: Vec<(Mark, Duration, Do)>,
    seen: usize,
    ledger: LedgerView,
    marks: Marks,
    lives: Vec<(String, ProcessId)>,
    orders: usize,
    timeline: Timeline,
    lines: Vec<Line>,
    reports: Vec<(TrueTime, Report)>,
}

/// What is left of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) history: History,
    pub(crate) lines: Vec<Line>,
    /// What the library says of each move that ended, and when that was.
    pub(crate) reports: Vec<(TrueTime, Report)>,
}

impl Stage {
    /// Sets a scenario up.
    ///
    /// # Errors
    /// What is wrong with a deployment of so many regions.
    pub(crate) fn new(scenario: &'static Scenario, seed: u64, regions: usize) -> Result<Self, Problems> {
        let mut spec = sim::spec(regions, scenario.strategy)?;
        sim::set(&mut spec, "ordered", "promotion", vec!["2s", "8s"]);
        (scenario.tweak)(&mut spec);
        let deployment = Deployment::new(spec)?;
        let busy =
            if scenario.strategy == Strategy::ActiveActive { u32::try_from(regions).unwrap_or(1) } else { 1 };
        let traffic = Traffic { clients: TRAFFIC.clients * busy, ..TRAFFIC };
        let settings = Settings { traffic, ..Settings::CALM };
        let mut simulation = Simulation::new(&deployment, seed, settings)?;
        simulation.init_ledgers();
        let cast = Cast::new(&simulation);
        let mut clocks = Random::new(seed, "drill clocks");
        simulation.spawn_all(&cast, || clock(&mut clocks));
        let group = deployment.spec().groups[0].name.clone();
        let mut stage = Self {
            scenario,
            simulation,
            cast,
            group,
            clocks,
            due: Vec::new(),
            waiting: Vec::new(),
            seen: 0,
            ledger: LedgerView::default(),
            marks: Marks::default(),
            lives: Vec::new(),
            orders: 0,
            timeline: Timeline::new(&deployment),
            lines: Vec::new(),
            reports: Vec::new(),
        };
        for (when, what) in scenario.script {
            match when {
                When::At(seconds) => stage.due.push((TrueTime::from_secs(*seconds), *what)),
                When::After(mark, seconds) => {
                    stage.waiting.push((*mark, Duration::from_secs(*seconds), *what));
                }
            }
        }
        Ok(stage)
    }

    /// When it ends.
    pub(crate) fn ends(&self) -> TrueTime {
        TrueTime::from_secs(self.scenario.ends)
    }

    /// Lets the next thing happen; none at the end.
    pub(crate) fn step(&mut self) -> Option<TrueTime> {
        if self.simulation.now() >= self.ends() {
            return None;
        }
        let now = self.simulation.step()?;
        self.look();
        let (come, due) = std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= now);
        self.due = due;
        let come: Vec<(TrueTime, Do)> = come;
        for (_, what) in come {
            self.act(what);
        }
        Some(now)
    }

    /// The lines that are new since the last call.
    pub(crate) fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// What everybody has lived to see, and the last look at who lacks what.
    pub(crate) fn finish(mut self) -> Run {
        self.simulation.audit();
        let ends = self.ends();
        let last = self.timeline.clients(ends, &self.simulation.history().book, true);
        self.lines.extend(last);
        Run { history: self.simulation.into_history(), lines: self.lines, reports: self.reports }
    }

    /// The state of the play, for whoever shows it.
    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    fn deployment(&self) -> &Deployment {
        &self.cast.deployment
    }

    // ----- seeing -----

    /// Takes in what has just happened.
    fn look(&mut self) {
        let now = self.simulation.now();
        let history = self.simulation.history();
        let mut marks = Vec::new();
        for event in history.events.get(self.seen..).unwrap_or_default() {
            match &event.what {
                What::Born { process, actor } => self.lives.push((actor.to_string(), *process)),
                What::Stored { cell, value, .. } => {
                    if let Some(ledger) = read(cell, value) {
                        marks.extend(self.marks.ledger(&ledger));
                        self.lines.extend(self.timeline.ledger(event.at, &ledger));
                        self.ledger = ledger;
                    }
                }
                What::Sent { call, .. } => marks.extend(self.marks.sent(call)),
                _ => {}
            }
            self.lines.extend(self.timeline.event(event, history));
        }
        self.seen = history.events.len();
        self.lines.extend(self.timeline.clients(now, &history.book, false));
        let news: Vec<_> = self.cast.board.borrow_mut().drain(..).collect();
        for (actor, News { what, .. }) in news {
            let leads = self.ledger.lease.holder.as_deref() == Some(actor.as_str());
            self.lines.extend(self.timeline.news(now, actor.as_str(), leads, &what));
            if let Happening::Ended(_, report) = what {
                self.reports.push((now, *report));
            }
        }
        for mark in marks {
            self.reach(now, mark);
        }
    }

    fn reach(&mut self, now: TrueTime, mark: Mark) {
        let (reached, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(wanted, _, _)| *wanted == mark);
        self.waiting = waiting;
        let reached: Vec<(Mark, Duration, Do)> = reached;
        self.due.extend(reached.into_iter().map(|(_, after, what)| (now + after, what)));
    }

    // ----- doing -----

    fn regions(&self, who: Who) -> Vec<Region> {
        let preferred = &self.deployment().spec().preferred;
        self.deployment().regions().filter(|region| who.is(region.as_str(), preferred)).cloned().collect()
    }

    fn act(&mut self, what: Do) {
        match what {
            Do::Order(kind, waived) => self.order(kind, waived),
            Do::Approve => self.approve(),
            Do::Acknowledge => self.petition(OrderKind::Acknowledge, "I have looked at it"),
            Do::CrashLeader(seconds) => self.crash_leader(Duration::from_secs(seconds)),
            world => {
                let now = self.simulation.now();
                let text = self.describe(world);
                self.lines.push(Line::new(now, Kind::World, "WORLD", text));
                for fault in self.faults(world) {
                    self.simulation.schedule(now, fault);
                }
            }
        }
    }

    fn faults(&self, what: Do) -> Vec<Fault> {
        let each = |who, make: &dyn Fn(Region) -> Fault| self.regions(who).into_iter().map(make).collect();
        let group = self.deployment().group(&self.group);
        match what {
            Do::Region(who, state) => each(who, &|region| Fault::Region { region, state }),
            Do::Flap(who, seconds) => {
                each(who, &|region| Fault::Flap { region, turn: Duration::from_secs(seconds) })
            }
            Do::LooksUnfit(who, unfit) => {
                let fitness = unfit.then_some(mantissa_mr_core::check::Fitness::Unfit);
                each(who, &|region| Fault::Looks { region, fitness })
            }
            Do::Deaf(who) => self.links(who).map(|(from, to)| Fault::Cut { from, to }).collect(),
            Do::Hears(who) => self.links(who).map(|(from, to)| Fault::Mend { from, to }).collect(),
            Do::Replication(runs) => {
                let stores = group.map(|group| group.stores.as_slice()).unwrap_or_default();
                stores.iter().map(|store| Fault::Replication { store: store.name.clone(), runs }).collect()
            }
            Do::Quota(who, quota) => {
                let scalers = group.map(|group| group.scalers.as_slice()).unwrap_or_default();
                let regions = self.regions(who);
                let pairs = scalers.iter().flat_map(|scaler| regions.iter().map(move |r| (scaler, r)));
                let fault = |(scaler, region): (&mantissa_mr_core::deployment::ResourceSpec, &Region)| {
                    Fault::Quota { scaler: scaler.name.clone(), region: region.clone(), quota }
                };
                pairs.map(fault).collect()
            }
            Do::Witness(up) => vec![Fault::Witness { up }],
            Do::CrashLeader(_) | Do::Order(..) | Do::Approve | Do::Acknowledge => Vec::new(),
        }
    }

    /// What happens to the world, in words.
    fn describe(&self, what: Do) -> String {
        let names = |who| self.regions(who).iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        match what {
            Do::Region(who, RegionState::Up) => format!("{} works again", names(who)),
            Do::Region(who, RegionState::Degraded) => format!("{} is slow", names(who)),
            Do::Region(who, RegionState::Dark) => format!("{} dies: it answers nobody", names(who)),
            Do::Region(who, RegionState::Failing) => format!("{} fails every request", names(who)),
            Do::Region(who, RegionState::Returning) => {
                format!("{} comes back, and brings its data up to date", names(who))
            }
            Do::Deaf(who) => {
                format!("no message from the others, or from the witness, reaches {} any more", names(who))
            }
            Do::Hears(who) => format!("messages reach {} again", names(who)),
            Do::Flap(who, 0) => format!("checks of {} pass all the time again", names(who)),
            Do::Flap(who, turn) => {
                format!("checks of {} fail for {turn} s and pass for {turn} s, in turns", names(who))
            }
            Do::LooksUnfit(who, true) => format!("every check of {} fails, whatever it does", names(who)),
            Do::LooksUnfit(who, false) => format!("checks of {} say what is so again", names(who)),
            Do::Replication(false) => "replication stands still".to_owned(),
            Do::Replication(true) => "replication goes on".to_owned(),
            Do::Quota(who, quota) => format!("{} may have {quota} instances, no more", names(who)),
            Do::Witness(false) => "the witness is gone, and the ledger with it".to_owned(),
            Do::Witness(true) => "the witness answers again".to_owned(),
            Do::CrashLeader(_) | Do::Order(..) | Do::Approve | Do::Acknowledge => String::new(),
        }
    }

    /// The ways from everywhere but the clients to these regions.
    fn links(&self, who: Who) -> impl Iterator<Item = (Place, Place)> {
        let deaf = self.regions(who);
        let others = self.regions(Who::All).into_iter().filter(|region| !deaf.contains(region));
        let from: Vec<Place> = others.map(Place::Region).chain([Place::Witness, Place::Operator]).collect();
        deaf.clone()
            .into_iter()
            .flat_map(move |to| from.clone().into_iter().map(move |from| (from, Place::Region(to.clone()))))
    }

    fn crash_leader(&mut self, back_after: Duration) {
        let Some(holder) = self.ledger.lease.holder.clone() else { return };
        let process = self.lives.iter().find(|(actor, _)| *actor == holder).map(|(_, process)| *process);
        if let Some(process) = process {
            let now = self.simulation.now();
            self.simulation.schedule(now, Fault::Crash { process, back_after: Some(back_after) });
        }
    }

    fn say(&mut self, text: String) {
        let line = Line::new(self.simulation.now(), Kind::Person, "person", text);
        self.lines.push(line);
    }

    /// A person looks, plans and carries out.
    fn order(&mut self, kind: Move, waived: &[Guard]) {
        self.orders += 1;
        let wall = self.simulation.now().wall();
        let waiver = |guard: &Guard| Waiver {
            allows: Override::Guard(*guard),
            approver: "the drill's operator".into(),
            reason: "the replicas were compared: what is missing is known".into(),
            expires: wall.checked_add(SignedDuration::from_hours(1)).unwrap_or(wall),
        };
        let to = match kind {
            Move::Rejoin | Move::Failback => Some(self.deployment().spec().preferred.clone()),
            _ => None,
        };
        let request = MoveRequest {
            kind,
            from: None,
            to,
            drill: true,
            waivers: waived.iter().map(waiver).collect(),
            why: "the drill's operator orders it".into(),
        };
        let overrides: Vec<String> =
            waived.iter().map(|guard| format!(" {}", Override::Guard(*guard))).collect();
        self.say(format!("orders: {kind}{}", overrides.join("")));
        let name = format!("person-{}", self.orders);
        let clock = clock(&mut self.clocks);
        self.simulation.spawn(person(&self.cast, name, &self.group, request, clock));
    }

    fn approve(&mut self) {
        let hash = self.marks.last_proposal().and_then(|hash| PlanHash::try_from(hash.to_owned()).ok());
        if let Some(plan) = hash {
            self.petition(OrderKind::Approve(plan), "it is the right thing to do");
        }
    }

    fn petition(&mut self, what: OrderKind, reason: &str) {
        self.say(match &what {
            OrderKind::Approve(plan) => format!("approves the plan {:.12}", plan.as_str()),
            _ => "acknowledges the last move: the cool-down is over".into(),
        });
        let at = self.simulation.now().wall();
        let order = Order { what, by: "the drill's operator".into(), reason: reason.into(), at };
        let clock = clock(&mut self.clocks);
        self.simulation.spawn(self.cast.petition(&self.group, order, clock));
    }
}

/// A clock that began anywhere, runs too fast or too slow as real ones do, and shows a slightly wrong time of day.
fn clock(random: &mut Random) -> SimClock {
    let start = Moment::from_nanos(random.below(1 << 50));
    let rate = i32::try_from(random.below(601)).unwrap_or_default() - 300;
    let wall = i64::try_from(random.below(101)).unwrap_or_default() - 50;
    SimClock::new(start, rate, SignedDuration::from_millis(wall))
}
