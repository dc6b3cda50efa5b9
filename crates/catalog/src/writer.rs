//! Writing a catalogue folder: under a temporary name, and exchanged with its destination in one step when
//! it is complete.

mod shards;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;
use tempfile::TempDir;

use super::{
    RULES_FILE,
    feed::{AVAILABILITY, Feed, MERCHANTS, SERVICES},
    source_feeds::{FeedRecord, RecordKind},
};
use shards::FeedWriter;

/// Name of the manifest. Only a folder with a manifest may be replaced.
pub(super) const MANIFEST: &str = "export.json";

/// The compression of the files of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileCompression {
    /// Plain JSON.
    None,
    /// Gzip, with `.gz` at the end of the name.
    Gzip,
}

/// Compression and size of the files of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedFileOptions {
    /// The compression.
    pub compression: FileCompression,
    /// Most bytes of a file, before it is zipped.
    pub max_bytes: u64,
}

impl FeedFileOptions {
    /// Files as Google takes them: no larger than 200 MB.
    #[must_use]
    pub fn for_google(compression: FileCompression) -> Self {
        Self {
            compression,
            max_bytes: 200_000_000,
        }
    }
}

/// Why a folder cannot be written. The previous export, if any, is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system reported an error.
    #[error("{} cannot be written: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The destination has files that must not be replaced.
    #[error("{} is not replaced, because of {name:?} in it: {why}", out.display())]
    Foreign {
        /// The folder.
        out: PathBuf,
        /// The name of the entry.
        name: String,
        /// The reason.
        why: &'static str,
    },
    /// A feed exceeds the number of files that Google accepts.
    #[error("the {feed} feed is longer than {most} files of {max_bytes} bytes")]
    TooLong {
        /// The feed.
        feed: &'static str,
        /// Most files of a feed.
        most: usize,
        /// Most bytes of a file.
        max_bytes: u64,
    },
    /// A single element exceeds the size of a file.
    #[error("an element of the {feed} feed does not fit into a file of {max_bytes} bytes")]
    TooLarge {
        /// The feed.
        feed: &'static str,
        /// Most bytes of a file.
        max_bytes: u64,
    },
}

impl WriteError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}

/// A summary of the export; also the contents of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The time of the export.
    pub generation_timestamp: i64,
    /// Elements of the merchant feed.
    pub merchants: u64,
    /// Elements of the service feed.
    pub services: u64,
    /// Elements of the availability feed.
    pub availability: u64,
    /// The files of the feeds.
    pub files: Vec<String>,
}

/// A catalogue folder that is being written. If it is dropped before it is finished, nothing remains.
#[derive(Debug)]
pub struct FolderWriter {
    /// The destination.
    out: PathBuf,
    /// The temporary folder, in the parent of the destination.
    dir: TempDir,
    shape: FeedFileOptions,
    merchants: FeedWriter,
    services: FeedWriter,
    availability: FeedWriter,
}

