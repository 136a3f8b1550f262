use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, HealthCheck, HealthCheckConfig, HealthCheckType,
    ResourceRecord, ResourceRecordSet, ResourceRecordSetFailover, RrType,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use mantissa_mr_aws::Connected;
use mantissa_mr_core::error::{Effect, ErrorKind};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::traffic::{Convergence, Routing, Shift, TrafficRouter, Urgency, Weights};
use test_support::{Action, Emulator, Match, or_skip};

use crate::world::{EAST, WEST, World, deployment, region, resource};

const RECORD: &str = "api.example.com";

/// The product's own setup: alias records, a health check on the primary, none on the secondary.
pub(crate) struct Setup {
    pub(crate) world: World,
    route53: aws_sdk_route53::Client,
    zone: String,
    /// The check that the product's Terraform made for the primary.
    endpoint_check: String,
    connected: Connected,
    pub(crate) router: Arc<dyn TrafficRouter>,
}

impl Setup {
    async fn new(emulator: &Emulator) -> Self {
        Self::with(emulator, true).await
    }

    async fn with(emulator: &Emulator, buckets: bool) -> Self {
        let world = World::new(emulator);
        let route53 = aws_sdk_route53::Client::new(&world.aside(EAST));
        let zone = route53.create_hosted_zone().name("example.com").caller_reference("zone");
        let zone = zone.send().await.unwrap().hosted_zone.unwrap().id.replace("/hostedzone/", "");
        let config = HealthCheckConfig::builder()
            .r#type(HealthCheckType::Https)
            .fully_qualified_domain_name("primary.example.com")
            .port(443)
            .resource_path("/health")
            .build()
            .unwrap();
        let check = route53.create_health_check().caller_reference("terraform").health_check_config(config);
        let endpoint_check = check.send().await.unwrap().health_check.unwrap().id;
        let records = [
            (record("primary", ResourceRecordSetFailover::Primary), Some(endpoint_check.clone())),
            (record("secondary", ResourceRecordSetFailover::Secondary), None),
        ];
        for (mut record, check) in records {
            record.health_check_id = check;
            change(&route53, &zone, ChangeAction::Create, record).await;
        }
        for name in [EAST, WEST].into_iter().filter(|_| buckets) {
            let place = BucketLocationConstraint::from(name);
            let place = CreateBucketConfiguration::builder().location_constraint(place).build();
            let create = world.s3(name).create_bucket().bucket(world.bucket(name));
            create.set_create_bucket_configuration((name != EAST).then_some(place)).send().await.unwrap();
            let policy = world.s3(name).put_bucket_policy().bucket(world.bucket(name));
            policy.policy(world.policy(name)).send().await.unwrap();
        }
        let connected = world.connect(&world.routed(&zone, buckets)).await;
        let router = connected.routers[&resource("api")].clone();
        Self { world, route53, zone, endpoint_check, connected, router }
    }

    /// With records that clients keep for no time at all, so that nobody waits for them.
    pub(crate) async fn quick(emulator: &Emulator, buckets: bool) -> Self {
        let setup = Self::with(emulator, buckets).await;
        for (identifier, mut set) in setup.records().await {
            let address = ResourceRecord::builder().value(format!("192.0.2.{}", identifier.len()));
            set.alias_target = None;
            set.resource_records = Some(vec![address.build().unwrap()]);
            set.ttl = Some(0);
            change(&setup.route53, &setup.zone, ChangeAction::Upsert, set).await;
        }
        setup.connected.init(false).await.unwrap();
        setup
    }

    /// The same, with the switches set up.
    async fn prepared(emulator: &Emulator) -> Self {
        let setup = Self::new(emulator).await;
        setup.connected.init(false).await.unwrap();
        setup
    }

