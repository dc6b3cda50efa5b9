//! What the engine logs of failures in its own threads. Whoever writes is told only that there was one.

use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The crates of the engine, whose names begin the targets of what it logs.
const ENGINE: [&str; 2] = ["fjall", "lsm_tree"];

/// What it logged last.
static LAST: Mutex<Option<String>> = Mutex::new(None);

struct EngineLog;

impl Log for EngineLog {
    /// Only the engine's errors: it logs every step that it takes, and other crates have their own ways.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let (crate_name, _) = metadata
            .target()
            .split_once("::")
            .unwrap_or((metadata.target(), ""));
        metadata.level() == Level::Error && ENGINE.contains(&crate_name)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let error = record.args().to_string();
            tracing::error!(error, "the store's engine reports an error");
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn flush(&self) {}
}

/// Has what the engine logs from here on kept, and put into our log. A program that has given `log`
/// another place before goes on with that.
pub(super) fn listen() {
    if log::set_logger(&EngineLog).is_ok() {
        log::set_max_level(LevelFilter::Error);
    }
}

/// The last failure that it has logged in this process.
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
