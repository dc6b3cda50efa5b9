//! The central question: can these items be sold, now, at these prices?
//!
//! [`judge`] is a pure function of the catalogue, the slots, the items and the time. Every item gets
//! exactly one verdict. If several rules are broken, the first of this order counts: ticket types and
//! counts, ticket combinations, children without an adult, bounds, the slot (known, open for booking,
//! enough spots), price, answers to questions.
//!
//! Items that draw on one pool must fit it together. An item that a ticket rule stops claims no spots, so
//! it does not stop other items.

use smallvec::SmallVec;

use super::{
    availability,
    catalog::{Catalog, MerchantIx},
    faults::OrderFault,
    fees::{FeeTable, SoldLine},
    money::{Money, MoneyError},
    order::LineItem,
    slot::{Claim, Confirmation, Slot, SlotKey, Viewer},
};

mod bill;
mod demand;
mod item;
mod services;
mod verdict;

pub use bill::BillError;
pub use verdict::{Fulfillability, ItemFulfillability, ItemVerdict, MovedPrice, OrderVerdict};

use demand::Demand;
use item::{ExaminedItem, JudgedItem, PriceInForce};

/// The purpose of a request. Creation is stricter: a moved price stops the order, and questions must be
/// answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A check of a cart.
    Check,
    /// The creation of an order.
    Create,
}

/// The input of [`judge`].
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    /// The active catalogue.
    pub catalog: &'a Catalog,
    /// The merchant of the order.
    pub merchant: MerchantIx,
    /// The requested items.
    pub items: &'a [LineItem],
    /// The slot of each item, `None` if unknown; as long as `items`.
    pub slots: &'a [Option<&'a Slot>],
    /// The cart of the caller, and the time.
    pub viewer: Viewer,
    /// The purpose.
    pub purpose: Purpose,
}

/// The result of [`judge`], without the items: they are moved into the answer, not copied.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict on the order.
    pub verdict: OrderVerdict,
    /// The verdicts on the items, in the order asked.
    items: Vec<JudgedItem>,
    /// Fees of the items that can be sold.
    pub fees: FeeTable,
    /// The claims of the sellable items.
    pub claims: Vec<Claim>,
    /// The amount due for the sellable items: their totals and the fees.
    pub amount_due: Money,
}

impl Judgement {
    /// Who confirms each item, in the order asked.
    pub fn confirmations(&self) -> impl Iterator<Item = Confirmation> {
        self.items.iter().map(|item| item.confirmation)
    }

    /// The items that were judged, each at the price in force.
    #[must_use]
    pub fn priced(&self, mut lines: Vec<LineItem>) -> Vec<LineItem> {
        debug_assert_eq!(lines.len(), self.items.len(), "every item has its verdict");
        for (judged, line) in self.items.iter().zip(&mut lines) {
            judged.correct_price(line);
        }
        lines
    }

    /// The judgement with the items that were judged, each at the price in force.
    #[must_use]
    pub fn answer(self, lines: Vec<LineItem>) -> Assessment {
        debug_assert_eq!(lines.len(), self.items.len(), "every item has its verdict");
        let mut items = Vec::with_capacity(lines.len());
        for (judged, line) in self.items.into_iter().zip(lines) {
            items.push(judged.answer(line));
        }
        Assessment {
            fulfillability: Fulfillability {
                verdict: self.verdict,
                items,
            },
            fees: self.fees,
            claims: self.claims,
            amount_due: self.amount_due,
        }
    }
}

/// A judgement with its items.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The verdict on the order and on each item.
    pub fulfillability: Fulfillability,
    /// Fees of the items that can be sold.
    pub fees: FeeTable,
    /// The claims of the sellable items.
    pub claims: Vec<Claim>,
    /// The amount due for the sellable items: their totals and the fees.
    pub amount_due: Money,
}

/// Slot keys of items; `None` if the service is unknown.
pub type SlotKeys = SmallVec<[Option<SlotKey>; 4]>;

/// The slot keys of the items.
#[must_use]
pub fn slot_keys(catalog: &Catalog, merchant: MerchantIx, items: &[LineItem]) -> SlotKeys {
    let key = |item: &LineItem| {
        availability::slot_key(
            catalog,
            merchant,
            &item.service_id,
            item.start_sec,
            item.duration_sec,
        )
    };
    items.iter().map(key).collect()
}

/// The judgement with a copy of the items.
#[must_use]
pub fn assess(inquiry: &Inquiry<'_>) -> Assessment {
    judge(inquiry).answer(inquiry.items.to_vec())
}

