//! Spots of slots that are off sale without an order.

use super::{
    fixture::SlotName,
    reference::{ReferenceModel, Spots},
    rules::Rule,
};

/// What is off sale of a slot, in each of its pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    Count(i64),
    /// Everything that is not sold, also what is given back later.
    All,
}

impl ReferenceModel {
    /// What a block takes of a pool of a slot with so many spots left.
    pub(super) fn blocked(&self, slot: &SlotName, left: i64) -> i64 {
        match self.blocks.get(slot) {
            Some(Blocked::Count(count)) => *count,
            Some(Blocked::All) => left.max(0),
            None => 0,
        }
    }

    /// Whether a slot can be blocked: it is in the catalogue, or has a block that can be ended.
    fn can_be_blocked(&self, slot: &SlotName) -> bool {
        !self.pools(slot).is_empty() || self.blocks.contains_key(slot)
    }

    /// Replaces the block of a slot. Says whether there is such a slot.
    pub(super) fn block(&mut self, slot: &SlotName, spots: Blocked) -> bool {
        let is_known = self.can_be_blocked(slot);
        if !is_known {
            return false;
        }
        let before = match self.blocks.remove(slot) {
            Some(Blocked::Count(count)) if !self.keeps(Rule::BlocksReplaceOneAnother) => count,
            _ => 0,
        };
        match spots {
            Blocked::Count(0) => {}
            Blocked::Count(count) => {
                let count = Blocked::Count(count + before);
                self.blocks.insert(slot.clone(), count);
            }
            Blocked::All => {
                self.blocks.insert(slot.clone(), Blocked::All);
            }
        }
        true
    }

    /// Blocks as many spots more as are given back.
    pub(super) fn keep_off_sale(&mut self, released: &[Spots]) {
        for Spots { slot, count, .. } in released {
            if !self.can_be_blocked(slot) || !self.keeps(Rule::WithdrawnSpotsMayStayOffSale) {
                continue;
            }
            let blocked = self.blocks.entry(slot.clone()).or_insert(Blocked::Count(0));
            if let Blocked::Count(blocked) = blocked {
                *blocked += count;
            }
        }
    }
}
