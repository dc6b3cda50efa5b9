//! Which parts belong to a part.

use smallvec::SmallVec;

use super::{Entity, OrderPart, OrderTree, Spots, UpdateRule, UpdateScope, run::Run};
use crate::ids::ServiceId;

/// Parts; none of them on the heap for most orders.
pub(super) type Parts = SmallVec<[OrderPart; 8]>;

/// Indexes up to the length of a list of parts.
fn indexes(length: usize) -> impl Iterator<Item = u16> {
    // Longer lists are never made: `TooMany`.
    0..u16::try_from(length).unwrap_or(u16::MAX)
}

impl OrderTree {
    /// All line items.
    pub(super) fn all_items(&self) -> Parts {
        indexes(self.items.len()).map(OrderPart::item).collect()
    }

    /// All fulfillments that were not removed.
    pub(super) fn all_fulfillments(&self) -> Parts {
        let all = indexes(self.fulfillments.len()).map(OrderPart::fulfillment);
        all.filter(|part| self.state_of(*part).is_some()).collect()
    }

    /// The items of a part: all of an order, its own of a fulfillment or refund, an item itself.
    pub(super) fn items_of(&self, part: OrderPart) -> Parts {
        let index = usize::from(part.index);
        match part.entity {
            Entity::Order => self.all_items(),
            Entity::LineItem => Parts::from_slice(&[part]),
            Entity::Fulfillment => {
                let found = self.fulfillments.get(index).map(|it| it.items.iter());
                let items = found.into_iter().flatten();
                items.map(|&item| OrderPart::item(item)).collect()
            }
            Entity::Refund => {
                let found = self.refunds.get(index).map(|it| it.amount.items.iter());
                let items = found.into_iter().flatten();
                // Of others nothing was left.
                let given = items.filter(|it| !it.amount.is_zero());
                given.map(|it| OrderPart::item(it.item)).collect()
            }
        }
    }

    /// The fulfillments of a part: all of an order, those of its items otherwise.
    pub(super) fn fulfillments_of(&self, part: OrderPart) -> Parts {
        match part.entity {
            Entity::Order => self.all_fulfillments(),
            Entity::Fulfillment => Parts::from_slice(&[part]),
            Entity::LineItem | Entity::Refund => {
                let mut found = Parts::new();
                for item in self.items_of(part) {
                    let item = self.items.get(usize::from(item.index));
                    let fulfillment = item.and_then(|it| it.fulfillment);
                    let fulfillment = fulfillment.map(OrderPart::fulfillment);
                    found.extend(fulfillment.filter(|it| !found.contains(it)));
                }
                found
            }
        }
    }

    /// The refunds of a part: all of an order, those that give back one of its items otherwise.
    fn refunds_of(&self, part: OrderPart) -> Parts {
        let all = indexes(self.refunds.len()).map(OrderPart::refund);
        match part.entity {
            Entity::Order => all.collect(),
            Entity::Refund => Parts::from_slice(&[part]),
            Entity::LineItem | Entity::Fulfillment => {
                let items = self.items_of(part);
                let is_of = |refund: &OrderPart| {
                    let of = self.items_of(*refund);
                    of.iter().any(|item| items.contains(item))
                };
                all.filter(is_of).collect()
            }
        }
    }

    /// Whether an item has its spots.
    pub(super) fn is_held(&self, item: OrderPart) -> bool {
        let item = self.items.get(usize::from(item.index));
        item.is_some_and(|item| item.spots == Spots::Held)
    }
}

impl Run<'_> {
    /// The parts that an update of a part names, as they are before it.
    pub(super) fn targets(&self, part: OrderPart, update: &UpdateRule) -> Parts {
        let base = match update.scope {
            UpdateScope::All | UpdateScope::ToCome => OrderPart::ORDER,
            UpdateScope::Own | UpdateScope::Fulfillment | UpdateScope::SameService => part,
        };
        match update.entity {
            Entity::Order => Parts::from_slice(&[OrderPart::ORDER]),
            Entity::LineItem => self.target_items(base, update.scope),
            Entity::Fulfillment => self.tree.fulfillments_of(base),
            Entity::Refund => self.tree.refunds_of(base),
        }
    }

    fn target_items(&self, part: OrderPart, scope: UpdateScope) -> Parts {
        match scope {
            UpdateScope::Own | UpdateScope::All => self.tree.items_of(part),
            UpdateScope::Fulfillment => {
                let mut items = Parts::new();
                for fulfillment in self.tree.fulfillments_of(part) {
                    items.extend(self.tree.items_of(fulfillment));
                }
                items
            }
            UpdateScope::ToCome => {
                let mut items = self.tree.items_of(part);
                items.retain(|item| self.start_to_come(*item).is_some());
                items
            }
            UpdateScope::SameService => {
                let own = self.tree.items_of(part);
                let mut all = self.tree.all_items();
                all.retain(|item| {
                    own.iter()
                        .any(|it| self.service(*it) == self.service(*item))
                });
                all
            }
        }
    }

    /// The service of an item.
    pub(super) fn service(&self, item: OrderPart) -> Option<&ServiceId> {
        let facts = self.facts.items.get(usize::from(item.index))?;
        Some(facts.service)
    }
}
