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

/// What a line costs beside its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineCharges {
    /// The fees of its tickets, with the taxes among them.
    pub ticket_fees: Money,
    /// The part of these that the feed lists as taxes.
    pub ticket_taxes: Money,
    /// The tax on its price by the rate of its service, rounded.
    pub tax: Money,
}

impl LineCharges {
    /// The charges of a line of this service.
    ///
    /// # Errors
    /// [`MoneyError`] if an amount is beyond all bounds.
    pub fn of(service: &Service, line: &SoldLine<'_>) -> Result<Self, MoneyError> {
        let nothing = Money::zero(line.total.currency());
        let mut charges = Self {
            ticket_fees: nothing,
            ticket_taxes: nothing,
            tax: nothing,
        };
        for &(ticket, count) in line.tickets {
            let ticket = service.ticket(ticket);
            for fee in &ticket.fees {
                charges.ticket_fees = charges.ticket_fees.plus(fee.amount.times(count)?)?;
            }
            if let Some(taxes) = ticket.feed_fees.taxes {
                // Not added to the fees again: taxes of tickets are among them.
                charges.ticket_taxes = charges.ticket_taxes.plus(taxes.times(count)?)?;
            }
        }
        if let Some(rate) = service.tax_rate {
            // Rounded per line: the sum of rounded taxes is what a customer can add up.
            charges.tax = line.total.tax(rate)?;
        }
        Ok(charges)
    }
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
            let charges = LineCharges::of(service, line)?;
            // The total counts every line; the list names each ticket type once, because its amounts are
            // per ticket.
            table.total = table.total.plus(charges.ticket_fees)?;
            table.ticket_taxes = table.ticket_taxes.plus(charges.ticket_taxes)?;
            for &(ticket, _) in line.tickets {
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
                taxes.add(rate, charges.tax)?;
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

    /// The fees of the order as a whole, without the taxes of its lines.
    ///
    /// # Errors
    /// [`MoneyError`] if the sum is beyond all bounds.
    pub fn order_fees(&self) -> Result<Money, MoneyError> {
        // Taxes stand among the fees per order, because an answer has no other place for them.
        let without_taxes = Money::zero(self.tax.currency()).minus(self.tax)?;
        self.per_order
            .iter()
            .try_fold(without_taxes, |sum, fee| sum.plus(fee.amount))
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
