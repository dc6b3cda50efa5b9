//! Appending frames to the log: the only code that writes to a segment in use.

use std::{io, sync::Arc};

use domain::time::EpochSeconds;

use super::{
    checksum::StoreSeed,
    disk::DiskFile,
    frame::{FRAME_HEADER_BYTES, FrameBuilder, FramePlace, NewRecord},
    planted::{PlantedFault, is_planted},
    position::Position,
    scan::LogEnd,
    segment::{SEGMENT_HEADER_BYTES, SegmentHeader, StoreIdentity},
    spares::Spares,
};

/// The part of a segment that is written before the next ones are filled: a quarter. The rest lasts for long enough, and a
/// store with few orders takes little room.
const SPARES_FROM: u64 = 4;

/// Bytes of the first segment. It is filled while the store is created, and many stores never need a second one.
const FIRST_SEGMENT_BYTES: u64 = 4 << 20;

/// Bytes of a segment in a log whose segments have `segment_bytes`.
pub(crate) fn segment_capacity(segment: u64, segment_bytes: u64) -> u64 {
    if segment == 1 {
        segment_bytes.min(FIRST_SEGMENT_BYTES)
    } else {
        segment_bytes
    }
}

/// The end of the log. After an error nothing more may be appended: what is on disk is unknown.
#[derive(Debug)]
pub(crate) struct Appender {
    identity: StoreIdentity,
    seed: StoreSeed,
    segment_bytes: u64,
    spares: Arc<Spares>,
    file: Arc<dyn DiskFile>,
    end: LogEnd,
    /// Whether the segment in use is full although there is no other one yet.
    is_full: bool,
    /// Whether there is room on the disk for all of the segment in use.
    is_reserved: bool,
    /// The bytes of the present write, kept for the next.
    buffer: Vec<u8>,
}

/// A frame that is being put together at the end of the log.
#[derive(Debug)]
pub(crate) struct NewFrame {
    builder: FrameBuilder,
    place: FramePlace,
}

impl NewFrame {
    /// Whether it has no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.builder.records() == 0
    }

    /// Where the next record will stand.
    ///
    /// # Errors
    /// If the frame is longer than it was said to be.
    pub(crate) fn next_position(&self) -> io::Result<Position> {
        let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
        self.builder.next_position().ok_or_else(too_large)
    }

    /// Adds a record at [`Self::next_position`], with a link to an earlier one.
    pub(crate) fn push(
        &mut self,
        position: Position,
        record: NewRecord<'_>,
        link: Option<Position>,
    ) {
        self.builder.push(position, record, link);
    }
}

impl Appender {
    /// Goes on at `end` in the segment `file`.
    pub(crate) fn new(
        identity: StoreIdentity,
        segment_bytes: u64,
        spares: Arc<Spares>,
        file: Arc<dyn DiskFile>,
        end: LogEnd,
    ) -> Self {
        let appender = Self {
            identity,
            seed: identity.seed(),
            segment_bytes,
            spares,
            file,
            end,
            is_full: false,
            is_reserved: false,
            buffer: Vec::new(),
        };
        // The process that wrote the segment may have ended before its spares were ready.
        appender.want_spares();
        appender
    }

    /// The end of the log.
    pub(crate) fn end(&self) -> LogEnd {
        self.end
    }

    /// The segment in use.
    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// The most bytes that the records of one frame may take.
    pub(crate) fn frame_capacity(&self) -> usize {
        let headers = (SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES) as u64;
        usize::try_from(self.segment_bytes.saturating_sub(headers)).unwrap_or(usize::MAX)
    }

    /// Makes sure that there is room on the disk to go on in, for a segment that was begun by another process. Nothing is
    /// done where that is known.
    ///
    /// # Errors
    /// Those of the operating system, if no spare is ready either. Nothing can be appended at present.
    pub(crate) fn reserve(&mut self) -> io::Result<()> {
        if self.is_reserved {
            return Ok(());
        }
        match self.file.reserve(self.capacity()) {
            Ok(()) => self.is_reserved = true,
            Err(error) => {
                // With one of them the log could go on.
                self.spares.want();
                if self.spares.ready() == 0 {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Begins a frame of at most this many bytes. Also says which segment is full, if another one was begun.
    ///
    /// # Errors
    /// Those of the operating system: there is no other segment. Nothing is written then, and it may be tried again.
    pub(crate) fn begin(
        &mut self,
        bytes: usize,
        now: EpochSeconds,
    ) -> io::Result<(NewFrame, Option<u64>)> {
        let sealed = self.make_room((FRAME_HEADER_BYTES + bytes) as u64, now)?;
        let place = FramePlace {
            segment: self.end.segment,
            offset: self.end.offset,
            first_sequence: self.end.next_sequence,
            previous: self.end.previous,
        };
        let buffer = std::mem::take(&mut self.buffer);
        let builder = FrameBuilder::new(self.seed, place, buffer);
        Ok((NewFrame { builder, place }, sealed))
    }

    /// Writes a frame and syncs it.
    ///
    /// # Errors
    /// Those of the operating system. The frame may be on disk or not.
    pub(crate) fn append(&mut self, frame: NewFrame, now: EpochSeconds) -> io::Result<()> {
        let NewFrame { builder, place } = frame;
        let records = u64::from(builder.records());
        let (bytes, hash) = builder.finish(now);
        self.file.write_all_at(&bytes, place.offset)?;
        if !is_planted(PlantedFault::FrameNotSynced) {
            // `fdatasync` is enough: the length of a filled segment does not change.
            self.file.sync_data()?;
        }
        self.end = LogEnd {
            segment: place.segment,
            offset: place.offset + bytes.len() as u64,
            next_sequence: place.first_sequence + records,
            previous: hash,
            committed_sec: Some(now),
        };
        self.buffer = bytes;
        self.want_spares();
        Ok(())
    }

    /// Has the next segments filled once enough of this one is written.
    fn want_spares(&self) {
        if self.end.offset > self.capacity() / SPARES_FROM {
            self.spares.want();
        }
    }

    /// Bytes of the segment in use.
    fn capacity(&self) -> u64 {
        segment_capacity(self.end.segment, self.segment_bytes)
    }

    /// Begins another segment if a frame of this length does not fit into the present one, or the disk has no room for
    /// the rest of that one. Then returns the number of the
    /// full one.
    fn make_room(&mut self, bytes: u64, now: EpochSeconds) -> io::Result<Option<u64>> {
        let fits = !self.is_full && self.end.offset + bytes <= self.capacity();
        if fits {
            self.reserve()?;
            if self.is_reserved {
                return Ok(None);
            }
        }
        // Also if this fails: the header of the next segment, which says where this one ends, may be on disk.
        self.is_full = !is_planted(PlantedFault::FullSegmentWritten);
        let full = self.end.segment;
        let header = SegmentHeader {
            identity: self.identity,
            number: full + 1,
            first_sequence: self.end.next_sequence,
            previous: self.end.previous,
            begun_sec: now,
        };
        let file = self
            .spares
            .take_or_create(header.number, self.segment_bytes)?;
        file.write_all_at(&header.encode(), 0)?;
        // Durable before its first frame, so that behind a header that was torn by a crash there is nothing. One more sync
        // in tens of thousands of orders.
        file.sync_data()?;
        self.file = file;
        self.is_full = false;
        self.is_reserved = true;
        self.end.segment = header.number;
        self.end.offset = SEGMENT_HEADER_BYTES as u64;
        Ok(Some(full))
    }
}
