//! One item of an order: its catalogue entry, its slot and its verdict.

use smallvec::{SmallVec, smallvec};

use super::{
    Inquiry, Purpose,
    demand::Demand,
    verdict::{ItemFulfillability, ItemVerdict, MovedPrice},
};
use crate::{
    availability::{self, window_fault},
    catalog::{Service, TicketType},
    constraints::{self, Party, TicketCounts},
    faults::{Faults, SlotFault, TicketFault},
    intake,
    money::{Money, MoneyError},
    order::{LineItem, PriceTag},
    pricing::{self, PriceVerdict, Quote},
    slot::{Claim, Claimed, Confirmation, Slot, SlotKey, Viewer},
};

/// An item with its catalogue entry and its slot.
pub(super) struct ExaminedItem<'a> {
    line: &'a LineItem,
    service: Option<&'a Service>,
    pub(super) key: Option<SlotKey>,
    slot: Option<&'a Slot>,
    /// The tickets; empty if they cannot be read.
    pub(super) tickets: TicketCounts,
    /// The verdict by the first rule on tickets that the line breaks.
    tickets_verdict: Option<ItemVerdict>,
}

impl<'a> ExaminedItem<'a> {
    pub(super) fn new(inquiry: &Inquiry<'a>, line: &'a LineItem, slot: Option<&'a Slot>) -> Self {
        let ix = inquiry
            .catalog
            .service_ix(inquiry.merchant, &line.service_id);
        let mut examined = Self {
            line,
            service: ix.map(|ix| inquiry.catalog.service(ix)),
            key: ix.and_then(|ix| SlotKey::new(ix, line.start_sec, line.duration_sec)),
            // A slot that is kept for its sales alone is unknown to callers.
            slot: slot.filter(|slot| slot.is_open()),
            tickets: TicketCounts::default(),
            tickets_verdict: None,
        };
        if let Some(service) = examined.service {
            match examined.read_tickets(service) {
                Ok(tickets) => examined.tickets = tickets,
                Err(faults) => {
                    examined.tickets_verdict = Some(ItemVerdict::UnfulfillableTickets(faults));
                }
            }
        }
        examined
    }

    fn read_tickets(&self, service: &Service) -> Result<TicketCounts, Faults<TicketFault>> {
        if !self.is_appointment() {
            return constraints::read_tickets(service, self.slot, &self.line.tickets);
        }
        let is_sold_here = self
            .slot
            // An unknown slot is a fault of its own, reported by `check_slot`.
            .is_none_or(|slot| slot.sells(service, Claimed::Appointment));
        if service.price.is_some() && is_sold_here {
            Ok(TicketCounts::default())
        } else {
            Err(TicketFault::SoldByTicketOnly.into())
        }
    }

    fn is_appointment(&self) -> bool {
        self.line.tickets.is_empty()
    }

    /// Applies the rules on tickets, including the rules on all items for one slot.
    pub(super) fn check_tickets(examined: &mut [Self]) {
        for at in 0..examined.len() {
            // An item whose tickets cannot be read has none and breaks no further rule, so a verdict that
            // is there stays.
            if let Some(verdict) = examined[at].ticket_rules_verdict(examined) {
                examined[at].tickets_verdict = Some(verdict);
            }
        }
    }

    /// The verdict of the first ticket rule that the line breaks, alone or with the other lines of its
    /// slot. Other lines count if their tickets can be read, whatever else is wrong with them: the order of
    /// items makes no difference.
    fn ticket_rules_verdict(&self, all: &[Self]) -> Option<ItemVerdict> {
        let service = self.service.filter(|_| !self.tickets.is_empty())?;
        // Lines without a key have no slot in common, so the rules see each alone.
        if self.key.is_none() || !service.rules.look_at_slots() {
            return self.party_verdict(service, Party::alone(&self.tickets));
        }
        let mut slot = TicketCounts::default();
        for other in all.iter().filter(|other| other.key == self.key) {
            for &(ticket, count) in other.tickets.iter() {
                slot.add(ticket, count);
            }
        }
        let party = Party {
            line: &self.tickets,
            slot: &slot,
        };
        self.party_verdict(service, party)
    }

    fn party_verdict(&self, service: &Service, party: Party<'_>) -> Option<ItemVerdict> {
        if let Some(faults) = Faults::of(constraints::combination_faults(service, party)) {
            return Some(ItemVerdict::UnfulfillableTickets(faults));
        }
        if let Some(fault) = constraints::child_fault(service, party) {
            return Some(ItemVerdict::ChildTicketsWithoutAdult(fault));
        }
        let tags = self.slot.map_or(&[][..], |slot| &slot.terms().tags);
        let violated = constraints::violated_limits(service, self.line.start_sec, tags, party);
        (!violated.is_empty()).then_some(ItemVerdict::TicketConstraintViolated(violated))
    }

