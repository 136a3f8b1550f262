//! The library's own gates and controllers in the simulated world.

use mantissa_mr_core::deployment::Strategy;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::sim::{
    self, Cast, Fault, RegionState, Settings, SimClock, Simulation, TrueTime, oracle,
};

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

#[test]
fn a_region_that_dies_is_left_and_nothing_breaks_a_rule() {
    let deployment = sim::deployment(2, Strategy::ActivePassive).unwrap();
    let mut simulation = Simulation::new(&deployment, 1, Settings::CALM).unwrap();
    simulation.init_ledgers();
    let cast = Cast::new(&simulation);
    simulation.spawn_all(&cast, SimClock::exact);
    simulation.schedule(
        TrueTime::from_secs(60),
        Fault::Region { region: region("east"), state: RegionState::Dark },
    );
    simulation.schedule(TrueTime::from_secs(600), Fault::Heal);
    simulation.run_until(TrueTime::from_secs(1200));
    simulation.audit();
    for (actor, news) in cast.board.borrow().iter() {
        println!("{} {actor} {:.300}", news.moment, format!("{:?}", news.what));
    }
    println!("{:?} steps {}", simulation.history().book.count(), simulation.steps());
    assert_eq!(oracle::check(simulation.history()), []);
    let last = simulation.history().book.acknowledged().last().unwrap().1;
    assert_eq!(last.region, region("west"));
}
