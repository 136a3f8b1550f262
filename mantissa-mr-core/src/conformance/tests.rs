use super::*;

fn report() -> Report {
    Report {
        passed: vec!["one"],
        skipped: vec![("two", "no way to inject it".to_owned())],
        failed: Vec::new(),
    }
}

#[test]
fn a_skip_that_nobody_expects_or_that_does_not_come_is_a_difference() {
    assert_eq!(report().check(&["two"]), Ok(()));
    assert!(report().check(&[]).unwrap_err().contains("skipped, unexpectedly: two: no way to inject it"));
    assert!(report().check(&["two", "one"]).unwrap_err().contains("not skipped: one"));
}

#[test]
#[should_panic(expected = "failed: three: it does not")]
fn a_failure_fails_whatever_skips_are_expected() {
    let failed = vec![("three", "it does not".to_owned())];
    Report { failed, ..report() }.assert_passed_with_skips(&["two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_case_that_does_not_end_has_failed() {
    let mut report = Report::default();
    report.run("hangs", Duration::from_secs(5), std::future::pending()).await;
    report.run("skips", Duration::from_secs(5), async { Err(Stop::Skip("so".to_owned())) }).await;
    report.run("passes", Duration::from_secs(5), async { Ok(()) }).await;
    assert_eq!((report.passed.len(), report.skipped.len(), report.failed.len()), (1, 1, 1));
    assert!(report.failed[0].1.contains("5s"), "{report}");
}

#[test]
fn the_name_of_a_run_is_short_and_plain() {
    assert_eq!(RunId::new("ci-4711").unwrap().as_str(), "ci-4711");
    assert!(RunId::new(&"r".repeat(RunId::MAX_LENGTH)).is_ok());
    for bad in ["", "a/b", "a b", &"r".repeat(RunId::MAX_LENGTH + 1)] {
        assert!(RunId::new(bad).is_err(), "{bad}");
    }
    assert_ne!(RunId::new("a").unwrap().seed(), RunId::new("b").unwrap().seed());
}
