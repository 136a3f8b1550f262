//! Orders through the ledger, and whether there is anybody to take them.

use std::time::Duration;

use super::Operator;
use crate::cell::Expected;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Lease, Ledger, Order, Token};
use crate::name::{ActorId, GroupName};
use crate::register::{Patience, Swap, Swapped, swap, writer};

/// Attempts to change the ledger against others who change it too.
const ATTEMPTS: u32 = 20;
/// From one look at the lease to the next, at least.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Who holds a group's lease, and whether they live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: a person's command can act at once.
    Nobody,
    /// This one, who gave a sign of life while it was watched: an order will be taken.
    Alive(ActorId),
    /// This one, who gave none for as long as the lease lasts: whoever comes next takes over.
    Silent(ActorId),
}

impl Operator {
    /// Hands an order to whoever holds the lease. Taken orders are gone from the ledger; giving the same one twice does
    /// nothing more.
    ///
    /// # Errors
    /// The ledger cannot be read or changed.
    pub async fn order(&self, group: &GroupName, order: Order) -> Result<()> {
        let add = |ledger: &Ledger| {
            let mut next = ledger.clone();
            if !next.orders.contains(&order) {
                next.orders.push(order.clone());
            }
            Ok(next)
        };
        self.change_ledger(group, "give an order", add).await.map(|_| ())
    }

    /// Notes that a person has looked at the last move: the cool-down ends. Needs nobody who holds the lease.
    ///
    /// # Errors
    /// `NotFound` if nothing has moved yet; otherwise the ledger cannot be read or changed.
    pub async fn acknowledge(&self, group: &GroupName) -> Result<Ledger> {
        let operation = "acknowledge the last move";
        let note = |ledger: &Ledger| {
            let mut next = ledger.clone();
            let Some(ended) = &mut next.ended else {
                return Err(Error::new(ErrorKind::NotFound, operation, "nothing has moved yet"));
            };
            ended.acknowledged = true;
            Ok(next)
        };
        self.change_ledger(group, operation, note).await
    }

    /// Watches the lease until its holder gives a sign of life, or for as long as the lease lasts.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn holder(&self, group: &GroupName) -> Result<Holder> {
        let policy = &self.deployment.spec().policy;
        let patience = policy.gate.rate_margin.wait_for(policy.timing.lease);
        let pause = (policy.timing.beat / 3).max(LOOK_AGAIN);
        let began = self.clock.moment();
        let mut first: Option<Lease> = None;
        loop {
            let lease = self.existing_ledger(group, "watch the lease").await?.lease;
            let Some(holder) = lease.holder.clone() else { return Ok(Holder::Nobody) };
            match &first {
                Some(first) if *first != lease => return Ok(Holder::Alive(holder)),
                Some(_) if self.clock.moment().since(began) > patience => return Ok(Holder::Silent(holder)),
                Some(_) => {}
                None => first = Some(lease),
            }
            tokio::time::sleep(pause).await;
        }
    }

    pub(super) async fn existing_ledger(&self, group: &GroupName, operation: &str) -> Result<Ledger> {
        self.ledger(group).await?.ok_or_else(|| no_ledger(operation))
    }

    /// One compare-and-swap of the ledger, again as long as others are faster. What changes nothing is not stored.
    async fn change_ledger(
        &self,
        group: &GroupName,
        operation: &str,
        mut change: impl FnMut(&Ledger) -> Result<Ledger>,
    ) -> Result<Ledger> {
        let cell = self.cells(group).ledger();
        for attempt in 0..ATTEMPTS {
            let Some(found) = self.backend.cells.load(&cell).await? else { return Err(no_ledger(operation)) };
            let ledger = Ledger::decode(&found.value)?;
            ledger.check(&self.deployment, group)?;
            let mut next = change(&ledger)?;
            if next == ledger {
                return Ok(ledger);
            }
            // The clock's moment keeps apart what one process changes one after the other.
            let moment = self.clock.moment().as_nanos();
            next.writer = Token(format!("{}#by-hand-{moment}-{attempt}", self.actor));
            let wish = Swap::new(cell.clone(), Expected::Version(found.version), next.encode(), writer)?;
            if let Swapped::Applied { .. } = swap(&*self.backend.cells, wish, &Patience::default()).await? {
                return Ok(next);
            }
        }
        let message = format!("others changed the ledger {ATTEMPTS} times meanwhile");
        Err(Error::new(ErrorKind::Conflict, operation, message).with_advice("try again"))
    }
}

fn no_ledger(operation: &str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "this group has no ledger")
        .with_advice("run `init` once for this deployment")
}
