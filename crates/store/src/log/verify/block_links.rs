//! Links of the blocks of a slot.

use std::collections::HashMap;

use domain::time::EpochSeconds;

use crate::{
    log::{open_work::BlockEntry, position::Position},
    order_key::BlockKey,
};

/// The blocks so far: the newest one of each slot.
#[derive(Debug, Default)]
pub(super) struct BlockLinks {
    newest: HashMap<BlockKey, BlockEntry>,
    /// Blocks of forgotten slots are not led to.
    forgotten_until: Option<EpochSeconds>,
    /// Whether blocks may be missing here.
    is_damaged: bool,
}

impl BlockLinks {
    /// Adds a block, and says whether it leads to the one before it of its slot.
    pub(super) fn add(
        &mut self,
        key: &BlockKey,
        block: BlockEntry,
        link: Option<Position>,
    ) -> bool {
        let before = self.newest.insert(*key, block);
        let before = before.filter(|before| before.is_known(self.forgotten_until));
        before.map(|before| before.position) == link || self.is_damaged
    }

    /// Slots that ended before this second are forgotten.
    pub(super) fn forget(&mut self, until: EpochSeconds) {
        self.forgotten_until = self.forgotten_until.max(Some(until));
    }

    /// Blocks may be missing: nothing is compared from here on.
    pub(super) fn note_damage(&mut self) {
        self.is_damaged = true;
    }
}
