//! Draws what goes wrong.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Phases, process, seconds};
use crate::check::Fitness;
use crate::deployment::Deployment;
use crate::name::{Region, ResourceName};
use crate::notify::HookPoint;
use crate::sim::clock::TrueTime;
use crate::sim::fault::{Fault, RegionState};
use crate::sim::place::Place;
use crate::sim::random::{Random, Rate, Spread};
use crate::traffic::Weights;

type Faults = Vec<(TrueTime, Fault)>;

/// A kind of trouble: adds its faults, from a time on.
type Trouble<'a> = fn(&mut Plague<'a>, TrueTime);

fn troubles<'a>() -> [Trouble<'a>; 14] {
    [
        Plague::region_dies,
        Plague::region_suffers,
        Plague::one_way_cut,
        Plague::isolation,
        Plague::witness_down,
        Plague::crash,
        Plague::sleep,
        Plague::clock,
        Plague::replication_stops,
        Plague::foreign_shift,
        Plague::control_plane_down,
        Plague::shortage,
        Plague::false_looks,
        Plague::veto,
    ]
}

struct Plague<'a> {
    deployment: &'a Deployment,
    regions: Vec<Region>,
    rates_ppm: i32,
    random: &'a mut Random,
    faults: Faults,
}

/// Which troubles there are in this run, and how often, is drawn too: each is there in half of the runs.
pub(super) fn draw(deployment: &Deployment, phases: Phases, rates_ppm: i32, random: &mut Random) -> Faults {
    let chosen: Vec<Trouble<'_>> = troubles().into_iter().filter(|_| random.happens(Rate(400_000))).collect();
    let gap = random.pick(&[15, 40, 90, 200]).copied().unwrap_or(60);
    let regions = deployment.regions().cloned().collect();
    let mut plague = Plague { deployment, regions, rates_ppm, random, faults: Vec::new() };
    let mut at = TrueTime::START + phases.quiet;
    loop {
        at = at + plague.random.span(Spread::new(Duration::from_secs(1), Duration::from_secs(2 * gap)));
        let Some(trouble) = plague.random.pick(&chosen).copied().filter(|_| at < phases.heals) else { break };
        trouble(&mut plague, at);
    }
    let mut faults = plague.faults;
    faults.retain(|(at, _)| *at < phases.heals);
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// The region that serves is gone for a long time.
pub(super) fn lose(deployment: &Deployment, phases: Phases, random: &mut Random, faults: &mut Faults) {
    let region = deployment.spec().preferred.clone();
    let at = TrueTime::START + phases.quiet + seconds(random, 10, 120);
    let returns = at + seconds(random, 100, 300);
    faults.push((at, Fault::Region { region: region.clone(), state: RegionState::Dark }));
    if returns < phases.heals {
        faults.push((returns, Fault::Region { region, state: RegionState::Up }));
    }
    faults.sort_by_key(|(at, _)| *at);
}

impl Plague<'_> {
    fn add(&mut self, at: TrueTime, fault: Fault) {
        self.faults.push((at, fault));
    }

    fn region(&mut self) -> Option<Region> {
        // The one that is preferred, more often than not: it is the one that serves.
        if self.random.happens(Rate(600_000)) {
            return Some(self.deployment.spec().preferred.clone());
        }
        self.random.pick(&self.regions).cloned()
    }

    fn resource(&mut self, list: &str) -> Option<ResourceName> {
        let groups = &self.deployment.spec().groups;
        let names: Vec<ResourceName> = groups
            .iter()
            .flat_map(|group| group.resources())
            .filter(|(kind, _)| *kind == list)
            .map(|(_, resource)| resource.name.clone())
            .collect();
        self.random.pick(&names).cloned()
    }

    fn later(&mut self, at: TrueTime, least: u64, most: u64) -> TrueTime {
        at + seconds(self.random, least, most)
    }

    fn region_dies(&mut self, at: TrueTime) {
        let Some(region) = self.region() else { return };
        let state = if self.random.happens(Rate(700_000)) { RegionState::Dark } else { RegionState::Failing };
        self.add(at, Fault::Region { region: region.clone(), state });
        if self.random.happens(Rate(500_000)) {
            self.crash_all_in(at, &region);
        }
        if self.random.happens(Rate(300_000)) {
            return;
        }
        let returns = self.later(at, 2, 250);
        let up = self.later(returns, 0, 40);
        self.add(returns, Fault::Region { region: region.clone(), state: RegionState::Returning });
        self.add(up, Fault::Region { region, state: RegionState::Up });
    }

    /// Its processes lose their memory as well; they begin again when the region is back.
    fn crash_all_in(&mut self, at: TrueTime, region: &Region) {
        let spec = self.deployment.spec();
        let (regions, vantages) = (self.regions.len(), spec.vantages.len());
        let Some(number) = self.regions.iter().position(|known| known == region) else { return };
        for group in 0..spec.groups.len() {
            let first = group * (regions + vantages);
            for process in [first + number, first + regions + number] {
                let process = crate::sim::heap::ProcessId(process as u32);
                let back_after = Some(Duration::from_secs(1));
                self.add(at, Fault::Crash { process, back_after });
            }
        }
    }

    fn region_suffers(&mut self, at: TrueTime) {
        let Some(region) = self.region() else { return };
        let ends = self.later(at, 5, 200);
        self.add(at, Fault::Region { region: region.clone(), state: RegionState::Degraded });
        self.add(ends, Fault::Region { region, state: RegionState::Up });
    }

    fn place(&mut self) -> Place {
        match self.random.below(5) {
            0 | 1 => Place::Witness,
            2 => Place::Edge,
            _ => self.region().map_or(Place::Operator, Place::Region),
        }
    }

    fn cut(&mut self, at: TrueTime, until: TrueTime, from: Place, to: Place) {
        self.add(at, Fault::Cut { from: from.clone(), to: to.clone() });
        self.add(until, Fault::Mend { from, to });
    }

    fn one_way_cut(&mut self, at: TrueTime) {
        let Some(region) = self.region() else { return };
        let (one, other) = (Place::Region(region), self.place());
        let until = self.later(at, 1, 120);
        let (from, to) = if self.random.happens(Rate(500_000)) { (one, other) } else { (other, one) };
        if from != to {
            self.cut(at, until, from, to);
        }
    }

    /// A region hears nobody, or nobody hears it, or both.
    fn isolation(&mut self, at: TrueTime) {
        let Some(region) = self.region() else { return };
        let until = self.later(at, 2, 150);
        let (inward, outward) = match self.random.below(3) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let here = Place::Region(region.clone());
        let others = self.regions.iter().filter(|other| **other != region).cloned().map(Place::Region);
        let others: Vec<Place> = others.chain([Place::Witness, Place::Operator, Place::Edge]).collect();
        for other in others {
            if outward {
                self.cut(at, until, here.clone(), other.clone());
            }
            if inward {
                self.cut(at, until, other, here.clone());
            }
        }
    }

    fn witness_down(&mut self, at: TrueTime) {
        let until = self.later(at, 1, 120);
        self.add(at, Fault::Witness { up: false });
        self.add(until, Fault::Witness { up: true });
    }

    fn crash(&mut self, at: TrueTime) {
        let process = process(self.random, self.deployment);
        let back_after = Some(seconds(self.random, 0, 60));
        self.add(at, Fault::Crash { process, back_after });
    }

    fn sleep(&mut self, at: TrueTime) {
        let process = process(self.random, self.deployment);
        let wakes = self.later(at, 1, 90);
        self.add(at, Fault::Suspend { process });
        self.add(wakes, Fault::Resume { process });
    }

    fn clock(&mut self, at: TrueTime) {
        let process = process(self.random, self.deployment);
        let most = self.rates_ppm;
        let ppm = self.random.pick(&[-most, 0, most]).copied().unwrap_or_default();
        let fault = match self.random.below(3) {
            0 => Fault::WallClock {
                process,
                error: SignedDuration::from_secs(self.random.below(121) as i64 - 60),
            },
            _ => Fault::ClockRate { process, ppm },
        };
        self.add(at, fault);
    }

    fn replication_stops(&mut self, at: TrueTime) {
        let Some(store) = self.resource("stores") else { return };
        let until = self.later(at, 5, 200);
        self.add(at, Fault::Replication { store: store.clone(), runs: false });
        self.add(until, Fault::Replication { store, runs: true });
    }

    fn foreign_shift(&mut self, at: TrueTime) {
        let (Some(router), Some(region)) = (self.resource("routers"), self.region()) else { return };
        self.add(at, Fault::ForeignShift { router, weights: Weights::all_to(&region) });
    }

    fn control_plane_down(&mut self, at: TrueTime) {
        let Some(router) = self.resource("routers") else { return };
        let until = self.later(at, 5, 200);
        self.add(at, Fault::ControlPlane { router: router.clone(), up: false });
        self.add(until, Fault::ControlPlane { router, up: true });
    }

    fn shortage(&mut self, at: TrueTime) {
        let Some(scaler) = self.resource("scalers") else { return };
        let Some(region) = self.random.pick(&self.regions).cloned() else { return };
        let has = self.random.below(101);
        let fault = match self.random.below(2) {
            0 => Fault::Quota { scaler, region, quota: has },
            _ => Fault::Stock { scaler, region, stock: has },
        };
        self.add(at, fault);
    }

    fn false_looks(&mut self, at: TrueTime) {
        let Some(region) = self.region() else { return };
        let until = self.later(at, 10, 200);
        if self.random.happens(Rate(500_000)) {
            let turn = seconds(self.random, 5, 60);
            self.add(at, Fault::Flap { region: region.clone(), turn });
            return self.add(until, Fault::Flap { region, turn: Duration::ZERO });
        }
        let choices = [Fitness::Degraded, Fitness::Unfit, Fitness::Unfit, Fitness::Unknown];
        let fitness = self.random.pick(&choices).copied();
        // Sometimes all look alike: then the fault is with those who look.
        let all = self.random.happens(Rate(300_000));
        let regions = if all { self.regions.clone() } else { vec![region] };
        for region in regions {
            self.add(at, Fault::Looks { region: region.clone(), fitness });
            self.add(until, Fault::Looks { region, fitness: None });
        }
    }

    fn veto(&mut self, at: TrueTime) {
        let points = [HookPoint::Fence, HookPoint::Promote, HookPoint::Shift];
        let Some(point) = self.random.pick(&points).copied() else { return };
        let until = self.later(at, 10, 200);
        self.add(at, Fault::Veto { point, reason: Some("a freeze".into()) });
        self.add(until, Fault::Veto { point, reason: None });
    }
}
