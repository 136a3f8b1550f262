//! Worlds made for bugs that chance rarely gives an occasion: the deployment, the clocks and the weather are drawn as ever,
//! what happens is not.

use std::time::Duration;

use super::Broken;
use crate::check::Fitness;
use crate::deployment::{Automatic, Deployment, DeploymentSpec, Strategy, TierChoice, Writers};
use crate::ledger::OrderKind;
use crate::name::{GroupName, Region, ResourceName};
use crate::plan::Move;
use crate::problem::Problems;
use crate::sim::clock::TrueTime;
use crate::sim::fault::{Fault, RegionState};
use crate::sim::heap::ProcessId;
use crate::sim::person::Wish;
use crate::sim::place::Place;
use crate::sim::random::{Random, Rate, Spread};
use crate::sim::swarm::Swarm;
use crate::traffic::Weights;

/// Makes of a drawn run one in which the bug has an occasion; says whether there is such a world for it.
///
/// # Errors
/// What the deployment's own check says, were the choice a bad one.
pub(super) fn choose(broken: Broken, swarm: &mut Swarm) -> Result<bool, Problems> {
    let mut random = Random::new(swarm.seed, "chosen");
    // When it begins: far enough from the start for everything to be in order.
    let at = TrueTime::START + random.span(Spread::millis(60_000, 90_000));
    let mut scene = Scene { spec: passive(swarm)?, faults: Vec::new(), wishes: Vec::new(), at, random };
    match broken {
        Broken::TrustFromAnswer | Broken::ClockStopsInSleep => scene.asleep(swarm),
        Broken::AcknowledgesLate => scene.asleep(swarm),
        Broken::NoWriteDeadline | Broken::NoSealWait => scene.cut_off(swarm, seconds(30), seconds(14)),
        Broken::NeverReconciles => scene.late_writes(swarm),
        Broken::NoRateMargin => scene.slow_gate(swarm),
        Broken::TakesUnproven => scene.unproven(),
        Broken::DrainsByLag => scene.stale_metric(),
        Broken::NoLossGuard | Broken::UnknownLagIsZero | Broken::NothingIsLost => scene.far_behind(),
        Broken::IgnoresTakenSlot => scene.mover_sleeps(),
        Broken::DoesNotWaitOut | Broken::ForgetsMove => scene.mover_dies(),
        Broken::OneVoteForAll => scene.one_sees_it_fail(),
        Broken::AgainstPolicy => scene.lost(Automatic::Propose),
        Broken::TargetUnseen => scene.all_look_unfit(),
        Broken::FailsBack => scene.moved_away(),
        Broken::NoVelocity => scene.two_groups()?,
        Broken::PausesSilently => scene.paused(),
        Broken::KeepsProposal => scene.proposed(),
        _ => return Ok(false),
    }
    scene.faults.sort_by_key(|(at, _)| *at);
    swarm.deployment = Deployment::new(scene.spec)?;
    swarm.faults = scene.faults;
    swarm.wishes = scene.wishes;
    Ok(true)
}

/// The run's deployment, if one region serves; else one of as many regions in which one does. Every writer asks a gate.
fn passive(swarm: &Swarm) -> Result<DeploymentSpec, Problems> {
    let mut spec = swarm.deployment.spec().clone();
    if spec.strategy != Strategy::ActivePassive {
        let other = crate::sim::deployment::spec(spec.regions.len(), Strategy::ActivePassive)?;
        spec = DeploymentSpec { policy: spec.policy, ..other };
    }
    for group in &mut spec.groups {
        group.writers = Writers::Gated;
    }
    Ok(spec)
}

struct Scene {
    spec: DeploymentSpec,
    faults: Vec<(TrueTime, Fault)>,
    wishes: Vec<(TrueTime, Wish)>,
    at: TrueTime,
    random: Random,
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn text(span: Duration) -> toml::Value {
    format!("{}ms", span.as_millis()).into()
}

impl Scene {
    fn preferred(&self) -> Region {
        self.spec.preferred.clone()
    }

    fn others(&self) -> Vec<Region> {
        let regions = self.spec.regions.iter().map(|region| region.name.clone());
        regions.filter(|region| *region != self.spec.preferred).collect()
    }

    fn stores(&self) -> Vec<ResourceName> {
        self.spec.groups.iter().flat_map(|group| &group.stores).map(|store| store.name.clone()).collect()
    }

    fn group(&self) -> Option<GroupName> {
        self.spec.groups.first().map(|group| group.name.clone())
    }

    fn fault(&mut self, at: TrueTime, fault: Fault) {
        self.faults.push((at, fault));
    }

    /// Sets one setting of every store.
    fn set_stores(&mut self, key: &str, value: impl Into<toml::Value>) {
        let value = value.into();
        for store in self.spec.groups.iter_mut().flat_map(|group| &mut group.stores) {
            store.settings.insert(key.to_owned(), value.clone());
        }
    }

