//! The amount of a refund, as a pure function of the bill and the terms of the sale.

use std::sync::Arc;

use super::{
    ledger::{exceeds, less, smaller},
    money::{Money, MoneyError, Percent},
    time::Seconds,
};

/// What an order was billed, item by item. Recorded at the sale: later prices and terms do not change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The items, in the order of the order.
    pub items: Vec<BillItem>,
    /// Fees of the order as a whole.
    pub order_fees: Money,
}

/// What one item was billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillItem {
    /// The price without taxes and fees.
    pub price: Money,
    /// Its taxes.
    pub taxes: Money,
    /// Its fees.
    pub fees: Money,
    /// The refund terms of its service.
    pub terms: RefundTerms,
}

/// Refund terms of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RefundTerms {
    /// The feed has none: nobody but the operator knows what to give back.
    #[default]
    Unstated,
    /// These conditions, shared by services with equal ones and by the bills of their sales.
    Stated(Arc<[RefundCondition]>),
}

/// A condition of the terms: cancelled in time, that much is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RefundCondition {
    /// The least time between the cancellation and the start of the item.
    pub min_before_start: Seconds,
    /// What is given back then.
    pub percent: Percent,
}

/// What happens to the fees of an item that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefundFees {
    /// The same share as of the price.
    #[default]
    WithPrice,
    /// Nothing, except where it is the merchant's doing.
    Never,
    /// All of them, whatever the share of the price.
    Always,
}

/// How much is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundShare {
    /// What the terms of the sale say, less what was given back of each item: the policy is a share of the price.
    Policy,
    /// That part of each item, beside earlier parts.
    Percent(Percent),
    /// An amount that an operator has decided, at most what is left of the items; without items, of the order as a whole.
    Amount(Money),
}

/// Who caused a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundCause {
    /// The merchant: a withdrawal, a failed delivery, a time-out.
    Merchant,
    /// The customer.
    Customer,
    /// Nobody: what it is for stands, and an operator has given money back.
    Goodwill,
}

/// An item to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundAsked {
    /// Its index.
    pub item: u16,
    /// The time until it starts; negative once it has started.
    pub before_start: Seconds,
}

/// A refund to compute.
#[derive(Debug, Clone, Copy)]
pub struct RefundRequest<'a> {
    /// The bill of the sale.
    pub bill: &'a Bill,
    /// The items.
    pub items: &'a [RefundAsked],
    /// How much of them.
    pub share: RefundShare,
    /// Who caused it.
    pub cause: RefundCause,
    /// What happens to fees.
    pub fees: RefundFees,
    /// Earlier refunds of the order that count: those that have failed do not.
    pub earlier: &'a [&'a RefundAmount],
    /// What can be given back at most: captured, less earlier refunds.
    pub available: Money,
}

/// What is given back of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundedItem {
    /// Its index.
    pub item: u16,
    /// The share of its price.
    pub percent: Percent,
    /// The amount, in whole smallest units.
    pub amount: Money,
}

/// The amount of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundAmount {
    /// What is given back, never more than was available.
    pub total: Money,
    /// Item by item.
    pub items: Vec<RefundedItem>,
    /// The part that is fees of the order.
    pub order_fees: Money,
}

/// Why a refund has no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefundError {
    /// The policy was asked for, and the feed had none. Money is not guessed.
    #[error("item {item} was sold without refund terms; say how much is to be given back")]
    NoPolicy {
        /// The item.
        item: u16,
    },
    /// There is no such item on the bill.
    #[error("there is no item {item} on the bill")]
    NoItem {
        /// The item.
        item: u16,
    },
    /// The amount is below zero.
    #[error("the amount is below zero")]
    Negative,
    /// A refund that has failed cannot be requested anew: other refunds have given back a part of its money since.
    #[error("{left} is left to be given back, which is less than the refund")]
    AboveLeft {
        /// What is left.
        left: Money,
    },
    /// Currencies differ, or an amount is beyond all bounds.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Bill {
    /// The whole of it.
    ///
    /// # Errors
    /// [`MoneyError`] if currencies differ or the sum is beyond all bounds.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.total_of(|_| true)
    }

    /// The sum for some of the items, with the fees of the order.
    ///
    /// # Errors
    /// [`MoneyError`] if currencies differ or the sum is beyond all bounds.
    pub fn total_of(&self, is_kept: impl Fn(usize) -> bool) -> Result<Money, MoneyError> {
        let mut sum = self.order_fees;
        for (index, item) in self.items.iter().enumerate() {
            if is_kept(index) {
                sum = sum.plus(item.total()?)?;
            }
        }
        Ok(sum)
    }
}

