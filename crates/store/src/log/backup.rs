//! Backups: a copy of the log up to a sequence number, in the layout of a store, and the way back.
//!
//! Frames are never changed, so the copy of a running server is consistent: sealed segments as they are, and the segment
//! in use up to the last acknowledged change. The file of the watermark is written last and says where the copy ends. A
//! copy that was interrupted goes on where it was, and the backup that was there before stays whole until then.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    BACKUP_MARK, LogStore, SEGMENTS, WATERMARK,
    appender::segment_capacity,
    directory,
    disk::{DirectoryDisk, Disk, DiskFile},
    eraser::overwrite_in_copy,
    error::{DamageFault, OpenError},
    position::SEGMENT_BYTES,
    recovery::{fill, read_file, tail_damage},
    scan::{LogEnd, Tail, scan},
    segment::{HeaderFound, SEGMENT_HEADER_BYTES, SegmentHeader, StoreIdentity},
    segment_name::{log_name, parse},
    store_files::StoreFiles,
    summarizer::Summarizer,
    survey::HeaderSurvey,
    verify::{Finding, Progress, Verification, verify},
    watermark::CommitWatermark,
};
use crate::order_key::KeyDeriver;

#[cfg(test)]
mod tests;

/// Behind the name of a file that is not complete yet.
const PART: &str = "part";

/// What stands in the file that marks a backup.
const BACKUP_TEXT: &str =
    "A backup of the store of Box Office, to be restored with `boxoffice backup restore`.\n";

/// The directory of segments that are being restored.
const RESTORING: &str = "orders.restoring";

/// How often a segment is copied before it is taken for damaged.
const FETCHES: usize = 3;

/// What a backup has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupManifest {
    /// The store, in hexadecimal digits.
    pub store_id: String,
    /// The number of the last change.
    pub changes: u64,
    /// The segments, from number 1 on.
    pub segments: Vec<SegmentExtent>,
}

/// How much of a segment belongs to a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentExtent {
    /// Its number.
    pub number: u64,
    /// Its length in bytes, up to the end of its last frame.
    pub bytes: u64,
    /// The number of the change after its last one.
    pub next_sequence: u64,
    /// The hash of its last frame.
    pub hash: [u8; 16],
}

impl BackupManifest {
    /// Bytes of all segments.
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// Why there is no backup, or no store that was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// A running server does not send a segment.
    #[error("segment {segment} cannot be copied")]
    Fetch {
        /// The number of the segment.
        segment: u64,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A segment is not what its manifest says.
    #[error(
        "segment {0} did not arrive as it was written; the source may be damaged, or an erasure in it unfinished: verify it"
    )]
    Unverified(u64),
    /// A file cannot be written.
    #[error("{}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system reports.
        source: io::Error,
    },
    /// The directory has the backup of another store.
    #[error("{} holds another store, or a backup of one: choose another directory", .0.display())]
    OtherStore(PathBuf),
    /// The directory has a store.
    #[error("{} has a store already: a backup is restored to an empty directory only", .0.display())]
    StoreThere(PathBuf),
    /// The directory has a store that is not a backup.
    #[error("{} is the data directory of a server and not a backup: nothing in it was changed; choose another directory", .0.display())]
    DataDirectory(PathBuf),
    /// The directory is in that of a store, or of a backup.
    #[error("{} is inside of {}, which has a store: choose another directory", dir.display(), store.display())]
    InsideStore {
        /// The directory.
        dir: PathBuf,
        /// The one that has a store.
        store: PathBuf,
    },
    /// The backup has changes that the store does not have.
    #[error(
        "the backup in {} has {there} changes, and the store only {here}: it may be all that is left of them; choose another directory",
        dir.display()
    )]
    NewerBackup {
        /// The directory of the backup.
        dir: PathBuf,
        /// Changes in the backup.
        there: u64,
        /// Changes in the store.
        here: u64,
    },
    /// There is nothing to copy.
    #[error("{} has no store, or one that nothing was written to", .0.display())]
    Empty(PathBuf),
    /// Damage was found.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf, Vec<Finding>),
}

impl BackupError {
    /// Whether all that is wrong may come of an erasure that has begun since the manifest was made. A new manifest has the
    /// record of it.
    #[must_use]
    pub fn may_be_erasure(&self) -> bool {
        let Self::Damaged(_, findings) = self else {
            return false;
        };
        findings.iter().all(|finding| {
            matches!(
                finding.damage.fault,
                DamageFault::PersonalPart | DamageFault::ErasedUnrecorded
            )
        })
    }

