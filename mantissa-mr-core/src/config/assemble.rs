//! From the sources to the deployment: read, merge, hold against the schema, validate.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::findings::{Findings, Text};
use super::schema::{DEPLOYMENT, Need};
use super::tree::{At, Entry, Node, Table, Value, locate, merge_tables, without_nulls};
use super::variables::Variables;
use super::walk::{Walk, references};
use super::{Format, Source, contradictions, derive, read};
use crate::deployment::validate::{self, Parts};
use crate::deployment::{
    Deployment, DeploymentSpec, GroupSpec, Policy, RegionSpec, Strategy, VantageSpec, WitnessSpec,
};
use crate::name::{DeploymentName, Region};
use crate::problem::{Problem, Problems};

/// Builds the deployment, or finds everything that is wrong with the sources. A source that could not be had is the
/// problem with it.
pub(super) fn assemble(sources: &[Result<Source, Problem>]) -> Result<Deployment, Problems> {
    let mut findings = Findings::default();
    let spec = spec(sources, &mut findings);
    let texts: Vec<Text<'_>> = sources.iter().map(text_of).collect();
    let warnings = findings.check(&texts)?;
    // Without a finding there is a specification, and it has passed the same rules that `new` asks.
    let spec = spec.ok_or_else(|| Problem::new("", "the files describe no deployment"))?;
    Ok(Deployment::new(spec)?.with_warnings(warnings))
}

fn text_of(source: &Result<Source, Problem>) -> Text<'_> {
    match source {
        Ok(source) => Text { name: &source.name, text: source.text_without_mark() },
        Err(_) => Text { name: "", text: "" },
    }
}

/// The files as read.
struct Files {
    variables: Variables,
    overlay: Table,
    /// The last overlay among the sources: what is missing belongs there.
    last_overlay: Option<usize>,
    /// Whether all of them could be read.
    complete: bool,
}

fn files(sources: &[Result<Source, Problem>], findings: &mut Findings) -> Files {
    let mut variables = Variables::default();
    let mut overlay = Table::new();
    let (mut last_overlay, mut complete) = (None, true);
    for (index, source) in sources.iter().enumerate() {
        let table = match source {
            Ok(source) => read::read(index, source.text_without_mark(), source.format, findings),
            Err(problem) => {
                findings.in_file(index, problem.clone());
                None
            }
        };
        let format = source.as_ref().ok().map(|source| source.format);
        if matches!(format, Some(Format::Toml | Format::Json)) {
            last_overlay = Some(index);
        }
        match (table, format) {
            (Some(table), Some(Format::Tfvars | Format::TfvarsJson)) => variables.add(table),
            (Some(table), _) => merge_tables(&mut overlay, table),
            (None, _) => complete = false,
        }
    }
    variables.check(&references(&overlay), findings);
    Files { variables, overlay, last_overlay, complete }
}

fn spec(sources: &[Result<Source, Problem>], findings: &mut Findings) -> Option<DeploymentSpec> {
    if sources.is_empty() {
        findings.nowhere(Problem::new("", "no file to read a deployment from"));
        return None;
    }
    let Files { variables, overlay, last_overlay, complete } = files(sources, findings);
    let mut root = Node { at: At { source: 0, offset: 0 }, value: Value::Table(Table::new()) };
    let Value::Table(table) = &mut root.value else { return None };
    *table = derive::derived(&variables, findings);
    merge_tables(table, overlay);
    table.values_mut().for_each(|entry| without_nulls(&mut entry.node));
    table.retain(|_, entry| !matches!(entry.node.value, Value::Null));
    give_provider(table, &variables, findings);

    if complete {
        half_a_pair(table, &variables, findings);
    }
    let mut walk = Walk { variables: &variables, findings, complete };
    let good = walk.known_keys("", table, DEPLOYMENT);
    if complete {
        missing(table, last_overlay, findings);
    }
    let sections = Sections::of(&Good { table, good: &good }, findings);
    contradictions::find(&variables, sections.strategy, root.get("groups"), findings);
    if complete {
        for problem in validate::problems(sections.parts()) {
            match locate(&root, &problem.field) {
                Some(at) => findings.at(at, problem),
                None => nowhere_else(last_overlay, problem, findings),
            }
        }
    }
    sections.spec()
}

