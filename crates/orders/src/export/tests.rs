//! What is exported loads again as a catalogue with the same answers.

use std::{fs, path::Path, time::Duration};

use futures_util::FutureExt;
use proptest::{collection::vec, option, prelude::*, sample::subsequence};
use serde_json::{Value, json};

use super::*;
use crate::{
    Cart, Limits, Parts,
    audit::{Audit, AuditLog},
};
use catalog::{FeedFileOptions, FileCompression, FolderWriter, RecordKind};
use domain::{
    catalog::{Catalog, Service},
    ids::TicketId,
    money::{Currency, Money},
    order::{LineItem, OrderedTickets, PriceTag},
    slot::{Claim, Claimed, SlotKey},
};
use kernel::clock::ManualClock;
use store::{
    HoldId, HoldRecord, NamedClaim, PaymentIntent, Store, UnitOfWork, Write, memory::MemoryStore,
};

const NOW: EpochSeconds = EpochSeconds::new(1_768_456_800);
const HOUR: i64 = 3_600;
const HORIZON: Seconds = Seconds::new(4 * HOUR);
const TICKETS: [&str; 3] = ["adult", "child", "senior"];

/// A server with a catalogue and a clock that stands still.
async fn open(dir: &Path) -> Arc<App> {
    let loaded = catalog::load(dir).unwrap_or_else(|errors| panic!("{errors}"));
    let limits = Limits {
        payment_timeout: Duration::from_secs(1),
        max_commands: 1,
        horizon: HORIZON,
    };
    let (store, payments) = (Arc::new(MemoryStore::default()), None);
    let clock = Arc::new(ManualClock::at(NOW));
    let audit = Audit::open(&AuditLog::Off, clock.clone()).unwrap();
    App::open(Parts {
        loaded,
        store,
        payments,
        clock,
        limits,
        audit,
        lifecycle: crate::lifecycle::LifecycleSource::Published,
    })
    .await
    .unwrap()
}

fn write(export: &Export<'_>, out: &Path) {
    let mut writer = FolderWriter::begin(
        out,
        FeedFileOptions {
            compression: FileCompression::None,
            max_bytes: 2_000,
        },
    )
    .unwrap();
    export.write(|piece| writer.put(&piece)).unwrap();
    writer.finish(NOW.get()).unwrap();
}

/// Whatever can be asked of a slot.
fn carts(catalog: &Catalog, key: SlotKey) -> Vec<Cart> {
    let service = catalog.service(key.service);
    let ids = || service.tickets.iter().map(|ticket| ticket.id.clone());
    let single = |id: TicketId| (1..4).map(move |count| vec![(id.clone(), count)]);
    let lines = ids()
        .flat_map(single)
        .chain([Vec::new(), ids().map(|id| (id, 1)).collect()]);
    let cart = |line: Vec<(TicketId, i32)>| Cart {
        merchant_id: catalog.merchant(service.merchant).id.clone(),
        items: vec![item(service, key, &line)],
        cart_id: None,
    };
    lines.map(cart).collect()
}

fn item(service: &Service, key: SlotKey, line: &[(TicketId, i32)]) -> LineItem {
    let micros = 1_000_000 * line.iter().map(|(_, count)| i64::from(*count)).sum::<i64>();
    LineItem {
        service_id: service.id.clone(),
        start_sec: key.start_sec,
        duration_sec: key.duration_sec.into(),
        tickets: line
            .iter()
            .map(|(id, count)| OrderedTickets {
                ticket_id: id.clone(),
                count: *count,
            })
            .collect(),
        price: Some(PriceTag {
            micros,
            currency_code: "EUR".into(),
            pricing_option_tag: String::new(),
        }),
        answers: None,
    }
}

/// Every answer to everything that can be asked.
fn answers(app: &Arc<App>, asked: &[Cart]) -> Vec<String> {
    asked
        .iter()
        .map(|cart| {
            let checked = app.check(cart.clone(), None).get().now_or_never().unwrap();
            format!("{cart:?}: {checked:?}")
        })
        .collect()
}

fn everything(app: &Arc<App>) -> Vec<Cart> {
    let export = app.export(None).unwrap();
    let slots = export.active.openings.slots(export.span);
    slots
        .flat_map(|(key, _)| carts(&export.active.catalog, key))
        .collect()
}

/// What was sold or is held: the number of a slot, a ticket type if it is not an appointment, how
/// many, and whether they are only held.
type Taken = (usize, Option<usize>, u32, bool);

