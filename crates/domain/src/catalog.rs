//! The catalogue: merchants, services, ticket types, fees, questions and rules.
//!
//! A [`Catalog`] is immutable and was checked as a whole when it was built, so code that holds one need not
//! check it again. Ids are interned: a service is a [`ServiceIx`], a ticket type a [`TicketIx`] of its
//! service. A catalogue that replaces another keeps the [`IdInterner`] of its predecessor, so counts under
//! an index stay true.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use rust_decimal::Decimal;

use super::{
    ids::{MerchantId, ServiceId, TicketId},
    money::{Currency, Money, TaxRate},
    refunds::{RefundFees, RefundTerms},
    time::{EpochSeconds, Seconds},
};

mod ticket_rules;

pub use ticket_rules::{
    ChildRule, CountBounds, ForbiddenTickets, RequiredTicket, RuleScope, SlotLimits, TagIx,
    TicketLimits, TicketRules,
};

/// A merchant of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MerchantIx(pub u32);

/// A service, unique over all merchants. The index stays with the service across reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceIx(pub u32);

/// A ticket type within its service. The index stays with the ticket type across reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketIx(pub u16);

/// All merchants, services and rules of one revision.
#[derive(Debug, Default)]
pub struct Catalog {
    merchants: Vec<Merchant>,
    services: Vec<(ServiceIx, Service)>,
    merchants_by_id: HashMap<MerchantId, MerchantIx>,
    services_by_id: HashMap<MerchantIx, HashMap<ServiceId, ServiceIx>>,
    /// The position in `services` of the service of an index; `None` if this catalogue does not sell it.
    places: Vec<Option<usize>>,
    ids: IdInterner,
}

impl Catalog {
    /// An empty catalogue that takes the indexes of services and ticket types from `ids`.
    #[must_use]
    pub fn with_ids(ids: IdInterner) -> Self {
        Self {
            ids,
            ..Self::default()
        }
    }

    /// The interner of this catalogue.
    #[must_use]
    pub fn ids(&self) -> &IdInterner {
        &self.ids
    }

    /// The interner of this catalogue, for further indexes.
    pub fn ids_mut(&mut self) -> &mut IdInterner {
        &mut self.ids
    }

    /// Adds a merchant and returns its index. A second merchant of one id would hide the first in look-ups;
    /// the loader reports it beforehand.
    pub fn add_merchant(&mut self, merchant: Merchant) -> MerchantIx {
        let ix = MerchantIx(index(self.merchants.len()));
        self.merchants_by_id.insert(merchant.id.clone(), ix);
        self.merchants.push(merchant);
        ix
    }

    /// Adds a service under its merchant and returns its index. Its ticket types get their indexes as well.
    pub fn add_service(&mut self, mut service: Service) -> ServiceIx {
        let ix = self
            .ids
            .service(&self.merchants[service.merchant.0 as usize].id, &service.id);
        // A ticket type beyond the 65536 of a service keeps a stand-in index; the loader has reported it.
        for ticket in &mut service.tickets {
            ticket.ix = self.ids.ticket(ix, &ticket.id).unwrap_or(ticket.ix);
        }
        self.services_by_id
            .entry(service.merchant)
            .or_default()
            .insert(service.id.clone(), ix);
        let at = ix.0 as usize;
        // Indexes are permanent and this catalogue may not sell all of them, so positions have gaps.
        self.places.resize(self.places.len().max(at + 1), None);
        self.places[at] = Some(self.services.len());
        self.services.push((ix, service));
        ix
    }

