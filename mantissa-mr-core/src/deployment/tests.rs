use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;
use crate::clock::RateMargin;

fn region(name: &str) -> RegionSpec {
    RegionSpec::new(name.try_into().unwrap(), Provider::Simulated)
}

fn resource(name: &str) -> ResourceSpec {
    ResourceSpec::new(name.try_into().unwrap(), "simulated")
}

fn group(name: &str, tier: TierChoice) -> GroupSpec {
    let named = |part: &str| resource(&format!("{name}-{part}"));
    GroupSpec::new(name.try_into().unwrap(), tier)
        .store(named("store"))
        .router(named("router"))
        .scaler(named("scaler"))
        .check(named("check"))
}

fn vantage(name: &str) -> VantageSpec {
    VantageSpec::new(name.try_into().unwrap(), name.try_into().unwrap())
}

/// A deployment with nothing to find fault with, and nothing to warn of.
fn sound() -> DeploymentSpec {
    DeploymentSpec::new(
        "test".try_into().unwrap(),
        Strategy::ActivePassive,
        region("east"),
        WitnessSpec::multi_region("memory"),
    )
    .region(region("west"))
    .vantage(vantage("a"))
    .vantage(vantage("b"))
    .vantage(vantage("c"))
    .group(group("logs", TierChoice::Important))
}