fn take(app: &Arc<App>, taken: &[Taken]) {
    let export = app.export(None).unwrap();
    let slots: Vec<SlotKey> = export
        .active
        .openings
        .slots(export.span)
        .map(|(key, _)| key)
        .collect();
    for (at, &(slot, ticket, count, is_held)) in taken.iter().enumerate() {
        let Some(key) = slots.get(slot % slots.len().max(1)) else {
            return;
        };
        let service = export.active.catalog.service(key.service);
        let ticket = ticket.and_then(|at| service.tickets.get(at));
        if is_held {
            let line = ticket.map(|ticket| (ticket.id.clone(), i32::try_from(count).unwrap()));
            let line: Vec<_> = line.into_iter().collect();
            let merchant_id = export.active.catalog.merchant(service.merchant).id.clone();
            let items = vec![item(service, *key, &line)];
            app.check(
                Cart {
                    merchant_id,
                    items,
                    cart_id: Some(format!("cart-{at}").into()),
                },
                None,
            )
            .get()
            .now_or_never()
            .unwrap()
            .unwrap();
        } else {
            let ticket = ticket.map_or(Claimed::Appointment, |ticket| Claimed::Ticket(ticket.ix));
            app.inventory.restore(&[Claim {
                slot: *key,
                ticket,
                count,
            }]);
        }
    }
}

prop_compose! {
    fn any_entry()(
        service in 0..3,
        start in 0..5_i64,
        duration in 1..3_i64,
        spots in 0..6,
        more in 0..3,
        tickets in subsequence(&TICKETS[..], 0..=3),
        tag in option::of(prop::sample::select(&["late", "early", "odd"][..])),
        repeats in option::of((1..4_i64, 0..9_i64, option::of(0..6_i64))),
        window in option::of((-2..5_i64, 0..6_i64)),
        unheard_of in any::<bool>(),
    ) -> Value {
        let at = |hours: i64| NOW.get() - HOUR + hours * HOUR;
        let mut entry = json!({
            "merchant_id": "m", "service_id": format!("s{service}"), "start_sec": at(start),
            "duration_sec": duration * HOUR, "spots_open": spots, "spots_total": spots + more,
            "confirmation_mode": "CONFIRMATION_MODE_ASYNCHRONOUS",
        });
        if service > 0 {
            entry["ticketTypeId"] = json!(tickets);
        }
        if let Some(tag) = tag {
            entry["availability_tag"] = json!(tag);
        }
        if let Some((every, more, pause)) = repeats {
            let until = at(start) + more * HOUR;
            entry["recurrence"] = json!({"repeat_every_sec": every * HOUR, "repeat_until_sec": until});
            let range = |begin| json!({"time_range": {"begin_sec": at(begin), "end_sec": at(begin + 1)}});
            entry["schedule_exception"] = pause.map(range).into_iter().collect();
        }
        if let Some((first, span)) = window {
            entry["scheduling_rule_overrides"] = json!({
                "first_bookable_sec": at(first), "last_bookable_sec": at(first + span),
                "last_online_cancellable_sec": at(first),
            });
        }
        if unheard_of {
            entry["resources"] = json!({"unheard_of": [1.5, "ü"]});
        }
        entry
    }
}

prop_compose! {
    /// Entries that are of other resources, or of other parties, wherever they meet.
    fn any_entries()(mut entries in vec(any_entry(), 0..8), parties in any::<bool>()) -> Vec<Value> {
        for (at, entry) in entries.iter_mut().enumerate() {
            if parties {
                entry["resources"]["staff_id"] = json!((at / 2).to_string());
                entry["resources"]["party_size"] = json!(at % 2);
            } else {
                entry["resources"]["staff_id"] = json!(at.to_string());
            }
        }
        entries
    }
}

/// One service is booked without tickets, one with and one either way.
fn write_catalog(dir: &Path, entries: &[Value]) {
    let price = json!({"price_micros": 1_000_000, "currency_code": "EUR"});
    let ticket = |id| json!({"ticket_type_id": id, "price": price});
    let tickets: Vec<Value> = TICKETS.into_iter().map(ticket).collect();
    let services = [
        json!({"merchant_id": "m", "service_id": "s0", "price": price, "rules": {"min_advance_booking": 1800}}),
        json!({"merchant_id": "m", "service_id": "s1", "ticket_type": tickets}),
        json!({"merchant_id": "m", "service_id": "s2", "ticket_type": tickets, "price": price}),
    ];
    let rules = "[[merchant]]\nid = 'm'\ncart_hold_sec = 60\n[[service]]\nmerchant = 'm'\nid = 's1'\n\
                 [[service.slot_limits]]\navailability_tag = 'late'\nmin = 2\n\
                 [[service.slot_limits]]\navailability_tag = 'early'\nmax = 2\n";
    for (file, text) in [
        (
            "merchants.json",
            json!({"merchant": [{"merchant_id": "m"}]}).to_string(),
        ),
        ("services.json", json!({"service": services}).to_string()),
        (
            "availability.json",
            json!({"service_availability": [{"availability": entries}]}).to_string(),
        ),
        ("rules.toml", rules.to_owned()),
    ] {
        fs::write(dir.join(file), text).unwrap();
    }
}

