//! The page of metrics, and what is made of it: the table in docs/metrics.md, the rules, the dashboard.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use boxoffice::{api::booking::proto::v3::CreateOrderRequest, server::Server};
use domain::time::EpochSeconds;
use http::{Method, Request};
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Item, Setup, TestServer, Transport,
    byte_client::{Body, ByteClient, framed, whole},
    config,
    doubles::{BreakableStore, GatewayDouble},
    edited_catalog,
    keys::{Keys, replace},
    order_request, paid_with,
    process::with_timeout,
    rest_client::{post, send, without_body},
    stating_fees,
};

/// A page, as a monitoring system reads it.
struct Page {
    text: String,
    /// The kind and the meaning of each metric, in the order of the page.
    metrics: Vec<(String, String, String)>,
    samples: Vec<Sample>,
}

#[derive(Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: String,
}

impl Page {
    fn read(text: &str) -> Self {
        let (mut metrics, mut samples) = (Vec::new(), Vec::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                metrics.push((name.to_owned(), String::new(), help.to_owned()));
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                let last = metrics.last_mut().unwrap();
                assert_eq!(last.0, name);
                kind.clone_into(&mut last.1);
            } else {
                samples.push(Sample::read(line));
            }
        }
        Self {
            text: text.to_owned(),
            metrics,
            samples,
        }
    }

    /// The sum of the samples of this name that have these labels; none is a mistake of the test.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value))
        };
        let whole = |sample: &Sample| sample.value.parse::<u64>().unwrap();
        let found: Vec<u64> = self.samples.iter().filter(has).map(whole).collect();
        assert!(
            !found.is_empty(),
            "{name} {labels:?} is not on the page:\n{}",
            self.text
        );
        found.iter().sum()
    }

    /// Calls of a method over a transport that ended with a status.
    fn handled(&self, transport: &str, method: &str, code: &str) -> u64 {
        let labels = [
            ("transport", transport),
            ("grpc_method", method),
            ("grpc_code", code),
        ];
        self.value("grpc_server_handled_total", &labels)
    }

    fn names(&self) -> BTreeSet<&str> {
        self.samples
            .iter()
            .map(|sample| sample.name.as_str())
            .collect()
    }

    /// The labels of a metric, but for the bounds of histograms.
    fn labels(&self, metric: &str) -> BTreeSet<&str> {
        let of_metric = |sample: &&Sample| {
            let rest = sample.name.strip_prefix(metric);
            rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        };
        let labels = self
            .samples
            .iter()
            .filter(of_metric)
            .flat_map(|sample| sample.labels.keys());
        labels
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect()
    }
}