/// What is said about the sound deployment after this change of it.
fn problems(change: impl FnOnce(&mut DeploymentSpec)) -> Vec<String> {
    let mut spec = sound();
    change(&mut spec);
    let problems = Deployment::new(spec).err().map(Problems::into_vec).unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

fn warnings(change: impl FnOnce(&mut DeploymentSpec)) -> Vec<String> {
    let mut spec = sound();
    change(&mut spec);
    Deployment::new(spec).unwrap().warnings().to_vec()
}

fn span(text: &str) -> Duration {
    text.parse::<jiff::SignedDuration>().unwrap().unsigned_abs()
}

#[track_caller]
fn only(said: &[String], expected: &str) {
    assert_eq!(said, [expected]);
}

#[test]
fn a_sound_deployment_passes_without_a_warning() {
    assert!(problems(|_| {}).is_empty());
    assert!(warnings(|_| {}).is_empty());
}

#[test]
fn regions_are_at_least_two_and_different() {
    assert_eq!(
        problems(|spec| spec.regions[1] = region("east")),
        [
            "regions.east: region east is named twice (a region cannot stand by for itself)",
            "regions: a deployment needs at least two different regions",
        ]
    );
    only(
        &problems(|spec| drop(spec.regions.pop())),
        "regions: a deployment needs at least two different regions",
    );
    only(
        &problems(|spec| spec.regions.push(region("west"))),
        "regions.west: region west is named twice (a region cannot stand by for itself)",
    );
}

#[test]
fn the_preferred_region_is_one_of_them() {
    only(
        &problems(|spec| spec.preferred = "north".try_into().unwrap()),
        "preferred: north is not one of the regions (east, west)",
    );
}

#[test]
fn the_witness_outlives_the_regions_and_is_of_some_kind() {
    only(
        &problems(|spec| spec.witness.region = Some("west".try_into().unwrap())),
        "witness.region: the witness is in west, which is one of the regions that it must outlive (put it in a third \
         region)",
    );
    only(&problems(|spec| spec.witness.kind.clear()), "witness.kind: names no implementation");
}

#[test]
fn vantages_have_names_of_their_own() {
    only(&problems(|spec| spec.vantages.push(vantage("c"))), "vantages.c: vantage c is named twice");
}

#[test]
fn automatic_moves_need_three_vantages_in_three_failure_domains() {
    let automatic = |spec: &mut DeploymentSpec| spec.policy.automatic = Automatic::On;
    assert!(problems(automatic).is_empty());
    let expected = |counts: &str| {
        format!(
            "vantages: automatic moves need at least three vantages in three failure domains; there are {counts} (or \
             set policy.automatic to `propose` or `off`)"
        )
    };
    let two = problems(|spec| {
        automatic(spec);
        spec.vantages.pop();
    });
    only(&two, &expected("2 in 2"));
    let shared = problems(|spec| {
        automatic(spec);
        spec.vantages[2].failure_domain = "b".try_into().unwrap();
    });
    only(&shared, &expected("3 in 2"));
}

#[test]
fn every_span_of_the_policy_has_its_limits() {
    type Field = fn(&mut Policy) -> &mut Duration;
    let up_to_a_day: [(&str, Field); 12] = [
        ("policy.gate.trust", |policy| &mut policy.gate.trust),
        ("policy.gate.write-deadline", |policy| &mut policy.gate.write_deadline),
        ("policy.detection.interval", |policy| &mut policy.detection.interval),
        ("policy.detection.probe-deadline", |policy| &mut policy.detection.probe_deadline),
        ("policy.timing.lease", |policy| &mut policy.timing.lease),
        ("policy.timing.beat", |policy| &mut policy.timing.beat),
        ("policy.timing.observe", |policy| &mut policy.timing.observe),
        ("policy.timing.reconcile", |policy| &mut policy.timing.reconcile),
        ("policy.timing.call-deadline", |policy| &mut policy.timing.call_deadline),
        ("policy.timing.fence-deadline", |policy| &mut policy.timing.fence_deadline),
        ("policy.timing.approval", |policy| &mut policy.timing.approval),
        ("policy.velocity.window", |policy| &mut policy.velocity.window),
    ];
    // Other rules may speak up as well: the spans depend on each other.
    for (name, field) in up_to_a_day {
        let zero = problems(|spec| *field(&mut spec.policy) = Duration::ZERO);
        assert!(zero.contains(&format!("{name}: must be longer than zero")), "{zero:?}");
        let long = problems(|spec| *field(&mut spec.policy) = span("24h 1s"));
        assert!(long.contains(&format!("{name}: 24h 1s is absurd: more than a day")), "{long:?}");
        let fits = problems(|spec| *field(&mut spec.policy) = span("24h"));
        assert!(!fits.iter().any(|said| said.contains("absurd")), "{fits:?}");
    }
    let up_to_a_month: [(&str, Field); 2] = [
        ("policy.timing.cool-down", |policy| &mut policy.timing.cool_down),
        ("policy.timing.failback-after", |policy| &mut policy.timing.failback_after),
    ];
    for (name, field) in up_to_a_month {
        assert!(problems(|spec| *field(&mut spec.policy) = Duration::ZERO).is_empty(), "{name}");
        assert!(problems(|spec| *field(&mut spec.policy) = span("720h")).is_empty(), "{name}");
        only(
            &problems(|spec| *field(&mut spec.policy) = span("720h 1s")),
            &format!("{name}: 720h 1s is absurd: more than 30 days"),
        );
    }
}

#[test]
fn a_write_deadline_is_shorter_than_the_trust() {
    only(
        &problems(|spec| spec.policy.gate.write_deadline = span("15s")),
        "policy.gate.write-deadline: 15s leaves no time to write: it must be shorter than gate.trust, which is 15s",
    );
    assert!(problems(|spec| spec.policy.gate.write_deadline = span("14s 999ms")).is_empty());
}

#[test]
fn three_beats_fit_into_a_lease() {
    only(
        &problems(|spec| spec.policy.timing.beat = span("5s 1ms")),
        "policy.timing.beat: 5s 1ms is too long: three beats must fit into timing.lease, which is 15s",
    );
    assert!(problems(|spec| spec.policy.timing.beat = span("5s")).is_empty());
}

#[test]
fn a_probe_ends_before_the_next_one() {
    only(
        &problems(|spec| spec.policy.detection.probe_deadline = span("11s")),
        "policy.detection.probe-deadline: 11s is too long: a probe must end before the next one starts, \
         detection.interval is 10s",
    );
    assert!(problems(|spec| spec.policy.detection.probe_deadline = span("10s")).is_empty());
}

#[test]
fn counts_and_the_rate_margin_are_within_reason() {
    type Field = fn(&mut Policy) -> &mut u32;
    let counts: [(&str, Field); 3] = [
        ("policy.detection.failures", |policy| &mut policy.detection.failures),
        ("policy.detection.recoveries", |policy| &mut policy.detection.recoveries),
        ("policy.velocity.moves", |policy| &mut policy.velocity.moves),
    ];
    for (name, field) in counts {
        for bad in [0, 1_001] {
            let said = problems(|spec| *field(&mut spec.policy) = bad);
            only(&said, &format!("{name}: {bad} is not between 1 and 1000"));
        }
    }
    let margin = |ppm| problems(|spec| spec.policy.gate.rate_margin = RateMargin { ppm });
    assert!(margin(500_000).is_empty());
    only(&margin(500_001), "policy.gate.rate-margin.ppm: more than half: clocks do not differ that much");
}

#[test]
fn groups_and_resources_have_names_of_their_own() {
    only(&problems(|spec| spec.groups.clear()), "groups: a deployment needs at least one group");
    let twice = problems(|spec| {
        let empty = GroupSpec::new("logs".try_into().unwrap(), TierChoice::Important);
        spec.groups.push(empty);
    });
    only(&twice, "groups.logs: group logs is named twice");
    // The name of a step holds the resource's: it must be one resource in the whole deployment.
    let resource_twice = problems(|spec| {
        let other = group("search", TierChoice::Important).check(resource("logs-check"));
        spec.groups.push(other);
    });
    only(&resource_twice, "groups.search.checks.logs-check: another resource has the same name");
}

#[test]
fn groups_share_nothing_that_fails_over_as_a_whole() {
    let shared = problems(|spec| {
        spec.groups[0].stores[0].failover_unit = Some("account".into());
        let mut other = group("search", TierChoice::Important);
        other.routers[0].failover_unit = Some("account".into());
        spec.groups.push(other);
    });
    only(
        &shared,
        "groups.search.routers.search-router: groups logs and search share `account`, which fails over as a whole (put \
         both groups' resources into one group)",
    );
    let by_name = problems(|spec| {
        let mut other = group("search", TierChoice::Important);
        other.scalers[0].failover_unit = Some("logs-store".into());
        spec.groups.push(other);
    });
    assert_eq!(by_name.len(), 1, "the name of a resource is its unit: {by_name:?}");
    let fine = problems(|spec| {
        // Within one group, and for checks, which do not move.
        spec.groups[0].stores[0].failover_unit = Some("account".into());
        spec.groups[0].routers[0].failover_unit = Some("account".into());
        let mut other = group("search", TierChoice::Important);
        other.checks[0].failover_unit = Some("account".into());
        spec.groups.push(other);
    });
    assert!(fine.is_empty(), "{fine:?}");
}

#[test]
fn resources_are_of_some_kind_and_speak_of_known_regions() {
    only(
        &problems(|spec| spec.groups[0].stores[0].kind.clear()),
        "groups.logs.stores.logs-store.kind: names no implementation",
    );
    only(
        &problems(|spec| spec.groups[0].stores[0].failover_unit = Some(String::new())),
        "groups.logs.stores.logs-store.failover-unit: is empty (leave it out if the resource fails over by itself)",
    );
    only(
        &problems(|spec| {
            spec.groups[0].stores[0] = resource("s").with_in("north".try_into().unwrap(), "key", 1);
        }),
        "groups.logs.stores.s.regions.north: north is not one of the regions (east, west)",
    );
}

#[test]
fn no_value_holds_a_template_that_nothing_fills_in() {
    let nested: toml::Value = toml::from_str("a = [1, { name = 'n', b = '${c}' }, '${d}']").unwrap();
    let said = problems(|spec| {
        spec.witness.settings.insert("table".into(), "${x}".into());
        spec.groups[0].stores[0] = resource("s")
            .in_unit("${unit}")
            .with("nested", nested)
            .with("fine", "$x {y} 5 $")
            .with_in("east".try_into().unwrap(), "key", "a-${z}");
    });
    let fields: Vec<_> = said.iter().map(|said| said.split(':').next().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "witness.settings.table",
            "groups.logs.stores.s.failover-unit",
            "groups.logs.stores.s.settings.nested.a.n.b",
            "groups.logs.stores.s.settings.nested.a.2",
            "groups.logs.stores.s.regions.east.key",
        ]
    );
}

