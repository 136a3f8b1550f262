//! The scenarios. Everything in here is data: who judges a run reads it, and nothing of the library does.
//!
//! Where a number is a limit, it is what the deployment's own policy adds up to: three failed probes ten seconds apart
//! and a minute's hold before a region counts as lost (95 s, and up to 20 s more until all ballots are read), 20.4 s until
//! every gate has shut, at most 8 s for a promotion, at most 70 s until the last client follows; a gate trusts the ledger
//! for 15 s.

use mantissa_mr_core::deployment::{Automatic, DeploymentSpec, Strategy};
use mantissa_mr_core::guard::Guard;
use mantissa_mr_core::plan::Move;
use mantissa_mr_core::sim::RegionState;

use super::scenario::{By, Do, Expect, ExpectedMove, Mark, Scenario, When, Who};

use By::{Controller, Person};
use When::{After, At};
use Who::{All, Others, Preferred};

const PLAIN: fn(&mut DeploymentSpec) = |_| {};

/// A failover of the active region by the controllers themselves, begun within these seconds.
const fn failover(within: (u64, u64)) -> ExpectedMove {
    ExpectedMove { kind: Move::Failover, by: Controller, to: Others, within }
}

const fn ordered(kind: Move, to: Who, within: (u64, u64)) -> ExpectedMove {
    ExpectedMove { kind, by: Person, to, within }
}

