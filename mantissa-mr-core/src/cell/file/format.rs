//! What a cell's file holds, and what a cell's folder is called. Both are pure.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::cell::{Cell, CellName, CellVersion, MAX_VALUE};
use crate::deployment::hex;
use crate::error::{Error, ErrorKind, Result};

/// The first word of every cell file, with the version of the format.
const MAGIC: &str = "mantissa-mr-cell/1";

/// A folder's name may have 255 bytes on every file system in use; this leaves room for the ending.
const LONGEST_FOLDER_NAME: usize = 200;

/// One state of a cell, as a file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// How many stores to this cell were applied; the first is number one.
    pub(super) number: u64,
    /// The cell.
    pub(super) cell: Cell,
}

/// The most bytes that a file of this cell can have.
pub(super) fn longest_file(name: &CellName) -> u64 {
    let header = MAGIC.len() + 1 + 64 + 1 + name.as_str().len() + 1 + 20 + 1;
    u64::try_from(header + MAX_VALUE).unwrap_or(u64::MAX)
}

/// The file for a cell's state: a line with the checksum of all that follows, the name, the number, the value.
pub(super) fn encode(name: &CellName, number: u64, value: &[u8]) -> (Vec<u8>, CellVersion) {
    let mut body = format!("{name}\n{number}\n").into_bytes();
    body.extend_from_slice(value);
    let checksum = hex(&Sha256::digest(&body));
    let mut file = format!("{MAGIC} {checksum}\n").into_bytes();
    file.append(&mut body);
    (file, version(number, &checksum))
}

/// Reads a cell's file.
///
/// # Errors
/// `Corrupt` for anything but what [`encode`] made for this name.
pub(super) fn decode(name: &CellName, file: &[u8]) -> Result<Stored> {
    let corrupt = |message: &str| corrupt(name, message);
    let (first, body) = split_line(file).ok_or_else(|| corrupt("it ends within the first line"))?;
    let checksum = hex(&Sha256::digest(body));
    if first != format!("{MAGIC} {checksum}").as_bytes() {
        return Err(corrupt("its content does not match its checksum, or its format is another"));
    }
    // From here on the bytes are what some version of this code wrote.
    let (owner, body) = split_line(body).ok_or_else(|| corrupt("it has no name"))?;
    if owner != name.as_str().as_bytes() {
        return Err(corrupt(&format!("it is the file of `{}`", String::from_utf8_lossy(owner))));
    }
    let (number, value) = split_line(body).ok_or_else(|| corrupt("it has no number"))?;
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<u64>().ok());
    let number = number.ok_or_else(|| corrupt("its number is none"))?;
    Ok(Stored { number, cell: Cell { value: value.to_vec(), version: version(number, &checksum) } })
}

/// The number alone would do in one folder; the checksum keeps apart two that were copied from one another.
fn version(number: u64, checksum: &str) -> CellVersion {
    CellVersion(format!("{number}-{checksum:.16}"))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

pub(super) fn corrupt(name: &CellName, message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read a cell's file", message)
        .on(name)
        .with_advice("something else than mantissa-mr wrote it, or the disk fails: look at the file by hand")
}

/// The folder of a cell: another one for each name, also where case does not count, and never longer than a file
/// system allows.
pub(super) fn folder_name(name: &CellName) -> String {
    let mut folder = String::new();
    for letter in name.as_str().chars() {
        match letter {
            '/' => folder.push('+'),
            'A'..='Z' => folder.extend(['^', letter.to_ascii_lowercase()]),
            other => folder.push(other),
        }
    }
    if folder.len() > LONGEST_FOLDER_NAME {
        folder = format!("={}", hex(&Sha256::digest(name.as_str())));
    }
    // Writing to a string cannot fail.
    let _ = write!(folder, ".cell");
    folder
}
