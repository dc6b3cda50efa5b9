//! Opening the log: everything that was acknowledged is found, or the log is not opened and stays as it was.
//!
//! Sealed segments are read by their summaries; one without a valid summary is read as a whole, and its summary is
//! written again. The segment in use is always read as a whole. Nothing is written before everything has been found
//! in order.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::time::EpochSeconds;

use super::{
    appender::segment_capacity,
    checksum::StoreSeed,
    cut_segment::CutSegment,
    disk::{Disk, DiskFile},
    eraser::erasure_of,
    error::{Damage, DamageFault, OpenError},
    fact::Fact,
    fold::{Fold, Folded},
    frame::{Frame, StoredRecord},
    open_work::OpenWork,
    planted::{PlantedFault, is_planted},
    position::Position,
    record_header::PersonalPart,
    record_reader,
    scan::{LogEnd, Tail, TailDamage, scan},
    segment::{HeaderFound, SEGMENT_HEADER_BYTES, SegmentHeader, StoreIdentity},
    segment_files::SegmentFiles,
    segment_name::{log_name, new_name, slots_name, summary_name},
    summary::{SegmentBounds, Summarized, Summary, SummaryBuilder},
    survey::{HeaderSurvey, Successor},
};
use crate::{
    order_key::KeyDeriver,
    record::{self, RecordError, RecordKind},
};

/// Zeros are written in pieces of this size: the syncs of larger ones take longer.
const ZERO_BYTES: usize = 256 << 10;

/// A log that holds everything that was acknowledged, ready to be appended to.
pub(crate) struct RecoveredLog {
    pub(crate) identity: StoreIdentity,
    /// The end of the log.
    pub(crate) end: LogEnd,
    /// The segment in use.
    pub(crate) file: Arc<dyn DiskFile>,
    /// What is in it.
    pub(crate) folded: Folded,
    /// Whether there was none before.
    pub(crate) is_new: bool,
    /// Sealed segments without a valid summary, or without an index of their slots.
    pub(crate) unsummarized: Vec<u64>,
    /// Sealed segments with a summary that are shorter than what was written to them.
    pub(crate) cut: Vec<CutSegment>,
}

/// Opens the log on `disk`, of which `acknowledged` changes were acknowledged, or creates one of a new identity.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    acknowledged: u64,
    segment_bytes: u64,
    now: EpochSeconds,
    new_identity: impl FnOnce() -> Result<StoreIdentity, OpenError>,
) -> Result<RecoveredLog, OpenError> {
    let survey = HeaderSurvey::read(&**disk)?;
    let (used, successor) = survey.require_sound(&**disk)?;
    let Some(last) = used.last().copied() else {
        require_acknowledged(acknowledged, 0)?;
        return create(disk, segment_bytes, now, new_identity()?);
    };
    let identity = last.identity;
    let log = SegmentReader {
        disk: &**disk,
        seed: identity.seed(),
        keys: KeyDeriver::new(identity.secret),
        headers: &used,
        unsummarized: Mutex::default(),
        cut: Mutex::default(),
        unreadable: Mutex::default(),
    };
    let mut fold = Fold::new(now);
    let sealed = 1..=last.number - 1;
    fold.add_summaries(disk.readers(), sealed, |number| log.summary(number))?;
    let tail = log.read_last(&last, acknowledged, &mut fold)?;
    require_acknowledged(acknowledged, tail.end.next_sequence - 1)?;
    let folded = fold.finish();
    let unreadable = lock(&log.unreadable).clone();
    require_erasures(disk, log.seed, unreadable, &folded.open_work)?;
    if let Successor::Torn(torn) = successor {
        // Nothing is behind a header that is not durable, so the segment is as good as a prepared one.
        let file = disk.open(&log_name(torn)).map_err(OpenError::Disk)?;
        fill(&*file, 0, SEGMENT_HEADER_BYTES as u64).map_err(OpenError::Disk)?;
    }
    let end = tail.end;
    let file = tail.repair().map_err(OpenError::Disk)?;
    if log.may_lose_name(&last, &end)? {
        give_name_anew(&**disk, last.number).map_err(OpenError::Disk)?;
    }
    disk.sync().map_err(OpenError::Disk)?;
    let mut cut = into_inner(log.cut);
    // Two threads have found them.
    cut.sort_unstable_by_key(|cut| cut.segment);
    Ok(RecoveredLog {
        identity,
        end,
        file,
        folded,
        is_new: false,
        unsummarized: into_inner(log.unsummarized),
        cut,
    })
}

