//! The response to a check: from the verdict to the bytes of protocol buffers and of JSON.
//!
//! `cargo bench -p boxoffice --bench response`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use boxoffice::api::booking::{
    json,
    proto::v3::{
        CheckOrderFulfillabilityResponse, Fees, LineItem, LineItemFulfillability,
        OrderFulfillability, Price,
        line_item::OrderedTickets,
        line_item_fulfillability::{ItemFulfillabilityResult, UpdatedAvailability},
        order_fulfillability::OrderFulfillabilityResult,
    },
};
use divan::{Bencher, black_box};
use prost::Message;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 10])]
fn as_protobuf(bencher: Bencher<'_, '_>, items: usize) {
    let response = response(items);
    bencher.bench(|| black_box(&response).encode_to_vec());
}

#[divan::bench(args = [1, 10])]
fn as_json(bencher: Bencher<'_, '_>, items: usize) {
    let response = response(items);
    bencher.bench(|| json::write(black_box(&response)).unwrap());
}

fn response(items: usize) -> CheckOrderFulfillabilityResponse {
    let item = LineItemFulfillability {
        item: Some(LineItem {
            service_id: "entry".into(),
            start_sec: 1_800_000_000,
            duration_sec: 3600,
            tickets: vec![OrderedTickets {
                ticket_id: "adult".into(),
                count: 2,
            }],
            price: Some(dollars(40_000_000)),
            ..LineItem::default()
        }),
        result: ItemFulfillabilityResult::CanFulfill.into(),
        availability: Some(UpdatedAvailability { spots_open: 48 }),
        ..LineItemFulfillability::default()
    };
    CheckOrderFulfillabilityResponse {
        fulfillability: Some(OrderFulfillability {
            result: OrderFulfillabilityResult::CanFulfill.into(),
            item_fulfillability: vec![item; items],
            unfulfillable_reason: String::new(),
        }),
        fees_and_taxes: Some(dollars(2_500_000)),
        fees: Some(Fees::default()),
        cart_expiration_sec: 0,
    }
}

fn dollars(micros: i64) -> Price {
    Price {
        price_micros: micros,
        currency_code: "USD".into(),
        pricing_option_tag: String::new(),
    }
}
