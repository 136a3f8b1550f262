//! How the replicas are, and how they are set up.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    CreateReplicationGroupMemberAction, ReplicaStatus as Member, ReplicationGroupUpdate, StreamSpecification,
    StreamViewType, TableDescription, TableStatus,
};
use futures_util::future::join_all;
use mantissa_mr_core::error::{Error, ErrorKind, Result};
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
type Descriptions = BTreeMap<Region, Result<Option<TableDescription>>>;

const NOT_MEASURED: &str = "not measured: set `canary = true` in the store's settings to have it measured";

impl GlobalTable {
    /// Asks every region at once. A region that fails to answer is in the result, with the reason.
    async fn descriptions(&self) -> Descriptions {
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

    /// Step 5 of the guide: streams first, then one replica after the other, each waited for.
    pub(super) async fn add_replicas(&self, dry_run: bool) -> Result<Vec<String>> {
        let descriptions = self.descriptions().await;
        let steps = steps(&self.regions, &descriptions, &self.table)?;
        for step in steps.iter().filter(|_| !dry_run) {
            self.take(step).await?;
        }
        Ok(steps.iter().map(|step| step.describe(&self.table)).collect())
    }

    async fn take(&self, step: &Step) -> Result<()> {
        let region = step.home();
        let client = &self.clients(region)?.dynamodb;
        let call = ApiCall::change("UpdateTable", &self.table, region);
        let built = |error| call.error(ErrorKind::InvalidInput, format!("{error}"));
        let request = client.update_table().table_name(&self.table);
        let request = match step {
            Step::Stream { .. } => request.stream_specification(
                StreamSpecification::builder()
                    .stream_enabled(true)
                    .stream_view_type(StreamViewType::NewAndOldImages)
                    .build()
                    .map_err(built)?,
            ),
            Step::Replica { region, .. } => {
                let create = CreateReplicationGroupMemberAction::builder().region_name(region.as_str());
                let create = create.build().map_err(built)?;
                request.replica_updates(ReplicationGroupUpdate::builder().create(create).build())
            }
        };
        tracing::info!(table = self.table, %region, "{}", step.describe(&self.table));
        // The service refuses a second change while one is under way.
        table::settled(client, region, &self.table).await?;
        request.send().await.map_err(|error| call.failed(error))?;
        table::settled(client, region, &self.table).await?;
        Ok(())
    }
}

/// One change of the table's setup.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Enable the stream that replication reads.
    Stream { home: Region },
    /// Add a replica.
    Replica { home: Region, region: Region },
}

impl Step {
    fn home(&self) -> &Region {
        let (Self::Stream { home } | Self::Replica { home, .. }) = self;
        home
    }

    fn describe(&self, table: &str) -> String {
        match self {
            Self::Stream { home } => format!("{table}: enable the stream (new and old images) in {home}"),
            Self::Replica { home, region } => format!("{table}: add a replica of {home} in {region}"),
        }
    }
}

/// What is missing until every region has a replica, in the order in which it must be done.
fn steps(regions: &[Region], descriptions: &Descriptions, table: &str) -> Result<Vec<Step>> {
    let mut tables = Vec::new();
    for region in regions {
        match descriptions.get(region) {
            Some(Ok(Some(description))) => tables.push((region, description)),
            Some(Ok(None)) | None => {}
            Some(Err(error)) => return Err(error.clone()),
        }
    }
    let Some((home, description)) = tables.first() else {
        let home = regions
            .first()
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "ensure-replicated", "no region"))?;
        let call = ApiCall::read("DescribeTable", table, home);
        return Err(call
            .error(ErrorKind::NotFound, "the table is in none of the deployment's regions")
            .with_advice("create it in one region (the guide's step 3); this library adds the replicas"));
    };
    let call = ApiCall::read("DescribeTable", table, home);
    if description.global_table_version() == Some("2017.11.29") {
        return Err(call
            .error(ErrorKind::Unsupported, "the table is a Global Table of version 2017.11.29")
            .with_advice(
                "upgrade it to version 2019.11.21 in the console or with UpdateGlobalTableVersion",
            ));
    }
    let others = tables.iter().skip(1).map(|(region, _)| *region);
    refuse_strangers(call, home, others, descriptions)?;
    let missing: Vec<&Region> =
        regions.iter().filter(|region| tables.iter().all(|(present, _)| present != region)).collect();
    let mut steps = Vec::new();
    if !missing.is_empty() {
        steps.extend(stream_step(call, home, description)?);
    }
    let add = |region: &&Region| Step::Replica { home: (*home).clone(), region: (*region).clone() };
    steps.extend(missing.iter().map(add));
    Ok(steps)
}

