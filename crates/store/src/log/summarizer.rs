//! Summaries of sealed segments and the indexes of their slots, written in the background. Nothing waits for one: a segment without a summary is read as a
//! whole at the next start.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
};

use super::{
    checksum::StoreSeed,
    disk::Disk,
    overwriting::Overwriting,
    reader::LogReader,
    recovery::{header_of, read_file, summarize},
    segment::{HeaderFound, SegmentHeader},
    segment_name::{log_name, slots_name, summary_name},
};
use crate::{ErrorChain, order_key::KeyDeriver};

/// Makes summaries, one call at a time.
#[derive(Debug, Clone)]
pub(super) struct Summarizer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) seed: StoreSeed,
    pub(super) keys: KeyDeriver,
    pub(super) overwriting: Arc<Overwriting>,
}

impl Summarizer {
    /// Makes those of the log that is read here.
    pub(super) fn of(reader: &LogReader) -> Self {
        Self {
            disk: Arc::clone(&reader.disk),
            seed: reader.seed,
            keys: reader.keys.clone(),
            overwriting: Arc::clone(&reader.overwriting),
        }
    }

    /// Writes the summary of a sealed segment and the index of its slots, from its records.
    pub(super) fn summarize(&self, segment: u64) -> io::Result<()> {
        // Until the summary is written: one that was made of the segment before an erasure must not replace a later one.
        let _turn = self.overwriting.lock();
        self.summarize_in_turn(segment)
    }

    /// The same for a caller that has the turn to overwrite.
    pub(super) fn summarize_in_turn(&self, segment: u64) -> io::Result<()> {
        let (Some(header), Some(next)) = (self.header(segment)?, self.header(segment + 1)?) else {
            return Err(io::Error::other("the segment is not sealed"));
        };
        let bytes = read_file(&*self.disk, &log_name(segment))?;
        let summarized =
            summarize(&bytes, self.seed, &self.keys, &header, &next).map_err(io::Error::other)?;
        let seed = self.seed.get();
        // The summary last: where there is one, a start finds the index as well, as a rule.
        self.write(&slots_name(segment), &summarized.slots.encode(seed))?;
        self.write(&summary_name(segment), &summarized.summary.encode(seed))?;
        self.disk.sync()
    }

    /// Writes a file. One that is not written to its end does not verify, so it needs no other name meanwhile.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.create(name)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    }

    /// Whether a segment is full: the next one has a header.
    pub(super) fn is_sealed(&self, segment: u64) -> io::Result<bool> {
        Ok(self.header(segment + 1)?.is_some())
    }

    fn header(&self, segment: u64) -> io::Result<Option<SegmentHeader>> {
        match header_of(&*self.disk, segment) {
            Ok(HeaderFound::Header(header)) => Ok(Some(header)),
            Ok(HeaderFound::Blank | HeaderFound::Format(_) | HeaderFound::Damaged) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A thread that makes the summaries of the segments that it is told of, until it is dropped.
#[derive(Debug)]
pub(super) struct SummaryThread {
    sealed: Option<mpsc::Sender<u64>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SummaryThread {
    pub(super) fn start(summarizer: Summarizer, reader: Arc<LogReader>) -> io::Result<Self> {
        let (sealed, segments) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("store-summary".to_owned())
            .spawn(move || {
                for segment in segments {
                    match summarizer.summarize(segment) {
                        // Only now: meanwhile readers find its slots in memory.
                        Ok(()) => reader.index.recent_slots.forget(segment),
                        // Best effort: see above.
                        Err(error) => tracing::warn!(
                            segment,
                            error = %ErrorChain(&error),
                            "no summary of a segment was written; the next start reads all of it"
                        ),
                    }
                }
            })?;
        Ok(Self {
            sealed: Some(sealed),
            thread: Some(thread),
        })
    }

    /// Tells the number of each segment that is full to the thread.
    pub(super) fn sender(&self) -> impl FnMut(u64) + Send + 'static {
        let sealed = self.sealed.clone();
        move |segment| {
            if let Some(sealed) = &sealed {
                // The thread is gone only if it panicked, which was logged.
                let _ = sealed.send(segment);
            }
        }
    }
}

impl Drop for SummaryThread {
    fn drop(&mut self) {
        drop(self.sealed.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged.
            let _ = thread.join();
        }
    }
}
