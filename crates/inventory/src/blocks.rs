//! Blocks of slots, each changed in two steps: begun in memory, and ended once it is on record or has failed.

use domain::slot::{BlockedSpots, Revision, SlotKey, Stale};

use super::Inventory;

/// A block that is not on record yet. Ends in [`Inventory::apply_block`] or in [`Inventory::revert_block`]. Until then what
/// it blocks is off sale, and so is what the block before does. The caller begins no other block of the same slot.
#[derive(Debug)]
#[must_use]
pub struct BlockChange {
    key: SlotKey,
}

impl Inventory {
    /// Begins to block spots of a slot, in place of what is blocked. `None` if the slot is not open and has no block.
    ///
    /// # Errors
    /// [`Stale`] if the slot has advanced beyond `revision`; then nothing has changed.
    pub fn stage_block(
        &self,
        revision: Revision,
        key: SlotKey,
        spots: BlockedSpots,
    ) -> Result<Option<BlockChange>, Stale> {
        let Some(known) = self.slots.find(key) else {
            return Ok(None);
        };
        let mut slot = known.lock();
        slot.advance_to(revision)?;
        // A block of a slot that has left the catalogue can still be ended.
        if !slot.is_open() && !slot.blocked().is_any() {
            return Ok(None);
        }
        slot.stage_block(spots);
        Ok(Some(BlockChange { key }))
    }

    /// Ends a change that is on record: what it blocks is blocked, and nothing else.
    #[expect(clippy::needless_pass_by_value, reason = "a change ends once")]
    pub fn apply_block(&self, change: BlockChange) {
        let BlockChange { key } = change;
        if let Some(known) = self.slots.find(key) {
            known.lock().apply_staged_block();
        }
        self.slots.forget_if_vacant(key);
    }

    /// Ends a change that is not on record: what was blocked before is blocked.
    #[expect(clippy::needless_pass_by_value, reason = "a change ends once")]
    pub fn revert_block(&self, change: BlockChange) {
        let BlockChange { key } = change;
        if let Some(known) = self.slots.find(key) {
            known.lock().discard_staged_block();
        }
        self.slots.forget_if_vacant(key);
    }

    /// What is blocked of a slot.
    #[must_use]
    pub fn blocked(&self, key: SlotKey) -> BlockedSpots {
        let known = self.slots.find(key);
        known.map_or(BlockedSpots::NONE, |known| known.lock().blocked())
    }

    /// Blocks spots that are on record as blocked. A slot that is not open keeps the block in case it opens later; a forgotten
    /// one never does.
    pub fn restore_block(&self, key: SlotKey, spots: BlockedSpots) {
        if !self.is_forgotten(key) {
            self.slots.find_or_new(key).lock().block(spots);
        }
    }
}
