//! The rules that hold always, in a fixed set of random worlds: regions that die and return, cut and slow networks, lost
//! answers, crashes, clocks that run apart, and people with wishes in the middle of it. Every oracle looks at every run.
//!
//! Each commit adds a few worlds of its own, drawn from its hash, where [`COMMIT`] names it.
//!
//! More seeds than continuous integration has time for: `cargo run --release -p mantissa-mr-core --features sim
//! --example seeds -- FIRST COUNT`.

use std::ops::Range;

use mantissa_mr_core::sim::{History, Phases, Random, Swarm, oracle};

/// Names the commit that is tested, by its hash. Without it only the fixed set is run; nothing is drawn from a clock.
const COMMIT: &str = "MANTISSA_MR_COMMIT";

fn run(seed: u64) -> History {
    let swarm = Swarm::draw(seed, Phases::default()).expect("a seed's own draw");
    swarm.run().expect("a seed's own draw").0.into_history()
}

/// The line that shows what went wrong.
fn reproduce(what: &str) -> String {
    format!(
        "  REPRODUCE WITH: cargo run --release -p mantissa-mr-core --features sim --example seeds -- {what}"
    )
}

fn every_rule_holds(seeds: impl IntoIterator<Item = u64>) {
    let broken = broken(seeds);
    assert!(broken.is_empty(), "{} seeds broke a rule:\n{}", broken.len(), broken.join("\n"));
}

/// What broke, each with the line that shows it.
fn broken(seeds: impl IntoIterator<Item = u64>) -> Vec<String> {
    let first = |seed| {
        let violations = oracle::check(&run(seed));
        let first = violations.first()?;
        Some(format!("seed {seed}: {first}\n{}", reproduce(&format!("--seed {seed}"))))
    };
    seeds.into_iter().filter_map(first).collect()
}

/// The seeds of a commit, the same on every machine and for good.
fn seeds_of(commit: &str) -> Result<Vec<u64>, String> {
    const SIZE: usize = 60;
    let digits = commit.get(..16).filter(|_| commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let hash = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let hash = hash.ok_or_else(|| format!("{COMMIT} is not a commit's hash: `{commit}`"))?;
    let mut random = Random::new(hash, "commit");
    Ok((0..SIZE).map(|_| random.any()).collect())
}

/// A quarter of the fixed set: the test runner runs them at once.
fn quarter(number: u64) -> Range<u64> {
    const SIZE: u64 = 60;
    number * SIZE..(number + 1) * SIZE
}

#[test]
fn the_first_quarter_of_the_seeds() {
    every_rule_holds(quarter(0));
}

#[test]
fn the_second_quarter_of_the_seeds() {
    every_rule_holds(quarter(1));
}

#[test]
fn the_third_quarter_of_the_seeds() {
    every_rule_holds(quarter(2));
}

#[test]
fn the_fourth_quarter_of_the_seeds() {
    every_rule_holds(quarter(3));
}

/// Each of these broke a rule once, as it was drawn then.
#[test]
fn the_seeds_that_found_something() {
    every_rule_holds([
        296,        // giving up before anything was fenced waited for the lost region to be unfenced
        399, // giving up what superseded a move left the traffic where the superseded one had not shifted it from
        1_307, // a failover planned before a switchover opened its region began after it
        2_777, // a move was begun eighty seconds after it was decided, when the region was long back
        100_172, // a pause was in the journal and not in the ledger, where people look
        200_167, // a promote began between the order to give up and the giving up
        200_978, // an evacuation that superseded another never ended
        301_419, // a region that had not been told of its successor was taken for promoted
        1_000_484, // a bound that left out the time to the seal
        1_001_587, // a cool-down that began before the ledger said that the move was over
        3_002_484, // what was overdue held the giving up for ever
        3_005_247, // two groups moved where one may: the register of moves was read before the other's note
        3_006_914, // as 301,419, with every other region out of reach
        5_005_987, // the last region that served was sealed
        6_010_319, // a write that came six minutes late overwrote one of the next epoch, and nobody saw it
        9_121_589, // a region that had not been told of its successor said that it lacked nothing
        30_009_482, // a promotion that a region in distress carried out late landed after another move
        40_074_654, // the same, and another region had been promoted meanwhile
        30_144_987, // what a failover had promoted was believed to lack nothing
        30_309_594, // the same, of a third region that followed it
        30_227_972, // clients were left where nobody serves: the way to shift them lay in the lost region
        30_265_858, // the same, and the region that served on was dark
        40_093_141, // a planned move was given up, and a clock 52 s ahead took ten seconds for past
        8_016_069, // a move whose opening only the ledger knew of was given up after it
    ]);
}

/// A commit that did not touch the core may be the one that finds what was there before: it says where its seeds came from.
#[test]
fn the_seeds_of_this_commit() {
    let Ok(commit) = std::env::var(COMMIT) else {
        println!("{COMMIT} names no commit: the fixed set alone is run");
        return;
    };
    let seeds = seeds_of(&commit).unwrap();
    let broken = broken(seeds);
    assert!(
        broken.is_empty(),
        "{} seeds drawn from commit {commit} broke a rule, whether or not it is to blame:\n{}",
        broken.len(),
        broken.join("\n")
    );
}

#[test]
fn a_commit_names_its_seeds_for_good() {
    let seeds = seeds_of("a8f21f9c0ffee0000000000000000000000000ff").unwrap();
    assert_eq!((seeds.len(), seeds[0], seeds[59]), (60, FIRST, LAST));
    assert_ne!(seeds_of("a8f21f9c0ffee0010000000000000000000000ff").unwrap(), seeds);
    for not_a_hash in ["", "HEAD", "a8f21f9", "a8f21f9c0ffee00g000000000000000000000000"] {
        assert!(seeds_of(not_a_hash).unwrap_err().contains(COMMIT), "{not_a_hash}");
    }
}

/// These must never change: a failure's line depends on them.
const FIRST: u64 = 11_940_754_781_238_113_360;
const LAST: u64 = 15_299_124_611_882_955_414;

/// To the last answer. More: `… --example seeds -- --twice 0 500`.
#[test]
fn one_seed_is_one_run() {
    const SEEDS: Range<u64> = 1_000..1_028;
    let differs = |seed: &u64| run(*seed).hash() != run(*seed).hash();
    let lines = |seed: u64| format!("seed {seed}\n{}", reproduce(&format!("--twice {seed} 1")));
    let differ: Vec<String> = SEEDS.filter(differs).map(lines).collect();
    assert!(differ.is_empty(), "{} seeds gave two different runs:\n{}", differ.len(), differ.join("\n"));
}
