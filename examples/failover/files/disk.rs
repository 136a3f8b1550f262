//! Files that a process can be killed over at any byte.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use mantissa_mr_core::error::{Effect, Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LOOKS: u32 = 600;

/// Takes the lock, which the kernel gives back when the file is dropped or its process dies.
pub(super) fn lock(path: &Path, operation: &str) -> Result<File> {
    let failed = |error| failed(operation, path, error);
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    for _ in 0..LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => sleep(LOOK_AGAIN),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    let message = format!("another process has held the lock {} for three seconds", path.display());
    Err(Error::new(ErrorKind::Unavailable, operation, message).with_effect(Effect::None))
}

pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| failed("make a folder", path, error))
}

/// Replaces a file whole or not at all. The caller has the world's lock.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let next = path.with_added_extension("next");
    let written = fs::write(&next, bytes).and_then(|()| fs::rename(&next, path));
    written.map_err(|error| failed("write a file", path, error))
}

pub(super) fn replace_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write a file", error.to_string()))?;
    bytes.push(b'\n');
    replace(path, &bytes)
}

pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read a file", path, error)),
    }
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    read(path)?.map(|bytes| parse(path, &bytes)).transpose()
}

pub(super) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "read a file", error.to_string())
            .on(path.display())
            .with_advice("it was changed by something else than mantissa-mr: mend it, or make a new world")
    })
}

/// The names in a folder, in order; none if it is not there.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let failed = |error| failed("read a folder", path, error);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The lines of a log. A last line without an end was being written when its writer was killed: it is not there.
pub(super) fn lines(path: &Path) -> Result<Vec<Vec<u8>>> {
    let bytes = read(path)?.unwrap_or_default();
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.pop();
    Ok(lines)
}

/// Appends lines to a log, in the place of one that was not finished.
pub(super) fn append(path: &Path, lines: &[Vec<u8>]) -> Result<()> {
    let failed = |error| failed("append to a log", path, error);
    let whole = read(path)?.unwrap_or_default();
    let end = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    if end < whole.len() {
        file.set_len(end as u64).map_err(failed)?;
    }
    let mut bytes = lines.join(&b'\n');
    bytes.push(b'\n');
    file.write_all(&bytes).map_err(failed)
}

pub(super) fn failed(operation: &str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Quota,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, operation, error.to_string()).on(path.display())
}
