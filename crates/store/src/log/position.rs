//! Where a record stands in the log.

use std::fmt;

/// Bytes of a segment.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// Records start at multiples of this, so that a position takes 40 bits.
pub(crate) const ALIGNMENT: u64 = 8;

/// Bits of a position within its segment, in units of [`ALIGNMENT`].
const UNIT_BITS: u32 = SEGMENT_BYTES.ilog2() - ALIGNMENT.ilog2();

/// Bits of a position: up to 131,072 segments, or 8 TiB.
pub(crate) const POSITION_BITS: u32 = 40;

/// The most segments that positions can tell apart. Numbers of segments begin at 1, so that no record has the position 0.
pub(crate) const SEGMENTS_MAX: u64 = (1 << (POSITION_BITS - UNIT_BITS)) - 1;

/// Where a record stands: its segment and the byte in it, in 40 bits. A later record has a greater position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position(u64);

impl Position {
    /// The record at `offset` of a segment; `None` if it cannot be there.
    pub(crate) fn new(segment: u64, offset: u64) -> Option<Self> {
        let is_one = (1..=SEGMENTS_MAX).contains(&segment)
            && offset < SEGMENT_BYTES
            && offset.is_multiple_of(ALIGNMENT);
        is_one.then_some(Self((segment << UNIT_BITS) | (offset / ALIGNMENT)))
    }

    /// The position behind its 40 bits; `None` for 0 and for more bits.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let is_one = bits >> UNIT_BITS > 0 && bits >> POSITION_BITS == 0;
        is_one.then_some(Self(bits))
    }

    /// The 40 bits, never 0.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// The number of its segment.
    pub(crate) fn segment(self) -> u64 {
        self.0 >> UNIT_BITS
    }

    /// The first byte of the record in its segment.
    pub(crate) fn offset(self) -> u64 {
        (self.0 & ((1 << UNIT_BITS) - 1)) * ALIGNMENT
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, offset {}", self.segment(), self.offset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_leads_back_to_its_segment_and_offset_and_grows_with_both() {
        let mut last = None;
        for segment in [1, 2, 77, SEGMENTS_MAX] {
            for offset in [0, 8, 4096, SEGMENT_BYTES - 8] {
                let position = Position::new(segment, offset).unwrap();
                assert_eq!((position.segment(), position.offset()), (segment, offset));
                assert_eq!(Position::from_bits(position.bits()), Some(position));
                assert!(Some(position) > last);
                last = Some(position);
            }
        }
    }

    #[test]
    fn what_is_not_a_position_is_none() {
        for (segment, offset) in [
            (0, 8),
            (SEGMENTS_MAX + 1, 0),
            (1, 4),
            (1, SEGMENT_BYTES),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(Position::new(segment, offset), None, "{segment} {offset}");
        }
        for bits in [0, 1, (1 << UNIT_BITS) - 1, 1 << POSITION_BITS, u64::MAX] {
            assert_eq!(Position::from_bits(bits), None, "{bits}");
        }
    }
}