/// Decides whether the items can be sold together.
#[must_use]
pub fn judge(inquiry: &Inquiry<'_>) -> Judgement {
    debug_assert_eq!(
        inquiry.items.len(),
        inquiry.slots.len(),
        "every item has its place among the slots"
    );
    let mut examined: SmallVec<[ExaminedItem<'_>; 1]> = inquiry
        .items
        .iter()
        .zip(inquiry.slots)
        .map(|(line, slot)| ExaminedItem::new(inquiry, line, *slot))
        .collect();
    ExaminedItem::check_tickets(&mut examined);
    // After the rules on tickets: an item that they stop draws on no pool.
    let demand = Demand::of(&examined);
    let items: Vec<JudgedItem> = examined
        .iter()
        .map(|item| item.judge(inquiry, &demand))
        .collect();
    match sum_up(inquiry, &examined, &items) {
        Ok((fees, amount_due)) => conclude(inquiry, &examined, items, fees, amount_due),
        // An amount beyond the wire must not become an order, whatever the verdicts on the items are.
        Err(error) => beyond_measure(inquiry, items, error),
    }
}

fn conclude(
    inquiry: &Inquiry<'_>,
    examined: &[ExaminedItem<'_>],
    items: Vec<JudgedItem>,
    fees: FeeTable,
    amount_due: Money,
) -> Judgement {
    let verdict = order_verdict(inquiry, examined, &items);
    let claims = sellable(examined, &items)
        .flat_map(|(examined, _)| examined.claims())
        .collect();
    Judgement {
        verdict,
        items,
        fees,
        claims,
        amount_due,
    }
}

fn beyond_measure(inquiry: &Inquiry<'_>, items: Vec<JudgedItem>, error: MoneyError) -> Judgement {
    let nothing = Money::zero(inquiry.catalog.merchant(inquiry.merchant).currency);
    let fees = FeeTable::nothing(inquiry.catalog.merchant(inquiry.merchant));
    Judgement {
        verdict: OrderVerdict::Other(OrderFault::Amount(error)),
        items,
        fees,
        // Nothing is sold, so nothing is claimed, although single items may be sellable.
        claims: Vec::new(),
        amount_due: nothing,
    }
}

fn sellable<'a, 'b>(
    examined: &'b [ExaminedItem<'a>],
    items: &'b [JudgedItem],
) -> impl Iterator<Item = (&'b ExaminedItem<'a>, &'b JudgedItem)> {
    examined
        .iter()
        .zip(items)
        .filter(|(_, item)| item.verdict.can_fulfill())
}

fn sum_up(
    inquiry: &Inquiry<'_>,
    examined: &[ExaminedItem<'_>],
    items: &[JudgedItem],
) -> Result<(FeeTable, Money), MoneyError> {
    let merchant = inquiry.catalog.merchant(inquiry.merchant);
    let mut lines: SmallVec<[SoldLine<'_>; 2]> = SmallVec::new();
    for (examined, item) in sellable(examined, items) {
        let price = item.price.map(PriceInForce::total);
        if let (Some(key), Some(price)) = (examined.key, price) {
            lines.push(SoldLine {
                service: key.service,
                tickets: &examined.tickets,
                // The price in force and not the one asked: tax is due on what is charged.
                total: price,
            });
        }
    }
    let fees = FeeTable::for_lines(inquiry.catalog, merchant, &lines)?;
    let amount_due = lines
        .iter()
        .map(|line| line.total)
        // Checked addition: every line fits the wire, but their sum may not.
        .try_fold(fees.total, Money::plus)?;
    // The total goes out as 64-bit micro-units, so it must fit as well.
    amount_due.to_micros()?;
    Ok((fees, amount_due))
}

fn order_verdict(
    inquiry: &Inquiry<'_>,
    examined: &[ExaminedItem<'_>],
    items: &[JudgedItem],
) -> OrderVerdict {
    if items.is_empty() {
        // An empty order would pass every rule below.
        return OrderVerdict::Other(OrderFault::NoItems);
    }
    if !items.iter().all(|item| item.verdict.can_fulfill()) {
        return OrderVerdict::UnfulfillableItems;
    }
    // Service rules come last: they make sense only if each item could be sold.
    let keys: SmallVec<[SlotKey; 4]> = examined.iter().filter_map(|item| item.key).collect();
    for rule in &inquiry.catalog.merchant(inquiry.merchant).combinations {
        if let Some(fault) = rule.fault(inquiry.catalog, &keys) {
            return OrderVerdict::UnfulfillableServices(fault);
        }
    }
    OrderVerdict::CanFulfill
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
