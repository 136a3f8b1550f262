//! Replays what is kept of the fuzzer's corpus, with the fuzzer's own targets: `fuzz/README.md` says how both are used.

use std::fs;
use std::path::{Path, PathBuf};

mod targets;

fn kept(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/kept").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_file_that_is_kept_passes_its_target() {
    for (name, _) in targets::TARGETS {
        let files = kept(name);
        assert!(files.len() >= 10, "only {} files are kept for {name}", files.len());
        for file in files {
            println!("{}", file.display());
            targets::run(name, &fs::read(&file).unwrap());
        }
    }
}
