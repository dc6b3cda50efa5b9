//! What a request is: only what is a call of the contract becomes one, at both addresses.

use std::net::SocketAddr;

use boxoffice::api::booking::proto::v3::ListOrdersRequest;
use bytes::Bytes;
use http::{Method, Request};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{
    Item, Setup, TestServer,
    byte_client::{self, ByteClient, framed, whole},
    config, order_request,
    process::with_timeout,
    rest_client::{Answer, post, send, send_http2, without_body},
};

const CREATE: &str = "/ext.maps.booking.partner.v3.BookingService/CreateOrder";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const OLD_REFLECTION: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

/// A server with both addresses, called by these names if any are given.
async fn start(hosts: Option<&[&str]>) -> TestServer {
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    config.serving.allowed_hosts =
        hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect());
    Setup::with_config(config).start().await
}

impl TestServer {
    fn addresses(&self) -> [SocketAddr; 2] {
        [self.server.address(), self.server.admin_address().unwrap()]
    }
}

/// An order as gRPC sends it.
fn order() -> Bytes {
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    framed(&order_request("token", "museum", [item]).encode_to_vec())
}

fn request(method: &str, path: &str, content_type: Option<&str>) -> Request<byte_client::Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "boxoffice");
    request = request.header("origin", "https://evil.example");
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(whole(order())).unwrap()
}

/// What says no: the HTTP status and the reason, the same in the headers and in the body.
fn rejection(answer: &Answer) -> (u16, String) {
    let (http, _, reason) = answer.outcome();
    let status = tonic::Status::from_header_map(&answer.headers).unwrap();
    assert_eq!(crate::support::reason(&status), reason, "{answer:?}");
    (http, reason)
}

