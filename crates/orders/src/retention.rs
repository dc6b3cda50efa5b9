//! Erasing the personal data of visits that ended long ago.
//!
//! What is erased is gone for good, so the clock alone does not decide. A visit is old only by the limit up to which slots
//! are forgotten as well: that limit is on record, follows the clock by a day at most in each hourly sweep, and every sweep
//! warns of a clock that was set. A clock that jumps ahead by a year erases nothing at once, and what it would erase comes
//! due over two weeks of warnings. A clock that is set back erases nothing.

use super::{App, steps::StepOutcome};
use domain::{
    order::OrderId,
    time::{EpochSeconds, Seconds},
};
use store::{EraseError, ErrorChain};

/// Orders that are erased at once. Their bytes are synced segment by segment, beside the syncs of new orders.
const BATCH: usize = 500;

impl App {
    /// Erases the personal data of some orders whose visit ended longer ago than `retention`, the oldest segments of the
    /// store first. Returns of how many: 0 says that there is nothing to do for a while.
    ///
    /// # Errors
    /// [`EraseError`]. A later call tries again.
    pub async fn erase_old_visits(&self, retention: Seconds) -> Result<u64, EraseError> {
        let known_sec = self.sweeps.lock().await.known_sec();
        let ended_before = ended_before(self.now(), known_sec, retention);
        self.store.erase_visits(ended_before, BATCH).await
    }

    /// Erases the personal data of an order. Done again, it changes nothing.
    pub(super) async fn erase_customer_of(&self, order: &OrderId) -> StepOutcome {
        match self.store.erase_order(order).await {
            Ok(_) => StepOutcome::Done,
            Err(error) => StepOutcome::Retry(ErrorChain(&error).to_string()),
        }
    }
}

/// The second before which visits ended long enough ago, by the clock and by the time that sweeps have come to know.
fn ended_before(now: EpochSeconds, known_sec: EpochSeconds, retention: Seconds) -> EpochSeconds {
    now.min(known_sec).saturating_sub(retention)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochSeconds = EpochSeconds::new(1_768_456_800);

    #[test]
    fn neither_a_clock_ahead_nor_one_set_back_makes_visits_older() {
        let (retention, day) = (Seconds::days(30), Seconds::DAY);
        let cutoff = NOW.saturating_sub(retention);
        for (now, known, expected) in [
            (NOW, NOW, cutoff),
            (NOW.saturating_add(Seconds::days(365)), NOW, cutoff),
            (NOW.saturating_sub(day), NOW, cutoff.saturating_sub(day)),
            (EpochSeconds::MAX, NOW, cutoff),
            (EpochSeconds::MIN, NOW, EpochSeconds::MIN),
        ] {
            assert_eq!(ended_before(now, known, retention), expected, "{now}");
        }
    }
}