    fn in_file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

/// The files of a store as a backup reads them. A server may run meanwhile.
#[derive(Debug, Clone)]
pub struct BackupSource {
    dir: PathBuf,
    files: StoreFiles,
}

impl BackupSource {
    /// The store in `dir`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            dir: dir.to_owned(),
            files: StoreFiles::open(dir)?,
        })
    }

    /// What a backup of this moment has to hold. It reads the segment in use.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn manifest(&self) -> Result<BackupManifest, BackupError> {
        let disk = &*self.files.disk;
        // Before the headers: what is acknowledged later may be left out, what was acknowledged before may not.
        let acknowledged = self.files.acknowledged()?;
        // All that is on record counts where nobody writes: the watermark may lag behind after a power failure.
        let until = if self.files.is_in_use()? {
            acknowledged
        } else {
            u64::MAX
        };
        let survey = HeaderSurvey::read(disk)?;
        let (mut headers, _) = survey.require_sound(disk)?;
        if headers.is_empty() {
            survey.require_empty(acknowledged)?;
            return Err(BackupError::Empty(self.dir.clone()));
        }
        // A running server may just have begun it.
        headers.retain(|header| header.number == 1 || header.first_sequence <= until);
        self.extents(&headers, acknowledged, until)
    }

    fn extents(
        &self,
        headers: &[SegmentHeader],
        acknowledged: u64,
        until: u64,
    ) -> Result<BackupManifest, BackupError> {
        let mut segments = Vec::with_capacity(headers.len());
        for sealed in headers.windows(2) {
            let [header, next] = sealed else { continue };
            segments.push(SegmentExtent {
                number: header.number,
                bytes: self.length(header.number)?,
                next_sequence: next.first_sequence,
                hash: next.previous,
            });
        }
        let Some(last) = headers.last() else {
            return Err(BackupError::Empty(self.dir.clone()));
        };
        let end = self.end(last, acknowledged, until)?;
        let changes = end.next_sequence - 1;
        if changes < acknowledged {
            return Err(BackupError::Source(OpenError::ChangesMissing {
                acknowledged,
                on_record: changes,
            }));
        }
        segments.push(SegmentExtent {
            number: last.number,
            bytes: end.offset,
            next_sequence: end.next_sequence,
            hash: end.previous,
        });
        Ok(BackupManifest {
            store_id: last.identity.id_text(),
            changes,
            segments,
        })
    }

    fn length(&self, number: u64) -> Result<u64, OpenError> {
        let file = self.files.disk.open(&log_name(number));
        file.and_then(|file| file.len()).map_err(OpenError::Disk)
    }

    /// The end of a segment, with the changes up to `until`.
    fn end(
        &self,
        header: &SegmentHeader,
        acknowledged: u64,
        until: u64,
    ) -> Result<LogEnd, OpenError> {
        let bytes =
            read_file(&*self.files.disk, &log_name(header.number)).map_err(OpenError::Disk)?;
        let mut published = LogEnd::begin(header);
        // An error ends the scan at the first frame that was not acknowledged.
        let seed = header.identity.seed();
        let durable_until = acknowledged.saturating_add(1);
        let scanned = scan(&bytes, seed, header, durable_until, |frame| {
            let end = LogEnd::after(frame);
            if end.next_sequence - 1 > until {
                return Err(());
            }
            published = end;
            Ok(())
        });
        match scanned {
            // Behind what was acknowledged, a running server may be writing.
            Ok((end, Tail::Damaged(damage))) if end.next_sequence <= until => {
                Err(tail_damage(&end, damage).into())
            }
            Ok(_) | Err(()) => Ok(published),
        }
    }

    /// Opens a segment for [`Self::manifest`]'s bytes of it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn segment(&self, number: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.files.disk.open(&log_name(number))
    }

    /// The bytes of a segment that belong to a backup.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn read(&self, extent: &SegmentExtent) -> io::Result<Vec<u8>> {
        let length = usize::try_from(extent.bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        self.segment(extent.number)?.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// Hands over the bytes of a segment up to the end of its last frame.
pub type FetchSegment<'f> =
    dyn FnMut(&SegmentExtent) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> + 'f;

/// What a backup has copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// What was verified in the end.
    pub verification: Verification,
    /// Segments that were copied; the others were there already.
    pub copied: u64,
}

