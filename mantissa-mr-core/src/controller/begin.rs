//! Beginning a move: its plan is stored, noted in the register of recent moves, and put into the ledger, as long as what
//! it rests on is fresh.

use std::sync::Arc;

use super::lease::Purpose;
use super::{Controller, Ending, Happening, Tag};
use crate::call::{Call, Reply};
use crate::cell::{Expected, StoreOutcome};
use crate::clock::Moment;
use crate::facts::RecentMoves;
use crate::ledger::Running;
use crate::name::ExecutionId;
use crate::notify::Severity;
use crate::plan::{Move, Plan, PlanHash};

/// A plan that is being begun.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    pub(super) plan: Arc<Plan>,
    by_itself: bool,
    /// When it was decided.
    decided: Moment,
    /// It waits until what it supersedes is quiet.
    pub(super) waits: bool,
}

impl Controller {
    /// Stores the plan, notes the move in the shared register if nobody asked for it, and begins it in the ledger.
    pub(super) fn start(&mut self, plan: Arc<Plan>, by_itself: bool) {
        if let Some(answer) = plan.refusals().next() {
            let why = format!("the {} guard refuses: {}", answer.guard, answer.why);
            return self.finish_mandate(Ending::Refused(why));
        }
        let hash = plan.hash();
        self.tell(Happening::Planned(plan.clone()));
        self.plans.insert(hash.clone(), plan.clone());
        self.pending.begin =
            Some(Begin { plan: plan.clone(), by_itself, decided: self.moment(), waits: false });
        self.store_plan(&hash, &plan);
    }

    pub(super) fn store_plan(&mut self, hash: &PlanHash, plan: &Plan) {
        let call =
            Call::Store { cell: self.cells.plan(hash), expected: Expected::Absent, value: plan.encode() };
        let deadline = self.timing().call_deadline;
        self.call(Tag::PlanStore(hash.clone()), call, deadline);
    }

    pub(super) fn plan_stored(&mut self, hash: &PlanHash, reply: Reply) {
        let begin = self.pending.begin.clone().filter(|begin| begin.plan.hash() == *hash);
        match reply {
            // Lost: it is there already, under a name that is its own hash.
            Reply::Store(Ok(StoreOutcome::Applied { .. } | StoreOutcome::Lost)) => {
                self.plan_is_there(hash);
                if let Some(begin) = begin {
                    if begin.by_itself { self.note_move() } else { self.begin_in_ledger(&begin.plan) }
                }
            }
            Reply::Store(Err(error)) if !error.can_retry() => {
                (self.pending.begin, self.pending.proposal) = (None, None);
                self.tell(Happening::Trouble(error.to_string()));
                self.finish_mandate(Ending::Failed(error));
            }
            // Unknown, or a passing fault: storing the same under the same name again changes nothing.
            _ => {
                if let Some(plan) = self.plans.get(hash).cloned().filter(|_| self.role.leading().is_some()) {
                    let (cell, value) = (self.cells.plan(hash), plan.encode());
                    let call = Call::Store { cell, expected: Expected::Absent, value };
                    self.call_again(Tag::PlanStore(hash.clone()), call);
                }
            }
        }
    }

    /// What proposes a plan comes after the plan: who approves it must find it.
    fn plan_is_there(&mut self, hash: &PlanHash) {
        if let Some(proposal) = self.pending.proposal.take_if(|proposal| proposal.plan == *hash) {
            self.change_ledger(Purpose::Propose(Some(proposal)));
        }
    }

