//! The state machine of a group, as one table of data: nothing changes state but by a row of it.
//!
//! Drawn from the table: from each state, what leads where.
//!
//! ```text
//! steady     suspect > suspected, confirm > confirmed, propose > proposed, begin > moving
//! suspected  recover > steady, confirm > confirmed, begin > moving
//! confirmed  recover > steady, propose > proposed, refuse > refused, begin > moving
//! proposed   expire > steady, recover > steady, confirm > confirmed, begin > moving
//! refused    recover > steady, propose > proposed, begin > moving
//! moving     commit > committed, pause > paused, overdue > stuck, abort > aborting, supersede > moving, finish > steady
//! committed  pause > paused, overdue > stuck, supersede > moving, finish > steady
//! aborting   pause > paused, overdue > stuck, supersede > moving, finish > steady
//! paused     resume > moving, abort > aborting, supersede > moving
//! stuck      resume > moving, abort > aborting, supersede > moving
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// The phase of a step, in the order in which phases come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Hooks are asked.
    Precheck,
    /// Capacity is brought up.
    Scale,
    /// The gates of the region that is left shut.
    Seal,
    /// The region that is left is kept out at the stores.
    Fence,
    /// Everything acknowledged arrives.
    Drain,
    /// The target becomes the stores' writer.
    Promote,
    /// It is seen that the target takes writes.
    Verify,
    /// The target's gates open.
    Open,
    /// The routing is changed.
    Shift,
    /// Clients follow.
    Converge,
    /// The service is seen to work.
    Validate,
    /// What was left is brought to its standby state.
    Settle,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Precheck,
        Self::Scale,
        Self::Seal,
        Self::Fence,
        Self::Drain,
        Self::Promote,
        Self::Verify,
        Self::Open,
        Self::Shift,
        Self::Converge,
        Self::Validate,
        Self::Settle,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Precheck => "precheck",
            Self::Scale => "scale",
            Self::Seal => "seal",
            Self::Fence => "fence",
            Self::Drain => "drain",
            Self::Promote => "promote",
            Self::Verify => "verify",
            Self::Open => "open",
            Self::Shift => "shift",
            Self::Converge => "converge",
            Self::Validate => "validate",
            Self::Settle => "settle",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a group is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing is wrong, or nothing that a move would mend.
    Steady,
    /// A majority calls an active region unfit; the hold is running.
    Suspected,
    /// The hold is over: a plan is made.
    Confirmed,
    /// A plan waits for a person.
    Proposed,
    /// A guard refuses, and nothing moves until what it saw has changed.
    Refused,
    /// A plan is carried out and can still be given up.
    Moving,
    /// A plan is carried out and can no longer be given up: forward only.
    Committed,
    /// A move is given up; the gates are being reopened.
    Aborting,
    /// It waits for a person.
    Paused,
    /// A step took longer than its deadline; it waits for a person.
    Stuck,
}

/// What changes a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// A majority calls an active region unfit.
    Suspect,
    /// It no longer does.
    Recover,
    /// The hold is over.
    Confirm,
    /// A plan was made that waits for a person.
    Propose,
    /// A guard refused.
    Refuse,
    /// A person, or the policy, said go; the ledger agreed.
    Begin,
    /// The proposal ran out.
    Expire,
    /// The first step after which nothing can be given up was begun.
    Commit,
    /// A person asked to wait, a hook vetoed, or a step failed for good.
    Pause,
    /// A step's deadline passed.
    Overdue,
    /// A person said go on.
    Resume,
    /// A person, a veto, or the loss of a region that it cannot do without, gave the move up.
    Abort,
    /// Another execution took its place.
    Supersede,
    /// All steps are done.
    Finish,
}

/// How long a group may stay in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// For good: nothing is under way.
    Rest,
    /// The tier's hold, and one round of probes.
    Hold,
    /// One look at the stores, routers and scalers.
    Observation,
    /// `timing.approval`.
    Approval,
    /// The sum of the steps' deadlines.
    Steps,
    /// Until a person acts; notified again every `timing.approval`.
    Person,
}

