//! What every [`Check`] must do.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Fixture, Injection, Outcome, Report, Stop, cases, ensure, eventually, nowhere};
use crate::check::{Assessment, Check, Fitness};
use crate::name::Region;

/// Hands out a check, and breaks what it looks at on request.
#[async_trait]
pub trait CheckFixture: Fixture {
    /// The check.
    fn check(&self) -> Arc<dyn Check>;

    /// Two or more regions, all of them fit.
    fn regions(&self) -> Vec<Region>;

    /// Breaks something, or mends it.
    async fn inject(&self, fault: CheckFault) -> Injection;
}

/// What can go wrong with what a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFault {
    /// The service in this region answers that it is ill, or wrongly.
    Break(Region),
    /// The service in this region does not answer.
    Silence(Region),
    /// The question itself cannot be put: credentials are missing, the tool for it is gone.
    CannotAsk,
    /// All is well again.
    Mend,
}

/// The cases that need a [`CheckFault`]: the skips of a fixture that can inject none.
pub const FAULT_CASES: &[&str] = &[
    "a_broken_service_is_unfit_and_recovers",
    "a_silent_service_is_unfit_within_the_patience",
    "a_question_that_cannot_be_put_is_unknown",
];

/// Puts all cases.
pub async fn suite(fixture: Arc<dyn CheckFixture>) -> Report {
    let mut report = Report::default();
    let regions = fixture.regions();
    let [one, two, ..] = regions.as_slice() else {
        report.failed.push(("the_fixture_has_two_regions", format!("it has these: {regions:?}")));
        return report;
    };
    let (one, two) = (one.clone(), two.clone());
    let context = &Context { check: fixture.check(), one, two, fixture };
    cases!(report, context.fixture, context =>
        self::a_fit_region_is_fit_and_says_why,
        self::an_unknown_region_is_never_fit,
        self::asking_twice_gives_the_same_answer,
        self::a_broken_service_is_unfit_and_recovers,
        self::a_silent_service_is_unfit_within_the_patience,
        self::a_question_that_cannot_be_put_is_unknown,
    );
    report
}

struct Context {
    fixture: Arc<dyn CheckFixture>,
    check: Arc<dyn Check>,
    one: Region,
    two: Region,
}

impl Context {
    /// Asks, and sees that there is a reason.
    async fn ask(&self, region: &Region) -> Outcome<Assessment> {
        let assessment = self.check.assess(region).await?;
        ensure!(!assessment.why.trim().is_empty(), "{region} is {} and nobody knows why", assessment.fitness);
        Ok(assessment)
    }

    async fn is(&self, region: &Region, fitness: Fitness) -> Outcome {
        let assessment = self.ask(region).await?;
        ensure!(assessment.fitness == fitness, "{region} is {fitness}, and called {assessment:?}");
        Ok(())
    }

    async fn inject(&self, fault: CheckFault) -> Outcome {
        self.fixture.inject(fault).await.armed()
    }

    /// Breaks the first region, sees that it and nothing else is unfit, and mends it.
    async fn unfit_while(&self, fault: CheckFault) -> Outcome {
        self.inject(fault).await?;
        let seen = async {
            self.is(&self.one, Fitness::Unfit).await?;
            self.is(&self.two, Fitness::Fit).await
        };
        let seen = seen.await;
        self.inject(CheckFault::Mend).await?;
        seen?;
        eventually(&*self.fixture, "that a mended service is fit", || async {
            Ok((self.ask(&self.one).await?.fitness == Fitness::Fit).then_some(()))
        })
        .await
    }
}

async fn a_fit_region_is_fit_and_says_why(context: &Context) -> Outcome {
    for region in context.fixture.regions() {
        context.is(&region, Fitness::Fit).await?;
    }
    Ok(())
}

async fn an_unknown_region_is_never_fit(context: &Context) -> Outcome {
    let answer = context.check.assess(&nowhere()?).await;
    let fit = matches!(&answer, Ok(Assessment { fitness: Fitness::Fit | Fitness::Degraded, .. }));
    ensure!(!fit, "a region that nobody has configured is {answer:?}");
    Ok(())
}

async fn asking_twice_gives_the_same_answer(context: &Context) -> Outcome {
    for _ in 0..3 {
        context.is(&context.one, Fitness::Fit).await?;
    }
    Ok(())
}

async fn a_broken_service_is_unfit_and_recovers(context: &Context) -> Outcome {
    context.unfit_while(CheckFault::Break(context.one.clone())).await
}

/// It counts as unfit, not as an error: the question was put, and the answer is that there is none.
async fn a_silent_service_is_unfit_within_the_patience(context: &Context) -> Outcome {
    context.unfit_while(CheckFault::Silence(context.one.clone())).await
}

async fn a_question_that_cannot_be_put_is_unknown(context: &Context) -> Outcome {
    context.inject(CheckFault::CannotAsk).await?;
    let answer = context.check.assess(&context.one).await;
    context.inject(CheckFault::Mend).await?;
    match answer {
        Err(_) | Ok(Assessment { fitness: Fitness::Unknown, .. }) => {}
        Ok(other) => {
            return Err(Stop::Fail(format!("the question could not be put, and the answer is {other:?}")));
        }
    }
    context.is(&context.one, Fitness::Fit).await
}
