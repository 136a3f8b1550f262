//! Whether a bucket can hold cells.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule, LifecycleRuleFilter, TransitionStorageClass};
use mantissa_mr_core::error::{ErrorKind, Result};

use super::{Place, code};
use crate::error::ApiCall;

impl Place {
    /// Whether the bucket is there; an error if it is in another region.
    pub(super) async fn bucket_is_there(&self) -> Result<bool> {
        let call = ApiCall::read("HeadBucket", &self.bucket, &self.region);
        let (region, failed) = match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(answer) => (answer.bucket_region().map(str::to_owned), None),
            Err(error) if crate::error::status(&error) == Some(404) => return Ok(false),
            Err(error) => {
                let headers = error.raw_response().map(|answer| answer.headers());
                let region = headers.and_then(|headers| headers.get("x-amz-bucket-region"));
                (region.map(str::to_owned), Some(error))
            }
        };
        if let Some(region) = region.filter(|region| region != self.region.as_str()) {
            let message = format!("the bucket is in {region}");
            let advice =
                "name its own region, or another bucket: `witness.region`, `witness.settings.bucket`";
            return Err(call.error(ErrorKind::InvalidInput, message).with_advice(advice));
        }
        match failed.map(|error| call.failed(error)) {
            None => Ok(true),
            Some(error) if error.kind() == ErrorKind::PermissionDenied => Err(error.with_advice(
                "either somebody else owns a bucket of this name: choose another; or grant s3:ListBucket on it",
            )),
            Some(error) => Err(error),
        }
    }

    /// A bucket must not be open to strangers: who can write the ledger can move regions
    /// ([AWS: blocking public access](https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html)).
    pub(super) async fn refuse_public(&self) -> Result<()> {
        let call = ApiCall::read("GetPublicAccessBlock", &self.bucket, &self.region);
        let blocked = match self.client.get_public_access_block().bucket(&self.bucket).send().await {
            Ok(answer) => answer.public_access_block_configuration.is_some_and(|block| {
                [
                    block.block_public_acls(),
                    block.ignore_public_acls(),
                    block.block_public_policy(),
                    block.restrict_public_buckets(),
                ]
                .iter()
                .all(|blocked| *blocked == Some(true))
            }),
            Err(error) if code(&error) == "NoSuchPublicAccessBlockConfiguration" => false,
            Err(error) => return Err(call.failed(error)),
        };
        if blocked {
            return Ok(());
        }
        let message =
            "the bucket does not block all public access, and who can write the ledger can move regions";
        Err(call.error(ErrorKind::InvalidInput, message).with_advice(
            "block it (all four settings of PutPublicAccessBlock), or name a bucket of the ledger's own",
        ))
    }

    /// A lifecycle rule that removes or archives a cell would have the ledger or a slot of a journal vanish.
    pub(super) async fn refuse_forgetful(&self) -> Result<()> {
        let call = ApiCall::read("GetBucketLifecycleConfiguration", &self.bucket, &self.region);
        let rules = match self.client.get_bucket_lifecycle_configuration().bucket(&self.bucket).send().await {
            Ok(answer) => answer.rules.unwrap_or_default(),
            Err(error) if code(&error) == "NoSuchLifecycleConfiguration" => return Ok(()),
            Err(error) => return Err(call.failed(error)),
        };
        let Some(rule) = rules.iter().find(|rule| forgets(rule, &self.prefix)) else { return Ok(()) };
        let name = rule.id().unwrap_or("without a name");
        let message =
            format!("the lifecycle rule `{name}` expires or archives objects under {}", self.prefix);
        let advice = "restrict the rule to other prefixes, or to noncurrent versions";
        Err(call.error(ErrorKind::InvalidInput, message).with_advice(advice))
    }

    /// A prefix without a marker must have nothing in it.
    pub(super) async fn refuse_used(&self) -> Result<()> {
        let call = ApiCall::read("ListObjectsV2", &self.bucket, &self.region);
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix).max_keys(2);
        let found = request.send().await.map_err(|error| call.failed(error))?;
        // The console makes an object of this name for what it shows as a folder.
        let mut keys = found.contents().iter().filter_map(|object| object.key());
        let Some(key) = keys.find(|key| *key != self.prefix) else { return Ok(()) };
        let message = format!("something else uses the prefix {}: there is {key}", self.prefix);
        let advice = "name a prefix that nothing else uses: `witness.settings.prefix`";
        Err(call.error(ErrorKind::Conflict, message).with_advice(advice))
    }
}

