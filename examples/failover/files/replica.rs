//! One region's replica of a store: a log for each region that changes were made in, and the items that follow from
//! them.
//!
//! A log is a prefix of the log of the region that it is named after, so its length says exactly what is there. Items
//! are derived: whoever was killed between a line of a log and its item is caught up with by the next access.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use mantissa_mr_core::store::Key;
use serde::{Deserialize, Serialize};

use super::disk;

/// The longest name of an item's file; file systems take 255 bytes.
const LONGEST: usize = 200;

/// What a replica knows beside its logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct State {
    /// Since when it takes writes, if it does.
    pub(super) writer: Option<Promoted>,
    /// The epoch under which its writers are kept out.
    pub(super) fence: Option<Epoch>,
    /// How much of each log has become items.
    applied: BTreeMap<Region, usize>,
    /// What it saw of each other replica when both were up for the last time.
    pub(super) seen: BTreeMap<Region, Seen>,
}

/// A promotion; of two, the greater one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Promoted {
    pub(super) epoch: Epoch,
    pub(super) at: Timestamp,
}

/// What one replica saw of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) writer: Option<Promoted>,
    /// Changes of the other one that had not arrived here, and when the oldest of them was made.
    pub(super) missing: u64,
    pub(super) oldest: Option<Timestamp>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Change {
    pub(super) number: usize,
    pub(super) at: Timestamp,
    pub(super) epoch: Option<Epoch>,
    pub(super) key: Key,
    /// None: it was deleted.
    pub(super) value: Option<Content>,
}

/// The file of an item: the last change of it, and where that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Stored {
    pub(super) origin: Region,
    pub(super) change: Change,
}

/// Bytes, as text where they are one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }
}

impl From<Content> for Vec<u8> {
    fn from(content: Content) -> Self {
        match content {
            Content::Text(text) => text.into_bytes(),
            Content::Bytes(bytes) => bytes,
        }
    }
}

/// Which of two changes of one item is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The later one.
    ByTime,
    /// The one of the later epoch, then the later one: what an older epoch wrote arrives too late.
    ByEpoch,
}

/// One region's replica, read under the world's lock.
#[derive(Debug)]
pub(super) struct Replica {
    folder: PathBuf,
    pub(super) state: State,
    saved: State,
    logs: BTreeMap<Region, Vec<Change>>,
}

impl Replica {
    /// Reads a replica; none if there is none in this folder.
    pub(super) fn load(folder: PathBuf) -> Result<Option<Self>> {
        let Some(state) = disk::read_json::<State>(&folder.join("replica.json"))? else { return Ok(None) };
        let mut logs = BTreeMap::new();
        for name in disk::names(&folder.join("logs"))? {
            let Some(origin) = name.strip_suffix(".jsonl").and_then(|name| Region::new(name).ok()) else {
                continue;
            };
            logs.insert(origin, read_log(&folder.join("logs").join(&name))?);
        }
        Ok(Some(Self { folder, saved: state.clone(), state, logs }))
    }

    /// Makes an empty replica.
    pub(super) fn create(folder: &Path, writer: Option<Promoted>) -> Result<()> {
        for part in ["logs", "items", "set-aside"] {
            disk::make_folder(&folder.join(part))?;
        }
        disk::replace_json(&folder.join("replica.json"), &State { writer, ..State::default() })
    }

    /// How many changes made in a region are here.
    pub(super) fn holds(&self, origin: &Region) -> usize {
        self.logs.get(origin).map_or(0, Vec::len)
    }

