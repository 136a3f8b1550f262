//! What is asked of any DynamoDB table: how it is, which keys it has, and whether it is ready.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    KeyType, MultiRegionConsistency, ReplicaStatus, ScalarAttributeType, TableDescription, TableStatus,
};
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::name::Region;

use crate::error::ApiCall;

/// The first wait between two looks at a table that is being changed; it doubles up to [`LOOK_MAX`].
const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK_MAX: Duration = Duration::from_secs(10);
/// How long a change of a table may take. Copying a large table into a new replica takes the longest.
const CHANGE_MAX: Duration = Duration::from_secs(60 * 60);

/// A key attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyAttribute {
    pub(crate) name: String,
    pub(crate) kind: ScalarAttributeType,
}

/// A table's primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySchema {
    pub(crate) hash: KeyAttribute,
    pub(crate) range: Option<KeyAttribute>,
}

impl KeySchema {
    /// The key attributes, in order.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    fn of(table: &TableDescription) -> Option<Self> {
        let attribute = |key: KeyType| {
            let name = table.key_schema().iter().find(|element| *element.key_type() == key)?.attribute_name();
            let definition =
                table.attribute_definitions().iter().find(|known| known.attribute_name() == name)?;
            Some(KeyAttribute { name: name.to_owned(), kind: definition.attribute_type().clone() })
        };
        Some(Self { hash: attribute(KeyType::Hash)?, range: attribute(KeyType::Range) })
    }
}

/// The table as its region describes it; none if there is none.
pub(crate) async fn describe(
    client: &Client,
    region: &Region,
    table: &str,
) -> Result<Option<TableDescription>> {
    let call = ApiCall::read("DescribeTable", table, region);
    match client.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) => match call.failed(error) {
            error if error.kind() == ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
    }
}

/// The table's primary key.
pub(crate) fn keys(call: ApiCall<'_>, table: &TableDescription) -> Result<KeySchema> {
    KeySchema::of(table).ok_or_else(|| {
        call.error(ErrorKind::Unexpected, "the description of the table lacks its primary key")
    })
}

/// Whether the table is one of several that are copied asynchronously.
pub(crate) fn is_eventual(table: &TableDescription) -> bool {
    let global = !table.replicas().is_empty() || table.global_table_version().is_some();
    global && table.multi_region_consistency() != Some(&MultiRegionConsistency::Strong)
}

/// The regions that hold a strongly consistent replica which answers, as far as the table's region names them; none for a table
/// without multi-Region strong consistency. The region of a third member that only keeps a log (`GlobalTableWitnesses`) is not
/// among them: it answers nobody.
pub(crate) fn strong_replicas(table: &TableDescription) -> impl Iterator<Item = &str> {
    let strong = table.multi_region_consistency() == Some(&MultiRegionConsistency::Strong);
    let replicas = table.replicas().iter().filter(move |replica| {
        strong && matches!(replica.replica_status(), Some(ReplicaStatus::Active | ReplicaStatus::Updating))
    });
    replicas.filter_map(|replica| replica.region_name())
}

/// Whether the table answers reads and writes.
pub(crate) fn serves(status: Option<&TableStatus>) -> bool {
    matches!(status, Some(TableStatus::Active | TableStatus::Updating))
}

/// Waits until neither the table nor any of its replicas is being changed.
pub(crate) async fn settled(client: &Client, region: &Region, table: &str) -> Result<TableDescription> {
    let call = ApiCall::read("DescribeTable", table, region);
    let mut wait = LOOK_FIRST;
    let mut waited = Duration::ZERO;
    loop {
        if let Some(description) = describe(client, region, table).await?
            && is_settled(&description)
        {
            return Ok(description);
        }
        if waited >= CHANGE_MAX {
            let message = format!("the table is still being changed after {} min", CHANGE_MAX.as_secs() / 60);
            return Err(call.error(ErrorKind::Timeout, message).with_advice(
                "look at the table in the console; the same call goes on where this one stopped",
            ));
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        wait = (wait * 2).min(LOOK_MAX);
    }
}

fn is_settled(table: &TableDescription) -> bool {
    let replicas_settled = table.replicas().iter().all(|replica| {
        !matches!(
            replica.replica_status(),
            Some(ReplicaStatus::Creating | ReplicaStatus::Updating | ReplicaStatus::Deleting)
        )
    });
    table.table_status() == Some(&TableStatus::Active) && replicas_settled
}
