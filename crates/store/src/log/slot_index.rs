//! The orders of a segment by slot, so that those of a slot or of a day are found without reading all orders.
//!
//! The index of a sealed segment is a file beside its summary, which is read when somebody asks; a start only looks whether
//! it is there. The entries of segments without such a file are in memory ([`RecentSlots`]): those of the segment in use, and
//! of one that is being summarized. A segment with neither is read as a whole, so that a lost index makes a list slower and
//! never wrong.
//!
//! ```text
//! format text [8] │ segment u64 │ first sequence u64 │ last sequence u64 │ chain hash [16]
//! entries     count u32 × {start i64, tag of the service u32, offset u32}, sorted
//! checksum    xxh3 [16] of all bytes before it, seeded
//! ```
//!
//! Integers are little-endian. Offsets are in the segment, in units of the alignment of records.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use domain::time::EpochSeconds;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    planted::{PlantedFault, is_planted},
    position::{ALIGNMENT, Position},
    summary::SegmentBounds,
};
use crate::order_key::{ServiceTag, SlotKey};

#[cfg(test)]
mod tests;

/// Format and its version.
const FORMAT: [u8; 8] = *b"bo-slt 1";

const CHECKSUM_BYTES: usize = 16;

/// Bytes of an entry.
const ENTRY_BYTES: usize = 16;

/// An order at one of its slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlotEntry {
    /// The slot.
    pub(super) slot: SlotKey,
    /// Where the record of the order is.
    pub(super) position: Position,
}

impl SlotEntry {
    /// Those of an order at these slots.
    pub(super) fn of_order(
        position: Position,
        slots: &[SlotKey],
    ) -> impl Iterator<Item = Self> + '_ {
        slots.iter().map(move |slot| Self {
            slot: *slot,
            position,
        })
    }
}

/// Slots to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotRange {
    /// The first second of a start.
    pub(super) from: EpochSeconds,
    /// The second after the last.
    pub(super) until: EpochSeconds,
    /// The service; `None` for all.
    pub(super) service: Option<ServiceTag>,
}

impl SlotRange {
    fn contains(&self, slot: SlotKey) -> bool {
        (self.from..self.until).contains(&slot.start_sec)
            && self.service.is_none_or(|service| service == slot.service)
    }
}

/// The index of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SlotIndex {
    bounds: SegmentBounds,
    /// Sorted.
    entries: Vec<SlotEntry>,
}

impl SlotIndex {
    /// The index of a segment with these orders.
    pub(super) fn new(bounds: SegmentBounds, mut entries: Vec<SlotEntry>) -> Self {
        // So that equal records make equal bytes, and a range is one piece.
        entries.sort_unstable();
        Self { bounds, entries }
    }

    /// The bytes of its file. The seed is the store's own: see the summary.
    pub(super) fn encode(&self, seed: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.entries.len() * ENTRY_BYTES);
        out.extend(beginning(&self.bounds));
        // A segment of 64 MiB has fewer than its type can count.
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        out.extend(count.to_le_bytes());
        for SlotEntry { slot, position } in &self.entries {
            out.extend(slot.start_sec.get().to_le_bytes());
            out.extend(slot.service.0.to_le_bytes());
            // 26 bits less those of the alignment, so it fits.
            let offset = u32::try_from(position.offset() / ALIGNMENT).unwrap_or(u32::MAX);
            out.extend(offset.to_le_bytes());
        }
        let checksum = xxh3_128_with_seed(&out, seed);
        out.extend(checksum.to_le_bytes());
        out
    }

    /// The positions of the orders in a range of slots, from the bytes of a file; `None` if they are anything else than what
    /// [`Self::encode`] returned for this segment in this state and for this seed.
    pub(super) fn search(
        bytes: &[u8],
        seed: u64,
        bounds: &SegmentBounds,
        range: &SlotRange,
    ) -> Option<Vec<Position>> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let is_intact = xxh3_128_with_seed(content, seed) == u128::from_le_bytes(*checksum)
            || is_planted(PlantedFault::SlotIndexSumIgnored);
        if !is_intact {
            return None;
        }
        let content = content.strip_prefix(beginning(bounds).as_slice())?;
        let (count, entries) = content.split_first_chunk()?;
        let (entries, rest) = entries.as_chunks::<ENTRY_BYTES>();
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        if count != entries.len() || !rest.is_empty() {
            return None;
        }
        let first = entries.partition_point(|entry| start_of(entry) < range.from);
        let mut positions = Vec::new();
        for bytes in &entries[first..] {
            let entry = decode(bytes, bounds.segment)?;
            if entry.slot.start_sec >= range.until {
                break;
            }
            if range.contains(entry.slot) {
                positions.push(entry.position);
            }
        }
        Some(oldest_first(positions))
    }
}

/// What the file of a segment in this state begins with.
fn beginning(bounds: &SegmentBounds) -> Vec<u8> {
    let SegmentBounds {
        segment,
        first_sequence,
        last_sequence,
        chain_hash,
    } = bounds;
    let mut bytes = FORMAT.to_vec();
    bytes.extend(segment.to_le_bytes());
    bytes.extend(first_sequence.to_le_bytes());
    bytes.extend(last_sequence.to_le_bytes());
    bytes.extend(chain_hash);
    bytes
}

fn start_of(entry: &[u8; ENTRY_BYTES]) -> EpochSeconds {
    let [start @ .., _, _, _, _, _, _, _, _] = *entry;
    EpochSeconds::new(i64::from_le_bytes(start))
}

fn decode(entry: &[u8; ENTRY_BYTES], segment: u64) -> Option<SlotEntry> {
    let [.., s0, s1, s2, s3, o0, o1, o2, o3] = *entry;
    let offset = u32::from_le_bytes([o0, o1, o2, o3]);
    Some(SlotEntry {
        slot: SlotKey {
            start_sec: start_of(entry),
            service: ServiceTag(u32::from_le_bytes([s0, s1, s2, s3])),
        },
        position: Position::new(segment, u64::from(offset) * ALIGNMENT)?,
    })
}

/// Each position once: an order may be at several slots of a range.
fn oldest_first(mut positions: Vec<Position>) -> Vec<Position> {
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// The entries of segments without an index on disk.
#[derive(Debug, Default)]
pub(super) struct RecentSlots(RwLock<BTreeMap<u64, Vec<SlotEntry>>>);

impl RecentSlots {
    /// Adds entries of orders, which are durable.
    pub(super) fn add(&self, entries: impl Iterator<Item = SlotEntry>) {
        let mut segments = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let segment = segments.entry(entry.position.segment()).or_default();
            segment.push(entry);
        }
    }

    /// Forgets a segment whose index is on disk.
    pub(super) fn forget(&self, segment: u64) {
        let mut segments = self.0.write().unwrap_or_else(PoisonError::into_inner);
        segments.remove(&segment);
    }

    /// The positions of the orders of a segment in a range of slots; `None` if it is not in memory.
    pub(super) fn search(&self, segment: u64, range: &SlotRange) -> Option<Vec<Position>> {
        let segments = self.read();
        // One after the other: a segment has a hundred thousand, which takes a tenth of a millisecond.
        let entries = segments.get(&segment)?.iter();
        let found = entries.filter(|entry| range.contains(entry.slot));
        Some(oldest_first(found.map(|entry| entry.position).collect()))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Vec<SlotEntry>>> {
        // A panic elsewhere leaves the entries whole: every change is an insertion or a removal.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
