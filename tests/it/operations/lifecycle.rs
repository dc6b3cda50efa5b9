//! Startup, serving within limits, and shutdown.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use boxoffice::{
    api::booking::proto::v3::{
        CheckOrderFulfillabilityRequest, CreateOrderRequest, CreateOrderResponse,
        create_order_response::Result as Outcome,
    },
    config::{Config, PaymentsChoice, RuntimeChoice},
    store::{Store, memory::MemoryStore},
};
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpStream};
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt;

use crate::support::{
    Item, Setup, TestServer,
    byte_client::{Answer, ByteClient, framed, unfinished, whole},
    config, copy_dir,
    doubles::{BreakableStore, GatewayDouble},
    order_request, paid_with,
    process::{Program, with_timeout},
    sample_catalog,
};

const SERVICE: &str = "ext.maps.booking.partner.v3.BookingService";

const AN_HOUR: Duration = Duration::from_secs(3600);

fn two_adults() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn check_request() -> CheckOrderFulfillabilityRequest {
    let item = vec![two_adults().0];
    CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item,
        cart_id: String::new(),
    }
}

fn free_order(token: &str) -> CreateOrderRequest {
    order_request(token, "museum", [two_adults()])
}

fn paid_order(token: &str) -> CreateOrderRequest {
    paid_with(free_order(token), "approve")
}

async fn connect(server: &TestServer) -> ByteClient {
    ByteClient::connect(server.server.address()).await
}

async fn check(client: &ByteClient) -> Answer {
    client
        .call("CheckOrderFulfillability", &check_request().encode_to_vec())
        .await
}

/// The same where the connection may be at its end.
async fn try_check(client: &ByteClient) -> Result<Answer, hyper::Error> {
    let body = whole(framed(&check_request().encode_to_vec()));
    client
        .send(
            client
                .request("CheckOrderFulfillability")
                .body(body)
                .unwrap(),
        )
        .await
}

/// The id of the order that was created.
fn order_id(answer: &Answer) -> String {
    match answer.message::<CreateOrderResponse>().result {
        Some(Outcome::Order(order)) => order.order_id,
        other => panic!("not an order: {other:?}"),
    }
}

/// A call in a background task.
fn begin(
    client: &ByteClient,
    request: &CreateOrderRequest,
) -> tokio::task::JoinHandle<Result<Answer, hyper::Error>> {
    let body = whole(framed(&request.encode_to_vec()));
    let (client, request) = (
        client.clone(),
        client.request("CreateOrder").body(body).unwrap(),
    );
    tokio::spawn(async move { client.send(request).await })
}

async fn asked_health(server: &TestServer, service: &str) -> Result<HealthCheckResponse, Status> {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    HealthClient::new(server.channel.clone())
        .check(request)
        .await
        .map(tonic::Response::into_inner)
}

/// What a service says of its health, from now on.
async fn health(channel: Channel, service: &str) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    HealthClient::new(channel)
        .watch(request)
        .await
        .unwrap()
        .into_inner()
}

async fn next_health(health: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    with_timeout("news of health", health.message())
        .await
        .unwrap()
        .unwrap()
        .status()
}

/// What one version of reflection answers.
async fn reflect(client: &ByteClient, version: &str, request: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
    let request = client
        .request_to(&path)
        .body(whole(framed(&request.encode_to_vec())))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    answer
        .message::<ServerReflectionResponse>()
        .message_response
        .unwrap()
}

