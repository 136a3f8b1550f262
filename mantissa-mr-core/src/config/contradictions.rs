//! Where the variables and the overlay contradict each other.

use super::findings::Findings;
use super::tree::{Node, Value};
use super::variables::Variables;
use crate::deployment::Strategy;
use crate::problem::Problem;

/// A variable that says what there is of a kind of store.
struct Switch {
    variable: &'static str,
    /// Whether this value says that there is none.
    is_off: fn(&Value) -> bool,
    /// The kinds of store that contradict it start so.
    store: &'static str,
}

fn is_false(value: &Value) -> bool {
    matches!(value, Value::Flag(false))
}

/// Locally and zone-redundant storage accounts have no copy in another region.
fn stays_in_one_region(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text == "LRS" || text == "ZRS")
}

const SWITCHES: &[Switch] = &[
    Switch { variable: "enable_dynamodb_global_tables", is_off: is_false, store: "dynamodb-global-table" },
    Switch { variable: "enable_s3_cross_region_replication", is_off: is_false, store: "s3-" },
    Switch { variable: "storage_replication_type", is_off: stays_in_one_region, store: "storage-account" },
    Switch { variable: "storage_dual_region", is_off: is_false, store: "gcs-dual-region" },
    Switch { variable: "firestore_multi_region", is_off: is_false, store: "firestore-multi-region" },
];

/// Looks at the merged overlay, before defaults.
pub(super) fn find(
    variables: &Variables,
    strategy: Option<Strategy>,
    groups: Option<&Node>,
    findings: &mut Findings,
) {
    multi_region_writes(variables, strategy, findings);
    for group in groups.map(Node::elements).unwrap_or_default() {
        for store in group.get("stores").map(Node::elements).unwrap_or_default() {
            switched_off(variables, group, store, findings);
        }
    }
}

fn multi_region_writes(variables: &Variables, strategy: Option<Strategy>, findings: &mut Findings) {
    let variable = "cosmos_multi_region_write";
    let Some(node) = variables.node(variable) else { return };
    match (strategy, variables.flag(variable)) {
        (Some(Strategy::ActiveActive), Some(false)) => {
            let message = "is false, but the strategy is active-active, where every region writes";
            let problem = Problem::new(variable, message);
            findings.at(node.at, problem.with_advice("set it to true, or the strategy to active-passive"));
        }
        (Some(Strategy::ActivePassive), Some(true)) => findings.warnings.push(format!(
            "{variable} is true, but the strategy is active-passive: Cosmos DB takes writes in every region, and only \
             the write gate keeps them to one"
        )),
        _ => {}
    }
}

fn switched_off(variables: &Variables, group: &Node, store: &Node, findings: &mut Findings) {
    let Some(kind) = store.get("kind") else { return };
    let Some(text) = kind.as_text() else { return };
    for switch in SWITCHES.iter().filter(|switch| text.starts_with(switch.store)) {
        let Some(node) = variables.node(switch.variable).filter(|node| (switch.is_off)(&node.value)) else {
            continue;
        };
        let name = |node: &Node| node.name().unwrap_or("?").to_owned();
        let field = format!("groups.{}.stores.{}.kind", name(group), name(store));
        let message = format!(
            "`{text}` keeps data in several regions, but the tfvars set {} = {}",
            switch.variable,
            node.shown().trim_matches('`')
        );
        findings.at(kind.at, Problem::new(field, message).with_advice("mend one of them"));
    }
}