    /// The records by set identifier.
    async fn records(&self) -> BTreeMap<String, ResourceRecordSet> {
        let answer =
            self.route53.list_resource_record_sets().hosted_zone_id(&self.zone).send().await.unwrap();
        let failover = answer.resource_record_sets.into_iter().filter(|set| set.failover.is_some());
        failover.map(|set| (set.set_identifier.clone().unwrap(), set)).collect()
    }

    async fn served(&self) -> String {
        served(&self.router.routing().await.unwrap())
    }

    async fn shift(&self, target: &str, epoch: u64, urgency: Urgency) -> mantissa_mr_core::error::Result<()> {
        let based_on = self.router.routing().await.unwrap().version;
        let weights = Weights::all_to(&region(target));
        self.router.shift(&Shift { weights, epoch: Epoch(epoch), urgency, based_on }).await
    }

    /// The objects that take a region out, by the region that they are in.
    async fn switches(&self) -> Vec<&'static str> {
        let mut on = Vec::new();
        for name in [EAST, WEST] {
            let list =
                self.world.s3(name).list_objects_v2().bucket(self.world.bucket(name)).prefix("failover/");
            let objects = list.send().await.unwrap().contents.unwrap_or_default();
            if objects.iter().any(|object| !object.key().unwrap().ends_with(".probe")) {
                on.push(name);
            }
        }
        on
    }

    async fn checks(&self) -> Vec<HealthCheck> {
        self.route53.list_health_checks().send().await.unwrap().health_checks
    }
}

impl World {
    fn bucket(&self, region: &str) -> String {
        format!("mantissa-failover-{}-{region}", self.account)
    }

    /// Lets health checkers, and everybody else, read the switches.
    fn policy(&self, region: &str) -> String {
        let resource = format!("arn:aws:s3:::{}/failover/*", self.bucket(region));
        let action = r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject""#;
        format!(r#"{{"Version":"2012-10-17","Statement":[{{{action},"Resource":"{resource}"}}]}}"#)
    }

    fn routed(&self, zone: &str, buckets: bool) -> String {
        let bucket = |name: &str| match buckets {
            true => format!(", bucket = \"{}\"", self.bucket(name)),
            false => String::new(),
        };
        deployment(&format!(
            r#"
            [[groups.routers]]
            name = "api"
            kind = "route53-failover"
            settings = {{ zone = "{zone}", record = "{RECORD}" }}
            regions.{EAST} = {{ set-identifier = "primary"{} }}
            regions.{WEST} = {{ set-identifier = "secondary"{} }}
            "#,
            bucket(EAST),
            bucket(WEST)
        ))
    }
}

fn record(identifier: &str, failover: ResourceRecordSetFailover) -> ResourceRecordSet {
    let target = AliasTarget::builder()
        .hosted_zone_id("Z1UJRXOUMOOFQ8")
        .dns_name(format!("d-{identifier}.execute-api.amazonaws.com."))
        .evaluate_target_health(true);
    let set = ResourceRecordSet::builder().name(format!("{RECORD}.")).r#type(RrType::A);
    let set = set.set_identifier(identifier).failover(failover).alias_target(target.build().unwrap());
    set.build().unwrap()
}

async fn change(client: &aws_sdk_route53::Client, zone: &str, action: ChangeAction, set: ResourceRecordSet) {
    let change = Change::builder().action(action).resource_record_set(set).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await.unwrap();
}

fn served(routing: &Routing) -> String {
    let serving: Vec<&Region> = routing.weights.serving().collect();
    let [one] = serving.as_slice() else { panic!("{serving:?}") };
    one.to_string()
}

fn batches() -> Match {
    Match::any().path("POST /2013-04-01/hostedzone/")
}

/// Protects the records: a planned shift is one batch of exact deletes and creates, and only the roles change.
#[tokio::test]
async fn a_planned_shift_swaps_the_roles_in_one_batch_and_keeps_everything_else() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::with(emulator, false).await;
    let before = setup.records().await;
    assert_eq!(setup.served().await, EAST);
    setup.shift(WEST, 1, Urgency::Planned).await.unwrap();
    assert_eq!(setup.served().await, WEST);
    let after = setup.records().await;
    let role = |set: &ResourceRecordSet| set.failover.clone().unwrap();
    assert_eq!(role(&after["primary"]), ResourceRecordSetFailover::Secondary);
    assert_eq!(role(&after["secondary"]), ResourceRecordSetFailover::Primary);
    for (identifier, set) in &after {
        let mut undone = set.clone();
        undone.failover.clone_from(&before[identifier].failover);
        assert_eq!(&undone, &before[identifier], "alias target, health check and all the rest");
    }
    assert_eq!(after["primary"].health_check_id.as_ref(), Some(&setup.endpoint_check));
    let posts = setup.world.proxy.log_of(&batches());
    assert_eq!(posts.len(), 1);
    let (deletes, creates) =
        (posts[0].text().matches("DELETE").count(), posts[0].text().matches("CREATE").count());
    assert_eq!((deletes, creates), (2, 2));

