//! The writer of one feed, in as many files as its size needs.
//!
//! The metadata of a file is at its beginning, and the number of files is known at the end. Room for the
//! metadata is reserved.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

use super::{FileCompression, WriteError, sync};
use crate::{
    feed::Feed,
    json::{Field, Others},
    shards::{Metadata, ProcessingInstruction},
};

/// Most files of a feed that Google accepts.
pub(super) const MAX_SHARDS: usize = 20;

/// The largest nonce. JSON readers that use floats have exact whole numbers up to here.
const MAX_NONCE: u64 = (1 << 53) - 1;

/// The separator of elements.
const BETWEEN: &str = ",\n";

/// A feed that is being written.
#[derive(Debug)]
pub(super) struct FeedWriter {
    feed: &'static Feed,
    dir: PathBuf,
    max_bytes: u64,
    elements: u64,
    /// The digest of all elements, from which the nonce is derived: different feeds have different nonces.
    digest: blake3::Hasher,
    /// Complete files.
    full: Vec<ShardWriter>,
    /// The current file.
    open: ShardWriter,
}

/// A file of the feed that is being written.
#[derive(Debug)]
struct ShardWriter {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    is_empty: bool,
}

impl FeedWriter {
    pub(super) fn begin(
        feed: &'static Feed,
        dir: &Path,
        max_bytes: u64,
    ) -> Result<Self, WriteError> {
        let open = ShardWriter::begin(feed, dir, 0)?;
        let (dir, digest) = (dir.to_owned(), blake3::Hasher::new());
        Ok(Self {
            feed,
            dir,
            max_bytes,
            elements: 0,
            digest,
            full: Vec::new(),
            open,
        })
    }

    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    pub(super) fn put(&mut self, element: &str) -> Result<(), WriteError> {
        // An element that does not fit into an empty file fits into no file, so no further one is begun.
        if !self.has_room(element) && !self.open.is_empty {
            self.begin_next()?;
        }
        if !self.has_room(element) {
            return Err(WriteError::TooLarge {
                feed: self.feed.stem,
                max_bytes: self.max_bytes,
            });
        }
        self.elements += 1;
        self.digest
            .update(element.as_bytes())
            .update(BETWEEN.as_bytes());
        self.open.put(element)
    }

    fn has_room(&self, element: &str) -> bool {
        let between = if self.open.is_empty { 0 } else { BETWEEN.len() };
        // The closing brackets count as well, or the last element would push the file over its limit.
        self.open.bytes + length(between + element.len() + tail(self.feed).len()) <= self.max_bytes
    }

    fn begin_next(&mut self) -> Result<(), WriteError> {
        let number = self.full.len() + 1;
        if number == MAX_SHARDS {
            let (feed, max_bytes) = (self.feed.stem, self.max_bytes);
            return Err(WriteError::TooLong {
                feed,
                most: MAX_SHARDS,
                max_bytes,
            });
        }
        let next = ShardWriter::begin(self.feed, &self.dir, number)?;
        self.full.push(std::mem::replace(&mut self.open, next));
        Ok(())
    }

    /// Completes the files and returns their names.
    pub(super) fn finish(
        self,
        timestamp: i64,
        compression: FileCompression,
    ) -> Result<Vec<String>, WriteError> {
        let Self {
            feed,
            dir,
            digest,
            full,
            open,
            ..
        } = self;
        let mut nonce = [0; 8];
        digest.finalize_xof().fill(&mut nonce);
        // From the contents and not from chance: all files of a feed share it, and an equal feed gets an
        // equal one.
        let nonce = u64::from_le_bytes(nonce) & MAX_NONCE;
        let total = full.len() + 1;
        let finish = |(number, shard): (usize, ShardWriter)| {
            let head = head(number, total, nonce, timestamp);
            let name = name(feed, number, total);
            shard.finish(&head, tail(feed), &dir.join(&name))?;
            match compression {
                FileCompression::None => Ok(name),
                FileCompression::Gzip => zip(&dir, &name),
            }
        };
        full.into_iter()
            .chain([open])
            .enumerate()
            .map(finish)
            .collect()
    }
}

