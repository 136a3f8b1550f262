//! What serves a mantissa-mr deployment on AWS.
//!
//! [`connect`] makes it from a [`Deployment`](mantissa_mr_core::deployment::Deployment) and an
//! [`SdkConfig`](aws_config::SdkConfig):
//!
//! | in the deployment | kind | what it is | its settings |
//! | --- | --- | --- | --- |
//! | `witness` | `dynamodb` | [`cell::DynamoDbCells`]: the ledger in a DynamoDB table of a third region, at best one with multi-Region strong consistency (see [`cell`]) | `table` |
//! | `witness` | `s3` | [`cell::s3::S3Cells`]: the ledger in an S3 bucket of a third region, by conditional writes | see [`cell::s3`](cell::s3#settings) |
//! | a store | `dynamodb-global-table` | [`store::GlobalTable`]: tables with any primary key | see [`store#settings`](store#settings) |
//! | a store | `s3-bucket` | [`bucket::S3Bucket`]: a bucket in each region, which replicate to one another | see [`bucket#settings`](bucket#settings) |
//! | a router | `route53-failover` | [`router::Route53Failover`]: a PRIMARY and a SECONDARY record | see [`router`] |
//! | a scaler | `lambda` | [`scaler::LambdaScaler`]: reserved concurrency and memory | see [`scaler`] |
//! | a check | `dynamodb-table` | [`check::TableCheck`]: a table takes reads and writes | `table` |
//!
//! That is all there is today. There is nothing yet for weighted or latency records, schedules, alarms,
//! fences at a store, or any partition but `aws` (no China, no GovCloud).
//!
//! # What services keep to
//! A service that writes to such a store's table with the SDK alone adds one attribute to every item that it puts or
//! updates: `mantissa_epoch` ([`store::EPOCH`]), a number, `permit.epoch()`. By it a write that arrives after its region was
//! left is told from the others, and what it overwrote is put back ([late writes](store#late-writes)).
//!
//! # What can be relied on
//! - Every call has a deadline: the deployment's `policy.timing.call-deadline`. (The SDK by itself waits for an answer
//!   without end.)
//! - A request that changes something is sent once. Whoever calls a trait retries; the error says whether the request
//!   may have taken effect: no connection and a refusal mean that it has not, a lost answer means that nobody knows.
//! - Connecting sends nothing, so it works while any region is down. Everything that is wrong with kinds and settings
//!   is told at once.
//! - Errors and logs hold no credentials and nothing of what is stored.
//!
//! # Example
//! ```
//! use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
//! use mantissa_mr_core::deployment::{Deployment, DeploymentSpec};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: DeploymentSpec = toml::from_str(
//!     r#"
//!     name = "mantissa-log"
//!     strategy = "active-passive"
//!     preferred = "us-east-1"
//!     regions = [{ name = "us-east-1", provider = "aws" }, { name = "us-west-2", provider = "aws" }]
//!     witness = { kind = "dynamodb", region = "us-east-2", settings = { table = "mantissa-mr-ledger" } }
//!
//!     [[groups]]
//!     name = "detection"
//!     tier = "important"
//!
//!     [[groups.stores]]
//!     name = "state"
//!     kind = "dynamodb-global-table"
//!     settings = { table = "mantissa-log-state" }
//!
//!     [[groups.routers]]
//!     name = "api"
//!     kind = "route53-failover"
//!     settings = { zone = "Z0123456789ABC", record = "api.example.com" }
//!     regions.us-east-1 = { set-identifier = "primary", bucket = "mantissa-failover-us-east-1" }
//!     regions.us-west-2 = { set-identifier = "secondary", bucket = "mantissa-failover-us-west-2" }
//!
//!     [[groups.scalers]]
//!     name = "engine"
//!     kind = "lambda"
//!     settings = { functions = ["mantissa-log-detection-engine"], full = 100, memory = 1024 }
//!     "#,
//! )?;
//! let deployment = Deployment::new(spec)?;
//! // Yours comes from `aws_config::load_defaults`.
//! # let credentials = Credentials::new("key", "secret", None, None, "example");
//! # let config = aws_config::SdkConfig::builder();
//! # let config = config.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
//! let aws = mantissa_mr_aws::connect(&deployment, &config).await?;
//! assert_eq!(aws.cells.durability().place, "DynamoDB table mantissa-mr-ledger in us-east-2");
//! let backend = aws.backend(); // for `MultiRegion::builder(deployment).backend(backend)`
//! backend.check(&deployment)?;
//! # Ok(()) }
//! ```

pub mod bucket;
pub mod cell;
pub mod check;
mod clients;
mod connect;
mod error;
pub mod router;
pub mod scaler;
mod settings;
pub mod store;
mod table;

pub use connect::{CHECK, Connected, ROUTER, SCALER, STORE, STORE_S3, WITNESS, WITNESS_S3, connect};
