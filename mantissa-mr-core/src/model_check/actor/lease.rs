//! The lease and the ledger: reading it, taking the lease, one swap at a time, and stopping when somebody else acts.

use super::{Actor, Desk, Effect, OpenSwap, Purpose, Read, Role};
use crate::call::{Call, Reply};
use crate::cell::Expected;
use crate::controller::may_take;
use crate::execute::Change;
use crate::journal::Event;
use crate::ledger::{Ended, Ledger, LedgerRefusal, Outcome, Term, Token};
use crate::model_check::carry::Told;
use crate::model_check::seeded::Seeded;
use crate::model_check::setup::{Setup, version_of, wall};
use crate::register::{Next, Swap, writer};

impl Actor {
    pub(super) fn look(&mut self, desk: &mut Desk<'_>) {
        self.adopt(desk);
        let Role::Following { seen, since } = &self.role else { return };
        let setup = desk.setup;
        let (ledger, here) = (desk.ledger(self.view), Some(&setup.regions[self.region]));
        let waited = desk.now.moment.since(*since);
        let busy = self.swap.is_some() || !self.queue.is_empty();
        // Once the move is over there is nothing to take the lease for.
        let more = desk.seen.take_over && ledger.execution.is_some();
        if more && !busy && may_take(&setup.policy, &ledger, here, true, waited) {
            self.queue.push_back(Purpose::Acquire(seen.clone()));
        }
    }

    /// Reads the ledger, and sees whose it is.
    pub(super) fn adopt(&mut self, desk: &mut Desk<'_>) {
        let ledger = desk.ledger(desk.seen.ledger);
        let lease = ledger.lease.clone();
        let mine = lease.holder.as_ref() == Some(&desk.setup.actor(self.region));
        match &self.role {
            Role::Leading { term } | Role::Recovering { term } if mine && lease.term == *term => {}
            Role::Leading { .. } | Role::Recovering { .. } => self.step_down(desk),
            Role::Following { seen, .. } if *seen == lease => {}
            Role::Following { .. } => {
                self.role = Role::Following { seen: lease.clone(), since: desk.now.moment };
            }
        }
        self.view = desk.seen.ledger;
        if mine && self.held().is_none() && self.swap.is_none() {
            self.recover(desk, lease.term, &ledger);
        }
    }

    /// Stops acting: what it had begun is somebody else's now.
    pub(super) fn step_down(&mut self, desk: &mut Desk<'_>) {
        let view = desk.seen.ledger;
        *self = Self::following(self.region, desk.setup, view, desk.now.moment);
        desk.effects.push(Effect::Forgets);
    }

    /// Sends the next change of the ledger, if none is under way.
    pub(super) fn run_swaps(&mut self, desk: &mut Desk<'_>) {
        while self.swap.is_none()
            && let Some(purpose) = self.queue.pop_front()
        {
            let ledger = desk.ledger(self.view);
            if matches!(&purpose, Purpose::Acquire(seen) if *seen != ledger.lease) {
                continue;
            }
            match self.apply(desk, &purpose, &ledger) {
                Ok(next) => self.send(desk, purpose, next),
                Err(LedgerRefusal::Superseded { .. }) if self.held().is_some() => self.step_down(desk),
                Err(refusal) => {
                    if let Purpose::Step(step, _) = purpose {
                        self.tell(desk, Told::Swapped(step, Err(refusal)));
                    }
                }
            }
        }
    }