/// Makes the backup of a manifest in `to`, which has no store or an earlier backup, with segments as `fetch` hands them
/// over, and verifies it. What an earlier backup of the same store has there is used again.
///
/// # Errors
/// [`BackupError`]. What has been copied stays for the next time.
pub fn create_backup(
    to: &Path,
    manifest: &BackupManifest,
    fetch: &mut FetchSegment<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackupReport, BackupError> {
    require_target(to, manifest)?;
    let home = to.join(SEGMENTS);
    directory::create(&home).map_err(BackupError::in_file(&home))?;
    write_mark(to)?;
    let mut copied = 0;
    // Half of the work is the verification at the end.
    let mut done = Progress {
        done: 0,
        all: manifest.bytes() * 2,
    };
    {
        let disk = DirectoryDisk::open(&home).map_err(BackupError::in_file(&home))?;
        let target = BackupTarget {
            to,
            home: &home,
            disk: &disk,
            manifest,
        };
        for extent in &manifest.segments {
            if !target.has(extent)? {
                let fetched = fetch_whole(extent, &manifest.store_id, fetch)?;
                target.put(extent.number, &fetched)?;
                copied += 1;
            }
            done.done += extent.bytes;
            progress(done);
        }
        target.remove_others()?;
    }
    // Last: what it counts is there.
    write_watermark(to, manifest.changes)?;
    directory::sync_parents(&home);
    let verification = finish_copy(to, &mut |verified| progress(done.plus(verified.done)))?;
    if verification.changes != manifest.changes {
        return Err(BackupError::Unverified(manifest.segments.len() as u64));
    }
    Ok(BackupReport {
        verification,
        copied,
    })
}

/// Fails if a backup in `to` would overwrite something other than an earlier backup of no more changes. The number of a
/// store says nothing of that: the server that wrote it may use this very directory, and a copy may have gone its own way.
fn require_target(to: &Path, manifest: &BackupManifest) -> Result<(), BackupError> {
    // Links are followed, so that no other name of a store passes.
    let real = fs::canonicalize(to).unwrap_or_else(|_| std::path::absolute(to).unwrap_or_default());
    for store in real.ancestors().skip(1) {
        if LogStore::is_in(store) {
            return Err(BackupError::InsideStore {
                dir: to.to_owned(),
                store: store.to_owned(),
            });
        }
    }
    if !LogStore::is_in(to) {
        return Ok(());
    }
    if !to.join(BACKUP_MARK).exists() {
        return Err(BackupError::DataDirectory(to.to_owned()));
    }
    let there = changes_in(to)?;
    if there > manifest.changes {
        return Err(BackupError::NewerBackup {
            dir: to.to_owned(),
            there,
            here: manifest.changes,
        });
    }
    Ok(())
}

/// The number of changes in a backup; 0 if it was never completed.
fn changes_in(dir: &Path) -> Result<u64, BackupError> {
    let read = || match DirectoryDisk::open(dir)?.open(WATERMARK) {
        Ok(file) => CommitWatermark::new(file).read(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    };
    read().map_err(BackupError::in_file(&dir.join(WATERMARK)))
}

/// Marks a directory as a backup, durable before there is anything else of it.
fn write_mark(dir: &Path) -> Result<(), BackupError> {
    let write = || {
        replace(&DirectoryDisk::open(dir)?, BACKUP_MARK, |file| {
            file.write_all_at(BACKUP_TEXT.as_bytes(), 0)
        })
    };
    write().map_err(BackupError::in_file(&dir.join(BACKUP_MARK)))
}

/// The bytes of a segment as it was written. A part that a server erases at this very moment may arrive half overwritten;
/// a moment later it is not.
fn fetch_whole(
    extent: &SegmentExtent,
    store_id: &str,
    fetch: &mut FetchSegment<'_>,
) -> Result<Vec<u8>, BackupError> {
    for _ in 0..FETCHES {
        let fetched = fetch(extent).map_err(|source| BackupError::Fetch {
            segment: extent.number,
            source,
        })?;
        if is_whole(&fetched, extent, store_id) {
            return Ok(fetched);
        }
    }
    Err(BackupError::Unverified(extent.number))
}

/// A directory that a backup is written to.
struct BackupTarget<'t> {
    to: &'t Path,
    home: &'t Path,
    disk: &'t DirectoryDisk,
    manifest: &'t BackupManifest,
}

impl BackupTarget<'_> {
    /// Whether it has a segment already, from an earlier backup of the same log.
    fn has(&self, extent: &SegmentExtent) -> Result<bool, BackupError> {
        let name = log_name(extent.number);
        let found = match read_file(self.disk, &name) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(BackupError::in_file(&self.home.join(name))(error)),
        };
        let store_id = &self.manifest.store_id;
        if let Some(header) = header_in(&found, extent.number)
            && header.identity.id_text() != *store_id
        {
            return Err(BackupError::OtherStore(self.to.to_owned()));
        }
        Ok(is_whole(&found, extent, store_id))
    }

    /// Writes a segment. Until it is durable, the one that is there keeps its name.
    fn put(&self, number: u64, bytes: &[u8]) -> Result<(), BackupError> {
        let name = log_name(number);
        replace(self.disk, &name, |file| file.write_all_at(bytes, 0))
            .map_err(BackupError::in_file(&self.home.join(&name)))
    }

    /// Removes segments that the log does not have: of a backup that was not completed, before the log was restored from an
    /// earlier one.
    fn remove_others(&self) -> Result<(), BackupError> {
        let last = self.manifest.segments.len() as u64;
        let remove = || {
            for name in self.disk.list()? {
                if parse(&name).is_some_and(|file| file.number() > last) {
                    self.disk.remove(&name)?;
                }
            }
            self.disk.sync()
        };
        remove().map_err(BackupError::in_file(self.home))
    }
}

