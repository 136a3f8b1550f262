//! A ledger's table with multi-Region strong consistency: recognised by its description, and asked elsewhere when a region is
//! lost. No emulator has such tables, so a stand-in answers here as AWS's documents say: one content in every region.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use mantissa_mr_aws::Connected;
use mantissa_mr_core::cell::{CellName, CellVersion, Expected, StoreOutcome};
use mantissa_mr_core::deployment::{Deployment, DeploymentSpec};
use mantissa_mr_core::error::{Effect, ErrorKind};
use serde_json::{Value, json};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const WITNESS: &str = "us-east-2";

/// How a region answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Connections break before anything is done.
    Down,
    /// What is asked is done, and the answer is lost.
    Mute,
    /// Nothing is done, and nothing is ever answered.
    Hangs,
    /// Every write meets one of another region.
    Conflicts,
}

#[derive(Default)]
struct Table {
    /// What each region says of the table; it has none where nothing is said.
    described: BTreeMap<String, Value>,
    items: BTreeMap<String, Value>,
    faults: BTreeMap<String, Fault>,
    asked: Vec<(String, String)>,
}

/// The table, as it answers in each region.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Table>>);

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// A table in the witness's region, with these replicas, of which each region says this status.
    fn strong(replicas: &[(&str, &str)]) -> Self {
        let world = Self::default();
        let regions: BTreeSet<&str> = replicas.iter().map(|(name, _)| *name).chain([WITNESS]).collect();
        for region in &regions {
            // A description names the other replicas.
            let others = replicas.iter().copied().chain([(WITNESS, "ACTIVE")]);
            let others: Vec<(&str, &str)> = others.filter(|(name, _)| name != region).collect();
            world.describe(region, &others, Some("STRONG"));
        }
        world
    }

    fn describe(&self, region: &str, replicas: &[(&str, &str)], consistency: Option<&str>) {
        let replicas: Vec<Value> = replicas
            .iter()
            .map(|(name, status)| json!({ "RegionName": name, "ReplicaStatus": status }))
            .collect();
        let mut table = json!({
            "TableName": "ledger",
            "TableStatus": "ACTIVE",
            "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        });
        if !replicas.is_empty() {
            table["GlobalTableVersion"] = json!("2019.11.21");
            table["Replicas"] = json!(replicas);
        }
        if let Some(consistency) = consistency {
            table["MultiRegionConsistency"] = json!(consistency);
        }
        self.table().described.insert(region.to_owned(), table);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, region: &str, fault: Fault) {
        self.table().faults.insert(region.to_owned(), fault);
    }

    /// Which regions were asked for this, in order, since the last look.
    fn asked(&self, operation: &str) -> Vec<String> {
        let all = std::mem::take(&mut self.table().asked);
        all.into_iter().filter(|(_, what)| what == operation).map(|(region, _)| region).collect()
    }

    async fn connect(&self) -> Connected {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.clone())
            .build();
        let spec: DeploymentSpec = toml::from_str(&format!(
            r#"
            name = "mantissa-log"
            strategy = "active-passive"
            preferred = "{EAST}"
            regions = [{{ name = "{EAST}", provider = "aws" }}, {{ name = "{WEST}", provider = "aws" }}]
            policy.timing.call-deadline = "60s"
            witness = {{ kind = "dynamodb", region = "{WITNESS}", settings = {{ table = "ledger" }} }}

            [[groups]]
            name = "logs"
            tier = "important"
            "#
        ))
        .unwrap();
        mantissa_mr_aws::connect(&Deployment::new(spec).unwrap(), &config).await.unwrap()
    }
}

impl Table {
    fn answer(&mut self, region: &str, operation: &str, body: &Value) -> (u16, Value) {
        let refused = |code: &str| json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}") });
        let Some(described) = self.described.get(region) else {
            return (400, refused("ResourceNotFoundException"));
        };
        match operation {
            "DescribeTable" => (200, json!({ "Table": described })),
            "GetItem" => {
                assert_eq!(body["ConsistentRead"], json!(true));
                let item = self.items.get(body["Key"]["pk"]["S"].as_str().unwrap());
                (200, item.map_or(json!({}), |item| json!({ "Item": item })))
            }
            "PutItem" if self.faults.get(region) == Some(&Fault::Conflicts) => {
                (400, refused("ReplicatedWriteConflictException"))
            }
            "PutItem" => {
                let name = body["Item"]["pk"]["S"].as_str().unwrap().to_owned();
                let before = self.items.get(&name).map(|item| item["version"].clone());
                let wanted = body.pointer("/ExpressionAttributeValues/:before").cloned();
                if before != wanted {
                    return (400, refused("ConditionalCheckFailedException"));
                }
                self.items.insert(name, body["Item"].clone());
                (200, json!({}))
            }
            other => panic!("{other}"),
        }
    }
}

