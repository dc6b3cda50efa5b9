//! Health and statistics of a store.

use domain::time::EpochSeconds;
use kernel::metrics::HistogramSnapshot;

use super::CommitError;

/// Whether units can be committed.
#[derive(Debug, Clone)]
pub enum StoreHealth {
    /// They can.
    Ready,
    /// Not at present. What was acknowledged is safe, and the store comes back by itself.
    Unavailable {
        /// Since when.
        since: EpochSeconds,
    },
    /// A write failed. What is on disk is unknown, so nothing more is acknowledged until a restart has read
    /// it.
    Failed(CommitError),
}

impl StoreHealth {
    /// Whether units can be committed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

/// Statistics of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Orders on record.
    pub orders: u64,
    /// Changes that are submitted and not durable yet.
    pub waiting: u64,
    /// Statistics of writing, where the store writes to a disk.
    pub writes: Option<WriteStats>,
    /// What reading in the background has found, where the store does that.
    pub scrub: Option<ScrubStats>,
    /// Orders of which the personal data was erased since the store was opened.
    pub erased: u64,
    /// Disk space, where the system reports it.
    pub disk: Option<DiskUsage>,
}

/// Disk space of a store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// Allocated to the files of the store.
    pub used: u64,
    /// What may still be written.
    pub free: u64,
    /// Size of the file system.
    pub size: u64,
}

/// Statistics of writing to disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteStats {
    /// Changes per batch.
    pub batch_sizes: HistogramSnapshot,
    /// Nanoseconds to write and sync one batch.
    pub times: HistogramSnapshot,
}

/// What was read again in the background, to find damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubStats {
    /// Bytes that were read.
    pub bytes: u64,
    /// Segments that were found to be damaged.
    pub damage: u64,
}
