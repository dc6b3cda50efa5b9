//! Who may call: passwords, certificates, limits of one caller; and what becomes of connections that
//! do nothing for their place.

use std::{sync::Arc, time::Duration};

use boxoffice::{
    api::booking::proto::v3::{CheckOrderFulfillabilityRequest, CreateOrderRequest},
    config::Config,
    server::Server,
};
use bytes::Bytes;
use http::{Method, Request};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    Item, Setup,
    byte_client::{self, Body, ByteClient, framed, unfinished, whole},
    config,
    doubles::GatewayDouble,
    keys::{Authority, Keys, Pair, basic, replace},
    order_request, paid_with,
    process::{Program, with_timeout},
    rest_client::{self, post, without_body},
};

const SERVICE: &str = "/ext.maps.booking.partner.v3.BookingService";
const CHECK: &str = "/v3/CheckOrderFulfillability";
const HEALTH: &str = "/v3/HealthCheck";
const GRPC_HEALTH: &str = "/grpc.health.v1.Health/Check";

const AN_HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(200);

fn two_adults() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn cart() -> CheckOrderFulfillabilityRequest {
    let item = vec![two_adults().0];
    CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item,
        cart_id: String::new(),
    }
}

fn paid_order(token: &str) -> CreateOrderRequest {
    paid_with(order_request(token, "museum", [two_adults()]), "approve")
}

/// A server that lets in `ada`, whose passwords are `old` and `new`, and `grace`, whose is `hopper`.
async fn guarded(keys: &Keys, change: impl FnOnce(&mut Config)) -> Server {
    let mut config = config();
    keys.with_users(
        &mut config,
        &[("ada", &["old", "new"]), ("grace", &["hopper"])],
    );
    change(&mut config);
    Setup::with_config(config).open().await.unwrap()
}

