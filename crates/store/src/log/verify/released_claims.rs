//! Spots that orders give back, compared with those that they have taken: 8 bytes for each claim of an order.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{NamedClaim, log::position::Position, order_key::OrderKey};

/// Bits of a number of spots in memory; no order has more.
const COUNT_BITS: u32 = 24;
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// What orders have taken and given back so far, by order, slot and ticket type.
#[derive(Debug, Default)]
pub(super) struct ReleasedClaims {
    /// A fingerprint above the number of spots, in the order of the log.
    claimed: Vec<u64>,
    /// By fingerprint. Few orders give anything back.
    released: HashMap<u64, Release>,
}

/// Spots that were given back.
#[derive(Debug)]
struct Release {
    count: u64,
    /// The last update that has given some of them back, with its sequence number.
    last: (Position, u64),
}

impl ReleasedClaims {
    /// Adds what an order takes.
    pub(super) fn add_order(&mut self, order: &OrderKey, claims: &[NamedClaim]) {
        for claim in claims {
            let count = u64::from(claim.count).min(MOST);
            self.claimed
                .push((fingerprint(order, claim) << COUNT_BITS) | count);
        }
    }

    /// Adds what an update gives back, with where its record is.
    pub(super) fn add_update(
        &mut self,
        order: &OrderKey,
        released: &[NamedClaim],
        last: (Position, u64),
    ) {
        for claim in released {
            let release = self.released.entry(fingerprint(order, claim));
            let release = release.or_insert(Release { count: 0, last });
            release.count += u64::from(claim.count);
            release.last = last;
        }
    }

    /// The updates that give back more than was taken, by position and sequence number, in the order of the log.
    pub(super) fn finish(mut self) -> Vec<(Position, u64)> {
        for claimed in &self.claimed {
            if let Some(release) = self.released.get_mut(&(claimed >> COUNT_BITS)) {
                // Two claims with one fingerprint are added up: that hides an excess and makes none.
                release.count = release.count.saturating_sub(claimed & MOST);
            }
        }
        let excess = self.released.into_values().filter(|it| it.count > 0);
        let mut found: Vec<_> = excess.map(|release| release.last).collect();
        found.sort_unstable_by_key(|last| last.1);
        found.dedup();
        found
    }
}

/// A claim of an order without its number of spots, in 40 bits.
fn fingerprint(order: &OrderKey, claim: &NamedClaim) -> u64 {
    let mut hasher = DefaultHasher::new();
    order.0.hash(&mut hasher);
    claim.merchant_id.hash(&mut hasher);
    claim.service_id.hash(&mut hasher);
    claim.ticket_id.hash(&mut hasher);
    claim.start_sec.hash(&mut hasher);
    claim.duration_sec.hash(&mut hasher);
    hasher.finish() >> COUNT_BITS
}
