//! The commands.

use std::sync::Arc;

use jiff::Timestamp;
use mantissa_mr_core::clock::SystemClock;
use mantissa_mr_core::name::ActorId;
use mantissa_mr_core::operator::Operator;

use crate::args::Common;
use crate::backend::Connection;
use crate::exit::{Outcome, Stop};
use crate::input::{Input, Task};
use crate::render::Screen;

mod look;
mod moves;
mod orders;
mod run;
mod setup;

/// Does a task.
///
/// # Errors
/// See [`Stop`].
pub(crate) async fn perform(input: Input, common: &Common, screen: Screen) -> Result<Outcome, Stop> {
    let Input { deployment, task } = input;
    let connection = Connection::new(&deployment, common).await?;
    if !matches!(task, Task::Init { .. }) {
        connection.see_that_there()?;
    }
    let backend = connection.backend.clone();
    let operator = Operator::new(deployment, backend, Arc::new(SystemClock), actor())?;
    match task {
        Task::Init { dry_run } => setup::init(&operator, &connection, dry_run, screen).await,
        Task::EnsureReplicated { dry_run } => setup::ensure_replicated(&operator, dry_run, screen).await,
        Task::Status(groups) => look::status(&operator, &groups, screen).await,
        Task::History(group) => look::history(&operator, &group, screen).await,
        Task::Plan { group, request, output } => {
            moves::plan(&operator, &group, &request, output.as_deref(), screen).await
        }
        Task::Move { group, wanted, consent } => {
            moves::carry(&operator, &group, wanted, consent, screen).await
        }
        Task::Order { group, order, by, why, consent } => {
            orders::Orders { operator: &operator, group, by, why, screen }.give(order, consent).await
        }
        Task::Run { groups, place } => run::run(&operator, &groups, &place, screen).await,
    }
}

/// What a program is warned of.
fn warnings(warning: Option<String>) -> Vec<String> {
    warning.into_iter().collect()
}

/// A name that no other process has, and that a person who reads the journal knows something by.
fn actor() -> ActorId {
    let user: String = std::env::var("USER").unwrap_or_default();
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    let user = if user.is_empty() { "somebody".to_owned() } else { user };
    let name = format!("{user}-{}-{:x}", std::process::id(), Timestamp::now().as_nanosecond());
    // Letters, digits and hyphens: it is a name.
    ActorId::new(&name).unwrap_or_else(|error| unreachable!("{error}"))
}
