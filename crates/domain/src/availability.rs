//! What of a slot can be sold at a moment. A look at a cart and a look at slots both ask here, so
//! that they cannot disagree.

use std::fmt;

use super::{
    catalog::{Catalog, MerchantIx, Service},
    ids::ServiceId,
    order::EpochSeconds,
    slot::{Claimed, Slot, SlotKey, SlotTerms, Viewer},
    wording::moment,
};

/// A slot as a caller names it. As in a line item, service, start and duration say which one it is;
/// the rest is handed back as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSlot {
    /// The service.
    pub service_id: ServiceId,
    /// Start.
    pub start_sec: EpochSeconds,
    /// Length in seconds.
    pub duration_sec: i64,
    /// The feed's tag; handed back unread.
    pub availability_tag: String,
    /// Whom and what the slot is about.
    pub resources: Option<Resources>,
    /// The number of a confirmation mode; handed back unread, also where the contract has no such
    /// mode yet.
    pub confirmation_mode: i32,
}

/// Whom and what a slot is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Who serves; handed back unread, because the spots of a slot are not told apart by it.
    pub staff_id: String,
    /// Which room; handed back unread, for the same reason.
    pub room_id: String,
    /// For how many people; nothing is said by a number that is not above zero.
    pub party_size: i32,
}

impl AskedSlot {
    /// The slot's name here; `None` where the service is unknown or no slot has that length.
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

    /// For how many people the slot is asked; 0 where that is not said.
    fn party_size(&self) -> u32 {
        let party = self
            .resources
            .as_ref()
            .map_or(0, |resources| resources.party_size);
        u32::try_from(party).unwrap_or(0)
    }
}

/// What of a slot there is for a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartyView {
    /// The spots that can be sold to it; none where there is no such slot.
    pub spots_open: u32,
    /// How many of them it needs.
    pub spots_needed: u32,
}

impl PartyView {
    /// A slot that is not there.
    pub const NOTHING: Self = Self {
        spots_open: 0,
        spots_needed: 1,
    };

    /// Whether the party finds a place.
    #[must_use]
    pub fn is_enough(self) -> bool {
        self.spots_open >= self.spots_needed
    }
}

/// A slot as it was asked for, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSlot {
    /// What was asked for.
    pub asked: AskedSlot,
    /// Whether it has the spots that it was asked for.
    pub is_available: bool,
}

/// What of a slot there is at this moment for the party that asks.
///
/// A feed may list parties by their sizes; a spot is then a place for one such party, of which there
/// are no more than are listed for its size, and there is none for a size that is not listed. Otherwise
/// a spot is a place for one, and a party needs as many as it has people.
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
    let listed = |size: u32| {
        let spots = parties
            .iter()
            .filter(|party| party.party_size == size)
            .map(|party| party.spots);
        spots
            .reduce(u32::saturating_add)
            .map(|listed| listed.min(open))
    };
    if parties.is_empty() || size == 0 {
        return PartyView {
            spots_open: open,
            spots_needed: size.max(1),
        };
    }
    match (listed(size), listed(0)) {
        (Some(spots_open), _) => PartyView {
            spots_open,
            spots_needed: 1,
        },
        (None, Some(spots_open)) => PartyView {
            spots_open,
            spots_needed: size,
        },
        (None, None) => PartyView::NOTHING,
    }
}

/// The key of a slot by the ids of the catalogue; `None` where the service is unknown or no slot
/// has that length.
#[must_use]
pub fn slot_key(
    catalog: &Catalog,
    merchant: MerchantIx,
    service_id: &ServiceId,
    start_sec: EpochSeconds,
    duration_sec: i64,
) -> Option<SlotKey> {
    SlotKey::new(
        catalog.service_ix(merchant, service_id)?,
        start_sec,
        duration_sec,
    )
}

/// Spots that can be sold at this moment, for whatever the service sells. Rules on the tickets of a
/// line (fewest, most, which together) have no say in it: they are about lines and not about slots.
#[must_use]
pub fn spots_open(service: &Service, key: SlotKey, slot: &Slot, viewer: Viewer) -> u32 {
    spots_open_for(service, key, slot, &service.all_claims(), viewer)
}

/// Spots that can be sold at this moment to a line of these ticket types, all types together; none
/// outside the slot's booking window.
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

/// Why a slot cannot be booked at this moment although it is there.
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
    let closes = service.closes_at(key, terms);
    (now > closes).then_some(WindowFault::NoLonger(closes))
}

impl Service {
    /// The last second in which a slot of these terms can be booked.
    #[must_use]
    pub fn closes_at(&self, key: SlotKey, terms: &SlotTerms) -> EpochSeconds {
        let usual = self
            .booking_window
            .closes_at(key.start_sec, i64::from(key.duration_sec));
        terms
            .last_bookable_sec
            .filter(|&last| last < key.start_sec)
            .unwrap_or(usual)
    }

    /// Everything that can take a spot of this service.
    fn all_claims(&self) -> Vec<Claimed> {
        let tickets = self.tickets.iter().map(|ticket| Claimed::Ticket(ticket.ix));
        self.price
            .map(|_| Claimed::Appointment)
            .into_iter()
            .chain(tickets)
            .collect()
    }
}

#[cfg(test)]
mod tests;
