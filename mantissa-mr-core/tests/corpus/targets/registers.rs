//! Small registers and names: votes, recent moves, writers' tokens.

use std::time::Duration;

use mantissa_mr_core::cell::CellName;
use mantissa_mr_core::clock::Moment;
use mantissa_mr_core::deployment::{DetectionPolicy, VantageSpec};
use mantissa_mr_core::detect::{Ballot, Quorum};
use mantissa_mr_core::error::ErrorKind;
use mantissa_mr_core::facts::RecentMoves;
use mantissa_mr_core::name::{FailureDomain, Region, StepId, VantageName};
use mantissa_mr_core::plan::PlanHash;
use mantissa_mr_core::register::writer;

use super::json::{kept_whole, readable, refused};

pub(crate) fn registers(data: &[u8]) {
    ballot(data);
    if let Ok(recent) = serde_json::from_slice::<RecentMoves>(data) {
        kept_whole(data, &serde_json::to_vec(&recent).expect("plain data"));
    }
    if let Some(token) = writer(data) {
        // What stands beside it is not looked at, and need not be JSON in every escape.
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) {
            assert_eq!(value["writer"].as_str(), Some(token.0.as_str()));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        names(text);
    }
}

fn ballot(data: &[u8]) {
    let vantage = VantageName::new("witness").expect("a name");
    let ballot = match Ballot::decode(data, &vantage) {
        Ok(ballot) => ballot,
        Err(error) => return refused(&error, &[ErrorKind::Corrupt]),
    };
    let written = ballot.encode();
    assert_eq!(Ballot::decode(&written, &vantage).as_ref(), Ok(&ballot));
    kept_whole(data, &written);
    let vantages = ["witness", "east", "west"].map(|name| {
        let domain = FailureDomain::new(name).expect("a name");
        VantageSpec::new(VantageName::new(name).expect("a name"), domain)
    });
    let mut quorum = Quorum::new(&vantages, &DetectionPolicy::default());
    for second in [0, 5, 600] {
        let now = Moment::START + Duration::from_secs(second);
        quorum.hear(now, ballot.clone());
        for region in ballot.votes.keys() {
            let verdict = quorum.verdict(now, region, Duration::ZERO);
            // One of three is no majority, whatever it says.
            assert!(!verdict.confirmed, "{verdict}");
        }
    }
}

/// What a name is made of is what it is shown as; what is no name is said so in a line.
fn names(text: &str) {
    match Region::new(text) {
        Ok(name) => assert_eq!(name.to_string(), text),
        Err(error) => readable(&error.to_string()),
    }
    match StepId::try_from(text.to_owned()) {
        Ok(name) => assert_eq!(name.to_string(), text),
        Err(error) => readable(&error.to_string()),
    }
    match CellName::try_from(text) {
        Ok(name) => assert_eq!(name.to_string(), text),
        Err(error) => readable(&error.to_string()),
    }
    match PlanHash::try_from(text.to_owned()) {
        Ok(hash) => assert_eq!(hash.to_string(), text),
        Err(error) => readable(&error.to_string()),
    }
}
