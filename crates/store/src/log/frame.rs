//! Frames: a batch as it stands in a segment, written with one call and synced once.
//!
//! A frame is valid as a whole or not at all: its hash covers its header and the headers of all its records, which have the
//! checksums of their parts. It repeats the hash of the frame before.

use std::ops::Range;

use domain::time::EpochSeconds;

use super::{
    checksum::{ChainHash, PieceHasher, StoreSeed},
    position::{ALIGNMENT, Position},
    record_header::{PersonalPart, RECORD_HEADER_BYTES, RecordHeader, record_bytes},
};

/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;

/// How a frame begins. Recovery searches for it behind the first frame that does not verify.
const MAGIC: [u8; 8] = *b"BoxFrm3\n";

/// The place of the hash within the header. It is zero while the hash is computed.
const HASH: Range<usize> = 48..64;

/// Where a frame stands and what comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FramePlace {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// The first byte of the frame in it.
    pub(crate) offset: u64,
    /// The sequence number of its first record.
    pub(crate) first_sequence: u64,
    /// The hash of the frame before.
    pub(crate) previous: ChainHash,
}

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRecord<'r> {
    /// What it is: a number of `RecordKind`.
    pub(crate) kind: u8,
    /// The part that stays.
    pub(crate) public: &'r [u8],
    /// The part that can be erased; empty where there is none.
    pub(crate) personal: &'r [u8],
}

impl NewRecord<'_> {
    /// The bytes that it takes in a frame.
    pub(crate) fn bytes(&self) -> usize {
        record_bytes(self.public.len(), self.personal.len())
    }
}

/// A frame that is being put together.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    seed: StoreSeed,
    place: FramePlace,
    hasher: PieceHasher,
    records: u32,
    bytes: Vec<u8>,
}

impl FrameBuilder {
    /// A frame at `place`, in a buffer that may have been used before.
    pub(crate) fn new(seed: StoreSeed, place: FramePlace, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(FRAME_HEADER_BYTES, 0);
        Self {
            seed,
            place,
            hasher: PieceHasher::new(seed.at(place.segment, place.offset)),
            records: 0,
            bytes: buffer,
        }
    }

    /// Number of records so far.
    pub(crate) fn records(&self) -> u32 {
        self.records
    }

    /// Where the next record will stand; `None` beyond the end of a segment.
    pub(crate) fn next_position(&self) -> Option<Position> {
        let offset = self.place.offset + self.bytes.len() as u64;
        Position::new(self.place.segment, offset)
    }

    /// Adds a record at [`Self::next_position`].
    pub(crate) fn push(
        &mut self,
        position: Position,
        record: NewRecord<'_>,
        link: Option<Position>,
    ) {
        let NewRecord {
            kind,
            public,
            personal,
        } = record;
        let sequence = self.place.first_sequence + u64::from(self.records);
        let header = RecordHeader::new(
            self.seed,
            position,
            kind,
            (sequence, link),
            public,
            personal,
        );
        let encoded = header.encode(self.seed, position);
        self.hasher.add(&encoded);
        let end = self.bytes.len() + header.record_bytes();
        self.bytes.extend_from_slice(&encoded);
        self.bytes.extend_from_slice(public);
        self.bytes.extend_from_slice(personal);
        self.bytes.resize(end, 0);
        self.records += 1;
    }

    /// The bytes of the complete frame, and its hash.
    pub(crate) fn finish(mut self, committed_sec: EpochSeconds) -> (Vec<u8>, ChainHash) {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let header = &mut self.bytes[..FRAME_HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&length.to_le_bytes());
        header[12..16].copy_from_slice(&self.records.to_le_bytes());
        header[16..24].copy_from_slice(&self.place.first_sequence.to_le_bytes());
        header[24..32].copy_from_slice(&committed_sec.get().to_le_bytes());
        header[32..48].copy_from_slice(&self.place.previous);
        // The records first, because they were hashed while they were added.
        self.hasher.add(header);
        let hash = self.hasher.finish();
        header[HASH].copy_from_slice(&hash);
        (self.bytes, hash)
    }
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameFault {
    /// Zeros stand where a frame would begin: nothing was written here.
    Blank,
    /// There is no header of a frame.
    NoHeader,
    /// The frame is longer than the segment.
    Length,
    /// The headers are not what was written.
    Hash,
    /// The public part of this record is not what was written.
    Record(Position),
}

/// A frame that was verified.
#[derive(Debug)]
pub(crate) struct Frame<'b> {
    /// Where it stands and what comes before it.
    pub(crate) place: FramePlace,
    /// When it was written, by the clock of that moment.
    pub(crate) committed_sec: EpochSeconds,
    /// Its own hash.
    pub(crate) hash: ChainHash,
    /// Its records.
    pub(crate) records: Vec<StoredRecord<'b>>,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

/// A record that was verified.
#[derive(Debug)]
pub(crate) struct StoredRecord<'b> {
    /// Where it stands.
    pub(crate) position: Position,
    /// Its header.
    pub(crate) header: RecordHeader,
    /// The part that stays.
    pub(crate) public: &'b [u8],
    /// The part that can be erased.
    pub(crate) personal: PersonalPart<'b>,
}

impl Frame<'_> {
    /// The number of the record after the last.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.place.first_sequence + self.records.len() as u64
    }

    /// The first byte after the frame.
    pub(crate) fn end(&self) -> u64 {
        self.place.offset + self.bytes
    }

    /// Whether the personal part of a record is neither as written nor erased.
    pub(crate) fn has_unreadable(&self) -> bool {
        let mut records = self.records.iter();
        records.any(|stored| stored.personal == PersonalPart::Unreadable)
    }
}

