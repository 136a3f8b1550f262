//! Bugs that the model must find: the test of the test.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Seeded {
    /// A gate counts its trust from the answer to its read, not from the send.
    TrustFromAnswer,
    /// A move waits as if all clocks ran at one rate.
    NoRateMargin,
    /// A move does not wait until the gates that it sealed have shut.
    NoSealWait,
    /// A move counts its wait from the send of its seal, not from the answer.
    WaitFromSend,
    /// A move does not wait for the write deadline.
    NoDeadlineWait,
    /// A permit is given to the end of the trust, and holds for its whole deadline.
    PermitOutlivesTrust,
    /// Both of the two before this.
    PermitOutlivesWait,
    /// The cells store whatever is put, and ignore the expected version.
    BlindPut,
    /// A region is admitted under the epoch that was.
    KeepsEpoch,
    /// Whoever takes the lease over keeps the term.
    KeepsTerm,
    /// An actor takes a slot of the journal that somebody else wrote for its own.
    IgnoresTakenSlot,
    /// A call goes out before its intention is in the journal.
    CallsTooEarly,
    /// A call goes out however long its intention took to be journaled.
    CallsTooLate,
    /// Whoever takes over acts at once, while a call of the one before it may be open.
    DoesNotWaitOut,
    /// Whoever takes over waits for the open call as if all clocks ran at one rate.
    WaitsOutWithoutMargin,
    /// Whoever takes over does not go on with what is under way.
    ForgetsMove,
    /// A move takes every answer about a drain for the proof.
    TakesAnyDrain,
}

impl Seeded {
    /// Its name, as its trace's file has it.
    pub(super) fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }
}
