//! What a scenario is: a deployment, what goes wrong when, what people order, and what the library should do in it.

use mantissa_mr_core::deployment::{DeploymentSpec, Strategy};
use mantissa_mr_core::guard::Guard;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::RegionState;

/// A drill, as data.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What goes wrong.
    pub(crate) story: &'static str,
    /// What the library should do, and why.
    pub(crate) right: &'static str,
    pub(crate) strategy: Strategy,
    /// What is special about its deployment.
    pub(crate) tweak: fn(&mut DeploymentSpec),
    pub(crate) script: &'static [(When, Do)],
    /// How long it takes, in seconds.
    pub(crate) ends: u64,
    /// What the judge looks for.
    pub(crate) expects: &'static [Expect],
}

/// Regions by their part in the play; their names and their number are the deployment's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The region that serves when nothing is wrong; active-active, simply the first.
    Preferred,
    /// Every other one.
    Others,
    All,
}

impl Who {
    /// Whether a region plays this part.
    pub(crate) fn is(self, region: &str, preferred: &Region) -> bool {
        match self {
            Self::Preferred => region == preferred.as_str(),
            Self::Others => region != preferred.as_str(),
            Self::All => true,
        }
    }
}

/// When something happens, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    At(u64),
    /// So long after something was seen for the first time.
    After(Mark, u64),
}

/// Something that can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The ledger seals a region.
    Sealed,
    /// A promotion is on its way to a store.
    PromotionSent,
    /// The ledger holds a proposal, for this many times in all.
    Proposed(usize),
    /// This many moves have ended.
    Ended(usize),
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Do {
    Region(Who, RegionState),
    /// No message from the other regions, the witness or the operators reaches it. Its own get out, and clients reach it.
    Deaf(Who),
    /// They reach it again.
    Hears(Who),
    /// Checks see it fit and unfit, in turns of so many seconds; zero ends it.
    Flap(Who, u64),
    /// Checks see it unfit, whatever it is; or as it is again.
    LooksUnfit(Who, bool),
    /// Replication stands still, or goes on.
    Replication(bool),
    /// The provider gives no more instances than this.
    Quota(Who, u64),
    /// The witness answers, or does not.
    Witness(bool),
    /// Whoever holds the lease loses all memory, and begins again after so many seconds.
    CrashLeader(u64),
    /// A person wants a move, and passes these guards over.
    Order(Move, &'static [Guard]),
    /// A person approves what was proposed last.
    Approve,
    /// A person has looked at the last move.
    Acknowledge,
}

/// What the judge looks for, beside the rules that every run must keep. Times are seconds since the begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// These moves begin, in this order and no others, and each is finished.
    Moves(&'static [ExpectedMove]),
    /// In the end the ledger admits exactly one region of these (or, for all, all), clients' writes are acknowledged
    /// there and nowhere else.
    Serves(Who),
    /// From this time on no gate is open, and nothing is acknowledged.
    ShutFrom(u64),
    /// Nothing that was acknowledged is missing in the end.
    LosesNothing,
    /// What is missing in the end was accepted no longer than `seconds` before the time `before`.
    LosesAtMost { seconds: u64, before: u64 },
    /// No time longer than this passes without an acknowledged write, up to the end.
    NoBreakOver(u64),
    /// Between two times people are told, loudly, that this guard refuses.
    Refuses { guard: Guard, from: u64, until: u64 },
    /// Between two times people are told this, loudly.
    Tells { text: &'static str, from: u64, until: u64 },
    /// Nobody is told anything loudly.
    TellsNothing,
    /// A person's order of this number (from one) changes nothing.
    OrderRefused(usize),
    /// The lease is taken over at least so often while a move is under way.
    TakeOvers(usize),
    /// No change of a store, a router or a scaler is carried out twice.
    NothingTwice,
}

/// A move that should come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedMove {
    pub(crate) kind: Move,
    pub(crate) by: By,
    pub(crate) to: Who,
    /// It begins within these seconds since the begin.
    pub(crate) within: (u64, u64),
}

/// Who begins a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A controller: by itself, or because its proposal was approved.
    Controller,
    Person,
}
