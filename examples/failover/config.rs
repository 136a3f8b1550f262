//! The deployment, from files or the embedded one.

use std::path::PathBuf;

use mantissa_mr_core::deployment::{Deployment, DeploymentSpec};
use mantissa_mr_core::problem::{Location, Problem, Problems};

/// The deployment that is used without `--config`.
const EMBEDDED: &str = include_str!("deployment.toml");

/// Reads the deployment.
///
/// # Errors
/// Everything that is wrong with it, at once, with file, line and column.
pub(crate) fn load(files: &[PathBuf]) -> Result<Deployment, Problems> {
    if files.is_empty() {
        return parse("the embedded deployment", EMBEDDED);
    }
    let [file] = files else {
        return Err(Problem::new("--config", "several files cannot be read yet").into());
    };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        let location = Location { file: name.clone(), position: None };
        Problem::new("", format!("it cannot be read: {error}")).at(location)
    })?;
    parse(&name, &text)
}

fn parse(file: &str, text: &str) -> Result<Deployment, Problems> {
    let spec: DeploymentSpec = toml::from_str(text).map_err(|error| {
        let position = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or(text);
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            (before.matches('\n').count() + 1, column)
        });
        Problem::new("", error.message().to_owned()).at(Location { file: file.to_owned(), position })
    })?;
    Deployment::new(spec)
}
