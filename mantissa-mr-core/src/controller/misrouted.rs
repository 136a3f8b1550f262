//! Between moves: whether clients are sent where the ledger says that somebody serves. Terraform, or a person, may put an older
//! routing back; people are told once for each change, and nothing is shifted by itself, which would be a fight.

use super::{Controller, Happening};
use crate::ledger::Ledger;
use crate::name::{Region, ResourceName};
use crate::notify::Severity;
use crate::traffic::Weights;

/// A routing that is not as the ledger says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    weights: Weights,
    told: bool,
}

impl Controller {
    /// Judges what was just seen of a router. One look may be older than the end of a move: it takes two.
    pub(super) fn judge_routing(&mut self, router: &ResourceName) {
        let Some(ledger) = self.view.ledger().filter(|_| self.role.leading().is_some()) else {
            // Whoever acts next looks anew, and tells people again.
            return self.misrouted.clear();
        };
        // A move sees to the routing itself.
        if ledger.execution.is_some() || self.view.stale() {
            return self.misrouted.clear();
        }
        // What could not be seen now says nothing new.
        let seen = self.facts.routings.get(router).filter(|seen| seen.at == self.moment());
        let Some(weights) = seen.map(|seen| seen.value.weights.clone()) else { return };
        match (wrong(ledger, &weights), self.misrouted.get(router).cloned()) {
            (Some(what), Some(seen)) if seen.weights == weights => {
                self.misrouted.insert(router.clone(), Seen { weights, told: true });
                if !seen.told {
                    self.tell_of_routing(format!(
                        "the routing of {router} is not as the ledger says: {what}; somebody else changed it (Terraform?), \
                         and nothing changes it back by itself"
                    ));
                }
            }
            (Some(_), _) => _ = self.misrouted.insert(router.clone(), Seen { weights, told: false }),
            (None, Some(seen)) => {
                self.misrouted.remove(router);
                if seen.told {
                    self.tell_of_routing(format!("the routing of {router} is as the ledger says again"));
                }
            }
            (None, None) => {}
        }
    }

    fn tell_of_routing(&mut self, text: String) {
        self.tell(Happening::Trouble(text.clone()));
        self.notify(Severity::Warning, text);
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
