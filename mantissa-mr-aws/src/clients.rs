//! One client per service and region, with a deadline on everything.
//!
//! The SDK by itself waits 3.1 s for a connection and for an answer without end; a frozen region then hangs a caller
//! for good. Here every call has the deployment's `policy.timing.call-deadline`, and each request is sent **once**:
//! who calls this library's traits retries, and knows whether the first request may have taken effect. Only requests
//! that read, and are made in long runs (scans, lists), are repeated by the SDK, within the same deadline.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use mantissa_mr_core::name::Region;

/// The longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How often a read in a long run is tried.
const READ_ATTEMPTS: u32 = 4;

/// Where Route 53's one endpoint is, and its control plane.
pub(crate) const ROUTE53_REGION: &str = "us-east-1";

/// The clients of one region.
#[derive(Clone, Debug)]
pub(crate) struct RegionClients {
    /// DynamoDB, each request sent once.
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    /// DynamoDB for long runs of reads.
    pub(crate) dynamodb_reads: aws_sdk_dynamodb::Client,
    /// The streams of DynamoDB's tables.
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    /// Lambda.
    pub(crate) lambda: aws_sdk_lambda::Client,
    /// S3.
    pub(crate) s3: aws_sdk_s3::Client,
    /// S3 as a stranger sees it: without credentials.
    pub(crate) s3_anonymous: aws_sdk_s3::Client,
}

/// The clients of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    regions: BTreeMap<Region, RegionClients>,
    /// Route 53.
    pub(crate) route53: aws_sdk_route53::Client,
}

impl Clients {
    /// Clients for these regions. `config` gives credentials, endpoint and HTTP client; its region, timeouts and
    /// retries are not used.
    pub(crate) fn new<'a>(
        config: &SdkConfig,
        regions: impl IntoIterator<Item = &'a Region>,
        deadline: Duration,
    ) -> Self {
        let base = base(config, deadline);
        let regions =
            regions.into_iter().map(|region| (region.clone(), RegionClients::new(&base, region, deadline)));
        let global = base.to_builder().region(aws_config::Region::from_static(ROUTE53_REGION)).build();
        Self { regions: regions.collect(), route53: aws_sdk_route53::Client::new(&global) }
    }

    /// The clients of a region; none for a region that [`Clients::new`] was not told of.
    pub(crate) fn region(&self, region: &Region) -> Option<&RegionClients> {
        self.regions.get(region)
    }
}

impl RegionClients {
    fn new(base: &SdkConfig, region: &Region, deadline: Duration) -> Self {
        let config = base.to_builder().region(aws_config::Region::new(region.as_str().to_owned())).build();
        let reads = config
            .to_builder()
            .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS))
            .timeout_config(timeouts(deadline / 2, deadline))
            .build();
        // Behind an address of its own (an emulator, an interface endpoint) a bucket is no part of the host's name.
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(config.endpoint_url().is_some());
        let mut anonymous = config.to_builder();
        anonymous.set_credentials_provider(None);
        let anonymous = aws_sdk_s3::config::Builder::from(&anonymous.build())
            .force_path_style(config.endpoint_url().is_some())
            .allow_no_auth();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            dynamodb_reads: aws_sdk_dynamodb::Client::new(&reads),
            streams: aws_sdk_dynamodbstreams::Client::new(&reads),
            lambda: aws_sdk_lambda::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            s3_anonymous: aws_sdk_s3::Client::from_conf(anonymous.build()),
        }
    }
}

fn base(config: &SdkConfig, deadline: Duration) -> SdkConfig {
    let mut builder = config.to_builder();
    builder.set_timeout_config(Some(timeouts(deadline, deadline)));
    builder.set_retry_config(Some(RetryConfig::disabled()));
    if config.http_client().is_none() {
        // One pool of connections for all clients.
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https();
        builder.set_http_client(Some(http));
    }
    if config.behavior_version().is_none() {
        builder.set_behavior_version(Some(BehaviorVersion::latest()));
    }
    builder.build()
}

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX.min(attempt / 2))
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}
