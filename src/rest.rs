//! The REST door: the same calls as JSON over HTTP, at `/v3/` and the name of the method.

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
    calls::{Answered, Calls, Method},
    request_bodies::{Message, Reading, RequestBodies},
    responses::{Encoded, Encoding, ResponseBody},
    wire::{codec::read_json, codes::Problem, json},
};

/// Where the methods are, under the base path.
const VERSION: &str = "v3";

/// What a caller without the right password is asked for.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"boxoffice\", charset=\"UTF-8\"");

/// The methods of the service as REST callers see them.
#[derive(Clone)]
pub struct RestDoor {
    calls: Calls,
    bodies: Arc<RequestBodies>,
    base_path: Arc<str>,
    max_request_bytes: usize,
    takes_orders: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for RestDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestDoor")
            .field("base_path", &self.base_path)
            .finish_non_exhaustive()
    }
}

impl RestDoor {
    /// A door to these calls, under a path that begins with a slash and does not end with one, or
    /// is empty. Messages may have `max_request_bytes`; `takes_orders` says how it is at a moment.
    #[must_use]
    pub fn new(
        calls: Calls,
        bodies: Arc<RequestBodies>,
        base_path: &str,
        max_request_bytes: usize,
        takes_orders: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let takes_orders = Arc::new(takes_orders);
        Self {
            calls,
            bodies,
            base_path: base_path.into(),
            max_request_bytes,
            takes_orders,
        }
    }

    /// Answers a request, whatever it is.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let verb = request.method().clone();
        let answer = self
            .outcome(request)
            .await
            .unwrap_or_else(|problem| refuse(&problem));
        answer_to(&verb, answer)
    }

    async fn outcome<B>(&self, request: Request<B>) -> Result<Response<Body>, Problem>
    where
        B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let method = method_at(&self.base_path, request.uri().path()).ok_or(Problem::UnknownUrl)?;
        check_verb(method, request.method())?;
        if method == Method::HealthCheck {
            let is_well = (self.takes_orders)();
            return if is_well {
                Ok(respond(StatusCode::OK, b"{}".into()))
            } else {
                Err(Problem::NotServing)
            };
        }
        check_headers(request.headers())?;
        let reading = Reading {
            max_bytes: self.max_request_bytes,
            check: |_, _| Ok(()),
        };
        let message = self.bodies.read(request.into_body(), reading).await?;
        let Answered { response, place } = self.answered(method, message).await?;
        Ok(respond_with(
            StatusCode::OK,
            ResponseBody::new(response, place),
        ))
    }

    async fn answered(&self, method: Method, message: Message) -> Result<Answered, Problem> {
        let Self { calls, .. } = self;
        let (limits, deadline) = (calls.request_limits(), calls.deadline(None));
        let form = calls
            .responses()
            .form(Encoding::Json, message.bytes().len())?;
        match method {
            Method::HealthCheck => Err(Problem::UnknownUrl),
            Method::CheckOrderFulfillability => {
                let (request, _held) = read_json(message, limits).await?;
                calls.check(request, form, deadline).await
            }
            Method::CreateOrder => {
                let (request, _held) = read_json(message, limits).await?;
                calls.create(request, form, deadline).await
            }
            Method::ListOrders => {
                let (request, _held) = read_json(message, limits).await?;
                calls.list(request, form, deadline).await
            }
            Method::BatchAvailabilityLookup => {
                let (request, _held) = read_json(message, limits).await?;
                calls.look_up(request, form, deadline).await
            }
            Method::CheckAvailability => {
                let (request, _held) = read_json(message, limits).await?;
                calls.look_at(request, form, deadline).await
            }
        }
    }

    /// The method that a path stands for.
    #[must_use]
    pub fn method_at(&self, path: &str) -> Option<Method> {
        method_at(&self.base_path, path)
    }
}

/// The method that a path under a base path stands for, in any letter case. Slashes may be doubled and
/// stand at the end, as they do where an address and a path are put together; nothing is decoded. Who may
/// call is decided by the same reading of the path.
#[must_use]
pub fn method_at(base_path: &str, path: &str) -> Option<Method> {
    let mut asked = steps(path);
    for step in steps(base_path).chain([VERSION]) {
        asked.next().filter(|asked| *asked == step)?;
    }
    let name = asked.next()?;
    let method = Method::ALL
        .into_iter()
        .find(|method| method.name().eq_ignore_ascii_case(name));
    method.filter(|_| asked.next().is_none() && path.starts_with('/'))
}

/// The steps of a path; slashes beside each other are as good as one.
pub fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|step| !step.is_empty())
}

fn check_verb(method: Method, verb: &http::Method) -> Result<(), Problem> {
    let (taken, allowed): (&[http::Method], _) = match method {
        Method::HealthCheck => (&[http::Method::GET, http::Method::HEAD], "GET, HEAD"),
        Method::CheckOrderFulfillability
        | Method::CreateOrder
        | Method::ListOrders
        | Method::BatchAvailabilityLookup
        | Method::CheckAvailability => (&[http::Method::POST], "POST"),
    };
    if taken.contains(verb) {
        Ok(())
    } else {
        Err(Problem::WrongVerb { allowed })
    }
}

/// The answer to a request of this verb, of which some want no body.
#[must_use]
pub fn answer_to(verb: &http::Method, answer: Response<Body>) -> Response<Body> {
    if verb == http::Method::HEAD {
        answer.map(|_| Body::empty())
    } else {
        answer
    }
}

/// The answer that refuses a request. It says in its extensions which row of the table it is.
#[must_use]
pub fn refuse(problem: &Problem) -> Response<Body> {
    let row = problem.row();
    let status = StatusCode::from_u16(row.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = respond(status, json::refusal(problem).to_string().into_bytes());
    answer.extensions_mut().insert(row);
    let headers = answer.headers_mut();
    if let Problem::WrongVerb { allowed } = problem {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    if *problem == Problem::UnknownEncoding {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(delay) = problem.retry_delay() {
        headers.insert(RETRY_AFTER, whole_seconds(delay).into());
    }
    answer
}

/// As many as it takes for the delay to be over, at least one.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0 || delay.is_zero())
}

fn respond(status: StatusCode, message: Vec<u8>) -> Response<Body> {
    respond_with(status, ResponseBody::new(Encoded::of(message), ()))
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

/// A message has to say that it is JSON, and must not be compressed.
fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_one_json = types.next().is_some_and(is_json) && types.next().is_none();
    if !is_one_json {
        return Err(Problem::NotJson);
    }
    if headers.get_all(CONTENT_ENCODING).iter().any(is_compressed) {
        Err(Problem::UnknownEncoding)
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

/// Whether an encoding of a body is any compression at all.
#[must_use]
pub fn is_compressed(encoding: &HeaderValue) -> bool {
    !encoding
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(b"identity")
}
