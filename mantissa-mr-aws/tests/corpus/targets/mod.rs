//! What is fuzzed: the answers of AWS, whatever they hold, given to the clouds' real clients and all that is made of
//! them. It must return; it panics where something breaks its word.
//!
//! The fuzzer (`fuzz/`) includes this folder as it is, so that what it found is replayed by the same code.

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures_util::StreamExt;
use mantissa_mr_aws::{Connected, connect};
use mantissa_mr_core::cell::{CellName, Expected};
use mantissa_mr_core::compute::Target;
use mantissa_mr_core::deployment::{Deployment, DeploymentSpec};
use mantissa_mr_core::error::Result;
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::{ExecutionId, Region, ResourceName};
use mantissa_mr_core::store::{Barrier, Key, Precondition, PutItem};
use mantissa_mr_core::traffic::{Shift, Urgency, Weights};

mod answers;

use answers::Answers;

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const SECRET: &str = "the-secret-key-that-must-never-be-seen";
/// An error is no longer, in characters: it is logged, sent to people, and kept in the journal.
const LONGEST: usize = 2_000;

const DEPLOYMENT: &str = r#"
name = "mantissa-log"
strategy = "active-passive"
preferred = "us-east-1"
regions = [{ name = "us-east-1", provider = "aws" }, { name = "us-west-2", provider = "aws" }]
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
settings = { functions = ["engine"], full = 100, memory = 1024 }

[[groups.checks]]
name = "table"
kind = "dynamodb-table"
settings = { table = "state" }
"#;

static SPEC: LazyLock<Deployment> = LazyLock::new(|| {
    let spec: DeploymentSpec = toml::from_str(DEPLOYMENT).expect("a deployment");
    Deployment::new(spec).expect("a sound deployment")
});

/// The first byte says what is asked (a letter from `a`), the second what the service answers; the answers' bodies follow.
pub(crate) fn aws_answers(data: &[u8]) {
    for told in told(data) {
        let said = match &told {
            Ok(debug) => debug,
            Err(error) => error,
        };
        assert!(!said.contains(SECRET), "{said}");
        if let Err(error) = &told {
            assert!(!error.contains(char::is_control), "{error:?}");
            let length = error.chars().count();
            assert!(length <= LONGEST, "{length} characters: {error:.300}");
        }
    }
}

/// What came of it: the outcomes as `{:?}` prints them, and errors in one line.
pub(crate) fn told(data: &[u8]) -> Vec<Result<String, String>> {
    let [question, status, bodies @ ..] = data else { return Vec::new() };
    // Time stands still while answers come, and jumps while nothing does: waiting costs none.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let answers = Answers::new(*status, bodies);
    runtime.block_on(async {
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, Some(SECRET.to_owned()), None, "corpus");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(answers)
            .build();
        let connected = connect(&SPEC, &config).await.expect("sound settings");
        let patience = Duration::from_secs(3600);
        tokio::time::timeout(patience, ask(*question, &connected)).await.expect("an answer within an hour")
    })
}

fn region(name: &str) -> Region {
    Region::new(name).expect("a name")
}

fn resource(name: &str) -> ResourceName {
    ResourceName::new(name).expect("a name")
}

/// How something ended, in words.
async fn end<T: std::fmt::Debug>(told: impl Future<Output = Result<T>>) -> Vec<Result<String, String>> {
    vec![told.await.map(|value| format!("{value:?}")).map_err(|error| error.to_string())]
}

async fn ask(question: u8, aws: &Connected) -> Vec<Result<String, String>> {
    let (east, west) = (region(EAST), region(WEST));
    let cell = CellName::try_from("mantissa-log/logs/ledger").expect("a name");
    let (store, router) = (&aws.stores[&resource("state")], &aws.routers[&resource("api")]);
    let (scaler, check) = (&aws.scalers[&resource("engine")], &aws.checks[&resource("table")]);
    let weights = Weights([(east.clone(), 0), (west.clone(), 1)].into());
    let item =
        || PutItem { key: Key::new("k"), value: b"{\"a\":{\"S\":\"b\"}}".to_vec(), epoch: Some(Epoch(2)) };
    match question.wrapping_sub(b'a') % 16 {
        0 => end(aws.cells.load(&cell)).await,
        1 => end(aws.cells.store(&cell, &Expected::Absent, b"value")).await,
        2 => end(store.get(&east, &Key::new("k"))).await,
        3 => {
            let items = store.list(&west, "").take(100).collect::<Vec<_>>().await;
            items
                .into_iter()
                .map(|item| item.map(|item| format!("{item:?}")).map_err(|error| error.to_string()))
                .collect()
        }
        4 => end(store.status()).await,
        5 => end(store.put(&east, item(), Precondition::None)).await,
        6 => end(store.put(&east, item(), Precondition::Absent)).await,
        7 => end(store.ensure_replicated(true)).await,
        8 => {
            let execution = ExecutionId::new("it").expect("a name");
            end(store.drained(&Barrier { execution, epoch: Epoch(2), from: east, to: west })).await
        }
        9 => end(router.routing()).await,
        10 => end(router.converged(&weights)).await,
        11 => {
            let routing = match router.routing().await {
                Ok(routing) => routing,
                Err(error) => return vec![Err(error.to_string())],
            };
            let shift =
                Shift { weights, based_on: routing.version, epoch: Epoch(9), urgency: Urgency::Unplanned };
            end(router.shift(&shift)).await
        }
        12 => end(scaler.capacity(&east)).await,
        13 => end(scaler.scale(&east, Target::Units(50), Epoch(2))).await,
        14 => end(check.assess(&east)).await,
        _ => end(aws.init(true)).await,
    }
}
