//! How replication is set up: versioning in every bucket, then in each one a rule for each other region.

use aws_sdk_s3::types::{
    BucketVersioningStatus, DeleteMarkerReplication, DeleteMarkerReplicationStatus, Destination, Metrics,
    MetricsStatus, ReplicaModifications, ReplicaModificationsStatus, ReplicationConfiguration,
    ReplicationRule, ReplicationRuleFilter, ReplicationRuleStatus, ReplicationTime, ReplicationTimeStatus,
    ReplicationTimeValue, SourceSelectionCriteria, VersioningConfiguration,
};
use aws_smithy_types::error::operation::BuildError;
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::name::Region;

use super::S3Bucket;
use super::replicas::{Description, Descriptions};
use crate::error::ApiCall;

/// The only time that S3 offers, in minutes.
const WITHIN: i32 = 15;

/// One change of the setup.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Version {
        region: Region,
    },
    /// The whole configuration is written at once; these are the regions that it newly leads to.
    Rules {
        region: Region,
        to: Vec<Region>,
        rules: Box<ReplicationConfiguration>,
    },
}

impl S3Bucket {
    pub(super) async fn add_rules(&self, dry_run: bool) -> Result<Vec<String>> {
        let steps = self.steps(&self.descriptions().await)?;
        for step in steps.iter().filter(|_| !dry_run) {
            self.take(step).await?;
        }
        Ok(steps.iter().flat_map(|step| self.told(step)).collect())
    }

    fn told(&self, step: &Step) -> Vec<String> {
        let name = |region: &Region| self.settings.buckets.get(region).map_or("", String::as_str);
        match step {
            Step::Version { region } => vec![format!("{}: enable versioning in {region}", name(region))],
            Step::Rules { region, to, .. } => {
                let rule = |to| format!("{}: replicate from {region} to {} in {to}", name(region), name(to));
                to.iter().map(rule).collect()
            }
        }
    }

    async fn take(&self, step: &Step) -> Result<()> {
        let (Step::Version { region } | Step::Rules { region, .. }) = step;
        let (bucket, clients) = self.place(region)?;
        tracing::info!(bucket, %region, "{}", self.told(step).join("; "));
        match step {
            Step::Version { .. } => {
                let call = ApiCall::change("PutBucketVersioning", bucket, region);
                let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
                let request = clients.s3.put_bucket_versioning().bucket(bucket);
                let sent = request.versioning_configuration(enabled.build()).send().await;
                sent.map(drop).map_err(|error| call.failed(error))
            }
            Step::Rules { rules, .. } => {
                let call = ApiCall::change("PutBucketReplication", bucket, region);
                let request = clients.s3.put_bucket_replication().bucket(bucket);
                let sent = request.replication_configuration((**rules).clone()).send().await;
                sent.map(drop).map_err(|error| call.failed(error))
            }
        }
    }

    /// What is missing. All versioning first: S3 takes no rule to or from a bucket without.
    fn steps(&self, descriptions: &Descriptions) -> Result<Vec<Step>> {
        let (mut steps, mut found) = (Vec::new(), Vec::new());
        for region in &self.regions {
            let call = ApiCall::read("GetBucketReplication", self.bucket(region), region);
            match descriptions.get(region) {
                Some(Ok(Some(description))) => found.push((region, description)),
                Some(Err(error)) => return Err(error.clone()),
                Some(Ok(None)) | None => {
                    return Err(call
                        .error(ErrorKind::NotFound, "the bucket is not there")
                        .with_advice("create it (the guide's step 3); this library adds the replication"));
                }
            }
        }
        for (region, description) in &found {
            if !description.versioned {
                steps.push(Step::Version { region: (*region).clone() });
            }
        }
        for (region, description) in found {
            steps.extend(self.rules_step(region, description)?);
        }
        Ok(steps)
    }

    fn bucket(&self, region: &Region) -> &str {
        self.settings.buckets.get(region).map_or("", String::as_str)
    }

