//! Settings of the storage engine, chosen so that its background work does not delay calls.

use std::{panic::resume_unwind, path::Path, sync::Arc, thread};

use fjall::{Database, KeyspaceCreateOptions, compaction::Leveled};

use super::engine_log;
use kernel::descriptors;

/// Added to the nice value of the engine's own threads; they still get a tenth of a busy core.
const NICENESS: i32 = 10;

/// Threads that flush memtables and compact `SSTables`, whatever the number of cores.
///
/// The first of them never compacts. It spins while a compaction is requested and all others compact: with
/// two threads during every compaction, with eight hardly ever. With a single thread the engine may
/// deadlock.
const WORKER_THREADS: usize = 8;

/// Size of a memtable and target size of an `SSTable`, in bytes.
///
/// When the engine starts a memtable it frees an earlier one, and blocks all reads and writes for 2 ms for
/// each MiB of it.
const TABLE_BYTES: u64 = 8 << 20;

/// `SSTables` in level 0 from which they are compacted. A list of orders is looked for in all of them.
const L0_THRESHOLD: u8 = 8;

/// Opens the engine in a thread of lower priority, which the engine's own threads inherit.
pub(super) fn open(home: &Path) -> fjall::Result<Database> {
    // Before the engine starts its threads, so that none of their errors is missed.
    engine_log::install();
    let open = || {
        // Best effort: without it, calls wait a little longer beside compactions.
        let _ = rustix::process::nice(NICENESS);
        let tables = descriptors::for_tables(descriptors::limit());
        let builder = Database::builder(home)
            .worker_threads(WORKER_THREADS)
            // The engine would otherwise keep more files open than the share of the descriptors
            // that is left for it.
            .max_cached_files(Some(tables));
        #[cfg(target_os = "linux")]
        let builder =
            builder.with_compaction_filter_factories(super::idle_compaction::filter_factories());
        builder.open()
    };
    // A panic of the engine goes on in this thread, where opening catches it.
    thread::scope(|scope| {
        scope
            .spawn(open)
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Options of the keyspace of a new store; an existing one keeps the options that it was created with.
pub(super) fn keyspace_options() -> KeyspaceCreateOptions {
    let compaction = Leveled::default()
        .with_table_target_size(TABLE_BYTES)
        .with_l0_threshold(L0_THRESHOLD);
    KeyspaceCreateOptions::default()
        .max_memtable_size(TABLE_BYTES)
        .compaction_strategy(Arc::new(compaction))
}
