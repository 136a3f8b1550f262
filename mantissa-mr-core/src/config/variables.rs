//! The variables of tfvars files: which ones concern a deployment, what they say of it, and where they contradict each
//! other.

use std::collections::BTreeSet;

use super::findings::Findings;
use super::nearest::nearest;
use super::schema::{Leaf, REGION_NAME, STRATEGY};
use super::tree::{At, Entry, Node, Table, Value, without_nulls};
use crate::deployment::Provider;
use crate::problem::Problem;

pub(super) const VALUES_ONLY: &str =
    "a tfvars file holds values only: write the value itself, a text in quotes";

/// A variable that concerns a deployment.
struct Known {
    name: &'static str,
    takes: Takes,
    /// The cloud that it speaks of, if it speaks of one only.
    of: Option<Provider>,
}

/// What a variable takes.
#[derive(Clone, Copy)]
enum Takes {
    Region,
    Strategy,
    Share,
    Flag,
    Text,
    StorageReplication,
}

const fn known(name: &'static str, takes: Takes, of: Option<Provider>) -> Known {
    Known { name, takes, of }
}

const AWS: Option<Provider> = Some(Provider::Aws);
const AZURE: Option<Provider> = Some(Provider::Azure);
const GCP: Option<Provider> = Some(Provider::Gcp);

/// From the product's multi-region module (AWS) and the guide's variable files (step 1 of each cloud).
const KNOWN: &[Known] = &[
    known("failover_strategy", Takes::Strategy, None),
    known("project", Takes::Text, None),
    known("environment", Takes::Text, None),
    known("primary_region", Takes::Region, None),
    known("secondary_region", Takes::Region, None),
    known("secondary_region_scale", Takes::Share, None),
    known("domain_name", Takes::Text, None),
    known("enable_dynamodb_global_tables", Takes::Flag, AWS),
    known("enable_s3_cross_region_replication", Takes::Flag, AWS),
    known("enable_route53_health_checks", Takes::Flag, AWS),
    known("create_hosted_zone", Takes::Flag, AWS),
    known("hosted_zone_id", Takes::Text, AWS),
    known("primary_api_endpoint", Takes::Text, None),
    known("secondary_api_endpoint", Takes::Text, None),
    known("primary_api_gateway_domain", Takes::Text, AWS),
    known("primary_api_gateway_zone_id", Takes::Text, AWS),
    known("secondary_api_gateway_domain", Takes::Text, AWS),
    known("secondary_api_gateway_zone_id", Takes::Text, AWS),
    known("primary_logs_bucket_id", Takes::Text, AWS),
    known("primary_logs_bucket_arn", Takes::Text, AWS),
    known("secondary_logs_bucket_id", Takes::Text, AWS),
    known("secondary_logs_bucket_arn", Takes::Text, AWS),
    known("primary_dynamodb_table_arn", Takes::Text, AWS),
    known("primary_sessions_table_arn", Takes::Text, AWS),
    known("secondary_alerts_topic_arn", Takes::Text, AWS),
    known("primary_location", Takes::Region, AZURE),
    known("secondary_location", Takes::Region, AZURE),
    known("cosmos_multi_region_write", Takes::Flag, AZURE),
    known("storage_replication_type", Takes::StorageReplication, AZURE),
    known("project_id", Takes::Text, GCP),
    known("bigquery_location", Takes::Text, GCP),
    known("storage_dual_region", Takes::Flag, GCP),
    known("firestore_multi_region", Takes::Flag, GCP),
];

/// Variables of the product that say nothing of several regions, and so are never taken for slips of the pen.
const OTHERS: [&str; 11] = [
    "alert_destinations",
    "cosmos_consistency_level",
    "enable_collectors",
    "function_app_sku",
    "function_memory_mb",
    "location",
    "max_function_instances",
    "min_function_instances",
    "region",
    "subnet_ids",
    "tags",
];

/// Whether a word is a variable that concerns a deployment.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|known| known.name == name)
}

impl Takes {
    fn leaf(self) -> Leaf {
        match self {
            Self::Region => REGION_NAME,
            Self::Strategy => STRATEGY,
            Self::Share => Leaf::Share,
            Self::Flag => Leaf::Flag,
            Self::Text => Leaf::Text { what: "a text", accepts: |_| Ok(()) },
            Self::StorageReplication => Leaf::Word(&["LRS", "ZRS", "GRS", "RAGRS", "GZRS", "RAGZRS"]),
        }
    }

