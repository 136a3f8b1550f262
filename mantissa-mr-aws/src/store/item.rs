//! Items as bytes: DynamoDB JSON, keys as text, and a fingerprint that is the same for the same content.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use aws_smithy_types::base64;
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::store::{Item, Key, Version};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::table::{KeyAttribute, KeySchema};

/// The attribute that keeps the epoch under which an item was written: a number.
pub const EPOCH: &str = "mantissa_epoch";
/// The attribute that tells this library's writes apart.
pub(crate) const TOKEN: &str = "mantissa_version";

/// An item as the SDK has it.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// A fingerprint of an item's content.
pub(crate) type Fingerprint = [u8; 32];

/// One attribute as DynamoDB JSON: `{"S": "text"}`.
fn to_json(value: &AttributeValue) -> Result<Value, String> {
    let list = |values: &[AttributeValue]| values.iter().map(to_json).collect::<Result<Vec<_>, _>>();
    Ok(match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::B(bytes) => json!({"B": base64::encode(bytes.as_ref())}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        AttributeValue::Null(_) => json!({"NULL": true}),
        AttributeValue::L(values) => json!({"L": list(values)?}),
        AttributeValue::M(values) => json!({"M": object(values)?}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        AttributeValue::Ns(numbers) => json!({"NS": numbers}),
        AttributeValue::Bs(blobs) => {
            json!({"BS": blobs.iter().map(|blob| base64::encode(blob.as_ref())).collect::<Vec<_>>()})
        }
        _ => return Err("an attribute has a type that this version of the SDK does not know".to_owned()),
    })
}

fn object(values: &Attributes) -> Result<Map<String, Value>, String> {
    let sorted: BTreeMap<_, _> = values.iter().collect();
    sorted.into_iter().map(|(name, value)| Ok((name.clone(), to_json(value)?))).collect()
}

/// One attribute from DynamoDB JSON.
fn from_json(value: &Value) -> Result<AttributeValue, String> {
    let wrong = || format!("{} is not DynamoDB JSON, such as {{\"S\": \"text\"}}", brief(value));
    let mut entries = value.as_object().ok_or_else(wrong)?.iter();
    let (Some((kind, content)), None) = (entries.next(), entries.next()) else { return Err(wrong()) };
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    let bytes =
        |value: &Value| base64::decode(value.as_str().ok_or_else(wrong)?).map(Blob::new).map_err(|_| wrong());
    let array = || content.as_array().ok_or_else(wrong);
    Ok(match kind.as_str() {
        "S" => AttributeValue::S(text(content)?),
        "N" => AttributeValue::N(text(content)?),
        "B" => AttributeValue::B(bytes(content)?),
        "BOOL" => AttributeValue::Bool(content.as_bool().ok_or_else(wrong)?),
        "NULL" => AttributeValue::Null(true),
        "L" => AttributeValue::L(array()?.iter().map(from_json).collect::<Result<_, _>>()?),
        "M" => AttributeValue::M(attributes(content.as_object().ok_or_else(wrong)?)?),
        "SS" => AttributeValue::Ss(array()?.iter().map(text).collect::<Result<_, _>>()?),
        "NS" => AttributeValue::Ns(array()?.iter().map(text).collect::<Result<_, _>>()?),
        "BS" => AttributeValue::Bs(array()?.iter().map(bytes).collect::<Result<_, _>>()?),
        _ => return Err(wrong()),
    })
}

fn attributes(object: &Map<String, Value>) -> Result<Attributes, String> {
    object.iter().map(|(name, value)| Ok((name.clone(), from_json(value)?))).collect()
}

/// The kind of a value, never its content: that may be a secret.
fn brief(value: &Value) -> &'static str {
    match value {
        Value::Null => "a null",
        Value::Bool(_) => "a bare boolean",
        Value::Number(_) => "a bare number",
        Value::String(_) => "a bare text",
        Value::Array(_) => "a bare list",
        Value::Object(_) => "an object",
    }
}

/// The attributes of an item to write, from its value.
pub(crate) fn decode_value(value: &[u8], keys: &KeySchema) -> Result<Attributes, String> {
    let json: Value =
        serde_json::from_slice(value).map_err(|error| format!("the value is not JSON: {error}"))?;
    let object = json.as_object().ok_or("the value is not a JSON object of attributes")?;
    let own = [EPOCH, TOKEN];
    let taken = keys.attributes().map(|key| key.name.as_str()).chain(own);
    if let Some(name) = taken.into_iter().find(|name| object.contains_key(*name)) {
        return Err(format!("the value must not have the attribute `{name}`: it is kept beside it"));
    }
    attributes(object)
}

