//! The states of an order that was only placed. Nothing of them is on record: they follow from the definition.

use domain::lifecycle::{Definition, Entity, Name};

use crate::begin::usual_states;

/// The states of an order that was only placed, and began as most do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedStates {
    /// That of the order.
    pub order: Name,
    /// That of each of its items.
    pub item: Name,
}

/// The states of such an order right after its sale under a definition.
pub(super) fn states(definition: &Definition) -> PlacedStates {
    let (order, item) = usual_states(definition);
    PlacedStates {
        order: definition.name_of(Entity::Order, order),
        item: definition.name_of(Entity::LineItem, item),
    }
}