    fn note_move(&mut self) {
        let Some(recent) = &self.recent else {
            self.pending.begin = None;
            return;
        };
        let (now, velocity) = (self.now.wall, self.deployment().spec().policy.velocity);
        // What the guard saw may be older than what the register says now.
        let instead = self.pending.begin.as_ref().is_some_and(|begin| begin.plan.supersedes.is_some());
        let moved = recent.count(now, velocity.window, &self.settings.group, instead);
        if moved >= usize::try_from(velocity.moves).unwrap_or(usize::MAX) {
            return self.drop_begin("others moved meanwhile");
        }
        let mut moves: Vec<_> = recent.lately(now, velocity.window).cloned().collect();
        moves.push((self.now.wall, self.settings.group.clone()));
        // Plain data: serialising it cannot fail.
        let value = serde_json::to_vec(&RecentMoves { moves }).unwrap_or_default();
        let expected = self.recent_version.clone().map_or(Expected::Absent, Expected::Version);
        let call = Call::Store { cell: self.cells.velocity(), expected, value };
        let deadline = self.timing().call_deadline;
        self.call(Tag::RecentStore, call, deadline);
    }

    pub(super) fn recent_stored(&mut self, reply: Reply) {
        let Some(begin) = self.pending.begin.clone() else { return };
        if let Reply::Store(Ok(StoreOutcome::Applied { version })) = reply {
            self.recent_version = Some(version);
            self.look_at_recent();
            return self.begin_in_ledger(&begin.plan);
        }
        // Another group moved meanwhile, or nobody knows: look again, and decide anew. A move noted twice only delays.
        self.pending.begin = None;
        self.look_at_recent();
    }

    /// Reads the register of recent moves again: until then nothing moves by itself.
    fn look_at_recent(&mut self) {
        self.recent = None;
        let call = Call::Load { cell: self.cells.velocity() };
        let deadline = self.timing().call_deadline;
        self.call(Tag::RecentLoad, call, deadline);
    }

    pub(super) fn begin_in_ledger(&mut self, plan: &Arc<Plan>) {
        if self.begins_too_late() {
            return self.drop_begin("it took too long");
        }
        let waits = plan.supersedes.is_some() && !self.may_supersede();
        let waited =
            self.pending.begin.as_mut().is_some_and(|begin| std::mem::replace(&mut begin.waits, waits));
        if waits && !waited {
            self.tell_of_waiting(plan);
        }
        if waits {
            return;
        }
        let Some(journal_from) = self.journal.head().cloned() else { return };
        let hash = plan.hash();
        let short = hash.as_str().get(..8).unwrap_or_default();
        let text = format!("{}-{}-{short}", plan.kind, plan.generation.next());
        // Words, numbers and hyphens: it is a name.
        let Ok(id) = ExecutionId::new(&text) else { return };
        let region = if plan.kind == Move::Evacuate { plan.from.clone() } else { None };
        let running = Running {
            id,
            plan: hash,
            kind: plan.kind,
            region: region.unwrap_or_else(|| plan.to.clone()),
            journal_from,
            began: self.now.wall,
            paused: None,
        };
        let planned = plan.basis();
        let purpose = match &plan.supersedes {
            Some(old) => Purpose::Supersede { old: old.execution.clone(), running, planned },
            None => Purpose::Begin { running, planned },
        };
        self.change_ledger(purpose);
    }

    /// Says what a move waits for that is to take the place of another, where that may take long.
    fn tell_of_waiting(&mut self, plan: &Plan) {
        let left = self.open_until().map(|until| until.since(self.moment()));
        if let Some(left) = left.filter(|left| *left > self.timing().call_deadline.saturating_mul(2)) {
            let text = format!(
                "the {} begins in {} s at the latest: a promotion that the move before it asked for may be under way",
                plan.kind,
                left.as_secs() + 1
            );
            self.tell(Happening::Trouble(text.clone()));
            self.notify(Severity::Warning, text);
        }
    }

    /// Whether what was decided here rests on what is not fresh any more: the region may be back.
    pub(super) fn begins_too_late(&self) -> bool {
        let fresh = self.deployment().spec().policy.detection.fresh_for();
        let now = self.moment();
        self.pending.begin.as_ref().is_some_and(|begin| begin.by_itself && now.since(begin.decided) > fresh)
    }

    /// Lets what was to begin go; who watches decides anew.
    pub(super) fn drop_begin(&mut self, why: &str) {
        if let Some(begin) = self.pending.begin.take() {
            let text = format!("the {} was not begun: {why}", begin.plan.kind);
            self.tell(Happening::Trouble(text));
        }
    }
}
