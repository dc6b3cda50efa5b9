//! The price of a line, and its comparison with the caller's price.

use super::{
    catalog::{Deal, Reduction, Service, TicketIx},
    money::{Money, MoneyError},
    order::PriceTag,
};

/// The price of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The total without tax, after deals, in whole smallest units.
    pub total: Money,
    /// The total without any deal.
    pub without_deals: Money,
}

/// The price of a line without tickets: one spot at the price of the service. `None` if the service is sold
/// by ticket only.
#[must_use]
pub fn quote_appointment(service: &Service) -> Option<Quote> {
    let total = service.price?.rounded();
    Some(Quote {
        total,
        without_deals: total,
    })
}

/// The price of a line with tickets: the sum of unit price × count after deals, rounded once at the end.
/// Bundles come first, in the order of the rules file and each as often as it fits. Remaining tickets pay
/// the price of the first group deal that applies, or the unit price. A deal above the unit prices is not
/// applied.
///
/// # Errors
/// [`MoneyError`] if the amount is beyond what the wire can carry.
pub fn quote_tickets(service: &Service, tickets: &[(TicketIx, u32)]) -> Result<Quote, MoneyError> {
    let without_deals = unit_prices(service, tickets)?.rounded();
    if service.deals.is_empty() {
        without_deals.to_micros()?;
        return Ok(Quote {
            total: without_deals,
            without_deals,
        });
    }
    let mut rest = tickets.to_vec();
    let mut total = take_bundles(service, &mut rest)?;
    // Groups count what bundles have left: a ticket gets one deal at most.
    let groups = groups_reached(service, &rest);
    for &(ticket, count) in &rest {
        total = total.plus(reduced_price(service, ticket, &groups)?.times(count)?)?;
    }
    // Once at the end: rounding per ticket would add up to cents.
    let total = total.rounded();
    total.to_micros()?;
    without_deals.to_micros()?;
    Ok(Quote {
        total,
        without_deals,
    })
}

/// The sum of unit price × count without any deal, unrounded.
///
/// # Errors
/// [`MoneyError`] if the amount is beyond what a decimal can carry.
pub fn unit_prices(service: &Service, tickets: &[(TicketIx, u32)]) -> Result<Money, MoneyError> {
    let currency = service
        .tickets
        .first()
        .map(|ticket| ticket.price.currency());
    // Never for a line with tickets: a service without ticket types sells none.
    let Some(currency) = currency else {
        return Err(MoneyError::CurrencyMismatch);
    };
    tickets
        .iter()
        .try_fold(Money::zero(currency), |sum, &(ticket, count)| {
            sum.plus(service.ticket(ticket).price.times(count)?)
        })
}

/// Takes every bundle out of `rest` as often as it fits, and returns the price of the bundles.
fn take_bundles(service: &Service, rest: &mut [(TicketIx, u32)]) -> Result<Money, MoneyError> {
    let mut total = unit_prices(service, &[])?;
    for deal in &service.deals {
        let Deal::Bundle { contents, price } = deal else {
            continue;
        };
        // A bundle that costs more than its tickets would punish a larger order.
        if !cheaper(*price, unit_prices(service, contents)?)? {
            continue;
        }
        let times = contents
            .iter()
            // The loader rejects a count of zero; the bound guards the division.
            .map(|&(ticket, needed)| count_of(rest, ticket) / needed.max(1))
            .min()
            .unwrap_or(0);
        for (ticket, count) in rest.iter_mut() {
            // Cannot underflow: `times` is the minimum of the quotients over the contents.
            *count -= count_of(contents, *ticket) * times;
        }
        total = total.plus(price.times(times)?)?;
    }
    Ok(total)
}

/// The group deals whose minimum `rest` reaches, in the order of the rules file.
fn groups_reached<'a>(
    service: &'a Service,
    rest: &[(TicketIx, u32)],
) -> Vec<(&'a [TicketIx], &'a Reduction)> {
    let reached = |deal: &'a Deal| match deal {
        Deal::Group {
            tickets,
            min_count,
            reduction,
        } => {
            let members = rest.iter().filter(|(ticket, _)| tickets.contains(ticket));
            let size: u64 = members.map(|&(_, count)| u64::from(count)).sum();
            (size >= u64::from(*min_count)).then_some((&tickets[..], reduction))
        }
        Deal::Bundle { .. } => None,
    };
    service.deals.iter().filter_map(reached).collect()
}

