//! The duration of a hold, on a clock that may be set back.

use crate::time::EpochSeconds;

/// The time during which spots are held.
///
/// The clock may be set back while a hold lasts. That prolongs the hold by its own length at most; if
/// the clock is set back further, the hold ends at once. So no hold outlives twice its length, and a
/// correction of a few seconds ends none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HoldSpan {
    begun_sec: EpochSeconds,
    expires_sec: EpochSeconds,
}

impl HoldSpan {
    /// A hold from `begun_sec` until just before `expires_sec`.
    #[must_use]
    pub fn new(begun_sec: EpochSeconds, expires_sec: EpochSeconds) -> Self {
        Self {
            begun_sec,
            expires_sec,
        }
    }

    /// Whether the hold lasts at this moment.
    #[must_use]
    pub fn is_on(self, now: EpochSeconds) -> bool {
        let length = self.expires_sec.since(self.begun_sec);
        now < self.expires_sec && now >= self.begun_sec.saturating_sub(length)
        // The lower bound ends a hold whose clock was set far back; without it, the hold would last until
        // the clock caught up.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_hold_ends_in_time_and_a_clock_that_is_set_back_keeps_it_no_longer_than_twice_its_length() {
        let span = HoldSpan::new(EpochSeconds::new(1_000_000), EpochSeconds::new(1_000_600));
        for (now, is_on) in [
            (1_000_000, true),
            (1_000_599, true),
            (1_000_600, false),
            (1_000_600 + DAY, false),
            (999_998, true),
            (999_400, true),
            (999_399, false),
            (1_000_000 - DAY, false),
            (0, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            assert_eq!(span.is_on(EpochSeconds::new(now)), is_on, "{now}");
        }
    }

    #[test]
    fn a_hold_of_no_length_is_none_and_one_without_end_is_no_fault() {
        assert!(
            !HoldSpan::new(EpochSeconds::new(5), EpochSeconds::new(5)).is_on(EpochSeconds::new(5))
        );
        assert!(
            HoldSpan::new(EpochSeconds::new(5), EpochSeconds::MAX)
                .is_on(EpochSeconds::new(i64::MAX - 1))
        );
    }
}
