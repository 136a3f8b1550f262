//! The ledger's cells in a DynamoDB table; in an S3 bucket: [`s3`].
//!
//! One item per cell: `pk` (its name), `value`, and `version`, a number that grows with every write followed by random
//! digits. A write is one conditional `PutItem`, sent once. Where the answer is a failed condition, the service returns
//! the item that it met: should that bear this write's own version (something between here and there sent the request
//! twice), then the write was applied and is called so.
//!
//! A Global Table is refused: by default it is eventually consistent, and a condition is evaluated against the local replica, so
//! two regions can both win
//! ([AWS: how global tables work](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html)).
//! One with multi-Region strong consistency (MRSC) is taken, and is the better witness: it answers on when a region is lost.
//! It is asked through the witness's region, and when that does not answer, through those of the deployment's regions that hold a
//! replica. Which do is found out when the table is first looked at; [`durability`](CellStore::durability) says unknown until
//! then. `init` does not make such a table: AWS makes one of a new table in three regions, by `CreateTable` in the witness's
//! region and `UpdateTable` with `MultiRegionConsistency = STRONG`. None of this has been run against AWS: emulators
//! ignore `MultiRegionConsistency`, and the tests stand in for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableDescription,
};
use futures_util::future::join_all;
use mantissa_mr_core::cell::{
    Cell, CellDurability, CellName, CellStore, CellVersion, Expected, StoreOutcome, check_value,
};
use mantissa_mr_core::error::{Effect, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use tokio::sync::OnceCell;

use crate::error::ApiCall;
use crate::table;

pub mod s3;
mod ways;

pub(crate) use ways::Way;
use ways::{Attempt, Ways, is_silent};

const KEY: &str = "pk";
const VALUE: &str = "value";
const VERSION: &str = "version";

/// Cells in a DynamoDB table of one region, or in one with multi-Region strong consistency.
pub struct DynamoDbCells {
    home: Way,
    /// The deployment's regions: the table may have a replica there.
    others: Vec<Way>,
    table: String,
    found: OnceCell<Found>,
    current: AtomicUsize,
}

/// What a look at the table found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    /// The other regions that hold a strongly consistent replica.
    replicas: Vec<Region>,
}

impl DynamoDbCells {
    /// The clients must send each request once.
    pub(crate) fn new(home: Way, mut others: Vec<Way>, table: String) -> Self {
        others.retain(|way| way.region != home.region);
        Self { home, others, table, found: OnceCell::new(), current: AtomicUsize::new(0) }
    }

    /// Creates the table if it is not there: in the witness's region alone, on demand, protected against deletion. Returns
    /// what was done, or would be.
    ///
    /// # Errors
    /// `InvalidInput` for a table that cannot hold cells: another primary key, or replicas that are only eventually
    /// consistent.
    pub async fn init(&self, dry_run: bool) -> Result<Vec<String>> {
        let Way { region, client } = &self.home;
        if let Some(table) = table::describe(client, region, &self.table).await? {
            self.look_at(&table)?;
            return Ok(Vec::new());
        }
        let done = format!("create the DynamoDB table {} in {region} for the ledger", self.table);
        if !dry_run {
            self.create().await?;
            let table = table::settled(client, region, &self.table).await?;
            self.look_at(&table)?;
        }
        Ok(vec![done])
    }

    async fn create(&self) -> Result<()> {
        let call = ApiCall::change("CreateTable", &self.table, &self.home.region);
        let built = |error| call.error(ErrorKind::InvalidInput, format!("{error}"));
        let key = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build();
        let kind =
            AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S).build();
        let sent = self
            .home
            .client
            .create_table()
            .table_name(&self.table)
            .key_schema(key.map_err(built)?)
            .attribute_definitions(kind.map_err(built)?)
            .billing_mode(BillingMode::PayPerRequest)
            .deletion_protection_enabled(true)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            // Somebody else is creating it: it will be looked at as if it had been there.
            Err(error) if crate::error::code(&error) == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(call.failed(error)),
        }
    }

    /// Looks at the table once in the life of this value, before the first cell is read or written.
    async fn verify(&self) -> Result<()> {
        let found = self.found.get_or_try_init(|| async {
            let Way { region, client } = &self.home;
            let call = ApiCall::read("DescribeTable", &self.table, region);
            match table::describe(client, region, &self.table).await {
                Ok(Some(table)) => self.find(&table),
                Ok(None) => Err(call
                    .error(ErrorKind::NotFound, "the ledger's table is not there")
                    .with_advice("create it with `init`")),
                Err(error) if is_silent(&error) => self.find_elsewhere().await.ok_or(error),
                Err(error) => Err(error),
            }
        });
        found.await.map(|_| ())
    }

    /// What is said of the table where it has a replica. A table of the same name counts only if it is a strongly consistent
    /// replica of the one in the witness's region.
    async fn find_elsewhere(&self) -> Option<Found> {
        let looks = self.others.iter().map(|way| table::describe(&way.client, &way.region, &self.table));
        let answers = join_all(looks).await;
        let tables = self.others.iter().zip(answers);
        tables.into_iter().find_map(|(way, answer)| {
            let table = answer.ok()??;
            let holds = |region: &Region| table::strong_replicas(&table).any(|name| name == region.as_str());
            let mut found = self.find(&table).ok().filter(|_| holds(&self.home.region))?;
            // A description need not name the region that gives it.
            if !found.replicas.contains(&way.region) {
                found.replicas.push(way.region.clone());
            }
            Some(found)
        })
    }

    /// Keeps what a look at the table in the witness's region found.
    fn look_at(&self, table: &TableDescription) -> Result<()> {
        let found = self.find(table)?;
        // Whoever looked first has seen the same.
        let _ = self.found.set(found);
        Ok(())
    }

    fn find(&self, table: &TableDescription) -> Result<Found> {
        self.refuse_unfit(table)?;
        let strong: Vec<&str> = table::strong_replicas(table).collect();
        let others = self.others.iter().map(|way| &way.region);
        Ok(Found { replicas: others.filter(|region| strong.contains(&region.as_str())).cloned().collect() })
    }

    /// One request to the table, which was found.
    fn attempt(&self) -> Attempt<'_> {
        let replicas = self.found.get().map_or(&[][..], |found| &found.replicas);
        let others = self.others.iter().filter(|way| replicas.contains(&way.region));
        Ways::new(std::iter::once(&self.home).chain(others).collect(), &self.current).attempt()
    }

    fn refuse_unfit(&self, table: &TableDescription) -> Result<()> {
        let call = ApiCall::read("DescribeTable", &self.table, &self.home.region);
        let keys = table::keys(call, table)?;
        if keys.hash.name != KEY || keys.hash.kind != ScalarAttributeType::S || keys.range.is_some() {
            let message = format!("the table's primary key is not the text `{KEY}` alone");
            return Err(call
                .error(ErrorKind::InvalidInput, message)
                .with_advice("name a table of its own for the ledger: `witness.settings.table`"));
        }
        if table::is_eventual(table) {
            let message = "the table has replicas in other regions that are only eventually consistent: two regions \
                           could both win a compare-and-swap";
            return Err(call.error(ErrorKind::InvalidInput, message).with_advice(
                "name a table of one region, or one with multi-region strong consistency: `witness.settings.table`",
            ));
        }
        Ok(())
    }
}

