//! Requests, built line by line, for the day after the one on which every test begins.

use boxoffice::api::booking::proto::v3::{
    CreateOrderRequest, IntakeFormAnswers, IntakeFormFieldAnswer, LineItem, Order,
    PaymentInformation, PaymentProcessingParameters, PostalAddress, Price, UserInformation,
    line_item::OrderedTickets, payment_information::PaymentProcessedBy,
};

/// The moment at which every test begins: Thursday, 15 January 2026, 06:00 UTC.
pub(crate) const NOW: i64 = 1_768_456_800;

const HOUR: i64 = 3600;

const DAY: i64 = 24 * HOUR;

/// The second at which the day after [`NOW`] has this time.
pub(crate) fn tomorrow_at(hour: i64, minute: i64) -> i64 {
    (NOW / DAY + 1) * DAY + hour * HOUR + minute * 60
}

/// A request of `user-1` that states no fees and pays nothing.
pub(crate) fn order_request(
    token: &str,
    merchant: &str,
    items: impl IntoIterator<Item = Item>,
) -> CreateOrderRequest {
    CreateOrderRequest {
        idempotency_token: token.into(),
        payment_processing_parameters: None,
        order: Some(Box::new(Order {
            order_id: String::new(),
            merchant_id: merchant.into(),
            user_information: Some(UserInformation {
                user_id: "user-1".into(),
                given_name: "Ada".into(),
                family_name: "Lovelace".into(),
                address: None,
                telephone: "+44 20 7946 0000".into(),
                email: "ada@example.com".into(),
                language_code: "en".into(),
            }),
            payment_information: None,
            item: items.into_iter().map(|item| item.0).collect(),
        })),
    }
}

/// The same request, for us to charge with this payment token.
pub(crate) fn paid_with(
    mut request: CreateOrderRequest,
    payment_token: &str,
) -> CreateOrderRequest {
    payment_information(&mut request).payment_processed_by =
        PaymentProcessedBy::ProcessedByPartner.into();
    request.payment_processing_parameters = Some(Box::new(PaymentProcessingParameters {
        unparsed_payment_method_token: payment_token.into(),
        ..PaymentProcessingParameters::default()
    }));
    request
}

/// The same request, stating this fee total.
pub(crate) fn stating_fees(
    mut request: CreateOrderRequest,
    currency: &str,
    micros: i64,
) -> CreateOrderRequest {
    payment_information(&mut request).fees_and_taxes = Some(price(currency, micros));
    request
}

/// The longest letter there is, in bytes.
pub(crate) const LONG_LETTER: &str = "\u{1f3ab}";

/// An address with this text in each of its five fields.
pub(crate) fn address_of(text: &str) -> PostalAddress {
    let [country, locality, region, postal_code, street_address] = [text; 5].map(str::to_owned);
    PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    }
}

/// The payment information of a request, made if there is none.
pub(crate) fn payment_information(request: &mut CreateOrderRequest) -> &mut PaymentInformation {
    request
        .order
        .as_mut()
        .unwrap()
        .payment_information
        .get_or_insert_default()
}

pub(crate) fn price(currency: &str, micros: i64) -> Price {
    Price {
        price_micros: micros,
        currency_code: currency.into(),
        pricing_option_tag: String::new(),
    }
}

/// A request for two adults at the museum at ten for 50 dollars, and one at two in the afternoon for 25, that this server
/// charges.
pub(crate) fn museum_visit(token: &str, payment_token: &str) -> CreateOrderRequest {
    let morning = Item::museum_entry().tickets(&[("adult", 2)]);
    let afternoon = Item::of("museum-entry", 14, 0, 7200).tickets(&[("adult", 1)]);
    let items = [
        morning.price("USD", 50_000_000),
        afternoon.price("USD", 25_000_000),
    ];
    let mut request = paid_with(order_request(token, "museum", items), payment_token);
    payment_information(&mut request).price = Some(price("USD", 75_000_000));
    let order = request.order.as_mut().unwrap();
    let user = order.user_information.as_mut().unwrap();
    user.user_id = format!("user-{token}");
    user.family_name = format!("Lovelace-{token}");
    request
}

/// A request id.
pub(crate) fn request_id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A line item in the making.
#[derive(Clone)]
pub(crate) struct Item(pub(crate) LineItem);

impl Item {
    /// A line of tomorrow's slot of a service, without tickets and without a price.
    pub(crate) fn of(service: &str, hour: i64, minute: i64, duration_sec: i64) -> Self {
        Self(LineItem {
            service_id: service.into(),
            start_sec: tomorrow_at(hour, minute),
            duration_sec,
            ..LineItem::default()
        })
    }

    /// Tomorrow at ten.
    pub(crate) fn museum_entry() -> Self {
        Self::of("museum-entry", 10, 0, 2 * HOUR)
    }

    /// Tomorrow at nine.
    pub(crate) fn raft_trip() -> Self {
        Self::of("raft-trip", 9, 0, 3 * HOUR)
    }

    /// Tomorrow at half past seven in the evening.
    pub(crate) fn symphony() -> Self {
        Self::of("symphony", 19, 30, 9000)
    }

    /// Tomorrow at nine, with the answers that it must have, for forty dollars.
    pub(crate) fn haircut() -> Self {
        Self::of("haircut", 9, 0, HOUR)
            .price("USD", 40_000_000)
            .answers(&[("hair_length", &["short"]), ("first_visit", &["true"])])
    }

    /// Tomorrow at three, in yen.
    pub(crate) fn bath() -> Self {
        Self::of("bath", 3, 0, 5400)
    }

    pub(crate) fn tickets(mut self, tickets: &[(&str, i32)]) -> Self {
        let ordered = |&(id, count): &(&str, i32)| OrderedTickets {
            ticket_id: id.into(),
            count,
        };
        self.0.tickets = tickets.iter().map(ordered).collect();
        self
    }

    pub(crate) fn price(mut self, currency: &str, micros: i64) -> Self {
        self.0.price = Some(price(currency, micros));
        self
    }

    pub(crate) fn answers(mut self, answers: &[(&str, &[&str])]) -> Self {
        let answer = |&(id, responses): &(&str, &[&str])| IntakeFormFieldAnswer {
            id: id.into(),
            response: responses.iter().map(ToString::to_string).collect(),
        };
        self.0.intake_form_answers = Some(IntakeFormAnswers {
            answer: answers.iter().map(answer).collect(),
        });
        self
    }
}
