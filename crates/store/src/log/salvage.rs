//! What can still be read of a damaged piece of a segment, record by record.

use std::ops::{Range, RangeInclusive};

use domain::order::OrderId;

use super::{
    checksum::StoreSeed,
    frame::StoredRecord,
    position::{ALIGNMENT, Position},
    record_header::{RECORD_HEADER_BYTES, RecordHeader},
};
use crate::record::{self, RecordKind};

/// A damaged piece of a segment, and what is left of it.
#[derive(Debug, Default)]
pub(super) struct Salvage<'b> {
    /// Records that are as they were written, in their order.
    pub(super) intact: Vec<StoredRecord<'b>>,
    /// From the first to the last change that cannot be read.
    pub(super) lost: Option<RangeInclusive<u64>>,
    /// Orders among the lost changes of which the public part is as it was written.
    pub(super) orders: Vec<OrderId>,
}

/// Searches `piece` of a segment for records with these sequence numbers.
pub(super) fn salvage(
    segment_bytes: &[u8],
    seed: StoreSeed,
    segment: u64,
    piece: Range<u64>,
    sequences: Range<u64>,
) -> Salvage<'_> {
    let mut found = Salvage::default();
    let mut at = piece.start;
    while at < piece.end {
        at += match record_at(segment_bytes, seed, segment, at) {
            // The numbers are compared as well: the check of a header is short enough to pass by chance.
            Some(record) if sequences.contains(&record.header.sequence) => {
                found.add(&record, seed);
                record.header.record_bytes() as u64
            }
            Some(_) | None => ALIGNMENT,
        };
    }
    let mut lost = sequences;
    let numbers = || found.intact.iter().map(|record| record.header.sequence);
    for number in numbers() {
        if number != lost.start {
            break;
        }
        lost.start += 1;
    }
    for number in numbers().rev() {
        if lost.is_empty() || number + 1 != lost.end {
            break;
        }
        lost.end -= 1;
    }
    found.lost = (!lost.is_empty()).then(|| lost.start..=lost.end - 1);
    found
}

/// A record of which the header is as it was written.
struct FoundRecord<'b> {
    position: Position,
    header: RecordHeader,
    bytes: &'b [u8],
}

fn record_at(
    segment_bytes: &[u8],
    seed: StoreSeed,
    segment: u64,
    offset: u64,
) -> Option<FoundRecord<'_>> {
    let rest = segment_bytes.get(usize::try_from(offset).ok()?..)?;
    if rest.len() < RECORD_HEADER_BYTES {
        return None;
    }
    let position = Position::new(segment, offset)?;
    let header = RecordHeader::decode(rest, seed, position)?;
    let length = header.record_bytes().min(rest.len());
    Some(FoundRecord {
        position,
        header,
        bytes: &rest[..length],
    })
}

impl<'b> Salvage<'b> {
    fn add(&mut self, record: &FoundRecord<'b>, seed: StoreSeed) {
        let FoundRecord {
            position,
            header,
            bytes,
        } = *record;
        if let Some((public, personal)) = header.parts(bytes, seed, position) {
            self.intact.push(StoredRecord {
                position,
                header,
                public,
                personal,
            });
        } else if header.kind == RecordKind::OrderPlaced.number()
            && let Some(public) = header.public_part(bytes, seed, position)
            && let Ok(key) = record::order_key(public)
        {
            self.orders.push(key.order_id());
        }
    }
}
