//! What people asked of whoever holds the lease, through the ledger: each order is obeyed or refused, with a reason that is
//! told, and crossed out.

use super::carry::LoadFor;
use super::lease::Purpose;
use super::{Controller, Happening};
use crate::ledger::{Ledger, Order, OrderKind};
use crate::name::StepId;
use crate::notify::Severity;
use crate::plan::PlanHash;

impl Controller {
    pub(super) fn take_orders(&mut self) {
        let Some(ledger) = self.view.ledger().cloned() else { return };
        if self.pending.load.is_some() || !self.knows_what_is_meant(&ledger) {
            return;
        }
        let fresh: Vec<Order> =
            ledger.orders.iter().filter(|order| !self.pending.orders.contains(order)).cloned().collect();
        for order in &fresh {
            self.obey(order, &ledger);
        }
        if !fresh.is_empty() {
            self.pending.orders.extend(fresh.iter().cloned());
            self.change_ledger(Purpose::Orders(fresh));
        }
    }

    /// An order about what is under way is taken once that is loaded: before, it would meet nothing, and be lost. What never
    /// will be loaded takes none, and what is about to be superseded takes none any more: kept, they would meet its successor.
    fn knows_what_is_meant(&self, ledger: &Ledger) -> bool {
        let Some(running) = &ledger.execution else { return true };
        let unreadable = self.pending.unreadable.as_ref() == Some(&running.id);
        self.execution.is_some() || unreadable || self.supersedes()
    }

    /// Whether a move is being begun that takes the place of the one under way.
    fn supersedes(&self) -> bool {
        self.pending.begin.as_ref().is_some_and(|begin| begin.plan.supersedes.is_some())
    }

    fn obey(&mut self, order: &Order, ledger: &Ledger) {
        let why = format!("{}: {}", order.by, order.reason);
        let done = match &order.what {
            OrderKind::Acknowledge if ledger.ended.is_none() => Err("nothing has moved yet".to_owned()),
            OrderKind::Acknowledge => Ok(()),
            OrderKind::Approve(hash) => self.approve(hash, ledger),
            _ if self.supersedes() => Err("another move is about to take its place".to_owned()),
            _ if ledger.execution.is_some() && self.execution.is_none() => {
                Err("its plan cannot be read: only another move can take its place".to_owned())
            }
            _ if self.execution.is_none() => Err("nothing is under way".to_owned()),
            OrderKind::Pause => self.pause_execution(&why),
            OrderKind::Resume if self.resume_execution(&why) => Ok(()),
            OrderKind::Resume => Err("it does not wait for anybody".to_owned()),
            OrderKind::Skip(step) => self.skip_step(step, &why),
            OrderKind::Abort => self.abort_execution(&why),
        };
        if let Err(reason) = done {
            let text = format!("the order of {} ({:?}) was refused: {reason}", order.by, order.what);
            self.tell(Happening::Trouble(text.clone()));
            self.notify(Severity::Warning, text);
        }
    }

    fn pause_execution(&mut self, why: &str) -> Result<(), String> {
        let Some(execution) = &mut self.execution else { return Ok(()) };
        let wants = execution.pause(why);
        let paused = execution.paused().is_some();
        self.fulfil(wants);
        if paused { Ok(()) } else { Err("every step is done: it only has to be ended".to_owned()) }
    }

    fn skip_step(&mut self, step: &StepId, why: &str) -> Result<(), String> {
        let Some(execution) = &mut self.execution else { return Ok(()) };
        let wants = execution.skip(step, why)?;
        self.fulfil(wants);
        Ok(())
    }

    fn abort_execution(&mut self, why: &str) -> Result<(), String> {
        self.execution.as_mut().map_or(Ok(()), |execution| execution.abort(why))
    }

    fn approve(&mut self, hash: &PlanHash, ledger: &Ledger) -> Result<(), String> {
        let Some(proposal) = ledger.proposal.as_ref().filter(|proposal| proposal.plan == *hash) else {
            return Err("this plan is not proposed any more".into());
        };
        if self.pending.begin.is_some() {
            return Err("a move is being begun already".into());
        }
        if proposal.expires <= self.now.wall {
            return Err(format!("the proposal ran out at {}", proposal.expires));
        }
        self.pending.load = Some((hash.clone(), LoadFor::Approved));
        self.load_plan(hash);
        Ok(())
    }
}
