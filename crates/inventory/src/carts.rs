//! The carts, with the slots of which they hold spots.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;

use super::holds::{NextHold, RestoredHold};
use domain::{
    catalog::CartHold,
    slot::{CartKey, Claim, HoldSpan, SlotKey},
    time::{EpochSeconds, Seconds},
};

/// Carts that are over are removed when the number of carts has doubled since the last sweep, but never
/// below this number. So a sweep costs a constant per new cart.
const FIRST_SWEEP: usize = 1024;

/// The hold of a cart. Lock order: a cart before its slots, so that operations of one cart run one after
/// another.
#[derive(Debug, Default)]
pub(super) struct HeldCart {
    /// The spots.
    pub(super) claims: Vec<Claim>,
    /// The time during which the hold lasts.
    pub(super) span: HoldSpan,
    /// The revision of the hold on record; 0 where none is. A hold that has expired stays on record until its end is
    /// recorded.
    pub(super) revision: u32,
    /// Whether the spots are sold to the cart's order, which is not on record yet.
    pub(super) is_consumed: bool,
    renewals: Renewals,
}

/// The time that a cart has used for holds, however often it renewed, replaced or released them.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Renewals {
    /// The time since the first hold. It is counted forward only: if a clock that is set back returned
    /// time, a clock that goes back and forth would renew a hold for ever.
    pub(super) used: Seconds,
    /// The second up to which it is counted.
    counted_until: EpochSeconds,
    /// Seconds without a hold after which the time for holds starts again.
    pause: Seconds,
    /// The end of that pause if nothing more is held.
    rested_from: EpochSeconds,
}

impl Renewals {
    /// The time used by a hold that was placed before this process began.
    pub(super) fn restored(hold: &RestoredHold) -> Self {
        Self {
            used: hold.used,
            counted_until: hold.placed_sec,
            pause: hold.pause,
            rested_from: hold.expires_sec.saturating_add(hold.pause),
        }
    }

    /// Counts the time until now, and grants a hold that begins now: the second at which it ends; `None` if the time is
    /// used up.
    fn grant(&mut self, now: EpochSeconds, hold: CartHold) -> Option<EpochSeconds> {
        // The pause is over: the cart is as good as new, and its time for holds starts again.
        if now >= self.rested_from {
            *self = Self {
                counted_until: now,
                ..Self::default()
            };
        }
        // A clock that was set back counts as no time, not as negative time.
        let more = now.since(self.counted_until).max(Seconds::ZERO);
        self.used = self.used.saturating_add(more);
        self.counted_until = now;
        let left = hold.whole.saturating_sub(self.used).min(hold.each);
        // The time for holds is used up: a caller that checks a cart every minute must not block spots for
        // ever.
        if left <= Seconds::ZERO {
            return None;
        }
        let expires_sec = now.saturating_add(left);
        self.pause = hold.each;
        self.rested_from = expires_sec.saturating_add(self.pause);
        Some(expires_sec)
    }

    /// Begins the pause, unless an earlier one is under way.
    fn rest(&mut self, now: EpochSeconds) {
        self.rested_from = self.rested_from.min(now.saturating_add(self.pause));
    }
}

impl HeldCart {
    /// Whether the cart holds spots.
    pub(super) fn holds_at(&self, now: EpochSeconds) -> bool {
        !self.claims.is_empty() && !self.is_consumed && self.span.is_on(now)
    }

    /// Whether the hold is over by the clock and its end is not on record.
    pub(super) fn has_expired(&self, now: EpochSeconds) -> bool {
        self.revision > 0 && !self.is_consumed && !self.span.is_on(now)
    }

