//! Metrics of the writer thread.

use std::time::Duration;

use crate::WriteStats;
use kernel::metrics::Histogram;

const BATCH_SIZES: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Nanoseconds, from 50 µs to 5 s.
const TIMES: [u64; 16] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
];

/// Counted by the writer and read by scrapes.
#[derive(Debug)]
pub(super) struct WriterMetrics {
    batch_sizes: Histogram<11>,
    times: Histogram<16>,
}

impl Default for WriterMetrics {
    fn default() -> Self {
        Self {
            batch_sizes: Histogram::new(&BATCH_SIZES),
            times: Histogram::new(&TIMES),
        }
    }
}

impl WriterMetrics {
    /// Counts a batch that is durable.
    pub(super) fn count_batch(&self, units: usize, took: Duration) {
        self.batch_sizes
            .add(u64::try_from(units).unwrap_or(u64::MAX));
        self.times.add_time(took);
    }

    pub(super) fn read(&self) -> WriteStats {
        WriteStats {
            batch_sizes: self.batch_sizes.read(),
            times: self.times.read(),
        }
    }
}
