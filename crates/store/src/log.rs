//! The embedded store: an append-only log on the local disk with an index in memory, without a database server.
//!
//! The log consists of segments of 64 MiB, the first one of 4 MiB, which are zero-filled ahead of need. One thread writes.
//! It takes all pending units as one batch, writes them as one frame, syncs it, and only then publishes them in the index
//! and answers. There is no timer: the next batch gathers during the sync.
//!
//! Sold spots are not stored: they are the sum of the claims of all orders and cannot disagree with them.
//!
//! | module | content |
//! |---|---|
//! | [`disk`] | the disk as the log sees it: real, and simulated |
//! | `segment`, `frame`, `record_header`, `checksum`, `position` | the format |
//! | `appender`, `spares` | writing: the end of the log, segments prepared ahead |
//! | `scan`, `survey`, `cut_segment`, `recovery` | reading segments, and opening the log |
//! | `index`, `open_work`, `ended_holds`, `state_profiles`, `summary`, `fold` | what is in memory, and how it gets there |
//! | `reader`, `orders_by_id` | orders, holds and payments by the index |
//! | `ledger`, `commit_queue`, `commit_writer` | commits: the state machine, its queue, its thread |
//! | `eraser`, `overwriting` | erasing personal data in place |
//! | `scrub` | reading sealed segments in the background |
//! | `watermark`, `store_lock`, `directory` | what is beside the segments |
//! | `simulated_store` | the store without threads on a simulated disk, for tests |
//! | `store_files`, `inspect`, `verify`, `salvage`, `backup` | reading a store without opening it |

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tokio::sync::watch;

use super::{
    BlockSink, CommitError, CommitFuture, EraseError, EraseFuture, ErasureAnswerSink, ErrorChain,
    HoldId, LifecycleSink, NamedSlot, OrderFilter, OrderKey, OrderPlace, OrderSink, PlacedSink,
    Read, ReadError, Recovered, Replay, Selection, StatesInUse, Store, StoreHealth, StoreStats,
    StoredHold, StoredOrder, UnitOfWork, UpdateSink,
};
use domain::{
    ids::{Token, UserId},
    order::OrderId,
    time::EpochSeconds,
};
use kernel::{
    blocking::{self, BlockingError},
    clock::{Clock, SystemClock},
};

mod appender;
mod backup;
mod checksum;
mod commit_queue;
mod commit_writer;
mod cut_segment;
mod directory;
pub mod disk;
mod disk_usage;
mod encoded_unit;
mod ended_holds;
mod eraser;
mod error;
mod fact;
#[cfg(test)]
mod fixtures;
mod fold;
mod frame;
mod index;
mod inspect;
mod ledger;
mod open_work;
mod orders_by_id;
mod overwriting;
mod planted;
mod position;
mod reader;
mod record_header;
mod record_reader;
mod recovery;
mod salvage;
mod scan;
mod scrub;
mod segment;
mod segment_files;
mod segment_name;
mod segment_times;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated_store;
mod slot_index;
mod spares;
mod state_profiles;
mod store_files;
mod store_lock;
mod summarizer;
mod summary;
mod survey;
mod verify;
mod watermark;
mod writer_metrics;

pub use backup::{
    BackupError, BackupManifest, BackupReport, BackupSource, FetchSegment, SegmentExtent,
    create_backup, restore_backup,
};
pub use cut_segment::CutSegment;
pub use error::{Damage, DamageFault, OpenError};
pub use inspect::{StoreInfo, inspect};
pub use store_files::has_store;
pub use verify::{Finding, Progress, Verification, verify};
pub use watermark::WatermarkFault;

