//! The embedded store: orders on the local disk, in one directory, without a database server.
//!
//! The engine is `fjall`, a log-structured merge tree with a journal (write-ahead log). All records are in
//! one keyspace, told apart by the first byte of their keys:
//!
//! | key | record |
//! |---|---|
//! | `u` user key, inverted sequence number | an order of that user, newest first |
//! | `o` order key | the key of the order in its user's list |
//! | `i` order key | a payment intent whose end is not on record |
//! | `p` order key, attempt | a payment that ended without an order |
//! | `m` … | the format, the store's secret, the prices last served, up to when slots are forgotten, the state checksum |
//!
//! A user's list is one range, read from end to end, however many other orders there are. A token or an
//! order id takes two lookups, a new token one. Sold spots are not stored: they are the sum of the orders'
//! claims, read once when the store is opened, and cannot disagree with them. The state checksum says how
//! many changes have been made and what all records come to, so that opening the store finds damage.
//!
//! One thread writes. It takes all pending changes as one batch, writes them to the journal, syncs it, and
//! only then makes them visible and answers. There is no timer: the next batch gathers during the sync.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use fjall::{Keyspace, UserValue};
use tokio::sync::watch;

use super::{
    Change, CommitError, CommitFuture, ErrorChain, OrderFilter, OrderSink, ReadError, Recovered,
    Replay, Selection, Store, StoreState, StoreStats,
    order_key::{KEY_BYTES, KeyDeriver, OrderKey, UserKey},
    record,
};
use domain::{
    ids::{Token, UserId},
    order::OrderId,
};

mod commit_queue;
mod commit_writer;
mod directory;
mod disk_usage;
mod encoded_change;
mod engine;
mod engine_files;
mod engine_log;
mod error;
mod full_scan;
#[cfg(target_os = "linux")]
mod idle_compaction;
mod keys;
mod open_guard;
mod recovery;
mod state_checksum;
mod stats;
mod watermark;

use commit_queue::{BatchReceiver, CommitQueue, commit_queue};
use commit_writer::CommitWriter;
use directory::{FileWatch, WatchedFiles};
use encoded_change::EncodedChange;
use error::EngineError;
use full_scan::FullScan;
use open_guard::OpenGuard;
use recovery::RecoveredDatabase;
use state_checksum::StateChecksum;
use stats::WriterMetrics;
use watermark::CommitWatermark;

/// Name of the file with the number of acknowledged changes.
const WATERMARK: &str = "acknowledged";

/// Name of the directory of the engine.
const HOME: &str = "orders";

/// File extension of the engine's journals.
const JOURNAL: &str = "jnl";

pub use error::{Damage, OpenError};

