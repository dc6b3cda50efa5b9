//! The heart: can this set of items be sold, now, at these prices?
//!
//! [`assess`] is a pure function of the catalogue, the slots as seen, the items and the moment.
//! Every item gets exactly one verdict. Where several rules are broken, the first of this order
//! speaks: ticket types and counts, ticket combinations, children without an adult, bounds, the
//! slot (there, open for booking, enough spots), price, answers to questions.
//!
//! Items that draw on one pool must fit it together. An item that is stopped by its tickets draws
//! on nothing, so that it does not spoil its neighbours.

use super::{
    availability::{self, window_fault},
    catalog::{Catalog, MerchantIx, Service, ServiceIx, ServiceRule, TicketType},
    constraints::{self, Party, TicketCounts, ViolatedConstraint},
    fees::{FeeTable, SoldLine},
    intake,
    money::{Currency, Money, MoneyError},
    order::{LineItem, PriceTag},
    pricing::{self, PriceChange, PriceVerdict, Quote},
    slot::{Claim, Claimed, Slot, SlotKey, Viewer},
    wording::quoted,
};

/// What the question is asked for. Creating is stricter: a price that moved stops the order, and
/// questions must have been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A look at a cart.
    Check,
    /// An order is to be created.
    Create,
}

/// A question to [`assess`].
#[derive(Debug, Clone, Copy)]
pub struct Inquiry<'a> {
    /// What is on sale.
    pub catalog: &'a Catalog,
    /// Whose order it is.
    pub merchant: MerchantIx,
    /// What is asked for.
    pub items: &'a [LineItem],
    /// The slot of each item, where there is one; as long as `items`.
    pub slots: &'a [Option<&'a Slot>],
    /// Who asks, and when.
    pub viewer: Viewer,
    /// What for.
    pub purpose: Purpose,
}

/// The answer of [`assess`].
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The verdict on the order and on each item.
    pub fulfillability: Fulfillability,
    /// Fees of the items that can be sold.
    pub fees: FeeTable,
    /// Spots that the sellable items take.
    pub claims: Vec<Claim>,
    /// What the customer pays for the sellable items: their totals and the fees.
    pub amount_due: Money,
}

/// The verdict on an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Fulfillability {
    /// For the order as a whole.
    pub result: OrderResult,
    /// Why not, in words.
    pub reason: Option<String>,
    /// For each item, in the order asked.
    pub items: Vec<ItemFulfillability>,
}

/// Whether an order can be fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderResult {
    /// Every item can be sold, and so can the set.
    CanFulfill,
    /// At least one item cannot be sold.
    UnfulfillableLineItem,
    /// Each item alone could be sold, but not this set of services.
    UnfulfillableServiceCombination,
    /// Anything else: an empty order, an amount beyond measure.
    OtherReason,
}

/// The verdict on an item.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemFulfillability {
    /// The item as asked; its price corrected where the true total is known.
    pub line: LineItem,
    /// Whether it can be sold.
    pub result: ItemResult,
    /// Why not, in words.
    pub reason: Option<String>,
    /// Spots open for these tickets; `None` where the slot is not known.
    pub spots_open: Option<u32>,
    /// How the corrected price differs from the one asked.
    pub price_change: Option<PriceChange>,
    /// Every ticket type of the item at its present price, where one of them has moved.
    pub ticket_types: Vec<TicketType>,
}

/// Whether an item can be sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemResult {
    /// It can, at the price of the answer.
    CanFulfill,
    /// No such slot, not open for booking, or not enough spots.
    SlotUnavailable,
    /// Tickets for children without enough adults.
    ChildTicketsWithoutAdult,
    /// Ticket types unknown, not sold in the slot or not together, or a count that is not above
    /// zero.
    UnfulfillableTicketCombination,
    /// No price, or one that no correction makes the same offer; when creating also a price that
    /// has moved.
    IncorrectPrice,
    /// Bounds on ticket counts are broken: all of them, never none.
    TicketConstraintViolated(Vec<ViolatedConstraint>),
    /// Anything else; the reason says what.
    OtherReason,
}