    /// The merchant of that id.
    #[must_use]
    pub fn merchant_ix<Q>(&self, merchant_id: &Q) -> Option<MerchantIx>
    where
        MerchantId: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.merchants_by_id.get(merchant_id).copied()
    }

    /// The service of that id under that merchant.
    #[must_use]
    pub fn service_ix<Q>(&self, merchant: MerchantIx, service_id: &Q) -> Option<ServiceIx>
    where
        ServiceId: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.services_by_id.get(&merchant)?.get(service_id).copied()
    }

    /// The merchant behind an index of this catalogue.
    #[must_use]
    pub fn merchant(&self, ix: MerchantIx) -> &Merchant {
        &self.merchants[ix.0 as usize]
    }

    /// The merchant behind an index of this catalogue, to complete it while building.
    pub fn merchant_mut(&mut self, ix: MerchantIx) -> &mut Merchant {
        &mut self.merchants[ix.0 as usize]
    }

    /// The service behind an index of this catalogue.
    ///
    /// # Panics
    /// If it is not one that this catalogue sells.
    #[must_use]
    pub fn service(&self, ix: ServiceIx) -> &Service {
        self.find_service(ix)
            .expect("the index is one of this catalogue")
    }

    /// The service behind an index, if it is sold by this catalogue.
    #[must_use]
    pub fn find_service(&self, ix: ServiceIx) -> Option<&Service> {
        self.place_of(ix).map(|place| &self.services[place].1)
    }

    /// The service behind an index of this catalogue, to complete it while building.
    ///
    /// # Panics
    /// If it is not one that this catalogue sells.
    pub fn service_mut(&mut self, ix: ServiceIx) -> &mut Service {
        let place = self
            .place_of(ix)
            .expect("the index is one of this catalogue");
        &mut self.services[place].1
    }

    fn place_of(&self, ix: ServiceIx) -> Option<usize> {
        self.places.get(ix.0 as usize).copied().flatten()
    }

    /// All merchants in file order.
    #[must_use]
    pub fn merchants(&self) -> &[Merchant] {
        &self.merchants
    }

    /// All services in file order, each with its index.
    pub fn services(&self) -> impl Iterator<Item = (ServiceIx, &Service)> {
        self.services.iter().map(|(ix, service)| (*ix, service))
    }
}

fn index(len: usize) -> u32 {
    // Never saturates: memory ends before four billion ids do.
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The indexes of services and ticket types. An index belongs to its id for the life of the process,
/// whether or not a catalogue still has that id.
#[derive(Debug, Clone, Default)]
pub struct IdInterner {
    /// By merchant id, then by service id.
    services: HashMap<MerchantId, HashMap<ServiceId, ServiceIx>>,
    /// By service, the ids of its ticket types in the order of their indexes.
    tickets: Vec<Vec<TicketId>>,
}

impl IdInterner {
    /// The index of a service; a new one gets the next.
    pub fn service(&mut self, merchant_id: &MerchantId, service_id: &ServiceId) -> ServiceIx {
        if let Some(ix) = self
            .services
            .get(merchant_id)
            .and_then(|services| services.get(service_id))
        {
            return *ix;
        }
        // Indexes are never reused: orders and slots of a dropped service still refer to its index.
        let ix = ServiceIx(index(self.tickets.len()));
        self.tickets.push(Vec::new());
        self.services
            .entry(merchant_id.clone())
            .or_default()
            .insert(service_id.clone(), ix);
        ix
    }

    /// The index of a service, if it has one.
    #[must_use]
    pub fn find_service(
        &self,
        merchant_id: &MerchantId,
        service_id: &ServiceId,
    ) -> Option<ServiceIx> {
        self.services.get(merchant_id)?.get(service_id).copied()
    }

    /// The index of a ticket type, if it has one.
    #[must_use]
    pub fn find_ticket(&self, service: ServiceIx, ticket_id: &TicketId) -> Option<TicketIx> {
        let known = self.tickets.get(service.0 as usize)?;
        let at = known.iter().position(|id| id == ticket_id)?;
        u16::try_from(at).ok().map(TicketIx)
    }

    /// Every service that has an index, with the ids of its merchant and its own, in no order.
    pub fn services(&self) -> impl Iterator<Item = (ServiceIx, &MerchantId, &ServiceId)> {
        self.services.iter().flat_map(|(merchant_id, services)| {
            services
                .iter()
                .map(move |(service_id, ix)| (*ix, merchant_id, service_id))
        })
    }

    /// The index of a ticket type; a new type gets the next index. `None` if all are used up.
    pub fn ticket(&mut self, service: ServiceIx, ticket_id: &TicketId) -> Option<TicketIx> {
        // A linear search: services have few ticket types, and this runs during loads and recovery only.
        let known = &mut self.tickets[service.0 as usize];
        let at = known
            .iter()
            .position(|id| id == ticket_id)
            .unwrap_or(known.len());
        // Before the push: an id without an index must not be interned.
        let ix = u16::try_from(at).ok().map(TicketIx)?;
        if at == known.len() {
            known.push(ticket_id.clone());
        }
        Some(ix)
    }
}

/// A seller. All services of a merchant are priced in one currency.
#[derive(Debug, Clone)]
pub struct Merchant {
    /// The partner's id.
    pub id: MerchantId,
    /// Name for humans.
    pub name: String,
    /// The currency of all its prices.
    pub currency: Currency,
    /// Fees charged once per order, whatever its items.
    pub per_order_fees: Vec<Fee>,
    /// Rules over the services of one order.
    pub combinations: Vec<ServiceRule>,
    /// The hold times of the carts of a merchant.
    pub cart_hold: Option<CartHold>,
    /// The tax on services without a rate of their own.
    pub tax_rate: Option<TaxRate>,
    /// The name of the tax for the customer.
    pub tax_name: String,
    /// What happens to the fees of items that are given back.
    pub refund_fees: RefundFees,
    /// The IANA name of the time zone in which its days are meant, such as `Europe/Berlin`.
    pub time_zone: String,
}

/// The time limits of cart holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CartHold {
    /// The time from a check until the spots are free again.
    pub each: Seconds,
    /// The time for which checks of one cart can renew its hold, counted from the first one.
    pub whole: Seconds,
}