/// An item as read.
pub(crate) fn decode_item(mut attributes: Attributes, keys: &KeySchema) -> Result<Item, String> {
    let version = version(&attributes)?;
    let key = key_of(&attributes, keys)?;
    for part in keys.attributes() {
        attributes.remove(&part.name);
    }
    attributes.remove(TOKEN);
    let epoch = attributes.remove(EPOCH);
    let epoch = epoch.and_then(|epoch| epoch.as_n().ok()?.parse().ok()).map(Epoch);
    let value = serde_json::to_vec(&object(&attributes)?).map_err(|error| error.to_string())?;
    Ok(Item { key, value, epoch, version })
}

/// The key of an item as read.
pub(crate) fn key_of(attributes: &Attributes, keys: &KeySchema) -> Result<Key, String> {
    let part = |key: &KeyAttribute| match attributes.get(&key.name) {
        Some(AttributeValue::S(text) | AttributeValue::N(text)) => Ok(text.clone()),
        Some(AttributeValue::B(bytes)) => Ok(base64::encode(bytes.as_ref())),
        _ => Err(format!("an item lacks its key attribute `{}`", key.name)),
    };
    keys.attributes().map(part).collect::<Result<_, _>>().map(Key)
}

/// The key attributes for a key.
pub(crate) fn key_attributes(key: &Key, keys: &KeySchema) -> Result<Attributes, String> {
    let wanted = keys.attributes().count();
    if key.0.len() != wanted {
        let names: Vec<&str> = keys.attributes().map(|key| key.name.as_str()).collect();
        return Err(format!("a key of {} parts, but the table's key is ({})", key.0.len(), names.join(", ")));
    }
    keys.attributes()
        .zip(&key.0)
        .map(|(attribute, text)| {
            let value = match attribute.kind {
                ScalarAttributeType::N => AttributeValue::N(text.clone()),
                ScalarAttributeType::B => AttributeValue::B(Blob::new(
                    base64::decode(text).map_err(|_| format!("`{}` wants base64", attribute.name))?,
                )),
                _ => AttributeValue::S(text.clone()),
            };
            Ok((attribute.name.clone(), value))
        })
        .collect()
}

/// The state of an item: its fingerprint as text.
pub(crate) fn version(attributes: &Attributes) -> Result<Version, String> {
    let hex = fingerprint(attributes)?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Version(hex))
}

/// The same for the same content, however the service writes numbers and orders sets.
pub(crate) fn fingerprint(attributes: &Attributes) -> Result<Fingerprint, String> {
    let mut plain: BTreeMap<&String, Value> = BTreeMap::new();
    for (name, value) in attributes {
        let mut json = to_json(value)?;
        normalise(&mut json);
        plain.insert(name, json);
    }
    let bytes = serde_json::to_vec(&plain).map_err(|error| error.to_string())?;
    Ok(Sha256::digest(bytes).into())
}

/// Works on one attribute in DynamoDB JSON.
fn normalise(value: &mut Value) {
    let Some((kind, content)) = value.as_object_mut().and_then(|object| object.iter_mut().next()) else {
        return;
    };
    match (kind.as_str(), content) {
        ("N", Value::String(number)) => *number = plain_number(number),
        ("L", Value::Array(values)) => values.iter_mut().for_each(normalise),
        ("M", Value::Object(values)) => values.values_mut().for_each(normalise),
        ("NS", Value::Array(values)) => {
            for value in values.iter_mut() {
                if let Value::String(number) = value {
                    *number = plain_number(number);
                }
            }
            sort(values);
        }
        ("SS" | "BS", Value::Array(values)) => sort(values),
        _ => {}
    }
}

fn sort(values: &mut [Value]) {
    values.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
}