    fn rules_step(&self, region: &Region, description: &Description) -> Result<Option<Step>> {
        let call = ApiCall::read("GetBucketReplication", self.bucket(region), region);
        let existing = description.rules.as_ref();
        let others = self.regions.iter().filter(|other| *other != region);
        let missing: Vec<Region> =
            others.filter(|other| !is_complete(existing, self.bucket(other))).cloned().collect();
        if missing.is_empty() {
            return Ok(None);
        }
        if let Some(existing) = existing {
            if existing.role() != self.settings.role {
                let message = format!("the bucket replicates with another role: {}", existing.role());
                return Err(call.error(ErrorKind::Conflict, message).with_advice(
                    "a bucket has one role for all its rules: name that one in the store's settings",
                ));
            }
            if existing.rules().iter().any(|rule| rule.filter().is_none()) {
                return Err(call
                    .error(ErrorKind::Conflict, "the bucket has replication rules of the first version")
                    .with_advice("give each a `Filter` and a `Priority`: the two versions cannot be mixed"));
            }
        }
        let built = |error: BuildError| call.error(ErrorKind::InvalidInput, format!("{error}"));
        let kept = existing.map(ReplicationConfiguration::rules).unwrap_or_default();
        let own: Vec<String> = missing.iter().map(rule_id).collect();
        let kept = kept.iter().filter(|rule| !rule.id().is_some_and(|id| own.iter().any(|own| own == id)));
        let kept: Vec<ReplicationRule> = kept.cloned().collect();
        let highest = kept.iter().filter_map(ReplicationRule::priority).max().unwrap_or_default();
        let new = missing.iter().zip(1..).map(|(to, number)| {
            rule(rule_id(to), highest.saturating_add(number), self.bucket(to)).map_err(built)
        });
        let rules = kept.into_iter().map(Ok).chain(new).collect::<Result<Vec<_>>>()?;
        let rules = ReplicationConfiguration::builder().role(&self.settings.role).set_rules(Some(rules));
        let rules = Box::new(rules.build().map_err(built)?);
        Ok(Some(Step::Rules { region: region.clone(), to: missing, rules }))
    }
}

fn rule_id(to: &Region) -> String {
    format!("mantissa-mr-{to}")
}

fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// A rule for everything: delete markers, changes of replicas, within 15 minutes, measured.
fn rule(id: String, priority: i32, to: &str) -> Result<ReplicationRule, BuildError> {
    let within = || ReplicationTimeValue::builder().minutes(WITHIN).build();
    let destination = Destination::builder()
        .bucket(arn(to))
        .replication_time(
            ReplicationTime::builder().status(ReplicationTimeStatus::Enabled).time(within()).build()?,
        )
        .metrics(Metrics::builder().status(MetricsStatus::Enabled).event_threshold(within()).build()?)
        .build()?;
    let modifications =
        ReplicaModifications::builder().status(ReplicaModificationsStatus::Enabled).build()?;
    let deletes = DeleteMarkerReplication::builder().status(DeleteMarkerReplicationStatus::Enabled).build();
    ReplicationRule::builder()
        .id(id)
        .priority(priority)
        .filter(ReplicationRuleFilter::builder().prefix("").build())
        .status(ReplicationRuleStatus::Enabled)
        .source_selection_criteria(
            SourceSelectionCriteria::builder().replica_modifications(modifications).build(),
        )
        .delete_marker_replication(deletes)
        .destination(destination)
        .build()
}

/// Whether a rule leads to this bucket, whatever it covers.
pub(super) fn leads_to(rules: Option<&ReplicationConfiguration>, bucket: &str) -> bool {
    enabled(rules, bucket).next().is_some()
}

/// Whether a rule leads to this bucket that does all of what [`rule`] does, whoever wrote it.
fn is_complete(rules: Option<&ReplicationConfiguration>, bucket: &str) -> bool {
    enabled(rules, bucket).any(|rule| {
        let everything = rule.filter().is_some_and(|filter| {
            filter.prefix().unwrap_or_default().is_empty() && filter.tag().is_none() && filter.and().is_none()
        });
        let to = rule.destination();
        let time = to.and_then(Destination::replication_time).map(ReplicationTime::status);
        let metrics = to.and_then(Destination::metrics).map(Metrics::status);
        let deletes = rule.delete_marker_replication().and_then(DeleteMarkerReplication::status);
        let criteria = rule.source_selection_criteria();
        let changes = criteria.and_then(|criteria| Some(criteria.replica_modifications()?.status()));
        everything
            && time == Some(&ReplicationTimeStatus::Enabled)
            && metrics == Some(&MetricsStatus::Enabled)
            && deletes == Some(&DeleteMarkerReplicationStatus::Enabled)
            && changes == Some(&ReplicaModificationsStatus::Enabled)
    })
}

fn enabled<'a>(
    rules: Option<&'a ReplicationConfiguration>,
    bucket: &str,
) -> impl Iterator<Item = &'a ReplicationRule> {
    let wanted = arn(bucket);
    let rules = rules.map(ReplicationConfiguration::rules).unwrap_or_default().iter();
    rules.filter(move |rule| {
        *rule.status() == ReplicationRuleStatus::Enabled
            && rule.destination().is_some_and(|to| to.bucket() == wanted)
    })
}
