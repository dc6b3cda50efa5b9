//! The store on a real disk.

use tempfile::TempDir;

use domain::time::EpochSeconds;

use super::*;
use crate::conformance::{StoreHome, assert_conforms};

/// Small segments, so that a test has many.
const SEGMENT_BYTES: u64 = 64 << 10;

/// A directory in memory, where the machine has such a place: thousands of stores are opened in some tests.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

/// A clock for which everything is yet to come, so that no hold is forgotten.
#[derive(Debug)]
struct EarliestClock;

impl Clock for EarliestClock {
    fn now_sec(&self) -> EpochSeconds {
        EpochSeconds::MIN
    }
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        clock: Arc::new(EarliestClock),
        ..LogOptions::new(64)
    }
}

fn open(dir: &Path) -> LogStore {
    LogStore::open_with(dir, &options()).unwrap()
}

struct LogHome(TempDir);

impl StoreHome for LogHome {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(self.0.path()))
    }

    fn is_durable(&self) -> bool {
        true
    }
}

#[test]
fn the_log_conforms() {
    assert_conforms(&|| Box::new(LogHome(scratch())));
}
