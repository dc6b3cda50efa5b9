//! Answers of the operator's services. An order that was only placed is shown as that: the state of every part follows from
//! it.

use data_encoding::BASE64URL_NOPAD;
use pbjson_types::Timestamp;

use super::{masks::may_see_customers, proto::v1, requests::order_name};
use crate::api::auth::User;
use domain::{
    catalog::{Catalog, LocalizedText, Question, Service},
    ids::MerchantId,
    lifecycle::Spots,
    order::{
        BookedItem, BookingStatus, Customer, IntakeAnswer, LineItem, Order, OrderId,
        OrderedTickets, PaymentDetails, PaymentProcessor, PostalAddress, PrepaymentStatus,
        PriceTag,
    },
    slot::BlockedSpots,
    time::EpochSeconds,
};
use orders::{
    App, lifecycle::ActiveLifecycle, search::state_of, slots::SlotReport, stats::OrderStats,
};
use store::{ListedOrder, NamedSlot, OrderPlace, SlotBlock, SlotName, StoredOrder};

mod updates;

pub(super) use updates::{cancellation, entry as history_entry};

/// The time zone where none is known.
const NO_TIME_ZONE: &str = "UTC";

/// The channel of every order.
const CHANNEL: &str = "google";

/// Bytes of an etag.
const ETAG_BYTES: usize = 9;

/// Whether the customer and the answers to questions are part of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CustomerShown {
    Yes,
    No,
}

/// Whether reasons and notes, which people type and which may be about customers, are part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypedTexts {
    Shown,
    Hidden,
}

impl TypedTexts {
    /// What a user is shown. Those who may not see customers do not read what was typed about them.
    pub(super) fn of(user: Option<&User>) -> Self {
        if may_see_customers(user) {
            Self::Shown
        } else {
            Self::Hidden
        }
    }

    /// The text, or nothing in its place.
    fn show(self, text: String) -> String {
        match self {
            Self::Shown => text,
            Self::Hidden => String::new(),
        }
    }
}

/// Whether steps are shown with the attempts at them, which are of this moment and not of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptsShown {
    Yes,
    No,
}

/// What orders are shown with.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'c> {
    pub(super) app: &'c App,
    pub(super) catalog: &'c Catalog,
    pub(super) customer: CustomerShown,
    pub(super) attempts: AttemptsShown,
}

