//! A clock that is wrong at startup, jumps while the server runs, and is corrected: no spot is sold twice,
//! no slot is closed for longer than the clock is wrong, and the log warns.

use std::{fs, path::Path, sync::Arc};

use boxoffice::{
    api::booking::proto::v3::booking_service_client::BookingServiceClient,
    kernel::clock::ManualClock,
    store::{Store, Write, memory::MemoryStore},
};
use domain::time::{EpochSeconds, Seconds};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Item, NOW, Setup, TestServer, config, copy_dir, open_store, order_request,
    process::{Program, in_days},
    sample_catalog,
    text::describe,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Spots of every slot.
const SPOTS: i32 = 5;

/// A slot that starts in 40 minutes, one of the day after tomorrow, and one of a month ago.
const SOON: i64 = NOW + 40 * MINUTE;
const LATER: i64 = NOW + 2 * DAY;
const LONG_AGO: i64 = NOW - 30 * DAY;

/// Walks that start every six hours, from a month ago to a month ahead.
const WALK: i64 = 6 * HOUR;

/// A catalogue of one merchant, a store that outlives its servers, and a manual clock.
struct Pier {
    dir: TempDir,
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
}

impl Pier {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        write_catalogue(dir.path());
        Self {
            dir,
            clock: Arc::new(ManualClock::at(EpochSeconds::new(NOW))),
            store: Arc::new(MemoryStore::default()),
        }
    }

    async fn open(&self) -> TestServer {
        let (catalog, clock) = (self.dir.path().into(), Arc::clone(&self.clock));
        let mut config = config();
        config.sales.availability_horizon = std::time::Duration::from_secs(10 * 86_400);
        Setup {
            config,
            catalog,
            clock,
            store: Arc::clone(&self.store),
            ..Setup::default()
        }
        .start()
        .await
    }

    /// Runs `act` on a server that is started and stopped while the clock is wrong by `seconds`.
    async fn wrong_by(&self, seconds: i64, act: impl AsyncFn(&TestServer)) {
        self.clock.advance(Seconds::new(seconds));
        let server = self.open().await;
        act(&server).await;
        server.stop().await;
        self.clock.advance(Seconds::new(-seconds));
    }
}

fn write_catalogue(dir: &Path) {
    let price = json!({"price_micros": 10_000_000, "currency_code": "USD"});
    let service = |id: &str| {
        json!({
            "merchant_id": "pier", "service_id": id,
            "ticket_type": [{"ticket_type_id": "adult", "price": price}],
        })
    };
    let slot = |id: &str, start_sec: i64| {
        json!({
            "merchant_id": "pier", "service_id": id, "start_sec": start_sec, "duration_sec": HOUR,
            "spots_open": SPOTS,
        })
    };
    let mut entries: Vec<Value> = [LONG_AGO, SOON, LATER]
        .map(|start_sec| slot("tour", start_sec))
        .into();
    let mut walk = slot("walk", LONG_AGO);
    walk["recurrence"] = json!({"repeat_every_sec": WALK, "repeat_until_sec": NOW + 30 * DAY});
    entries.push(walk);
    let write =
        |file: &str, content: &Value| fs::write(dir.join(file), content.to_string()).unwrap();
    write(
        "merchants.json",
        &json!({"merchant": [{"merchant_id": "pier"}]}),
    );
    write(
        "services.json",
        &json!({"service": [service("tour"), service("walk")]}),
    );
    write(
        "availability.json",
        &json!({"service_availability": [{"availability": entries}]}),
    );
    fs::write(
        dir.join("rules.toml"),
        "[[merchant]]\nid = 'pier'\ncart_hold_sec = 600\n",
    )
    .unwrap();
}

fn tickets(service: &str, start_sec: i64, count: i32) -> Item {
    let mut item = Item::of(service, 0, 0, HOUR).tickets(&[("adult", count)]);
    item.0.start_sec = start_sec;
    item.price("USD", i64::from(count) * 10_000_000)
}

async fn buy(server: &TestServer, token: &str, service: &str, start_sec: i64, count: i32) -> bool {
    server
        .create(token, "pier", [tickets(service, start_sec, count)])
        .await
        .unwrap()
        .is_order()
}

async fn verdict(server: &TestServer, service: &str, start_sec: i64) -> String {
    let item = tickets(service, start_sec, 1);
    let checked = server.check("pier", [item.clone()]).await.unwrap();
    describe(&[item.0], checked.0.fulfillability.as_ref().unwrap())
}

/// Walks that these tests sell out, at different times from now.
const WALKS: [i64; 4] = [
    NOW + 6 * HOUR,
    NOW + 12 * HOUR,
    NOW + 3 * DAY,
    NOW + 9 * DAY,
];

