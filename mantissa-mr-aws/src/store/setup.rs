//! How replication is set up: step 5 of the guide.

use aws_sdk_dynamodb::types::{
    CreateReplicationGroupMemberAction, ReplicationGroupUpdate, StreamSpecification, StreamViewType,
    TableDescription,
};
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;

use super::GlobalTable;
use super::replicas::{Descriptions, linked};
use crate::error::ApiCall;
use crate::table;

impl GlobalTable {
    /// Step 5 of the guide: streams first, then one replica after the other, each waited for.
    pub(super) async fn add_replicas(&self, dry_run: bool) -> Result<Vec<String>> {
        let descriptions = self.descriptions().await;
        let steps = steps(&self.regions, &descriptions, &self.table, self.undo)?;
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
    /// Enable the stream that replication and the search for late writes read.
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

/// What is missing until every region has a replica, and a stream if late writes are to be found in it; in the order in
/// which it must be done.
fn steps(regions: &[Region], descriptions: &Descriptions, table: &str, undo: bool) -> Result<Vec<Step>> {
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
    for (region, description) in &tables {
        // What replicates asynchronously has its streams: the service enables them, and lets nobody disable them.
        if undo || (*region == *home && !missing.is_empty()) {
            let call = ApiCall::read("DescribeTable", table, region);
            steps.extend(stream_step(call, region, description)?);
        }
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
                format!("the table's stream has {other}, and NEW_AND_OLD_IMAGES is needed"),
            )
            .with_advice(
                "whoever reads the stream must agree to its being replaced: disable it, then call again; or, if \
                 nothing has to be replicated, say `late-writes = \"unseen\"` in the store's settings",
            )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use aws_sdk_dynamodb::types::{ReplicaDescription, ReplicaStatus, TableStatus};

    const EAST: &str = "us-east-1";
    const WEST: &str = "us-west-2";

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn regions() -> Vec<Region> {
        vec![region(EAST), region(WEST)]
    }

    /// A table with this stream, and this replica.
    fn table(view: Option<StreamViewType>, replica: Option<&str>) -> Option<TableDescription> {
        let stream = view.map(|view| {
            StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build().unwrap()
        });
        let replica = replica.map(|region| {
            let replica = ReplicaDescription::builder().region_name(region);
            vec![replica.replica_status(ReplicaStatus::Active).build()]
        });
        let table = TableDescription::builder().table_status(TableStatus::Active).set_replicas(replica);
        Some(table.set_stream_specification(stream).build())
    }

    fn descriptions(east: Option<TableDescription>, west: Option<TableDescription>) -> Descriptions {
        BTreeMap::from([(region(EAST), Ok(east)), (region(WEST), Ok(west))])
    }

    const IMAGES: Option<StreamViewType> = Some(StreamViewType::NewAndOldImages);

    #[test]
    fn replication_is_set_up_streams_first_and_only_what_is_missing() {
        let replica = Step::Replica { home: region(EAST), region: region(WEST) };
        let stream = |home| Step::Stream { home: region(home) };
        let wanted = |east, west, undo| steps(&regions(), &descriptions(east, west), "t", undo).unwrap();
        for undo in [true, false] {
            assert_eq!(wanted(table(None, None), None, undo), [stream(EAST), replica.clone()]);
            assert_eq!(wanted(table(IMAGES, None), None, undo), vec![replica.clone()]);
            assert_eq!(wanted(table(IMAGES, Some(WEST)), table(IMAGES, None), undo), []);
            let home_in_the_west = wanted(None, table(None, None), undo);
            assert_eq!(
                home_in_the_west.last().unwrap().describe("t"),
                "t: add a replica of us-west-2 in us-east-1"
            );
        }
        // A table that replicates otherwise may be without: then only the search for late writes wants them.
        let (east, west) = (table(None, Some(WEST)), table(None, None));
        assert_eq!(wanted(east.clone(), west.clone(), true), [stream(EAST), stream(WEST)]);
        assert_eq!(wanted(east, west, false), []);
    }

    #[test]
    fn a_stream_that_somebody_uses_in_another_form_is_not_replaced() {
        let keys = || table(Some(StreamViewType::KeysOnly), Some(WEST));
        for (undo, west) in [(true, None), (false, None), (true, table(IMAGES, None))] {
            let error = steps(&regions(), &descriptions(keys(), west), "t", undo).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert!(error.advice().unwrap().contains("`late-writes = \"unseen\"`"), "{error}");
        }
        assert_eq!(steps(&regions(), &descriptions(keys(), table(IMAGES, None)), "t", false).unwrap(), []);
    }

    #[test]
    fn strangers_and_regions_that_do_not_answer_are_refused() {
        let strangers = descriptions(table(IMAGES, None), table(IMAGES, None));
        assert_eq!(steps(&regions(), &strangers, "t", true).unwrap_err().kind(), ErrorKind::Conflict);
        let mut half = descriptions(None, table(IMAGES, Some(EAST)));
        half.insert(region(EAST), Err(Error::new(ErrorKind::Timeout, "DescribeTable", "no answer")));
        assert_eq!(steps(&regions(), &half, "t", true).unwrap_err().kind(), ErrorKind::Timeout);
    }

    #[test]
    fn a_table_that_is_nowhere_is_not_found() {
        let error = steps(&regions(), &descriptions(None, None), "t", true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.advice().unwrap().contains("create it in one region"));
    }
}
