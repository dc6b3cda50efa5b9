//! Reading sealed segments again and again in the background, slowly, so that damage is found while there is a backup to
//! mend it with.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use kernel::metrics::Counter;

use super::{
    checksum::{ChainHash, StoreSeed},
    disk::{Disk, DiskFile},
    frame,
    overwriting::Overwriting,
    recovery::{header_of, read_file, summarize, unreadable_parts},
    segment::{HeaderFound, SEGMENT_HEADER_BYTES, SegmentHeader},
    segment_name::log_name,
};
use crate::{ErrorChain, ScrubStats, order_key::KeyDeriver};

/// Bytes that are read at once, unless a single frame is longer.
const STEP_BYTES: u64 = 256 << 10;

/// The pause after that many bytes: 2 MiB a second, so that 10 GB take an hour and a half and a disk hardly notices.
const PAUSE: Duration = Duration::from_millis(125);

/// The pause while there is nothing to read, and after an error.
const IDLE: Duration = Duration::from_secs(60);

/// What was read and found so far.
#[derive(Debug, Default)]
pub(super) struct ScrubMetrics {
    bytes: Counter,
    damage: Counter,
}

impl ScrubMetrics {
    pub(super) fn read(&self) -> ScrubStats {
        ScrubStats {
            bytes: self.bytes.get(),
            damage: self.damage.get(),
        }
    }
}

/// Reads the sealed segments, one step at a time.
#[derive(Debug)]
pub(super) struct Scrubber {
    disk: Arc<dyn Disk>,
    seed: StoreSeed,
    keys: KeyDeriver,
    metrics: Arc<ScrubMetrics>,
    overwriting: Arc<Overwriting>,
    /// The number of the segment after the one that is read.
    next: u64,
    segment: Option<ScrubbedSegment>,
    /// Segments of which damage was reported: once is enough until a restart.
    damaged: BTreeSet<u64>,
}

/// A segment that is being read.
#[derive(Debug)]
struct ScrubbedSegment {
    file: Arc<dyn DiskFile>,
    length: u64,
    header: SegmentHeader,
    after: SegmentHeader,
    at: u64,
    next_sequence: u64,
    previous: ChainHash,
}

/// What a step has found of the frames that it has read.
enum FramesRead {
    /// All are valid, and more may follow.
    Valid,
    /// The last frame was before.
    End,
    /// Something is not what was written.
    Damaged,
}

