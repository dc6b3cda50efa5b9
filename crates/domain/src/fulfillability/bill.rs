//! The bill of an order that is sold.

use super::{Judgement, OrderVerdict, item::PriceInForce};
use crate::{
    catalog::{Catalog, MerchantIx},
    constraints,
    fees::{LineCharges, SoldLine},
    money::MoneyError,
    order::LineItem,
    refunds::{Bill, BillItem},
};

/// Why an order has no bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// It cannot be sold by this catalogue.
    #[error("the order is not one that can be sold")]
    NotSold,
    /// Currencies differ, or an amount is beyond all bounds.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Judgement {
    /// The bill of the order, whose total is the amount due, with the refund terms in force. The catalogue,
    /// the merchant and the items are those that were judged.
    ///
    /// Computed on demand and not by the judgement: only an order that is charged has a bill.
    ///
    /// # Errors
    /// [`BillError::NotSold`] if the order or one of its items cannot be sold.
    pub fn bill(
        &self,
        catalog: &Catalog,
        merchant: MerchantIx,
        lines: &[LineItem],
    ) -> Result<Bill, BillError> {
        if self.verdict != OrderVerdict::CanFulfill {
            return Err(BillError::NotSold);
        }
        debug_assert_eq!(lines.len(), self.items.len(), "every item has its verdict");
        let mut items = Vec::with_capacity(lines.len());
        for (judged, line) in self.items.iter().zip(lines) {
            let price = judged.price.ok_or(BillError::NotSold)?;
            items.push(bill_item(catalog, merchant, line, price)?);
        }
        Ok(Bill {
            items,
            order_fees: self.fees.order_fees()?,
        })
    }
}

fn bill_item(
    catalog: &Catalog,
    merchant: MerchantIx,
    line: &LineItem,
    price: PriceInForce,
) -> Result<BillItem, BillError> {
    let ix = catalog.service_ix(merchant, &line.service_id);
    let ix = ix.ok_or(BillError::NotSold)?;
    let service = catalog.service(ix);
    // Without the slot: whether it sells these tickets has been judged.
    let tickets = constraints::read_tickets(service, None, &line.tickets);
    let tickets = tickets.map_err(|_| BillError::NotSold)?;
    let price = price.total();
    let charges = LineCharges::of(
        service,
        &SoldLine {
            service: ix,
            tickets: &tickets,
            total: price,
        },
    )?;
    Ok(BillItem {
        price,
        // Taxes of tickets go with the price when it is given back, whatever becomes of the fees.
        taxes: charges.tax.plus(charges.ticket_taxes)?,
        fees: charges.ticket_fees.minus(charges.ticket_taxes)?,
        terms: service.cancellation.refund.clone(),
    })
}

#[cfg(test)]
mod tests;
