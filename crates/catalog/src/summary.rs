//! Summaries of a catalogue, and warnings about its services as a whole.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use domain::{
    catalog::{Catalog, Service, ServiceIx, ServiceRule, TicketIx},
    slot::{Claimed, Opening, Pool, PoolTickets, SlotKey},
    time::{EpochSeconds, Seconds},
};

use crate::diagnostics::Diagnostics;

mod sellable;

/// Most slots that are counted. Of further ones only their existence is reported.
const MAX_COUNTED: usize = 10_000_000;

/// Availability later than this is likely an error: five years.
const FAR_AHEAD: Seconds = Seconds::days(5 * 365);

/// The files that warnings about services refer to.
const SERVICES: &str = "services.json";
const AVAILABILITY: &str = "availability.json";

/// A summary of a catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogSummary {
    /// Entries of the availability feed.
    pub entries: usize,
    /// Slots that have not ended, each once.
    pub slots: usize,
    /// Whether there are more slots than were counted.
    pub has_more_slots: bool,
    /// The services of the catalogue, in file order.
    pub services: Vec<ServiceSummary>,
    /// The end of the last slot, and so of all availability.
    pub ends_sec: Option<EpochSeconds>,
}

/// A summary of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSummary {
    /// The service.
    pub service: ServiceIx,
    /// Its slots that have not ended, each once.
    pub slots: usize,
    /// The starts of its first and last slots.
    pub starts: Option<(EpochSeconds, EpochSeconds)>,
    /// Entries of the availability feed.
    entries: usize,
    /// The end of its last slot, past or future.
    ends_sec: EpochSeconds,
    /// Whether some slot can be booked, now or later.
    can_be_booked: bool,
    /// The largest number of spots in one slot, as the sum over its pools.
    most_spots: u64,
    /// Whether all ticket types and appointments can draw on some spots.
    serves_all: bool,
    /// Ticket types that can draw on some spots.
    serves: HashSet<TicketIx>,
}

impl ServiceSummary {
    fn of(service: ServiceIx) -> Self {
        Self {
            service,
            slots: 0,
            starts: None,
            entries: 0,
            ends_sec: EpochSeconds::MIN,
            can_be_booked: false,
            most_spots: 0,
            serves_all: false,
            serves: HashSet::new(),
        }
    }

    fn serves(&self, ticket: TicketIx) -> bool {
        self.serves_all || self.serves.contains(&ticket)
    }

    /// Records the ticket types of a pool that has spots.
    fn add_pool(&mut self, service: &Service, pool: Pool) {
        // Nothing more to learn once all types are served, which most services reach with their first
        // entry.
        if pool.allotment == 0 || self.serves_all {
            return;
        }
        match pool.tickets {
            PoolTickets::All => self.serves_all = true,
            PoolTickets::Set(_) => {
                let tickets = service.tickets.iter().map(|ticket| ticket.ix);
                self.serves
                    .extend(tickets.filter(|ix| pool.serves(service, Claimed::Ticket(*ix))));
            }
        }
    }

    /// Records a slot that has not ended.
    fn add_slot(&mut self, start_sec: EpochSeconds, spots: u64) {
        self.slots += 1;
        let (first, last) = self.starts.unwrap_or((start_sec, start_sec));
        self.starts = Some((first.min(start_sec), last.max(start_sec)));
        self.most_spots = self.most_spots.max(spots);
    }
}