impl Sample {
    /// Reads a line; no value of a label of ours has quotes or commas in it.
    fn read(line: &str) -> Self {
        let (named, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = named.split_once('{').unwrap_or((named, ""));
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty());
        let label = |label: &str| {
            let (name, value) = label.split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        Self {
            name: name.to_owned(),
            labels: labels.map(label).collect(),
            value: value.to_owned(),
        }
    }
}

async fn start(mut setup: Setup) -> TestServer {
    setup.config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    setup.start().await
}

async fn page(server: &TestServer) -> Page {
    page_of(&server.server).await
}

async fn page_of(server: &Server) -> Page {
    let answer = send(
        server.admin_address().unwrap(),
        without_body(Method::GET, "/metrics"),
    )
    .await;
    assert_eq!(answer.http, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4");
    Page::read(std::str::from_utf8(&answer.body).unwrap())
}

fn visit() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn order(token: &str) -> CreateOrderRequest {
    order_request(token, "museum", [visit()])
}

/// Creates an order through gRPC. Whatever comes of it is counted.
async fn create(server: &TestServer, request: CreateOrderRequest) {
    let _ = server.send_over(Transport::Grpc, &request).await;
}

/// A request of a browser that says nothing.
fn over_grpc_web(method: &str) -> Request<Body> {
    let path = format!("/ext.maps.booking.partner.v3.BookingService/{method}");
    let request = Request::post(path).header("host", "boxoffice");
    request
        .header("content-type", "application/grpc-web+proto")
        .body(whole(framed(b"")))
        .unwrap()
}

/// Has a server do all that is counted, over both transports.
async fn keep_busy(server: &TestServer) {
    let address = server.server.address();
    server.check("museum", [visit()]).await.unwrap();
    server
        .check("museum", [Item::museum_entry().tickets(&[("adult", 0)])])
        .await
        .unwrap();
    server.check("nowhere", [visit()]).await.unwrap_err();
    for request in [
        order("a"),
        order("a"),
        stating_fees(order("fees"), "USD", 1_000_000),
        order_request(
            "lots",
            "museum",
            [Item::museum_entry().tickets(&[("adult", 4000)])],
        ),
        paid_with(order("paid"), "approve"),
    ] {
        create(server, request).await;
    }
    for token in ["decline", "reject-visa", "3ds1", "error"] {
        create(server, paid_with(order(token), token)).await;
    }
    server.list_user("user-1").await.unwrap();
    server.look_up("museum", []).await.unwrap();
    let client = ByteClient::connect(address).await;
    let frame = framed(&order("late").encode_to_vec());
    let call = client
        .request("CreateOrder")
        .header("grpc-timeout", "soon")
        .body(whole(frame))
        .unwrap();
    client.send(call).await.unwrap();
    client.call("Unheard", b"").await;
    send(address, without_body(Method::GET, "/v3/HealthCheck")).await;
    send(address, without_body(Method::GET, "/elsewhere")).await;
    send(address, over_grpc_web("ListOrders")).await;
    send(address, post("/v3/ListOrders", "{")).await;
    HealthClient::new(server.channel.clone())
        .check(HealthCheckRequest::default())
        .await
        .unwrap();
    server.server.reload().await.unwrap();
}

/// A server that has done all that is counted.
async fn busy(dir: &TempDir) -> TestServer {
    let server = start(Setup::embedded(dir.path())).await;
    Box::pin(keep_busy(&server)).await;
    server
}

#[tokio::test]
async fn calls_are_counted_by_transport_method_and_outcome() {
    let dir = TempDir::new().unwrap();
    let server = busy(&dir).await;
    let page = page(&server).await;
    for (transport, method, code, count) in [
        ("grpc", "CheckOrderFulfillability", "OK", 2),
        ("rest", "CheckOrderFulfillability", "OK", 2),
        ("rest", "CheckOrderFulfillability", "InvalidArgument", 1),
        ("grpc", "CreateOrder", "OK", 9),
        ("grpc", "CreateOrder", "InvalidArgument", 1),
        ("rest", "CreateOrder", "OK", 0),
        ("rest", "ListOrders", "OK", 1),
        ("rest", "ListOrders", "InvalidArgument", 1),
        ("grpc", "BatchAvailabilityLookup", "OK", 1),
        ("rest", "HealthCheck", "OK", 1),
        ("grpc-web", "ListOrders", "InvalidArgument", 1),
        ("grpc", "Check", "OK", 1),
        ("grpc", "other", "Unimplemented", 1),
        ("rest", "other", "NotFound", 1),
    ] {
        assert_eq!(
            page.handled(transport, method, code),
            count,
            "{transport} {method} {code}"
        );
        let labels = [("transport", transport), ("grpc_method", method)];
        let ended = page.value("grpc_server_handled_total", &labels);
        assert_eq!(page.value("grpc_server_started_total", &labels), ended);
        assert_eq!(
            page.value("grpc_server_handling_seconds_count", &labels),
            ended
        );
    }
    for (transport, reason, count) in [
        ("grpc", "MALFORMED_MESSAGE", 1),
        ("rest", "MALFORMED_MESSAGE", 1),
        ("grpc", "UNKNOWN_METHOD", 1),
        ("rest", "NOT_FOUND", 1),
        ("grpc", "INVALID_REQUEST", 1),
        ("grpc-web", "INVALID_REQUEST", 1),
    ] {
        assert_eq!(
            page.value(
                "boxoffice_rejected_total",
                &[("transport", transport), ("reason", reason)]
            ),
            count,
            "{reason}"
        );
    }
    assert_eq!(page.value("boxoffice_calls_in_flight", &[]), 0);
    server.stop().await;
}

#[tokio::test]
async fn sales_are_counted_by_what_came_of_them() {
    let dir = TempDir::new().unwrap();
    let server = busy(&dir).await;
    let page = page(&server).await;
    for (name, label, value, count) in [
        ("boxoffice_checks_total", "result", "CAN_FULFILL", 2),
        (
            "boxoffice_checks_total",
            "result",
            "UNFULFILLABLE_LINE_ITEM",
            2,
        ),
        (
            "boxoffice_orders_failed_total",
            "cause",
            "ORDER_UNFULFILLABLE",
            1,
        ),
        (
            "boxoffice_orders_failed_total",
            "cause",
            "INCORRECT_FEE_TOTAL",
            1,
        ),
        (
            "boxoffice_orders_failed_total",
            "cause",
            "PAYMENT_ERROR_CARD_DECLINED",
            1,
        ),
        (
            "boxoffice_orders_failed_total",
            "cause",
            "PAYMENT_ERROR_CARD_TYPE_REJECTED",
            1,
        ),
        (
            "boxoffice_orders_failed_total",
            "cause",
            "PAYMENT_REQUIRES_3DS1",
            1,
        ),
        ("boxoffice_orders_failed_total", "cause", "PAYMENT_ERROR", 1),
        ("boxoffice_payments_total", "outcome", "captured", 1),
        ("boxoffice_catalog_reloads_total", "outcome", "activated", 1),
    ] {
        assert_eq!(page.value(name, &[(label, value)]), count, "{name} {value}");
    }
    for (name, value) in [
        ("boxoffice_orders_created_total", 2),
        ("boxoffice_orders_replayed_total", 1),
        ("boxoffice_spots_sold_total", 4),
        ("boxoffice_store_orders", 2),
        ("boxoffice_store_open", 1),
        ("boxoffice_store_changes_waiting", 0),
        ("boxoffice_catalog_revision", 1),
        ("boxoffice_catalog_last_reload_successful", 1),
        ("boxoffice_orders_in_progress", 0),
    ] {
        assert_eq!(page.value(name, &[]), value, "{name}");
    }
    assert!(page.value("boxoffice_store_disk_used_bytes", &[]) > 1_000);
    let [free, size] =
        ["free", "size"].map(|part| page.value(&format!("boxoffice_store_disk_{part}_bytes"), &[]));
    assert!(0 < free && free <= size, "{free} {size}");
    // The prices at the start, two orders, and a payment at least.
    assert!(page.value("boxoffice_store_batch_changes_sum", &[]) > 3);
    assert!(page.value("boxoffice_store_commit_seconds_count", &[]) > 3);
    assert!(page.value("boxoffice_slots", &[]) > 1);
    assert!(page.value("boxoffice_connections_open", &[]) >= 1);
    server.stop().await;
}

#[tokio::test]
async fn carts_count_while_they_hold_spots() {
    let server = start(Setup::default()).await;
    let trip = Item::raft_trip()
        .tickets(&[("seat", 2)])
        .price("USD", 120_000_000);
    let checked = server.check_cart("cart", "rafting", [trip]).await.unwrap();
    let expires = checked.0.cart_expiration_sec;
    assert!(expires > 0);
    assert_eq!(page(&server).await.value("boxoffice_carts_holding", &[]), 1);
    server.clock.set(EpochSeconds::new(expires));
    assert_eq!(page(&server).await.value("boxoffice_carts_holding", &[]), 0);
    server.stop().await;
}

#[tokio::test]
async fn calls_in_flight_count_until_they_end_even_if_their_caller_disconnects() {
    let gateway = GatewayDouble::silent();
    let server = start(Setup::default().with_gateway(&gateway)).await;
    let request = paid_with(order("slow"), "any");
    let mut client = server.client();
    let call = tokio::spawn(async move { client.create_order(request).await });
    gateway.asked_times(1).await;
    let busy = page(&server).await;
    assert_eq!(busy.value("boxoffice_calls_in_flight", &[]), 1);
    assert_eq!(busy.value("boxoffice_orders_in_progress", &[]), 1);
    call.abort();
    let gone = async { while page(&server).await.value("boxoffice_calls_in_flight", &[]) > 0 {} };
    with_timeout("the call ends with its caller", gone).await;
    let left = page(&server).await;
    assert_eq!(left.handled("grpc", "CreateOrder", "Canceled"), 1);
    assert_eq!(left.value("boxoffice_orders_in_progress", &[]), 1);
    gateway.capture();
    let done = async {
        while page(&server)
            .await
            .value("boxoffice_orders_created_total", &[])
            < 1
        {}
    };
    with_timeout("the order is created", done).await;
    server.stop().await;
}

#[tokio::test]
async fn a_failed_store_and_a_rejected_catalogue_are_on_the_page() {
    let store = Arc::new(BreakableStore::new());
    let catalog = edited_catalog(&[]);
    let setup = Setup {
        store: store.clone(),
        catalog: catalog.path().to_owned(),
        ..Setup::default()
    };
    let server = start(setup).await;
    store.break_down();
    create(&server, order("a")).await;
    fs::write(catalog.path().join("merchants.json"), "{}").unwrap();
    server.server.reload().await.unwrap_err();
    let page = page(&server).await;
    assert_eq!(page.value("boxoffice_store_open", &[]), 0);
    assert_eq!(
        page.value(
            "boxoffice_rejected_total",
            &[("reason", "STORE_UNAVAILABLE")]
        ),
        1
    );
    assert_eq!(page.value("boxoffice_orders_created_total", &[]), 0);
    assert_eq!(
        page.value(
            "boxoffice_catalog_reloads_total",
            &[("outcome", "rejected")]
        ),
        1
    );
    assert_eq!(
        page.value("boxoffice_catalog_last_reload_successful", &[]),
        0
    );
    assert_eq!(page.value("boxoffice_catalog_revision", &[]), 0);
    server.stop().await;
}

/// A page that has what only a server with certificates has.
async fn page_over_tls() -> Page {
    let keys = Keys::new();
    let mut config = Setup::default().config;
    keys.with_tls(&mut config);
    keys.with_clients(&mut config, &["shop.example"]);
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    let server = Setup::with_config(config).open().await.unwrap();
    let page = page_of(&server).await;
    server.stop(std::future::pending()).await;
    page
}

/// All metrics that there are, in the order of the pages.
async fn all_metrics(busy: &Page) -> Page {
    let mut all = Page::read(&busy.text);
    let over_tls = page_over_tls().await;
    for at in 0..over_tls.metrics.len() {
        let metric = &over_tls.metrics[at];
        if all.metrics.iter().all(|(name, ..)| *name != metric.0) {
            let before = all
                .metrics
                .iter()
                .position(|(name, ..)| *name == over_tls.metrics[at - 1].0);
            all.metrics.insert(before.unwrap() + 1, metric.clone());
            all.samples.extend(
                over_tls
                    .samples
                    .iter()
                    .filter(|sample| sample.name == metric.0)
                    .cloned(),
            );
        }
    }
    all
}

#[tokio::test]
async fn every_certificate_tells_when_it_ends_and_what_is_rejected_is_counted() {
    let keys = Keys::new();
    let mut config = config();
    keys.with_users(&mut config, &[("ada", &["x"])]);
    keys.with_tls(&mut config);
    keys.with_clients(&mut config, &["shop.example"]);
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    let server = Setup::with_config(config).open().await.unwrap();
    let ends = async |setting: &str| {
        let labels = [("setting", setting), ("position", "0")];
        page_of(&server)
            .await
            .value("boxoffice_certificate_expiry_timestamp_seconds", &labels)
    };
    let rejected = async |kind: &str| {
        page_of(&server)
            .await
            .value("boxoffice_reloads_rejected_total", &[("kind", kind)])
    };
    // The beginnings of the years 2100 and 4096, when those of the tests end.
    assert_eq!(ends("tls_certificate").await, 4_102_444_800);
    assert_eq!(ends("client_ca").await, 67_090_118_400);
    keys.write_pair(&keys.authority().issue_until(2030, &["localhost"]));
    server.reload_security().await.unwrap();
    assert_eq!(ends("tls_certificate").await, 1_893_456_000);
    for kind in ["catalog", "certificates", "credentials"] {
        assert_eq!(rejected(kind).await, 0, "{kind}");
    }
    replace(&keys.path("server.key"), "nonsense");
    server.reload_security().await.unwrap_err();
    replace(&keys.path("users.toml"), "nonsense");
    server.reload_security().await.unwrap_err();
    assert_eq!(
        (
            rejected("certificates").await,
            rejected("credentials").await
        ),
        (2, 1)
    );
    assert_eq!(
        ends("tls_certificate").await,
        1_893_456_000,
        "the one before is in use"
    );
    server.stop(std::future::pending()).await;
}

#[tokio::test]
async fn sales_are_counted_by_merchant_of_the_catalogue() {
    let catalog = edited_catalog(&[]);
    let setup = Setup {
        catalog: catalog.path().to_owned(),
        ..Setup::default()
    };
    let server = start(setup).await;
    create(&server, order("a")).await;
    create(&server, order("a")).await;
    create(&server, order("b")).await;
    create(&server, order_request("c", "salon", [Item::haircut()])).await;
    create(&server, order_request("d", "salon", [visit()])).await;
    let merchants = async |page: &Page| {
        let sold = |name: &str, merchant: &str| page.value(name, &[("merchant_id", merchant)]);
        let both = |merchant: &str| {
            let orders = sold("boxoffice_merchant_orders_created_total", merchant);
            (
                orders,
                sold("boxoffice_merchant_spots_sold_total", merchant),
            )
        };
        (both("museum"), both("salon"))
    };
    let before = page(&server).await;
    assert_eq!(merchants(&before).await, ((2, 4), (1, 1)));
    let of_salon = |page: &Page| {
        page.samples
            .iter()
            .filter(|sample| {
                sample
                    .labels
                    .get("merchant_id")
                    .is_some_and(|id| id == "salon")
            })
            .count()
    };
    assert_eq!(of_salon(&before), 2);
    // A merchant that has left the catalogue is not on the page; its counts continue when it is back.
    let everything = |from: &str, to: &str| {
        for file in fs::read_dir(catalog.path()).unwrap() {
            let path = file.unwrap().path();
            fs::write(&path, fs::read_to_string(&path).unwrap().replace(from, to)).unwrap();
        }
    };
    everything("\"salon\"", "\"barber\"");
    server.server.reload().await.unwrap();
    assert_eq!(of_salon(&page(&server).await), 0);
    everything("\"barber\"", "\"salon\"");
    server.server.reload().await.unwrap();
    assert_eq!(merchants(&page(&server).await).await, ((2, 4), (1, 1)));
    server.stop().await;
}

/// A file of the repository.
fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[tokio::test]
async fn the_documents_have_a_table_of_all_metrics() {
    let dir = TempDir::new().unwrap();
    let server = busy(&dir).await;
    let page = all_metrics(&page(&server).await).await;
    let row = |(name, kind, help): &(String, String, String)| {
        let labels: Vec<_> = page
            .labels(name)
            .into_iter()
            .map(|label| format!("`{label}`"))
            .collect();
        format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
    };
    let rows: String = page.metrics.iter().map(row).collect();
    let table = format!("| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n{rows}");
    let document = file("docs/metrics.md");
    let (_, rest) = document.split_once("<!-- metrics -->\n").unwrap();
    let (found, _) = rest.split_once("<!-- /metrics -->").unwrap();
    assert!(
        found == table,
        "between `<!-- metrics -->` and `<!-- /metrics -->`, docs/metrics.md should have:\n\n{table}"
    );
    leave("metrics.txt", &page.text);
    server.stop().await;
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let words = text.split(|letter| !is_part(letter));
    words
        .filter(|word| {
            ["grpc_server_", "boxoffice_", "process_"]
                .iter()
                .any(|start| word.starts_with(start))
        })
        .collect()
}

#[tokio::test]
async fn rules_and_dashboard_name_metrics_that_there_are() {
    let dir = TempDir::new().unwrap();
    let server = busy(&dir).await;
    let page = all_metrics(&page(&server).await).await;
    for path in [
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/grafana/boxoffice.json",
    ] {
        let text = file(path);
        let named = metrics_in(&text);
        assert!(named.len() > 5, "{path}: {named:?}");
        let unknown: Vec<_> = named.difference(&page.names()).copied().collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
    server.stop().await;
}

#[test]
fn the_dashboard_is_one_that_can_be_imported() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/boxoffice.json")).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut rules) = (BTreeSet::new(), Vec::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{panel}");
            let rule = |target: &Value| {
                let name = format!(
                    "panel:{}:{}",
                    panel["id"],
                    target["refId"].as_str().unwrap()
                );
                let query = target["expr"]
                    .as_str()
                    .unwrap()
                    .replace("$__rate_interval", "5m");
                json!({ "record": name, "expr": query })
            };
            rules.extend(targets.iter().map(rule));
        }
    }
    leave(
        "dashboard-rules.json",
        &json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string(),
    );
}

/// Leaves a file for the tools of the monitoring system, which have their own opinion.
fn leave(name: &str, text: &str) {
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), text).unwrap();
}
