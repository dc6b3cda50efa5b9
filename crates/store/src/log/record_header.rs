//! The header of a record in a frame.

use super::{
    checksum::{StoreSeed, sum},
    planted::{PlantedFault, is_planted},
    position::{ALIGNMENT, Position},
};

/// Bytes of a header.
pub(crate) const RECORD_HEADER_BYTES: usize = 48;

/// [`ALIGNMENT`] as a length in memory.
const ALIGNED: usize = 8;
const _: () = assert!(ALIGNED as u64 == ALIGNMENT);

/// What an erased personal part consists of. Not zeros: a part that did not reach the disk before a crash has those.
pub(crate) const ERASED: u8 = 0xff;

/// The header of a record. The checksum of the header is kept in it, those of both parts as well, so that a record can
/// be read and verified by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    /// What the record is: a number of `RecordKind`.
    pub(crate) kind: u8,
    /// Bytes of the public part, which follows the header.
    pub(crate) public_bytes: u32,
    /// Bytes of the personal part, which follows the public one.
    pub(crate) personal_bytes: u32,
    /// The number of the change, from 1 without gaps.
    pub(crate) sequence: u64,
    /// The earlier order with the same user fingerprint.
    pub(crate) link: Option<Position>,
    public_sum: u64,
    personal_sum: u64,
}

/// A part of a record as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PersonalPart<'b> {
    /// As written.
    Intact(&'b [u8]),
    /// Overwritten in place with [`ERASED`].
    Erased,
    /// Neither of the two: half overwritten, by an erasure that is not complete, or damaged. The records of erasures tell
    /// which.
    Unreadable,
}

impl RecordHeader {
    /// The header of a record with these parts at `position`.
    pub(crate) fn new(
        seed: StoreSeed,
        position: Position,
        kind: u8,
        (sequence, link): (u64, Option<Position>),
        public: &[u8],
        personal: &[u8],
    ) -> Self {
        let seed = seed.at(position.segment(), position.offset());
        Self {
            kind,
            public_bytes: length(public),
            personal_bytes: length(personal),
            sequence,
            link,
            public_sum: sum(public, seed),
            personal_sum: sum(personal, seed),
        }
    }

    /// Bytes of the whole record, with the padding to the next one.
    pub(crate) fn record_bytes(&self) -> usize {
        record_bytes(self.public_bytes as usize, self.personal_bytes as usize)
    }

    pub(crate) fn encode(&self, seed: StoreSeed, position: Position) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0] = self.kind;
        bytes[4..8].copy_from_slice(&self.public_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.personal_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        let link = self.link.map_or(0, Position::bits);
        bytes[24..32].copy_from_slice(&link.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.public_sum.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.personal_sum.to_le_bytes());
        let check = header_check(&bytes, seed, position);
        bytes[12..16].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The header at the beginning of `bytes`; `None` if that is not the header of a record at `position`.
    pub(crate) fn decode(bytes: &[u8], seed: StoreSeed, position: Position) -> Option<Self> {
        let bytes: &[u8; RECORD_HEADER_BYTES] = bytes.first_chunk()?;
        let check = u32_at(bytes, 12);
        let mut unchecked = *bytes;
        unchecked[12..16].fill(0);
        let is_intact = check == header_check(&unchecked, seed, position)
            || is_planted(PlantedFault::RecordCheckIgnored);
        if !is_intact || unchecked[1..4] != [0; 3] {
            return None;
        }
        let link = match u64_at(bytes, 24) {
            0 => None,
            bits => Some(Position::from_bits(bits)?),
        };
        Some(Self {
            kind: bytes[0],
            public_bytes: u32_at(bytes, 4),
            personal_bytes: u32_at(bytes, 8),
            sequence: u64_at(bytes, 16),
            link,
            public_sum: u64_at(bytes, 32),
            personal_sum: u64_at(bytes, 40),
        })
    }

    /// The public part in the bytes of a record of which the personal part may be damaged; `None` if it is damaged itself.
    pub(crate) fn public_part<'b>(
        &self,
        record: &'b [u8],
        seed: StoreSeed,
        position: Position,
    ) -> Option<&'b [u8]> {
        let parts = record.get(RECORD_HEADER_BYTES..)?;
        let public = parts.get(..self.public_bytes as usize)?;
        let seed = seed.at(position.segment(), position.offset());
        (sum(public, seed) == self.public_sum).then_some(public)
    }

    /// The parts in the bytes of the whole record; `None` if the public one or the padding is not what was written. A
    /// personal part of [`ERASED`] bytes was erased.
    pub(crate) fn parts<'b>(
        &self,
        record: &'b [u8],
        seed: StoreSeed,
        position: Position,
    ) -> Option<(&'b [u8], PersonalPart<'b>)> {
        let parts = record.get(RECORD_HEADER_BYTES..)?;
        let (public, rest) = parts.split_at_checked(self.public_bytes as usize)?;
        let (personal, padding) = rest.split_at_checked(self.personal_bytes as usize)?;
        let seed = seed.at(position.segment(), position.offset());
        let is_public_intact =
            sum(public, seed) == self.public_sum || is_planted(PlantedFault::PublicSumIgnored);
        if !is_public_intact || padding.iter().any(|&byte| byte != 0) {
            return None;
        }
        let is_personal_intact = sum(personal, seed) == self.personal_sum
            || is_planted(PlantedFault::PersonalSumIgnored);
        if is_personal_intact {
            return Some((public, PersonalPart::Intact(personal)));
        }
        let is_erased = personal.iter().all(|&byte| byte == ERASED)
            || is_planted(PlantedFault::PersonalLossIgnored);
        let personal = if is_erased {
            PersonalPart::Erased
        } else {
            PersonalPart::Unreadable
        };
        Some((public, personal))
    }
}

/// Bytes of a record with parts of these lengths, with the padding to the next one.
pub(crate) fn record_bytes(public: usize, personal: usize) -> usize {
    (RECORD_HEADER_BYTES + public + personal).next_multiple_of(ALIGNED)
}

fn header_check(bytes: &[u8; RECORD_HEADER_BYTES], seed: StoreSeed, position: Position) -> u32 {
    let sum = sum(bytes, seed.at(position.segment(), position.offset()));
    // The lower half: a misplaced header passes once in four billion, and its parts have sums of their own.
    let [one, two, three, four, ..] = sum.to_le_bytes();
    u32::from_le_bytes([one, two, three, four])
}

fn length(part: &[u8]) -> u32 {
    // A unit is bounded by the size of a segment before it gets here.
    u32::try_from(part.len()).unwrap_or(u32::MAX)
}

/// The number at `at`, which lies within the header.
fn u32_at(bytes: &[u8; RECORD_HEADER_BYTES], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The number at `at`, which lies within the header.
fn u64_at(bytes: &[u8; RECORD_HEADER_BYTES], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
