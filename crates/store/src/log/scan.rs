//! Reading a segment from its first frame to its last.

use domain::time::EpochSeconds;

use super::{
    checksum::{ChainHash, StoreSeed},
    frame::{self, Frame, FrameFault},
    planted::{PlantedFault, is_planted},
    segment::{SEGMENT_HEADER_BYTES, SegmentHeader},
};

/// Where the next frame belongs, and what it has to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogEnd {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// The first byte after its last frame.
    pub(crate) offset: u64,
    /// The number of the next record.
    pub(crate) next_sequence: u64,
    /// The hash of the last frame.
    pub(crate) previous: ChainHash,
    /// When the last frame was written, if any has been read, by the clock of that moment.
    pub(crate) committed_sec: Option<EpochSeconds>,
}

impl LogEnd {
    /// The beginning of a segment without frames.
    pub(crate) fn begin(header: &SegmentHeader) -> Self {
        Self {
            segment: header.number,
            offset: SEGMENT_HEADER_BYTES as u64,
            next_sequence: header.first_sequence,
            previous: header.previous,
            committed_sec: None,
        }
    }

    /// The end after one more frame.
    pub(crate) fn after(frame: &Frame<'_>) -> Self {
        Self {
            segment: frame.place.segment,
            offset: frame.end(),
            next_sequence: frame.next_sequence(),
            previous: frame.hash,
            committed_sec: Some(frame.committed_sec),
        }
    }
}

/// What follows the last frame that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros, or the end of the file.
    Blank,
    /// A frame that was not written to its end, as after a crash.
    Torn,
    /// What was written to its end once and has changed since.
    Damaged(TailDamage),
}

/// What is wrong with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TailDamage {
    /// A frame that does not verify, with a valid one at this offset behind it.
    NotTheLast {
        /// The offset of the valid frame.
        valid_at: u64,
    },
    /// A frame that does not continue the one before it.
    Chain,
}

/// Calls `visit` with every frame of a segment, and says where the frames end and what follows. Changes before the number
/// `durable_until` are known to have been durable: no crash has torn their frames.
///
/// Personal parts of records may be unreadable, because an erasure has not overwritten them to their end.
///
/// # Errors
/// Those of `visit`, which end the scan.
pub(crate) fn scan<E>(
    segment_bytes: &[u8],
    seed: StoreSeed,
    header: &SegmentHeader,
    durable_until: u64,
    mut visit: impl FnMut(&Frame<'_>) -> Result<(), E>,
) -> Result<(LogEnd, Tail), E> {
    let mut end = LogEnd::begin(header);
    loop {
        match frame::verify(segment_bytes, seed, header.number, end.offset) {
            Ok(frame) => {
                let continues = frame.place.previous == end.previous
                    && frame.place.first_sequence == end.next_sequence;
                if !continues {
                    return Ok((end, Tail::Damaged(TailDamage::Chain)));
                }
                if is_torn(segment_bytes, seed, &frame, durable_until) {
                    return Ok((end, Tail::Torn));
                }
                visit(&frame)?;
                end = LogEnd::after(&frame);
            }
            Err(fault) => {
                let tail = tail_of(segment_bytes, seed, &end, fault);
                return Ok((end, tail));
            }
        }
    }
}

/// Whether a frame of which only personal parts are not what was written was torn by a crash. An erasure is on record
/// behind the orders that it erases, so a frame that one has begun to overwrite is not the last.
pub(crate) fn is_torn(
    segment_bytes: &[u8],
    seed: StoreSeed,
    frame: &Frame<'_>,
    durable_until: u64,
) -> bool {
    frame.has_unreadable()
        && frame.next_sequence() > durable_until
        && frame::find_valid(segment_bytes, seed, frame.place.segment, frame.end()).is_none()
}

fn tail_of(segment_bytes: &[u8], seed: StoreSeed, end: &LogEnd, fault: FrameFault) -> Tail {
    // The batch after this one is written only after this one is synced. So behind a frame that was torn by a crash nothing
    // was ever written.
    let next = end.offset + super::position::ALIGNMENT;
    if let Some(valid_at) = frame::find_valid(segment_bytes, seed, end.segment, next)
        && !is_planted(PlantedFault::DamageTakenForTorn)
    {
        return Tail::Damaged(TailDamage::NotTheLast { valid_at });
    }
    let begin = usize::try_from(end.offset).unwrap_or(usize::MAX);
    let rest = segment_bytes.get(begin..).unwrap_or_default();
    match fault {
        FrameFault::Blank | FrameFault::Length if rest.iter().all(|&byte| byte == 0) => Tail::Blank,
        FrameFault::Blank
        | FrameFault::Length
        | FrameFault::NoHeader
        | FrameFault::Hash
        // Blocks of one write reach the disk in any order, so the headers may be there without a part.
        | FrameFault::Record(_) => Tail::Torn,
    }
}

#[cfg(test)]
mod tests;