    /// The value as Terraform reads it: a quoted number or flag is taken for what it says, and Azure's display names
    /// (`East US`) for the locations' own.
    fn as_terraform_reads(self, name: &str, node: &mut Node) {
        let Value::Text(text) = &node.value else { return };
        let read = match self {
            Self::Flag => text.parse().ok().map(Value::Flag),
            Self::Share => text.parse().ok().map(Value::Float),
            Self::Region if name.ends_with("_location") => {
                Some(Value::Text(text.replace(' ', "").to_ascii_lowercase()))
            }
            _ => None,
        };
        if let Some(value) = read {
            node.value = value;
        }
    }
}

/// All variables of all tfvars files, the later ones over the earlier.
#[derive(Debug, Default)]
pub(super) struct Variables {
    values: Table,
    /// The ones that may be a slip of the pen.
    suspects: Vec<Suspect>,
}

#[derive(Debug)]
struct Suspect {
    name: String,
    key: At,
    meant: &'static str,
}

impl Variables {
    /// Takes in a file.
    pub(super) fn add(&mut self, file: Table) {
        for (name, entry) in &file {
            if let Some(meant) = meant_by(name, &file) {
                self.suspects.push(Suspect { name: name.clone(), key: entry.key, meant });
            }
        }
        for (name, entry) in file {
            // Terraform replaces a variable as a whole.
            self.values.insert(name, entry);
        }
    }

    /// Once all files are in: checks the variables that concern a deployment, and marks the ones that are wrong.
    /// `referred` are those that the overlay refers to: whoever does knows how they are written.
    pub(super) fn check(&mut self, referred: &BTreeSet<String>, findings: &mut Findings) {
        self.misspelt(referred, findings);
        self.values.retain(|_, entry| !matches!(entry.node.value, Value::Null));
        for (name, entry) in &mut self.values {
            without_nulls(&mut entry.node);
            let Some(known) = KNOWN.iter().find(|known| known.name == name) else { continue };
            let node = &mut entry.node;
            known.takes.as_terraform_reads(name, node);
            let problem = match (&node.value, known.takes.leaf().refuses(node)) {
                (Value::Broken, _) | (_, None) => continue,
                (Value::Unresolved(what), _) => {
                    Problem::new(name, format!("{what} is no value")).with_advice(VALUES_ONLY)
                }
                // Only words and numbers of ours are shown: a text of another kind may be anything.
                (_, Some((message, advice))) => Problem { advice, ..Problem::new(name, message) },
            };
            findings.at(node.at, problem);
            node.value = Value::Broken;
        }
    }

    /// Complains about variables that are a slip of the pen, unless the overlay refers to them, and marks the ones that
    /// they were meant to be.
    fn misspelt(&mut self, referred: &BTreeSet<String>, findings: &mut Findings) {
        for Suspect { name, key, meant } in std::mem::take(&mut self.suspects) {
            if referred.contains(&name) {
                continue;
            }
            let problem = Problem::new(name, "is not a known variable");
            findings.at(key, problem.with_advice(format!("did you mean `{meant}`?")));
            let entry = || Entry { key, node: Node::broken(key) };
            self.values.entry(meant.to_owned()).or_insert_with(entry);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.values.get(name)
    }

    /// A variable that concerns a deployment, if it is set; perhaps it is broken.
    pub(super) fn node(&self, name: &str) -> Option<&Node> {
        self.values.get(name).map(|entry| &entry.node)
    }

    /// The value of a flag that is set.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.node(name)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The variable that is set and nearest to this name.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.values.keys().map(String::as_str), (name.len() / 3).clamp(1, 3))
    }

    /// The first variable that is set and speaks of this cloud only.
    pub(super) fn of(&self, provider: Provider) -> Option<(&'static str, &Node)> {
        KNOWN
            .iter()
            .filter(|known| known.of == Some(provider))
            .find_map(|known| Some((known.name, self.node(known.name)?)))
    }
}

/// The variable of ours that an unknown name of a file was meant to be. A file that has the right one too knows what it
/// says.
fn meant_by(name: &str, file: &Table) -> Option<&'static str> {
    if is_known(name) || OTHERS.contains(&name) {
        return None;
    }
    let most = if name.len() < 8 { 1 } else { 2 };
    let candidates = KNOWN.iter().map(|known| known.name).filter(|known| !file.contains_key(*known));
    nearest(name, candidates, most)
}
