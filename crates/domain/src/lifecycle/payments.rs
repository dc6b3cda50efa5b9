//! Actions that move money, and what the outcomes of steps mean for the ledger.

use smallvec::SmallVec;

use super::{
    ActionError, Effect, LaunchTime, OpenStep, OrderPart, PaymentMove, PercentRule, Refund,
    RefundScope, Refused, StepAnswer, StepKind, StepResult,
    actions::index_of,
    run::{Later, Run},
};
use crate::{
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentStatus},
    money::Money,
    refunds::{self, RefundAmount, RefundAsked, RefundCause, RefundRequest, RefundShare},
    shipment::{Shipment, ShipmentStatus},
};

/// The money that a step moves.
pub(super) enum StepMoney {
    /// It does other work.
    NotItsWork,
    /// That much.
    Amount(Money),
    /// There is none to move, so that the step is not opened.
    NothingLeft,
}

/// The reason that makes a cancellation the customer's; any other is the merchant's doing.
const OF_CUSTOMER: &str = "customer";

impl Run<'_> {
    /// Appends an entry to the ledger.
    pub(super) fn append(&mut self, part: OrderPart, entry: LedgerEntry) -> Result<(), Refused> {
        self.is_touched = true;
        let result = self.tree.ledger.append(entry);
        result.map_err(|error| Self::failed(part, error))
    }

    fn note(
        &mut self,
        part: OrderPart,
        kind: LedgerKind,
        amount: Money,
        refund: Option<u16>,
    ) -> Result<(), Refused> {
        let mut entry = LedgerEntry::new(kind, amount, self.facts.now);
        entry.refund = refund;
        self.append(part, entry)
    }

    /// Runs `create_payment_execution`.
    pub(super) fn pay(&mut self, part: OrderPart, direction: PaymentMove) -> Result<(), Refused> {
        let (scope, percent) = match direction {
            PaymentMove::Capture => {
                return self.launch(OrderPart::ORDER, &StepKind::Capture, LaunchTime::Now);
            }
            PaymentMove::Refund { scope, percent } => (scope, percent),
        };
        let mut items = match scope {
            RefundScope::All | RefundScope::CancelledItems => self.tree.all_items(),
            RefundScope::MovedItems => self.moved_items(),
            RefundScope::Own => self.tree.items_of(part),
        };
        if matches!(scope, RefundScope::CancelledItems | RefundScope::MovedItems) {
            items.retain(|item| !self.tree.is_held(*item));
        }
        let items: SmallVec<[u16; 8]> = items.iter().map(|item| item.index).collect();
        let share = match percent {
            PercentRule::Policy => RefundShare::Policy,
            PercentRule::Fixed(percent) => RefundShare::Percent(percent),
        };
        let share = self.refund.unwrap_or(share);
        let reason = self.tree.reason.as_ref();
        let cause = if reason.is_some_and(|reason| reason.as_str() == OF_CUSTOMER) {
            RefundCause::Customer
        } else {
            RefundCause::Merchant
        };
        self.give_back(part, &items, share, cause)
    }

    /// Gives money back: a refund of what was captured, less to capture of what is only authorized. Money
    /// that somebody else has taken is theirs to give back.
    pub(super) fn give_back(
        &mut self,
        part: OrderPart,
        items: &[u16],
        share: RefundShare,
        cause: RefundCause,
    ) -> Result<(), Refused> {
        let ledger = &self.tree.ledger;
        let is_captured = !ledger.balance().captured.is_zero();
        let available = if is_captured {
            ledger.refundable()
        } else {
            ledger.capturable()
        };
        if ledger.paid_by() != PaidBy::Partner || available.is_zero() {
            return Ok(());
        }
        let amount = self.refund_amount(items, share, cause, available);
        let amount = amount.map_err(|error| Self::failed(part, error))?;
        if amount.total.is_zero() {
            return Ok(());
        }
        if is_captured {
            self.create_refund(part, amount, cause)
        } else if amount.total == available {
            self.void()
        } else {
            self.reduce(part, amount)
        }
    }

    /// Has less captured than was authorized.
    fn reduce(&mut self, part: OrderPart, amount: RefundAmount) -> Result<(), Refused> {
        self.note(part, LedgerKind::Reduced, amount.total, None)?;
        self.tree.reductions.push(amount);
        let open = self.tree.open_step(OrderPart::ORDER, &StepKind::Capture);
        let Some(due) = open.map(|step| step.due) else {
            return Ok(());
        };
        // Anew, under another number: a step keeps the amount that its key was first used with.
        self.cancel_steps(OrderPart::ORDER, &StepKind::Capture);
        let result = self.open(OrderPart::ORDER, &StepKind::Capture, due);
        result.map_err(|error| Self::failed(part, error))
    }

    fn refund_amount(
        &self,
        items: &[u16],
        share: RefundShare,
        cause: RefundCause,
        available: Money,
    ) -> Result<RefundAmount, ActionError> {
        let bill = self.facts.bill.ok_or(ActionError::NoBill)?;
        let mut asked = Vec::with_capacity(items.len());
        for &item in items {
            let facts = self.facts.items.get(usize::from(item));
            let start = facts.ok_or(ActionError::NoFacts)?.start;
            asked.push(RefundAsked {
                item,
                before_start: start.since(self.facts.now),
            });
        }
        let earlier = self.earlier();
        let amount = refunds::refund(&RefundRequest {
            bill,
            items: &asked,
            share,
            cause,
            fees: self.facts.refund_fees,
            earlier: &earlier,
            available,
        });
        Ok(amount?)
    }

    /// What counts as given back: refunds that have failed have given back nothing.
    fn earlier(&self) -> Vec<&RefundAmount> {
        let ledger = &self.tree.ledger;
        let refunds = (0..).zip(&self.tree.refunds);
        let counted = refunds.filter(|(index, _)| ledger.counts(*index));
        let counted = counted.map(|(_, refund)| &refund.amount);
        counted.chain(&self.tree.reductions).collect()
    }

    /// A refund, which begins in its own workflow once this one is done.
    fn create_refund(
        &mut self,
        part: OrderPart,
        amount: RefundAmount,
        cause: RefundCause,
    ) -> Result<(), Refused> {
        let index = index_of(self.tree.refunds.len()).map_err(|it| Self::failed(part, it))?;
        // At once, so that what follows in this run cannot give the same money back again.
        self.note(part, LedgerKind::RefundRequested, amount.total, Some(index))?;
        self.tree.refunds.push(Refund {
            state: self.refund_start(),
            amount,
            cause,
        });
        let refund = OrderPart::refund(index);
        if self.def.share_workflow(part.entity, refund.entity) {
            return self.enter(refund);
        }
        self.later.push_back(Later::Enter(refund));
        Ok(())
    }

    fn void(&mut self) -> Result<(), Refused> {
        // A capture that is under way would take what is to be let go of.
        self.cancel_steps(OrderPart::ORDER, &StepKind::Capture);
        self.launch(OrderPart::ORDER, &StepKind::Void, LaunchTime::Now)
    }

    /// Runs `cancel_payment_operations`.
    pub(super) fn cancel_payments(&mut self, part: OrderPart) -> Result<(), Refused> {
        // Nobody charges for what is cancelled.
        self.forget_given_up(OrderPart::ORDER, &StepKind::Charge);
        let mut steps = self.tree.steps.iter_mut();
        if let Some(charge) = steps.find(|step| step.kind == StepKind::Charge) {
            charge.kind = StepKind::ReverseCharge;
            let number = charge.number;
            self.effects.push(Effect::Reverse { number });
        } else if self.tree.ledger.status() == PaymentStatus::InDoubt {
            self.launch(OrderPart::ORDER, &StepKind::ReverseCharge, LaunchTime::Now)?;
        }
        self.let_go(part)
    }

    /// Voids what is authorized and gives back all that was captured.
    fn let_go(&mut self, part: OrderPart) -> Result<(), Refused> {
        if !self.tree.ledger.balance().authorized.is_zero() {
            self.void()?;
        }
        let rest = self.tree.ledger.refundable();
        if rest.is_zero() {
            return Ok(());
        }
        let amount = RefundAmount {
            total: rest,
            items: Vec::new(),
            order_fees: Money::zero(rest.currency()),
        };
        self.create_refund(part, amount, RefundCause::Merchant)
    }

    /// The money that a step moves.
    pub(super) fn step_money(
        &mut self,
        part: OrderPart,
        kind: &StepKind,
    ) -> Result<StepMoney, ActionError> {
        let amount = match kind {
            StepKind::Charge => self.charge_amount()?,
            StepKind::Capture => self.tree.ledger.capturable(),
            StepKind::Void => self.tree.ledger.balance().authorized,
            StepKind::Refund => self.refund_of_step(part)?,
            StepKind::ReverseCharge => return Ok(StepMoney::Amount(self.tree.ledger.due())),
            StepKind::BookDelivery
            | StepKind::CancelDelivery
            | StepKind::EraseCustomer
            | StepKind::Custom(_) => {
                return Ok(StepMoney::NotItsWork);
            }
        };
        Ok(if amount.is_zero() {
            StepMoney::NothingLeft
        } else {
            StepMoney::Amount(amount)
        })
    }

    /// What a charge takes; nothing where money was taken already or is not ours to take.
    fn charge_amount(&mut self) -> Result<Money, ActionError> {
        let nothing = Money::zero(self.tree.ledger.due().currency());
        let ledger = &self.tree.ledger;
        // First of all: most orders are paid elsewhere, and their bill need not be added up.
        if ledger.paid_by() != PaidBy::Partner || !ledger.is_untouched() {
            return Ok(nothing);
        }
        if let Some(bill) = self.facts.bill {
            // Items that are lost by now are not charged.
            let due = bill.total_of(|item| {
                let item = self.tree.items.get(item);
                item.is_some_and(|item| item.spots == super::Spots::Held)
            })?;
            self.tree.ledger.bill(due);
        }
        match self.tree.ledger.status() {
            PaymentStatus::NotRequired => Ok(nothing),
            PaymentStatus::Pending
            | PaymentStatus::Authorized
            | PaymentStatus::Captured
            | PaymentStatus::Declined
            | PaymentStatus::Refunded
            | PaymentStatus::InDoubt => Ok(self.tree.ledger.due()),
        }
    }

    /// What a refund gives back. One that had failed is requested anew, whole or not at all: it has an amount that people
    /// have seen, and other refunds may have given back its money since.
    fn refund_of_step(&mut self, part: OrderPart) -> Result<Money, ActionError> {
        let ledger = &self.tree.ledger;
        let requested = ledger.requested_of(part.index);
        let Some(refund) = self.tree.refunds.get(usize::from(part.index)) else {
            return Ok(requested);
        };
        let is_given = ledger.is_refunded(part.index);
        if !requested.is_zero() || is_given {
            return Ok(requested);
        }
        let again = refund.amount.total;
        let (bill, available) = (self.facts.bill, ledger.refundable());
        refunds::check_left(bill, &refund.amount, &self.earlier(), available)?;
        let mut entry = LedgerEntry::new(LedgerKind::RefundRequested, again, self.facts.now);
        entry.refund = Some(part.index);
        self.tree.ledger.append(entry)?;
        Ok(again)
    }

    /// What the outcome of a step means.
    pub(super) fn settle(&mut self, step: &OpenStep, answer: StepAnswer) -> Result<(), Refused> {
        let refund = (step.kind == StepKind::Refund).then_some(step.part.index);
        if let Some(mut entry) = answer.entry {
            entry.refund = refund;
            self.append(step.part, entry)?;
        } else if let (Some(kind), Some(amount)) = (usual(&step.kind, answer.result), step.amount) {
            self.note(step.part, kind, amount, refund)?;
        }
        match (&step.kind, answer.result) {
            (StepKind::BookDelivery, StepResult::Done) => {
                self.booked(step.part, answer.reference);
                Ok(())
            }
            (StepKind::CancelDelivery, StepResult::Done) => {
                let found = self.tree.fulfillments.get_mut(usize::from(step.part.index));
                if let Some(found) = found {
                    found.shipment = None;
                }
                Ok(())
            }
            // A charge that was to be undone and has taken money all the same.
            (StepKind::ReverseCharge, _) => self.let_go(step.part),
            _ => Ok(()),
        }
    }

    fn booked(&mut self, part: OrderPart, reference: Option<String>) {
        let found = self.tree.fulfillments.get_mut(usize::from(part.index));
        if let (Some(found), Some(reference)) = (found, reference)
            && found.shipment.is_none()
        {
            found.shipment = Some(Shipment {
                reference,
                status: ShipmentStatus::Booked,
                updated: self.facts.now,
            });
        }
    }
}

/// The entry that an outcome of a step means, where the answer has none.
fn usual(kind: &StepKind, result: StepResult) -> Option<LedgerKind> {
    match (kind, result) {
        (StepKind::Charge | StepKind::Capture, StepResult::Done) => Some(LedgerKind::Captured),
        (StepKind::Charge, StepResult::Failed) => Some(LedgerKind::Declined),
        (StepKind::Void, StepResult::Done) => Some(LedgerKind::Voided),
        (StepKind::Refund, StepResult::Done) => Some(LedgerKind::Refunded),
        (StepKind::Refund, StepResult::Failed) => Some(LedgerKind::RefundFailed),
        (StepKind::ReverseCharge, StepResult::Done) => Some(LedgerKind::Settled),
        (StepKind::ReverseCharge, StepResult::Failed) => Some(LedgerKind::InDoubt),
        (StepKind::Capture | StepKind::Void, StepResult::Failed)
        | (
            StepKind::BookDelivery
            | StepKind::CancelDelivery
            | StepKind::EraseCustomer
            | StepKind::Custom(_),
            _,
        ) => None,
    }
}