impl CatalogSummary {
    /// Counts slots that have not ended at `now`; recurring ones up to `horizon` later.
    #[must_use]
    pub fn of(
        catalog: &Catalog,
        openings: &[Opening],
        now: EpochSeconds,
        horizon: Seconds,
    ) -> Self {
        let mut services: BTreeMap<ServiceIx, ServiceSummary> = BTreeMap::new();
        let mut slots: Vec<(SlotKey, u32)> = Vec::new();
        let mut has_more_slots = false;
        for opening in openings {
            let ix = opening.first.service;
            let service = catalog.service(ix);
            let summary = services.entry(ix).or_insert_with(|| ServiceSummary::of(ix));
            summary.entries += 1;
            summary.ends_sec = summary.ends_sec.max(end_of(opening));
            summary.add_pool(service, opening.pool);
            for start_sec in starts(opening, now, horizon) {
                if slots.len() == MAX_COUNTED {
                    has_more_slots = true;
                    break;
                }
                slots.push((
                    SlotKey {
                        start_sec,
                        ..opening.first
                    },
                    opening.pool.allotment,
                ));
                summary.can_be_booked =
                    summary.can_be_booked || can_be_booked(service, opening, start_sec, now);
            }
        }
        // Several openings may be of one slot: after sorting they are neighbours and count once.
        slots.sort_unstable();
        for slot in slots.chunk_by(|(one, _), (other, _)| one == other) {
            let (key, _) = slot[0];
            let spots = slot.iter().map(|(_, spots)| u64::from(*spots)).sum();
            services
                .entry(key.service)
                .or_insert_with(|| ServiceSummary::of(key.service))
                .add_slot(key.start_sec, spots);
        }
        // In file order, because people read the summary beside the file.
        let in_order = catalog.services().map(|(ix, _)| {
            services
                .remove(&ix)
                .unwrap_or_else(|| ServiceSummary::of(ix))
        });
        let services: Vec<ServiceSummary> = in_order.collect();
        Self {
            entries: openings.len(),
            slots: services.iter().map(|summary| summary.slots).sum(),
            has_more_slots,
            ends_sec: services
                .iter()
                .filter(|summary| summary.entries > 0)
                .map(|summary| summary.ends_sec)
                .max(),
            services,
        }
    }

    /// Warns about services that sell nothing, or less than they seem to.
    pub fn warn(&self, catalog: &Catalog, now: EpochSeconds, warnings: &mut Diagnostics) {
        warn_of_merchants(catalog, warnings);
        if self.services.is_empty() {
            return warnings.warn_of_file(
                "no_services",
                SERVICES,
                "has no service, so that nothing can be sold",
            );
        }
        if let Some(ends_sec) = self.ends_sec.filter(|ends_sec| *ends_sec <= now) {
            let text = format!(
                "all of it is over since {}, so that nothing can be sold",
                utc(ends_sec)
            );
            warnings.warn_of_file("availability_past", AVAILABILITY, text);
            return;
        }
        let counted = if self.has_more_slots {
            Counted::First
        } else {
            Counted::All
        };
        for summary in &self.services {
            let service = catalog.service(summary.service);
            let name = format!(
                "service {:?} of merchant {:?}",
                service.id,
                catalog.merchant(service.merchant).id
            );
            summary.warn(service, &name, now, counted, warnings);
        }
        self.warn_of_required(catalog, warnings);
    }

    /// Warns about services that are sold only with others, none of which has a slot.
    fn warn_of_required(&self, catalog: &Catalog, warnings: &mut Diagnostics) {
        let has_slots = |ix: &ServiceIx| {
            self.services
                .iter()
                .any(|it| it.service == *ix && it.slots > 0)
        };
        for merchant in catalog.merchants() {
            for rule in &merchant.combinations {
                let ServiceRule::RequiredWith { service, any_of } = rule else {
                    continue;
                };
                if has_slots(service) && !any_of.iter().any(has_slots) {
                    let id = &catalog.service(*service).id;
                    let text = format!(
                        "service {id:?} of merchant {:?} is sold only with others, none of which has a slot",
                        merchant.id
                    );
                    warnings.warn_of_file("unsellable_service", "rules.toml", text);
                }
            }
        }
    }
}

/// Which slots of a catalogue are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    All,
    First,
}

impl ServiceSummary {
    fn warn(
        &self,
        service: &Service,
        name: &str,
        now: EpochSeconds,
        counted: Counted,
        warnings: &mut Diagnostics,
    ) {
        let of_availability = |warnings: &mut Diagnostics, kind, text: String| {
            warnings.warn_of_file(kind, AVAILABILITY, text);
        };
        // From the gravest on, and only the first: a service without slots would trigger all of them.
        if self.entries == 0 {
            return warnings.warn_of_file(
                "service_without_availability",
                SERVICES,
                format!("{name} has no availability"),
            );
        }
        if self.slots == 0 && self.ends_sec <= now {
            let text = format!("all slots of {name} are over since {}", utc(self.ends_sec));
            return of_availability(warnings, "availability_past", text);
        }
        // Of a catalogue with more slots than are counted, this service's may be among the others.
        if self.slots == 0 && counted == Counted::First {
            return;
        }
        if self.slots == 0 {
            let text = format!("{name} has no slot that opens within the `availability_horizon`");
            return of_availability(warnings, "no_slot_in_horizon", text);
        }
        if !self.serves_all && self.serves.is_empty() {
            return of_availability(
                warnings,
                "no_spots",
                format!("{name} has no spot in any of its slots"),
            );
        }
        if !self.can_be_booked {
            let text = format!(
                "no slot of {name} can be booked any more: booking has closed for all of them"
            );
            return of_availability(warnings, "booking_closed", text);
        }
        if let Some((_, last)) = self
            .starts
            .filter(|(_, last)| *last > now.saturating_add(FAR_AHEAD))
        {
            let text = format!("{name} has a slot as late as {}", utc(last));
            of_availability(warnings, "far_ahead", text);
        }
        self.warn_of_rules(service, name, warnings);
    }

