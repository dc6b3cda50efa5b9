//! From what is asked for to triggers of the lifecycle.

use std::cmp::Ordering;

use domain::{
    ledger::PaidBy,
    lifecycle::{
        Entity, Name, OrderPart, RunOutcome, Spots, StateIx, StepAnswer, StepKind, StepResult,
        Trigger,
    },
    money::{Money, Percent},
    order::BookingStatus,
    refunds::{RefundCause, RefundShare},
};
use store::UpdateCause;

use super::{
    change::{CustomerDecision, MerchantDecision, OrderChange, RefundChoice},
    error::{ChangeError, InvalidField},
    present::PresentOrder,
};

/// The reason of what is the customer's doing, by which the lifecycle gives back what the policy says.
const BY_CUSTOMER: &str = "customer";

/// The reason of what is the merchant's doing.
const BY_MERCHANT: &str = "merchant";

/// How a step stands that has no good end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepStanding {
    /// It has no outcome.
    Open,
    /// It was given up.
    GivenUp,
}

impl PresentOrder<'_> {
    /// The triggers of a change, and whose doing it is.
    pub(super) fn plan(&self, change: &OrderChange) -> Result<Vec<Trigger>, ChangeError> {
        match change {
            OrderChange::Cancel { items, refund, .. } => {
                let items = self.known(items)?;
                self.check_payee(change)?;
                self.check_amount(*refund)?;
                Ok(self.cancel(&items, *refund)?)
            }
            OrderChange::Refund { items, refund, .. } => {
                let mut items = self.known(items)?;
                self.check_payee(change)?;
                self.check_amount(*refund)?;
                // An amount without items is of the order as a whole, and later refunds of its items do not count it.
                if items.is_empty() && !matches!(refund, RefundChoice::Amount(_)) {
                    items = self.all_items();
                }
                let cause = self.cause_of_refund(&items, *refund);
                Ok(vec![self.give_back(items, *refund, cause)])
            }
            OrderChange::Withdraw { items, .. } => Ok(self.withdraw(self.asked(items)?)),
            OrderChange::CustomerAction(decision) => self.customer_action(*decision),
            OrderChange::MarkNoShow { items } => {
                let state = self.item_state(BookingStatus::NoShow, "absent")?;
                Ok(moves(&self.asked(items)?, state, None))
            }
            OrderChange::Confirm {
                items, decision, ..
            } => self.confirm(items, *decision),
            OrderChange::ChangeState { part, from, to, .. } => {
                self.change_state(*part, from.as_deref(), to)
            }
            OrderChange::AbandonStep { step, .. } => Ok(vec![match self.step(*step)? {
                StepStanding::Open => Trigger::StepEnded {
                    number: *step,
                    answer: StepAnswer::of(StepResult::Failed),
                },
                StepStanding::GivenUp => Trigger::LeftAlone { number: *step },
            }]),
            OrderChange::RetryStep { step } => Ok(match self.step(*step)? {
                // It is open, and only begins now.
                StepStanding::Open => Vec::new(),
                StepStanding::GivenUp => vec![Trigger::Retried { number: *step }],
            }),
            OrderChange::AddNote { .. } => Ok(Vec::new()),
        }
    }

    fn cancel(&self, items: &[u16], refund: RefundChoice) -> Result<Vec<Trigger>, ChangeError> {
        let reason = reason_of(refund);
        if items.is_empty() || self.are_all_left(items) {
            return Ok(vec![Trigger::Transition {
                part: OrderPart::ORDER,
                from: None,
                to: self.lifecycle.definition().verbs.cancel,
                reason: Some(reason),
                refund: Some(self.share(refund)),
            }]);
        }
        let state = self.item_state(BookingStatus::Canceled, "cancelled")?;
        let mut triggers = moves(items, state, Some(&reason));
        if refund != RefundChoice::Nothing {
            let cause = match refund {
                RefundChoice::Full => RefundCause::Merchant,
                RefundChoice::Policy | RefundChoice::Nothing | RefundChoice::Amount(_) => {
                    RefundCause::Customer
                }
            };
            triggers.push(self.give_back(items.to_vec(), refund, cause));
        }
        Ok(triggers)
    }

    /// What was sold is taken back, and what waits for the merchant is declined: nobody has been promised it.
    fn withdraw(&self, items: Vec<u16>) -> Vec<Trigger> {
        let (mut sold, mut declined) = (Vec::new(), Vec::new());
        for item in items {
            if self.can_be_declined(item) {
                declined.push(item);
            } else {
                sold.push(item);
            }
        }
        let mut triggers = Vec::new();
        if let Some(state) = self.declined() {
            triggers.extend(self.decline(declined, state));
        }
        let to = self.lifecycle.definition().verbs.withdraw;
        triggers.extend(moves(&sold, to, Some(&Name::from(BY_MERCHANT))));
        triggers
    }

    /// Declines items that wait for the merchant.
    fn decline(&self, items: Vec<u16>, state: StateIx) -> Vec<Trigger> {
        let mut triggers = moves(&items, state, Some(&Name::from(BY_MERCHANT)));
        if !items.is_empty() {
            // What the lifecycle has given back by then is not given back again.
            triggers.push(self.give_back(items, RefundChoice::Full, RefundCause::Merchant));
        }
        triggers
    }

    /// The state of a line item that the merchant has declined.
    fn declined(&self) -> Option<StateIx> {
        self.lifecycle.item_state(BookingStatus::DeclinedByMerchant)
    }

    /// Whether an item waits for the merchant, who may decline it.
    fn can_be_declined(&self, item: u16) -> bool {
        let now = self.tree.items.get(usize::from(item));
        let leads_there = now.zip(self.declined()).is_some_and(|(now, declined)| {
            let definition = self.lifecycle.definition();
            let transition = definition.manual(Entity::LineItem, now.state, declined);
            transition.is_some()
        });
        self.is_pending(item) && leads_there
    }

    fn customer_action(&self, decision: CustomerDecision) -> Result<Vec<Trigger>, ChangeError> {
        if !self.lifecycle.awaits_customer(self.tree.state) {
            return Err(ChangeError::NotAwaited);
        }
        let verbs = &self.lifecycle.definition().verbs;
        let to = match decision {
            CustomerDecision::Amend => verbs.amend,
            CustomerDecision::Cancel => verbs.cancel,
        };
        Ok(vec![Trigger::Transition {
            part: OrderPart::ORDER,
            from: None,
            to,
            // That of the withdrawal stays: money goes back by it.
            reason: None,
            refund: None,
        }])
    }

    fn confirm(
        &self,
        items: &[u32],
        decision: MerchantDecision,
    ) -> Result<Vec<Trigger>, ChangeError> {
        let mut items = self.known(items)?;
        if items.is_empty() {
            items = self.all_items();
            items.retain(|item| self.is_pending(*item));
        }
        if items.is_empty() || !items.iter().all(|item| self.is_pending(*item)) {
            return Err(ChangeError::NothingToConfirm);
        }
        Ok(match decision {
            MerchantDecision::Confirm => {
                let state = self.item_state(BookingStatus::Confirmed, "confirmed")?;
                moves(&items, state, None)
            }
            MerchantDecision::Decline => {
                let state = self.item_state(BookingStatus::DeclinedByMerchant, "declined")?;
                self.decline(items, state)
            }
        })
    }

    fn change_state(
        &self,
        part: OrderPart,
        from: Option<&str>,
        to: &str,
    ) -> Result<Vec<Trigger>, ChangeError> {
        let from = match from {
            Some(from) => Some(self.state(part.entity, from, "from_state")?),
            None => None,
        };
        Ok(vec![Trigger::Transition {
            part,
            from,
            to: self.state(part.entity, to, "to_state")?,
            reason: None,
            refund: None,
        }])
    }

    pub(super) fn give_back(
        &self,
        items: Vec<u16>,
        refund: RefundChoice,
        cause: RefundCause,
    ) -> Trigger {
        Trigger::GiveBack {
            items,
            share: self.share(refund),
            cause,
        }
    }

    /// Who causes a refund of items, or of the order as a whole, that cancels nothing.
    fn cause_of_refund(&self, items: &[u16], refund: RefundChoice) -> RefundCause {
        let all = self.all_items();
        let concerned = if items.is_empty() { &all } else { items };
        if refund == RefundChoice::Full {
            RefundCause::Merchant
        } else if concerned.iter().any(|item| self.is_held(*item)) {
            RefundCause::Goodwill
        } else {
            RefundCause::Customer
        }
    }

    fn share(&self, refund: RefundChoice) -> RefundShare {
        match refund {
            RefundChoice::Policy => RefundShare::Policy,
            RefundChoice::Full => RefundShare::Percent(Percent::FULL),
            // Not a share of zero: fees may go back whatever the share is.
            RefundChoice::Nothing => {
                RefundShare::Amount(Money::zero(self.tree.ledger.due().currency()))
            }
            RefundChoice::Amount(amount) => RefundShare::Amount(amount),
        }
    }

    /// The state of a line item of which callers hear that status.
    fn item_state(
        &self,
        status: BookingStatus,
        described: &'static str,
    ) -> Result<StateIx, ChangeError> {
        let state = self.lifecycle.item_state(status);
        state.ok_or(ChangeError::NoSuchState(described))
    }

    fn state(
        &self,
        entity: Entity,
        name: &str,
        field: &'static str,
    ) -> Result<StateIx, ChangeError> {
        let entity_def = self.lifecycle.definition().entity(entity);
        entity_def.state(name).ok_or_else(|| {
            let states = entity_def.states.iter();
            let states: Vec<&str> = states.map(|state| state.name.as_str()).collect();
            let rule = format!(
                "is no state of {}; states are {}",
                entity.name(),
                states.join(", ")
            );
            ChangeError::Invalid(vec![InvalidField::new(field, rule)])
        })
    }

    /// How a step stands that has no good end.
    pub(super) fn step(&self, number: u16) -> Result<StepStanding, ChangeError> {
        let (mut open, mut given_up) = (self.tree.steps.iter(), self.tree.given_up.iter());
        if open.any(|step| step.number == number) {
            Ok(StepStanding::Open)
        } else if given_up.any(|given_up| given_up.step.number == number) {
            Ok(StepStanding::GivenUp)
        } else {
            Err(ChangeError::NoStep(number))
        }
    }

    /// The items of a request, each of which has to be there.
    fn known(&self, items: &[u32]) -> Result<Vec<u16>, ChangeError> {
        let mut known = Vec::with_capacity(items.len());
        for item in items {
            let index = u16::try_from(*item);
            match index {
                Ok(index) if usize::from(index) < self.tree.items.len() => known.push(index),
                Ok(_) | Err(_) => {
                    let rule = format!("names item {item}, and the order has none");
                    let invalid = vec![InvalidField::new("items", rule)];
                    return Err(ChangeError::Invalid(invalid));
                }
            }
        }
        Ok(known)
    }

    /// The items of a request, and all whose spots are held where it names none.
    fn asked(&self, items: &[u32]) -> Result<Vec<u16>, ChangeError> {
        let known = self.known(items)?;
        if !known.is_empty() {
            return Ok(known);
        }
        let mut left = self.all_items();
        left.retain(|item| self.is_held(*item));
        if left.is_empty() {
            let invalid = InvalidField::new("items", "is empty, and no item is left");
            return Err(ChangeError::Invalid(vec![invalid]));
        }
        Ok(left)
    }

    pub(super) fn all_items(&self) -> Vec<u16> {
        (0..).take(self.tree.items.len()).collect()
    }

    fn is_held(&self, item: u16) -> bool {
        let item = self.tree.items.get(usize::from(item));
        item.is_some_and(|item| item.spots == Spots::Held)
    }

    pub(super) fn is_pending(&self, item: u16) -> bool {
        let item = self.tree.items.get(usize::from(item));
        let status = item.and_then(|item| self.lifecycle.status_of(item.state));
        status == Some(BookingStatus::PendingMerchantConfirmation)
    }

    /// Whether these are all items whose spots are held, and no other.
    fn are_all_left(&self, items: &[u16]) -> bool {
        let mut left = self.all_items();
        left.retain(|item| self.is_held(*item));
        let mut items = items.to_vec();
        items.sort_unstable();
        left == items
    }

    /// What Google has taken is Google's to give back. Without a word of money an order can be cancelled all the same.
    fn check_payee(&self, change: &OrderChange) -> Result<(), ChangeError> {
        let is_refund = matches!(change, OrderChange::Refund { .. });
        let is_money_asked = match change.refund() {
            Some(RefundChoice::Full | RefundChoice::Amount(_)) => true,
            Some(RefundChoice::Policy) => is_refund,
            Some(RefundChoice::Nothing) | None => false,
        };
        if is_money_asked && self.tree.ledger.paid_by() == PaidBy::Google {
            return Err(ChangeError::PaidToGoogle);
        }
        Ok(())
    }

    /// An amount that people have decided is given back as it is, or not at all.
    fn check_amount(&self, refund: RefundChoice) -> Result<(), ChangeError> {
        let RefundChoice::Amount(amount) = refund else {
            return Ok(());
        };
        let available = self.tree.ledger.refundable();
        if available.is_zero() {
            return Err(ChangeError::NothingToRefund);
        }
        match amount.compare(available) {
            None => Err(ChangeError::OtherCurrency(available.currency().code())),
            Some(order) if order.is_gt() => Err(ChangeError::AmountTooHigh { available }),
            Some(_) => Ok(()),
        }
    }

    /// Whether the outcome gives back what was asked for. A lifecycle may give back more than a caller wants, and money
    /// is not guessed.
    pub(super) fn check_refund(
        &self,
        change: &OrderChange,
        outcome: &RunOutcome,
    ) -> Result<(), ChangeError> {
        let given = self.given_back(outcome)?;
        let expected = match change.refund() {
            Some(RefundChoice::Amount(amount)) => amount,
            Some(RefundChoice::Nothing) => Money::zero(given.currency()),
            Some(RefundChoice::Policy | RefundChoice::Full) => {
                let is_refund = matches!(change, OrderChange::Refund { .. });
                if is_refund && given.is_zero() {
                    return Err(ChangeError::NothingToRefund);
                }
                return Ok(());
            }
            None => return Ok(()),
        };
        if given == expected {
            Ok(())
        } else if given.compare(expected).is_some_and(Ordering::is_gt) {
            Err(ChangeError::OtherAmount { given })
        } else {
            // Less is left of the items than of the order.
            Err(ChangeError::AmountTooHigh { available: given })
        }
    }

    /// What a run gives back, or has not captured.
    fn given_back(&self, outcome: &RunOutcome) -> Result<Money, ChangeError> {
        let (before, after) = (&self.tree, &outcome.tree);
        let refunds = after.refunds.iter().skip(before.refunds.len());
        let refunds = refunds.map(|refund| refund.amount.total);
        let reductions = after.reductions.iter().skip(before.reductions.len());
        let reductions = reductions.map(|amount| amount.total);
        let voids = after
            .steps
            .iter()
            .filter(|step| step.kind == StepKind::Void && step.number > before.launches);
        let voids = voids.filter_map(|step| step.amount);
        let mut sum = Money::zero(after.ledger.due().currency());
        for amount in refunds.chain(reductions).chain(voids) {
            let added = sum.plus(amount);
            sum = added.map_err(|error| ChangeError::Lifecycle(error.to_string()))?;
        }
        Ok(sum)
    }
}