/// A rule over the set of services in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceRule {
    /// No two of these in one order.
    ForbiddenTogether(Vec<ServiceIx>),
    /// `service` is sold only in an order that also has one of `any_of`.
    RequiredWith {
        /// The service that is not sold alone.
        service: ServiceIx,
        /// The services of which one must be in the order.
        any_of: Vec<ServiceIx>,
    },
    /// Items of these services may not overlap in time. The same slot twice is no overlap.
    NoOverlap(Vec<ServiceIx>),
}

/// A fee with the partner's own name for it. Amounts are whole smallest units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fee {
    /// Name as the customer reads it.
    pub name: String,
    /// Amount, rounded when the catalogue was built.
    pub amount: Money,
}

/// A text with translations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalizedText {
    /// The text where no translation fits.
    pub value: String,
    /// Translations as (BCP 47 locale, text).
    pub translations: Vec<(String, String)>,
}

/// Something bookable.
#[derive(Debug, Clone)]
pub struct Service {
    /// The merchant.
    pub merchant: MerchantIx,
    /// Id, unique within the merchant.
    pub id: ServiceId,
    /// Name for humans.
    pub name: LocalizedText,
    /// The price of a line without tickets; without one, the service sells by ticket only.
    pub price: Option<Money>,
    /// The tax on the total of a line, its own or the merchant's; prices do not contain it.
    pub tax_rate: Option<TaxRate>,
    /// Whether it is paid for when it is booked.
    pub prepayment: Prepayment,
    /// Ticket types in feed order.
    pub tickets: Vec<TicketType>,
    /// Fees charged once per order that has this service.
    pub per_order_fees: Vec<Fee>,
    /// The time at which booking closes.
    pub booking_window: BookingWindow,
    /// What a customer who cancels may expect.
    pub cancellation: CancellationTerms,
    /// Questions to the customer.
    pub questions: Vec<Question>,
    /// Which tickets go together, and how many.
    pub rules: TicketRules,
    /// Reductions, applied in this order.
    pub deals: Vec<Deal>,
    /// The sets of ticket types that pools of this service are limited to.
    pub ticket_sets: Vec<Vec<TicketIx>>,
}

/// Whether a service is paid for when it is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prepayment {
    /// Payment at booking or elsewhere.
    #[default]
    Optional,
    /// Payment at booking only.
    Required,
    /// Payment elsewhere only; nothing may be charged.
    NotSupported,
}

impl Service {
    /// The ticket type of that id.
    #[must_use]
    pub fn ticket_ix<Q>(&self, ticket_id: &Q) -> Option<TicketIx>
    where
        TicketId: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.tickets
            .iter()
            .find(|ticket| ticket.id.borrow() == ticket_id)
            .map(|ticket| ticket.ix)
    }

    /// Whether this service sells the ticket type of an index.
    #[must_use]
    pub fn has_ticket(&self, ix: TicketIx) -> bool {
        self.place_of(ix).is_some()
    }

    /// The ticket type behind an index of this service.
    ///
    /// # Panics
    /// If it is not one that this service sells.
    #[must_use]
    pub fn ticket(&self, ix: TicketIx) -> &TicketType {
        &self.tickets[self.place_of(ix).expect("the index is one of this service")]
    }

    /// The ticket type behind an index of this service, to complete it while building.
    ///
    /// # Panics
    /// If it is not one that this service sells.
    pub fn ticket_mut(&mut self, ix: TicketIx) -> &mut TicketType {
        let place = self.place_of(ix).expect("the index is one of this service");
        &mut self.tickets[place]
    }

    /// The position of a ticket type: its index, unless the feed has dropped or reordered types since a
    /// restart.
    fn place_of(&self, ix: TicketIx) -> Option<usize> {
        let at = usize::from(ix.0);
        // Tried first at its index: mostly the feed keeps its ticket types, and no search is needed.
        let is_it = |ticket: &TicketType| ticket.ix == ix;
        if self.tickets.get(at).is_some_and(is_it) {
            Some(at)
        } else {
            self.tickets.iter().position(is_it)
        }
    }
}

