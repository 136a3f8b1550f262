//! Notifiers and hooks: a list of what was told passes; with one mistake each it is found.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mantissa_mr_core::conformance::notices::{
    HOOK_FAULT_CASES, HookFixture, NOTIFIER_FAULT_CASES, NotifierFixture, hooks, notifiers,
};
use mantissa_mr_core::conformance::{Fixture, Injection, RunId};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::notify::{Hook, HookAnswer, HookQuestion, Notice, Notifier, Severity};

use crate::{assert_covered, assert_found};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    RefusesLongTexts,
    TellsNobody,
    FailsSilently,
    Hangs,
    AllowsOnce,
    VetoesWithoutReason,
    NeverVetoes,
}

#[derive(Clone, Debug)]
struct Fake {
    mistake: Mistake,
    able: bool,
    told: Arc<Mutex<Vec<String>>>,
    broken: Arc<Mutex<bool>>,
}

impl Fake {
    fn new(mistake: Mistake) -> Self {
        Self { mistake, able: true, told: Arc::default(), broken: Arc::default() }
    }

    fn unable(&self) -> Injection {
        if self.able {
            *self.broken.lock().unwrap() = true;
            return Injection::Armed;
        }
        Injection::Cannot("the other end is not ours".to_owned())
    }
}

#[async_trait]
impl Notifier for Fake {
    async fn notify(&self, notice: &Notice) -> Result<()> {
        let broken = *self.broken.lock().unwrap();
        match self.mistake {
            Mistake::RefusesLongTexts if notice.text.len() > 1_000 => {
                return Err(Error::new(ErrorKind::InvalidInput, "notify", "too long"));
            }
            Mistake::Hangs if broken => std::future::pending().await,
            Mistake::FailsSilently if broken => return Ok(()),
            _ if broken => return Err(Error::new(ErrorKind::Unavailable, "notify", "nobody there")),
            Mistake::TellsNobody if notice.severity == Severity::Critical => {}
            _ => self.told.lock().unwrap().push(format!("notice: {}", notice.text)),
        }
        Ok(())
    }
}

#[async_trait]
impl Hook for Fake {
    async fn before(&self, question: &HookQuestion) -> Result<HookAnswer> {
        let mut told = self.told.lock().unwrap();
        let asked = format!("{question:?}");
        let reason = if self.mistake == Mistake::VetoesWithoutReason { " " } else { "the auditors are here" };
        let again = told.contains(&asked) && self.mistake == Mistake::AllowsOnce;
        told.push(asked);
        let broken = *self.broken.lock().unwrap() && self.mistake != Mistake::NeverVetoes;
        Ok(if broken || again { HookAnswer::Veto { reason: reason.to_owned() } } else { HookAnswer::Allow })
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
impl NotifierFixture for Fake {
    fn notifier(&self) -> Arc<dyn Notifier> {
        Arc::new(self.clone())
    }
    async fn arrived(&self) -> Result<Vec<String>, String> {
        if self.able { Ok(self.told.lock().unwrap().clone()) } else { Err("it is a pager".to_owned()) }
    }
    async fn break_the_other_end(&self) -> Injection {
        self.unable()
    }
}

#[async_trait]
impl HookFixture for Fake {
    fn hook(&self) -> Arc<dyn Hook> {
        Arc::new(self.clone())
    }
    async fn veto(&self) -> Injection {
        self.unable()
    }
}

fn run() -> RunId {
    RunId::new("fake").unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_known_mistake_of_a_notifier_is_found_by_its_case() {
    let found = [
        (Mistake::RefusesLongTexts, "every_severity_and_any_text_is_taken"),
        (Mistake::TellsNobody, "what_was_told_arrives"),
        (Mistake::FailsSilently, "a_failure_is_an_error_within_the_patience"),
        (Mistake::Hangs, "a_failure_is_an_error_within_the_patience"),
    ];
    for (mistake, case) in found {
        assert_found(mistake, case, &notifiers(Arc::new(Fake::new(mistake)), &run()).await);
    }
    let right = notifiers(Arc::new(Fake::new(Mistake::None)), &run()).await;
    right.assert_passed_with_skips(&[]);
    assert_covered(&right, found.map(|(_, case)| case));
    let bare = Fake { able: false, ..Fake::new(Mistake::None) };
    notifiers(Arc::new(bare), &run()).await.assert_passed_with_skips(NOTIFIER_FAULT_CASES);
}

#[tokio::test(start_paused = true)]
async fn every_known_mistake_of_a_hook_is_found_by_its_case() {
    let found = [
        (Mistake::AllowsOnce, "a_hook_answers_at_every_point_and_again"),
        (Mistake::VetoesWithoutReason, "a_veto_has_a_reason"),
        (Mistake::NeverVetoes, "a_veto_has_a_reason"),
    ];
    for (mistake, case) in found {
        assert_found(mistake, case, &hooks(Arc::new(Fake::new(mistake)), &run()).await);
    }
    let right = hooks(Arc::new(Fake::new(Mistake::None)), &run()).await;
    right.assert_passed_with_skips(&[]);
    assert_covered(&right, found.map(|(_, case)| case));
    let bare = Fake { able: false, ..Fake::new(Mistake::None) };
    hooks(Arc::new(bare), &run()).await.assert_passed_with_skips(HOOK_FAULT_CASES);
}
