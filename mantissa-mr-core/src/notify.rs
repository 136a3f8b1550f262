//! Telling people and systems, and asking them before the steps that count.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::name::{ExecutionId, GroupName, Region};

/// Tells people and systems what happened. Never blocks or fails a move: an error is logged and forgotten.
#[async_trait]
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Tells it.
    async fn notify(&self, notice: &Notice) -> Result<()>;
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// When, by the wall clock of who says it.
    pub at: Timestamp,
    /// How loudly.
    pub severity: Severity,
    /// The group.
    pub group: GroupName,
    /// The execution, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
    /// What happened, in one sentence.
    pub text: String,
}

/// How loudly to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

/// May veto a move before it does what cannot be taken back.
#[async_trait]
pub trait Hook: fmt::Debug + Send + Sync + 'static {
    /// Asks. An error counts as no answer and is retried until the step's deadline.
    async fn before(&self, question: &HookQuestion) -> Result<HookAnswer>;
}

/// What a hook is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HookQuestion {
    /// Before what.
    pub point: HookPoint,
    /// The group that moves.
    pub group: GroupName,
    /// The execution that moves it.
    pub execution: ExecutionId,
    /// Where it moves from.
    pub from: Option<Region>,
    /// Where it moves to.
    pub to: Region,
}

/// Where a hook may veto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookPoint {
    /// Before the gates are shut.
    Fence,
    /// Before the first store is promoted.
    Promote,
    /// Before traffic is shifted.
    Shift,
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fence => "fence",
            Self::Promote => "promote",
            Self::Shift => "shift",
        })
    }
}

/// What a hook answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookAnswer {
    /// Go on.
    Allow,
    /// Do not. Before the point of no return the move is aborted; after it, it pauses for a person.
    Veto {
        /// Why.
        reason: String,
    },
}
