//! Metrics: counters and histograms that are incremented where things happen and read on demand. An increment is one
//! relaxed atomic addition and never waits. Metrics are declared with name and help text in `impl Collect`.

mod collect;

pub use collect::{Collect, Metric, MetricKind, Reading, Sample, SampleValue, Samples, Unit};

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A value that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `more`. Relaxed: the count synchronizes no other memory.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The present count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram: how many values lie within each bound, and the sum of all values.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    within: [Counter; N],
    beyond: Counter,
    sum: Counter,
}

/// The counts of a histogram at a moment. Values may be added while it is read, so the sum may differ from
/// the counts by these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Each bound with the number of values that do not exceed it.
    pub up_to: Vec<(u64, u64)>,
    /// The number of values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl<const N: usize> Histogram<N> {
    /// A histogram with these bounds, which must ascend.
    #[must_use]
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            within: std::array::from_fn(|_| Counter::default()),
            beyond: Counter::default(),
            sum: Counter::default(),
        }
    }

    /// Adds a value.
    pub fn add(&self, value: u64) {
        // Each value increments one counter; the cumulative counts are computed when metrics are read,
        // which is rare.
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.within.get(at).unwrap_or(&self.beyond).inc();
        self.sum.add(value);
    }

    /// Adds a duration, as nanoseconds.
    pub fn add_time(&self, time: Duration) {
        // Saturating: 64 bits of nanoseconds are 584 years.
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The counts at this moment.
    #[must_use]
    pub fn read(&self) -> HistogramSnapshot {
        let mut count = 0;
        let up_to = self.bounds.iter().zip(&self.within).map(|(bound, within)| {
            count += within.get();
            (*bound, count)
        });
        let up_to = up_to.collect();
        HistogramSnapshot {
            up_to,
            count: count + self.beyond.get(),
            sum: self.sum.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_its_bound_and_all_above() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1000] {
            histogram.add(value);
        }
        let expected = HistogramSnapshot {
            up_to: vec![(10, 2), (20, 4)],
            count: 6,
            sum: 1062,
        };
        assert_eq!(histogram.read(), expected);
    }

    #[test]
    fn times_are_in_nanoseconds() {
        let histogram = Histogram::new(&[1_000]);
        histogram.add_time(Duration::from_micros(1));
        histogram.add_time(Duration::from_nanos(1_001));
        assert_eq!(
            histogram.read(),
            HistogramSnapshot {
                up_to: vec![(1_000, 1)],
                count: 2,
                sum: 2_001
            }
        );
    }
}
