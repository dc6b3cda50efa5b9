//! A catalogue that is replaced while it is being sold.

use std::{collections::HashSet, fs, path::Path, sync::Arc};

use boxoffice::{
    api::booking::proto::v3::LineItem,
    orders::{ReloadError, Reloaded},
};
use domain::time::Seconds;
use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    Created, Item, Setup, TestServer,
    doubles::GatewayDouble,
    invariants, order_request, paid_with,
    process::{Program, in_days, with_timeout},
    text::{describe, describe_failure},
    tomorrow_at,
};

/// Ticket types of the one service, each with its price in dollars.
type Tickets = &'static [(&'static str, i64)];

/// Slots of tomorrow: hour, spots, and the ticket types that draw on them.
type Slots = &'static [(i64, i64, &'static [&'static str])];

const ADULTS: Tickets = &[("adult", 10)];
const ADULTS_AND_YOUTHS: Tickets = &[("adult", 10), ("youth", 6)];
/// The slot at ten in reports.
const TEN_O_CLOCK: &str = "harbour/tour at 2026-01-16 10:00:00 UTC (second 1768557600) for 3600 s";
const TEN_SPOTS: Slots = &[(10, 10, &[])];

/// A catalogue of a harbour with one service: a tour, carts held for ten minutes.
struct Harbour(TempDir);

impl Harbour {
    fn new(tickets: Tickets, slots: Slots) -> Self {
        let harbour = Self(TempDir::new().unwrap());
        harbour.write(
            "merchants.json",
            &json!({"merchant": [{"merchant_id": "harbour"}]}),
        );
        fs::write(
            harbour.0.path().join("rules.toml"),
            "[[merchant]]\nid = 'harbour'\ncart_hold_sec = 600\n",
        )
        .unwrap();
        harbour.becomes(tickets, slots);
        harbour
    }

    fn becomes(&self, tickets: Tickets, slots: Slots) {
        let price =
            |dollars: i64| json!({"price_micros": dollars * 1_000_000, "currency_code": "USD"});
        let ticket =
            |&(id, dollars): &(&str, i64)| json!({"ticket_type_id": id, "price": price(dollars)});
        let tour = json!({
            "merchant_id": "harbour", "service_id": "tour",
            "ticket_type": tickets.iter().map(ticket).collect::<Vec<_>>(),
        });
        let entry = |&(hour, spots, ids): &(i64, i64, &[&str])| {
            json!({
                "merchant_id": "harbour", "service_id": "tour", "start_sec": tomorrow_at(hour, 0),
                "duration_sec": 3600, "spots_open": spots, "ticket_type_id": ids,
            })
        };
        let entries: Vec<_> = slots.iter().map(entry).collect();
        let services: &[_] = if tickets.is_empty() { &[] } else { &[tour] };
        self.write("services.json", &json!({"service": services}));
        self.write(
            "availability.json",
            &json!({"service_availability": [{"availability": entries}]}),
        );
    }

    fn write(&self, file: &str, content: &serde_json::Value) {
        fs::write(self.0.path().join(file), content.to_string()).unwrap();
    }

    async fn open(&self) -> TestServer {
        self.open_with(Setup::default()).await
    }

    async fn open_with(&self, setup: Setup) -> TestServer {
        Setup {
            catalog: self.0.path().into(),
            ..setup
        }
        .start()
        .await
    }

    async fn reload(&self, server: &TestServer, tickets: Tickets, slots: Slots) -> Reloaded {
        self.becomes(tickets, slots);
        server.server.reload().await.unwrap()
    }
}

fn tour(hour: i64, tickets: &[(&str, i32)], dollars: i64) -> Item {
    Item::of("tour", hour, 0, 3600)
        .tickets(tickets)
        .price("USD", dollars * 1_000_000)
}

/// Adults on the tour at ten, at ten dollars each.
fn adults(count: i32) -> Item {
    tour(10, &[("adult", count)], i64::from(count) * 10)
}

async fn buy(server: &TestServer, token: &str, item: Item) -> bool {
    server
        .create(token, "harbour", [item])
        .await
        .unwrap()
        .is_order()
}

async fn open(server: &TestServer, item: Item) -> i32 {
    server.spots_open("harbour", item).await
}

async fn verdict(server: &TestServer, item: Item) -> String {
    let checked = server.check("harbour", [item.clone()]).await.unwrap();
    describe(&[item.0], checked.0.fulfillability.as_ref().unwrap())
}

#[tokio::test]
async fn a_changed_price_is_served_without_a_restart() {
    let harbour = Harbour::new(ADULTS, TEN_SPOTS);
    let server = harbour.open().await;
    assert_eq!(verdict(&server, adults(2)).await, "CAN_FULFILL 10");
    harbour.reload(&server, &[("adult", 12)], TEN_SPOTS).await;
    assert_eq!(
        verdict(&server, adults(2)).await,
        "CAN_FULFILL 10 USD24000000 PRICE_INCREASE adult=USD12000000"
    );
    let rejected = server
        .create("token", "harbour", [adults(2)])
        .await
        .unwrap()
        .failure();
    assert_eq!(
        describe_failure(&[adults(2).0], &rejected),
        "ORDER_UNFULFILLABLE: UNFULFILLABLE_LINE_ITEM: \
         INCORRECT_PRICE 10 USD24000000 PRICE_INCREASE adult=USD12000000"
    );
    harbour.reload(&server, &[("adult", 12)], TEN_SPOTS).await;
    harbour.reload(&server, &[("adult", 8)], TEN_SPOTS).await;
    let answered = verdict(&server, tour(10, &[("adult", 2)], 24)).await;
    assert_eq!(
        answered,
        "CAN_FULFILL 10 USD16000000 PRICE_DECREASE adult=USD8000000"
    );
    assert!(buy(&server, "token", tour(10, &[("adult", 2)], 16)).await);
}

#[tokio::test]
async fn a_price_that_moved_while_serving_is_remembered_after_a_restart() {
    let (harbour, store) = (Harbour::new(ADULTS, TEN_SPOTS), TempDir::new().unwrap());
    let server = harbour.open_with(Setup::embedded(store.path())).await;
    harbour.reload(&server, &[("adult", 12)], TEN_SPOTS).await;
    server.stop().await;
    let server = harbour.open_with(Setup::embedded(store.path())).await;
    assert_eq!(
        verdict(&server, adults(1)).await,
        "CAN_FULFILL 10 USD12000000 PRICE_INCREASE adult=USD12000000"
    );
}

#[tokio::test]
async fn a_catalogue_with_errors_changes_nothing_and_all_errors_are_logged() {
    let harbour = Harbour::new(ADULTS, TEN_SPOTS);
    let server = harbour.open().await;
    assert!(buy(&server, "token", adults(3)).await);
    harbour.becomes(
        &[("adult", -1), ("youth", -2), ("adult", 3)],
        &[(10, 5, &["nobody"])],
    );
    let Err(ReloadError::Invalid(errors)) = server.server.reload().await else {
        panic!("it has errors")
    };
    let paths = errors.list().iter().map(|error| &*error.location.path);
    let at: HashSet<&str> = paths.collect();
    let expected = [
        "service[0].ticket_type[0].price.price_micros",
        "service[0].ticket_type[1].price.price_micros",
        "service[0].ticket_type[2].ticket_type_id",
        "service_availability[0].availability[0].ticket_type_id[0]",
    ];
    assert_eq!(at, HashSet::from(expected));
    assert_eq!(verdict(&server, adults(1)).await, "CAN_FULFILL 7");
    assert!(buy(&server, "another", adults(1)).await);
    let reloaded = harbour.reload(&server, ADULTS, &[(10, 20, &[])]).await;
    assert_eq!(
        reloaded,
        Reloaded {
            services: 1,
            slots: 1,
            ..Reloaded::default()
        }
    );
    assert_eq!(open(&server, adults(1)).await, 16);
}

/// A caller may have read the price of a feed that was in force before some without it.
#[tokio::test]
async fn a_price_that_was_gone_for_a_while_is_remembered() {
    const YOUTHS: Tickets = &[("youth", 6)];
    let harbour = Harbour::new(ADULTS_AND_YOUTHS, TEN_SPOTS);
    let server = harbour.open().await;
    let expected = "CAN_FULFILL 10 USD12000000 PRICE_INCREASE adult=USD12000000";
    for absent in [YOUTHS, &[]] {
        harbour
            .reload(
                &server,
                absent,
                if absent.is_empty() { &[] } else { TEN_SPOTS },
            )
            .await;
        harbour
            .reload(
                &server,
                absent,
                if absent.is_empty() { &[] } else { TEN_SPOTS },
            )
            .await;
        harbour.reload(&server, &[("adult", 12)], TEN_SPOTS).await;
        assert_eq!(
            verdict(&server, adults(1)).await,
            expected,
            "gone: {absent:?}"
        );
        harbour.reload(&server, ADULTS, TEN_SPOTS).await;
    }
}

#[tokio::test]
async fn an_allotment_may_fall_below_what_is_sold_and_then_sells_nothing_more() {
    let harbour = Harbour::new(ADULTS, TEN_SPOTS);
    let server = harbour.open().await;
    assert!(buy(&server, "token", adults(6)).await);
    let reloaded = harbour.reload(&server, ADULTS, &[(10, 4, &[])]).await;
    let slot = TEN_O_CLOCK.to_owned();
    let oversold = Reloaded {
        services: 1,
        slots: 1,
        oversold: 1,
        oversold_slots: vec![slot],
        ..Reloaded::default()
    };
    assert_eq!(reloaded, oversold);
    assert_eq!(open(&server, adults(1)).await, 0);
    assert!(!buy(&server, "more", adults(1)).await);
    assert_eq!(
        harbour
            .reload(&server, ADULTS, &[(10, 6, &[])])
            .await
            .oversold,
        0
    );
    assert_eq!(open(&server, adults(1)).await, 0);
    harbour.reload(&server, ADULTS, &[(10, 7, &[])]).await;
    assert!(buy(&server, "more", adults(1)).await);
    assert!(!buy(&server, "too many", adults(1)).await);
}

#[tokio::test]
async fn a_withdrawn_slot_is_not_sold_and_keeps_its_sales() {
    let harbour = Harbour::new(ADULTS_AND_YOUTHS, TEN_SPOTS);
    let server = harbour.open().await;
    let youths = |count| tour(10, &[("youth", count)], i64::from(count) * 6);
    assert!(buy(&server, "adults", adults(2)).await && buy(&server, "youths", youths(3)).await);

    let unknown = "UNFULFILLABLE_TICKET_COMBINATION 5";
    harbour.reload(&server, ADULTS, TEN_SPOTS).await;
    assert_eq!(
        verdict(&server, youths(1)).await,
        unknown,
        "a ticket type that has gone"
    );
    assert_eq!(
        open(&server, adults(1)).await,
        5,
        "what was sold of it counts"
    );
    harbour
        .reload(&server, ADULTS, &[(10, 10, &["adult"])])
        .await;
    assert_eq!(
        open(&server, adults(1)).await,
        5,
        "also where the pool does not know it"
    );
    harbour
        .reload(
            &server,
            &[("child", 1), ("youth", 6), ("adult", 10)],
            &[(10, 10, &["youth"]), (10, 10, &["adult"])],
        )
        .await;
    assert_eq!(
        (
            open(&server, youths(1)).await,
            open(&server, adults(1)).await
        ),
        (7, 8),
        "one pool cut in two"
    );

    let reloaded = harbour.reload(&server, ADULTS, &[(12, 10, &[])]).await;
    assert_eq!((reloaded.slots, reloaded.withdrawn), (1, 1));
    assert_eq!(
        (reloaded.withdrawn_services, reloaded.unknown_merchants),
        (0, 0)
    );
    assert_eq!(reloaded.withdrawn_slots, [TEN_O_CLOCK]);
    assert_eq!(
        verdict(&server, adults(1)).await,
        "SLOT_UNAVAILABLE",
        "a slot that has gone"
    );
    assert_eq!(
        open(&server, tour(12, &[("adult", 1)], 10)).await,
        10,
        "a slot that has come"
    );
    let reloaded = harbour.reload(&server, &[], &[]).await;
    assert_eq!(
        (reloaded.services, reloaded.slots, reloaded.withdrawn),
        (0, 0, 1)
    );
    assert_eq!(
        (reloaded.withdrawn_services, reloaded.unknown_merchants),
        (1, 0)
    );
    assert_eq!(
        verdict(&server, adults(1)).await,
        "SLOT_UNAVAILABLE",
        "a service that has gone"
    );
    harbour.reload(&server, ADULTS_AND_YOUTHS, TEN_SPOTS).await;
    assert_eq!(open(&server, youths(1)).await, 5, "all is back");
}

#[tokio::test]
async fn sales_before_a_restart_count_when_their_slot_is_back() {
    let (harbour, store) = (
        Harbour::new(ADULTS_AND_YOUTHS, TEN_SPOTS),
        TempDir::new().unwrap(),
    );
    let server = harbour.open_with(Setup::embedded(store.path())).await;
    assert!(
        buy(
            &server,
            "token",
            tour(10, &[("adult", 1), ("youth", 3)], 28)
        )
        .await
    );
    server.stop().await;
    harbour.becomes(&[], &[]);
    let server = harbour.open_with(Setup::embedded(store.path())).await;
    harbour.reload(&server, ADULTS, TEN_SPOTS).await;
    assert_eq!(open(&server, adults(1)).await, 6);
    harbour
        .reload(
            &server,
            &[("youth", 6), ("adult", 10)],
            &[(10, 10, &["youth"]), (10, 5, &["adult"])],
        )
        .await;
    assert_eq!(open(&server, adults(1)).await, 4);
    assert_eq!(open(&server, tour(10, &[("youth", 1)], 6)).await, 7);
}

#[tokio::test]
async fn a_cart_keeps_its_hold() {
    let harbour = Harbour::new(ADULTS_AND_YOUTHS, TEN_SPOTS);
    let server = harbour.open().await;
    server
        .check_cart("cart", "harbour", [adults(7)])
        .await
        .unwrap();
    harbour
        .reload(&server, &[("youth", 6), ("adult", 10)], &[(10, 8, &[])])
        .await;
    assert_eq!(open(&server, adults(1)).await, 1);
    assert!(!buy(&server, "stranger", adults(2)).await);
    harbour.reload(&server, &[], &[]).await;
    harbour
        .reload(&server, ADULTS_AND_YOUTHS, &[(10, 8, &[])])
        .await;
    assert!(
        buy(&server, "cart", adults(7)).await,
        "the order of the cart"
    );
    assert_eq!(open(&server, adults(1)).await, 1);
    server.clock.advance(Seconds::new(601));
    assert_eq!(open(&server, adults(1)).await, 1, "the hold was used up");
}

#[tokio::test]
async fn a_payment_in_flight_keeps_its_spots_across_a_reload() {
    for captured in [false, true] {
        let (harbour, gateway) = (
            Harbour::new(ADULTS_AND_YOUTHS, TEN_SPOTS),
            GatewayDouble::silent(),
        );
        let server = Arc::new(
            harbour
                .open_with(Setup::default().with_gateway(&gateway))
                .await,
        );
        let order = paid_with(order_request("token", "harbour", [adults(4)]), "card");
        let paying = tokio::spawn({
            let (server, order) = (Arc::clone(&server), order.clone());
            async move { server.send(order).await.unwrap() }
        });
        with_timeout("the charge", gateway.asked_times(1)).await;
        harbour
            .reload(&server, &[("youth", 6), ("adult", 11)], TEN_SPOTS)
            .await;
        assert_eq!(open(&server, adults(1)).await, 6, "the spots are taken");
        harbour.reload(&server, &[], &[]).await;
        if captured {
            gateway.capture();
        } else {
            gateway.decline();
        }
        assert_eq!(
            with_timeout("the answer", paying).await.unwrap().is_order(),
            captured
        );
        harbour
            .reload(&server, &[("child", 1), ("adult", 10)], TEN_SPOTS)
            .await;
        assert_eq!(
            open(&server, adults(1)).await,
            if captured { 6 } else { 10 }
        );
    }
}

#[tokio::test]
async fn spots_are_neither_lost_nor_sold_twice_while_catalogues_come_and_go() {
    const FIFTY: Slots = &[(10, 50, &[]), (12, 50, &[])];
    const FIFTY_APART: Slots = &[(12, 50, &["adult", "youth"]), (10, 50, &["adult", "youth"])];
    let harbour = Harbour::new(ADULTS_AND_YOUTHS, FIFTY);
    let server = harbour.open().await;
    let callers = join_all((0..8).map(|caller| {
        let server = &server;
        async move {
            let mut sold = [0, 0];
            for at in 0..20 {
                let token = format!("{caller}-{at}");
                let two = |hour| tour(hour, &[("adult", 1), ("youth", 1)], 16);
                let items = if at % 3 == 0 {
                    vec![two(10), two(12)]
                } else {
                    vec![two(10 + at % 2 * 2)]
                };
                let mut request = order_request(&token, "harbour", items);
                if at % 4 == 0 {
                    request = paid_with(request, "decline");
                }
                let answer = server
                    .client()
                    .create_order(request.clone())
                    .await
                    .unwrap()
                    .into_inner();
                invariants::hold_for_create(&request, &answer);
                if Created(answer).is_order() {
                    for LineItem { start_sec, .. } in request.order.unwrap().item {
                        sold[usize::from(start_sec == tomorrow_at(12, 0))] += 2;
                    }
                }
            }
            sold
        }
    }));
    tokio::pin!(callers);
    let mut swaps = 0;
    let sold = loop {
        let (tickets, slots): (Tickets, Slots) = match swaps % 3 {
            0 => (&[("youth", 6), ("adult", 10)], FIFTY_APART),
            1 => (&[("child", 1), ("adult", 10), ("youth", 6)], FIFTY),
            _ => (ADULTS_AND_YOUTHS, FIFTY),
        };
        harbour.becomes(tickets, slots);
        tokio::select! {
            biased;
            reloaded = server.server.reload() => assert_eq!(reloaded.unwrap().oversold, 0),
            sold = &mut callers => break sold,
        }
        swaps += 1;
    };
    assert!(swaps > 3, "{swaps} reloads went on meanwhile");
    harbour.reload(&server, ADULTS_AND_YOUTHS, FIFTY).await;
    for (at, hour) in [10, 12].into_iter().enumerate() {
        let sold: i32 = sold.iter().map(|sold| sold[at]).sum();
        let open = open(&server, tour(hour, &[("adult", 1)], 10)).await;
        assert_eq!(sold + open, 50, "at {hour}");
        assert!(sold > 40, "{sold} sold at {hour}");
    }
}

/// The sample catalogue in a folder, as the catalogue of the program.
fn sample() -> TempDir {
    crate::support::edited_catalog(&[])
}

fn replace(dir: &Path, file: &str, old: &str, new: &str) {
    let text = fs::read_to_string(dir.join(file)).unwrap();
    assert!(text.contains(old), "{old}");
    // As exports should: written beside it and put in its place.
    fs::write(dir.join("new"), text.replace(old, new)).unwrap();
    fs::rename(dir.join("new"), dir.join(file)).unwrap();
}

async fn price_of_two(program: &crate::support::process::Running) -> i64 {
    use boxoffice::api::booking::proto::v3::{
        CheckOrderFulfillabilityRequest, booking_service_client::BookingServiceClient,
    };
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let request = CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item: vec![in_days(item, 1).0],
        cart_id: String::new(),
    };
    let mut client = BookingServiceClient::new(program.connect().await);
    let answer = client
        .check_order_fulfillability(request)
        .await
        .unwrap()
        .into_inner();
    let verdict = answer.fulfillability.unwrap().item_fulfillability.remove(0);
    verdict.item.unwrap().price.unwrap().price_micros
}

