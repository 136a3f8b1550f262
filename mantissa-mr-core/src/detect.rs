//! Detection: when a region counts as unfit. Pure state that is fed with observations; nothing here reads a clock.
//!
//! Two parts, so that nobody's own trouble is taken for a region's:
//!
//! - A [`VantageDetector`] counts, at one vantage, the answers of each region: so many failures in a row and it calls
//!   the region unfit, so many good answers in a row and it calls it fit. A vantage that misses its own control target
//!   abstains *and forgets its counts*: kept, they would call a region unfit in the moment in which the vantage
//!   recovers. What it sees, it writes as a [`Ballot`] to its own register.
//! - A [`Quorum`] reads the ballots of all configured vantages and ages them by the reader's own clock. A strict
//!   majority of the *configured* vantages must call a region unfit *and have seen its last probe fail*; that must last
//!   for the hold of the group's tier without a break before the [`Verdict`] is confirmed. A vantage that is silent,
//!   stale or abstains does not vote, but still counts in what a majority is of.
//!
//! Why these rules, in numbers, and the simulation behind them: `tests/detector_table/main.rs`. What no rule that sees only
//! probes can tell apart is an outage that ends by itself just after the hold from one that does not: a longer hold
//! buys fewer false verdicts with time to detect, so the hold belongs to the tier.
//!
//! Degraded is a signal of its own: it never becomes unfit, however long it lasts.

use crate::check::{Assessment, Fitness};
use crate::error::Result;
use crate::name::ResourceName;

mod ballot;
mod quorum;
mod vantage;

#[cfg(test)]
mod findings;

pub use ballot::{Ballot, FORMAT, MAX_WHY, Run, Vote};
pub use quorum::{CastVote, Heard, Quorum, Tally, Verdict, VoteState};
pub use vantage::{SelfCheck, VantageDetector};

/// Folds the answers of one round of checks of one region into one: the worst that is known.
///
/// A check that could not be put ([`Fitness::Unknown`], or an error) is named in the reason and otherwise ignored: if
/// all of them could not be put, or there are none, the answer is [`Fitness::Unknown`].
pub fn fold(answers: impl IntoIterator<Item = (ResourceName, Result<Assessment>)>) -> Assessment {
    let answers: Vec<(ResourceName, Assessment)> = answers
        .into_iter()
        .map(|(check, answer)| {
            let asked = answer.unwrap_or_else(|error| Assessment::new(Fitness::Unknown, error.to_string()));
            (check, asked)
        })
        .collect();
    let known =
        answers.iter().map(|(_, answer)| answer.fitness).filter(|fitness| *fitness != Fitness::Unknown);
    let Some(worst) = known.max() else {
        let why = whys(&answers, Fitness::Unknown);
        return Assessment::new(Fitness::Unknown, if why.is_empty() { "no check".to_owned() } else { why });
    };
    let mut why = whys(&answers, worst);
    if answers.iter().any(|(_, answer)| answer.fitness == Fitness::Unknown) {
        why = format!("{why}; not known: {}", whys(&answers, Fitness::Unknown));
    }
    Assessment::new(worst, why)
}

fn whys(answers: &[(ResourceName, Assessment)], fitness: Fitness) -> String {
    let chosen = answers.iter().filter(|(_, answer)| answer.fitness == fitness);
    chosen.map(|(check, answer)| format!("{check}: {}", answer.why)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    fn answer(check: &str, fitness: Fitness) -> (ResourceName, Result<Assessment>) {
        (ResourceName::new(check).unwrap(), Ok(Assessment::new(fitness, fitness.to_string())))
    }

    #[test]
    fn one_check_that_is_unfit_is_not_hidden_by_others_that_are_fit_or_unknown() {
        let folded = fold([
            answer("canary", Fitness::Unknown),
            answer("api", Fitness::Unfit),
            answer("queue", Fitness::Degraded),
            answer("web", Fitness::Fit),
        ]);
        assert_eq!(folded, Assessment::new(Fitness::Unfit, "api: unfit; not known: canary: unknown"));
    }

    #[test]
    fn a_question_that_could_not_be_put_says_nothing_of_the_region() {
        let error = || Err(Error::new(ErrorKind::PermissionDenied, "Invoke", "denied"));
        let api = ResourceName::new("api").unwrap();
        let folded = fold([(api.clone(), error()), answer("web", Fitness::Fit)]);
        assert_eq!(folded.fitness, Fitness::Fit);
        assert!(folded.why.contains("not known: api: Invoke: permission denied"), "{}", folded.why);
        assert_eq!(fold([(api, error())]).fitness, Fitness::Unknown);
        assert_eq!(fold([]), Assessment::new(Fitness::Unknown, "no check"));
    }
}
