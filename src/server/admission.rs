//! Classification and validation of request heads: one decision for every transport and for both
//! listeners, before anything else is done with a request.
//!
//! gRPC is POST with `application/grpc` or `application/grpc+proto` over HTTP/2, or gRPC-Web.
//! Anything else to a gRPC method is rejected: a page of another origin can send a GET, a form or
//! plain text without a preflight, and such a request must never create an order.

use std::net::IpAddr;

use http::{
    HeaderMap, Method, Request, Response, Version,
    header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING},
};
use tonic::{Status, body::Body};

use crate::api::{
    booking::{proto::v3::booking_service_server::SERVICE_NAME as BOOKING, rest},
    error::ApiError,
    operator,
};
use kernel::rpc::Transport;

/// The services whose paths are gRPC whatever the content type.
const SERVICES: [&str; 4] = [
    BOOKING,
    HEALTH,
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The gRPC health service.
pub(super) use tonic_health::pb::health_server::SERVICE_NAME as HEALTH;

/// The prefix of every gRPC content type.
const GRPC: &[u8] = b"application/grpc";

/// The forms of gRPC-Web.
const WEB: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// The transport of a request by its content type. A path to a gRPC service makes it gRPC whatever the
/// content type; then [`check`] rejects it.
pub(super) fn transport_of<B>(request: &Request<B>) -> Transport {
    match content_type(request.headers()).map(Media::of) {
        Some(Media::Grpc | Media::OtherGrpc) => Transport::Grpc,
        Some(Media::GrpcWeb(_)) => Transport::GrpcWeb,
        Some(Media::Other) | None if is_grpc_path(request.uri().path()) => Transport::Grpc,
        Some(Media::Other) | None => Transport::Rest,
    }
}

/// The kinds of media types that gRPC distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Grpc,
    /// One of [`WEB`].
    GrpcWeb(&'static str),
    /// gRPC with another encoding of its messages.
    OtherGrpc,
    Other,
}

impl Media {
    fn of(content_type: &[u8]) -> Self {
        let essence = content_type
            .split(|&byte| byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let Some((start, rest)) = essence.split_at_checked(GRPC.len()) else {
            return Self::Other;
        };
        if !start.eq_ignore_ascii_case(GRPC) {
            return Self::Other;
        }
        if rest.is_empty() || rest.eq_ignore_ascii_case(b"+proto") {
            return Self::Grpc;
        }
        let web = WEB
            .into_iter()
            // The known names and not the prefix, because the library knows only these four.
            .find(|web| web.as_bytes().eq_ignore_ascii_case(essence));
        web.map_or(Self::OtherGrpc, Self::GrpcWeb)
    }
}

/// The content type, if there is exactly one.
fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    types
        .next()
        // Two content types are none: a proxy and this server might choose different ones.
        .filter(|_| types.next().is_none())
        .map(http::HeaderValue::as_bytes)
}

/// The form of gRPC-Web that a request has, without parameters.
pub(super) fn web_type(headers: &HeaderMap) -> Option<&'static str> {
    match content_type(headers).map(Media::of) {
        Some(Media::GrpcWeb(web)) => Some(web),
        Some(Media::Grpc | Media::OtherGrpc | Media::Other) | None => None,
    }
}

/// The service of a path to one of its methods.
pub(super) fn service(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.split_once('/')?;
    Some(service)
}

fn is_grpc_path(path: &str) -> bool {
    service(path)
        .is_some_and(|service| SERVICES.contains(&service) || operator::SERVICES.contains(&service))
}

/// The host names of the server; `None` allows any name.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowedHosts(Option<Box<[Box<str>]>>);

impl AllowedHosts {
    pub(super) fn new(names: Option<&[String]>) -> Self {
        Self(names.map(|names| names.iter().map(|name| bare(name).into()).collect()))
    }

