//! Links and revisions of the updates of an order.

use std::collections::HashMap;

use crate::{
    log::{open_work::UpdateEntry, position::Position},
    order_key::OrderKey,
};

/// The updates so far: the newest one of each updated order.
#[derive(Debug, Default)]
pub(super) struct UpdateLinks {
    newest: HashMap<OrderKey, UpdateEntry>,
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

    /// Updates may be missing: nothing is compared from here on.
    pub(super) fn note_damage(&mut self) {
        self.is_damaged = true;
    }
}
