//! What could be asked for of an order, by dry runs.

use domain::{
    lifecycle::{Entity, OrderPart, RunOutcome, StateIx, Trigger},
    money::Percent,
    order::BookingStatus,
    refunds::{RefundCause, RefundShare},
};
use store::StoredOrder;

use super::{change::RefundChoice, error::ChangeError, present::PresentOrder};
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
    /// What may or has to be said of the money.
    pub refund: RefundInput,
    /// Why it cannot be asked for now; `None` if it can.
    pub why_not: Option<ChangeError>,
}

/// What may be said of the money with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundInput {
    /// Nothing: the lifecycle decides, or there is no money here.
    None,
    /// How much goes back; by default what the refund terms of the sale say.
    Optional,
    /// How much goes back: the sale had no refund terms.
    Required,
}

/// The operation that leads to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAction {
    /// [`super::OrderChange::Cancel`] of the order or of the item.
    Cancel,
    /// The customer's decision to amend.
    Amend,
    /// [`super::OrderChange::Withdraw`].
    Withdraw,
    /// [`super::OrderChange::Confirm`]: the merchant confirms.
    Confirm,
    /// [`super::OrderChange::Confirm`]: the merchant declines.
    Decline,
    /// [`super::OrderChange::MarkNoShow`].
    MarkNoShow,
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
        // Without terms of the sale the caller has to say how much, which is no reason not to ask.
        let full = RefundShare::Percent(Percent::FULL);
        let definition = self.lifecycle.definition();
        let action = self.action(part, to);
        NextState {
            part,
            to: definition.name_of(part.entity, to).as_str().to_owned(),
            action,
            refund: self.refund_input(part, action),
            why_not: self.moved(part, to, full).err(),
        }
    }

    /// What becomes of the order if a part of it is moved.
    fn moved(
        &self,
        part: OrderPart,
        to: StateIx,
        refund: RefundShare,
    ) -> Result<RunOutcome, ChangeError> {
        self.after(vec![Trigger::Transition {
            part,
            from: None,
            to,
            reason: None,
            refund: Some(refund),
        }])
    }

    fn action(&self, part: OrderPart, to: StateIx) -> OrderAction {
        let verbs = &self.lifecycle.definition().verbs;
        match part.entity {
            Entity::Order if to == verbs.cancel => OrderAction::Cancel,
            Entity::Order if to == verbs.amend => OrderAction::Amend,
            Entity::LineItem if to == verbs.withdraw => OrderAction::Withdraw,
            Entity::LineItem => self.item_action(part, to),
            Entity::Order | Entity::Fulfillment | Entity::Refund => OrderAction::ChangeState,
        }
    }

    /// The operation that leads an item to a state: the one that chooses the state by the same status.
    fn item_action(&self, item: OrderPart, to: StateIx) -> OrderAction {
        let status = self.lifecycle.status_of(to);
        let is_chosen = status.is_some_and(|status| self.lifecycle.item_state(status) == Some(to));
        if !is_chosen {
            return OrderAction::ChangeState;
        }
        let is_pending = self.is_pending(item.index);
        match status {
            Some(BookingStatus::Canceled) => OrderAction::Cancel,
            Some(BookingStatus::NoShow) => OrderAction::MarkNoShow,
            Some(BookingStatus::Confirmed) if is_pending => OrderAction::Confirm,
            Some(BookingStatus::DeclinedByMerchant) if is_pending => OrderAction::Decline,
            Some(
                BookingStatus::Confirmed
                | BookingStatus::DeclinedByMerchant
                | BookingStatus::PendingMerchantConfirmation
                | BookingStatus::NoShowPenalized
                | BookingStatus::Failed,
            )
            | None => OrderAction::ChangeState,
        }
    }

    /// What may be said of the money. Where the customer was asked, the withdrawal has decided that.
    fn refund_input(&self, part: OrderPart, action: OrderAction) -> RefundInput {
        let is_decided = self.lifecycle.awaits_customer(self.tree.state);
        let has_money = !self.tree.ledger.refundable().is_zero();
        if action != OrderAction::Cancel || is_decided || !has_money {
            return RefundInput::None;
        }
        let items = match part.entity {
            Entity::LineItem => vec![part.index],
            Entity::Order | Entity::Fulfillment | Entity::Refund => self.all_items(),
        };
        match self.after(vec![self.give_back(
            items,
            RefundChoice::Policy,
            RefundCause::Customer,
        )]) {
            Err(ChangeError::NoPolicy { .. }) => RefundInput::Required,
            Ok(_) | Err(_) => RefundInput::Optional,
        }
    }
}
