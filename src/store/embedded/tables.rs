//! The engine's tables and lists of tables, held against their checksums before it opens them.
//!
//! Which tables there are stands in a list, and what is in a table in a directory at its end. The
//! engine never looks at the checksum of a list, and at that of a directory only after it has asked for
//! as much memory as the directory says. Damaged ones make it take tables for leftovers and remove
//! them, or end the process on the spot for want of memory. So it is not given any.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use super::{cannot_open, kept::entries};
use crate::store::StoreError;

/// What the trailer of a table begins with: its name, its version, the kind of checksum. After it come
/// the checksum of the directory, its place and its length.
const TRAILER: &[u8] = b"SFA!\x01\x00";

/// Bytes of a trailer.
const TRAILER_BYTES: u64 = 38;

/// What a directory begins with.
const DIRECTORY: &[u8] = b"TOC!";

/// Fails if a list or a directory in `home` is not what its checksum says.
pub(super) fn refuse_if_damaged(home: &Path) -> Result<(), StoreError> {
    match first_damaged(home).map_err(cannot_open)? {
        None => Ok(()),
        Some(file) => Err(cannot_open(format_args!("{} is damaged", file.display()))),
    }
}

fn first_damaged(home: &Path) -> io::Result<Option<PathBuf>> {
    for keyspace in entries(&home.join("keyspaces"))? {
        let keyspace = keyspace?.path();
        if !list_is_whole(&keyspace)? {
            return Ok(Some(keyspace.join("current")));
        }
        for table in entries(&keyspace.join("tables"))? {
            let table = table?.path();
            if !directory_is_whole(&File::open(&table)?)? {
                return Ok(Some(table));
            }
        }
    }
    Ok(None)
}

/// Whether there is a list that is in force, and it is what its checksum says.
fn list_is_whole(keyspace: &Path) -> io::Result<bool> {
    let current = read_if_there(&keyspace.join("current"))?;
    let Some((number, checksum)) = current.split_first_chunk() else {
        return Ok(false);
    };
    let list = read_if_there(&keyspace.join(format!("v{}", u64::from_le_bytes(*number))))?;
    Ok(checksum.starts_with(&xxh3_128(&list).to_le_bytes()))
}

fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        bytes => bytes,
    }
}

/// Whether the directory of a table, if there is one, is what its checksum says. A table that was never
/// finished has none: the engine removes it, and tells if it should be there.
fn directory_is_whole(table: &File) -> io::Result<bool> {
    let end = table.metadata()?.len().saturating_sub(TRAILER_BYTES);
    let Some((checksum, place)) = parse(&read_from(table, end, TRAILER_BYTES)?) else {
        return Ok(true);
    };
    let directory = read_from(table, place, end.saturating_sub(place))?;
    Ok(!directory.starts_with(DIRECTORY) || xxh3_128(&directory) == checksum)
}

/// Checksum and place of the directory, as a trailer has them.
fn parse(trailer: &[u8]) -> Option<(u128, u64)> {
    let (checksum, rest) = trailer.strip_prefix(TRAILER)?.split_first_chunk()?;
    let (place, _) = rest.split_first_chunk()?;
    Some((u128::from_le_bytes(*checksum), u64::from_le_bytes(*place)))
}

/// So many bytes from a place, or as many as there are.
fn read_from(file: &File, place: u64, count: u64) -> io::Result<Vec<u8>> {
    let (mut file, mut bytes) = (file, Vec::new());
    file.seek(SeekFrom::Start(place))?;
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}
