//! The orders of which the personal data is being overwritten.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use super::position::Position;

/// The orders of erasures that are on record and not complete. Whatever stands in their personal parts, they are erased:
/// a part that is half overwritten is no damage.
#[derive(Debug, Default)]
pub(crate) struct Overwriting {
    orders: RwLock<HashSet<Position>>,
    turn: Mutex<()>,
}

impl Overwriting {
    /// Whether the personal part of this order is being overwritten.
    pub(crate) fn contains(&self, order: Position) -> bool {
        self.orders
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&order)
    }

    /// Adds orders, before the first byte of them is overwritten.
    pub(super) fn begin(&self, orders: &[Position]) {
        let mut all = self.orders.write().unwrap_or_else(PoisonError::into_inner);
        all.extend(orders);
    }

    /// Removes orders, when all of their parts are overwritten.
    pub(super) fn end(&self, orders: &[Position]) {
        let mut all = self.orders.write().unwrap_or_else(PoisonError::into_inner);
        for order in orders {
            all.remove(order);
        }
    }

    /// Waits until no segment is being overwritten, and keeps it so until the guard is dropped: for those who read whole
    /// segments. Who reads single records does not wait.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // A panic elsewhere leaves parts half overwritten, and their orders in the set.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
