//! Links and revisions of the updates of an order, and the revisions of the lifecycle.

use std::collections::{HashMap, HashSet};

use crate::{
    log::{open_work::UpdateEntry, position::Position},
    order_key::OrderKey,
};

/// The updates so far: the newest one of each updated order.
#[derive(Debug, Default)]
pub(super) struct UpdateLinks {
    newest: HashMap<OrderKey, UpdateEntry>,
    /// The orders that began with timers or steps.
    begun: HashSet<OrderKey>,
    /// The newest revision of the lifecycle; 0 if there is none.
    lifecycle: u32,
    /// Whether updates may be missing here.
    is_damaged: bool,
}

impl UpdateLinks {
    /// Adds an update, and says whether it continues the one before it of its order.
    pub(super) fn add(
        &mut self,
        order: &OrderKey,
        update: UpdateEntry,
        link: Option<Position>,
    ) -> bool {
        let before = self.newest.insert(*order, update);
        let continues = before.map(|before| before.position) == link
            && before.map_or(0, |before| before.revision) + 1 == update.revision;
        continues || self.is_damaged
    }

    /// Adds an order that began with timers or steps.
    pub(super) fn begin(&mut self, order: &OrderKey) {
        self.begun.insert(*order);
    }

    /// Whether an order may have steps: it was updated, or began with some.
    pub(super) fn may_have_steps(&self, order: &OrderKey) -> bool {
        self.newest.contains_key(order) || self.begun.contains(order) || self.is_damaged
    }

    /// Adds a revision of the lifecycle, and says whether it follows the one before.
    pub(super) fn publish(&mut self, number: u32) -> bool {
        let before = std::mem::replace(&mut self.lifecycle, number);
        before.checked_add(1) == Some(number) || self.is_damaged
    }

    /// Records may be missing: nothing is compared from here on.
    pub(super) fn note_damage(&mut self) {
        self.is_damaged = true;
    }
}