/// The price of one ticket with these group deals.
fn reduced_price(
    service: &Service,
    ticket: TicketIx,
    groups: &[(&[TicketIx], &Reduction)],
) -> Result<Money, MoneyError> {
    let full = service.ticket(ticket).price;
    let reduced = match groups.iter().find(|(tickets, _)| tickets.contains(&ticket)) {
        Some((_, Reduction::UnitPrice(price))) => *price,
        Some((_, Reduction::Percent(percent))) => full.less_percent(*percent)?,
        None => full,
    };
    // A price of the feed may fall below the price of the deal; the customer gets the lower one.
    Ok(if cheaper(reduced, full)? {
        reduced
    } else {
        full
    })
}

fn cheaper(price: Money, than: Money) -> Result<bool, MoneyError> {
    price
        .compare(than)
        .map(std::cmp::Ordering::is_lt)
        .ok_or(MoneyError::CurrencyMismatch)
}

fn count_of(tickets: &[(TicketIx, u32)], wanted: TicketIx) -> u32 {
    tickets
        .iter()
        .find(|(ticket, _)| *ticket == wanted)
        .map_or(0, |&(_, count)| count)
}

/// How the price in force differs from the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceChange {
    /// The price in force is higher.
    Increase,
    /// The price in force is lower.
    Decrease,
}

/// The result of a comparison with the caller's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceVerdict {
    /// The caller's price is the price in force.
    Right,
    /// The caller's price is another amount in the right currency.
    Moved(PriceChange),
    /// The caller's price cannot be corrected.
    Incorrect(PriceFault),
}

/// Why a price cannot be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceFault {
    /// The line has no price.
    Missing,
    /// The price is below zero.
    Negative,
    /// The currency is unknown or not the currency of the service.
    OtherCurrency,
}

/// Compares the caller's price with the quote. Fractions of the smallest unit are rounded first.
#[must_use]
pub fn judge(asked: Option<&PriceTag>, quote: &Quote) -> PriceVerdict {
    let Some(tag) = asked else {
        return PriceVerdict::Incorrect(PriceFault::Missing);
    };
    // Before the comparison: a negative price would look like one that has increased.
    if tag.micros < 0 {
        return PriceVerdict::Incorrect(PriceFault::Negative);
    }
    if quote.total.to_micros() == Ok(tag.micros) && tag.is_in(quote.total.currency()) {
        // Nearly always so: nothing is rounded and no currency is looked up.
        return PriceVerdict::Right;
    }
    let ordering = tag
        .money()
        // Rounded, because callers multiply prices with fractions of a cent.
        .and_then(|asked| quote.total.compare(asked.rounded()));
    match ordering {
        None => PriceVerdict::Incorrect(PriceFault::OtherCurrency),
        Some(std::cmp::Ordering::Equal) => PriceVerdict::Right,
        Some(std::cmp::Ordering::Greater) => PriceVerdict::Moved(PriceChange::Increase),
        Some(std::cmp::Ordering::Less) => PriceVerdict::Moved(PriceChange::Decrease),
    }
}

/// Whether the price of a ticket type explains the moved total, so that the caller needs the present price
/// of each type. That is so if the caller's total does not match the unit prices in force, and one of these
/// is newer than what it may have read.
#[must_use]
pub fn ticket_prices_moved(
    service: &Service,
    tickets: &[(TicketIx, u32)],
    asked: &PriceTag,
    quote: &Quote,
) -> bool {
    // A total of unit prices in force, without the deal, means that only the deal was missed.
    let knows_unit_prices = asked.money().map(Money::rounded) == Some(quote.without_deals);
    !knows_unit_prices
        && tickets
            .iter()
            .any(|&(ticket, _)| service.ticket(ticket).price_moved())
}

#[cfg(test)]
mod tests;