#[tokio::test]
async fn the_program_reads_its_catalogue_again_on_a_signal() {
    let catalog = sample();
    let dir = catalog.path().to_str().unwrap();
    let mut program = Program::new()
        .args(["--catalog", dir, "--catalog-watch=0"])
        .start()
        .await;
    replace(
        catalog.path(),
        "services.json",
        r#""25000000""#,
        r#""27000000""#,
    );
    assert_eq!(price_of_two(&program).await, 50_000_000);
    program.signal("HUP").await;
    let is_reloaded = |line: &serde_json::Value| line["message"] == "catalogue reloaded";
    program.line("the other catalogue", is_reloaded).await;
    assert_eq!(price_of_two(&program).await, 54_000_000);

    replace(catalog.path(), "services.json", r#""27000000""#, r#""-1""#);
    replace(catalog.path(), "rules.toml", "max = 10", "maximum = 10");
    program.signal("HUP").await;
    let is_rejected =
        |line: &serde_json::Value| line["level"] == "ERROR" && line["errors"].is_number();
    let line = program.line("the rejection", is_rejected).await;
    let lines = program.output();
    let errors = lines
        .iter()
        .filter(|line| line.contains("an error in the catalogue"));
    assert_eq!(
        errors.count(),
        usize::try_from(line["errors"].as_u64().unwrap()).unwrap()
    );
    for word in ["maximum", "below zero", "services.json", "rules.toml"] {
        assert!(
            lines.iter().any(|line| line.contains(word)),
            "{word} in {lines:#?}"
        );
    }
    assert_eq!(price_of_two(&program).await, 54_000_000);
    assert_eq!(program.stop().await.code(), 0);
}

#[tokio::test]
async fn the_program_sees_that_files_of_its_catalogue_have_changed() {
    let catalog = sample();
    let dir = catalog.path().to_str().unwrap();
    let mut program = Program::new()
        .args(["--catalog", dir, "--catalog-watch=10ms"])
        .start()
        .await;
    let is_reloaded = |line: &serde_json::Value| line["message"] == "catalogue reloaded";
    replace(
        catalog.path(),
        "services.json",
        r#""25000000""#,
        r#""27000000""#,
    );
    program.line("the other catalogue", is_reloaded).await;
    assert_eq!(price_of_two(&program).await, 54_000_000);
    let ended = program.stop().await;
    assert_eq!(ended.code(), 0);
    assert_eq!(
        ended.log().filter(is_reloaded).count(),
        1,
        "once for one change: {}",
        ended.text()
    );
}
