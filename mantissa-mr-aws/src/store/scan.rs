//! Reads a table page by page, as a whole or in parts.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use mantissa_mr_core::error::Result;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::Item;

use super::item::{self, Attributes};
use super::{GlobalTable, canary, understood};
use crate::error::ApiCall;

/// A part of a scan, and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Which part of how many; none for the whole table.
    part: Option<(i32, i32)>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Begin,
    After(Attributes),
    Done,
}

impl Segment {
    /// The whole table as one part.
    pub(super) fn whole() -> Self {
        Self { part: None, state: State::Begin }
    }

    /// The table in so many parts.
    pub(super) fn parts(count: i32) -> Vec<Self> {
        (0..count).map(|part| Self { part: Some((part, count)), state: State::Begin }).collect()
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub(super) fn is_same_part(&self, other: &Self) -> bool {
        self.part == other.part
    }

    #[cfg(test)]
    pub(super) fn finished(self) -> Self {
        Self { state: State::Done, ..self }
    }

    fn after(&self, last: Option<Attributes>) -> Self {
        let state = last.filter(|key| !key.is_empty()).map_or(State::Done, State::After);
        Self { part: self.part, state }
    }
}

impl GlobalTable {
    /// Reads one page, strongly consistent, and says where the next one begins.
    pub(super) async fn scan(
        &self,
        region: &Region,
        segment: &Segment,
        prefix: Option<(&str, &str)>,
    ) -> Result<(Vec<Attributes>, Segment)> {
        let call = ApiCall::read("Scan", &self.table, region);
        let mut request =
            self.clients(region)?.dynamodb_reads.scan().table_name(&self.table).consistent_read(true);
        if let Some((part, count)) = segment.part {
            request = request.segment(part).total_segments(count);
        }
        if let State::After(last) = &segment.state {
            request = request.set_exclusive_start_key(Some(last.clone()));
        }
        if let Some((attribute, prefix)) = prefix {
            let value = HashMap::from([(":prefix".to_owned(), AttributeValue::S(prefix.to_owned()))]);
            request = request
                .filter_expression("begins_with(#key, :prefix)")
                .expression_attribute_names("#key", attribute)
                .set_expression_attribute_values(Some(value));
        }
        let answer = request.send().await.map_err(|error| call.failed(error))?;
        Ok((answer.items.unwrap_or_default(), segment.after(answer.last_evaluated_key)))
    }

    /// The items of one page whose partition key begins with the prefix, and where the next page begins.
    pub(super) async fn page(
        &self,
        region: &Region,
        segment: &Segment,
        prefix: &str,
    ) -> Result<(Vec<Item>, Segment)> {
        let call = ApiCall::read("Scan", &self.table, region);
        let keys = self.keys(region).await?;
        // The service compares texts; a number or bytes are compared here, by their text.
        let text = keys.hash.kind == ScalarAttributeType::S && !prefix.is_empty();
        let filter = text.then_some((keys.hash.name.as_str(), prefix));
        let (attributes, rest) = self.scan(region, segment, filter).await?;
        let mut items = Vec::new();
        for attributes in attributes {
            let item = understood(call, item::decode_item(attributes, keys))?;
            if item.key.first().starts_with(prefix) && !canary::is_canary(&item.key) {
                items.push(item);
            }
        }
        Ok((items, rest))
    }
}