    /// The claims of this item; none if a ticket rule stops it or its slot has no key.
    pub(super) fn claims(&self) -> SmallVec<[Claim; 2]> {
        // An item that is stopped must not use up spots of a pool that other items could have.
        let (Some(slot), None) = (self.key, &self.tickets_verdict) else {
            return SmallVec::new();
        };
        if self.is_appointment() {
            return smallvec![Claim {
                slot,
                ticket: Claimed::Appointment,
                count: 1,
            }];
        }
        let mut claims = SmallVec::with_capacity(self.tickets.len());
        for &(ticket, count) in self.tickets.iter() {
            claims.push(Claim {
                slot,
                ticket: Claimed::Ticket(ticket),
                count,
            });
        }
        claims
    }

    /// The verdict on the item. `demand` is the demand of all items together.
    pub(super) fn judge(&self, inquiry: &Inquiry<'_>, demand: &Demand) -> JudgedItem {
        let Some(service) = self.service else {
            let fault = SlotFault::UnknownService(self.line.service_id.clone());
            return JudgedItem::unpriced(None, ItemVerdict::SlotUnavailable(fault));
        };
        let open = self.spots_open(service, inquiry.viewer);
        // Rules on tickets come before the slot: this is the documented precedence of faults.
        if let Some(verdict) = &self.tickets_verdict {
            return JudgedItem::unpriced(open, verdict.clone());
        }
        if let Err((fault, left)) = self.check_slot(service, inquiry.viewer, demand) {
            // The open spots of several pools together may exceed what the overdrawn pool has left.
            JudgedItem::unpriced(open.min(left), ItemVerdict::SlotUnavailable(fault))
        } else {
            // If too many pools cross, the open spots may be computed too low, but never below what fits.
            let open = open.map(|open| open.max(self.spots_asked()));
            self.judge_price(service, inquiry.purpose, open)
        }
    }

    /// Spots open for the requested tickets, or for all types of the service if the tickets are invalid;
    /// none if the slot cannot be booked now.
    fn spots_open(&self, service: &Service, viewer: Viewer) -> Option<u32> {
        let (slot, key) = (self.slot?, self.key?);
        // Nothing valid was requested, so the number of all open spots tells the caller most.
        if self.tickets.is_empty() && self.tickets_verdict.is_some() {
            return Some(availability::spots_open(service, key, slot, viewer));
        }
        let asked = self.claimed();
        Some(availability::spots_open_for(
            service, key, slot, &asked, viewer,
        ))
    }

    /// The ticket types of the line, or the appointment.
    fn claimed(&self) -> SmallVec<[Claimed; 4]> {
        if self.tickets.is_empty() {
            return smallvec![Claimed::Appointment];
        }
        self.tickets
            .iter()
            .map(|&(ticket, _)| Claimed::Ticket(ticket))
            .collect()
    }

    /// The spots that the line asks for.
    fn spots_asked(&self) -> u32 {
        if self.is_appointment() {
            return 1;
        }
        // Saturating: counts are the caller's, and their sum may exceed 32 bits.
        self.tickets
            .iter()
            .fold(0, |sum, &(_, count)| sum.saturating_add(count))
    }

    /// Checks that the slot is known, open for booking and has room. The error has the spots left, if
    /// known.
    fn check_slot(
        &self,
        service: &Service,
        viewer: Viewer,
        demand: &Demand,
    ) -> Result<(), (SlotFault, Option<u32>)> {
        let (Some(slot), Some(key)) = (self.slot, self.key) else {
            return Err((SlotFault::UnknownSlot, None));
        };
        // Before the spots: a slot that cannot be booked has none, however many are unsold.
        if let Some(fault) = window_fault(service, key, slot.terms(), viewer.now) {
            return Err((SlotFault::OutsideWindow(fault), Some(0)));
        }
        match demand.overdrawn(service, key, slot, &self.claimed(), viewer) {
            Some(left) => Err((SlotFault::TooFewSpots { left }, Some(left))),
            None => Ok(()),
        }
    }

