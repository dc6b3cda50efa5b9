//! The time of day, handed in, so that tests own it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where the time of day comes from.
///
/// Successive readings may go backwards: the wall clock is set by people and by time servers. What
/// needs an order takes a sequence number, and what needs a waiting time takes a timer.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Whole seconds since the Unix epoch, rounded down; negative before it.
    fn now_sec(&self) -> i64;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now_sec(&self) -> i64 {
        (**self).now_sec()
    }
}

/// The wall clock of this machine. Not monotonic.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn now_sec(&self) -> i64 {
        epoch_seconds(SystemTime::now())
    }
}

/// A clock that stands still until it is told otherwise, and that may be set back. It starts at the
/// epoch; share it in an [`Arc`].
#[derive(Debug, Default)]
pub struct ManualClock {
    now_sec: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now_sec`.
    #[must_use]
    pub fn at(now_sec: i64) -> Self {
        Self { now_sec: AtomicI64::new(now_sec) }
    }

    /// Shows `now_sec` from here on.
    pub fn set(&self, now_sec: i64) {
        self.now_sec.store(now_sec, Ordering::SeqCst);
    }

    /// Moves on by `seconds`; a negative number moves back.
    pub fn advance(&self, seconds: i64) {
        self.now_sec.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_sec(&self) -> i64 {
        self.now_sec.load(Ordering::SeqCst)
    }
}

fn epoch_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => whole_seconds(since),
        Err(before) => -whole_seconds(before.duration() + Duration::from_nanos(999_999_999)),
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Arc::new(ManualClock::at(1_000));
        let seen: Arc<dyn Clock> = clock.clone();
        assert_eq!(seen.now_sec(), 1_000);
        clock.advance(30);
        assert_eq!(seen.now_sec(), 1_030);
        clock.advance(-60);
        assert_eq!(seen.now_sec(), 970);
        clock.set(5);
        assert_eq!(seen.now_sec(), 5);
        assert_eq!(ManualClock::default().now_sec(), 0);
    }

    #[test]
    fn the_system_clock_shows_this_century() {
        assert!((1_600_000_000..4_102_444_800).contains(&SystemClock.now_sec()));
    }

    #[test]
    fn seconds_are_rounded_down_on_both_sides_of_the_epoch() {
        let half = Duration::from_millis(500);
        for (time, expected) in [
            (UNIX_EPOCH, 0),
            (UNIX_EPOCH + half, 0),
            (UNIX_EPOCH + Duration::from_secs(7) + half, 7),
            (UNIX_EPOCH - half, -1),
            (UNIX_EPOCH - Duration::from_secs(7), -7),
        ] {
            assert_eq!(epoch_seconds(time), expected);
        }
    }
}
