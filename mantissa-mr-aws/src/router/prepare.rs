//! Sets the switches up: once, while all is well.

use std::collections::BTreeMap;

use aws_sdk_route53::types::{HealthCheck, HealthCheckConfig, HealthCheckType};
use aws_sdk_s3::primitives::ByteStream;
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use sha2::{Digest, Sha256};

use super::Route53Failover;
use super::observed::Observed;
use super::records::Records;
use super::state::{Switch, View};
use super::switch::{Bucket, FORMAT, Memo, Only, Stored};
use crate::error::ApiCall;

/// What the caller references of this library's health checks begin with.
const OWN: &str = "mantissa-mr/";
/// A caller reference that a deleted check once had cannot be used again; this many successors are tried.
const REFERENCES: u32 = 20;

/// A health check that is needed.
#[derive(Clone, Debug)]
struct Wanted {
    config: HealthCheckConfig,
    /// The caller reference without its number: the same for the same check.
    reference: String,
    /// What it is for, in words.
    purpose: String,
}

impl Wanted {
    fn new(config: HealthCheckConfig, identity: &str, purpose: String) -> Self {
        let digest = Sha256::digest(identity);
        let hex: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        Self { config, reference: format!("{OWN}{hex}/"), purpose }
    }
}

impl Route53Failover {
    /// Sets up what an unplanned shift needs, or repairs it: the health checks, the records that hang on them, a memo in
    /// each bucket. Puts the records in order after an unplanned shift, so that the region that is served is the primary
    /// and no switch is on; clients notice nothing of it. Returns what was changed, or would be. Does nothing for a
    /// router without buckets.
    ///
    /// # Errors
    /// `PermissionDenied` if strangers cannot read the switches: the health checks would never see them. The advice has
    /// the statement that the bucket's policy lacks.
    pub async fn prepare(&self, dry_run: bool) -> Result<Vec<String>> {
        if self.buckets.is_empty() {
            return Ok(Vec::new());
        }
        let mut observed = self.observe().await?;
        if let Some(error) = observed.unseen() {
            return Err(error);
        }
        let records = observed.records()?.clone();
        let mut done = Vec::new();
        if !dry_run && self.checks.verify_access {
            for bucket in self.buckets.values() {
                self.verify_access(bucket).await?;
            }
        }
        let checks = self.checks(&records, dry_run, &mut done).await?;
        let view = observed.view()?;
        for region in idle_switches(&view, &records, &checks) {
            done.push(format!("remove the switch that is on in {region} and that no record hangs on"));
            if !dry_run {
                self.turn_off(&region, &observed).await?;
                observed = self.observe().await?;
            }
        }
        self.put_in_order(&mut observed, &records, &checks, dry_run, &mut done).await?;
        Ok(done)
    }

    /// Hangs the records on the checks, with the served region as the primary; then no switch need be on any more.
    async fn put_in_order(
        &self,
        observed: &mut Observed,
        records: &Records,
        checks: &BTreeMap<Region, String>,
        dry_run: bool,
        done: &mut Vec<String>,
    ) -> Result<()> {
        let view = observed.view()?;
        let served = view.served().clone();
        let mut wanted = records.with_checks(checks);
        if served != records.primary {
            wanted = wanted.swapped();
            done.push(format!("{}: make {served}, which is served, the primary", self.records.name));
        }
        for (region, set) in &wanted.sets {
            if records.check(region) != set.health_check_id() {
                done.push(format!("{}: hang the record of {region} on its health check", self.records.name));
            }
        }
        let on = |region: &Region| view.switch(region) == Switch::On;
        let switches: Vec<Region> =
            [view.other(&served), &served].into_iter().filter(|region| on(region)).cloned().collect();
        done.extend(
            switches.iter().map(|region| format!("remove the switch in {region}, which is no longer needed")),
        );
        if dry_run {
            return Ok(());
        }
        if served != records.primary {
            let moving = |memo: &mut Memo| memo.moving_to = Some(served.clone());
            self.note_down(observed, &served, moving).await?;
        }
        let mut change = None;
        if wanted.fingerprint() != records.fingerprint() {
            change = Some(self.records.replace(records, &wanted, "mantissa-mr: set up the switches").await?);
        }
        for region in &switches {
            self.turn_off(region, observed).await?;
        }
        self.write_memos(observed, &wanted, checks, change).await
    }

