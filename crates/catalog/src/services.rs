//! The service feed: services with their ticket types, prices and questions.

mod cancellation;
mod forms;
mod tickets;

use domain::{
    catalog::{
        BookingWindow, CancellationTerms, Fee, IdInterner, MerchantIx, Prepayment, Service,
        TicketRules,
    },
    ids::{MerchantId, ServiceId},
    time::Seconds,
};

use super::{
    builder::CatalogBuilder,
    diagnostics::Cursor,
    ignored,
    json::{Field, FromJson, Quoted, message},
    prices::{self, Price, PriceReader, TaxRateEntry},
    source_feeds::on_one_line,
    texts::{self, Text},
};
use cancellation::CancellationPolicy;
use forms::Form;
use tickets::{Numbering, TicketEntry};

message! {
    /// An element of the service feed.
    watched ServiceEntry {
        merchant_id: String,
        service_id: String,
        localized_service_name: Text,
        service_name: Text,
        name: Text,
        price: Price,
        tax_rate: TaxRateEntry,
        prepayment_type: Prepayment,
        rules: SchedulingRules,
        ticket_type: Vec<Field<TicketEntry>>,
        per_order_fee: PerOrderFee,
        intake_form: Form,
        per_ticket_intake_form: Form,
    }
}

message! {
    /// Until when a service can be booked and cancelled, in seconds, and what is given back then.
    watched SchedulingRules {
        min_advance_booking: i64,
        min_booking_buffer_before_end_time: i64,
        min_advance_online_canceling: i64,
        cancellation_policy: CancellationPolicy,
    }
}

message! {
    /// Fees for an order as a whole.
    watched PerOrderFee {
        delivery_fee: Price,
        processing_fee: Price,
    }
}

/// The ways of prepayment in the order of their numbers.
const PREPAYMENT_TYPES: [(&str, Prepayment); 4] = [
    ("PREPAYMENT_TYPE_UNSPECIFIED", Prepayment::Optional),
    ("REQUIRED", Prepayment::Required),
    ("OPTIONAL", Prepayment::Optional),
    ("NOT_SUPPORTED", Prepayment::NotSupported),
];

impl FromJson for Prepayment {
    const EXPECTED: &'static str = "REQUIRED, OPTIONAL or NOT_SUPPORTED";
    const IS_NUMBER: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        PREPAYMENT_TYPES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|&(_, prepayment)| prepayment)
    }

    fn from_integer(integer: i128) -> Option<Self> {
        PREPAYMENT_TYPES
            .get(usize::try_from(integer).ok()?)
            .map(|&(_, prepayment)| prepayment)
    }
}

/// Adds an element of the feed to the builder.
pub(super) fn add(builder: &mut CatalogBuilder, at: &Cursor<'_>, element: Quoted<ServiceEntry>) {
    let Some(mut entry) = element.read.required(at) else {
        return;
    };
    let text = on_one_line(element.text.get());
    // Kept also if the service is invalid: errors discard the catalogue and this text with it.
    builder.source_feeds.services.push(text);
    let (merchant_at, id_at) = (at.key("merchant_id"), at.key("service_id"));
    let merchant_id = std::mem::take(&mut entry.merchant_id).id(&merchant_at);
    let merchant_id = merchant_id.map(MerchantId::from);
    let id = std::mem::take(&mut entry.service_id).id(&id_at);
    let id = id.map(ServiceId::from);
    let merchant = merchant_id
        .as_ref()
        .and_then(|id| builder.merchant(id, &merchant_at));
    // Prices of an unknown merchant are read as well, so that their errors are reported.
    let mut prices = builder.price_reader(merchant);
    match (merchant, merchant_id, id) {
        (Some(merchant), Some(merchant_id), Some(id)) => {
            let ids = Numbering::of(builder.catalog.ids_mut(), &merchant_id, &id);
            let service = read(merchant, id, entry, ids, &mut prices, at);
            builder.add_service(service, &id_at);
        }
        (_, merchant_id, id) => {
            report_errors(entry, &mut prices, at);
            // Remembered, so that its availability entries are not reported as unknown services.
            builder.reject_service(
                merchant_id.unwrap_or_else(|| MerchantId::from("")),
                id.unwrap_or_else(|| ServiceId::from("")),
            );
        }
    }
    if let (Some(merchant), Some(currency)) = (merchant, prices.currency) {
        builder.set_currency(merchant, currency);
    }
}

