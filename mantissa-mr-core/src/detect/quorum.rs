//! The reader of all vantages' ballots.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ballot::{Ballot, Vote};
use crate::check::Fitness;
use crate::clock::Moment;
use crate::deployment::{DetectionPolicy, VantageSpec, friendly};
use crate::name::{FailureDomain, Region, VantageName};

/// With fewer vantages than this no region is called unfit: one that errs would be half of all.
const FEWEST_VANTAGES: usize = 3;

/// Votes of fewer failure domains than this call no region unfit.
const FEWEST_DOMAINS: usize = 2;

/// What the ballots of all configured vantages say together.
///
/// Feed it every ballot at each reading of the registers, also one that has not changed ([`hear`](Self::hear)), and ask
/// for the [`verdict`](Self::verdict) at any later moment. All moments are of the reader's one clock.
///
/// # Rules
/// - A ballot is fresh for [`DetectionPolicy::fresh_for`] after the reading at which its vantage's sequence was seen to
///   grow; the age that a vote had when it was written is added. What is read first, or after a long pause, may be of a
///   vantage long dead: it proves nothing until it has grown between two readings no further apart than that.
/// - A fitness is carried by the fresh votes of a strict majority of all *configured* vantages that come from a strict
///   majority of their failure domains.
/// - Unfit is carried only by votes that call the region unfit and whose last probe failed, only in a deployment of at
///   least three vantages, and by no failure domain alone. Fit is carried by votes for fit. Degraded is carried by
///   votes for degraded or unfit that do not carry unfit. Anything else is unknown.
/// - How long a fitness lasts is counted from the [`hear`](Self::hear) that first carried it. It begins anew whenever
///   it was not carried, be it by a ballot or because votes grew old meanwhile.
#[derive(Clone, Debug)]
pub struct Quorum {
    seats: BTreeMap<VantageName, Seat>,
    /// How many failure domains they are in.
    domains: usize,
    fresh_for: Duration,
    standing: BTreeMap<Region, Standing>,
    latest: Moment,
}

/// A configured vantage and its newest ballot.
#[derive(Clone, Debug)]
struct Seat {
    domain: FailureDomain,
    heard: Option<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    ballot: Ballot,
    /// The last reading that found this ballot or brought it.
    read: Moment,
    /// The reading that saw the sequence grow to this ballot's; none if growth was not seen closely enough.
    grew: Option<Moment>,
}

/// What was carried at the last reading, and since when without a break.
#[derive(Clone, Copy, Debug)]
struct Standing {
    fitness: Fitness,
    since: Moment,
}

/// What became of a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is newer than what was known of its vantage.
    Newer,
    /// It was known: the vantage has written nothing since.
    Same,
    /// A newer one is known: ignored.
    Older,
    /// Its vantage is not one of the configured: ignored.
    Stranger,
}