/// The elements of an exported availability feed, one a line.
fn elements(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|file| file.to_string_lossy().contains("availability"))
        .collect();
    files.sort();
    let texts: String = files
        .into_iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let element = |line: &str| {
        line.starts_with("{\"merchant_id\"")
            .then(|| line.trim_end_matches(',').to_owned())
    };
    texts.lines().filter_map(element).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn an_export_gives_the_answers_that_its_server_gave(
        entries in any_entries(),
        taken in vec((0..40_usize, option::of(0..3_usize), 1..4_u32, any::<bool>()), 0..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (once, twice) = (dir.path().join("once"), dir.path().join("twice"));
        write_catalog(dir.path(), &entries);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = open(dir.path()).await;
            take(&app, &taken);
            write(&app.export(None).unwrap(), &once);
            let again = open(&once).await;
            let asked = everything(&app);
            prop_assert_eq!(answers(&again, &asked), answers(&app, &asked));
            write(&again.export(None).unwrap(), &twice);
            prop_assert_eq!(elements(&twice), elements(&once), "nothing is lost on the way");
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn days_limit_what_is_exported_and_are_limited_by_what_is_open() {
    let dir = tempfile::tempdir().unwrap();
    write_catalog(dir.path(), &[]);
    let app = open(dir.path()).await;
    assert_eq!(app.export(Some(1)).unwrap_err(), TooFar { open: 0 });
    for (days, expected) in [
        (None, Some(EpochSeconds::MAX)),
        (Some(1), Some(NOW + Seconds::DAY)),
        (Some(2), None),
    ] {
        let span = span(NOW, NOW + Seconds::DAY, Seconds::DAY, days);
        assert_eq!(span.ok().map(|span| span.until), expected, "{days:?}");
    }
}

/// An entry for a slot that starts `hour` hours from now.
fn entry(hour: i64, spots: i64) -> Value {
    json!({
        "merchant_id": "m", "service_id": "s1", "start_sec": NOW.get() + hour * HOUR, "duration_sec": HOUR,
        "spots_open": spots,
    })
}

/// What an export says: in how many hours, and how many spots.
fn spots_open(export: &Export<'_>) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    let note = |piece: FeedRecord<'_>| {
        if piece.kind == RecordKind::Availability {
            let element: Value = serde_json::from_str(&piece.text).unwrap();
            let number = |name: &str| element[name].as_i64().unwrap();
            found.push((
                (number("start_sec") - NOW.get()) / HOUR,
                number("spots_open"),
            ));
        }
        Ok::<_, ()>(())
    };
    export.write(note).unwrap();
    found
}

#[tokio::test]
async fn an_export_goes_by_one_catalogue_and_counts_what_is_sold_by_any() {
    let dir = tempfile::tempdir().unwrap();
    write_catalog(dir.path(), &[entry(1, 5), entry(2, 5)]);
    let app = open(dir.path()).await;
    let export = app.export(None).unwrap();
    let next = dir.path().join("next");
    fs::create_dir(&next).unwrap();
    write_catalog(&next, &[entry(2, 9), entry(3, 9)]);
    app.reload(move |ids| catalog::load_after(&next, ids))
        .await
        .unwrap();
    take(&app, &[(0, Some(1), 2, false)]);
    assert_eq!(spots_open(&export), [(1, 5), (2, 3)]);
    assert_eq!(spots_open(&app.export(None).unwrap()), [(2, 7), (3, 9)]);
}

#[tokio::test]
async fn what_is_being_paid_for_counts_as_sold_what_is_held_as_held_and_both_stay_on_record() {
    let dir = tempfile::tempdir().unwrap();
    write_catalog(dir.path(), &[entry(1, 5)]);
    let claim = NamedClaim {
        merchant_id: "m".into(),
        service_id: "s1".into(),
        start_sec: NOW + HOUR,
        duration_sec: 3_600.into(),
        ticket_id: Some("adult".into()),
        count: 2,
    };
    let amount = Money::from_micros(2_000_000, Currency::from_code("EUR").unwrap());
    let intent = PaymentIntent {
        token: "token".into(),
        attempt: 1,
        amount,
        started_sec: NOW,
        claims: vec![claim.clone()],
        hold: None,
    };
    let hold = |id, expires_sec| HoldRecord {
        id: HoldId([id; 16]),
        revision: 1,
        owner: None,
        merchant_id: "m".into(),
        lines: Vec::new(),
        claims: vec![NamedClaim {
            count: 1,
            ..claim.clone()
        }],
        placed_sec: NOW - 60,
        expires_sec,
        used: Seconds::ZERO,
    };
    let store = MemoryStore::default();
    let unit = UnitOfWork::write(Write::PaymentIntent(intent))
        .and(Write::HoldPlaced(Box::new(hold(1, NOW + 1))))
        .and(Write::HoldPlaced(Box::new(hold(2, NOW))));
    store.commit(&unit).await.unwrap();
    for _ in 0..2 {
        let loaded = catalog::load(dir.path()).unwrap();
        let offline =
            OfflineCatalog::open(loaded, &store, Arc::new(ManualClock::at(NOW)), HORIZON).unwrap();
        assert_eq!(spots_open(&offline.export(None).unwrap()), [(1, 2)]);
    }
    assert_eq!(store.recover().unwrap().holds.len(), 2);
}
