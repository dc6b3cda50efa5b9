//! The thread that writes: each batch is synced before its callers are answered.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::{sync::watch, time::Instant};

use super::{
    commit_queue::BatchReceiver, encoded_unit::EncodedUnit, ledger::Ledger,
    writer_metrics::WriterMetrics,
};
use crate::{CommitError, ErrorChain, StoreHealth};

pub(super) struct CommitWriter {
    pub(super) ledger: Ledger,
    pub(super) health: watch::Sender<StoreHealth>,
    pub(super) metrics: Arc<WriterMetrics>,
}

impl CommitWriter {
    /// Writes until the queue is dropped and empty. After the first failed write every later unit is
    /// rejected, because nobody knows what is on disk.
    pub(super) fn run(mut self, batches: &BatchReceiver<EncodedUnit>) {
        batches.run(|units| {
            // The watch of the files may have found them moved or removed.
            if let StoreHealth::Failed(error) = &*self.health.borrow() {
                return Err(error.clone());
            }
            // A bug must not leave callers waiting for ever. Final like any failed write: memory may be ahead of the disk.
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&units)))
                .unwrap_or(Err(CommitError::WriterPanicked));
            if let Err(error) = &written {
                self.fail(error);
            }
            written
        });
    }

    fn write(
        &mut self,
        units: &[EncodedUnit],
    ) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        let begun = Instant::now();
        let results = self.ledger.write(units)?;
        self.metrics.count_batch(units.len(), begun.elapsed());
        let results = results.into_iter();
        Ok(results
            .map(|result| result.map_err(CommitError::Stale))
            .collect())
    }

    fn fail(&self, error: &CommitError) {
        // First, so that readiness and new orders see the failure before the callers of this batch
        // do.
        self.health.send_replace(StoreHealth::Failed(error.clone()));
        tracing::error!(error = %ErrorChain(error), "a write failed; no further order is taken until a restart");
    }
}
