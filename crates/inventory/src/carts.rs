//! The carts, with the slots of which they hold spots.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;

use domain::{
    catalog::CartHold,
    slot::{CartKey, HoldSpan, SlotKey},
    time::{EpochSeconds, Seconds},
};

/// Carts that are over are removed when the number of carts has doubled since the last sweep, but never
/// below this number. So a sweep costs a constant per new cart.
const FIRST_SWEEP: usize = 1024;

/// The hold of a cart. Lock order: a cart before its slots, so that operations of one cart run one after
/// another.
#[derive(Debug, Default)]
pub(super) struct HeldCart {
    /// The slots, one entry for each claim.
    pub(super) slots: Vec<SlotKey>,
    /// The time during which the hold lasts.
    pub(super) span: HoldSpan,
    /// The number of replacements and releases of the hold.
    pub(super) changes: u64,
    renewals: Renewals,
}

/// The time that a cart has used for holds, however often it renewed, replaced or released them.
#[derive(Debug, Default)]
struct Renewals {
    /// The time since the first hold. It is counted forward only: if a clock that is set back returned
    /// time, a clock that goes back and forth would renew a hold for ever.
    used: Seconds,
    /// The second up to which it is counted.
    counted_until: EpochSeconds,
    /// Seconds without a hold after which the time for holds starts again.
    pause: Seconds,
    /// The end of that pause if nothing more is held.
    rested_from: EpochSeconds,
}

impl Renewals {
    /// The second at which a hold from now on ends; `None` if the time is used up.
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
        !self.slots.is_empty() && self.span.is_on(now)
    }

    /// The second at which a hold from now on ends; `None` if the cart's time for holds is used up.
    pub(super) fn grant(&mut self, now: EpochSeconds, hold: CartHold) -> Option<EpochSeconds> {
        self.renewals.grant(now, hold)
    }

    /// Replaces the hold.
    pub(super) fn replace(&mut self, slots: Vec<SlotKey>, span: HoldSpan) {
        self.span = span;
        self.changes += 1;
        self.slots = slots;
    }

    /// Ends the hold, and returns its slots.
    pub(super) fn release(&mut self, now: EpochSeconds) -> Vec<SlotKey> {
        self.renewals.rest(now);
        self.changes += 1;
        std::mem::take(&mut self.slots)
    }

    /// Whether the cart can be forgotten: a new cart would behave alike.
    fn is_over(&self, now: EpochSeconds) -> bool {
        !self.holds_at(now) && now >= self.renewals.rested_from
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

    pub(super) fn find_or_new(&self, cart: CartKey, now: EpochSeconds) -> Arc<Mutex<HeldCart>> {
        self.sweep(now);
        Arc::clone(&self.carts.entry(cart).or_default())
    }

    /// Forgets a cart that has become an order, unless another thread uses it or it has a new hold.
    pub(super) fn forget(&self, cart: CartKey) {
        self.carts.remove_if_mut(&cart, |_, cart| {
            unshared(cart).is_some_and(|cart| cart.slots.is_empty())
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
