//! Reading one record by its position.

use std::io;

use super::{
    checksum::StoreSeed,
    overwriting::Overwriting,
    position::Position,
    record_header::{PersonalPart, RECORD_HEADER_BYTES, RecordHeader},
    segment_files::SegmentFiles,
};
use crate::ReadError;

/// Bytes that are read at first. Most records are shorter.
const FIRST_READ: u64 = 2048;

/// A record that was read and verified.
#[derive(Debug)]
pub(crate) struct RecordRead {
    bytes: Vec<u8>,
    seed: StoreSeed,
    /// Where it stands.
    pub(crate) position: Position,
    /// Its header.
    pub(crate) header: RecordHeader,
    personal: PersonalView,
}

/// What is handed out of the personal part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PersonalView {
    /// What stands there.
    AsRead,
    /// Nothing: it is being overwritten.
    Erased,
}

impl RecordRead {
    /// Its parts.
    ///
    /// # Errors
    /// [`ReadError::Damaged`].
    pub(crate) fn parts(&self) -> Result<(&[u8], PersonalPart<'_>), ReadError> {
        let parts = self.header.parts(&self.bytes, self.seed, self.position);
        let (public, personal) =
            parts.ok_or_else(|| self.damaged("the record is not what was written"))?;
        match self.personal {
            PersonalView::AsRead => Ok((public, personal)),
            PersonalView::Erased => Ok((public, PersonalPart::Erased)),
        }
    }

    /// That it is damaged, and how.
    pub(crate) fn damaged(&self, fault: &str) -> ReadError {
        damaged(self.position, fault)
    }

    /// Whether the personal part is neither as written nor erased.
    fn is_unreadable(&self) -> bool {
        matches!(self.parts(), Ok((_, PersonalPart::Unreadable)))
    }
}

/// Reads the record at a position, of which the personal part may be overwritten at this moment.
///
/// # Errors
/// [`ReadError`].
pub(crate) fn read_beside(
    overwriting: &Overwriting,
    files: &SegmentFiles,
    seed: StoreSeed,
    position: Position,
) -> Result<RecordRead, ReadError> {
    // Asked before the bytes are read, so that a part which is complete afterwards does not show bytes from before.
    let is_erased = overwriting.contains(position);
    let mut record = read(files, seed, position)?;
    if is_erased {
        record.personal = PersonalView::Erased;
    } else if record.is_unreadable() {
        if overwriting.contains(position) {
            // Begun since.
            record.personal = PersonalView::Erased;
        } else {
            // Begun and completed since: this time every byte is overwritten. What is still unreadable is damaged.
            record = read(files, seed, position)?;
        }
    }
    Ok(record)
}

/// Reads the record at a position.
///
/// # Errors
/// [`ReadError`].
pub(crate) fn read(
    files: &SegmentFiles,
    seed: StoreSeed,
    position: Position,
) -> Result<RecordRead, ReadError> {
    let file = files.get(position.segment()).map_err(disk_error)?;
    let rest = file
        .len()
        .map_err(disk_error)?
        .saturating_sub(position.offset());
    let mut bytes = vec![0; usize::try_from(rest.min(FIRST_READ)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, position.offset())
        .map_err(disk_error)?;
    let header = RecordHeader::decode(&bytes, seed, position)
        .ok_or_else(|| damaged(position, "the header of the record is not what was written"))?;
    let whole = header.record_bytes();
    // The header is verified, so its lengths are those that were written; the file may be shorter all the same.
    if whole as u64 > rest {
        return Err(damaged(position, "the segment is cut short"));
    }
    let first = bytes.len();
    bytes.resize(whole, 0);
    if whole > first {
        let from = position.offset() + first as u64;
        file.read_exact_at(&mut bytes[first..], from)
            .map_err(disk_error)?;
    }
    debug_assert!(bytes.len() >= RECORD_HEADER_BYTES);
    Ok(RecordRead {
        bytes,
        seed,
        position,
        header,
        personal: PersonalView::AsRead,
    })
}

fn damaged(position: Position, fault: &str) -> ReadError {
    ReadError::Damaged(format!("{position}: {fault}"))
}

pub(crate) fn disk_error(error: io::Error) -> ReadError {
    ReadError::Disk(Box::new(error))
}
