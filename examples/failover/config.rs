//! The deployment, from files or the embedded one.

use std::path::PathBuf;

use mantissa_mr_core::config::{Format, Source};
use mantissa_mr_core::deployment::Deployment;
use mantissa_mr_core::problem::Problems;

/// The deployment that is used without `--config`.
const EMBEDDED: &str = include_str!("deployment.toml");

/// Reads the deployment.
///
/// # Errors
/// Everything that is wrong with it, at once, with file, line and column.
pub(crate) fn load(files: &[PathBuf]) -> Result<Deployment, Problems> {
    if files.is_empty() {
        return Deployment::from_sources([Source::new("deployment.toml", Format::Toml, EMBEDDED)]);
    }
    Deployment::load(files)
}