/// What an error of the write means for the cell.
fn outcome(call: ApiCall<'_>, attempt: Attempt<'_>, version: &str, error: PutError) -> Result<StoreOutcome> {
    if let Some(PutItemError::ConditionalCheckFailedException(met)) = error.as_service_error() {
        attempt.answered();
        let own = met.item().is_some_and(|item| text(item, VERSION) == Some(version));
        return Ok(if own { applied(version) } else { StoreOutcome::Lost });
    }
    let error = call.failed(error);
    attempt.failed(&error);
    match error.effect() {
        Effect::None => Err(error),
        Effect::Unknown => Ok(StoreOutcome::Unknown { why: error.to_string() }),
    }
}

type PutError = aws_sdk_dynamodb::error::SdkError<PutItemError>;

#[async_trait]
impl CellStore for DynamoDbCells {
    fn durability(&self) -> CellDurability {
        let found = self.found.get();
        let replicas = found.map_or(&[][..], |found| &found.replicas);
        let regions = std::iter::once(&self.home.region).chain(replicas).map(Region::as_str);
        CellDurability {
            place: format!("DynamoDB table {} in {}", self.table, regions.collect::<Vec<_>>().join(" and ")),
            survives_region_loss: found.map(|found| !found.replicas.is_empty()),
        }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        self.verify().await?;
        let attempt = self.attempt();
        let Way { region, client } = attempt.way();
        let call = ApiCall::read("GetItem", name.as_str(), region);
        let request = client.get_item().table_name(&self.table).consistent_read(true);
        let answer = match request.key(KEY, AttributeValue::S(name.to_string())).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = call.failed(error);
                attempt.failed(&error);
                return Err(error);
            }
        };
        attempt.answered();
        let Some(item) = answer.item else { return Ok(None) };
        match (item.get(VALUE), text(&item, VERSION)) {
            (Some(AttributeValue::B(value)), Some(version)) => {
                Ok(Some(Cell { value: value.as_ref().to_vec(), version: CellVersion(version.to_owned()) }))
            }
            _ => {
                let message = format!("an item without `{VALUE}` and `{VERSION}` has this cell's name");
                Err(call.error(ErrorKind::Corrupt, message).with_advice(
                    "nothing but this library may write into the ledger's table: find out who did",
                ))
            }
        }
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        check_value(name, value)?;
        self.verify().await?;
        let attempt = self.attempt();
        let Way { region, client } = attempt.way();
        let call = ApiCall::change("PutItem", name.as_str(), region);
        let version = version_after(expected);
        let mut request = client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(name.to_string()))
            .item(VALUE, AttributeValue::B(Blob::new(value)))
            .item(VERSION, AttributeValue::S(version.clone()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        request = match expected {
            Expected::Absent => request
                .condition_expression("attribute_not_exists(#key)")
                .expression_attribute_names("#key", KEY),
            Expected::Version(CellVersion(before)) => request
                .condition_expression("#version = :before")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":before", AttributeValue::S(before.clone())),
        };
        match request.send().await {
            Ok(_) => {
                attempt.answered();
                Ok(applied(&version))
            }
            Err(error) => outcome(call, attempt, &version, error),
        }
    }
}

impl fmt::Debug for DynamoDbCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbCells")
            .field("table", &self.table)
            .field("region", &self.home.region)
            .finish()
    }
}

fn applied(version: &str) -> StoreOutcome {
    StoreOutcome::Applied { version: CellVersion(version.to_owned()) }
}

fn text<'a>(item: &'a HashMap<String, AttributeValue>, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A version that the cell never had: one higher than the expected one, and random for the case that the table was
/// set back.
fn version_after(expected: &Expected) -> String {
    let before = match expected {
        Expected::Absent => 0,
        Expected::Version(CellVersion(version)) => {
            version.split('-').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
        }
    };
    format!("{}-{:016x}", before.saturating_add(1), rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_grow_and_are_never_the_same_twice() {
        let first = version_after(&Expected::Absent);
        let second = version_after(&Expected::Version(CellVersion(first.clone())));
        assert!(first.starts_with("1-") && second.starts_with("2-"), "{first} {second}");
        assert_ne!(version_after(&Expected::Absent), first);
    }
}
