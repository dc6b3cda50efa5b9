//! The one thread that writes: batches become journal entries, synced before anyone is answered.

use std::sync::Arc;

use fjall::{Database, Keyspace, OwnedWriteBatch, PersistMode};
use tokio::{sync::watch, time::Instant};

use super::{AcknowledgedMark, Batches, Names, WriterFigures, keys};
use crate::store::{Change, StoreError, StoreState, names, record};

/// What the writing thread works with.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    pub(super) names: Names,
    pub(super) last_sequence: u64,
    pub(super) mark: AcknowledgedMark,
    pub(super) state: watch::Sender<StoreState>,
    pub(super) figures: Arc<WriterFigures>,
}

impl Writer {
    /// Writes until nobody can hand in any more, or until a write fails; from then on everything is
    /// refused, because nobody knows what is on disk.
    pub(super) fn run(mut self, batches: &Batches<Change>) {
        batches.serve(|changes| self.write_and_count(changes).inspect_err(|error| self.fail(error)));
    }

    fn write_and_count(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let (begun, before) = (Instant::now(), self.last_sequence);
        self.write(changes)?;
        self.figures.orders.add(self.last_sequence - before);
        self.figures.batch_sizes.add(u64::try_from(changes.len()).unwrap_or(u64::MAX));
        self.figures.times.add_time(begun.elapsed());
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        let before = self.last_sequence;
        for change in changes {
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
        self.state.send_replace(StoreState::Failed(error.to_string()));
        tracing::error!(%error, "a write failed; no further order is taken until a restart");
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}
