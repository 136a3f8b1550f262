//! The file system's part, which blocks. The argument for its correctness is in the parent module.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, mkdirat, openat, renameat, statat};
use rustix::io::Errno;

use super::format::{Stored, corrupt, decode, encode, folder_name, longest_file};
use crate::cell::{Cell, CellName, CellVersion, Expected, StoreOutcome};
use crate::error::{Effect, Error, ErrorKind, Result};

/// Marks a folder of cells; only that it is there counts. Cells' own folders all end in `.cell`.
const MARKER: &str = "mantissa-mr-cells";
const MARKER_TEXT: &[u8] =
    b"The folders beside this file are cells of mantissa-mr: the ledger and its journal.\n\
    Each `value` can be read; change or delete nothing.\n";
/// A cell as it is, and as it is being written, within its folder.
const VALUE: &str = "value";
const NEXT: &str = "next";

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);
const READ_FOLDER: OFlags = READ.union(OFlags::DIRECTORY);
const OVERWRITE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::TRUNC).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// A folder of cells, by its absolute path.
pub(super) struct Folder(PathBuf);

/// One look at a cell's lock.
#[derive(Debug, PartialEq)]
pub(super) enum Attempt {
    /// Somebody else holds it; nothing was done.
    Busy,
    /// It was ours.
    Done(StoreOutcome),
}

impl Folder {
    /// Makes the folder, unless it is there.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let failed = |error| failed("create a folder for cells", path.display(), error);
        let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let made = path.ancestors().take_while(missing).count();
        fs::create_dir_all(&path).map_err(failed)?;
        let absolute = fs::canonicalize(&path).map_err(failed)?;
        mark(&absolute, made).map_err(failed)?;
        Ok(Self(absolute))
    }

    /// Opens a folder that was made.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let operation = "open a folder of cells";
        let gone = |error| {
            let advice =
                "check the path and whether its disk is mounted; `FileCells::create` makes a new one";
            Error::new(ErrorKind::NotFound, operation, "it is no folder of cells")
                .on(path.display())
                .with_advice(advice)
                .with_source(error)
        };
        let describe = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => gone(error),
            _ => failed(operation, path.display(), error),
        };
        let folder = Self(fs::canonicalize(&path).map_err(describe)?);
        folder.enter().map_err(describe)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Opens the folder and sees that it is still one of cells: where it is missing, no cell may be called absent.
    fn enter(&self) -> io::Result<File> {
        let root = File::open(&self.0)?;
        statat(&root, MARKER, AtFlags::empty())?;
        Ok(root)
    }

    /// Reads a cell, without any lock.
    pub(super) fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        let failed = |error| failed("load a cell", name, error);
        let root = self.enter().map_err(failed)?;
        let Some(folder) = open_if_there(&root, &folder_name(name), READ_FOLDER).map_err(failed)? else {
            return Ok(None);
        };
        let stored = read(&folder, name).map_err(failed)?.transpose()?;
        // Whoever renamed it into place may have been killed before it made the rename durable.
        folder.sync_all().map_err(failed)?;
        Ok(stored.map(|stored| stored.cell))
    }

    /// Writes a cell if its lock is free and it is in the expected state.
    pub(super) fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<Attempt> {
        let failed = |error| failed("store a cell", name, error);
        let root = self.enter().map_err(failed)?;
        let Some(folder) = open_to_store(&root, name, expected).map_err(failed)? else {
            return Ok(Attempt::Done(StoreOutcome::Lost));
        };
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(Attempt::Busy),
            other => other.map_err(|errno| failed(errno.into()))?,
        }
        let current = read(&folder, name).map_err(failed)?.transpose()?;
        if !expected.holds(current.as_ref().map(|stored| &stored.cell.version)) {
            return Ok(Attempt::Done(StoreOutcome::Lost));
        }
        if current.is_none() {
            // Before the first value can be seen, the folder that it is in must be there to stay.
            root.sync_all().map_err(failed)?;
        }
        let number = current.map_or(0, |stored| stored.number).checked_add(1);
        let number = number.ok_or_else(|| corrupt(name, "its number is the last that there is"))?;
        let (file, version) = encode(name, number, value);
        prepare(&folder, &file).map_err(failed)?;
        // Dropping the folder afterwards gives the lock back.
        Ok(Attempt::Done(commit(&folder, version)))
    }
}

/// Puts the marker into a folder, after it and the parents that were made are there to stay.
fn mark(folder: &Path, made: usize) -> io::Result<()> {
    let root = File::open(folder)?;
    if statat(&root, MARKER, AtFlags::empty()).is_err() {
        // At least one: a process that was killed here may have made it.
        for parent in folder.ancestors().skip(1).take(made.max(1)) {
            File::open(parent)?.sync_all()?;
        }
        let mut marker = File::from(openat(&root, MARKER, OVERWRITE, Mode::from_raw_mode(0o644))?);
        marker.write_all(MARKER_TEXT)?;
        marker.sync_all()?;
    }
    root.sync_all()
}

/// Opens a cell's folder, and makes it first where the cell may be created; `None` if the store is lost already.
fn open_to_store(root: &File, name: &CellName, expected: &Expected) -> io::Result<Option<File>> {
    let folder = folder_name(name);
    if *expected == Expected::Absent {
        match mkdirat(root, &folder, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    open_if_there(root, &folder, READ_FOLDER)
}

fn open_if_there(folder: &File, name: &str, flags: OFlags) -> io::Result<Option<File>> {
    match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// What a cell's folder holds: an error of the file system, nothing, or what [`decode`] says of it.
fn read(folder: &File, name: &CellName) -> io::Result<Option<Result<Stored>>> {
    let Some(file) = open_if_there(folder, VALUE, READ)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let longest = longest_file(name);
    let length = file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(length).is_ok_and(|length| length <= longest) {
        Ok(Some(decode(name, &bytes)))
    } else {
        Ok(Some(Err(corrupt(name, "it is longer than any cell can be"))))
    }
}

/// Writes what is to become the value, whole and durable, under the lock.
fn prepare(folder: &File, bytes: &[u8]) -> io::Result<()> {
    let mut next = File::from(openat(folder, NEXT, OVERWRITE, Mode::from_raw_mode(0o644))?);
    next.write_all(bytes)?;
    next.sync_all()
}

/// Makes it the value. After an error nobody knows whether it is, or will be once the power was off.
pub(super) fn commit(folder: &File, version: CellVersion) -> StoreOutcome {
    let renamed = renameat(folder, NEXT, folder, VALUE).map_err(io::Error::from);
    match renamed.and_then(|()| folder.sync_all()) {
        Ok(()) => StoreOutcome::Applied { version },
        Err(error) => {
            StoreOutcome::Unknown { why: format!("renaming the file or syncing it failed: {error}") }
        }
    }
}

/// An error of the file system before the commit point: nothing was changed.
pub(super) fn failed(operation: &'static str, on: impl std::fmt::Display, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, advice) = match error.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => {
            (ErrorKind::PermissionDenied, "let this user read and write the folder and all in it")
        }
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => {
            (ErrorKind::Quota, "make room on the folder's disk")
        }
        Io::NotFound => (ErrorKind::Unavailable, "the folder of cells is gone: is its disk still mounted?"),
        _ => (ErrorKind::Unavailable, "look at the folder's disk"),
    };
    Error::new(kind, operation, error.to_string())
        .with_effect(Effect::None)
        .on(on)
        .with_advice(advice)
        .with_source(error)
}