/// An identity that no other store has.
///
/// # Errors
/// If the operating system has no randomness.
pub(crate) fn random_identity() -> Result<StoreIdentity, OpenError> {
    let mut random = [0; 48];
    // From the operating system: a secret that can be guessed would disclose the order id of a token.
    getrandom::fill(&mut random).map_err(|error| OpenError::Secret(Box::new(error)))?;
    let mut identity = StoreIdentity {
        id: [0; 16],
        secret: [0; 32],
    };
    identity.id.copy_from_slice(&random[..16]);
    identity.secret.copy_from_slice(&random[16..]);
    Ok(identity)
}

/// Creates a log without changes.
fn create(
    disk: &Arc<dyn Disk>,
    segment_bytes: u64,
    now: EpochSeconds,
    identity: StoreIdentity,
) -> Result<RecoveredLog, OpenError> {
    let header = SegmentHeader {
        identity,
        number: 1,
        first_sequence: 1,
        previous: [0; 16],
        begun_sec: now,
    };
    let file = create_first(&**disk, &header, segment_bytes).map_err(OpenError::Disk)?;
    Ok(RecoveredLog {
        identity,
        end: LogEnd::begin(&header),
        file,
        folded: Fold::new(now).finish(),
        is_new: true,
        unsummarized: Vec::new(),
        cut: Vec::new(),
    })
}

/// The first segment, durable with its header and its name.
fn create_first(
    disk: &dyn Disk,
    header: &SegmentHeader,
    segment_bytes: u64,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(&log_name(header.number))?;
    fill(&*file, 0, segment_capacity(1, segment_bytes))?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()?;
    disk.sync()?;
    Ok(file)
}

/// Gives a segment without frames its name once more, for the next sync of the directory to make durable. A process that is
/// killed between the two leaves an unfinished spare, of which nothing was acknowledged.
fn give_name_anew(disk: &dyn Disk, number: u64) -> io::Result<()> {
    let (name, other) = (log_name(number), new_name(number));
    disk.rename(&name, &other)?;
    disk.rename(&other, &name)
}

/// Writes zeros over `from..until`, and syncs them.
pub(crate) fn fill(file: &dyn DiskFile, from: u64, until: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_BYTES];
    let mut at = from;
    while at < until {
        let piece = usize::try_from(until - at).map_or(ZERO_BYTES, |rest| rest.min(ZERO_BYTES));
        file.write_all_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    file.sync_data()
}

/// Writes zeros from `from` to the end of a file, and syncs them.
fn wipe(file: &dyn DiskFile, from: u64) -> io::Result<()> {
    fill(file, from, file.len()?)
}

/// What stands at the beginning of a segment.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn header_of(disk: &dyn Disk, number: u64) -> io::Result<HeaderFound> {
    let file = disk.open(&log_name(number))?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(SegmentHeader::decode(&bytes, number)),
        // Made without a spare, with no room or a part of it, and not written to yet.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let is_blank = read_file(disk, &log_name(number))?
                .iter()
                .all(|&byte| byte == 0);
            Ok(if is_blank {
                HeaderFound::Blank
            } else {
                HeaderFound::Damaged
            })
        }
        Err(error) => Err(error),
    }
}

/// Fails if fewer changes are on record than were acknowledged.
fn require_acknowledged(acknowledged: u64, on_record: u64) -> Result<(), OpenError> {
    // More may be on record: the watermark is written after the sync and is not synced itself.
    if acknowledged <= on_record || is_planted(PlantedFault::WatermarkIgnored) {
        return Ok(());
    }
    Err(OpenError::ChangesMissing {
        acknowledged,
        on_record,
    })
}

