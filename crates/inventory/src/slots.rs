//! The map of slots.
//!
//! There may be ten million slots, so their size matters. A map entry is one pointer to a slot with its key,
//! because up to half of the entries of a map are empty. The pointer has no count of weak references.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::{Mutex, MutexGuard},
};

use dashmap::DashMap;
use triomphe::Arc;

use domain::slot::{Slot, SlotKey};

/// Shards of the map. A shard that grows rehashes all of its slots with its lock held: with ten million slots,
/// that is forty thousand of them.
const SHARDS: usize = 256;

/// All known slots.
#[derive(Debug)]
pub(super) struct Slots(DashMap<SharedSlot, ()>);

/// A shared reference to a slot. The map finds it by its key.
#[derive(Debug, Clone)]
pub(super) struct SharedSlot(Arc<Known>);

#[derive(Debug)]
struct Known {
    key: SlotKey,
    slot: Mutex<Slot>,
}

impl Default for Slots {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl Slots {
    pub(super) fn with_capacity(slots: usize) -> Self {
        // Sized up front: growth during the load of a catalogue would rehash millions of entries again and
        // again.
        Self(DashMap::with_capacity_and_shard_amount(slots, SHARDS))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, key: SlotKey) -> Option<SharedSlot> {
        // The reference is cloned out, so that the guard of the map is dropped before the slot is locked.
        self.0.get(&key).map(|known| known.key().clone())
    }

    pub(super) fn find_or_new(&self, key: SlotKey) -> SharedSlot {
        // Most slots are known, and a look-up takes a read lock only.
        self.find(key).unwrap_or_else(|| {
            self.0
                .entry(SharedSlot::new(key))
                .or_default()
                .key()
                .clone()
        })
    }

    /// All slots at this moment, in no order.
    pub(super) fn all(&self) -> Vec<SharedSlot> {
        // A copy of the references: a slot locked during the iteration would hold the guard of its shard.
        self.0.iter().map(|known| known.key().clone()).collect()
    }

    /// Forgets a vacant slot, unless another thread has a reference to it and may open it or sell spots of it.
    pub(super) fn forget_if_vacant(&self, key: SlotKey) {
        // The guard of the map is held here, so nothing may wait for the lock of a slot: `try_lock`.
        self.0.remove_if(&key, |SharedSlot(known), ()| {
            known.is_unique() && known.slot.try_lock().is_ok_and(|slot| slot.is_vacant())
        });
    }

    /// Forgets the slots that `keep` rejects, and returns their number.
    pub(super) fn retain(&self, keep: impl Fn(SlotKey) -> bool) -> usize {
        // Approximate if slots are created meanwhile; the number only goes to the log.
        let known = self.len();
        self.0.retain(|slot, ()| keep(slot.key()));
        known.saturating_sub(self.len())
    }
}

impl SharedSlot {
    fn new(key: SlotKey) -> Self {
        Self(Arc::new(Known {
            key,
            slot: Mutex::default(),
        }))
    }

    pub(super) fn key(&self) -> SlotKey {
        self.0.key
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Slot> {
        // The shared helper, so that tests can schedule every lock of a slot.
        super::lock(&self.0.slot)
    }
}

impl Borrow<SlotKey> for SharedSlot {
    fn borrow(&self) -> &SlotKey {
        &self.0.key
    }
}

impl Hash for SharedSlot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for SharedSlot {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for SharedSlot {}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a pointer and a byte in the map, of which it has at most 16/7 times as many as slots, and 8
    /// bytes of its opening, this keeps a slot below 100 bytes.
    #[test]
    fn a_slot_with_nothing_special_about_it_is_small() {
        let counter = size_of::<usize>();
        assert!(counter + size_of::<Known>() <= 64);
        assert_eq!(size_of::<SharedSlot>(), size_of::<usize>());
    }
}
