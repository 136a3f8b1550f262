//! What ARCHITECTURE.md names is there, and every module of the core is named in it.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The public modules of the core.
fn modules() -> Vec<String> {
    let lines = read("mantissa-mr-core/src/lib.rs");
    let names = lines.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

#[test]
fn every_module_of_the_core_has_its_place() {
    let text = read("ARCHITECTURE.md");
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let modules = modules();
    assert!(modules.len() > 20, "{modules:?}");
    let missing: Vec<_> = modules.iter().filter(|name| !words.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?}");
}

#[test]
fn every_path_and_file_that_is_named_exists() {
    let (text, modules) = (read("ARCHITECTURE.md"), modules());
    let quoted: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|word| !word.contains('\n')).collect();
    let mut wrong = Vec::new();
    for word in quoted {
        let there = match word.split_once("::") {
            Some((module, item)) if modules.iter().any(|name| name == module) => {
                read(&format!("mantissa-mr-core/src/{module}.rs")).contains(item)
            }
            // An item of a type: `Ledger::open`.
            Some((_, item)) => {
                modules.iter().any(|module| read(&format!("mantissa-mr-core/src/{module}.rs")).contains(item))
            }
            None if word.ends_with(".rs") || word.ends_with(".md") || word.ends_with(".toml") => {
                ["", "mantissa-mr-core", "mantissa-mr-core/src"]
                    .iter()
                    .any(|at| root().join(at).join(word).is_file())
            }
            None => true,
        };
        if !there {
            wrong.push(word);
        }
    }
    assert!(wrong.is_empty(), "ARCHITECTURE.md names what is not there: {wrong:?}");
}
