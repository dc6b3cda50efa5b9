//! The one thread that writes: batches become journal entries, synced before anyone is answered.

use std::sync::Arc;

use fjall::{Database, Keyspace, PersistMode};
use tokio::{sync::watch, time::Instant};

use super::{AcknowledgedMark, Batches, WriterFigures, entry::Entry};
use crate::store::{StoreError, StoreState};

/// What the writing thread works with.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    pub(super) last_sequence: u64,
    pub(super) mark: AcknowledgedMark,
    pub(super) state: watch::Sender<StoreState>,
    pub(super) figures: Arc<WriterFigures>,
}

impl Writer {
    /// Writes until nobody can hand in any more, or until a write fails; from then on everything is
    /// refused, because nobody knows what is on disk.
    pub(super) fn run(mut self, batches: &Batches<Entry>) {
        batches.serve(|entries| self.write_and_count(entries).inspect_err(|error| self.fail(error)));
    }

    fn write_and_count(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let (begun, before) = (Instant::now(), self.last_sequence);
        let batch_size = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        self.write(entries)?;
        self.figures.orders.add(self.last_sequence - before);
        self.figures.batch_sizes.add(batch_size);
        self.figures.times.add_time(begun.elapsed());
        Ok(())
    }

    fn write(&mut self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let before = self.last_sequence;
        for entry in entries {
            entry.put(&mut batch, &self.records, &mut self.last_sequence);
        }
        batch.commit().map_err(failed)?;
        if self.last_sequence > before {
            self.mark.move_to(self.last_sequence).map_err(failed)?;
        }
        Ok(())
    }

    fn fail(&self, error: &StoreError) {
        self.state.send_replace(StoreState::Failed(error.to_string()));
        tracing::error!(%error, "a write failed; no further order is taken until a restart");
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}