/// The frame at `offset` of a segment whose bytes are `segment_bytes`. Personal parts of its records may be unreadable:
/// whether an erasure explains that is for the caller to find out.
pub(crate) fn verify(
    segment_bytes: &[u8],
    seed: StoreSeed,
    segment: u64,
    offset: u64,
) -> Result<Frame<'_>, FrameFault> {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| segment_bytes.get(offset..))
        .ok_or(FrameFault::Length)?;
    verify_at(rest, seed, segment, offset)
}

/// The frame at the beginning of `rest`, the bytes of a segment from `offset` on.
pub(crate) fn verify_at(
    rest: &[u8],
    seed: StoreSeed,
    segment: u64,
    offset: u64,
) -> Result<Frame<'_>, FrameFault> {
    let header = FrameHeader::decode(rest)?;
    let bytes = rest
        .get(..header.length as usize)
        .ok_or(FrameFault::Length)?;
    let mut hasher = PieceHasher::new(seed.at(segment, offset));
    // No room for more records than the bytes can hold, whatever the header says.
    let mut found =
        Vec::with_capacity((header.records as usize).min(bytes.len() / RECORD_HEADER_BYTES));
    let mut at = FRAME_HEADER_BYTES;
    while at < bytes.len() {
        let position = Position::new(segment, offset + at as u64).ok_or(FrameFault::Length)?;
        let record = RecordHeader::decode(&bytes[at..], seed, position).ok_or(FrameFault::Hash)?;
        hasher.add(&bytes[at..][..RECORD_HEADER_BYTES]);
        if record.sequence != header.first_sequence + found.len() as u64 {
            return Err(FrameFault::Hash);
        }
        let end = at + record.record_bytes();
        found.push((position, record, at..end));
        at = end;
    }
    hasher.add(&header.unhashed);
    if at != bytes.len() || found.len() != header.records as usize || hasher.finish() != header.hash
    {
        return Err(FrameFault::Hash);
    }
    let mut records = Vec::with_capacity(found.len());
    for (position, record, range) in found {
        let (public, personal) = record
            .parts(&bytes[range], seed, position)
            .ok_or(FrameFault::Record(position))?;
        records.push(StoredRecord {
            position,
            header: record,
            public,
            personal,
        });
    }
    Ok(Frame {
        place: FramePlace {
            segment,
            offset,
            first_sequence: header.first_sequence,
            previous: header.previous,
        },
        committed_sec: header.committed_sec,
        hash: header.hash,
        records,
        bytes: u64::from(header.length),
    })
}

/// The length in bytes that the header at the beginning of `rest` says its frame has, which is not verified.
pub(crate) fn length_of(rest: &[u8]) -> Option<u64> {
    let header = FrameHeader::decode(rest).ok()?;
    Some(u64::from(header.length))
}

/// The first byte at or after `from` at which a frame verifies, with its damaged records ignored; `None` if there is none.
pub(crate) fn find_valid(
    segment_bytes: &[u8],
    seed: StoreSeed,
    segment: u64,
    from: u64,
) -> Option<u64> {
    let end = segment_bytes.len() as u64;
    let mut at = from.next_multiple_of(ALIGNMENT);
    while at + FRAME_HEADER_BYTES as u64 <= end {
        let begin = usize::try_from(at).ok()?;
        if segment_bytes[begin..].starts_with(&MAGIC)
            && matches!(
                verify(segment_bytes, seed, segment, at),
                // Its headers are those of a frame that was written here.
                Ok(_) | Err(FrameFault::Record(_))
            )
        {
            return Some(at);
        }
        at += ALIGNMENT;
    }
    None
}

/// A header before anything is verified.
struct FrameHeader {
    length: u32,
    records: u32,
    first_sequence: u64,
    committed_sec: EpochSeconds,
    previous: ChainHash,
    hash: ChainHash,
    /// Its bytes with zeros in place of the hash.
    unhashed: [u8; FRAME_HEADER_BYTES],
}

impl FrameHeader {
    fn decode(bytes: &[u8]) -> Result<Self, FrameFault> {
        let header: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk().ok_or(FrameFault::Blank)?;
        if header.iter().all(|&byte| byte == 0) {
            return Err(FrameFault::Blank);
        }
        if !header.starts_with(&MAGIC) {
            return Err(FrameFault::NoHeader);
        }
        let mut unhashed = *header;
        unhashed[HASH].fill(0);
        let decoded = Self {
            length: u32::from_le_bytes(chunk(header, 8)),
            records: u32::from_le_bytes(chunk(header, 12)),
            first_sequence: u64::from_le_bytes(chunk(header, 16)),
            committed_sec: EpochSeconds::new(i64::from_le_bytes(chunk(header, 24))),
            previous: chunk(header, 32),
            hash: chunk(header, HASH.start),
            unhashed,
        };
        let is_possible = decoded.length as usize >= FRAME_HEADER_BYTES + RECORD_HEADER_BYTES
            && u64::from(decoded.length).is_multiple_of(ALIGNMENT)
            // A number near the limit would overflow when its records are counted.
            && decoded.first_sequence < u64::MAX - u64::from(u32::MAX);
        if is_possible {
            Ok(decoded)
        } else {
            Err(FrameFault::NoHeader)
        }
    }
}

/// `N` bytes from `at`, which lie within the header.
fn chunk<const N: usize>(header: &[u8; FRAME_HEADER_BYTES], at: usize) -> [u8; N] {
    header[at..].first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
pub(super) mod tests;