use appender::Appender;
use commit_queue::{CommitQueue, commit_queue};
use commit_writer::{CommitWriter, become_ready};
use directory::{FileWatch, WatchedFiles};
use disk::{DirectoryDisk, Disk};
use encoded_unit::EncodedUnit;
use eraser::{CommitUnit, Eraser};
use fold::Folded;
use ledger::{Ledger, PendingFrame};
use planted::{PlantedFault, is_planted};
use reader::LogReader;
use recovery::RecoveredLog;
use scrub::{ScrubMetrics, ScrubThread, Scrubber};
use spares::{SpareThread, Spares};
use store_lock::StoreLock;
use summarizer::{Summarizer, SummaryThread};
use watermark::CommitWatermark;
use writer_metrics::WriterMetrics;

/// Name of the file with the number of acknowledged changes.
const WATERMARK: &str = "acknowledged";

/// Name of the directory of the segments.
const SEGMENTS: &str = "orders";

/// Name of the file that tells a backup from the data directory of a server.
const BACKUP_MARK: &str = "backup";

/// Keeps orders on the local disk.
pub struct LogStore {
    reader: Arc<LogReader>,
    queue: CommitQueue<EncodedUnit>,
    eraser: Arc<Eraser>,
    /// The most bytes that the records of a unit may take.
    unit_bytes_max: usize,
    health: watch::Receiver<StoreHealth>,
    /// The contents of the store when it was opened, until [`Store::recover`] takes them.
    recovered: Mutex<Option<Recovered>>,
    metrics: Arc<WriterMetrics>,
    scrubbed: Arc<ScrubMetrics>,
    dir: PathBuf,
    _watch: FileWatch,
    /// Dropped after the queue: it waits for the writer, which ends when nothing more can be submitted.
    _writer: WriterThread,
    _summaries: SummaryThread,
    _spares: SpareThread,
    _scrub: ScrubThread,
    /// Last: nothing is written any more when another process may open the store.
    _lock: StoreLock,
}

impl std::fmt::Debug for LogStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStore").finish_non_exhaustive()
    }
}

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Most units that share one write.
    pub batch_max: usize,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

impl LogOptions {
    /// The options of a server that shares one write among `batch_max` units.
    #[must_use]
    pub fn new(batch_max: usize) -> Self {
        Self {
            batch_max,
            segment_bytes: position::SEGMENT_BYTES,
            clock: Arc::new(SystemClock),
        }
    }
}

