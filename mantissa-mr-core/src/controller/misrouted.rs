//! Between moves: whether clients are sent where the ledger says that somebody serves. Terraform, or a person, may put an older
//! routing back; people are told, and nothing is shifted by itself, which would be a fight.

use super::Controller;
use super::at_rest::News;
use crate::ledger::Ledger;
use crate::name::{Region, ResourceName};
use crate::notify::Severity;
use crate::traffic::Weights;

impl Controller {
    /// Judges what was just seen of a router. Another wrong routing is another change.
    pub(super) fn judge_routing(&mut self, router: &ResourceName) {
        let Some(ledger) = self.ledger_at_rest() else { return self.misrouted.forget() };
        // What could not be seen now says nothing new.
        let seen = self.facts.routings.get(router).filter(|seen| seen.at == self.moment());
        let Some(weights) = seen.map(|seen| &seen.value.weights) else { return };
        let what = wrong(ledger, weights);
        let found = what.is_some().then(|| weights.clone());
        let text = match self.misrouted.saw(router, found) {
            Some(News::Wrong) => format!(
                "the routing of {router} is not as the ledger says: {}; somebody else changed it (Terraform?), \
                 and nothing changes it back by itself",
                what.unwrap_or_default()
            ),
            Some(News::RightAgain) => format!("the routing of {router} is as the ledger says again"),
            None => return,
        };
        self.tell_at_rest(Severity::Warning, text);
    }
}

/// What is wrong with a routing: a region that may not serve gets clients, or one that may gets none. How those that serve
/// share them is the operators' own matter.
fn wrong(ledger: &Ledger, weights: &Weights) -> Option<String> {
    let admitted = |region: &&Region| ledger.admitted(region).is_some();
    let sent = weights.serving().filter(|region| !admitted(region));
    let sent: Vec<String> = sent.map(|region| format!("{region} gets clients and does not serve")).collect();
    let idle = ledger.active().filter(|region| weights.of(region) == 0);
    let idle: Vec<String> = idle.map(|region| format!("{region} serves and gets none")).collect();
    let found = [sent, idle].concat();
    (!found.is_empty()).then(|| found.join(", "))
}
