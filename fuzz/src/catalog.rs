//! Catalogue folders: feeds and rules.

use std::{path::Path, sync::Arc};

use boxoffice::{
    catalog::{self, FeedFileOptions, FileCompression, FolderWriter, Loaded},
    domain::{
        catalog::{Catalog, Service},
        fulfillability::{Assessment, Inquiry, OrderVerdict, Purpose, assess},
        ids::TicketId,
        openings::untouched,
        order::{LineItem, OrderedTickets, PriceTag},
        slot::{MAX_DURATION, Opening, Slot, Viewer},
        time::{EpochSeconds, Seconds},
    },
    kernel::{
        clock::ManualClock,
        diagnostics::{Diagnostic, Diagnostics},
    },
    orders::OfflineCatalog,
    store::memory::MemoryStore,
};

use crate::scratch;

/// The files of a folder.
const FILES: [&str; 4] = [
    "merchants.json",
    "services.json",
    "availability.json",
    "rules.toml",
];

/// The line between the files of a folder that is written as one.
const BETWEEN: &[u8] = b"\n====\n";

/// Feeds that go with every set of rules.
const FEEDS: [&[u8]; 3] = [
    include_bytes!("../feeds/merchants.json"),
    include_bytes!("../feeds/services.json"),
    include_bytes!("../feeds/availability.json"),
];

/// As many openings are looked at, and as many elements exported.
const MAX_OPENINGS: usize = 20;

/// The files of a folder one after another.
pub fn catalog(bytes: &[u8]) {
    let mut rest = Some(bytes);
    let files = FILES.map(|_| {
        let whole = rest?;
        let end = whole
            .windows(BETWEEN.len())
            .position(|piece| piece == BETWEEN);
        rest = end.map(|end| &whole[end + BETWEEN.len()..]);
        Some(end.map_or(whole, |end| &whole[..end]))
    });
    folder(files);
}

/// A file of rules, beside feeds that are as they should be.
pub fn rules(bytes: &[u8]) {
    let [merchants, services, availability] = FEEDS.map(Some);
    folder([merchants, services, availability, Some(bytes)]);
}

fn folder(files: [Option<&[u8]>; 4]) {
    let dir = scratch::folder("catalog");
    for (name, contents) in FILES.iter().zip(files) {
        match contents {
            Some(contents) => drop(scratch::write(&format!("catalog/{name}"), contents)),
            None => scratch::remove(&dir.join(name)),
        }
    }
    match catalog::load(&dir) {
        Ok(loaded) => judge(&dir, loaded),
        Err(errors) => judge_errors(&errors, &files),
    }
}

fn judge_errors(errors: &Diagnostics, files: &[Option<&[u8]>; 4]) {
    assert!(!errors.list().is_empty() && !errors.to_string().is_empty());
    for error in errors.list() {
        let file = error.location.source.to_string();
        let at = FILES.iter().position(|name| *name == file);
        let contents = files[at.unwrap_or_else(|| panic!("{error:?}"))];
        match contents {
            Some(contents) => judge_position(error, &String::from_utf8_lossy(contents)),
            None => assert_eq!(error.code, "missing_file"),
        }
    }
}

/// An error says something, and if it has a position, then one that is there.
pub fn judge_position(error: &Diagnostic, text: &str) {
    assert!(!error.text.is_empty(), "{error:?}");
    let Some(position) = error.location.position else {
        return;
    };
    let lines = text.split('\n').count();
    assert!(
        (1..=lines).contains(&position.line) && position.column > 0,
        "{error:?} of {lines}"
    );
}

fn judge(dir: &Path, loaded: Loaded) {
    let opening_of = |opening: &Opening| (opening.first, opening.pool);
    let openings: Vec<_> = loaded.openings.iter().map(opening_of).collect();
    loaded
        .openings
        .iter()
        .for_each(|opening| judge_opening(&loaded.catalog, opening));
    let keeps_its_indexes = catalog::load_after(dir, loaded.catalog.ids().clone());
    let again = keeps_its_indexes.expect("what has been read can be read");
    assert_eq!(
        openings,
        again.openings.iter().map(opening_of).collect::<Vec<_>>()
    );
    for opening in loaded.openings.iter().take(MAX_OPENINGS) {
        sell(&loaded.catalog, opening);
    }
    export(loaded);
}

