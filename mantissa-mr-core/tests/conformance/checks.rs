//! Checks: a probe of a service passes; with one mistake each it is found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::check::{Assessment, Check, Fitness};
use mantissa_mr_core::conformance::checks::{CheckFault, CheckFixture, FAULT_CASES, suite};
use mantissa_mr_core::conformance::{Fixture, Injection};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;

use crate::{assert_covered, assert_found};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    NoReason,
    StrangersAreFit,
    Tires,
    BrokenIsFit,
    BrokenIsAnError,
    OneIllAllIll,
    NeverRecovers,
    WaitsForever,
    DoubtIsUnfit,
}

#[derive(Clone, Debug)]
struct Fake {
    mistake: Mistake,
    faults: bool,
    faults_now: Arc<Mutex<Vec<CheckFault>>>,
    asked: Arc<Mutex<BTreeMap<Region, u32>>>,
}

impl Fake {
    fn new(mistake: Mistake) -> Self {
        Self { mistake, faults: true, faults_now: Arc::default(), asked: Arc::default() }
    }

    /// What is wrong with a region, and how often it was asked about.
    fn look(&self, region: &Region) -> (Option<CheckFault>, u32) {
        let asked = {
            let mut asked = self.asked.lock().unwrap();
            let asked = asked.entry(region.clone()).or_default();
            *asked += 1;
            *asked
        };
        let concerns = |fault: &&CheckFault| match fault {
            CheckFault::Break(of) | CheckFault::Silence(of) => {
                of == region || self.mistake == Mistake::OneIllAllIll
            }
            CheckFault::CannotAsk | CheckFault::Mend => true,
        };
        (self.faults_now.lock().unwrap().iter().rfind(concerns).cloned(), asked)
    }
}

#[async_trait]
impl Check for Fake {
    async fn assess(&self, region: &Region) -> Result<Assessment> {
        let (fault, asked) = self.look(region);
        let why = if self.mistake == Mistake::NoReason { "" } else { "it answers 200" };
        let ill = Ok(Assessment::new(Fitness::Unfit, "it answers 503, or nothing"));
        if !self.regions().contains(region) && self.mistake != Mistake::StrangersAreFit {
            return Err(Error::new(ErrorKind::InvalidInput, "assess", "there is no such region"));
        }
        match (self.mistake, fault) {
            (Mistake::Tires, None) if asked % 3 == 0 => ill,
            (_, None) | (Mistake::BrokenIsFit, Some(CheckFault::Break(_))) => {
                Ok(Assessment::new(Fitness::Fit, why))
            }
            (Mistake::BrokenIsAnError, Some(CheckFault::Break(_))) => {
                Err(Error::new(ErrorKind::Unavailable, "assess", "503"))
            }
            (Mistake::WaitsForever, Some(CheckFault::Silence(_))) => std::future::pending().await,
            (mistake, Some(CheckFault::CannotAsk)) if mistake != Mistake::DoubtIsUnfit => {
                Err(Error::new(ErrorKind::PermissionDenied, "assess", "no credentials"))
            }
            _ => ill,
        }
    }
}

#[async_trait]
impl Fixture for Fake {
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn wait(&self, round: u32) -> bool {
        round < 5
    }
}

#[async_trait]
impl CheckFixture for Fake {
    fn check(&self) -> Arc<dyn Check> {
        Arc::new(self.clone())
    }
    fn regions(&self) -> Vec<Region> {
        ["one", "two"].map(|text| Region::new(text).unwrap()).to_vec()
    }
    async fn inject(&self, fault: CheckFault) -> Injection {
        if !self.faults {
            return Injection::Cannot("the service is not ours to break".to_owned());
        }
        let mut faults = self.faults_now.lock().unwrap();
        match fault {
            CheckFault::Mend if self.mistake == Mistake::NeverRecovers => {}
            CheckFault::Mend => faults.clear(),
            fault => faults.push(fault),
        }
        Injection::Armed
    }
}

const FOUND: &[(Mistake, &str)] = &[
    (Mistake::NoReason, "a_fit_region_is_fit_and_says_why"),
    (Mistake::StrangersAreFit, "an_unknown_region_is_never_fit"),
    (Mistake::Tires, "asking_twice_gives_the_same_answer"),
    (Mistake::BrokenIsFit, "a_broken_service_is_unfit_and_recovers"),
    (Mistake::BrokenIsAnError, "a_broken_service_is_unfit_and_recovers"),
    (Mistake::OneIllAllIll, "a_broken_service_is_unfit_and_recovers"),
    (Mistake::NeverRecovers, "a_broken_service_is_unfit_and_recovers"),
    (Mistake::WaitsForever, "a_silent_service_is_unfit_within_the_patience"),
    (Mistake::DoubtIsUnfit, "a_question_that_cannot_be_put_is_unknown"),
];

#[tokio::test(start_paused = true)]
async fn every_known_mistake_is_found_by_its_case() {
    for (mistake, case) in FOUND {
        assert_found(mistake, case, &suite(Arc::new(Fake::new(*mistake))).await);
    }
    let right = suite(Arc::new(Fake::new(Mistake::None))).await;
    right.assert_passed_with_skips(&[]);
    assert_covered(&right, FOUND.iter().map(|(_, case)| *case));
    let bare = Fake { faults: false, ..Fake::new(Mistake::None) };
    suite(Arc::new(bare)).await.assert_passed_with_skips(FAULT_CASES);
}
