//! Time in the model: slots and their sales expire a week after their end, a day at a time; holds expire.

use super::{
    fixture::SlotName,
    reference::{Hold, ReferenceModel},
    rules::Rule,
};

const DAY: i64 = 24 * 3600;
const KEPT: i64 = 7 * DAY;

/// Up to when slots are forgotten: as it is on record, and where the next sweep continues.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    recorded: Option<i64>,
    reached: i64,
}

impl Hold {
    /// Whether it lasts. A clock that is set back prolongs it by its own length at most.
    pub(super) fn is_on(&self, now: i64) -> bool {
        now < self.until && now >= self.since - (self.until - self.since)
    }
}

impl ReferenceModel {
    /// A server is started.
    pub(super) fn begin(&mut self) {
        self.restore_holds();
        let first = self.now.min(self.newest.unwrap_or(self.now)) - KEPT;
        self.forgotten.reached = self.forgotten.recorded.unwrap_or(first);
    }

    /// Holds are on record with the time that their carts have used. Of other carts nothing is.
    fn restore_holds(&mut self) {
        let now = self.now;
        self.holds.retain(|_, hold| hold.is_on(now));
        let (holds, has_holds) = (&self.holds, self.catalogue.holds);
        self.holdings.retain(|cart, holding| {
            let Some(hold) = holds.get(cart) else {
                return false;
            };
            if !has_holds {
                holding.pause = hold.until - hold.since;
            }
            holding.until = hold.until + holding.pause;
            true
        });
    }

    /// The clock shows another time than before, and is looked at.
    pub(super) fn sweep(&mut self) {
        let now = self.now;
        for (cart, _) in self.holds.iter().filter(|(_, hold)| !hold.is_on(now)) {
            if let Some(holding) = self.holdings.get_mut(cart) {
                holding.until = holding.until.min(now + holding.pause);
            }
        }
        if self.keeps(Rule::HoldsEndWhenTheClockIsSetBack) {
            self.holds.retain(|_, hold| hold.is_on(now));
        }
        self.holdings.retain(|_, holding| now < holding.until);
        let reached = self.forgotten.reached;
        let next = (now - KEPT).min(reached + DAY).max(reached);
        // Before the first order there is nothing to forget.
        if next > reached && self.newest.is_some() {
            self.forgotten = Forgotten {
                recorded: Some(next),
                reached: next,
            };
        }
        if !self.keeps(Rule::SalesOutliveTheClock) {
            self.sold.retain(|spots| end(&spots.slot) >= now);
        }
    }

    /// Whether a slot is closed for good.
    pub(super) fn is_forgotten(&self, slot: &SlotName) -> bool {
        self.forgotten
            .recorded
            .is_some_and(|until| end(slot) < until)
    }
}

fn end((_, start, duration): &SlotName) -> i64 {
    start + duration
}