    fn judge_price(
        &self,
        service: &Service,
        purpose: Purpose,
        spots_open: Option<u32>,
    ) -> JudgedItem {
        let (quote, micros) = match self.quote(service) {
            Ok(quote) => quote,
            Err(error) => return JudgedItem::unpriced(spots_open, ItemVerdict::NoPrice(error)),
        };
        JudgedItem {
            confirmation: self.confirmation(),
            // Also for a declined line: the caller needs the price in force to offer it again.
            price: Some(PriceInForce {
                micros,
                total: quote.total,
            }),
            spots_open,
            verdict: self.price_verdict(service, &quote, purpose),
        }
    }

    fn confirmation(&self) -> Confirmation {
        self.slot
            .map_or(Confirmation::AtOnce, |slot| slot.terms().confirmation)
    }

    /// The price of the line, and its total in micro-units.
    fn quote(&self, service: &Service) -> Result<(Quote, i64), MoneyError> {
        let quote = match pricing::quote_appointment(service) {
            Some(quote) if self.is_appointment() => quote,
            _ => pricing::quote_tickets(service, &self.tickets)?,
        };
        Ok((quote, quote.total.to_micros()?))
    }

    fn price_verdict(&self, service: &Service, quote: &Quote, purpose: Purpose) -> ItemVerdict {
        match (pricing::judge(self.line.price.as_ref(), quote), purpose) {
            // The price comes before the answers in the documented precedence of faults.
            (PriceVerdict::Incorrect(fault), _) => ItemVerdict::IncorrectPrice(fault),
            (PriceVerdict::Moved(change), purpose) => {
                let moved = MovedPrice {
                    change,
                    total: quote.total,
                    ticket_types: self.moved_ticket_types(service, quote),
                };
                match purpose {
                    Purpose::Check => ItemVerdict::CanFulfill(Some(moved)),
                    Purpose::Create => ItemVerdict::PriceMoved(moved),
                }
            }
            // A check comes before the customer has filled in the form, so answers are not judged.
            (PriceVerdict::Right, Purpose::Check) => ItemVerdict::CanFulfill(None),
            (PriceVerdict::Right, Purpose::Create) => self.answers_verdict(service),
        }
    }

    fn moved_ticket_types(&self, service: &Service, quote: &Quote) -> Vec<TicketType> {
        // A missing price is `Incorrect` and never `Moved`, so this list is not needed then.
        let Some(asked) = &self.line.price else {
            return Vec::new();
        };
        if !pricing::ticket_prices_moved(service, &self.tickets, asked, quote) {
            return Vec::new();
        }
        self.tickets
            .iter()
            .map(|&(ticket, _)| service.ticket(ticket).clone())
            .collect()
    }

    fn answers_verdict(&self, service: &Service) -> ItemVerdict {
        let answers = self.line.answers.as_deref().unwrap_or_default();
        match intake::faults(&service.questions, &self.tickets, answers) {
            Some(faults) => ItemVerdict::WrongAnswers(faults),
            None => ItemVerdict::CanFulfill(None),
        }
    }
}

/// The verdict on an item, without the item.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JudgedItem {
    /// The price in force, where it is known.
    pub(super) price: Option<PriceInForce>,
    spots_open: Option<u32>,
    pub(super) verdict: ItemVerdict,
    /// Who confirms the item once it is sold.
    pub(super) confirmation: Confirmation,
}

/// The total of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PriceInForce {
    /// In whole smallest units.
    total: Money,
    /// The same in micro-units.
    micros: i64,
}

impl JudgedItem {
    fn unpriced(spots_open: Option<u32>, verdict: ItemVerdict) -> Self {
        Self {
            price: None,
            spots_open,
            verdict,
            confirmation: Confirmation::AtOnce,
        }
    }

    /// Sets the price of the line to the price in force, where that is known.
    pub(super) fn correct_price(&self, line: &mut LineItem) {
        if let Some(price) = self.price {
            line.price = Some(price.corrected(line.price.take()));
        }
    }

    /// The item as it is returned.
    pub(super) fn answer(self, mut line: LineItem) -> ItemFulfillability {
        self.correct_price(&mut line);
        ItemFulfillability {
            line,
            spots_open: self.spots_open,
            verdict: self.verdict,
        }
    }
}

impl PriceInForce {
    pub(super) fn total(self) -> Money {
        self.total
    }

    /// The price of a line set to the price in force; the caller's tag stays.
    fn corrected(self, asked: Option<PriceTag>) -> PriceTag {
        let mut price = asked.unwrap_or_default();
        price.micros = self.micros;
        // Nearly always so: nothing is allocated.
        let code = self.total.currency().code();
        if price.currency_code != code {
            code.clone_into(&mut price.currency_code);
        }
        price
    }
}
