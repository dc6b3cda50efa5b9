//! Feeds out: what a server has left, as feeds that another one can serve.

use std::{
    fs,
    path::{Path, PathBuf},
};

use boxoffice::{
    api::booking::proto::v3::LineItem,
    catalog,
    domain::slot::{Opening, SlotKey},
};
use domain::time::{EpochSeconds, Seconds};
use futures_util::future::join_all;
use http::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};

use crate::support::{
    Created, Item, NOW, Setup, TestServer, config, order_request,
    process::{Ended, Program, in_days, with_timeout},
    rest_client::{send, without_body},
    sample_catalog, tomorrow_at,
};

/// A folder for exports.
struct Out(TempDir);

impl Out {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("out")
    }

    /// Runs the program's `feeds export` to here.
    async fn export(&self, words: &[&str]) -> Ended {
        let out = self.path();
        let command = ["feeds", "export", "--out", out.to_str().unwrap()];
        Program::new().args(command.iter().chain(words)).run().await
    }

    /// The same of a running server.
    async fn export_from(&self, server: &TestServer) -> Ended {
        let address = format!("http://{}", server.server.admin_address().unwrap());
        self.export(&["--from", &address]).await
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path()) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The open spots of a slot, added up over the elements that name a ticket type, or none.
    fn spots_open(&self, service: &str, start_sec: i64, ticket: Option<&str>) -> i64 {
        let feed: Value =
            serde_json::from_slice(&fs::read(self.path().join("availability.json")).unwrap())
                .unwrap();
        let elements = feed["service_availability"][0]["availability"]
            .as_array()
            .unwrap();
        let is_it = |element: &&Value| {
            let tickets = element["ticket_type_id"].as_array();
            element["service_id"] == service
                && element["start_sec"] == start_sec
                && match ticket {
                    None => tickets.is_none(),
                    Some(id) => {
                        tickets.is_some_and(|tickets| tickets.iter().any(|ticket| ticket == id))
                    }
                }
        };
        elements
            .iter()
            .filter(is_it)
            .map(|element| element["spots_open"].as_i64().unwrap())
            .sum()
    }

    /// Whether nothing but the last whole export is there.
    fn is_untouched(&self, names: &[String]) -> bool {
        let beside = fs::read_dir(self.0.path()).unwrap().count();
        self.names() == names && beside == usize::from(!names.is_empty())
    }
}

/// A server of the sample whose admin listener is open.
async fn start(catalog: &Path) -> TestServer {
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    Setup {
        config,
        catalog: catalog.into(),
        ..Setup::default()
    }
    .start()
    .await
}

fn succeeded(ended: &Ended) {
    assert_eq!(ended.code(), 0, "{}", ended.text());
}

async fn buys(server: &TestServer, token: &str, merchant: &str, item: Item) {
    assert!(
        server
            .create(token, merchant, [item])
            .await
            .unwrap()
            .is_order(),
        "{token}"
    );
}

/// Sells and holds something of everything in the sample.
async fn sell(server: &TestServer) {
    let adults = |count| {
        Item::museum_entry()
            .tickets(&[("adult", count)])
            .price("USD", i64::from(count) * 25_000_000)
    };
    buys(server, "museum", "museum", adults(3)).await;
    let seats = Item::raft_trip()
        .tickets(&[("seat", 2)])
        .price("USD", 120_000_000);
    buys(server, "raft", "rafting", seats.clone()).await;
    assert_eq!(
        server
            .check_cart("cart", "rafting", [seats])
            .await
            .unwrap()
            .verdict(),
        "CAN_FULFILL"
    );
    let balcony = Item::symphony()
        .tickets(&[("balcony", 4)])
        .price("USD", 180_000_000);
    let request = crate::support::stating_fees(
        order_request("hall", "concert-hall", [balcony]),
        "USD",
        21_990_000,
    );
    assert!(server.send(request).await.unwrap().is_order());
    buys(server, "salon", "salon", Item::haircut()).await;
    buys(
        server,
        "onsen",
        "onsen",
        Item::bath()
            .tickets(&[("adult", 2)])
            .price("JPY", 3_000_000_000),
    )
    .await;
}