impl LogStore {
    /// Whether `dir` has a store, or the remains of one.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        dir.join(WATERMARK).exists() || directory::is_filled(&dir.join(SEGMENTS))
    }

    /// Opens the store in `dir`, or creates one. At most `batch_max` units share one write.
    ///
    /// # Errors
    /// [`OpenError`]: it is in use, of another format, unreadable, damaged, or lacks something that was
    /// acknowledged. Its files are then as they were.
    pub fn open(dir: &Path, batch_max: usize) -> Result<Self, OpenError> {
        Self::open_with(dir, &LogOptions::new(batch_max))
    }

    /// Opens the store in `dir` with these options, or creates one.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(dir: &Path, options: &LogOptions) -> Result<Self, OpenError> {
        let home = dir.join(SEGMENTS);
        let in_dir = OpenError::in_file(dir);
        directory::create(dir).map_err(&in_dir)?;
        directory::require_log_or_nothing(&home)?;
        // Locked before anything is read, so that two starts exclude each other. The directory first: where it is locked,
        // no watermark may be made anew.
        let mut lock = StoreLock::default();
        lock.add_directory(&home)?;
        let file = lock.open_watermark(&dir.join(WATERMARK))?;
        let watermark = CommitWatermark::new(file);
        let acknowledged = watermark.read().map_err(&in_dir)?;
        let watermark_fault = watermark.fault().map_err(&in_dir)?;
        if !directory::is_filled(&home) {
            if acknowledged > 0 {
                // Before the directory is created: what is lost must not look like an empty store.
                return Err(OpenError::ChangesMissing {
                    acknowledged,
                    on_record: 0,
                });
            }
            if !home.exists() {
                directory::create(&home).map_err(&in_dir)?;
                lock.add_directory(&home)?;
            }
            // Before anything is in it, so that it is done again after a crash.
            directory::sync_parents(&home);
        }
        // From now on it is a data directory: no backup may overwrite what is written to it.
        directory::remove_if_there(&dir.join(BACKUP_MARK)).map_err(&in_dir)?;
        let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::open(&home).map_err(&in_dir)?);
        let now = options.clock.now_sec();
        let recovered = recovery::recover(
            &disk,
            acknowledged,
            options.segment_bytes,
            now,
            recovery::random_identity,
        )?;
        lock.keep_watermark();
        warn_if_new(&recovered, &home);
        warn_of_cuts(&recovered.cut);
        let changes = recovered.end.next_sequence - 1;
        if let Some(fault) = watermark_fault
            && changes > 0
        {
            // Before it is written anew, which leaves no trace of that.
            warn_of_watermark(fault, changes, dir);
        }
        watermark.catch_up(changes).map_err(&in_dir)?;
        directory::restrict_to_owner(dir, &home).map_err(&in_dir)?;
        let files = WatchedFiles::of(dir, &home).map_err(in_dir)?;
        Self::start(dir, options, &disk, (watermark, lock), recovered, files)
    }

    /// Starts the threads of a store that has been opened.
    fn start(
        dir: &Path,
        options: &LogOptions,
        disk: &Arc<dyn Disk>,
        (watermark, lock): (CommitWatermark, StoreLock),
        log: RecoveredLog,
        files: WatchedFiles,
    ) -> Result<Self, OpenError> {
        let RecoveredLog {
            identity,
            end,
            file,
            folded,
            unsummarized,
            ..
        } = log;
        let Folded {
            index,
            open_work,
            sums,
        } = folded;
        let reader = LogReader::new(
            &identity,
            Arc::clone(disk),
            index,
            open_work,
            end.next_sequence,
        );
        let reader = Arc::new(reader);
        let recovered = reader.recovered(sums).map_err(OpenError::Read)?;
        let (queue, batches) = commit_queue(options.batch_max);
        let (health_sender, health) = watch::channel(StoreHealth::Ready);
        // Before the writer, so that a failure to start a thread leaves no writer behind.
        let watch = FileWatch::start(files, on_lost(dir.to_owned(), health_sender.clone()))
            .map_err(OpenError::Thread)?;
        let spares = Spares::new(Arc::clone(disk), end.segment);
        let health_on_spares = health_sender.clone();
        let spare_thread = SpareThread::start(
            Arc::clone(&spares),
            options.segment_bytes,
            // What kept the log from another segment is over, and without orders nobody else would notice.
            move || become_ready(&health_on_spares),
        )
        .map_err(OpenError::Thread)?;
        let scrubbed = Arc::new(ScrubMetrics::default());
        let scrubber = Scrubber::new(
            Arc::clone(disk),
            identity.seed(),
            reader.keys.clone(),
            Arc::clone(&scrubbed),
            Arc::clone(&reader.overwriting),
        );
        let scrub_thread = ScrubThread::start(scrubber).map_err(OpenError::Thread)?;
        let summarizer = Summarizer::of(&reader);
        let summaries = SummaryThread::start(summarizer.clone(), Arc::clone(&reader))
            .map_err(OpenError::Thread)?;
        let mut on_sealed = summaries.sender();
        for segment in unsummarized {
            on_sealed(segment);
        }
        let metrics = Arc::new(WriterMetrics::default());
        let appender = Appender::new(identity, options.segment_bytes, spares, file, end);
        let unit_bytes_max = appender.frame_capacity();
        let mut ledger = Ledger {
            appender,
            reader: Arc::clone(&reader),
            watermark,
            clock: Arc::clone(&options.clock),
            on_sealed: Box::new(on_sealed),
            pending: PendingFrame::default(),
        };
        let eraser = Eraser {
            reader: Arc::clone(&reader),
            summarizer,
            clock: Arc::clone(&options.clock),
            erased: Arc::default(),
            visits: Mutex::default(),
        };
        // Before anything is served: of an erasure that a crash has interrupted, no byte stays.
        finish_erasures(&eraser, &mut ledger)?;
        let mut writer = CommitWriter {
            ledger,
            health: health_sender,
            metrics: Arc::clone(&metrics),
        };
        writer.reserve();
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            // A thread rather than a task: the sync of a batch blocks for milliseconds.
            .spawn(move || writer.run(&batches))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            reader,
            queue,
            eraser: Arc::new(eraser),
            unit_bytes_max,
            health,
            recovered: Mutex::new(Some(recovered)),
            metrics,
            scrubbed,
            dir: dir.to_owned(),
            _watch: watch,
            _writer: WriterThread(Some(writer)),
            _summaries: summaries,
            _spares: spare_thread,
            _scrub: scrub_thread,
            _lock: lock,
        })
    }
}

