//! The audit log: one line for each thing that somebody may have to account for.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use boxoffice::{
    api::booking::proto::v3::{
        BatchAvailabilityLookupRequest, CheckOrderFulfillabilityRequest, CreateOrderRequest,
        ListOrdersRequest,
        list_orders_request::{Ids, OrderIds},
    },
    config::{AuditLog, Config},
    server::Server,
};
use http::{Method, Request};
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use crate::support::{
    Item, NOW, Setup,
    byte_client::{ByteClient, framed, whole},
    config,
    doubles::GatewayDouble,
    edited_catalog,
    keys::{Authority, Keys, basic, replace},
    order_request, paid_with,
    process::{Program, in_days, until},
    rest_client::{self, post, send, without_body},
    stating_fees,
};

/// What is asked for in these tests, each under a request id of its own.
struct Caller<'s>(&'s Server);

impl Caller<'_> {
    /// Calls over gRPC as somebody whose password is the name, and gives the order's id if there is one.
    async fn grpc(&self, name: &str, id: &str, method: &str, message: &impl Message) -> Code {
        let client = ByteClient::connect(self.0.address()).await;
        let call = client
            .request(method)
            .header("authorization", basic(name, name))
            .header("x-request-id", id);
        client
            .send(call.body(whole(framed(&message.encode_to_vec()))).unwrap())
            .await
            .unwrap()
            .code()
    }

    async fn rest(
        &self,
        id: &str,
        mut request: Request<crate::support::byte_client::Body>,
    ) -> rest_client::Answer {
        request
            .headers_mut()
            .insert("x-request-id", id.parse().unwrap());
        send(self.0.address(), request).await
    }
}

fn visit() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn order(token: &str) -> CreateOrderRequest {
    order_request(token, "museum", [visit()])
}

fn audited(keys: &Keys, file: &Path) -> Config {
    let mut config = config();
    config.security.credentials = Some(keys.path("users.toml"));
    config.logging.audit_log = AuditLog::File(file.to_owned());
    // As the clients of these tests call it.
    config.serving.allowed_hosts = Some(vec!["boxoffice".into()]);
    config
}

/// The lines of a file without their times, which are those of the clock, and the ids of orders.
fn lines(file: &Path) -> (Vec<Value>, Vec<String>) {
    let mut orders = Vec::new();
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            line.as_object_mut().unwrap().remove("time"),
            Some("2026-01-15T06:00:00Z".into())
        );
        if let Some(id) = line.get("order_id") {
            orders.push(id.as_str().unwrap().to_owned());
        }
        line
    };
    let lines = fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(line)
        .collect();
    (lines, orders)
}

/// Creates orders, and has orders that are not created.
async fn order_and_fail(caller: &Caller<'_>) {
    for (id, expected, request) in [
        ("created", Code::Ok, order("a")),
        ("replayed", Code::Ok, order("a")),
        (
            "reused",
            Code::InvalidArgument,
            order_request("a", "museum", [visit(), visit()]),
        ),
        ("fees", Code::Ok, stating_fees(order("b"), "USD", 1_000_000)),
        (
            "sold out",
            Code::Ok,
            order_request("c", "museum", [Item::museum_entry()]),
        ),
        ("declined", Code::Ok, paid_with(order("d"), "decline")),
        (
            "unsound",
            Code::InvalidArgument,
            CreateOrderRequest::default(),
        ),
    ] {
        assert_eq!(
            caller
                .grpc("ada", &id.replace(' ', "-"), "CreateOrder", &request)
                .await,
            expected,
            "{id}"
        );
    }
}

/// Lists over both transports, and does what leaves no line.
async fn list_and_look(caller: &Caller<'_>) {
    let by_user = by_user();
    assert_eq!(
        caller.grpc("ada", "listed", "ListOrders", &by_user).await,
        Code::Ok
    );
    let none = ListOrdersRequest {
        ids: Some(Ids::OrderIds(OrderIds {
            order_id: vec!["nobody".into()],
        })),
    };
    assert_eq!(
        caller.grpc("ada", "none", "ListOrders", &none).await,
        Code::Ok
    );
    let mut by_rest = post("/v3/ListOrders", r#"{"user_id": "user-1"}"#);
    by_rest
        .headers_mut()
        .insert("authorization", basic("ada", "ada").parse().unwrap());
    assert_eq!(caller.rest("by-rest", by_rest).await.http, 200);
    // Looking leaves no line.
    let check = CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item: vec![visit().0],
        cart_id: "a".into(),
    };
    assert_eq!(
        caller
            .grpc("ada", "looks", "CheckOrderFulfillability", &check)
            .await,
        Code::Ok
    );
}

