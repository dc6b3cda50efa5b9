//! Fees and taxes: per ticket, per order, and by tax rate.
//!
//! The breakdown and the total come from one computation, so that the newer `fees` and the older
//! `fees_and_taxes` of an answer always agree.

use std::collections::HashSet;

use super::{
    catalog::{Catalog, Fee, Merchant, Service, ServiceIx, TicketIx},
    ids::{ServiceId, TicketId},
    money::{Money, MoneyError, TaxRate},
};

/// A fee for every ticket of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketFee {
    /// The service of the ticket type.
    pub service_id: ServiceId,
    /// The ticket type.
    pub ticket_id: TicketId,
    /// Name and amount for one ticket.
    pub fee: Fee,
}

/// A sellable line.
#[derive(Debug, Clone, Copy)]
pub struct SoldLine<'a> {
    /// The service.
    pub service: ServiceIx,
    /// The tickets; empty for an appointment.
    pub tickets: &'a [(TicketIx, u32)],
    /// The taxable price: after deals, in whole smallest units.
    pub total: Money,
}

/// All fees and taxes of an order. Fees of zero are not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeeTable {
    /// Fees per ticket, each ticket type and fee once.
    pub per_ticket: Vec<TicketFee>,
    /// Fees per order; last the taxes, one for each rate.
    pub per_order: Vec<Fee>,
    /// The part of the total that is tax by the rates of services.
    pub tax: Money,
    /// The part of the total that the feed lists as taxes of tickets.
    pub ticket_taxes: Money,
    /// Σ per-ticket fee × count + Σ per-order fee.
    pub total: Money,
}

impl FeeTable {
    /// No fees.
    #[must_use]
    pub fn nothing(merchant: &Merchant) -> Self {
        let nothing = Money::zero(merchant.currency);
        Self {
            per_ticket: Vec::new(),
            per_order: Vec::new(),
            tax: nothing,
            ticket_taxes: nothing,
            total: nothing,
        }
    }

    /// The fees of an order of these lines. Per-order fees of a service count once, however many lines it
    /// has. The tax is rounded per line. An order without lines has no fees.
    ///
    /// # Errors
    /// [`MoneyError`] if the total is beyond what the wire can carry.
    pub fn for_lines(
        catalog: &Catalog,
        merchant: &Merchant,
        lines: &[SoldLine<'_>],
    ) -> Result<Self, MoneyError> {
        let mut table = Self::nothing(merchant);
        let mut services = HashSet::new();
        let mut kinds = HashSet::new();
        let mut taxes = TaxSums::default();
        for line in lines {
            let service = catalog.service(line.service);
            for &(ticket, count) in line.tickets {
                // The total counts every line; the list names each ticket type once, because its amounts
                // are per ticket.
                table.add_tickets(service, ticket, count)?;
                let has_fees = !service.ticket(ticket).fees.is_empty();
                // Only those with fees are remembered: a set of nothing takes no memory.
                if has_fees && kinds.insert((line.service, ticket)) {
                    table.list_fees(service, ticket);
                }
            }
            if !service.per_order_fees.is_empty() && services.insert(line.service) {
                table.add_per_order(&service.per_order_fees)?;
            }
            if let Some(rate) = service.tax_rate {
                // Rounded per line: the sum of rounded taxes is what a customer can add up.
                taxes.add(rate, line.total.tax(rate)?)?;
            }
        }
        // An order of which nothing can be sold must not show a fee.
        if !lines.is_empty() {
            table.add_per_order(&merchant.per_order_fees)?;
        }
        table.add_taxes(&merchant.tax_name, &taxes.0)?;
        // Checked once at the end: a total that the wire cannot carry fails here and not in a response.
        table.total.to_micros()?;
        Ok(table)
    }

    fn add_tickets(
        &mut self,
        service: &Service,
        ticket: TicketIx,
        count: u32,
    ) -> Result<(), MoneyError> {
        let ticket = service.ticket(ticket);
        for fee in &ticket.fees {
            self.total = self.total.plus(fee.amount.times(count)?)?;
        }
        if let Some(taxes) = ticket.feed_fees.taxes {
            // A part of the total, not added to it again: taxes of tickets are among their fees.
            self.ticket_taxes = self.ticket_taxes.plus(taxes.times(count)?)?;
        }
        Ok(())
    }

    fn list_fees(&mut self, service: &Service, ticket: TicketIx) {
        let ticket = service.ticket(ticket);
        // A fee of zero charges nothing, so it is not listed.
        let due = ticket.fees.iter().filter(|fee| !fee.amount.is_zero());
        self.per_ticket.extend(due.map(|fee| TicketFee {
            service_id: service.id.clone(),
            ticket_id: ticket.id.clone(),
            fee: fee.clone(),
        }));
    }

    fn add_per_order(&mut self, fees: &[Fee]) -> Result<(), MoneyError> {
        for fee in fees.iter().filter(|fee| !fee.amount.is_zero()) {
            self.total = self.total.plus(fee.amount)?;
            self.per_order.push(fee.clone());
        }
        Ok(())
    }

    /// One fee for each rate. If an order has several rates, the rate is part of the name.
    fn add_taxes(&mut self, name: &str, taxes: &[(TaxRate, Money)]) -> Result<(), MoneyError> {
        for &(rate, amount) in taxes {
            // Names tell fees apart, and two rates would have the same one.
            let name = if taxes.len() == 1 {
                name.to_owned()
            } else {
                format!("{name} {rate}")
            };
            self.tax = self.tax.plus(amount)?;
            self.add_per_order(&[Fee { name, amount }])?;
        }
        Ok(())
    }
}

/// The taxes of lines, summed by rate in the order of the lines.
#[derive(Debug, Default)]
struct TaxSums(Vec<(TaxRate, Money)>);

impl TaxSums {
    /// Adds the tax of a line to the sum of its rate.
    fn add(&mut self, rate: TaxRate, amount: Money) -> Result<(), MoneyError> {
        if amount.is_zero() {
            return Ok(());
        }
        match self.0.iter_mut().find(|(known, _)| *known == rate) {
            Some((_, sum)) => *sum = sum.plus(amount)?,
            None => self.0.push((rate, amount)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
