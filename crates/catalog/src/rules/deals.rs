//! Deals: reductions for groups, and bundles at a price of their own.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use domain::{
    catalog::{Deal, Reduction, Service, TicketIx},
    money::{Currency, Money, MoneyError},
};

use super::{fees, names::TicketNames, toml::TomlTable};

/// Keys of a group deal.
pub(super) const GROUP_KEYS: &[&str] = &["tickets", "min_count", "price_micros", "percent_off"];

/// Keys of a bundle.
pub(super) const BUNDLE_KEYS: &[&str] = &["contents", "price_micros"];

/// Reads a group deal: from `min_count` tickets on, each is cheaper.
pub(super) fn read_group(
    table: &TomlTable<'_>,
    names: TicketNames<'_>,
    currency: Currency,
) -> Option<Deal> {
    let tickets = names.tickets(table, "tickets", 1);
    let min_count = table
        .required("min_count")
        .and_then(|entry| entry.integer(1..=u32::MAX));
    let reduction = reduction(table, currency);
    let (tickets, min_count, reduction) = (tickets?, min_count?, reduction?);
    if let Some(service) = names.service {
        warn_of_group(table, service, &tickets, min_count, reduction);
    }
    Some(Deal::Group {
        tickets,
        min_count,
        reduction,
    })
}

/// Warns about a group deal that makes priced tickets free, or that changes nothing. A warning only,
/// because prices of the feed may change either.
fn warn_of_group(
    table: &TomlTable<'_>,
    service: &Service,
    tickets: &[TicketIx],
    min_count: u32,
    reduction: Reduction,
) {
    let mut lowers_none = true;
    for &ticket in tickets {
        let full = service.ticket(ticket).price;
        let reduced = match reduction {
            Reduction::UnitPrice(price) => price,
            Reduction::Percent(percent) => full.less_percent(percent).unwrap_or(full),
        };
        lowers_none &= !is_below(reduced, full);
        // Of the smallest group, because rounding can make a few cheap tickets free and many of them not.
        if is_free(reduced, min_count) && !is_free(full, min_count) {
            let id = &service.ticket(ticket).id;
            table.at.warning(
                "free_line",
                format!("makes {min_count} tickets of type {id:?} cost nothing"),
            );
        }
    }
    if let (true, Reduction::UnitPrice(price)) = (lowers_none, reduction) {
        table.at.warning(
            "idle_deal",
            format!("lowers no price and is not applied: each of these tickets costs {price} or less anyway"),
        );
    }
}

/// Whether `count` tickets at that price are free, once the total is rounded.
fn is_free(price: Money, count: u32) -> bool {
    price
        .times(count)
        .is_ok_and(|total| total.rounded().is_zero())
}

fn is_below(price: Money, other: Money) -> bool {
    price.compare(other).is_some_and(Ordering::is_lt)
}

fn reduction(table: &TomlTable<'_>, currency: Currency) -> Option<Reduction> {
    match (table.get("price_micros"), table.get("percent_off")) {
        (Some(_), None) => fees::price(table, currency).map(Reduction::UnitPrice),
        (None, Some(entry)) => {
            let percent: Decimal = entry.decimal()?;
            // More than 100 per cent would pay the customer.
            if percent <= Decimal::ZERO || percent > Decimal::ONE_HUNDRED {
                entry.at.error(
                    "out_of_range",
                    format!("is {percent} per cent; expected more than 0 and at most 100"),
                );
            }
            Some(Reduction::Percent(percent))
        }
        (Some(_), Some(_)) | (None, None) => {
            table.at.error(
                "contradiction",
                "expected either `price_micros` or `percent_off`",
            );
            None
        }
    }
}

/// Reads a bundle: a fixed set of tickets at a price of its own.
pub(super) fn read_bundle(
    table: &TomlTable<'_>,
    names: TicketNames<'_>,
    currency: Currency,
) -> Option<Deal> {
    let members = table.required("contents").and_then(|entry| entry.members());
    let price = fees::price(table, currency);
    if members.as_ref().is_some_and(Vec::is_empty) {
        table.at.error("empty", "`contents` names no ticket type");
    }
    // Collected twice: first all entries are read and reported, then one invalid entry discards the bundle.
    let contents: Vec<_> = members?
        .into_iter()
        .map(|(id, entry)| {
            let ticket = names.ticket(id, &entry.at);
            let count = entry.integer(1..=i32::MAX)?.unsigned_abs();
            Some((ticket?, count))
        })
        .collect();
    let (contents, price) = (contents.into_iter().collect::<Option<Vec<_>>>()?, price?);
    compare_with_singles(table, names, &contents, price);
    Some(Deal::Bundle { contents, price })
}

/// Warns about a bundle that costs more than its tickets, and so is not applied, and about one that is
/// free.
fn compare_with_singles(
    table: &TomlTable<'_>,
    names: TicketNames<'_>,
    contents: &[(TicketIx, u32)],
    price: Money,
) {
    let Some(service) = names.service.filter(|_| !contents.is_empty()) else {
        return;
    };
    match singly(service, contents, Money::zero(price.currency())) {
        Ok(sum) if is_below(sum, price) => {
            table.at.warning(
                "idle_deal",
                format!("costs {price}, but its tickets one by one {sum}; it is not applied"),
            );
        }
        Ok(sum) if price.is_zero() && !sum.is_zero() => {
            table.at.warning(
                "free_line",
                format!("gives away for nothing what costs {sum} one by one"),
            );
        }
        Ok(_) => {}
        // Found here and not when an order is priced.
        Err(error) => table.at.error(
            "out_of_range",
            format!("its tickets one by one cannot be priced: {error}"),
        ),
    }
}

fn singly(
    service: &Service,
    contents: &[(TicketIx, u32)],
    nothing: Money,
) -> Result<Money, MoneyError> {
    contents.iter().try_fold(nothing, |sum, &(ticket, count)| {
        sum.plus(service.ticket(ticket).price.times(count)?)
    })
}