/// The slots that the items name, one for each item, `None` where the service is unknown.
#[must_use]
pub fn slot_keys(
    catalog: &Catalog,
    merchant: MerchantIx,
    items: &[LineItem],
) -> Vec<Option<SlotKey>> {
    let key = |item: &LineItem| {
        availability::slot_key(
            catalog,
            merchant,
            &item.service_id,
            item.start_sec,
            item.duration_sec,
        )
    };
    items.iter().map(key).collect()
}

/// Decides whether the items can be sold together.
#[must_use]
pub fn assess(inquiry: &Inquiry<'_>) -> Assessment {
    debug_assert_eq!(
        inquiry.items.len(),
        inquiry.slots.len(),
        "every item has its place among the slots"
    );
    let mut examined: Vec<Examined<'_>> = inquiry
        .items
        .iter()
        .zip(inquiry.slots)
        .map(|(line, slot)| Examined::new(inquiry, line, *slot))
        .collect();
    for at in 0..examined.len() {
        if let Some(stop) = examined[at].check_tickets(&examined) {
            examined[at].stop = Some(stop);
        }
    }
    let demand = Demand::of(&examined);
    let items: Vec<ItemFulfillability> = examined
        .iter()
        .map(|item| item.verdict(inquiry, &demand))
        .collect();
    match sum_up(inquiry, &examined, &items) {
        Ok((fees, amount_due)) => conclude(inquiry, &examined, items, fees, amount_due),
        Err(error) => beyond_measure(inquiry, items, error),
    }
}

fn conclude(
    inquiry: &Inquiry<'_>,
    examined: &[Examined<'_>],
    items: Vec<ItemFulfillability>,
    fees: FeeTable,
    amount_due: Money,
) -> Assessment {
    let (result, reason) = order_verdict(inquiry, examined, &items);
    let claims = sellable(examined, &items)
        .flat_map(|(examined, _)| examined.claims())
        .collect();
    Assessment {
        fulfillability: Fulfillability {
            result,
            reason,
            items,
        },
        fees,
        claims,
        amount_due,
    }
}

fn beyond_measure(
    inquiry: &Inquiry<'_>,
    items: Vec<ItemFulfillability>,
    error: MoneyError,
) -> Assessment {
    let nothing = Money::zero(inquiry.catalog.merchant(inquiry.merchant).currency);
    let fulfillability = Fulfillability {
        result: OrderResult::OtherReason,
        reason: Some(error.to_string()),
        items,
    };
    let fees = FeeTable::nothing(inquiry.catalog.merchant(inquiry.merchant));
    Assessment {
        fulfillability,
        fees,
        claims: Vec::new(),
        amount_due: nothing,
    }
}

fn sellable<'a, 'b>(
    examined: &'b [Examined<'a>],
    items: &'b [ItemFulfillability],
) -> impl Iterator<Item = (&'b Examined<'a>, &'b ItemFulfillability)> {
    examined
        .iter()
        .zip(items)
        .filter(|(_, item)| item.result == ItemResult::CanFulfill)
}

