//! Ticket types of a service.

use domain::{
    catalog::{Fee, FeedFees, IdInterner, ServiceIx, TicketIx, TicketType},
    ids::{MerchantId, ServiceId},
};

use crate::{
    diagnostics::Cursor,
    ignored,
    json::{Field, elements, message},
    prices::{Price, PriceReader},
    texts::{self, Text},
};

/// Most ticket types of one service.
const MAX_TICKET_TYPES: usize = 1_000;

message! {
    /// A ticket type of a service.
    watched TicketEntry {
        ticket_type_id: String,
        localized_short_description: Text,
        short_description: Text,
        localized_option_description: Text,
        option_description: Text,
        price: Price,
        per_ticket_fee: PerTicketFee,
    }
}

message! {
    /// Fees for every ticket of a type.
    watched PerTicketFee {
        service_charge: Price,
        facility_fee: Price,
        taxes: Price,
    }
}

/// The source of indexes for the ticket types of a service.
pub(super) struct Numbering<'a> {
    ids: &'a mut IdInterner,
    service: ServiceIx,
}

impl<'a> Numbering<'a> {
    /// A numbering for the ticket types of a service, which gets an index itself.
    pub(super) fn of(
        ids: &'a mut IdInterner,
        merchant_id: &MerchantId,
        service_id: &ServiceId,
    ) -> Self {
        let service = ids.service(merchant_id, service_id);
        Self { ids, service }
    }

    fn number(&mut self, ticket: &mut TicketType, at: &Cursor<'_>) {
        match self.ids.ticket(self.service, &ticket.id) {
            Some(ix) => ticket.ix = ix,
            None => at.error(
                "too_many",
                "is a ticket type beyond the 65536 that one service can have until a restart",
            ),
        }
    }
}

/// The ticket types of a service. A duplicate id is reported and left out.
pub(super) fn read(
    list: Field<Vec<Field<TicketEntry>>>,
    mut numbering: Numbering<'_>,
    prices: &mut PriceReader,
    at: &Cursor<'_>,
) -> Vec<TicketType> {
    let list = elements(list, at);
    if list.len() > MAX_TICKET_TYPES {
        at.error(
            "too_many",
            format!(
                "has {} ticket types; expected {MAX_TICKET_TYPES} at most",
                list.len()
            ),
        );
    }
    let mut tickets: Vec<TicketType> = Vec::with_capacity(list.len());
    for (index, ticket) in list {
        let at = at.index(index);
        let mut ticket = read_ticket(ticket, prices, &at);
        // Empty ids have been reported as such and are not duplicates of each other.
        if tickets.iter().any(|known| known.id == ticket.id) && ticket.id != "" {
            at.key("ticket_type_id").error(
                "duplicate",
                format!("ticket type {:?} is there twice", ticket.id),
            );
        } else {
            // Not for a duplicate: the interner would give it the index of its twin.
            numbering.number(&mut ticket, &at);
            tickets.push(ticket);
        }
    }
    tickets
}

fn read_ticket(ticket: TicketEntry, prices: &mut PriceReader, at: &Cursor<'_>) -> TicketType {
    let TicketEntry {
        ticket_type_id,
        localized_short_description,
        short_description,
        localized_option_description,
        option_description,
        price,
        per_ticket_fee,
        others,
    } = ticket;
    ignored::warn(&others, at);
    let short = [
        ("localized_short_description", localized_short_description),
        ("short_description", short_description),
    ];
    let option = [
        ("localized_option_description", localized_option_description),
        ("option_description", option_description),
    ];
    let (feed_fees, fees) = read_fees(per_ticket_fee, prices, &at.key("per_ticket_fee"));
    TicketType {
        // A stand-in until `number` gives the permanent index.
        ix: TicketIx(u16::MAX),
        id: ticket_type_id
            .id(&at.key("ticket_type_id"))
            .unwrap_or_default()
            .into(),
        short_description: texts::first_of(short, at).unwrap_or_default(),
        option_description: texts::first_of(option, at).unwrap_or_default(),
        price: prices.required(price, &at.key("price")),
        previous_price: None,
        feed_fees,
        fees,
    }
}

fn read_fees(
    fees: Field<PerTicketFee>,
    prices: &mut PriceReader,
    at: &Cursor<'_>,
) -> (FeedFees, Vec<Fee>) {
    let PerTicketFee {
        service_charge,
        facility_fee,
        taxes,
        others,
    } = fees.optional(at).unwrap_or_default();
    ignored::warn_of_fees(&others, at);
    let service_charge = prices.fee("Service charge", service_charge, &at.key("service_charge"));
    let facility_fee = prices.fee("Facility fee", facility_fee, &at.key("facility_fee"));
    let taxes = prices.fee("Taxes", taxes, &at.key("taxes"));
    // A fee of nothing is none: a ticket type is answered with what is charged for it.
    let amount = |fee: &Option<Fee>| {
        fee.as_ref()
            .map(|fee| fee.amount)
            .filter(|amount| !amount.is_zero())
    };
    let feed_fees = FeedFees {
        service_charge: amount(&service_charge),
        facility_fee: amount(&facility_fee),
        taxes: amount(&taxes),
    };
    (
        feed_fees,
        [service_charge, facility_fee, taxes]
            .into_iter()
            .flatten()
            .collect(),
    )
}
