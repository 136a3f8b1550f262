//! A model check.

mod actor;
mod carry;
mod explore;
mod rules;
mod seeded;
mod service;
mod setup;
mod state;
mod table;
mod world;

use explore::{Model, explore};
use setup::{Bounds, Faults, Terms};
use world::World;

#[test]
#[ignore]
fn try_it() {
    let arg = |name: &str, default: u8| std::env::var(name).ok().map_or(default, |v| v.parse().unwrap());
    let faults = Faults { crashes: arg("CRASHES", 0), slips: arg("SLIPS", 0), silences: arg("SILENCES", 0), aborts: arg("ABORTS", 0) };
    let bounds = Bounds { regions: arg("REGIONS", 2).into(), ticks: arg("TICKS", 2), faults, terms: Terms::Drift, messages: arg("MESSAGES", 9).into(), take_overs: arg("TAKE", 9).into() };
    let world = World::new(bounds, None);
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    let mut proj = std::collections::BTreeMap::<String, std::collections::BTreeMap<String, usize>>::new();
    let (extent, trace) = explore(&world, |state| {
        let ledger = &world.setup.ledgers.get(state.ledger.1).ledger;
        let states: Vec<String> = ledger.admissions.iter().map(|(region, admission)| format!("{region} {} ({})", admission.state, admission.epoch)).collect();
        if std::env::var("PROJ").is_err() { return None; }
        let mut put = |name: &str, v: String| { *proj.entry(name.to_owned()).or_default().entry(v).or_default() += 1; };
        let g = |s: &crate::model_check::state::Service| format!("{:?}", s);
        put("a", g(&state.services[0])); put("b", g(&state.services[1]));
        put("services", format!("{:?}", state.services));
        put("gate a", format!("{:?}", state.services[0].gate));
        put("gate b", format!("{:?}", state.services[1].gate));
        put("actors", format!("{:?}", state.actors));
        put("actor 0", format!("{:?}", state.actors[0]));
        put("actor 1", format!("{:?}", state.actors[1]));
        put("actors+letters", format!("{:?} {:?}", state.actors, state.letters));
        put("ledger", format!("{:?}", state.ledger));
        put("journal", format!("{:?}", state.journal));
        put("ledger+journal+store", format!("{:?} {:?} {:?}", state.ledger, state.journal, state.store));
        put("all but services", format!("{:?} {:?} {:?} {:?} {:?} {:?}", state.ledger, state.journal, state.store, state.actors, state.letters, state.ticks));
        put("ticks", format!("{}", state.ticks));
        put("term", format!("{}", ledger.lease.term));
        put("early", format!("{:?}", state.early));
        put("letters", format!("{:?}", state.letters.len()));
        put("answers", format!("{:?}", state.services.iter().map(|s| s.answers.len()).collect::<Vec<_>>()));
        *ends.entry(format!("{} {:?}", states.join(", "), ledger.ended.as_ref().map(|e| e.outcome))).or_default() += 1;
        None
    });
    println!("{extent:?} actors {} gates {} ledgers {}", world.actors.len(), world.services.len(), world.setup.ledgers.len());
    println!("{ends:#?}");
    for (name, m) in &proj { println!("{name}: {}", m.len()); if m.len() < 12 { println!("   {m:?}"); } }
    if let Some(trace) = trace {
        println!("{} start {}", trace.what, trace.start);
        let mut state = world.starts().swap_remove(trace.start);
        for action in &trace.actions {
            println!("  {action}  [{:?}]", state.letters.iter().map(|l| rules::describe(&world, l)).collect::<Vec<_>>());
            state = world.next(&state, action).unwrap();
        }
    }
}