/// Asks for what is not to be had.
async fn ask_in_vain(caller: &Caller<'_>) {
    let by_user = by_user();
    // Who may not.
    assert_eq!(
        caller.grpc("eve", "method", "ListOrders", &by_user).await,
        Code::PermissionDenied
    );
    let elsewhere = BatchAvailabilityLookupRequest {
        merchant_id: "rafting".into(),
        slot_time: Vec::new(),
    };
    assert_eq!(
        caller
            .grpc("eve", "merchant", "BatchAvailabilityLookup", &elsewhere)
            .await,
        Code::PermissionDenied
    );
    let mut wrong = post("/v3/ListOrders", "{}");
    wrong
        .headers_mut()
        .insert("authorization", basic("ada", "secret").parse().unwrap());
    assert_eq!(caller.rest("wrong", wrong).await.http, 401);
    assert_eq!(
        caller
            .grpc("hunter2", "nobody", "ListOrders", &by_user)
            .await,
        Code::Unauthenticated
    );
    assert_eq!(
        caller
            .rest("silent", without_body(Method::GET, "/v3/CreateOrder"))
            .await
            .http,
        401
    );
    let mut rebound = post("/v3/ListOrders", "{}");
    rebound
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    rebound
        .headers_mut()
        .insert("authorization", basic("ada", "ada").parse().unwrap());
    assert_eq!(caller.rest("rebound", rebound).await.http, 421);
}

fn by_user() -> ListOrdersRequest {
    ListOrdersRequest {
        ids: Some(Ids::UserId("user-1".into())),
    }
}

/// The lines of all this, where the order that was created has this id.
fn expected(made: &str) -> [Value; 21] {
    let failed = |id: &str, cause: &str| json!({"event": "order_failed", "user": "ada", "transport": "grpc", "request_id": id, "merchant_id": "museum", "cause": cause});
    let of_order = |event: &str, id: &str| json!({"event": event, "user": "ada", "transport": "grpc", "request_id": id, "merchant_id": "museum", "order_id": made});
    let listed = |transport: &str, id: &str| json!({"event": "orders_listed", "user": "ada", "transport": transport, "request_id": id, "orders": 1, "order_ids": [made]});
    let rejected = |transport: &str, id: &str, reason: &str, user: Option<&str>| {
        let mut line = json!({"event": "access_rejected", "transport": transport, "address": "127.0.0.1", "request_id": id, "reason": reason});
        if let Some(user) = user {
            line["user"] = user.into();
        }
        line
    };
    [
        json!({"event": "server_started", "version": env!("CARGO_PKG_VERSION")}),
        of_order("order_created", "created"),
        of_order("order_replayed", "replayed"),
        failed("reused", "TOKEN_REUSED"),
        failed("fees", "INCORRECT_FEE_TOTAL"),
        failed("sold-out", "ORDER_UNFULFILLABLE"),
        failed("declined", "PAYMENT_ERROR_CARD_DECLINED"),
        listed("grpc", "listed"),
        json!({"event": "orders_listed", "user": "ada", "transport": "grpc", "request_id": "none", "orders": 0}),
        listed("rest", "by-rest"),
        rejected("grpc", "method", "METHOD_OUT_OF_SCOPE", Some("eve")),
        rejected("grpc", "merchant", "MERCHANT_OUT_OF_SCOPE", Some("eve")),
        rejected("rest", "wrong", "CREDENTIALS_INVALID", Some("ada")),
        rejected("grpc", "nobody", "CREDENTIALS_INVALID", None),
        rejected("rest", "silent", "CREDENTIALS_MISSING", None),
        rejected("rest", "rebound", "MISDIRECTED_REQUEST", Some("ada")),
        json!({"event": "catalog_reloaded", "revision": 1}),
        json!({"event": "catalog_rejected"}),
        json!({"event": "credentials_reloaded", "users": 2}),
        json!({"event": "credentials_rejected"}),
        json!({"event": "server_stopped"}),
    ]
}

