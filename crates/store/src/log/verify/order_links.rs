//! Links between the orders of a user, checked with 8 bytes an order.

use std::collections::BTreeSet;

use crate::{log::position::Position, order_key::UserKey};

/// Bits of the fingerprint of a user.
const USER_BITS: u32 = 24;

/// In place of a fingerprint: the user is erased.
const ERASED: u64 = 0;

/// The orders so far, with a fingerprint of each one's user.
#[derive(Debug, Default)]
pub(super) struct OrderLinks {
    /// The position above the fingerprint, in the order of the log.
    orders: Vec<u64>,
    /// Segments of which orders may be missing here.
    damaged: BTreeSet<u64>,
}

impl OrderLinks {
    /// Adds an order, and says whether its link leads to an earlier order of the same user.
    pub(super) fn add(
        &mut self,
        position: Position,
        user: Option<&UserKey>,
        link: Option<Position>,
    ) -> bool {
        let fingerprint = user.map_or(ERASED, fingerprint);
        let is_right = link.is_none_or(|link| self.leads_to(link, fingerprint));
        self.orders
            .push((position.bits() << USER_BITS) | fingerprint);
        is_right
    }

    /// Orders of this segment may be missing.
    pub(super) fn note_damage(&mut self, segment: u64) {
        self.damaged.insert(segment);
    }

    fn leads_to(&self, link: Position, fingerprint: u64) -> bool {
        let at = self
            .orders
            .partition_point(|order| order >> USER_BITS < link.bits());
        match self.orders.get(at) {
            Some(order) if order >> USER_BITS == link.bits() => {
                let other = order & ((1 << USER_BITS) - 1);
                other == fingerprint || other == ERASED || fingerprint == ERASED
            }
            Some(_) | None => self.damaged.contains(&link.segment()),
        }
    }
}

/// Bits of the key that users with the same prefix in the index have in common.
fn fingerprint(user: &UserKey) -> u64 {
    let [first, second, third, ..] = user.0;
    // 0 is taken; two users with the same fingerprint are no harm.
    u64::from(u32::from_be_bytes([0, first, second, third])).max(1)
}
