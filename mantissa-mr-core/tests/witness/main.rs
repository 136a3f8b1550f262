//! The witness decides alone; this is what its loss costs. Outages of any length at any moment of moves: gates shut in the
//! end, nothing moves by itself meanwhile, and once it is back they open again and what was under way is finished, a move that
//! had sealed included.
//!
//! More seeds: `cargo run --release -p mantissa-mr-core --features sim --example seeds -- --witness 0 10000`.

mod short;

use mantissa_mr_core::sim::{Fault, History, Swarm, TrueTime, What, oracle};

fn run(seed: u64) -> History {
    let swarm = Swarm::draw_witness_outage(seed).expect("a seed's own draw");
    swarm.run().expect("a seed's own draw").0.into_history()
}

/// A service that embeds the library has better things to do in an outage than to wake up for nothing.
#[test]
fn a_long_outage_does_not_make_anybody_wake_up_more_and_more_often() {
    let mut swarm = Swarm::draw_witness_outage(7).expect("a seed's own draw");
    swarm.faults = vec![(TrueTime::from_secs(60), Fault::Witness { up: false })];
    let (mut simulation, _) = swarm.stage().expect("a seed's own draw");
    let mut steps = |until: u64| {
        let before = simulation.steps();
        simulation.run_until(TrueTime::from_secs(until));
        simulation.steps() - before
    };
    steps(120);
    let (early, late) = (steps(220), steps(320));
    assert!(late <= early + early / 4, "{early} steps in the second minute, then {late}");
}

#[test]
fn whenever_the_witness_fails_and_for_however_long_every_rule_holds_and_all_goes_on_afterwards() {
    let (mut outages, mut admissions, mut broken) = (0, 0, Vec::new());
    for seed in 0..80 {
        let history = run(seed);
        let outage = |what: &What| matches!(what, What::Fault(Fault::Witness { up: false }));
        outages += history.events.iter().filter(|event| outage(&event.what)).count();
        admissions +=
            history.events.iter().filter(|event| matches!(event.what, What::Admitted { .. })).count();
        if let Some(violation) = oracle::check(&history).first() {
            broken.push(format!(
                "{violation}\n  REPRODUCE WITH: cargo run --release -p mantissa-mr-core --features sim --example seeds -- \
                 --seed {seed} --witness"
            ));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(outages >= 80 && admissions >= 120, "{outages} outages, {admissions} admissions");
}
