//! Remembering prices: a caller may still hold the price that was in force before the present one.

use crate::{
    domain::catalog::{Catalog, ServiceIx, TicketIx},
    store::{PriceBook, PriceEntry},
};

/// Tells every ticket type of the catalogue its previous price, as far as `book` knows it, and
/// gives the book that is true from now on.
pub(super) fn remember(catalog: &mut Catalog, book: &PriceBook) -> PriceBook {
    for entry in &book.entries {
        if let Some((service, ticket)) = find(catalog, entry) {
            let ticket = catalog.service_mut(service).ticket_mut(ticket);
            let moved = ticket.price != entry.current;
            ticket.previous_price = if moved { Some(entry.current) } else { entry.previous };
        }
    }
    in_force(catalog)
}

/// The prices of a catalogue that has been told its previous ones.
pub(super) fn in_force(catalog: &Catalog) -> PriceBook {
    PriceBook { entries: entries(catalog) }
}

fn find(catalog: &Catalog, entry: &PriceEntry) -> Option<(ServiceIx, TicketIx)> {
    let merchant = catalog.merchant_ix(&entry.merchant_id)?;
    let service = catalog.service_ix(merchant, &entry.service_id)?;
    let ticket = catalog.service(service).ticket_ix(&entry.ticket_id)?;
    Some((service, ticket))
}

fn entries(catalog: &Catalog) -> Vec<PriceEntry> {
    let of_service = |service: &crate::domain::catalog::Service| {
        let merchant_id = catalog.merchant(service.merchant).id.clone();
        let service_id = service.id.clone();
        let entry = |ticket: &crate::domain::catalog::TicketType| PriceEntry {
            merchant_id: merchant_id.clone(),
            service_id: service_id.clone(),
            ticket_id: ticket.id.clone(),
            current: ticket.price,
            previous: ticket.previous_price,
        };
        service.tickets.iter().map(entry).collect::<Vec<_>>()
    };
    catalog.services().flat_map(|(_, service)| of_service(service)).collect()
}