impl BillItem {
    /// Price, taxes and fees.
    ///
    /// # Errors
    /// [`MoneyError`] if currencies differ or the sum is beyond all bounds.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.price.plus(self.taxes)?.plus(self.fees)
    }
}

impl RefundTerms {
    /// The share that is given back so long before the start: that of the longest time that is kept, and
    /// nothing where none is. `None` without terms.
    #[must_use]
    pub fn share(&self, before_start: Seconds) -> Option<Percent> {
        let Self::Stated(conditions) = self else {
            return None;
        };
        let kept = conditions
            .iter()
            .filter(|condition| condition.min_before_start <= before_start);
        let best = kept.max_by_key(|condition| condition.min_before_start);
        Some(best.map_or(Percent::ZERO, |condition| condition.percent))
    }
}

/// The amount of a refund. Each item is rounded once, half to even; shares of one item add up, so that the
/// refund which completes an item gives back the rest of it to the cent. Refunds of an item are never above its price with
/// taxes and fees.
///
/// # Errors
/// [`RefundError`].
pub fn refund(request: &RefundRequest<'_>) -> Result<RefundAmount, RefundError> {
    let nothing = Money::zero(request.available.currency());
    if let RefundShare::Amount(amount) = request.share {
        return fixed(request, amount);
    }
    let mut amount = RefundAmount {
        total: nothing,
        items: Vec::with_capacity(request.items.len()),
        order_fees: nothing,
    };
    for asked in request.items {
        let item = refund_of_item(request, *asked)?;
        amount.total = amount.total.plus(item.amount)?;
        amount.items.push(item);
    }
    amount.order_fees = order_fees(request);
    amount.total = amount.total.plus(amount.order_fees)?;
    Ok(lowered(amount, request.available))
}

/// Checks that a refund which has given back nothing can still be given back as it is.
///
/// # Errors
/// [`RefundError::AboveLeft`] if less is left of the order or of one of its items.
pub fn check_left(
    bill: Option<&Bill>,
    refund: &RefundAmount,
    earlier: &[&RefundAmount],
    available: Money,
) -> Result<(), RefundError> {
    let mut asked = vec![(refund.total, available)];
    if let Some(bill) = bill {
        for part in &refund.items {
            asked.push((part.amount, left_of_item(bill, earlier, part.item)?));
        }
    }
    for (amount, left) in asked {
        if exceeds(amount, left) {
            return Err(RefundError::AboveLeft { left });
        }
    }
    Ok(())
}

/// A refund within what is available. Its last parts give way, so that the parts still add up to it.
fn lowered(mut refund: RefundAmount, available: Money) -> RefundAmount {
    let mut over = less(refund.total, available);
    refund.total = smaller(refund.total, available);
    let items = refund.items.iter_mut().rev();
    let parts = items.map(|item| &mut item.amount);
    for part in std::iter::once(&mut refund.order_fees).chain(parts) {
        let (kept, rest) = (less(*part, over), less(over, *part));
        (*part, over) = (kept, rest);
    }
    refund
}

/// An amount that an operator has decided.
fn fixed(request: &RefundRequest<'_>, amount: Money) -> Result<RefundAmount, RefundError> {
    let available = request.available;
    if amount.is_negative() {
        return Err(RefundError::Negative);
    }
    // An error for another currency, before the smaller of two is taken.
    available.plus(amount)?;
    let amount = smaller(amount, available);
    if !request.items.is_empty() {
        return spread(request, amount);
    }
    Ok(RefundAmount {
        total: amount,
        items: Vec::new(),
        order_fees: Money::zero(available.currency()),
    })
}

/// An amount over the items that it is for, as far as something is left of them, in proportion to that.
fn spread(request: &RefundRequest<'_>, amount: Money) -> Result<RefundAmount, RefundError> {
    let mut room = Money::zero(amount.currency());
    let mut lefts = Vec::with_capacity(request.items.len());
    for asked in request.items {
        let left = left_of_item(request.bill, request.earlier, asked.item)?;
        room = room.plus(left)?;
        lefts.push((asked.item, left));
    }
    // The fees of the order come last: an amount is for items before all.
    let total = smaller(amount, room.plus(order_fees_left(request))?);
    let mut rest = smaller(total, room);
    let order_fees = less(total, rest);
    let mut items = Vec::with_capacity(lefts.len());
    for (item, left) in lefts {
        let part = smaller(proportion(rest, left, room)?, left);
        rest = less(rest, part);
        room = less(room, left);
        items.push(RefundedItem {
            item,
            // It is no share: what a later share comes to is reduced by the amount.
            percent: Percent::ZERO,
            amount: part,
        });
    }
    Ok(RefundAmount {
        total,
        items,
        order_fees,
    })
}

