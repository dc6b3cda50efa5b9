//! The range of time in which slots are open, and the second before which they are forgotten, on a clock that
//! may be wrong.
//!
//! The active catalogue is open from [`KEPT`] ago up to the horizon. A slot and its sales are forgotten
//! together, up to a second that is recorded first. No slot that ended before that second is opened again,
//! by this process or a later one. So a wrong clock can close slots for a while, but never sell a spot twice.

use std::{borrow::Cow, sync::Arc};

use super::{App, clock_check};
use domain::{
    openings::Openings,
    slot::{MAX_DURATION, Opening, Revision},
    time::{EpochSeconds, Seconds},
};
use inventory::Inventory;
use store::{ErrorChain, Write};

/// How long a slot is kept after its end. A clock that is ahead by less forgets no slot that is still to
/// come.
const KEPT: Seconds = Seconds::days(7);

/// By how much one sweep can advance the second up to which slots are forgotten. However far ahead a clock
/// is, several sweeps warn of it before a slot that is still to come is forgotten.
const MAX_STEP: Seconds = Seconds::DAY;

/// The openings of the active revision, and the range in which they are open: single ones from `opened_from`
/// on, repeated ones between `opened_from` and `opened_until`.
#[derive(Debug)]
pub(super) struct Calendar {
    revision: Revision,
    openings: Arc<Openings>,
    opened_from: EpochSeconds,
    pub(super) opened_until: EpochSeconds,
}

/// The state of the sweeps.
#[derive(Debug)]
pub(super) struct Sweeps {
    forgotten_until: EpochSeconds,
    /// The time of the last sweep, by the clock of that time.
    last_sec: EpochSeconds,
    /// Whether an order was on record at startup.
    began_with_orders: bool,
}

impl Sweeps {
    /// The state at startup. If no slot was forgotten before, forgetting begins before the newest order,
    /// because the clock may be ahead.
    pub(super) fn begin(
        now: EpochSeconds,
        forgotten_until: Option<EpochSeconds>,
        newest_order_sec: Option<EpochSeconds>,
    ) -> Self {
        let begin = || {
            now.min(newest_order_sec.unwrap_or(now))
                .saturating_sub(KEPT)
        };
        Self {
            forgotten_until: forgotten_until.unwrap_or_else(begin),
            last_sec: now,
            began_with_orders: newest_order_sec.is_some(),
        }
    }

    /// The time as far as sweeps have followed the clock: no further ahead than that by a wrong one.
    pub(super) fn known_sec(&self) -> EpochSeconds {
        self.forgotten_until.saturating_add(KEPT)
    }

    /// The second up to which a sweep at `now` forgets slots.
    fn next(&self, now: EpochSeconds) -> EpochSeconds {
        let due = now.saturating_sub(KEPT);
        // Saturating throughout: a clock may show any second.
        due.min(self.forgotten_until.saturating_add(MAX_STEP))
            .max(self.forgotten_until)
    }

    fn is_due(&self, now: EpochSeconds) -> bool {
        // Inequality and not `>`: a clock that was set back needs a sweep, too. Euclidean, because
        // seconds before 1970 are negative.
        let hour = |moment: EpochSeconds| moment.get().div_euclid(Seconds::HOUR.get());
        hour(now) != hour(self.last_sec)
    }
}

impl App {
    /// Releases expired holds. Sweeps if the clock shows another hour than at the last sweep, so also soon after the
    /// clock was set. To be called about every minute.
    pub async fn sweep_if_due(&self) {
        let mut sweeps = self.sweeps.lock().await;
        if sweeps.is_due(self.now()) {
            self.sweep_after(&mut sweeps).await;
        } else {
            self.expire_holds().await;
        }
    }

    /// Extends the horizon, releases expired holds, and forgets slots that ended long ago, once that is on
    /// record.
    pub async fn sweep(&self) {
        self.sweep_after(&mut *self.sweeps.lock().await).await;
    }

    async fn sweep_after(&self, sweeps: &mut Sweeps) {
        let now = self.now();
        clock_check::between_sweeps(sweeps.last_sec, now);
        sweeps.last_sec = now;
        self.expire_holds().await;
        let retired = self.forget_slots(sweeps, now).await;
        let opened = self
            .calendar()
            .extend(&self.inventory, now, self.limits.horizon);
        tracing::debug!(opened, retired, "the horizon is extended");
    }

    async fn forget_slots(&self, sweeps: &mut Sweeps, now: EpochSeconds) -> usize {
        // Before the first order there are no sales to forget, and no order shows that the clock, perhaps of
        // a new machine, has ever been right: slots that it closed would stay closed.
        let has_orders = sweeps.began_with_orders || self.metrics.orders_created.get() > 0;
        let until = sweeps.next(now);
        // No write where nothing changes, so that an idle server does not write every hour.
        if !has_orders || until == sweeps.forgotten_until {
            return 0;
        }
        // On disk before in memory: a later process that no longer has the orders must not open their slots.
        if let Err(error) = self.commit(&Write::SlotsForgotten(until).into()).await {
            tracing::warn!(error = %ErrorChain(&error), "no slots are forgotten, because that cannot be recorded");
            return 0;
        }
        // Only after the record: the next sweep tries again where it failed.
        sweeps.forgotten_until = until;
        self.blocks.forget(until);
        self.inventory.retire(until)
    }
}

