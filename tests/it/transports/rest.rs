//! The REST transport: its URLs, its JSON, its rejections; and that both transports say the same.

use std::{sync::Arc, time::Duration};

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest, LineItem,
};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::client::conn::http1;
use prost::Message;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Item, Setup, TestServer, Transport,
    byte_client::{ByteClient, unfinished},
    config,
    doubles::{BreakableStore, GatewayDouble},
    order_request, paid_with,
    process::with_timeout,
    reason,
    rest_client::{Answer, answer, connect, post, send, send_http2, without_body},
    stating_fees,
    text::describe_failure,
    tomorrow_at,
};

const CHECK: &str = "/v3/CheckOrderFulfillability";
const CREATE: &str = "/v3/CreateOrder";
const LIST: &str = "/v3/ListOrders";
const HEALTH: &str = "/v3/HealthCheck";

fn two_adults() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn seats(count: i32) -> Item {
    Item::raft_trip()
        .tickets(&[("seat", count)])
        .price("USD", i64::from(count) * 60_000_000)
}

fn cart() -> Vec<u8> {
    let item = vec![two_adults().0];
    let request = CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item,
        cart_id: String::new(),
    };
    serde_json::to_vec(&request).unwrap()
}

fn order(token: &str) -> Vec<u8> {
    serde_json::to_vec(&order_request(token, "museum", [two_adults()])).unwrap()
}

fn paid_order(token: &str) -> CreateOrderRequest {
    paid_with(order_request(token, "museum", [two_adults()]), "approve")
}

async fn under(rest_base_path: &str) -> TestServer {
    let mut config = config();
    config.serving.rest_base_path = rest_base_path.into();
    Setup::with_config(config).start().await
}

async fn ask(server: &TestServer, request: Request<crate::support::byte_client::Body>) -> Answer {
    send(server.server.address(), request).await
}

/// Waits until health is as bad as it has to become.
async fn is_unhealthy(server: std::net::SocketAddr) {
    let asking = async {
        while send(server, without_body(Method::GET, HEALTH))
            .await
            .http
            .is_success()
        {}
    };
    with_timeout("bad health", asking).await;
}

