//! A deployment on the emulator, each in an account of its own.

use aws_config::{BehaviorVersion, Region as AwsRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use mantissa_mr_aws::Connected;
use mantissa_mr_core::cell::CellName;
use mantissa_mr_core::deployment::{Deployment, DeploymentSpec};
use mantissa_mr_core::name::{Region, ResourceName};
use test_support::{Emulator, Match, Proxy};

pub(crate) const EAST: &str = "us-east-1";
pub(crate) const WEST: &str = "us-west-2";
pub(crate) const WITNESS: &str = "us-east-2";
pub(crate) const SECRET: &str = "the-secret-key-that-must-never-be-seen";

/// An account with a proxy in front of it.
pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) endpoint: String,
    pub(crate) account: String,
}

impl World {
    pub(crate) fn new(emulator: &Emulator) -> Self {
        let endpoint = emulator.endpoint();
        let proxy = Proxy::start(&endpoint).unwrap();
        Self { proxy, endpoint, account: emulator.fresh_account() }
    }

    /// What the code under test is given.
    pub(crate) fn config(&self) -> SdkConfig {
        self.config_at(&self.proxy.endpoint())
    }

    pub(crate) fn config_at(&self, endpoint: &str) -> SdkConfig {
        let credentials = Credentials::new(&self.account, SECRET, None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// What a test looks at the emulator with: past the proxy and its log.
    pub(crate) fn aside(&self, region: &str) -> SdkConfig {
        let config = self.config_at(&self.endpoint);
        config.to_builder().region(AwsRegion::new(region.to_owned())).build()
    }

    pub(crate) fn dynamodb(&self, region: &str) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.aside(region))
    }

    pub(crate) fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.aside(region)).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub(crate) async fn connect(&self, deployment: &str) -> Connected {
        mantissa_mr_aws::connect(&parse(deployment), &self.config()).await.unwrap()
    }

    /// How often the code under test asked for this.
    pub(crate) fn asked(&self, matched: &Match) -> usize {
        self.proxy.log_of(matched).len()
    }
}

pub(crate) fn parse(deployment: &str) -> Deployment {
    let spec: DeploymentSpec = toml::from_str(deployment).unwrap();
    Deployment::new(spec).unwrap()
}

/// A deployment with this in its one group.
pub(crate) fn deployment(group: &str) -> String {
    format!(
        r#"
        name = "mantissa-log"
        strategy = "active-passive"
        preferred = "{EAST}"
        regions = [{{ name = "{EAST}", provider = "aws" }}, {{ name = "{WEST}", provider = "aws" }}]
        policy.timing.call-deadline = "60s" # the machine that runs the tests may be busy
        witness = {{ kind = "dynamodb", region = "{WITNESS}", settings = {{ table = "ledger" }} }}

        [[groups]]
        name = "logs"
        tier = "important"
        {group}
        "#
    )
}

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

pub(crate) fn resource(name: &str) -> ResourceName {
    ResourceName::new(name).unwrap()
}

pub(crate) fn cell(name: &str) -> CellName {
    CellName::try_from(name).unwrap()
}
