//! How the replicas are.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{ReplicaStatus as Member, TableDescription, TableStatus};
use futures_util::future::join_all;
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::{Lag, ReplicaStatus, Role};
use tokio::time::timeout;

use super::{GlobalTable, Replicas};
use crate::error::ApiCall;
use crate::table;

/// A region's replica, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Replica {
    pub(super) status: ReplicaStatus,
}

impl Replica {
    fn new(role: Role, why: impl Into<String>) -> Self {
        let lag = Lag::Unknown { why: why.into() };
        Self { status: ReplicaStatus { role, lag, watermark: None, backlog: None } }
    }

    pub(super) fn takes_writes(&self) -> bool {
        self.status.role == Role::Writer
    }
}

/// What each region says of the table.
pub(super) type Descriptions = BTreeMap<Region, Result<Option<TableDescription>>>;

const NOT_MEASURED: &str = "not measured: set `canary = true` in the store's settings to have it measured";

impl GlobalTable {
    /// Asks every region at once. A region that fails to answer is in the result, with the reason.
    pub(super) async fn descriptions(&self) -> Descriptions {
        let asked =
            self.regions.iter().map(|region| async { (region.clone(), self.description(region).await) });
        join_all(asked).await.into_iter().collect()
    }

    /// A region that is silent must not take the time of the whole call: nothing would be known of the others either.
    async fn description(&self, region: &Region) -> Result<Option<TableDescription>> {
        let described = table::describe(&self.clients(region)?.dynamodb, region, &self.table);
        timeout(self.budget, described).await.unwrap_or_else(|_| {
            let call = ApiCall::read("DescribeTable", &self.table, region);
            Err(call.error(ErrorKind::Timeout, format!("no answer within {:?}", self.budget)))
        })
    }

    pub(super) async fn replicas(&self) -> Replicas {
        replicas(&self.regions, &self.descriptions().await)
    }
}
/// Whether one region's table names the other as its replica, in whichever direction that can be seen.
pub(super) fn linked(one: &Region, other: &Region, descriptions: &Descriptions) -> bool {
    member(one, other, descriptions).or_else(|| member(other, one, descriptions)).is_some()
}

/// How the table in `home` says that its replica in `region` is.
fn member<'a>(home: &Region, region: &Region, descriptions: &'a Descriptions) -> Option<&'a Member> {
    let Some(Ok(Some(table))) = descriptions.get(home) else { return None };
    let replica = table.replicas().iter().find(|replica| replica.region_name() == Some(region.as_str()))?;
    replica.replica_status()
}

fn replicas(regions: &[Region], descriptions: &Descriptions) -> Replicas {
    regions.iter().map(|region| (region.clone(), replica(region, regions, descriptions))).collect()
}

fn replica(region: &Region, regions: &[Region], descriptions: &Descriptions) -> Replica {
    let table = match descriptions.get(region) {
        Some(Ok(Some(table))) => table,
        Some(Ok(None)) | None => return Replica::new(Role::Absent, "the table is not in this region"),
        Some(Err(error)) => return Replica::new(Role::Unreachable, error.to_string()),
    };
    if !table::serves(table.table_status()) {
        let status = table.table_status().map_or("unknown", TableStatus::as_str);
        let role = match table.table_status() {
            Some(TableStatus::Creating | TableStatus::Deleting) => Role::Absent,
            _ => Role::Unreachable,
        };
        return Replica::new(role, format!("the table is {status}"));
    }
    let others: Vec<&Region> = regions.iter().filter(|other| *other != region).collect();
    let told = others.iter().find_map(|other| member(other, region, descriptions));
    if let Some(status) = told
        && !matches!(status, Member::Active | Member::Updating)
    {
        let role = if *status == Member::Creating { Role::Absent } else { Role::Unreachable };
        return Replica::new(role, format!("the replica is {status}"));
    }
    // A table that nobody is linked with is the store itself, if it is the first one; any other is a stranger.
    let stranger = others.iter().take_while(|_| told.is_none()).any(|other| {
        let earlier = regions.iter().position(|known| known == *other)
            < regions.iter().position(|known| known == region);
        let there = matches!(descriptions.get(*other), Some(Ok(Some(_))));
        earlier && there && !linked(other, region, descriptions)
    });
    if stranger {
        return Replica::new(
            Role::Absent,
            "a table of this name is there, but it replicates with none of the others",
        );
    }
    Replica::new(Role::Writer, NOT_MEASURED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::ReplicaDescription;
    use mantissa_mr_core::error::Error;

    const EAST: &str = "us-east-1";
    const WEST: &str = "us-west-2";

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn regions() -> Vec<Region> {
        vec![region(EAST), region(WEST)]
    }

    fn table(replicas: &[(&str, Member)]) -> TableDescription {
        let replicas = replicas.iter().map(|(region, status)| {
            ReplicaDescription::builder().region_name(*region).replica_status(status.clone()).build()
        });
        TableDescription::builder()
            .table_status(TableStatus::Active)
            .set_replicas(Some(replicas.collect()))
            .build()
    }

    fn descriptions(east: Option<TableDescription>, west: Option<TableDescription>) -> Descriptions {
        BTreeMap::from([(region(EAST), Ok(east)), (region(WEST), Ok(west))])
    }

    fn roles(descriptions: &Descriptions) -> Vec<Role> {
        replicas(&regions(), descriptions).into_values().map(|replica| replica.status.role).collect()
    }

    #[test]
    fn linked_tables_take_writes_in_every_region() {
        let linked =
            descriptions(Some(table(&[(WEST, Member::Active)])), Some(table(&[(EAST, Member::Active)])));
        assert_eq!(roles(&linked), [Role::Writer, Role::Writer]);
        // The service may name the link on one side only, or name the region itself too.
        let one_way =
            descriptions(Some(table(&[(EAST, Member::Active), (WEST, Member::Active)])), Some(table(&[])));
        assert_eq!(roles(&one_way), [Role::Writer, Role::Writer]);
    }

    #[test]
    fn a_table_that_merely_has_the_same_name_is_no_replica() {
        let strangers = descriptions(Some(table(&[])), Some(table(&[])));
        assert_eq!(roles(&strangers), [Role::Writer, Role::Absent]);
    }

    #[test]
    fn a_region_that_does_not_answer_is_unreachable_and_the_other_still_takes_writes() {
        let mut half = descriptions(None, Some(table(&[(EAST, Member::Active)])));
        half.insert(region(EAST), Err(Error::new(ErrorKind::Timeout, "DescribeTable", "no answer")));
        assert_eq!(roles(&half), [Role::Unreachable, Role::Writer]);
    }

    #[test]
    fn a_replica_that_is_not_ready_takes_no_writes() {
        for (status, role) in [
            (Member::Creating, Role::Absent),
            (Member::InaccessibleEncryptionCredentials, Role::Unreachable),
            (Member::ReplicationNotAuthorized, Role::Unreachable),
            (Member::RegionDisabled, Role::Unreachable),
        ] {
            let east = table(&[(WEST, status.clone())]);
            assert_eq!(roles(&descriptions(Some(east), Some(table(&[])))), [Role::Writer, role], "{status}");
        }
    }
}
