//! What an order costs beside its items: fees for each ticket and fees for the order as a whole.
//!
//! The breakdown and the total come from one computation, so that the newer `fees` and the older
//! `fees_and_taxes` of an answer always agree.

use std::collections::HashSet;

use super::{
    catalog::{Catalog, Fee, Merchant, Service, ServiceIx, TicketIx},
    constraints::TicketCounts,
    money::{Money, MoneyError},
};

/// A fee for every ticket of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketFee {
    /// The service of the ticket type.
    pub service_id: String,
    /// The ticket type.
    pub ticket_id: String,
    /// Name and amount for one ticket.
    pub fee: Fee,
}

/// All fees of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeeTable {
    /// For each ticket, every kind of ticket and fee once.
    pub per_ticket: Vec<TicketFee>,
    /// For the order, once.
    pub per_order: Vec<Fee>,
    /// Σ per-ticket fee × count + Σ per-order fee.
    pub total: Money,
}

impl FeeTable {
    /// The fees of an order of these services and tickets. A service stands once for each of its
    /// line items; its per-order fees count once all the same. No items, no fees.
    ///
    /// # Errors
    /// [`MoneyError`] if the total is beyond what the wire can carry.
    pub fn for_items(
        catalog: &Catalog,
        merchant: &Merchant,
        items: &[(ServiceIx, &TicketCounts)],
    ) -> Result<Self, MoneyError> {
        let mut table =
            Self { per_ticket: Vec::new(), per_order: Vec::new(), total: Money::zero(merchant.currency) };
        let mut services = HashSet::new();
        let mut kinds = HashSet::new();
        for &(ix, tickets) in items {
            let service = catalog.service(ix);
            for &(ticket, count) in tickets {
                table.add_tickets(service, ticket, count)?;
                if kinds.insert((ix, ticket)) {
                    table.list_fees(service, ticket);
                }
            }
            if services.insert(ix) {
                table.add_per_order(&service.per_order_fees)?;
            }
        }
        if !items.is_empty() {
            table.add_per_order(&merchant.per_order_fees)?;
        }
        table.total.to_micros()?;
        Ok(table)
    }

    fn add_tickets(&mut self, service: &Service, ticket: TicketIx, count: u32) -> Result<(), MoneyError> {
        for fee in &service.ticket(ticket).fees {
            self.total = self.total.plus(fee.amount.times(count)?)?;
        }
        Ok(())
    }

    fn list_fees(&mut self, service: &Service, ticket: TicketIx) {
        let ticket = service.ticket(ticket);
        self.per_ticket.extend(ticket.fees.iter().map(|fee| TicketFee {
            service_id: service.id.clone(),
            ticket_id: ticket.id.clone(),
            fee: fee.clone(),
        }));
    }

    fn add_per_order(&mut self, fees: &[Fee]) -> Result<(), MoneyError> {
        for fee in fees {
            self.total = self.total.plus(fee.amount)?;
            self.per_order.push(fee.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