    fn apply(&self, desk: &Desk<'_>, purpose: &Purpose, ledger: &Ledger) -> Result<Ledger, LedgerRefusal> {
        let (setup, id) = (desk.setup, &desk.setup.running.id);
        let term = self.held().unwrap_or(ledger.lease.term);
        let mut next = match purpose {
            Purpose::Acquire(_) => {
                let mut next = ledger.acquire(&setup.actor(self.region));
                if setup.has(Seeded::KeepsTerm) {
                    next.lease.term = ledger.lease.term;
                }
                next
            }
            Purpose::Step(_, Change::Seal(regions)) => ledger.seal(term, id, regions)?,
            Purpose::Step(_, Change::Open(region)) => {
                let mut next = ledger.open(term, id, region)?;
                if setup.has(Seeded::KeepsEpoch)
                    && let Some(admission) = next.admissions.get_mut(region)
                {
                    admission.epoch = ledger.epoch();
                }
                next
            }
            Purpose::Step(_, Change::Leave(region)) => ledger.leave(term, id, region)?,
            Purpose::Step(_, Change::Reopen) => ledger.reopen(term, id)?,
            Purpose::End => ledger.finish(term, self.ended(setup))?,
        };
        if self.head.slots > next.journal.slots {
            next.journal = self.head.clone();
        }
        Ok(next)
    }

    fn ended(&self, setup: &Setup) -> Ended {
        let aborted = self.records.iter().any(|record| matches!(record.event, Event::Aborting { .. }));
        Ended {
            id: setup.running.id.clone(),
            kind: setup.plan.kind,
            outcome: if aborted { Outcome::Aborted } else { Outcome::Finished },
            region: setup.plan.to.clone(),
            at: wall(),
            acknowledged: true,
            unreconciled: Vec::new(),
        }
    }

    fn send(&mut self, desk: &mut Desk<'_>, purpose: Purpose, mut next: Ledger) {
        let setup = desk.setup;
        next.writer = self.token(setup, next.lease.term, 2 * u64::from(self.view.0));
        let (expected, bytes) = (Expected::Version(version_of(self.view.0)), next.encode());
        let mut swap = Swap::new(setup.cells.ledger(), expected, bytes, writer).unwrap();
        // The call says nothing that its swap does not.
        let _ = swap.begin();
        let value = setup.number(next);
        desk.effects.push(Effect::Swap { expected: self.view.0, value });
        self.swap = Some(OpenSwap { swap, purpose, value, on: self.view, again: 0 });
        if setup.has(Seeded::WaitFromSend) {
            self.sent = desk.now.moment;
        }
    }

    /// The token of its write upon this state of this cell, under this term: it makes no two.
    pub(super) fn token(&self, setup: &Setup, term: Term, upon: u64) -> Token {
        Token::new(&setup.actor(self.region), term.0 * 1_000 + upon)
    }

    pub(super) fn swapped(&mut self, desk: &mut Desk<'_>, mut reply: Reply) {
        let Some(mut open) = self.swap.take() else { return };
        loop {
            match open.swap.step(reply) {
                Next::Call(Call::Load { .. }) => {
                    let (version, there) = desk.seen.ledger;
                    reply = Reply::Load(Ok(Some(desk.setup.cell(there, version))));
                }
                Next::Call(_) => {
                    desk.effects.push(Effect::Swap { expected: open.on.0, value: open.value });
                    open.again += 1;
                    self.swap = Some(open);
                    return;
                }
                Next::Applied { version } => {
                    let version = version.0.parse().expect("a number of changes");
                    return self.applied(desk, open.purpose, (version, open.value));
                }
                Next::Lost(_) => {
                    self.queue.push_front(open.purpose);
                    self.queue.retain(|purpose| !matches!(purpose, Purpose::Acquire(_)));
                    return self.adopt(desk);
                }
                Next::Failed(error) => panic!("no cell of the model fails: {error}"),
            }
        }
    }

    fn applied(&mut self, desk: &mut Desk<'_>, purpose: Purpose, read: Read) {
        self.view = read;
        match purpose {
            Purpose::Acquire(_) => {
                let ledger = desk.ledger(read);
                self.recover(desk, ledger.lease.term, &ledger);
            }
            Purpose::Step(step, _) => self.tell(desk, Told::Swapped(step, Ok(()))),
            Purpose::End => (self.carry, self.complete) = (None, false),
        }
    }
}
