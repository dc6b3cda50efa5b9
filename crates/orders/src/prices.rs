//! Previous prices: a client may still have the price that was in force before the present one.

use std::collections::HashMap;

use domain::{
    catalog::{Catalog, Service, ServiceIx, TicketIx},
    ids::{MerchantId, ServiceId, TicketId},
    money::Money,
};
use store::{PriceBook, PriceEntry};

/// Sets the previous price of every ticket type of the catalogue, as far as `book` has it, and returns the next
/// book. Entries that the catalogue does not have stay in the book: a later catalogue may have them again, at
/// another price.
pub(super) fn remember(catalog: &mut Catalog, book: &PriceBook) -> PriceBook {
    let places: HashMap<_, _> = book.entries.iter().map(names).zip(0..).collect();
    // The order of known entries is kept, so that an unchanged book compares equal and is not
    // written again.
    let mut entries = book.entries.clone();
    for (service, ticket, mut entry) in in_force(catalog) {
        match places.get(&names(&entry)) {
            Some(&place) => {
                let known: &mut PriceEntry = &mut entries[place];
                entry.previous = previous(known, entry.current);
                if let Some(ticket) = ticket {
                    catalog
                        .service_mut(service)
                        .ticket_mut(ticket)
                        .previous_price = entry.previous;
                }
                *known = entry;
            }
            None => entries.push(entry),
        }
    }
    PriceBook { entries }
}

/// The ids of an entry; an appointment has no ticket type.
fn names(entry: &PriceEntry) -> (&MerchantId, &ServiceId, Option<&TicketId>) {
    (
        &entry.merchant_id,
        &entry.service_id,
        entry.ticket_id.as_ref(),
    )
}

/// The price before this one, unless it was in another currency.
fn previous(known: &PriceEntry, price: Money) -> Option<Money> {
    let previous = if known.current == price {
        known.previous
    } else {
        Some(known.current)
    };
    previous.filter(|previous| previous.currency() == price.currency())
}

/// The prices of a catalogue, each with its service and its ticket type.
fn in_force(catalog: &Catalog) -> Vec<(ServiceIx, Option<TicketIx>, PriceEntry)> {
    let entry = |service: &Service, ticket_id: Option<&TicketId>, current: Money| PriceEntry {
        merchant_id: catalog.merchant(service.merchant).id.clone(),
        service_id: service.id.clone(),
        ticket_id: ticket_id.cloned(),
        current,
        previous: None,
    };
    let mut prices = Vec::new();
    for (ix, service) in catalog.services() {
        prices.extend(
            service
                .price
                .map(|price| (ix, None, entry(service, None, price))),
        );
        for ticket in &service.tickets {
            prices.push((
                ix,
                Some(ticket.ix),
                entry(service, Some(&ticket.id), ticket.price),
            ));
        }
    }
    prices
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        fixtures::{Fixture, cents},
        money::Currency,
    };

    /// A catalogue with this price of the museum's first ticket type, or without the type; the appointment alike.
    fn catalogue(price: Option<i64>) -> Fixture {
        let mut fixture = Fixture::new();
        let museum = fixture.service_mut("museum");
        museum.price = price.map(|price| cents(10 * price));
        match price {
            Some(price) => museum.tickets[0].price = cents(price),
            None => drop(museum.tickets.remove(0)),
        }
        fixture
    }

    fn entry<'a>(book: &'a PriceBook, ticket_id: Option<&TicketId>) -> &'a PriceEntry {
        let mut entries = book.entries.iter();
        entries
            .find(|entry| entry.service_id == "museum" && entry.ticket_id.as_ref() == ticket_id)
            .unwrap()
    }

    #[test]
    fn prices_of_absent_ticket_types_and_appointments_are_remembered() {
        let ticket_id = catalogue(Some(1)).service("museum").tickets[0].id.clone();
        let mut book = PriceBook::default();
        // The price of each catalogue, and the one before that callers may still have.
        for (price, previous) in [
            (Some(1_000), None),
            (Some(1_000), None),
            (None, None),
            (Some(1_200), Some(1_000)),
            (None, Some(1_000)),
            (None, Some(1_000)),
            (Some(1_200), Some(1_000)),
            (Some(900), Some(1_200)),
        ] {
            let mut fixture = catalogue(price);
            book = remember(&mut fixture.catalog, &book);
            assert_eq!(
                entry(&book, Some(&ticket_id)).previous,
                previous.map(cents),
                "{price:?}"
            );
            assert_eq!(
                entry(&book, None).previous,
                previous.map(|price| cents(10 * price)),
                "{price:?}"
            );
            if price.is_some() {
                let served = fixture.service("museum").tickets[0].previous_price;
                assert_eq!(served, previous.map(cents), "{price:?}");
            }
            let again = remember(&mut catalogue(price).catalog, &book);
            assert_eq!(again, book, "nothing has changed");
        }
        assert_eq!(entry(&book, Some(&ticket_id)).current, cents(900));
    }

    #[test]
    fn a_price_in_another_currency_is_no_previous_price() {
        let mut fixture = catalogue(Some(1_000));
        let book = remember(&mut fixture.catalog, &PriceBook::default());
        let euros = Money::from_micros(1_000_000, Currency::from_code("EUR").unwrap());
        let mut fixture = catalogue(Some(1_000));
        fixture.service_mut("museum").price = Some(euros);
        let book = remember(&mut fixture.catalog, &book);
        assert_eq!(
            (entry(&book, None).current, entry(&book, None).previous),
            (euros, None)
        );
    }
}
