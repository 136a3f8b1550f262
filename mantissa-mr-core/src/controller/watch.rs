//! Probing regions, writing this vantage's ballot, reading the others', looking at stores, routers and scalers.

use std::collections::BTreeMap;

use super::{Controller, ControllerSettings, Happening, Tag};
use crate::call::{Call, Reply};
use crate::cell::{CellVersion, Expected, StoreOutcome};
use crate::check::{Assessment, Fitness};
use crate::clock::Moment;
use crate::deployment::DetectionPolicy;
use crate::detect::{self, Ballot, Quorum, Run, SelfCheck, VantageDetector, Verdict};
use crate::error::{Error, Result};
use crate::facts::{Health, Seen};
use crate::name::{Region, ResourceName, VantageName};

/// What this actor sees of the regions.
#[derive(Debug)]
pub(super) struct Watch {
    detector: Option<VantageDetector>,
    register: Option<CellVersion>,
    stopped: bool,
    quorum: Quorum,
    verdicts: BTreeMap<Region, Verdict>,
    round: Round,
    next_round: Moment,
    next_look: Moment,
    looked: bool,
}

/// One round of probes: what has been answered so far.
#[derive(Debug, Default)]
struct Round {
    number: u64,
    waiting: usize,
    control: Option<SelfCheck>,
    answers: BTreeMap<Region, Vec<(ResourceName, Result<Assessment>)>>,
}

impl Watch {
    pub(super) fn new(settings: &ControllerSettings) -> Self {
        let spec = settings.deployment.spec();
        Self {
            detector: None,
            register: None,
            stopped: false,
            quorum: Quorum::new(&spec.vantages, &spec.policy.detection),
            verdicts: BTreeMap::new(),
            round: Round::default(),
            next_round: Moment::START,
            next_look: Moment::START,
            looked: false,
        }
    }

    pub(super) fn verdict(&self, region: &Region) -> Option<&Verdict> {
        self.verdicts.get(region)
    }

    /// Whether stores, routers and scalers were looked at.
    pub(super) fn has_looked(&self) -> bool {
        self.looked
    }
}

impl Controller {
    fn detection(&self) -> DetectionPolicy {
        self.settings.deployment.spec().policy.detection
    }

    pub(super) fn run_watch(&mut self) {
        if !self.watches() {
            return;
        }
        let now = self.moment();
        if now >= self.watch.next_round {
            self.watch.next_round = now + self.detection().interval;
            self.begin_round();
            self.read_ballots();
        }
        let at = self.watch.next_round;
        self.wake_at(at);
        // Whoever leads may be lost with the region: a successor that had not looked before would know nothing of what the
        // replicas held, and could only refuse.
        if now >= self.watch.next_look {
            self.look();
        }
        let at = self.watch.next_look;
        self.wake_at(at);
    }

    fn begin_round(&mut self) {
        let Some(vantage) = self.settings.vantage.clone() else { return };
        if self.watch.stopped {
            return;
        }
        let deadline = self.detection().probe_deadline;
        let number = self.watch.round.number + 1;
        self.watch.round = Round { number, ..Round::default() };
        // The vantage's own register, at the witness, is the control target: who cannot reach it has a trouble of its
        // own, and could not vote anyway.
        let control = Call::Load { cell: self.cells.vantage(&vantage) };
        self.call(Tag::Control { round: number }, control, deadline);
        self.watch.round.waiting = 1;
        let checks: Vec<ResourceName> = self.group().checks.iter().map(|check| check.name.clone()).collect();
        let regions: Vec<Region> = self.deployment().regions().cloned().collect();
        for region in &regions {
            for check in &checks {
                let call = Call::Assess { check: check.clone(), region: region.clone() };
                let tag = Tag::Probe { round: number, region: region.clone(), check: check.clone() };
                self.call(tag, call, deadline);
                self.watch.round.waiting += 1;
            }
        }
    }