#[tokio::test]
async fn everything_that_happens_leaves_one_line() {
    assert_eq!(NOW, 1_768_456_800, "which is 06:00 on 15 January 2026");
    let (keys, dir) = (Keys::new(), TempDir::new().unwrap());
    let file = dir.path().join("audit");
    let bounded = "merchants = ['museum']\nmethods = ['CreateOrder', 'CheckOrderFulfillability', 'BatchAvailabilityLookup']";
    keys.write_scopes(&[("ada", ""), ("eve", bounded)]);
    let catalog = edited_catalog(&[]);
    let setup = Setup {
        config: audited(&keys, &file),
        catalog: catalog.path().to_owned(),
        ..Setup::default()
    };
    let server = setup.open().await.unwrap();
    let caller = Caller(&server);

    order_and_fail(&caller).await;
    list_and_look(&caller).await;
    ask_in_vain(&caller).await;
    // What is read again.
    server.reload().await.unwrap();
    fs::write(catalog.path().join("merchants.json"), "{}").unwrap();
    server.reload().await.unwrap_err();
    server.reload_security().await.unwrap();
    replace(&keys.path("users.toml"), "nonsense");
    server.reload_security().await.unwrap_err();
    server.stop(std::future::pending()).await;

    let (lines, orders) = lines(&file);
    let expected = expected(&orders[0]);
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), expected.len());
}

#[tokio::test]
async fn an_order_whose_caller_has_gone_leaves_its_line_and_certificates_leave_theirs() {
    let (keys, dir) = (Keys::new(), TempDir::new().unwrap());
    let file = dir.path().join("audit");
    let mut config = config();
    config.logging.audit_log = AuditLog::File(file.clone());
    let gateway = GatewayDouble::silent();
    let server = Setup::with_config(config)
        .with_gateway(&gateway)
        .start()
        .await;
    let mut client = server.client();
    let call =
        tokio::spawn(async move { client.create_order(paid_with(order("slow"), "any")).await });
    gateway.asked_times(1).await;
    call.abort();
    gateway.capture();
    // Over one transport: the order may come between two answers.
    let ids = Some(Ids::UserId("user-1".into()));
    let listed = async || {
        server
            .client()
            .list_orders(ListOrdersRequest { ids: ids.clone() })
            .await
            .unwrap()
    };
    until("the order is on record", async || {
        !listed().await.get_ref().order.is_empty()
    })
    .await;
    server.stop().await;
    let (found, _) = lines(&file);
    let created = |line: &&Value| line["event"] == "order_created" && line["transport"] == "grpc";
    assert_eq!(found.iter().filter(created).count(), 1, "{found:?}");
    assert!(
        found.iter().all(|line| line.get("user").is_none()),
        "nobody is known"
    );

    let file = dir.path().join("of certificates");
    let mut config = crate::support::config();
    keys.with_tls(&mut config);
    keys.with_clients(&mut config, &["shop.example"]);
    config.logging.audit_log = AuditLog::File(file.clone());
    let server = Setup::with_config(config).open().await.unwrap();
    // Whether the client hears of it in the handshake or after it is up to the protocol.
    let stranger = Authority::new().issue(&["shop.example"]);
    let _ = keys
        .authority()
        .connect(server.address(), Some(&stranger), "h2")
        .await;
    let rejected = r#""address":"127.0.0.1","reason":"CLIENT_CERTIFICATE_NOT_TRUSTED""#;
    until("the stranger is noted", async || {
        fs::read_to_string(&file).unwrap().contains(rejected)
    })
    .await;
    // Another failure of the handshake is not.
    let plain = ByteClient::connect(server.address()).await;
    plain
        .send(
            plain
                .request("ListOrders")
                .body(whole(framed(b"")))
                .unwrap(),
        )
        .await
        .unwrap_err();
    server.reload_security().await.unwrap();
    replace(&keys.path("server.key"), "nonsense");
    server.reload_security().await.unwrap_err();
    server.stop(std::future::pending()).await;
    let (found, _) = lines(&file);
    let events: Vec<_> = found
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "server_started",
            "access_rejected",
            "certificates_reloaded",
            "certificates_rejected",
            "server_stopped"
        ]
    );
}

#[tokio::test]
async fn the_file_is_its_owners_and_is_opened_anew_on_a_signal() {
    let dir = TempDir::new().unwrap();
    let (file, moved) = (dir.path().join("audit"), dir.path().join("audit.1"));
    let program = Program::new()
        .args(["--audit-log", file.to_str().unwrap()])
        .start()
        .await;
    let said = async |file: &Path, event: &str| {
        until(event, async || {
            fs::read_to_string(file).is_ok_and(|text| text.contains(event))
        })
        .await;
    };
    said(&file, "server_started").await;
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::rename(&file, &moved).unwrap();
    program.signal("HUP").await;
    said(&file, "catalog_reloaded").await;
    assert_eq!(program.stop().await.code(), 0);
    let (before, after) = (
        fs::read_to_string(&moved).unwrap(),
        fs::read_to_string(&file).unwrap(),
    );
    assert_eq!(
        (before.lines().count(), after.lines().count()),
        (1, 2),
        "{before}{after}"
    );
    assert!(after.lines().last().unwrap().contains("server_stopped"));
}

