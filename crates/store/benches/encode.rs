//! The record of an order: encoded, and decoded with its claims only.
//!
//! `cargo bench -p boxoffice-store`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use boxoffice_store::{
    NamedClaim, PlacedOrder,
    record::{decode_claims, encode_order, number_order},
};
use divan::{Bencher, black_box};
use domain::{
    order::{
        BookedItem, BookingStatus, Customer, LineItem, Order, OrderId, OrderedTickets, PriceTag,
    },
    time::EpochSeconds,
};

const START_SEC: i64 = 1_800_000_000;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 10])]
fn order(bencher: Bencher<'_, '_>, items: usize) {
    let placed = placed(items);
    bencher.bench(|| encode_order(black_box(&placed)));
}

#[divan::bench(args = [1, 10])]
fn claims_of_a_record(bencher: Bencher<'_, '_>, items: usize) {
    let mut record = encode_order(&placed(items));
    number_order(&mut record, 1);
    bencher.bench(|| decode_claims(black_box(&record)).unwrap());
}

fn placed(items: usize) -> PlacedOrder {
    let claim = NamedClaim {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(START_SEC),
        duration_sec: 3600.into(),
        ticket_id: Some("adult".into()),
        count: 2,
    };
    PlacedOrder {
        token: "7f6d3c1e-7b1a-4f0e-9a57-0d9e0e4b7c11".into(),
        fingerprint: [7; 32],
        created_sec: EpochSeconds::new(START_SEC),
        created_by: None,
        order: Box::new(Order {
            id: OrderId::from("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
            merchant_id: "museum".into(),
            customer: Customer::of("user-1"),
            payment: None,
            items: vec![item(); items],
        }),
        claims: vec![claim; items],
        payment: None,
    }
}

fn item() -> BookedItem {
    BookedItem {
        line: LineItem {
            service_id: "entry".into(),
            start_sec: EpochSeconds::new(START_SEC),
            duration_sec: 3600.into(),
            tickets: vec![OrderedTickets {
                ticket_id: "adult".into(),
                count: 2,
            }],
            price: Some(PriceTag {
                micros: 40_000_000,
                currency_code: "USD".into(),
                pricing_option_tag: String::new(),
            }),
            answers: None,
        },
        status: BookingStatus::Confirmed,
    }
}