    fn warn_of_rules(&self, service: &Service, name: &str, warnings: &mut Diagnostics) {
        let tickets: Vec<TicketIx> = service.tickets.iter().map(|ticket| ticket.ix).collect();
        for ticket in &service.tickets {
            if !self.serves(ticket.ix) {
                let text = format!(
                    "ticket type {:?} of {name} has no spot in any slot",
                    ticket.id
                );
                warnings.warn_of_file("ticket_without_spots", AVAILABILITY, text);
            } else if !sellable::is_sellable(service, ticket.ix, &tickets, |ix| self.serves(ix)) {
                let text = format!(
                    "ticket type {:?} of {name} can never be sold by these rules",
                    ticket.id
                );
                warnings.warn_of_file("unsellable_ticket", "rules.toml", text);
            }
        }
        if let Some(min) = service
            .rules
            .limits
            .line
            .min
            .filter(|min| u64::from(*min) > self.most_spots)
            && service.rules.slot_limits.is_empty()
        {
            let text = format!(
                "{name} is sold from {min} tickets on, and no slot has more than {} spots",
                self.most_spots
            );
            warnings.warn_of_file("min_above_spots", "rules.toml", text);
        }
    }
}

fn warn_of_merchants(catalog: &Catalog, warnings: &mut Diagnostics) {
    let sellers: HashSet<_> = catalog
        .services()
        .map(|(_, service)| service.merchant)
        .collect();
    for merchant in catalog.merchants() {
        if catalog
            .merchant_ix(&merchant.id)
            .is_some_and(|ix| !sellers.contains(&ix))
        {
            let text = format!("merchant {:?} has no service", merchant.id);
            warnings.warn_of_file("merchant_without_services", "merchants.json", text);
        }
    }
}

/// The starts of the slots of an opening that have not ended.
fn starts(
    opening: &Opening,
    now: EpochSeconds,
    horizon: Seconds,
) -> impl Iterator<Item = EpochSeconds> {
    let from = now
        .saturating_sub(opening.first.duration_sec.into())
        .saturating_add(Seconds::ONE);
    let until = now.saturating_add(horizon);
    opening.starts(
        from,
        if opening.recurrence.is_some() {
            until
        } else {
            EpochSeconds::MAX
        },
    )
}

/// The end of the last slot of an opening, exceptions aside.
fn end_of(opening: &Opening) -> EpochSeconds {
    let first = opening.first.start_sec;
    let last = opening.recurrence.as_ref().map_or(first, |recurrence| {
        let every = recurrence.every.max(Seconds::ONE).get();
        // By arithmetic: the recurrence may run to the year 9999.
        let until_last = recurrence.until_sec.since(first).get().max(0);
        first.saturating_add(Seconds::new(until_last - until_last % every))
    });
    last.saturating_add(opening.first.duration_sec.into())
}

fn can_be_booked(
    service: &Service,
    opening: &Opening,
    start_sec: EpochSeconds,
    now: EpochSeconds,
) -> bool {
    let (key, terms) = opening.occurrence(start_sec);
    let closes = service.closes_at(key, &terms);
    closes >= now && terms.first_bookable_sec.is_none_or(|first| first <= closes)
}

/// A point in time in RFC 3339.
fn utc(second: EpochSeconds) -> String {
    Timestamp::from_second(second.get())
        .map_or_else(|_| format!("second {second}"), |moment| moment.to_string())
}