impl View<'_> {
    /// The order as it stands.
    pub(super) fn order(&self, listed: &ListedOrder) -> v1::Order {
        let ListedOrder {
            order,
            created_sec,
            begun: _,
            update,
            lifecycle: _,
            place: _,
        } = listed;
        let is_shown = self.customer == CustomerShown::Yes;
        let now = self.app.now();
        let lifecycle = self.app.lifecycle();
        let items = (0..).zip(&order.items);
        let end = |item: &BookedItem| item.line.start_sec.saturating_add(item.line.duration_sec);
        v1::Order {
            name: order_name(&order.id),
            state: state_of(listed, &lifecycle).to_owned(),
            merchant_id: order.merchant_id.to_string(),
            channel: CHANNEL.to_owned(),
            items: items
                .map(|(index, item)| self.item(listed, index, item))
                .collect(),
            payment: Some(match listed.tree() {
                Some(tree) => updates::payment(payment(order, *created_sec), tree),
                None => payment(order, *created_sec),
            }),
            // After an erasure the customer has no id, and is absent.
            customer: (is_shown && !order.customer.user_id.as_str().is_empty())
                .then(|| customer(&order.customer)),
            over: order.items.iter().all(|item| end(item) <= now),
            etag: etag(&order.id, listed.revision()),
            create_time: Some(timestamp(*created_sec)),
            update_time: Some(timestamp(
                update
                    .as_ref()
                    .map_or(*created_sec, |update| update.updated_sec),
            )),
            time_zone: time_zone(self.catalog, &order.merchant_id),
            ..listed
                .tree()
                .map_or_else(v1::Order::default, |tree| self.parts(order, tree))
        }
    }

    /// The order as it stands, with what could be asked for.
    pub(super) fn order_with_next_states(&self, stored: StoredOrder) -> v1::Order {
        let next = self.app.next_states(&stored);
        let listed = listed(stored);
        let next_states = match next {
            Ok(next) => next,
            // Whatever the lifecycle has become: an order can be read.
            Err(error) => {
                let order_id = listed.order.id.as_str();
                tracing::warn!(order_id, %error, "no states of an order can be asked for");
                Vec::new()
            }
        };
        let mut order = self.order(&listed);
        for next in next_states {
            let next = updates::next_state(&listed.order.id, &next);
            order.next_states.push(next);
        }
        order
    }

    fn item(&self, listed: &ListedOrder, index: u32, item: &BookedItem) -> v1::Item {
        let BookedItem { line, status } = item;
        let service = service_of(self.catalog, &listed.order.merchant_id, line);
        let now = listed
            .tree()
            .and_then(|tree| tree.items.get(index as usize));
        let lifecycle = self.app.lifecycle();
        let stated = now.and_then(|item| lifecycle.booking_status(item.state.as_str()));
        let is_shown = self.customer == CustomerShown::Yes;
        let answers = line.answers.as_deref().filter(|_| is_shown);
        v1::Item {
            index,
            state: item_state(listed, index, &lifecycle).to_owned(),
            booking_status: booking_status(stated.unwrap_or(*status)).to_owned(),
            service_id: line.service_id.to_string(),
            service_name: service.map_or_else(String::new, |service| service.name.value.clone()),
            start_time: Some(timestamp(line.start_sec)),
            duration_sec: line.duration_sec.get(),
            tickets: tickets(service, &line.tickets),
            price: line.price.as_ref().map(amount),
            holds_spots: now.is_none_or(|item| item.spots == Spots::Held),
            answers: self::answers(service, answers.unwrap_or_default()),
        }
    }

    /// The items of an order in a slot, for which somebody comes. Names are shown to everybody who may see the list.
    pub(super) fn guests(&self, listed: &ListedOrder, slot: &SlotName) -> Vec<v1::DoorEntry> {
        let order = &listed.order;
        let lifecycle = self.app.lifecycle();
        let is_shown = self.customer == CustomerShown::Yes;
        let mut guests = Vec::new();
        for (item, booked) in (0..).zip(&order.items) {
            let line = &booked.line;
            let now = listed.tree().and_then(|tree| tree.items.get(item as usize));
            // Nobody comes on spots that were given back.
            let is_there = now.is_none_or(|item| item.spots == Spots::Held);
            if !is_there || !is_in_slot(line, slot) {
                continue;
            }
            let service = service_of(self.catalog, &order.merchant_id, line);
            let answers = line.answers.as_deref().filter(|_| is_shown);
            guests.push(v1::DoorEntry {
                order: order_name(&order.id),
                item,
                state: item_state(listed, item, &lifecycle).to_owned(),
                given_name: order.customer.given_name.clone(),
                family_name: order.customer.family_name.clone(),
                tickets: tickets(service, &line.tickets),
                answers: self::answers(service, answers.unwrap_or_default()),
            });
        }
        guests
    }
}

/// The same order as one of a list.
pub(super) fn listed(stored: StoredOrder) -> ListedOrder {
    let StoredOrder { placed, update } = stored;
    ListedOrder {
        order: *placed.order,
        begun: placed.begun,
        update,
        created_sec: placed.created_sec,
        lifecycle: placed.lifecycle,
        // Only pages ask for it.
        place: OrderPlace(0),
    }
}

/// The state of an item.
fn item_state<'l>(listed: &'l ListedOrder, index: u32, lifecycle: &'l ActiveLifecycle) -> &'l str {
    let now = listed
        .tree()
        .and_then(|tree| tree.items.get(index as usize));
    let state = match now {
        Some(item) => &item.state,
        None => &lifecycle.placed(listed).item,
    };
    state.as_str()
}

fn is_in_slot(line: &LineItem, slot: &SlotName) -> bool {
    let has_duration = slot
        .duration_sec
        .is_none_or(|duration| line.duration_sec == duration.into());
    has_duration && line.start_sec == slot.start_sec && line.service_id == slot.service_id
}

/// Numbers of the server.
pub(super) fn stats(stats: &OrderStats) -> v1::GetStatsResponse {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let OrderStats {
        orders,
        by_state,
        open_steps,
        given_up_steps,
        timers,
        holds,
    } = stats;
    let by_state = by_state.iter();
    v1::GetStatsResponse {
        orders: *orders,
        orders_by_state: by_state
            .map(|(state, orders)| (state.to_string(), *orders))
            .collect(),
        open_steps: count(*open_steps),
        given_up_steps: *given_up_steps,
        timers: count(*timers),
        holds: count(*holds),
    }
}