    /// The regions whose changes are here.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Region> {
        self.logs.keys()
    }

    /// When the newest change here was made.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.logs.values().filter_map(|log| log.last()).map(|change| change.at).max()
    }

    /// The changes of another replica that are not here.
    pub(super) fn missing_of<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Region, &'a [Change])> {
        let after = |(origin, log): (&'a Region, &'a Vec<Change>)| {
            (origin, log.get(self.holds(origin)..).unwrap_or(&[]))
        };
        other.logs.iter().map(after).filter(|(_, changes)| !changes.is_empty())
    }

    /// Takes in what another replica holds and was made before a time, each log in its order.
    pub(super) fn follow(&mut self, other: &Self, before: Timestamp) -> Result<()> {
        let due = |(origin, changes): (&Region, &[Change])| {
            let due = changes.iter().take_while(|change| change.at <= before).cloned().collect();
            (origin.clone(), due)
        };
        let arrived: Vec<(Region, Vec<Change>)> = self.missing_of(other).map(due).collect();
        arrived.into_iter().try_for_each(|(origin, changes)| self.append(&origin, changes))
    }

    /// Writes changes to the end of a log. From then on they are here.
    pub(super) fn append(&mut self, origin: &Region, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let encode = |change: &Change| {
            serde_json::to_vec(change)
                .map_err(|error| Error::new(ErrorKind::Unexpected, "append to a log", error.to_string()))
        };
        let lines = changes.iter().map(encode).collect::<Result<Vec<_>>>()?;
        disk::append(&self.folder.join("logs").join(format!("{origin}.jsonl")), &lines)?;
        self.logs.entry(origin.clone()).or_default().extend(changes);
        Ok(())
    }

    /// Brings the items up to the logs, and saves what is known.
    pub(super) fn settle(&mut self, order: Order) -> Result<()> {
        for (origin, log) in &self.logs {
            let applied = self.state.applied.entry(origin.clone()).or_default();
            for change in log.get(*applied..).unwrap_or(&[]) {
                apply(&self.folder, order, Stored { origin: origin.clone(), change: change.clone() })?;
            }
            *applied = log.len();
        }
        if self.state != self.saved {
            disk::replace_json(&self.folder.join("replica.json"), &self.state)?;
            self.saved = self.state.clone();
        }
        Ok(())
    }

    /// The last change of an item, which may be that it was deleted.
    pub(super) fn item(&self, key: &Key) -> Result<Option<Stored>> {
        disk::read_json(&self.folder.join("items").join(file_name(key)?))
    }

    /// All items that are there, in the order of their files' names.
    pub(super) fn items(&self) -> Result<Vec<Stored>> {
        let folder = self.folder.join("items");
        let mut items = Vec::new();
        for name in disk::names(&folder)?.iter().filter(|name| !name.ends_with(".next")) {
            items.extend(disk::read_json::<Stored>(&folder.join(name))?);
        }
        items.retain(|stored| stored.change.value.is_some());
        Ok(items)
    }
}

fn read_log(path: &Path) -> Result<Vec<Change>> {
    let mut changes: Vec<Change> = Vec::new();
    for line in disk::lines(path)? {
        let change: Change = disk::parse(path, &line)?;
        if change.number != changes.len() {
            let message = format!("line {} says that it is change {}", changes.len(), change.number);
            return Err(Error::new(ErrorKind::Corrupt, "read a log", message).on(path.display()));
        }
        changes.push(change);
    }
    Ok(changes)
}

/// Makes a change the item's, unless a later one is. What an older epoch wrote and a newer one has overwritten is set
/// aside for a person to look at, not dropped.
fn apply(folder: &Path, order: Order, new: Stored) -> Result<()> {
    let name = file_name(&new.change.key)?;
    let path = folder.join("items").join(&name);
    let Some(old) = disk::read_json::<Stored>(&path)? else { return disk::replace_json(&path, &new) };
    let rank = |stored: &Stored| {
        let epoch = stored.change.epoch.filter(|_| order == Order::ByEpoch);
        (epoch, stored.change.at, stored.origin.clone(), stored.change.number)
    };
    if rank(&new) > rank(&old) {
        return disk::replace_json(&path, &new);
    }
    if order == Order::ByEpoch && new.change.epoch < old.change.epoch {
        let name = format!("{}-{}.json", new.origin, new.change.number);
        return disk::replace_json(&folder.join("set-aside").join(name), &new);
    }
    Ok(())
}

/// The name of an item's file: the parts of its key joined by `+`, everything unusual written as `%` and two digits.
pub(super) fn file_name(key: &Key) -> Result<String> {
    let mut name = String::new();
    for (index, part) in key.0.iter().enumerate() {
        if index > 0 {
            name.push('+');
        }
        for byte in part.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
                _ => write!(name, "%{byte:02x}")
                    .map_err(|error| Error::new(ErrorKind::Unexpected, "name an item", error.to_string()))?,
            }
        }
    }
    if name.is_empty() || name.len() > LONGEST {
        let message = format!("a key of this store has 1 to {LONGEST} plain characters");
        return Err(Error::new(ErrorKind::InvalidInput, "name an item", message).on(key));
    }
    Ok(name)
}
