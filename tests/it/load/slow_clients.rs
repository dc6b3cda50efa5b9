//! Callers who send what never ends, or take nothing of what they are sent, beside callers who do as they
//! should.

use std::time::Duration;

use boxoffice::api::booking::proto::v3::CheckOrderFulfillabilityRequest;
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{Request, StatusCode};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::support::{
    Setup, TestServer,
    byte_client::{Body, ByteClient, framed, unfinished, whole},
    config,
    process::{until, with_timeout},
    rest_client,
};

const CHECK: &str = "CheckOrderFulfillability";
const PATH: &str = "/ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability";

/// A server of which few calls may be in flight, and which has little patience.
async fn small_server(max_in_flight: usize) -> TestServer {
    let mut config = config();
    config.calls.max_in_flight = max_in_flight;
    config.calls.call_timeout = Duration::from_secs(2);
    config.sales.payment_timeout = Duration::from_secs(1);
    Setup::with_config(config).start().await
}

fn cart() -> Vec<u8> {
    CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        ..Default::default()
    }
    .encode_to_vec()
}

/// A client that takes no byte of any response until it reads it.
async fn stalled_client(server: &TestServer) -> SendRequest<Body> {
    let stream = TcpStream::connect(server.server.address()).await.unwrap();
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(0);
    let (sender, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn check(server: &TestServer) -> Request<Body> {
    let uri = format!("http://{}{PATH}", server.server.address());
    let request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    request.body(whole(framed(&cart()))).unwrap()
}

#[tokio::test]
async fn a_call_is_in_flight_until_its_response_is_taken_and_no_longer_than_it_may_take() {
    let server = small_server(1).await;
    let mut sender = stalled_client(&server).await;
    let response = with_timeout("a head", sender.send_request(check(&server)))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let client = ByteClient::connect(server.server.address()).await;
    let other = client.call(CHECK, &cart()).await;
    assert_eq!(
        (other.code(), &*other.reason()),
        (Code::ResourceExhausted, "CONCURRENCY_LIMIT")
    );
    // The place is given to another after a while, and the response that held it is reset.
    until("the place is free", async || {
        client.call(CHECK, &cart()).await.code() == Code::Ok
    })
    .await;
    let body = with_timeout(
        "the end of the response",
        http_body_util::BodyExt::collect(response.into_body()),
    )
    .await;
    assert!(body.is_err(), "{body:?}");
    server.stop().await;
}

#[tokio::test]
async fn messages_that_never_end_make_room_for_each_other_and_whole_ones_pass_by_them() {
    let server = small_server(4).await;
    let client = ByteClient::connect(server.server.address()).await;
    let half = framed(&cart()).slice(..6);
    let mut endless: FuturesUnordered<_> = (0..12)
        .map(|_| {
            client.send(
                client
                    .request(CHECK)
                    .body(unfinished(half.clone()))
                    .unwrap(),
            )
        })
        .collect();
    for _ in 0..8 {
        let rejected = with_timeout("a rejection", endless.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (rejected.code(), &*rejected.reason()),
            (Code::ResourceExhausted, "BYTES_IN_FLIGHT_LIMIT")
        );
        assert!(rejected.details().retry_info().is_some());
        assert_eq!(client.call(CHECK, &cart()).await.code(), Code::Ok);
    }
    // The others are waited for, and not for ever.
    while let Some(late) = with_timeout("an end", endless.next()).await {
        let late = late.unwrap();
        // A whole message that came in two pieces has had the place of one of them for a moment.
        let made_room =
            (late.code(), &*late.reason()) == (Code::ResourceExhausted, "BYTES_IN_FLIGHT_LIMIT");
        assert!(
            made_room || late.code() == Code::DeadlineExceeded,
            "{:?}",
            late.code()
        );
    }
    server.stop().await;
}

/// The beginning of a request over HTTP/1.1 whose body does not come.
async fn half_body(address: std::net::SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("POST {head}\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{{");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn half_bodies_over_rest_are_among_them() {
    let server = small_server(2).await;
    let address = server.server.address();
    let head = "/v3/CreateOrder HTTP/1.1\r\ncontent-type: application/json";
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(half_body(address, head).await);
    }
    let mut statuses = Vec::new();
    for mut stream in streams {
        let mut answer = [0; 12];
        with_timeout("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        statuses.push(String::from_utf8_lossy(&answer[9..]).into_owned());
    }
    statuses.sort();
    assert_eq!(statuses, ["429", "429", "429", "504", "504"]);
    server.stop().await;
}

#[tokio::test]
async fn very_many_elements_are_rejected_by_the_name_of_their_field_at_both_transports() {
    let server = TestServer::start().await;
    let client = ByteClient::connect(server.server.address()).await;
    let answer = client.call(CHECK, &[0x12, 0].repeat(500_000)).await;
    assert_eq!(
        (answer.code(), &*answer.reason()),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    let found: Vec<_> = answer
        .details()
        .bad_request()
        .unwrap()
        .field_violations
        .clone();
    assert_eq!((found.len(), &*found[0].field), (1, "item"));
    assert_eq!(
        found[0].description,
        "has 500000 elements; at most 100 are taken"
    );

    let json = format!(
        r#"{{"item": [{{"tickets": [{}{{}}]}}]}}"#,
        "{},".repeat(299_999)
    );
    let rejection = rest_client::send(
        server.server.address(),
        rest_client::post("/v3/CheckOrderFulfillability", json),
    )
    .await
    .rejection();
    let found: Vec<_> = tonic_types::StatusExt::get_error_details(&rejection)
        .bad_request()
        .unwrap()
        .field_violations
        .clone();
    assert_eq!((found.len(), &*found[0].field), (1, "item[0].tickets"));
    assert_eq!(
        found[0].description,
        "has 300000 elements; at most 100 are taken"
    );

    let too_long = client
        .call(CHECK, &Bytes::from(vec![0; (1 << 20) + 1]))
        .await;
    assert_eq!(&*too_long.reason(), "REQUEST_TOO_LARGE");
    server.stop().await;
}
