//! Segments: files of the log, each with a header.

use domain::time::EpochSeconds;

use super::{
    checksum::{ChainHash, StoreSeed, sum},
    position::SEGMENTS_MAX,
};

/// Bytes of a segment's header, a block of the disk, so that no frame shares a block with it.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;

/// Format of the log.
pub(crate) const FORMAT: &str = "boxoffice 3";

/// How a header begins; the format follows, ended by a newline.
const MAGIC: &[u8] = b"Box Office order log\n";

/// The place of the format's text.
const FORMAT_AT: usize = 21;

/// The longest text of a format.
const FORMAT_MAX: usize = 43;

/// The bytes that are in use; the rest of the header is zero.
const USED: usize = 160;

/// What every segment says of its store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreIdentity {
    /// A random number that tells stores apart.
    pub(crate) id: [u8; 16],
    /// The secret under which keys are derived and checksums are seeded.
    pub(crate) secret: [u8; 32],
}

impl std::fmt::Debug for StoreIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreIdentity")
            .field("id", &self.id_text())
            .finish_non_exhaustive()
    }
}

impl StoreIdentity {
    /// The number that tells stores apart, in hexadecimal digits.
    pub(crate) fn id_text(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.id)
    }

    /// The seed of the store's checksums.
    pub(crate) fn seed(&self) -> StoreSeed {
        StoreSeed::of_secret(&self.secret)
    }
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The store it belongs to.
    pub(crate) identity: StoreIdentity,
    /// The number of the segment, from 1.
    pub(crate) number: u64,
    /// The sequence number of its first record.
    pub(crate) first_sequence: u64,
    /// The hash of the last frame before it; zeros in the first segment.
    pub(crate) previous: ChainHash,
    /// When it was begun, by the clock of that moment.
    pub(crate) begun_sec: EpochSeconds,
}

/// What stands at the beginning of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderFound {
    /// The header of a segment.
    Header(SegmentHeader),
    /// Zeros: a segment that was prepared and is not in use.
    Blank,
    /// The header of another format.
    Format(String),
    /// Something else.
    Damaged,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[FORMAT_AT..][..FORMAT.len()].copy_from_slice(FORMAT.as_bytes());
        bytes[FORMAT_AT + FORMAT.len()] = b'\n';
        bytes[64..80].copy_from_slice(&self.identity.id);
        bytes[80..112].copy_from_slice(&self.identity.secret);
        bytes[112..120].copy_from_slice(&self.number.to_le_bytes());
        bytes[120..128].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[128..144].copy_from_slice(&self.previous);
        bytes[144..152].copy_from_slice(&self.begun_sec.get().to_le_bytes());
        // Last, over everything before it.
        let check = sum(&bytes[..152], self.identity.seed().get());
        bytes[152..USED].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// What the header of the segment with this number says.
    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES], number: u64) -> HeaderFound {
        if bytes.iter().all(|&byte| byte == 0) {
            return HeaderFound::Blank;
        }
        let Some(format) = format_of(bytes) else {
            return HeaderFound::Damaged;
        };
        if format != FORMAT {
            return HeaderFound::Format(format);
        }
        let header = Self {
            identity: StoreIdentity {
                id: chunk(bytes, 64),
                secret: chunk(bytes, 80),
            },
            number: u64::from_le_bytes(chunk(bytes, 112)),
            first_sequence: u64::from_le_bytes(chunk(bytes, 120)),
            previous: chunk(bytes, 128),
            begun_sec: EpochSeconds::new(i64::from_le_bytes(chunk(bytes, 144))),
        };
        // Encoded again and compared: one place for the layout, and no byte that nobody looks at.
        let is_intact = header.number == number
            && (1..=SEGMENTS_MAX).contains(&number)
            && header.encode() == *bytes;
        if is_intact {
            HeaderFound::Header(header)
        } else {
            HeaderFound::Damaged
        }
    }
}

/// The format that a header names; `None` if it is not a header of any format.
fn format_of(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Option<String> {
    let text = bytes.strip_prefix(MAGIC)?.get(..FORMAT_MAX)?;
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let format = std::str::from_utf8(&text[..end]).ok()?;
    // A format of a later version keeps this beginning; anything else is damage.
    format.starts_with("boxoffice ").then(|| format.to_owned())
}

/// `N` bytes from `at`, which lie within the header.
fn chunk<const N: usize>(header: &[u8; SEGMENT_HEADER_BYTES], at: usize) -> [u8; N] {
    header[at..].first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            identity: StoreIdentity {
                id: [1; 16],
                secret: [2; 32],
            },
            number: 12,
            first_sequence: 1_000_000,
            previous: [3; 16],
            begun_sec: EpochSeconds::new(-5),
        }
    }

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_is_noticed() {
        let bytes = header().encode();
        assert_eq!(
            SegmentHeader::decode(&bytes, 12),
            HeaderFound::Header(header())
        );
        assert_eq!(SegmentHeader::decode(&bytes, 13), HeaderFound::Damaged);
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 1 << (at % 8);
            let found = SegmentHeader::decode(&damaged, 12);
            assert!(
                matches!(found, HeaderFound::Damaged | HeaderFound::Format(_)),
                "{at}: {found:?}"
            );
        }
    }

    #[test]
    fn zeros_are_blank_and_another_format_is_named() {
        assert_eq!(
            SegmentHeader::decode(&[0; SEGMENT_HEADER_BYTES], 1),
            HeaderFound::Blank
        );
        let mut bytes = header().encode();
        bytes[FORMAT_AT..][..13].copy_from_slice(b"boxoffice 99\n");
        assert_eq!(
            SegmentHeader::decode(&bytes, 12),
            HeaderFound::Format("boxoffice 99".to_owned())
        );
    }
}
