//! One replicated data set: a table, a bucket, an account.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::deployment::friendly;
use crate::error::Result;
use crate::ledger::Epoch;
use crate::name::{ExecutionId, Region};

/// One replicated data set.
///
/// # Contract
/// - Every method names the region that it speaks to and speaks to no other, except where it says so.
/// - What the store cannot do is an [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) that says so, and
///   [`capabilities`](Self::capabilities) says it beforehand.
/// - Every call is idempotent: repeated after an unknown outcome, it changes nothing more.
/// - Cancel safety: dropping a future may leave its request under way; observe before acting again.
#[async_trait]
pub trait ReplicatedStore: fmt::Debug + Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> StoreCapabilities;

    /// Reads one item, with the strongest consistency that the region offers by itself.
    async fn get(&self, region: &Region, key: &Key) -> Result<Option<Item>>;

    /// Writes one item. The epoch is kept with it where the store can; a store that says [`LateWrites::Refused`] refuses
    /// one that is lower than the item's.
    ///
    /// # Errors
    /// `Conflict` if the precondition does not hold, `Superseded` for an older epoch; neither changed anything.
    async fn put(&self, region: &Region, item: PutItem, condition: Precondition) -> Result<Version>;

    /// Deletes one item; deleting what is not there is no error without a precondition.
    async fn delete(
        &self,
        region: &Region,
        key: &Key,
        epoch: Option<Epoch>,
        condition: Precondition,
    ) -> Result<()>;

    /// All items whose key starts with the prefix, in the order of the keys where the store has one, page after page.
    fn list<'a>(&'a self, region: &Region, prefix: &str) -> BoxStream<'a, Result<Item>>;

    /// How the replicas are, as far as it can be known now. A region that does not answer is
    /// [`Role::Unreachable`] in the status, not an error.
    async fn status(&self) -> Result<StoreStatus>;

    /// Sets replication up as the deployment says (step 5 of the guide) and returns what was changed, or would be.
    async fn ensure_replicated(&self, dry_run: bool) -> Result<Vec<String>>;

    /// Whether everything that was acknowledged in `from` before this barrier was first asked for has reached `to`. A move
    /// that leaves `from` asks when its gates have shut; in a rejoin `from` goes on writing, and what it writes later
    /// does not hold the barrier up.
    async fn drained(&self, barrier: &Barrier) -> Result<Drained>;

    /// Makes a region the one that takes writes. Does nothing if it is already.
    async fn promote(&self, region: &Region, promotion: Promotion, epoch: Epoch) -> Result<()>;

    /// Keeps writers of a region out, gated or not, and spares replication.
    async fn fence(&self, region: &Region, epoch: Epoch) -> Result<Fence>;

    /// Lets the writers of a region in again.
    async fn unfence(&self, region: &Region, epoch: Epoch) -> Result<()>;

    /// Looks, in the history of changes that every replica keeps, for items of which a write of an older epoch took the
    /// place of a newer one's, and puts the newer one back in the region that serves: only where the late write still
    /// shows, by a precondition on it. Speaks to every region that answers; `after` is the cursor of the answer before,
    /// and without one it looks back as far as the store remembers. For stores that say [`LateWrites::Undone`].
    ///
    /// It needs no fence of its own: a restoring write that lands late, after another move, is an older epoch's write like
    /// any other, and found like one.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` if the region that serves does not answer: ask again. `InvalidInput` for a cursor that
    /// is not this store's: ask without one. `Unsupported` if the store cannot find late writes.
    async fn reconcile(&self, serving: &Region, after: Option<&Cursor>) -> Result<Reconciled>;
}

/// What a store can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoreCapabilities {
    /// How changes reach the other regions.
    pub replication: Replication,
    /// What becomes of a write of an older epoch that arrives late.
    pub late_writes: LateWrites,
    /// Whether a region must be promoted before it takes writes.
    pub needs_promotion: bool,
    /// Whether its writers can be fenced at the store.
    pub can_fence: bool,
    /// What can be said of the loss of a failover.
    pub loss: LossBound,
    /// How long a promotion takes, for the prediction.
    #[serde(with = "friendly")]
    pub expected_promotion: Duration,
}

/// How changes reach the other regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replication {
    /// In the order in which they were made: a position in the log says what is there.
    Ordered,
    /// Each item for itself, in any order: that one change arrived says nothing of the others.
    ItemByItem,
    /// Before the write is acknowledged.
    Synchronous,
}

/// What becomes of a write of an older epoch that reaches a store after a newer one has begun. A gate bounds when a write is
/// acknowledged, and not when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LateWrites {
    /// The store refuses it.
    Refused,
    /// The last writer wins; [`reconcile`](ReplicatedStore::reconcile) finds what was overwritten and restores it.
    Undone,
    /// The last writer wins, and nobody sees it.
    Unseen,
}

