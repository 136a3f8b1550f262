use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;

use proptest::prelude::*;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::folder::commit;
use super::format::{decode, encode, folder_name};
use super::*;
use crate::cell::{CellVersion, MAX_VALUE};

fn name(text: &str) -> CellName {
    CellName::try_from(text).unwrap()
}

struct Place {
    _folder: TempDir,
    path: PathBuf,
    cells: FileCells,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/cells");
        let cells = FileCells::create(&path).await.unwrap();
        Self { _folder: folder, path, cells }
    }

    fn of(&self, cell: &CellName, file: &str) -> PathBuf {
        self.path.join(folder_name(cell)).join(file)
    }

    async fn put(&self, cell: &CellName, expected: &Expected, value: &[u8]) -> CellVersion {
        match self.cells.store(cell, expected, value).await.unwrap() {
            StoreOutcome::Applied { version } => version,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_truncation_and_every_changed_or_added_byte_is_corrupt() {
    let cell = name("logs/ledger");
    let (file, version) = encode(&cell, 41, b"{\"epoch\": 7}\n");
    let stored = decode(&cell, &file).unwrap();
    assert_eq!((stored.number, stored.cell.version), (41, version));
    assert_eq!(stored.cell.value, b"{\"epoch\": 7}\n");
    let kind = |bytes: &[u8]| decode(&cell, bytes).map_err(|error| error.kind());
    for end in 0..file.len() {
        assert_eq!(kind(&file[..end]), Err(ErrorKind::Corrupt), "cut at {end}");
    }
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(kind(&changed), Err(ErrorKind::Corrupt), "bit {bit} of byte {at}");
        }
    }
    let longer = [file.as_slice(), b"\n"].concat();
    assert_eq!(kind(&longer), Err(ErrorKind::Corrupt));
}

#[test]
fn the_file_of_another_cell_is_corrupt_not_a_value() {
    let (file, _) = encode(&name("a"), 1, b"x");
    let error = decode(&name("b"), &file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("the file of `a`"), "{error}");
}

