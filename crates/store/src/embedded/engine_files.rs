//! Manifests and `SSTables` of the engine, verified against their checksums before the engine opens them.
//!
//! The manifest names the `SSTables` in use; a table of contents at the end of each `SSTable` says
//! where its parts lie. The engine never verifies the checksum of the manifest. It verifies that of
//! a table of contents only after it has allocated the memory that the table of contents demands. A
//! damaged one makes it remove `SSTables` as leftovers, or aborts the process for want of memory.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use super::{
    error::{Damage, OpenError},
    open_guard::entries,
};

/// How the trailer of an `SSTable` begins: magic, version, kind of checksum. The checksum, the position and
/// the length of the table of contents follow.
const TRAILER: &[u8] = b"SFA!\x01\x00";

const TRAILER_BYTES: u64 = 38;

/// How a table of contents begins.
const TABLE_OF_CONTENTS: &[u8] = b"TOC!";

/// Fails if a manifest or a table of contents in `home` differs from its checksum.
pub(super) fn verify(home: &Path) -> Result<(), OpenError> {
    match first_damaged(home).map_err(OpenError::in_file(home))? {
        None => Ok(()),
        Some(file) => Err(Damage::EngineFile(file).into()),
    }
}

fn first_damaged(home: &Path) -> io::Result<Option<PathBuf>> {
    for keyspace in entries(&home.join("keyspaces"))? {
        let keyspace = keyspace?.path();
        // Manifests first: a damaged one says nothing reliable about the SSTables.
        if !manifest_is_intact(&keyspace)? {
            return Ok(Some(keyspace.join("current")));
        }
        for table in entries(&keyspace.join("tables"))? {
            let table = table?.path();
            if !table_of_contents_is_intact(&File::open(&table)?)? {
                return Ok(Some(table));
            }
        }
    }
    Ok(None)
}

/// Whether the file `current` names a manifest with the checksum that stands beside the name.
fn manifest_is_intact(keyspace: &Path) -> io::Result<bool> {
    let current = read_or_empty(&keyspace.join("current"))?;
    // A missing or short file counts as damaged: without it the engine takes SSTables for leftovers.
    let Some((number, checksum)) = current.split_first_chunk() else {
        return Ok(false);
    };
    let manifest = keyspace.join(format!("v{}", u64::from_le_bytes(*number)));
    // A missing manifest reads as empty, whose checksum differs.
    let manifest = read_or_empty(&manifest)?;
    Ok(checksum.starts_with(&xxh3_128(&manifest).to_le_bytes()))
}

/// The bytes of a file; none, where there is no such file.
fn read_or_empty(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        bytes => bytes,
    }
}

/// Whether the table of contents of an `SSTable`, if it has one, matches its checksum. An unfinished `SSTable`
/// has none: the engine removes it, and reports it if the manifest names it.
fn table_of_contents_is_intact(table: &File) -> io::Result<bool> {
    let end = table.metadata()?.len().saturating_sub(TRAILER_BYTES);
    // Saturating: a file shorter than a trailer has none, and is not read past its ends.
    let Some((checksum, position)) = parse_trailer(&read_from(table, end, TRAILER_BYTES)?) else {
        return Ok(true);
    };
    let contents = read_from(table, position, end.saturating_sub(position))?;
    // Anything that does not begin like a table of contents is left to the engine.
    Ok(!contents.starts_with(TABLE_OF_CONTENTS) || xxh3_128(&contents) == checksum)
}

/// Checksum and position of the table of contents.
fn parse_trailer(trailer: &[u8]) -> Option<(u128, u64)> {
    let (checksum, rest) = trailer.strip_prefix(TRAILER)?.split_first_chunk()?;
    let (position, _) = rest.split_first_chunk()?;
    Some((
        u128::from_le_bytes(*checksum),
        u64::from_le_bytes(*position),
    ))
}

/// At most `count` bytes from a position. Memory grows with what is read, never with what a damaged length
/// demands.
fn read_from(mut file: &File, position: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(position))?;
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}