impl LogStore {
    /// Erases on a thread that may block. The erasure goes on if its caller is gone.
    fn erase(
        &self,
        erase: impl FnOnce(&Eraser, &mut CommitUnit<'_>) -> Result<u64, EraseError> + Send + 'static,
    ) -> EraseFuture {
        // The queue is kept open until the erasure is over, so the store is closed only after it.
        let (eraser, queue) = (Arc::clone(&self.eraser), self.queue.clone());
        let started =
            blocking::start(move || erase(&eraser, &mut |unit| queue.submit_and_wait(unit)));
        Box::pin(async move {
            let erasing = started.map_err(|_| EraseError::NoThread)?;
            erasing.await.unwrap_or(Err(EraseError::Panicked))
        })
    }
}

impl Store for LogStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        // Encoded here, on the caller's core: the writer thread is the bottleneck of all orders.
        let encoded = EncodedUnit::new(unit, &self.reader.keys);
        let bytes = encoded.bytes();
        if bytes > self.unit_bytes_max {
            return CommitFuture::ready(Err(CommitError::TooLarge(bytes)));
        }
        self.queue.submit(encoded)
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.reader.keys.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        let key = *key;
        if self.reader.index.candidates(&key).is_empty() {
            // The usual case of a creation: no disk is asked.
            return Read::Now(Ok(None));
        }
        later(&self.reader, move |reader| reader.replay(&key))
    }

    fn find_order(&self, id: &OrderId) -> Read<Option<StoredOrder>> {
        let id = id.clone();
        later(&self.reader, move |reader| reader.order_of(&id))
    }

    fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError> {
        self.reader.history(id, take)
    }

    fn block_history(&self, slot: &NamedSlot, take: BlockSink<'_>) -> Result<(), ReadError> {
        self.reader.each_block(slot, take)
    }

    fn lifecycle_changes(&self, take: LifecycleSink<'_>) -> Result<(), ReadError> {
        self.reader.each_lifecycle_change(take)
    }

    fn erasure_answers(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError> {
        self.reader.each_erasure_answer(take)
    }

    fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError> {
        self.reader.placed_by_revision()
    }

    fn states_in_use(&self) -> StatesInUse {
        self.reader.states_in_use()
    }

    fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>> {
        let candidates = self.reader.work.find_hold(id);
        if candidates.is_empty() {
            return Read::Now(Ok(None));
        }
        later(&self.reader, move |reader| {
            reader.hold_among(id, candidates)
        })
    }

    fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        self.reader.list(selection, before, may_see, take)
    }

    fn failed_attempts(&self, key: &OrderKey) -> Read<u32> {
        let key = *key;
        if self.reader.work.ended_payments(&key).is_empty() {
            return Read::Now(Ok(0));
        }
        later(&self.reader, move |reader| reader.last_failed_attempt(&key))
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        let mut recovered = self
            .recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Taken, not cloned: the recovered sales of a large store are not kept in memory twice.
        recovered.take().ok_or(ReadError::AlreadyRecovered)
    }

    fn erase_person(&self, user_id: &UserId) -> EraseFuture {
        let user_id = user_id.clone();
        self.erase(move |eraser, commit| eraser.erase_person(&user_id, commit))
    }

    fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> EraseFuture {
        self.erase(move |eraser, commit| eraser.erase_visits(ended_before, most, commit))
    }

    fn erase_order(&self, id: &OrderId) -> EraseFuture {
        let key = OrderKey::of_id(id);
        self.erase(move |eraser, commit| match key {
            Some(key) => eraser.erase_order(&key, commit),
            None => Ok(0),
        })
    }

    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError> {
        self.reader.export_person(user_id, take)
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.clone()
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            orders: self.reader.index.orders(),
            // The queue counts these; the writer cannot see what it has not received.
            waiting: self.queue.pending(),
            writes: Some(self.metrics.read()),
            scrub: Some(self.scrubbed.read()),
            erased: self.eraser.erased.get(),
            // Reads the disk, which may block: metrics are collected on a blocking thread.
            disk: disk_usage::read(&self.dir),
        }
    }
}

