//! Finds a Python and installs pinned packages into a directory of their own.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{install::Install, paths};

/// The pins of the AWS emulator.
const MINISTACK: &str = include_str!("../emulators/ministack.txt");

/// Where to look for a Python, in this order.
const PYTHONS: [&str; 6] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];

/// What this machine lacks to run an emulator. A test that meets it is skipped, see [`or_skip!`].
///
/// [`or_skip!`]: crate::or_skip
#[derive(Clone, Debug, thiserror::Error)]
pub enum Missing {
    /// There is no Python that is new enough.
    #[error("found no Python 3.10 or newer (looked for {}); install one, on Debian: apt install python3 python3-venv", PYTHONS.join(", "))]
    Python,
    /// The Python that was found cannot make a virtual environment.
    #[error("`{python} -m venv` failed; on Debian: apt install python3-venv. It said: {output}")]
    Venv {
        /// The Python that was tried.
        python: String,
        /// The end of what it printed.
        output: String,
    },
    /// The emulator's packages could not be installed.
    #[error(
        "pip could not install the packages of test-support/emulators/ministack.txt; let this machine reach a Python package index once, or set {} to a running emulator. It said: {output}",
        crate::ENDPOINT_VARIABLE
    )]
    Packages {
        /// The end of what it printed.
        output: String,
    },
    /// The directory for emulators, `.emulators` in the workspace's root, cannot be used.
    #[error("cannot write into .emulators at the root of the workspace: {reason}")]
    Directory {
        /// What the system answered.
        reason: String,
    },
}

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Self {
        Self::Directory { reason: error.to_string() }
    }
}

/// Returns the Python that has the AWS emulator's packages, after installing them if need be. A process
/// tries once: what was missing for one test is not looked for again by the next.
pub(crate) fn ministack() -> Result<PathBuf, Missing> {
    static PYTHON: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    PYTHON.get_or_init(|| with_packages(&paths::emulators(), "ministack", MINISTACK)).clone()
}

fn with_packages(home: &Path, name: &str, pins: &str) -> Result<PathBuf, Missing> {
    // The interpreter in a virtual environment is a link to the one that made it, which may be gone by now.
    let intact = |dir: &Path| dir.join("bin/python").exists();
    let dir = Install { home, name, pins }.once(intact, |dir| build(dir, pins))?;
    Ok(dir.join("bin/python"))
}

fn build(dir: &Path, pins: &str) -> Result<(), Missing> {
    let python = find()?;
    run(Command::new(python).args(["-I", "-m", "venv"]).arg(dir))
        .map_err(|output| Missing::Venv { python: python.to_owned(), output })?;
    let list = dir.join("requirements.txt");
    std::fs::write(&list, pins)?;
    // The list is complete: a package that it does not name must not slip in.
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args([
        "-I",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--disable-pip-version-check",
    ]);
    run(pip.arg("--requirement").arg(&list)).map_err(|output| Missing::Packages { output })
}

/// The first Python that is new enough for the emulator.
fn find() -> Result<&'static str, Missing> {
    let new_enough = |python: &&&str| {
        run(Command::new(python).args(["-I", "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]))
            .is_ok()
    };
    PYTHONS.iter().find(new_enough).copied().ok_or(Missing::Python)
}

/// Runs a command to its end; if it failed, returns the end of what it printed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(last_lines(&String::from_utf8_lossy(&text), 3))
}

/// The last lines of a text, for messages.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the promise that every package has its exact version in the committed list.
    #[test]
    fn every_package_is_pinned() {
        let packages: Vec<_> = MINISTACK.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(packages.contains(&"ministack==1.5.33"));
        assert!(packages.iter().any(|line| line.starts_with("cbor2==")), "CloudWatch speaks CBOR");
        for package in packages {
            assert_eq!(package.split("==").count(), 2, "{package}");
        }
    }

    /// Protects the reason that a skipped test gives: it must name what failed and what to do.
    #[test]
    fn a_failing_installation_says_why() {
        let home = tempfile::tempdir().unwrap();
        let error = with_packages(home.path(), "broken", "no such thing ==").unwrap_err();
        if matches!(error, Missing::Python | Missing::Venv { .. }) {
            crate::skip!("{error}");
        }
        let error = error.to_string();
        assert!(error.contains("pip could not install"), "{error}");
        assert!(error.contains("no such thing"), "{error}");
        assert!(!home.path().join("broken").exists());
    }
}