    /// The slots of the hold, one for each claim.
    pub(super) fn slots(&self) -> impl Iterator<Item = SlotKey> + '_ {
        self.claims.iter().map(|claim| claim.slot)
    }

    /// The next hold of the cart; `None` if there is nothing to hold or the cart's time for holds is used up.
    pub(super) fn next(
        &mut self,
        claims: Vec<Claim>,
        now: EpochSeconds,
        time: Option<CartHold>,
    ) -> Option<NextHold> {
        // Nothing to hold, so no time is granted: a grant would postpone the cart's pause.
        let time = time.filter(|_| !claims.is_empty())?;
        let mut renewals = self.renewals;
        let Some(expires_sec) = renewals.grant(now, time) else {
            self.renewals = renewals;
            return None;
        };
        Some(NextHold {
            claims,
            placed_sec: now,
            expires_sec,
            revision: self.revision.saturating_add(1),
            // In force once the hold is on record: a hold that was never granted uses no time.
            renewals,
        })
    }

    /// Replaces the hold.
    pub(super) fn replace(&mut self, next: NextHold) {
        self.span = next.span();
        self.revision = next.revision;
        self.renewals = next.renewals;
        self.claims = next.claims;
    }

    /// Puts a hold in force that was placed before this process began.
    pub(super) fn restore(&mut self, hold: RestoredHold) {
        self.renewals = Renewals::restored(&hold);
        self.span = hold.span();
        self.revision = hold.revision;
        self.claims = hold.claims;
    }

    /// Ends the hold without an order.
    pub(super) fn release(&mut self, now: EpochSeconds) {
        self.renewals.rest(now);
        self.clear();
    }

    /// Ends the hold.
    pub(super) fn clear(&mut self) {
        self.claims = Vec::new();
        self.revision = 0;
        self.is_consumed = false;
    }

    /// Whether the cart can be forgotten: nothing of it is on record, and a new cart would behave alike.
    fn is_over(&self, now: EpochSeconds) -> bool {
        self.revision == 0 && now >= self.renewals.rested_from
    }
}

/// A cart to which the map has the one reference. No other thread can get one while the map's guard is held,
/// so nothing waits for the mutex.
fn unshared(cart: &mut Arc<Mutex<HeldCart>>) -> Option<&mut HeldCart> {
    Arc::get_mut(cart).map(|cart| cart.get_mut().unwrap_or_else(PoisonError::into_inner))
}

/// All carts that hold spots or have done so.
#[derive(Debug)]
pub(super) struct Carts {
    carts: DashMap<CartKey, Arc<Mutex<HeldCart>>>,
    sweep_at: AtomicUsize,
}

impl Default for Carts {
    fn default() -> Self {
        Self {
            carts: DashMap::new(),
            sweep_at: AtomicUsize::new(FIRST_SWEEP),
        }
    }
}

impl Carts {
    pub(super) fn find(&self, cart: CartKey) -> Option<Arc<Mutex<HeldCart>>> {
        // Where no merchant has cart holds, an order costs no look-up.
        if self.carts.is_empty() {
            return None;
        }
        self.carts.get(&cart).map(|found| Arc::clone(&found))
    }

    pub(super) fn contains(&self, cart: CartKey) -> bool {
        !self.carts.is_empty() && self.carts.contains_key(&cart)
    }

    pub(super) fn find_or_new(&self, cart: CartKey, now: EpochSeconds) -> Arc<Mutex<HeldCart>> {
        self.sweep(now);
        Arc::clone(&self.carts.entry(cart).or_default())
    }

    /// Forgets a cart that has become an order, unless another thread uses it or it has a new hold.
    pub(super) fn forget(&self, cart: CartKey) {
        self.carts.remove_if_mut(&cart, |_, cart| {
            unshared(cart).is_some_and(|cart| cart.revision == 0)
        });
    }

    /// Forgets a cart that is over, unless another thread uses it.
    pub(super) fn forget_if_over(&self, cart: CartKey, now: EpochSeconds) {
        self.carts.remove_if_mut(&cart, |_, cart| {
            unshared(cart).is_some_and(|cart| cart.is_over(now))
        });
    }

    /// All carts at this moment, in no order.
    pub(super) fn keys(&self) -> Vec<CartKey> {
        self.carts.iter().map(|cart| *cart.key()).collect()
    }

    /// Number of carts whose hold has not ended. A locked cart counts as one: a metric waits for no lock.
    pub(super) fn holding(&self, now: EpochSeconds) -> usize {
        let holds =
            |cart: &Mutex<HeldCart>| cart.try_lock().map_or(true, |cart| cart.holds_at(now));
        self.carts.iter().filter(|cart| holds(cart)).count()
    }

    /// Number of carts on record, expired ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.carts.len()
    }

    fn sweep(&self, now: EpochSeconds) {
        // Relaxed: two threads may sweep at once, or one later than it could; either is harmless.
        if self.carts.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        self.carts
            .retain(|_, cart| unshared(cart).is_none_or(|cart| !cart.is_over(now)));
        let next = self.carts.len().saturating_mul(2).max(FIRST_SWEEP);
        self.sweep_at.store(next, Ordering::Relaxed);
    }
}
