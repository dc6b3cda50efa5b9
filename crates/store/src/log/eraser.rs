//! Erasing personal data in place.
//!
//! The order of the steps makes an erasure safe against crashes at any moment:
//!
//! 1. The erasure is recorded like any other change: whose data, when, and the positions of all orders that are meant. Once
//!    that is durable, the data is not shown any more, by this process or a later one.
//! 2. The personal parts are overwritten with [`ERASED`] bytes, one segment after the other, and each segment is synced. The
//!    checksum of a part stays in the header of its record, so the hashes of the chain stay what they are.
//! 3. The summary of a sealed segment is made again, without the fingerprints of the erased users.
//! 4. The completion is recorded.
//!
//! A crash between 1 and 4 leaves parts of which some blocks are overwritten and some are not. [`super::scan`] lets such
//! parts pass, and recovery requires that an erasure which is on record and not complete explains each of them. The next
//! start, or the next erasure, repeats steps 2 to 4 for all of its orders. It does not ask which parts are overwritten
//! already: after a sync that failed, the page cache would say yes where the disk says no.
//!
//! Nothing is overwritten that was not read before as the record of an order. A write of the disk may tear a block into old
//! and new sectors, as everywhere in the log; what stands beside a part in its sectors is the same in both.
//!
//! Appends go on meanwhile. They write to other bytes, through another descriptor: a failed sync is reported to both. Readers
//! of single records ask [`Overwriting`] first; readers of whole segments take turns with the eraser.
//!
//! What stays: the order without its customer and answers, its token and fingerprint, so that a repeated request is still
//! recognized; the links between the orders of the user; the key of the user in the record of the erasure, a hash under
//! the secret of the store; and, of a request that asked for it, its id and a digest of it.

use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{ids::UserId, time::EpochSeconds};
use kernel::{clock::Clock, metrics::Counter};

use super::{
    disk::{Disk, DiskFile},
    encoded_unit::EncodedUnit,
    planted::{PlantedFault, is_planted},
    position::Position,
    reader::{LogReader, parts},
    record_header::{ERASED, PersonalPart, RECORD_HEADER_BYTES},
    record_reader::{self, RecordRead},
    recovery::{header_of, read_file},
    segment::HeaderFound,
    segment_files::SegmentFiles,
    segment_name::{log_name, summary_name},
    summarizer::Summarizer,
    summary::Summary,
};
use crate::{
    CommitError, EraseError, ErrorChain, OrderKey, ReadError,
    record::{
        self, EncodedRecord, ErasureScope, PersonErased, RecordKeys, RecordKind,
        encode_erasure_completed, encode_person_erased,
    },
};

/// Most orders of one record, which has to fit into the smallest segment.
const ORDERS_MAX: usize = 400;

/// Most segments that one call reads in search of old visits.
const SEGMENTS_READ: usize = 8;

/// Commits a unit that requires nothing, and waits until it is durable.
pub(super) type CommitUnit<'c> = dyn FnMut(EncodedUnit) -> Result<(), CommitError> + 'c;

/// Erases personal data, one erasure at a time.
#[derive(Debug)]
pub(super) struct Eraser {
    pub(super) reader: Arc<LogReader>,
    pub(super) summarizer: Summarizer,
    pub(super) clock: Arc<dyn Clock>,
    /// Orders that were erased since the start.
    pub(super) erased: Arc<Counter>,
    /// Held during an erasure.
    pub(super) visits: Mutex<KnownVisits>,
}

/// The earliest end of a visit among the orders of each sealed segment that are not erased; the greatest second if all
/// are. Segments of which that is not known are read when visits are erased by their age.
#[derive(Debug, Default)]
pub(super) struct KnownVisits(BTreeMap<u64, EpochSeconds>);

/// The orders of a segment that are not erased, by the end of their visits.
struct SegmentVisits {
    /// Those that ended before the second that was asked for.
    ended: Vec<Position>,
    /// The earliest end among the others.
    next_end: EpochSeconds,
}

