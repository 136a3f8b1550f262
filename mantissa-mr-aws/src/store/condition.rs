//! Preconditions as the service evaluates them.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use mantissa_mr_core::error::{Error, ErrorKind};

use super::item::{Attributes, TOKEN};
use crate::error::ApiCall;
use crate::table::KeySchema;

/// The most attributes that one condition compares: an expression has at most 300 operators and 4 kB
/// ([quotas](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html)).
pub const ATTRIBUTES_MAX: usize = 140;

/// A condition expression with its names and values.
#[derive(Debug, PartialEq)]
pub(super) struct Condition {
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Condition {
    /// The item is not there.
    pub(super) fn absent(keys: &KeySchema) -> Self {
        Self {
            expression: "attribute_not_exists(#k)".to_owned(),
            names: HashMap::from([("#k".to_owned(), keys.hash.name.clone())]),
            values: HashMap::new(),
        }
    }

    /// The item is there, and every attribute is as it was read.
    pub(super) fn unchanged(item: &Attributes, keys: &KeySchema) -> Result<Self, String> {
        if item.len() > ATTRIBUTES_MAX {
            return Err(format!(
                "an item of {} attributes cannot be written with a version: the service compares at most \
                 {ATTRIBUTES_MAX} at once",
                item.len()
            ));
        }
        let mut condition = Self {
            expression: "attribute_exists(#k)".to_owned(),
            names: HashMap::from([("#k".to_owned(), keys.hash.name.clone())]),
            values: HashMap::new(),
        };
        if !item.contains_key(TOKEN) {
            condition.expression.push_str(" AND attribute_not_exists(#t)");
            condition.names.insert("#t".to_owned(), TOKEN.to_owned());
        }
        let compared = item.iter().filter(|(name, _)| keys.attributes().all(|key| key.name != **name));
        for (index, (name, value)) in compared.enumerate() {
            condition.expression.push_str(&format!(" AND #{index}=:{index}"));
            condition.names.insert(format!("#{index}"), name.clone());
            condition.values.insert(format!(":{index}"), value.clone());
        }
        Ok(condition)
    }

    fn values(values: HashMap<String, AttributeValue>) -> Option<HashMap<String, AttributeValue>> {
        // The service refuses an empty map.
        (!values.is_empty()).then_some(values)
    }

    /// A put under this condition.
    pub(super) fn put(self, request: PutItemFluentBuilder) -> PutItemFluentBuilder {
        request
            .condition_expression(self.expression)
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(Self::values(self.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// A delete under this condition.
    pub(super) fn delete(self, request: DeleteItemFluentBuilder) -> DeleteItemFluentBuilder {
        request
            .condition_expression(self.expression)
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(Self::values(self.values))
    }
}

/// Whether a condition failed because this very write had been applied already: something on the way sent it twice.
pub(super) fn met_itself(error: &SdkError<PutItemError>, token: &str) -> bool {
    let Some(PutItemError::ConditionalCheckFailedException(met)) = error.as_service_error() else {
        return false;
    };
    met.item().and_then(|item| item.get(TOKEN)?.as_s().ok()).is_some_and(|found| found == token)
}

/// A condition that failed is a conflict that says what to do.
pub(super) fn failed_condition<E>(call: ApiCall<'_>, error: SdkError<E>) -> Error
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if crate::error::code(&error) == Some("ConditionalCheckFailedException") {
        return conflict(call, "the item is not in the state that the write asks for");
    }
    call.failed(error)
}

pub(super) fn conflict(call: ApiCall<'_>, why: &str) -> Error {
    call.error(ErrorKind::Conflict, why).with_advice("read the item again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::KeyAttribute;
    use aws_sdk_dynamodb::types::ScalarAttributeType;

    fn keys() -> KeySchema {
        KeySchema { hash: KeyAttribute { name: "pk".to_owned(), kind: ScalarAttributeType::S }, range: None }
    }

    fn item(attributes: usize) -> Attributes {
        (0..attributes).map(|index| (format!("a{index}"), AttributeValue::Bool(true))).collect()
    }

    #[test]
    fn a_condition_stays_within_what_the_service_takes() {
        let condition = Condition::unchanged(&item(ATTRIBUTES_MAX), &keys()).unwrap();
        let operators = condition.expression.matches(['=', 'A']).count();
        assert!(condition.expression.len() <= 4096 && operators <= 300, "{}", condition.expression.len());
        assert!(Condition::unchanged(&item(ATTRIBUTES_MAX + 1), &keys()).is_err());
    }

    #[test]
    fn keys_are_not_compared_and_a_foreign_item_must_stay_foreign() {
        let mut item = item(1);
        item.insert("pk".to_owned(), AttributeValue::S("k".to_owned()));
        let condition = Condition::unchanged(&item, &keys()).unwrap();
        let wanted = "attribute_exists(#k) AND attribute_not_exists(#t) AND #0=:0";
        assert_eq!(condition.expression, wanted);
        assert_eq!(condition.names.get("#0").map(String::as_str), Some("a0"));
    }
}
