//! The start of a store with many orders: how long it takes to open, and the memory of its index.
//!
//! ```text
//! cargo bench -p boxoffice-store --bench start -- 10000000 /var/tmp/orders
//! ```
//!
//! The first argument is the number of orders, the second a directory on the disk to be measured, which needs some 700
//! bytes for each order. A directory that has a store is opened as it is, so that a start can be measured again, also
//! after the page cache was dropped. Without arguments a small store in a temporary directory shows that this works.

#![expect(clippy::print_stdout, reason = "results go to standard output")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::{fs, path::Path, time::Instant};

use boxoffice_store::{NamedClaim, PlacedOrder, Store, Write, log::LogStore};
use domain::{
    order::{BookedItem, BookingStatus, Customer, LineItem, Order, OrderedTickets, PriceTag},
    time::EpochSeconds,
};
use futures_util::future::try_join_all;
use tokio::runtime::Builder;

type Error = Box<dyn std::error::Error>;

/// Orders without arguments.
const FEW: u64 = 10_000;

/// Orders that are committed at once.
const AT_ONCE: u64 = 4096;

/// Slots that the orders are spread over, and orders of a user.
const SLOTS: u64 = 10_000;
const ORDERS_PER_USER: u64 = 10;

/// Measurements.
const STARTS: usize = 3;

fn main() -> Result<(), Error> {
    // Cargo adds an option of its own.
    let mut arguments = std::env::args().skip(1).filter(|it| !it.starts_with('-'));
    let orders = arguments.next().map_or(Ok(FEW), |text| text.parse())?;
    let temporary = tempfile::TempDir::new()?;
    let dir = arguments
        .next()
        .map_or_else(|| temporary.path().to_owned(), Into::into);
    if !LogStore::is_in(&dir) {
        let begun = Instant::now();
        fill(&dir, orders)?;
        println!("{orders} orders written in {:.1?}", begun.elapsed());
    }
    for _ in 0..STARTS {
        let before = resident_kib()?;
        let begun = Instant::now();
        let store = LogStore::open(&dir, 1)?;
        let recovered = store.recover()?;
        let took = begun.elapsed();
        let memory = resident_kib()?.saturating_sub(before);
        println!(
            "opened with {} orders in {took:.3?}; {memory} KiB more are resident",
            recovered.orders
        );
    }
    Ok(())
}

fn fill(dir: &Path, orders: u64) -> Result<(), Error> {
    let runtime = Builder::new_current_thread().build()?;
    let store = LogStore::open(dir, usize::try_from(AT_ONCE)?)?;
    let mut next = 0;
    while next < orders {
        let until = orders.min(next + AT_ONCE);
        // All are submitted before one is waited for, so that they share a write.
        let mut commits = Vec::new();
        for number in next..until {
            let write = Write::OrderPlaced(Box::new(placed(&store, number)));
            commits.push(store.commit(&write.into()));
        }
        runtime.block_on(try_join_all(commits))?;
        next = until;
    }
    Ok(())
}

fn placed(store: &LogStore, number: u64) -> PlacedOrder {
    let token = format!("7f6d3c1e-7b1a-4f0e-9a57-{number:012}")
        .as_str()
        .into();
    let slot = i64::try_from(number % SLOTS).unwrap_or_default();
    let start_sec = EpochSeconds::new(1_800_000_000 + slot * 3_600);
    let user_id = format!("user-{}", number / ORDERS_PER_USER);
    PlacedOrder {
        fingerprint: [7; 32],
        created_sec: EpochSeconds::new(1_700_000_000),
        created_by: None,
        order: Box::new(Order {
            id: store.order_key(&token).order_id(),
            merchant_id: "museum".into(),
            customer: Customer {
                given_name: "Grace".into(),
                family_name: "Hopper".into(),
                email: "grace@example.com".into(),
                ..Customer::of(user_id.as_str())
            },
            payment: None,
            items: vec![item(start_sec)],
        }),
        claims: vec![NamedClaim {
            merchant_id: "museum".into(),
            service_id: "entry".into(),
            start_sec,
            duration_sec: 3600.into(),
            ticket_id: Some("adult".into()),
            count: 1,
        }],
        payment: None,
        hold: None,
        bill: None,
        begun: None,
        lifecycle: 1,
        token,
    }
}

fn item(start_sec: EpochSeconds) -> BookedItem {
    BookedItem {
        line: LineItem {
            service_id: "entry".into(),
            start_sec,
            duration_sec: 3600.into(),
            tickets: vec![OrderedTickets {
                ticket_id: "adult".into(),
                count: 1,
            }],
            price: Some(PriceTag {
                micros: 20_000_000,
                currency_code: "USD".into(),
                pricing_option_tag: String::new(),
            }),
            answers: None,
        },
        status: BookingStatus::Confirmed,
    }
}

/// Memory of this process.
fn resident_kib() -> Result<u64, Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS")?.parse()?)
}