impl FolderWriter {
    /// Begins an export to `out`, which must be absent, empty or an earlier export.
    ///
    /// # Errors
    /// [`WriteError`]; also where it can be seen beforehand that it could not be put there.
    pub fn begin(out: &Path, shape: FeedFileOptions) -> Result<Self, WriteError> {
        let out = place_of(out)?;
        // Before the export, which would otherwise fail at its end only.
        reject_foreign(&out)?;
        // In the same folder, because a rename works within one file system only.
        let parent = out.parent().unwrap_or(Path::new("/"));
        // `tempfile` makes folders for their owner only; an export is read by others. The umask still
        // applies.
        let readable = fs::Permissions::from_mode(0o777);
        let dir = tempfile::Builder::new()
            .prefix(".export-")
            .permissions(readable)
            .tempdir_in(parent);
        let dir = dir.map_err(WriteError::at(&out))?;
        let feed = |feed: &'static Feed| FeedWriter::begin(feed, dir.path(), shape.max_bytes);
        let (merchants, services, availability) =
            (feed(&MERCHANTS)?, feed(&SERVICES)?, feed(&AVAILABILITY)?);
        Ok(Self {
            out,
            dir,
            shape,
            merchants,
            services,
            availability,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing can come of it.
    pub fn put(&mut self, piece: &FeedRecord<'_>) -> Result<(), WriteError> {
        match piece.kind {
            RecordKind::Merchant => self.merchants.put(&piece.text),
            RecordKind::Service => self.services.put(&piece.text),
            RecordKind::Availability => self.availability.put(&piece.text),
            RecordKind::Rules => self.write(RULES_FILE, piece.text.as_bytes()),
        }
    }

    /// Exchanges the export with the destination, stamped with that second, and removes the previous
    /// export.
    ///
    /// # Errors
    /// [`WriteError`]; then what was there before still is.
    pub fn finish(self, generation_timestamp: i64) -> Result<Written, WriteError> {
        let counts =
            [&self.merchants, &self.services, &self.availability].map(FeedWriter::elements);
        let Self {
            out,
            dir,
            shape,
            merchants,
            services,
            availability,
        } = self;
        let mut files = Vec::new();
        for feed in [merchants, services, availability] {
            files.extend(feed.finish(generation_timestamp, shape.compression)?);
        }
        let [merchants, services, availability] = counts;
        let written = Written {
            generation_timestamp,
            merchants,
            services,
            availability,
            files,
        };
        let path = dir.path().join(MANIFEST);
        let manifest = serde_json::to_vec_pretty(&written)
            .map_err(|error| WriteError::at(&path)(error.into()))?;
        // The manifest comes last: a folder with one is complete.
        write(&path, &manifest)?;
        // Before the rename: after a crash, the new name must not lead to files that were never written.
        sync(dir.path())?;
        put_in_place(dir, &out)?;
        Ok(written)
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), WriteError> {
        write(&self.dir.path().join(name), text)
    }
}

/// The absolute path of the destination, whether or not it exists.
fn place_of(out: &Path) -> Result<PathBuf, WriteError> {
    let at = WriteError::at(out);
    match (fs::canonicalize(out), out.parent(), out.file_name()) {
        (Ok(place), ..) => Ok(place),
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            fs::canonicalize(parent)
                .map(|parent| parent.join(name))
                .map_err(at)
        }
        (Err(error), ..) => Err(at(error)),
    }
}

/// Rejects a destination with files that no export writes, or without a manifest.
fn reject_foreign(out: &Path) -> Result<(), WriteError> {
    let names = match names_in(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(WriteError::at(out))?,
    };
    let feeds = [&MERCHANTS, &SERVICES, &AVAILABILITY];
    let ours = |name: &str| {
        name == MANIFEST || name == RULES_FILE || feeds.iter().any(|feed| feed.has(name))
    };
    let is_export = names.iter().any(|name| name == MANIFEST);
    let foreign = |name: &String, why| WriteError::Foreign {
        out: out.to_owned(),
        name: name.clone(),
        why,
    };
    if let Some(name) = names.iter().find(|name| !ours(name)) {
        return Err(foreign(name, "an export has no such file"));
    }
    match names.first() {
        Some(name) if !is_export => Err(foreign(
            name,
            "no export has written it, as there is no export.json",
        )),
        Some(_) | None => Ok(()),
    }
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let name =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    fs::read_dir(dir)?.map(name).collect()
}

fn write(path: &Path, text: &[u8]) -> Result<(), WriteError> {
    fs::write(path, text).map_err(WriteError::at(path))?;
    sync(path)
}

fn sync(path: &Path) -> Result<(), WriteError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(WriteError::at(path))
}

/// Moves the folder to its destination. An existing one is exchanged in the same step and then removed.
fn put_in_place(dir: TempDir, out: &Path) -> Result<(), WriteError> {
    let at = || WriteError::at(out);
    if out.exists() {
        // One system call: a reader sees the old export or the new one, and never neither.
        let exchanged = renameat_with(CWD, dir.path(), CWD, out, RenameFlags::EXCHANGE);
        exchanged.map_err(|error| at()(error.into()))?;
        dir.close().map_err(at())?;
    } else {
        fs::rename(dir.path(), out).map_err(at())?;
        // It is not there any more.
        let _ = dir.keep();
    }
    // The name is an entry of the parent, so the parent is what has to be synced.
    out.parent().map_or(Ok(()), sync)
}

#[cfg(test)]
mod tests;
