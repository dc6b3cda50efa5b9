//! What survives: crashes, failing disks, wrong clocks.

use std::path::Path;

use boxoffice::{
    domain::money::{Currency, Money},
    store::{PriceBook, PriceEntry, Store, Write, log::LogStore},
};

mod clock;
mod crash;
mod storage_faults;

/// Records of 1 MiB that make the first segment, of 4 MiB, so full that the next ones are filled.
const WANTS_SPARES_MIB: usize = 2;

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
