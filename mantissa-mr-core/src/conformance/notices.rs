//! What every [`Notifier`] and every [`Hook`] must do.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Fixture, Injection, Outcome, Report, RunId, Stop, cases, ensure, eventually};
use crate::name::{ExecutionId, GroupName, Region};
use crate::notify::{Hook, HookAnswer, HookPoint, HookQuestion, Notice, Notifier, Severity};

/// Hands out a notifier, and sees what arrived.
#[async_trait]
pub trait NotifierFixture: Fixture {
    /// The notifier.
    fn notifier(&self) -> Arc<dyn Notifier>;

    /// The whole content of everything that has arrived at the other end so far, in whatever form; else why it cannot
    /// be seen.
    async fn arrived(&self) -> Result<Vec<String>, String>;

    /// Lets the other end refuse or swallow everything from now on.
    async fn break_the_other_end(&self) -> Injection;
}

/// The cases of a notifier whose fixture can neither see nor break the other end.
pub const NOTIFIER_FAULT_CASES: &[&str] =
    &["what_was_told_arrives", "a_failure_is_an_error_within_the_patience"];

/// Puts all cases. Notices name the run in their text.
pub async fn notifiers(fixture: Arc<dyn NotifierFixture>, run: &RunId) -> Report {
    let mut report = Report::default();
    let context = &Told { notifier: fixture.notifier(), run: run.clone(), fixture };
    cases!(report, context.fixture, context =>
        self::every_severity_and_any_text_is_taken,
        self::what_was_told_arrives,
        self::a_failure_is_an_error_within_the_patience,
    );
    report
}

struct Told {
    fixture: Arc<dyn NotifierFixture>,
    notifier: Arc<dyn Notifier>,
    run: RunId,
}

impl Told {
    fn notice(&self, severity: Severity, text: &str) -> Outcome<Notice> {
        let execution = Some(ExecutionId::new(self.run.as_str())?);
        let group = GroupName::new("conformance")?;
        Ok(Notice { at: Timestamp::UNIX_EPOCH, severity, group, execution, text: text.to_owned() })
    }
}

async fn every_severity_and_any_text_is_taken(told: &Told) -> Outcome {
    for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
        let notice = told.notice(severity, &format!("conformance {}: {severity:?}", told.run))?;
        told.notifier.notify(&notice).await?;
        told.notifier.notify(&Notice { execution: None, ..notice }).await?;
    }
    let long = "a long story, ".repeat(500);
    for text in ["\"quoted\" \\ <b>&amp;</b> {\"a\": 1}", "zwei\nZeilen, Größe 3 µs, 東京", long.as_str()]
    {
        let text = format!("conformance {}: {text}", told.run);
        told.notifier.notify(&told.notice(Severity::Info, &text)?).await?;
    }
    Ok(())
}

async fn what_was_told_arrives(told: &Told) -> Outcome {
    told.fixture.arrived().await.map_err(|why| Stop::Skip(format!("it cannot be seen: {why}")))?;
    let text = format!("conformance {} was told", told.run);
    told.notifier.notify(&told.notice(Severity::Critical, &text)?).await?;
    let text = &text;
    eventually(&*told.fixture, "what was told", || async move {
        let arrived = told.fixture.arrived().await.map_err(Stop::Fail)?;
        Ok(arrived.iter().any(|content| content.contains(text)).then_some(()))
    })
    .await
}

/// Last, since nothing mends the other end.
async fn a_failure_is_an_error_within_the_patience(told: &Told) -> Outcome {
    told.fixture.break_the_other_end().await.armed()?;
    let answer = told.notifier.notify(&told.notice(Severity::Info, "nobody hears this")?).await;
    ensure!(answer.is_err(), "nothing arrives any more, and it does not say so");
    Ok(())
}

/// Hands out a hook, and makes it say no.
#[async_trait]
pub trait HookFixture: Fixture {
    /// The hook. It allows everything until `veto`.
    fn hook(&self) -> Arc<dyn Hook>;

    /// Lets it veto everything from now on.
    async fn veto(&self) -> Injection;
}

/// The case that a fixture which cannot make its hook veto skips.
pub const HOOK_FAULT_CASES: &[&str] = &["a_veto_has_a_reason"];

/// Puts all cases.
pub async fn hooks(fixture: Arc<dyn HookFixture>, run: &RunId) -> Report {
    let mut report = Report::default();
    let context = &Asked { hook: fixture.hook(), run: run.clone(), fixture };
    cases!(report, context.fixture, context =>
        self::a_hook_answers_at_every_point_and_again,
        self::a_veto_has_a_reason,
    );
    report
}

struct Asked {
    fixture: Arc<dyn HookFixture>,
    hook: Arc<dyn Hook>,
    run: RunId,
}

const POINTS: [HookPoint; 3] = [HookPoint::Fence, HookPoint::Promote, HookPoint::Shift];

impl Asked {
    fn question(&self, point: HookPoint, from: Option<&str>) -> Outcome<HookQuestion> {
        let from = from.map(Region::new).transpose()?;
        let (group, to) = (GroupName::new("conformance")?, Region::new("conformance-to")?);
        Ok(HookQuestion { point, group, execution: ExecutionId::new(self.run.as_str())?, from, to })
    }
}

async fn a_hook_answers_at_every_point_and_again(asked: &Asked) -> Outcome {
    for point in POINTS {
        for from in [None, Some("conformance-from")] {
            let question = asked.question(point, from)?;
            for _ in 0..2 {
                let answer = asked.hook.before(&question).await?;
                ensure!(answer == HookAnswer::Allow, "it has nothing against it, and says {answer:?}");
            }
        }
    }
    Ok(())
}

async fn a_veto_has_a_reason(asked: &Asked) -> Outcome {
    asked.fixture.veto().await.armed()?;
    for point in POINTS {
        let HookAnswer::Veto { reason } = asked.hook.before(&asked.question(point, None)?).await? else {
            return Err(Stop::Fail(format!("it was to veto, and allows the {point}")));
        };
        ensure!(!reason.trim().is_empty(), "a veto of the {point} without a reason");
    }
    Ok(())
}