#[tokio::test]
async fn among_the_lines_of_the_log_it_has_a_target_of_its_own_and_off_it_has_none() {
    for (setting, lines) in [("stderr", 3), ("off", 0)] {
        let program = Program::new().args(["--audit-log", setting]).start().await;
        let client = ByteClient::connect(program.address()).await;
        let request = order_request("token", "museum", [in_days(visit(), 1)]);
        assert_eq!(
            client
                .call("CreateOrder", &request.encode_to_vec())
                .await
                .code(),
            Code::Ok
        );
        let ended = program.stop().await;
        let audit: Vec<_> = ended
            .log()
            .filter(|line| line["target"] == "boxoffice::audit")
            .collect();
        assert_eq!(audit.len(), lines, "{setting}: {}", ended.text());
        if let [started, created, stopped] = &audit[..] {
            let events = [started, created, stopped].map(|line| line["event"].as_str().unwrap());
            assert_eq!(
                events,
                ["server_started", "order_created", "server_stopped"]
            );
            assert_eq!(
                (&created["level"], &created["merchant_id"]),
                (&"INFO".into(), &"museum".into())
            );
            assert!(
                created["request_id"].is_string() && created["transport"] == "grpc",
                "{created}"
            );
        }
    }
}

#[tokio::test]
async fn an_audit_log_that_cannot_be_opened_stops_the_start_before_anything_is_kept() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    for file in [
        dir.path(),
        Path::new("/nowhere/audit"),
        Path::new("/dev/full"),
    ] {
        let ended = Program::new()
            .with_store(&data)
            .args(["--audit-log", file.to_str().unwrap()])
            .run()
            .await;
        assert_eq!(ended.code(), 74, "{}", ended.text());
        assert!(
            ended.text().contains("the audit_log cannot be opened"),
            "{}",
            ended.text()
        );
        assert!(!data.exists());
    }
}

/// The request id of a change.
fn change_id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Requests for changes of an order: user, id of the call, path, body and status of the answer.
fn asked_changes(id: &str) -> Vec<(&'static str, &'static str, String, Value, u16)> {
    let note = |number: u32| json!({"note": "called", "request_id": change_id(number)});
    let cancel = |number: u32| json!({"refund": {"full": {}}, "request_id": change_id(number)});
    let path = |method: &str| format!("/operator/v1/orders/{id}:{method}");
    let unknown = format!("/operator/v1/orders/{}:addNote", "A".repeat(26));
    vec![
        ("agnes", "noted", path("addNote"), note(1), 200),
        ("agnes", "again", path("addNote"), note(1), 200),
        ("agnes", "reused", path("cancel"), cancel(1), 400),
        ("agnes", "unknown", unknown, note(2), 404),
        (
            "agnes",
            "no-note",
            path("addNote"),
            json!({"note": "", "request_id": change_id(3)}),
            400,
        ),
        (
            "agnes",
            "no-id",
            path("addNote"),
            json!({"note": "n", "request_id": "secret"}),
            400,
        ),
        (
            "agnes",
            "no-share",
            path("refund"),
            json!({"request_id": change_id(4)}),
            400,
        ),
        (
            "agnes",
            "no-step",
            format!("/operator/v1/orders/{id}/steps/7:retry"),
            json!({"request_id": change_id(5)}),
            404,
        ),
        (
            "agnes",
            "dry-run",
            path("cancel"),
            json!({"validate_only": true, "refund": {"full": {}}, "request_id": change_id(6)}),
            200,
        ),
        ("vera", "viewer", path("addNote"), note(7), 403),
        ("agnes", "blocked", BLOCK.to_owned(), block(9, 2), 200),
        ("agnes", "blocked-again", BLOCK.to_owned(), block(9, 2), 200),
        ("agnes", "blocked-other", BLOCK.to_owned(), block(9, 3), 400),
        (
            "agnes",
            "no-count",
            BLOCK.to_owned(),
            json!({"request_id": change_id(10)}),
            400,
        ),
        (
            "agnes",
            "withdrawn",
            "/operator/v1/orders:withdraw".to_owned(),
            json!({
                "order_items": {"name": format!("orders/{id}"), "keep_off_sale": true},
                "validate_only": true,
                "request_id": change_id(11),
            }),
            200,
        ),
        ("agnes", "cancelled", path("cancel"), cancel(8), 200),
    ]
}

/// The path of a block.
const BLOCK: &str = "/operator/v1/slots:block";

