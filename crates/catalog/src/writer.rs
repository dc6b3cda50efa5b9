//! Writing a catalogue folder: under another name, and put in its place in one step when it is whole.

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

/// Name of the file that says what was written, and by which a folder is known that may be
/// replaced.
pub(super) const MANIFEST: &str = "export.json";

/// How the files of a feed are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileCompression {
    /// Plain JSON.
    None,
    /// Gzip, with `.gz` at the end of the name.
    Gzip,
}

/// What the files of a feed have to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedFileOptions {
    /// How they are compressed.
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

/// Why a folder cannot be written. What stood in its place stands there still.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system does not let us.
    #[error("{} cannot be written: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// There is something that must not be replaced.
    #[error("{} is not replaced, because of {name:?} in it: {why}", out.display())]
    Foreign {
        /// The folder.
        out: PathBuf,
        /// What is in it.
        name: String,
        /// What is wrong about that.
        why: &'static str,
    },
    /// A feed is longer than it may be.
    #[error("the {feed} feed is longer than {most} files of {max_bytes} bytes")]
    TooLong {
        /// The feed.
        feed: &'static str,
        /// How many files it may have.
        most: usize,
        /// How long each of them may be.
        max_bytes: u64,
    },
    /// A single element is longer than a file may be.
    #[error("an element of the {feed} feed does not fit into a file of {max_bytes} bytes")]
    TooLarge {
        /// The feed.
        feed: &'static str,
        /// How long a file may be.
        max_bytes: u64,
    },
}

impl WriteError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}

/// What was written; also the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The moment at which it was begun.
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

/// A catalogue folder that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct FolderWriter {
    /// Where it is to be.
    out: PathBuf,
    /// Where it is until then, in the same folder.
    dir: TempDir,
    shape: FeedFileOptions,
    merchants: FeedWriter,
    services: FeedWriter,
    availability: FeedWriter,
}

impl FolderWriter {
    /// Begins to write what is to stand at `out`, where nothing may stand but an earlier export.
    ///
    /// # Errors
    /// [`WriteError`]; also where it can be seen beforehand that it could not be put there.
    pub fn begin(out: &Path, shape: FeedFileOptions) -> Result<Self, WriteError> {
        let out = place_of(out)?;
        refuse_foreign(&out)?;
        let parent = out.parent().unwrap_or(Path::new("/"));
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

    /// Adds a piece.
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

    /// Puts it in its place as what was on sale at that second, and the export that was there before away.
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
        write(&path, &manifest)?;
        sync(dir.path())?;
        put_in_place(dir, &out)?;
        Ok(written)
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), WriteError> {
        write(&self.dir.path().join(name), text)
    }
}

/// The folder by its full path, whether or not it is there.
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

/// Refuses a folder with anything in it that an export does not have, or that no export has made.
fn refuse_foreign(out: &Path) -> Result<(), WriteError> {
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

/// Renames the folder. One that is there already gets the other name in the same step and goes.
fn put_in_place(dir: TempDir, out: &Path) -> Result<(), WriteError> {
    let at = || WriteError::at(out);
    if out.exists() {
        let exchanged = renameat_with(CWD, dir.path(), CWD, out, RenameFlags::EXCHANGE);
        exchanged.map_err(|error| at()(error.into()))?;
        dir.close().map_err(at())?;
    } else {
        fs::rename(dir.path(), out).map_err(at())?;
        // It is not there any more.
        let _ = dir.keep();
    }
    out.parent().map_or(Ok(()), sync)
}

#[cfg(test)]
mod tests;
