//! The two failover records in Route 53.

use std::collections::BTreeMap;

use aws_sdk_route53::Client;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecordSet, ResourceRecordSetFailover, RrType,
};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use sha2::{Digest, Sha256};

use crate::error::ApiCall;

/// The time that clients keep the answer of an alias record, whose TTL is that of its target: 60 s for load balancers
/// and API Gateway
/// ([choosing between alias and non-alias](https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html)).
const ALIAS_TTL: u64 = 60;

/// Where the records are, and which one is which region's.
#[derive(Debug)]
pub(super) struct RecordSets {
    pub(super) client: Client,
    pub(super) zone: String,
    pub(super) name: String,
    pub(super) kind: RrType,
    /// The set identifier of each region's record.
    pub(super) identifiers: BTreeMap<Region, String>,
    /// Where Route 53's control plane is.
    pub(super) control_plane: Region,
}

/// The records as read.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) primary: Region,
    pub(super) secondary: Region,
    pub(super) sets: BTreeMap<Region, ResourceRecordSet>,
}

impl Records {
    /// The health check of a region's record.
    pub(super) fn check(&self, region: &Region) -> Option<&str> {
        self.sets.get(region)?.health_check_id()
    }

    /// How long clients keep an answer, in seconds.
    pub(super) fn ttl(&self) -> u64 {
        let ttl = |set: &ResourceRecordSet| match set.ttl() {
            Some(ttl) => u64::try_from(ttl).unwrap_or_default(),
            None => ALIAS_TTL,
        };
        self.sets.values().map(ttl).max().unwrap_or(ALIAS_TTL)
    }

    /// The same for the same records: every field of both.
    pub(super) fn fingerprint(&self) -> String {
        let text = format!("{:?}", self.sets);
        Sha256::digest(text).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The records with primary and secondary in each other's place, and everything else as it was.
    pub(super) fn swapped(&self) -> Self {
        let mut swapped = self.clone();
        std::mem::swap(&mut swapped.primary, &mut swapped.secondary);
        for (region, set) in &mut swapped.sets {
            set.failover = Some(if *region == swapped.primary {
                ResourceRecordSetFailover::Primary
            } else {
                ResourceRecordSetFailover::Secondary
            });
        }
        swapped
    }

    /// The records with these health checks, and everything else as it was.
    pub(super) fn with_checks(&self, checks: &BTreeMap<Region, String>) -> Self {
        let mut checked = self.clone();
        for (region, set) in &mut checked.sets {
            if let Some(check) = checks.get(region) {
                set.health_check_id = Some(check.clone());
            }
        }
        checked
    }
}

impl RecordSets {
    fn read_call(&self) -> ApiCall<'_> {
        ApiCall::read("ListResourceRecordSets", &self.name, &self.control_plane)
    }

    /// Reads the records.
    pub(super) async fn read(&self) -> Result<Records> {
        let call = self.read_call();
        let mut found = Vec::new();
        let mut start = (Some(self.name.clone()), Some(self.kind.clone()), None);
        loop {
            let (name, kind, identifier) = start;
            let request = self.client.list_resource_record_sets().hosted_zone_id(&self.zone);
            let request = request.set_start_record_name(name).set_start_record_type(kind);
            let answer = request.set_start_record_identifier(identifier).send().await;
            let page = answer.map_err(|error| call.failed(error))?;
            let total = page.resource_record_sets.len();
            let mine: Vec<_> =
                page.resource_record_sets.into_iter().filter(|set| self.is_mine(set)).collect();
            let more = page.is_truncated && mine.len() == total;
            found.extend(mine);
            if !more {
                return self.sort_out(found);
            }
            start = (page.next_record_name, page.next_record_type, page.next_record_identifier);
        }
    }

    fn is_mine(&self, set: &ResourceRecordSet) -> bool {
        canonical(&set.name) == canonical(&self.name) && set.r#type == self.kind
    }

    fn sort_out(&self, found: Vec<ResourceRecordSet>) -> Result<Records> {
        let call = self.read_call();
        if found.is_empty() {
            let message = format!("zone {} has no record of type {} with this name", self.zone, self.kind);
            return Err(call.error(ErrorKind::NotFound, message));
        }
        let mut sets = BTreeMap::new();
        for (region, identifier) in &self.identifiers {
            let set = found.iter().find(|set| set.set_identifier() == Some(identifier));
            let set = set.ok_or_else(|| self.missing(call, identifier, &found))?;
            sets.insert(region.clone(), set.clone());
        }
        if found.len() != sets.len() {
            return Err(self.missing(call, "exactly one per region", &found));
        }
        let with = |role: &ResourceRecordSetFailover| {
            sets.iter().find(|(_, set)| set.failover() == Some(role)).map(|(region, _)| region.clone())
        };
        let roles = (with(&ResourceRecordSetFailover::Primary), with(&ResourceRecordSetFailover::Secondary));
        let (Some(primary), Some(secondary)) = roles else {
            return Err(call.error(
                ErrorKind::InvalidInput,
                "the records are not a PRIMARY and a SECONDARY of failover routing",
            ));
        };
        Ok(Records { primary, secondary, sets })
    }