/// The creation, which is the first entry of every history.
pub(super) fn creation(listed: &ListedOrder, lifecycle: &ActiveLifecycle) -> v1::HistoryEntry {
    let name = order_name(&listed.order.id);
    let becomes = |target: String, state: &str| v1::Transition {
        target,
        from_state: String::new(),
        to_state: state.to_owned(),
    };
    let placed = lifecycle.at_sale(listed);
    let begun = listed.begun.as_deref();
    let state = begun.map_or(&placed.order, |begun| &begun.state);
    let mut transitions = vec![becomes(name.clone(), state.as_str())];
    for (index, _) in listed.order.items.iter().enumerate() {
        let item = begun.and_then(|begun| begun.items.get(index));
        let state = item.map_or(&placed.item, |item| &item.state);
        transitions.push(becomes(format!("{name}/items/{index}"), state.as_str()));
    }
    v1::HistoryEntry {
        revision: 0,
        time: Some(timestamp(listed.created_sec)),
        cause: "created".to_owned(),
        lifecycle_revision: listed.lifecycle,
        transitions,
        ..v1::HistoryEntry::default()
    }
}

/// A slot with its spots.
pub(super) fn slot(merchant_id: &str, report: SlotReport, texts: TypedTexts) -> v1::Slot {
    let count = |spots: u64| u32::try_from(spots).unwrap_or(u32::MAX);
    v1::Slot {
        name: Some(v1::SlotName {
            merchant_id: merchant_id.to_owned(),
            service_id: report.service_id.into(),
            start_time: Some(timestamp(report.start_sec)),
            duration_sec: u32::from(report.duration_sec).into(),
        }),
        service_name: report.service_name,
        allotment: report.allotment,
        sold: count(report.sold),
        held: count(report.held),
        blocked: report.blocked,
        left: report.left,
        block_reason: texts.show(report.block_reason),
    }
}

/// A slot by its name.
pub(super) fn slot_name(slot: &NamedSlot) -> v1::SlotName {
    v1::SlotName {
        merchant_id: slot.merchant_id.to_string(),
        service_id: slot.service_id.to_string(),
        start_time: Some(timestamp(slot.start_sec)),
        duration_sec: u32::from(slot.duration_sec).into(),
    }
}

/// A block.
pub(super) fn block(catalog: &Catalog, block: &SlotBlock, texts: TypedTexts) -> v1::Block {
    v1::Block {
        time_zone: time_zone(catalog, &block.slot.merchant_id),
        slot: Some(slot_name(&block.slot)),
        count: match block.spots {
            BlockedSpots::All => None,
            BlockedSpots::Count(count) => Some(count),
        },
        reason: texts.show(block.reason.clone()),
        actor: block.actor.as_deref().unwrap_or_default().to_owned(),
        time: Some(timestamp(block.blocked_sec)),
    }
}

/// The time zone of a merchant; UTC for one that has left the catalogue.
pub(super) fn time_zone(catalog: &Catalog, merchant_id: &MerchantId) -> String {
    let merchant = catalog.merchant_ix(merchant_id);
    merchant.map_or_else(
        || NO_TIME_ZONE.to_owned(),
        |merchant| catalog.merchant(merchant).time_zone.clone(),
    )
}

fn service_of<'c>(
    catalog: &'c Catalog,
    merchant_id: &MerchantId,
    line: &LineItem,
) -> Option<&'c Service> {
    let merchant = catalog.merchant_ix(merchant_id)?;
    catalog.find_service(catalog.service_ix(merchant, &line.service_id)?)
}

fn tickets(service: Option<&Service>, ordered: &[OrderedTickets]) -> Vec<v1::Tickets> {
    let name = |ordered: &OrderedTickets| {
        let service = service?;
        let ticket = service.ticket(service.ticket_ix(&ordered.ticket_id)?);
        let texts = [&ticket.short_description, &ticket.option_description];
        let texts = texts.map(|LocalizedText { value, .. }| value.as_str());
        let given: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        Some(given.join(", "))
    };
    let mut tickets = Vec::with_capacity(ordered.len());
    for ordered in ordered {
        tickets.push(v1::Tickets {
            ticket_id: ordered.ticket_id.to_string(),
            ticket_name: name(ordered).unwrap_or_default(),
            count: ordered.count.unsigned_abs(),
        });
    }
    tickets
}

fn answers(service: Option<&Service>, given: &[IntakeAnswer]) -> Vec<v1::Answer> {
    let text = |id: &str| {
        let asked = |question: &&Question| question.id == id;
        let question = service?.questions.iter().find(asked)?;
        Some(question.label.value.clone())
    };
    let mut answers = Vec::with_capacity(given.len());
    for IntakeAnswer {
        question_id,
        responses,
    } in given
    {
        answers.push(v1::Answer {
            question_id: question_id.clone(),
            question: text(question_id).unwrap_or_default(),
            responses: responses.clone(),
        });
    }
    answers
}

fn customer(customer: &Customer) -> v1::Customer {
    v1::Customer {
        user_id: customer.user_id.to_string(),
        given_name: customer.given_name.clone(),
        family_name: customer.family_name.clone(),
        email: customer.email.clone(),
        telephone: customer.telephone.clone(),
        language_code: customer.language_code.clone(),
        address: customer
            .address
            .as_ref()
            .map_or_else(String::new, self::address),
    }
}

