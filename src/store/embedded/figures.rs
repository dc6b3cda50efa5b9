//! How the writer does.

use crate::{
    metrics::{Counter, Histogram},
    store::{StoreFigures, Writes},
};

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

/// What is counted of the writer's work.
#[derive(Debug)]
pub(super) struct WriterFigures {
    /// Orders on record.
    pub(super) orders: Counter,
    pub(super) batch_sizes: Histogram<11>,
    pub(super) times: Histogram<16>,
}

impl WriterFigures {
    pub(super) fn new(orders: u64) -> Self {
        let on_record = Counter::default();
        on_record.add(orders);
        Self {
            orders: on_record,
            batch_sizes: Histogram::new(&BATCH_SIZES),
            times: Histogram::new(&TIMES),
        }
    }

    /// How it does while so many changes wait for it.
    pub(super) fn read(&self, waiting: u64) -> StoreFigures {
        let writes = Writes {
            batch_sizes: self.batch_sizes.read(),
            times: self.times.read(),
        };
        StoreFigures {
            orders: self.orders.get(),
            waiting,
            writes: Some(writes),
            disk: None,
        }
    }
}
