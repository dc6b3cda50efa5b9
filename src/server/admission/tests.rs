use super::*;

const CREATE: &str = "/ext.maps.booking.partner.v3.BookingService/CreateOrder";

fn request(
    method: &str,
    uri: &str,
    version: Version,
    headers: &[(&'static str, &str)],
) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .version(version)
        .body(())
        .unwrap();
    for (name, value) in headers {
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

fn decide(request: &Request<()>, hosts: &AllowedHosts) -> Result<Transport, u16> {
    let transport = transport_of(request);
    check(request, transport, hosts)
        .map(|()| transport)
        .map_err(|error| error.mapping().http)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn grpc_is_a_post_of_its_own_content_types_over_http_2() {
    let (http1, http2) = (Version::HTTP_11, Version::HTTP_2);
    for (path, version, method, content_type, expected) in [
        (
            CREATE,
            http2,
            "POST",
            Some("application/grpc"),
            Ok(Transport::Grpc),
        ),
        (
            CREATE,
            http2,
            "POST",
            Some("application/grpc+proto"),
            Ok(Transport::Grpc),
        ),
        (
            CREATE,
            http2,
            "POST",
            Some("Application/gRPC+Proto; charset=utf-8"),
            Ok(Transport::Grpc),
        ),
        (
            CREATE,
            http2,
            "POST",
            Some("application/grpc ;x=y"),
            Ok(Transport::Grpc),
        ),
        (CREATE, http1, "POST", Some("application/grpc"), Err(415)),
        (
            CREATE,
            http1,
            "POST",
            Some("application/grpc-web"),
            Ok(Transport::GrpcWeb),
        ),
        (
            CREATE,
            http2,
            "POST",
            Some("application/grpc-web-text+proto; charset=utf-8"),
            Ok(Transport::GrpcWeb),
        ),
        (
            CREATE,
            http2,
            "POST",
            Some("application/grpc-web+json"),
            Err(415),
        ),
        (
            CREATE,
            http2,
            "POST",
            Some("application/grpc+json"),
            Err(415),
        ),
        (CREATE, http2, "POST", Some("application/grpcx"), Err(415)),
        (CREATE, http2, "POST", Some("application/grp"), Err(415)),
        (CREATE, http2, "POST", Some("application/json"), Err(415)),
        (CREATE, http2, "POST", Some("text/plain"), Err(415)),
        (
            CREATE,
            http2,
            "POST",
            Some("application/x-www-form-urlencoded"),
            Err(415),
        ),
        (CREATE, http2, "POST", Some("multipart/form-data"), Err(415)),
        (
            CREATE,
            http2,
            "POST",
            Some("text/plain, application/grpc"),
            Err(415),
        ),
        (CREATE, http2, "POST", Some(""), Err(415)),
        (CREATE, http2, "POST", None, Err(415)),
        (CREATE, http2, "GET", Some("application/grpc"), Err(405)),
        (CREATE, http2, "FOO", Some("application/grpc"), Err(405)),
        (
            CREATE,
            http2,
            "OPTIONS",
            Some("application/grpc-web"),
            Err(405),
        ),
        (CREATE, http1, "GET", None, Err(405)),
        (
            "/grpc.health.v1.Health/Watch",
            http2,
            "POST",
            Some("text/plain"),
            Err(415),
        ),
        (
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            http2,
            "POST",
            None,
            Err(415),
        ),
        (
            "/grpc.reflection.v1alpha.ServerReflection/x",
            http2,
            "HEAD",
            None,
            Err(405),
        ),
        (
            "/no.such.Service/Method",
            http2,
            "POST",
            Some("application/grpc"),
            Ok(Transport::Grpc),
        ),
        (
            "/v3/CreateOrder",
            http2,
            "POST",
            Some("application/grpc+json"),
            Err(415),
        ),
        (
            "/v3/CreateOrder",
            http1,
            "POST",
            Some("application/json"),
            Ok(Transport::Rest),
        ),
        (
            "/v3/CreateOrder",
            http1,
            "POST",
            Some("text/plain"),
            Ok(Transport::Rest),
        ),
        (
            "/v3/CreateOrder",
            http1,
            "DELETE",
            None,
            Ok(Transport::Rest),
        ),
    ] {
        let mut headers = vec![("host", "boxoffice")];
        headers.extend(content_type.map(|what| ("content-type", what)));
        let request = request(method, path, version, &headers);
        assert_eq!(
            decide(&request, &AllowedHosts::default()),
            expected,
            "{method} {path} {content_type:?}"
        );
    }
    let twice = [
        ("content-type", "application/grpc"),
        ("content-type", "text/plain"),
    ];
    assert_eq!(
        decide(
            &request("POST", CREATE, http2, &twice),
            &AllowedHosts::default()
        ),
        Err(415)
    );
    let encoded = [
        ("content-type", "application/grpc"),
        ("content-encoding", "gzip"),
    ];
    assert_eq!(
        decide(
            &request("POST", CREATE, http2, &encoded),
            &AllowedHosts::default()
        ),
        Err(415)
    );
}

#[test]
fn a_request_is_for_one_host() {
    let (http10, http11, http2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
    for (version, uri, headers, expected) in [
        (http11, "/", &[][..], Err(400)),
        (http10, "/", &[], Ok(Transport::Rest)),
        (http2, "/", &[], Ok(Transport::Rest)),
        (http11, "/", &["a"], Ok(Transport::Rest)),
        (http11, "/", &["a.example:8080"], Ok(Transport::Rest)),
        (http11, "/", &["[::1]:8080"], Ok(Transport::Rest)),
        (http11, "/", &["a", "a"], Err(400)),
        (http10, "/", &["a", "b"], Err(400)),
        (http11, "/", &[""], Err(400)),
        (http11, "/", &["a b"], Err(400)),
        (http11, "/", &["a/b"], Err(400)),
        (http11, "/", &["user@a"], Err(400)),
        (http11, "/", &[":80"], Err(400)),
        (http11, "/", &["a:b"], Err(400)),
        (http11, "/", &["ä"], Err(400)),
        (http11, "http://a/", &["b"], Ok(Transport::Rest)),
        (http11, "http://a/", &[], Err(400)),
        (http2, "http://a/", &["A"], Ok(Transport::Rest)),
        (http2, "http://a/", &["b"], Err(400)),
    ] {
        let headers: Vec<_> = headers.iter().map(|host| ("host", *host)).collect();
        let request = request("GET", uri, version, &headers);
        assert_eq!(
            decide(&request, &AllowedHosts::default()),
            expected,
            "{version:?} {uri} {headers:?}"
        );
    }
}

#[test]
fn hosts_may_be_restricted_to_names() {
    let names = ["shop.example".to_owned(), "Tickets.example.".to_owned()];
    let hosts = AllowedHosts::new(Some(&names));
    for (authority, is_served) in [
        ("shop.example", true),
        ("SHOP.example:443", true),
        ("shop.example.", true),
        ("shop.example.:443", true),
        ("tickets.example", true),
        ("evil.example", false),
        ("shop.example.evil.example", false),
        ("evil-shop.example", false),
        ("localhost:50051", true),
        ("localhost.evil.example", false),
        ("127.0.0.1:50051", true),
        ("127.0.0.1.evil.example", false),
        ("[::1]:50051", true),
    ] {
        for (uri, headers) in [
            ("/".to_owned(), vec![("host", authority)]),
            (format!("http://{authority}/"), vec![("host", "a")]),
        ] {
            let request = request("GET", &uri, Version::HTTP_11, &headers);
            let expected = if is_served {
                Ok(Transport::Rest)
            } else {
                Err(421)
            };
            assert_eq!(decide(&request, &hosts), expected, "{authority} {uri}");
        }
    }
    let nameless = request("GET", "/", Version::HTTP_2, &[]);
    assert_eq!(decide(&nameless, &hosts), Err(421));
}

#[test]
fn framing_and_expectations_that_are_not_known_are_rejected() {
    for (header, value, expected) in [
        ("transfer-encoding", "chunked", Ok(Transport::Rest)),
        ("transfer-encoding", "Chunked", Ok(Transport::Rest)),
        ("transfer-encoding", "gzip, chunked", Err(501)),
        ("transfer-encoding", "identity, chunked", Err(501)),
        ("expect", "100-continue", Ok(Transport::Rest)),
        ("expect", "100-Continue", Ok(Transport::Rest)),
        ("expect", "200-ok", Err(417)),
        ("expect", "", Err(417)),
    ] {
        let request = request(
            "POST",
            "/v3/CreateOrder",
            Version::HTTP_11,
            &[("host", "a"), (header, value)],
        );
        assert_eq!(
            decide(&request, &AllowedHosts::default()),
            expected,
            "{header}: {value}"
        );
    }
    let old = request("GET", "/", Version::HTTP_10, &[("expect", "200-ok")]);
    assert_eq!(decide(&old, &AllowedHosts::default()), Ok(Transport::Rest));
}
