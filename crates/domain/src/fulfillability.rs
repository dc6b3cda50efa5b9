//! The heart: can this set of items be sold, now, at these prices?
//!
//! [`assess`] is a pure function of the catalogue, the slots as seen, the items and the moment.
//! Every item gets exactly one verdict. Where several rules are broken, the first of this order
//! speaks: ticket types and counts, ticket combinations, children without an adult, bounds, the
//! slot (there, open for booking, enough spots), price, answers to questions.
//!
//! Items that draw on one pool must fit it together. An item that is stopped by its tickets draws
//! on nothing, so that it does not spoil its neighbours.

use super::{
    availability,
    catalog::{Catalog, MerchantIx},
    faults::OrderFault,
    fees::{FeeTable, SoldLine},
    money::{Money, MoneyError},
    order::{LineItem, PriceTag},
    slot::{Claim, Slot, SlotKey, Viewer},
};

mod demand;
mod item;
mod services;
mod verdict;

pub use verdict::{Fulfillability, ItemFulfillability, ItemVerdict, MovedPrice, OrderVerdict};

use demand::Demand;
use item::ExaminedItem;

/// What the question is asked for. Creating is stricter: a price that moved stops the order, and
/// questions must have been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A look at a cart.
    Check,
    /// An order is to be created.
    Create,
}

/// A question to [`assess`].
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    /// What is on sale.
    pub catalog: &'a Catalog,
    /// Whose order it is.
    pub merchant: MerchantIx,
    /// What is asked for.
    pub items: &'a [LineItem],
    /// The slot of each item, where there is one; as long as `items`.
    pub slots: &'a [Option<&'a Slot>],
    /// Who asks, and when.
    pub viewer: Viewer,
    /// What for.
    pub purpose: Purpose,
}

/// The answer of [`assess`].
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The verdict on the order and on each item.
    pub fulfillability: Fulfillability,
    /// Fees of the items that can be sold.
    pub fees: FeeTable,
    /// Spots that the sellable items take.
    pub claims: Vec<Claim>,
    /// What the customer pays for the sellable items: their totals and the fees.
    pub amount_due: Money,
}

/// The slots that the items name, one for each item, `None` where the service is unknown.
#[must_use]
pub fn slot_keys(
    catalog: &Catalog,
    merchant: MerchantIx,
    items: &[LineItem],
) -> Vec<Option<SlotKey>> {
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

/// Decides whether the items can be sold together.
#[must_use]
pub fn assess(inquiry: &Inquiry<'_>) -> Assessment {
    debug_assert_eq!(
        inquiry.items.len(),
        inquiry.slots.len(),
        "every item has its place among the slots"
    );
    let mut examined: Vec<ExaminedItem<'_>> = inquiry
        .items
        .iter()
        .zip(inquiry.slots)
        .map(|(line, slot)| ExaminedItem::new(inquiry, line, *slot))
        .collect();
    ExaminedItem::check_tickets(&mut examined);
    // After the rules on tickets: an item that they stop draws on no pool.
    let demand = Demand::of(&examined);
    let items: Vec<ItemFulfillability> = examined
        .iter()
        .map(|item| item.assess(inquiry, &demand))
        .collect();
    match sum_up(inquiry, &examined, &items) {
        Ok((fees, amount_due)) => conclude(inquiry, &examined, items, fees, amount_due),
        Err(error) => beyond_measure(inquiry, items, error),
    }
}

fn conclude(
    inquiry: &Inquiry<'_>,
    examined: &[ExaminedItem<'_>],
    items: Vec<ItemFulfillability>,
    fees: FeeTable,
    amount_due: Money,
) -> Assessment {
    let verdict = order_verdict(inquiry, examined, &items);
    let claims = sellable(examined, &items)
        .flat_map(|(examined, _)| examined.claims())
        .collect();
    Assessment {
        fulfillability: Fulfillability { verdict, items },
        fees,
        claims,
        amount_due,
    }
}

fn beyond_measure(
    inquiry: &Inquiry<'_>,
    items: Vec<ItemFulfillability>,
    error: MoneyError,
) -> Assessment {
    let nothing = Money::zero(inquiry.catalog.merchant(inquiry.merchant).currency);
    let fulfillability = Fulfillability {
        verdict: OrderVerdict::Other(OrderFault::Amount(error)),
        items,
    };
    let fees = FeeTable::nothing(inquiry.catalog.merchant(inquiry.merchant));
    Assessment {
        fulfillability,
        fees,
        claims: Vec::new(),
        amount_due: nothing,
    }
}

fn sellable<'a, 'b>(
    examined: &'b [ExaminedItem<'a>],
    items: &'b [ItemFulfillability],
) -> impl Iterator<Item = (&'b ExaminedItem<'a>, &'b ItemFulfillability)> {
    examined
        .iter()
        .zip(items)
        .filter(|(_, item)| item.verdict.can_fulfill())
}

fn sum_up(
    inquiry: &Inquiry<'_>,
    examined: &[ExaminedItem<'_>],
    items: &[ItemFulfillability],
) -> Result<(FeeTable, Money), MoneyError> {
    let merchant = inquiry.catalog.merchant(inquiry.merchant);
    let mut lines = Vec::with_capacity(items.len());
    for (examined, item) in sellable(examined, items) {
        let price = item.line.price.as_ref().and_then(PriceTag::money);
        if let (Some(key), Some(price)) = (examined.key, price) {
            lines.push(SoldLine {
                service: key.service,
                tickets: &examined.tickets,
                total: price.rounded(),
            });
        }
    }
    let fees = FeeTable::for_lines(inquiry.catalog, merchant, &lines)?;
    let amount_due = lines
        .iter()
        .map(|line| line.total)
        .try_fold(fees.total, Money::plus)?;
    amount_due.to_micros()?;
    Ok((fees, amount_due))
}

fn order_verdict(
    inquiry: &Inquiry<'_>,
    examined: &[ExaminedItem<'_>],
    items: &[ItemFulfillability],
) -> OrderVerdict {
    if items.is_empty() {
        return OrderVerdict::Other(OrderFault::NoItems);
    }
    if !items.iter().all(|item| item.verdict.can_fulfill()) {
        return OrderVerdict::UnfulfillableItems;
    }
    let keys: Vec<SlotKey> = examined.iter().filter_map(|item| item.key).collect();
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