fn sum_up(
    inquiry: &Inquiry<'_>,
    examined: &[Examined<'_>],
    items: &[ItemFulfillability],
) -> Result<(FeeTable, Money), MoneyError> {
    let merchant = inquiry.catalog.merchant(inquiry.merchant);
    let mut lines = Vec::with_capacity(items.len());
    for (examined, item) in sellable(examined, items) {
        let price = item.line.price.as_ref().and_then(PriceTag::money);
        if let (Some(key), Some(price)) = (examined.key, price) {
            lines.push(SoldLine {
                service: key.service,
                tickets: &examined.tickets,
                total: price.rounded(),
            });
        }
    }
    let fees = FeeTable::for_lines(inquiry.catalog, merchant, &lines)?;
    let amount_due = lines
        .iter()
        .map(|line| line.total)
        .try_fold(fees.total, Money::plus)?;
    amount_due.to_micros()?;
    Ok((fees, amount_due))
}

fn order_verdict(
    inquiry: &Inquiry<'_>,
    examined: &[Examined<'_>],
    items: &[ItemFulfillability],
) -> (OrderResult, Option<String>) {
    if items.is_empty() {
        return (
            OrderResult::OtherReason,
            Some("the order has no items".to_owned()),
        );
    }
    let stopped = items
        .iter()
        .filter(|item| item.result != ItemResult::CanFulfill)
        .count();
    if stopped > 0 {
        return (
            OrderResult::UnfulfillableLineItem,
            Some(stopped_items(items, stopped)),
        );
    }
    let keys: Vec<SlotKey> = examined.iter().filter_map(|item| item.key).collect();
    let rules = &inquiry.catalog.merchant(inquiry.merchant).combinations;
    match rules
        .iter()
        .find_map(|rule| rule.fault(inquiry.catalog, &keys))
    {
        Some(reason) => (OrderResult::UnfulfillableServiceCombination, Some(reason)),
        None => (OrderResult::CanFulfill, None),
    }
}

/// Why so many of the items stop their order: the reason of the first of them.
fn stopped_items(items: &[ItemFulfillability], stopped: usize) -> String {
    let first = items
        .iter()
        .enumerate()
        .find(|(_, item)| item.result != ItemResult::CanFulfill);
    let (at, reason) = first.map_or((0, ""), |(at, item)| {
        (at, item.reason.as_deref().unwrap_or_default())
    });
    match (stopped, items.len()) {
        (1, 1) => reason.to_owned(),
        (1, _) => format!("item[{at}] cannot be fulfilled: {reason}"),
        (_, all) => format!("{stopped} of {all} items cannot be fulfilled; item[{at}]: {reason}"),
    }
}

impl ServiceRule {
    /// Why a set of slots breaks this rule, if it does.
    fn fault(&self, catalog: &Catalog, keys: &[SlotKey]) -> Option<String> {
        let has = |service: &ServiceIx| keys.iter().any(|key| key.service == *service);
        let names = |services: &[ServiceIx]| {
            let quoted = services
                .iter()
                .map(|&ix| format!("{:?}", catalog.service(ix).id));
            quoted.collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::ForbiddenTogether(set) => (set.iter().filter(|service| has(service)).count() > 1)
                .then(|| format!("services {} cannot be ordered together", names(set))),
            Self::RequiredWith { service, any_of } => (has(service) && !any_of.iter().any(has))
                .then(|| {
                    format!(
                        "service {} needs one of {}",
                        names(&[*service]),
                        names(any_of)
                    )
                }),
            Self::NoOverlap(set) => {
                let bound = keys.iter().filter(|key| set.contains(&key.service));
                any_overlap(bound.copied().collect())
                    .then(|| format!("services {} may not overlap in time", names(set)))
            }
        }
    }
}

/// Whether any two different slots have a moment in common.
fn any_overlap(mut slots: Vec<SlotKey>) -> bool {
    slots.sort_unstable_by_key(|slot| (slot.start_sec, slot.end_sec(), slot.service));
    slots.dedup();
    slots
        .windows(2)
        .any(|pair| pair[1].start_sec < pair[0].end_sec())
}

/// What all items together ask of each slot: in order, each ticket type of a slot once.
struct Demand(Vec<((SlotKey, Claimed), u64)>);

impl Demand {
    fn of(examined: &[Examined<'_>]) -> Self {
        let claims = examined.iter().flat_map(Examined::claims);
        let mut asked: Vec<_> = claims
            .map(|claim| ((claim.slot, claim.ticket), u64::from(claim.count)))
            .collect();
        asked.sort_unstable();
        asked.dedup_by(|(same, more), (asked, count)| {
            let again = same == asked;
            if again {
                *count += *more;
            }
            again
        });
        Self(asked)
    }

    /// What is asked of a slot.
    fn of_slot(&self, slot: SlotKey) -> impl Iterator<Item = (Claimed, u64)> + Clone {
        let first = self.0.partition_point(|((before, _), _)| *before < slot);
        let of_slot = self.0[first..]
            .iter()
            .take_while(move |((asked, _), _)| *asked == slot);
        of_slot.map(|((_, ticket), count)| (*ticket, *count))
    }

    /// What is left of the tightest pool that these claims draw on and that is asked for more than
    /// it has.
    fn overdrawn(
        &self,
        service: &Service,
        key: SlotKey,
        slot: &Slot,
        claimed: &[Claimed],
        viewer: Viewer,
    ) -> Option<u32> {
        let asked = self.of_slot(key);
        slot.left(service, viewer)
            .filter(|(pool, _)| claimed.iter().any(|&ticket| pool.serves(service, ticket)))
            .filter(|(pool, left)| {
                let drawn = asked
                    .clone()
                    .filter(|(ticket, _)| pool.serves(service, *ticket));
                drawn.map(|(_, count)| count).sum::<u64>() > u64::from(*left)
            })
            .map(|(_, left)| left)
            .min()
    }
}

/// A reason that stops an item.
type Stop = (ItemResult, String);

/// An item with what the catalogue says of it.
struct Examined<'a> {
    line: &'a LineItem,
    service: Option<&'a Service>,
    key: Option<SlotKey>,
    slot: Option<&'a Slot>,
    /// The tickets; none where they cannot be read.
    tickets: TicketCounts,
    /// The first rule on tickets that the line breaks.
    stop: Option<Stop>,
}

impl<'a> Examined<'a> {
    fn new(inquiry: &Inquiry<'a>, line: &'a LineItem, slot: Option<&'a Slot>) -> Self {
        let ix = inquiry
            .catalog
            .service_ix(inquiry.merchant, &line.service_id);
        let service = ix.map(|ix| inquiry.catalog.service(ix));
        let key = ix.and_then(|ix| SlotKey::new(ix, line.start_sec, line.duration_sec));
        let slot = slot.filter(|slot| slot.is_open());
        let mut examined = Self {
            line,
            service,
            key,
            slot,
            tickets: TicketCounts::new(),
            stop: None,
        };
        if let Some(service) = service {
            examined.stop = examined.read_tickets(service).err();
        }
        examined
    }

    fn read_tickets(&mut self, service: &Service) -> Result<(), Stop> {
        if self.is_appointment() {
            return self.check_appointment(service);
        }
        self.tickets = constraints::read_tickets(service, self.slot, &self.line.tickets).map_err(
            |faults| {
                (
                    ItemResult::UnfulfillableTicketCombination,
                    faults.join("; "),
                )
            },
        )?;
        Ok(())
    }

    fn is_appointment(&self) -> bool {
        self.line.tickets.is_empty()
    }

    /// What the line takes spots for.
    fn claimed(&self) -> Vec<Claimed> {
        self.claims().iter().map(|claim| claim.ticket).collect()
    }

    /// The spots this item asks for; none where its tickets stop it or no slot is named.
    fn claims(&self) -> Vec<Claim> {
        let (Some(slot), None) = (self.key, &self.stop) else {
            return Vec::new();
        };
        if self.is_appointment() {
            return vec![Claim {
                slot,
                ticket: Claimed::Appointment,
                count: 1,
            }];
        }
        let claim = |&(ticket, count): &_| Claim {
            slot,
            ticket: Claimed::Ticket(ticket),
            count,
        };
        self.tickets.iter().map(claim).collect()
    }

    fn verdict(&self, inquiry: &Inquiry<'_>, demand: &Demand) -> ItemFulfillability {
        let mut verdict = ItemFulfillability::of(self.line);
        let Some(service) = self.service else {
            verdict.stop(self.unknown_service());
            return verdict;
        };
        verdict.spots_open = self.spots_open(service, inquiry.viewer);
        if let Some(stop) = &self.stop {
            verdict.stop(stop.clone());
        } else if let Err((stop, left)) = self.check_slot(service, inquiry, demand) {
            verdict.spots_open = verdict.spots_open.min(left);
            verdict.stop(stop);
        } else {
            // Where too many pools cross, what is open may be told too low, but not below what fits.
            verdict.spots_open = verdict.spots_open.map(|open| open.max(self.spots_asked()));
            self.settle_price(service, inquiry.purpose, &mut verdict);
            self.check_answers(service, inquiry.purpose, &mut verdict);
        }
        verdict
    }

    fn unknown_service(&self) -> Stop {
        let id = quoted(&self.line.service_id);
        (
            ItemResult::SlotUnavailable,
            format!("service {id} is not one of this merchant's"),
        )
    }

    /// Spots open for the tickets asked, or for all types of the service where they make no sense;
    /// none where the slot cannot be booked at this moment.
    fn spots_open(&self, service: &Service, viewer: Viewer) -> Option<u32> {
        let (slot, key) = (self.slot?, self.key?);
        let asked: Vec<Claimed> = match self.tickets[..] {
            [] if self.stop.is_none() => vec![Claimed::Appointment],
            [] => return Some(availability::spots_open(service, key, slot, viewer)),
            ref tickets => tickets
                .iter()
                .map(|&(ticket, _)| Claimed::Ticket(ticket))
                .collect(),
        };
        Some(availability::spots_open_for(
            service, key, slot, &asked, viewer,
        ))
    }

    /// The spots that the line asks for.
    fn spots_asked(&self) -> u32 {
        let counts = self.tickets.iter().map(|&(_, count)| count);
        if self.is_appointment() {
            1
        } else {
            counts.fold(0, u32::saturating_add)
        }
    }

    /// The first rule on tickets that the line breaks, by itself or together with the other lines of its
    /// slot. Those count if their tickets can be read, whatever else may be wrong with them, so that the
    /// order of items changes nothing.
    fn check_tickets(&self, all: &[Self]) -> Option<Stop> {
        let service = self.service.filter(|_| !self.tickets.is_empty())?;
        if self.key.is_none() || !service.rules.look_at_slots() {
            return self.check_party(service, Party::alone(&self.tickets));
        }
        let mut slot = TicketCounts::new();
        for (ticket, count) in all
            .iter()
            .filter(|other| other.key == self.key)
            .flat_map(|other| &other.tickets)
        {
            constraints::add(&mut slot, *ticket, *count);
        }
        self.check_party(
            service,
            Party {
                line: &self.tickets,
                slot: &slot,
            },
        )
    }

    fn check_party(&self, service: &Service, party: Party<'_>) -> Option<Stop> {
        let faults = constraints::combination_faults(service, party);
        if !faults.is_empty() {
            return Some((
                ItemResult::UnfulfillableTicketCombination,
                faults.join("; "),
            ));
        }
        if let Some(reason) = constraints::child_fault(service, party) {
            return Some((ItemResult::ChildTicketsWithoutAdult, reason));
        }
        let tags = self.slot.map_or(&[][..], |slot| &slot.terms().tags);
        let violated = constraints::violated_limits(service, self.line.start_sec, tags, party);
        if violated.is_empty() {
            return None;
        }
        let reason = constraints::violations_in_words(&violated);
        Some((ItemResult::TicketConstraintViolated(violated), reason))
    }

    fn check_appointment(&self, service: &Service) -> Result<(), Stop> {
        let sold_here = self
            .slot
            .is_none_or(|slot| slot.sells(service, Claimed::Appointment));
        if service.price.is_some() && sold_here {
            return Ok(());
        }
        let reason = "this is sold by ticket: name at least one ticket type and a count".to_owned();
        Err((ItemResult::UnfulfillableTicketCombination, reason))
    }

    fn check_slot(
        &self,
        service: &Service,
        inquiry: &Inquiry<'_>,
        demand: &Demand,
    ) -> Result<(), (Stop, Option<u32>)> {
        let unavailable = |reason: String| (ItemResult::SlotUnavailable, reason);
        let (Some(slot), Some(key)) = (self.slot, self.key) else {
            let reason = "the service has no slot of that start and duration".to_owned();
            return Err((unavailable(reason), None));
        };
        if let Some(fault) = window_fault(service, key, slot.terms(), inquiry.viewer.now) {
            return Err((unavailable(fault.to_string()), Some(0)));
        }
        match demand.overdrawn(service, key, slot, &self.claimed(), inquiry.viewer) {
            Some(left) => Err((unavailable(too_few_spots(left)), Some(left))),
            None => Ok(()),
        }
    }

    fn settle_price(&self, service: &Service, purpose: Purpose, verdict: &mut ItemFulfillability) {
        let (quote, micros) = match self.quote(service) {
            Ok(quote) => quote,
            Err(error) => return verdict.stop((ItemResult::OtherReason, error.to_string())),
        };
        verdict.correct_price(micros, quote.total.currency());
        match pricing::judge(self.line.price.as_ref(), &quote) {
            PriceVerdict::Right => {}
            PriceVerdict::Incorrect(reason) => {
                verdict.stop((ItemResult::IncorrectPrice, reason.to_owned()));
            }
            PriceVerdict::Moved(change) => {
                verdict.price_change = Some(change);
                verdict.ticket_types = self.moved_ticket_types(service, &quote);
                if purpose == Purpose::Create {
                    let reason = format!("the price is {} now", quote.total);
                    verdict.stop((ItemResult::IncorrectPrice, reason));
                }
            }
        }
    }

    /// The price of the line, and its total in micro-units.
    fn quote(&self, service: &Service) -> Result<(Quote, i64), MoneyError> {
        let quote = match pricing::quote_appointment(service) {
            Some(quote) if self.is_appointment() => quote,
            _ => pricing::quote_tickets(service, &self.tickets)?,
        };
        Ok((quote, quote.total.to_micros()?))
    }

    fn moved_ticket_types(&self, service: &Service, quote: &Quote) -> Vec<TicketType> {
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

    fn check_answers(&self, service: &Service, purpose: Purpose, verdict: &mut ItemFulfillability) {
        if purpose == Purpose::Check || verdict.result != ItemResult::CanFulfill {
            return;
        }
        let answers = self.line.answers.as_deref().unwrap_or_default();
        let faults = intake::faults(&service.questions, &self.tickets, answers);
        if !faults.is_empty() {
            verdict.stop((ItemResult::OtherReason, faults.join("; ")));
        }
    }
}

/// Why a slot has no room for what is asked of it.
fn too_few_spots(left: u32) -> String {
    match left {
        0 => "the slot is sold out".to_owned(),
        1 => "the order asks for more spots of this slot than the 1 that is still open".to_owned(),
        _ => format!(
            "the order asks for more spots of this slot than the {left} that are still open"
        ),
    }
}

impl ItemFulfillability {
    /// The verdict on an item of which nothing bad is known yet.
    fn of(line: &LineItem) -> Self {
        Self {
            line: line.clone(),
            result: ItemResult::CanFulfill,
            reason: None,
            spots_open: None,
            price_change: None,
            ticket_types: Vec::new(),
        }
    }

    fn stop(&mut self, (result, reason): Stop) {
        self.result = result;
        self.reason = Some(reason);
    }

    fn correct_price(&mut self, micros: i64, currency: Currency) {
        let pricing_option_tag = self
            .line
            .price
            .take()
            .map(|tag| tag.pricing_option_tag)
            .unwrap_or_default();
        let currency_code = currency.code().to_owned();
        self.line.price = Some(PriceTag {
            micros,
            currency_code,
            pricing_option_tag,
        });
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
