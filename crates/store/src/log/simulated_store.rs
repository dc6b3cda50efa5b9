//! The store on a simulated disk, in one thread: what a server's threads do is done step by step, when a test says so.

use std::{
    collections::BTreeMap,
    fmt, io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    appender::Appender,
    commit_queue::{BatchReceiver, CommitQueue, WriterProgress, commit_queue},
    commit_writer::CommitWriter,
    disk::{Disk, simulated::SimulatedDisk},
    encoded_unit::EncodedUnit,
    eraser::Eraser,
    error::OpenError,
    finish_erasures,
    fold::Folded,
    ledger::{Ledger, PendingFrame},
    reader::LogReader,
    recovery::{self, RecoveredLog},
    scan::LogEnd,
    segment::StoreIdentity,
    spares::{SpareFiller, Spares},
    summarizer::Summarizer,
    watermark::CommitWatermark,
    writer_metrics::WriterMetrics,
};
use crate::{
    BlockSink, CommitFuture, EraseError, EraseFuture, ErasureAnswerSink, HoldId, LifecycleSink,
    NamedSlot, OrderFilter, OrderKey, OrderPlace, OrderSink, PlacedSink, Read, ReadError,
    Recovered, Replay, Selection, StatesInUse, Store, StoreHealth, StoreStats, StoredHold,
    StoredOrder, UnitOfWork, UpdateSink,
};
use domain::{
    ids::{Token, UserId},
    order::OrderId,
    time::EpochSeconds,
};
use kernel::clock::Clock;

/// Bytes of a segment: some twenty orders, so that segments change often.
pub(super) const SEGMENT_BYTES: u64 = 64 << 10;

/// The name of the watermark's file.
pub(super) const WATERMARK: &str = "acknowledged";

/// Most units of a batch: few, so that one waits for several at times.
const BATCH_MAX: usize = 4;

/// The secret of the store in memory, so that orders have the same ids in both.
const IDENTITY: StoreIdentity = StoreIdentity {
    id: [1; 16],
    secret: [0; 32],
};

/// A log with all of its parts.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the tests of the log alone use all of them")
)]
pub(super) struct OpenedLog {
    pub(super) ledger: Ledger,
    pub(super) reader: Arc<LogReader>,
    pub(super) background: BackgroundWork,
    pub(super) spares: Arc<Spares>,
    pub(super) eraser: Eraser,
}

/// What the log said when it was opened.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the tests of the log alone use all of it")
)]
pub(super) struct Opening {
    /// Number of changes on record.
    pub(super) changes: u64,
    /// The end of its last frame.
    pub(super) end: LogEnd,
    pub(super) recovered: Recovered,
    /// Number of changes after interrupted erasures were finished.
    pub(super) finished: u64,
}

/// What a server does beside its orders.
pub(super) struct BackgroundWork {
    filler: SpareFiller,
    summarizer: Summarizer,
    reader: Arc<LogReader>,
    /// Full segments without a summary.
    sealed: Arc<Mutex<Vec<u64>>>,
}

impl OpenedLog {
    /// Opens the log on a disk, as a server does.
    pub(super) fn open(
        disk: &SimulatedDisk,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Opening), OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let watermark = watermark(&*disk).map_err(OpenError::Disk)?;
        let acknowledged = watermark.read().map_err(OpenError::Disk)?;
        let now = clock.now_sec();
        let log = recovery::recover(&disk, acknowledged, SEGMENT_BYTES, now, || Ok(IDENTITY))?;
        let RecoveredLog {
            identity,
            end,
            file,
            folded,
            unsummarized,
            ..
        } = log;
        let changes = end.next_sequence - 1;
        watermark.catch_up(changes).map_err(OpenError::Disk)?;
        let Folded {
            index,
            open_work,
            sums,
        } = folded;
        let reader = LogReader::new(
            &identity,
            Arc::clone(&disk),
            index,
            open_work,
            end.next_sequence,
        );
        let reader = Arc::new(reader);
        let recovered = reader.recovered(sums).map_err(OpenError::Read)?;
        let spares = Spares::new(Arc::clone(&disk), end.segment);
        let filler = SpareFiller::new(Arc::clone(&spares), SEGMENT_BYTES);
        let summarizer = Summarizer::of(&reader);
        let sealed = Arc::new(Mutex::new(unsummarized));
        let mut ledger = Ledger {
            appender: Appender::new(identity, SEGMENT_BYTES, Arc::clone(&spares), file, end),
            reader: Arc::clone(&reader),
            watermark,
            clock: Arc::clone(clock),
            on_sealed: Box::new({
                let sealed = Arc::clone(&sealed);
                move |segment| lock(&sealed).push(segment)
            }),
            pending: PendingFrame::default(),
        };
        let eraser = Eraser {
            reader: Arc::clone(&reader),
            summarizer: summarizer.clone(),
            clock: Arc::clone(clock),
            erased: Arc::default(),
            visits: Mutex::default(),
        };
        finish_erasures(&eraser, &mut ledger)?;
        let opening = Opening {
            changes,
            end,
            recovered,
            finished: ledger.appender.end().next_sequence - 1,
        };
        let opened = Self {
            ledger,
            reader: Arc::clone(&reader),
            background: BackgroundWork {
                filler: filler.map_err(OpenError::Disk)?,
                summarizer,
                reader,
                sealed,
            },
            spares,
            eraser,
        };
        Ok((opened, opening))
    }
}

