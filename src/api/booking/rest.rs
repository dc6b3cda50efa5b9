//! The contract over REST: JSON over HTTP at `/v3/` and the name of the method.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
    },
};
use hyper::body::{Body as HttpBody, Bytes};
use tonic::body::Body;

use crate::{
    api::{
        booking::json,
        calls::Reply,
        dispatch::Dispatcher,
        error::ApiError,
        responses::{EncodedResponse, Encoding, ResponseBody},
    },
    net::request_bodies::{ReadOptions, RequestBodies},
};
use kernel::rpc::Rpc;

/// The path of the description of the interface, whatever the base path.
pub const OPENAPI_PATH: &str = "/openapi.json";

/// The description of the interface.
pub const OPENAPI: &str = include_str!("../../../docs/openapi/booking.json");

/// The path of the methods under the base path.
const VERSION: &str = "v3";

/// The error text for a message whose content type is not JSON.
const JSON_REQUIRED: &str =
    "the message must be JSON, with the header `content-type: application/json`";

/// The challenge to a caller without valid credentials.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"boxoffice\", charset=\"UTF-8\"");

/// Serves the methods of the contract over REST.
#[derive(Clone)]
pub struct RestHandler {
    dispatcher: Dispatcher,
    bodies: Arc<RequestBodies>,
    base_path: Arc<str>,
    max_request_bytes: usize,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for RestHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestHandler")
            .field("base_path", &self.base_path)
            .finish_non_exhaustive()
    }
}

impl RestHandler {
    /// A handler under a base path, which begins with a slash and does not end with one, or is
    /// empty. A message may have `max_request_bytes`; `is_ready` returns the readiness of the
    /// server.
    #[must_use]
    pub fn new(
        dispatcher: Dispatcher,
        bodies: Arc<RequestBodies>,
        base_path: &str,
        max_request_bytes: usize,
        is_ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let is_ready = Arc::new(is_ready);
        Self {
            dispatcher,
            bodies,
            base_path: base_path.into(),
            max_request_bytes,
            is_ready,
        }
    }

    /// Handles a request; errors become responses.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        // Kept, because the request is consumed before the response is known to need no body.
        let method = request.method().clone();
        let answer = self
            .outcome(request)
            .await
            .unwrap_or_else(|error| error_response(&error));
        answer_to(&method, answer)
    }

    async fn outcome<B>(&self, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        if request.uri().path() == OPENAPI_PATH {
            return described(request.method(), OPENAPI);
        }
        let rpc = rpc_at(&self.base_path, request.uri().path()).ok_or(ApiError::NotFound)?;
        check_http_method(rpc, request.method())?;
        if rpc == Rpc::HealthCheck {
            return if (self.is_ready)() {
                Ok(respond(StatusCode::OK, b"{}".into()))
            } else {
                Err(ApiError::NotServing)
            };
        }
        // Before the body is read: a message that cannot be decoded costs no memory.
        check_headers(request.headers())?;
        let reading = ReadOptions::<ApiError> {
            max_bytes: self.max_request_bytes,
            check: |_, _| Ok(()),
        };
        let message = self.bodies.read(request.into_body(), reading).await?;
        let answered = self
            .dispatcher
            // HTTP has no standard header for a deadline, so the server's own applies.
            .dispatch(rpc, message, Encoding::Json, None)
            .await?;
        Ok(reply(StatusCode::OK, answered))
    }

    /// The method of a path.
    #[must_use]
    pub fn rpc_at(&self, path: &str) -> Option<Rpc> {
        rpc_at(&self.base_path, path)
    }
}

/// The method of a path under a base path, in any letter case. Slashes may be doubled or at the
/// end, as they are where an address and a path are joined; nothing is percent-decoded.
/// Authorization reads the path with this same function.
#[must_use]
pub fn rpc_at(base_path: &str, path: &str) -> Option<Rpc> {
    let mut asked = steps(path);
    for step in steps(base_path).chain([VERSION]) {
        asked.next().filter(|asked| *asked == step)?;
    }
    let name = asked.next()?;
    let method = Rpc::ALL
        .into_iter()
        .find(|method| method.name().eq_ignore_ascii_case(name));
    // A longer path is another URL; a path without a slash comes from `OPTIONS *` and the like.
    method.filter(|_| asked.next().is_none() && path.starts_with('/'))
}

