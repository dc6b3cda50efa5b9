//! Unary calls over gRPC, whatever their service: one message in, one message out.

use std::{error::Error, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE, request::Parts,
};
use hyper::body::{Body as HttpBody, Bytes};
use tonic::{Status, body::Body};

use crate::{
    api::{calls::Reply, error::ApiError, responses::ResponseBody},
    net::request_bodies::{ReadOptions, ReceivedMessage, RequestBodies},
};

/// The header that names the compression of messages.
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The prefix of a message: the compressed flag, and the length in four bytes.
const PREFIX_BYTES: usize = 5;

/// Reads the one message of a call, of at most `max_request_bytes` without its prefix, and the timeout of its caller.
///
/// # Errors
/// [`ApiError`], of the headers before any byte of the body is read.
pub async fn receive<B>(
    request: Request<B>,
    bodies: &Arc<RequestBodies>,
    max_request_bytes: usize,
) -> Result<(ReceivedMessage, Option<Duration>), ApiError>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let (Parts { headers, .. }, body) = request.into_parts();
    // Before the body is read: both headers can reject a call whose message need not arrive.
    check_encoding(&headers)?;
    let timeout = asked_timeout(&headers)?;
    // Saturating: a limit at the maximum has no room for the prefix either.
    let max_bytes = max_request_bytes.saturating_add(PREFIX_BYTES);
    let reading = ReadOptions {
        max_bytes,
        check: check_frame,
    };
    let framed = bodies.read(body, reading).await?;
    Ok((unframed(framed)?, timeout))
}

/// Rejects compressed messages.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_plain = |encoding: &HeaderValue| encoding.as_bytes() == b"identity";
    if headers.get_all(ENCODING).iter().all(is_plain) {
        Ok(())
    } else {
        Err(ApiError::UnsupportedEncoding)
    }
}

/// Checks the start of a body as it arrives, so that a message that is too large, or a second one,
/// is rejected early. `max_bytes` includes the prefix.
///
/// # Errors
/// [`ApiError::Malformed`], [`ApiError::RequestTooLarge`].
pub fn check_frame(so_far: &[u8], max_bytes: usize) -> Result<(), ApiError> {
    match so_far.first() {
        // Nothing has arrived yet, which is no error while more may come.
        None | Some(0) => {}
        Some(1) => {
            return Err(malformed(
                "the message is flagged as compressed, and grpc-encoding is missing",
            ));
        }
        Some(flag) => {
            return Err(malformed(&format!(
                "the message begins with the flag {flag}; only 0 is known"
            )));
        }
    }
    let Some(end) = announced_end(so_far) else {
        return Ok(());
    };
    if end > max_bytes {
        Err(ApiError::RequestTooLarge)
    } else if so_far.len() > end {
        Err(ApiError::SecondMessage)
    } else {
        Ok(())
    }
}

/// The one message of a body.
fn unframed(body: ReceivedMessage) -> Result<ReceivedMessage, ApiError> {
    match announced_end(body.bytes()) {
        Some(end) if body.bytes().len() == end => Ok(body.without(PREFIX_BYTES)),
        Some(_) => Err(malformed("the message is shorter than its length prefix")),
        None => Err(malformed("there is no message")),
    }
}

/// Where a message ends according to its prefix.
fn announced_end(body: &[u8]) -> Option<usize> {
    let &[_, a, b, c, d] = body.first_chunk::<PREFIX_BYTES>()?;
    usize::try_from(u32::from_be_bytes([a, b, c, d]))
        .ok()?
        // Overflows only where pointers have 32 bits; such a message is too large anyway.
        .checked_add(PREFIX_BYTES)
}

fn malformed(what: &str) -> ApiError {
    ApiError::Malformed(what.to_owned())
}

/// The response of a call, with its status behind the message.
#[must_use]
pub fn respond(answered: Reply) -> Response<Body> {
    let Reply { response, permit } = answered;
    let mut trailers = HeaderMap::with_capacity(1);
    // In the trailers, because a status among the headers would mean that no message follows.
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let body = ResponseBody::with_trailers(response, trailers, permit);
    let mut answer = Response::new(Body::new(body));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

/// The timeout that the caller sets in `grpc-timeout`.
fn asked_timeout(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let malformed = || malformed("grpc-timeout is not a time");
    let text = value.to_str().map_err(|_| malformed())?;
    parse_timeout(text).map(Some).ok_or_else(malformed)
}

/// Reads at most eight digits and a unit, as the gRPC protocol writes a timeout.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // At most eight digits, so none of the products below can overflow.
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    #[test]
    fn a_body_is_one_message_of_the_length_that_it_is_said_to_have() {
        for (so_far, expected) in [
            (&b""[..], Ok(())),
            (&[0], Ok(())),
            (&[0, 0, 0, 0], Ok(())),
            (&[0, 0, 0, 0, 0], Ok(())),
            (&[0, 0, 0, 0, 95], Ok(())),
            (&[0, 0, 0, 0, 96], Err("REQUEST_TOO_LARGE")),
            (&[0, 255, 255, 255, 255], Err("REQUEST_TOO_LARGE")),
            (&[1], Err("MALFORMED_MESSAGE")),
            (&[2, 0, 0, 0, 0], Err("MALFORMED_MESSAGE")),
            (&[0, 0, 0, 0, 1, 7], Ok(())),
            (&[0, 0, 0, 0, 1, 7, 0], Err("MALFORMED_MESSAGE")),
        ] {
            let found = check_frame(so_far, MAX).map_err(|error| error.mapping().reason);
            assert_eq!(found, expected, "{so_far:?}");
        }
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("+1S", None),
            ("100000000S", None),
            ("1ü", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text:?}");
        }
    }
}