/// A kind of ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketType {
    /// Index within its service, given by the [`IdInterner`].
    pub ix: TicketIx,
    /// Id, unique within the service.
    pub id: TicketId,
    /// A short description, e.g. "Adult".
    pub short_description: LocalizedText,
    /// A further description, e.g. "Front row".
    pub option_description: LocalizedText,
    /// Price of one, without tax.
    pub price: Money,
    /// The price before the present one, if it has changed.
    pub previous_price: Option<Money>,
    /// The three fees that the service feed knows.
    pub feed_fees: FeedFees,
    /// Every fee of one ticket by name: the feed's and the rules file's.
    pub fees: Vec<Fee>,
}

impl TicketType {
    /// Whether the price has changed, so that a caller may still have the earlier one.
    #[must_use]
    pub fn price_moved(&self) -> bool {
        self.previous_price
            .is_some_and(|previous| previous != self.price)
    }
}

/// The per-ticket fees that have a place of their own in the service feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedFees {
    /// Service charge.
    pub service_charge: Option<Money>,
    /// Facility fee.
    pub facility_fee: Option<Money>,
    /// Taxes.
    pub taxes: Option<Money>,
}

/// A question of an intake form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Id, unique within the service.
    pub id: String,
    /// The kind of answer.
    pub kind: AnswerKind,
    /// The question as the customer reads it.
    pub label: LocalizedText,
    /// Whether it must be answered.
    pub required: bool,
    /// Asked only if a ticket of these types is bought; empty for all types.
    pub only_for: Vec<TicketIx>,
    /// Whether it is asked once or for every ticket.
    pub scope: QuestionScope,
}

/// The kinds of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerKind {
    /// Any one text.
    Text,
    /// Any texts: the question is of a kind that this server does not know.
    AnyText,
    /// `true` or `false`.
    Boolean,
    /// One of the offered texts.
    OneOf(Vec<LocalizedText>),
    /// Any number of the offered texts.
    AnyOf(Vec<LocalizedText>),
}

/// The scope of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionScope {
    /// Once a line.
    Line,
    /// Once for every ticket that it applies to.
    EachTicket,
}

/// When booking of a slot closes, before or after its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookingWindow {
    /// Booking closes this long before the start.
    pub min_advance: Option<Seconds>,
    /// Booking closes this long before the end instead, so that a slot that has begun can still be
    /// booked.
    pub min_buffer_before_end: Option<Seconds>,
}

impl BookingWindow {
    /// The last second in which a slot can be booked.
    #[must_use]
    pub fn closes_at(&self, start_sec: EpochSeconds, duration: Seconds) -> EpochSeconds {
        match (self.min_buffer_before_end, self.min_advance) {
            // The buffer before the end wins, as it alone allows a booking after the start.
            (Some(buffer), _) => start_sec.saturating_add(duration).saturating_sub(buffer),
            (None, Some(advance)) => start_sec.saturating_sub(advance),
            (None, None) => start_sec,
        }
    }
}

/// What a customer who cancels an item of a service may expect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CancellationTerms {
    /// Customers can cancel until this long before the start; `None`: until the start.
    pub min_advance: Option<Seconds>,
    /// What they are given back.
    pub refund: RefundTerms,
}

/// A reduction on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deal {
    /// From `min_count` tickets of these types on, each of them is cheaper.
    Group {
        /// Ticket types that count towards the group and get the reduction.
        tickets: Vec<TicketIx>,
        /// The smallest group.
        min_count: u32,
        /// The reduction.
        reduction: Reduction,
    },
    /// A fixed set of tickets at a price of its own, as often as it fits into the line.
    Bundle {
        /// The ticket types and their counts, each above zero.
        contents: Vec<(TicketIx, u32)>,
        /// The price of the whole set.
        price: Money,
    },
}

/// The reduction of a group deal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// A ticket costs this much, unless it is cheaper anyway.
    UnitPrice(Money),
    /// A ticket costs this many per cent less.
    Percent(Decimal),
}

#[cfg(test)]
mod tests;
