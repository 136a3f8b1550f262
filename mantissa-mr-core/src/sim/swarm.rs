//! Swarm testing: how a run is made, and what goes wrong in it, is drawn from its seed, extremes included. A fixed
//! configuration hides bugs that sit in the corners of another (measured: a drift bug that no seed of a realistic
//! configuration finds is found by a few of a swarm).
//!
//! First a phase of faults, then everything is mended and the world must come to rest.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;

use super::broken::Broken;
use super::cast::Cast;
use super::clock::{SimClock, TrueTime};
use super::fault::Fault;
use super::heap::{ProcessId, Settings, Simulation};
use super::person::{Person, Wish};
use super::random::{Random, Rate, Spread};
use crate::clock::Moment;
use crate::deployment::{Automatic, Deployment, Strategy, Writers};
use crate::problem::Problems;

mod draw;
mod plague;

/// How long a run's phases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// The first fault is not before this.
    pub quiet: Duration,
    /// Everything is mended then.
    pub heals: TrueTime,
    /// The run goes on for at least this long after that.
    pub rest: Duration,
    /// And then until nothing is under way any more, but no longer than this after the mending.
    pub patience: Duration,
}

impl Default for Phases {
    /// Faults for five minutes, two minutes of rest, and half an hour for what is under way.
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(20),
            heals: TrueTime::from_secs(320),
            rest: Duration::from_secs(120),
            patience: Duration::from_secs(1_800),
        }
    }
}

/// A run, drawn from a seed.
#[derive(Debug)]
pub struct Swarm {
    /// The seed.
    pub seed: u64,
    /// What runs.
    pub deployment: Deployment,
    /// How the world behaves.
    pub settings: Settings,
    /// What goes wrong, and when.
    pub faults: Vec<(TrueTime, Fault)>,
    /// What people want, and when.
    pub wishes: Vec<(TrueTime, Wish)>,
    /// How long it takes.
    pub phases: Phases,
    /// What is wrong with the library, for the test of the oracles.
    pub broken: Option<Broken>,
    clocks: Random,
    rates_ppm: i32,
}

impl Swarm {
    /// Draws a run.
    ///
    /// # Errors
    /// None that a seed could bring about; what the deployment's own check says, were the draw to make a bad one.
    pub fn draw(seed: u64, phases: Phases) -> Result<Self, Problems> {
        let mut random = Random::new(seed, "swarm");
        let mut spec = draw::spec(&mut random)?;
        // Left to the troubles alone, few regions would stay away for long enough to be left by themselves.
        let mut losses = Random::new(seed, "losses");
        let lost = losses.happens(Rate::one_in(3));
        if lost {
            spec.policy.automatic = Automatic::On;
        }
        let deployment = Deployment::new(spec)?;
        let settings = draw::settings(&mut random);
        let rates_ppm = draw::rates(&mut random);
        let mut faults = plague::draw(&deployment, phases, rates_ppm, &mut random);
        if lost {
            plague::lose(&deployment, phases, &mut losses, &mut faults);
        }
        let wishes = draw::wishes(&deployment, phases, &mut random);
        let clocks = Random::new(seed, "clocks");
        Ok(Self { seed, deployment, settings, faults, wishes, phases, broken: None, clocks, rates_ppm })
    }

