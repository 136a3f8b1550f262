//! The ledger's cells in a DynamoDB table; in an S3 bucket: [`s3`].
//!
//! One item per cell: `pk` (its name), `value`, and `version`, a number that grows with every write followed by random
//! digits. A write is one conditional `PutItem`, sent once. Where the answer is a failed condition, the service returns
//! the item that it met: should that bear this write's own version (something between here and there sent the request
//! twice), then the write was applied and is called so.
//!
//! The table must be of one region. A Global Table is refused: by default it is eventually consistent, and a condition
//! is evaluated against the local replica, so two regions can both win
//! ([AWS: how global tables work](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html)).
//! One with multi-region strong consistency is accepted; it is reached through the witness's region only.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableDescription,
};
use mantissa_mr_core::cell::{
    Cell, CellDurability, CellName, CellStore, CellVersion, Expected, StoreOutcome, check_value,
};
use mantissa_mr_core::error::{Effect, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use tokio::sync::OnceCell;

use crate::error::ApiCall;
use crate::table;

pub mod s3;

const KEY: &str = "pk";
const VALUE: &str = "value";
const VERSION: &str = "version";

/// Cells in a DynamoDB table of one region.
pub struct DynamoDbCells {
    client: Client,
    region: Region,
    table: String,
    verified: OnceCell<()>,
}

impl DynamoDbCells {
    /// The client must send each request once.
    pub(crate) fn new(client: Client, region: Region, table: String) -> Self {
        Self { client, region, table, verified: OnceCell::new() }
    }

    /// Creates the table if it is not there: on demand, protected against deletion. Returns what was done, or would be.
    ///
    /// # Errors
    /// `InvalidInput` for a table that cannot hold cells: another primary key, or replicas that are only eventually
    /// consistent.
    pub async fn init(&self, dry_run: bool) -> Result<Vec<String>> {
        if let Some(table) = table::describe(&self.client, &self.region, &self.table).await? {
            self.refuse_unfit(&table)?;
            return Ok(Vec::new());
        }
        let done = format!("create the DynamoDB table {} in {} for the ledger", self.table, self.region);
        if !dry_run {
            self.create().await?;
            let table = table::settled(&self.client, &self.region, &self.table).await?;
            self.refuse_unfit(&table)?;
        }
        Ok(vec![done])
    }

    async fn create(&self) -> Result<()> {
        let call = ApiCall::change("CreateTable", &self.table, &self.region);
        let built = |error| call.error(ErrorKind::InvalidInput, format!("{error}"));
        let key = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build();
        let kind =
            AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S).build();
        let sent = self
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
        let verified = self.verified.get_or_try_init(|| async {
            let call = ApiCall::read("DescribeTable", &self.table, &self.region);
            match table::describe(&self.client, &self.region, &self.table).await? {
                Some(table) => self.refuse_unfit(&table),
                None => Err(call
                    .error(ErrorKind::NotFound, "the ledger's table is not there")
                    .with_advice("create it with `init`")),
            }
        });
        verified.await.copied()
    }

    fn refuse_unfit(&self, table: &TableDescription) -> Result<()> {
        let call = ApiCall::read("DescribeTable", &self.table, &self.region);
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

    /// What an error of the write means for the cell.
    fn outcome(&self, call: ApiCall<'_>, version: &str, error: PutError) -> Result<StoreOutcome> {
        if let Some(PutItemError::ConditionalCheckFailedException(met)) = error.as_service_error() {
            let own = met.item().is_some_and(|item| text(item, VERSION) == Some(version));
            return Ok(if own { applied(version) } else { StoreOutcome::Lost });
        }
        let error = call.failed(error);
        match error.effect() {
            Effect::None => Err(error),
            Effect::Unknown => Ok(StoreOutcome::Unknown { why: error.to_string() }),
        }
    }
}

type PutError = aws_sdk_dynamodb::error::SdkError<PutItemError>;

#[async_trait]
impl CellStore for DynamoDbCells {
    fn durability(&self) -> CellDurability {
        CellDurability {
            place: format!("DynamoDB table {} in {}", self.table, self.region),
            // Even a table that is in several regions is reached through one of them.
            survives_region_loss: false,
        }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        self.verify().await?;
        let call = ApiCall::read("GetItem", name.as_str(), &self.region);
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.key(KEY, AttributeValue::S(name.to_string())).send().await;
        let Some(item) = answer.map_err(|error| call.failed(error))?.item else { return Ok(None) };
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
        let call = ApiCall::change("PutItem", name.as_str(), &self.region);
        check_value(name, value)?;
        self.verify().await?;
        let version = version_after(expected);
        let mut request = self
            .client
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
            Ok(_) => Ok(applied(&version)),
            Err(error) => self.outcome(call, &version, error),
        }
    }
}

impl fmt::Debug for DynamoDbCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbCells").field("table", &self.table).field("region", &self.region).finish()
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
