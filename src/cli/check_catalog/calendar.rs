//! The calendar of a day: every slot with its time, its prices and its remaining spots.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use super::{
    super::table::{Align, count, price, table},
    zone::Day,
};
use catalog::{Loaded, SourceFeeds};
use domain::{
    availability::{WindowFault, window_fault},
    catalog::{Catalog, Service, ServiceIx},
    ids::TicketId,
    money::Money,
    slot::{Claimed, Opening, Pool, Slot, SlotKey, Viewer},
    time::{EpochSeconds, Seconds},
};

/// The slots of a day, by service.
#[derive(Debug)]
pub(super) struct DayCalendar {
    catalog: Catalog,
    day: Day,
    basis: CalendarBasis,
    services: Vec<(ServiceIx, Vec<SlotOfDay>)>,
}

/// What the spots of a calendar are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalendarBasis {
    /// The files of the catalogue alone.
    Files,
    /// The files and the sales of a server.
    Sales,
}

/// A slot of the day.
#[derive(Debug)]
struct SlotOfDay {
    key: SlotKey,
    /// The reason for which it cannot be booked now, if there is one.
    fault: Option<WindowFault>,
    /// Remaining and total spots.
    spots: Spots,
    offers: Vec<CalendarOffer>,
}

#[derive(Debug, Clone, Copy)]
struct Spots {
    left: u32,
    total: u32,
}

/// An offer of a slot: a ticket type, or an appointment.
#[derive(Debug)]
struct CalendarOffer {
    ticket_id: Option<TicketId>,
    price: Money,
    left: u32,
}

