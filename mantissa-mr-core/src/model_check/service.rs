//! The services: the library's own gates, and the writes that they permit.

use super::seeded::Seeded;
use super::setup::{FROM, SLOW, Setup};
use super::state::{Service, State};
use super::table::{Interner, Memo};
use crate::call::{Input, Machine, Output, Reply};
use crate::clock::Now;
use crate::deployment::Deployment;
use crate::gate::{GateMachine, Permit, RenewPolicy};

/// A gate, in a region, at a moment of its clock.
pub(super) type At = (u32, usize, u8);

/// Every gate that there ever was, and what each did.
#[derive(Debug, Default)]
pub(super) struct Services {
    gates: Interner<GateMachine>,
    permits: Interner<Permit>,
    seen: Memo<u32, u32>,
    asked: Memo<At, Option<u32>>,
    aged: Memo<At, u32>,
    heard: Memo<(At, u64, u32), u32>,
    open: Memo<At, bool>,
    permitted: Memo<At, Option<u32>>,
    holds: Memo<(At, u32), bool>,
}

impl Services {
    /// A gate that has not read the ledger; the one of the region that serves has just been opened.
    pub(super) fn start(&self, setup: &Setup, region: usize, ledger: u32, clock: u8) -> Service {
        let renew = RenewPolicy { renewals: 3, attempts: 3, first: setup.policy.gate.trust };
        let gate = GateMachine::new(setup.cells.clone(), setup.regions[region].clone(), renew)
            .for_deployment(Deployment::hash(&setup.deployment));
        let gate = gate.modelled(setup.has(Seeded::TrustFromAnswer));
        let gate = self.number(gate, setup.now(region, clock));
        let service = Service { gate, ..Service::default() };
        if region != FROM {
            return service;
        }
        let gate = self.asks(setup, region, gate, clock).expect("a new gate reads at once");
        Service { gate: self.hears(setup, (gate, region, clock), 1, self.seen(setup, ledger)), ..service }
    }

    fn seen(&self, setup: &Setup, ledger: u32) -> u32 {
        self.seen.get(&ledger, || setup.seen_by_gates(ledger))
    }

    fn number(&self, gate: GateMachine, now: Now) -> u32 {
        self.gates.number(gate.key(now), gate)
    }

    /// The same gate, when it is later.
    pub(super) fn aged(&self, setup: &Setup, at: At) -> u32 {
        self.aged.get(&at, || self.gates.of(at.0, |gate| self.number(gate.clone(), setup.now(at.1, at.2))))
    }

    /// The gate once it has read the ledger, if it is time to.
    fn asks(&self, setup: &Setup, region: usize, gate: u32, clock: u8) -> Option<u32> {
        let now = setup.now(region, clock);
        let ask = |gate: &GateMachine| {
            let mut machine = gate.clone();
            let outputs = machine.step(now, Input::Wake);
            let reads = outputs.iter().any(|output| matches!(output, Output::Call(_)));
            reads.then(|| self.number(machine, now))
        };
        self.asked.get(&(gate, region, clock), || self.gates.of(gate, ask))
    }

    /// The gate once it has got the answer to its read so-and-so.
    fn hears(&self, setup: &Setup, at: At, since: u64, read: u32) -> u32 {
        let (gate, region, clock) = at;
        let now = setup.now(region, clock);
        let hear = |gate: &GateMachine| {
            let mut machine = gate.clone();
            let reply = Reply::Load(Ok(Some(setup.cell(read, 0))));
            let id = machine.number(since);
            let _ = machine.step(now, Input::Reply { id, reply });
            self.number(machine, now)
        };
        self.heard.get(&(at, since, read), || self.gates.of(gate, hear))
    }

    /// Whether the gate's trust has not run out.
    pub(super) fn is_open(&self, setup: &Setup, state: &State, region: usize) -> bool {
        let at = (state.services[region].gate, region, state.clocks[region]);
        self.open.get(&at, || self.gates.of(at.0, |gate| gate.is_open(setup.now(region, at.2))))
    }

    /// Whether a write could be acknowledged in this region now.
    pub(super) fn serves(&self, setup: &Setup, state: &State, region: usize) -> bool {
        self.is_open(setup, state, region) || self.holds(setup, state, region)
    }

