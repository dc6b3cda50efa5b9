//! How the engine is set up: what it does by itself is not to be noticed by callers.

use std::{panic::resume_unwind, path::Path, sync::Arc, thread};

use fjall::{Database, KeyspaceCreateOptions, compaction::Leveled};

use super::engine_log;
use crate::descriptors;

/// By how much the engine's own threads give way; they still get a tenth of a busy core.
const GIVING_WAY: i32 = 10;

/// Threads that write and merge tables, on however many cores.
///
/// The first of them never merges, and spins while merges are asked for and all others are merging: with
/// two threads during every merge, with this many hardly ever. With only one the engine may come to wait
/// for itself.
const THREADS: usize = 8;

/// Bytes of the table in memory, and of tables on disk.
///
/// When the engine begins a table in memory, it frees an earlier one, and nobody reads or writes until that
/// is done: 2 ms for each MiB.
const TABLE: u64 = 8 << 20;

/// Tables that are written before they are merged with others. A list has to be looked for in all of them.
const TABLES_TO_MERGE: u8 = 8;

/// Opens the engine in a thread that gives way to others, which the engine's own threads take after.
pub(super) fn open(home: &Path) -> fjall::Result<Database> {
    engine_log::listen();
    let open = || {
        // Where it may not be said, callers wait a little more.
        let _ = rustix::process::nice(GIVING_WAY);
        let tables = descriptors::for_tables(descriptors::limit());
        let builder = Database::builder(home)
            .worker_threads(THREADS)
            .max_cached_files(Some(tables));
        #[cfg(target_os = "linux")]
        let builder = builder.with_compaction_filter_factories(super::merges::in_idle_time());
        builder.open()
    };
    thread::scope(|scope| {
        scope
            .spawn(open)
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// How a new store keeps its tables; one that is there already goes on as it was begun.
pub(super) fn tables() -> KeyspaceCreateOptions {
    let merging = Leveled::default()
        .with_table_target_size(TABLE)
        .with_l0_threshold(TABLES_TO_MERGE);
    KeyspaceCreateOptions::default()
        .max_memtable_size(TABLE)
        .compaction_strategy(Arc::new(merging))
}