/// A number as digits and exponent: `1.50`, `01.5` and `15e-1` all become `15e-1`.
fn plain_number(text: &str) -> String {
    let text = text.trim();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let Ok(exponent) = exponent.trim_start_matches('+').parse::<i64>() else { return text.to_owned() };
    let negative = mantissa.starts_with('-');
    let (whole, fraction) = mantissa
        .trim_start_matches(['-', '+'])
        .split_once('.')
        .unwrap_or((mantissa.trim_start_matches(['-', '+']), ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        return "0".to_owned();
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let exponent = exponent.saturating_sub(count(fraction.len())).saturating_add(count(zeros));
    format!("{}{digits}e{exponent}", if negative { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(hash: ScalarAttributeType, range: Option<ScalarAttributeType>) -> KeySchema {
        let key = |name: &str, kind| KeyAttribute { name: name.to_owned(), kind };
        KeySchema { hash: key("pk", hash), range: range.map(|kind| key("sk", kind)) }
    }

    #[test]
    fn every_type_comes_back_as_it_went_in() {
        let json = r#"{"B":{"B":"AAH/"},"BOOL":{"BOOL":false},"BS":{"BS":["AA==","AQ=="]},"L":{"L":[{"N":"1"},{"M":{"x":{"S":"y"}}}]},"M":{"M":{}},"N":{"N":"-1.5"},"NS":{"NS":["1","2"]},"NULL":{"NULL":true},"S":{"S":"ü"},"SS":{"SS":["a","b"]}}"#;
        let keys = schema(ScalarAttributeType::S, None);
        let mut attributes = decode_value(json.as_bytes(), &keys).unwrap();
        attributes.insert("pk".to_owned(), AttributeValue::S("k".to_owned()));
        attributes.insert(EPOCH.to_owned(), AttributeValue::N("7".to_owned()));
        let item = decode_item(attributes, &keys).unwrap();
        assert_eq!(String::from_utf8(item.value).unwrap(), json);
        assert_eq!((item.key, item.epoch), (Key::new("k"), Some(Epoch(7))));
    }

    #[test]
    fn keys_of_any_schema_survive_the_way_through_text() {
        use ScalarAttributeType::{B, N, S};
        for (hash, range, parts) in
            [(S, None, vec!["a/b"]), (N, Some(S), vec!["12", "x"]), (B, Some(N), vec!["AAH/", "-3"])]
        {
            let keys = schema(hash, range);
            let key = Key(parts.into_iter().map(str::to_owned).collect());
            assert_eq!(key_of(&key_attributes(&key, &keys).unwrap(), &keys).unwrap(), key);
        }
    }

    #[test]
    fn a_key_that_does_not_fit_the_table_is_refused_before_anything_is_sent() {
        let keys = schema(ScalarAttributeType::S, Some(ScalarAttributeType::B));
        let short = key_attributes(&Key::new("a"), &keys).unwrap_err();
        assert_eq!(short, "a key of 1 parts, but the table's key is (pk, sk)");
        let bad = key_attributes(&Key(vec!["a".into(), "no base64!".into()]), &keys).unwrap_err();
        assert_eq!(bad, "`sk` wants base64");
    }

    #[test]
    fn a_value_is_refused_without_being_quoted() {
        let keys = schema(ScalarAttributeType::S, None);
        for (value, says) in [
            ("secret", "the value is not JSON"),
            ("[\"secret\"]", "the value is not a JSON object"),
            ("{\"a\": \"secret\"}", "a bare text is not DynamoDB JSON"),
            ("{\"a\": {\"S\": \"secret\", \"N\": \"1\"}}", "an object is not DynamoDB JSON"),
            ("{\"pk\": {\"S\": \"secret\"}}", "must not have the attribute `pk`"),
            ("{\"mantissa_epoch\": {\"N\": \"1\"}}", "must not have the attribute `mantissa_epoch`"),
        ] {
            let error = decode_value(value.as_bytes(), &keys).unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{value}: {error}");
        }
    }

    #[test]
    fn numbers_are_equal_however_the_service_writes_them() {
        for (text, plain) in [
            ("1.50", "15e-1"),
            ("01.5", "15e-1"),
            ("+15e-1", "15e-1"),
            ("-100", "-1e2"),
            ("1E+2", "1e2"),
            ("-0.000", "0"),
            ("0.001", "1e-3"),
        ] {
            assert_eq!(plain_number(text), plain, "{text}");
        }
    }

    #[test]
    fn the_fingerprint_sees_every_change_and_no_other() {
        let keys = schema(ScalarAttributeType::S, None);
        let print = |json: &str| fingerprint(&decode_value(json.as_bytes(), &keys).unwrap()).unwrap();
        let one = print(r#"{"s":{"SS":["a","b"]},"n":{"N":"1.0"}}"#);
        assert_eq!(one, print(r#"{"n":{"N":"1"},"s":{"SS":["b","a"]}}"#));
        assert_ne!(one, print(r#"{"n":{"S":"1"},"s":{"SS":["b","a"]}}"#));
        assert_ne!(one, print(r#"{"n":{"N":"1"},"s":{"SS":["b","a"]},"x":{"NULL":true}}"#));
        assert_ne!(
            print(r#"{"l":{"L":[{"N":"1"},{"N":"2"}]}}"#),
            print(r#"{"l":{"L":[{"N":"2"},{"N":"1"}]}}"#)
        );
    }
}