/// Sells all spots but one of each slot of the next days.
async fn sell_out(server: &TestServer) {
    for (at, (service, start_sec)) in all_slots().into_iter().enumerate() {
        assert!(
            buy(
                server,
                &format!("first-{at}"),
                service,
                start_sec,
                SPOTS - 1
            )
            .await
        );
    }
}

fn all_slots() -> Vec<(&'static str, i64)> {
    let walks = WALKS.map(|start_sec| ("walk", start_sec));
    [("tour", SOON), ("tour", LATER)]
        .into_iter()
        .chain(walks)
        .collect()
}

/// Fails unless each of the slots has exactly one spot left, and sells it.
async fn assert_one_spot_left(server: &TestServer, when: &str) {
    for (at, (service, start_sec)) in all_slots().into_iter().enumerate() {
        assert_eq!(
            verdict(server, service, start_sec).await,
            "CAN_FULFILL 1",
            "{when}: {service} {at}"
        );
        assert!(
            !buy(server, &format!("two-{at}"), service, start_sec, 2).await,
            "{when}: {service} {at}"
        );
        assert!(
            buy(server, &format!("rest-{at}"), service, start_sec, 1).await,
            "{when}: {service} {at}"
        );
        assert!(
            !buy(server, &format!("more-{at}"), service, start_sec, 1).await,
            "{when}: {service} {at}"
        );
    }
}

/// How far a clock is off, in seconds.
const JUMPS: [i64; 8] = [
    3 * HOUR,
    DAY,
    3 * DAY,
    30 * DAY,
    20_000 * DAY,
    -3 * HOUR,
    -3 * DAY,
    -NOW,
];

#[tokio::test]
async fn a_start_with_a_wrong_clock_has_no_effect_once_the_clock_is_right() {
    for off in JUMPS {
        let pier = Pier::new();
        let server = pier.open().await;
        sell_out(&server).await;
        server.stop().await;
        pier.wrong_by(off, async |server| {
            server.server.reload().await.unwrap();
            server.server.sweep().await;
        })
        .await;
        let server = pier.open().await;
        assert_one_spot_left(&server, &format!("off by {off}")).await;
        server.server.reload().await.unwrap();
        assert!(!buy(&server, "after", "tour", SOON, 1).await);
    }
}