    pub(super) fn control_answered(&mut self, round: u64, reply: Reply) {
        if round != self.watch.round.number {
            return;
        }
        let outcome = match reply {
            Reply::Load(Ok(cell)) => {
                self.watch.register = cell.as_ref().map(|cell| cell.version.clone());
                self.found_own(cell.as_ref().map(|cell| cell.value.as_slice()));
                SelfCheck::Passed
            }
            Reply::Load(Err(error)) => SelfCheck::Failed { why: error.to_string() },
            _ => return,
        };
        self.watch.round.control = Some(outcome);
        self.round_answered();
    }

    /// What the register holds: a ballot of an earlier run, of this one, or of another process that took it over.
    fn found_own(&mut self, bytes: Option<&[u8]>) {
        let Some(vantage) = self.settings.vantage.clone() else { return };
        let found = bytes.and_then(|bytes| Ballot::decode(bytes, &vantage).ok());
        match (&self.watch.detector, &found) {
            (None, _) => {
                let run = Run::next(found.as_ref(), self.now.wall);
                let actor = self.settings.actor.clone();
                self.watch.detector = Some(VantageDetector::new(vantage, actor, run, self.detection()));
            }
            (Some(detector), Some(found)) if detector.superseded_by(found) => {
                self.watch.stopped = true;
                self.watch.detector = None;
                self.tell(Happening::Trouble(format!(
                    "another process watches as {vantage}: this one stops"
                )));
            }
            _ => {}
        }
    }

    pub(super) fn probe_answered(&mut self, round: u64, region: &Region, check: &ResourceName, reply: Reply) {
        if round != self.watch.round.number {
            return;
        }
        let Reply::Assess(answer) = reply else { return };
        let answer = answer.or_else(super::silence_is_unfit);
        if answer.as_ref().is_ok_and(|answer| matches!(answer.fitness, Fitness::Fit | Fitness::Degraded)) {
            let now = self.moment();
            self.facts.answered(now, region);
        }
        self.watch.round.answers.entry(region.clone()).or_default().push((check.clone(), answer));
        self.round_answered();
    }

    fn round_answered(&mut self) {
        self.watch.round.waiting = self.watch.round.waiting.saturating_sub(1);
        if self.watch.round.waiting > 0 {
            return;
        }
        let now = self.moment();
        let number = self.watch.round.number;
        let round = std::mem::replace(&mut self.watch.round, Round { number, ..Round::default() });
        let Some(detector) = &mut self.watch.detector else { return };
        if let Some(control) = round.control {
            detector.self_check(now, control);
        }
        for (region, answers) in round.answers {
            detector.observe(now, &region, &detect::fold(answers));
        }
        let ballot = detector.ballot(now);
        let cell = self.cells.vantage(&ballot.vantage);
        let expected = self.watch.register.clone().map_or(Expected::Absent, Expected::Version);
        let deadline = self.detection().probe_deadline;
        self.call(Tag::BallotStore, Call::Store { cell, expected, value: ballot.encode() }, deadline);
        self.hear(ballot);
    }

    pub(super) fn ballot_stored(&mut self, reply: Reply) {
        // Lost or unknown: the next round reads the register first and goes on from what it finds.
        if let Reply::Store(Ok(StoreOutcome::Applied { version })) = reply {
            self.watch.register = Some(version);
        }
    }

    fn read_ballots(&mut self) {
        let own = self.settings.vantage.clone();
        let others: Vec<VantageName> =
            self.deployment().spec().vantages.iter().map(|vantage| vantage.name.clone()).collect();
        let deadline = self.detection().probe_deadline;
        for vantage in others.into_iter().filter(|vantage| Some(vantage) != own.as_ref()) {
            let call = Call::Load { cell: self.cells.vantage(&vantage) };
            self.call(Tag::BallotLoad(vantage), call, deadline);
        }
    }

    pub(super) fn ballot_loaded(&mut self, vantage: &VantageName, reply: Reply) {
        if let Reply::Load(Ok(Some(cell))) = reply
            && let Ok(ballot) = Ballot::decode(&cell.value, vantage)
        {
            self.hear(ballot);
        }
    }

    fn hear(&mut self, ballot: Ballot) {
        let now = self.moment();
        self.watch.quorum.hear(now, ballot);
        self.judge_regions();
    }

