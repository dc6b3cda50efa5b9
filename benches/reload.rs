//! How long checks wait while a catalogue of a million slots takes the place of another.
//!
//! `cargo bench --bench reload` prints the time that each reload took and how long checks took
//! before and during it.

#![expect(
    clippy::unwrap_used,
    reason = "where a measurement cannot go on, it ends"
)]
#![expect(
    clippy::print_stdout,
    reason = "what was measured goes to standard output"
)]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use boxoffice::{
    catalog,
    config::AuditLog,
    domain::{
        order::{LineItem, OrderedTickets, PriceTag},
        time::{EpochSeconds, Seconds},
    },
    kernel::clock::ManualClock,
    orders::{App, Cart, Limits, Parts, audit::Audit, lifecycle::LifecycleSource},
    payments::simulated::SimulatedGateway,
    store::memory::MemoryStore,
};
use futures_util::FutureExt;
use serde_json::json;

const NOW: EpochSeconds = EpochSeconds::new(1_768_456_800);
const SERVICES: i64 = 1_000;
const SLOTS_OF_EACH: i64 = 1_000;
const HOUR: i64 = 3600;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 10);
    let parts = Parts {
        loaded: catalog::load(dir.path()).unwrap(),
        store: Arc::new(MemoryStore::default()),
        payments: Some(Arc::new(SimulatedGateway::default())),
        clock: Arc::new(ManualClock::at(NOW)),
        lifecycle: LifecycleSource::Published,
        audit: Audit::open(&AuditLog::Off, Arc::new(ManualClock::at(NOW))).unwrap(),
        limits: Limits {
            payment_timeout: Duration::from_secs(1),
            max_commands: 1,
            horizon: Seconds::new((SLOTS_OF_EACH + 1) * HOUR),
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let app = runtime.block_on(App::open(parts)).unwrap();
    report(
        "without a reload",
        &checks_during(&app, || thread::sleep(Duration::from_secs(2))),
    );
    for spots in [9, 10, 11] {
        write(dir.path(), spots);
        let checks = checks_during(&app, || {
            let dir = dir.path().to_owned();
            let begun = Instant::now();
            let load = move |ids| catalog::load_after(&dir, ids);
            let reloaded = runtime.block_on(app.reload(load)).unwrap();
            println!(
                "{} slots active after {:?}",
                reloaded.slots,
                begun.elapsed()
            );
        });
        report("during the reload", &checks);
    }
}

fn write(dir: &Path, spots: i64) {
    let services = (0..SERVICES).map(|at| {
        let ticket =
            json!({"ticket_type_id": "t", "price": {"price_micros": 1_000_000, "currency_code": "USD"}});
        json!({"merchant_id": "m", "service_id": format!("s{at}"), "ticket_type": [ticket]})
    });
    let entries = (0..SERVICES).map(|at| {
        json!({
            "merchant_id": "m", "service_id": format!("s{at}"), "start_sec": NOW.get() + HOUR, "duration_sec": HOUR,
            "spots_open": spots,
            "recurrence": {"repeat_every_sec": HOUR, "repeat_until_sec": NOW.get() + SLOTS_OF_EACH * HOUR},
        })
    });
    let (services, entries): (Vec<_>, Vec<_>) = (services.collect(), entries.collect());
    for (file, content) in [
        (
            "merchants.json",
            json!({"merchant": [{"merchant_id": "m"}]}),
        ),
        ("services.json", json!({"service": services})),
        (
            "availability.json",
            json!({"service_availability": [{"availability": entries}]}),
        ),
    ] {
        fs::write(dir.join(file), content.to_string()).unwrap();
    }
}

/// Checks carts of all services one after another while `act` runs, and returns their durations in
/// nanoseconds, sorted.
fn checks_during(app: &Arc<App>, act: impl FnOnce()) -> Vec<u64> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let checking = scope.spawn(|| {
            let mut took = Vec::new();
            let mut at = 0;
            while !over.load(Ordering::Relaxed) {
                at = (at + 7_919) % (SERVICES * SLOTS_OF_EACH);
                let cart = cart(at % SERVICES, at / SERVICES);
                let begun = Instant::now();
                let checked = app.check(cart, None).get().now_or_never().unwrap().unwrap();
                took.push(u64::try_from(begun.elapsed().as_nanos()).unwrap());
                let spots = checked.fulfillability.items[0].spots_open;
                assert!(
                    spots.is_some_and(|spots| (9..=11).contains(&spots)),
                    "{spots:?}"
                );
            }
            took.sort_unstable();
            took
        });
        act();
        over.store(true, Ordering::Relaxed);
        checking.join().unwrap()
    })
}

fn cart(service: i64, slot: i64) -> Cart {
    let price = PriceTag {
        micros: 1_000_000,
        currency_code: "USD".into(),
        pricing_option_tag: String::new(),
    };
    let item = LineItem {
        service_id: format!("s{service}").into(),
        start_sec: NOW + (slot + 1) * HOUR,
        duration_sec: Seconds::HOUR,
        tickets: vec![OrderedTickets {
            ticket_id: "t".into(),
            count: 1,
        }],
        price: Some(price),
        answers: None,
    };
    Cart {
        merchant_id: "m".into(),
        items: vec![item],
        cart_id: None,
    }
}

fn report(what: &str, sorted: &[u64]) {
    let at = |per_mille: usize| Duration::from_nanos(sorted[(sorted.len() - 1) * per_mille / 1000]);
    let (median, most, slowest) = (at(500), at(999), at(1000));
    println!(
        "{what}: {} checks, median {median:?}, 99.9 % within {most:?}, slowest {slowest:?}",
        sorted.len()
    );
}