/// Keeps orders on the local disk.
pub struct EmbeddedStore {
    records: Keyspace,
    keys: KeyDeriver,
    queue: CommitQueue<EncodedChange>,
    state: watch::Receiver<StoreState>,
    /// The contents of the store when it was opened, until [`Store::recover`] takes them.
    recovered: Mutex<Option<Recovered>>,
    metrics: Arc<WriterMetrics>,
    dir: PathBuf,
    _watch: FileWatch,
    /// Dropped after the queue: it waits for the writer, which ends when nothing more can be submitted.
    _writer: WriterThread,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Whether `dir` has a store, or the remains of one.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        let home = dir.join(HOME);
        dir.join(WATERMARK).exists()
            || [home.with_extension("kept"), home]
                .iter()
                .any(|dir| directory::is_filled(dir))
    }

    /// Opens the store in `dir`, or creates one. At most `batch_max` changes share one write.
    ///
    /// # Errors
    /// [`OpenError`]: it is in use, of another format, unreadable, damaged, or lacks something that was
    /// acknowledged. Its files are then as they were.
    pub fn open(dir: &Path, batch_max: usize) -> Result<Self, OpenError> {
        let home = dir.join(HOME);
        let in_dir = OpenError::in_file(dir);
        directory::create(dir).map_err(&in_dir)?;
        // Before anything is created or moved: the watermark may be gone while its process goes on.
        recovery::require_unused(&home)?;
        if !Self::is_in(dir) {
            directory::sync_parents(dir);
        }
        // Locked before recovery touches the files of the engine, so that two starts exclude each other.
        let watermark = CommitWatermark::open(&dir.join(WATERMARK))?;
        let recovered = recovery::open(&home, &watermark)?;
        directory::restrict_to_owner(dir, &home).map_err(&in_dir)?;
        let files = WatchedFiles::of(dir, &home).map_err(in_dir)?;
        Self::start(dir, batch_max, watermark, recovered, files).map_err(OpenError::Thread)
    }

    /// Starts the threads of a store that has been opened.
    fn start(
        dir: &Path,
        batch_max: usize,
        watermark: CommitWatermark,
        recovered: RecoveredDatabase,
        files: WatchedFiles,
    ) -> io::Result<Self> {
        let RecoveredDatabase {
            database,
            records,
            keys,
            scan,
        } = recovered;
        let FullScan {
            checksum,
            last_sequence,
            recovered,
        } = scan;
        let (queue, batches) = commit_queue(batch_max);
        let (state_sender, state) = watch::channel(StoreState::Open);
        // Before the writer, so that a failure to start a thread leaves no writer behind.
        let watch = FileWatch::start(files, on_lost(dir.to_owned(), state_sender.clone()))?;
        let metrics = Arc::new(WriterMetrics::new(last_sequence));
        let writer = CommitWriter {
            database,
            // A handle for reading stays with the store. The writer owns the database, and closes
            // it once the queue is dropped and empty.
            records: records.clone(),
            checksum,
            last_sequence,
            watermark,
            state: state_sender,
            metrics: Arc::clone(&metrics),
        };
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            // A thread rather than a task: the sync of a batch blocks for milliseconds.
            .spawn(move || writer.run(&batches))?;
        Ok(Self {
            records,
            keys,
            queue,
            state,
            recovered: Mutex::new(Some(recovered)),
            metrics,
            dir: dir.to_owned(),
            _watch: watch,
            _writer: WriterThread(Some(writer)),
        })
    }

    fn list_of_user(&self, user_id: &UserId) -> impl Iterator<Item = Result<UserValue, ReadError>> {
        self.records
            .prefix(keys::user(&self.keys.user_key(user_id)))
            .map(|entry| entry.value().map_err(unreadable))
    }

    fn find(&self, order: OrderKey) -> Result<Option<UserValue>, ReadError> {
        // Two reads without a snapshot: an order is never moved or removed, so the second finds what the
        // first leads to.
        let Some(listed) = self.records.get(keys::order(&order)).map_err(unreadable)? else {
            return Ok(None);
        };
        match self.records.get(listed).map_err(unreadable)? {
            Some(record) => Ok(Some(record)),
            None => Err(ReadError::MissingFromList),
        }
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, change: Change) -> CommitFuture {
        // Encoded here, on the caller's core: the writer thread is the bottleneck of all orders.
        Box::pin(self.queue.submit(EncodedChange::new(&change, &self.keys)))
    }

    fn order_id(&self, token: &Token) -> OrderId {
        self.keys.order_key(token).order_id()
    }

    fn by_token(&self, token: &Token) -> Result<Option<Replay>, ReadError> {
        match self.find(self.keys.order_key(token))? {
            Some(record) => Ok(Some(record::decode_replay(&record)?)),
            None => Ok(None),
        }
    }

    fn list(
        &self,
        selection: &Selection,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        match selection {
            Selection::User(user_id) => {
                for record in self.list_of_user(user_id) {
                    if hand_over(&record?, may_see, take)?.is_break() {
                        break;
                    }
                }
            }
            Selection::Ids(ids) => {
                for order in OrderKey::of_each_id(ids) {
                    let Some(record) = self.find(order)? else {
                        continue;
                    };
                    if hand_over(&record, may_see, take)?.is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn failed_attempts(&self, token: &Token) -> Result<u32, ReadError> {
        // Only keys are read: the number is all that is asked for.
        let prefix = keys::ended_payments(&self.keys.order_key(token));
        let mut count = 0;
        for entry in self.records.prefix(prefix) {
            entry.key().map_err(unreadable)?;
            count += 1;
        }
        Ok(count)
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        let mut recovered = self
            .recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Taken, not cloned: the recovered sales of a large store are not kept in memory twice.
        recovered.take().ok_or(ReadError::AlreadyRecovered)
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            // Reads the disk, which may block: metrics are collected on a blocking thread.
            disk: disk_usage::read(&self.dir),
            ..self.metrics.read(self.queue.pending())
        }
    }
}

/// Marks a store as failed whose files were moved or removed: a later start would create another
/// one.
fn on_lost(dir: PathBuf, state: watch::Sender<StoreState>) -> impl FnOnce() {
    move || {
        let error = CommitError::FilesMoved(dir);
        // The first failure stays: a write that failed before says more.
        let was_open = state.send_if_modified(|state| {
            let is_open = state.is_open();
            if is_open {
                *state = StoreState::Failed(error.clone());
            }
            is_open
        });
        if was_open {
            tracing::error!(error = %ErrorChain(&error), "the store was moved or removed; no further order is taken until a restart");
        }
    }
}

/// Waits for the writer when it is dropped, until all that was submitted is written.
struct WriterThread(Option<thread::JoinHandle<()>>);

impl Drop for WriterThread {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            // A panic of the writer has been logged and answered where it happened.
            let _ = writer.join();
        }
    }
}

/// Hands over the order in a record if it passes the filter.
fn hand_over(
    record: &[u8],
    may_see: OrderFilter<'_>,
    take: OrderSink<'_>,
) -> Result<ControlFlow<()>, ReadError> {
    match record::decode_order_if(record, may_see)? {
        Some(order) => Ok(take(order)),
        None => Ok(ControlFlow::Continue(())),
    }
}

fn unreadable(error: fjall::Error) -> ReadError {
    ReadError::Engine(Box::new(EngineError(error)))
}

#[cfg(test)]
mod tests;
