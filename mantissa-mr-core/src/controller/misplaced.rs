//! Between moves: whether the stores let write where the ledger says that somebody serves. A person may promote another region by
//! hand, and a promotion may be carried out that was given up for lost; people are told once for each change, and nothing is
//! promoted by itself.

use super::{Controller, Happening};
use crate::deployment::Strategy;
use crate::ledger::Ledger;
use crate::name::ResourceName;
use crate::notify::Severity;
use crate::store::{Role, StoreStatus};

/// A store whose writer is not the region that serves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    what: String,
    told: bool,
}

impl Controller {
    /// Judges what was just seen of a store. One look may be older than the end of a move: it takes two.
    pub(super) fn judge_writer(&mut self, store: &ResourceName) {
        let Some(ledger) = self.view.ledger().filter(|_| self.role.leading().is_some()) else {
            return self.misplaced.clear();
        };
        // A move sees to its promotions itself.
        if ledger.execution.is_some() || self.view.stale() {
            return self.misplaced.clear();
        }
        let promotes = self.settings.catalog.stores.get(store).is_some_and(|store| store.needs_promotion);
        // What could not be seen now says nothing new.
        let seen = self.facts.stores.get(store).filter(|seen| promotes && seen.at == self.moment());
        let Some(found) = seen.and_then(|seen| wrong(ledger, &seen.value)) else { return };
        match (found, self.misplaced.get(store).cloned()) {
            (Some(what), Some(seen)) if seen.what == what => {
                if !seen.told {
                    self.tell_of_writer(format!(
                        "{store} does not let write where the ledger says: {what}; somebody else promoted a region, or a \
                         promotion that was given up for lost was carried out, and nothing changes it back by itself"
                    ));
                }
                self.misplaced.insert(store.clone(), Seen { what, told: true });
            }
            (Some(what), _) => _ = self.misplaced.insert(store.clone(), Seen { what, told: false }),
            (None, Some(seen)) => {
                self.misplaced.remove(store);
                if seen.told {
                    self.tell_of_writer(format!("{store} lets write where the ledger says again"));
                }
            }
            (None, None) => {}
        }
    }

    fn tell_of_writer(&mut self, text: String) {
        self.tell(Happening::Trouble(text.clone()));
        self.notify(Severity::Critical, text);
    }
}

/// What is wrong with a store's writer, if anything; none where the region that serves does not answer.
#[expect(clippy::option_option, reason = "no answer is not the answer that all is well")]
fn wrong(ledger: &Ledger, status: &StoreStatus) -> Option<Option<String>> {
    let serves = ledger.active().next().filter(|_| ledger.strategy == Strategy::ActivePassive)?;
    match status.replicas.get(serves)?.role {
        Role::Unreachable => None,
        Role::Writer => Some(None),
        _ => {
            let others = status.replicas.iter().filter(|(_, replica)| replica.role == Role::Writer);
            let others: Vec<&str> = others.map(|(region, _)| region.as_str()).collect();
            let who = if others.is_empty() { "nobody that answers".to_owned() } else { others.join(", ") };
            Some(Some(format!("{serves} serves and is not its writer, {who} is")))
        }
    }
}