/// Finishes erasures that a crash has interrupted.
fn finish_erasures(eraser: &Eraser, ledger: &mut Ledger) -> Result<(), OpenError> {
    if is_planted(PlantedFault::ErasureNotFinished) {
        return Ok(());
    }
    match eraser.complete_all(&mut |unit| ledger.write_one(unit)) {
        // A record that was damaged since is not shown, and must not keep all others from being sold.
        Err(EraseError::Read(ReadError::Damaged(place))) => {
            tracing::error!(
                place,
                "personal data that is erased could not be overwritten: a record is damaged; verify the store"
            );
            Ok(())
        }
        result => result.map_err(OpenError::Erasure),
    }
}

/// A read on a blocking thread: what is not in the page cache takes milliseconds.
fn later<T: Send + 'static>(
    reader: &Arc<LogReader>,
    read: impl FnOnce(&LogReader) -> Result<T, ReadError> + Send + 'static,
) -> Read<T> {
    let reader = Arc::clone(reader);
    Read::Later(Box::pin(async move {
        match blocking::run(move || read(&reader)).await {
            Ok(result) => result,
            Err(BlockingError::NoThread) => Err(ReadError::NoThread),
            Err(BlockingError::Panicked) => Err(ReadError::Panicked),
        }
    }))
}

fn warn_if_new(log: &RecoveredLog, home: &Path) {
    if log.is_new {
        tracing::warn!(
            directory = %home.display(),
            "no store was found: an empty one was created. If there should be one, stop the server and check \
             that its volume is mounted; `store_must_exist` prevents this"
        );
    }
}

fn warn_of_cuts(cut: &[CutSegment]) {
    for cut in cut {
        tracing::warn!(
            segment = cut.segment,
            offset = cut.length,
            lost_bytes = cut.lost_bytes,
            lost_orders = cut.lost_orders,
            last_sequence = cut.last_sequence,
            "a sealed segment is cut short: reads of the changes behind this offset fail. Verify the store, then restore a backup"
        );
    }
}

fn warn_of_watermark(fault: WatermarkFault, changes: u64, dir: &Path) {
    tracing::warn!(
        file = %dir.join(WATERMARK).display(),
        changes,
        "{fault}. It is written anew with the changes on record. If it was not a power failure, compare their number with a backup"
    );
}

/// Marks a store as failed whose files were moved or removed: a later start would create another
/// one.
fn on_lost(dir: PathBuf, health: watch::Sender<StoreHealth>) -> impl FnOnce() {
    move || {
        let error = CommitError::FilesMoved(dir);
        // The first failure stays: a write that failed before says more.
        let was_ready = health.send_if_modified(|health| {
            let is_ready = health.is_ready();
            if is_ready {
                *health = StoreHealth::Failed(error.clone());
            }
            is_ready
        });
        if was_ready {
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

#[cfg(test)]
mod tests;