    fn missing(&self, call: ApiCall<'_>, wanted: &str, found: &[ResourceRecordSet]) -> Error {
        let there: Vec<&str> = found.iter().map(|set| set.set_identifier().unwrap_or("(none)")).collect();
        let message = format!("no set identifier `{wanted}`; there are: {}", there.join(", "));
        call.error(ErrorKind::NotFound, message)
            .with_advice("mend `set-identifier` of the router's regions in the overlay")
    }

    /// Replaces the records in one batch: the old ones are deleted, value by value, and the new ones created, or nothing
    /// is changed. Returns the change's id.
    ///
    /// # Errors
    /// `Conflict` if the records are not (or no longer) the old ones.
    pub(super) async fn replace(&self, old: &Records, new: &Records, why: &str) -> Result<String> {
        let call = ApiCall::change("ChangeResourceRecordSets", &self.name, &self.control_plane);
        let built = |error| call.error(ErrorKind::InvalidInput, format!("{error}"));
        let mut batch = ChangeBatch::builder().comment(why);
        for (records, action) in [(old, ChangeAction::Delete), (new, ChangeAction::Create)] {
            for (region, set) in &records.sets {
                if old.sets.get(region) == new.sets.get(region) {
                    continue;
                }
                let change = Change::builder().action(action.clone()).resource_record_set(set.clone());
                batch = batch.changes(change.build().map_err(built)?);
            }
        }
        let request = self.client.change_resource_record_sets().hosted_zone_id(&self.zone);
        match request.change_batch(batch.build().map_err(built)?).send().await {
            Ok(answer) => Ok(answer.change_info.map(|change| change.id).unwrap_or_default()),
            Err(error) => {
                let error = call.failed(error);
                Err(match error.kind() {
                    ErrorKind::Conflict => {
                        error.with_advice("somebody changed the records: read the routing again")
                    }
                    _ => error,
                })
            }
        }
    }

    /// Whether a change has reached all of Route 53's servers.
    pub(super) async fn in_sync(&self, change: &str) -> Result<bool> {
        let call = ApiCall::read("GetChange", change, &self.control_plane);
        let answer = self.client.get_change().id(change).send().await.map_err(|error| call.failed(error))?;
        Ok(answer.change_info.is_some_and(|change| change.status == ChangeStatus::Insync))
    }
}

/// A record's name as it is compared: Route 53 writes it in small letters, with a dot at its end, and `*` as `\052`.
pub(super) fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase().replace("\\052", "*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_route53::types::AliasTarget;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn set(identifier: &str, failover: ResourceRecordSetFailover) -> ResourceRecordSet {
        ResourceRecordSet::builder()
            .name("api.example.com.")
            .r#type(RrType::A)
            .set_identifier(identifier)
            .failover(failover)
            .health_check_id(format!("check-of-{identifier}"))
            .alias_target(
                AliasTarget::builder()
                    .hosted_zone_id("Z1UJRXOUMOOFQ8")
                    .dns_name(format!("{identifier}.execute-api.example."))
                    .evaluate_target_health(true)
                    .build()
                    .unwrap(),
            )
            .build()
            .unwrap()
    }

    fn records() -> Records {
        let sets = BTreeMap::from([
            (region("us-east-1"), set("primary", ResourceRecordSetFailover::Primary)),
            (region("us-west-2"), set("secondary", ResourceRecordSetFailover::Secondary)),
        ]);
        Records { primary: region("us-east-1"), secondary: region("us-west-2"), sets }
    }

    #[test]
    fn a_swap_changes_the_roles_and_nothing_else_and_twice_is_the_begin() {
        let (before, after) = (records(), records().swapped());
        for (region, set) in &after.sets {
            let mut undone = set.clone();
            undone.failover = before.sets.get(region).and_then(|set| set.failover.clone());
            assert_eq!(Some(&undone), before.sets.get(region));
        }
        assert_ne!(after.fingerprint(), before.fingerprint());
        assert_eq!(after.swapped().fingerprint(), before.fingerprint());
    }

    #[test]
    fn a_records_name_is_the_same_however_it_is_written() {
        assert_eq!(canonical("\\052.Example.com."), canonical("*.example.com"));
    }
}