#[tokio::test]
async fn a_clock_corrected_while_the_server_runs_reopens_slots_that_had_not_ended() {
    for off in JUMPS {
        let pier = Pier::new();
        let server = pier.open().await;
        sell_out(&server).await;
        server.stop().await;
        pier.clock.advance(Seconds::new(off));
        let server = pier.open().await;
        server.server.sweep().await;
        pier.clock.advance(Seconds::new(-off));
        server.server.sweep().await;
        assert_one_spot_left(&server, &format!("swept, off by {off}")).await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps_between_sweeps_and_reloads_sells_nothing_twice() {
    for off in JUMPS {
        let pier = Pier::new();
        let server = pier.open().await;
        sell_out(&server).await;
        pier.clock.advance(Seconds::new(off));
        server.server.sweep().await;
        server.server.reload().await.unwrap();
        pier.clock.advance(Seconds::new(-off));
        server.server.reload().await.unwrap();
        assert_one_spot_left(&server, &format!("reloaded, off by {off}")).await;
    }
}

/// A clock that is ahead for days, not only at one sweep, makes sweeps forget slots of the future. They stay
/// known and closed, in this server and the next one, even with open spots.
#[tokio::test]
async fn a_forgotten_slot_is_closed_for_good_and_not_sold_twice() {
    let pier = Pier::new();
    let server = pier.open().await;
    sell_out(&server).await;
    pier.clock.advance(Seconds::new(30 * DAY));
    for _ in 0..9 {
        server.server.sweep().await;
    }
    pier.clock.advance(Seconds::new(-30 * DAY));
    let closed = async |server: &TestServer, when: &str| {
        for start_sec in [SOON, NOW + 6 * HOUR, NOW + 12 * HOUR] {
            let service = if start_sec == SOON { "tour" } else { "walk" };
            assert_eq!(
                verdict(server, service, start_sec).await,
                "SLOT_UNAVAILABLE 0",
                "{when}"
            );
            assert!(!buy(server, "more", service, start_sec, 1).await, "{when}");
        }
        for (service, start_sec) in [
            ("tour", LATER),
            ("walk", NOW + 3 * DAY),
            ("walk", NOW + 9 * DAY),
        ] {
            assert_eq!(
                verdict(server, service, start_sec).await,
                "CAN_FULFILL 1",
                "{when}"
            );
        }
    };
    closed(&server, "at once").await;
    server.server.sweep().await;
    closed(&server, "after a sweep").await;
    server.server.reload().await.unwrap();
    closed(&server, "after a reload").await;
    server.stop().await;
    let server = pier.open().await;
    closed(&server, "after a restart").await;
    pier.clock.advance(Seconds::new(-10 * DAY));
    server.server.sweep().await;
    server.server.reload().await.unwrap();
    pier.clock.advance(Seconds::new(10 * DAY));
    server.server.sweep().await;
    closed(&server, "whatever the clock does afterwards").await;
}

#[tokio::test]
async fn before_the_first_order_no_wrong_clock_closes_a_slot_for_good() {
    let pier = Pier::new();
    pier.clock.advance(Seconds::new(30 * DAY));
    let server = pier.open().await;
    for _ in 0..40 {
        pier.clock.advance(Seconds::new(DAY));
        server.server.sweep().await;
    }
    pier.clock.set(EpochSeconds::new(NOW));
    server.server.sweep().await;
    assert_eq!(verdict(&server, "tour", SOON).await, "CAN_FULFILL 5");
    server.stop().await;
    let server = pier.open().await;
    sell_out(&server).await;
    assert_one_spot_left(&server, "with the clock put right").await;
}

/// Only a sweep forgets slots, at most a day of them.
#[tokio::test]
async fn sales_are_forgotten_a_week_after_their_slot() {
    let pier = Pier::new();
    let server = pier.open().await;
    let forgotten = || {
        pier.store
            .recover()
            .unwrap()
            .slots_forgotten_until
            .map(EpochSeconds::get)
    };
    sell_out(&server).await;
    assert_eq!(forgotten(), None);
    pier.clock.advance(Seconds::new(6 * HOUR));
    server.server.sweep().await;
    assert_eq!(forgotten(), Some(NOW + 6 * HOUR - 7 * DAY));
    pier.clock.advance(Seconds::new(10 * DAY));
    server.server.sweep().await;
    assert_eq!(forgotten(), Some(NOW + 6 * HOUR - 6 * DAY), "a day at once");
    for _ in 0..9 {
        server.server.sweep().await;
    }
    assert_eq!(forgotten(), Some(NOW + 6 * HOUR + 3 * DAY));
}

#[tokio::test]
async fn an_ended_slot_is_known_without_spots_while_the_feed_has_it() {
    let pier = Pier::new();
    let server = pier.open().await;
    let over = "SLOT_UNAVAILABLE 0";
    let unknown = "SLOT_UNAVAILABLE";
    for (service, start_sec, expected) in [
        ("tour", LONG_AGO, over),
        ("tour", LONG_AGO + 1, unknown),
        ("walk", LONG_AGO, over),
        ("walk", LONG_AGO + WALK, over),
        ("walk", LONG_AGO + WALK + 1, unknown),
        ("walk", LONG_AGO - WALK, unknown),
        ("walk", NOW - WALK, over),
        ("walk", NOW + 20 * DAY, unknown),
        ("walk", NOW + 40 * DAY, unknown),
    ] {
        assert_eq!(
            verdict(&server, service, start_sec).await,
            expected,
            "{service} {}",
            start_sec - NOW
        );
    }
    for ahead in [2 * HOUR, DAY, 8 * DAY, 9 * DAY] {
        pier.clock.set(EpochSeconds::new(NOW + ahead));
        for _ in 0..2 {
            assert_eq!(verdict(&server, "tour", SOON).await, over, "{ahead}");
            assert!(!buy(&server, "late", "tour", SOON, 1).await);
            server.server.sweep().await;
        }
    }
    let restarted = pier.open().await;
    assert_eq!(verdict(&restarted, "tour", SOON).await, over);
    restarted.server.reload().await.unwrap();
    assert_eq!(verdict(&restarted, "tour", SOON).await, over);
}

/// The clock is set back while a cart is held: a small step prolongs the hold, a large one ends it.
#[tokio::test]
async fn a_hold_is_neither_endless_nor_sold_twice_after_the_clock_is_set_back() {
    let pier = Pier::new();
    let server = pier.open().await;
    let hold = async || {
        let checked = server
            .check_cart("cart", "pier", [tickets("tour", LATER, 3)])
            .await
            .unwrap();
        assert!(checked.0.cart_expiration_sec > 0);
    };
    let open = async || server.spots_open("pier", tickets("tour", LATER, 1)).await;
    for (back, left) in [(5, 2), (600, 2), (601, 5), (3 * DAY, 5)] {
        pier.clock.set(EpochSeconds::new(NOW));
        hold().await;
        assert_eq!(open().await, 2);
        pier.clock.advance(Seconds::new(-back));
        assert_eq!(open().await, left, "set back by {back}");
        // An ended hold stays ended once the clock is corrected.
        server.server.sweep().await;
        pier.clock.set(EpochSeconds::new(NOW + 1));
        assert_eq!(open().await, left, "set back by {back} and put right");
        pier.clock.set(EpochSeconds::new(NOW + 600));
        assert_eq!(open().await, 5, "set back by {back}, its time over");
    }
    // Spots held before the jump are sold to another cart, and then the clock is corrected.
    pier.clock.set(EpochSeconds::new(NOW));
    hold().await;
    pier.clock.advance(Seconds::new(-DAY));
    assert!(buy(&server, "other", "tour", LATER, 4).await);
    pier.clock.set(EpochSeconds::new(NOW));
    assert_eq!(open().await, 1);
    assert!(!buy(&server, "cart", "tour", LATER, 3).await);
    assert!(buy(&server, "rest", "tour", LATER, 1).await);
}

/// A store with an order of the sample catalogue, and further changes.
async fn store_with(writes: impl IntoIterator<Item = Write>) -> TempDir {
    let dir = TempDir::new().unwrap();
    let server = Program::new().with_store(dir.path()).start().await;
    let mut client = BookingServiceClient::new(server.connect().await);
    let item = in_days(
        Item::museum_entry()
            .tickets(&[("adult", 2)])
            .price("USD", 50_000_000),
        2,
    );
    let request = order_request("token", "museum", [item]);
    client.create_order(request).await.unwrap();
    assert_eq!(server.stop().await.code(), 0);
    let store = open_store(dir.path()).unwrap();
    for write in writes {
        store.commit(&write.into()).await.unwrap();
    }
    dir
}

/// The warnings of the program's start.
async fn warnings(program: Program) -> Vec<Value> {
    let ended = program.start().await.stop().await;
    ended.log().filter(|line| line["level"] == "WARN").collect()
}

fn warning<'a>(lines: &'a [Value], beginning: &str) -> &'a Value {
    let found = lines
        .iter()
        .find(|line| line["message"].as_str().unwrap().starts_with(beginning));
    found.unwrap_or_else(|| panic!("{beginning:?} in {lines:#?}"))
}