    async fn write_memos(
        &self,
        observed: &mut Observed,
        records: &Records,
        checks: &BTreeMap<Region, String>,
        change: Option<String>,
    ) -> Result<()> {
        let epoch = observed.newest_epoch().unwrap_or(Epoch(0));
        let before = observed.memo().and_then(|memo| memo.change.clone());
        let content = Memo {
            format: FORMAT,
            primary: records.primary.clone(),
            records: records.fingerprint(),
            checks: checks.clone(),
            ttl: records.ttl(),
            epoch,
            change: change.or(before),
            moving_to: None,
        };
        for (region, bucket) in &self.buckets {
            let stored = observed.stored_memo(region);
            if stored.is_some_and(|stored| stored.content == content) {
                continue;
            }
            let etag = bucket.store(&self.memo_key, &content, Only::from(stored)).await?;
            observed.wrote(region, Stored { content: content.clone(), etag });
        }
        Ok(())
    }

    /// The health check that each region's record must hang on; it is made if it is not there.
    async fn checks(
        &self,
        records: &Records,
        dry_run: bool,
        done: &mut Vec<String>,
    ) -> Result<BTreeMap<Region, String>> {
        let known = self.known_checks().await?;
        let mut checks = BTreeMap::new();
        for (region, bucket) in &self.buckets {
            let Some(other) = self.buckets.keys().find(|other| *other != region) else { continue };
            // The switch in this bucket takes the other region out.
            let switch = self.ensure(self.switch_check(bucket, other)?, &known, dry_run, done).await?;
            let id = match foreign_check(records.check(other), &switch, &known) {
                None => switch,
                Some(foreign) => {
                    let both = self.combined(other, foreign, &switch)?;
                    self.ensure(both, &known, dry_run, done).await?
                }
            };
            checks.insert(other.clone(), id);
        }
        Ok(checks)
    }

