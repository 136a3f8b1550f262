//! How the buckets are.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{BucketVersioningStatus, ReplicationConfiguration};
use futures_util::future::join_all;
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Lag, ReplicaStatus, Role};
use tokio::time::timeout;

use super::{S3Bucket, rules};
use crate::error::ApiCall;

/// A bucket as its region describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Description {
    pub(super) versioned: bool,
    pub(super) rules: Option<ReplicationConfiguration>,
}

/// What each region says of its bucket; none where there is none.
pub(super) type Descriptions = BTreeMap<Region, Result<Option<Description>>>;

const NOT_MEASURED: &str = "not measured: set `canary = true` in the store's settings to have it measured";

impl S3Bucket {
    /// The bucket; an error if it is not there.
    pub(super) async fn describe(&self, region: &Region) -> Result<Description> {
        let (bucket, clients) = self.place(region)?;
        let call = ApiCall::read("GetBucketVersioning", bucket, region);
        let answer = clients.s3.get_bucket_versioning().bucket(bucket).send().await;
        let versioning = answer.map_err(|error| call.failed(error))?;
        let call = ApiCall::read("GetBucketReplication", bucket, region);
        let rules = match clients.s3.get_bucket_replication().bucket(bucket).send().await {
            Ok(answer) => answer.replication_configuration,
            Err(error) if crate::error::code(&error) == Some("ReplicationConfigurationNotFoundError") => None,
            Err(error) => return Err(call.failed(error)),
        };
        Ok(Description { versioned: versioning.status() == Some(&BucketVersioningStatus::Enabled), rules })
    }

    /// Asks every region at once. A region that fails to answer is in the result, with the reason.
    pub(super) async fn descriptions(&self) -> Descriptions {
        let asked = self.regions.iter().map(|region| async {
            let described = timeout(self.budget, self.describe(region)).await.unwrap_or_else(|_| {
                let call = ApiCall::read("GetBucketReplication", "s3", region);
                Err(call.error(ErrorKind::Timeout, format!("no answer within {:?}", self.budget)))
            });
            let described = match described {
                Ok(description) => Ok(Some(description)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            };
            (region.clone(), described)
        });
        join_all(asked).await.into_iter().collect()
    }

    pub(super) async fn replicas(&self) -> BTreeMap<Region, ReplicaStatus> {
        let descriptions = self.descriptions().await;
        let first = self.regions.iter().find(|region| matches!(descriptions.get(*region), Some(Ok(Some(_)))));
        let status = |region: &Region| {
            let (role, why) = match descriptions.get(region) {
                Some(Err(error)) => (Role::Unreachable, error.to_string()),
                Some(Ok(None)) | None => (Role::Absent, "the bucket is not there".to_owned()),
                Some(Ok(Some(_))) if first == Some(region) || self.is_linked(region, &descriptions) => {
                    (Role::Writer, NOT_MEASURED.to_owned())
                }
                Some(Ok(Some(_))) => {
                    (Role::Absent, "the bucket replicates with none of the others".to_owned())
                }
            };
            ReplicaStatus { role, lag: Lag::Unknown { why }, watermark: None, backlog: None }
        };
        self.regions.iter().map(|region| (region.clone(), status(region))).collect()
    }

    /// Whether a rule leads from this bucket to another or from another to this one.
    fn is_linked(&self, region: &Region, descriptions: &Descriptions) -> bool {
        let leads = |from: &Region, to: &Region| match (descriptions.get(from), self.settings.buckets.get(to))
        {
            (Some(Ok(Some(description))), Some(bucket)) => {
                description.versioned && rules::leads_to(description.rules.as_ref(), bucket)
            }
            _ => false,
        };
        let mut others = self.regions.iter().filter(|other| *other != region);
        others.any(|other| leads(region, other) || leads(other, region))
    }
}