impl ShardWriter {
    fn begin(feed: &Feed, dir: &Path, number: usize) -> Result<Self, WriteError> {
        let path = dir.join(format!("{}.{number}.part", feed.stem));
        // New and not truncated: an existing file would mean that two exports share the folder.
        let file = File::create_new(&path).map_err(WriteError::at(&path))?;
        let mut shard = Self {
            path,
            file: BufWriter::new(file),
            bytes: 0,
            is_empty: true,
        };
        let (room, list) = (
            // The longest beginning that there can be, to be overwritten with the real one.
            head(MAX_SHARDS, MAX_SHARDS, MAX_NONCE, i64::MAX),
            list(feed),
        );
        shard.write(&[&room, &list])?;
        Ok(shard)
    }

    fn put(&mut self, element: &str) -> Result<(), WriteError> {
        let between = if self.is_empty { "" } else { BETWEEN };
        self.is_empty = false;
        self.write(&[between, element])
    }

    fn write(&mut self, texts: &[&str]) -> Result<(), WriteError> {
        for text in texts {
            self.file
                .write_all(text.as_bytes())
                .map_err(WriteError::at(&self.path))?;
            self.bytes += length(text.len());
        }
        Ok(())
    }

    fn finish(mut self, head: &str, tail: &str, place: &Path) -> Result<(), WriteError> {
        self.write(&[tail])?;
        let at = || WriteError::at(&self.path);
        let file = self
            .file
            .into_inner()
            .map_err(|error| at()(error.into_error()))?;
        file.write_all_at(head.as_bytes(), 0)
            .and_then(|()| file.sync_all())
            .map_err(at())?;
        // Renamed once it is complete, because only now the number of files in its name is known.
        fs::rename(&self.path, place).map_err(at())
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The beginning of a file, always of the same length.
fn head(number: usize, total: usize, nonce: u64, timestamp: i64) -> String {
    let count = |count: usize| Field::Given(i64::try_from(count).unwrap_or(i64::MAX));
    let metadata = serde_json::to_string(&Metadata {
        processing_instruction: Field::Given(ProcessingInstruction::Complete),
        shard_number: count(number),
        total_shards: count(total),
        nonce: Field::Given(nonce),
        generation_timestamp: Field::Given(timestamp),
        others: Others::new(),
    });
    let metadata = metadata.expect("metadata can be written");
    // Two counts, and numbers of 53 and 63 bits.
    let longest = concat!(
        r#"{"processing_instruction":"PROCESS_AS_COMPLETE","shard_number":20,"total_shards":20,"#,
        r#""nonce":9007199254740991,"generation_timestamp":9223372036854775807}"#
    );
    format!("{{\"metadata\":{metadata:<width$},", width = longest.len())
}

fn list(feed: &Feed) -> String {
    let inner = feed
        .lists
        .inner
        .map(|inner| format!("{{\"{inner}\":["))
        .unwrap_or_default();
    format!("\"{}\":[{inner}\n", feed.lists.outer)
}

fn tail(feed: &Feed) -> &'static str {
    if feed.lists.inner.is_some() {
        "\n]}]}\n"
    } else {
        "\n]}\n"
    }
}

fn name(feed: &Feed, number: usize, total: usize) -> String {
    let stem = feed.stem;
    if total == 1 {
        format!("{stem}.json")
    } else {
        format!("{stem}-{number:05}-of-{total:05}.json")
    }
}

/// Replaces a file by its compressed form.
fn zip(dir: &Path, name: &str) -> Result<String, WriteError> {
    let (plain, zipped) = (dir.join(name), format!("{name}.gz"));
    let path = dir.join(&zipped);
    let copy = || {
        let mut encoder = GzEncoder::new(
            BufWriter::new(File::create_new(&path)?),
            Compression::default(),
        );
        io::copy(&mut File::open(&plain)?, &mut encoder)?;
        encoder.finish()?.flush()?;
        fs::remove_file(&plain)
    };
    copy().map_err(WriteError::at(&path))?;
    sync(&path)?;
    Ok(zipped)
}
