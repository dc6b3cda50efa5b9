//! Which cart holds spots of which slots.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;

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
    /// How often the hold has been replaced or let go.
    pub(super) changes: u64,
}

impl Cart {
    /// Whether it holds anything.
    pub(super) fn holds_at(&self, now: EpochSeconds) -> bool {
        !self.slots.is_empty() && now < self.expires_sec
    }

    /// Holds other slots from now on, and gives those that it has held.
    pub(super) fn replace(&mut self, slots: Vec<SlotKey>, expires_sec: EpochSeconds) -> Vec<SlotKey> {
        self.expires_sec = expires_sec;
        self.changes += 1;
        std::mem::replace(&mut self.slots, slots)
    }
}

/// A cart that nobody is at, nor can get to while it is looked at in the map.
fn left_alone(cart: &mut Arc<Mutex<Cart>>) -> Option<&mut Cart> {
    Arc::get_mut(cart).map(|cart| cart.get_mut().unwrap_or_else(PoisonError::into_inner))
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

    pub(super) fn find_or_new(&self, cart: CartKey, now: EpochSeconds) -> Arc<Mutex<Cart>> {
        self.sweep(now);
        Arc::clone(&self.carts.entry(cart).or_default())
    }

    /// Forgets a cart unless somebody is at it or it holds something, perhaps again.
    pub(super) fn forget(&self, cart: CartKey) {
        self.carts.remove_if_mut(&cart, |_, cart| left_alone(cart).is_some_and(|cart| cart.slots.is_empty()));
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
        self.carts.retain(|_, cart| left_alone(cart).is_none_or(|cart| now < cart.expires_sec));
        let next = self.carts.len().saturating_mul(2).max(FIRST_SWEEP);
        self.sweep_at.store(next, Ordering::Relaxed);
    }
}
