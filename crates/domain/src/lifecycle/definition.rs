//! A definition: the states and transitions of the four entities, interned.

use super::{
    Name,
    tree::{Entity, OrderPart},
    vocabulary::{Condition, LifecycleAction},
};
use crate::order::BookingStatus;

/// Most states of an entity.
pub const MAX_STATES: usize = 64;

/// A state of one entity of one definition. Never stored: records have names, which outlive definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateIx(u8);

impl StateIx {
    /// The state of that index, which is below [`MAX_STATES`]; `None` otherwise.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        let small = u8::try_from(index).ok()?;
        (index < MAX_STATES).then_some(Self(small))
    }

    /// The index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of states of one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateSet(u64);

impl StateSet {
    /// The set with one more state.
    #[must_use]
    pub fn with(self, state: StateIx) -> Self {
        Self(self.0 | 1 << state.0)
    }

    /// Whether the state is in it.
    #[must_use]
    pub fn contains(self, state: StateIx) -> bool {
        self.0 & 1 << state.0 != 0
    }

    /// Whether it has no state.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its states, in the order of the definition.
    pub fn iter(self) -> impl Iterator<Item = StateIx> {
        (0..MAX_STATES)
            .filter_map(StateIx::new)
            .filter(move |state| self.contains(*state))
    }
}

impl FromIterator<StateIx> for StateSet {
    fn from_iter<I: IntoIterator<Item = StateIx>>(states: I) -> Self {
        states.into_iter().fold(Self::default(), Self::with)
    }
}

/// An event of one definition. Never stored, like [`StateIx`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIx(u8);

impl EventIx {
    /// Most events of a definition.
    pub const MAX: usize = 64;

    /// The event of that index, which is below [`EventIx::MAX`]; `None` otherwise.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        let small = u8::try_from(index).ok()?;
        (index < Self::MAX).then_some(Self(small))
    }

    /// The index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of events of one definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventSet(u64);

impl EventSet {
    /// Adds an event.
    pub fn insert(&mut self, event: EventIx) {
        self.0 |= 1 << event.0;
    }

    /// Takes an event out.
    pub fn remove(&mut self, event: EventIx) {
        self.0 &= !(1 << event.0);
    }

    /// Whether the event is in it.
    #[must_use]
    pub fn contains(self, event: EventIx) -> bool {
        self.0 & 1 << event.0 != 0
    }
}

/// How a transition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitionMode {
    /// By itself, whenever an action or a service has the entity tried.
    Automatic,
    /// By name: an operator, a timer or an action asks for its target.
    Manual,
}

/// An action that runs if all of its conditions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct GuardedAction {
    /// Evaluated in the new state, just before the action.
    pub conditions: Vec<Condition>,
    /// What to do.
    pub action: LifecycleAction,
}

/// A transition.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionDef {
    /// The states that it leaves.
    pub from: StateSet,
    /// The state that it enters.
    pub to: StateIx,
    /// How it begins.
    pub mode: TransitionMode,
    /// Evaluated in the old state; all have to hold.
    pub conditions: Vec<Condition>,
    /// Run in this order, in the new state.
    pub actions: Vec<GuardedAction>,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDef {
    /// Its name.
    pub name: Name,
    /// What callers hear of a line item in it; `None` for other entities and for "unspecified".
    pub booking_status: Option<BookingStatus>,
    /// The name of the state in the `oms` interface.
    pub oms_status: Name,
}

/// States and transitions of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityDef {
    /// The state in which it begins.
    pub start: StateIx,
    /// Actions of the start state; no other state has any.
    pub on_start: Vec<GuardedAction>,
    /// All states, by index.
    pub states: Vec<StateDef>,
    /// All transitions, in the order of the file.
    pub transitions: Vec<TransitionDef>,
}

impl EntityDef {
    /// The state of that name.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<StateIx> {
        let index = self.states.iter().position(|it| it.name.as_str() == name)?;
        StateIx::new(index)
    }
}

/// The states that the verbs of the operator's interface lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verbs {
    /// Of a line item: the merchant cannot keep it.
    pub withdraw: StateIx,
    /// Of the order: cancelled.
    pub cancel: StateIx,
    /// Of the order: it goes on without the lost items.
    pub amend: StateIx,
    /// Of the order: the customer did not answer in time.
    pub time_out: StateIx,
    /// Of a fulfillment: on its way.
    pub dispatch: StateIx,
    /// Of a fulfillment: with the customer.
    pub deliver: StateIx,
}

/// A lifecycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: Name,
    /// The entities, in the order of [`Entity::ALL`].
    pub entities: [EntityDef; 4],
    /// The number of the workflow of each entity.
    pub workflows: [u8; 4],
    /// The names of events, by [`EventIx`].
    pub events: Vec<Name>,
    /// The targets of the verbs.
    pub verbs: Verbs,
}

impl Definition {
    /// The states and transitions of an entity.
    #[must_use]
    pub fn entity(&self, entity: Entity) -> &EntityDef {
        &self.entities[entity.index()]
    }

    /// Whether two entities are of one workflow.
    #[must_use]
    pub fn share_workflow(&self, one: Entity, other: Entity) -> bool {
        self.workflows[one.index()] == self.workflows[other.index()]
    }

    /// The name of a state of an entity; `None` for a state of another definition.
    #[must_use]
    pub fn state_name(&self, entity: Entity, state: StateIx) -> Option<&Name> {
        let state = self.entity(entity).states.get(state.index())?;
        Some(&state.name)
    }

    /// What callers hear of a line item in the state of that name; `None` if they hear nothing, or there is no such state.
    #[must_use]
    pub fn booking_status(&self, state: &str) -> Option<BookingStatus> {
        let items = self.entity(Entity::LineItem);
        let known = items.states.iter().find(|it| it.name.as_str() == state)?;
        known.booking_status
    }

    /// The event of that name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<EventIx> {
        let index = self.events.iter().position(|it| it.as_str() == name)?;
        EventIx::new(index)
    }

    /// The manual transition between two states.
    #[must_use]
    pub fn manual(&self, entity: Entity, from: StateIx, to: StateIx) -> Option<&TransitionDef> {
        self.leaving(entity, from)
            .find(|it| it.mode == TransitionMode::Manual && it.to == to)
    }

    /// The transitions that leave a state, in the order of the file.
    pub fn leaving(&self, entity: Entity, from: StateIx) -> impl Iterator<Item = &TransitionDef> {
        let all = self.entity(entity).transitions.iter();
        all.filter(move |it| it.from.contains(from))
    }

    /// All actions, whatever makes them run.
    pub fn actions(&self) -> impl Iterator<Item = &LifecycleAction> {
        self.entities
            .iter()
            .flat_map(|entity| {
                let transitions = entity.transitions.iter().flat_map(|it| &it.actions);
                entity.on_start.iter().chain(transitions)
            })
            .map(|guarded| &guarded.action)
    }

    /// The targets of manual transitions from a state.
    #[must_use]
    pub fn targets(&self, part: OrderPart, from: StateIx) -> StateSet {
        let leaving = self.leaving(part.entity, from);
        leaving
            .filter(|it| it.mode == TransitionMode::Manual)
            .map(|it| it.to)
            .collect()
    }
}
