//! Replays what is kept of the fuzzer's corpus, with the fuzzer's own target: `fuzz/README.md` says how both are used.

use std::fs;
use std::path::{Path, PathBuf};

mod targets;

fn kept() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/kept/aws_answers");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_file_that_is_kept_passes_its_target() {
    let files = kept();
    assert!(files.len() >= 12, "only {} files are kept", files.len());
    for file in files {
        println!("{}", file.display());
        targets::aws_answers(&fs::read(&file).unwrap());
    }
}

/// Protects the target: were the answers not asked for, or not understood, it would look at nothing.
#[test]
fn sound_answers_are_read() {
    let mut read = Vec::new();
    for file in kept() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("sound-")
            && targets::told(&fs::read(&file).unwrap()).iter().any(|told| told.is_ok())
        {
            read.push(name);
        }
    }
    let wanted = ["sound-capacity", "sound-cell", "sound-check", "sound-item", "sound-list", "sound-status"];
    assert_eq!(read, wanted);
}