impl Eraser {
    /// Erases the personal data of all orders of a user that are visible when it is called. Returns how many had any.
    ///
    /// # Errors
    /// [`EraseError`].
    pub(super) fn erase_person(
        &self,
        user_id: &UserId,
        commit: &mut CommitUnit<'_>,
    ) -> Result<u64, EraseError> {
        let _turn = self.lock();
        // What an earlier erasure could not overwrite is not shown, so it is not found below. If that fails again, it must
        // not keep this person's data from being erased.
        let earlier = self.complete_all(commit);
        let mut parts_of_orders = Vec::new();
        let mut orders: u64 = 0;
        let damage = self
            .reader
            .each_readable_of_user(user_id, &mut |position, record| {
                self.add_parts(position, parts(record)?.0, &mut parts_of_orders)?;
                orders += 1;
                Ok(ControlFlow::Continue(()))
            });
        parts_of_orders.sort_unstable();
        let scope = ErasureScope::Customer(self.reader.keys.user_key(user_id));
        self.erase(scope, &parts_of_orders, commit)?;
        self.erased.add(orders);
        earlier?;
        if damage.is_empty() {
            Ok(orders)
        } else {
            Err(EraseError::Partly {
                erased: orders,
                damage,
            })
        }
    }

    /// Erases the personal data of an order. Returns 1, or 0 if it was erased before or is unknown; what people have written
    /// since is erased all the same.
    ///
    /// # Errors
    /// [`EraseError`].
    pub(super) fn erase_order(
        &self,
        key: &OrderKey,
        commit: &mut CommitUnit<'_>,
    ) -> Result<u64, EraseError> {
        let _turn = self.lock();
        let earlier = self.complete_all(commit);
        let Some(record) = self.reader.find_order(key)? else {
            return earlier.map(|()| 0);
        };
        let (public, personal) = parts(&record)?;
        let mut parts_of_order = Vec::new();
        self.add_parts(record.position, public, &mut parts_of_order)?;
        let is_erased = personal.is_none();
        if is_erased {
            parts_of_order.retain(|position| *position != record.position);
        }
        parts_of_order.sort_unstable();
        self.erase(ErasureScope::Order(*key), &parts_of_order, commit)?;
        let erased = u64::from(!is_erased);
        self.erased.add(erased);
        earlier.map(|()| erased)
    }

    /// Erases the personal data of orders whose visit ended before a second, of the oldest segments first and of about
    /// `most` at most. Returns how many. It reads few segments at a call: less than `most` orders does not mean that no
    /// others are left.
    ///
    /// # Errors
    /// [`EraseError`].
    pub(super) fn erase_visits(
        &self,
        ended_before: EpochSeconds,
        most: usize,
        commit: &mut CommitUnit<'_>,
    ) -> Result<u64, EraseError> {
        let mut known = self.lock();
        let earlier = self.complete_all(commit);
        let scope = ErasureScope::VisitsEndedBefore(ended_before);
        let (mut erased, mut segments_read) = (0, 0);
        for segment in self.reader.segments() {
            if erased >= most || segments_read >= SEGMENTS_READ {
                break;
            }
            let is_sealed = self.summarizer.is_sealed(segment).map_err(disk_error)?;
            if is_sealed {
                let next_end = known.0.entry(segment);
                let next_end = next_end.or_insert_with(|| self.earliest_end(segment));
                if *next_end >= ended_before {
                    continue;
                }
            }
            segments_read += 1;
            let SegmentVisits { ended, next_end } = self.visits_of(segment, ended_before)?;
            let (now, later) = ended.split_at(ended.len().min(most - erased));
            let mut parts_of_orders = Vec::new();
            for position in now {
                let record = self.reader.read(*position)?;
                self.add_parts(*position, parts(&record)?.0, &mut parts_of_orders)?;
            }
            parts_of_orders.sort_unstable();
            self.erase(scope, &parts_of_orders, commit)?;
            self.erased.add(now.len() as u64);
            erased += now.len();
            // Orders may still be added to the segment in use, so nothing is remembered of it.
            if is_sealed && later.is_empty() {
                known.0.insert(segment, next_end);
            }
        }
        earlier.map(|()| erased as u64)
    }

    /// Finishes the erasures that are on record and not complete, as after a crash.
    ///
    /// # Errors
    /// The first [`EraseError`], after all have been tried.
    pub(super) fn complete_all(&self, commit: &mut CommitUnit<'_>) -> Result<(), EraseError> {
        let mut completed = Ok(());
        for erasure in self.reader.work.open_erasures() {
            let result = self.complete(erasure, commit);
            completed = completed.and(result);
        }
        completed
    }