/// The service adds replicas only where there is no table.
fn refuse_strangers<'a>(
    call: ApiCall<'_>,
    home: &Region,
    mut others: impl Iterator<Item = &'a Region>,
    descriptions: &Descriptions,
) -> Result<()> {
    let Some(stranger) = others.find(|other| !linked(home, other, descriptions)) else { return Ok(()) };
    let message = format!("{home} and {stranger} each have a table of this name, and they do not replicate");
    Err(call.error(ErrorKind::Conflict, message).with_advice(
        "remove the one whose data is not wanted: the service adds replicas only where there is no table",
    ))
}

fn stream_step(call: ApiCall<'_>, home: &Region, table: &TableDescription) -> Result<Option<Step>> {
    let stream = table.stream_specification().filter(|stream| stream.stream_enabled());
    match stream.and_then(StreamSpecification::stream_view_type) {
        None => Ok(Some(Step::Stream { home: home.clone() })),
        Some(StreamViewType::NewAndOldImages) => Ok(None),
        Some(other) => Err(call
            .error(
                ErrorKind::Conflict,
                format!("the table's stream has {other}, and replication needs NEW_AND_OLD_IMAGES"),
            )
            .with_advice(
                "whoever reads the stream must agree to its being replaced: disable it, then call again",
            )),
    }
}

/// Whether one region's table names the other as its replica, in whichever direction that can be seen.
fn linked(one: &Region, other: &Region, descriptions: &Descriptions) -> bool {
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

    fn streaming(view: StreamViewType) -> TableDescription {
        let stream =
            StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build().unwrap();
        TableDescription::builder().table_status(TableStatus::Active).stream_specification(stream).build()
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
        assert_eq!(steps(&regions(), &strangers, "t").unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_region_that_does_not_answer_is_unreachable_and_the_other_still_takes_writes() {
        let mut half = descriptions(None, Some(table(&[(EAST, Member::Active)])));
        half.insert(region(EAST), Err(Error::new(ErrorKind::Timeout, "DescribeTable", "no answer")));
        assert_eq!(roles(&half), [Role::Unreachable, Role::Writer]);
        assert_eq!(steps(&regions(), &half, "t").unwrap_err().kind(), ErrorKind::Timeout);
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

    #[test]
    fn replication_is_set_up_streams_first_and_only_what_is_missing() {
        let replica = Step::Replica { home: region(EAST), region: region(WEST) };
        let plain = steps(&regions(), &descriptions(Some(table(&[])), None), "t").unwrap();
        assert_eq!(plain, [Step::Stream { home: region(EAST) }, replica.clone()]);
        let streams = descriptions(Some(streaming(StreamViewType::NewAndOldImages)), None);
        assert_eq!(steps(&regions(), &streams, "t").unwrap(), [replica]);
        let done = descriptions(Some(table(&[(WEST, Member::Active)])), Some(table(&[])));
        assert_eq!(steps(&regions(), &done, "t").unwrap(), []);
        let home_in_the_west = steps(&regions(), &descriptions(None, Some(table(&[]))), "t").unwrap();
        assert_eq!(
            home_in_the_west.last().unwrap().describe("t"),
            "t: add a replica of us-west-2 in us-east-1"
        );
    }

    #[test]
    fn a_stream_that_somebody_uses_in_another_form_is_not_replaced() {
        let other = descriptions(Some(streaming(StreamViewType::KeysOnly)), None);
        assert_eq!(steps(&regions(), &other, "t").unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_table_that_is_nowhere_is_not_found() {
        let error = steps(&regions(), &descriptions(None, None), "t").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.advice().unwrap().contains("create it in one region"));
    }
}
