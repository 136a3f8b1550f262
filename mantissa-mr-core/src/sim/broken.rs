//! The library, broken on purpose: the test of the oracles. An oracle that nothing can offend proves nothing, so for each
//! rule there are variants with one bug each, and each must be caught by that rule's oracle within a few seeds
//! (`tests/oracles_bite.rs`; `examples/seeds.rs --broken` prints how many it took).
//!
//! No line of what is judged is changed. A variant wraps the library's own gates and controllers (`Tampered`): it changes
//! what they are told, what they say, what their clock shows, or the deployment and the catalog that they are given. The
//! oracles go on to see what was really sent, stored and answered.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::process::{Birth, Body, ProcessSpec};
use crate::call::Machine;
use crate::deployment::Deployment;
use crate::facts::Catalog;

mod answers;
mod calls;
mod cells;
mod chosen;
mod gates;
mod hunt;
mod lens;
mod settings;
mod tampered;

pub use hunt::{Bite, Hunt, World, hunt, stage};
use tampered::{Tamper, Tampered};

macro_rules! variants {
    ($($rule:literal $name:ident $does:literal;)*) => {
        /// A bug. Each breaks one rule above all, and that rule's oracle must catch it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Broken {
            $(#[doc = $does] $name,)*
        }

        impl Broken {
            /// All of them, by rule.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The rule whose oracle must catch it.
            pub fn rule(self) -> u8 {
                match self { $(Self::$name => $rule,)* }
            }

            /// What it does.
            pub fn does(self) -> &'static str {
                match self { $(Self::$name => $does,)* }
            }
        }
    };
}

variants! {
    1 TrustFromAnswer "A gate counts its trust from the answer to its read, not from the send.";
    1 ReadsReplica "A gate reads the ledger at a replica that is a minute behind.";
    1 ClockStopsInSleep "A gate's clocks do not count the time in which its process stands still.";
    1 AcknowledgesLate "A gate lets every write be acknowledged that it permitted, however late its answer comes.";
    1 NoWriteDeadline "A gate permits writes to the end of its trust, and a move waits for the trust alone.";
    1 NoSealWait "A move does not wait until the gates that it sealed have shut.";
    1 NoRateMargin "A move waits as long as a gate trusts, as if all clocks ran at one rate.";
    1 NeverReconciles "Nobody looks for what late writes overwrote.";
    2 TakesAnyDrain "A move takes every answer about a drain for the proof.";
    2 TakesUnproven "A move takes a drain that cannot be proven for a proven one.";
    2 DrainsByLag "A move takes a store for drained when its lag metric is zero, or has no samples.";
    3 NoLossGuard "The loss guard lets every loss pass that is known.";
    3 UnknownLagIsZero "A lag that was not measured counts as none.";
    3 NothingIsLost "Every store is taken for one that loses nothing.";
    4 BlindPut "The cells store whatever is put, and ignore the expected version.";
    4 PutsAgain "A store whose answer is lost is made again on top of whatever is there then.";
    4 CallsTooEarly "A call goes out before its intention is in the journal.";
    4 IgnoresTakenSlot "A controller takes a slot of the journal that somebody else wrote for its own.";
    4 StaleEnactor "A controller that has lost the lease does not notice, and goes on.";
    4 KeepsEpoch "A region is admitted under the epoch that was.";
    4 KeepsTerm "Whoever takes the lease over keeps the term.";
    4 OpensBeside "A region is admitted beside the one that was sealed for it.";
    4 CallsUnderOldEpoch "Calls to clouds carry the epoch before.";
    5 DoesNotWaitOut "Whoever takes over acts at once, while a call of the one before it may be open.";
    5 ForgetsMove "Whoever takes over does not go on with what is under way.";
    5 NeverTriesAgain "A call that fails is never made again, nor is anything else made of it.";
    5 ShiftUnseen "A shift is taken for done, and nobody looks whether it is.";
    5 PromotionUnseen "A promotion is taken for done, and nobody looks whether it is.";
    6 FailsOpen "A gate that gets no answer from the ledger goes on as if it had got the last one again.";
    6 OneVoteForAll "A controller counts its own vote as every vantage's.";
    6 AgainstPolicy "A controller begins by itself what the policy leaves to people.";
    6 TargetUnseen "A controller does not look at regions that do not serve: they count as fit.";
    7 NoCoolDown "Nothing rests after a move.";
    7 FailsBack "A controller fails back by itself whatever the policy says.";
    7 NoVelocity "As many groups move at once as like to.";
    8 ControlPlane "An unplanned move shifts by the control plane for planned changes.";
    8 AsksTheLost "An unplanned move scales the region down that it leaves.";
    9 PausesSilently "A pause does not say why.";
    9 EndsSilently "An execution goes from the ledger, and nobody says how it ended.";
    9 KeepsProposal "A proposal is never taken back.";
    9 NeverSleeps "A controller asks to be woken at once, for ever.";
}

impl Broken {
    /// Its name on a command line.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }

    /// The deployment that controllers are given.
    pub(super) fn deployment(self, real: &Arc<Deployment>) -> Arc<Deployment> {
        settings::deployment(self, real)
    }

    /// The catalog that controllers are given.
    pub(super) fn catalog(self, real: &Catalog) -> Catalog {
        settings::catalog(self, real)
    }

    /// A controller, as broken as this says.
    pub(super) fn controller(self, real: &Arc<Deployment>, controller: Box<dyn Machine>) -> Box<dyn Machine> {
        match self.tamper(real) {
            Some(tamper) => Box::new(Tampered::new(controller, tamper)),
            None => controller,
        }
    }

    fn tamper(self, real: &Arc<Deployment>) -> Option<Box<dyn Tamper>> {
        let tamper = answers::tamper(self).or_else(|| cells::tamper(self)).or_else(|| calls::tamper(self));
        tamper.or_else(|| lens::tamper(self, real))
    }

    /// A service, as broken as this says.
    pub(super) fn service(self, real: &Arc<Deployment>, mut spec: ProcessSpec) -> ProcessSpec {
        let (mut make, real) = (spec.make, real.clone());
        spec.make = Box::new(move |birth: &Birth| match make(birth) {
            Body::Gated(gate) => Body::Gated(gates::tamper(self, &real, gate)),
            body => body,
        });
        spec
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

/// A text that names no variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no variant `{0}`")]
pub struct UnknownVariant(String);

impl FromStr for Broken {
    type Err = UnknownVariant;
    fn from_str(text: &str) -> Result<Self, UnknownVariant> {
        let found = Self::ALL.iter().find(|broken| broken.name() == text);
        found.copied().ok_or_else(|| UnknownVariant(text.to_owned()))
    }
}