/// Reads segments of which the headers are known.
struct SegmentReader<'r> {
    disk: &'r dyn Disk,
    seed: StoreSeed,
    keys: KeyDeriver,
    /// Those of the segments in use, from number 1 on.
    headers: &'r [SegmentHeader],
    /// Sealed segments without a valid summary, or without an index of their slots.
    unsummarized: Mutex<Vec<u64>>,
    /// Sealed segments with a summary that says that they were longer.
    cut: Mutex<Vec<CutSegment>>,
    /// Orders with a personal part that is neither as written nor erased.
    unreadable: Mutex<Vec<UnreadablePart>>,
}

impl SegmentReader<'_> {
    /// The summary of a sealed segment: the one on disk, or a new one from its records.
    fn summary(&self, number: u64) -> Result<Summary, OpenError> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some([header, next]) = self.headers.get(index - 1..=index) else {
            return Err(missing(number).into());
        };
        if let Some(summary) = self.summary_on_disk(header, next)? {
            let cut = CutSegment::find(self.disk, &summary).map_err(OpenError::Disk)?;
            lock(&self.cut).extend(cut);
            if !exists(self.disk, &slots_name(number))? {
                lock(&self.unsummarized).push(number);
            }
            return Ok(summary);
        }
        if is_planted(PlantedFault::SummarySkipped) {
            return Ok(SummaryBuilder::default()
                .finish(bounds(header, next), 0)
                .summary);
        }
        let bytes = read_segment(self.disk, number)?;
        let (summarized, unreadable) =
            summarize_leniently(&bytes, self.seed, &self.keys, header, next)?;
        lock(&self.unsummarized).push(number);
        lock(&self.unreadable).extend(unreadable);
        Ok(summarized.summary)
    }

    /// Whether the name of the newest segment may not be durable: the process that gave it may have ended before that, or
    /// its sync of the directory has failed, after which a later one that succeeds says nothing of the name. Without its
    /// name a segment is lost with all orders that are written to it from now on. A name is durable before the first frame
    /// is written, and before the segment before is summarized.
    fn may_lose_name(&self, last: &SegmentHeader, end: &LogEnd) -> Result<bool, OpenError> {
        if end.offset > SEGMENT_HEADER_BYTES as u64 {
            return Ok(false);
        }
        let before = read_if_there(self.disk, &summary_name(last.number - 1))?;
        Ok(before.is_none())
    }

    /// The summary on disk, if it is intact and of this segment.
    fn summary_on_disk(
        &self,
        header: &SegmentHeader,
        next: &SegmentHeader,
    ) -> Result<Option<Summary>, OpenError> {
        let Some(bytes) = read_if_there(self.disk, &summary_name(header.number))? else {
            return Ok(None);
        };
        let summary = Summary::decode(&bytes, self.seed.get(), header.number);
        // A summary of another state of the segment, such as from a backup, does not end where the next begins.
        let expected = bounds(header, next);
        Ok(summary.filter(|summary| {
            summary.bounds == expected || is_planted(PlantedFault::SummaryOfAnother)
        }))
    }

    /// Folds what is in the segment in use, and finds its end.
    fn read_last(
        &self,
        header: &SegmentHeader,
        acknowledged: u64,
        fold: &mut Fold,
    ) -> Result<LastSegment, OpenError> {
        let file = self
            .disk
            .open(&log_name(header.number))
            .map_err(OpenError::Disk)?;
        let bytes = read_segment(self.disk, header.number)?;
        // The first byte that may not be durable, although it can be read from the page cache: the first of a frame, or of the
        // header, whose sync may have failed just as well while nothing of the segment was acknowledged.
        let mut unsynced_from = (header.first_sequence > acknowledged).then_some(0);
        let durable_until = acknowledged.saturating_add(1);
        let (end, tail) = scan(&bytes, self.seed, header, durable_until, |frame| {
            if frame.next_sequence() - 1 > acknowledged && unsynced_from.is_none() {
                unsynced_from = Some(frame.place.offset);
            }
            for fact in facts_of(frame, &self.keys)? {
                fold.add(&fact);
            }
            lock(&self.unreadable).extend(unreadable_parts(frame));
            Ok::<_, Damage>(())
        })?;
        match tail {
            Tail::Blank | Tail::Torn => Ok(LastSegment {
                file,
                bytes,
                end,
                tail,
                unsynced_from: unsynced_from.unwrap_or(end.offset),
            }),
            Tail::Damaged(damage) => Err(tail_damage(&end, damage).into()),
        }
    }
}