#[tokio::test]
async fn reflection_names_every_service_and_describes_errors_in_both_versions() {
    let server = TestServer::start().await;
    let client = connect(&server).await;
    for version in ["v1", "v1alpha"] {
        let listed = reflect(
            &client,
            version,
            MessageRequest::ListServices(String::new()),
        )
        .await;
        let MessageResponse::ListServicesResponse(listed) = listed else {
            panic!("{version}: {listed:?}")
        };
        let names: Vec<String> = listed
            .service
            .into_iter()
            .map(|service| service.name)
            .collect();
        let reflection = format!("grpc.reflection.{version}.ServerReflection");
        for name in [SERVICE, "grpc.health.v1.Health", &reflection] {
            assert!(
                names.iter().any(|listed| listed == name),
                "{version}: {name} is not in {names:?}"
            );
        }
        for symbol in [
            SERVICE,
            "google.rpc.BadRequest",
            "google.rpc.ErrorInfo",
            "google.rpc.RetryInfo",
        ] {
            let described = reflect(
                &client,
                version,
                MessageRequest::FileContainingSymbol(symbol.into()),
            )
            .await;
            let MessageResponse::FileDescriptorResponse(files) = described else {
                panic!("{version} does not know {symbol}: {described:?}")
            };
            let package = symbol.rsplit_once('.').unwrap().0;
            let declares = |file: &Vec<u8>| {
                prost_types::FileDescriptorProto::decode(&file[..])
                    .unwrap()
                    .package()
                    == package
            };
            assert!(
                files.file_descriptor_proto.iter().any(declares),
                "{version}: {symbol}"
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_has_started_is_healthy_as_a_whole_and_by_service() {
    let server = TestServer::start().await;
    for service in ["", SERVICE] {
        let answer = asked_health(&server, service).await;
        assert_eq!(
            answer.unwrap().status(),
            ServingStatus::Serving,
            "{service:?}"
        );
    }
    assert_eq!(
        asked_health(&server, "stranger").await.unwrap_err().code(),
        Code::NotFound
    );
    server.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_stops_orders_and_health_and_nothing_else() {
    let store = Arc::new(BreakableStore::new());
    let server = Setup {
        store: store.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    let mut all = health(server.channel.clone(), "").await;
    let mut service = health(server.channel.clone(), SERVICE).await;
    assert_eq!(next_health(&mut all).await, ServingStatus::Serving);
    assert_eq!(next_health(&mut service).await, ServingStatus::Serving);
    let kept = server.send(free_order("before")).await.unwrap().order();

    store.break_down();
    let client = connect(&server).await;
    let rejected = client
        .call("CreateOrder", &free_order("after").encode_to_vec())
        .await;
    assert_eq!(
        (rejected.code(), rejected.reason().as_str()),
        (Code::Unavailable, "STORE_UNAVAILABLE")
    );
    assert!(rejected.details().retry_info().is_some());
    assert_eq!(next_health(&mut all).await, ServingStatus::NotServing);
    assert_eq!(next_health(&mut service).await, ServingStatus::NotServing);

    assert_eq!(server.list_user("user-1").await.unwrap(), [kept]);
    assert_eq!(
        server
            .check("museum", [two_adults()])
            .await
            .unwrap()
            .verdict(),
        "CAN_FULFILL"
    );
    server.stop().await;
}

/// The ids of these orders that are on record.
async fn list(client: &ByteClient, ids: &[String]) -> Vec<String> {
    use boxoffice::api::booking::proto::v3::{
        ListOrdersRequest, ListOrdersResponse,
        list_orders_request::{Ids, OrderIds},
    };
    let request = ListOrdersRequest {
        ids: Some(Ids::OrderIds(OrderIds {
            order_id: ids.to_vec(),
        })),
    };
    let answer = client.call("ListOrders", &request.encode_to_vec()).await;
    answer
        .message::<ListOrdersResponse>()
        .order
        .into_iter()
        .map(|order| order.order_id)
        .collect()
}

#[tokio::test]
async fn a_call_ends_when_its_time_is_up_and_its_order_is_still_created() {
    for (timeout, ceiling) in [
        (Some("150m"), AN_HOUR),
        (None, Duration::from_millis(150)),
        (Some("2H"), Duration::from_millis(150)),
    ] {
        let payments = GatewayDouble::silent();
        let mut config = config();
        config.calls.call_timeout = ceiling;
        let server = Setup::with_config(config)
            .with_gateway(&payments)
            .start()
            .await;
        let client = connect(&server).await;
        let message = paid_order("slow").encode_to_vec();
        let mut request = client.request("CreateOrder");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let answer = client.send(request.body(whole(framed(&message))).unwrap());
        let late = with_timeout("an answer to a slow call", answer)
            .await
            .unwrap();
        let outcome = (late.code(), late.reason());
        assert_eq!(
            outcome,
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()),
            "{timeout:?} {ceiling:?}"
        );
        assert_eq!(server.list_user("user-1").await.unwrap(), []);

        payments.asked_times(1).await;
        payments.capture();
        let again = with_timeout("the order", async {
            loop {
                let again = client.call("CreateOrder", &message).await;
                if again.code() == Code::Ok {
                    break again;
                }
            }
        })
        .await;
        assert_eq!(
            server.list_user("user-1").await.unwrap()[0].order_id,
            order_id(&again)
        );
        assert_eq!(payments.asked().len(), 1, "money is asked for once");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_timeout_that_is_none_is_the_callers_mistake() {
    let server = TestServer::start().await;
    let client = connect(&server).await;
    for timeout in [
        "",
        "1",
        "S",
        "1s",
        "-1S",
        "1.5S",
        "soon",
        "123456789S",
        "1 S",
    ] {
        for (method, message) in [
            ("CheckOrderFulfillability", check_request().encode_to_vec()),
            ("CreateOrder", free_order("untimely").encode_to_vec()),
            ("ListOrders", b"\x0a\x06user-1".to_vec()),
        ] {
            let request = client.request(method).header("grpc-timeout", timeout);
            let answer = client
                .send(request.body(whole(framed(&message))).unwrap())
                .await
                .unwrap();
            assert_eq!(answer.code(), Code::InvalidArgument, "{method} {timeout:?}");
            assert!(
                answer.status().message().contains("grpc-timeout"),
                "{method} {timeout:?}"
            );
        }
    }
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
    server.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_rejected_until_others_have_ended() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.calls.max_in_flight = 1;
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .start()
        .await;
    let client = connect(&server).await;
    let first = begin(&client, &paid_order("first"));
    payments.asked_times(1).await;
    for client in [&client, &connect(&server).await] {
        let rejected = check(client).await;
        assert_eq!(
            (rejected.code(), rejected.reason().as_str()),
            (Code::ResourceExhausted, "CONCURRENCY_LIMIT")
        );
        assert!(rejected.details().retry_info().is_some());
    }
    payments.capture();
    order_id(&first.await.unwrap().unwrap());
    assert_eq!(check(&client).await.code(), Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    let mut config = config();
    config.calls.max_request_bytes = 4096;
    let server = Setup::with_config(config).start().await;
    let client = connect(&server).await;
    let mut message = check_request().encode_to_vec();
    // A field that nobody knows, two bytes of tag and two of length.
    let filler = 4096 - message.len() - 4;
    message.extend([
        0xfa,
        0x7f,
        u8::try_from(filler % 128 + 128).unwrap(),
        u8::try_from(filler / 128).unwrap(),
    ]);
    message.resize(4096, b'x');
    assert_eq!(
        client
            .call("CheckOrderFulfillability", &message)
            .await
            .code(),
        Code::Ok
    );

    message.push(b'x');
    for method in ["CheckOrderFulfillability", "CreateOrder", "ListOrders"] {
        let rejected = client.call(method, &message).await;
        assert_eq!(
            (rejected.code(), rejected.reason().as_str()),
            (Code::ResourceExhausted, "REQUEST_TOO_LARGE")
        );
    }
    assert_eq!(check(&client).await.code(), Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn an_order_may_have_as_many_items_as_the_limit_and_no_more() {
    let mut config = config();
    config.sales.max_items_per_order = 3;
    let server = Setup::with_config(config).start().await;
    let checked = server.check("museum", vec![two_adults(); 3]).await.unwrap();
    assert_eq!(checked.verdict(), "CAN_FULFILL");
    let rejections = [
        (
            server
                .check("museum", vec![two_adults(); 4])
                .await
                .unwrap_err(),
            "item",
        ),
        (
            server
                .create("many", "museum", vec![two_adults(); 4])
                .await
                .unwrap_err(),
            "order.item",
        ),
    ];
    for (rejected, field) in rejections {
        assert_eq!(rejected.code(), Code::InvalidArgument);
        let violations = rejected
            .get_error_details()
            .bad_request()
            .unwrap()
            .field_violations
            .clone();
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, field);
        assert!(
            violations[0].description.contains("at most 3"),
            "{violations:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_that_are_too_old_are_ended_without_losing_a_call() {
    let mut config = config();
    config.connections.max_connection_age = Some(Duration::from_millis(100));
    let server = Setup::with_config(config).start().await;
    let mut answered = 0;
    for _ in 0..5 {
        let client = connect(&server).await;
        let ended = async {
            loop {
                match try_check(&client).await {
                    Ok(answer) => assert_eq!(answer.code(), Code::Ok),
                    Err(error) => return error,
                }
                answered += 1;
            }
        };
        let error = with_timeout("the end of an old connection", ended).await;
        assert!(
            error.is_canceled() || error.is_closed(),
            "a call was sent and not answered: {error:?}"
        );
    }
    assert!(answered > 0);
    server.stop().await;
}

#[tokio::test]
async fn a_call_on_a_connection_that_is_too_old_is_finished() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.connections.max_connection_age = Some(Duration::from_millis(500));
    config.connections.max_connection_age_grace = AN_HOUR;
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .start()
        .await;
    let client = connect(&server).await;
    let slow = begin(&client, &paid_order("slow"));
    payments.asked_times(1).await;
    with_timeout("the end of an old connection", async {
        while try_check(&client).await.is_ok() {}
    })
    .await;
    payments.capture();
    order_id(&slow.await.unwrap().unwrap());
    server.stop().await;
}

#[tokio::test]
async fn both_ways_to_share_the_work_serve_many_connections() {
    for runtime in [RuntimeChoice::PerCore, RuntimeChoice::Shared] {
        let mut config = config();
        config.serving.runtime = runtime;
        let server = Setup::with_config(config).start().await;
        let mut ids = Vec::new();
        for number in 0..16 {
            let client = connect(&server).await;
            let request = free_order(&format!("order-{number}"));
            ids.push(order_id(
                &client.call("CreateOrder", &request.encode_to_vec()).await,
            ));
        }
        let client = connect(&server).await;
        assert_eq!(list(&client, &ids).await, ids, "{runtime:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_never_comes_to_its_end_is_not_waited_for() {
    let mut config = config();
    config.calls.call_timeout = Duration::from_millis(100);
    let server = Setup::with_config(config).start().await;
    let client = connect(&server).await;
    let body = unfinished(framed(&check_request().encode_to_vec()).slice(..20));
    let answer = client.send(
        client
            .request("CheckOrderFulfillability")
            .body(body)
            .unwrap(),
    );
    let late = with_timeout("an answer to half a message", answer)
        .await
        .unwrap();
    assert_eq!(
        (late.code(), late.reason().as_str()),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
    );
    assert_eq!(check(&client).await.code(), Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_never_says_anything_is_closed() {
    let mut config = config();
    config.connections.keepalive_interval = Duration::from_millis(200);
    config.connections.keepalive_timeout = Duration::from_millis(200);
    let server = Setup::with_config(config).start().await;
    let mut silent = TcpStream::connect(server.server.address()).await.unwrap();
    let read = with_timeout("the end of a silent connection", silent.read(&mut [0])).await;
    assert_eq!(read.unwrap(), 0);
    assert_eq!(check(&connect(&server).await).await.code(), Code::Ok);
    server.stop().await;
}

/// Waits until connections to an address are refused.
async fn assert_connection_refused(address: SocketAddr) {
    with_timeout("a refused connection", async {
        while TcpStream::connect(address).await.is_ok() {}
    })
    .await;
}

#[tokio::test]
async fn a_stopping_server_is_not_ready_and_serves_during_the_drain_delay() {
    let mut config = config();
    config.shutdown.drain_delay = AN_HOUR;
    let server = Setup::with_config(config).start().await;
    let address = server.server.address();
    let client = connect(&server).await;
    let mut all = health(server.another_connection().await, "").await;
    let mut service = health(server.another_connection().await, SERVICE).await;
    assert_eq!(next_health(&mut all).await, ServingStatus::Serving);
    assert_eq!(next_health(&mut service).await, ServingStatus::Serving);

    let (stop, cut) = server.begin_shutdown();
    assert_eq!(next_health(&mut all).await, ServingStatus::NotServing);
    assert_eq!(next_health(&mut service).await, ServingStatus::NotServing);
    order_id(
        &client
            .call("CreateOrder", &free_order("old connection").encode_to_vec())
            .await,
    );
    let latest = ByteClient::connect(address).await;
    order_id(
        &latest
            .call("CreateOrder", &free_order("new connection").encode_to_vec())
            .await,
    );

    cut.send(()).unwrap();
    with_timeout("the end", stop).await.unwrap();
    assert_connection_refused(address).await;
}

#[tokio::test]
async fn calls_in_flight_are_finished_while_new_connections_are_refused() {
    for runtime in [RuntimeChoice::PerCore, RuntimeChoice::Shared] {
        let payments = GatewayDouble::silent();
        let mut config = config();
        config.serving.runtime = runtime;
        config.shutdown.drain_timeout = AN_HOUR;
        let server = Setup::with_config(config)
            .with_gateway(&payments)
            .start()
            .await;
        let address = server.server.address();
        let client = connect(&server).await;
        let slow = begin(&client, &paid_order("slow"));
        payments.asked_times(1).await;
        let (stop, _cut) = server.begin_shutdown();
        assert_connection_refused(address).await;
        assert!(!stop.is_finished(), "{runtime:?}");
        payments.capture();
        order_id(&slow.await.unwrap().unwrap());
        with_timeout("the end", stop).await.unwrap();
    }
}

#[tokio::test]
async fn an_order_is_finished_even_if_its_caller_has_hung_up() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.shutdown.drain_timeout = AN_HOUR;
    let store = Arc::new(MemoryStore::default());
    let server = Setup {
        config,
        payments: payments.clone(),
        store: store.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    let address = server.server.address();
    let client = connect(&server).await;
    let slow = begin(&client, &paid_order("slow"));
    payments.asked_times(1).await;
    slow.abort();
    drop(client);
    let (stop, _cut) = server.begin_shutdown();
    assert_connection_refused(address).await;
    payments.capture();
    with_timeout("the end", stop).await.unwrap();
    let key = store.order_key(&"slow".into());
    let found = store.find_request(&key).get().await;
    assert!(found.unwrap().is_some());
}

#[tokio::test]
async fn a_connection_that_never_says_anything_does_not_hold_up_the_end() {
    for runtime in [RuntimeChoice::PerCore, RuntimeChoice::Shared] {
        let mut config = config();
        config.serving.runtime = runtime;
        config.serving.workers = Some(1);
        config.shutdown.drain_timeout = AN_HOUR;
        let server = Setup::with_config(config).start().await;
        let silent = TcpStream::connect(server.server.address()).await.unwrap();
        // Connections are received in the order they come, so the silent one has been by now.
        assert_eq!(check(&connect(&server).await).await.code(), Code::Ok);
        let (stop, _cut) = server.begin_shutdown();
        with_timeout("the end", stop).await.unwrap();
        drop(silent);
    }
}

#[tokio::test]
async fn health_watchers_do_not_delay_the_shutdown() {
    let mut config = config();
    config.shutdown.drain_timeout = AN_HOUR;
    let server = Setup::with_config(config).start().await;
    let mut watched = health(server.another_connection().await, "").await;
    assert_eq!(next_health(&mut watched).await, ServingStatus::Serving);
    let (stop, _cut) = server.begin_shutdown();
    assert_eq!(next_health(&mut watched).await, ServingStatus::NotServing);
    assert!(
        with_timeout("the end of the news", watched.message())
            .await
            .unwrap()
            .is_none()
    );
    with_timeout("the end", stop).await.unwrap();
}

#[tokio::test]
async fn a_forced_shutdown_abandons_unfinished_calls() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.shutdown.drain_timeout = AN_HOUR;
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .start()
        .await;
    let address = server.server.address();
    let client = connect(&server).await;
    let slow = begin(&client, &paid_order("slow"));
    payments.asked_times(1).await;
    let (stop, cut) = server.begin_shutdown();
    assert_connection_refused(address).await;
    cut.send(()).unwrap();
    with_timeout("the end", stop).await.unwrap();
    assert!(
        with_timeout("the end of the call", slow)
            .await
            .unwrap()
            .is_err()
    );
}

#[tokio::test]
async fn the_program_says_once_where_it_listens_and_ends_well_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let running = Program::new().start().await;
        assert_ne!(running.address().port(), 0);
        let client = ByteClient::connect(running.address()).await;
        assert_eq!(
            client
                .call("CheckOrderFulfillability", &check_request().encode_to_vec())
                .await
                .code(),
            Code::Ok
        );
        running.signal(signal).await;
        let ended = running.ended().await;
        assert_eq!(ended.code(), 0, "{signal}: {}", ended.text());
        assert_eq!(
            ended
                .log()
                .filter(|line| line["message"] == "listening")
                .count(),
            1
        );
        assert_eq!(ended.log().last().unwrap()["message"], "shutdown complete");
    }
}

#[tokio::test]
async fn a_second_signal_cuts_the_program_short() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let mut running = Program::new().args(["--drain-delay=1h"]).start().await;
        running.signal(first).await;
        running
            .line("the first signal", |line| {
                line["message"] == "shutdown started"
            })
            .await;
        running.signal(second).await;
        let ended = running.ended().await;
        assert_eq!(ended.code(), 0, "{first} {second}: {}", ended.text());
        assert!(
            ended
                .log()
                .any(|line| line["message"] == "shutdown forced by second signal"),
            "{first} {second}"
        );
    }
}

#[tokio::test]
async fn an_address_belongs_to_one_program_only() {
    for runtime in ["per-core", "shared"] {
        let first = Program::new().args(["--runtime", runtime]).start().await;
        let address = first.address().to_string();
        let second = Program::new()
            .args(["--runtime", runtime, "--listen", &address])
            .run()
            .await;
        assert_eq!(second.code(), 69, "{runtime}: {}", second.text());
        assert!(
            second.text().contains(&address),
            "{runtime}: {}",
            second.text()
        );
        first.stop().await;
    }
}

#[tokio::test]
async fn an_address_is_free_again_once_its_program_has_ended() {
    let first = Program::new().start().await;
    let address = first.address().to_string();
    let client = ByteClient::connect(first.address()).await;
    assert_eq!(check(&client).await.code(), Code::Ok);
    first.stop().await;
    let second = Program::new().args(["--listen", &address]).start().await;
    assert_eq!(second.stop().await.code(), 0);
}

#[tokio::test]
async fn a_broken_catalogue_stops_the_start_with_all_its_errors() {
    let dir = TempDir::new().unwrap();
    copy_dir(&sample_catalog(), dir.path());
    let rules = dir.path().join("rules.toml");
    let errors =
        "\n[[merchant]]\nid = \"nobody\"\n\n[[service]]\nmerchant = \"museum\"\nid = \"nothing\"\n";
    std::fs::write(&rules, std::fs::read_to_string(&rules).unwrap() + errors).unwrap();
    let store = TempDir::new().unwrap();
    let kept = store.path().join("orders");
    let ended = Program::new()
        .with_store(&kept)
        .args(["--catalog", dir.path().to_str().unwrap()])
        .run()
        .await;
    assert_eq!(ended.code(), 65, "{}", ended.text());
    for expected in ["nobody", "nothing", "rules.toml"] {
        assert!(
            ended.text().contains(expected),
            "{expected} is not in {}",
            ended.text()
        );
    }
    assert!(!kept.exists(), "nothing is opened");
}

#[tokio::test]
async fn all_invalid_settings_are_reported_before_anything_is_opened() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let kept = dir.path().join("orders");
    let ended = Program::new()
        .with_store(&kept)
        .args(["--listen", &address, "--workers=many"])
        .run()
        .await;
    assert_eq!(ended.code(), 64, "{}", ended.text());
    let expected = "error: invalid value 'many' for '--workers <COUNT>'";
    assert!(ended.text().contains(expected), "{}", ended.text());
    assert!(!kept.exists(), "nothing is opened");
}

#[tokio::test]
async fn a_store_in_memory_warns_that_nothing_is_kept() {
    let ended = Program::new()
        .args(["--store=memory"])
        .start()
        .await
        .stop()
        .await;
    let warned = ended.log().any(|line| {
        line["level"] == "WARN"
            && line["message"]
                .as_str()
                .is_some_and(|text| text.contains("memory"))
    });
    assert!(warned, "{}", ended.text());
    let dir = TempDir::new().unwrap();
    let ended = Program::new()
        .with_store(dir.path())
        .args(["--payments=off"])
        .start()
        .await
        .stop()
        .await;
    // Two things a first start without payments warns of.
    let expected = ["payments are off", "an empty one was created"];
    let is_other = |line: &Value| {
        let text = line["message"].as_str().unwrap_or_default();
        !expected.iter().any(|expected| text.contains(expected))
    };
    let warned = ended
        .log()
        .any(|line| line["level"] == "WARN" && is_other(&line));
    assert!(!warned, "{}", ended.text());
}

#[tokio::test]
async fn services_that_require_prepayment_are_warnings_with_payments_off() {
    for (payments, expected) in [("off", true), ("simulated", false)] {
        let ended = Program::new()
            .args([format!("--payments={payments}")])
            .start()
            .await
            .stop()
            .await;
        let warned = ended.log().any(|line| {
            line["level"] == "WARN"
                && line["services"] == 1
                && line["message"]
                    .as_str()
                    .is_some_and(|text| text.contains("have to be prepaid"))
        });
        assert_eq!(warned, expected, "{}", ended.text());
    }
}

#[tokio::test]
async fn simulated_payments_warn_in_capitals_at_every_start_and_are_not_the_default() {
    assert_eq!(Config::default().sales.payments, PaymentsChoice::Off);
    let dir = TempDir::new().unwrap();
    for _ in 0..2 {
        let simulated = Program::new()
            .with_store(dir.path())
            .args(["--payments=simulated"]);
        let ended = simulated.start().await.stop().await;
        let warned = ended.log().any(|line| {
            line["level"] == "WARN"
                && line["message"]
                    .as_str()
                    .is_some_and(|text| text.contains("NO MONEY IS TAKEN"))
        });
        assert!(warned, "{}", ended.text());
    }
}