impl Quorum {
    /// The reader of these vantages, which has heard nothing yet.
    pub fn new<'a>(configured: impl IntoIterator<Item = &'a VantageSpec>, policy: &DetectionPolicy) -> Self {
        let seat = |vantage: &VantageSpec| {
            (vantage.name.clone(), Seat { domain: vantage.failure_domain.clone(), heard: None })
        };
        let seats: BTreeMap<VantageName, Seat> = configured.into_iter().map(seat).collect();
        let domains: BTreeSet<&FailureDomain> = seats.values().map(|seat| &seat.domain).collect();
        Self {
            domains: domains.len(),
            seats,
            fresh_for: policy.fresh_for(),
            standing: BTreeMap::new(),
            latest: Moment::START,
        }
    }

    /// Takes what was read from a vantage's register; `now` is the moment of the answer.
    pub fn hear(&mut self, now: Moment, ballot: Ballot) -> Heard {
        self.latest = self.latest.max(now);
        let now = self.latest;
        // First what time alone has changed: a vote that grew old and is now renewed has been lost in between.
        self.settle(now);
        let fresh_for = self.fresh_for;
        let Some(seat) = self.seats.get_mut(&ballot.vantage) else { return Heard::Stranger };
        let heard = match &mut seat.heard {
            None => {
                seat.heard = Some(Kept { ballot, read: now, grew: None });
                Heard::Newer
            }
            Some(kept) if ballot.is_newer_than(&kept.ballot) => {
                let grew = (now.since(kept.read) <= fresh_for).then_some(now);
                *kept = Kept { ballot, read: now, grew };
                Heard::Newer
            }
            Some(kept) if kept.ballot.is_newer_than(&ballot) => Heard::Older,
            Some(kept) => {
                kept.read = now;
                Heard::Same
            }
        };
        self.settle(now);
        heard
    }

    /// What is known of a region now. With a `hold` (the tier's), being unfit is confirmed once it has lasted that long.
    pub fn verdict(&self, now: Moment, region: &Region, hold: Duration) -> Verdict {
        let now = now.max(self.latest);
        let votes = self.votes(now, region);
        let (tally, fitness) = self.judge(&votes);
        let standing = self.standing.get(region).filter(|standing| standing.fitness == fitness);
        let lasted = standing.map(|standing| now.since(standing.since)).unwrap_or_default();
        Verdict {
            region: region.clone(),
            fitness,
            confirmed: fitness == Fitness::Unfit && standing.is_some() && lasted >= hold,
            lasted,
            tally,
            votes: votes.into_iter().map(|(vantage, seen)| (vantage.clone(), seen.cast())).collect(),
        }
    }

    /// Whether all of these regions are unfit, confirmed or not: then the fault is more likely with those who look, and
    /// nothing may move by itself. Also true of no regions: there is nowhere to move to.
    pub fn all_bad<'a>(&self, now: Moment, regions: impl IntoIterator<Item = &'a Region>) -> bool {
        let now = now.max(self.latest);
        regions.into_iter().all(|region| self.judge(&self.votes(now, region)).1 == Fitness::Unfit)
    }

    /// Notes for every region what is carried now, and since when.
    fn settle(&mut self, now: Moment) {
        let heard = self.seats.values().filter_map(|seat| seat.heard.as_ref());
        let regions: BTreeSet<&Region> = heard.flat_map(|kept| kept.ballot.votes.keys()).collect();
        let regions: BTreeSet<&Region> = regions.into_iter().chain(self.standing.keys()).collect();
        let mut changed = Vec::new();
        for region in regions {
            let fitness = self.judge(&self.votes(now, region)).1;
            if self.standing.get(region).is_none_or(|standing| standing.fitness != fitness) {
                changed.push((region.clone(), Standing { fitness, since: now }));
            }
        }
        self.standing.extend(changed);
    }

    /// Each configured vantage's vote on a region, and whether it counts now.
    fn votes<'a>(&'a self, now: Moment, region: &Region) -> Vec<(&'a VantageName, Seen<'a>)> {
        let seats = self.seats.iter();
        seats.map(|(vantage, seat)| (vantage, self.look(now, seat, region))).collect()
    }

    fn look<'a>(&self, now: Moment, seat: &'a Seat, region: &Region) -> Seen<'a> {
        let mut seen = Seen {
            domain: &seat.domain,
            state: VoteState::NeverHeard,
            side: Side::Silent,
            age: None,
            vote: None,
        };
        let Some(kept) = &seat.heard else { return seen };
        seen.vote = kept.ballot.votes.get(region);
        let written_before = seen.vote.map(|vote| vote.age).unwrap_or_default();
        seen.age = kept.grew.map(|grew| now.since(grew).saturating_add(written_before));
        seen.state = match (seen.age, &kept.ballot.abstains, seen.vote) {
            (None, _, _) => VoteState::Unproven,
            (Some(age), _, _) if age > self.fresh_for => VoteState::Stale,
            (Some(_), Some(why), _) => VoteState::Abstaining { why: why.clone() },
            (Some(_), None, None) => VoteState::NoAnswerYet,
            (Some(_), None, Some(vote)) => {
                seen.side = Side::of(vote);
                VoteState::Fresh
            }
        };
        seen
    }

    fn judge(&self, votes: &[(&VantageName, Seen<'_>)]) -> (Tally, Fitness) {
        let count = |side| votes.iter().filter(|(_, seen)| seen.side == side).count();
        let tally = Tally {
            fit: count(Side::Fit),
            degraded: count(Side::Degraded),
            unfit: count(Side::Unfit),
            silent: count(Side::Silent),
            needed: self.seats.len() / 2 + 1,
        };
        let enough = self.seats.len() >= FEWEST_VANTAGES;
        let fitness = if enough && self.carried(votes, &[Side::Unfit], FEWEST_DOMAINS) {
            Fitness::Unfit
        } else if self.carried(votes, &[Side::Fit], 1) {
            Fitness::Fit
        } else if self.carried(votes, &[Side::Degraded, Side::Unfit], 1) {
            Fitness::Degraded
        } else {
            Fitness::Unknown
        };
        (tally, fitness)
    }

    /// Whether those on these sides are a strict majority of the configured vantages and of their failure domains.
    fn carried(&self, votes: &[(&VantageName, Seen<'_>)], sides: &[Side], fewest_domains: usize) -> bool {
        let supporters = votes.iter().map(|(_, seen)| seen).filter(|seen| sides.contains(&seen.side));
        if supporters.clone().count() <= self.seats.len() / 2 {
            return false;
        }
        let domains: BTreeSet<&FailureDomain> = supporters.map(|seen| seen.domain).collect();
        domains.len() > self.domains / 2 && domains.len() >= fewest_domains
    }
}

/// What counts of a vantage's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Fit,
    Degraded,
    Unfit,
    Silent,
}

impl Side {
    fn of(vote: &Vote) -> Self {
        match (vote.fitness, vote.failing_now) {
            (Fitness::Fit, _) => Self::Fit,
            (Fitness::Unfit, true) => Self::Unfit,
            (Fitness::Unfit, false) | (Fitness::Degraded, _) => Self::Degraded,
            (Fitness::Unknown, _) => Self::Silent,
        }
    }
}

/// A vantage's vote as the reader sees it.
#[derive(Debug)]
struct Seen<'a> {
    domain: &'a FailureDomain,
    state: VoteState,
    side: Side,
    age: Option<Duration>,
    vote: Option<&'a Vote>,
}

impl Seen<'_> {
    fn cast(self) -> CastVote {
        CastVote {
            failure_domain: self.domain.clone(),
            state: self.state,
            age: self.age,
            vote: self.vote.cloned(),
        }
    }
}