    pub(super) fn permit(&self, setup: &Setup, state: &State, region: usize) -> Option<u32> {
        let at = (state.services[region].gate, region, state.clocks[region]);
        self.permitted.get(&at, || {
            let gate = self.gates.get(at.0);
            let now = setup.now(region, at.2);
            let permit = if outlives(setup) { outliving(setup, &gate, now) } else { gate.permit(now).ok() };
            permit.map(|permit| self.permits.number(format!("{permit:?}"), permit))
        })
    }

    /// Whether the write that is under way may be acknowledged.
    pub(super) fn holds(&self, setup: &Setup, state: &State, region: usize) -> bool {
        let Some(permit) = state.services[region].permit else { return false };
        let at = (state.services[region].gate, region, state.clocks[region]);
        self.holds.get(&(at, permit), || {
            let now = setup.now(region, at.2);
            let permit = self.permits.get(permit);
            if outlives(setup) {
                now.moment < permit.deadline
            } else {
                self.gates.get(at.0).holds(now, &permit)
            }
        })
    }

    /// The gate reads the ledger, if it is time to; the answer comes at once, or is on its way.
    pub(super) fn ask(&self, setup: &Setup, state: &State, region: usize, later: bool) -> Option<State> {
        let admitted = setup.ledgers.get(state.ledger.1).ledger.admitted(&setup.regions[region]).is_some();
        // A gate that is shut, and would be told to stay so, learns nothing.
        if !admitted && !self.is_open(setup, state, region) {
            return None;
        }
        let (gate, read) = (state.services[region].gate, self.seen(setup, state.ledger.1));
        let gate = self.asks(setup, region, gate, state.clocks[region])?;
        let mut next = state.clone();
        let service = &mut next.services[region];
        service.gate = gate;
        service.answer = service.answer.map(|(since, read)| (since + 1, read));
        match later {
            false => service.gate = self.hears(setup, (gate, region, state.clocks[region]), 1, read),
            true if service.answer.is_some() => return None,
            true => service.answer = Some((1, read)),
        }
        Some(next)
    }

    /// The gate gets an answer.
    pub(super) fn hear(&self, setup: &Setup, state: &State, region: usize) -> Option<State> {
        let mut next = state.clone();
        let service = &mut next.services[region];
        let (since, read) = service.answer.take()?;
        service.gate = self.hears(setup, (service.gate, region, state.clocks[region]), since, read);
        Some(next)
    }

    /// A write begins, if it is permitted and can take until the next tick.
    pub(super) fn begin(&self, setup: &Setup, state: &State, region: usize) -> Option<State> {
        let permit = self.permit(setup, state, region)?;
        let soon = setup.now(region, state.clocks[region] + SLOW).moment;
        if self.permits.get(permit).deadline <= soon {
            return None;
        }
        let mut next = state.clone();
        next.services[region].permit = Some(permit);
        Some(next)
    }

    /// A write whose permit does not hold any more will not be acknowledged, whatever becomes of it.
    pub(super) fn forget_writes(&self, setup: &Setup, state: &mut State) {
        for region in 0..setup.regions.len() {
            let open = setup.now(region, state.clocks[region]).moment;
            let permit = state.services[region].permit.map(|permit| self.permits.get(permit));
            if permit.is_some_and(|permit| permit.deadline <= open) {
                state.services[region].permit = None;
            }
        }
    }

    /// The epoch that a permit was given under.
    pub(super) fn epoch(&self, permit: u32) -> u64 {
        self.permits.get(permit).epoch.0
    }
}

fn outlives(setup: &Setup) -> bool {
    setup.has(Seeded::PermitOutlivesTrust) || setup.has(Seeded::PermitOutlivesWait)
}

/// A permit for as long as any trust is left, for a whole write deadline: the same gate, had it been opened just now.
fn outliving(setup: &Setup, gate: &GateMachine, now: Now) -> Option<Permit> {
    let terms = setup.policy.gate;
    let open = gate.is_open(now);
    let back = |ago: u64| {
        let ago = std::time::Duration::from_secs(ago);
        Now { moment: now.moment.before(ago), wall: now.wall.saturating_sub(ago).unwrap_or(now.wall) }
    };
    // Trust is longer than the deadline: some moment of it permits a write.
    let earlier = (0..=terms.trust.as_secs()).map(back);
    let mut permit = earlier.into_iter().find_map(|then| gate.permit(then).ok()).filter(|_| open)?;
    permit.deadline = now.moment + terms.write_deadline;
    Some(permit)
}
