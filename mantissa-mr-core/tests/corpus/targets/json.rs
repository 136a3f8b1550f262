//! What holds of every record that is kept as JSON.

use mantissa_mr_core::error::{Error, ErrorKind};
use serde_json::Value;

/// No refusal is longer, in characters: it is logged, sent to people, and kept in the journal.
const LONGEST: usize = 1_200;

/// A refusal is of one of these kinds, and says why in one line of a length that can be read.
pub(crate) fn refused(error: &Error, kinds: &[ErrorKind]) {
    assert!(kinds.contains(&error.kind()), "{error}");
    readable(&error.to_string());
}

/// One line, printable, of a length that can be read.
pub(crate) fn readable(said: &str) {
    assert!(!said.is_empty());
    assert!(!said.contains(char::is_control), "{said:?}");
    let length = said.chars().count();
    assert!(length <= LONGEST, "{length} characters: {said:.200}");
}

/// What was read was read whole: written again it has every key and every element that it had.
pub(crate) fn kept_whole(read: &[u8], written: &[u8]) {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("what was decoded is JSON");
    if let Some(gone) = gone(&parse(read), &parse(written), "") {
        panic!("{gone} was passed over in silence: {}", String::from_utf8_lossy(read));
    }
}

fn gone(before: &Value, after: &Value, path: &str) -> Option<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match after.get(key) {
                Some(after) => gone(value, after, &path),
                None => Some(path),
            }
        }),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            let mut pairs = before.iter().zip(after).enumerate();
            pairs.find_map(|(index, (before, after))| gone(before, after, &format!("{path}[{index}]")))
        }
        // Serde takes a list for an object, field by field: nothing is lost.
        (Value::Array(before), Value::Object(after)) if before.len() == after.len() => None,
        (Value::Object(_) | Value::Array(_), _) => Some(path.to_owned()),
        _ => None,
    }
}