    fn tiers(&mut self, rpo: Duration) {
        for group in &mut self.spec.groups {
            let mut tier = group.tier.tier();
            (tier.rpo, tier.hold) = (rpo, seconds(5));
            group.tier = TierChoice::Custom(tier);
        }
    }

    /// The region that serves answers nobody any more, and everything allows to leave it.
    fn lost(&mut self, automatic: Automatic) {
        self.spec.policy.automatic = automatic;
        self.tiers(seconds(300));
        let region = self.preferred();
        self.fault(self.at, Fault::Region { region, state: RegionState::Dark });
    }

    /// The region that serves stands still in the midst of its work, and goes on long after it was left.
    fn asleep(&mut self, swarm: &mut Swarm) {
        self.lost(Automatic::On);
        self.set_stores("promotion", text(seconds(1)));
        let weather = &mut swarm.settings.climate.weather;
        (weather.slow, weather.slow_delay) = (Rate::one_in(4), Spread::millis(500, 1_500));
        let traffic = &mut swarm.settings.traffic;
        (traffic.slow, traffic.slow_work) = (Rate::one_in(4), Spread::millis(500, 8_000));
    }

    /// The region that serves is cut off from everybody but its clients, and a person has the group moved away at once,
    /// whatever speaks against it. The other regions have clients too.
    fn cut_off(&mut self, swarm: &mut Swarm, trust: Duration, write_deadline: Duration) {
        // Nothing to fence and nothing to promote: the gates alone keep the regions apart.
        self.one_by_one();
        let gate = &mut self.spec.policy.gate;
        (gate.trust, gate.write_deadline) = (trust, write_deadline);
        let here = Place::Region(self.preferred());
        let others = self.others().into_iter().map(Place::Region);
        let others: Vec<Place> = others.chain([Place::Witness, Place::Operator]).collect();
        for other in others {
            self.fault(self.at, Fault::Cut { from: here.clone(), to: other.clone() });
            self.fault(self.at, Fault::Cut { from: other, to: here.clone() });
        }
        let weights = Weights::even(self.spec.regions.iter().map(|region| &region.name));
        for router in self.spec.groups.clone().into_iter().flat_map(|group| group.routers) {
            let fault = Fault::ForeignShift { router: router.name, weights: weights.clone() };
            self.fault(TrueTime::from_secs(1), fault);
        }
        // Writes that take as long as they may.
        let traffic = &mut swarm.settings.traffic;
        traffic.slow = Rate::one_in(2);
        traffic.slow_work = Spread::new(write_deadline / 4, write_deadline * 9 / 20);
        (traffic.clients, traffic.every) = (8, Spread::millis(300, 1_500));
        self.gates_read(trust);
        self.wish(Move::Failover, true, Duration::from_millis(100));
    }

    /// The same, with a trust so long that the rates of clocks make a difference of many seconds: the clock of the gate
    /// that is left is slow, the mover's is fast.
    fn slow_gate(&mut self, swarm: &mut Swarm) {
        const PPM: i32 = 9_800;
        let trust = seconds(1_000);
        self.cut_off(swarm, trust, seconds(1));
        self.fault(TrueTime::from_secs(1), Fault::ClockRate { process: ProcessId(0), ppm: -PPM });
        self.fault(self.at + seconds(1), Fault::ClockRate { process: self.mover(), ppm: PPM });
        swarm.phases.heals = self.at + trust + seconds(100);
    }

    /// The gate of the region that is left is renewed right before it is cut off. The others begin anew all the time from
    /// then on when gates may have shut, and so read the ledger as soon as it admits them.
    fn gates_read(&mut self, trust: Duration) {
        let back_after = Some(Duration::ZERO);
        self.fault(self.at.before(seconds(1)), Fault::Crash { process: ProcessId(0), back_after });
        for wait in 0..40 {
            for other in 1..self.spec.regions.len() {
                let fault = Fault::Crash { process: ProcessId(other as u32), back_after };
                self.fault(self.at + trust.saturating_sub(seconds(15)) + seconds(wait), fault);
            }
        }
    }

    fn switchover(&mut self, after: Duration) {
        self.wish(Move::Switchover, false, after);
    }

    fn wish(&mut self, kind: Move, force: bool, after: Duration) {
        let (group, region) = (self.group(), self.others().first().cloned());
        if let Some(group) = group {
            self.wishes.push((self.at + after, Wish::Move { group, kind, region, force }));
        }
    }

    /// Every store replicates item by item.
    fn one_by_one(&mut self) {
        for store in self.spec.groups.iter_mut().flat_map(|group| &mut group.stores) {
            "item-by-item".clone_into(&mut store.kind);
        }
    }

    /// A switchover, in stores in which the last writer wins, with writes to few keys, many of which arrive minutes late.
    fn late_writes(&mut self, swarm: &mut Swarm) {
        self.one_by_one();
        let traffic = &mut swarm.settings.traffic;
        (traffic.shared, traffic.clients, traffic.every) =
            (Rate(1_000_000), 4, Spread::millis(20_000, 60_000));
        (traffic.slow, traffic.slow_work) = (Rate(500_000), Spread::millis(60_000, 300_000));
        self.switchover(Duration::ZERO);
    }

