//! Which cart holds spots of which slots.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;

use super::lock;
use crate::domain::{
    order::EpochSeconds,
    slot::{CartKey, SlotKey},
};

/// Expired carts are swept out whenever there are twice as many carts as after the last sweep, and
/// never below this number.
const FIRST_SWEEP: usize = 1024;

/// What a cart holds. Its mutex is taken before any slot's, so that the steps of one cart follow
/// one another.
#[derive(Debug, Default)]
pub(super) struct Cart {
    /// The slots, one entry for each claim.
    pub(super) slots: Vec<SlotKey>,
    /// When the hold ends.
    pub(super) expires_sec: EpochSeconds,
}

impl Cart {
    /// Whether the hold has ended and nobody is at the cart.
    fn is_idle(cart: &Arc<Mutex<Self>>, now: EpochSeconds) -> bool {
        Arc::strong_count(cart) == 1 && lock(cart).expires_sec <= now
    }
}

/// All carts with a hold.
#[derive(Debug)]
pub(super) struct Carts {
    carts: DashMap<CartKey, Arc<Mutex<Cart>>>,
    sweep_at: AtomicUsize,
}

impl Default for Carts {
    fn default() -> Self {
        Self { carts: DashMap::new(), sweep_at: AtomicUsize::new(FIRST_SWEEP) }
    }
}

impl Carts {
    pub(super) fn find(&self, cart: CartKey) -> Option<Arc<Mutex<Cart>>> {
        if self.carts.is_empty() {
            return None;
        }
        self.carts.get(&cart).map(|found| Arc::clone(&found))
    }

    pub(super) fn find_or_new(
        &self,
        cart: CartKey,
        now: EpochSeconds,
        expires_sec: EpochSeconds,
    ) -> Arc<Mutex<Cart>> {
        self.sweep(now);
        let new = || Arc::new(Mutex::new(Cart { slots: Vec::new(), expires_sec }));
        Arc::clone(&self.carts.entry(cart).or_insert_with(new))
    }

    /// Forgets a cart unless somebody is at it.
    pub(super) fn forget(&self, cart: CartKey) {
        self.carts.remove_if(&cart, |_, cart| Arc::strong_count(cart) == 1);
    }

    /// Number of carts whose hold has not ended. One that somebody is at counts: it is not waited for.
    pub(super) fn holding(&self, now: EpochSeconds) -> usize {
        let holds = |cart: &Mutex<Cart>| {
            cart.try_lock().map_or(true, |cart| !cart.slots.is_empty() && now < cart.expires_sec)
        };
        self.carts.iter().filter(|cart| holds(cart)).count()
    }

    /// Number of carts on record, expired ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.carts.len()
    }

    fn sweep(&self, now: EpochSeconds) {
        if self.carts.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        self.carts.retain(|_, cart| !Cart::is_idle(cart, now));
        let next = self.carts.len().saturating_mul(2).max(FIRST_SWEEP);
        self.sweep_at.store(next, Ordering::Relaxed);
    }
}