/// Reads a service that cannot become part of the catalogue, to report its other errors.
fn report_errors(entry: ServiceEntry, prices: &mut PriceReader, at: &Cursor<'_>) {
    // An interner of its own: a rejected service must not use up indexes, which are permanent.
    let mut ids = IdInterner::default();
    let none = ServiceId::from("");
    let ids = Numbering::of(&mut ids, &MerchantId::from(""), &none);
    read(MerchantIx(0), none, entry, ids, prices, at);
}

fn read(
    merchant: MerchantIx,
    id: ServiceId,
    feed: ServiceEntry,
    numbering: Numbering<'_>,
    prices: &mut PriceReader,
    at: &Cursor<'_>,
) -> Service {
    let ServiceEntry {
        merchant_id: _,
        service_id: _,
        localized_service_name,
        service_name,
        name,
        price,
        tax_rate,
        prepayment_type,
        rules,
        ticket_type,
        per_order_fee,
        intake_form,
        per_ticket_intake_form,
        others,
    } = feed;
    ignored::warn(&others, at);
    // A service with neither could never be sold, which is more likely an error than an intention.
    if price.is_absent() && ticket_type.is_empty() {
        at.error(
            "nothing_to_sell",
            "has neither `ticket_type` nor `price`, so that there is nothing to sell",
        );
    }
    let names = [
        ("localized_service_name", localized_service_name),
        ("service_name", service_name),
        ("name", name),
    ];
    let mut name = texts::first_of(names, at).unwrap_or_default();
    if name.value.is_empty() {
        name.value = id.to_string();
    }
    let (booking_window, cancellation) = scheduling_rules(rules, &at.key("rules"));
    let mut service = Service {
        merchant,
        id,
        name,
        price: prices.optional(price, &at.key("price")),
        tax_rate: prices::tax_rate(tax_rate, prices.tax_rate, &at.key("tax_rate")),
        prepayment: prepayment_type
            .optional(&at.key("prepayment_type"))
            .unwrap_or_default(),
        tickets: tickets::read(ticket_type, numbering, prices, &at.key("ticket_type")),
        per_order_fees: per_order_fees(per_order_fee, prices, &at.key("per_order_fee")),
        booking_window,
        cancellation,
        questions: Vec::new(),
        rules: TicketRules::default(),
        deals: Vec::new(),
        ticket_sets: Vec::new(),
    };
    service.questions = forms::read(&service, intake_form, per_ticket_intake_form, at);
    service
}

fn scheduling_rules(
    rules: Field<SchedulingRules>,
    at: &Cursor<'_>,
) -> (BookingWindow, CancellationTerms) {
    let SchedulingRules {
        min_advance_booking,
        min_booking_buffer_before_end_time: buffer,
        min_advance_online_canceling: canceling,
        cancellation_policy,
        others,
    } = rules.optional(at).unwrap_or_default();
    ignored::warn(&others, at);
    let window = BookingWindow {
        min_advance: seconds(min_advance_booking, &at.key("min_advance_booking")),
        min_buffer_before_end: seconds(buffer, &at.key("min_booking_buffer_before_end_time")),
    };
    if window.min_advance.is_some() && window.min_buffer_before_end.is_some() {
        let text = "has both `min_advance_booking` and `min_booking_buffer_before_end_time`; only the latter \
                    counts";
        at.warning("both_advance_rules", text);
    }
    let cancellation = CancellationTerms {
        min_advance: seconds(canceling, &at.key("min_advance_online_canceling")),
        refund: cancellation::read(cancellation_policy, &at.key("cancellation_policy")),
    };
    (window, cancellation)
}

/// A duration in seconds, if given; in the feeds 0 means none.
fn seconds(field: Field<i64>, at: &Cursor<'_>) -> Option<Seconds> {
    let seconds = field.optional(at).map(Seconds::new)?;
    if seconds < Seconds::ZERO {
        at.error(
            "out_of_range",
            format!("is {seconds}; expected a number of seconds, not below zero"),
        );
    }
    // 0 is the default of protobuf and means that the member is not set.
    (seconds > Seconds::ZERO).then_some(seconds)
}

fn per_order_fees(fees: Field<PerOrderFee>, prices: &mut PriceReader, at: &Cursor<'_>) -> Vec<Fee> {
    let PerOrderFee {
        delivery_fee,
        processing_fee,
        others,
    } = fees.optional(at).unwrap_or_default();
    ignored::warn_of_fees(&others, at);
    let delivery = prices.fee("Delivery fee", delivery_fee, &at.key("delivery_fee"));
    let processing = prices.fee("Processing fee", processing_fee, &at.key("processing_fee"));
    delivery.into_iter().chain(processing).collect()
}
