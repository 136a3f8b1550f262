//! Looking: how things stand, and what has happened.

use mantissa_mr_core::name::GroupName;
use mantissa_mr_core::operator::{GroupStatus, Holder, Operator, UnderWay};
use serde_json::{Value, json};

use crate::exit::{Exit, Outcome, Stop};
use crate::render::{self, Screen};

/// Shows how groups stand. With the ledger down everything else is shown, and the exit code says that it is down.
pub(super) async fn status(
    operator: &Operator,
    groups: &[GroupName],
    screen: Screen,
) -> Result<Outcome, Stop> {
    let mut documents = Vec::new();
    let mut exit = Exit::Done;
    for group in groups {
        let status = operator.status(group).await?;
        let mut troubles = Vec::new();
        let (under_way, holder) = match &status.ledger {
            Ok(Some(ledger)) if ledger.execution.is_some() => execution(operator, group, &mut troubles).await,
            Ok(_) => (None, None),
            Err(_) => {
                exit = Exit::Failed;
                (None, None)
            }
        };
        if !troubles.is_empty() {
            exit = Exit::Failed;
        }
        let (witness, warning) = (operator.backend().cells.durability(), operator.witness_warning());
        let seen = render::Seen {
            deployment: operator.deployment(),
            group,
            witness: &witness.place,
            warning: warning.as_deref(),
            status: &status,
            under_way: under_way.as_ref(),
            holder: holder.as_ref(),
            troubles: &troubles,
        };
        screen.show(render::status(&seen));
        let mut document = document(group, &status, under_way.as_ref(), holder.as_ref(), &troubles);
        document["witness"] = json!(witness);
        document["warnings"] = json!(super::warnings(warning));
        documents.push(document);
    }
    Ok(Outcome::new(exit, json!({ "groups": documents })))
}

/// What is under way, and whether somebody carries it out.
async fn execution(
    operator: &Operator,
    group: &GroupName,
    troubles: &mut Vec<String>,
) -> (Option<UnderWay>, Option<Holder>) {
    let under_way = match operator.under_way(group).await {
        Ok(under_way) => under_way,
        Err(error) => {
            troubles.push(error.to_string());
            None
        }
    };
    let paused = under_way.as_ref().is_some_and(|under_way| under_way.running.paused.is_some());
    let holder = if paused { None } else { operator.holder(group).await.ok() };
    (under_way, holder)
}

fn document(
    group: &GroupName,
    status: &GroupStatus,
    under_way: Option<&UnderWay>,
    holder: Option<&Holder>,
    troubles: &[String],
) -> Value {
    let (ledger, ledger_error) = match &status.ledger {
        Ok(ledger) => (json!(ledger), Value::Null),
        Err(error) => (Value::Null, json!(error.to_string())),
    };
    let facts = &status.facts;
    let health: Value = facts
        .health
        .iter()
        .map(|(region, health)| {
            let said = json!({ "fitness": health.fitness, "confirmed": health.confirmed, "why": health.why });
            (region.to_string(), said)
        })
        .collect();
    let stores: Value =
        facts.stores.iter().map(|(name, seen)| (name.to_string(), json!(seen.value))).collect();
    let routers: Value =
        facts.routings.iter().map(|(name, seen)| (name.to_string(), json!(seen.value))).collect();
    let capacities = facts
        .capacities
        .iter()
        .map(|((name, region), seen)| json!({ "scaler": name, "region": region, "capacity": seen.value }));
    json!({
        "group": group,
        "ledger": ledger,
        "ledger-error": ledger_error,
        "health": health,
        "stores": stores,
        "routers": routers,
        "capacities": capacities.collect::<Vec<_>>(),
        "vantages": status.ballots,
        "under-way": under_way.map(|under_way| json!({
            "execution": under_way.running.id,
            "committed": under_way.committed,
            "aborting": under_way.aborting,
            "paused": under_way.running.paused,
            "steps": under_way.steps,
        })),
        "holder": holder.map(|holder| match holder {
            Holder::Nobody => json!({ "is": "nobody" }),
            Holder::Alive(actor) => json!({ "is": "alive", "actor": actor }),
            Holder::Silent(actor) => json!({ "is": "silent", "actor": actor }),
        }),
        "not-seen": status.errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "troubles": troubles,
    })
}

/// Shows the journal. One that is broken is shown as far as it is sound, and the exit code says that it is broken.
pub(super) async fn history(operator: &Operator, group: &GroupName, screen: Screen) -> Result<Outcome, Stop> {
    let history = operator.history(group).await?;
    screen.show(render::history(&history));
    let exit = if history.broken.is_some() { Exit::Failed } else { Exit::Done };
    Ok(Outcome::new(exit, json!({ "history": history })))
}
