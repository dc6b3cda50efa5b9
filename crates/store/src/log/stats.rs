//! Metrics of the writer.

use crate::{StoreStats, WriteStats};
use kernel::metrics::{Counter, Histogram};

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
    /// Orders on record.
    pub(super) orders: Counter,
    pub(super) batch_sizes: Histogram<11>,
    pub(super) times: Histogram<16>,
}

impl WriterMetrics {
    pub(super) fn new(orders: u64) -> Self {
        // Sequence numbers have no gaps, so the last one is the number of orders.
        let on_record = Counter::default();
        on_record.add(orders);
        Self {
            orders: on_record,
            batch_sizes: Histogram::new(&BATCH_SIZES),
            times: Histogram::new(&TIMES),
        }
    }

    /// The statistics of the store, with the number of pending changes.
    pub(super) fn read(&self, pending: u64) -> StoreStats {
        let writes = WriteStats {
            batch_sizes: self.batch_sizes.read(),
            times: self.times.read(),
        };
        StoreStats {
            orders: self.orders.get(),
            // The queue counts these; the writer cannot see what it has not received.
            waiting: pending,
            writes: Some(writes),
            disk: None,
        }
    }
}
