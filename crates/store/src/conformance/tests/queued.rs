//! A store whose units are written by a thread and whose answers come later.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread::{self, JoinHandle},
};

use tokio::sync::{oneshot, watch};

use crate::{
    BlockSink, CommitError, CommitFuture, EraseFuture, ErasureAnswerSink, HoldId, LifecycleSink,
    NamedSlot, OrderFilter, OrderKey, OrderPlace, OrderSink, PlacedSink, Read, ReadError,
    Recovered, Replay, Selection, StatesInUse, Store, StoreHealth, StoreStats, StoredHold,
    StoredOrder, UnitOfWork, UpdateSink, conformance::StoreHome, memory::MemoryStore,
};
use domain::{
    ids::{Token, UserId},
    order::OrderId,
    time::EpochSeconds,
};

/// Keeps the contents, and the gate that the writer has to pass.
#[derive(Default)]
pub(super) struct QueuedHome {
    contents: Arc<MemoryStore>,
    gate: Arc<Gate>,
    /// Whether the writer writes first and waits then, which is wrong.
    is_hasty: bool,
}

impl QueuedHome {
    /// Units are seen before they are durable.
    pub(super) fn hasty() -> Self {
        Self {
            is_hasty: true,
            ..Self::default()
        }
    }
}

impl StoreHome for QueuedHome {
    fn open(&self) -> Arc<dyn Store> {
        let (contents, gate) = (Arc::clone(&self.contents), Arc::clone(&self.gate));
        let is_hasty = self.is_hasty;
        let (sender, receiver) = mpsc::channel::<(UnitOfWork, Reply)>();
        let writer = thread::spawn(move || {
            for (unit, reply) in receiver {
                // Neither order blocks for long: the memory's futures are ready at once.
                let commit = || futures_util::FutureExt::now_or_never(contents.commit(&unit));
                let result = if is_hasty {
                    let result = commit();
                    gate.pass();
                    result
                } else {
                    gate.pass();
                    commit()
                };
                // Whoever no longer waits has dropped the receiver.
                let _ = reply.send(result.unwrap());
            }
        });
        Arc::new(QueuedStore {
            contents: Arc::clone(&self.contents),
            queue: Some(sender),
            writer: Some(writer),
        })
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn hold_writes(&self) -> Option<Box<dyn Any>> {
        self.gate.set_closed(true);
        Some(Box::new(Closed(Arc::clone(&self.gate))))
    }
}

type Reply = oneshot::Sender<Result<(), CommitError>>;

#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let is_closed = self.is_closed.lock().unwrap();
        drop(
            self.opened
                .wait_while(is_closed, |is_closed| *is_closed)
                .unwrap(),
        );
    }

    fn set_closed(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.opened.notify_all();
    }
}

/// Opens the gate when it is dropped.
struct Closed(Arc<Gate>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.set_closed(false);
    }
}

struct QueuedStore {
    contents: Arc<MemoryStore>,
    /// `None` while it is dropped.
    queue: Option<mpsc::Sender<(UnitOfWork, Reply)>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for QueuedStore {
    fn drop(&mut self) {
        // The writer ends once nobody can send any more, and what was sent is written by then.
        self.queue = None;
        self.writer.take().unwrap().join().unwrap();
    }
}

impl fmt::Debug for QueuedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueuedStore")
    }
}

impl QueuedStore {
    /// The answer, after others had a turn.
    fn later<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&MemoryStore) -> Read<T> + Send + 'static,
    ) -> Read<T> {
        let contents = Arc::clone(&self.contents);
        Read::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            match ask(&contents) {
                Read::Now(answer) => answer,
                Read::Later(_) => panic!("memory answers at once"),
            }
        }))
    }
}

impl Store for QueuedStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        let (reply, result) = oneshot::channel();
        self.queue
            .as_ref()
            .unwrap()
            .send((unit.clone(), reply))
            .unwrap();
        CommitFuture::submitted(result)
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.contents.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        let key = *key;
        self.later(move |contents| contents.find_request(&key))
    }

    fn find_order(&self, id: &OrderId) -> Read<Option<StoredOrder>> {
        let id = id.clone();
        self.later(move |contents| contents.find_order(&id))
    }

    fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError> {
        self.contents.history(id, take)
    }

    fn block_history(&self, slot: &NamedSlot, take: BlockSink<'_>) -> Result<(), ReadError> {
        self.contents.block_history(slot, take)
    }

    fn lifecycle_changes(&self, take: LifecycleSink<'_>) -> Result<(), ReadError> {
        self.contents.lifecycle_changes(take)
    }

    fn erasure_answers(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError> {
        self.contents.erasure_answers(take)
    }

    fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError> {
        self.contents.placed_by_revision()
    }

    fn states_in_use(&self) -> StatesInUse {
        self.contents.states_in_use()
    }

    fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>> {
        self.later(move |contents| contents.find_hold(id))
    }

    fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        self.contents.list(selection, before, may_see, take)
    }

    fn failed_attempts(&self, key: &OrderKey) -> Read<u32> {
        let key = *key;
        self.later(move |contents| contents.failed_attempts(&key))
    }

    fn erase_person(&self, user_id: &UserId) -> EraseFuture {
        self.contents.erase_person(user_id)
    }

    fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> EraseFuture {
        self.contents.erase_visits(ended_before, most)
    }

    fn erase_order(&self, id: &OrderId) -> EraseFuture {
        self.contents.erase_order(id)
    }

    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError> {
        self.contents.export_person(user_id, take)
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        self.contents.recover()
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.contents.health()
    }

    fn stats(&self) -> StoreStats {
        self.contents.stats()
    }
}