/// What is known of a region at one moment, and who said what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Verdict {
    /// Which region.
    pub region: Region,
    /// What a majority carries.
    pub fitness: Fitness,
    /// Whether the region is unfit and has been for the whole hold. Only such a verdict may start a move by itself.
    pub confirmed: bool,
    /// How long the fitness has been carried without a break, as far as this reader saw.
    #[serde(with = "friendly")]
    pub lasted: Duration,
    /// How many vantages said what.
    pub tally: Tally,
    /// What every configured vantage said.
    pub votes: BTreeMap<VantageName, CastVote>,
}

impl Verdict {
    /// How long the region has been suspected: unfit, confirmed or not. `None` if it is not.
    pub fn suspected_for(&self) -> Option<Duration> {
        (self.fitness == Fitness::Unfit).then_some(self.lasted)
    }
}

impl fmt::Display for Verdict {
    /// One line, without the votes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { fit, degraded, unfit, silent, needed } = self.tally;
        write!(f, "{} is {} for {}s", self.region, self.fitness, self.lasted.as_secs())?;
        match (self.fitness, self.confirmed) {
            (Fitness::Unfit, true) => f.write_str(", confirmed")?,
            (Fitness::Unfit, false) => f.write_str(", not confirmed yet")?,
            _ => {}
        }
        let all = self.votes.len();
        write!(
            f,
            " (of {all} vantages {unfit} see it fail, {degraded} degraded, {fit} fit, {silent} silent; "
        )?;
        write!(f, "{needed} needed)")
    }
}

/// How many vantages said what; together, all that are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tally {
    /// Fit.
    pub fit: usize,
    /// Degraded; or unfit, but the last probe did not fail.
    pub degraded: usize,
    /// Unfit, and the last probe failed.
    pub unfit: usize,
    /// Nothing that counts.
    pub silent: usize,
    /// A strict majority.
    pub needed: usize,
}

