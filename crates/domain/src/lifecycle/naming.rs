//! From states of a definition to their names, and back.

use std::{collections::BTreeSet, convert::Infallible};

use super::{
    Definition, Entity, EventIx, EventSet, Fulfillment, Name, NamedTree, OrderTree, Refund,
    StateIx, Timer, TreeItem,
};

/// A state on record that the definition lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lifecycle has no state {state:?} of {}", entity.name())]
pub struct UnknownState {
    /// Whose state.
    pub entity: Entity,
    /// Its name.
    pub state: Name,
}

/// A state that has another name from one definition to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMap {
    /// What kind of part has it.
    pub entity: Entity,
    /// Its name before.
    pub from: Name,
    /// Its name from then on.
    pub to: Name,
}

impl StateMap {
    /// The name that a state has from then on.
    #[must_use]
    pub fn apply(maps: &[Self], entity: Entity, state: Name) -> Name {
        let map = maps
            .iter()
            .find(|map| map.entity == entity && map.from == state);
        map.map_or(state, |map| map.to.clone())
    }
}

impl NamedTree {
    /// The same order with other names of its states, and of those that its timers lead to.
    #[must_use]
    pub fn renamed(self, mut rename: impl FnMut(Entity, Name) -> Name) -> Self {
        let mut tree = self;
        let emitted = std::mem::take(&mut tree.emitted);
        let renamed = tree.map(emitted, |entity, state| {
            Ok::<_, Infallible>(rename(entity, state))
        });
        match renamed {
            Ok(renamed) => renamed,
        }
    }
}

impl Definition {
    /// The order with the names of its states and events, as it goes on record.
    #[must_use]
    pub fn named(&self, tree: OrderTree) -> NamedTree {
        let emitted = self.event_names(tree.emitted);
        let named = tree.map(emitted, |entity, state| {
            Ok::<_, Infallible>(self.name_of(entity, state))
        });
        match named {
            Ok(named) => named,
        }
    }

    /// The order on record with the states and events of this definition. Events that it lacks are left out: no condition
    /// can ask for them.
    ///
    /// # Errors
    /// [`UnknownState`].
    pub fn interned(&self, tree: NamedTree) -> Result<OrderTree, UnknownState> {
        let mut emitted = EventSet::default();
        for name in &tree.emitted {
            if let Some(event) = self.event(name.as_str()) {
                emitted.insert(event);
            }
        }
        tree.map(emitted, |entity, state| {
            let known = self.entity(entity).state(state.as_str());
            known.ok_or(UnknownState { entity, state })
        })
    }

    /// The name of a state.
    ///
    /// A state of another definition is a bug, and has an empty name, which no definition has.
    #[must_use]
    pub fn name_of(&self, entity: Entity, state: StateIx) -> Name {
        match self.state_name(entity, state) {
            Some(name) => name.clone(),
            None => Name::from(""),
        }
    }

    /// The names of the events in a set.
    fn event_names(&self, events: EventSet) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        for (index, name) in self.events.iter().enumerate() {
            if EventIx::new(index).is_some_and(|event| events.contains(event)) {
                names.insert(name.clone());
            }
        }
        names
    }
}

impl<S, E> OrderTree<S, E> {
    /// The same order with other states, and these events.
    fn map<T, F, X>(
        self,
        emitted: F,
        mut state: impl FnMut(Entity, S) -> Result<T, X>,
    ) -> Result<OrderTree<T, F>, X> {
        let mut items = smallvec::SmallVec::with_capacity(self.items.len());
        for item in self.items {
            items.push(TreeItem {
                state: state(Entity::LineItem, item.state)?,
                spots: item.spots,
                fulfillment: item.fulfillment,
            });
        }
        let mut fulfillments = Vec::with_capacity(self.fulfillments.len());
        for fulfillment in self.fulfillments {
            fulfillments.push(Fulfillment {
                state: state(Entity::Fulfillment, fulfillment.state)?,
                items: fulfillment.items,
                destination: fulfillment.destination,
                shipment: fulfillment.shipment,
                is_removed: fulfillment.is_removed,
            });
        }
        let mut refunds = Vec::with_capacity(self.refunds.len());
        for refund in self.refunds {
            refunds.push(Refund {
                state: state(Entity::Refund, refund.state)?,
                amount: refund.amount,
                cause: refund.cause,
            });
        }
        let mut timers = Vec::with_capacity(self.timers.len());
        for timer in self.timers {
            timers.push(Timer {
                name: timer.name,
                part: timer.part,
                due: timer.due,
                to: state(timer.part.entity, timer.to)?,
            });
        }
        Ok(OrderTree {
            state: state(Entity::Order, self.state)?,
            items,
            fulfillments,
            refunds,
            reductions: self.reductions,
            ledger: self.ledger,
            timers,
            steps: self.steps,
            given_up: self.given_up,
            ended: self.ended,
            launches: self.launches,
            reason: self.reason,
            information: self.information,
            alerts: self.alerts,
            emitted,
            events: self.events,
            version: self.version,
        })
    }
}