/// An address in one line, with what was given of it.
fn address(address: &PostalAddress) -> String {
    let PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    let parts = [street_address, postal_code, locality, region, country];
    let given: Vec<&str> = parts
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    given.join(", ")
}

fn payment(order: &Order, created_sec: EpochSeconds) -> v1::Payment {
    let due = due(order);
    let Some(details) = &order.payment else {
        return v1::Payment {
            paid_by: "merchant".to_owned(),
            due,
            ..v1::Payment::default()
        };
    };
    let paid_by = match details.processed_by {
        Some(PaymentProcessor::Google) => "google",
        Some(PaymentProcessor::Partner) => "partner",
        None => "merchant",
    };
    let state = match details.prepayment {
        Some(PrepaymentStatus::Provided) => "captured",
        Some(PrepaymentStatus::Refunded | PrepaymentStatus::Credited) => "refunded",
        Some(PrepaymentStatus::NotProvided) | None => "",
    };
    let captured = due.clone().filter(|_| state == "captured");
    v1::Payment {
        paid_by: paid_by.to_owned(),
        state: state.to_owned(),
        due,
        // What Google has taken is Google's to give back.
        refundable: captured
            .clone()
            .filter(|_| details.processed_by == Some(PaymentProcessor::Partner)),
        entries: entry(details, captured.clone(), created_sec),
        captured,
        ..v1::Payment::default()
    }
}

/// The entry of the money that was taken with the order.
fn entry(
    details: &PaymentDetails,
    captured: Option<v1::Amount>,
    created_sec: EpochSeconds,
) -> Vec<v1::LedgerEntry> {
    let entry = captured.map(|amount| v1::LedgerEntry {
        kind: "captured".to_owned(),
        amount: Some(amount),
        transaction_id: details.transaction_id.clone(),
        time: Some(timestamp(created_sec)),
    });
    entry.into_iter().collect()
}

/// The prices of the items with fees and taxes. `None` if some price is unknown, or in another currency.
fn due(order: &Order) -> Option<v1::Amount> {
    let fees = order
        .payment
        .as_ref()
        .and_then(|payment| payment.fees_and_taxes.as_ref())
        // A client without fees may send an empty amount.
        .filter(|fees| fees.micros != 0);
    let mut micros = 0_i64;
    let mut currency_code: Option<&str> = None;
    let prices = order.items.iter().map(|item| item.line.price.as_ref());
    for price in prices.chain(fees.map(Some)) {
        let price = price?;
        if *currency_code.get_or_insert(&price.currency_code) != price.currency_code {
            return None;
        }
        micros = micros.checked_add(price.micros)?;
    }
    Some(v1::Amount {
        micros,
        currency_code: currency_code?.to_owned(),
    })
}

fn amount(price: &PriceTag) -> v1::Amount {
    v1::Amount {
        micros: price.micros,
        currency_code: price.currency_code.clone(),
    }
}

/// Changes with every revision of an order: the revision, and a digest of it with the order, so that nobody makes one up.
fn etag(id: &OrderId, revision: u32) -> String {
    let digest = blake3::hash(format!("{id}@{revision}").as_bytes());
    let mut bytes = [0; ETAG_BYTES];
    let (first, rest) = bytes.split_at_mut(size_of::<u32>());
    first.copy_from_slice(&revision.to_be_bytes());
    rest.copy_from_slice(&digest.as_bytes()[..rest.len()]);
    BASE64URL_NOPAD.encode(&bytes)
}

/// The revision of an etag; `None` if it is none of this order.
pub(super) fn revision_of(text: &str, id: &OrderId) -> Option<u32> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let revision = u32::from_be_bytes(*bytes.first_chunk()?);
    (etag(id, revision) == text).then_some(revision)
}

pub(super) fn timestamp(second: EpochSeconds) -> Timestamp {
    Timestamp {
        seconds: second.get(),
        nanos: 0,
    }
}

fn booking_status(status: BookingStatus) -> &'static str {
    match status {
        BookingStatus::Confirmed => "CONFIRMED",
        BookingStatus::PendingMerchantConfirmation => "PENDING_MERCHANT_CONFIRMATION",
        BookingStatus::Canceled => "CANCELED",
        BookingStatus::NoShow => "NO_SHOW",
        BookingStatus::NoShowPenalized => "NO_SHOW_PENALIZED",
        BookingStatus::Failed => "FAILED",
        BookingStatus::DeclinedByMerchant => "DECLINED_BY_MERCHANT",
    }
}