    setup.shift(WEST, 1, Urgency::Planned).await.unwrap();
    assert_eq!(setup.world.asked(&batches()), 1, "a second shift to the same region does nothing");
    setup.shift(EAST, 2, Urgency::Planned).await.unwrap();
    assert_eq!(setup.records().await, before, "and back");
}

/// Protects whoever changed the records meanwhile: the batch fails whole, however late the change was made.
#[tokio::test]
async fn a_planned_shift_fails_whole_if_somebody_changed_the_records() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::with(emulator, false).await;
    let mut changed = setup.records().await["secondary"].clone();
    changed.alias_target = record("elsewhere", ResourceRecordSetFailover::Secondary).alias_target;
    // Between the read that the plan was made on and the shift:
    let based_on = setup.router.routing().await.unwrap().version;
    change(&setup.route53, &setup.zone, ChangeAction::Upsert, changed.clone()).await;
    let weights = Weights::all_to(&region(WEST));
    let shift = Shift { weights, epoch: Epoch(1), urgency: Urgency::Planned, based_on };
    let error = setup.router.shift(&shift).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
    assert_eq!(setup.world.asked(&batches()), 0, "nothing was sent");

    // Between the shift's own read and its batch:
    let (runtime, client, zone) =
        (tokio::runtime::Handle::current(), setup.route53.clone(), setup.zone.clone());
    changed.alias_target = record("elsewhere-again", ResourceRecordSetFailover::Secondary).alias_target;
    let interfere = changed.clone();
    let rule = setup.world.proxy.when(
        batches(),
        Action::before(move |_| {
            runtime.block_on(change(&client, &zone, ChangeAction::Upsert, interfere.clone()));
        }),
    );
    let error = setup.shift(WEST, 1, Urgency::Planned).await.unwrap_err();
    setup.world.proxy.remove(rule);
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{error}");
    assert_eq!(setup.served().await, EAST);
    assert_eq!(setup.records().await["secondary"], changed, "what the other one wrote is there");
}

/// Protects the resumed move: a batch whose answer was lost is found done, and not done again.
#[tokio::test]
async fn a_shift_whose_answer_was_lost_is_found_done() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::with(emulator, false).await;
    let based_on = setup.router.routing().await.unwrap().version;
    let rule = setup.world.proxy.when(batches(), Action::DropAfter);
    let weights = Weights::all_to(&region(WEST));
    let shift = Shift { weights, epoch: Epoch(1), urgency: Urgency::Planned, based_on };
    let error = setup.router.shift(&shift).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    setup.world.proxy.remove(rule);
    setup.router.shift(&shift).await.unwrap();
    assert_eq!(setup.world.asked(&batches()), 1);
    assert_eq!(setup.served().await, WEST);
}

