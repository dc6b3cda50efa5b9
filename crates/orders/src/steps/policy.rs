//! How often steps are tried, and for how long.

use std::time::Duration;

use domain::{
    lifecycle::StepKind,
    time::{EpochSeconds, Seconds},
};

/// The bounds of the jitter of a pause, in thousandths of it.
const JITTER: std::ops::RangeInclusive<i64> = 800..=1_200;

/// A pause of this many thousandths is a whole one.
const WHOLE: i64 = 1_000;

/// How a kind of step is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Longest time of an attempt.
    pub attempt_timeout: Duration,
    /// The pause after the first attempt.
    pub first_pause: Seconds,
    /// How many times longer each further pause is.
    pub factor: u32,
    /// The longest pause.
    pub longest_pause: Seconds,
    /// The step is given up this long after it was opened.
    pub gives_up_after: Seconds,
    /// The step is given up after so many attempts.
    pub max_attempts: u32,
}

/// Erasures of personal data are owed, and never given up.
const ERASURE: RetryPolicy = RetryPolicy {
    attempt_timeout: Duration::from_secs(120),
    first_pause: Seconds::new(5),
    factor: 2,
    longest_pause: Seconds::new(300),
    gives_up_after: Seconds::MAX,
    max_attempts: u32::MAX,
};

/// The policies of all kinds of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSettings {
    /// Refunds.
    pub refund: RetryPolicy,
    /// Voids, captures, charges in the background, and their reversals.
    pub payment: RetryPolicy,
    /// Bookings of deliveries, and their ends.
    pub delivery: RetryPolicy,
    /// Steps that the partner has named.
    pub custom: RetryPolicy,
    /// Most steps and timers at work at once.
    pub max_steps: usize,
}

impl Default for StepSettings {
    fn default() -> Self {
        let payment = RetryPolicy {
            attempt_timeout: Duration::from_secs(120),
            first_pause: Seconds::new(5),
            factor: 2,
            longest_pause: Seconds::new(300),
            gives_up_after: Seconds::DAY,
            max_attempts: 1_000,
        };
        Self {
            refund: RetryPolicy {
                longest_pause: Seconds::HOUR,
                gives_up_after: Seconds::days(7),
                ..payment
            },
            payment,
            delivery: RetryPolicy {
                attempt_timeout: Duration::from_secs(5),
                first_pause: Seconds::ONE,
                ..payment
            },
            custom: RetryPolicy {
                attempt_timeout: Duration::from_secs(30),
                first_pause: Seconds::ONE,
                longest_pause: Seconds::new(100),
                ..payment
            },
            max_steps: 64,
        }
    }
}

impl StepSettings {
    pub(super) fn policy(&self, kind: &StepKind) -> &RetryPolicy {
        match kind {
            StepKind::Refund => &self.refund,
            StepKind::Charge | StepKind::ReverseCharge | StepKind::Capture | StepKind::Void => {
                &self.payment
            }
            StepKind::BookDelivery | StepKind::CancelDelivery => &self.delivery,
            StepKind::EraseCustomer => &ERASURE,
            StepKind::Custom(_) => &self.custom,
        }
    }
}

impl RetryPolicy {
    /// The pause after so many attempts, with a jitter that spreads the retries of many steps after an outage.
    #[must_use]
    pub fn pause(&self, attempts: u32, random: &mut fastrand::Rng) -> Seconds {
        // Saturating: a longest pause of centuries is one that never ends.
        let growth = i64::from(self.factor).saturating_pow(attempts.saturating_sub(1));
        let grown = self.first_pause.get().saturating_mul(growth);
        let pause = grown.min(self.longest_pause.get());
        let jittered = pause.saturating_mul(random.i64(JITTER)) / WHOLE;
        // After the jitter, so that the longest pause is never exceeded. Whole seconds, and never none: a step that fails at
        // once would else be tried without a pause.
        Seconds::new(jittered.min(self.longest_pause.get()).max(1))
    }

    /// Whether a step is given up that was opened then and was tried so often.
    #[must_use]
    pub fn is_over(&self, opened: EpochSeconds, now: EpochSeconds, attempts: u32) -> bool {
        attempts >= self.max_attempts || now.since(opened) >= self.gives_up_after
    }
}
