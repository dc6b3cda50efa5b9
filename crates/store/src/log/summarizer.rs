//! Summaries of sealed segments, written in the background. Nothing waits for one: a segment without a summary is read as a
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
    recovery::{header_of, read_file, summarize},
    segment::{HeaderFound, SegmentHeader},
    segment_name::{log_name, summary_name},
    summary::Summary,
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
    /// Writes the summary of a sealed segment, from its records.
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
        let summary =
            summarize(&bytes, self.seed, &self.keys, &header, &next).map_err(io::Error::other)?;
        self.write(&summary)
    }

    /// Writes a summary. One that is not written to its end does not verify, so it needs no other name meanwhile.
    pub(super) fn write(&self, summary: &Summary) -> io::Result<()> {
        let file = self.disk.create(&summary_name(summary.bounds.segment))?;
        file.write_all_at(&summary.encode(self.seed.get()), 0)?;
        file.sync_data()?;
        self.disk.sync()
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
    pub(super) fn start(summarizer: Summarizer) -> io::Result<Self> {
        let (sealed, segments) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("store-summary".to_owned())
            .spawn(move || {
                for segment in segments {
                    // Best effort: see above.
                    if let Err(error) = summarizer.summarize(segment) {
                        tracing::warn!(
                            segment,
                            error = %ErrorChain(&error),
                            "no summary of a segment was written; the next start reads all of it"
                        );
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
