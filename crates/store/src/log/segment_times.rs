//! When the orders of each segment were created.

use std::collections::BTreeMap;

use domain::time::EpochSeconds;

/// Times of creation of the orders of a segment, of which there is one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrderSpan {
    /// The earliest. The clock may have been set back, so this need not be the time of the first order.
    pub(super) earliest_sec: EpochSeconds,
    /// The latest.
    pub(super) latest_sec: EpochSeconds,
    /// Number of orders.
    pub(super) orders: u64,
}

impl OrderSpan {
    fn one(created_sec: EpochSeconds) -> Self {
        Self {
            earliest_sec: created_sec,
            latest_sec: created_sec,
            orders: 1,
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            earliest_sec: self.earliest_sec.min(other.earliest_sec),
            latest_sec: self.latest_sec.max(other.latest_sec),
            orders: self.orders.saturating_add(other.orders),
        }
    }

    /// Whether orders of `from..until` may be among them.
    fn meets(&self, from: EpochSeconds, until: EpochSeconds) -> bool {
        from < until && self.earliest_sec < until && from <= self.latest_sec
    }
}

/// The spans of segments, by their numbers. Segments without orders have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SegmentTimes(BTreeMap<u64, OrderSpan>);

impl SegmentTimes {
    /// Adds an order.
    pub(super) fn add(&mut self, segment: u64, created_sec: EpochSeconds) {
        self.add_span(segment, OrderSpan::one(created_sec));
    }

    /// Adds the orders of a span to those of a segment.
    pub(super) fn add_span(&mut self, segment: u64, span: OrderSpan) {
        self.0
            .entry(segment)
            .and_modify(|known| *known = known.with(span))
            .or_insert(span);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (segment, span) in &other.0 {
            self.add_span(*segment, *span);
        }
    }

    pub(super) fn get(&self, segment: u64) -> Option<OrderSpan> {
        self.0.get(&segment).copied()
    }

    /// The segments that may have orders created in `from..until`, newest first.
    pub(super) fn between(&self, from: EpochSeconds, until: EpochSeconds) -> Vec<u64> {
        let mut segments = Vec::new();
        // All are looked at: with a clock that was set back, segments are not sorted by time.
        for (segment, span) in self.0.iter().rev() {
            if span.meets(from, until) {
                segments.push(*segment);
            }
        }
        segments
    }

    /// Number of orders in all.
    pub(super) fn orders(&self) -> u64 {
        self.0.values().map(|span| span.orders).sum()
    }

    /// The latest creation of an order.
    pub(super) fn latest_sec(&self) -> Option<EpochSeconds> {
        self.0.values().map(|span| span.latest_sec).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(orders: &[(u64, i64)]) -> SegmentTimes {
        let mut times = SegmentTimes::default();
        for (segment, created_sec) in orders {
            times.add(*segment, EpochSeconds::new(*created_sec));
        }
        times
    }

    #[test]
    fn segments_are_found_by_the_time_of_their_orders_also_when_the_clock_was_set_back() {
        let times = times(&[(1, 10), (1, 20), (2, 30), (2, 15), (4, 12)]);
        for (from, until, expected) in [
            (0, 10, &[][..]),
            (0, 11, &[1]),
            (12, 13, &[4, 1]),
            (15, 16, &[2, 1]),
            (20, 21, &[2, 1]),
            (21, 31, &[2]),
            (30, 31, &[2]),
            (31, 99, &[]),
            (15, 15, &[]),
            (0, 99, &[4, 2, 1]),
        ] {
            let found = times.between(EpochSeconds::new(from), EpochSeconds::new(until));
            assert_eq!(found, expected, "{from}..{until}");
        }
        assert_eq!(times.orders(), 5);
        assert_eq!(times.latest_sec(), Some(EpochSeconds::new(30)));
        assert_eq!(SegmentTimes::default().latest_sec(), None);
    }

    #[test]
    fn times_merge_to_those_of_all_orders_in_any_order() {
        let (one, other) = ([(1, 10), (2, 15)], [(2, -3), (2, 40), (3, 7)]);
        let all = times(&[one.as_slice(), other.as_slice()].concat());
        for (first, second) in [(times(&one), times(&other)), (times(&other), times(&one))] {
            let mut merged = first;
            merged.merge(&second);
            assert_eq!(merged, all);
        }
    }
}
