//! Each folder in `tests/config` is a case: files, and in `expected.txt` what comes of them, the deployment with its
//! warnings or all the problems (`bad-*`). The files are loaded in the order of their names, or as `files.txt` lists them.
//!
//! `UPDATE_EXPECTED=1 cargo test --test config` writes what comes of them now: read the difference before you keep it.

use std::fs;
use std::path::{Path, PathBuf};

use mantissa_mr_core::config::{Format, Source};
use mantissa_mr_core::deployment::Deployment;
use mantissa_mr_core::problem::Problems;

const EXPECTED: &str = "expected.txt";
const FILES: &str = "files.txt";

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn files(folder: &Path) -> Vec<PathBuf> {
    if let Ok(list) = fs::read_to_string(folder.join(FILES)) {
        return list.lines().map(|line| folder.join(line)).collect();
    }
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_none_or(|name| name != EXPECTED))
        .collect();
    files.sort();
    files
}

fn outcome(loaded: Result<Deployment, Problems>, folder: &Path) -> String {
    let text = match loaded {
        Ok(deployment) => {
            let mut text = toml::to_string(deployment.spec()).unwrap();
            for warning in deployment.warnings() {
                text.push_str(&format!("# warning: {warning}\n"));
            }
            text
        }
        Err(problems) => format!("{problems}\n"),
    };
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn every_folder_gives_the_deployment_or_the_problems_that_it_expects() {
    let mut differences = Vec::new();
    let folders = folders();
    assert!(folders.len() >= 30, "only {} cases: is the folder there?", folders.len());
    for folder in folders {
        let loaded = Deployment::load(files(&folder));
        let is_bad = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bad-"));
        assert_eq!(loaded.is_err(), is_bad, "{}: {loaded:?}", folder.display());
        let now = outcome(loaded, &folder);
        let file = folder.join(EXPECTED);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&file, &now).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if now != expected {
            differences.push(format!("{}\nexpected:\n{expected}\nnow:\n{now}", folder.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The cases from the files whose format is known and which can be read.
fn sources(folder: &Path) -> Vec<Source> {
    let read = |path: PathBuf| {
        let format = Format::of(&path)?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(Source::new(name, format, fs::read_to_string(&path).ok()?))
    };
    files(folder).into_iter().filter_map(read).collect()
}

#[test]
fn wherever_a_file_is_cut_off_loading_says_so_and_where_and_never_shows_a_secret() {
    const SECRET: &str = "hunter2";
    let is_good = |folder: &PathBuf| Deployment::load(files(folder)).is_ok();
    let mut failed = 0;
    for folder in folders().into_iter().filter(is_good) {
        let whole = sources(&folder);
        for (index, source) in whole.iter().enumerate() {
            let secret = match source.format {
                Format::Tfvars => format!("db_password = \"{SECRET}\"\n"),
                Format::Toml => format!("# {SECRET}\n"),
                Format::Json | Format::TfvarsJson => String::new(),
            };
            let text = secret + &source.text;
            for (cut, _) in text.char_indices().step_by(5) {
                let mut sources = whole.clone();
                sources[index].text = text[..cut].to_owned();
                let Err(problems) = Deployment::from_sources(&sources) else { continue };
                failed += 1;
                let said = problems.to_string();
                assert!(!said.contains(SECRET), "{said}");
                for problem in problems.as_slice() {
                    assert!(!problem.message.is_empty(), "{problem:?}");
                    let is_syntax = problem.message.starts_with("syntax:");
                    let position = problem.location.as_ref().and_then(|location| location.position);
                    assert!(!is_syntax || position.is_some(), "{} cut at {cut}: {problem}", source.name);
                }
            }
        }
    }
    assert!(failed > 1_000, "only {failed} of the cut files were refused");
}

#[test]
fn what_was_loaded_is_loaded_again_from_what_it_is_written_as() {
    let mut loaded = 0;
    for folder in folders() {
        let Ok(deployment) = Deployment::load(files(&folder)) else { continue };
        loaded += 1;
        let spec = deployment.spec();
        let texts = [
            (Format::Toml, toml::to_string(spec).unwrap()),
            (Format::Json, serde_json::to_string_pretty(spec).unwrap()),
        ];
        for (format, text) in texts {
            let again = Deployment::from_sources([Source::new("again", format, &text)]);
            assert_eq!(again.as_ref().map(Deployment::spec), Ok(spec), "{text}");
        }
    }
    assert!(loaded >= 5, "only {loaded} cases load");
}