    /// Whether requests to this host and port are served. An address needs no DNS, so a rebound
    /// name cannot make a browser send one; the same holds for `localhost`.
    fn serve(&self, authority: Option<&str>) -> bool {
        let Some(names) = &self.0 else { return true };
        let Some(host) = authority.map(bare) else {
            return false;
        };
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_address
            || host.eq_ignore_ascii_case("localhost")
            || names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// The host of an authority: without its port and without the dot of the root.
fn bare(authority: &str) -> &str {
    let host = &authority[..port_at(authority)];
    host.strip_suffix('.').unwrap_or(host)
}

/// Validates the head of a request.
///
/// # Errors
/// The first of: host, framing, expectation, host name, and for gRPC the method, the protocol and the
/// content type.
pub(super) fn check<B>(
    request: &Request<B>,
    transport: Transport,
    hosts: &AllowedHosts,
) -> Result<(), ApiError> {
    // Before the framing, which is meaningless for a request that may be for another server.
    let authority = authority(request)?;
    check_framing(request)?;
    if !hosts.serve(authority) {
        return Err(ApiError::Misdirected);
    }
    match transport {
        Transport::Rest => Ok(()),
        Transport::Grpc | Transport::GrpcWeb => check_grpc(request),
    }
}

fn check_grpc<B>(request: &Request<B>) -> Result<(), ApiError> {
    if request.method() != Method::POST {
        return Err(ApiError::MethodNotAllowed { allowed: "POST" });
    }
    match content_type(request.headers()).map(Media::of) {
        Some(Media::Grpc) if request.version() >= Version::HTTP_2 => {}
        Some(Media::Grpc) => {
            return Err(ApiError::UnsupportedMediaType(
                "gRPC needs HTTP/2; over HTTP/1.1 it is gRPC-Web",
            ));
        }
        Some(Media::GrpcWeb(_)) => {}
        Some(Media::OtherGrpc | Media::Other) | None => {
            return Err(ApiError::UnsupportedMediaType(
                "a call over gRPC needs the header `content-type: application/grpc`",
            ));
        }
    }
    // gRPC compresses single messages and announces it in its own headers; this header is of the
    // HTTP layer.
    let mut encodings = request.headers().get_all(CONTENT_ENCODING).iter();
    if encodings.any(rest::is_compressed) {
        Err(ApiError::UnsupportedEncoding)
    } else {
        Ok(())
    }
}

/// The host and port that a request is for, by RFC 9112, section 3.2, and RFC 9113, section 8.3.1.
fn authority<B>(request: &Request<B>) -> Result<Option<&str>, ApiError> {
    let mut named = request.headers().get_all(HOST).iter();
    let host = named.next();
    // RFC 9112 demands it: proxies that disagree on the host could be made to cache or route
    // wrongly.
    if named.next().is_some() {
        return Err(ApiError::InvalidHost(
            "a request has one `host` header at most",
        ));
    }
    let is_http2 = request.version() >= Version::HTTP_2;
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err(ApiError::InvalidHost(
            "a request over HTTP/1.1 needs a `host` header",
        ));
    }
    let invalid = ApiError::InvalidHost("`host` is not a host name with a port or without one");
    let host = host.map(|host| {
        host.to_str()
            .ok()
            .filter(|host| is_authority(host))
            .ok_or(invalid)
    });
    let host = host.transpose()?;
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    match (target, host) {
        (Some(target), Some(host)) if is_http2 && !target.eq_ignore_ascii_case(host) => {
            Err(ApiError::InvalidHost("`host` and `:authority` differ"))
        }
        (Some(target), _) => Ok(Some(target)),
        (None, host) => Ok(host),
    }
}

/// Whether a text can be a host with or without a port. User names are not allowed.
fn is_authority(text: &str) -> bool {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    let port = &text[port_at(text)..];
    !text.starts_with(':')
        && !text.is_empty()
        && text.bytes().all(is_host)
        && port.bytes().skip(1).all(|byte| byte.is_ascii_digit())
}

/// The position of the port, its colon included; the length if there is none.
fn port_at(authority: &str) -> usize {
    // After the bracket of an IPv6 address, whose own colons begin no port.
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    authority[end..]
        .find(':')
        .map_or(authority.len(), |colon| end + colon)
}

/// Validates the framing and the expectations of a body. The HTTP library reads a request with both
/// a length and chunks by its chunks, and ends its connection with the response.
fn check_framing<B>(request: &Request<B>) -> Result<(), ApiError> {
    let headers = request.headers();
    for codings in headers.get_all(TRANSFER_ENCODING) {
        // Exactly `chunked`: other codings are where two servers read a body differently (request
        // smuggling).
        if !codings
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked")
        {
            return Err(ApiError::UnsupportedTransferEncoding);
        }
    }
    // RFC 9110, section 10.1.1: expectations of HTTP/1.0 are ignored.
    if request.version() < Version::HTTP_11 {
        return Ok(());
    }
    let mut expectations = headers.get_all(EXPECT).iter();
    if expectations.all(|what| {
        what.as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"100-continue")
    }) {
        Ok(())
    } else {
        Err(ApiError::ExpectationFailed)
    }
}

/// The response to a rejected head: an HTTP status with the error as JSON. gRPC clients find the
/// same error in the headers of a gRPC status.
pub(super) fn reject(method: &Method, transport: Transport, error: ApiError) -> Response<Body> {
    let mut answer = rest::answer_to(method, rest::error_response(&error));
    if transport != Transport::Rest {
        let status: Response<()> = Status::from(error).into_http();
        for (name, value) in status.headers() {
            // The body is JSON and stays so; only the headers of the status are added.
            if name != CONTENT_TYPE {
                answer.headers_mut().insert(name, value.clone());
            }
        }
    }
    answer
}

#[cfg(test)]
mod tests;
