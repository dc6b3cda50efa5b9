//! What an answer says of money that is not given back, although a caller may expect it.

use domain::{
    ledger::{LedgerKind, PaidBy},
    money::{Money, MoneyError},
};
use store::{OrderUpdate, PlacedBill, StoredOrder};

use super::change::{OrderChange, RefundChoice};

impl OrderChange {
    /// Why less is given back than the price, or nothing; `None` where there is nothing to say. `changed` is the order as
    /// the change has left it, so that a repetition has the same note.
    #[must_use]
    pub fn refund_note(&self, changed: &StoredOrder) -> Option<String> {
        let (choice, update) = (self.refund()?, changed.update.as_ref()?);
        if choice == RefundChoice::Policy && update.tree.ledger.paid_by() == PaidBy::Google {
            return Some("Google has taken the money of this order, and gives it back".to_owned());
        }
        let bill = changed.placed.bill.as_deref()?;
        let given = requested(update).ok()?;
        // What is only authorized is voided, which is no refund.
        if update.tree.ledger.balance().captured.is_zero() {
            return None;
        }
        match choice {
            RefundChoice::Full => {
                let price = self.price(bill).ok()?;
                let is_less = given.compare(price).is_some_and(std::cmp::Ordering::is_lt);
                is_less.then(|| {
                    format!("{given} of the price of {price} is given back: the rest was before, or is about to be")
                })
            }
            RefundChoice::Policy => given.is_zero().then(|| {
                "nothing is given back: the refund terms of the sale give nothing now, or it was given back before"
                    .to_owned()
            }),
            RefundChoice::Nothing | RefundChoice::Amount(_) => None,
        }
    }

    /// The price of the items that it names, and of the whole order where it names none.
    fn price(&self, billed: &PlacedBill) -> Result<Money, MoneyError> {
        if self.items().is_empty() {
            return billed.bill.total();
        }
        let mut sum = Money::zero(billed.bill.order_fees.currency());
        for (index, item) in (0_u32..).zip(&billed.bill.items) {
            if self.items().contains(&index) {
                sum = sum.plus(item.total()?)?;
            }
        }
        Ok(sum)
    }
}

/// What an update gives back.
fn requested(update: &OrderUpdate) -> Result<Money, MoneyError> {
    let mut sum = Money::zero(update.tree.ledger.due().currency());
    for entry in &update.entry.ledger {
        if entry.kind == LedgerKind::RefundRequested {
            sum = sum.plus(entry.amount)?;
        }
    }
    Ok(sum)
}
