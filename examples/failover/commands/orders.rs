//! Orders about what is under way, or proposed: given to whoever carries it out, or done here if nobody does.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mantissa_mr_core::controller::Mandate;
use mantissa_mr_core::ledger::{Ledger, Order, OrderKind, Outcome as Ended};
use mantissa_mr_core::name::{ActorId, GroupName, StepId};
use mantissa_mr_core::operator::{Holder, Operator, UnderWay};
use mantissa_mr_core::plan::{Plan, PlanHash};
use serde_json::json;

use super::moves;
use crate::exit::{Exit, Outcome, Stop};
use crate::follow;
use crate::input::{Asked, Go};
use crate::render::{self, Screen, note};

/// From one look at the ledger to the next.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Giving a move up should be over in this time; longer, and the command no longer waits.
const GIVING_UP: Duration = Duration::from_secs(120);

/// Somebody's orders for a group.
pub(super) struct Orders<'a> {
    pub(super) operator: &'a Operator,
    pub(super) group: GroupName,
    pub(super) by: String,
    pub(super) why: String,
    pub(super) screen: Screen,
}

impl Orders<'_> {
    /// Gives one.
    pub(super) async fn give(&self, asked: Asked, go: Go) -> Result<Outcome, Stop> {
        match asked {
            Asked::Approve(hash) => self.approve(&hash, go).await,
            Asked::Acknowledge => self.acknowledge(go).await,
            Asked::Resume => self.resume(go).await,
            Asked::Abort => self.abort(go).await,
            Asked::Pause => self.pause(go).await,
            Asked::Skip(step) => self.skip(step, go).await,
        }
    }

    async fn resume(&self, go: Go) -> Result<Outcome, Stop> {
        let under_way = self.under_way("resume").await?;
        if under_way.running.paused.is_none()
            && let Holder::Alive(actor) = self.holder().await?
        {
            return Err(Stop::Refused(format!("{actor} carries out {} and lives", under_way.running.id)));
        }
        if go.dry_run {
            return Ok(self.would(&format!("go on with {}", under_way.running.id)));
        }
        self.finish().await
    }

    async fn abort(&self, go: Go) -> Result<Outcome, Stop> {
        let mut under_way = self.under_way("abort").await?;
        under_way.can_abort(&self.why).map_err(Stop::Refused)?;
        let id = under_way.running.id.clone();
        if go.dry_run {
            return Ok(self.would(&format!("give up {id}, and reopen the gates that it shut")));
        }
        let holder = self.holder().await?;
        let order = self.order(OrderKind::Abort).await?;
        let Holder::Alive(actor) = holder else {
            let outcome = self.finish().await?;
            // That it was given up is what was asked for.
            let exit = if outcome.document["ending"] == "aborted" { Exit::Done } else { outcome.exit };
            return Ok(Outcome { exit, ..outcome });
        };
        self.taken(&order, &actor).await?;
        note(&format!("{actor} gives {id} up"));
        let over = |ledger: &Ledger| ledger.execution.as_ref().is_none_or(|running| running.id != id);
        let Some(ledger) = self.until(GIVING_UP, over).await? else {
            let going_on = self.under_way("abort").await?;
            return Err(Stop::Refused(if going_on.aborting {
                format!("{id} is being given up, and not done after {} s; see `status`", GIVING_UP.as_secs())
            } else {
                format!("{actor} took the order, and goes on: it was past the point of no return")
            }));
        };
        match ledger.ended.filter(|ended| ended.id == id).map(|ended| ended.outcome) {
            Some(Ended::Aborted) => Ok(self.done(&format!("{id} was given up"), &holder_of(&actor))),
            _ => Err(Stop::Refused(format!("{id} was over before it could be given up"))),
        }
    }

    async fn pause(&self, go: Go) -> Result<Outcome, Stop> {
        let under_way = self.under_way("pause").await?;
        let id = under_way.running.id.clone();
        if let Some(why) = &under_way.running.paused {
            return Ok(self.done(&format!("{id} is paused already: {why}"), &Holder::Nobody));
        }
        if go.dry_run {
            return Ok(self.would(&format!("pause {id}")));
        }
        let holder = self.holder().await?;
        let order = self.order(OrderKind::Pause).await?;
        let Holder::Alive(actor) = holder else {
            let outcome = self.finish().await?;
            // That it is paused now is what was asked for.
            let exit = if outcome.exit == Exit::Paused { Exit::Done } else { outcome.exit };
            return Ok(Outcome { exit, ..outcome });
        };
        self.taken(&order, &actor).await?;
        let held = |ledger: &Ledger| ledger.execution.as_ref().is_none_or(|running| running.paused.is_some());
        match self.until(self.patience(), held).await? {
            Some(ledger) if ledger.execution.is_some() => {
                Ok(self.done(&format!("{id} is paused"), &holder_of(&actor)))
            }
            _ => Err(Stop::Refused(format!("{id} was over before it could be paused"))),
        }
    }

    async fn skip(&self, step: StepId, go: Go) -> Result<Outcome, Stop> {
        let mut under_way = self.under_way("skip").await?;
        under_way.can_skip(&step, &self.why).map_err(Stop::Refused)?;
        if go.dry_run {
            return Ok(self.would(&format!("leave {step} out of {}", under_way.running.id)));
        }
        let holder = self.holder().await?;
        let order = self.order(OrderKind::Skip(step.clone())).await?;
        let Holder::Alive(actor) = &holder else {
            let text = format!(
                "nobody carries it out now: {step} is left out as soon as somebody goes on; `resume` does"
            );
            return Ok(self.done(&text, &holder));
        };
        self.taken(&order, actor).await?;
        Ok(self.done(&format!("{actor} leaves {step} out"), &holder))
    }

    async fn acknowledge(&self, go: Go) -> Result<Outcome, Stop> {
        if go.dry_run {
            return Ok(self.would("acknowledge the last move"));
        }
        let ledger = self.operator.acknowledge(&self.group).await?;
        let id = ledger.ended.map(|ended| ended.id.to_string()).unwrap_or_default();
        Ok(self.done(&format!("{id} is acknowledged: the cool-down is over"), &Holder::Nobody))
    }

    async fn approve(&self, word: &str, go: Go) -> Result<Outcome, Stop> {
        let (hash, plan) = self.proposed(word).await?;
        self.screen.show(render::plan(&plan));
        if go.dry_run {
            return Ok(self.would(&format!("approve {hash}")));
        }
        moves::confirm(&plan, go)?;
        let holder = self.holder().await?;
        let Holder::Alive(actor) = &holder else {
            let objections = self.operator.recheck(&plan).await?;
            if !objections.is_empty() {
                return Err(Stop::Refused(objections.join("; ")));
            }
            note("no controller is there to carry it out: it is done here");
            let mandate = Mandate::Carry(Arc::new(plan));
            return follow::carry_out(self.operator, &self.group, mandate, self.screen).await;
        };
        let order = self.order(OrderKind::Approve(hash.clone())).await?;
        self.taken(&order, actor).await?;
        let begun = |ledger: &Ledger| ledger.execution.as_ref().is_some_and(|running| running.plan == hash);
        if self.until(self.patience(), begun).await?.is_none() {
            return Err(Stop::Refused(format!("{actor} took the order and began nothing: see `status`")));
        }
        Ok(self.done(&format!("{actor} carries it out; `status` shows how far it is"), &holder))
    }

    async fn proposed(&self, word: &str) -> Result<(PlanHash, Plan), Stop> {
        let ledger = self.operator.ledger(&self.group).await?;
        let Some(proposal) = ledger.and_then(|ledger| ledger.proposal) else {
            return Err(Stop::refused("no plan is proposed"));
        };
        let hash = proposal.plan;
        if !hash.as_str().starts_with(word) {
            return Err(Stop::Refused(format!("the plan that is proposed is {hash}")));
        }
        if proposal.expires <= Timestamp::now() {
            return Err(Stop::Refused(format!("the proposal ran out at {:.0}", proposal.expires)));
        }
        match self.operator.stored_plan(&self.group, &hash).await? {
            Some(plan) => Ok((hash, plan)),
            None => Err(Stop::Refused(format!("the plan {hash} is not there yet: try again"))),
        }
    }

    // ----- what they have in common -----

    async fn under_way(&self, what_for: &str) -> Result<UnderWay, Stop> {
        let under_way = self.operator.under_way(&self.group).await?;
        under_way
            .ok_or_else(|| Stop::Refused(format!("nothing is under way: there is nothing to {what_for}")))
    }

    async fn holder(&self) -> Result<Holder, Stop> {
        Ok(self.operator.holder(&self.group).await?)
    }

    async fn order(&self, what: OrderKind) -> Result<Order, Stop> {
        let order = Order { what, by: self.by.clone(), reason: self.why.clone(), at: Timestamp::now() };
        self.operator.order(&self.group, order.clone()).await?;
        Ok(order)
    }

    /// Waits until the order is gone from the ledger.
    async fn taken(&self, order: &Order, by: &ActorId) -> Result<(), Stop> {
        note(&format!("{by} holds the lease: waiting until the order is taken"));
        match self.until(self.patience(), |ledger: &Ledger| !ledger.orders.contains(order)).await? {
            Some(_) => Ok(()),
            None => Err(Stop::Refused(format!(
                "{by} has not taken the order in {} s; it stays in the ledger for whoever acts next",
                self.patience().as_secs()
            ))),
        }
    }

    /// Long enough for a holder that lives to take an order, or for a dead one to be known as dead.
    fn patience(&self) -> Duration {
        let timing = &self.operator.deployment().spec().policy.timing;
        timing.lease * 2 + timing.beat * 2 + timing.call_deadline
    }

    /// Reads the ledger until something holds of it; none if it never did.
    async fn until(
        &self,
        patience: Duration,
        holds: impl Fn(&Ledger) -> bool,
    ) -> Result<Option<Ledger>, Stop> {
        let looks = patience.as_millis() / LOOK_AGAIN.as_millis();
        for _ in 0..looks.max(1) {
            let ledger = self.operator.ledger(&self.group).await?;
            if let Some(ledger) = ledger.filter(|ledger| holds(ledger)) {
                return Ok(Some(ledger));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(None)
    }

    /// Finishes what is under way here, orders first.
    async fn finish(&self) -> Result<Outcome, Stop> {
        let mandate = Mandate::Finish { by: self.why.clone() };
        follow::carry_out(self.operator, &self.group, mandate, self.screen).await
    }

    fn done(&self, text: &str, holder: &Holder) -> Outcome {
        self.screen.say(text);
        let holder = match holder {
            Holder::Nobody => None,
            Holder::Alive(actor) | Holder::Silent(actor) => Some(actor),
        };
        Outcome::new(Exit::Done, json!({ "done": text, "holder": holder }))
    }

    fn would(&self, text: &str) -> Outcome {
        self.screen.say(&format!("dry run: would {text}; nothing was done"));
        Outcome::new(Exit::Done, json!({ "would": text }))
    }
}

fn holder_of(actor: &ActorId) -> Holder {
    Holder::Alive(actor.clone())
}
