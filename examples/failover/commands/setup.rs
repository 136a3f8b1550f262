//! Setting up: ledgers, cells, replication.

use mantissa_mr_core::operator::Operator;
use serde_json::json;

use crate::backend::Connection;
use crate::exit::{Exit, Outcome, Stop};
use crate::render::{Screen, note, wrap};

/// Makes what is missing, and says what it did.
pub(super) async fn init(
    operator: &Operator,
    connection: &Connection,
    dry_run: bool,
    screen: Screen,
) -> Result<Outcome, Stop> {
    let deployment = operator.deployment();
    for warning in deployment.warnings() {
        wrap(&format!("warning: {warning}"), "", "  ").iter().for_each(|line| note(line));
    }
    if dry_run {
        screen.say("dry run: nothing of this is done");
    }
    let mut done = connection.prepare(deployment, dry_run).await?;
    screen.show(done.clone());
    let made = operator.init(dry_run).await?;
    screen.show(made.clone());
    done.extend(made);
    let durability = operator.backend().cells.durability();
    if !durability.survives_region_loss {
        screen.say(&format!(
            "note: the witness ({}) does not survive the loss of the place it is in",
            durability.place
        ));
    }
    Ok(Outcome::new(Exit::Done, json!({ "dry-run": dry_run, "done": done, "witness": durability })))
}

/// Sets replication up, and says what it did.
pub(super) async fn ensure_replicated(
    operator: &Operator,
    dry_run: bool,
    screen: Screen,
) -> Result<Outcome, Stop> {
    if dry_run {
        screen.say("dry run: nothing of this is done");
    }
    let done = operator.ensure_replicated(dry_run).await?;
    screen.show(done.clone());
    if done.is_empty() {
        screen.say("every store is replicated as the deployment says");
    }
    Ok(Outcome::new(Exit::Done, json!({ "dry-run": dry_run, "done": done })))
}