impl HttpConnector for World {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let header = |name: &str| request.headers().get(name).unwrap_or_default().to_owned();
        let scope = header("authorization");
        let region = scope.split('/').nth(2).unwrap().to_owned();
        let operation = header("x-amz-target").rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let mut table = self.table();
        table.asked.push((region.clone(), operation.clone()));
        let fault = table.faults.get(&region).copied();
        match fault {
            Some(Fault::Hangs) => return HttpConnectorFuture::new(std::future::pending()),
            Some(Fault::Down) => return HttpConnectorFuture::ready(Err(ConnectorError::io("reset".into()))),
            _ => {}
        }
        let (status, answer) = table.answer(&region, &operation, &body);
        if fault == Some(Fault::Mute) {
            return HttpConnectorFuture::ready(Err(ConnectorError::io("reset".into())));
        }
        let status = StatusCode::try_from(status).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(answer.to_string()))))
    }
}

impl HttpClient for World {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn cell() -> CellName {
    CellName::try_from("mantissa-log/logs/ledger").unwrap()
}

fn version(outcome: StoreOutcome) -> CellVersion {
    match outcome {
        StoreOutcome::Applied { version } => version,
        other => panic!("{other:?}"),
    }
}

/// Protects the warning: it is not known before anybody looked, and unknown is not yes.
#[tokio::test]
async fn whether_it_survives_is_unknown_until_the_table_was_looked_at() {
    let world = World::strong(&[(EAST, "ACTIVE"), (WEST, "ACTIVE")]);
    let connected = world.connect().await;
    assert_eq!(connected.cells.durability().survives_region_loss, None);
    assert_eq!(world.table().asked, [], "connecting and asking for the durability send nothing");
    assert_eq!(connected.cells.load(&cell()).await.unwrap(), None);
    let durability = connected.cells.durability();
    assert_eq!(durability.survives_region_loss, Some(true));
    assert_eq!(durability.place, "DynamoDB table ledger in us-east-2 and us-east-1 and us-west-2");
    assert_eq!(world.asked("GetItem"), [WITNESS]);
    // `init` looks, too.
    let connected = world.connect().await;
    assert_eq!(connected.init(false).await.unwrap(), [""; 0]);
    assert_eq!(connected.cells.durability().survives_region_loss, Some(true));
}

/// Protects against calling a table safe that is not: one of one region, and one whose replicas do not answer yet.
#[tokio::test]
async fn a_table_without_a_second_region_does_not_survive() {
    for replicas in [&[][..], &[(WEST, "CREATING")], &[("us-west-1", "ACTIVE")]] {
        let world = World::strong(replicas);
        if replicas.is_empty() {
            world.describe(WITNESS, &[], None);
        }
        let cells = world.connect().await.cells;
        cells.load(&cell()).await.unwrap();
        assert_eq!(cells.durability().survives_region_loss, Some(false), "{replicas:?}");
        assert_eq!(cells.durability().place, "DynamoDB table ledger in us-east-2");
        world.fault(WITNESS, Fault::Down);
        world.asked("");
        for _ in 0..3 {
            assert_eq!(cells.load(&cell()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        assert_eq!(world.asked("GetItem"), [WITNESS; 3], "there is nowhere else to ask");
    }
}

/// Protects the ledger: where consistency is eventual two regions can both win, whatever the description calls it.
#[tokio::test]
async fn replicas_that_are_not_strongly_consistent_are_refused() {
    for consistency in [None, Some("EVENTUAL"), Some("SOMETHING_NEW")] {
        let world = World::default();
        world.describe(WITNESS, &[(WEST, "ACTIVE")], consistency);
        let connected = world.connect().await;
        let error = connected.cells.load(&cell()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("two regions could both win"), "{error}");
        assert!(connected.init(false).await.is_err());
        assert_eq!(connected.cells.durability().survives_region_loss, None);
    }
}

/// Protects what a surviving witness is for: when its region is lost the next request goes elsewhere, and meets what was
/// written before.
#[tokio::test]
async fn when_a_region_is_lost_the_next_request_goes_to_another() {
    let world = World::strong(&[(EAST, "ACTIVE"), (WEST, "ACTIVE")]);
    let cells = world.connect().await.cells;
    let first = version(cells.store(&cell(), &Expected::Absent, b"1").await.unwrap());
    world.fault(WITNESS, Fault::Down);
    world.asked("");
    assert_eq!(cells.load(&cell()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cells.load(&cell()).await.unwrap().unwrap().version, first);
    assert_eq!(world.asked("GetItem"), [WITNESS, EAST], "no request is sent twice");
    let second = version(cells.store(&cell(), &Expected::Version(first.clone()), b"2").await.unwrap());
    assert_eq!(cells.store(&cell(), &Expected::Version(first), b"x").await.unwrap(), StoreOutcome::Lost);
    world.fault(EAST, Fault::Down);
    assert!(cells.load(&cell()).await.is_err());
    assert_eq!(cells.load(&cell()).await.unwrap().unwrap().version, second, "in the third");
    world.fault(WEST, Fault::Down);
    world.table().faults.remove(WITNESS);
    assert!(cells.load(&cell()).await.is_err());
    assert_eq!(cells.load(&cell()).await.unwrap().unwrap().version, second, "in the first again");
}

/// Protects against a write that two regions carry out: one whose answer is lost is unknown, and sent once.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_unknown_sent_once_and_found_elsewhere() {
    let world = World::strong(&[(WEST, "ACTIVE")]);
    let cells = world.connect().await.cells;
    cells.load(&cell()).await.unwrap();
    world.fault(WITNESS, Fault::Mute);
    world.asked("");
    let outcome = cells.store(&cell(), &Expected::Absent, b"mine").await.unwrap();
    assert!(matches!(outcome, StoreOutcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(world.asked("PutItem"), [WITNESS]);
    assert_eq!(cells.load(&cell()).await.unwrap().unwrap().value, b"mine");
    assert_eq!(world.asked("GetItem"), [WEST]);
}

/// Protects a gate, which waits for a renewal less long than a call may take: a request that nobody waits for any more counts
/// as not answered.
#[tokio::test]
async fn a_region_that_hangs_is_left_too() {
    let world = World::strong(&[(WEST, "ACTIVE")]);
    let cells = world.connect().await.cells;
    cells.load(&cell()).await.unwrap();
    world.fault(WITNESS, Fault::Hangs);
    world.asked("");
    assert!(tokio::time::timeout(Duration::from_millis(100), cells.load(&cell())).await.is_err());
    cells.load(&cell()).await.unwrap();
    assert_eq!(world.asked("GetItem"), [WITNESS, WEST]);
}

/// Protects against leaving a region that works: a refusal is an answer.
#[tokio::test]
async fn a_write_that_meets_another_regions_is_refused_and_tried_at_the_same_one() {
    let world = World::strong(&[(WEST, "ACTIVE")]);
    let cells = world.connect().await.cells;
    cells.load(&cell()).await.unwrap();
    world.fault(WITNESS, Fault::Conflicts);
    world.asked("");
    for _ in 0..2 {
        let error = cells.store(&cell(), &Expected::Absent, b"v").await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{error}");
        assert!(error.can_retry());
    }
    assert_eq!(world.asked("PutItem"), [WITNESS; 2]);
}

/// Protects whoever starts while the witness's region is lost: its table is found by a replica, and by nothing else of that
/// name.
#[tokio::test]
async fn who_starts_when_the_region_is_lost_finds_a_replica_and_only_that() {
    let world = World::strong(&[(WEST, "ACTIVE")]);
    world.fault(WITNESS, Fault::Down);
    let cells = world.connect().await.cells;
    assert!(cells.load(&cell()).await.is_err(), "through the witness's region first");
    assert_eq!(cells.durability().survives_region_loss, Some(true), "{:?}", cells.durability());
    assert_eq!(cells.load(&cell()).await.unwrap(), None);
    version(cells.store(&cell(), &Expected::Absent, b"v").await.unwrap());

    for stranger in [&[][..], &[(EAST, "ACTIVE")], &[(WITNESS, "CREATING")]] {
        let world = World::strong(&[]);
        world.describe(WEST, stranger, if stranger.is_empty() { None } else { Some("STRONG") });
        world.fault(WITNESS, Fault::Down);
        let cells = world.connect().await.cells;
        for _ in 0..3 {
            let error = cells.store(&cell(), &Expected::Absent, b"v").await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None), "{error}");
        }
        assert_eq!(cells.durability().survives_region_loss, None);
        assert_eq!(world.asked("PutItem"), [""; 0], "nothing is written into another table");
    }
}
