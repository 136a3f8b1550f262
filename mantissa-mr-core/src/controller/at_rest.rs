//! What is looked at between moves, when the ledger alone says how the world should be: people are told of a difference once
//! for each change, and nothing is changed by itself.

use std::collections::BTreeMap;

use super::{Controller, Happening};
use crate::ledger::Ledger;
use crate::name::ResourceName;
use crate::notify::Severity;

/// What is not as the ledger says, by resource, and whether people were told.
#[derive(Debug)]
pub(super) struct Differences<T>(BTreeMap<ResourceName, (T, bool)>);

/// What people are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Wrong,
    RightAgain,
}

impl<T> Default for Differences<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: PartialEq> Differences<T> {
    /// Takes in what was seen of a resource; none if all is well. One look may be older than the end of a move: a difference
    /// is news once it was seen twice.
    pub(super) fn saw(&mut self, resource: &ResourceName, found: Option<T>) -> Option<News> {
        let Some(found) = found else {
            let (_, told) = self.0.remove(resource)?;
            return told.then_some(News::RightAgain);
        };
        match self.0.get_mut(resource) {
            Some((known, told)) if *known == found => (!std::mem::replace(told, true)).then_some(News::Wrong),
            _ => {
                self.0.insert(resource.clone(), (found, false));
                None
            }
        }
    }

    /// Whoever looks next looks anew, and tells people again.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Controller {
    /// The ledger, for who leads while nothing moves: a move sees to everything itself.
    pub(super) fn ledger_at_rest(&self) -> Option<&Ledger> {
        let ledger = self.view.ledger().filter(|_| self.role.leading().is_some() && !self.view.stale());
        ledger.filter(|ledger| ledger.execution.is_none())
    }

    pub(super) fn tell_at_rest(&mut self, severity: Severity, text: String) {
        self.tell(Happening::Trouble(text.clone()));
        self.notify(severity, text);
    }
}
