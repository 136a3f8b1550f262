//! Calls that change something and whose fate is not known yet: until when one of them may still take effect.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::Reply;
use crate::clock::{Moment, RateMargin};
use crate::error::Effect;
use crate::journal::{Event, Record};
use crate::name::StepId;

/// What was intended and is not known to be over, by step and attempt, until when; and the attempts that failed, of whose
/// calls nobody knows whether they may still land.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenCalls(BTreeMap<(StepId, u32), Moment>, BTreeSet<(StepId, u32)>);

impl OpenCalls {
    /// What another actor may have left open, by its journal: its deadlines count from now, for nobody knows since when
    /// they run.
    pub(crate) fn read(records: &[Record], margin: RateMargin, now: Moment) -> Self {
        let mut open = Self::default();
        for record in records {
            open.replay(&record.event, margin, now);
        }
        open
    }

    pub(super) fn replay(&mut self, event: &Event, margin: RateMargin, now: Moment) {
        match event {
            Event::Intended { step, attempt, deadline } => {
                self.intended(step, *attempt, now + margin.wait_for(*deadline));
            }
            Event::Failed { step, attempt, .. } => _ = self.1.insert((step.clone(), *attempt)),
            // The last attempt was answered, unless it failed; those before it may have been given up.
            Event::Done { step, .. } => {
                let last = self.0.keys().rev().find(|(of, _)| of == step).cloned();
                last.filter(|last| !self.1.contains(last)).map(|last| self.0.remove(&last));
            }
            _ => {}
        }
    }

    pub(super) fn intended(&mut self, step: &StepId, attempt: u32, until: Moment) {
        self.0.insert((step.clone(), attempt), until);
    }

    /// The attempt was answered, or was never sent.
    pub(super) fn settled(&mut self, step: &StepId, attempt: u32) {
        self.0.remove(&(step.clone(), attempt));
    }

    /// When the last of them is certainly over, if that is still to come.
    pub(crate) fn until(&self, now: Moment) -> Option<Moment> {
        self.0.values().copied().max().filter(|until| *until > now)
    }
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
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::error::{Error, ErrorKind};

    fn intended(step: &str, attempt: u32) -> Event {
        Event::Intended { step: StepId::of(step, &[]), attempt, deadline: Duration::from_secs(15) }
    }

    fn done(step: &str) -> Event {
        Event::Done { step: StepId::of(step, &[]), how: "seen".into() }
    }

    fn until(events: Vec<Event>) -> Option<Moment> {
        let record = |event| Record { at: Timestamp::UNIX_EPOCH, event };
        let records: Vec<Record> = events.into_iter().map(record).collect();
        OpenCalls::read(&records, RateMargin::DEFAULT, Moment::START).until(Moment::START)
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
    fn no_answer_settles_nothing() {
        let error = |kind| Error::new(kind, "promote", "no");
        assert!(settles(&Reply::Promote(Ok(()))));
        assert!(settles(&Reply::Promote(Err(error(ErrorKind::Conflict)))));
        assert!(!settles(&Reply::Promote(Err(error(ErrorKind::Timeout)))));
        assert!(!settles(&Reply::Scale(Err(error(ErrorKind::Unavailable)))));
    }
}