/// Protects the unplanned shift's setup: it is made once, keeps the check that was there, and a dry run makes nothing.
#[tokio::test]
async fn prepare_hangs_each_record_on_the_other_regions_switch() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::new(emulator).await;
    let before = setup.records().await;
    let told = setup.connected.init(true).await.unwrap();
    assert_eq!(told.len(), 6, "a table, two switches, one combination, two records: {told:#?}");
    assert_eq!((setup.records().await, setup.checks().await.len()), (before, 1));
    assert_eq!(setup.connected.init(false).await.unwrap(), told);
    assert_eq!(setup.connected.init(false).await.unwrap(), [""; 0], "the second time there is nothing to do");

    let checks: BTreeMap<String, HealthCheckConfig> = setup
        .checks()
        .await
        .into_iter()
        .map(|check| (check.id, check.health_check_config.unwrap()))
        .collect();
    let records = setup.records().await;
    let of = |identifier: &str| &checks[records[identifier].health_check_id.as_ref().unwrap()];
    let path = format!("/failover/{}/{RECORD}/A", setup.zone);
    let is_switch_in = |check: &HealthCheckConfig, name: &str| {
        let host = format!("{}.s3.{name}.amazonaws.com", setup.world.bucket(name));
        assert_eq!(check.fully_qualified_domain_name(), Some(host.as_str()));
        assert_eq!((check.resource_path(), check.inverted()), (Some(path.as_str()), Some(true)));
    };
    is_switch_in(of("secondary"), EAST);
    let combined = of("primary");
    assert_eq!((&combined.r#type, combined.health_threshold()), (&HealthCheckType::Calculated, Some(2)));
    let [endpoint, switch] = combined.child_health_checks() else { panic!("{combined:?}") };
    assert_eq!(endpoint, &setup.endpoint_check);
    is_switch_in(&checks[switch], WEST);
}

/// Protects static stability: an unplanned shift sends nothing but S3 requests to the region that takes over, whether
/// the other region and Route 53's control plane are dead or merely silent.
#[tokio::test]
async fn an_unplanned_shift_needs_only_the_region_that_takes_over() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::prepared(emulator).await;
    let records = setup.records().await;
    assert_eq!(setup.served().await, EAST);
    setup.world.proxy.reset(EAST);
    let routing = setup.router.routing().await.unwrap();
    assert_eq!(served(&routing), EAST, "known without the control plane");
    let before = setup.world.proxy.log().len();
    let weights = Weights::all_to(&region(WEST));
    let urgency = Urgency::Unplanned;
    let shift = Shift { weights: weights.clone(), epoch: Epoch(2), urgency, based_on: routing.version };
    setup.router.shift(&shift).await.unwrap();
    let sent = setup.world.proxy.log().split_off(before);
    assert!(sent.iter().all(|sent| sent.service.as_deref() == Some("s3")), "{sent:?}");
    let changes = sent.iter().filter(|sent| sent.method != "GET").collect::<Vec<_>>();
    assert!(changes.len() == 1 && changes[0].region.as_deref() == Some(WEST), "{changes:?}");

    let routing = setup.router.routing().await.unwrap();
    assert_eq!(served(&routing), WEST);
    assert_eq!(routing.health.get(&region(EAST)), Some(&false));
    setup.router.shift(&shift).await.unwrap();
    let Convergence::NotYet { why } = setup.router.converged(&weights).await.unwrap() else { panic!() };
    assert!(
        why.contains("clients follow within 90s"),
        "three failed checks of 10 s and a TTL of 60 s: {why}"
    );
    assert_eq!((setup.records().await, setup.switches().await), (records, vec![WEST]));
}

