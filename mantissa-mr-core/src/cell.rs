//! Named compare-and-swap registers: what the ledger, the journal and the vantages' votes are kept in.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

pub mod file;
pub mod memory;

pub use file::FileCells;
pub use memory::MemoryCells;

/// The longest value, in bytes, that every implementation takes. The smallest limit of the clouds' storages is
/// DynamoDB's 400 KB for an item, names included.
pub const MAX_VALUE: usize = 256 * 1024;

/// Refuses a value that is longer than [`MAX_VALUE`]; for implementations, before they send it.
///
/// # Errors
/// `InvalidInput`; nothing was sent.
pub fn check_value(name: &CellName, value: &[u8]) -> Result<()> {
    if value.len() <= MAX_VALUE {
        return Ok(());
    }
    let message = format!("a cell holds at most {MAX_VALUE} bytes, this value has {}", value.len());
    Err(Error::new(ErrorKind::InvalidInput, "store a cell", message).on(name))
}

/// Named registers with compare-and-swap.
///
/// # To ensure correctness
/// - [`load`](Self::load) is linearizable: it returns the newest value that any [`store`](Self::store) was answered
///   [`Applied`](StoreOutcome::Applied) for before the load began. An eventually consistent replica is no cell.
/// - [`store`](Self::store) applies if and only if the cell is in the expected state, as one atomic step, and the
///   version that it leaves behind was never the cell's before.
/// - [`StoreOutcome::Applied`] means durable. [`StoreOutcome::Lost`] means that this store has not been applied and
///   never will be. Everything else is [`StoreOutcome::Unknown`]: it may have been, or may yet. In particular an
///   implementation that sends a request twice must not call it lost because the second attempt met the first.
#[async_trait]
pub trait CellStore: fmt::Debug + Send + Sync + 'static {
    /// Where these cells are and what they survive, as far as that is known yet: nothing is sent to find it out.
    fn durability(&self) -> CellDurability;

    /// Reads a cell; `None` if it was never stored.
    ///
    /// # Errors
    /// `Corrupt` for content that this library did not write; never `None` for a cell that cannot be read.
    async fn load(&self, name: &CellName) -> Result<Option<Cell>>;

    /// Writes a cell if it is in the expected state.
    ///
    /// # Errors
    /// Only for a request that certainly was not and will not be applied, such as one that the credentials forbid, or a
    /// value longer than [`MAX_VALUE`] (`InvalidInput`).
    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome>;
}

/// Where cells are and what they survive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CellDurability {
    /// In words: `DynamoDB table mantissa-mr in us-east-2`.
    pub place: String,
    /// Whether they answer on when any one region is lost. Unknown (`None`) is not yes: it is for cells that find it out
    /// when they are first used.
    pub survives_region_loss: Option<bool>,
}

/// The name of a cell: parts of `A-Z a-z 0-9 . _ -` joined by `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CellName(String);

impl CellName {
    /// Joins names and numbers, which are safe already.
    pub(crate) fn from_parts(parts: &[&str]) -> Self {
        Self(parts.join("/"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for CellName {
    type Error = crate::name::InvalidName;
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        for part in text.split('/') {
            crate::name::ResourceName::new(part)?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a store calls one state of a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CellVersion(pub String);

/// A cell as read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What was stored.
    pub value: Vec<u8>,
    /// Its state.
    pub version: CellVersion,
}

/// The state that a cell must be in for a store to apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Expected {
    /// Never stored.
    Absent,
    /// In this state.
    Version(CellVersion),
}

impl Expected {
    /// The state of a cell as read.
    pub fn of(cell: Option<&Cell>) -> Self {
        cell.map_or(Self::Absent, |cell| Self::Version(cell.version.clone()))
    }

    /// Whether a cell in this state (`None`: never stored) is in the expected one.
    pub fn holds(&self, current: Option<&CellVersion>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Version(version) => current == Some(version),
        }
    }
}

/// What became of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreOutcome {
    /// It is in force, and durable.
    Applied {
        /// The cell's new state.
        version: CellVersion,
    },
    /// The cell was in another state: not applied, and never will be.
    Lost,
    /// No answer that says so: it may have been applied, or may yet be.
    Unknown {
        /// What is known of why.
        why: String,
    },
}
