//! Rule 1's caveat: a gate bounds when a write is acknowledged, and not when it arrives. A write that was permitted in the
//! region that was left, and lands minutes after another one opened, must not take an acknowledged write with it unseen,
//! where the store cannot refuse it.

use mantissa_mr_core::call::{Call, Reply};
use mantissa_mr_core::sim::broken::{World, stage};
use mantissa_mr_core::sim::{Broken, History, What, oracle};
use mantissa_mr_core::store::{Overtaken, Reconciliation};

/// Switchovers in the middle of writes to a few keys, half of which take minutes to arrive.
fn run(seed: u64) -> History {
    let (swarm, is_made_for_it) =
        stage(Broken::NeverReconciles, seed, World::Chosen).expect("a seed's own draw");
    assert!(is_made_for_it, "there is no world made for late writes");
    let (simulation, _) = swarm.run().expect("a seed's own draw");
    simulation.into_history()
}

fn overtaken(history: &History) -> impl Iterator<Item = &Overtaken> {
    history.events.iter().flat_map(|event| match &event.what {
        What::Answered { reply, .. } => match reply.as_ref() {
            Reply::Reconcile(Ok(reconciled)) => reconciled.overtaken.as_slice(),
            _ => &[],
        },
        _ => &[],
    })
}

fn notices(history: &History) -> Vec<&str> {
    let sent = history.events.iter().filter_map(|event| match &event.what {
        What::Sent { call, .. } => match call.as_ref() {
            Call::Notify { notice } => Some(notice.text.as_str()),
            _ => None,
        },
        _ => None,
    });
    sent.collect()
}

#[test]
fn what_a_late_write_overwrote_is_put_back_and_people_are_told() {
    let (mut restored, mut rewritten) = (0, 0);
    for seed in 0..40 {
        let history = run(seed);
        let violations = oracle::check(&history);
        assert!(violations.is_empty(), "seed {seed}: {}", violations[0]);
        let notices = notices(&history);
        for overtaken in overtaken(&history) {
            match overtaken.outcome {
                Reconciliation::Restored => restored += 1,
                Reconciliation::Rewritten => rewritten += 1,
            }
            let names = |text: &&str| text.contains(&format!("{} (epoch", overtaken.key));
            assert!(notices.iter().any(names), "seed {seed}: nobody was told of {overtaken:?}");
        }
    }
    assert!(restored >= 20, "late writes are rare: {restored} restored, {rewritten} written again since");
}