impl Calendar {
    /// Opens single slots however far ahead, and recurring ones within the horizon.
    pub(super) fn open(
        openings: Arc<Openings>,
        inventory: &Inventory,
        now: EpochSeconds,
        horizon: Seconds,
    ) -> Self {
        let revision = Revision::default();
        Self::begin(revision, openings, now, horizon, |openings, from, until| {
            // Never stale: a new inventory has the first revision.
            let _ = inventory.open(revision, openings, from, until);
        })
    }

    /// Stages the same range for the next revision.
    pub(super) fn stage(
        &self,
        next: Revision,
        openings: Arc<Openings>,
        inventory: &Inventory,
        now: EpochSeconds,
        horizon: Seconds,
    ) -> Self {
        Self::begin(next, openings, now, horizon, |openings, from, until| {
            inventory.stage(self.revision, next, openings, from, until);
        })
    }

    fn begin(
        revision: Revision,
        openings: Arc<Openings>,
        now: EpochSeconds,
        horizon: Seconds,
        open: impl Fn(&mut dyn Iterator<Item = Cow<'_, Opening>>, EpochSeconds, EpochSeconds),
    ) -> Self {
        let (opened_from, opened_until) = span(now, horizon);
        open(
            &mut openings.single().map(Cow::Owned),
            opened_from,
            EpochSeconds::MAX,
        );
        open(
            &mut openings.repeated().iter().map(Cow::Borrowed),
            opened_from,
            opened_until,
        );
        Self {
            revision,
            openings,
            opened_from,
            opened_until,
        }
    }

    /// Extends the range to that of `now`, and returns the number of slots opened. The beginning moves back
    /// where the clock was ahead at startup, which took these slots to be over.
    fn extend(&mut self, inventory: &Inventory, now: EpochSeconds, horizon: Seconds) -> usize {
        let (from, until) = span(now, horizon);
        let (opened_from, opened_until) = (self.opened_from, self.opened_until);
        // No range is opened twice: a slot that is opened twice has twice its spots.
        self.opened_from = opened_from.min(from);
        self.opened_until = opened_until.max(until);
        // Never stale: a reload needs the lock of the calendar to activate a later revision.
        let open = |from, until| {
            inventory
                .open(self.revision, self.openings.repeated(), from, until)
                .unwrap_or_default()
        };
        let repeated = open(from, opened_from) + open(opened_until, until);
        let single = if from < opened_from {
            inventory
                .open(self.revision, self.openings.single(), from, opened_from)
                .unwrap_or_default()
        } else {
            0
        };
        repeated + single
    }
}

/// The range of starts in which slots are open.
fn span(now: EpochSeconds, horizon: Seconds) -> (EpochSeconds, EpochSeconds) {
    (
        now.saturating_sub(KEPT.saturating_add(MAX_DURATION)),
        now.saturating_add(horizon),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const NOW: EpochSeconds = EpochSeconds::new(1_768_456_800);

    #[test]
    fn slots_are_forgotten_a_week_after_their_end_and_a_day_of_them_at_once() {
        let begun =
            |forgotten_until, newest| Sweeps::begin(NOW, forgotten_until, newest).forgotten_until;
        assert_eq!(begun(None, None), NOW - KEPT);
        assert_eq!(begun(None, Some(NOW - 30 * DAY)), NOW - 30 * DAY - KEPT);
        assert_eq!(begun(None, Some(NOW + 30 * DAY)), NOW - KEPT);
        assert_eq!(
            begun(Some(NOW + DAY), Some(NOW)),
            NOW + DAY,
            "as it is on record"
        );

        let so_far = NOW - KEPT;
        for (now, next) in [
            (NOW, so_far),
            (NOW + 60, so_far + 60),
            (NOW + DAY, so_far + DAY),
            (NOW + 3 * DAY, so_far + DAY),
            (NOW + 30_000 * DAY, so_far + DAY),
            (NOW - 1, so_far),
            (EpochSeconds::new(0), so_far),
            (EpochSeconds::MIN, so_far),
            (EpochSeconds::MAX, so_far + DAY),
        ] {
            assert_eq!(
                Sweeps::begin(NOW, Some(so_far), None).next(now),
                next,
                "{now}"
            );
        }
    }

    #[test]
    fn a_sweep_is_due_in_another_hour_and_whenever_the_clock_was_set() {
        let sweeps = Sweeps::begin(NOW, None, None);
        assert_eq!(NOW.get() % Seconds::HOUR.get(), 0);
        for (now, is_due) in [
            (NOW, false),
            (NOW + Seconds::HOUR - 1, false),
            (NOW + Seconds::HOUR, true),
            (NOW - 1, true),
            (NOW - 9 * DAY, true),
            (NOW + 9 * DAY, true),
        ] {
            assert_eq!(sweeps.is_due(now), is_due, "{now}");
        }
    }
}