/// As much of an amount as `part` is of `whole`, in whole smallest units.
fn proportion(amount: Money, part: Money, whole: Money) -> Result<Money, MoneyError> {
    if part == whole {
        return Ok(amount);
    }
    let [amount_micros, part, whole] =
        [amount.to_micros()?, part.to_micros()?, whole.to_micros()?].map(i128::from);
    let micros = (amount_micros * part).checked_div(whole).unwrap_or(0);
    // Never beyond: the part is at most the whole.
    let micros = i64::try_from(micros).unwrap_or(0);
    Ok(Money::from_micros(micros, amount.currency()).rounded())
}

fn refund_of_item(
    request: &RefundRequest<'_>,
    asked: RefundAsked,
) -> Result<RefundedItem, RefundError> {
    let item = asked.item;
    let billed = request.bill.items.get(usize::from(item));
    let billed = billed.ok_or(RefundError::NoItem { item })?;
    let (before, given) = given_of_item(request.earlier, item, request.available)?;
    let reached = match request.share {
        RefundShare::Percent(percent) => before.plus(percent),
        // A share of the price and not of what is left: asked for twice, it is given once.
        RefundShare::Policy => {
            let share = billed.terms.share(asked.before_start);
            share.ok_or(RefundError::NoPolicy { item })?
        }
        RefundShare::Amount(_) => before,
    };
    let target = target(request, billed, reached)?;
    Ok(RefundedItem {
        item,
        // Never more than what is left of the item: a second refund in full gives back nothing.
        percent: Percent::new(reached.get().saturating_sub(before.get())).unwrap_or(Percent::ZERO),
        amount: less(target, given),
    })
}

/// What is left of an item, with its taxes and fees.
fn left_of_item(bill: &Bill, earlier: &[&RefundAmount], item: u16) -> Result<Money, RefundError> {
    let billed = bill.items.get(usize::from(item));
    let total = billed.ok_or(RefundError::NoItem { item })?.total()?;
    let (_, given) = given_of_item(earlier, item, total)?;
    Ok(less(total.rounded(), given))
}

/// What earlier refunds have given back of an item, in the currency of another amount.
fn given_of_item(
    earlier: &[&RefundAmount],
    item: u16,
    like: Money,
) -> Result<(Percent, Money), MoneyError> {
    let mut percent = Percent::ZERO;
    let mut amount = Money::zero(like.currency());
    for earlier in earlier {
        for part in earlier.items.iter().filter(|part| part.item == item) {
            percent = percent.plus(part.percent);
            amount = amount.plus(part.amount)?;
        }
    }
    Ok((percent, amount))
}

/// What is given back of an item in all, once that share is reached.
fn target(
    request: &RefundRequest<'_>,
    billed: &BillItem,
    reached: Percent,
) -> Result<Money, MoneyError> {
    let base = billed.price.plus(billed.taxes)?;
    let is_merchants = request.cause == RefundCause::Merchant;
    match request.fees {
        RefundFees::Always => base.share(reached)?.rounded().plus(billed.fees),
        RefundFees::Never if !is_merchants => Ok(base.share(reached)?.rounded()),
        RefundFees::Never | RefundFees::WithPrice => {
            Ok(base.plus(billed.fees)?.share(reached)?.rounded())
        }
    }
}

/// The fees of the order, which go with its last item.
fn order_fees(request: &RefundRequest<'_>) -> Money {
    let is_due = request.fees == RefundFees::Always
        || request.cause == RefundCause::Merchant && request.share == FULL;
    if is_due {
        order_fees_left(request)
    } else {
        Money::zero(request.bill.order_fees.currency())
    }
}

/// What is left of the fees of the order, if the last item goes.
fn order_fees_left(request: &RefundRequest<'_>) -> Money {
    let mut left = request.bill.order_fees;
    if !takes_the_last_item(request) {
        return Money::zero(left.currency());
    }
    for earlier in request.earlier {
        left = less(left, earlier.order_fees);
    }
    left
}

const FULL: RefundShare = RefundShare::Percent(Percent::FULL);

/// Whether every item of the bill is in this refund or in an earlier one.
fn takes_the_last_item(request: &RefundRequest<'_>) -> bool {
    let is_gone = |item: usize| {
        let asked = request.items.iter().any(|it| usize::from(it.item) == item);
        let mut earlier = request.earlier.iter().flat_map(|refund| &refund.items);
        asked || earlier.any(|part| usize::from(part.item) == item)
    };
    (0..request.bill.items.len()).all(is_gone)
}

#[cfg(test)]
mod tests;
