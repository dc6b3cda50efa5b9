//! The beginning of plain orders by the default lifecycle: what every CreateOrder pays for it.
//!
//! `cargo bench -p boxoffice-lifecycle-files`

use boxoffice_lifecycle_files as lifecycle_files;
use divan::{Bencher, black_box};
use domain::{
    ids::{MerchantId, ServiceId},
    ledger::{PaidBy, PaymentLedger},
    lifecycle::{Definition, Facts, ItemFacts, OrderTree, Trigger, run},
    money::{Currency, Money},
    refunds::RefundFees,
    shipment::DeliveryType,
    slot::Confirmation,
    time::EpochSeconds,
};

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 2, 4, 8])]
fn plain_order(bencher: Bencher<'_, '_>, items: u16) {
    let definition: Definition = lifecycle_files::default().expect("a test reads it");
    let merchant = MerchantId::from("merchant");
    let service = ServiceId::from("service");
    let item = ItemFacts {
        service: &service,
        start: EpochSeconds::new(1_000_000),
        end: EpochSeconds::new(1_003_600),
        spots: 2,
        spots_open: 10,
        confirmation: Confirmation::AtOnce,
        answers: &[],
    };
    let all = vec![item; usize::from(items)];
    let facts = Facts {
        now: EpochSeconds::new(0),
        channel: "google",
        merchant: &merchant,
        delivery: DeliveryType::None,
        items: &all,
        bill: None,
        refund_fees: RefundFees::WithPrice,
        authorization_ends: None,
    };
    let currency = Currency::from_code("USD").expect("it is a currency");
    let due = Money::from_micros(20_000_000, currency);
    bencher.bench(|| {
        let ledger = PaymentLedger::new(PaidBy::Google, due);
        let tree = OrderTree::new(black_box(&definition), items, ledger);
        let begin = Trigger::Begin {
            unavailable: Vec::new(),
        };
        run(&definition, tree, begin, black_box(&facts))
    });
}
