//! What the variables say of a deployment, as the overlay would say it.

use super::findings::Findings;
use super::schema::PROVIDER;
use super::tree::{At, Entry, Node, Table, Value};
use super::variables::Variables;
use crate::deployment::Provider;
use crate::name::DeploymentName;
use crate::problem::Problem;

const NAME_THE_PROVIDER: &str = "add provider = \"aws\", \"azure\" or \"gcp\" to the overlay";

/// The part of the overlay that the variables make unnecessary.
pub(super) fn derived(variables: &Variables, findings: &mut Findings) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, node: Option<Node>| {
        if let Some(node) = node {
            table.insert(key.to_owned(), Entry { key: node.at, node });
        }
    };
    put("name", name(variables));
    put("strategy", variables.node("failover_strategy").cloned());
    let regions = Regions::of(variables);
    put("preferred", regions.primary.map(|(_, node)| node.clone()));
    put("regions", regions.list(findings));
    let standby = variables.node("secondary_region_scale").map(|scale| {
        let standby = Entry { key: scale.at, node: scale.clone() };
        Node { at: scale.at, value: Value::Table(Table::from([("standby".to_owned(), standby)])) }
    });
    put("policy", standby);
    table
}

/// `<project>-<environment>`.
fn name(variables: &Variables) -> Option<Node> {
    let (project, environment) = (variables.node("project")?, variables.node("environment")?);
    Some(match (project.as_text(), environment.as_text()) {
        (Some(first), Some(second)) => {
            // Were it no name, it would be for one of the parts.
            let at = if DeploymentName::new(first).is_err() { project.at } else { environment.at };
            Node::text(at, format!("{first}-{second}"))
        }
        _ => Node::broken(environment.at),
    })
}

type Named<'v> = (&'static str, &'v Node);

/// The variables that name the regions.
struct Regions<'v> {
    primary: Option<Named<'v>>,
    secondary: Option<Named<'v>>,
    /// A variable of the other cloud's pair, if both pairs are in use.
    stranger: Option<Named<'v>>,
}

impl<'v> Regions<'v> {
    fn of(variables: &'v Variables) -> Self {
        let pair = |primary, secondary| {
            let named = |name| variables.node(name).map(|node| (name, node));
            (named(primary), named(secondary))
        };
        let region = pair("primary_region", "secondary_region");
        let location = pair("primary_location", "secondary_location");
        let none_of_it = region.0.or(region.1).is_none();
        let (used, other) = if none_of_it { (location, region) } else { (region, location) };
        Self { primary: used.0, secondary: used.1, stranger: other.0.or(other.1) }
    }

    fn all(&self) -> impl Iterator<Item = Named<'v>> {
        [self.primary, self.secondary].into_iter().flatten()
    }

    /// The list of the regions, without their provider.
    fn list(&self, findings: &mut Findings) -> Option<Node> {
        let first = self.all().next()?;
        let at = self.all().map(|(_, node)| node.at).max().unwrap_or(first.1.at);
        if let Some((stranger, node)) = self.stranger {
            let message = format!("contradicts {}: one is Azure's, the other AWS's or GCP's", first.0);
            findings.at(node.at, Problem::new(stranger, message));
            return Some(Node::broken(at));
        }
        if let (Some((primary, one)), Some((secondary, two))) = (self.primary, self.secondary)
            && let (Some(name), true) = (one.as_text(), one.as_text() == two.as_text())
        {
            let problem = Problem::new(secondary, format!("is {name}, and so is {primary}"));
            findings.at(two.at, problem.with_advice("a region cannot stand by for itself"));
            return Some(Node::broken(at));
        }
        let regions = self.all().map(|(_, node)| match node.as_text() {
            Some(_) => {
                let name = Entry { key: node.at, node: node.clone() };
                Node { at: node.at, value: Value::Table(Table::from([("name".to_owned(), name)])) }
            }
            None => Node::broken(node.at),
        });
        Some(Node { at, value: Value::List(regions.collect()) })
    }
}

/// The variable that is missing if the variables name one region of a pair only, and where the other one is named.
pub(super) fn other_of_pair(variables: &Variables) -> Option<(At, Problem)> {
    let regions = Regions::of(variables);
    let (set, node, missing) = match (regions.primary, regions.secondary) {
        (Some((set, node)), None) => (set, node, set.replace("primary", "secondary")),
        (None, Some((set, node))) => (set, node, set.replace("secondary", "primary")),
        _ => return None,
    };
    let problem = Problem::new(&missing, format!("is missing, {set} is set"));
    Some((node.at, problem.with_advice(format!("add to the tfvars: {missing} = ..."))))
}

