//! Errors that the engine logs in its own threads. A failed write in the foreground says only that there was
//! one.

use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The crates of the engine, which begin the targets of its log records.
const ENGINE: [&str; 2] = ["fjall", "lsm_tree"];

/// The last error of the engine in this process.
static LAST: Mutex<Option<String>> = Mutex::new(None);

struct EngineLog;

impl Log for EngineLog {
    /// Errors of the engine only: it logs its every step, and other crates log elsewhere.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let (crate_name, _) = metadata
            .target()
            .split_once("::")
            .unwrap_or((metadata.target(), ""));
        // By the crate and not by a prefix, so that a crate of a similar name is not taken for the
        // engine.
        metadata.level() == Level::Error && ENGINE.contains(&crate_name)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let error = record.args().to_string();
            tracing::error!(error, "storage engine error");
            // Poisoning means nothing here: the text is replaced as a whole.
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn flush(&self) {}
}

/// Forwards errors of the engine to `tracing` from here on, and remembers the last one.
pub(super) fn install() {
    // Fails where a program has set a logger of its own, or where this one is set already.
    if log::set_logger(&EngineLog).is_ok() {
        log::set_max_level(LevelFilter::Error);
    }
}

pub(super) fn last_error() -> Option<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_engine_count_and_nothing_else_does() {
        for (target, level, expected) in [
            ("fjall::worker_pool", Level::Error, true),
            ("lsm_tree", Level::Error, true),
            ("fjall::worker_pool", Level::Warn, false),
            ("fjall_other", Level::Error, false),
            ("h2::proto", Level::Error, false),
        ] {
            let metadata = Metadata::builder().target(target).level(level).build();
            assert_eq!(EngineLog.enabled(&metadata), expected, "{target} {level}");
        }
    }
}