    /// Adds where the personal data of an order is: its own record, and those of its updates.
    fn add_parts(
        &self,
        order: Position,
        public: &[u8],
        parts_of_orders: &mut Vec<Position>,
    ) -> Result<(), ReadError> {
        parts_of_orders.push(order);
        if is_planted(PlantedFault::UpdatesNotErased) {
            return Ok(());
        }
        let key = record::order_key(public)?;
        parts_of_orders.extend(self.reader.updates_with_texts(&key)?);
        Ok(())
    }

    /// Records and carries out the erasure of these records, which are in the order of the log.
    fn erase(
        &self,
        scope: ErasureScope,
        orders: &[Position],
        commit: &mut CommitUnit<'_>,
    ) -> Result<(), EraseError> {
        for orders in orders.chunks(ORDERS_MAX) {
            let erased = PersonErased {
                scope,
                erased_sec: self.clock.now_sec(),
                orders: orders.iter().map(|order| order.bits()).collect(),
            };
            let record = of_the_store(
                RecordKind::PersonErased,
                encode_person_erased(&erased),
                RecordKeys::PersonErased,
            );
            if is_planted(PlantedFault::ErasureNotRecorded) {
                self.overwrite_all(orders)?;
                continue;
            }
            commit(EncodedUnit::of_record(record))?;
            // The newest is this one: nobody else records any.
            if let Some(erasure) = self.reader.work.open_erasures().last() {
                self.complete(*erasure, commit)?;
            }
        }
        Ok(())
    }

    /// Carries out an erasure that is on record, and records its completion.
    fn complete(&self, erasure: Position, commit: &mut CommitUnit<'_>) -> Result<(), EraseError> {
        let orders = positions(&erasure_of(&self.reader.read(erasure)?)?);
        // From here on until the last byte is overwritten, and also if it never is before the next start.
        self.reader.overwriting.begin(&orders);
        self.overwrite_all(&orders)?;
        let record = of_the_store(
            RecordKind::ErasureCompleted,
            encode_erasure_completed(erasure.bits()),
            RecordKeys::ErasureCompleted(erasure.bits()),
        );
        // After all syncs: a start that finds this record looks at the orders no more.
        commit(EncodedUnit::of_record(record))?;
        self.reader.overwriting.end(&orders);
        Ok(())
    }

    fn overwrite_all(&self, orders: &[Position]) -> Result<(), EraseError> {
        for orders in orders.chunk_by(|one, next| one.segment() == next.segment()) {
            if let Some(first) = orders.first() {
                self.overwrite_in(first.segment(), orders)?;
            }
        }
        Ok(())
    }

    /// Overwrites orders of one segment, and makes its summary again.
    fn overwrite_in(&self, segment: u64, orders: &[Position]) -> Result<(), EraseError> {
        // Until the summary is written: see `Summarizer::summarize`.
        let _turn = self.reader.overwriting.lock();
        let file = self.reader.disk.open(&log_name(segment));
        let file = file.map_err(overwrite_error)?;
        for order in orders {
            let record = self.reader.read(*order)?;
            overwrite(&*file, *order, &record).map_err(overwrite_error)?;
        }
        if !is_planted(PlantedFault::ErasureNotSynced) {
            file.sync_data().map_err(overwrite_error)?;
        }
        // Asked after the bytes are overwritten: who seals the segment later makes a summary of what is there then.
        if self
            .summarizer
            .is_sealed(segment)
            .map_err(overwrite_error)?
            && !is_planted(PlantedFault::SummaryKeepsErased)
        {
            self.summarize(segment)?;
        }
        Ok(())
    }

    fn summarize(&self, segment: u64) -> Result<(), EraseError> {
        match self.summarizer.summarize_in_turn(segment) {
            Ok(()) => Ok(()),
            // Damage of other records must not keep the data of this person where it is. The old summary stays, with
            // four bytes of a hash of the user.
            Err(error) if error.kind() == io::ErrorKind::Other => {
                tracing::warn!(
                    segment,
                    error = %ErrorChain(&error),
                    "no summary of a segment was written after an erasure; verify the store"
                );
                Ok(())
            }
            Err(error) => Err(overwrite_error(error)),
        }
    }

