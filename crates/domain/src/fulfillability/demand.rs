//! The demand of an order: the spots that its items claim together, by slot.

use smallvec::SmallVec;

use super::item::ExaminedItem;
use crate::{
    catalog::Service,
    slot::{Claimed, Slot, SlotKey, Viewer},
};

/// The claims of all items, summed by slot and ticket type and sorted.
pub(super) struct Demand(Asked);

type Asked = SmallVec<[((SlotKey, Claimed), u64); 4]>;

impl Demand {
    pub(super) fn of(examined: &[ExaminedItem<'_>]) -> Self {
        let mut asked = Asked::new();
        for claim in examined.iter().flat_map(ExaminedItem::claims) {
            asked.push(((claim.slot, claim.ticket), u64::from(claim.count)));
        }
        asked.sort_unstable();
        asked.dedup_by(|(same, more), (asked, count)| {
            let again = same == asked;
            if again {
                // Cannot overflow: a request has fewer than 2^32 items, each of at most 2^32 spots.
                *count += *more;
            }
            again
        });
        Self(asked)
    }

    /// The claims to one slot.
    fn of_slot(&self, slot: SlotKey) -> &[((SlotKey, Claimed), u64)] {
        // Sorted by slot, so the claims to a slot are one range.
        let first = self.0.partition_point(|((before, _), _)| *before < slot);
        let rest = &self.0[first..];
        let len = rest.partition_point(|((asked, _), _)| *asked == slot);
        &rest[..len]
    }

    /// The spots left in the tightest overdrawn pool that these claims draw on; `None` if none is
    /// overdrawn.
    pub(super) fn overdrawn(
        &self,
        service: &Service,
        key: SlotKey,
        slot: &Slot,
        claimed: &[Claimed],
        viewer: Viewer,
    ) -> Option<u32> {
        let asked = self.of_slot(key);
        let mut tightest = None;
        for (pool, left) in slot.left(service, viewer) {
            // Pools that this item does not use do not stop it, even if others overdraw them.
            if !claimed.iter().any(|&ticket| pool.serves(service, ticket)) {
                continue;
            }
            let mut drawn: u64 = 0;
            for ((_, ticket), count) in asked {
                if pool.serves(service, *ticket) {
                    drawn += count;
                }
            }
            // The tightest pool bounds what the caller could still order.
            if drawn > u64::from(left) && tightest.is_none_or(|tightest| left < tightest) {
                tightest = Some(left);
            }
        }
        tightest
    }
}