/// Fails unless every unreadable part is that of an order which an erasure has begun to overwrite.
///
/// # Errors
/// [`OpenError::Damaged`] by the first that is not, and those of reading.
pub(super) fn require_erasures(
    disk: &Arc<dyn Disk>,
    seed: StoreSeed,
    mut unreadable: Vec<UnreadablePart>,
    work: &OpenWork,
) -> Result<(), OpenError> {
    // Two threads have found them.
    unreadable.sort_unstable_by_key(|part| part.position);
    if unreadable.is_empty() {
        return Ok(());
    }
    let files = SegmentFiles::new(Arc::clone(disk));
    let mut erased = HashSet::new();
    for position in work.open_erasures() {
        let record = record_reader::read(&files, seed, position);
        let erasure = record.and_then(|record| erasure_of(&record));
        erased.extend(erasure.map_err(OpenError::Read)?.orders);
    }
    for part in unreadable {
        if !erased.contains(&part.position.bits()) {
            return Err(part.damage().into());
        }
    }
    Ok(())
}

fn into_inner<T>(shared: Mutex<T>) -> T {
    shared.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of the other thread becomes one of this thread.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A personal part that is neither as written nor erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnreadablePart {
    /// Where its record is.
    pub(crate) position: Position,
    /// The number of the change.
    pub(crate) sequence: u64,
}

impl UnreadablePart {
    /// The damage that it is where no erasure explains it.
    pub(crate) fn damage(self) -> Damage {
        Damage {
            segment: self.position.segment(),
            offset: self.position.offset(),
            sequence: self.sequence,
            fault: DamageFault::PersonalPart,
        }
    }
}

/// The personal parts of a frame that are neither as written nor erased.
pub(crate) fn unreadable_parts(frame: &Frame<'_>) -> Vec<UnreadablePart> {
    let mut parts = Vec::new();
    for stored in &frame.records {
        if stored.personal == PersonalPart::Unreadable {
            parts.push(UnreadablePart {
                position: stored.position,
                sequence: stored.header.sequence,
            });
        }
    }
    parts
}

/// What is known of a sealed segment by its header and the next one.
pub(crate) fn bounds(header: &SegmentHeader, next: &SegmentHeader) -> SegmentBounds {
    SegmentBounds {
        segment: header.number,
        first_sequence: header.first_sequence,
        last_sequence: next.first_sequence - 1,
        chain_hash: next.previous,
    }
}

fn missing(segment: u64) -> Damage {
    Damage {
        segment,
        offset: 0,
        sequence: 1,
        fault: DamageFault::Missing,
    }
}

/// What is written beside a sealed segment, from its bytes, in which no personal part is being overwritten.
///
/// # Errors
/// [`Damage`].
pub(crate) fn summarize(
    bytes: &[u8],
    seed: StoreSeed,
    keys: &KeyDeriver,
    header: &SegmentHeader,
    next: &SegmentHeader,
) -> Result<Summarized, Damage> {
    let (summarized, unreadable) = summarize_leniently(bytes, seed, keys, header, next)?;
    match unreadable.first() {
        None => Ok(summarized),
        Some(part) => Err(part.damage()),
    }
}

/// The same of a segment with orders of which the personal part is unreadable. The summary
/// takes them for erased; whether an erasure explains them is for the caller to find out.
///
/// # Errors
/// [`Damage`].
pub(crate) fn summarize_leniently(
    bytes: &[u8],
    seed: StoreSeed,
    keys: &KeyDeriver,
    header: &SegmentHeader,
    next: &SegmentHeader,
) -> Result<(Summarized, Vec<UnreadablePart>), Damage> {
    let mut builder = SummaryBuilder::default();
    let mut unreadable = Vec::new();
    let durable_until = next.first_sequence;
    let (end, tail) = scan(bytes, seed, header, durable_until, |frame| {
        for fact in facts_of(frame, keys)? {
            builder.add(&fact);
        }
        unreadable.extend(unreadable_parts(frame));
        Ok(())
    })?;
    if let Tail::Damaged(damage) = tail {
        return Err(tail_damage(&end, damage));
    }
    // Whatever follows the last frame: if the next segment continues it, nothing is missing.
    let is_whole = end.next_sequence == next.first_sequence && end.previous == next.previous;
    if !is_whole && !is_planted(PlantedFault::SealedEndIgnored) {
        return Err(Damage {
            segment: header.number,
            offset: end.offset,
            sequence: end.next_sequence,
            fault: DamageFault::End,
        });
    }
    Ok((builder.finish(bounds(header, next), end.offset), unreadable))
}

/// The damage that ends a scan.
pub(crate) fn tail_damage(end: &LogEnd, damage: TailDamage) -> Damage {
    Damage {
        segment: end.segment,
        offset: end.offset,
        sequence: end.next_sequence,
        fault: match damage {
            TailDamage::NotTheLast { valid_at } => DamageFault::Frame { valid_at },
            TailDamage::Chain => DamageFault::Chain,
        },
    }
}

/// What the records of a frame mean. An order of which the personal part is unreadable means the same as an erased one.
///
/// # Errors
/// [`Damage`].
pub(crate) fn facts_of(frame: &Frame<'_>, keys: &KeyDeriver) -> Result<Vec<Fact>, Damage> {
    let mut facts = Vec::with_capacity(frame.records.len());
    for stored in &frame.records {
        let fact = fact_of(stored, keys).map_err(|error| Damage {
            segment: frame.place.segment,
            offset: stored.position.offset(),
            sequence: stored.header.sequence,
            fault: DamageFault::Record(error),
        })?;
        facts.push(fact);
    }
    Ok(facts)
}

fn fact_of(stored: &StoredRecord<'_>, keys: &KeyDeriver) -> Result<Fact, RecordError> {
    let kind = RecordKind::try_from(stored.header.kind)?;
    let personal = match stored.personal {
        PersonalPart::Intact(bytes) => Some(bytes),
        PersonalPart::Erased | PersonalPart::Unreadable => None,
    };
    let facts = record::decode_facts(kind, stored.public, personal)?;
    Ok(Fact::read(facts, keys, stored.position))
}

/// The segment in use as it was read.
struct LastSegment {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    end: LogEnd,
    tail: Tail,
    /// From here on nothing was acknowledged.
    unsynced_from: u64,
}

impl LastSegment {
    /// Makes what was read durable and what follows it blank.
    fn repair(self) -> io::Result<Arc<dyn DiskFile>> {
        let Self {
            file,
            bytes,
            end,
            tail,
            unsynced_from,
        } = self;
        // After a sync that failed, the page cache has what the disk does not, and takes it for written. Written again, it
        // is synced again.
        let range = unsynced_from..end.offset;
        if let (Ok(from), Ok(until)) = (usize::try_from(range.start), usize::try_from(range.end))
            && let Some(unsynced) = bytes.get(from..until)
            && !is_planted(PlantedFault::UnsyncedNotRewritten)
        {
            file.write_all_at(unsynced, unsynced_from)?;
        }
        file.sync_data()?;
        if tail == Tail::Torn && !is_planted(PlantedFault::TailNotWiped) {
            // Before anything is appended: remains behind a shorter frame would look like damage.
            wipe(&*file, end.offset)?;
        }
        Ok(file)
    }
}

fn read_segment(disk: &dyn Disk, number: u64) -> Result<Vec<u8>, OpenError> {
    read_file(disk, &log_name(number)).map_err(OpenError::Disk)
}

/// Whether there is a file of this name.
fn exists(disk: &dyn Disk, name: &str) -> Result<bool, OpenError> {
    match disk.open(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(OpenError::Disk(error)),
    }
}

/// All bytes of a file, if there is one of this name.
///
/// # Errors
/// [`OpenError::Disk`].
pub(super) fn read_if_there(disk: &dyn Disk, name: &str) -> Result<Option<Vec<u8>>, OpenError> {
    match read_file(disk, name) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Disk(error)),
    }
}

/// All bytes of a file.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn read_file(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(name)?;
    let length =
        usize::try_from(file.len()?).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