/// Restores the backup in `from` to the data directory `to`, which has no store, and verifies both.
///
/// # Errors
/// [`BackupError`]. A restoration that was interrupted is begun again.
pub fn restore_backup(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verification, BackupError> {
    restore_with(from, to, SEGMENT_BYTES, progress)
}

fn restore_with(
    from: &Path,
    to: &Path,
    segment_bytes: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verification, BackupError> {
    let home = to.join(SEGMENTS);
    let restoring = to.join(RESTORING);
    let is_begun = restoring.exists() && !directory::is_filled(&home);
    if LogStore::is_in(to) && !is_begun {
        return Err(BackupError::StoreThere(to.to_owned()));
    }
    let source = BackupSource::open(from)?;
    let manifest = source.manifest()?;
    // Verified, copied, verified.
    let mut done = Progress {
        done: 0,
        all: manifest.bytes() * 3,
    };
    verify_copy(from, &mut |verified| progress(done.plus(verified.done)))?;
    done.done = manifest.bytes();
    directory::create(&restoring).map_err(BackupError::in_file(&restoring))?;
    copy_segments(
        &source,
        &manifest,
        &restoring,
        segment_bytes,
        &mut done,
        progress,
    )?;
    // Before the segments get their place: a server that finds the number without them does not start.
    write_watermark(to, manifest.changes)?;
    // A directory that was left empty is in the way.
    let _ = fs::remove_dir(&home);
    fs::rename(&restoring, &home).map_err(BackupError::in_file(&home))?;
    directory::sync_parents(&home);
    verify_copy(to, &mut |verified| progress(done.plus(verified.done)))
}

/// Copies all segments with their summaries, and fills the last one with zeros, as the log does ahead of need.
fn copy_segments(
    source: &BackupSource,
    manifest: &BackupManifest,
    restoring: &Path,
    segment_bytes: u64,
    done: &mut Progress,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BackupError> {
    let in_home = BackupError::in_file(restoring);
    let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::open(restoring).map_err(&in_home)?);
    let mut identity = None;
    for extent in &manifest.segments {
        let bytes = source.read(extent).map_err(OpenError::Disk)?;
        if let Some(header) = header_in(&bytes, extent.number) {
            identity = Some(header.identity);
        }
        let file = disk.create(&log_name(extent.number)).map_err(&in_home)?;
        file.write_all_at(&bytes, 0).map_err(&in_home)?;
        if extent.number == manifest.segments.len() as u64 {
            let capacity = segment_capacity(extent.number, segment_bytes);
            fill(&*file, extent.bytes, capacity).map_err(&in_home)?;
        }
        file.sync_data().map_err(&in_home)?;
        done.done += extent.bytes;
        progress(*done);
    }
    disk.sync().map_err(&in_home)?;
    if let Some(identity) = identity {
        summarize_all(&disk, &identity, manifest).map_err(&in_home)?;
    }
    Ok(())
}

/// Writes the summaries of all sealed segments, so that the first start reads only those.
fn summarize_all(
    disk: &Arc<dyn Disk>,
    identity: &StoreIdentity,
    manifest: &BackupManifest,
) -> io::Result<()> {
    let summarizer = Summarizer {
        disk: Arc::clone(disk),
        seed: identity.seed(),
        keys: KeyDeriver::new(identity.secret),
        overwriting: Arc::default(),
    };
    for number in 1..manifest.segments.len() as u64 {
        match summarizer.summarize(number) {
            // An erasure of the segment is not complete. The first start finishes it, and makes the summary.
            Err(error) if error.kind() == io::ErrorKind::Other => {}
            result => result?,
        }
    }
    Ok(())
}

/// Carries out in a copy the erasures that are on record, and verifies it. Segments that an earlier backup has copied have
/// personal data that was erased since.
fn finish_copy(
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verification, BackupError> {
    let verification = verify(dir, progress)?;
    if verification.unerased.is_empty() {
        return without_findings(dir, verification);
    }
    let home = dir.join(SEGMENTS);
    let disk = DirectoryDisk::open(&home).map_err(BackupError::in_file(&home))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    overwrite_in_copy(&disk, &verification.unerased).map_err(BackupError::in_file(&home))?;
    verify_copy(dir, progress)
}

/// Verifies a store that must not have any damage.
fn verify_copy(
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verification, BackupError> {
    without_findings(dir, verify(dir, progress)?)
}

fn without_findings(dir: &Path, verification: Verification) -> Result<Verification, BackupError> {
    if verification.findings.is_empty() {
        Ok(verification)
    } else {
        Err(BackupError::Damaged(dir.to_owned(), verification.findings))
    }
}

/// Writes the number of changes, durable and as a whole.
fn write_watermark(dir: &Path, changes: u64) -> Result<(), BackupError> {
    let write = || {
        replace(&DirectoryDisk::open(dir)?, WATERMARK, |file| {
            CommitWatermark::new(Arc::clone(file)).advance_to(changes)
        })
    };
    write().map_err(BackupError::in_file(&dir.join(WATERMARK)))
}

/// Writes a file that is durable when this returns. Until then, the one that is there keeps its name.
fn replace(
    disk: &DirectoryDisk,
    name: &str,
    write: impl FnOnce(&Arc<dyn DiskFile>) -> io::Result<()>,
) -> io::Result<()> {
    let part = format!("{name}.{PART}");
    let file = disk.create(&part)?;
    write(&file)?;
    file.sync_data()?;
    disk.rename(&part, name)?;
    disk.sync()
}

/// Whether these are the bytes of a segment from its header to the end of its last frame.
fn is_whole(bytes: &[u8], extent: &SegmentExtent, store_id: &str) -> bool {
    if bytes.len() as u64 != extent.bytes {
        return false;
    }
    let Some(header) = header_in(bytes, extent.number) else {
        return false;
    };
    // The manifest speaks of changes that were acknowledged.
    let durable_until = extent.next_sequence;
    let mut is_readable = true;
    let Ok((end, tail)) = scan(
        bytes,
        header.identity.seed(),
        &header,
        durable_until,
        |frame| {
            is_readable &= !frame.has_unreadable();
            Ok::<_, std::convert::Infallible>(())
        },
    );
    is_readable
        && header.identity.id_text() == store_id
        && tail == Tail::Blank
        && end.next_sequence == extent.next_sequence
        // The chain: no other history leads to this hash.
        && end.previous == extent.hash
}

/// The header at the beginning of a segment's bytes.
fn header_in(bytes: &[u8], number: u64) -> Option<SegmentHeader> {
    let header: &[u8; SEGMENT_HEADER_BYTES] = bytes.first_chunk()?;
    match SegmentHeader::decode(header, number) {
        HeaderFound::Header(header) => Some(header),
        HeaderFound::Blank | HeaderFound::Format(_) | HeaderFound::Damaged => None,
    }
}