/// Where each state goes on which trigger.
pub const TABLE: &[(State, Trigger, State)] = {
    use State::*;
    use Trigger::*;
    &[
        (Steady, Suspect, Suspected),
        (Steady, Confirm, State::Confirmed),
        (Steady, Propose, Proposed),
        (Steady, Begin, Moving),
        (Suspected, Recover, Steady),
        (Suspected, Confirm, Confirmed),
        (Suspected, Begin, Moving),
        (Confirmed, Recover, Steady),
        (Confirmed, Propose, Proposed),
        (Confirmed, Refuse, Refused),
        (Confirmed, Begin, Moving),
        (Proposed, Expire, Steady),
        (Proposed, Recover, Steady),
        (Proposed, Confirm, Confirmed),
        (Proposed, Begin, Moving),
        (Refused, Recover, Steady),
        (Refused, Propose, Proposed),
        (Refused, Begin, Moving),
        (Moving, Commit, Committed),
        (Moving, Pause, Paused),
        (Moving, Overdue, Stuck),
        (Moving, Abort, Aborting),
        (Moving, Supersede, Moving),
        (Moving, Finish, Steady),
        (Committed, Pause, Paused),
        (Committed, Overdue, Stuck),
        (Committed, Supersede, Moving),
        (Committed, Finish, Steady),
        (Aborting, Pause, Paused),
        (Aborting, Overdue, Stuck),
        (Aborting, Supersede, Moving),
        (Aborting, Finish, Steady),
        (Paused, Resume, Moving),
        (Paused, Abort, Aborting),
        (Paused, Supersede, Moving),
        (Stuck, Resume, Moving),
        (Stuck, Abort, Aborting),
        (Stuck, Supersede, Moving),
    ]
};

impl State {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Steady,
        Self::Suspected,
        Self::Confirmed,
        Self::Proposed,
        Self::Refused,
        Self::Moving,
        Self::Committed,
        Self::Aborting,
        Self::Paused,
        Self::Stuck,
    ];

    /// Where it goes on a trigger; `None` if the table has no such row.
    pub fn on(self, trigger: Trigger) -> Option<Self> {
        TABLE.iter().find(|(from, on, _)| *from == self && *on == trigger).map(|(_, _, to)| *to)
    }

    /// How long a group may stay in it.
    pub fn limit(self) -> Limit {
        match self {
            Self::Steady => Limit::Rest,
            Self::Suspected => Limit::Hold,
            Self::Confirmed | Self::Refused => Limit::Observation,
            Self::Proposed => Limit::Approval,
            Self::Moving | Self::Committed | Self::Aborting => Limit::Steps,
            Self::Paused | Self::Stuck => Limit::Person,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Steady => "steady",
            Self::Suspected => "suspected",
            Self::Confirmed => "confirmed",
            Self::Proposed => "proposed",
            Self::Refused => "refused",
            Self::Moving => "moving",
            Self::Committed => "committed",
            Self::Aborting => "aborting",
            Self::Paused => "paused",
            Self::Stuck => "stuck",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn reachable(from: State) -> BTreeSet<State> {
        let mut seen = BTreeSet::from([from]);
        let mut todo = vec![from];
        while let Some(state) = todo.pop() {
            for (_, _, to) in TABLE.iter().filter(|(at, _, _)| *at == state) {
                if seen.insert(*to) {
                    todo.push(*to);
                }
            }
        }
        seen
    }

    #[test]
    fn every_state_is_reached_from_steady_and_every_state_leads_back() {
        let all: BTreeSet<_> = State::ALL.into_iter().collect();
        assert_eq!(reachable(State::Steady), all);
        for state in State::ALL {
            assert!(reachable(state).contains(&State::Steady), "{state} is a sink");
        }
    }

    #[test]
    fn no_state_has_two_rows_for_one_trigger_and_only_steady_rests() {
        let rows: BTreeSet<_> = TABLE.iter().map(|(from, on, _)| (from, on)).collect();
        assert_eq!(rows.len(), TABLE.len());
        for state in State::ALL {
            assert_eq!(state.limit() == Limit::Rest, state == State::Steady, "{state}");
        }
    }

    #[test]
    fn the_diagram_shows_the_table() {
        let ways = |state: State| {
            let rows = TABLE.iter().filter(move |(from, ..)| *from == state);
            rows.map(|(_, on, to)| format!("{} > {to}", format!("{on:?}").to_lowercase())).collect::<Vec<_>>()
        };
        let row = |state: State| format!("//! {state:<10} {}\n", ways(state).join(", "));
        let diagram: String = State::ALL.into_iter().map(row).collect();
        assert!(include_str!("state.rs").contains(&diagram), "the diagram above should be:\n{diagram}");
    }

    #[test]
    fn past_the_point_of_no_return_nothing_is_given_up() {
        assert_eq!(State::Committed.on(Trigger::Abort), None);
        assert_eq!(State::Moving.on(Trigger::Abort), Some(State::Aborting));
    }
}