fn with<B>(mut request: Request<B>, headers: &[(&'static str, &str)]) -> Request<B> {
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

async fn by_rest(server: &Server, headers: &[(&'static str, &str)]) -> rest_client::Answer {
    let request = post(CHECK, serde_json::to_vec(&cart()).unwrap());
    rest_client::send(server.address(), with(request, headers)).await
}

async fn by_grpc(server: &Server, headers: &[(&'static str, &str)]) -> byte_client::Answer {
    let client = ByteClient::connect(server.address()).await;
    check_with(&client, headers).await
}

async fn check_with(client: &ByteClient, headers: &[(&'static str, &str)]) -> byte_client::Answer {
    let request = client
        .request("CheckOrderFulfillability")
        .body(whole(framed(&cart().encode_to_vec())));
    client.send(with(request.unwrap(), headers)).await.unwrap()
}

/// What both transports say to a check with these headers, which is the same.
async fn rejection(server: &Server, headers: &[(&'static str, &str)]) -> Status {
    let by_grpc = by_grpc(server, headers).await;
    let by_rest = by_rest(server, headers).await;
    let facts = |status: &Status| {
        (
            status.code(),
            status.message().to_owned(),
            format!("{:?}", status.get_error_details()),
        )
    };
    assert_eq!(facts(&by_grpc.status()), facts(&by_rest.rejection()));
    assert_eq!(
        by_rest.headers.contains_key("www-authenticate"),
        by_rest.http == 401,
        "{by_rest:?}"
    );
    by_grpc.status()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

async fn opens(server: &Server, name: &str, password: &str) -> bool {
    let authorization = basic(name, password);
    let headers = [("authorization", &*authorization)];
    let (grpc, rest) = (
        by_grpc(server, &headers).await,
        by_rest(server, &headers).await,
    );
    assert_eq!(
        grpc.code() == Code::Ok,
        rest.http == 200,
        "{grpc:?} {rest:?}"
    );
    rest.http == 200
}

#[tokio::test]
async fn a_password_opens_both_transports() {
    let keys = Keys::new();
    let server = guarded(&keys, |_| {}).await;
    for (name, password) in [
        ("ada", "old"),
        ("ada", "new"),
        ("grace", "hopper"),
        ("ada", "old"),
    ] {
        assert!(opens(&server, name, password).await, "{name} {password}");
    }
}

#[tokio::test]
async fn ten_wrong_credentials_are_rejected_with_helpful_messages() {
    let keys = Keys::new();
    let server = guarded(&keys, |_| {}).await;
    let (wrong, nobody, other) = (
        basic("ada", "Old"),
        basic("eve", "old"),
        basic("ada", "hopper"),
    );
    let missing = "credentials are missing: `authorization` must be `Basic` and the base64 of `name:password`";
    let unreadable = "credentials are malformed: `authorization` must be `Basic` and the base64 of `name:password`, once";
    let denied = "invalid user name or password";
    for (headers, reason_expected, message) in [
        (&[][..], "CREDENTIALS_MISSING", missing),
        (
            &[("x-authorization", &*wrong)],
            "CREDENTIALS_MISSING",
            missing,
        ),
        (
            &[("authorization", "")],
            "CREDENTIALS_MALFORMED",
            unreadable,
        ),
        (
            &[("authorization", "Bearer abc")],
            "CREDENTIALS_MALFORMED",
            unreadable,
        ),
        (
            &[("authorization", "Basic ada:old")],
            "CREDENTIALS_MALFORMED",
            unreadable,
        ),
        (
            &[("authorization", "Basic YWRh")],
            "CREDENTIALS_MALFORMED",
            unreadable,
        ),
        (
            &[("authorization", &wrong), ("authorization", &wrong)],
            "CREDENTIALS_MALFORMED",
            unreadable,
        ),
        (&[("authorization", &wrong)], "CREDENTIALS_INVALID", denied),
        (&[("authorization", &nobody)], "CREDENTIALS_INVALID", denied),
        (&[("authorization", &other)], "CREDENTIALS_INVALID", denied),
    ] {
        let rejected = rejection(&server, headers).await;
        assert_eq!(rejected.code(), Code::Unauthenticated, "{headers:?}");
        assert_eq!(
            (reason(&rejected).as_str(), rejected.message()),
            (reason_expected, message),
            "{headers:?}"
        );
    }
    let challenge = by_rest(&server, &[]).await.headers["www-authenticate"].clone();
    assert_eq!(challenge, "Basic realm=\"boxoffice\", charset=\"UTF-8\"");
}

#[tokio::test]
async fn no_url_answers_or_reads_a_body_without_a_password() {
    let keys = Keys::new();
    let server = guarded(&keys, |config| config.security.health_open = false).await;
    let endless = || unfinished(Bytes::from_static(b"{"));
    for path in [
        CHECK,
        "/v3/CreateOrder",
        "/v3/HealthCheck",
        "/",
        "/nowhere",
        "/v3/../etc/passwd",
    ] {
        for http_method in [Method::POST, Method::GET, Method::DELETE, Method::HEAD] {
            let mut request = without_body(http_method.clone(), path);
            if http_method == Method::POST {
                *request.body_mut() = endless();
            }
            let rejected =
                with_timeout("a rejection", rest_client::send(server.address(), request)).await;
            assert_eq!(rejected.http, 401, "{http_method} {path}");
            assert_eq!(
                rejected.body.is_empty(),
                http_method == Method::HEAD,
                "{http_method} {path}"
            );
        }
    }
    let client = ByteClient::connect(server.address()).await;
    for path in [
        &format!("{SERVICE}/CreateOrder"),
        &format!("{SERVICE}/Nothing"),
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        GRPC_HEALTH,
        "/grpc.health.v1.Health/Watch",
        "/nowhere.Service/Method",
        "/v3/HealthCheck",
    ] {
        let call = client.send(client.request_to(path).body(endless()).unwrap());
        let rejected = with_timeout("a rejection", call).await.unwrap();
        assert_eq!(
            (rejected.code(), &*rejected.reason()),
            (Code::Unauthenticated, "CREDENTIALS_MISSING"),
            "{path}"
        );
    }
    let by_web = Request::post(format!("{SERVICE}/CreateOrder"))
        .header("host", "boxoffice")
        .header("content-type", "application/grpc-web+proto")
        .body(endless());
    let rejected = with_timeout(
        "a rejection",
        rest_client::send(server.address(), by_web.unwrap()),
    )
    .await;
    let status = Status::from_header_map(&rejected.headers).unwrap();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::Unauthenticated, "CREDENTIALS_MISSING")
    );
}

#[tokio::test]
async fn health_is_open_where_that_is_set_and_nothing_else_is() {
    let keys = Keys::new();
    for open in [true, false] {
        let server = guarded(&keys, |config| config.security.health_open = open).await;
        let client = ByteClient::connect(server.address()).await;
        let body = || whole(framed(&[]));
        let grpc = client
            .send(client.request_to(GRPC_HEALTH).body(body()).unwrap())
            .await
            .unwrap();
        assert_eq!(
            grpc.code(),
            if open {
                Code::Ok
            } else {
                Code::Unauthenticated
            }
        );
        for headers in [&[][..], &[("authorization", "Basic bm9ib2R5Og==")]] {
            let asked = with(without_body(Method::GET, HEALTH), headers);
            let rest = rest_client::send(server.address(), asked).await;
            assert_eq!(rest.http, if open { 200 } else { 401 }, "{headers:?}");
        }
        let disguised = client
            .send(client.request_to(HEALTH).body(body()).unwrap())
            .await
            .unwrap();
        assert_eq!(disguised.code(), Code::Unauthenticated);
        assert_eq!(by_rest(&server, &[]).await.http, 401);
    }
}

#[tokio::test]
async fn an_unknown_user_is_answered_like_a_wrong_password_at_the_same_cost() {
    let keys = Keys::new();
    keys.write_users(&[("ada", &["old"])]);
    let users = keys.path("users.toml");
    let mut program = Program::new()
        .args([
            "--credentials",
            users.to_str().unwrap(),
            "--log=info,boxoffice::api::auth=debug",
        ])
        .start()
        .await;
    let mut answers = Vec::new();
    for (name, password) in [("ada", "guess"), ("mallory", "guess"), ("mallory", "old")] {
        let asked = with(
            post(CHECK, "{}"),
            &[("authorization", &basic(name, password))],
        );
        let mut answer = rest_client::send(program.address(), asked).await;
        for of_this_answer_only in ["date", "x-request-id"] {
            answer.headers.remove(of_this_answer_only);
        }
        answers.push((answer.http, answer.headers, answer.body));
        let verification = |line: &serde_json::Value| line["message"] == "password verification";
        program
            .nth_line("a password verification", answers.len(), verification)
            .await;
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    let ended = program.stop().await;
    let verifications = ended
        .log()
        .filter(|line| line["message"] == "password verification")
        .count();
    assert_eq!(
        verifications,
        answers.len(),
        "each password is verified once"
    );
    assert!(
        !ended.text().contains("guess") && !ended.text().contains("mallory"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn a_password_is_changed_without_a_pause() {
    let keys = Keys::new();
    let server = guarded(&keys, |_| {}).await;
    let client = ByteClient::connect(server.address()).await;
    let (old, new) = (basic("ada", "old"), basic("ada", "new"));
    let code = async |authorization: &str| {
        check_with(&client, &[("authorization", authorization)])
            .await
            .code()
    };
    assert_eq!((code(&old).await, code(&new).await), (Code::Ok, Code::Ok));

    keys.write_users(&[("ada", &["new"])]);
    server.reload_security().await.unwrap();
    assert_eq!(
        (code(&old).await, code(&new).await),
        (Code::Unauthenticated, Code::Ok)
    );
    assert!(!opens(&server, "grace", "hopper").await);

    keys.write_users(&[("ada", &["new", "newer"])]);
    server.reload_security().await.unwrap();
    assert_eq!(
        (code(&new).await, code(&basic("ada", "newer")).await),
        (Code::Ok, Code::Ok)
    );

    replace(
        &keys.path("users.toml"),
        "[users.ada]\npasswords = ['plain', 7]\n[users.'']\n",
    );
    let errors = server.reload_security().await.unwrap_err().to_string();
    assert_eq!(errors.lines().count(), 4, "{errors}");
    assert!(
        errors.contains("users.toml:2:14: ") && !errors.contains("plain"),
        "{errors}"
    );
    assert_eq!(
        (code(&old).await, code(&new).await),
        (Code::Unauthenticated, Code::Ok)
    );
}

#[tokio::test]
async fn changed_credentials_are_seen_and_read_and_a_signal_has_them_read_at_once() {
    for watch in ["10ms", "0s"] {
        let keys = Keys::new();
        keys.write_users(&[("ada", &["old"])]);
        let users = keys.path("users.toml");
        let args = [
            "--credentials",
            users.to_str().unwrap(),
            "--security-watch",
            watch,
        ];
        let mut program = Program::new().args(args).start().await;
        let status = async |program: &crate::support::process::Running, password| {
            let asked = with(
                post(CHECK, "{}"),
                &[("authorization", &basic("ada", password))],
            );
            rest_client::send(program.address(), asked)
                .await
                .http
                .as_u16()
        };
        assert_eq!(
            (status(&program, "old").await, status(&program, "new").await),
            (400, 401)
        );
        keys.write_users(&[("ada", &["new"])]);
        if watch == "0s" {
            program.signal("HUP").await;
        }
        program
            .line("that they were read", |line| {
                line["message"] == "credentials have been read"
            })
            .await;
        assert_eq!(
            (status(&program, "old").await, status(&program, "new").await),
            (401, 400)
        );
        replace(&users, "nonsense");
        if watch == "0s" {
            program.signal("HUP").await;
        }
        let is_rejected = |line: &serde_json::Value| {
            line["message"] == "the credentials were rejected; the previous ones stay in use"
        };
        program.line("the rejection", is_rejected).await;
        assert_eq!(
            (status(&program, "old").await, status(&program, "new").await),
            (401, 400)
        );
        assert_eq!(program.stop().await.code(), 0);
    }
}

#[tokio::test]
async fn a_hash_that_the_program_prints_is_one_that_it_takes() {
    let dir = TempDir::new().unwrap();
    let (password, users) = (dir.path().join("password"), dir.path().join("users.toml"));
    std::fs::write(&password, "correct horse\n").unwrap();
    let from_file = format!("exec < {}", password.display());
    let hashed = Program::after(&from_file)
        .args(["hash-password"])
        .run()
        .await;
    assert_eq!(
        (hashed.code(), hashed.lines.len()),
        (0, 1),
        "{}",
        hashed.text()
    );
    std::fs::write(
        &users,
        format!("[users.ada]\npasswords = ['{}']\n", hashed.text()),
    )
    .unwrap();
    let program = Program::new()
        .args(["--credentials", users.to_str().unwrap()])
        .start()
        .await;
    for (password, status) in [("correct horse", 400), ("correct", 401)] {
        let asked = with(
            post(CHECK, "{}"),
            &[("authorization", &basic("ada", password))],
        );
        assert_eq!(
            rest_client::send(program.address(), asked).await.http,
            status,
            "{password}"
        );
    }
    let ended = program.stop().await;
    let warned = |line: serde_json::Value| {
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("PASSWORDS TRAVEL")
    };
    assert!(ended.log().any(warned), "{}", ended.text());
    let empty = Program::new().args(["hash-password"]).run().await;
    assert_eq!(
        (empty.code(), &*empty.text()),
        (64, "a password must not be empty")
    );
}

/// A server over TLS.
async fn over_tls(keys: &Keys, change: impl FnOnce(&mut Config)) -> Server {
    guarded(keys, |config| {
        keys.with_tls(config);
        change(config);
    })
    .await
}

async fn grpc_over_tls(server: &Server, authority: &Authority, shown: Option<&Pair>) -> ByteClient {
    let stream = authority
        .connect(server.address(), shown, "h2")
        .await
        .unwrap();
    ByteClient::over(server.address(), stream).await
}

async fn rest_over_tls(
    server: &Server,
    authority: &Authority,
    shown: Option<&Pair>,
    request: Request<Body>,
) -> rest_client::Answer {
    let stream = authority
        .connect(server.address(), shown, "http/1.1")
        .await
        .unwrap();
    rest_client::send_over(stream, request).await.unwrap()
}

fn leaf(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn both_transports_are_open_over_tls_and_only_over_tls() {
    let keys = Keys::new();
    let server = over_tls(&keys, |_| {}).await;
    let authorization = basic("ada", "new");
    let headers = [("authorization", &*authorization)];
    for protocol in ["h2", "http/1.1"] {
        let stream = keys
            .authority()
            .connect(server.address(), None, protocol)
            .await
            .unwrap();
        assert_eq!(
            stream.get_ref().1.alpn_protocol(),
            Some(protocol.as_bytes())
        );
    }
    assert!(
        keys.authority()
            .connect(server.address(), None, "spdy")
            .await
            .is_err()
    );
    let client = grpc_over_tls(&server, keys.authority(), None).await;
    assert_eq!(check_with(&client, &headers).await.code(), Code::Ok);
    assert_eq!(check_with(&client, &[]).await.code(), Code::Unauthenticated);
    let request = with(post(CHECK, serde_json::to_vec(&cart()).unwrap()), &headers);
    assert_eq!(
        rest_over_tls(&server, keys.authority(), None, request)
            .await
            .http,
        200
    );
    let plain = TcpStream::connect(server.address()).await.unwrap();
    assert!(
        rest_client::send_over(plain, with(post(CHECK, "{}"), &headers))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn another_certificate_is_for_connections_to_come() {
    let keys = Keys::new();
    let server = over_tls(&keys, |_| {}).await;
    let authorization = basic("ada", "new");
    let headers = [("authorization", &*authorization)];
    let connect = async || {
        keys.authority()
            .connect(server.address(), None, "h2")
            .await
            .unwrap()
    };
    let first = connect().await;
    let shown_first = leaf(&first);
    let client = ByteClient::over(server.address(), first).await;
    assert_eq!(check_with(&client, &headers).await.code(), Code::Ok);

    let next = keys.authority().issue(&["localhost"]);
    keys.write_pair(&next);
    assert_eq!(leaf(&connect().await), shown_first);
    server.reload_security().await.unwrap();
    assert_eq!(leaf(&connect().await), next.certificate.to_vec());
    assert_eq!(
        check_with(&client, &headers).await.code(),
        Code::Ok,
        "who is there stays"
    );

    let stranger = keys.authority().issue(&["localhost"]);
    let expired = keys.authority().issue_until(2026, &["localhost"]);
    for (certificate, key, expected) in [
        (
            stranger.certificate_pem(),
            None,
            "server.key: this is not the key of the first certificate",
        ),
        (
            expired.certificate_pem(),
            Some(expired.key_pem()),
            "server.pem: a certificate has expired",
        ),
        (
            next.certificate_pem() + &expired.certificate_pem(),
            Some(next.key_pem()),
            "server.pem: a certificate has expired",
        ),
        (
            String::new(),
            None,
            "server.pem: there is no certificate in it",
        ),
        (
            "-----BEGIN CERTIFICATE-----\n!".into(),
            None,
            "server.pem: there is no certificate in it",
        ),
        (
            next.certificate_pem(),
            Some(String::new()),
            "server.key: there is no private key in it",
        ),
        (
            next.certificate_pem(),
            Some(next.certificate_pem()),
            "server.key: there is no private key in it",
        ),
    ] {
        replace(&keys.path("server.pem"), &certificate);
        if let Some(key) = key {
            replace(&keys.path("server.key"), &key);
        }
        let errors = server.reload_security().await.unwrap_err().to_string();
        assert!(
            errors.contains(expected) && errors.lines().count() == 1,
            "{expected}: {errors}"
        );
        assert_eq!(
            leaf(&connect().await),
            next.certificate.to_vec(),
            "{expected}"
        );
    }
}

#[tokio::test]
async fn all_invalid_files_are_reported_at_startup_by_their_settings() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("users.toml"), "[users.ada]\npasswords = []\n").unwrap();
    std::fs::write(path("ca.pem"), "nothing").unwrap();
    let ended = Program::new()
        .args([
            "--tls-certificate",
            &path("none.pem"),
            "--tls-key",
            &path("ca.pem"),
        ])
        .args([
            "--client-ca",
            &path("ca.pem"),
            "--client-names",
            "a.example",
        ])
        .args(["--credentials", &path("users.toml")])
        .run()
        .await;
    assert_eq!(ended.code(), 64, "{}", ended.text());
    for expected in [
        format!(
            "tls_certificate {}: cannot be read: No such file",
            path("none.pem")
        ),
        format!("tls_key {}: there is no private key in it", path("ca.pem")),
        format!(
            "client_ca {}: there is no certificate in it",
            path("ca.pem")
        ),
        format!(
            "credentials {}:2:13: a user has one password or two",
            path("users.toml")
        ),
    ] {
        assert!(
            ended.text().contains(&expected),
            "{expected} is not in {}",
            ended.text()
        );
    }
    assert!(!ended.log().any(|line| line["message"] == "listening"));
}

#[tokio::test]
async fn grpc_callers_show_a_certificate_of_an_accepted_name_where_that_is_demanded() {
    let keys = Keys::new();
    let server = over_tls(&keys, |config| {
        keys.with_clients(config, &["ads.example", "spiffe://ads/one"]);
    })
    .await;
    let (authority, stranger) = (keys.authority(), Authority::new());
    let authorization = basic("ada", "new");
    let headers = [("authorization", &*authorization)];
    for (names, expected) in [
        (None, (Code::Unauthenticated, "CLIENT_CERTIFICATE_MISSING")),
        (
            Some(&["other.example"][..]),
            (Code::PermissionDenied, "CLIENT_CERTIFICATE_NOT_ALLOWED"),
        ),
        (
            Some(&["ads.example.org", "spiffe://ads/One"]),
            (Code::PermissionDenied, "CLIENT_CERTIFICATE_NOT_ALLOWED"),
        ),
        (
            Some(&[]),
            (Code::PermissionDenied, "CLIENT_CERTIFICATE_NOT_ALLOWED"),
        ),
        (Some(&["other.example", "ADS.example"]), (Code::Ok, "")),
        (Some(&["spiffe://ads/one"]), (Code::Ok, "")),
    ] {
        let shown = names.map(|names| authority.issue(names));
        let client = grpc_over_tls(&server, authority, shown.as_ref()).await;
        let answer = check_with(&client, &headers).await;
        assert_eq!((answer.code(), &*answer.reason()), expected, "{names:?}");
        let without = check_with(&client, &[]).await;
        assert_ne!(
            without.code(),
            Code::Ok,
            "a certificate takes no password's place: {names:?}"
        );
        let health = client.send(
            client
                .request_to(GRPC_HEALTH)
                .body(whole(framed(&[])))
                .unwrap(),
        );
        assert_eq!(health.await.unwrap().code(), Code::Ok, "{names:?}");
        let request = with(post(CHECK, serde_json::to_vec(&cart()).unwrap()), &headers);
        assert_eq!(
            rest_over_tls(&server, authority, shown.as_ref(), request)
                .await
                .http,
            200,
            "{names:?}"
        );
    }
    for shown in [
        stranger.issue(&["ads.example"]),
        authority.issue_until(2026, &["ads.example"]),
    ] {
        // What the server thinks of a certificate is read with the first answer.
        let request = with(post(CHECK, "{}"), &headers);
        let is_rejected = match authority
            .connect(server.address(), Some(&shown), "http/1.1")
            .await
        {
            Ok(stream) => rest_client::send_over(stream, request).await.is_err(),
            Err(_) => true,
        };
        assert!(is_rejected, "an untrusted certificate is worse than none");
    }
}

#[tokio::test]
async fn with_certificates_and_without_passwords_no_door_is_left_open() {
    let keys = Keys::new();
    let mut config = config();
    keys.with_tls(&mut config);
    keys.with_clients(&mut config, &["ads.example"]);
    let server = Setup::with_config(config).open().await.unwrap();
    let authority = keys.authority();
    for (shown, grpc, rest) in [
        (None, Code::Unauthenticated, 401),
        (
            Some(authority.issue(&["other.example"])),
            Code::PermissionDenied,
            403,
        ),
        (Some(authority.issue(&["ads.example"])), Code::Ok, 200),
    ] {
        let client = grpc_over_tls(&server, authority, shown.as_ref()).await;
        assert_eq!(check_with(&client, &[]).await.code(), grpc);
        let request = post(CHECK, serde_json::to_vec(&cart()).unwrap());
        assert_eq!(
            rest_over_tls(&server, authority, shown.as_ref(), request)
                .await
                .http,
            rest
        );
    }
}

#[tokio::test]
async fn a_rate_limited_call_has_its_retry_delay() {
    let keys = Keys::new();
    let server = guarded(&keys, |config| {
        config.callers.caller_rate = Some(1);
        config.callers.caller_burst = 3.try_into().unwrap();
    })
    .await;
    let authorization = basic("ada", "new");
    let headers = [("authorization", &*authorization)];
    let rejected_by_rest = async {
        loop {
            let answer = by_rest(&server, &headers).await;
            if answer.http != 200 {
                return answer;
            }
        }
    };
    let rejected = with_timeout("a rejection", rejected_by_rest).await;
    assert_eq!(
        (rejected.http.as_u16(), &rejected.headers["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    assert_eq!(rejected.outcome().2, "RATE_LIMITED");
    let rejected_by_grpc = async {
        loop {
            let answer = by_grpc(&server, &headers).await;
            if answer.code() != Code::Ok {
                return answer;
            }
        }
    };
    let rejected = with_timeout("a rejection", rejected_by_grpc).await;
    assert_eq!(
        (rejected.code(), &*rejected.reason()),
        (Code::ResourceExhausted, "RATE_LIMITED")
    );
    let delay = rejected
        .details()
        .retry_info()
        .unwrap()
        .retry_delay
        .unwrap();
    assert!(
        delay > Duration::ZERO && delay <= Duration::from_millis(1_001),
        "{delay:?}"
    );
    assert!(
        opens(&server, "grace", "hopper").await,
        "others are not concerned"
    );
}

#[tokio::test]
async fn a_caller_has_so_many_calls_at_once_whichever_way_they_come() {
    let keys = Keys::new();
    let payments = GatewayDouble::silent();
    let mut config = config();
    keys.with_users(&mut config, &[("ada", &["new"]), ("grace", &["hopper"])]);
    config.callers.caller_max_in_flight = Some(1);
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .open()
        .await
        .unwrap();
    let authorization = basic("ada", "new");
    let headers = [("authorization", &*authorization)];
    let client = ByteClient::connect(server.address()).await;
    let order = whole(framed(&paid_order("slow").encode_to_vec()));
    let order = with(client.request("CreateOrder").body(order).unwrap(), &headers);
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.send(order).await }
    });
    payments.asked_times(1).await;
    let rejected = rejection(&server, &headers).await;
    assert_eq!(
        (rejected.code(), &*reason(&rejected)),
        (Code::ResourceExhausted, "CALLER_CONCURRENCY_LIMIT")
    );
    assert!(rejected.get_details_retry_info().is_some());
    assert!(opens(&server, "grace", "hopper").await);
    payments.capture();
    assert_eq!(slow.await.unwrap().unwrap().code(), Code::Ok);
    with_timeout("room for the next call", async {
        while !opens(&server, "ada", "new").await {}
    })
    .await;
}

#[tokio::test]
async fn a_request_with_too_large_a_head_is_rejected() {
    let mut config = config();
    config.connections.max_header_bytes = 4096;
    config.connections.max_headers = 20;
    let server = Setup::with_config(config).open().await.unwrap();
    let long = "x".repeat(5000);
    let many: Vec<_> = (0..30).map(|_| ("x-more", "y")).collect();
    for headers in [&[("x-long", &*long)][..], &many] {
        let by_http2 =
            rest_client::send_http2(server.address(), with(post(CHECK, "{}"), headers)).await;
        assert_eq!(by_http2.http, 431, "{}", headers.len());
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let answer = rest_client::send_over(stream, with(post(CHECK, "{}"), headers))
            .await
            .unwrap();
        assert_eq!(answer.http, 431, "{}", headers.len());
    }
    let endless = format!("POST {CHECK} HTTP/1.1\r\nx-long: {}", "x".repeat(9000));
    let heard = hear_out(&server, endless.as_bytes()).await;
    assert!(heard.starts_with("HTTP/1.1 431"), "{heard}");
    let rejected = by_grpc(&server, &many).await;
    assert_eq!(
        (rejected.code(), &*rejected.reason()),
        (Code::ResourceExhausted, "TOO_MANY_HEADERS")
    );
    assert_eq!(by_grpc(&server, &[("x-more", "y")]).await.code(), Code::Ok);
}

/// A server that is impatient with connections in one respect.
async fn impatient(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = config();
    change(&mut config);
    Setup::with_config(config).open().await.unwrap()
}

/// Says this and reads until the server closes the connection, which it has to.
async fn hear_out(server: &Server, said: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut heard = Vec::new();
    let _ = with_timeout("the end of the connection", stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

fn within(silence: Duration) -> impl FnOnce(&mut Config) {
    move |config| {
        config.connections.keepalive_interval = silence / 2;
        config.connections.keepalive_timeout = silence / 2;
    }
}

#[tokio::test]
async fn half_a_head_and_half_a_preface_are_not_waited_for() {
    let server = impatient(within(SOON)).await;
    for said in [
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n",
        "POST /v3/ListOrders HTTP/1.1\r\nhost: x\r\nx-a:",
    ] {
        let heard = hear_out(&server, said.as_bytes()).await;
        assert!(!heard.contains("200"), "{said:?}: {heard}");
    }
}

#[tokio::test]
async fn a_body_that_drips_is_not_waited_for() {
    let server = impatient(|config| config.calls.call_timeout = SOON / 2).await;
    let head = "POST /v3/ListOrders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let heard = hear_out(&server, head.as_bytes()).await;
    assert!(
        heard.starts_with("HTTP/1.1 504") && heard.contains("DEADLINE_EXCEEDED"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_not_waited_for() {
    let keys = Keys::new();
    let server = over_tls(&keys, |config| config.security.tls_handshake_timeout = SOON).await;
    for said in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        assert_eq!(hear_out(&server, said).await, "");
    }
    let in_time = async {
        while keys
            .authority()
            .connect(server.address(), None, "h2")
            .await
            .is_err()
        {}
    };
    with_timeout("a handshake in time", in_time).await;
}

#[tokio::test]
async fn a_connection_without_calls_is_closed_though_it_answers_pings() {
    let server = impatient(|config| {
        config.connections.keepalive_interval = Duration::from_millis(20);
        config.connections.keepalive_timeout = AN_HOUR;
        config.connections.max_connection_age = None;
        config.connections.idle_timeout = SOON;
    })
    .await;
    let stream = TokioIo::new(TcpStream::connect(server.address()).await.unwrap());
    let (sender, connection) = http2::handshake::<_, _, Body>(TokioExecutor::new(), stream)
        .await
        .unwrap();
    with_timeout("a good end", connection).await.unwrap();
    drop(sender);
}

#[tokio::test]
async fn a_connection_with_a_call_is_not_idle() {
    let payments = GatewayDouble::silent();
    let mut config = config();
    config.connections.idle_timeout = 3 * SOON;
    config.connections.max_connection_age_grace = Duration::ZERO;
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .open()
        .await
        .unwrap();
    let (busy, idle) = (
        ByteClient::connect(server.address()).await,
        TcpStream::connect(server.address()).await.unwrap(),
    );
    let order = whole(framed(&paid_order("slow").encode_to_vec()));
    let slow = busy.send(busy.request("CreateOrder").body(order).unwrap());
    let (_, connection) = http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(idle))
        .await
        .unwrap();
    let later = async {
        payments.asked_times(1).await;
        // One that began to rest no earlier has been closed by now.
        let _ = with_timeout("the end of the other connection", connection).await;
        payments.capture();
    };
    let (answer, ()) = tokio::join!(slow, later);
    assert_eq!(answer.unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn a_server_over_tls_goes_down_in_good_order() {
    let keys = Keys::new();
    let payments = GatewayDouble::silent();
    let mut config = config();
    keys.with_tls(&mut config);
    config.shutdown.drain_timeout = AN_HOUR;
    let server = Setup::with_config(config)
        .with_gateway(&payments)
        .open()
        .await
        .unwrap();
    // It will never agree on anything.
    let silent = TcpStream::connect(server.address()).await.unwrap();
    let client = Arc::new(grpc_over_tls(&server, keys.authority(), None).await);
    let order = whole(framed(&paid_order("slow").encode_to_vec()));
    let order = client.request("CreateOrder").body(order).unwrap();
    let slow = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.send(order).await }
    });
    payments.asked_times(1).await;
    let stop = tokio::spawn(server.stop(std::future::pending()));
    payments.capture();
    assert_eq!(slow.await.unwrap().unwrap().code(), Code::Ok);
    with_timeout("the end", stop).await.unwrap();
    drop(silent);
}
