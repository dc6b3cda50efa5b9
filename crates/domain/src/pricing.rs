//! What a line costs, and how the price that the caller carries compares with it.

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
    /// What the total would be without any deal.
    pub without_deals: Money,
}

/// The price of a line without tickets: one spot at the service's price. `None` where the service
/// sells by ticket only.
#[must_use]
pub fn quote_appointment(service: &Service) -> Option<Quote> {
    let total = service.price?.rounded();
    Some(Quote {
        total,
        without_deals: total,
    })
}

/// The price of a line with tickets: the sum of unit price × count after deals, rounded once at
/// the end. Bundles are taken out first, in the order of the rules file and each as often as it
/// fits; what remains pays the group price of the first group deal that applies, or the unit price.
/// A deal that is dearer than the unit prices is none.
///
/// # Errors
/// [`MoneyError`] if the amount is beyond what the wire can carry.
pub fn quote_tickets(service: &Service, tickets: &[(TicketIx, u32)]) -> Result<Quote, MoneyError> {
    let without_deals = unit_prices(service, tickets)?.rounded();
    let mut rest = tickets.to_vec();
    let mut total = take_bundles(service, &mut rest)?;
    let groups = groups_reached(service, &rest);
    for &(ticket, count) in &rest {
        total = total.plus(reduced_price(service, ticket, &groups)?.times(count)?)?;
    }
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
    let Some(currency) = currency else {
        return Err(MoneyError::CurrencyMismatch);
    };
    tickets
        .iter()
        .try_fold(Money::zero(currency), |sum, &(ticket, count)| {
            sum.plus(service.ticket(ticket).price.times(count)?)
        })
}

/// Takes every bundle out of `rest` as often as it fits and gives the bundles' price.
fn take_bundles(service: &Service, rest: &mut [(TicketIx, u32)]) -> Result<Money, MoneyError> {
    let mut total = unit_prices(service, &[])?;
    for deal in &service.deals {
        let Deal::Bundle { contents, price } = deal else {
            continue;
        };
        if !cheaper(*price, unit_prices(service, contents)?)? {
            continue;
        }
        let times = contents
            .iter()
            .map(|&(ticket, needed)| count_of(rest, ticket) / needed.max(1))
            .min()
            .unwrap_or(0);
        for (ticket, count) in rest.iter_mut() {
            *count -= count_of(contents, *ticket) * times;
        }
        total = total.plus(price.times(times)?)?;
    }
    Ok(total)
}

/// The group deals that have their number of tickets in `rest`, in the order of the rules file.
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

/// The price of one ticket where these group deals have been reached.
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
    /// It is higher now.
    Increase,
    /// It is lower now.
    Decrease,
}

/// What is to be said of the caller's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceVerdict {
    /// It is the price in force.
    Right,
    /// It is another amount in the right currency.
    Moved(PriceChange),
    /// No correction makes it the same offer.
    Incorrect(PriceFault),
}

/// Why a price cannot be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceFault {
    /// There is none.
    Missing,
    /// It is below zero.
    Negative,
    /// Its currency is not the service's, or none at all.
    OtherCurrency,
}

/// Compares the caller's price with the quote. Fractions of the smallest unit are rounded first.
#[must_use]
pub fn judge(asked: Option<&PriceTag>, quote: &Quote) -> PriceVerdict {
    let Some(tag) = asked else {
        return PriceVerdict::Incorrect(PriceFault::Missing);
    };
    if tag.micros < 0 {
        return PriceVerdict::Incorrect(PriceFault::Negative);
    }
    let ordering = tag
        .money()
        .and_then(|asked| quote.total.compare(asked.rounded()));
    match ordering {
        None => PriceVerdict::Incorrect(PriceFault::OtherCurrency),
        Some(std::cmp::Ordering::Equal) => PriceVerdict::Right,
        Some(std::cmp::Ordering::Greater) => PriceVerdict::Moved(PriceChange::Increase),
        Some(std::cmp::Ordering::Less) => PriceVerdict::Moved(PriceChange::Decrease),
    }
}

/// Whether a moved total goes back to the price of a ticket type, so that the caller needs the
/// present price of each: it did not reckon with the unit prices in force, and one of them is
/// newer than what it may have read.
#[must_use]
pub fn ticket_prices_moved(
    service: &Service,
    tickets: &[(TicketIx, u32)],
    asked: &PriceTag,
    quote: &Quote,
) -> bool {
    let knows_unit_prices = asked.money().map(Money::rounded) == Some(quote.without_deals);
    !knows_unit_prices
        && tickets
            .iter()
            .any(|&(ticket, _)| service.ticket(ticket).price_moved())
}

#[cfg(test)]
mod tests;