/// The slots of the sample on some days, each with its merchant.
fn slots(days: i64) -> Vec<(String, String, SlotKey)> {
    let loaded = catalog::load(&sample_catalog()).unwrap();
    let keys = |opening: &Opening| -> Vec<SlotKey> {
        opening
            .starts(
                EpochSeconds::new(NOW),
                EpochSeconds::new(NOW + days * 86_400),
            )
            .map(|start| opening.occurrence(start).0)
            .collect()
    };
    let mut keys: Vec<SlotKey> = loaded.openings.iter().flat_map(keys).collect();
    keys.sort();
    keys.dedup();
    let named = |key: SlotKey| {
        let service = loaded.catalog.service(key.service);
        (
            loaded.catalog.merchant(service.merchant).id.to_string(),
            service.id.to_string(),
            key,
        )
    };
    keys.into_iter().map(named).collect()
}

/// What a server answers to one ticket of each type, and to none, in a slot.
async fn answers(
    server: &TestServer,
    (merchant, service, key): &(String, String, SlotKey),
) -> Vec<String> {
    let mut answers = Vec::new();
    for ticket in [
        "",
        "adult",
        "child",
        "senior",
        "seat",
        "youth",
        "private-raft",
        "stalls",
        "balcony",
        "wheelchair",
    ] {
        let line = LineItem {
            service_id: service.clone(),
            start_sec: key.start_sec.get(),
            duration_sec: Seconds::from(key.duration_sec).get(),
            ..LineItem::default()
        };
        let item = Item(line).price("USD", 25_000_000);
        let item = if ticket.is_empty() {
            item
        } else {
            item.tickets(&[(ticket, 2)])
        };
        answers.push(format!(
            "{key:?} {ticket}: {:?}",
            server.check(merchant, [item]).await.unwrap().0
        ));
    }
    answers
}

#[tokio::test]
async fn a_server_on_an_export_answers_as_the_one_that_sold() {
    let (server, out) = (start(&sample_catalog()).await, Out::new());
    sell(&server).await;
    succeeded(&out.export_from(&server).await);
    let fresh = start(&out.path()).await;
    let slots = slots(2);
    assert!(slots.len() > 30, "{}", slots.len());
    for slot in &slots {
        assert_eq!(answers(&fresh, slot).await, answers(&server, slot).await);
    }
    let tomorrow =
        |hour, minute, service, ticket| out.spots_open(service, tomorrow_at(hour, minute), ticket);
    assert_eq!(tomorrow(10, 0, "museum-entry", None), 47);
    assert_eq!(
        tomorrow(9, 0, "raft-trip", Some("seat")),
        8,
        "two sold and two held"
    );
    assert_eq!(tomorrow(19, 30, "symphony", None), 146);
    assert_eq!(tomorrow(19, 30, "symphony", Some("balcony")), 56);
    assert_eq!(tomorrow(9, 0, "haircut", None), 1, "one of two chairs");
    assert_eq!(tomorrow(3, 0, "bath", None), 28);
    server.stop().await;
    fresh.stop().await;
}

