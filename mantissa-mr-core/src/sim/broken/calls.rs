//! Controllers whose calls to clouds are others than they should be, or come at another time.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::Broken;
use super::tampered::{Desk, Tamper, is_own};
use crate::call::{Call, CallId, Input, Request};
use crate::clock::Now;
use crate::compute::Target;
use crate::deployment::Share;
use crate::ledger::Epoch;
use crate::name::Region;

pub(super) fn tamper(broken: Broken) -> Option<Box<dyn Tamper>> {
    Some(match broken {
        Broken::CallsUnderOldEpoch => Box::new(OldEpoch),
        Broken::AsksTheLost => Box::new(Undertaker::default()),
        Broken::DoesNotWaitOut => Box::new(Hasty::default()),
        Broken::NeverSleeps => Box::new(Sleepless),
        Broken::NeverReconciles => Box::new(Careless),
        _ => return None,
    })
}

struct OldEpoch;

impl Tamper for OldEpoch {
    fn output(&mut self, _now: Now, mut request: Request, _desk: &mut Desk) -> Option<Request> {
        match &mut request.call {
            Call::Promote { epoch, .. }
            | Call::Fence { epoch, .. }
            | Call::Unfence { epoch, .. }
            | Call::Scale { epoch, .. } => *epoch = Epoch(epoch.0.saturating_sub(1)),
            Call::Shift { shift, .. } => shift.epoch = Epoch(shift.epoch.0.saturating_sub(1)),
            _ => {}
        }
        Some(request)
    }
}

/// Never asks a store for what late writes overwrote.
struct Careless;

impl Tamper for Careless {
    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        (!matches!(request.call, Call::Reconcile { .. })).then_some(request)
    }
}

/// Scales the region down that an unplanned move leaves, beside the one that it scales up.
#[derive(Debug, Default)]
struct Undertaker {
    leaves: Option<Region>,
}

impl Tamper for Undertaker {
    fn output(&mut self, _now: Now, request: Request, desk: &mut Desk) -> Option<Request> {
        match &request.call {
            Call::Store { cell, value, .. } if cell.as_str().contains("/plan/") => {
                let plan: Value = serde_json::from_slice(value).unwrap_or_default();
                let from = plan["from"].as_str().filter(|_| plan["urgency"] == "unplanned");
                self.leaves = from.and_then(|from| Region::new(from).ok());
            }
            Call::Scale { scaler, region, epoch, .. } => {
                if let Some(region) = self.leaves.clone().filter(|leaves| leaves != region) {
                    let (scaler, target) = (scaler.clone(), Target::Share(Share::NONE));
                    desk.call(Call::Scale { scaler, region, target, epoch: *epoch }, request.deadline);
                }
            }
            _ => {}
        }
        Some(request)
    }

    fn input(&mut self, _now: Now, input: Input, _desk: &mut Desk) -> Option<Input> {
        Some(input).filter(|input| !matches!(input, Input::Reply { id, .. } if is_own(*id)))
    }
}

/// Longer than the deadline of any call.
const LONG: Duration = Duration::from_secs(30);

/// Its clock jumps when it has read the plan that it goes on with: whatever it would wait out is over then.
#[derive(Debug, Default)]
struct Hasty {
    loads: BTreeSet<CallId>,
    jumped: Duration,
    jumps: bool,
}

impl Tamper for Hasty {
    fn tick(&mut self, _now: Now) {
        if std::mem::take(&mut self.jumps) {
            self.jumped += LONG;
        }
    }

    fn ahead(&self) -> SignedDuration {
        SignedDuration::try_from(self.jumped).unwrap_or_default()
    }

    fn output(&mut self, _now: Now, request: Request, _desk: &mut Desk) -> Option<Request> {
        if matches!(&request.call, Call::Load { cell } if cell.as_str().contains("/plan/")) {
            self.loads.insert(request.id);
        }
        Some(request)
    }

    fn input(&mut self, now: Now, input: Input, desk: &mut Desk) -> Option<Input> {
        if matches!(&input, Input::Reply { id, .. } if self.loads.remove(id)) {
            self.jumps = true;
            desk.wake_at(now.moment);
        }
        Some(input)
    }
}

struct Sleepless;

impl Tamper for Sleepless {
    fn input(&mut self, now: Now, input: Input, desk: &mut Desk) -> Option<Input> {
        desk.wake_at(now.moment);
        Some(input)
    }
}
