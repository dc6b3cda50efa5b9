//! Times: points in time and lengths of time in whole seconds, each of its own type, so that one is
//! never taken for the other.
//!
//! Arithmetic has names that say what happens at the bounds: feeds and callers may send any number.

use std::{
    fmt::{self, Debug, Display},
    time::Duration,
};

/// Declares types that are a number of seconds with a meaning.
macro_rules! numbers_of_seconds {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        #[repr(transparent)]
        pub struct $name(i64);

        impl $name {
            /// The least value.
            pub const MIN: Self = Self(i64::MIN);
            /// The greatest value.
            pub const MAX: Self = Self(i64::MAX);

            /// This number of seconds.
            #[must_use]
            pub const fn new(seconds: i64) -> Self {
                Self(seconds)
            }

            /// The number of seconds.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0
            }

            /// Later or longer by `length`, within the bounds.
            #[must_use]
            pub const fn saturating_add(self, length: Seconds) -> Self {
                Self(self.0.saturating_add(length.0))
            }

            /// Earlier or shorter by `length`, within the bounds.
            #[must_use]
            pub const fn saturating_sub(self, length: Seconds) -> Self {
                Self(self.0.saturating_sub(length.0))
            }

            /// Later or longer by `length`; `None` beyond the bounds.
            #[must_use]
            pub const fn checked_add(self, length: Seconds) -> Option<Self> {
                match self.0.checked_add(length.0) {
                    Some(seconds) => Some(Self(seconds)),
                    None => None,
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Display::fmt(&self.0, f)
            }
        }

        // As the number itself: messages and logs show times with `{:?}`, too.
        impl Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Debug::fmt(&self.0, f)
            }
        }
    )+};
}

numbers_of_seconds! {
    /// A point in time: seconds since 1970-01-01T00:00:00Z, negative before it.
    EpochSeconds,
    /// A length of time in seconds; negative where the end is before the beginning.
    Seconds,
}

impl EpochSeconds {
    /// The time from `earlier` to this second, within the bounds; negative if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0))
    }
}

impl Seconds {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// One second.
    pub const ONE: Self = Self(1);
    /// An hour.
    pub const HOUR: Self = Self(3_600);
    /// A day of 24 hours.
    pub const DAY: Self = Self(86_400);

    /// So many days of 24 hours.
    #[must_use]
    pub const fn days(count: u32) -> Self {
        Self(count as i64 * Self::DAY.0)
    }
}

impl From<u32> for Seconds {
    fn from(seconds: u32) -> Self {
        Self(i64::from(seconds))
    }
}

/// Whole seconds, rounded down; [`Seconds::MAX`] where there are more.
impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Sums for tests, which panic beyond the bounds.
#[cfg(feature = "arithmetic")]
mod arithmetic {
    use std::ops::{Add, Sub};

    use super::{EpochSeconds, Seconds};

    impl Add<i64> for EpochSeconds {
        type Output = Self;

        fn add(self, seconds: i64) -> Self {
            Self(self.0 + seconds)
        }
    }

    impl Sub<i64> for EpochSeconds {
        type Output = Self;

        fn sub(self, seconds: i64) -> Self {
            Self(self.0 - seconds)
        }
    }

    impl Add<Seconds> for EpochSeconds {
        type Output = Self;

        fn add(self, length: Seconds) -> Self {
            self + length.0
        }
    }

    impl Sub<Seconds> for EpochSeconds {
        type Output = Self;

        fn sub(self, length: Seconds) -> Self {
            self - length.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_within_the_bounds() {
        let second = EpochSeconds::new(100);
        for (length, later, earlier) in [
            (30, 130, 70),
            (-130, -30, 230),
            (i64::MAX, i64::MAX, 100 - i64::MAX),
        ] {
            let length = Seconds::new(length);
            assert_eq!(second.saturating_add(length).get(), later);
            assert_eq!(second.saturating_sub(length).get(), earlier);
        }
        assert_eq!(
            EpochSeconds::MIN.saturating_sub(Seconds::new(1)),
            EpochSeconds::MIN
        );
        assert_eq!(EpochSeconds::MAX.checked_add(Seconds::new(1)), None);
        assert_eq!(
            second.checked_add(Seconds::new(1)),
            Some(EpochSeconds::new(101))
        );
    }

    #[test]
    fn the_time_between_two_seconds_has_a_sign() {
        let (early, late) = (EpochSeconds::new(-5), EpochSeconds::new(7));
        assert_eq!(late.since(early), Seconds::new(12));
        assert_eq!(early.since(late), Seconds::new(-12));
        assert_eq!(EpochSeconds::MAX.since(EpochSeconds::MIN), Seconds::MAX);
    }

    #[test]
    fn a_duration_counts_in_whole_seconds() {
        assert_eq!(Seconds::from(Duration::from_millis(1_999)).get(), 1);
        assert_eq!(Seconds::from(Duration::MAX), Seconds::MAX);
        assert_eq!(Seconds::from(u32::MAX).get(), 4_294_967_295);
    }

    #[test]
    fn a_time_is_written_as_its_number() {
        let second = EpochSeconds::new(-7);
        assert_eq!(format!("{second} {second:?} {second:>4}"), "-7 -7   -7");
    }
}
