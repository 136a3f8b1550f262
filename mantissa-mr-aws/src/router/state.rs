//! What clients get and what to change so that they get something else: pure.
//!
//! Two failover records, PRIMARY and SECONDARY, one per region, and two switches. The switch *of* a region is an object
//! in that region's bucket; while it is there, the health check of the *other* region's record fails. Route 53 answers
//! with the primary while it is healthy; else with the secondary if that is healthy; else with the primary again
//! ([AWS: ResourceRecordSet, Failover](https://docs.aws.amazon.com/Route53/latest/APIReference/API_ResourceRecordSet.html)).
//!
//! A check that cannot reach its object succeeds, because it is inverted: the loss of the region that a switch is in
//! takes nobody out of service.

use std::collections::BTreeMap;

use mantissa_mr_core::name::Region;

/// Whether a region's switch is on: whether the other region is taken out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Switch {
    Off,
    On,
    /// The region did not say.
    Unseen,
}

/// The routing as far as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) primary: Region,
    pub(super) secondary: Region,
    pub(super) switches: BTreeMap<Region, Switch>,
    /// Whether a region's record hangs on the other region's switch.
    pub(super) armed: BTreeMap<Region, bool>,
}

/// One change of the routing. Each is atomic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Primary and secondary change places, in one batch of record changes.
    Swap,
    /// Write the object in this region's bucket.
    TurnOn(Region),
    /// Remove it.
    TurnOff(Region),
}

impl View {
    /// The other one of the two regions.
    pub(super) fn other(&self, region: &Region) -> &Region {
        if *region == self.primary { &self.secondary } else { &self.primary }
    }

    pub(super) fn switch(&self, region: &Region) -> Switch {
        self.switches.get(region).copied().unwrap_or(Switch::Off)
    }

    /// What the switches make of a region's health; none if the one that counts was not seen.
    pub(super) fn health(&self, region: &Region) -> Option<bool> {
        if !self.armed.get(region).copied().unwrap_or_default() {
            return Some(true);
        }
        match self.switch(self.other(region)) {
            Switch::Off => Some(true),
            Switch::On => Some(false),
            Switch::Unseen => None,
        }
    }

    /// The region that clients get, as far as records and switches decide it.
    pub(super) fn served(&self) -> &Region {
        let healthy = |region| self.health(region).unwrap_or(true);
        if healthy(&self.primary) || !healthy(&self.secondary) { &self.primary } else { &self.secondary }
    }

    /// Whether it makes a difference to clients which of the two is the primary.
    pub(super) fn depends_on_the_swap(&self) -> bool {
        *self.served() != *self.clone().after(&Act::Swap).served()
    }

    /// The routing after a change.
    pub(super) fn after(mut self, act: &Act) -> Self {
        match act {
            Act::Swap => std::mem::swap(&mut self.primary, &mut self.secondary),
            Act::TurnOn(region) => {
                self.switches.insert(region.clone(), Switch::On);
            }
            Act::TurnOff(region) => {
                self.switches.insert(region.clone(), Switch::Off);
            }
        }
        self
    }

    /// All is in order: the target is the primary, and no switch is on. Clients change sides at one of the changes, and
    /// once.
    pub(super) fn planned(&self, target: &Region) -> Vec<Act> {
        let mut acts = Vec::new();
        if *target != self.primary {
            acts.push(Act::Swap);
        }
        let on = |region: &&Region| self.switch(region) == Switch::On;
        acts.extend([self.other(target), target].into_iter().filter(on).cloned().map(Act::TurnOff));
        acts
    }

    /// The target's own switch. Only if the other region's switch is still on from an earlier failover, and the target
    /// is the secondary, that one must go too.
    pub(super) fn unplanned(&self, target: &Region) -> Vec<Act> {
        let mut acts = vec![Act::TurnOn(target.clone())];
        let other = self.other(target);
        if *target == self.secondary && self.switch(other) == Switch::On {
            acts.push(Act::TurnOff(other.clone()));
        }
        acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCHES: [Switch; 2] = [Switch::Off, Switch::On];

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn views(switches: &[Switch]) -> Vec<View> {
        let (east, west) = (region("east"), region("west"));
        let mut views = Vec::new();
        for (primary, secondary) in [(&east, &west), (&west, &east)] {
            for one in switches {
                for other in switches {
                    views.push(View {
                        primary: primary.clone(),
                        secondary: secondary.clone(),
                        switches: BTreeMap::from([(east.clone(), *one), (west.clone(), *other)]),
                        armed: BTreeMap::from([(east.clone(), true), (west.clone(), true)]),
                    });
                }
            }
        }
        views
    }

    /// Carries out the changes one by one and gives the regions that clients got on the way.
    fn course(view: &View, acts: &[Act]) -> (View, Vec<Region>) {
        let mut seen = vec![view.served().clone()];
        let mut view = view.clone();
        for act in acts {
            view = view.after(act);
            seen.push(view.served().clone());
        }
        seen.dedup();
        (view, seen)
    }

    #[test]
    fn a_planned_shift_ends_in_order_and_clients_change_sides_once_from_every_state() {
        for view in views(&SWITCHES) {
            for target in ["east", "west"].map(region) {
                let (end, seen) = course(&view, &view.planned(&target));
                assert_eq!(end.primary, target, "{view:?}");
                assert!(end.switches.values().all(|switch| *switch == Switch::Off), "{view:?}");
                assert!(seen.len() <= 2 && seen.last() == Some(&target), "{view:?} to {target}: {seen:?}");
                assert_eq!(end.planned(&target), [], "a second shift to the same region does nothing");
            }
        }
    }

    #[test]
    fn an_unplanned_shift_reaches_its_target_from_every_state() {
        for view in views(&SWITCHES) {
            for target in ["east", "west"].map(region) {
                let (end, seen) = course(&view, &view.unplanned(&target));
                assert_eq!(*end.served(), target, "{view:?}");
                assert!(seen.len() <= 2, "{view:?} to {target}: {seen:?}");
            }
        }
    }

    #[test]
    fn an_unplanned_shift_touches_the_region_it_leaves_only_to_undo_an_earlier_failover() {
        for view in views(&SWITCHES) {
            for target in ["east", "west"].map(region) {
                let touches = view
                    .unplanned(&target)
                    .iter()
                    .any(|act| *act == Act::TurnOff(view.other(&target).clone()));
                let left_over = target == view.secondary && view.switch(view.other(&target)) == Switch::On;
                assert_eq!(touches, left_over, "{view:?}");
            }
        }
    }

    #[test]
    fn an_unplanned_shift_works_with_the_other_region_dark() {
        // What cannot be seen cannot be seen by the health checks either, and then counts as off.
        for mut view in views(&SWITCHES) {
            for target in ["east", "west"].map(region) {
                let other = view.other(&target).clone();
                view.switches.insert(other.clone(), Switch::Unseen);
                let acts = view.unplanned(&target);
                assert_eq!(acts, [Act::TurnOn(target.clone())]);
                assert_eq!(*course(&view, &acts).0.served(), target);
            }
        }
    }

    #[test]
    fn a_switch_that_no_record_hangs_on_changes_nothing() {
        for mut view in views(&SWITCHES) {
            view.armed.clear();
            assert_eq!(view.served(), &view.primary);
        }
    }
}