    /// The earliest end of a visit that a sealed segment may have, by its summary; the greatest second if all of its orders
    /// are erased, the least if its summary cannot be read.
    fn earliest_end(&self, segment: u64) -> EpochSeconds {
        let seed = self.reader.seed.get();
        let bytes = read_file(&*self.reader.disk, &summary_name(segment));
        let summary = bytes.map(|bytes| Summary::decode(&bytes, seed, segment));
        let Ok(Some(summary)) = summary else {
            return EpochSeconds::MIN;
        };
        let effects = summary.effects;
        if effects.entries.iter().all(|entry| entry.user.is_none()) {
            return EpochSeconds::MAX;
        }
        let totals = effects.sums.claims.totals();
        let ends = totals.map(|(slot, _)| slot.start_sec.saturating_add(slot.duration_sec.into()));
        // Orders without spots are as old as their creation.
        let created = effects.times.get(segment).map(|span| span.earliest_sec);
        ends.chain(created).min().unwrap_or(EpochSeconds::MIN)
    }

    fn visits_of(
        &self,
        segment: u64,
        ended_before: EpochSeconds,
    ) -> Result<SegmentVisits, ReadError> {
        let mut visits = SegmentVisits {
            ended: Vec::new(),
            next_end: EpochSeconds::MAX,
        };
        self.reader.each_order_in(segment, &mut |stored| {
            let is_there = matches!(stored.personal, PersonalPart::Intact(_));
            if !is_there || self.reader.overwriting.contains(stored.position) {
                return Ok(());
            }
            let end = record::visit_end_sec(stored.public)?;
            if end < ended_before {
                visits.ended.push(stored.position);
            } else {
                visits.next_end = visits.next_end.min(end);
            }
            Ok(())
        })?;
        Ok(visits)
    }

    fn lock(&self) -> MutexGuard<'_, KnownVisits> {
        // A panic elsewhere leaves the map whole, and an erasure for the next to finish.
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Overwrites the personal part of a record. Its header is verified, so its lengths are those that were written.
fn overwrite(file: &dyn DiskFile, position: Position, record: &RecordRead) -> io::Result<()> {
    let kind = RecordKind::try_from(record.header.kind);
    if !kind.is_ok_and(RecordKind::has_personal_part) {
        return Err(io::Error::other(
            "an erasure names a record without personal data",
        ));
    }
    let erased = vec![ERASED; record.header.personal_bytes as usize];
    let before = RECORD_HEADER_BYTES as u64 + u64::from(record.header.public_bytes);
    file.write_all_at(&erased, position.offset() + before)
}

/// Overwrites the personal parts of these orders, which are sorted, in the copy of a log that nobody else reads.
pub(super) fn overwrite_in_copy(disk: &Arc<dyn Disk>, orders: &[Position]) -> io::Result<()> {
    let files = SegmentFiles::new(Arc::clone(disk));
    for orders in orders.chunk_by(|one, next| one.segment() == next.segment()) {
        let Some(segment) = orders.first().map(|order| order.segment()) else {
            continue;
        };
        let HeaderFound::Header(header) = header_of(&**disk, segment)? else {
            return Err(io::Error::other("a segment has no header"));
        };
        let file = files.get(segment)?;
        for order in orders {
            let record = record_reader::read(&files, header.identity.seed(), *order);
            overwrite(&*file, *order, &record.map_err(io::Error::other)?)?;
        }
        file.sync_data()?;
    }
    Ok(())
}

/// The erasure that a record speaks of.
///
/// # Errors
/// [`ReadError`].
pub(crate) fn erasure_of(record: &RecordRead) -> Result<PersonErased, ReadError> {
    if record.header.kind != RecordKind::PersonErased.number() {
        return Err(record.damaged("it is not the record of an erasure"));
    }
    Ok(record::decode_person_erased(parts(record)?.0)?)
}

/// Where the orders of an erasure are. Bits that are no position, which no version writes, lead nowhere.
fn positions(erased: &PersonErased) -> Vec<Position> {
    let orders = erased.orders.iter();
    orders
        .filter_map(|bits| Position::from_bits(*bits))
        .collect()
}

fn of_the_store(kind: RecordKind, public: Vec<u8>, keys: RecordKeys) -> EncodedRecord {
    EncodedRecord {
        kind,
        public,
        personal: Vec::new(),
        keys,
    }
}

fn disk_error(error: io::Error) -> EraseError {
    EraseError::Read(ReadError::Disk(Box::new(error)))
}

fn overwrite_error(error: io::Error) -> EraseError {
    EraseError::Overwrite(Box::new(error))
}

#[cfg(test)]
mod tests;