    fn check_call(&self, operation: &'static str) -> ApiCall<'_> {
        ApiCall::change(operation, &self.records.name, &self.records.control_plane)
    }

    async fn known_checks(&self) -> Result<Vec<HealthCheck>> {
        let call = ApiCall::read("ListHealthChecks", &self.records.name, &self.records.control_plane);
        let mut found = Vec::new();
        let mut pages = self.records.client.list_health_checks().into_paginator().send();
        while let Some(page) = pages.next().await {
            found.extend(page.map_err(|error| call.failed(error))?.health_checks);
        }
        Ok(found)
    }

    /// Fails while the switch in this bucket is on.
    fn switch_check(&self, bucket: &Bucket, taken_out: &Region) -> Result<Wanted> {
        let number = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
        let host = format!("{}.s3.{}.amazonaws.com", bucket.name, bucket.region);
        let path = format!("/{}", self.switch_key);
        let identity = format!("{host}{path} {} {}", self.checks.interval, self.checks.failures);
        let config = HealthCheckConfig::builder()
            .r#type(HealthCheckType::Https)
            .fully_qualified_domain_name(host)
            .port(443)
            .resource_path(path)
            .enable_sni(true)
            .inverted(true)
            .request_interval(number(self.checks.interval))
            .failure_threshold(number(self.checks.failures))
            .build();
        let purpose = format!("takes {taken_out} out while the switch in {} is on", bucket.region);
        Ok(Wanted::new(self.built(config)?, &identity, purpose))
    }

    /// Succeeds while both do.
    fn combined(&self, region: &Region, foreign: &str, switch: &str) -> Result<Wanted> {
        let config = HealthCheckConfig::builder()
            .r#type(HealthCheckType::Calculated)
            .child_health_checks(foreign)
            .child_health_checks(switch)
            .health_threshold(2)
            .build();
        let purpose = format!("{region}: health check {foreign} and the switch together");
        Ok(Wanted::new(self.built(config)?, &format!("{foreign} and {switch}"), purpose))
    }

    fn built<E: std::fmt::Display>(
        &self,
        config: std::result::Result<HealthCheckConfig, E>,
    ) -> Result<HealthCheckConfig> {
        config.map_err(|error| {
            self.check_call("CreateHealthCheck").error(ErrorKind::InvalidInput, error.to_string())
        })
    }

    /// The id of a check, which is made if need be; in a dry run a name that no check has.
    async fn ensure(
        &self,
        wanted: Wanted,
        known: &[HealthCheck],
        dry_run: bool,
        done: &mut Vec<String>,
    ) -> Result<String> {
        if let Some(check) = known.iter().find(|check| check.caller_reference.starts_with(&wanted.reference))
        {
            self.refuse_changed(check, &wanted)?;
            return Ok(check.id.clone());
        }
        done.push(format!("create a health check: {}", wanted.purpose));
        if dry_run { Ok(format!("new: {}", wanted.purpose)) } else { self.create(&wanted).await }
    }

    /// A check that somebody changed would not do what it is there for.
    fn refuse_changed(&self, check: &HealthCheck, wanted: &Wanted) -> Result<()> {
        let is = |flag: Option<bool>| flag.unwrap_or_default();
        let Some(now) = &check.health_check_config else { return Ok(()) };
        let same = is(now.inverted) == is(wanted.config.inverted)
            && !is(now.disabled)
            && now.resource_path == wanted.config.resource_path
            && now.fully_qualified_domain_name == wanted.config.fully_qualified_domain_name
            && now.child_health_checks() == wanted.config.child_health_checks()
            && now.health_threshold == wanted.config.health_threshold;
        if same {
            return Ok(());
        }
        let message = format!("health check {} ({}) was changed by somebody", check.id, wanted.purpose);
        Err(self
            .check_call("ListHealthChecks")
            .error(ErrorKind::Conflict, message)
            .with_advice("delete it once no record uses it; `init` then makes it anew"))
    }

    async fn create(&self, wanted: &Wanted) -> Result<String> {
        let call = self.check_call("CreateHealthCheck");
        for number in 0..REFERENCES {
            let request = self.records.client.create_health_check();
            let request = request.caller_reference(format!("{}{number}", wanted.reference));
            match request.health_check_config(wanted.config.clone()).send().await {
                Ok(answer) => {
                    let id = answer.health_check.map(|check| check.id);
                    return id
                        .ok_or_else(|| call.error(ErrorKind::Unexpected, "the answer has no health check"));
                }
                Err(error) if crate::error::code(&error) == Some("HealthCheckAlreadyExists") => {}
                Err(error) => return Err(call.failed(error)),
            }
        }
        let message = format!("{REFERENCES} health checks for the same purpose were made and deleted");
        Err(call.error(ErrorKind::Quota, message))
    }

    /// Writes an object beside the switch and reads it as a health checker would.
    async fn verify_access(&self, bucket: &Bucket) -> Result<()> {
        let key = format!("{}.probe", self.switch_key);
        let resource = format!("s3://{}/{key}", bucket.name);
        let call = ApiCall::change("PutObject", &resource, &bucket.region);
        let put = bucket.client.put_object().bucket(&bucket.name).key(&key);
        put.body(ByteStream::from_static(b"{}")).send().await.map_err(|error| call.failed(error))?;
        let call = ApiCall::read("GetObject without credentials", &resource, &bucket.region);
        let read = bucket.anonymous.get_object().bucket(&bucket.name).key(&key).send().await;
        read.map(|_| ()).map_err(|error| match call.failed(error) {
            error if error.kind() == ErrorKind::PermissionDenied => error.with_advice(policy(&bucket.name)),
            error => error,
        })
    }
}

/// What the policy of a switch's bucket must have.
fn policy(bucket: &str) -> String {
    format!(
        "health checkers come without credentials: add to the bucket's policy {{\"Effect\":\"Allow\",\"Principal\":\
         \"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::{bucket}/failover/*\"}} (and let public policies \
         through its public access block); or, with their addresses as a condition, set `checker-access = \"trust\"`"
    )
}

/// The check that a record had before this library came, if it has one.
fn foreign_check<'a>(attached: Option<&'a str>, switch: &str, known: &'a [HealthCheck]) -> Option<&'a str> {
    let attached = attached.filter(|attached| *attached != switch)?;
    let own = |id: &str| known.iter().find(|check| check.id == id && check.caller_reference.starts_with(OWN));
    match own(attached) {
        None => Some(attached),
        Some(check) => {
            let children = check.health_check_config.as_ref().map(|config| config.child_health_checks());
            children.unwrap_or_default().iter().map(String::as_str).find(|child| own(child).is_none())
        }
    }
}

/// The switches that are on and would take a region out as soon as its record hangs on them.
fn idle_switches(view: &View, records: &Records, checks: &BTreeMap<Region, String>) -> Vec<Region> {
    let hangs = |region: &Region| checks.get(region).map(String::as_str) == records.check(region);
    let idle = |region: &&Region| {
        let taken_out = view.other(region);
        view.switch(region) == Switch::On && !(hangs(taken_out) && view.armed.get(taken_out) == Some(&true))
    };
    [&view.primary, &view.secondary].into_iter().filter(idle).cloned().collect()
}