    /// Draws a run in which the witness alone fails: for how long, and when, beside moves that people want or that a lost
    /// region brings about.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn draw_witness_outage(seed: u64) -> Result<Self, Problems> {
        let mut swarm = Self::draw(seed, Phases::default())?;
        let mut random = Random::new(seed, "witness outage");
        swarm.faults.clear();
        let mut at = TrueTime::START;
        for _ in 0..1 + random.below(2) {
            let begins = at + seconds(&mut random, 30, 200);
            let (least, most) = if random.happens(Rate(500_000)) { (0, 25) } else { (10, 900) };
            at = begins + seconds(&mut random, least, most);
            swarm.faults.push((begins, Fault::Witness { up: false }));
            swarm.faults.push((at, Fault::Witness { up: true }));
        }
        swarm.phases.heals = swarm.phases.heals.max(at + seconds(&mut random, 1, 60));
        if random.happens(Rate(500_000)) {
            let mut spec = swarm.deployment.spec().clone();
            spec.policy.automatic = Automatic::On;
            swarm.deployment = Deployment::new(spec)?;
            plague::lose(&swarm.deployment, swarm.phases, &mut random, &mut swarm.faults);
        } else {
            let passive = is_passive(&swarm.deployment);
            let begins = TrueTime::START + seconds(&mut random, 25, 150);
            let wish = Wish::draw(&swarm.deployment, passive, &mut random);
            swarm.wishes.push((begins, wish));
            swarm.wishes.sort_by_key(|(at, _)| *at);
        }
        Ok(swarm)
    }

    /// How many processes there are in [`Simulation::spawn_all`]: services and controllers of every group.
    pub fn processes(deployment: &Deployment) -> u32 {
        let spec = deployment.spec();
        (spec.groups.len() * (spec.regions.len() + spec.vantages.len())) as u32
    }

    /// The next process's clock: it began at any time, and runs too fast or too slow.
    pub fn clock(&mut self) -> SimClock {
        let start = Moment::from_nanos(self.clocks.below(1 << 50));
        let most = u64::from(self.rates_ppm.unsigned_abs());
        let rate = self.clocks.below(2 * most + 1) as i64 - most as i64;
        let wall = self.clocks.below(4_000_001) as i64 - 2_000_000;
        // Half of the clocks stand at an extreme: that is where bugs are.
        let extreme = self.clocks.happens(Rate(500_000));
        let rate = if extreme { rate.signum() * most as i64 } else { rate };
        SimClock::new(start, rate as i32, SignedDuration::from_micros(wall))
    }

    /// The simulation, ready to run, and who plays in it.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn stage(&mut self) -> Result<(Simulation, Cast), Problems> {
        let mut simulation = Simulation::new(&self.deployment, self.seed, self.settings)?;
        simulation.init_ledgers();
        let cast = Cast { broken: self.broken, ..Cast::new(&simulation) };
        simulation.spawn_all(&cast, || self.clock());
        for (at, fault) in &self.faults {
            simulation.schedule(*at, fault.clone());
        }
        simulation.schedule(self.phases.heals, Fault::Heal);
        Ok((simulation, cast))
    }

    /// Runs to the end; people do what they wish meanwhile, and after the healing look after what waits for them.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn run(mut self) -> Result<(Simulation, Cast), Problems> {
        let (mut simulation, cast) = self.stage()?;
        let mut person = Person::new(self.clock());
        for (at, wish) in std::mem::take(&mut self.wishes) {
            simulation.run_until(at);
            person.act(&mut simulation, &cast, &wish);
        }
        let Phases { heals, rest, patience, .. } = self.phases;
        simulation.run_until(heals);
        let mut at = heals;
        let mut quiet_since = None;
        while at < heals + patience {
            let busy = person.look_after(&mut simulation, &cast);
            quiet_since = if busy { None } else { quiet_since.or(Some(at)) };
            // At rest for a while, so that what comes after a move has come too.
            if at >= heals + rest && quiet_since.is_some_and(|since| at.since(since) >= rest / 2) {
                break;
            }
            at = at + PEOPLE_LOOK;
            simulation.run_until(at);
        }
        simulation.audit();
        Ok((simulation, cast))
    }
}

impl fmt::Display for Swarm {
    /// What a reader of a failure wants to know of its configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.deployment.spec();
        let gate = spec.policy.gate;
        write!(f, "seed {}: {} regions, {}", self.seed, spec.regions.len(), spec.strategy)?;
        write!(f, ", trust {:?}, write deadline {:?}", gate.trust, gate.write_deadline)?;
        write!(f, ", clocks within {} ppm", self.rates_ppm)?;
        for group in &spec.groups {
            let stores: Vec<&str> = group.stores.iter().map(|store| store.kind.as_str()).collect();
            let gates = if group.writers == Writers::Gated { "gated" } else { "ungated" };
            write!(f, "; {} ({gates}): {}", group.name, stores.join(" + "))?;
        }
        for (at, fault) in &self.faults {
            write!(f, "\n  {at:>9} {fault:?}")?;
        }
        for (at, wish) in &self.wishes {
            write!(f, "\n  {at:>9} a person: {wish:?}")?;
        }
        write!(f, "\n  {:>9} everything is mended", self.phases.heals)
    }
}

/// How often people look whether something waits for them.
const PEOPLE_LOOK: Duration = Duration::from_secs(30);

/// One of these spreads.
fn one_of(random: &mut Random, choices: &[Spread]) -> Spread {
    random.pick(choices).copied().unwrap_or_default()
}

/// One of these rates.
fn rate_of(random: &mut Random, choices: &[Rate]) -> Rate {
    random.pick(choices).copied().unwrap_or_default()
}

/// Seconds between two limits.
fn seconds(random: &mut Random, least: u64, most: u64) -> Duration {
    random.span(Spread::new(Duration::from_secs(least), Duration::from_secs(most)))
}

/// One of the processes.
fn process(random: &mut Random, deployment: &Deployment) -> ProcessId {
    ProcessId(random.below(u64::from(Swarm::processes(deployment))) as u32)
}

fn is_passive(deployment: &Deployment) -> bool {
    deployment.spec().strategy == Strategy::ActivePassive
}