fn outcome(http: u16, status: &str, reason: &str) -> (u16, String, String) {
    (http, status.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn a_cart_is_checked_in_plain_json() {
    let server = TestServer::start().await;
    let start = tomorrow_at(10, 0).to_string();
    let asked = json!({
        "service_id": "museum-entry", "start_sec": start, "duration_sec": 7200,
        "tickets": [{ "ticket_id": "adult", "count": 2 }],
        "price": { "price_micros": 49_000_000, "currency_code": "USD" },
    });
    let request =
        json!({ "merchant_id": "museum", "item": [asked], "sent_by": { "version": null } });
    let answered = ask(&server, post(CHECK, request.to_string())).await;
    assert_eq!(answered.http, StatusCode::OK);
    let expected = json!({
        "fulfillability": {
            "result": "CAN_FULFILL",
            "item_fulfillability": [{
                "item": {
                    "service_id": "museum-entry", "start_sec": start, "duration_sec": "7200",
                    "tickets": [{ "ticket_id": "adult", "count": 2 }],
                    "price": { "price_micros": "50000000", "currency_code": "USD" },
                    "warning_reason": "PRICE_INCREASE",
                },
                "result": "CAN_FULFILL",
                "availability": { "spots_open": 50 },
            }],
        },
        "fees_and_taxes": { "currency_code": "USD" },
        "fees": {},
    });
    assert_eq!(answered.json(), expected);
}

#[tokio::test]
async fn a_method_is_found_in_any_letter_case_with_or_without_a_slash_at_its_end() {
    let server = TestServer::start().await;
    for path in [
        CHECK,
        "/v3/checkorderfulfillability",
        "/v3/CHECKORDERFULFILLABILITY/",
        "/v3/checkOrderFulfillability/",
        "//v3/CheckOrderFulfillability",
        "/v3//CheckOrderFulfillability//",
    ] {
        assert_eq!(
            ask(&server, post(path, cart())).await.http,
            StatusCode::OK,
            "{path}"
        );
    }
    for path in [
        HEALTH,
        "//v3/HealthCheck",
        "/v3/healthcheck",
        "/v3/HEALTHCHECK/",
        "/v3/HealthCheck/?probe=1",
    ] {
        assert_eq!(
            ask(&server, without_body(Method::GET, path)).await.http,
            StatusCode::OK,
            "{path}"
        );
    }
    for path in [
        "/",
        "/v3",
        "/v3/",
        "/V3/CreateOrder",
        "/v2/CreateOrder",
        "/v3/CreateOrder/now",
        "/v3/CreateOrders",
        "/CreateOrder",
        "/v3/Create%4Frder",
        "/v3%2FCreateOrder",
        "//boxoffice/v3/CreateOrder",
        "/v3/../v3/CreateOrder",
        "/ext.maps.booking.partner.v2.BookingService/CreateOrder",
    ] {
        let answered = ask(&server, post(path, order("t"))).await;
        assert_eq!(
            answered.outcome(),
            outcome(404, "NOT_FOUND", "NOT_FOUND"),
            "{path}"
        );
    }
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
}

#[tokio::test]
async fn all_methods_are_under_the_base_path_and_nowhere_else() {
    for base in ["/booking", "/booking/partner-1"] {
        let server = under(base).await;
        for (path, body) in [
            (CHECK, cart()),
            (CREATE, order("t")),
            (LIST, br#"{"user_id": "user-1"}"#.to_vec()),
        ] {
            let under = ask(&server, post(&format!("{base}{path}/"), body.clone())).await;
            assert_eq!(under.http, StatusCode::OK, "{base}{path}");
            assert_eq!(
                ask(&server, post(path, body)).await.http,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        assert_eq!(
            ask(
                &server,
                without_body(Method::GET, &format!("{base}{HEALTH}"))
            )
            .await
            .http,
            StatusCode::OK
        );
        for path in [
            HEALTH.to_owned(),
            format!("{base}x{HEALTH}"),
            format!("/x{base}{HEALTH}"),
        ] {
            assert_eq!(
                ask(&server, without_body(Method::GET, &path)).await.http,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn another_http_method_is_rejected_with_the_allowed_ones() {
    let server = TestServer::start().await;
    for (path, allowed) in [
        (HEALTH, "GET, HEAD"),
        (CHECK, "POST"),
        (CREATE, "POST"),
        (LIST, "POST"),
    ] {
        for http_method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW",
        ] {
            if allowed.contains(http_method) {
                continue;
            }
            let answered = ask(&server, without_body(http_method.parse().unwrap(), path)).await;
            assert_eq!(
                answered.http,
                StatusCode::METHOD_NOT_ALLOWED,
                "{http_method} {path}"
            );
            assert_eq!(answered.headers["allow"], allowed, "{http_method} {path}");
            if http_method != "HEAD" {
                assert_eq!(
                    answered.outcome(),
                    outcome(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"),
                    "{http_method} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_message_has_to_say_that_it_is_json_and_must_not_be_compressed() {
    let server = TestServer::start().await;
    for (content_type, encoding, expected) in [
        (Some("application/json"), None, None),
        (Some("application/json"), Some("Identity"), None),
        (Some("application/json; charset=utf-8"), None, None),
        (Some("Application/JSON"), Some("identity"), None),
        (None, None, Some("UNSUPPORTED_MEDIA_TYPE")),
        (Some(""), None, Some("UNSUPPORTED_MEDIA_TYPE")),
        (Some("text/plain"), None, Some("UNSUPPORTED_MEDIA_TYPE")),
        (
            Some("application/jsonp"),
            None,
            Some("UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            Some("application/x-www-form-urlencoded"),
            None,
            Some("UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            Some("multipart/form-data; boundary=x"),
            None,
            Some("UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            Some("text/plain, application/json"),
            None,
            Some("UNSUPPORTED_MEDIA_TYPE"),
        ),
        (
            Some("application/json"),
            Some("gzip"),
            Some("UNSUPPORTED_ENCODING"),
        ),
        (
            Some("application/json"),
            Some("identity, br"),
            Some("UNSUPPORTED_ENCODING"),
        ),
    ] {
        let mut request = post(CHECK, cart());
        request.headers_mut().remove("content-type");
        for (name, value) in [
            ("content-type", content_type),
            ("content-encoding", encoding),
        ] {
            if let Some(value) = value {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        let answered = ask(&server, request).await;
        let (http, _, reason) = answered.outcome();
        let expected = expected.map_or((200, ""), |reason| (415, reason));
        assert_eq!((http, &*reason), expected, "{content_type:?} {encoding:?}");
        let taken = answered
            .headers
            .get("accept-encoding")
            .map(|what| what.to_str().unwrap());
        assert_eq!(
            taken,
            (reason == "UNSUPPORTED_ENCODING").then_some("identity")
        );
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_decoded_is_rejected_with_its_position() {
    let server = TestServer::start().await;
    for (body, reason, place) in [
        (&b""[..], "MALFORMED_MESSAGE", "line 1 column 1"),
        (
            b"{\"merchant_id\":\n \"museum\",}",
            "MALFORMED_MESSAGE",
            "line 2 column 11",
        ),
        (b"{\"cart_id\": \"\xff\"}", "MALFORMED_MESSAGE", "line 1"),
        (
            b"[]",
            "MALFORMED_MESSAGE",
            "expected an object, found a list",
        ),
        (
            b"null",
            "MALFORMED_MESSAGE",
            "expected an object, found null",
        ),
        (
            b"{\"item\": [",
            "MALFORMED_MESSAGE",
            "the text ends within a list at line 1 column 10",
        ),
        (b"\x1f\x8b\x08", "MALFORMED_MESSAGE", "gzip"),
        (b"\xff\xfe{\0}\0", "MALFORMED_MESSAGE", "UTF-16"),
        (
            b"{\"item\": [{}, {\"start_sec\": \"ten\"}]}",
            "INVALID_REQUEST",
            "item[1].start_sec",
        ),
        (
            b"{\"item\": [{\"tickets\": [{\"count\": []}]}]}",
            "INVALID_REQUEST",
            "item[0].tickets[0].count",
        ),
        (
            b"{\"merchant_id\": \"museum\", \"merchantId\": \"salon\"}",
            "INVALID_REQUEST",
            "merchant_id is given twice",
        ),
    ] {
        let answered = ask(&server, post(CHECK, body)).await;
        assert_eq!(answered.outcome(), outcome(400, "INVALID_ARGUMENT", reason));
        let json = answered.json();
        assert!(
            json["error"]["message"].as_str().unwrap().contains(place),
            "{json}"
        );
    }
}

#[tokio::test]
async fn an_error_has_the_form_of_a_google_rpc_status() {
    let server = TestServer::start().await;
    let answered = ask(
        &server,
        post(
            CREATE,
            r#"{"order": {"merchant_id": "museum", "order_id": "mine"}}"#,
        ),
    )
    .await;
    assert_eq!(answered.http, StatusCode::BAD_REQUEST);
    let wrong =
        |field: &str, description: &str| json!({ "field": field, "description": description });
    let mut json = answered.json();
    let message = json["error"]["message"].take();
    assert!(
        message
            .as_str()
            .unwrap()
            .contains("order.item needs at least one item"),
        "{message}"
    );
    let expected = json!({ "error": {
        "code": 400,
        "message": null,
        "status": "INVALID_ARGUMENT",
        "details": [
            { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_REQUEST", "domain": "boxoffice" },
            { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                wrong("idempotency_token", "is required"),
                wrong("order.order_id", "must not be set: the booking partner names the order"),
                wrong("order.item", "needs at least one item"),
                wrong("order.user_information", "is required"),
            ] },
        ],
    } });
    assert_eq!(json, expected);
}

#[tokio::test]
async fn http_1_and_http_2_give_the_same_answers() {
    let server = TestServer::start().await;
    let address = server.server.address();
    for request in [
        || post(CHECK, cart()),
        || post(CREATE, order("t")),
        || post(LIST, r#"{"user_id": "user-1"}"#),
        || post(LIST, "{}"),
        || without_body(Method::GET, HEALTH),
        || without_body(Method::HEAD, HEALTH),
        || without_body(Method::GET, CREATE),
        || without_body(Method::GET, "/"),
    ] {
        let (one, two) = (
            send(address, request()).await,
            send_http2(address, request()).await,
        );
        assert_eq!(
            (one.http, one.body),
            (two.http, two.body),
            "{:?}",
            request()
        );
        assert_eq!(one.headers["content-type"], two.headers["content-type"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn health_is_good_only_while_the_store_takes_orders() {
    let store = Arc::new(BreakableStore::new());
    let server = Setup {
        store: store.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    let good = ask(&server, without_body(Method::GET, HEALTH)).await;
    assert_eq!((good.http, good.json()), (StatusCode::OK, json!({})));
    store.break_down();
    let rejected = ask(&server, post(CREATE, order("t"))).await;
    assert_eq!(
        rejected.outcome(),
        outcome(503, "UNAVAILABLE", "STORE_UNAVAILABLE")
    );
    let bad = ask(&server, without_body(Method::GET, HEALTH)).await;
    assert_eq!(bad.outcome(), outcome(503, "UNAVAILABLE", "NOT_SERVING"));
    let head = ask(&server, without_body(Method::HEAD, HEALTH)).await;
    assert_eq!(
        (head.http, head.body),
        (StatusCode::SERVICE_UNAVAILABLE, Bytes::new())
    );
    assert_eq!(ask(&server, post(CHECK, cart())).await.http, StatusCode::OK);
}

#[tokio::test]
async fn health_is_bad_as_soon_as_the_server_goes_down_and_orders_are_taken_to_the_end() {
    let mut config = config();
    config.shutdown.drain_delay = Duration::from_secs(3600);
    let server = Setup::with_config(config).start().await;
    let address = server.server.address();
    let (stop, cut) = server.begin_shutdown();
    is_unhealthy(address).await;
    assert_eq!(
        send(address, post(CREATE, order("late"))).await.http,
        StatusCode::OK
    );
    cut.send(()).unwrap();
    with_timeout("the end", stop).await.unwrap();
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_rejected_with_and_without_content_length() {
    let mut config = config();
    config.calls.max_request_bytes = 4096;
    let server = Setup::with_config(config).start().await;
    let padded = |bytes: usize| {
        let mut message = cart();
        message.resize(bytes, b' ');
        Bytes::from(message)
    };
    assert_eq!(
        ask(&server, post(CHECK, padded(4096))).await.http,
        StatusCode::OK
    );
    let too_large = outcome(413, "RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE");
    assert_eq!(
        ask(&server, post(CHECK, padded(4097))).await.outcome(),
        too_large
    );
    let endless = post(CHECK, "").map(|_| unfinished(padded(4097)));
    assert_eq!(
        with_timeout("a rejection", ask(&server, endless))
            .await
            .outcome(),
        too_large
    );
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_never_comes_to_its_end_is_not_waited_for() {
    let mut config = config();
    config.calls.call_timeout = Duration::from_millis(100);
    let server = Setup::with_config(config).start().await;
    let endless = post(CHECK, "").map(|_| unfinished(Bytes::from_static(b"{\"item\":")));
    let late = with_timeout("an answer to half a message", ask(&server, endless)).await;
    assert_eq!(
        late.outcome(),
        outcome(504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_breaks_off_creates_nothing() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.server.address()).await.unwrap();
    let message = order("t");
    let head = format!(
        "POST {CREATE} HTTP/1.1\r\nhost: boxoffice\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        message.len() + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&message).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answered = Vec::new();
    let _ = with_timeout(
        "the end of the connection",
        stream.read_to_end(&mut answered),
    )
    .await;
    assert!(!answered.starts_with(b"HTTP/1.1 200"));
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
}

#[tokio::test]
async fn both_doors_share_one_limit_of_calls() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.calls.max_in_flight = 1;
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .start()
        .await;
    let address = server.server.address();
    let client = ByteClient::connect(address).await;
    let message = paid_order("first").encode_to_vec();
    let by_grpc = tokio::spawn({
        let client = client.clone();
        async move { client.call("CreateOrder", &message).await }
    });
    payments.asked_times(1).await;
    let rejected = send(address, post(CHECK, cart())).await;
    assert_eq!(
        rejected.outcome(),
        outcome(429, "RESOURCE_EXHAUSTED", "CONCURRENCY_LIMIT")
    );
    let retry = &rejected.json()["error"]["details"][1];
    assert_eq!(retry["retryDelay"], "0.200s", "{retry}");
    assert_eq!(
        send(address, without_body(Method::GET, HEALTH)).await.http,
        StatusCode::OK,
        "health is always answered"
    );
    payments.capture();
    by_grpc.await.unwrap();

    payments.fall_silent();
    let message = serde_json::to_vec(&paid_order("second")).unwrap();
    let by_rest = tokio::spawn(async move { send(address, post(CREATE, message)).await });
    payments.asked_times(2).await;
    assert_eq!(
        client.call("ListOrders", b"\x0a\x06user-1").await.reason(),
        "CONCURRENCY_LIMIT"
    );
    payments.capture();
    assert_eq!(by_rest.await.unwrap().http, StatusCode::OK);
    server.stop().await;
}

#[tokio::test]
async fn a_call_ends_when_its_time_is_up_and_its_order_is_still_created() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.calls.call_timeout = Duration::from_millis(150);
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .start()
        .await;
    let message = serde_json::to_vec(&paid_order("slow")).unwrap();
    let late = with_timeout(
        "an answer to a slow call",
        ask(&server, post(CREATE, message.clone())),
    )
    .await;
    assert_eq!(
        late.outcome(),
        outcome(504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    );
    payments.capture();
    let created = ask(&server, post(CREATE, message)).await.json();
    assert_eq!(
        created["order"]["item"][0]["status"], "CONFIRMED",
        "{created}"
    );
    assert_eq!(payments.asked().len(), 1, "money is asked for once");
    server.stop().await;
}

#[tokio::test]
async fn a_token_in_flight_in_another_call_is_a_conflict() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.calls.call_timeout = Duration::from_millis(150);
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .start()
        .await;
    let address = server.server.address();
    let message = serde_json::to_vec(&paid_order("t")).unwrap();
    let first = tokio::spawn(send(address, post(CREATE, message.clone())));
    payments.asked_times(1).await;
    let second = send(address, post(CREATE, message)).await;
    let (http, _, reason) = second.outcome();
    assert!(
        [(409, "ORDER_IN_PROGRESS"), (504, "DEADLINE_EXCEEDED")].contains(&(http, &*reason)),
        "{second:?}"
    );
    first.await.unwrap();
    payments.capture();
    server.stop().await;
}

/// What came of an order that was to be created, in a line.
async fn create(server: &TestServer, transport: Transport, request: &CreateOrderRequest) -> String {
    let asked: Vec<LineItem> = request
        .order
        .iter()
        .flat_map(|order| order.item.clone())
        .collect();
    match server.send_over(transport, request).await {
        Ok(created) if created.is_order() => {
            format!("created {} items", created.order().item.len())
        }
        Ok(failed) => describe_failure(&asked, &failed.failure()),
        Err(rejection) => format!("{:?} {}", rejection.code(), reason(&rejection)),
    }
}

/// A rule, an order to be created under it, and what comes of that. Rows build on those before.
type Row = (&'static str, CreateOrderRequest, &'static str);

fn museum(token: &str, items: impl IntoIterator<Item = Item>) -> CreateOrderRequest {
    order_request(token, "museum", items)
}

fn visit(tickets: &[(&str, i32)]) -> CreateOrderRequest {
    museum("a", [Item::museum_entry().tickets(tickets)])
}

fn night() -> Item {
    Item::of("museum-night", 20, 0, 7200)
        .tickets(&[("adult", 1)])
        .price("USD", 30_000_000)
}

/// What becomes of the items.
fn item_rows() -> Vec<Row> {
    let sold_out = Item::of("museum-entry", 8, 0, 7200)
        .tickets(&[("adult", 1)])
        .price("USD", 25_000_000);
    let unasked = two_adults().answers(&[("unasked", &["x"])]);
    vec![
        ("an order", museum("t", [two_adults()]), "created 1 items"),
        (
            "the same again",
            museum("t", [two_adults()]),
            "created 1 items",
        ),
        (
            "another under its token",
            museum("t", [night()]),
            "InvalidArgument TOKEN_REUSED",
        ),
        (
            "sold out",
            museum("a", [sold_out]),
            "UNFULFILLABLE_LINE_ITEM: SLOT_UNAVAILABLE 0",
        ),
        (
            "a price",
            museum("a", [two_adults().price("USD", 1)]),
            "UNFULFILLABLE_LINE_ITEM: INCORRECT_PRICE 48 USD50000000 PRICE_INCREASE",
        ),
        (
            "a bound",
            visit(&[("adult", 11)]),
            "UNFULFILLABLE_LINE_ITEM: TICKET_CONSTRAINT_VIOLATED 48 max=10",
        ),
        (
            "a child alone",
            visit(&[("child", 1)]),
            "UNFULFILLABLE_LINE_ITEM: CHILD_TICKETS_WITHOUT_ADULT 48",
        ),
        (
            "unknown",
            visit(&[("dog", 1)]),
            "UNFULFILLABLE_LINE_ITEM: UNFULFILLABLE_TICKET_COMBINATION 48",
        ),
        (
            "an answer",
            museum("a", [unasked]),
            "UNFULFILLABLE_LINE_ITEM: ITEM_UNFULFILLABLE_OTHER_REASON 48",
        ),
        (
            "a combination",
            museum("a", [two_adults(), night()]),
            "UNFULFILLABLE_SERVICE_COMBINATION: CAN_FULFILL 48 | CAN_FULFILL 40",
        ),
    ]
}

/// What becomes of fees, payments and requests that are none.
fn other_rows() -> Vec<Row> {
    let concert = || {
        let item = Item::symphony()
            .tickets(&[("stalls", 2), ("balcony", 1)])
            .price("USD", 205_000_000);
        order_request("f", "concert-hall", [item])
    };
    let paid = |payment| paid_with(museum("p", [two_adults()]), payment);
    vec![
        ("fees", concert(), "INCORRECT_FEE_TOTAL"),
        (
            "the right fees",
            stating_fees(concert(), "USD", 19_240_000),
            "created 1 items",
        ),
        (
            "a declined card",
            paid("decline"),
            "PAYMENT_ERROR_CARD_DECLINED",
        ),
        (
            "a rejected card type",
            paid("reject-visa"),
            "PAYMENT_ERROR_CARD_TYPE_REJECTED",
        ),
        ("a payment error", paid("error"), "PAYMENT_ERROR"),
        ("a challenge", paid("3ds1"), "PAYMENT_REQUIRES_3DS1"),
        ("a payment", paid("approve"), "created 1 items"),
        (
            "no payment token",
            paid(""),
            "InvalidArgument INVALID_REQUEST",
        ),
        (
            "nothing",
            CreateOrderRequest::default(),
            "InvalidArgument INVALID_REQUEST",
        ),
        (
            "no merchant",
            order_request("m", "nobody", [two_adults()]),
            "InvalidArgument INVALID_REQUEST",
        ),
    ]
}

#[tokio::test]
async fn every_outcome_of_a_creation_is_the_same_over_both_transports() {
    for transport in [Transport::Grpc, Transport::Rest] {
        let server = TestServer::start().await;
        for (rule, request, expected) in item_rows().into_iter().chain(other_rows()) {
            let outcome = create(&server, transport, &request).await;
            let outcome = outcome
                .strip_prefix("ORDER_UNFULFILLABLE: ")
                .unwrap_or(&outcome);
            assert_eq!(outcome, expected, "{rule}, {transport:?}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn an_unknown_enum_number_is_rejected_with_its_field() {
    let server = TestServer::start().await;
    let mut message: Value = serde_json::from_slice(&order("t")).unwrap();
    message["order"]["payment_information"] = json!({ "prepayment_status": 99 });
    let rejected = ask(&server, post(CREATE, message.to_string())).await;
    let rejection = rejected
        .message::<CheckOrderFulfillabilityResponse>()
        .unwrap_err();
    assert_eq!(
        crate::support::faulty_fields(&rejection),
        ["order.payment_information.prepayment_status"]
    );
    message["order"]["payment_information"] = json!({ "prepayment_status": 2 });
    assert_eq!(
        ask(&server, post(CREATE, message.to_string())).await.http,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_connection_serves_one_call_after_another() {
    let server = TestServer::start().await;
    let (mut sender, connection) = http1::handshake(connect(server.server.address()).await)
        .await
        .unwrap();
    tokio::spawn(connection);
    for token in 0..20 {
        for request in [
            post(CREATE, order(&token.to_string())),
            without_body(Method::GET, HEALTH),
            post(LIST, "{}"),
        ] {
            let expected = if request.uri() == LIST {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::OK
            };
            assert_eq!(
                answer(sender.send_request(request).await.unwrap())
                    .await
                    .http,
                expected
            );
        }
    }
    assert_eq!(server.list_user("user-1").await.unwrap().len(), 20);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_closed() {
    let mut config = config();
    config.connections.keepalive_interval = Duration::from_millis(50);
    config.connections.keepalive_timeout = Duration::from_millis(50);
    let server = Setup::with_config(config).start().await;
    let get = format!("GET {HEALTH} HTTP/1.1\r\nhost: boxoffice\r\n\r\n");
    for said in [&get[..get.len() - 2], &get] {
        let mut stream = TcpStream::connect(server.server.address()).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        with_timeout(
            "the end of a silent connection",
            stream.read_to_end(&mut heard),
        )
        .await
        .unwrap();
        assert_eq!(heard.starts_with(b"HTTP/1.1 200"), said == get);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_waits_for_nothing_does_not_hold_up_the_end() {
    let mut config = config();
    config.shutdown.drain_timeout = Duration::from_secs(3600);
    let server = Setup::with_config(config).start().await;
    let (mut idle, connection) = http1::handshake(connect(server.server.address()).await)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let good = idle
        .send_request(without_body(Method::GET, HEALTH))
        .await
        .unwrap();
    assert_eq!(answer(good).await.http, StatusCode::OK);
    let (stop, _cut) = server.begin_shutdown();
    with_timeout("the end", stop).await.unwrap();
    with_timeout("the end of the connection", connection)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_server_that_goes_ends_http_1_connections_with_an_answer() {
    let mut config = config();
    config.shutdown.drain_delay = Duration::from_secs(3600);
    let server = Setup::with_config(config).start().await;
    let address = server.server.address();
    let (mut old, connection) = http1::handshake(connect(address).await).await.unwrap();
    let connection = tokio::spawn(connection);
    let says_close = |answer: &Answer| {
        answer
            .headers
            .get("connection")
            .is_some_and(|what| what == "close")
    };
    let before = answer(old.send_request(post(CHECK, cart())).await.unwrap()).await;
    assert!(
        before.http.is_success() && !says_close(&before),
        "{before:?}"
    );

    let (stop, cut) = server.begin_shutdown();
    is_unhealthy(address).await;
    let last = answer(old.send_request(post(CREATE, order("last"))).await.unwrap()).await;
    assert!(last.http.is_success() && says_close(&last), "{last:?}");
    with_timeout("the end of the connection", connection)
        .await
        .unwrap()
        .unwrap();
    let by_http2 = send_http2(address, post(CHECK, cart())).await;
    assert!(
        by_http2.http.is_success() && !says_close(&by_http2),
        "{by_http2:?}"
    );
    cut.send(()).unwrap();
    with_timeout("the end", stop).await.unwrap();
}

#[tokio::test]
async fn a_call_in_flight_is_finished_before_its_connection_is_closed() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.shutdown.drain_timeout = Duration::from_secs(3600);
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .start()
        .await;
    let (mut sender, connection) = http1::handshake(connect(server.server.address()).await)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let message = serde_json::to_vec(&paid_order("slow")).unwrap();
    let slow = tokio::spawn(sender.send_request(post(CREATE, message)));
    payments.asked_times(1).await;
    let (stop, _cut) = server.begin_shutdown();
    payments.capture();
    let answered = answer(slow.await.unwrap().unwrap()).await;
    assert_eq!(answered.http, StatusCode::OK);
    with_timeout("the end", stop).await.unwrap();
    with_timeout("the end of the connection", connection)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn demand_through_one_door_is_seen_through_the_other() {
    let server = TestServer::start().await;
    let trip = |token, count| order_request(token, "rafting", [seats(count)]);
    for (transport, token, left) in [(Transport::Rest, "a", 7), (Transport::Grpc, "b", 2)] {
        assert_eq!(
            create(&server, transport, &trip(token, 5)).await,
            "created 1 items"
        );
        assert_eq!(server.spots_open("rafting", seats(2)).await, left);
    }
}
