//! What could be asked for of an order, by dry runs.

use domain::{
    lifecycle::{Entity, OrderPart, StateIx, Trigger},
    money::Percent,
    refunds::RefundShare,
};
use store::StoredOrder;

use super::{error::ChangeError, present::PresentOrder};
use crate::App;

/// A change of state that could be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextState {
    /// The part that changes.
    pub part: OrderPart,
    /// The state that it would be in.
    pub to: String,
    /// The operation that leads there.
    pub action: OrderAction,
    /// Why it cannot be asked for now; `None` if it can.
    pub why_not: Option<ChangeError>,
}

/// The operation that leads to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAction {
    /// [`super::OrderChange::Cancel`] of the whole order.
    Cancel,
    /// The customer's decision to amend.
    Amend,
    /// [`super::OrderChange::Withdraw`].
    Withdraw,
    /// Any other: [`super::OrderChange::ChangeState`].
    ChangeState,
}

impl App {
    /// The changes of state that the lifecycle has from where an order stands, part by part, each with the reason for which
    /// it cannot be made now, if there is one. Nothing changes.
    ///
    /// # Errors
    /// [`ChangeError::Lifecycle`] if the lifecycle does not know the states of the order.
    pub fn next_states(&self, stored: &StoredOrder) -> Result<Vec<NextState>, ChangeError> {
        let lifecycle = self.lifecycle();
        let present = PresentOrder::new(self, &lifecycle, stored)?;
        let mut next = Vec::new();
        for part in present.parts() {
            let Some(state) = present.tree.state_of(part) else {
                continue;
            };
            for to in present.lifecycle.definition().targets(part, state).iter() {
                next.push(present.next(part, to));
            }
        }
        Ok(next)
    }
}

impl PresentOrder<'_> {
    fn parts(&self) -> Vec<OrderPart> {
        let tree = &self.tree;
        let counts = [
            (Entity::Order, 1),
            (Entity::LineItem, tree.items.len()),
            (Entity::Fulfillment, tree.fulfillments.len()),
            (Entity::Refund, tree.refunds.len()),
        ];
        let mut parts = Vec::new();
        for (entity, count) in counts {
            for index in (0..).take(count) {
                parts.push(OrderPart { entity, index });
            }
        }
        parts
    }

    fn next(&self, part: OrderPart, to: StateIx) -> NextState {
        let transition = Trigger::Transition {
            part,
            from: None,
            to,
            reason: None,
            // Without terms of the sale the caller has to say how much, which is no reason not to ask.
            refund: Some(RefundShare::Percent(Percent::FULL)),
        };
        let definition = self.lifecycle.definition();
        NextState {
            part,
            to: definition.name_of(part.entity, to).as_str().to_owned(),
            action: self.action(part, to),
            why_not: self.after(vec![transition]).err(),
        }
    }

    fn action(&self, part: OrderPart, to: StateIx) -> OrderAction {
        let verbs = &self.lifecycle.definition().verbs;
        match part.entity {
            Entity::Order if to == verbs.cancel => OrderAction::Cancel,
            Entity::Order if to == verbs.amend => OrderAction::Amend,
            Entity::LineItem if to == verbs.withdraw => OrderAction::Withdraw,
            Entity::Order | Entity::LineItem | Entity::Fulfillment | Entity::Refund => {
                OrderAction::ChangeState
            }
        }
    }
}