fn judge_opening(catalog: &Catalog, opening: &Opening) {
    let service = catalog
        .find_service(opening.first.service)
        .expect("an opening belongs to a service");
    assert!(
        (Seconds::ONE..=MAX_DURATION).contains(&Seconds::from(opening.first.duration_sec)),
        "{}: {opening:?}",
        service.id
    );
    assert!(
        opening
            .recurrence
            .as_ref()
            .is_none_or(|every| every.every > Seconds::ZERO),
        "{opening:?}"
    );
}

/// A cart at the price of the answer is answered with the same price and no warning.
fn sell(catalog: &Catalog, opening: &Opening) {
    let service = catalog.service(opening.first.service);
    let slot = untouched(&[opening]);
    let currency = catalog.merchant(service.merchant).currency.code();
    for tickets in carts(service) {
        let price = PriceTag {
            micros: 0,
            currency_code: currency.to_owned(),
            pricing_option_tag: String::new(),
        };
        let line = LineItem {
            service_id: service.id.clone(),
            start_sec: opening.first.start_sec,
            duration_sec: opening.first.duration_sec.into(),
            tickets,
            price: Some(price),
            answers: None,
        };
        let answer = look(catalog, service, &slot, &line);
        let [item] = &answer.fulfillability.items[..] else {
            panic!("one verdict for one item")
        };
        let is_sold = item.verdict.can_fulfill();
        match answer.fulfillability.verdict {
            OrderVerdict::CanFulfill | OrderVerdict::UnfulfillableServices(_) => {
                assert!(is_sold)
            }
            OrderVerdict::UnfulfillableItems | OrderVerdict::Other(_) => {
                assert!(!is_sold, "{answer:?}")
            }
        }
        assert_eq!(answer.claims.is_empty(), !is_sold, "{answer:?}");
        if is_sold {
            let again = look(catalog, service, &slot, &item.line);
            let [corrected] = &again.fulfillability.items[..] else {
                panic!("one verdict for one item")
            };
            assert_eq!(
                (&corrected.line, corrected.verdict.moved_price()),
                (&item.line, None),
                "{answer:?}"
            );
            assert_eq!(
                (&again.claims, again.amount_due),
                (&answer.claims, answer.amount_due)
            );
        }
    }
}

fn look(catalog: &Catalog, service: &Service, slot: &Slot, line: &LineItem) -> Assessment {
    let viewer = Viewer {
        now: line.start_sec.saturating_sub(Seconds::DAY),
        cart: None,
    };
    assess(&Inquiry {
        catalog,
        merchant: service.merchant,
        items: std::slice::from_ref(line),
        slots: &[Some(slot)],
        viewer,
        purpose: Purpose::Check,
    })
}

/// No ticket, some of each type alone, and a few of all.
fn carts(service: &Service) -> Vec<Vec<OrderedTickets>> {
    let some = |count| {
        move |id: &TicketId| OrderedTickets {
            ticket_id: id.clone(),
            count,
        }
    };
    let ids: Vec<TicketId> = service
        .tickets
        .iter()
        .take(4)
        .map(|ticket| ticket.id.clone())
        .collect();
    let alone = [1, 2, 7]
        .into_iter()
        .flat_map(|count| ids.iter().map(some(count)).map(|ticket| vec![ticket]));
    let all = [1, 2, 5]
        .into_iter()
        .map(|count| ids.iter().map(some(count)).collect());
    alone.chain(all).chain([Vec::new()]).collect()
}

/// What is exported loads again, and sells the same services.
fn export(loaded: Loaded) {
    let ids = |catalog: &Catalog| -> Vec<_> {
        let merchant_of = |service: &Service| catalog.merchant(service.merchant).id.clone();
        catalog
            .services()
            .map(|(_, service)| (merchant_of(service), service.id.clone()))
            .collect()
    };
    let services = ids(&loaded.catalog);
    let now = loaded
        .openings
        .first()
        .map_or(EpochSeconds::default(), |opening| opening.first.start_sec);
    let clock = Arc::new(ManualClock::at(now));
    let stock = OfflineCatalog::open(loaded, &MemoryStore::default(), clock, Seconds::HOUR)
        .expect("an empty store opens");
    let export = stock.export(None).expect("everything may be exported");
    if export.availability() > MAX_OPENINGS {
        return;
    }
    let out = scratch::path("export");
    scratch::remove(&out);
    let shape = FeedFileOptions {
        compression: FileCompression::None,
        max_bytes: 1_000_000,
    };
    let mut writer = FolderWriter::begin(&out, shape).expect("a new folder can be written");
    export
        .write(|piece| writer.put(&piece))
        .expect("a piece can be written");
    writer.finish(now.get()).expect("a folder can be finished");
    let again = catalog::load(&out).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(ids(&again.catalog), services);
}
