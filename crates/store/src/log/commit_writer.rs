//! The thread that writes: each batch is synced before its callers are answered.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::{sync::watch, time::Instant};

use super::{
    commit_queue::{BatchReceiver, BatchResult},
    encoded_unit::EncodedUnit,
    ledger::{Ledger, NotWritten, UnitResult},
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
        batches.run(|units| self.write_batch(units));
    }

    /// Makes sure that there is room for what is to be written. Without any the store is unavailable from its start, and not
    /// from its first order.
    pub(super) fn reserve(&mut self) {
        if let Err(error) = self.ledger.appender.reserve() {
            self.become_unavailable(&error);
        }
    }

    /// Writes a batch, unless the store has failed.
    ///
    /// # Errors
    /// The store has failed, now or before.
    pub(super) fn write_batch(&mut self, units: &[EncodedUnit]) -> BatchResult {
        // The watch of the files may have found them moved or removed.
        if let StoreHealth::Failed(error) = &*self.health.borrow() {
            return Err(error.clone());
        }
        // A bug must not leave callers waiting for ever. Final like any failed write: memory may be ahead of the disk.
        let written = catch_unwind(AssertUnwindSafe(|| self.write(units)))
            .unwrap_or(Err(CommitError::WriterPanicked));
        if let Err(error) = &written {
            self.fail(error);
        }
        written
    }

    fn write(&mut self, units: &[EncodedUnit]) -> BatchResult {
        let begun = Instant::now();
        let results = self.ledger.write(units)?;
        self.metrics.count_batch(units.len(), begun.elapsed());
        self.update_health(&results);
        let results = results.into_iter();
        Ok(results
            .map(|result| result.map_err(CommitError::from))
            .collect())
    }

    /// Whether there was a segment to write to.
    fn update_health(&self, results: &[UnitResult]) {
        for result in results {
            match result {
                Ok(()) => become_ready(&self.health),
                Err(NotWritten::NoSegment(error)) => self.become_unavailable(error),
                Err(NotWritten::Stale(_) | NotWritten::Unreadable(_)) => {}
            }
        }
    }

    fn become_unavailable(&self, error: &io::Error) {
        let since = self.ledger.clock.now_sec();
        let was_ready = self.health.send_if_modified(|health| {
            let is_ready = health.is_ready();
            if is_ready {
                *health = StoreHealth::Unavailable { since };
            }
            is_ready
        });
        if was_ready {
            tracing::error!(
                error = %ErrorChain(error),
                "the log has no room and no other segment can be begun; orders are rejected until one can"
            );
        }
    }

    fn fail(&self, error: &CommitError) {
        // First, so that readiness and new orders see the failure before the callers of this batch
        // do.
        self.health.send_replace(StoreHealth::Failed(error.clone()));
        tracing::error!(error = %ErrorChain(error), "a write failed; no further order is taken until a restart");
    }
}

/// Ends the unavailability of a log that had no segment to write to.
pub(super) fn become_ready(health: &watch::Sender<StoreHealth>) {
    let was_unavailable = health.send_if_modified(|health| {
        let is_unavailable = matches!(health, StoreHealth::Unavailable { .. });
        if is_unavailable {
            *health = StoreHealth::Ready;
        }
        is_unavailable
    });
    if was_unavailable {
        tracing::info!("the log has a segment to write to again");
    }
}
