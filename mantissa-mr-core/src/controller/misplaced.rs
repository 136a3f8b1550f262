//! Between moves: whether the stores let write where the ledger says that somebody serves. A person may promote another
//! region by hand, and a promotion may be carried out that was given up for lost.

use super::Controller;
use super::at_rest::News;
use crate::deployment::Strategy;
use crate::name::ResourceName;
use crate::notify::Severity;
use crate::store::Role;

impl Controller {
    /// Judges what was just seen of a store that lets one region write.
    pub(super) fn judge_writer(&mut self, store: &ResourceName) {
        let Some(ledger) = self.ledger_at_rest() else { return self.misplaced.forget() };
        let promotes = self.settings.catalog.stores.get(store).is_some_and(|store| store.needs_promotion);
        let serves =
            ledger.active().next().filter(|_| ledger.strategy == Strategy::ActivePassive && promotes);
        // What could not be seen now says nothing new.
        let seen = self.facts.stores.get(store).filter(|seen| seen.at == self.moment());
        let (Some(serves), Some(seen)) = (serves, seen) else { return };
        let replicas = &seen.value.replicas;
        let found = match replicas.get(serves).map(|replica| replica.role) {
            None | Some(Role::Unreachable) => return,
            Some(Role::Writer) => None,
            Some(_) => {
                let others = replicas.iter().filter(|(_, replica)| replica.role == Role::Writer);
                let others: Vec<&str> = others.map(|(region, _)| region.as_str()).collect();
                let who =
                    if others.is_empty() { "nobody that answers".to_owned() } else { others.join(", ") };
                Some(format!("{serves} serves and is not its writer, {who} is"))
            }
        };
        let what = found.clone().unwrap_or_default();
        let text = match self.misplaced.saw(store, found) {
            Some(News::Wrong) => format!(
                "{store} does not let write where the ledger says: {what}; somebody else promoted a region, or a promotion \
                 that was given up for lost was carried out, and nothing changes it back by itself"
            ),
            Some(News::RightAgain) => format!("{store} lets write where the ledger says again"),
            None => return,
        };
        self.tell_at_rest(Severity::Critical, text);
    }
}