    /// A switchover with stores that replicate slowly and cannot be compared.
    fn unproven(&mut self) {
        self.one_by_one();
        self.set_stores("provable", false);
        self.set_stores("lag", text(seconds(40)));
        self.switchover(Duration::ZERO);
    }

    /// A switchover while replication stands still, and the lag was measured before.
    fn stale_metric(&mut self) {
        self.set_stores("lag", text(Duration::from_millis(50)));
        self.set_stores("metric-period", text(seconds(60)));
        self.set_stores("flushes", false);
        self.set_stores("promotion", text(seconds(1)));
        for store in self.stores() {
            self.fault(self.at, Fault::Replication { store, runs: false });
        }
        self.switchover(seconds(1));
    }

    /// The region that serves is lost when its replicas have been behind for longer than the tier allows.
    fn far_behind(&mut self) {
        self.lost(Automatic::On);
        self.tiers(seconds(20));
        for store in self.stores() {
            self.fault(TrueTime::from_secs(15), Fault::Replication { store, runs: false });
        }
    }

    /// The number of the process that carries the first wish out.
    fn mover(&self) -> ProcessId {
        let spec = &self.spec;
        ProcessId((spec.groups.len() * (spec.regions.len() + spec.vantages.len())) as u32)
    }

    /// Whoever carries a switchover out stands still in the midst of it, until somebody else has taken over.
    fn mover_sleeps(&mut self) {
        self.quick_lease();
        self.switchover(Duration::ZERO);
        let process = self.mover();
        let sleeps = self.at + self.random.span(Spread::millis(1_000, 60_000));
        self.fault(sleeps, Fault::Suspend { process });
        self.fault(sleeps + seconds(30), Fault::Resume { process });
    }

    /// Whoever carries a switchover out dies in the midst of it, most of which is a long promotion: whoever takes over
    /// comes before it is done.
    fn mover_dies(&mut self) {
        self.quick_lease();
        self.spec.policy.timing.call_deadline = seconds(30);
        self.set_stores("promotion", text(seconds(25)));
        self.switchover(Duration::ZERO);
        let process = self.mover();
        let dies = self.at + self.random.span(Spread::millis(1_000, 60_000));
        self.fault(dies, Fault::Crash { process, back_after: None });
    }

    /// The lease is over long before a call's deadline, and promotions take a while.
    fn quick_lease(&mut self) {
        let timing = &mut self.spec.policy.timing;
        (timing.lease, timing.beat, timing.call_deadline) = (seconds(6), seconds(1), seconds(10));
        self.set_stores("promotion", text(seconds(6)));
    }

    /// One vantage alone cannot reach the region that serves.
    fn one_sees_it_fail(&mut self) {
        self.spec.policy.automatic = Automatic::On;
        self.tiers(seconds(300));
        if let Some(other) = self.others().first().cloned() {
            let (from, to) = (Place::Region(other), Place::Region(self.preferred()));
            self.fault(self.at, Fault::Cut { from, to });
        }
    }

    /// The region that serves is lost, and no other looked fit for long before.
    fn all_look_unfit(&mut self) {
        self.at = self.at + seconds(60);
        self.lost(Automatic::On);
        for region in self.others() {
            self.fault(TrueTime::from_secs(1), Fault::Looks { region, fitness: Some(Fitness::Unfit) });
        }
    }

    /// A person has the group moved away, and nothing keeps it from coming back but the policy.
    fn moved_away(&mut self) {
        self.spec.policy.automatic = Automatic::On;
        self.spec.policy.automatic_failback = false;
        let timing = &mut self.spec.policy.timing;
        (timing.cool_down, timing.failback_after) = (seconds(20), seconds(20));
        self.switchover(Duration::ZERO);
    }

    /// Two groups lose the region that serves at once, and one may move.
    fn two_groups(&mut self) -> Result<(), Problems> {
        if self.spec.groups.len() < 2 {
            self.spec.groups.push(crate::sim::deployment::group("alerts", Strategy::ActivePassive)?);
        }
        self.spec.policy.velocity.moves = 1;
        self.spec.policy.velocity.window = seconds(3_600);
        self.lost(Automatic::On);
        Ok(())
    }

    /// A person has a switchover paused.
    fn paused(&mut self) {
        self.switchover(Duration::ZERO);
        if let Some(group) = self.group() {
            let wish = Wish::Order { group, what: OrderKind::Pause };
            self.wishes.push((self.at + self.random.span(Spread::millis(2_000, 20_000)), wish));
        }
    }

    /// A plan is proposed, and nobody approves it.
    fn proposed(&mut self) {
        self.lost(Automatic::Propose);
        self.spec.policy.timing.approval = seconds(30);
    }
}
