//! The spots of a slot that can be sold at a moment. Checks, orders and look-ups share these functions, so
//! they cannot disagree.

use std::fmt;

use super::{
    catalog::{Catalog, MerchantIx, Service},
    ids::ServiceId,
    slot::{Claimed, PartySpots, Slot, SlotKey, SlotTerms, Viewer},
    time::{EpochSeconds, Seconds},
    wording::moment,
};

/// A slot as a client names it. As in a line item, service, start and duration identify it; the other fields
/// are returned unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSlot {
    /// The service.
    pub service_id: ServiceId,
    /// Start.
    pub start_sec: EpochSeconds,
    /// Length.
    pub duration_sec: Seconds,
    /// The feed's tag; returned unread.
    pub availability_tag: String,
    /// Staff, room and party of the slot.
    pub resources: Option<Resources>,
    /// The number of a confirmation mode; returned unread, also one that the contract does not have yet.
    pub confirmation_mode: i32,
}

/// Staff, room and party of a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// The member of staff; returned unread, because the spots of a slot do not depend on it.
    pub staff_id: String,
    /// The room; returned unread, for the same reason.
    pub room_id: String,
    /// The number of people; unspecified if it is not above zero.
    pub party_size: i32,
}

impl AskedSlot {
    /// The key of the slot; `None` where the service is unknown or no slot has that length.
    #[must_use]
    pub fn key(&self, catalog: &Catalog, merchant: MerchantIx) -> Option<SlotKey> {
        slot_key(
            catalog,
            merchant,
            &self.service_id,
            self.start_sec,
            self.duration_sec,
        )
    }

    /// The number of people; 0 if unspecified.
    fn party_size(&self) -> u32 {
        let party = self
            .resources
            .as_ref()
            .map_or(0, |resources| resources.party_size);
        // The contract has no negative size. Like 0, it leaves the party unspecified.
        u32::try_from(party).unwrap_or(0)
    }
}

/// The spots of a slot for a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartyView {
    /// The spots that can be sold to the party; none of an unknown slot.
    pub spots_open: u32,
    /// The spots that the party needs.
    pub spots_needed: u32,
}

impl PartyView {
    /// The view of an unknown slot.
    pub const NOTHING: Self = Self {
        spots_open: 0,
        spots_needed: 1,
    };

    /// Whether the slot has room for the party.
    #[must_use]
    pub fn is_enough(self) -> bool {
        self.spots_open >= self.spots_needed
    }
}

/// A slot of a look-up, with its availability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSlot {
    /// The slot as the client names it.
    pub asked: AskedSlot,
    /// Whether it has room for the party.
    pub is_available: bool,
}

/// The spots of a slot for the party of a request.
///
/// If the feed lists party sizes, a spot serves one party. A size has at most the spots listed for it, and
/// an unlisted size has none. Spots for any size, like those of a feed without sizes, serve one person
/// each: a party needs one spot per person.
#[must_use]
pub fn view_for(
    service: &Service,
    key: SlotKey,
    slot: &Slot,
    asked: &AskedSlot,
    viewer: Viewer,
) -> PartyView {
    let open = spots_open(service, key, slot, viewer);
    let (size, parties) = (asked.party_size(), &slot.terms().parties);
    if parties.is_empty() || size == 0 {
        return PartyView {
            spots_open: open,
            spots_needed: size.max(1),
        };
    }
    // The exact size comes first: its listed spots are the limit for the party, whatever is listed for any
    // size.
    if let Some(listed) = listed_spots(parties, size) {
        return PartyView {
            spots_open: listed.min(open),
            spots_needed: 1,
        };
    }
    if let Some(listed) = listed_spots(parties, ANY_SIZE) {
        return PartyView {
            spots_open: listed.min(open),
            spots_needed: size,
        };
    }
    PartyView::NOTHING
}

/// The party size of spots for parties of any size.
const ANY_SIZE: u32 = 0;

/// The spots that the feed lists for parties of a size; `None` if it does not list the size.
fn listed_spots(parties: &[PartySpots], size: u32) -> Option<u32> {
    parties
        .iter()
        .filter(|party| party.party_size == size)
        .map(|party| party.spots)
        // Openings of several resources add up; `None` means that the feed does not list the size at all.
        .reduce(u32::saturating_add)
}

/// The key of a slot by the ids of the catalogue; `None` where the service is unknown or no slot
/// has that length.
#[must_use]
pub fn slot_key(
    catalog: &Catalog,
    merchant: MerchantIx,
    service_id: &ServiceId,
    start_sec: EpochSeconds,
    duration_sec: Seconds,
) -> Option<SlotKey> {
    SlotKey::new(
        catalog.service_ix(merchant, service_id)?,
        start_sec,
        duration_sec,
    )
}

/// The spots that can be sold at this moment, all ticket types together. Rules on the tickets of a line
/// (minimum, maximum, combinations) do not count: they concern lines and not slots.
#[must_use]
pub fn spots_open(service: &Service, key: SlotKey, slot: &Slot, viewer: Viewer) -> u32 {
    spots_open_for(service, key, slot, &service.all_claims(), viewer)
}

/// The spots that can be sold at this moment to a line of these ticket types, all types together; none outside
/// the slot's booking window.
#[must_use]
pub fn spots_open_for(
    service: &Service,
    key: SlotKey,
    slot: &Slot,
    tickets: &[Claimed],
    viewer: Viewer,
) -> u32 {
    match window_fault(service, key, slot.terms(), viewer.now) {
        Some(_) => 0,
        None => slot.spots_open(service, tickets, viewer),
    }
}

/// Why a known slot cannot be booked at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowFault {
    /// Booking opens at this moment.
    NotYet(EpochSeconds),
    /// Booking closed after this moment.
    NoLonger(EpochSeconds),
}

impl fmt::Display for WindowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotYet(opens) => write!(f, "the slot can be booked from {} on", moment(opens)),
            Self::NoLonger(closed) => {
                write!(f, "the slot could be booked until {}", moment(closed))
            }
        }
    }
}

/// Why a slot cannot be booked at this moment, if it cannot.
#[must_use]
pub fn window_fault(
    service: &Service,
    key: SlotKey,
    terms: &SlotTerms,
    now: EpochSeconds,
) -> Option<WindowFault> {
    if let Some(opens) = terms.first_bookable_sec.filter(|&opens| now < opens) {
        return Some(WindowFault::NotYet(opens));
    }
    // Inclusive on both sides: the last second of the window can still be booked.
    let closes = service.closes_at(key, terms);
    (now > closes).then_some(WindowFault::NoLonger(closes))
}

impl Service {
    /// The last second at which a slot of these terms can be booked.
    #[must_use]
    pub fn closes_at(&self, key: SlotKey, terms: &SlotTerms) -> EpochSeconds {
        let usual = self
            .booking_window
            .closes_at(key.start_sec, key.duration_sec.into());
        terms
            .last_bookable_sec
            // A later limit would keep a slot open after its start, which only the service's booking window
            // may do.
            .filter(|&last| last < key.start_sec)
            .unwrap_or(usual)
    }

    /// All ticket types of the service, and the appointment if it sells one.
    #[must_use]
    pub fn all_claims(&self) -> Vec<Claimed> {
        let tickets = self.tickets.iter().map(|ticket| Claimed::Ticket(ticket.ix));
        // A line without tickets needs a price of the service; without one, there are no appointments to
        // count.
        self.price
            .map(|_| Claimed::Appointment)
            .into_iter()
            .chain(tickets)
            .collect()
    }
}

#[cfg(test)]
mod tests;