    /// Brings each region's health up to what the vantages say now.
    pub(super) fn judge_regions(&mut self) {
        let now = self.moment();
        let hold = self.group().tier.tier().hold;
        let regions: Vec<Region> = self.deployment().regions().cloned().collect();
        for region in regions {
            let verdict = self.watch.quorum.verdict(now, &region, hold);
            let health = Health {
                fitness: verdict.fitness,
                confirmed: verdict.confirmed,
                since: now.before(verdict.lasted),
                why: verdict.to_string(),
            };
            self.facts.health.insert(region.clone(), health);
            let old = self.watch.verdicts.insert(region.clone(), verdict.clone());
            if old.is_none_or(|old| (old.fitness, old.confirmed) != (verdict.fitness, verdict.confirmed)) {
                self.tell(Happening::Verdict(region, verdict));
            }
        }
    }

    // ----- stores, routers, scalers -----

    /// Looks at everything that a decision rests on.
    fn look(&mut self) {
        let timing = self.timing();
        self.watch.next_look = self.moment() + timing.observe;
        self.watch.looked = true;
        let group = self.group();
        let regions: Vec<Region> = self.deployment().regions().cloned().collect();
        let names = |list: &[crate::deployment::ResourceSpec]| -> Vec<ResourceName> {
            list.iter().map(|resource| resource.name.clone()).collect()
        };
        let (stores, routers, scalers) = (names(&group.stores), names(&group.routers), names(&group.scalers));
        for store in stores {
            self.call(Tag::Status(store.clone()), Call::Status { store }, timing.call_deadline);
        }
        for router in routers {
            self.call(Tag::Routing(router.clone()), Call::Routing { router }, timing.call_deadline);
        }
        for scaler in scalers {
            for region in &regions {
                let call = Call::Capacity { scaler: scaler.clone(), region: region.clone() };
                self.call(Tag::Capacity(scaler.clone(), region.clone()), call, timing.call_deadline);
            }
        }
        let call = Call::Load { cell: self.cells.velocity() };
        self.call(Tag::RecentLoad, call, timing.call_deadline);
    }

    pub(super) fn status_answered(&mut self, store: &ResourceName, reply: Reply) {
        match reply {
            Reply::Status(Ok(status)) => {
                let now = self.moment();
                self.facts.saw_status(now, store, status);
            }
            Reply::Status(Err(error)) => self.look_failed(&error),
            _ => {}
        }
    }

    pub(super) fn routing_answered(&mut self, router: &ResourceName, reply: Reply) {
        let at = self.moment();
        match reply {
            Reply::Routing(Ok(value)) => {
                self.facts.routings.insert(router.clone(), Seen { value, at });
            }
            Reply::Routing(Err(error)) => self.look_failed(&error),
            _ => {}
        }
    }

    pub(super) fn capacity_answered(&mut self, scaler: &ResourceName, region: &Region, reply: Reply) {
        let at = self.moment();
        match reply {
            Reply::Capacity(Ok(value)) => {
                self.facts.answered(at, region);
                self.facts.capacities.insert((scaler.clone(), region.clone()), Seen { value, at });
            }
            Reply::Capacity(Err(error)) => self.look_failed(&error),
            _ => {}
        }
    }

    /// What could not be seen grows old, and what is too old stops a decision; the log says why.
    fn look_failed(&self, error: &Error) {
        tracing::debug!(group = %self.settings.group, %error, "a look failed");
    }

    pub(super) fn recent_loaded(&mut self, reply: Reply) {
        match reply {
            Reply::Load(Ok(None)) => {
                self.recent = Some(Default::default());
                self.recent_version = None;
            }
            Reply::Load(Ok(Some(cell))) => match serde_json::from_slice(&cell.value) {
                Ok(recent) => {
                    self.recent = Some(recent);
                    self.recent_version = Some(cell.version);
                }
                Err(error) => {
                    self.recent = None;
                    self.tell(Happening::Trouble(format!(
                        "the register of recent moves is unreadable: {error}"
                    )));
                }
            },
            _ => self.recent = None,
        }
    }
}