/// Whose doing a change is.
pub(super) fn cause_of(change: &OrderChange) -> UpdateCause {
    match change {
        OrderChange::CustomerAction(_) => UpdateCause::Customer,
        OrderChange::Withdraw { .. } | OrderChange::Confirm { .. } => UpdateCause::Merchant,
        OrderChange::Cancel { .. }
        | OrderChange::Refund { .. }
        | OrderChange::MarkNoShow { .. }
        | OrderChange::ChangeState { .. }
        | OrderChange::AddNote { .. }
        | OrderChange::RetryStep { .. }
        | OrderChange::AbandonStep { .. } => UpdateCause::Operator,
    }
}

/// A cancellation that the merchant pays for is the merchant's doing.
fn reason_of(refund: RefundChoice) -> Name {
    Name::from(match refund {
        RefundChoice::Full => BY_MERCHANT,
        RefundChoice::Policy | RefundChoice::Nothing | RefundChoice::Amount(_) => BY_CUSTOMER,
    })
}

/// Moves items to a state, one after another.
fn moves(items: &[u16], to: StateIx, reason: Option<&Name>) -> Vec<Trigger> {
    let mut triggers = Vec::with_capacity(items.len());
    for item in items {
        triggers.push(Trigger::Transition {
            part: OrderPart::item(*item),
            from: None,
            to,
            reason: reason.cloned(),
            refund: None,
        });
    }
    triggers
}
