//! gRPC-Web: the calls of gRPC for those who cannot read what comes after a body, such as browsers.

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest,
    CreateOrderResponse,
};
use bytes::{Buf, Bytes};
use data_encoding::BASE64;
use http::{Request, StatusCode};
use prost::Message;

use crate::support::{
    Created, Item, TestServer,
    byte_client::{Body, framed, whole},
    order_request, reason,
    rest_client::{Answer, send, send_http2},
};

const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";

fn two_adults() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn call(method: &str, content_type: &str, message: &impl Message) -> Request<Body> {
    let message = framed(&message.encode_to_vec());
    let message = if content_type == TEXT {
        BASE64.encode(&message).into()
    } else {
        message
    };
    call_with(method, content_type, message)
}

fn call_with(method: &str, content_type: &str, message: impl Into<Bytes>) -> Request<Body> {
    Request::post(format!(
        "/ext.maps.booking.partner.v3.BookingService/{method}"
    ))
    .header("host", "boxoffice")
    .header("content-type", content_type)
    .header("accept", content_type)
    .header("x-grpc-web", "1")
    .body(whole(message))
    .unwrap()
}

/// The frames of an answer: what the first byte of each says, and the rest.
fn frames(answer: &Answer) -> Vec<(u8, Bytes)> {
    let is_text = answer.headers["content-type"] == TEXT;
    let mut body = if is_text {
        BASE64.decode(&answer.body).unwrap().into()
    } else {
        answer.body.clone()
    };
    let mut frames = Vec::new();
    while body.has_remaining() {
        let (kind, size) = (body.get_u8(), body.get_u32());
        frames.push((kind, body.split_to(size.try_into().unwrap())));
    }
    frames
}

/// The message of an answer that is good to its end.
fn message<M: Message + Default>(answer: &Answer) -> M {
    assert_eq!(answer.http, StatusCode::OK);
    let frames = frames(answer);
    let [(0, message), (0x80, end)] = &frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!(str::from_utf8(end).unwrap().trim_end(), "grpc-status:0");
    M::decode(message.clone()).unwrap()
}

#[tokio::test]
async fn a_browser_checks_and_orders_in_binary_and_in_text_over_either_http() {
    let server = TestServer::start().await;
    let address = server.server.address();
    let item = vec![two_adults().0];
    let cart = CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item,
        cart_id: String::new(),
    };
    let expected = server.check_request(&cart).await.unwrap().0;
    for content_type in [BINARY, TEXT] {
        let check = || call("CheckOrderFulfillability", content_type, &cart);
        for answer in [
            send(address, check()).await,
            send_http2(address, check()).await,
        ] {
            assert_eq!(answer.headers["content-type"], content_type);
            assert_eq!(
                message::<CheckOrderFulfillabilityResponse>(&answer),
                expected
            );
        }
    }
    let order = order_request("token", "museum", [two_adults()]);
    let by_web: CreateOrderResponse =
        message(&send(address, call("CreateOrder", BINARY, &order)).await);
    assert_eq!(server.send(order).await.unwrap(), Created(by_web));
    server.stop().await;
}

#[tokio::test]
async fn a_browser_can_read_the_error() {
    let server = TestServer::start().await;
    let nothing = call("CreateOrder", BINARY, &CreateOrderRequest::default());
    let rejected = send(server.server.address(), nothing).await;
    let expected = server
        .send(CreateOrderRequest::default())
        .await
        .unwrap_err();
    assert_eq!((rejected.http, rejected.body.len()), (StatusCode::OK, 0));
    let status = tonic::Status::from_header_map(&rejected.headers).unwrap();
    assert_eq!(
        (status.code(), status.message()),
        (expected.code(), expected.message())
    );
    assert_eq!(status.details(), expected.details());
    server.stop().await;
}

#[tokio::test]
async fn malformed_messages_are_rejected() {
    let server = TestServer::start().await;
    let frame = framed(&order_request("token", "museum", [two_adults()]).encode_to_vec());
    for (content_type, message) in [
        (BINARY, Bytes::new()),
        (BINARY, frame.slice(..3)),
        (BINARY, frame.slice(..frame.len() - 1)),
        (BINARY, framed(b"\xff")),
        (TEXT, BASE64.encode(&frame).replace('A', "?").into()),
        (TEXT, frame.clone()),
    ] {
        let answer = send(
            server.server.address(),
            call_with("CreateOrder", content_type, message.clone()),
        )
        .await;
        let status = tonic::Status::from_header_map(&answer.headers).unwrap();
        assert_eq!(
            reason(&status),
            "MALFORMED_MESSAGE",
            "{content_type} {message:?} {status:?}"
        );
    }
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
    server.stop().await;
}