impl DayCalendar {
    pub(super) fn of(loaded: Loaded, day: Day, now: EpochSeconds, basis: CalendarBasis) -> Self {
        let Loaded {
            catalog,
            openings,
            source_feeds,
            ..
        } = loaded;
        let mut slots: BTreeMap<SlotKey, Vec<&Opening>> = BTreeMap::new();
        for opening in &openings {
            for start_sec in opening.starts(day.from, day.until) {
                slots
                    .entry(SlotKey {
                        start_sec,
                        ..opening.first
                    })
                    .or_default()
                    .push(opening);
            }
        }
        let mut services: BTreeMap<ServiceIx, Vec<SlotOfDay>> = BTreeMap::new();
        for (key, openings) in slots {
            let slot = SlotOfDay::of(
                catalog.service(key.service),
                key,
                &openings,
                &source_feeds,
                now,
            );
            services.entry(key.service).or_default().push(slot);
        }
        for slots in services.values_mut() {
            // By time, as people read a calendar; the map sorts by service and length first.
            slots.sort_by_key(|slot| (slot.key.start_sec, slot.key.duration_sec));
        }
        let in_order = catalog
            .services()
            .map(|(ix, _)| (ix, services.remove(&ix).unwrap_or_default()));
        let services = in_order.collect();
        Self {
            catalog,
            day,
            basis,
            services,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Day {
            date, zone_name, ..
        } = &self.day;
        let basis = match self.basis {
            CalendarBasis::Sales => "less what is sold and held",
            CalendarBasis::Files => "as the files have it, without sales",
        };
        let mut text = format!("\nCalendar of {date} ({zone_name}), {basis}\n");
        for (ix, slots) in &self.services {
            let service = self.catalog.service(*ix);
            let merchant = &self.catalog.merchant(service.merchant).id;
            let name = &service.name.value;
            let slots_of_day = if slots.is_empty() {
                "no slot".to_owned()
            } else {
                count(slots.len(), "slot")
            };
            // A string takes all text.
            let _ = writeln!(text, "\n{merchant}/{}  {name}: {slots_of_day}", service.id);
            if !slots.is_empty() {
                let rows: Vec<Vec<String>> = slots.iter().map(|slot| self.row(slot)).collect();
                text.push_str(&table("  ", COLUMNS, &rows));
            }
        }
        text
    }

    fn row(&self, slot: &SlotOfDay) -> Vec<String> {
        let time = format!(
            "{}-{}",
            self.day.clock_time(slot.key.start_sec),
            self.day.clock_time(slot.key.end_sec())
        );
        let Spots { left, total } = slot.spots;
        let offers: Vec<String> = slot.offers.iter().map(|offer| offer.text(left)).collect();
        vec![
            time,
            left.to_string(),
            total.to_string(),
            self.state(slot),
            offers.join(", "),
        ]
    }

    fn state(&self, slot: &SlotOfDay) -> String {
        match slot.fault {
            Some(WindowFault::NotYet(opens)) => format!("opens {}", self.day.rfc_3339(opens)),
            Some(WindowFault::NoLonger(_)) => "closed".to_owned(),
            None => slot.status().replace('_', " "),
        }
    }

    /// For programs, in the form that docs/catalog.md describes.
    pub(super) fn json(&self) -> Value {
        let Day {
            date,
            zone_name,
            from,
            until,
            ..
        } = &self.day;
        let services = self.services.iter().map(|(ix, slots)| {
            let service = self.catalog.service(*ix);
            let slots: Vec<Value> = slots.iter().map(|slot| self.slot_json(slot)).collect();
            json!({
                "merchant_id": self.catalog.merchant(service.merchant).id.as_str(),
                "service_id": service.id.as_str(),
                "name": service.name.value,
                "slots": slots,
            })
        });
        json!({
            "date": date.to_string(),
            "zone": zone_name,
            "begin_sec": from.get(),
            "end_sec": until.get(),
            "counts_sales": self.basis == CalendarBasis::Sales,
            "services": services.collect::<Vec<_>>(),
        })
    }

    fn slot_json(&self, slot: &SlotOfDay) -> Value {
        let offers = slot.offers.iter().map(
            |CalendarOffer {
                 ticket_id,
                 price,
                 left,
             }| {
                json!({
                    "ticket_type_id": ticket_id.as_ref().map(TicketId::as_str),
                    "price": price_json(*price),
                    "spots_left": left,
                })
            },
        );
        json!({
            "start": self.day.rfc_3339(slot.key.start_sec),
            "start_sec": slot.key.start_sec.get(),
            "duration_sec": Seconds::from(slot.key.duration_sec).get(),
            "status": slot.status(),
            "spots_left": slot.spots.left,
            "spots_total": slot.spots.total,
            "offers": offers.collect::<Vec<_>>(),
        })
    }
}

const COLUMNS: &[(&str, Align)] = &[
    ("time", Align::Left),
    ("left", Align::Right),
    ("of", Align::Right),
    ("state", Align::Left),
    ("prices", Align::Left),
];

/// A price in the form of the feeds.
pub(super) fn price_json(price: Money) -> Value {
    json!({"price_micros": price.to_micros().ok(), "currency_code": price.currency().code()})
}

impl SlotOfDay {
    fn of(
        service: &Service,
        key: SlotKey,
        openings: &[&Opening],
        source_feeds: &SourceFeeds,
        now: EpochSeconds,
    ) -> Self {
        let viewer = Viewer { now, cart: None };
        let mut slot = Slot::default();
        // A second slot with nothing sold, because the total is what the openings give, before
        // sales.
        let mut untouched = Slot::default();
        for opening in openings {
            let (_, terms) = opening.occurrence(key.start_sec);
            slot.open(opening.pool, &terms);
            let allotment = source_feeds
                .spots_total(opening)
                .unwrap_or(opening.pool.allotment);
            untouched.open(
                Pool {
                    allotment,
                    ..opening.pool
                },
                &terms,
            );
        }
        let tickets = service.tickets.iter().map(|ticket| {
            (
                Some(ticket.id.clone()),
                Claimed::Ticket(ticket.ix),
                ticket.price,
            )
        });
        let appointment = service
            .price
            .map(|price| (None, Claimed::Appointment, price));
        let sold: Vec<_> = appointment
            .into_iter()
            .chain(tickets)
            .filter(|(_, claimed, _)| slot.sells(service, *claimed))
            .collect();
        let claims: Vec<Claimed> = sold.iter().map(|(_, claimed, _)| *claimed).collect();
        let offer = |(ticket_id, claimed, price)| CalendarOffer {
            ticket_id,
            price,
            left: slot.spots_open(service, &[claimed], viewer),
        };
        Self {
            key,
            fault: window_fault(service, key, slot.terms(), now),
            spots: Spots {
                left: slot.spots_open(service, &claims, viewer),
                total: untouched.spots_open(service, &claims, viewer),
            },
            offers: sold.into_iter().map(offer).collect(),
        }
    }

    /// The status as one word, which stays the same over versions.
    fn status(&self) -> &'static str {
        match self.fault {
            Some(WindowFault::NotYet(_)) => "not_yet",
            Some(WindowFault::NoLonger(_)) => "closed",
            None if self.spots.left == 0 => "sold_out",
            None => "open",
        }
    }
}

impl CalendarOffer {
    /// The offer as text, with its remaining spots where they differ from those of the slot.
    fn text(&self, left: u32) -> String {
        let name = self
            .ticket_id
            .as_ref()
            .map(|id| format!("{id} "))
            .unwrap_or_default();
        let left = if self.left == left {
            String::new()
        } else {
            format!(" ({} left)", self.left)
        };
        format!("{name}{}{left}", price(self.price))
    }
}