/// The provider of the regions that do not name theirs: the one that the overlay names, else the one that the variables
/// speak of. `Broken` if they cannot be told or contradict each other, which is then found.
pub(super) fn provider(said: Option<&Entry>, variables: &Variables, findings: &mut Findings) -> Option<Node> {
    if let Some(Entry { node, .. }) = said {
        // A word that is no provider is found once, where it stands.
        let is_bad = node.as_table().is_none() && PROVIDER.refuses(node).is_some();
        return Some(if is_bad { Node::broken(node.at) } else { node.clone() });
    }
    let regions = Regions::of(variables);
    let (first, node) = regions.all().next()?;
    let at = node.at;
    if regions.stranger.is_some() {
        return Some(Node::broken(at));
    }
    let evidence: Vec<Evidence> = evidence(&regions, variables);
    let Some(strongest) = evidence.first() else {
        if regions.all().all(|(_, node)| node.as_text().is_some()) {
            let message = format!("cannot tell which cloud {} is in", node.shown());
            findings.at(at, Problem::new(first, message).with_advice(NAME_THE_PROVIDER));
        }
        return Some(Node::broken(at));
    };
    if let Some(other) = evidence.iter().find(|other| other.provider != strongest.provider) {
        let message = format!("{}, but {}", strongest.why, other.why);
        let advice = format!("mend one of them, or {NAME_THE_PROVIDER}");
        findings.at(other.at, Problem::new(other.variable, message).with_advice(advice));
        return Some(Node::broken(at));
    }
    Some(Node::text(at, strongest.provider.to_string()))
}

/// A reason to believe that the deployment is in a cloud.
struct Evidence {
    provider: Provider,
    variable: &'static str,
    at: At,
    why: String,
}

fn evidence(regions: &Regions<'_>, variables: &Variables) -> Vec<Evidence> {
    let mut found = Vec::new();
    for (variable, node) in regions.all() {
        let Some(text) = node.as_text() else { continue };
        if let Some(provider) = looks_like(text) {
            let why = format!("`{text}` has the form of a region of {}", cloud(provider));
            found.push(Evidence { provider, variable, at: node.at, why });
        }
    }
    for provider in [Provider::Aws, Provider::Azure, Provider::Gcp] {
        if let Some((variable, node)) = variables.of(provider) {
            let why = format!("{variable} is a variable of {}", cloud(provider));
            found.push(Evidence { provider, variable, at: node.at, why });
        }
    }
    found
}

fn cloud(provider: Provider) -> &'static str {
    match provider {
        Provider::Aws => "AWS",
        Provider::Azure => "Azure",
        Provider::Gcp => "GCP",
        Provider::Simulated => "the simulated world",
    }
}

/// The cloud whose regions have names of this form: `us-east-1` AWS, `us-east1` GCP, `eastus2` Azure.
fn looks_like(region: &str) -> Option<Provider> {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.bytes().all(lower) {
        return None;
    }
    let Some((head, last)) = region.rsplit_once('-') else {
        return Some(Provider::Azure);
    };
    let number = last.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    match (head.is_empty(), last.len() - number.len(), number.is_empty()) {
        (false, 0, false) if head.contains('-') => Some(Provider::Aws),
        (false, 1.., false) if number.bytes().all(|byte| byte.is_ascii_digit()) => Some(Provider::Gcp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_region_tells_its_cloud() {
        for (region, expected) in [
            ("us-east-1", Some(Provider::Aws)),
            ("us-gov-west-1", Some(Provider::Aws)),
            ("ap-southeast-2", Some(Provider::Aws)),
            ("mx-central-1", Some(Provider::Aws)),
            ("us-central1", Some(Provider::Gcp)),
            ("northamerica-northeast2", Some(Provider::Gcp)),
            ("europe-west12", Some(Provider::Gcp)),
            ("eastus", Some(Provider::Azure)),
            ("westus3", Some(Provider::Azure)),
            ("germanywestcentral", Some(Provider::Azure)),
            ("north-pole", None),
            ("dc-1", None),
            ("-1", None),
            ("us-east-", None),
            ("us-east1b2", None),
            ("US-EAST-1", None),
        ] {
            assert_eq!(looks_like(region), expected, "{region}");
        }
    }
}
