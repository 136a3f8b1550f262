//! What the deployment says of a router.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_route53::types::RrType;
use mantissa_mr_core::deployment::ResourceSpec;
use mantissa_mr_core::name::{GroupName, Region};
use mantissa_mr_core::problem::Problem;

use super::records::{RecordSets, canonical};
use super::switch::Bucket;
use super::{CheckSettings, Route53Failover, Seen, TTL_ASSUMED};
use crate::clients::{Clients, ROUTE53_REGION};
use crate::settings::Reader;

const TYPES: [&str; 3] = ["A", "AAAA", "CNAME"];

/// The settings of a [`Route53Failover`].
#[derive(Debug)]
pub(crate) struct RouterSettings {
    zone: String,
    record: String,
    kind: &'static str,
    identifiers: BTreeMap<Region, String>,
    buckets: BTreeMap<Region, String>,
    checks: CheckSettings,
}

/// Reads the settings; what is wrong with them is added to the problems.
pub(crate) fn read(
    group: &GroupName,
    resource: &ResourceSpec,
    regions: &[Region],
    problems: &mut Vec<Problem>,
) -> RouterSettings {
    let mut reader = Reader::resource(group, "routers", resource);
    let zone = reader.text("zone", "the id of the hosted zone");
    let record = reader.text("record", "the name that clients resolve");
    let kind = reader.word("type", &TYPES, "A");
    let interval = reader.number("check-interval", 10..=30, 10);
    if interval != 10 && interval != 30 {
        reader.refuse("check-interval", format!("{interval} s is not offered by Route 53"), "use 10 or 30");
    }
    let failures = reader.number("check-failures", 1..=10, 3);
    let verify_access = reader.word("checker-access", &["verify", "trust"], "verify") == "verify";
    problems.extend(reader.finish());
    let (mut identifiers, mut buckets) = (BTreeMap::new(), BTreeMap::new());
    for region in regions {
        let mut reader = Reader::region(group, "routers", resource, region);
        let (identifier, bucket) = read_region(&mut reader, &identifiers);
        identifiers.insert(region.clone(), identifier);
        buckets.extend(bucket.map(|bucket| (region.clone(), bucket)));
        problems.extend(reader.finish());
    }
    let field = format!("groups.{group}.routers.{}", resource.name);
    if identifiers.len() != 2 {
        let message =
            format!("failover records serve exactly two regions, and the deployment has {}", regions.len());
        problems.push(Problem::new(&field, message));
    }
    if buckets.len() == 1 {
        let advice = "give each region a `bucket`, or neither: then no unplanned shift is possible";
        problems.push(
            Problem::new(format!("{field}.regions"), "only one region has a bucket").with_advice(advice),
        );
    }
    let checks = CheckSettings { interval, failures, verify_access };
    RouterSettings { zone, record, kind, identifiers, buckets, checks }
}

/// The set identifier and the bucket of one region.
fn read_region(reader: &mut Reader<'_>, known: &BTreeMap<Region, String>) -> (String, Option<String>) {
    let identifier = reader.text("set-identifier", "of this region's record");
    if let Some((other, _)) = known.iter().find(|(_, taken)| !identifier.is_empty() && **taken == identifier)
    {
        let message = format!("`{identifier}` is the record of {other} already");
        reader.refuse("set-identifier", message, "each region has a record of its own");
    }
    let bucket = reader.optional_text("bucket");
    if let Some(bucket) = bucket.as_ref().filter(|bucket| bucket.contains('.')) {
        let message = format!("`{bucket}` has a dot: health checkers cannot reach it by HTTPS");
        reader.refuse("bucket", message, "use a bucket without a dot in its name");
    }
    (identifier, bucket)
}

impl RouterSettings {
    /// The router. An observation of `patience` for each part must fit into the deadline of a call.
    pub(crate) fn build(self, clients: &Clients, patience: Duration) -> Option<Route53Failover> {
        let name = canonical(&self.record);
        let path = format!("{}/{}/{}", self.zone, name.replace('*', "_wildcard"), self.kind);
        let buckets = self.buckets.into_iter().map(|(region, name)| {
            let known = clients.region(&region)?;
            let (client, anonymous) = (known.s3.clone(), known.s3_anonymous.clone());
            Some((region.clone(), Bucket { client, anonymous, region, name }))
        });
        Some(Route53Failover {
            buckets: buckets.collect::<Option<_>>()?,
            switch_key: format!("failover/{path}"),
            memo_key: format!("mantissa-mr/{path}.json"),
            records: RecordSets {
                client: clients.route53.clone(),
                zone: self.zone,
                name,
                kind: RrType::from(self.kind),
                identifiers: self.identifiers,
                control_plane: Region::new(ROUTE53_REGION).ok()?,
            },
            checks: self.checks,
            patience,
            seen: Mutex::new(Seen { ttl: TTL_ASSUMED, change: None, since: None }),
        })
    }
}