/// How far a store's history has been looked through; each store has its own form of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// What [`reconcile`](ReplicatedStore::reconcile) found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Every item that a late write had taken the place of, and what became of it.
    pub overtaken: Vec<Overtaken>,
    /// Where to go on looking; none if nothing has been read yet.
    pub cursor: Option<Cursor>,
    /// The regions whose history could not be read now; the cursor goes on there where it was.
    pub unread: Vec<Region>,
}

/// An item of a newer epoch that a write of an older one took the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overtaken {
    /// Its name.
    pub key: Key,
    /// The region in whose history it was found.
    pub found_in: Region,
    /// The epoch of the late write.
    pub late: Epoch,
    /// The epoch of what it took the place of.
    pub newer: Epoch,
    /// What shows now.
    pub outcome: Reconciliation,
}

/// What became of an item that a late write had taken the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reconciliation {
    /// What the newer epoch had written is there again.
    Restored,
    /// It was written again since, or never showed the late write in the region that serves: nothing was done, and whoever
    /// wrote then may have read the late value.
    Rewritten,
}

/// What can be said of the loss of a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossBound {
    /// Nothing that was acknowledged can be lost.
    None,
    /// Not more than the lag, which the store proves.
    Enforceable,
    /// As far as the last measurement goes; called an estimate.
    Estimated,
}

/// The name of an item: one part for objects, two (partition, sort) for tables that have them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<String>);

impl Key {
    /// A key of one part.
    pub fn new(part: impl Into<String>) -> Self {
        Self(vec![part.into()])
    }

    /// The first part.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// What a store calls the state of one item: an ETag, a generation, a revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub String);

/// An item as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub key: Key,
    /// Its content, in the form that the store's documentation names.
    pub value: Vec<u8>,
    /// The epoch it was written under, where that is kept.
    pub epoch: Option<Epoch>,
    /// Its state, for preconditions.
    pub version: Version,
}

/// An item to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutItem {
    /// Its name.
    pub key: Key,
    /// Its content, in the form that the store's documentation names.
    pub value: Vec<u8>,
    /// The epoch of the permit under which it is written.
    pub epoch: Option<Epoch>,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// The item is not there.
    Absent,
    /// The item is in this state.
    Version(Version),
}

/// How the replicas of a store are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoreStatus {
    /// Each region's replica.
    pub replicas: BTreeMap<Region, ReplicaStatus>,
}

/// How one replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplicaStatus {
    /// What it does.
    pub role: Role,
    /// How far it is behind the regions that write.
    pub lag: Lag,
    /// The time of the newest change of the source that it is known to hold, by the source's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Timestamp>,
    /// Changes that are known not to have arrived yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
}

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It takes writes.
    Writer,
    /// It follows.
    Replica,
    /// There is no replica in this region.
    Absent,
    /// The region did not answer.
    Unreachable,
}

/// How far a replica is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lag {
    /// Measured.
    Known {
        /// The age of the newest change that the replica holds, against the source.
        #[serde(with = "friendly")]
        lag: Duration,
        /// How old the measurement was when it was answered.
        #[serde(with = "friendly")]
        age: Duration,
    },
    /// Not known, and why. Unknown is not zero.
    Unknown {
        /// Why.
        why: String,
    },
}

/// The line that a planned move draws: everything acknowledged before it must arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Barrier {
    /// The execution that draws it; markers carry its name.
    pub execution: ExecutionId,
    /// The epoch in which the writes before the line were made.
    pub epoch: Epoch,
    /// Where the writes were made.
    pub from: Region,
    /// Where they must arrive.
    pub to: Region,
}

/// Whether everything before a barrier has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drained {
    /// Yes, and how it is known.
    Proven {
        /// The proof: a log position, a watermark past a marker, or every key compared.
        how: String,
    },
    /// Not yet.
    NotYet {
        /// Changes still missing, where they can be counted.
        remaining: Option<u64>,
    },
    /// It cannot be known; a person must accept that like a loss.
    CannotProve {
        /// Why not.
        why: String,
    },
}

/// How a region becomes the one that takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promotion {
    /// In agreement with the old one, without loss.
    Planned,
    /// Without the old one; what has not arrived is lost until it returns.
    Forced,
}

/// How sure it is that no writer gets in any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fence {
    /// The store refuses the region's writers from now on.
    Confirmed,
    /// It was asked, and has not confirmed.
    Requested {
        /// What is missing.
        why: String,
    },
}
