//! The one thread that writes: batches become journal entries, synced before anyone is answered.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use fjall::{Database, Keyspace, PersistMode};
use tokio::{sync::watch, time::Instant};

use super::{
    AcknowledgedMark, Batches, Tally, WriterFigures, engine_log, entry::Entry, said_by_system,
    with_advice,
};
use crate::store::{StoreError, StoreState};

/// What the writing thread works with.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    pub(super) tally: Tally,
    pub(super) last_sequence: u64,
    pub(super) mark: AcknowledgedMark,
    pub(super) state: watch::Sender<StoreState>,
    pub(super) figures: Arc<WriterFigures>,
}

impl Writer {
    /// Writes until nobody can hand in any more, or until a write fails; from then on everything is
    /// refused, because nobody knows what is on disk.
    pub(super) fn run(mut self, batches: &Batches<Entry>) {
        batches.serve(|entries| {
            if *self.state.borrow() != StoreState::Open {
                return Err(failed("its files are no longer where they were"));
            }
            let written = catch_unwind(AssertUnwindSafe(|| self.write_and_count(entries)));
            let written = written.unwrap_or_else(|_| Err(failed("the writer panicked")));
            written.inspect_err(|error| self.fail(error))
        });
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
        let batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        let changes = entries.len();
        let mut batch = self.tally.of_batch(batch, &self.records);
        for entry in entries {
            entry.put(&mut batch, &mut self.last_sequence);
        }
        batch
            .commit(changes)
            .map_err(|error| failed(in_words(&error)))?;
        let moved = self.mark.move_to(self.tally.changes());
        moved.map_err(|error| failed(with_advice(&error.to_string())))?;
        // A batch has one call to the system more for it: what is in removed files is not to be answered.
        if self.mark.is_linked().map_err(failed)? {
            Ok(())
        } else {
            Err(failed("its files were removed"))
        }
    }

    fn fail(&self, error: &StoreError) {
        self.state
            .send_replace(StoreState::Failed(error.to_string()));
        tracing::error!(%error, "a write failed; no further order is taken until a restart");
        // Who closes the engine has it write and sync once more, and what it then says means nothing.
        std::mem::forget(self.database.clone());
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// Why the engine's own threads could not write.
fn background_failure() -> String {
    let said = engine_log::last_error().map(|said| with_advice(&said));
    said.unwrap_or_else(|| "look whether the disk is full or failing".to_owned())
}

/// What the engine says, for people.
fn in_words(error: &fjall::Error) -> String {
    if matches!(error, fjall::Error::Poisoned) {
        return format!(
            "an earlier write in the background failed: {}",
            background_failure()
        );
    }
    said_by_system(error).unwrap_or_else(|| error.to_string())
}