/// Protects the way back: a planned failback leaves no switch on, whatever the failover left, and clients move once.
#[tokio::test]
async fn a_planned_failback_after_an_unplanned_failover_tidies_up() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::prepared(emulator).await;
    let before = setup.records().await;
    setup.shift(WEST, 2, Urgency::Unplanned).await.unwrap();
    assert_eq!((setup.served().await.as_str(), setup.switches().await), (WEST, vec![WEST]));
    setup.shift(EAST, 3, Urgency::Planned).await.unwrap();
    assert_eq!((setup.served().await.as_str(), setup.switches().await), (EAST, vec![]));
    assert_eq!(setup.records().await, before);
    // And once more, the other way round: a planned switchover, then the new primary dies.
    setup.shift(WEST, 4, Urgency::Planned).await.unwrap();
    setup.world.proxy.reset(WEST);
    setup.shift(EAST, 5, Urgency::Unplanned).await.unwrap();
    setup.world.proxy.heal();
    assert_eq!((setup.served().await.as_str(), setup.switches().await), (EAST, vec![EAST]));
}

/// Protects a second disaster: after two failovers in a row each region has a switch on, and the next one still works.
#[tokio::test]
async fn a_third_failover_in_a_row_undoes_the_first() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::prepared(emulator).await;
    for (target, epoch) in [(WEST, 2), (EAST, 3), (WEST, 4)] {
        setup.shift(target, epoch, Urgency::Unplanned).await.unwrap();
        assert_eq!(setup.served().await, target);
    }
    // Preparing again puts it in order without clients noticing.
    let told = setup.connected.init(false).await.unwrap();
    assert!(
        told.iter().any(|step| step.contains("make us-west-2, which is served, the primary")),
        "{told:?}"
    );
    assert_eq!((setup.served().await.as_str(), setup.switches().await), (WEST, vec![]));
    let primary = &setup.records().await["secondary"];
    assert_eq!(primary.failover, Some(ResourceRecordSetFailover::Primary));
}

/// Protects against the stale enactor: an older epoch never changes the routing back.
#[tokio::test]
async fn an_older_epoch_is_superseded() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::prepared(emulator).await;
    setup.shift(WEST, 7, Urgency::Planned).await.unwrap();
    for urgency in [Urgency::Planned, Urgency::Unplanned] {
        let error = setup.shift(EAST, 6, urgency).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Superseded, Effect::None));
    }
    assert_eq!((setup.served().await.as_str(), setup.switches().await), (WEST, vec![]));
    setup.shift(EAST, 8, Urgency::Unplanned).await.unwrap();
    assert_eq!(setup.shift(WEST, 7, Urgency::Planned).await.unwrap_err().kind(), ErrorKind::Superseded);
}

/// Protects two controllers from each other: of two unplanned shifts decided on the same state one wins.
#[tokio::test]
async fn of_two_unplanned_shifts_with_different_epochs_one_is_refused() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::prepared(emulator).await;
    let based_on = setup.router.routing().await.unwrap().version;
    let weights = Weights::all_to(&region(WEST));
    let shift = |epoch| Shift {
        weights: weights.clone(),
        epoch: Epoch(epoch),
        urgency: Urgency::Unplanned,
        based_on: based_on.clone(),
    };
    setup.router.shift(&shift(2)).await.unwrap();
    assert_eq!(setup.router.shift(&shift(3)).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(setup.router.shift(&shift(1)).await.unwrap_err().kind(), ErrorKind::Superseded);
    setup.router.shift(&shift(2)).await.unwrap();
}

/// Protects the operator at night: an object that was put there by hand, with any content, counts.
#[tokio::test]
async fn a_switch_that_was_turned_on_by_hand_is_seen() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::prepared(emulator).await;
    let put = setup.world.s3(WEST).put_object().bucket(setup.world.bucket(WEST));
    let put = put.key(format!("failover/{}/{RECORD}/A", setup.zone));
    put.body(ByteStream::from_static(b"go!")).send().await.unwrap();
    assert_eq!(setup.served().await, WEST);
}