#[test]
fn objectives_are_longer_than_nothing_and_the_hold_leaves_time_to_recover() {
    let tier = |change: fn(&mut Tier)| {
        let mut tier = Tier::IMPORTANT;
        change(&mut tier);
        problems(|spec| spec.groups[0].tier = TierChoice::Custom(tier))
    };
    assert!(tier(|tier| tier.rpo = Duration::ZERO).is_empty(), "no loss at all is an objective");
    only(&tier(|tier| tier.rto = Duration::ZERO), "groups.logs.tier.rto: must be longer than zero");
    only(&tier(|tier| tier.hold = Duration::ZERO), "groups.logs.tier.hold: must be longer than zero");
    only(&tier(|tier| tier.rpo = span("721h")), "groups.logs.tier.rpo: 721h is absurd: more than 30 days");
    only(&tier(|tier| tier.rto = span("721h")), "groups.logs.tier.rto: 721h is absurd: more than 30 days");
    only(
        &tier(|tier| tier.hold = span("1h")),
        "groups.logs.tier.hold: 1h would use up the recovery time alone: rto is 1h",
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let said = problems(|spec| {
        spec.regions.pop();
        spec.preferred = "north".try_into().unwrap();
        spec.witness.region = Some("east".try_into().unwrap());
        spec.policy.gate.trust = Duration::ZERO;
        spec.groups.clear();
    });
    assert_eq!(said.len(), 6, "{said:#?}");
}

#[test]
fn what_is_allowed_but_not_advised_is_warned_of() {
    only(
        &warnings(|spec| spec.witness.region = Some("north".try_into().unwrap())),
        "the witness is in one region (north), unless it is kept in several: while it is down the gates shut after the trust, and nothing moves",
    );
    only(
        &warnings(|spec| drop(spec.vantages.pop())),
        "fewer than three vantages: no region is ever called unfit, nothing moves by itself",
    );
    only(
        &warnings(|spec| spec.vantages[0].failure_domain = "b".try_into().unwrap()),
        "the vantages are in fewer than three failure domains: the loss of one may take a majority of them along",
    );
    only(
        &warnings(|spec| spec.policy.gate.rate_margin = RateMargin { ppm: 699 }),
        "policy.gate.rate-margin.ppm is 699: healthy clocks may differ by 700, and then two regions may write at once",
    );
    only(
        &warnings(|spec| spec.policy.automatic_failback = true),
        "policy.automatic-failback has no effect unless policy.automatic is `on`",
    );
    only(
        &warnings(|spec| spec.groups[0].tier = TierChoice::Critical),
        "group logs: its tier asks for active-active, the deployment is active-passive",
    );
    only(
        &warnings(|spec| spec.groups[0].stores.clear()),
        "group logs has no store: nothing is promoted or drained",
    );
    only(
        &warnings(|spec| spec.groups[0].routers.clear()),
        "group logs has no router: its traffic stays where it is",
    );
    only(
        &warnings(|spec| spec.groups[0].checks.clear()),
        "group logs has no check: nothing says whether a region is fit to serve it",
    );
}

#[test]
fn a_recovery_time_that_is_gone_before_the_move_starts_is_warned_of() {
    // 3 probes 10 s apart, a deadline of 5 s, a hold of 60 s, and the seal: (15 s + 5 s) and 2 % of it.
    let tier = |rto| TierChoice::Custom(Tier { rto, ..Tier::IMPORTANT });
    only(
        &warnings(|spec| spec.groups[0].tier = tier(span("1m 55s 400ms"))),
        "group logs: detection, hold and seal take 1m 55s 400ms, the recovery time is 1m 55s 400ms",
    );
    assert!(warnings(|spec| spec.groups[0].tier = tier(span("1m 55s 401ms"))).is_empty());
}

/// A specification in which everything that can be said is said, and differs from the default.
fn complete() -> DeploymentSpec {
    let east: Region = "east".try_into().unwrap();
    let mut spec = sound();
    spec.strategy = Strategy::ActiveActive;
    spec.regions[1].provider = Provider::Azure;
    spec.witness = WitnessSpec::in_region("file", "north".try_into().unwrap()).with("path", "/ledger");
    let seconds = Duration::from_secs;
    spec.policy = Policy {
        gate: GateTerms {
            trust: seconds(20),
            write_deadline: Duration::from_millis(2_500),
            rate_margin: RateMargin { ppm: 1_000 },
        },
        detection: DetectionPolicy {
            interval: seconds(7),
            probe_deadline: seconds(6),
            failures: 4,
            recoveries: 6,
        },
        automatic: Automatic::On,
        automatic_failback: true,
        timing: Timing {
            lease: seconds(60),
            beat: seconds(10),
            observe: seconds(11),
            reconcile: seconds(16),
            call_deadline: seconds(12),
            fence_deadline: seconds(13),
            cool_down: seconds(0),
            failback_after: seconds(14),
            approval: seconds(15),
        },
        velocity: Velocity { moves: 2, window: seconds(90) },
        standby: StandbyShare(Share::try_from(0.123_456).unwrap()),
    };
    let tier = Tier {
        order: 7,
        rpo: seconds(1),
        rto: seconds(900),
        strategy: Strategy::ActiveActive,
        hold: seconds(3),
    };
    let mut own = group("own", TierChoice::Custom(tier));
    own.writers = Writers::Ungated;
    own.stores[0] = resource("own-store")
        .in_unit("account")
        .with("text", "t")
        .with("number", 5)
        .with("share", 0.5)
        .with("flag", true)
        .with("list", vec!["a", "b"])
        .with_in(east, "endpoint", "https://east.example.com");
    let critical = group("critical", TierChoice::Critical);
    let standard = group("standard", TierChoice::Standard);
    spec.group(own).group(critical).group(standard)
}

#[test]
fn a_specification_comes_back_from_toml_and_json_as_it_was() {
    for spec in [sound(), complete()] {
        let toml = toml::to_string(&spec).unwrap();
        assert_eq!(toml::from_str::<DeploymentSpec>(&toml).unwrap(), spec, "{toml}");
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<DeploymentSpec>(&json).unwrap(), spec, "{json}");
    }
}

