//! After the command everything is mended, people do for what waits what the documentation says, and then the group is
//! moved as ever.

use std::sync::Arc;

use mantissa_mr_core::controller::Mandate;
use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::ledger::OrderKind;
use mantissa_mr_core::name::{Region, ResourceName};
use mantissa_mr_core::plan::{Move, MoveRequest};
use mantissa_mr_core::sim::{Fault, Wish, oracle};

use super::answer::Answer;
use super::on_site;
use super::setting::request;
use super::situation::Site;
use super::stage::{group, store};

/// Nothing is stuck: no oracle finds anything, and a planned move goes through.
pub(crate) fn moves_as_ever(site: &mut Site) {
    site.turn.fault(Fault::Heal);
    site.turn.pass(30);
    site.look_after();
    match site.turn.cast.deployment.spec().strategy {
        Strategy::ActivePassive => site.moves_over(Move::Switchover),
        Strategy::ActiveActive => site.leaves_and_returns(),
    }
    site.turn.simulation.audit();
    assert_eq!(oracle::check(site.turn.simulation.history()), []);
}

impl Site {
    /// What waits for a person is resumed, and given up if that did not help; what cannot be given up is superseded.
    fn look_after(&mut self) {
        for what in [Some(OrderKind::Resume), Some(OrderKind::Abort), None] {
            self.wait(60, |site| site.is_quiet() || site.waits());
            if self.is_quiet() {
                break;
            }
            let wish = match what {
                Some(what) => Wish::Order { group: group(), what },
                None => Wish::Move { group: group(), kind: Move::Failover, region: None, force: true },
            };
            self.turn.person.act(&mut self.turn.simulation, &self.turn.cast, &wish);
            self.wait(30, Self::is_quiet);
        }
        assert!(self.wait(60, Self::is_quiet), "it goes on for ever: {}", self.stands());
        // A command that waited for its turn finds that its plan is stale.
        self.turn.pass(15);
    }

    fn is_quiet(&self) -> bool {
        self.turn.ledger().execution.is_none()
    }

    fn waits(&self) -> bool {
        self.turn.ledger().execution.is_some_and(|running| running.paused.is_some())
    }

    /// A planned move, whatever is left over from a failover accepted.
    fn carries(&mut self, kind: Move, request: &MoveRequest) {
        let ask = |site: &Self, request: &MoveRequest| {
            on_site::ask(&site.turn, async |operator| operator.plan(&group(), request).await).unwrap()
        };
        let first = ask(self, request);
        let plan = ask(self, &MoveRequest { waivers: self.waivers(&first), ..request.clone() });
        let refusals: Vec<_> = plan.refusals().collect();
        assert!(refusals.is_empty(), "afterwards a {kind} is refused: {refusals:?}");
        let answer = self.carry_out(Mandate::Carry(Arc::new(plan)));
        assert_eq!(answer, Answer::done(format!("{kind} finished")));
    }

    fn moves_over(&mut self, kind: Move) {
        let request = request(kind, &self.turn);
        let before: Vec<Region> = self.turn.ledger().active().cloned().collect();
        self.carries(kind, &request);
        let now: Vec<Region> = self.turn.ledger().active().cloned().collect();
        assert!(now.len() == 1 && now != before, "{before:?}, then {now:?}");
        let world = self.turn.simulation.world();
        assert_eq!(world.writers(&store()), now);
        let weights = world.weights(&ResourceName::new("logs-dns").unwrap()).unwrap();
        assert_eq!(weights.serving().cloned().collect::<Vec<_>>(), now);
    }

    fn leaves_and_returns(&mut self) {
        let away = |site: &Self| site.turn.ledger().admitted(&Region::new("east").unwrap()).is_none();
        if away(self) {
            self.carries(Move::Rejoin, &request(Move::Rejoin, &self.turn));
        }
        self.carries(Move::Evacuate, &request(Move::Evacuate, &self.turn));
        self.carries(Move::Rejoin, &request(Move::Rejoin, &self.turn));
        assert_eq!(self.turn.ledger().active().count(), 3);
    }
}