/// Asks for a block of so many spots.
fn block(number: u32, count: u32) -> Value {
    json!({
        "slot": {
            "merchant_id": "museum",
            "service_id": "museum-entry",
            "start_time": "2026-01-16T14:00:00Z",
        },
        "count": count,
        "request_id": change_id(number),
    })
}

/// The line of a block.
fn block_line(call: &str, count: Option<&str>, change: u32, outcome: &Value) -> Value {
    let mut line = json!({"event": "slot_blocked", "user": "agnes", "transport": "rest", "request_id": call, "method": "SetBlock", "role": "agent", "change_id": change_id(change)});
    if let Some(count) = count {
        line["merchant_id"] = "museum".into();
        line["service_id"] = "museum-entry".into();
        line["slot"] = "2026-01-16T14:00:00Z".into();
        line["blocked"] = count.into();
    }
    for (key, value) in outcome.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

/// The lines that those leave in the audit log.
fn lines_of_changes(id: &str) -> Vec<Value> {
    let line = |call: &str, method: &str, change: Option<u32>, outcome: Value| {
        let mut line = json!({"event": "order_changed", "user": "agnes", "transport": "rest", "request_id": call, "order_id": id, "method": method, "role": "agent"});
        if let Some(number) = change {
            line["change_id"] = change_id(number).into();
        }
        for (key, value) in outcome.as_object().unwrap() {
            line[key] = value.clone();
        }
        line
    };
    let rejected = |reason: &str| json!({"outcome": "rejected", "reason": reason});
    let mut unknown = line("unknown", "AddNote", Some(2), rejected("ORDER_NOT_FOUND"));
    unknown["order_id"] = "A".repeat(26).into();
    vec![
        line(
            "noted",
            "AddNote",
            Some(1),
            json!({"outcome": "changed", "revision": 1}),
        ),
        line(
            "again",
            "AddNote",
            Some(1),
            json!({"outcome": "repeated", "revision": 1}),
        ),
        line(
            "reused",
            "CancelOrder",
            Some(1),
            rejected("REQUEST_ID_REUSED"),
        ),
        unknown,
        line("no-note", "AddNote", Some(3), rejected("INVALID_REQUEST")),
        // What is no request id may be anything.
        line("no-id", "AddNote", None, rejected("INVALID_REQUEST")),
        line(
            "no-share",
            "RefundItems",
            Some(4),
            rejected("INVALID_REQUEST"),
        ),
        line("no-step", "RetryStep", Some(5), rejected("STEP_NOT_FOUND")),
        json!({"event": "access_rejected", "user": "vera", "transport": "rest", "address": "127.0.0.1", "request_id": "viewer", "reason": "ROLE_OUT_OF_SCOPE"}),
        block_line("blocked", Some("2"), 9, &json!({"outcome": "changed"})),
        block_line(
            "blocked-again",
            Some("2"),
            9,
            &json!({"outcome": "repeated"}),
        ),
        block_line(
            "blocked-other",
            Some("3"),
            9,
            &rejected("REQUEST_ID_REUSED"),
        ),
        block_line("no-count", None, 10, &rejected("INVALID_REQUEST")),
        line(
            "cancelled",
            "CancelOrder",
            Some(8),
            json!({"outcome": "changed", "revision": 2}),
        ),
    ]
}

#[tokio::test]
async fn every_change_that_is_asked_for_leaves_its_line() {
    let (keys, dir) = (Keys::new(), TempDir::new().unwrap());
    let file = dir.path().join("audit");
    let mut config =
        keys.operator_config(&[("agnes", "role = 'agent'"), ("vera", "role = 'viewer'")]);
    config.logging.audit_log = AuditLog::File(file.clone());
    let server = Setup::with_config(config).start().await;
    let created = server.send(order("a")).await.unwrap();
    let id = created.order().order_id;
    let address = server.server.operator_address().unwrap();
    let ask = async |name: &str, call: &str, path: String, body: Value| {
        let mut request = post(&path, body.to_string());
        let headers = request.headers_mut();
        headers.insert("authorization", basic(name, name).parse().unwrap());
        headers.insert("x-request-id", call.parse().unwrap());
        send(address, request).await.http
    };
    for (name, call, path, body, expected) in asked_changes(&id) {
        assert_eq!(ask(name, call, path, body).await, expected, "{call}");
    }
    server.stop().await;
    let (found, _) = lines(&file);
    let found: Vec<&Value> = found
        .iter()
        .filter(|line| {
            let kept = ["order_changed", "slot_blocked", "access_rejected"];
            kept.contains(&line["event"].as_str().unwrap())
        })
        .collect();
    let expected = lines_of_changes(&id);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(*found, expected);
    }
    assert_eq!(found.len(), expected.len());
}
