//! The one thread that writes: group commit with natural batching.

use std::sync::{Arc, mpsc};

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{AcknowledgedMark, Names, WriterFigures, keys};
use crate::store::{Change, StoreError, StoreState, names, record};

/// A change that waits to be written, and who waits for it.
pub(super) struct Waiting {
    pub(super) change: Change,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    pub(super) names: Names,
    pub(super) last_sequence: u64,
    pub(super) mark: AcknowledgedMark,
    pub(super) batch_max: usize,
    pub(super) state: watch::Sender<StoreState>,
    pub(super) figures: Arc<WriterFigures>,
}

impl Writer {
    /// Writes until nobody can send any more, or until a write fails; from then on everything is
    /// refused, because nobody knows what is on disk.
    pub(super) fn run(mut self, waiting: &mpsc::Receiver<Waiting>) {
        while let Ok(first) = waiting.recv() {
            let rest = waiting.try_iter().take(self.batch_max - 1);
            let batch: Vec<Waiting> = std::iter::once(first).chain(rest).collect();
            let outcome = self.write_and_count(&batch);
            if let Err(error) = &outcome {
                self.fail(error);
            }
            for Waiting { done, .. } in batch {
                // Who has stopped waiting is told nothing; the change stands all the same.
                let _ = done.send(outcome.clone());
            }
        }
    }

    fn write_and_count(&mut self, batch: &[Waiting]) -> Result<(), StoreError> {
        let (begun, before) = (Instant::now(), self.last_sequence);
        let outcome = self.write(batch);
        let changes = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.figures.done.add(changes);
        if outcome.is_ok() {
            self.figures.orders.add(self.last_sequence - before);
            self.figures.batch_sizes.add(changes);
            self.figures.times.add_time(begun.elapsed());
        }
        outcome
    }

    fn write(&mut self, waiting: &[Waiting]) -> Result<(), StoreError> {
        if let StoreState::Failed(reason) = &*self.state.borrow() {
            return Err(StoreError::Failed(reason.clone()));
        }
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let before = self.last_sequence;
        for Waiting { change, .. } in waiting {
            self.put(&mut batch, change);
        }
        batch.commit().map_err(failed)?;
        if self.last_sequence > before {
            self.mark.move_to(self.last_sequence).map_err(failed)?;
        }
        Ok(())
    }

    fn put(&mut self, batch: &mut OwnedWriteBatch, change: &Change) {
        let records = &self.records;
        match change {
            Change::Order(placed) => {
                self.last_sequence += 1;
                let name = self.names.of_token(&placed.token);
                let user = self.names.of_user(&placed.order.customer.user_id);
                batch.insert(records, keys::order(&name), record::encode_order(placed, self.last_sequence));
                batch.insert(records, keys::user_order(&user, self.last_sequence), &name[..]);
                if placed.payment.is_some() {
                    batch.remove(records, keys::intent(&name));
                }
            }
            Change::PaymentIntent(intent) => {
                let name = self.names.of_token(&intent.token);
                batch.insert(
                    records,
                    keys::intent(&name),
                    record::encode_intent(intent, &names::order_id(&name)),
                );
            }
            Change::PaymentEnded(attempt) => {
                let name = self.names.of_token(&attempt.intent.token);
                let bytes = record::encode_attempt(attempt, &names::order_id(&name));
                batch.insert(records, keys::ended_payment(&name, attempt.intent.attempt), bytes);
                batch.remove(records, keys::intent(&name));
            }
            Change::Prices(book) => batch.insert(records, keys::PRICES, record::encode_prices(book)),
        }
    }

    fn fail(&self, error: &StoreError) {
        let already = self.state.send_replace(StoreState::Failed(error.to_string()));
        if already == StoreState::Open {
            tracing::error!(%error, "a write failed; no further order is taken until a restart");
        }
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}
