//! The suites hold for what is right, and each known mistake is found by the case that is there for it.

mod cells;
mod checks;
mod notices;
mod routers;
mod scalers;
mod sim;
mod stores;

use mantissa_mr_core::conformance::Report;

/// A wrong implementation must fail the case that exists for its mistake.
fn assert_found(mistake: impl std::fmt::Debug, case: &str, report: &Report) {
    let found = report.failed.iter().any(|(failed, _)| *failed == case);
    assert!(found, "{mistake:?} was not found by `{case}`:\n{report}");
}

/// Every case of a suite must be there because some mistake fails it.
fn assert_covered<'a>(report: &Report, found_by: impl IntoIterator<Item = &'a str>) {
    let found_by: Vec<&str> = found_by.into_iter().collect();
    let idle: Vec<_> = report.passed.iter().filter(|case| !found_by.contains(case)).collect();
    assert!(idle.is_empty(), "no known mistake fails these cases: {idle:?}");
}