#[tokio::test]
async fn an_export_replaces_the_one_before_and_nothing_else() {
    let (server, out) = (start(&sample_catalog()).await, Out::new());
    let ended = out.export_from(&server).await;
    succeeded(&ended);
    assert!(
        ended.text().contains("6 merchants, 11 services, "),
        "{}",
        ended.text()
    );
    let plain = [
        "availability.json",
        "export.json",
        "merchants.json",
        "rules.toml",
        "services.json",
    ];
    assert_eq!(out.names(), plain);
    let address = format!("http://{}", server.server.admin_address().unwrap());
    succeeded(
        &out.export(&["--from", &address, "--gzip", "--days=30"])
            .await,
    );
    let zipped = [
        "availability.json.gz",
        "export.json",
        "merchants.json.gz",
        "rules.toml",
        "services.json.gz",
    ];
    assert_eq!(out.names(), zipped);
    let last = catalog::load(&out.path())
        .unwrap()
        .openings
        .iter()
        .map(|it| it.first.start_sec)
        .max();
    assert!((NOW + 29 * 86_400..NOW + 30 * 86_400).contains(&last.unwrap().get()));
    let sample = fs::read_dir(sample_catalog()).unwrap().count();
    let catalog = sample_catalog();
    let words = [
        "feeds",
        "export",
        "--from",
        &address,
        "--out",
        catalog.to_str().unwrap(),
    ];
    let ended = Program::new().args(words).run().await;
    assert_eq!(ended.code(), 74, "{}", ended.text());
    assert!(
        ended.text().contains("no export has written it"),
        "{}",
        ended.text()
    );
    assert_eq!(
        fs::read_dir(sample_catalog()).unwrap().count(),
        sample,
        "the catalogue is not replaced"
    );
    server.stop().await;
}