/// Gives the regions that do not name their provider the one that the overlay or the variables name.
fn give_provider(table: &mut Table, variables: &Variables, findings: &mut Findings) {
    let Some(provider) = derive::provider(table.get("provider"), variables, findings) else { return };
    let Some(Value::List(regions)) = table.get_mut("regions").map(|entry| &mut entry.node.value) else {
        return;
    };
    for region in regions {
        if let Value::Table(region) = &mut region.value {
            let entry = || Entry { key: provider.at, node: provider.clone() };
            region.entry("provider".to_owned()).or_insert_with(entry);
        }
    }
}

/// Finds that the variables name one region only, and nothing else names another.
fn half_a_pair(table: &mut Table, variables: &Variables, findings: &mut Findings) {
    let Some(regions) = table.get_mut("regions").filter(|entry| entry.node.elements().len() == 1) else {
        return;
    };
    if let Some((at, problem)) = derive::other_of_pair(variables) {
        findings.at(at, problem);
        regions.node.value = Value::Broken;
    }
}

/// Finds what no file says.
fn missing(table: &Table, last_overlay: Option<usize>, findings: &mut Findings) {
    let place = if last_overlay.is_some() { "it" } else { "an overlay file, such as overlay.toml" };
    for field in DEPLOYMENT.iter().filter(|field| !table.contains_key(field.key)) {
        if let Need::Required(example) = field.need {
            let problem = Problem::new(field.key, "is missing");
            let problem = problem.with_advice(format!("add to {place}: {example}"));
            nowhere_else(last_overlay, problem, findings);
        }
    }
}

fn nowhere_else(last_overlay: Option<usize>, problem: Problem, findings: &mut Findings) {
    match last_overlay {
        Some(source) => findings.in_file(source, problem),
        None => findings.nowhere(problem),
    }
}

/// The parts of a deployment that could be read.
#[derive(Default)]
struct Sections {
    name: Option<DeploymentName>,
    strategy: Option<Strategy>,
    preferred: Option<Region>,
    regions: Option<Vec<RegionSpec>>,
    witness: Option<WitnessSpec>,
    vantages: Option<Vec<VantageSpec>>,
    policy: Option<Policy>,
    groups: Option<Vec<GroupSpec>>,
}

/// The table of a deployment, and which of its keys are as they must be.
struct Good<'a> {
    table: &'a Table,
    good: &'a BTreeSet<&'static str>,
}

impl Good<'_> {
    /// A part, if it is as it must be.
    fn part<T: DeserializeOwned>(&self, key: &str, findings: &mut Findings) -> Option<T> {
        let entry = self.table.get(key).filter(|_| self.good.contains(key))?;
        let part = entry.node.to_toml()?.try_into();
        part.map_err(|error| findings.at(entry.key, Problem::new(key, error.message()))).ok()
    }

    /// A part that may be missing.
    fn part_or_default<T: DeserializeOwned + Default>(
        &self,
        key: &str,
        findings: &mut Findings,
    ) -> Option<T> {
        if self.table.contains_key(key) { self.part(key, findings) } else { Some(T::default()) }
    }

    /// The groups; if some are not as they must be, the others: what can be said of them is said at once.
    fn groups(&self, findings: &mut Findings) -> Option<Vec<GroupSpec>> {
        if self.good.contains("groups") {
            return self.part("groups", findings);
        }
        let elements = self.table.get("groups")?.node.elements();
        let groups: Vec<GroupSpec> =
            elements.iter().filter_map(|group| group.to_toml()?.try_into().ok()).collect();
        (!groups.is_empty()).then_some(groups)
    }
}

impl Sections {
    fn of(good: &Good<'_>, findings: &mut Findings) -> Self {
        Self {
            name: good.part("name", findings),
            strategy: good.part("strategy", findings),
            preferred: good.part("preferred", findings),
            regions: good.part("regions", findings),
            witness: good.part("witness", findings),
            vantages: good.part_or_default("vantages", findings),
            policy: good.part_or_default("policy", findings),
            groups: good.groups(findings),
        }
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            preferred: self.preferred.as_ref(),
            regions: self.regions.as_deref(),
            witness: self.witness.as_ref(),
            vantages: self.vantages.as_deref(),
            policy: self.policy.as_ref(),
            groups: self.groups.as_deref(),
        }
    }

    fn spec(self) -> Option<DeploymentSpec> {
        Some(DeploymentSpec {
            name: self.name?,
            strategy: self.strategy?,
            preferred: self.preferred?,
            regions: self.regions?,
            witness: self.witness?,
            vantages: self.vantages?,
            policy: self.policy?,
            groups: self.groups?,
        })
    }
}
