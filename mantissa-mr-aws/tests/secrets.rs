//! Credentials and what is stored are in no error and in no log line, at any level, of this library or of the SDK.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use mantissa_mr_aws::connect;
use mantissa_mr_core::cell::{CellName, Expected};
use mantissa_mr_core::deployment::{Deployment, DeploymentSpec};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{Region, ResourceName};
use mantissa_mr_core::store::{Key, Precondition, PutItem};
use tracing_subscriber::fmt::MakeWriter;

const DEPLOYMENT: &str = r#"
name = "mantissa-log"
strategy = "active-passive"
preferred = "us-east-1"
regions = [{ name = "us-east-1", provider = "aws" }, { name = "us-west-2", provider = "aws" }]
policy.timing.call-deadline = "60s"
witness = { kind = "dynamodb", region = "us-east-2", settings = { table = "ledger" } }

[[groups]]
name = "logs"
tier = "important"

[[groups.stores]]
name = "state"
kind = "dynamodb-global-table"
settings = { table = "state" }

[[groups.routers]]
name = "api"
kind = "route53-failover"
settings = { zone = "Z0123456789ABC", record = "api.example.com" }
regions.us-east-1 = { set-identifier = "primary", bucket = "failover-east" }
regions.us-west-2 = { set-identifier = "secondary", bucket = "failover-west" }

[[groups.scalers]]
name = "engine"
kind = "lambda"
settings = { functions = ["engine"], full = 100 }

[[groups.checks]]
name = "table"
kind = "dynamodb-table"
settings = { table = "state" }
"#;

/// Each kind of witness.
const TABLE: &str = r#"kind = "dynamodb", region = "us-east-2", settings = { table = "ledger" }"#;
const BUCKET: &str = r#"kind = "s3", region = "us-east-2", settings = { bucket = "ledger" }"#;

const KEY: &str = "the-secret-access-key";
const SESSION: &str = "the-session-token";
const CONTENT: &str = "what-a-customer-stored";

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Does a little of everything against an endpoint at which nobody listens. Gives all that came of it.
async fn everything(witness: &str) -> String {
    let text = DEPLOYMENT.replace(TABLE, witness);
    assert!(text.contains(witness));
    let spec: DeploymentSpec = toml::from_str(&text).unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", KEY, Some(SESSION.to_owned()), None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url("http://127.0.0.1:1")
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let aws = connect(&Deployment::new(spec).unwrap(), &config).await.unwrap();
    let east = Region::new("us-east-1").unwrap();
    let named = |name: &str| ResourceName::new(name).unwrap();
    let cell = CellName::try_from("mantissa-log/logs/ledger").unwrap();
    let store = &aws.stores[&named("state")];
    let value = format!("{{\"password\":{{\"S\":\"{CONTENT}\"}}}}").into_bytes();
    let item = PutItem { key: Key::new("k"), value, epoch: Some(Epoch(1)) };
    let mut told = vec![
        format!("{:?}", aws.cells.load(&cell).await),
        format!("{:?}", aws.cells.store(&cell, &Expected::Absent, CONTENT.as_bytes()).await),
        format!("{:?}", store.get(&east, &Key::new("k")).await),
        format!("{:?}", store.put(&east, item, Precondition::None).await),
        format!("{:?}", store.status().await),
        format!("{:?}", aws.routers[&named("api")].routing().await),
        format!("{:?}", aws.scalers[&named("engine")].capacity(&east).await),
        format!("{:?}", aws.checks[&named("table")].assess(&east).await),
        format!("{:?}", aws.init(false).await),
    ];
    let backend = aws.backend();
    told.push(format!("{backend:?} {:?} {store:?} {aws:?}", backend.cells));
    told.join("\n")
}

#[tokio::test]
async fn neither_credentials_nor_content_are_told_or_logged_where_no_endpoint_answers() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let listening = tracing::subscriber::set_default(subscriber);
    let told = everything(TABLE).await + &everything(BUCKET).await;
    drop(listening);
    let logged = log.text();
    assert!(told.matches("no connection").count() >= 12, "{told}");
    for secret in [KEY, SESSION, CONTENT] {
        assert!(!told.contains(secret), "{secret} in: {told}");
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is logged");
    }
    // The SDK was heard too.
    assert!(logged.contains("aws_smithy") && logged.contains(" TRACE "), "{logged:.2000}");
}
