//! The store's settings.

use std::collections::BTreeMap;

use mantissa_mr_core::deployment::ResourceSpec;
use mantissa_mr_core::name::{GroupName, Region};
use mantissa_mr_core::problem::Problem;

use super::S3BucketSettings;
use crate::settings::Reader;
use crate::store::COMPARE_LIMIT;

/// Reads the store's settings, and those of each region.
pub(crate) fn read(
    group: &GroupName,
    store: &ResourceSpec,
    regions: &[Region],
    problems: &mut Vec<Problem>,
) -> S3BucketSettings {
    let mut reader = Reader::resource(group, "stores", store);
    let role = reader.text("role", "the ARN of the role that S3 replicates with");
    let is_role = role.starts_with("arn:aws:iam::") && role.contains(":role/");
    if !role.is_empty() && !is_role {
        let message = format!("`{role}` is not the ARN of a role");
        reader.refuse("role", message, "such as `arn:aws:iam::123456789012:role/replication`");
    }
    let canary = reader.flag("canary");
    let compare_limit = reader.number("compare-limit", 1..=100_000_000, COMPARE_LIMIT);
    problems.extend(reader.finish());
    let mut buckets = BTreeMap::new();
    for region in regions {
        let mut reader = Reader::region(group, "stores", store, region);
        let bucket = reader.text("bucket", "this region's bucket");
        if !bucket.is_empty() && buckets.values().any(|other| *other == bucket) {
            let message = format!("`{bucket}` is the bucket of another region already");
            reader.refuse("bucket", message, "each region has a bucket of its own");
        }
        problems.extend(reader.finish());
        buckets.insert(region.clone(), bucket);
    }
    S3BucketSettings { buckets, role, canary, compare_limit }
}