/// Protects against a switch that nothing hangs on: without `init` an unplanned shift says so instead of doing nothing.
#[tokio::test]
async fn an_unplanned_shift_that_was_never_prepared_is_an_error() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::new(emulator).await;
    let error = setup.shift(WEST, 2, Urgency::Unplanned).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::InvalidInput, Effect::None));
    assert!(error.advice().unwrap().contains("run `init`"), "{error}");
    assert_eq!(setup.switches().await, [""; 0]);

    let setup = Setup::with(emulator, false).await;
    assert_eq!(setup.router.capabilities().unplanned_needs, None);
    let error = setup.shift(WEST, 2, Urgency::Unplanned).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Protects against Terraform: a record that was hung on its old check again makes the switch worthless, and that shows.
#[tokio::test]
async fn a_record_that_no_longer_hangs_on_its_switch_is_not_counted_as_moved() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::prepared(emulator).await;
    let mut applied = setup.records().await["primary"].clone();
    applied.health_check_id = Some(setup.endpoint_check.clone());
    change(&setup.route53, &setup.zone, ChangeAction::Upsert, applied).await;
    assert_eq!(setup.router.routing().await.unwrap().health.get(&region(EAST)), None);
    setup.shift(WEST, 2, Urgency::Unplanned).await.unwrap();
    assert_eq!(setup.served().await, EAST, "clients still get the east, and nobody is told otherwise");
    // It is repaired by hanging it up again, after the switch was turned off: clients do not jump.
    let told = setup.connected.init(false).await.unwrap();
    assert!(told.iter().any(|step| step.contains("remove the switch that is on in us-west-2")), "{told:?}");
    assert_eq!((setup.served().await.as_str(), setup.switches().await), (EAST, vec![]));
    setup.shift(WEST, 3, Urgency::Unplanned).await.unwrap();
    assert_eq!(setup.served().await, WEST);
}

/// Protects against switches that health checkers cannot read: they would never fail over.
#[tokio::test]
async fn a_bucket_that_strangers_cannot_read_is_refused_with_the_policy_to_add() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::new(emulator).await;
    let bucket = setup.world.bucket(EAST);
    setup.world.s3(EAST).delete_bucket_policy().bucket(&bucket).send().await.unwrap();
    let error = setup.connected.init(false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let statement = format!("arn:aws:s3:::{bucket}/failover/*");
    assert!(error.advice().unwrap().contains(&statement), "{error}");
    assert_eq!(setup.checks().await.len(), 1, "nothing was set up");
    setup
        .world
        .s3(EAST)
        .put_bucket_policy()
        .bucket(&bucket)
        .policy(setup.world.policy(EAST))
        .send()
        .await
        .unwrap();
    setup.connected.init(false).await.unwrap();
}

/// Protects the last word of a move: converged is what Route 53 confirms plus the TTL, not the call's return.
#[tokio::test]
async fn a_planned_shift_has_converged_when_route_53_is_in_sync_and_the_ttl_has_passed() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::quick(emulator, false).await;
    let (east, west) = (Weights::all_to(&region(EAST)), Weights::all_to(&region(WEST)));
    setup.shift(WEST, 1, Urgency::Planned).await.unwrap();
    let Convergence::NotYet { why } = setup.router.converged(&east).await.unwrap() else { panic!() };
    assert_eq!(why, "clients get us-west-2");
    let Convergence::NotYet { why } = setup.router.converged(&west).await.unwrap() else { panic!() };
    assert!(why.contains("has not reached all servers"), "the emulator says PENDING first: {why}");
    let Convergence::Converged { how } = setup.router.converged(&west).await.unwrap() else { panic!() };
    assert!(how.contains("is in sync, and 0ns have passed"), "{how}");
}

/// Protects the configuration: a set identifier that is not there is named with those that are.
#[tokio::test]
async fn a_wrong_set_identifier_is_told_with_the_right_ones() {
    let emulator = or_skip!(Emulator::shared());
    let setup = Setup::with(emulator, false).await;
    let text = setup.world.routed(&setup.zone, false).replace("\"secondary\"", "\"standby\"");
    let router = setup.world.connect(&text).await.routers[&resource("api")].clone();
    let error = router.routing().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("no set identifier `standby`; there are: primary, secondary"),
        "{error}"
    );
}
