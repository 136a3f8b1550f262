//! An account as the guide's Terraform leaves it, and what there is to see in it.

use std::collections::BTreeMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, HealthCheckConfig, HealthCheckType, ResourceRecord,
    ResourceRecordSet, ResourceRecordSetFailover, RrType,
};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use serde_json::{Value, json};

pub(crate) const EAST: &str = "us-east-1";
pub(crate) const WEST: &str = "us-west-2";
pub(crate) const WITNESS: &str = "us-east-2";
pub(crate) const LEDGER: &str = "mantissa-mr-ledger";
pub(crate) const TABLE: &str = "mantissa-log-state";
pub(crate) const FUNCTION: &str = "mantissa-log-detection-engine";
pub(crate) const RECORD: &str = "api.example.com";

/// The smallest archive: the end of an empty one.
const ZIP: [u8; 22] = [0x50, 0x4b, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What the records of the API are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Alias targets, as the product has them. Clients keep their answers for a minute.
    Alias,
    /// Addresses that clients keep for no time at all, so that nobody waits for them.
    Address,
}

/// An account, looked at past the proxy.
pub(crate) struct Account {
    pub(crate) number: String,
    pub(crate) zone: String,
    config: SdkConfig,
}

impl Account {
    /// One in which us-east-1 serves: a table and a function with all its capacity there, a function that stands by in
    /// us-west-2, failover records, of which the primary has a health check, and a bucket in each region.
    pub(crate) async fn create(endpoint: &str, number: &str, answers: Answers) -> Self {
        let credentials = Credentials::new(number, "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // One for all clients, and none that reads the system's certificates.
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let mut account = Self { number: number.to_owned(), zone: String::new(), config };
        account.create_table().await;
        account.create_records(answers).await;
        for (region, reserved, memory) in [(EAST, 10, 1024), (WEST, 1, 256)] {
            account.create_function(region, reserved, memory).await;
            account.create_bucket(region).await;
        }
        account
    }

    fn at(&self, region: &str) -> SdkConfig {
        self.config.to_builder().region(Region::new(region.to_owned())).build()
    }

    fn dynamodb(&self, region: &str) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.at(region))
    }

    fn lambda(&self, region: &str) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.at(region))
    }

    fn route53(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(&self.at(EAST))
    }

    fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.at(region)).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub(crate) fn bucket(&self, region: &str) -> String {
        format!("mantissa-failover-{}-{region}", self.number)
    }

    async fn create_table(&self) {
        let client = self.dynamodb(EAST);
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        let kind = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
        let request = client.create_table().table_name(TABLE).key_schema(key);
        let request = request.attribute_definitions(kind.build().unwrap());
        request.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
        for id in ["alert-1", "alert-2", "alert-3"] {
            self.write(EAST, id).await;
        }
    }

    /// What a service in a region writes.
    pub(crate) async fn write(&self, region: &str, id: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = self.dynamodb(region).put_item().table_name(TABLE);
        put.item("id", text(id)).item("state", text("open")).send().await.unwrap();
    }

    async fn create_records(&mut self, answers: Answers) {
        let client = self.route53();
        let zone = client.create_hosted_zone().name("example.com").caller_reference("zone").send().await;
        self.zone = zone.unwrap().hosted_zone.unwrap().id.replace("/hostedzone/", "");
        let config = HealthCheckConfig::builder()
            .r#type(HealthCheckType::Https)
            .fully_qualified_domain_name("primary.example.com")
            .port(443)
            .resource_path("/health");
        let check = client.create_health_check().caller_reference("terraform");
        let check = check.health_check_config(config.build().unwrap()).send().await.unwrap();
        let check = check.health_check.unwrap().id;
        let mut batch = ChangeBatch::builder();
        for (identifier, failover, check) in [
            ("primary", ResourceRecordSetFailover::Primary, Some(check)),
            ("secondary", ResourceRecordSetFailover::Secondary, None),
        ] {
            let set = record(identifier, failover, answers, check);
            let change = Change::builder().action(ChangeAction::Create).resource_record_set(set);
            batch = batch.changes(change.build().unwrap());
        }
        let request = client.change_resource_record_sets().hosted_zone_id(&self.zone);
        request.change_batch(batch.build().unwrap()).send().await.unwrap();
    }

    async fn create_function(&self, region: &str, reserved: i32, memory: i32) {
        let client = self.lambda(region);
        let role = format!("arn:aws:iam::{}:role/r", self.number);
        let create = client.create_function().function_name(FUNCTION).runtime(Runtime::Python312).role(role);
        let code = FunctionCode::builder().zip_file(Blob::new(ZIP)).build();
        create.handler("h.h").memory_size(memory).code(code).send().await.unwrap();
        let reserve = client.put_function_concurrency().function_name(FUNCTION);
        reserve.reserved_concurrent_executions(reserved).send().await.unwrap();
    }

    /// With a policy that lets health checkers read the switch.
    async fn create_bucket(&self, region: &str) {
        let bucket = self.bucket(region);
        let place = BucketLocationConstraint::from(region);
        let place = CreateBucketConfiguration::builder().location_constraint(place).build();
        let create = self.s3(region).create_bucket().bucket(&bucket);
        let create = create.set_create_bucket_configuration((region != EAST).then_some(place));
        create.send().await.unwrap();
        let statement = json!({
            "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": format!("arn:aws:s3:::{bucket}/failover/*"),
        });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        self.s3(region).put_bucket_policy().bucket(&bucket).policy(policy).send().await.unwrap();
    }

    // ----- what there is to see -----

    /// What a cell of the witness holds.
    pub(crate) async fn cell(&self, name: &str) -> Value {
        let get = self.dynamodb(WITNESS).get_item().table_name(LEDGER).consistent_read(true);
        let answer = get.key("pk", AttributeValue::S(name.to_owned())).send().await.unwrap();
        let item = answer.item.unwrap_or_else(|| panic!("there is no cell {name}"));
        serde_json::from_slice(item["value"].as_b().unwrap().as_ref()).unwrap()
    }

    /// The records by set identifier, in words that are the same in every account.
    pub(crate) async fn records(&self) -> BTreeMap<String, Value> {
        let client = self.route53();
        let checks = client.list_health_checks().send().await.unwrap().health_checks;
        let purpose = |id: &str| {
            let check = checks.iter().find(|check| check.id == id).unwrap();
            let config = check.health_check_config.as_ref().unwrap();
            json!([config.r#type.as_str(), config.child_health_checks().len()])
        };
        let list = client.list_resource_record_sets().hosted_zone_id(&self.zone).send().await.unwrap();
        let failover = list.resource_record_sets.into_iter().filter(|set| set.failover.is_some());
        let seen = failover.map(|set| {
            let alias = set.alias_target.as_ref();
            let values: Vec<&str> = set.resource_records().iter().map(|record| record.value()).collect();
            let seen = json!({
                "role": set.failover.as_ref().map(|role| role.as_str()),
                "alias": alias.map(|target| json!([target.dns_name, target.evaluate_target_health])),
                "values": values,
                "ttl": set.ttl,
                "check": set.health_check_id.as_deref().map(purpose),
            });
            (set.set_identifier.clone().unwrap(), seen)
        });
        seen.collect()
    }

    /// The ids of the health checks that the records hang on, by set identifier.
    pub(crate) async fn checks(&self) -> BTreeMap<String, String> {
        let client = self.route53();
        let list = client.list_resource_record_sets().hosted_zone_id(&self.zone).send().await.unwrap();
        let sets = list.resource_record_sets.into_iter();
        sets.filter_map(|set| Some((set.set_identifier?, set.health_check_id?))).collect()
    }

    /// The objects of a region's bucket by the last part of their keys' folder: the switch, if it is on, and the memo.
    pub(crate) async fn objects(&self, region: &str) -> BTreeMap<String, Value> {
        let (client, bucket) = (self.s3(region), self.bucket(region));
        let list = client.list_objects_v2().bucket(&bucket).send().await.unwrap();
        let mut objects = BTreeMap::new();
        for object in list.contents() {
            let key = object.key().unwrap();
            if key.ends_with(".probe") {
                continue;
            }
            let body = client.get_object().bucket(&bucket).key(key).send().await.unwrap().body;
            let mut content: Value = serde_json::from_slice(&body.collect().await.unwrap().to_vec()).unwrap();
            if let Some(memo) = content.as_object_mut().filter(|_| !key.starts_with("failover/")) {
                // These differ from account to account; that a change is known is how clients are known to follow.
                ["checks", "records", "change"].iter().for_each(|name| _ = memo.remove(*name));
            }
            objects.insert(key.split('/').next().unwrap().to_owned(), content);
        }
        objects
    }

    /// A function's reserved concurrency and its memory.
    pub(crate) async fn function(&self, region: &str) -> Value {
        let client = self.lambda(region);
        let reserved = client.get_function_concurrency().function_name(FUNCTION).send().await.unwrap();
        let configuration = client.get_function_configuration().function_name(FUNCTION).send().await.unwrap();
        json!([reserved.reserved_concurrent_executions, configuration.memory_size])
    }

    /// The table's replicas as a region has them, and the ids of its items.
    pub(crate) async fn table(&self, region: &str) -> Value {
        let client = self.dynamodb(region);
        let table = client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
        let mut replicas: Vec<&str> =
            table.replicas().iter().filter_map(|replica| replica.region_name()).collect();
        replicas.sort_unstable();
        let items = client.scan().table_name(TABLE).send().await.unwrap().items.unwrap();
        let mut ids: Vec<&String> = items.iter().map(|item| item["id"].as_s().unwrap()).collect();
        ids.retain(|id| !id.starts_with("mantissa-canary."));
        ids.sort_unstable();
        json!({ "status": table.table_status().map(|status| status.as_str()), "replicas": replicas, "items": ids })
    }
}

fn record(
    identifier: &str,
    failover: ResourceRecordSetFailover,
    answers: Answers,
    check: Option<String>,
) -> ResourceRecordSet {
    let set = ResourceRecordSet::builder().name(format!("{RECORD}.")).r#type(RrType::A);
    let set = set.set_identifier(identifier).failover(failover).set_health_check_id(check);
    let set = match answers {
        Answers::Alias => {
            let target = AliasTarget::builder()
                .hosted_zone_id("Z1UJRXOUMOOFQ8")
                .dns_name(format!("d-{identifier}.execute-api.amazonaws.com."))
                .evaluate_target_health(true);
            set.alias_target(target.build().unwrap())
        }
        Answers::Address => {
            let address = ResourceRecord::builder().value(format!("192.0.2.{}", identifier.len()));
            set.ttl(0).resource_records(address.build().unwrap())
        }
    };
    set.build().unwrap()
}
