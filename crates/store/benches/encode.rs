//! Records of orders: encoded, decoded whole, and decoded as far as a start needs them. With the allocations of each.
//!
//! `cargo bench -p boxoffice-store --bench encode`

use boxoffice_store::{
    KeyDeriver, NamedClaim, PlacedOrder, Write,
    record::{EncodedRecord, decode_facts, decode_placed, encode},
};
use divan::{AllocProfiler, Bencher, black_box};
use domain::{
    order::{BookedItem, BookingStatus, Customer, LineItem, Order, OrderedTickets, PriceTag},
    time::EpochSeconds,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const START_SEC: i64 = 1_800_000_000;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 10])]
fn encoded(bencher: Bencher<'_, '_>, items: usize) {
    let (keys, write) = (keys(), placed(items));
    bencher.bench_local(|| encode(black_box(&write), &keys));
}

#[divan::bench(args = [1, 10])]
fn whole(bencher: Bencher<'_, '_>, items: usize) {
    let EncodedRecord {
        public, personal, ..
    } = encode(&placed(items), &keys());
    bencher.bench_local(|| decode_placed(black_box(&public), Some(&personal)));
}

#[divan::bench(args = [1, 10])]
fn facts(bencher: Bencher<'_, '_>, items: usize) {
    let EncodedRecord {
        kind,
        public,
        personal,
        ..
    } = encode(&placed(items), &keys());
    bencher.bench_local(|| decode_facts(kind, black_box(&public), Some(&personal)));
}

fn keys() -> KeyDeriver {
    KeyDeriver::new([7; 32])
}

fn placed(items: usize) -> Write {
    let claim = NamedClaim {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(START_SEC),
        duration_sec: 3600.into(),
        ticket_id: Some("adult".into()),
        count: 2,
    };
    let token = "7f6d3c1e-7b1a-4f0e-9a57-0d9e0e4b7c11".into();
    Write::OrderPlaced(Box::new(PlacedOrder {
        fingerprint: [7; 32],
        created_sec: EpochSeconds::new(START_SEC),
        created_by: None,
        order: Box::new(Order {
            id: keys().order_key(&token).order_id(),
            merchant_id: "museum".into(),
            customer: Customer::of("user-1"),
            payment: None,
            items: vec![item(); items],
        }),
        claims: vec![claim; items],
        payment: None,
        hold: None,
        bill: None,
        begun: None,
        lifecycle: 1,
        token,
    }))
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