/// All of them; the first is the default.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "region-loss",
        story: "The active region dies under load, and comes back six minutes later.",
        right: "Fail over by itself, within the tier's limits. Fail back only when a person, who has looked at \
                what was lost, passes the guard `reconciled` over; without that word, refuse. Lose nothing then.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[
            (At(60), Do::Region(Preferred, RegionState::Dark)),
            (At(420), Do::Region(Preferred, RegionState::Returning)),
            (At(480), Do::Region(Preferred, RegionState::Up)),
            (At(500), Do::Acknowledge),
            (At(540), Do::Order(Move::Failback, &[])),
            (At(570), Do::Order(Move::Failback, &[Guard::Reconciled])),
        ],
        ends: 780,
        expects: &[
            Expect::Moves(&[failover((120, 180)), ordered(Move::Failback, Preferred, (570, 590))]),
            Expect::OrderRefused(1),
            Expect::Serves(Preferred),
            Expect::LosesAtMost { seconds: 5, before: 60 },
            Expect::NoBreakOver(240),
        ],
    },
    Scenario {
        name: "one-way-partition",
        story: "Nobody's messages reach the active region, but its own get out, and clients reach it.",
        right: "Leave it, although it runs and clients go on writing to it: it cannot hear the ledger, so its gates \
                shut, and no write is acknowledged in two regions. Lose nothing: its replication gets out.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[(At(60), Do::Deaf(Preferred)), (At(420), Do::Hears(Preferred))],
        ends: 540,
        expects: &[
            Expect::Moves(&[failover((120, 180))]),
            Expect::Serves(Others),
            Expect::LosesNothing,
            Expect::NoBreakOver(240),
        ],
    },
    Scenario {
        name: "lagging-replica",
        story: "Replication stands still for four minutes; then the active region dies, for five.",
        right: "Refuse to fail over, and say so: four minutes would be lost and the tier allows one. Once the region \
                is back everything is still there.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[
            (At(60), Do::Replication(false)),
            (At(300), Do::Region(Preferred, RegionState::Dark)),
            (At(600), Do::Region(Preferred, RegionState::Up)),
            (At(600), Do::Replication(true)),
        ],
        ends: 720,
        expects: &[
            Expect::Moves(&[]),
            Expect::Refuses { guard: Guard::Loss, from: 360, until: 450 },
            Expect::Serves(Preferred),
            Expect::LosesNothing,
        ],
    },
    Scenario {
        name: "flapping-health",
        story: "For eight minutes the active region's checks fail for forty seconds and pass for forty.",
        right: "Stay. It is called unfit again and again, but never for the whole hold by probes that fail now: it \
                serves all the time, and a move would hurt more.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[(At(60), Do::Flap(Preferred, 40)), (At(540), Do::Flap(Preferred, 0))],
        ends: 660,
        expects: &[
            Expect::Moves(&[]),
            Expect::Serves(Preferred),
            Expect::LosesNothing,
            Expect::TellsNothing,
            Expect::NoBreakOver(10),
        ],
    },
    Scenario {
        name: "target-without-capacity",
        story: "The active region dies; no other one may have more than 40 of 100 instances, until the provider \
                gives more.",
        right: "Refuse to move a load that nobody could carry, and say so. Once the quota is raised, fail over by \
                itself.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[
            (At(10), Do::Quota(Others, 40)),
            (At(60), Do::Region(Preferred, RegionState::Dark)),
            (At(360), Do::Quota(Others, 200)),
        ],
        ends: 600,
        expects: &[
            Expect::Refuses { guard: Guard::Capacity, from: 120, until: 180 },
            Expect::Moves(&[failover((380, 420))]),
            Expect::Serves(Others),
            Expect::LosesAtMost { seconds: 5, before: 60 },
        ],
    },
    Scenario {
        name: "controller-crash",
        story: "The active region dies. The controller that moves the group crashes while the gates shut; the one \
                that goes on for it crashes with a promotion under way.",
        right: "Finish the one move that was begun, whoever is left, and do nothing twice.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[
            (At(60), Do::Region(Preferred, RegionState::Dark)),
            (After(Mark::Sealed, 5), Do::CrashLeader(60)),
            (After(Mark::PromotionSent, 0), Do::CrashLeader(60)),
        ],
        ends: 540,
        expects: &[
            Expect::Moves(&[failover((120, 180))]),
            Expect::TakeOvers(2),
            Expect::NothingTwice,
            Expect::Serves(Others),
            Expect::LosesAtMost { seconds: 5, before: 60 },
            Expect::NoBreakOver(360),
        ],
    },
    Scenario {
        name: "witness-loss",
        story: "The witness, which holds the ledger, is gone for good; two minutes later the active region dies too.",
        right: "Move nothing, and say so: without the ledger nobody knows who may serve. The gates shut within the \
                trust, and stay shut.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[(At(60), Do::Witness(false)), (At(180), Do::Region(Preferred, RegionState::Dark))],
        ends: 480,
        expects: &[
            Expect::Moves(&[]),
            Expect::ShutFrom(76),
            Expect::Tells { text: "no answer from the ledger", from: 60, until: 120 },
            Expect::LosesNothing,
        ],
    },
    Scenario {
        name: "graceful-switchover",
        story: "Nothing is wrong: a person moves the group to another region, and later back.",
        right: "Bring the capacity up first, then shut the gates, prove that every write has arrived, and open. Lose \
                nothing, and be without service for less than two minutes.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[
            (At(60), Do::Order(Move::Switchover, &[])),
            (After(Mark::Ended(1), 60), Do::Order(Move::Failback, &[])),
        ],
        ends: 600,
        expects: &[
            Expect::Moves(&[
                ordered(Move::Switchover, Others, (60, 80)),
                ordered(Move::Failback, Preferred, (200, 400)),
            ]),
            Expect::Serves(Preferred),
            Expect::LosesNothing,
            Expect::NoBreakOver(120),
        ],
    },
    Scenario {
        name: "active-active-evacuation",
        story: "Every region serves. One dies, and comes back.",
        right: "Take it out of the rotation by itself; the others go on all the time. Let it back in when a person \
                says so, after all that it missed has reached it. Its own last writes arrive late, but arrive.",
        strategy: Strategy::ActiveActive,
        tweak: PLAIN,
        script: &[
            (At(60), Do::Region(Preferred, RegionState::Dark)),
            (At(420), Do::Region(Preferred, RegionState::Returning)),
            (At(480), Do::Region(Preferred, RegionState::Up)),
            (At(540), Do::Order(Move::Rejoin, &[Guard::Reconciled])),
        ],
        ends: 720,
        expects: &[
            Expect::Moves(&[
                ExpectedMove { kind: Move::Evacuate, by: Controller, to: Others, within: (120, 180) },
                ordered(Move::Rejoin, Preferred, (540, 560)),
            ]),
            Expect::Serves(All),
            Expect::LosesNothing,
            Expect::NoBreakOver(10),
        ],
    },
    Scenario {
        name: "approval",
        story: "The active region dies, and the policy is that a person decides.",
        right: "Propose the plan, wait, and carry it out once it is approved.",
        strategy: Strategy::ActivePassive,
        tweak: |spec| spec.policy.automatic = Automatic::Propose,
        script: &[
            (At(60), Do::Region(Preferred, RegionState::Dark)),
            (After(Mark::Proposed(1), 120), Do::Approve),
        ],
        ends: 480,
        expects: &[
            Expect::Moves(&[failover((260, 300))]),
            Expect::Serves(Others),
            Expect::LosesAtMost { seconds: 5, before: 60 },
        ],
    },
    Scenario {
        name: "stale-approval",
        story: "The active region dies, and a person decides; but before that the other regions lose their quota.",
        right: "Take the proposal back as soon as a guard refuses, and do not begin it although a person approves it. \
                Propose anew when the quota is there, and carry that out once it is approved.",
        strategy: Strategy::ActivePassive,
        tweak: |spec| spec.policy.automatic = Automatic::Propose,
        script: &[
            (At(60), Do::Region(Preferred, RegionState::Dark)),
            (At(240), Do::Quota(Others, 40)),
            (At(300), Do::Approve),
            (At(360), Do::Quota(Others, 200)),
            (After(Mark::Proposed(2), 60), Do::Approve),
        ],
        ends: 660,
        expects: &[
            Expect::Refuses { guard: Guard::Capacity, from: 240, until: 280 },
            Expect::Moves(&[failover((420, 480))]),
            Expect::Serves(Others),
            Expect::LosesAtMost { seconds: 5, before: 60 },
        ],
    },
    Scenario {
        name: "everything-looks-unfit",
        story: "A bad release of the checks calls every region unfit. All of them serve.",
        right: "Stay, and say so: when everything looks unfit, the fault is with those who look.",
        strategy: Strategy::ActivePassive,
        tweak: PLAIN,
        script: &[(At(60), Do::LooksUnfit(All, true)), (At(420), Do::LooksUnfit(All, false))],
        ends: 540,
        expects: &[
            Expect::Moves(&[]),
            Expect::Refuses { guard: Guard::NotAllBad, from: 120, until: 180 },
            Expect::Serves(Preferred),
            Expect::LosesNothing,
            Expect::NoBreakOver(10),
        ],
    },
];
