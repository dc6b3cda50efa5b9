//! What survives: crashes, failing disks, wrong clocks.

use std::path::Path;

use boxoffice::{
    domain::money::{Currency, Money},
    store::{PriceBook, PriceEntry, Store, Write, log::LogStore},
};

mod clock;
mod crash;
mod storage_faults;

/// Writes a record of 1 MiB so many times into a store that is closed. It changes nothing that is sold.
async fn fill_segment(store: &Path, records: usize) {
    let nothing = Money::zero(Currency::from_code("USD").unwrap());
    let entry = PriceEntry {
        merchant_id: "x".repeat(1 << 20).into(),
        service_id: "y".into(),
        ticket_id: None,
        current: nothing,
        previous: None,
    };
    let store = LogStore::open(store, 1).unwrap();
    for _ in 0..records {
        let book = PriceBook {
            entries: vec![entry.clone()],
        };
        store.commit(&Write::Prices(book).into()).await.unwrap();
    }
}