#[tokio::test]
async fn a_cross_origin_request_without_preflight_creates_no_order() {
    let server = start(None).await;
    let [address, _] = server.addresses();
    let unsupported = (415, "UNSUPPORTED_MEDIA_TYPE".to_owned());
    let types = [
        None,
        Some("text/plain"),
        Some("text/plain;application/grpc"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/json"),
        Some("application/grpc+json"),
        Some("application/grpc-web+thrift"),
    ];
    for path in [CREATE, HEALTH, WATCH, REFLECTION, OLD_REFLECTION] {
        for content_type in types {
            let by_http1 = send(address, request("POST", path, content_type)).await;
            assert_eq!(rejection(&by_http1), unsupported, "{path} {content_type:?}");
            let by_http2 = send_http2(address, request("POST", path, content_type)).await;
            assert_eq!(rejection(&by_http2), unsupported, "{path} {content_type:?}");
        }
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let answer = send(address, request("POST", path, Some(content_type))).await;
            assert_eq!(rejection(&answer), unsupported, "{path} over HTTP/1.1");
        }
        for method in [
            "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO",
        ] {
            for content_type in [None, Some("application/grpc"), Some("application/grpc-web")] {
                let request = || request(method, path, content_type);
                for answer in [
                    send(address, request()).await,
                    send_http2(address, request()).await,
                ] {
                    assert_eq!(
                        (answer.http.as_u16(), &answer.headers["allow"]),
                        (405, &"POST".parse().unwrap())
                    );
                    assert!(
                        method != "HEAD" || answer.body.is_empty(),
                        "{path} {answer:?}"
                    );
                }
            }
        }
    }
    assert_eq!(
        server.list_user("user-1").await.unwrap(),
        [],
        "nothing was created"
    );
    let client = ByteClient::connect(address).await;
    for content_type in ["application/grpc+proto", "Application/gRPC; charset=utf-8"] {
        let mut good = client.request("CreateOrder").body(whole(order())).unwrap();
        good.headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        assert_eq!(
            client.send(good).await.unwrap().code(),
            Code::Ok,
            "{content_type}"
        );
    }
    assert_eq!(server.list_user("user-1").await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn at_rest_too_only_what_says_that_it_is_json_creates_an_order() {
    let server = start(None).await;
    let [address, _] = server.addresses();
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let message = serde_json::to_vec(&order_request("token", "museum", [item])).unwrap();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "",
    ] {
        let mut request = post("/v3/CreateOrder", message.clone());
        request
            .headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        assert_eq!(send(address, request).await.http, 415, "{content_type}");
    }
    for types in [
        &[][..],
        &["application/json", "text/plain"],
        &["text/plain", "application/json"],
    ] {
        let mut request = post("/v3/CreateOrder", message.clone());
        request.headers_mut().remove("content-type");
        for content_type in types {
            request
                .headers_mut()
                .append("content-type", content_type.parse().unwrap());
        }
        assert_eq!(send(address, request).await.http, 415, "{types:?}");
    }
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
    server.stop().await;
}

#[tokio::test]
async fn a_call_over_grpc_web_is_known_by_its_media_type_whatever_its_parameters() {
    let server = start(None).await;
    let [address, _] = server.addresses();
    for content_type in [
        "application/grpc-web+proto; charset=utf-8",
        "Application/gRPC-Web",
    ] {
        let answer = send(address, request("POST", CREATE, Some(content_type))).await;
        assert_eq!(answer.http, 200, "{answer:?}");
        let kind = answer.headers["content-type"].to_str().unwrap();
        assert!(kind.starts_with("application/grpc-web"), "{answer:?}");
        assert!(
            answer
                .body
                .windows(13)
                .any(|bytes| bytes == b"grpc-status:0"),
            "{answer:?}"
        );
    }
    assert_eq!(server.list_user("user-1").await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn the_admin_listener_has_the_same_rule_of_admission() {
    let server = start(None).await;
    let [_, admin] = server.addresses();
    for path in [HEALTH, WATCH] {
        for (method, content_type, expected) in [
            ("POST", None, 415),
            ("POST", Some("text/plain"), 415),
            ("POST", Some("application/grpc+json"), 415),
            ("POST", Some("application/grpc-web"), 415),
            ("GET", Some("application/grpc"), 405),
            ("OPTIONS", None, 405),
        ] {
            let answer = send_http2(admin, request(method, path, content_type)).await;
            assert_eq!(
                rejection(&answer).0,
                expected,
                "{method} {path} {content_type:?}"
            );
        }
        let over_http1 = send(admin, request("POST", path, Some("application/grpc"))).await;
        assert_eq!(rejection(&over_http1).0, 415);
    }
    let unknown = ByteClient::connect(admin).await;
    let request = unknown.request("CreateOrder").body(whole(order())).unwrap();
    assert_eq!(
        unknown.send(request).await.unwrap().reason(),
        "UNKNOWN_METHOD"
    );
    for path in ["/livez", "//livez", "/livez/", "//readyz?verbose"] {
        assert_eq!(
            send(admin, without_body(Method::GET, path)).await.http,
            200,
            "{path}"
        );
    }
    assert_eq!(
        send(admin, without_body(Method::GET, "//nothing"))
            .await
            .http,
        404
    );
    server.stop().await;
}

#[tokio::test]
async fn host_names_may_be_restricted_at_both_addresses() {
    let server = start(Some(&["shop.example"])).await;
    for address in server.addresses() {
        for (host, is_served) in [
            ("shop.example", true),
            ("SHOP.example.:8443", true),
            ("evil.example", false),
            ("evil.example:50051", false),
            ("localhost", true),
            ("127.0.0.1:50051", true),
        ] {
            let mut request = without_body(Method::GET, "/livez");
            request.headers_mut().insert("host", host.parse().unwrap());
            let answer = send(address, request).await;
            assert_eq!(answer.http == 421, !is_served, "{host}: {answer:?}");
            if !is_served {
                assert_eq!(answer.outcome().2, "MISDIRECTED_REQUEST");
            }
        }
        let client = ByteClient::connect(address).await;
        let mut request = client.request_to(HEALTH).body(whole(framed(b""))).unwrap();
        *request.uri_mut() = format!("http://evil.example{HEALTH}").parse().unwrap();
        let answer = client.send(request).await.unwrap();
        assert_eq!(
            (answer.http.as_u16(), answer.code()),
            (421, Code::PermissionDenied)
        );
        let request = client.request_to(HEALTH).body(whole(framed(b""))).unwrap();
        assert_eq!(client.send(request).await.unwrap().code(), Code::Ok);
    }
    server.stop().await;
}

/// Sends bytes and reads until the server ends the connection.
async fn talk(address: SocketAddr, said: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = with_timeout("the end of the connection", stream.read_to_end(&mut heard)).await;
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn heads_that_http_does_not_allow_are_rejected() {
    let server = start(None).await;
    let list = "POST /v3/ListOrders HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let chunks = "13\r\n{\"user_id\": \"user\"}\r\n0\r\n\r\n";
    for (said, expected, reason) in [
        (
            "GET /livez HTTP/1.1\r\n\r\n".to_owned(),
            400,
            "INVALID_HOST",
        ),
        (
            "GET /livez HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned(),
            400,
            "INVALID_HOST",
        ),
        (
            "GET /livez HTTP/1.1\r\nhost:\r\n\r\n".to_owned(),
            400,
            "INVALID_HOST",
        ),
        (
            "GET /livez HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(),
            400,
            "INVALID_HOST",
        ),
        (
            format!("{list}transfer-encoding: gzip, chunked\r\n\r\n{chunks}"),
            501,
            "UNSUPPORTED_TRANSFER_ENCODING",
        ),
        (
            format!(
                "{list}transfer-encoding: chunked\r\ntransfer-encoding: gzip, chunked\r\n\r\n{chunks}"
            ),
            501,
            "UNSUPPORTED_TRANSFER_ENCODING",
        ),
        (
            format!("{list}expect: 200-ok\r\ncontent-length: 2\r\n\r\n{{}}"),
            417,
            "EXPECTATION_FAILED",
        ),
        (
            format!("{list}content-length: 2\r\nexpect: 100-continue, x\r\n\r\n{{}}"),
            417,
            "EXPECTATION_FAILED",
        ),
        (
            format!("{list}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"),
            400,
            "",
        ),
        (format!("{list}transfer-encoding: gzip\r\n\r\n"), 400, ""),
    ] {
        for address in server.addresses() {
            let last = said.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nconnection: close\r\n", 1);
            let heard = talk(address, &last).await;
            assert!(
                heard.starts_with(&format!("HTTP/1.1 {expected}")),
                "{said}: {heard}"
            );
            assert!(heard.contains(reason), "{said}: {heard}");
        }
    }
    let [address, _] = server.addresses();
    for lengths in [
        "transfer-encoding: chunked\r\ncontent-length: 3",
        "content-length: 3\r\ntransfer-encoding: chunked",
    ] {
        let twice = format!("{list}{lengths}\r\n\r\n{chunks}{list}content-length: 2\r\n\r\n{{}}");
        let heard = talk(address, &twice).await;
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
        assert_eq!(
            heard.matches("HTTP/1.1 ").count(),
            1,
            "the connection ends with the answer: {heard}"
        );
    }
    let old = talk(address, "GET /v3/HealthCheck HTTP/1.0\r\nexpect: x\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200"), "{old}");
    let waiting = talk(
        address,
        &format!("{list}connection: close\r\nexpect: 100-continue\r\ncontent-length: 19\r\n\r\n{{\"user_id\": \"user\"}}"),
    )
    .await;
    assert!(waiting.contains("HTTP/1.1 200"), "{waiting}");
    server.stop().await;
}

#[tokio::test]
async fn a_compressed_message_is_rejected_with_the_accepted_encodings() {
    let server = start(None).await;
    let [address, admin] = server.addresses();
    let client = ByteClient::connect(address).await;
    let message = framed(&ListOrdersRequest::default().encode_to_vec());
    for header in ["grpc-encoding", "content-encoding"] {
        let request = client.request("ListOrders").header(header, "gzip");
        let answer = client
            .send(request.body(whole(message.clone())).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.reason(), "UNSUPPORTED_ENCODING", "{header}");
        assert_eq!(
            answer.header("grpc-accept-encoding"),
            "identity",
            "{header}"
        );
        assert!(
            answer.status().message().contains("`identity`"),
            "{header}: {:?}",
            answer.status()
        );
    }
    for address in [address, admin] {
        let client = ByteClient::connect(address).await;
        let request = client.request_to(HEALTH).header("grpc-encoding", "gzip");
        let answer = client
            .send(request.body(whole(framed(b""))).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.reason(), "UNSUPPORTED_ENCODING");
        assert_eq!(answer.header("grpc-accept-encoding"), "identity");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_look_at_health_takes_one_message() {
    let server = start(None).await;
    for address in server.addresses() {
        let client = ByteClient::connect(address).await;
        for path in [HEALTH, WATCH] {
            let request = client
                .request_to(path)
                .body(whole([framed(b""), framed(b"")].concat()))
                .unwrap();
            let answer = with_timeout("a rejection", client.send(request))
                .await
                .unwrap();
            assert_eq!(
                (answer.code(), &*answer.reason()),
                (Code::InvalidArgument, "MALFORMED_MESSAGE"),
                "{path}"
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn health_of_a_service_that_does_not_exist_is_unknown_and_may_be_watched() {
    let server = start(None).await;
    let mut watched = Vec::new();
    for address in server.addresses() {
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut client = HealthClient::new(channel);
        let asked = || HealthCheckRequest {
            service: "no.such.Service".into(),
        };
        let unknown = client.check(asked()).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        assert_eq!(crate::support::reason(&unknown), "UNKNOWN_SERVICE");
        let mut watch = client.watch(asked()).await.unwrap().into_inner();
        let first = with_timeout("the first news", watch.message())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
        let more =
            tokio::time::timeout(std::time::Duration::from_millis(50), watch.message()).await;
        assert!(more.is_err(), "the watch stays open: {more:?}");
        watched.push(watch);
    }
    let ends = tokio::spawn(async move {
        for mut watch in watched {
            let _ = watch.message().await;
        }
    });
    server.stop().await;
    with_timeout("the end of the watches", ends).await.unwrap();
}
