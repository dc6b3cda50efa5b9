//! The operator's transport.

use std::{net::TcpListener, sync::Arc};

use http::Method;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{
    Item, Setup, TestServer, config,
    doubles::BreakableStore,
    order_request,
    process::{Program, with_timeout},
    rest_client::{Answer, send, send_http2, without_body},
};

/// A server whose operator's transport is open, too.
async fn start(setup: Setup) -> TestServer {
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    Setup { config, ..setup }.start().await
}

async fn get(server: &TestServer, path: &str) -> Answer {
    send(
        server.server.admin_address().unwrap(),
        without_body(Method::GET, path),
    )
    .await
}

/// What the probes see: alive, ready.
async fn probes(server: &TestServer) -> (u16, u16) {
    (
        get(server, "/livez").await.http.as_u16(),
        get(server, "/readyz").await.http.as_u16(),
    )
}

#[tokio::test]
async fn a_server_that_serves_is_alive_and_ready() {
    let server = start(Setup::default()).await;
    assert_eq!(probes(&server).await, (200, 200));
    let address = server.server.admin_address().unwrap();
    assert_eq!(
        send_http2(address, without_body(Method::GET, "/livez"))
            .await
            .body,
        "ok\n"
    );
    assert_eq!(
        send(address, without_body(Method::HEAD, "/readyz"))
            .await
            .http,
        200
    );
    server.stop().await;
}

#[tokio::test]
async fn a_failed_store_calls_for_a_restart() {
    let store = Arc::new(BreakableStore::new());
    let server = start(Setup {
        store: store.clone(),
        ..Setup::default()
    })
    .await;
    store.break_down();
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    server
        .send(order_request("token", "museum", [item]))
        .await
        .unwrap_err();
    assert_eq!(probes(&server).await, (503, 503));
    server.stop().await;
}

#[tokio::test]
async fn the_admin_listener_serves_grpc_health() {
    let server = start(Setup::default()).await;
    let address = format!("http://{}", server.server.admin_address().unwrap());
    let channel = Channel::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap();
    for service in ["", "ext.maps.booking.partner.v3.BookingService"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let health = HealthClient::new(channel.clone())
            .check(request)
            .await
            .unwrap();
        assert_eq!(
            health.into_inner().status(),
            ServingStatus::Serving,
            "{service}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_down_is_alive_and_not_ready_until_the_end() {
    let mut running = Program::new()
        .args(["--admin-listen=127.0.0.1:0", "--drain-delay=1h"])
        .start()
        .await;
    let listening = running
        .line("listening", |line| line["message"] == "listening")
        .await;
    let address = listening["admin_address"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    running.signal("TERM").await;
    running
        .line("the signal", |line| line["message"] == "shutdown started")
        .await;
    let not_ready = async {
        while send(address, without_body(Method::GET, "/readyz"))
            .await
            .http
            != 503
        {}
    };
    with_timeout("it is not ready", not_ready).await;
    assert_eq!(
        send(address, without_body(Method::GET, "/livez"))
            .await
            .http,
        200
    );
    running.signal("TERM").await;
    assert_eq!(running.ended().await.code(), 0);
}

#[tokio::test]
async fn errors_of_the_admin_listener_have_the_form_of_all_errors() {
    let server = start(Setup::default()).await;
    let outcome = (404, "NOT_FOUND".to_owned(), "NOT_FOUND".to_owned());
    assert_eq!(get(&server, "/v3/HealthCheck").await.outcome(), outcome);
    let posted = send(
        server.server.admin_address().unwrap(),
        without_body(Method::POST, "/livez"),
    )
    .await;
    assert_eq!(
        posted.outcome(),
        (
            405,
            "UNIMPLEMENTED".to_owned(),
            "METHOD_NOT_ALLOWED".to_owned()
        )
    );
    assert_eq!(posted.headers["allow"], "GET, HEAD");
    server.stop().await;
}

#[tokio::test]
async fn it_points_to_what_is_there_and_not_to_what_is_elsewhere() {
    let server = start(Setup::default()).await;
    for (path, http) in [
        ("/", 200),
        ("/v3/CreateOrder", 404),
        ("/nowhere", 404),
        ("/livez/x", 404),
    ] {
        let answer = get(&server, path).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert_eq!(answer.http, http, "{path}");
        for there in ["/livez", "/readyz", "/metrics", "/feeds"] {
            assert!(text.contains(there), "{path}: {text}");
        }
        assert!(!text.contains("/v3/"), "{path}: {text}");
    }
    // Callers get the hint about their own methods.
    let answer = send(
        server.server.address(),
        without_body(Method::GET, "/nowhere"),
    )
    .await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(
        text.contains("/v3/CreateOrder") && !text.contains("/metrics"),
        "{text}"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_other_machines_reach_is_warned_of() {
    for (address, warnings) in [
        ("0.0.0.0:0", 1),
        ("[::]:0", 1),
        ("127.0.0.1:0", 0),
        ("[::1]:0", 0),
        ("off", 0),
    ] {
        let ended = Program::new()
            .args(["--admin-listen", address])
            .start()
            .await
            .stop()
            .await;
        let is_warning = |line: &serde_json::Value| {
            line["level"] == "WARN"
                && line["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("THE ADMIN LISTENER")
        };
        assert_eq!(
            ended.log().filter(is_warning).count(),
            warnings,
            "{address}: {}",
            ended.text()
        );
    }
}

#[tokio::test]
async fn an_address_that_is_taken_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Program::new()
        .args(["--admin-listen", &address])
        .run()
        .await;
    assert_eq!(ended.code(), 69, "{}", ended.text());
    assert!(ended.text().contains(&address), "{}", ended.text());
}
