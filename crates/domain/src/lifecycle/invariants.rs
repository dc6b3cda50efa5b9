//! What holds after every run, whatever a definition says.

use smallvec::SmallVec;

use super::{Effect, OrderTree, Refused, Spots};
use crate::{ledger::LedgerFault, shipment::ShipmentStatus};

/// A promise that an outcome would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// Refunded ≤ captured ≤ due.
    Money(LedgerFault),
    /// The ledger only grows.
    LedgerShrank,
    /// Nothing is booked or dispatched unless it is paid, authorized, or nothing is to be paid.
    Unpaid {
        /// The fulfillment.
        fulfillment: u16,
    },
    /// A delivery never goes backwards.
    ShipmentBackwards {
        /// The fulfillment.
        fulfillment: u16,
    },
    /// Spots are given back once.
    SpotsTwice {
        /// The item.
        item: u16,
    },
}

/// What an outcome is compared with.
pub(super) struct Before {
    ledger: usize,
    spots: SmallVec<[Spots; 4]>,
    shipments: SmallVec<[Option<ShipmentStatus>; 2]>,
}

impl Before {
    /// The order as it is.
    pub(super) fn of(tree: &OrderTree) -> Self {
        Self {
            ledger: tree.ledger.entries().len(),
            spots: tree.items.iter().map(|item| item.spots).collect(),
            shipments: shipments(tree),
        }
    }

    /// Checks what has become of it.
    pub(super) fn check(&self, tree: &OrderTree, effects: &[Effect]) -> Result<(), Refused> {
        let found = self.broken_money(tree);
        let found = found.or_else(|| self.backwards(tree));
        let found = found.or_else(|| self.released_twice(tree, effects));
        found.map_or(Ok(()), |broken| Err(Refused::Invariant(broken)))
    }

    fn broken_money(&self, tree: &OrderTree) -> Option<Invariant> {
        if tree.ledger.entries().len() < self.ledger {
            return Some(Invariant::LedgerShrank);
        }
        tree.ledger.fault().map(Invariant::Money)
    }

    fn backwards(&self, tree: &OrderTree) -> Option<Invariant> {
        let after = shipments(tree);
        for (fulfillment, (before, after)) in (0..).zip(self.shipments.iter().zip(&after)) {
            // A delivery that is gone has not gone backwards.
            if after.is_some() && after < before {
                return Some(Invariant::ShipmentBackwards { fulfillment });
            }
        }
        None
    }

    fn released_twice(&self, tree: &OrderTree, effects: &[Effect]) -> Option<Invariant> {
        for (item, (before, after)) in (0..).zip(self.spots.iter().zip(&tree.items)) {
            let released = effects.iter();
            let released = released.filter(|it| **it == Effect::Release { item });
            let expected = match (before, after.spots) {
                (Spots::Held, Spots::Released) => 1,
                (Spots::Held, Spots::Held) | (Spots::Released, Spots::Released) => 0,
                (Spots::Released, Spots::Held) => return Some(Invariant::SpotsTwice { item }),
            };
            if released.count() != expected {
                return Some(Invariant::SpotsTwice { item });
            }
        }
        None
    }
}

fn shipments(tree: &OrderTree) -> SmallVec<[Option<ShipmentStatus>; 2]> {
    let all = tree.fulfillments.iter();
    all.map(|it| it.shipment.as_ref().map(|it| it.status))
        .collect()
}
