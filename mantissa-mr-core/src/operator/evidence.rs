//! What is under way and what has happened, from the plans and the journal, checked.

use serde::Serialize;

use super::Operator;
use crate::error::{Error, ErrorKind, Result};
use crate::execute::{Execution, StepProgress, Terms};
use crate::journal::{JournalHead, Reader, Record, Slot, ahead, of_execution};
use crate::ledger::{Epoch, Ledger, Running};
use crate::name::{GroupName, StepId};
use crate::plan::{Plan, PlanHash};

/// The journal of a group, checked from its first slot to the anchor in the ledger and past it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct History {
    /// The slots that are sound.
    pub slots: Vec<Slot>,
    /// How many slots the ledger vouches for.
    pub anchored: u64,
    /// Why the journal is not to be trusted after the last of these slots; none if all of it is sound.
    #[serde(serialize_with = "in_one_line")]
    pub broken: Option<Error>,
}

fn in_one_line<S: serde::Serializer>(error: &Option<Error>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(ToString::to_string).serialize(serializer)
}

/// An execution that is under way, as its journal has it.
#[derive(Debug)]
pub struct UnderWay {
    /// What the ledger says of it.
    pub running: Running,
    /// Its plan.
    pub plan: Plan,
    /// How far each step is.
    pub steps: Vec<StepProgress>,
    /// Whether it is past the point of no return.
    pub committed: bool,
    /// Whether it is being given up.
    pub aborting: bool,
    execution: Execution,
}

impl UnderWay {
    /// Whether it could be given up now, seen from here; whoever carries it out has the last word.
    ///
    /// # Errors
    /// Why not.
    pub fn can_abort(&mut self, why: &str) -> Result<(), String> {
        self.execution.abort(why)
    }

    /// Whether a step could be left out now, seen from here; whoever carries it out has the last word.
    ///
    /// # Errors
    /// Why not: there is no such step, it is over, or it changes the ledger.
    pub fn can_skip(&mut self, step: &StepId, why: &str) -> Result<(), String> {
        self.execution.skip(step, why).map(|_| ())
    }
}

impl Operator {
    /// The whole journal of a group. One that was changed by anything but this library is never silently cut: what is
    /// sound comes with the reason why the rest is not.
    ///
    /// # Errors
    /// The ledger or the journal cannot be read at all.
    pub async fn history(&self, group: &GroupName) -> Result<History> {
        let genesis = JournalHead::genesis(&self.deployment.spec().name, group);
        let anchor = self.existing_ledger(group, "read the history").await?.journal;
        let anchored = anchor.slots;
        let (mut slots, mut broken) = self.slots(group, Reader::new(genesis, anchor)).await?;
        // Past the anchor: a term is given by the ledger before anybody can write under it.
        let term = self.existing_ledger(group, "read the history").await?.lease.term;
        if let Some(first) = slots.iter().position(|slot| slot.term > term) {
            broken = slots.get(first).map(|slot| ahead(slot.number, slot.term, term));
            slots.truncate(first);
        }
        Ok(History { slots, anchored, broken })
    }

    /// A plan that was stored for a group; none if there is none of this hash.
    ///
    /// # Errors
    /// `Corrupt` if it is not the plan that its name says; otherwise it cannot be read.
    pub async fn stored_plan(&self, group: &GroupName, hash: &PlanHash) -> Result<Option<Plan>> {
        let corrupt = |message: String| Error::new(ErrorKind::Corrupt, "read a plan", message).on(hash);
        let cell = self.backend.cells.load(&self.cells(group).plan(hash)).await?;
        let Some(cell) = cell else { return Ok(None) };
        let plan: Plan = serde_json::from_slice(&cell.value).map_err(|error| corrupt(error.to_string()))?;
        if plan.hash() == *hash { Ok(Some(plan)) } else { Err(corrupt("its hash is another".into())) }
    }

    /// What is under way in a group, step by step; none if nothing is.
    ///
    /// # Errors
    /// The ledger, the plan or the journal cannot be read, or is not sound.
    pub async fn under_way(&self, group: &GroupName) -> Result<Option<UnderWay>> {
        let ledger = self.existing_ledger(group, "read what is under way").await?;
        let Some(running) = ledger.execution.clone() else { return Ok(None) };
        let plan = self.stored_plan(group, &running.plan).await?.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "read a plan", "the plan that is under way is not there")
                .on(&running.plan)
        })?;
        let reader = Reader::new(running.journal_from.clone(), ledger.journal.clone());
        let (slots, broken) = self.slots(group, reader).await?;
        broken.map_or(Ok(()), Err)?;
        let records: Vec<Record> = slots.into_iter().flat_map(|slot| slot.records).collect();
        let mut execution = Execution::resumed(
            running.id.clone(),
            plan.clone().into(),
            Epoch::default(),
            self.terms(&ledger),
            of_execution(&records, &running.id),
            self.clock.now(),
        );
        execution.inherit(&ledger);
        Ok(Some(UnderWay {
            steps: execution.progress(),
            committed: execution.is_committed(),
            aborting: execution.is_aborting(),
            running,
            plan,
            execution,
        }))
    }

    /// Enough to replay a journal; nothing is carried out under these.
    fn terms(&self, ledger: &Ledger) -> Terms {
        let policy = &self.deployment.spec().policy;
        Terms {
            call_deadline: policy.timing.call_deadline,
            seal_wait: ledger.gate.seal_wait(),
            rate_margin: ledger.gate.rate_margin,
            strategy: ledger.strategy,
            standby: policy.standby.0,
            seed: 0,
        }
    }

    async fn slots(&self, group: &GroupName, mut reader: Reader) -> Result<(Vec<Slot>, Option<Error>)> {
        let cells = self.cells(group);
        let mut slots = Vec::new();
        loop {
            let fed = match self.backend.cells.load(&cells.journal(reader.next())).await {
                Ok(cell) => reader.feed(cell.as_ref().map(|cell| cell.value.as_slice())),
                Err(error) if error.kind() == ErrorKind::Corrupt => Err(error),
                Err(error) => return Err(error),
            };
            match fed {
                Ok(Some(slot)) => slots.push(slot),
                Ok(None) => return Ok((slots, None)),
                Err(error) => return Ok((slots, Some(error))),
            }
        }
    }
}