/// The segments of a path. Adjacent slashes count as one.
pub fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|step| !step.is_empty())
}

fn check_http_method(rpc: Rpc, method: &http::Method) -> Result<(), ApiError> {
    let (taken, allowed): (&[http::Method], _) = match rpc {
        Rpc::HealthCheck => (&[http::Method::GET, http::Method::HEAD], "GET, HEAD"),
        Rpc::CheckOrderFulfillability
        | Rpc::CreateOrder
        | Rpc::ListOrders
        | Rpc::BatchAvailabilityLookup
        | Rpc::CheckAvailability => (&[http::Method::POST], "POST"),
    };
    if taken.contains(method) {
        Ok(())
    } else {
        Err(ApiError::MethodNotAllowed { allowed })
    }
}

/// The response to a request of this HTTP method; without its body for HEAD.
#[must_use]
pub fn answer_to(method: &http::Method, answer: Response<Body>) -> Response<Body> {
    if method == http::Method::HEAD {
        answer.map(|_| Body::empty())
    } else {
        answer
    }
}

/// The response that reports an error. Its extensions carry the row of the error table.
#[must_use]
pub fn error_response(error: &ApiError) -> Response<Body> {
    let mapping = error.mapping();
    // Cannot fail: every row of the table has a valid status.
    let status = StatusCode::from_u16(mapping.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = respond(status, json::error_body(error).to_string().into_bytes());
    // For the metrics: the outermost layer reads the reason from here.
    answer.extensions_mut().insert(mapping);
    let headers = answer.headers_mut();
    if let ApiError::MethodNotAllowed { allowed } = error {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    if *error == ApiError::UnsupportedEncoding {
        // RFC 9110, section 15.5.16: a 415 for a content coding names the accepted ones.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 requires a challenge with every 401.
        headers.insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(delay) = error.retry_delay() {
        headers.insert(RETRY_AFTER, whole_seconds(delay).into());
    }
    answer
}

/// The delay in whole seconds, rounded up, at least one.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0 || delay.is_zero())
}

/// The response of a call.
#[must_use]
pub fn reply(status: StatusCode, Reply { response, permit }: Reply) -> Response<Body> {
    respond_with(status, ResponseBody::new(response, permit))
}

/// The response with the description of an interface.
///
/// # Errors
/// [`ApiError::MethodNotAllowed`].
pub fn described(method: &http::Method, openapi: &str) -> Result<Response<Body>, ApiError> {
    if [http::Method::GET, http::Method::HEAD].contains(method) {
        Ok(respond(StatusCode::OK, openapi.as_bytes().to_vec()))
    } else {
        Err(ApiError::MethodNotAllowed {
            allowed: "GET, HEAD",
        })
    }
}

fn respond(status: StatusCode, message: Vec<u8>) -> Response<Body> {
    respond_with(status, ResponseBody::new(EncodedResponse::of(message), ()))
}

fn respond_with<K: Send + Unpin + 'static>(
    status: StatusCode,
    body: ResponseBody<K>,
) -> Response<Body> {
    let mut answer = Response::new(Body::new(body));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Checks that a message is declared as JSON and is not compressed.
///
/// # Errors
/// [`ApiError::UnsupportedMediaType`], [`ApiError::UnsupportedEncoding`].
pub fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    // Exactly one type: a form of another origin cannot send `application/json` without a
    // preflight.
    let is_one_json = types.next().is_some_and(is_json) && types.next().is_none();
    if !is_one_json {
        return Err(ApiError::UnsupportedMediaType(JSON_REQUIRED));
    }
    if headers.get_all(CONTENT_ENCODING).iter().any(is_compressed) {
        Err(ApiError::UnsupportedEncoding)
    } else {
        Ok(())
    }
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type
        .as_bytes()
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default();
    essence
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/json")
}

/// Whether a content encoding is a compression.
#[must_use]
pub fn is_compressed(encoding: &HeaderValue) -> bool {
    !encoding
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(b"identity")
}