#[tokio::test]
async fn sales_before_an_export_are_subtracted_despite_concurrent_ones() {
    let (server, out) = (start(&sample_catalog()).await, Out::new());
    let adult = || {
        Item::museum_entry()
            .tickets(&[("adult", 1)])
            .price("USD", 25_000_000)
    };
    let buy =
        |range: std::ops::Range<i32>| {
            join_all(range.map(|at| {
                let mut client = server.client();
                let request = order_request(&format!("token-{at}"), "museum", [adult()]);
                async move {
                    Created(client.create_order(request).await.unwrap().into_inner()).is_order()
                }
            }))
        };
    assert!(buy(0..20).await.iter().all(|bought| *bought));
    let (more, ended) = tokio::join!(buy(20..60), out.export_from(&server));
    succeeded(&ended);
    assert_eq!(
        more.iter().filter(|bought| **bought).count(),
        30,
        "the slot has fifty spots"
    );
    let open = out.spots_open("museum-entry", tomorrow_at(10, 0), None);
    assert!((0..=30).contains(&open), "{open}");
    succeeded(&out.export_from(&server).await);
    assert_eq!(out.spots_open("museum-entry", tomorrow_at(10, 0), None), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_run_is_exported_from_its_store() {
    let (data, out) = (TempDir::new().unwrap(), Out::new());
    let at_rest = [
        "--store=embedded",
        "--data-dir",
        data.path().to_str().unwrap(),
    ];
    let never = out.export(&at_rest).await;
    assert_eq!(never.code(), 74, "{}", never.text());
    assert!(
        never.text().contains("there is none in"),
        "{}",
        never.text()
    );

    let mut program = Program::new()
        .with_store(data.path())
        .args(["--admin-listen=127.0.0.1:0"])
        .start()
        .await;
    let item = in_days(
        Item::museum_entry()
            .tickets(&[("adult", 2)])
            .price("USD", 50_000_000),
        1,
    );
    let start_sec = item.0.start_sec;
    let mut client =
        boxoffice::api::booking::proto::v3::booking_service_client::BookingServiceClient::new(
            program.connect().await,
        );
    let created = client
        .create_order(order_request("token", "museum", [item]))
        .await
        .unwrap()
        .into_inner();
    assert!(Created(created).is_order());
    let running = out.export(&at_rest).await;
    assert_eq!(running.code(), 74, "{}", running.text());
    assert!(
        running
            .text()
            .contains("another process has it open; if that is a running server, ask it: --from")
    );
    assert!(out.is_untouched(&[]));
    let address = format!("http://{}", program.admin_address().await);
    succeeded(&out.export(&["--from", &address]).await);
    assert_eq!(out.spots_open("museum-entry", start_sec, None), 48);
    assert_eq!(program.stop().await.code(), 0);

    for _ in 0..2 {
        succeeded(&out.export(&at_rest).await);
        assert_eq!(out.spots_open("museum-entry", start_sec, None), 48);
    }
    let far = out
        .export(&[&at_rest[..], &["--days=31", "--availability-horizon=30d"]].concat())
        .await;
    assert_eq!(far.code(), 64, "{}", far.text());
    assert!(
        far.text().contains("open for 30 days only"),
        "{}",
        far.text()
    );
    let near = out
        .export(&[&at_rest[..], &["--availability-horizon=20d"]].concat())
        .await;
    succeeded(&near);
    assert!(
        near.text()
            .contains("open for 20 days (`availability_horizon`); Google wants 30"),
        "{}",
        near.text()
    );
}

#[tokio::test]
async fn an_export_that_breaks_off_leaves_the_one_before() {
    let (server, out) = (start(&sample_catalog()).await, Out::new());
    succeeded(&out.export_from(&server).await);
    let names = out.names();
    server.stop().await;
    let begun = "begin {\"generation_timestamp\":1,\"availability\":9,\"days\":30}\nmerchant {\"merchant_id\":\"m\"}\n";
    let length = begun.len();
    for (answer, expected) in [
        (String::new(), "the connection broke"),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "the connection broke"),
        (
            format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{begun}"),
            "the connection broke",
        ),
        (
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{begun}"),
            "the connection ended early",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n".to_owned(),
            "have the same version?",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nend {}\n".to_owned(),
            "have the same version?",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone".to_owned(),
            "rejected the request (404 Not Found): gone",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = stream.read(&mut [0; 1024]).await.unwrap();
            assert!(asked > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let words = ["--from", &address];
        let (ended, ()) = tokio::join!(out.export(&words), answering);
        assert_eq!(ended.code(), 69, "{}", ended.text());
        assert!(
            ended.text().contains(expected),
            "{answer:?}: {}",
            ended.text()
        );
        assert!(out.is_untouched(&names), "{answer:?}");
    }
    let away = out.export(&["--from", "http://127.0.0.1:1"]).await;
    assert_eq!(away.code(), 69);
    assert!(
        away.text().contains("the server cannot be reached"),
        "{}",
        away.text()
    );
    assert!(out.is_untouched(&names));
}

#[tokio::test]
async fn invalid_requests_for_exports_are_rejected() {
    let server = start(&sample_catalog()).await;
    let address = server.server.admin_address().unwrap();
    for query in [
        "days",
        "days=",
        "days=-1",
        "days=x",
        "day=30",
        "days=30&gzip",
        "days=401",
    ] {
        let answer = send(
            address,
            without_body(Method::GET, &format!("/feeds?{query}")),
        )
        .await;
        let expected = (
            400,
            "INVALID_ARGUMENT".to_owned(),
            "INVALID_REQUEST".to_owned(),
        );
        assert_eq!(answer.outcome(), expected, "{query}");
    }
    let out = Out::new();
    let far = out
        .export(&["--from", &format!("http://{address}"), "--days=401"])
        .await;
    assert_eq!(far.code(), 69);
    assert!(
        far.text().contains("open for 400 days only"),
        "{}",
        far.text()
    );
    assert!(out.is_untouched(&[]));
    server.stop().await;
}

#[tokio::test]
async fn stalled_readers_block_only_each_other() {
    let server = start(&sample_catalog()).await;
    let address = server.server.admin_address().unwrap();
    let mut still = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        // A small receive buffer, so that the kernel does not read on for a client that does not.
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream
            .write_all(b"GET /feeds HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let begun = with_timeout("its beginning", stream.read(&mut [0; 64]))
            .await
            .unwrap();
        assert!(begun > 0);
        still.push(stream);
    }
    let third = send(address, without_body(Method::GET, "/feeds")).await;
    assert_eq!(
        third.outcome(),
        (
            429,
            "RESOURCE_EXHAUSTED".to_owned(),
            "CONCURRENCY_LIMIT".to_owned()
        )
    );
    buys(
        &server,
        "token",
        "museum",
        Item::museum_entry()
            .tickets(&[("adult", 1)])
            .price("USD", 25_000_000),
    )
    .await;
    with_timeout("the end, although they have not read theirs", server.stop()).await;
}
