//! The thread that writes: each batch becomes one journal entry, synced before its callers are answered.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use fjall::{Database, Keyspace, PersistMode};
use tokio::{sync::watch, time::Instant};

use super::{
    BatchReceiver, CommitWatermark, StateChecksum, WriterMetrics, encoded_change::EncodedChange,
    error::EngineError,
};
use crate::{CommitError, ErrorChain, StoreState};

pub(super) struct CommitWriter {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    pub(super) checksum: StateChecksum,
    pub(super) last_sequence: u64,
    pub(super) watermark: CommitWatermark,
    pub(super) state: watch::Sender<StoreState>,
    pub(super) metrics: Arc<WriterMetrics>,
}

impl CommitWriter {
    /// Writes until the queue is dropped and empty. After the first failed write every later change is
    /// rejected, because nobody knows what is on disk.
    pub(super) fn run(mut self, batches: &BatchReceiver<EncodedChange>) {
        batches.run(|changes| {
            // The watch of the files may have found them moved or removed.
            if let StoreState::Failed(error) = &*self.state.borrow() {
                return Err(error.clone());
            }
            // The engine may panic on a failing disk. Unwound, callers would wait for an answer for ever.
            let written = catch_unwind(AssertUnwindSafe(|| self.write_and_count(changes)));
            // Final like any failed write: the checksum may be ahead of the disk.
            let written = written.unwrap_or(Err(CommitError::WriterPanicked));
            if let Err(error) = &written {
                self.fail(error);
            }
            written
        });
    }

    fn write_and_count(&mut self, changes: Vec<EncodedChange>) -> Result<(), CommitError> {
        let (begun, last_sequence) = (Instant::now(), self.last_sequence);
        let batch_size = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        self.write(changes)?;
        // Never negative: the sequence number only grows, and other changes leave it as it is.
        self.metrics.orders.add(self.last_sequence - last_sequence);
        self.metrics.batch_sizes.add(batch_size);
        self.metrics.times.add_time(begun.elapsed());
        Ok(())
    }

    /// The order of the steps matters: the watermark may never say more than is synced, and a caller may
    /// not be answered before the watermark says so.
    fn write(&mut self, changes: Vec<EncodedChange>) -> Result<(), CommitError> {
        let batch = self
            .database
            .batch()
            // `fdatasync` is enough: it also writes the metadata that reading the data needs, such
            // as the length.
            .durability(Some(PersistMode::SyncData));
        // Taken before the loop consumes the changes.
        let count = changes.len();
        let mut batch = self.checksum.batch(batch, &self.records);
        for change in changes {
            change.add_to(&mut batch, &mut self.last_sequence);
        }
        batch
            .commit(count)
            .map_err(|error| CommitError::write(EngineError(error)))?;
        self.watermark
            .advance_to(self.checksum.changes())
            .map_err(CommitError::write)?;
        // One system call more per batch: what was written to removed files must not be acknowledged.
        if self.watermark.is_linked().map_err(CommitError::write)? {
            Ok(())
        } else {
            Err(CommitError::FilesRemoved)
        }
    }

    fn fail(&self, error: &CommitError) {
        // First, so that readiness and new orders see the failure before the callers of this batch
        // do.
        self.state.send_replace(StoreState::Failed(error.clone()));
        tracing::error!(error = %ErrorChain(error), "a write failed; no further order is taken until a restart");
        // Keeps the engine open to the end of the process: closing it would write and sync once more, and
        // what that sync reports means nothing after a failed one.
        std::mem::forget(self.database.clone());
    }
}
