//! Orders must not be stranded: every state that some order may be in is in the next definition, or has another name there.

use std::{collections::BTreeMap, fmt};

use domain::lifecycle::{Definition, Entity, Name, StateMap};
use store::StatesInUse;

use super::ActiveLifecycle;

/// A state that orders are in, and that a definition neither has nor maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrandedState {
    /// What kind of part has it.
    pub entity: Entity,
    /// Its name in force.
    pub state: Name,
    /// The number of orders of which a part is in it, or has a timer that leads to it.
    pub orders: u64,
}

impl fmt::Display for StrandedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entity,
            state,
            orders,
        } = self;
        let orders_word = if *orders == 1 { "order" } else { "orders" };
        write!(f, "{} {state:?} ({orders} {orders_word})", entity.name())
    }
}

/// Finds the states of orders that the next definition leaves without a name.
pub(super) struct StrandCheck<'a> {
    pub(super) in_force: &'a ActiveLifecycle,
    pub(super) next: &'a Definition,
    /// What `next` says of the states in force.
    pub(super) maps: &'a [StateMap],
}

impl StrandCheck<'_> {
    /// The states that would be lost, sorted. Orders that were only placed are in the states of their sale.
    pub(super) fn stranded(&self, in_use: &StatesInUse) -> Vec<StrandedState> {
        let mut stranded: BTreeMap<(Entity, Name), u64> = BTreeMap::new();
        for count in &in_use.counts {
            let state = count.state.clone();
            let state = self.in_force.name(count.lifecycle, count.entity, state);
            if self.is_lost(count.entity, &state) {
                *stranded.entry((count.entity, state)).or_default() += count.orders;
            }
        }
        if in_use.placed > 0 {
            let mut lost = Vec::new();
            for placed in self.in_force.all_placed() {
                lost.push((Entity::Order, placed.order.clone()));
                lost.push((Entity::LineItem, placed.item.clone()));
            }
            lost.sort_unstable();
            // Of several revisions with one state, each order counts once.
            lost.dedup();
            lost.retain(|(entity, state)| self.is_lost(*entity, state));
            for state in lost {
                *stranded.entry(state).or_default() += in_use.placed;
            }
        }
        let stranded = stranded.into_iter();
        stranded
            .map(|((entity, state), orders)| StrandedState {
                entity,
                state,
                orders,
            })
            .collect()
    }

    /// The maps that lead from no state in force, as words.
    pub(super) fn maps_without_effect(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for map in self.maps {
            let in_force = self.in_force.definition().entity(map.entity);
            if in_force.state(map.from.as_str()).is_none() {
                texts.push(format!(
                    "`[map.{}]` gives the state {:?} another name, and the definition in force has no such state",
                    map.entity.name(),
                    map.from
                ));
            }
        }
        texts
    }

    fn is_lost(&self, entity: Entity, state: &Name) -> bool {
        let name = StateMap::apply(self.maps, entity, state.clone());
        self.next.entity(entity).state(name.as_str()).is_none()
    }
}