impl Scrubber {
    /// Begins with the first segment.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        seed: StoreSeed,
        keys: KeyDeriver,
        metrics: Arc<ScrubMetrics>,
        overwriting: Arc<Overwriting>,
    ) -> Self {
        Self {
            disk,
            seed,
            keys,
            metrics,
            overwriting,
            next: 1,
            segment: None,
            damaged: BTreeSet::new(),
        }
    }

    /// Reads on, and returns how many bytes were read: 0 if no segment is sealed.
    ///
    /// # Errors
    /// Those of the operating system. The next step goes on with another segment.
    pub(super) fn step(&mut self) -> io::Result<u64> {
        let overwriting = Arc::clone(&self.overwriting);
        // What is half overwritten must not be taken for damage.
        let _turn = overwriting.lock();
        // Taken, so that an error leaves this segment behind.
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => match self.begin()? {
                Some(segment) => segment,
                None => return Ok(0),
            },
        };
        let bytes = segment.read()?;
        let read = bytes.len() as u64;
        self.metrics.bytes.add(read);
        match segment.verify(&bytes, self.seed, &overwriting) {
            FramesRead::Valid => self.segment = Some(segment),
            FramesRead::End => {}
            FramesRead::Damaged => self.report(&segment)?,
        }
        // A step that only finds the end has done some work, too.
        Ok(read.max(1))
    }

    /// Opens the next sealed segment; behind the last one, the first.
    fn begin(&mut self) -> io::Result<Option<ScrubbedSegment>> {
        let number = self.next;
        self.next += 1;
        if let Some(segment) = self.open(number)? {
            return Ok(Some(segment));
        }
        self.next = 2;
        self.open(1)
    }

    /// A segment, if it is sealed.
    fn open(&self, number: u64) -> io::Result<Option<ScrubbedSegment>> {
        let Some(after) = self.header(number + 1)? else {
            return Ok(None);
        };
        let Some(header) = self.header(number)? else {
            return Ok(None);
        };
        let file = self.disk.open(&log_name(number))?;
        Ok(Some(ScrubbedSegment {
            length: file.len()?,
            file,
            header,
            after,
            at: SEGMENT_HEADER_BYTES as u64,
            next_sequence: header.first_sequence,
            previous: header.previous,
        }))
    }

    fn header(&self, number: u64) -> io::Result<Option<SegmentHeader>> {
        match header_of(&*self.disk, number) {
            Ok(HeaderFound::Header(header)) => Ok(Some(header)),
            Ok(HeaderFound::Blank | HeaderFound::Format(_) | HeaderFound::Damaged) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a damaged segment as a whole to find out what is wrong, and reports that.
    fn report(&mut self, segment: &ScrubbedSegment) -> io::Result<()> {
        let ScrubbedSegment { header, after, .. } = segment;
        let bytes = read_file(&*self.disk, &log_name(header.number))?;
        let Err(damage) = summarize(&bytes, self.seed, &self.keys, header, after) else {
            // Read well this time: the disk, or the way to it, is at fault.
            tracing::warn!(
                segment = header.number,
                offset = segment.at,
                "a segment of the log was read wrong once, and right when it was read again"
            );
            return Ok(());
        };
        if self.damaged.insert(header.number) {
            self.metrics.damage.inc();
            tracing::error!(
                segment = damage.segment,
                offset = damage.offset,
                sequence = damage.sequence,
                error = %damage,
                "a segment of the log is damaged; `boxoffice store verify` lists all damage"
            );
        }
        Ok(())
    }
}

impl ScrubbedSegment {
    /// The next bytes: one frame at least.
    fn read(&self) -> io::Result<Vec<u8>> {
        let rest = self.length.saturating_sub(self.at);
        let mut bytes = self.read_exact(rest.min(STEP_BYTES))?;
        if let Some(length) = frame::length_of(&bytes)
            && length > bytes.len() as u64
            && length <= rest
        {
            bytes = self.read_exact(length)?;
        }
        Ok(bytes)
    }

    fn read_exact(&self, length: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, self.at)?;
        Ok(bytes)
    }

    /// Verifies the frames that are whole in `bytes`, and goes on behind them.
    fn verify(&mut self, bytes: &[u8], seed: StoreSeed, overwriting: &Overwriting) -> FramesRead {
        let mut rest = bytes;
        loop {
            if self.next_sequence == self.after.first_sequence {
                let continues = self.previous == self.after.previous;
                return if continues {
                    FramesRead::End
                } else {
                    FramesRead::Damaged
                };
            }
            let is_first = rest.len() == bytes.len();
            let is_cut = frame::length_of(rest).is_none_or(|length| length > rest.len() as u64);
            if is_cut && !is_first {
                // The next step begins with this frame, and finds out whether it is one.
                return FramesRead::Valid;
            }
            let Ok(frame) = frame::verify_at(rest, seed, self.header.number, self.at) else {
                return FramesRead::Damaged;
            };
            let mut unreadable = unreadable_parts(&frame).into_iter();
            // An erasure that could not overwrite all of it is tried again by the next one.
            if unreadable.any(|part| !overwriting.contains(part.position)) {
                return FramesRead::Damaged;
            }
            let place = frame.place;
            if place.first_sequence != self.next_sequence || place.previous != self.previous {
                return FramesRead::Damaged;
            }
            self.next_sequence = frame.next_sequence();
            self.previous = frame.hash;
            self.at = frame.end();
            let length = usize::try_from(frame.bytes).unwrap_or(usize::MAX);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// A thread that scrubs until it is dropped.
#[derive(Debug)]
pub(super) struct ScrubThread {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl ScrubThread {
    pub(super) fn start(mut scrubber: Scrubber) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let run = move || {
            let mut pause = IDLE;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = match scrubber.step() {
                    Ok(0) => IDLE,
                    Ok(bytes) => pause_after(bytes),
                    Err(error) => {
                        tracing::warn!(error = %ErrorChain(&error), "the log could not be scrubbed");
                        IDLE
                    }
                };
            }
        };
        let thread = thread::Builder::new()
            .name("store-scrub".to_owned())
            .spawn(run)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// The pause that keeps the rate after a step of so many bytes.
fn pause_after(bytes: u64) -> Duration {
    let steps = u32::try_from(bytes.div_ceil(STEP_BYTES)).unwrap_or(u32::MAX);
    PAUSE.saturating_mul(steps)
}

impl Drop for ScrubThread {
    fn drop(&mut self) {
        // The thread ends once its channel is closed.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
