//! Byte budgets: the memory that may be in use at once for one purpose, over all calls and
//! connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A number of bytes that may be in use at once.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    in_use: AtomicUsize,
}

/// The budget has fewer bytes left than requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the budget of bytes is used up")]
pub struct OverBudget;

/// Reserved bytes of a budget, released on drop.
#[derive(Debug)]
pub struct ReservedBytes {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            in_use: AtomicUsize::new(0),
        }
    }

    /// Bytes in use at this moment.
    #[must_use]
    pub fn in_use(&self) -> usize {
        // Relaxed throughout: the counter guards no other memory, and each update is atomic by
        // itself.
        self.in_use.load(Ordering::Relaxed)
    }

    /// Bytes that may be in use.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Reserves bytes.
    ///
    /// # Errors
    /// [`OverBudget`] if there are not as many left.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Result<ReservedBytes, OverBudget> {
        // Checked: a sum that wrapped would pass the limit.
        let more = |in_use: usize| in_use.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self
            .in_use
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken
            .map(|_| ReservedBytes {
                budget: Arc::clone(self),
                bytes,
            })
            .map_err(|_| OverBudget)
    }

    /// Reserves bytes even beyond the limit, for data that has to be kept. Other reservations fail
    /// until there is room again.
    #[must_use]
    pub fn take(self: &Arc<Self>, bytes: usize) -> ReservedBytes {
        // Cannot wrap: all reservations are of bytes that are in memory.
        self.in_use.fetch_add(bytes, Ordering::Relaxed);
        ReservedBytes {
            budget: Arc::clone(self),
            bytes,
        }
    }
}

impl ReservedBytes {
    /// Bytes that are reserved.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Splits off a part as a reservation of its own: at most `bytes`.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        // `in_use` stays as it is: the bytes only change their owner.
        self.bytes -= bytes;
        Self {
            budget: Arc::clone(&self.budget),
            bytes,
        }
    }
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        self.budget.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn bytes_are_in_use_until_their_reservation_is_dropped() {
        let budget = Arc::new(Budget::new(100));
        let first = budget.reserve(60).unwrap();
        assert_eq!(budget.reserve(41).unwrap_err(), OverBudget);
        assert_eq!(budget.reserve(usize::MAX).unwrap_err(), OverBudget);
        let second = budget.reserve(40).unwrap();
        assert_eq!((budget.in_use(), second.bytes()), (100, 40));
        drop(first);
        assert_eq!(budget.in_use(), 40);
    }

    #[test]
    fn a_part_is_given_back_by_itself() {
        let budget = Arc::new(Budget::new(100));
        let mut whole = budget.reserve(70).unwrap();
        let part = whole.split(30);
        assert_eq!((part.bytes(), whole.bytes(), budget.in_use()), (30, 40, 70));
        drop(part);
        assert_eq!(budget.in_use(), 40);
        let rest = whole.split(1000);
        assert_eq!((rest.bytes(), whole.bytes()), (40, 0));
    }

    #[test]
    fn a_mandatory_reservation_always_succeeds_and_counts() {
        let budget = Arc::new(Budget::new(10));
        let kept = budget.take(25);
        assert_eq!(budget.reserve(1).unwrap_err(), OverBudget);
        drop(kept);
        assert!(budget.reserve(10).is_ok());
    }

    #[test]
    fn concurrent_reservations_never_share_bytes() {
        let budget = Arc::new(Budget::new(1000));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for bytes in 0..2000 {
                        let reserved = budget.reserve(bytes % 700);
                        assert!(budget.in_use() <= 1000);
                        drop(reserved);
                    }
                });
            }
        });
        assert_eq!(budget.in_use(), 0);
    }
}