impl BackgroundWork {
    /// One step of it.
    pub(super) fn step(&mut self, random: &mut fastrand::Rng) -> io::Result<()> {
        if random.bool() {
            return self.filler.step().map(drop);
        }
        let sealed = mem::take(&mut *lock(&self.sealed));
        for segment in sealed {
            self.summarizer.summarize(segment)?;
            self.reader.index.recent_slots.forget(segment);
        }
        Ok(())
    }
}

/// The watermark, whose file is created if there is none.
fn watermark(disk: &dyn Disk) -> io::Result<CommitWatermark> {
    let file = match disk.open(WATERMARK) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(WATERMARK)?,
        opened => opened?,
    };
    Ok(CommitWatermark::new(file))
}

/// A store without threads. Units wait until [`Self::write_batch`] is called.
pub struct SimulatedStore {
    reader: Arc<LogReader>,
    queue: CommitQueue<EncodedUnit>,
    writer: Mutex<SteppedWriter>,
    background: Mutex<BackgroundWork>,
    health: watch::Receiver<StoreHealth>,
    recovered: Mutex<Option<Recovered>>,
}

/// The writer between two batches.
struct SteppedWriter {
    writer: CommitWriter,
    batches: BatchReceiver<EncodedUnit>,
    progress: WriterProgress<EncodedUnit>,
}

impl SimulatedStore {
    /// Opens the store on a disk, or creates one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(disk: &SimulatedDisk, clock: &Arc<dyn Clock>) -> Result<Self, OpenError> {
        let (log, opening) = OpenedLog::open(disk, clock)?;
        let (queue, batches) = commit_queue(BATCH_MAX);
        let (health_sender, health) = watch::channel(StoreHealth::Ready);
        let mut writer = CommitWriter {
            ledger: log.ledger,
            health: health_sender,
            metrics: Arc::new(WriterMetrics::default()),
        };
        writer.reserve();
        Ok(Self {
            reader: log.reader,
            queue,
            writer: Mutex::new(SteppedWriter {
                writer,
                batches,
                progress: WriterProgress::default(),
            }),
            background: Mutex::new(log.background),
            health,
            recovered: Mutex::new(Some(opening.recovered)),
        })
    }

    /// Writes a batch of the units that wait, and says whether there were any. Callers in a runtime are answered by a
    /// task of it.
    pub fn write_batch(&self) -> bool {
        let SteppedWriter {
            writer,
            batches,
            progress,
        } = &mut *lock(&self.writer);
        batches.run_once(progress, |units| writer.write_batch(units))
    }

    /// One step of what a server does beside its orders: a spare is filled, or full segments are summarized.
    ///
    /// # Errors
    /// Those of the disk. The next step tries again.
    pub fn work_in_background(&self, random: &mut fastrand::Rng) -> io::Result<()> {
        lock(&self.background).step(random)
    }
}

impl fmt::Debug for SimulatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedStore").finish_non_exhaustive()
    }
}

impl Store for SimulatedStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        self.queue.submit(EncodedUnit::new(unit, &self.reader.keys))
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.reader.keys.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        let key = *key;
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
        later(&self.reader, move |reader| reader.last_failed_attempt(&key))
    }

    fn erase_person(&self, _: &UserId) -> EraseFuture {
        no_thread()
    }

    fn erase_visits(&self, _: EpochSeconds, _: usize) -> EraseFuture {
        no_thread()
    }

    fn erase_order(&self, _: &OrderId) -> EraseFuture {
        no_thread()
    }

    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError> {
        self.reader.export_person(user_id, take)
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        lock(&self.recovered)
            .take()
            .ok_or(ReadError::AlreadyRecovered)
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.clone()
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            orders: self.reader.index.orders(),
            waiting: self.queue.pending(),
            ..StoreStats::default()
        }
    }
}

/// Erasures need a thread that may block, and here there is none.
fn no_thread() -> EraseFuture {
    Box::pin(std::future::ready(Err(EraseError::NoThread)))
}

/// A read that is done when its answer is waited for: other calls may come between.
fn later<T: Send + 'static>(
    reader: &Arc<LogReader>,
    read: impl FnOnce(&LogReader) -> Result<T, ReadError> + Send + 'static,
) -> Read<T> {
    let reader = Arc::clone(reader);
    Read::Later(Box::pin(async move { read(&reader) }))
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that has failed while it held the lock has said so already.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