#[tokio::test]
async fn a_start_before_the_time_of_forgotten_slots_is_a_warning() {
    let far_ahead = 4_102_444_800; // 2100
    let dir = store_with([Write::SlotsForgotten(EpochSeconds::new(far_ahead))]).await;
    let lines = warnings(Program::new().with_store(dir.path())).await;
    let line = warning(
        &lines,
        "the clock lies before the moment up to which slots were forgotten",
    );
    assert_eq!(
        line["forgotten_until"],
        "2100-01-01 00:00:00 UTC (second 4102444800)"
    );
    let sound = store_with([]).await;
    let lines = warnings(Program::new().with_store(sound.path())).await;
    assert!(
        lines
            .iter()
            .all(|line| !line["message"].as_str().unwrap().contains("clock")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn orders_without_their_merchants_or_slots_are_warnings_at_startup() {
    let dir = store_with([]).await;
    let other = Pier::new();
    let catalog = ["--catalog", other.dir.path().to_str().unwrap()];
    let lines = warnings(Program::new().args(catalog).with_store(dir.path())).await;
    assert_eq!(
        warning(&lines, "there are orders of merchants")["examples"],
        "museum"
    );
    let line = warning(&lines, "there are orders of slots");
    let example = line["examples"].as_str().unwrap();
    assert!(example.starts_with("museum/museum-entry at 2"), "{example}");
    assert!(
        example.contains(" 10:00:00 UTC (second ") && example.ends_with(" for 7200 s"),
        "{example}"
    );
    assert_eq!((&line["slots"], &line["services"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn an_empty_catalogue_is_a_warning_at_its_reload() {
    let dir = store_with([]).await;
    let catalog = TempDir::new().unwrap();
    copy_dir(&sample_catalog(), catalog.path());
    let program = Program::new()
        .args([Path::new("--catalog"), catalog.path()])
        .with_store(dir.path());
    let mut server = program.start().await;
    for file in fs::read_dir(catalog.path()).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let write = |file: &str, content: &Value| {
        fs::write(catalog.path().join(file), content.to_string()).unwrap();
    };
    write("merchants.json", &json!({"merchant": []}));
    write("services.json", &json!({"service": []}));
    write("availability.json", &json!({"service_availability": []}));
    server.signal("HUP").await;
    server
        .line("the reload", |line| line["message"] == "catalogue reloaded")
        .await;
    let lines: Vec<Value> = server
        .stop()
        .await
        .log()
        .filter(|line| line["level"] == "WARN")
        .collect();
    warning(&lines, "the catalogue has no service: nothing can be sold");
    assert_eq!(
        warning(&lines, "there are orders of merchants")["examples"],
        "museum"
    );
}