/// Whether a rule removes current objects under this prefix, or puts them where they cannot be read at once.
fn forgets(rule: &LifecycleRule, prefix: &str) -> bool {
    let expires = rule.expiration().is_some_and(|when| when.days().is_some() || when.date().is_some());
    let archives = rule.transitions().iter().any(|transition| {
        let class = transition.storage_class();
        matches!(class, Some(TransitionStorageClass::Glacier | TransitionStorageClass::DeepArchive))
    });
    #[expect(deprecated, reason = "old rules have their prefix here")]
    let of_rule = rule.prefix();
    let of_filter = rule.filter().and_then(|filter| filter.prefix().or_else(|| filter.and()?.prefix()));
    let reach = of_filter.or(of_rule).unwrap_or_default();
    *rule.status() == ExpirationStatus::Enabled
        && (expires || archives)
        && (reach.starts_with(prefix) || prefix.starts_with(reach))
        && !rule.filter().is_some_and(wants_tags)
}

/// Cells have no tags.
fn wants_tags(filter: &LifecycleRuleFilter) -> bool {
    filter.tag().is_some() || filter.and().is_some_and(|and| !and.tags().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{
        LifecycleExpiration, LifecycleRuleAndOperator, NoncurrentVersionExpiration, Tag, Transition,
    };

    const PREFIX: &str = "mantissa-mr/";

    fn expiring(filter: Option<LifecycleRuleFilter>) -> LifecycleRule {
        let days = LifecycleExpiration::builder().days(30).build();
        let rule = LifecycleRule::builder().status(ExpirationStatus::Enabled).expiration(days);
        rule.set_filter(filter).build().unwrap()
    }

    fn on(prefix: &str) -> Option<LifecycleRuleFilter> {
        Some(LifecycleRuleFilter::builder().prefix(prefix).build())
    }

    #[test]
    fn a_rule_that_reaches_cells_forgets() {
        for filter in [None, on(""), on("mantissa"), on("mantissa-mr/"), on("mantissa-mr/cells/a")] {
            assert!(forgets(&expiring(filter.clone()), PREFIX), "{filter:?}");
        }
        let glacier = Transition::builder().days(1).storage_class(TransitionStorageClass::Glacier).build();
        let archiving = LifecycleRule::builder().status(ExpirationStatus::Enabled).transitions(glacier);
        assert!(forgets(&archiving.build().unwrap(), PREFIX));
    }

    #[test]
    fn a_rule_for_others_or_for_old_versions_is_welcome() {
        let tag = || Tag::builder().key("k").value("v").build().unwrap();
        let and = LifecycleRuleAndOperator::builder().prefix(PREFIX).tags(tag()).build();
        let tagged = LifecycleRuleFilter::builder().and(and).build();
        for filter in [on("logs/"), on("mantissa-mr-2/"), Some(tagged)] {
            assert!(!forgets(&expiring(filter.clone()), PREFIX), "{filter:?}");
        }
        let old = NoncurrentVersionExpiration::builder().noncurrent_days(1).build();
        let old =
            LifecycleRule::builder().status(ExpirationStatus::Enabled).noncurrent_version_expiration(old);
        assert!(!forgets(&old.build().unwrap(), PREFIX));
        let off = LifecycleRule::builder().status(ExpirationStatus::Disabled);
        let off = off.expiration(LifecycleExpiration::builder().days(1).build());
        assert!(!forgets(&off.build().unwrap(), PREFIX));
    }
}
