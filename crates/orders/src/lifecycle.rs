//! The lifecycle in force, and its states that operations lead to.

use std::sync::Arc;

use super::begin::UsualBeginnings;
use domain::{
    lifecycle::{Definition, Entity, StateIx},
    order::BookingStatus,
};

/// A definition, with the number by which the history names it.
#[derive(Debug)]
pub(super) struct ActiveLifecycle {
    pub(super) number: u32,
    pub(super) definition: Arc<Definition>,
    /// How most orders begin by it.
    pub(super) usual: UsualBeginnings,
}

impl ActiveLifecycle {
    /// A definition of that number.
    pub(super) fn new(number: u32, definition: Arc<Definition>) -> Self {
        Self {
            number,
            definition,
            usual: UsualBeginnings::default(),
        }
    }

    /// The first state of a line item of which callers hear that status, other than that of a withdrawal.
    pub(super) fn item_state(&self, status: BookingStatus) -> Option<StateIx> {
        let states = &self.definition.entity(Entity::LineItem).states;
        for (index, state) in states.iter().enumerate() {
            let index = StateIx::new(index)?;
            if state.booking_status == Some(status) && index != self.definition.verbs.withdraw {
                return Some(index);
            }
        }
        None
    }

    /// Of what callers hear of a line item in a state.
    pub(super) fn status_of(&self, state: StateIx) -> Option<BookingStatus> {
        let states = &self.definition.entity(Entity::LineItem).states;
        states.get(state.index())?.booking_status
    }

    /// Whether an order in that state waits for its customer: then it may time out.
    pub(super) fn awaits_customer(&self, state: StateIx) -> bool {
        let time_out = self.definition.verbs.time_out;
        let transition = self.definition.manual(Entity::Order, state, time_out);
        transition.is_some()
    }
}
