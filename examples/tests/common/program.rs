//! The program of an example, for the tests that run it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The example's program: `cargo test` builds it beside the test, unless it is told to build that test only. Built here
/// if it is not there, or older than what it is made of.
pub(crate) fn program(example: &str) -> PathBuf {
    // target/<profile>/deps/<test>-<hash> -> target/<profile>
    let test = std::env::current_exe().expect("a test has a file");
    let profile = test.parent().and_then(Path::parent).expect("a test is built into target/<profile>/deps");
    let program = profile.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [example, &format!("{example}.rs"), "../mantissa-mr-core/src", "../mantissa-mr-aws/src"];
    let sources = sources.map(|path| here.join(path));
    if changed(&program).is_none_or(|built| sources.iter().any(|source| newest(source) > Some(built))) {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--example", example]);
        build.arg("--target-dir").arg(profile.parent().expect("target/<profile>"));
        match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => {}
            Some(name) => _ = build.args(["--profile", name]),
        }
        assert!(build.status().expect("cargo runs").success(), "the example {example} cannot be built");
    }
    program
}

fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|data| data.modified()).ok()
}

/// When a file was changed, or the newest one under a folder.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return changed(path);
    }
    std::fs::read_dir(path).ok()?.filter_map(|entry| newest(&entry.ok()?.path())).max()
}
