//! The time of day, injected so that tests control it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A source of the time of day.
use types::time::{EpochSeconds, Seconds};

///
/// Successive readings may go backwards, because people and time servers set the wall clock. An order of
/// events needs a sequence number, a waiting time needs a timer.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Whole seconds since the Unix epoch, rounded down; negative before it.
    fn now_sec(&self) -> EpochSeconds;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now_sec(&self) -> EpochSeconds {
        (**self).now_sec()
    }
}

/// The wall clock of this machine. Not monotonic.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the time"
    )]
    fn now_sec(&self) -> EpochSeconds {
        epoch_seconds(SystemTime::now())
    }
}

/// A clock that stands still until it is set or advanced. It may be set back. It starts at the epoch; share
/// it in an [`Arc`].
#[derive(Debug, Default)]
pub struct ManualClock {
    now_sec: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now_sec`.
    #[must_use]
    pub fn at(now_sec: EpochSeconds) -> Self {
        Self {
            now_sec: AtomicI64::new(now_sec.get()),
        }
    }

    /// Shows `now_sec` from here on.
    pub fn set(&self, now_sec: EpochSeconds) {
        self.now_sec.store(now_sec.get(), Ordering::SeqCst);
    }

    /// Moves on by `length`; a negative length moves back.
    pub fn advance(&self, length: Seconds) {
        self.now_sec.fetch_add(length.get(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_sec(&self) -> EpochSeconds {
        EpochSeconds::new(self.now_sec.load(Ordering::SeqCst))
    }
}

/// Limits a log line to one per second, and counts the events in between.
#[derive(Debug)]
pub struct OncePerSecond {
    last_sec: AtomicI64,
    unreported: AtomicU64,
}

impl Default for OncePerSecond {
    fn default() -> Self {
        Self {
            last_sec: AtomicI64::new(i64::MIN),
            unreported: AtomicU64::new(0),
        }
    }
}

impl OncePerSecond {
    /// The number of events since the last line, this one included; `None` if this second has its line
    /// already.
    pub fn due(&self, now_sec: EpochSeconds) -> Option<u64> {
        // Relaxed: a number for a log line, which orders nothing.
        self.unreported.fetch_add(1, Ordering::Relaxed);
        // The thread that stores the new second logs. The count may be split between two lines, but no
        // event is lost.
        let last_sec = self.last_sec.swap(now_sec.get(), Ordering::Relaxed);
        let is_new = last_sec != now_sec.get();
        is_new.then(|| self.unreported.swap(0, Ordering::Relaxed))
    }
}

fn epoch_seconds(time: SystemTime) -> EpochSeconds {
    let epoch = EpochSeconds::new(0);
    match time.duration_since(UNIX_EPOCH) {
        // Saturating: a clock that is absurdly wrong must not end the process.
        Ok(since) => epoch.saturating_add(since.into()),
        // Rounded away from zero, which is down before the epoch, so that seconds stay equally long on both
        // sides.
        Err(before) => {
            let rounded_up = before.duration() + Duration::from_nanos(999_999_999);
            epoch.saturating_sub(rounded_up.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_its_methods() {
        let clock = Arc::new(ManualClock::at(EpochSeconds::new(1_000)));
        let seen: Arc<dyn Clock> = clock.clone();
        assert_eq!(seen.now_sec().get(), 1_000);
        clock.advance(Seconds::new(30));
        assert_eq!(seen.now_sec().get(), 1_030);
        clock.advance(Seconds::new(-60));
        assert_eq!(seen.now_sec().get(), 970);
        clock.set(EpochSeconds::new(5));
        assert_eq!(seen.now_sec().get(), 5);
        assert_eq!(ManualClock::default().now_sec().get(), 0);
    }

    #[test]
    fn a_line_once_a_second_has_the_number_of_events() {
        let events = OncePerSecond::default();
        for (now, expected) in [
            (5, Some(1)),
            (5, None),
            (5, None),
            (6, Some(3)),
            (6, None),
            // A clock that is set back begins another second, too.
            (2, Some(2)),
            (9, Some(1)),
        ] {
            assert_eq!(events.due(EpochSeconds::new(now)), expected, "{now}");
        }
    }

    #[test]
    fn the_system_clock_shows_this_century() {
        assert!((1_600_000_000..4_102_444_800).contains(&SystemClock.now_sec().get()));
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
            assert_eq!(epoch_seconds(time).get(), expected);
        }
    }
}
