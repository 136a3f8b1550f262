//! What a cell's object holds, and what a state of it is called.

use mantissa_mr_core::cell::{CellName, CellVersion, MAX_VALUE};

/// What the first line begins with: what it is, and the version of this format.
const MAGIC: &str = "mantissa-mr-cell 1";

/// No object of a cell is longer than this, in bytes: the value and a line.
pub(super) const LONGEST: usize = MAX_VALUE + 2048;

/// The content: a line that says what it is, the stamp and the cell's name, and the value.
pub(super) fn encode(name: &CellName, stamp: &str, value: &[u8]) -> Vec<u8> {
    let mut content = format!("{MAGIC} {stamp} {name}\n").into_bytes();
    content.extend_from_slice(value);
    content
}

/// The stamp and the value.
pub(super) fn decode(name: &CellName, content: &[u8]) -> Result<(String, Vec<u8>), String> {
    let foreign = || "the object is not what this library writes".to_owned();
    let end = content.iter().position(|byte| *byte == b'\n').ok_or_else(foreign)?;
    let (line, value) = content.split_at(end);
    let line = std::str::from_utf8(line).map_err(|_| foreign())?;
    let rest = line.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' ')).ok_or_else(foreign)?;
    let (stamp, written) = rest.split_once(' ').ok_or_else(foreign)?;
    if !is_stamp(stamp) {
        return Err(foreign());
    }
    if written != name.as_str() {
        return Err(format!("the object is a copy of the cell {written}"));
    }
    Ok((stamp.to_owned(), value.get(1..).unwrap_or_default().to_vec()))
}

/// A number, a hyphen, and 16 hexadecimal digits.
fn is_stamp(text: &str) -> bool {
    text.split_once('-').is_some_and(|(number, random)| {
        number.parse::<u64>().is_ok()
            && random.len() == 16
            && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// A state of a cell: the stamp of the write that made it, and the ETag that S3 compares. As a version:
/// `7-0123456789abcdef.<etag>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    stamp: String,
    etag: String,
}

impl State {
    /// None for what no object of S3 has for an ETag; with or without quotes.
    pub(super) fn new(stamp: &str, etag: &str) -> Option<Self> {
        let etag = etag.trim_matches('"');
        let sound = !etag.is_empty() && etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (sound && is_stamp(stamp)).then(|| Self { stamp: stamp.to_owned(), etag: etag.to_owned() })
    }

    /// None for what is no version of these cells.
    pub(super) fn parse(version: &CellVersion) -> Option<Self> {
        let (stamp, etag) = version.0.split_once('.')?;
        if etag.contains('"') { None } else { Self::new(stamp, etag) }
    }

    pub(super) fn version(&self) -> CellVersion {
        CellVersion(format!("{}.{}", self.stamp, self.etag))
    }

    pub(super) fn stamp(&self) -> &str {
        &self.stamp
    }

    /// Without quotes.
    pub(super) fn etag(&self) -> &str {
        &self.etag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::version_after;
    use mantissa_mr_core::cell::Expected;

    fn cell(name: &str) -> CellName {
        CellName::try_from(name).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let stamp = version_after(&Expected::Absent);
        for value in [&b""[..], b"\n", b"one\ntwo\n", b"\xff\x00"] {
            let content = encode(&cell("a/b"), &stamp, value);
            assert_eq!(decode(&cell("a/b"), &content), Ok((stamp.clone(), value.to_vec())));
            assert!(decode(&cell("a/c"), &content).unwrap_err().contains("a copy of the cell a/b"));
        }
        let foreign =
            ["", "\n", "{}", "mantissa-mr-cell 1 7-x a/b\n", "mantissa-mr-cell 2 1-0123456789abcdef a/b\nx"];
        for foreign in foreign {
            assert!(decode(&cell("a/b"), foreign.as_bytes()).is_err(), "{foreign:?}");
        }
    }

    /// Protects against a swap there and back that passes for no change: the ETag is the content's.
    #[test]
    fn the_same_value_is_never_the_same_content() {
        let write = || encode(&cell("a"), &version_after(&Expected::Absent), b"same");
        assert_ne!(write(), write());
    }

    /// Protects against `If-Match: *`, which fits whatever is there.
    #[test]
    fn only_own_versions_are_states() {
        let state = State::new("7-0123456789abcdef", "\"d41d8cd9\"").unwrap();
        assert_eq!(state.version(), CellVersion("7-0123456789abcdef.d41d8cd9".to_owned()));
        assert_eq!(State::parse(&state.version()), Some(state));
        for made_up in
            ["", "*", "7-0123456789abcdef", "7-0123456789abcdef.", "7-0123456789abcdef.*", "7.d41d", "x"]
        {
            assert_eq!(State::parse(&CellVersion(made_up.to_owned())), None, "{made_up}");
        }
    }
}
