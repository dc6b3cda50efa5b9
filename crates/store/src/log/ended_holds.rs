//! Where ended holds are: 24 bytes of memory each, by which they are read from the log.
//!
//! Carts that are left cost a shop nothing but this, so it has to be little: a part of the id, where the hold was placed
//! last, and how it ended. Another hold may have the same part of an id, so a hold that is found is a candidate until its
//! record has been read. A search looks into every chunk; nothing that takes an order or a hold needs one.

use std::collections::VecDeque;

use domain::time::EpochSeconds;

use super::{
    open_work::{HoldEnd, HoldEndKind},
    position::Position,
};
use crate::{ENDED_HOLDS_MAX, HoldId};

#[cfg(test)]
mod tests;

/// Holds of a chunk. It is sorted once it is full; until then a search reads all of it.
const CHUNK: usize = 1 << 13;

/// Chunks that are kept. Beside them there is the one that is being filled.
const CHUNKS_MAX: usize = ENDED_HOLDS_MAX / CHUNK;

/// Bits of a [`HoldEndKind`] beside a position.
const KIND_BITS: u32 = 2;

/// Holds that ended, in the order of their ends.
#[derive(Debug)]
pub(super) struct EndedHolds {
    /// Full ones, oldest first.
    chunks: VecDeque<Chunk>,
    newest: Vec<EndedHold>,
    /// Holds that ended before this second are forgotten.
    since: EpochSeconds,
}

/// An end, and where the hold that it is of was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndedHold {
    prefix: u64,
    /// The position, and the kind of the end in the lowest bits.
    place: u64,
    ended_sec: EpochSeconds,
}

#[derive(Debug)]
struct Chunk {
    /// By prefix; of equal ones the first to end comes first.
    ended: Box<[EndedHold]>,
    latest_sec: EpochSeconds,
}

impl Default for EndedHolds {
    fn default() -> Self {
        Self {
            chunks: VecDeque::new(),
            newest: Vec::new(),
            since: EpochSeconds::MIN,
        }
    }
}

impl EndedHold {
    fn new(id: HoldId, placed_at: Position, end: HoldEnd) -> Self {
        Self {
            prefix: prefix(id),
            place: (placed_at.bits() << KIND_BITS) | u64::from(end.kind.number()),
            ended_sec: end.ended_sec,
        }
    }

    /// Where it was placed last, and its end.
    pub(super) fn parts(self) -> Option<(Position, HoldEnd)> {
        let number = self.place.to_le_bytes()[0] & ((1 << KIND_BITS) - 1);
        let end = HoldEnd {
            ended_sec: self.ended_sec,
            kind: HoldEndKind::of_number(number)?,
        };
        Some((Position::from_bits(self.place >> KIND_BITS)?, end))
    }
}

impl EndedHolds {
    /// Adds a hold that has ended, also long ago: its earlier ends must not be taken for the last one.
    pub(super) fn add(&mut self, id: HoldId, placed_at: Position, end: HoldEnd) {
        self.newest.push(EndedHold::new(id, placed_at, end));
        if self.newest.len() == CHUNK {
            self.close_chunk();
        }
    }

    fn close_chunk(&mut self) {
        let mut ended = std::mem::take(&mut self.newest);
        let latest_sec = ended.iter().map(|hold| hold.ended_sec).max();
        let Some(latest_sec) = latest_sec.filter(|latest_sec| *latest_sec >= self.since) else {
            return;
        };
        // Stable: of the ends of one hold the last one stays the last.
        ended.sort_by_key(|hold| hold.prefix);
        self.chunks.push_back(Chunk {
            ended: ended.into_boxed_slice(),
            latest_sec,
        });
        if self.chunks.len() > CHUNKS_MAX {
            self.chunks.pop_front();
        }
    }

    /// Forgets the holds that ended before this second, and until the next call also those that are added.
    pub(super) fn forget_before(&mut self, second: EpochSeconds) {
        // Set back with the clock: otherwise one wrong time would hide the end of every hold from then on.
        self.since = second;
        // Each chunk by itself: one that was filled under a clock ahead of time keeps no other.
        self.chunks.retain(|chunk| chunk.latest_sec >= second);
    }

    /// The ends of holds whose ids begin like this one, newest first. Some may be forgotten.
    pub(super) fn candidates(&self, id: HoldId) -> Vec<EndedHold> {
        let prefix = prefix(id);
        let mut found = Vec::new();
        found.extend(
            self.newest
                .iter()
                .rev()
                .filter(|hold| hold.prefix == prefix),
        );
        for chunk in self.chunks.iter().rev() {
            let from = chunk.ended.partition_point(|hold| hold.prefix < prefix);
            let behind = &chunk.ended[from..];
            let until = behind.partition_point(|hold| hold.prefix == prefix);
            found.extend(behind[..until].iter().rev());
        }
        found
    }

    /// Whether a hold ended too long ago to be found.
    pub(super) fn is_forgotten(&self, end: HoldEnd) -> bool {
        end.ended_sec < self.since
    }

    /// Bytes that it has allocated.
    #[cfg(test)]
    fn allocated_bytes(&self) -> usize {
        let full: usize = self
            .chunks
            .iter()
            .map(|chunk| size_of_val(&*chunk.ended))
            .sum();
        full + self.newest.capacity() * size_of::<EndedHold>()
            + self.chunks.capacity() * size_of::<Chunk>()
    }
}

/// The first half of an id, which is a hash.
fn prefix(HoldId(id): HoldId) -> u64 {
    u64::from_be_bytes(id.first_chunk().copied().unwrap_or_default())
}
