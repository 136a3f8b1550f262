//! Setting up: ledgers, cells, replication.

use mantissa_mr_core::operator::Operator;
use serde_json::json;

use crate::backend::Connection;
use crate::exit::{Exit, Outcome, Stop};
use crate::render::{self, Screen, note, wrap};

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
    let (durability, warning) = (operator.backend().cells.durability(), operator.witness_warning());
    screen.show(render::warning(warning.as_deref()));
    let document = json!({
        "dry-run": dry_run, "done": done, "witness": durability, "warnings": super::warnings(warning),
    });
    Ok(Outcome::new(Exit::Done, document))
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
