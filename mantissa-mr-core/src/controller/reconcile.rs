//! Late writes: where a store cannot refuse the writes of an older epoch, who leads looks for what they overwrote, has it
//! put back, and tells people.
//!
//! It needs no journal: nothing is decided by it, and a restoring write that lands after another move is itself a late
//! write of an older epoch, which the next look finds.

use std::collections::BTreeMap;

use super::{Controller, Tag};
use crate::call::{Call, Reply};
use crate::clock::Moment;
use crate::deployment::Strategy;
use crate::error::{Error, ErrorKind};
use crate::name::{Region, ResourceName};
use crate::notify::Severity;
use crate::store::{Cursor, LateWrites, Overtaken, Reconciled, Reconciliation};

/// So many keys are named in one notice.
const KEYS: usize = 20;

/// How far each store has been looked through.
#[derive(Debug)]
pub(super) struct Reconciling {
    next: Moment,
    cursors: BTreeMap<ResourceName, Cursor>,
    /// The stores of which people know that they cannot be looked through now.
    failing: BTreeMap<ResourceName, ErrorKind>,
    /// The regions of which people know that their history could not be read.
    unread: BTreeMap<ResourceName, Vec<Region>>,
}

impl Default for Reconciling {
    fn default() -> Self {
        Self {
            next: Moment::START,
            cursors: BTreeMap::new(),
            failing: BTreeMap::new(),
            unread: BTreeMap::new(),
        }
    }
}

impl Controller {
    /// Looks for late writes when it is time; not while a group moves, and not where several regions write.
    pub(super) fn run_reconcile(&mut self) {
        if !self.watches() || self.role.leading().is_none() || self.view.stale() {
            return;
        }
        let Some(serving) = self.serves_alone() else { return };
        let stores = self.group().stores.iter().map(|store| store.name.clone());
        let undone = |store: &ResourceName| {
            let known = self.settings.catalog.stores.get(store);
            known.is_some_and(|can| can.late_writes == LateWrites::Undone)
        };
        let stores: Vec<ResourceName> = stores.filter(undone).collect();
        if stores.is_empty() {
            return;
        }
        let now = self.moment();
        if now >= self.reconciling.next {
            self.reconciling.next = now + self.timing().reconcile;
            for store in stores {
                if !self.waits_for(|tag| *tag == Tag::Reconcile(store.clone())) {
                    let after = self.reconciling.cursors.get(&store).cloned();
                    let call = Call::Reconcile { store: store.clone(), serving: serving.clone(), after };
                    let deadline = self.timing().call_deadline;
                    self.call(Tag::Reconcile(store), call, deadline);
                }
            }
        }
        let at = self.reconciling.next;
        self.wake_at(at);
    }

    /// The region that serves, where one does and nothing is under way.
    fn serves_alone(&self) -> Option<Region> {
        let ledger = self.view.ledger()?;
        let passive = self.deployment().spec().strategy == Strategy::ActivePassive;
        let mut active = ledger.active();
        let serving = active.next().filter(|_| passive && ledger.execution.is_none())?;
        active.next().is_none().then(|| serving.clone())
    }

    pub(super) fn reconciled(&mut self, store: &ResourceName, reply: Reply) {
        match reply {
            Reply::Reconcile(Ok(Reconciled { overtaken, cursor, unread })) => {
                self.reconciling.failing.remove(store);
                self.tell_of_unread(store, unread);
                if let Some(cursor) = cursor {
                    self.reconciling.cursors.insert(store.clone(), cursor);
                }
                for found in overtaken.chunks(KEYS) {
                    self.notify(Severity::Warning, describe(store, found));
                }
            }
            Reply::Reconcile(Err(error)) => self.reconcile_failed(store, &error),
            _ => {}
        }
    }

    /// A region that does not answer is looked through when it does again; one whose history has forgotten something is not.
    fn tell_of_unread(&mut self, store: &ResourceName, unread: Vec<Region>) {
        let known = self.reconciling.unread.insert(store.clone(), unread.clone());
        if !unread.is_empty() && known.as_ref() != Some(&unread) {
            let regions: Vec<&str> = unread.iter().map(Region::as_str).collect();
            let text =
                format!("late writes to {store} could not be looked for in {} now", regions.join(", "));
            self.notify(Severity::Info, text);
        }
    }

    /// What lasts is told once; what passes by itself is tried again at the next look.
    fn reconcile_failed(&mut self, store: &ResourceName, error: &Error) {
        if error.kind() == ErrorKind::InvalidInput {
            self.reconciling.cursors.remove(store);
        }
        let passes =
            matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::Throttled);
        let known = self.reconciling.failing.insert(store.clone(), error.kind());
        if !passes && known != Some(error.kind()) {
            let text = format!("late writes to {store} cannot be looked for: {error}");
            self.notify(Severity::Warning, text);
        }
    }
}

fn describe(store: &ResourceName, found: &[Overtaken]) -> String {
    let of = |outcome| -> Vec<String> {
        let found = found.iter().filter(|overtaken| overtaken.outcome == outcome);
        found.map(|Overtaken { key, late, newer, .. }| format!("{key} (epoch {late} over {newer})")).collect()
    };
    let mut text = format!("late writes of an older epoch reached {store}");
    let (restored, rewritten) = (of(Reconciliation::Restored), of(Reconciliation::Rewritten));
    if !restored.is_empty() {
        text.push_str(&format!("; what they overwrote is restored: {}", restored.join(", ")));
    }
    if !rewritten.is_empty() {
        text.push_str(&format!(
            "; written again since, look whether on a late value: {}",
            rewritten.join(", ")
        ));
    }
    text
}