#[tokio::test]
async fn a_truncated_file_is_corrupt_for_loads_and_for_stores_and_stays_as_it_is() {
    let place = Place::new().await;
    let cell = name("logs/ledger");
    let version = place.put(&cell, &Expected::Absent, b"value").await;
    let value = place.of(&cell, "value");
    let whole = fs::read(&value).unwrap();
    for end in 0..whole.len() {
        fs::write(&value, &whole[..end]).unwrap();
        let error = place.cells.load(&cell).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Corrupt, Effect::None), "cut at {end}");
        for expected in [Expected::Absent, Expected::Version(version.clone())] {
            let error = place.cells.store(&cell, &expected, b"over it").await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Corrupt, Effect::None), "cut at {end}");
        }
        assert_eq!(fs::read(&value).unwrap(), &whole[..end], "evidence must stay");
    }
    fs::write(&value, vec![b'x'; MAX_VALUE + 10_000]).unwrap();
    assert_eq!(place.cells.load(&cell).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_writer_killed_at_any_byte_before_the_rename_leaves_the_old_value_and_a_cell_that_works() {
    let place = Place::new().await;
    let cell = name("logs/ledger");
    let mut version = place.put(&cell, &Expected::Absent, b"old").await;
    let (killed, _) = encode(&cell, 2, b"by a writer that was killed");
    for end in 0..=killed.len() {
        fs::write(place.of(&cell, "next"), &killed[..end]).unwrap();
        let before = place.cells.load(&cell).await.unwrap().unwrap();
        assert_eq!((before.value.as_slice(), &before.version), (b"old".as_slice(), &version));
        version = place.put(&cell, &Expected::Version(version), b"old").await;
        assert!(!place.of(&cell, "next").exists());
    }
}

#[tokio::test]
async fn a_writer_killed_before_the_first_rename_leaves_a_cell_that_was_never_stored() {
    let place = Place::new().await;
    let cell = name("logs/ledger");
    fs::create_dir(place.path.join(folder_name(&cell))).unwrap();
    assert_eq!(place.cells.load(&cell).await.unwrap(), None);
    fs::write(place.of(&cell, "next"), b"mantissa").unwrap();
    assert_eq!(place.cells.load(&cell).await.unwrap(), None);
    let stale = Expected::Version(CellVersion("1-0".to_owned()));
    assert_eq!(place.cells.store(&cell, &stale, b"x").await.unwrap(), StoreOutcome::Lost);
    place.put(&cell, &Expected::Absent, b"first").await;
}

#[tokio::test]
async fn a_failed_commit_is_unknown_never_lost_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    // There is no `next` to rename.
    let outcome = commit(&File::open(folder.path()).unwrap(), CellVersion("1".to_owned()));
    assert!(matches!(outcome, StoreOutcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_holder_of_the_lock_holds_up_stores_of_its_cell_only_and_no_load() {
    let place = Place::new().await;
    let (held_cell, other) = (name("held"), name("other"));
    let version = place.put(&held_cell, &Expected::Absent, b"value").await;
    let holder = File::open(place.path.join(folder_name(&held_cell))).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();

    let error = place.cells.store(&held_cell, &Expected::Version(version.clone()), b"no").await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert_eq!(place.cells.load(&held_cell).await.unwrap().unwrap().value, b"value");
    place.put(&other, &Expected::Absent, b"goes on").await;

    drop(holder);
    place.put(&held_cell, &Expected::Version(version), b"yes").await;
}

#[tokio::test]
async fn a_missing_folder_is_an_error_never_an_absent_cell() {
    let place = Place::new().await;
    let cell = name("logs/ledger");
    place.put(&cell, &Expected::Absent, b"value").await;
    let aside = place.path.with_file_name("aside");
    fs::rename(&place.path, &aside).unwrap();
    for mount_point_is_left in [false, true] {
        if mount_point_is_left {
            fs::create_dir(&place.path).unwrap();
        }
        let error = place.cells.load(&cell).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let error = place.cells.store(&cell, &Expected::Absent, b"again").await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
        assert_eq!(FileCells::open(&place.path).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    fs::remove_dir(&place.path).unwrap();
    fs::rename(&aside, &place.path).unwrap();
    assert_eq!(place.cells.load(&cell).await.unwrap().unwrap().value, b"value");
}

#[tokio::test]
async fn creating_a_folder_again_keeps_its_cells() {
    let place = Place::new().await;
    place.put(&name("a"), &Expected::Absent, b"value").await;
    let again = FileCells::create(&place.path).await.unwrap();
    assert_eq!(again.load(&name("a")).await.unwrap().unwrap().value, b"value");
}

#[tokio::test]
async fn a_version_from_before_a_backup_was_restored_does_not_match_another_content_after_it() {
    let place = Place::new().await;
    let cell = name("a");
    let first = place.put(&cell, &Expected::Absent, b"one").await;
    let backup = fs::read(place.of(&cell, "value")).unwrap();
    let read_before = place.put(&cell, &Expected::Version(first.clone()), b"two").await;
    fs::write(place.of(&cell, "value"), backup).unwrap();
    place.put(&cell, &Expected::Version(first), b"another two").await;
    let late = place.cells.store(&cell, &Expected::Version(read_before), b"three").await.unwrap();
    assert_eq!(late, StoreOutcome::Lost);
}

#[test]
fn errors_of_the_disk_say_what_to_do() {
    let kind = |code| folder::failed("store a cell", "x", std::io::Error::from_raw_os_error(code)).kind();
    let codes =
        [(13, ErrorKind::PermissionDenied), (30, ErrorKind::PermissionDenied), (28, ErrorKind::Quota)];
    for (code, expected) in codes {
        assert_eq!(kind(code), expected);
    }
    assert_eq!(kind(5), ErrorKind::Unavailable);
}

#[test]
fn names_that_differ_only_in_case_or_in_a_slash_have_folders_that_differ_in_more() {
    let names = ["a/b", "a.b", "a_b", "a-b", "ab", "A/b", "aB", "AB", "a", "a/b/c", "A", "mantissa-mr-cells"];
    let folders: BTreeSet<String> =
        names.iter().map(|text| folder_name(&name(text)).to_lowercase()).collect();
    assert_eq!(folders.len(), names.len());
    let long = ["x".repeat(96), "Y".repeat(96), "z".repeat(96)].join("/");
    assert!(folder_name(&name(&long)).len() < 100);
    assert_ne!(folder_name(&name(&long)), folder_name(&name(&long.to_lowercase())));
}

proptest! {
    #[test]
    fn no_two_names_share_a_folder_where_case_does_not_count(
        one in "[aA0][aA0._-]{0,3}(/[aA0][aA0._-]{0,3}){0,2}",
        two in "[aA0][aA0._-]{0,3}(/[aA0][aA0._-]{0,3}){0,2}",
    ) {
        let folders = [&one, &two].map(|text| folder_name(&name(text)).to_ascii_lowercase());
        prop_assert_eq!(one == two, folders[0] == folders[1]);
    }
}
