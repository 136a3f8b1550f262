//! Calls that change something and whose fate is not known yet: until when one of them may still take effect.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::call::Reply;
use crate::clock::{Moment, Now, RateMargin};
use crate::error::Effect;
use crate::journal::{Event, Record};
use crate::name::StepId;
use crate::plan::{Action, Step};

/// What was intended and is not known to be over, by step and attempt; and the attempts that failed, of whose calls nobody
/// knows whether they may still land.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenCalls(BTreeMap<(StepId, u32), Open>, BTreeSet<(StepId, u32)>);

/// Until when a call may still take effect.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Until then it may be sent, or be on its way; none once it was answered.
    sent: Option<Moment>,
    /// Until then what it asks for may be under way where it was sent to; none if it is not, or was seen to be done.
    lands: Option<Moment>,
}

impl OpenCalls {
    /// What another actor may have left open, by its journal: its deadlines count from now, for nobody knows since when
    /// they run. How long a region may take for what it was asked is an estimate anyhow, and long: that counts by the
    /// wall clocks, so that who begins again does not wait for all of it again.
    pub(crate) fn read(records: &[Record], margin: RateMargin, now: Now) -> Self {
        let mut open = Self::default();
        for record in records {
            open.replay(record, margin, now);
        }
        open
    }

    pub(super) fn replay(&mut self, record: &Record, margin: RateMargin, now: Now) {
        match &record.event {
            Event::Intended { step, attempt, deadline, lands } => {
                let after = |span: Duration| now.moment + margin.wait_for(span);
                let since = Duration::try_from(now.wall.duration_since(record.at)).unwrap_or_default();
                let left = |lands: Duration| after(lands.saturating_sub(since));
                self.intended(step, *attempt, after(*deadline), lands.map(left));
            }
            Event::Failed { step, attempt, .. } => _ = self.1.insert((step.clone(), *attempt)),
            // The last attempt was answered, unless it failed; those before it may have been given up.
            Event::Done { step, .. } => {
                let last = self.0.keys().rev().find(|(of, _)| of == step).cloned();
                last.filter(|last| !self.1.contains(last)).map(|last| self.0.remove(&last));
                self.landed(step);
            }
            _ => {}
        }
    }

    pub(super) fn intended(&mut self, step: &StepId, attempt: u32, sent: Moment, lands: Option<Moment>) {
        self.0.insert((step.clone(), attempt), Open { sent: Some(sent), lands });
    }

    /// The attempt came to nothing, or was never sent.
    pub(super) fn settled(&mut self, step: &StepId, attempt: u32) {
        self.0.remove(&(step.clone(), attempt));
    }

    /// The attempt was answered well: what it asked for is done, or under way.
    pub(super) fn accepted(&mut self, step: &StepId, attempt: u32) {
        if let Some(open) = self.0.get_mut(&(step.clone(), attempt)) {
            open.sent = None;
        }
    }

    /// What the step asked for was seen to be done: should it be done again, nothing changes.
    pub(crate) fn landed(&mut self, step: &StepId) {
        let of_step = self.0.iter_mut().filter(|((of, _), _)| of == step);
        of_step.for_each(|(_, open)| open.lands = None);
    }

    /// When the last of them is certainly over, if that is still to come.
    pub(crate) fn until(&self, now: Moment) -> Option<Moment> {
        let ends = self.0.values().flat_map(|open| [open.sent, open.lands]).flatten();
        ends.max().filter(|until| *until > now)
    }
}

/// A region in distress is slower at what it was asked for than it usually is: up to so many times.
const SLOWER: u32 = 10;

/// Within what time what a step asks for takes effect, where that goes on after the call.
pub(super) fn lands(step: &Step) -> Option<Duration> {
    matches!(step.action, Action::Promote { .. }).then(|| step.expected.saturating_mul(SLOWER))
}

/// Whether an answer says what became of the call.
pub(super) fn settles(reply: &Reply) -> bool {
    let error = match reply {
        Reply::Promote(Err(error)) | Reply::Fence(Err(error)) | Reply::Unfence(Err(error)) => error,
        Reply::Shift(Err(error)) | Reply::Scale(Err(error)) => error,
        _ => return true,
    };
    error.effect() == Effect::None
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::error::{Error, ErrorKind};

    fn intended(step: &str, attempt: u32) -> Event {
        let deadline = Duration::from_secs(15);
        Event::Intended { step: StepId::of(step, &[]), attempt, deadline, lands: None }
    }

    fn done(step: &str) -> Event {
        Event::Done { step: StepId::of(step, &[]), how: "seen".into() }
    }

    fn until(events: Vec<Event>) -> Option<Moment> {
        after(Duration::ZERO, events)
    }

    /// Read so long after they were written, by the wall clocks.
    fn after(age: Duration, events: Vec<Event>) -> Option<Moment> {
        let record = |event| Record { at: Timestamp::UNIX_EPOCH, event };
        let records: Vec<Record> = events.into_iter().map(record).collect();
        let now = Now { moment: Moment::START, wall: Timestamp::UNIX_EPOCH + age };
        OpenCalls::read(&records, RateMargin::DEFAULT, now).until(Moment::START)
    }

    #[test]
    fn what_was_intended_is_open_until_it_is_done_and_its_deadline_is_past() {
        let late = Moment::START + RateMargin::DEFAULT.wait_for(Duration::from_secs(15));
        assert_eq!(until(Vec::new()), None);
        assert_eq!(until(vec![intended("promote", 1)]), Some(late));
        assert_eq!(until(vec![intended("promote", 1), done("promote")]), None);
        assert_eq!(until(vec![intended("promote", 1), done("scale")]), Some(late));
        let failed =
            || Event::Failed { step: StepId::of("promote", &[]), attempt: 1, error: "silence".into() };
        assert_eq!(until(vec![intended("promote", 1), failed(), done("promote")]), Some(late));
        // The first attempt was given up without an answer: it may still arrive.
        assert_eq!(until(vec![intended("promote", 1), intended("promote", 2), done("promote")]), Some(late));
    }

    #[test]
    fn what_is_carried_out_slowly_is_open_until_it_is_seen() {
        let slow = |attempt| {
            let (step, deadline) = (StepId::of("promote", &[]), Duration::from_secs(15));
            Event::Intended { step, attempt, deadline, lands: Some(Duration::from_secs(300)) }
        };
        let failed =
            |attempt| Event::Failed { step: StepId::of("promote", &[]), attempt, error: "silence".into() };
        let late = |seconds| Some(Moment::START + RateMargin::DEFAULT.wait_for(Duration::from_secs(seconds)));
        assert_eq!(until(vec![slow(1)]), late(300));
        assert_eq!(until(vec![slow(1), failed(1), slow(2), failed(2)]), late(300));
        // Its own calls may still be on their way, and find nothing left to do.
        assert_eq!(until(vec![slow(1), failed(1), slow(2), done("promote")]), late(15));
        assert_eq!(until(vec![slow(1), done("promote")]), None);
        assert_eq!(after(Duration::from_secs(100), vec![slow(1)]), late(200), "not all of it again");
        assert_eq!(after(Duration::from_secs(900), vec![slow(1)]), late(15));
    }

    #[test]
    fn no_answer_settles_nothing() {
        let error = |kind| Error::new(kind, "promote", "no");
        assert!(settles(&Reply::Promote(Ok(()))));
        assert!(settles(&Reply::Promote(Err(error(ErrorKind::Conflict)))));
        assert!(!settles(&Reply::Promote(Err(error(ErrorKind::Timeout)))));
        assert!(!settles(&Reply::Scale(Err(error(ErrorKind::Unavailable)))));
    }
}