#[test]
fn the_loader_reads_what_serde_writes() {
    use crate::config::{Format, Source};
    for spec in [sound(), complete()] {
        let toml = Source::new("x", Format::Toml, toml::to_string(&spec).unwrap());
        let json = Source::new("x", Format::Json, serde_json::to_string(&spec).unwrap());
        for source in [toml, json] {
            assert_eq!(Deployment::from_sources([&source]), Deployment::new(spec.clone()), "{}", source.text);
        }
    }
}

#[test]
fn the_hash_tells_apart_what_a_ledger_must_agree_on_and_nothing_else() {
    let hash = |change: fn(&mut DeploymentSpec)| {
        let mut spec = sound();
        change(&mut spec);
        Deployment::new(spec).unwrap().hash().clone()
    };
    let same = hash(|_| {});
    assert_eq!(same, hash(|spec| spec.policy.timing.approval = Duration::from_secs(1)));
    assert_eq!(same, hash(|spec| spec.policy.automatic = Automatic::Off));
    let changes: [fn(&mut DeploymentSpec); 6] = [
        |spec| spec.name = "other".try_into().unwrap(),
        |spec| spec.strategy = Strategy::ActiveActive,
        |spec| spec.regions.push(region("north")),
        |spec| spec.groups[0].stores[0].kind = "other".into(),
        |spec| drop(spec.vantages.pop()),
        |spec| spec.policy.gate.trust = Duration::from_secs(16),
    ];
    for change in changes {
        assert_ne!(same, hash(change));
    }
}

proptest! {
    #[test]
    fn every_share_and_every_duration_comes_back_as_it_was(millionths in 0u32..=1_000_000, nanos in any::<u64>()) {
        let share = Share::try_from(f64::from(millionths) / 1_000_000.0).unwrap();
        let again = serde_json::from_str::<Share>(&serde_json::to_string(&share).unwrap()).unwrap();
        prop_assert_eq!(share, again);
        prop_assert_eq!(share.of(1_000_000), u64::from(millionths));

        let velocity = Velocity { moves: 1, window: Duration::from_nanos(nanos) };
        let again = toml::from_str::<Velocity>(&toml::to_string(&velocity).unwrap()).unwrap();
        prop_assert_eq!(velocity, again);
        let written = serde_json::to_value(velocity).unwrap();
        prop_assert_eq!(written["window"].as_str().unwrap(), spoken(velocity.window));
    }
}

#[test]
fn a_number_that_is_no_share_is_refused() {
    for bad in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
        assert!(Share::try_from(bad).is_err(), "{bad}");
    }
    assert_eq!(Share::TENTH.of(5), 1, "rounded up: a standby of a tenth of five is one, not none");
}
