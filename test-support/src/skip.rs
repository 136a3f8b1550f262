//! Tests that cannot run here: counted, named, and never passed silently.

use std::{
    any::type_name,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::paths;

/// The environment variable that names the file in which skips are counted.
const FILE_VARIABLE: &str = "MANTISSA_MR_SKIPS";

/// Ends the calling test as skipped, for the reason given like to [`format!`].
///
/// For tests that return nothing. See [`skipped`] for what becomes of it.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        fn here() {}
        $crate::skipped(&$crate::test_name(here), format!($($reason)+));
        return;
    }};
}

/// Unwraps the result of starting an [`Emulator`](crate::Emulator). If the machine lacks something the
/// calling test is [skipped](skip!); if something failed it panics.
#[macro_export]
macro_rules! or_skip {
    ($started:expr) => {
        match $started {
            Ok(started) => started,
            Err(error) => match error.into_missing() {
                Ok(missing) => $crate::skip!("{missing}"),
                Err(failure) => panic!("{failure}"),
            },
        }
    };
}

/// Counts a test as skipped.
///
/// The reason goes to standard error, past the capture of the test harness, and with the test's name into
/// a file (the one that `MANTISSA_MR_SKIPS` names, or `.emulators/skipped`), from which `.ci/run` prints
/// its summary.
///
/// # Panics
///
/// Where the environment says `CI=true`, if the test is not listed in `.ci/allowed-skips`.
pub fn skipped(test: &str, reason: impl fmt::Display) {
    let line = line(test, &reason.to_string());
    // Not `eprintln!`, which the harness would swallow, as the test passes; and in one write, as it writes too.
    let loud = format!("\nSKIPPED {}\n", line.replacen('\t', ": ", 1));
    let _ = io::stderr().write_all(loud.as_bytes());
    if let Err(error) = record(&file(), &line) {
        panic!("{test} is skipped, and cannot be counted in {}: {error}", file().display());
    }
    let allowed = fs::read_to_string(paths::workspace().join(".ci/allowed-skips")).unwrap_or_default();
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci || is_allowed(&allowed, test), "must not be skipped here: {line}\nsee .ci/allowed-skips");
}

/// The path of the function that `here` was declared in.
#[doc(hidden)]
pub fn test_name<F>(_here: F) -> String {
    let path = type_name::<F>().replace("::{{closure}}", "");
    path.strip_suffix("::here").unwrap_or(&path).to_owned()
}

fn file() -> PathBuf {
    std::env::var_os(FILE_VARIABLE).map_or_else(|| paths::emulators().join("skipped"), PathBuf::from)
}

/// The test, a tab and the reason, all in one line.
fn line(test: &str, reason: &str) -> String {
    format!("{test}\t{}", reason.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Appends in one write, so that the lines of processes that do it at the same time do not mix.
fn record(file: &Path, line: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file: File = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// Whether the list has the test: one name a line, `#` begins a comment.
fn is_allowed(list: &str, test: &str) -> bool {
    list.lines().any(|line| line.split('#').next().unwrap_or_default().trim() == test)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the summary: a skip must be found under the test's own name, in async tests too.
    #[test]
    fn a_skip_bears_the_name_of_its_test() {
        const NAME: &str = "test_support::skip::tests::a_skip_bears_the_name_of_its_test";
        fn here() {}
        assert_eq!(test_name(here), NAME);
        let in_a_closure = || {
            fn here() {}
            test_name(here)
        };
        assert_eq!(in_a_closure(), NAME);
    }

    /// Protects the count: each skip is one line, whatever its reason looks like.
    #[test]
    fn each_skip_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/skips");
        record(&file, &line("a::test", "two\nlines\tand a tab")).unwrap();
        record(&file, &line("b::test", "short")).unwrap();
        let expected = "a::test\ttwo lines and a tab\nb::test\tshort\n";
        assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    }

    /// Protects against a list that allows more than it names.
    #[test]
    fn only_a_listed_name_is_allowed() {
        let list = "# why\na::test  # no network there\n";
        assert!(is_allowed(list, "a::test"));
        for other in ["a", "a::test2", "b::a::test", "# why", "why"] {
            assert!(!is_allowed(list, other), "{other}");
        }
    }
}
