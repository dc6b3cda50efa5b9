//! Every answer names its request, and so does every line of the log about it.

use std::collections::BTreeSet;

use http::{Method, Request};
use prost::Message;
use serde_json::Value;
use tonic::Code;

use crate::support::{
    Item, TestServer,
    byte_client::{Body, ByteClient, framed, whole},
    order_request, paid_with,
    process::Program,
    rest_client::{post, send, without_body},
};

const ID: &str = "x-request-id";

fn called(mut request: Request<Body>, id: &str) -> Request<Body> {
    request.headers_mut().insert(ID, id.parse().unwrap());
    request
}

/// Requests over both transports that are answered, and others that each stage rejects.
fn requests(client: &ByteClient) -> Vec<(Request<Body>, Code)> {
    let frame = framed(b"");
    let compressed = client.request("ListOrders").header("grpc-encoding", "br");
    vec![
        (
            client
                .request_to("/grpc.health.v1.Health/Check")
                .body(whole(frame.clone()))
                .unwrap(),
            Code::Ok,
        ),
        (
            client
                .request("ListOrders")
                .body(whole(frame.clone()))
                .unwrap(),
            Code::InvalidArgument,
        ),
        (
            client
                .request("ListOrders")
                .body(whole(framed(b"\xff")))
                .unwrap(),
            Code::InvalidArgument,
        ),
        (
            client
                .request("ListOrders")
                .body(whole(b"\x02".to_vec()))
                .unwrap(),
            Code::InvalidArgument,
        ),
        (
            client
                .request("ListOrders")
                .header("grpc-timeout", "x")
                .body(whole(frame.clone()))
                .unwrap(),
            Code::InvalidArgument,
        ),
        (
            compressed.body(whole(frame.clone())).unwrap(),
            Code::Unimplemented,
        ),
        (
            client
                .request("Unheard")
                .body(whole(frame.clone()))
                .unwrap(),
            Code::Unimplemented,
        ),
        (
            client.request_to("/nowhere").body(whole(frame)).unwrap(),
            Code::Unimplemented,
        ),
    ]
}

#[tokio::test]
async fn a_callers_id_comes_back_whatever_comes_of_the_request() {
    let server = TestServer::start().await;
    let client = ByteClient::connect(server.server.address()).await;
    for (request, code) in requests(&client) {
        let answer = client.send(called(request, "abc-1")).await.unwrap();
        assert_eq!(
            (answer.code(), answer.header(ID)),
            (code, "abc-1"),
            "{answer:?}"
        );
    }
    for (request, status) in [
        (without_body(Method::GET, "/v3/HealthCheck"), 200),
        (without_body(Method::HEAD, "/v3/HealthCheck"), 200),
        (without_body(Method::GET, "/"), 404),
        (without_body(Method::PUT, "/v3/ListOrders"), 405),
        (without_body(Method::POST, "/v3/ListOrders"), 415),
        (post("/v3/ListOrders", "{"), 400),
        (post("/v3/ListOrders", r#"{"user_id": "u"}"#), 200),
    ] {
        let answer = send(server.server.address(), called(request, "abc-2")).await;
        assert_eq!(answer.http, status);
        assert_eq!(answer.headers[ID], "abc-2", "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_id_is_made_where_none_is_given_that_can_be_used() {
    let server = TestServer::start().await;
    let client = ByteClient::connect(server.server.address()).await;
    let mut seen = BTreeSet::new();
    let long = "x".repeat(129);
    for given in [
        None,
        None,
        Some(""),
        Some("two words"),
        Some("quo\"te"),
        Some(&*long),
    ] {
        let request = |request: Request<Body>| match given {
            Some(id) => called(request, id),
            None => request,
        };
        let by_grpc = client
            .request("ListOrders")
            .body(whole(framed(b"")))
            .unwrap();
        let by_grpc = client
            .send(request(by_grpc))
            .await
            .unwrap()
            .header(ID)
            .to_owned();
        let by_rest = send(
            server.server.address(),
            request(without_body(Method::GET, "/")),
        )
        .await;
        let by_rest = by_rest.headers[ID].to_str().unwrap().to_owned();
        for id in [by_grpc, by_rest] {
            assert!(
                id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{given:?}: {id}"
            );
            assert!(seen.insert(id));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn lines_about_a_request_carry_its_id_wherever_they_are_written() {
    let server = Program::new().args(["--log=boxoffice=debug"]).start().await;
    let client = ByteClient::connect(server.address()).await;
    let item = crate::support::process::in_days(Item::museum_entry(), 1)
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let order = paid_with(order_request("token", "museum", [item]), "approve");
    let create = client
        .request("CreateOrder")
        .body(whole(framed(&order.encode_to_vec())))
        .unwrap();
    assert_eq!(
        client
            .send(called(create, "r-create"))
            .await
            .unwrap()
            .code(),
        Code::Ok
    );
    let late = client
        .request("CreateOrder")
        .header("grpc-timeout", "x")
        .body(whole(framed(b"")))
        .unwrap();
    client.send(called(late, "r-late")).await.unwrap();
    client
        .send(called(
            client.request("Unheard").body(whole(framed(b""))).unwrap(),
            "r-unheard",
        ))
        .await
        .unwrap();
    send(
        server.address(),
        called(without_body(Method::GET, "/nowhere"), "r-nowhere"),
    )
    .await;
    let ended = server.stop().await;
    let lines = |id: &str| {
        ended
            .log()
            .filter(|line| line["request_id"] == *id)
            .collect::<Vec<Value>>()
    };
    let summary = |id: &str| {
        let lines = lines(id).into_iter();
        let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
        lines
            .map(|line| {
                (
                    text(&line, "message"),
                    text(&line, "method"),
                    text(&line, "reason"),
                )
            })
            .collect::<Vec<_>>()
    };
    let line = |message: &str, method: &str, reason: &str| {
        (message.to_owned(), method.to_owned(), reason.to_owned())
    };
    assert_eq!(
        summary("r-create"),
        [
            line("order created", "", ""),
            line("call answered", "CreateOrder", "")
        ]
    );
    assert_eq!(
        summary("r-late"),
        [line("call rejected", "CreateOrder", "MALFORMED_MESSAGE")]
    );
    assert_eq!(
        summary("r-unheard"),
        [line("call rejected", "other", "UNKNOWN_METHOD")]
    );
    assert_eq!(
        summary("r-nowhere"),
        [line("call rejected", "other", "NOT_FOUND")]
    );
    assert!(
        ended
            .log()
            .any(|line| line["message"] == "listening" && line["request_id"].is_null())
    );
}
