//! Records of orders are those that the first versions wrote: they held the booking contract's own message.

use boxoffice::{
    api::booking::{proto::v3, to_proto},
    domain::order::{
        BookedItem, BookingStatus, Customer, Deposit, IntakeAnswer, LineItem, NoShowFee, Order,
        OrderId, OrderedTickets, PaymentDetails, PaymentOption, PaymentProcessor, PostalAddress,
        PrepaymentStatus, PriceTag, PriceType,
    },
    store::{
        PlacedOrder,
        record::{decode_replay, encode_order},
    },
};
use domain::time::{EpochSeconds, Seconds};
use prost::Message;

/// The record of an order as the first versions declared it, as far as this test sets it.
#[derive(Clone, PartialEq, prost::Message)]
struct FirstOrderRecord {
    #[prost(string, tag = "1")]
    token: String,
    #[prost(bytes = "vec", tag = "2")]
    fingerprint: Vec<u8>,
    #[prost(int64, tag = "4")]
    created_sec: i64,
    #[prost(message, optional, tag = "5")]
    order: Option<v3::Order>,
}

fn price(micros: i64) -> PriceTag {
    PriceTag {
        micros,
        currency_code: "EUR".into(),
        pricing_option_tag: format!("tag-{micros}"),
    }
}

fn customer() -> Customer {
    Customer {
        user_id: "user".into(),
        given_name: "Ada".into(),
        family_name: "Lovelace".into(),
        address: Some(PostalAddress {
            country: "GB".into(),
            locality: "London".into(),
            region: "Greater London".into(),
            postal_code: "SW1Y".into(),
            street_address: "12 St James's Square".into(),
        }),
        telephone: "+44 20".into(),
        email: "ada@example.com".into(),
        language_code: "en".into(),
    }
}

fn item(status: BookingStatus) -> BookedItem {
    let line = LineItem {
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: Seconds::HOUR,
        tickets: vec![
            OrderedTickets {
                ticket_id: "adult".into(),
                count: 2,
            },
            OrderedTickets {
                ticket_id: "child".into(),
                count: -1,
            },
        ],
        price: Some(price(50_000_000)),
        answers: Some(vec![IntakeAnswer {
            question_id: "diet".into(),
            responses: vec!["none".into(), String::new()],
        }]),
    };
    BookedItem { line, status }
}

fn payment() -> PaymentDetails {
    PaymentDetails {
        prepayment: Some(PrepaymentStatus::Provided),
        transaction_id: "tx".into(),
        price: Some(price(1)),
        tax_amount: Some(price(2)),
        fees: Some(price(3)),
        fees_and_taxes: Some(price(-4)),
        deposit: Some(Deposit {
            amount: Some(price(5)),
            min_advance_cancellation_sec: Seconds::DAY,
            kind: PriceType::PerPerson,
        }),
        no_show_fee: Some(NoShowFee {
            amount: Some(price(6)),
            kind: PriceType::PerPerson,
        }),
        processed_by: Some(PaymentProcessor::Partner),
        option: Some(PaymentOption::Merchant("ten-visits".into())),
    }
}

fn order(payment: Option<PaymentDetails>, items: Vec<BookedItem>) -> Order {
    Order {
        id: OrderId::from("ORDER"),
        merchant_id: "museum".into(),
        customer: customer(),
        payment,
        items,
    }
}

/// Orders in which every field is set, every value of an enum occurs, and nothing is set.
fn orders() -> Vec<Order> {
    let statuses = [
        BookingStatus::Confirmed,
        BookingStatus::PendingMerchantConfirmation,
        BookingStatus::Canceled,
        BookingStatus::NoShow,
        BookingStatus::NoShowPenalized,
        BookingStatus::Failed,
        BookingStatus::DeclinedByMerchant,
    ];
    let mut orders = vec![
        order(Some(payment()), statuses.map(item).to_vec()),
        Order {
            customer: Customer::of("ada"),
            ..order(None, Vec::new())
        },
    ];
    let prepayments = [
        None,
        Some(PrepaymentStatus::NotProvided),
        Some(PrepaymentStatus::Refunded),
        Some(PrepaymentStatus::Credited),
    ];
    let appointment = BookedItem {
        line: LineItem {
            service_id: "salon".into(),
            start_sec: EpochSeconds::new(0),
            duration_sec: Seconds::ZERO,
            tickets: Vec::new(),
            price: None,
            answers: None,
        },
        status: BookingStatus::Confirmed,
    };
    for prepayment in prepayments {
        let payment = PaymentDetails {
            prepayment,
            processed_by: prepayment.map(|_| PaymentProcessor::Google),
            option: prepayment.map(|_| PaymentOption::Customer("pass".into())),
            deposit: Some(Deposit::default()),
            no_show_fee: Some(NoShowFee::default()),
            ..PaymentDetails::default()
        };
        orders.push(order(Some(payment), vec![appointment.clone()]));
    }
    orders
}

#[test]
fn orders_read_back_from_the_records_of_the_first_versions_and_stand_there_as_they_did() {
    for order in orders() {
        let first = FirstOrderRecord {
            token: "token".into(),
            fingerprint: vec![7; 32],
            created_sec: 1_700_000_000,
            order: Some(to_proto::order(order.clone())),
        };
        let bytes = first.encode_to_vec();
        assert_eq!(*decode_replay(&bytes).unwrap().order, order);

        let placed = PlacedOrder {
            token: first.token.into(),
            fingerprint: [7; 32],
            created_sec: EpochSeconds::new(first.created_sec),
            created_by: None,
            order: Box::new(order),
            claims: Vec::new(),
            payment: None,
        };
        assert_eq!(encode_order(&placed), bytes, "{placed:?}");
    }
}
