//! How far each region's stream has been read, as text.

use std::collections::BTreeMap;

use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::Cursor;
use serde::{Deserialize, Serialize};

/// The form of the text. A cursor of another one is refused, and whoever has it begins anew.
const FORM: u32 = 1;

/// How far the streams of a table have been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions(pub(super) BTreeMap<Region, Position>);

/// How far one region's stream has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Which stream: a table gets another one when its stream is enabled again.
    pub(super) stream: String,
    /// When it was read, in milliseconds since 1970: what is older than the stream's memory may have been missed.
    pub(super) at: i64,
    /// The shard to begin with: the last look had no time left for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begin: Option<String>,
    /// How far each shard has been read. One that is not named is read from its begin.
    pub(super) shards: BTreeMap<String, Place>,
}

/// How far one shard has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) enum Place {
    /// To its end: nothing is added any more.
    Done,
    /// As far as this.
    At {
        /// The number of the last record that was read; none if there was none yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        /// The service's own name of the place, good for 15 minutes. It may be far behind the last record: a shard has long
        /// stretches without any, which are read page after page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
}

impl Place {
    /// Before everything that the shard still holds.
    pub(super) const BEGIN: Self = Self::At { after: None, next: None };
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text<'a> {
    v: u32,
    table: std::borrow::Cow<'a, str>,
    regions: BTreeMap<Region, Position>,
}

impl Positions {
    /// Reads a cursor of this table.
    pub(super) fn parse(cursor: &Cursor, table: &str, regions: &[Region]) -> Result<Self, &'static str> {
        let text: Text<'_> =
            serde_json::from_str(&cursor.0).map_err(|_| "the cursor is not one of this store's")?;
        if text.v != FORM {
            return Err("the cursor is of another version");
        }
        if text.table != table || text.regions.keys().any(|region| !regions.contains(region)) {
            return Err("the cursor is of another table, or of other regions");
        }
        Ok(Self(text.regions))
    }

    /// The cursor that says this.
    pub(super) fn cursor(self, table: &str) -> Result<Cursor, String> {
        let text = Text { v: FORM, table: table.into(), regions: self.0 };
        serde_json::to_string(&text).map(Cursor).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions() -> [Region; 2] {
        ["us-east-1", "us-west-2"].map(|name| Region::new(name).unwrap())
    }

    fn positions() -> Positions {
        let [east, west] = regions();
        let read = Place::At { after: Some("12".to_owned()), next: Some("it".to_owned()) };
        let shards = [("a", Place::Done), ("b", read), ("c", Place::BEGIN)];
        let shards = shards.map(|(shard, place)| (shard.to_owned(), place)).into();
        let position = Position { stream: "2026".to_owned(), at: 5, begin: Some("c".to_owned()), shards };
        Positions([(east, position), (west, Position::default())].into())
    }

    #[test]
    fn a_cursor_says_the_same_when_it_comes_back() {
        let cursor = positions().cursor("t").unwrap();
        assert_eq!(Positions::parse(&cursor, "t", &regions()).unwrap(), positions());
        let text = r#"{"v":1,"table":"t","regions":{"us-east-1":{"stream":"2026","at":5,"begin":"c","shards":{"a":"done","b":{"at":{"after":"12","next":"it"}},"c":{"at":{}}}},"us-west-2":{"stream":"","at":0,"shards":{}}}}"#;
        assert_eq!(cursor.0, text);
    }

    #[test]
    fn a_cursor_of_something_else_is_refused() {
        let cursor = positions().cursor("t").unwrap();
        assert!(Positions::parse(&cursor, "other", &regions()).is_err());
        assert!(Positions::parse(&cursor, "t", &regions()[1..]).is_err());
        for text in ["", "3,4", "{}", &cursor.0.replace("\"v\":1", "\"v\":2"), &cursor.0.replace("done", "x")]
        {
            assert!(Positions::parse(&Cursor(text.to_owned()), "t", &regions()).is_err(), "{text}");
        }
    }
}