/// What a configured vantage said of a region, and whether it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CastVote {
    /// What takes this vantage down with it.
    pub failure_domain: FailureDomain,
    /// Whether it counts.
    pub state: VoteState,
    /// How old the vantage's last answer is, as far as the reader knows; none before the vantage was seen to live.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    pub age: Option<Duration>,
    /// The last vote heard, whether it counts or not.
    pub vote: Option<Vote>,
}

/// Whether a vantage's vote counts. Only a fresh one does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoteState {
    /// It counts.
    Fresh,
    /// It is older than the policy allows.
    Stale,
    /// The vantage does not trust itself.
    Abstaining {
        /// Why not.
        why: String,
    },
    /// The register was read, but its vantage was not yet seen to write: it may be dead for long.
    Unproven,
    /// The vantage lives, but has had no answer of this region since it began, or began anew.
    NoAnswerYet,
    /// Nothing was read from its register.
    NeverHeard,
}

impl fmt::Display for VoteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Abstaining { why } => return write!(f, "abstains: {why}"),
            Self::Unproven => "not seen to write yet",
            Self::NoAnswerYet => "no answer yet",
            Self::NeverHeard => "never heard",
        })
    }
}

impl fmt::Display for CastVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)?;
        if let Some(age) = self.age {
            write!(f, ", {}s old", age.as_secs())?;
        }
        self.vote.as_ref().map_or(Ok(()), |vote| write!(f, ", {vote}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ballot::{FORMAT, Run};
    use super::*;
    use crate::name::ActorId;

    const HOLD: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(seconds)
    }

    fn region() -> Region {
        Region::new("us-east-1").unwrap()
    }

    /// A reader of vantages in these failure domains, which has seen each of them write at second 0.
    struct Bench {
        quorum: Quorum,
        names: Vec<VantageName>,
        sequence: u64,
    }

    impl Bench {
        fn new(domains: &str) -> Self {
            let mut bench = Self::unproven(domains);
            bench.round(0, &"-".repeat(domains.len()));
            bench.round(0, &"-".repeat(domains.len()));
            bench
        }

        fn unproven(domains: &str) -> Self {
            let domains = domains.chars().enumerate();
            let vantages: Vec<VantageSpec> = domains
                .map(|(index, domain)| VantageSpec {
                    name: VantageName::new(&format!("v{index}")).unwrap(),
                    failure_domain: FailureDomain::new(&domain.to_string()).unwrap(),
                })
                .collect();
            let quorum = Quorum::new(&vantages, &DetectionPolicy::default());
            Self { quorum, names: vantages.into_iter().map(|vantage| vantage.name).collect(), sequence: 0 }
        }

        fn ballot(&self, index: usize, says: char) -> Ballot {
            let (fitness, failing_now) = match says {
                'f' => (Fitness::Fit, false),
                'd' => (Fitness::Degraded, false),
                'u' => (Fitness::Unfit, true),
                'r' => (Fitness::Unfit, false),
                _ => (Fitness::Unknown, false),
            };
            let vote = Vote { fitness, failing_now, streak: 3, age: Duration::ZERO, why: "because".into() };
            let votes = [(region(), vote)].into_iter().filter(|_| !"-a".contains(says)).collect();
            Ballot {
                format: FORMAT,
                vantage: self.names[index].clone(),
                writer: ActorId::new("a").unwrap(),
                run: Run(1),
                sequence: self.sequence,
                abstains: (says == 'a').then(|| "no route".to_owned()),
                votes,
            }
        }

        /// Every vantage writes, except those marked `.`: f(it), d(egraded), u(nfit and failing), r(ecovering: unfit, but
        /// the last probe did not fail), ? (unknown), a(bstains), - (nothing of the region).
        fn round(&mut self, at: u64, says: &str) -> Verdict {
            self.sequence += 1;
            for (index, says) in says.chars().enumerate().filter(|(_, says)| *says != '.') {
                self.quorum.hear(seconds(at), self.ballot(index, says));
            }
            self.verdict(at)
        }

        fn verdict(&self, at: u64) -> Verdict {
            self.quorum.verdict(seconds(at), &region(), HOLD)
        }

        fn state(&self, at: u64, index: usize) -> VoteState {
            self.verdict(at).votes[&self.names[index]].state.clone()
        }
    }

    #[test]
    fn a_strict_majority_of_the_configured_vantages_carries_a_fitness() {
        for (domains, says, fitness) in [
            ("abc", "uuf", Fitness::Unfit),
            ("abc", "uff", Fitness::Fit),
            ("abc", "ud-", Fitness::Degraded),
            ("abc", "udf", Fitness::Degraded),
            ("abc", "ddf", Fitness::Degraded),
            ("abc", "rrr", Fitness::Degraded),
            ("abc", "uur", Fitness::Unfit),
            ("abc", "uf-", Fitness::Unknown),
            ("abc", "ua-", Fitness::Unknown),
            ("abc", "f??", Fitness::Unknown),
            // The silent ones count in what a majority is of; half is none.
            ("abcd", "uu--", Fitness::Unknown),
            ("abcd", "uuu-", Fitness::Unfit),
            ("abcde", "uuaaa", Fitness::Unknown),
            ("abcde", "uuuff", Fitness::Unfit),
        ] {
            let verdict = Bench::new(domains).round(1, says);
            assert_eq!(verdict.fitness, fitness, "{says} in {domains}: {verdict}");
            assert_eq!(verdict.tally.needed, domains.len() / 2 + 1);
            assert!(!verdict.confirmed);
        }
    }

    #[test]
    fn one_failure_domain_alone_or_fewer_than_three_vantages_call_no_region_unfit() {
        for (domains, says, fitness) in [
            // Three of five, but all three in one place.
            ("aaabc", "uuuff", Fitness::Unknown),
            ("aaabc", "uufuf", Fitness::Unfit),
            ("aaabc", "fffuu", Fitness::Unknown),
            ("aab", "uuf", Fitness::Unknown),
            ("aab", "ufu", Fitness::Unfit),
            ("aaa", "uuu", Fitness::Degraded),
            // Too few to call it unfit; that something is wrong is still said, and fit is fit.
            ("ab", "uu", Fitness::Degraded),
            ("a", "u", Fitness::Degraded),
            ("a", "f", Fitness::Fit),
            ("ab", "ff", Fitness::Fit),
            ("", "", Fitness::Unknown),
        ] {
            let mut bench = Bench::new(domains);
            bench.round(1, says);
            for at in (10..200).step_by(10) {
                let verdict = bench.round(at, says);
                assert_eq!(verdict.fitness, fitness, "{says} in {domains}: {verdict}");
                assert_eq!(verdict.confirmed, fitness == Fitness::Unfit && at > 60, "{verdict}");
            }
        }
    }

    #[test]
    fn the_hold_begins_when_the_majority_is_first_seen_and_is_over_not_a_moment_before() {
        let mut bench = Bench::new("abc");
        bench.round(10, "uff");
        bench.round(20, "uuf");
        for at in [30, 40, 50, 60, 70] {
            bench.round(at, "uuf");
        }
        let almost = seconds(80).before(Duration::from_nanos(1));
        let verdict = bench.quorum.verdict(almost, &region(), HOLD);
        assert!(!verdict.confirmed && verdict.suspected_for().unwrap() < HOLD, "{verdict}");
        assert!(bench.verdict(80).confirmed);
        assert_eq!(bench.verdict(80).suspected_for(), Some(HOLD));
        assert_eq!(
            bench.verdict(80).to_string(),
            "us-east-1 is unfit for 60s, confirmed (of 3 vantages 2 see it fail, 0 degraded, 1 fit, 0 silent; 2 needed)"
        );
        // Another tier, another hold, from the same state.
        assert!(!bench.quorum.verdict(seconds(80), &region(), HOLD * 2).confirmed);
        assert_eq!(bench.round(90, "uff").suspected_for(), None);
    }

    #[test]
    fn the_hold_begins_anew_whenever_the_majority_was_lost_however_shortly() {
        for gap in ["urf", "uff", "uaf", "u?f", "u-f"] {
            let mut bench = Bench::new("abc");
            for at in [10, 20, 30, 40, 50, 60] {
                bench.round(at, "uuf");
            }
            // Nobody asks for a verdict between the two, which are read at the same moment.
            bench.round(70, gap);
            assert_eq!(bench.round(70, "uuf").lasted, Duration::ZERO, "{gap}");
            for at in [80, 90, 100, 110, 120] {
                assert!(!bench.round(at, "uuf").confirmed, "{gap} at {at}");
            }
            assert!(bench.round(130, "uuf").confirmed, "{gap}");
        }
        // The majority may pass from one vantage to another, as long as it is one all the time.
        let mut bench = Bench::new("abc");
        for (at, says) in [(10, "uuf"), (30, "uuu"), (50, "fuu"), (69, "fuu")] {
            assert!(!bench.round(at, says).confirmed);
        }
        assert!(bench.verdict(70).confirmed);
    }

    #[test]
    fn votes_that_grew_old_unseen_break_the_hold_although_they_are_renewed() {
        let mut bench = Bench::new("abc");
        bench.round(10, "uuf");
        // Fresh for 25 s, by the reader's clock.
        assert_eq!(bench.verdict(35).fitness, Fitness::Unfit);
        assert_eq!(bench.verdict(36).fitness, Fitness::Unknown);
        assert!(matches!(bench.state(36, 0), VoteState::Stale));
        // The readings find the same ballots until second 40, then new ones: the majority was lost in between.
        for at in [20, 30, 40] {
            bench.quorum.hear(seconds(at), Ballot { sequence: 0, ..bench.ballot(0, 'u') });
            let (first, second) = (bench.ballot(0, 'u'), bench.ballot(1, 'u'));
            assert_eq!(bench.quorum.hear(seconds(at), first), Heard::Same);
            assert_eq!(bench.quorum.hear(seconds(at), second), Heard::Same);
        }
        let verdict = bench.round(41, "uuf");
        assert_eq!((verdict.fitness, verdict.lasted), (Fitness::Unfit, Duration::ZERO));
    }

    #[test]
    fn the_age_of_an_answer_when_it_was_written_counts() {
        let mut bench = Bench::new("abc");
        bench.sequence += 1;
        for index in 0..3 {
            let mut ballot = bench.ballot(index, 'u');
            ballot.votes.get_mut(&region()).unwrap().age = Duration::from_secs(20);
            bench.quorum.hear(seconds(10), ballot);
        }
        assert_eq!(bench.verdict(15).fitness, Fitness::Unfit);
        assert_eq!(bench.verdict(15).votes[&bench.names[0]].age, Some(Duration::from_secs(25)));
        assert_eq!(bench.verdict(16).fitness, Fitness::Unknown);
    }

    #[test]
    fn what_a_dead_vantage_left_in_its_register_is_no_vote_for_a_reader_that_starts() {
        let mut bench = Bench::unproven("abc");
        for at in [0, 10, 20] {
            bench.sequence = 0;
            assert_eq!(bench.round(at, "uuu").fitness, Fitness::Unknown, "at {at}");
            assert_eq!(bench.state(at, 0), VoteState::Unproven);
        }
        bench.sequence = 1;
        assert_eq!(bench.round(30, "uu.").fitness, Fitness::Unfit);
        assert_eq!(bench.state(30, 2), VoteState::Unproven);
    }

    #[test]
    fn a_reader_that_slept_does_not_take_what_was_written_meanwhile_for_fresh() {
        let mut bench = Bench::new("abc");
        bench.round(10, "uuf");
        // Up to three hours old: it was written at any time since the last reading.
        assert_eq!(bench.round(10_000, "uuf").fitness, Fitness::Unknown);
        assert_eq!(bench.state(10_000, 0), VoteState::Unproven);
        assert_eq!(bench.round(10_010, "uuf").lasted, Duration::ZERO);
        assert!(!bench.verdict(10_020).confirmed);
    }

    #[test]
    fn the_newest_ballot_counts_in_whatever_order_they_come_and_a_restart_is_newer() {
        let mut bench = Bench::new("abc");
        bench.sequence = 9;
        bench.round(10, "uuf");
        let old = Ballot { sequence: 8, ..bench.ballot(0, 'f') };
        assert_eq!(bench.quorum.hear(seconds(11), old), Heard::Older);
        assert_eq!(bench.verdict(11).fitness, Fitness::Unfit);
        // Its process started again: the sequence begins anew, the run is higher.
        let restarted = Ballot { run: Run(2), sequence: 1, ..bench.ballot(0, '-') };
        assert_eq!(bench.quorum.hear(seconds(12), restarted.clone()), Heard::Newer);
        assert_eq!(bench.verdict(12).fitness, Fitness::Unknown);
        assert_eq!(bench.state(12, 0), VoteState::NoAnswerYet);
        // The process before it still writes somewhere, or was read late: it is not gone back to.
        let before = Ballot { sequence: 1_000, ..bench.ballot(0, 'u') };
        assert_eq!(bench.quorum.hear(seconds(13), before), Heard::Older);
        assert_eq!(bench.quorum.hear(seconds(13), restarted), Heard::Same);
        assert_eq!(bench.verdict(13).fitness, Fitness::Unknown);
    }

    #[test]
    fn who_is_not_configured_has_no_vote() {
        let mut bench = Bench::new("abc");
        bench.round(10, "uff");
        let stranger = Ballot { vantage: VantageName::new("x").unwrap(), ..bench.ballot(0, 'u') };
        assert_eq!(bench.quorum.hear(seconds(10), stranger), Heard::Stranger);
        assert_eq!(bench.verdict(10).fitness, Fitness::Fit);
        assert_eq!(bench.verdict(10).votes.len(), 3);
    }

    #[test]
    fn the_verdict_shows_every_configured_vantage_and_why_it_counts_or_not() {
        let mut bench = Bench::unproven("abcdef");
        bench.round(0, "uuaf-.");
        bench.round(10, "u.....");
        bench.round(20, "u.af-.");
        let verdict = bench.verdict(36);
        let states: Vec<String> = verdict.votes.values().map(ToString::to_string).collect();
        assert_eq!(
            states,
            [
                "fresh, 16s old, unfit: the last 3 failed: because",
                "not seen to write yet, unfit: the last 3 failed: because",
                "abstains: no route, 16s old",
                "fresh, 16s old, fit: the last 3 did not fail: because",
                "no answer yet, 16s old",
                "never heard",
            ]
        );
        assert_eq!(verdict.tally, Tally { fit: 1, degraded: 0, unfit: 1, silent: 4, needed: 4 });
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }

    #[test]
    fn all_regions_unfit_is_said_even_before_it_is_confirmed() {
        let mut bench = Bench::new("abc");
        let other = Region::new("us-west-2").unwrap();
        let mut round = |at: u64, there: char| {
            bench.round(at, "uuf");
            bench.sequence += 1;
            for index in 0..2 {
                let mut ballot = bench.ballot(index, 'u');
                let vote = bench.ballot(index, there).votes.remove(&region()).unwrap();
                ballot.votes.insert(other.clone(), vote);
                bench.quorum.hear(seconds(at), ballot);
            }
            bench.quorum.all_bad(seconds(at), [&region(), &other])
        };
        assert!(!round(10, 'f'));
        assert!(!round(20, 'd'));
        assert!(round(30, 'u'));
        assert!(!round(40, 'r'));
        assert!(bench.quorum.all_bad(seconds(40), [&region()]));
        assert!(bench.quorum.all_bad(seconds(40), []));
        assert!(!bench.quorum.all_bad(seconds(90), [&region()]), "stale votes say nothing");
    }

    #[test]
    fn a_clock_that_is_handed_in_out_of_order_makes_nothing_younger() {
        let mut bench = Bench::new("abc");
        bench.round(10, "uuf");
        bench.round(20, "uuf");
        assert_eq!(bench.verdict(5).lasted, Duration::from_secs(10));
        let late = Ballot { sequence: 99, ..bench.ballot(0, 'u') };
        bench.quorum.hear(seconds(3), late);
        assert_eq!(bench.verdict(0).lasted, Duration::from_secs(10));
    }
}
