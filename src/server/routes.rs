//! Which services answer on a connection: over gRPC the contract, health, and reflection in both
//! versions; over REST the contract and health.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper::body::Incoming;
use tokio::time::timeout;
use tonic::{Code, Status, body::Body, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer, SERVICE_NAME as HEALTH};
use tonic_reflection::server::{Builder, Error};
use tower::ServiceExt;

use super::{
    connection::{Door, Keeping},
    security::Access,
};
use crate::{
    access::{Entrance, Peer},
    grpc::GrpcDoor,
    rest::{self, RestDoor},
    wire::{
        codes::Problem,
        proto::{
            FILE_DESCRIPTOR_SET,
            v3::booking_service_server::{BookingServiceServer, SERVICE_NAME},
        },
    },
};

/// The header that tells which encodings a message may have.
const ENCODINGS: &str = "grpc-accept-encoding";

/// Both doors. They share their connections; a request says which of them it wants.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    pub(super) grpc: Routes,
    pub(super) rest: RestDoor,
    pub(super) access: Arc<Access>,
    /// Headers that a request may have.
    pub(super) max_headers: usize,
    /// The longest that a call may take, its message included.
    pub(super) max_call: Duration,
}

impl Door for Doors {
    /// Also in the place of a call that does not, such as one whose message never
    /// comes to its end. Only the beginning of an answer counts: a stream may go on.
    async fn answer(self, request: Request<Incoming>, peer: Arc<Peer>) -> Response<Body> {
        let (entrance, verb, max_call) = (entrance(&request), request.method().clone(), self.max_call);
        match timeout(max_call, self.let_in(entrance, request, &peer)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(problem)) => {
                tracing::debug!(reason = problem.row().reason, "caller turned away");
                refuse(entrance, &verb, problem)
            }
            Err(_) => refuse(entrance, &verb, Problem::DeadlineExceeded),
        }
    }
}

impl Doors {
    /// Nothing of a message is read before its caller has been let in.
    async fn let_in(
        self,
        entrance: Entrance,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> Result<Response<Body>, Problem> {
        if request.headers().len() > self.max_headers {
            return Err(Problem::TooManyHeaders);
        }
        if self.access.is_health_open() && self.asks_for_health(entrance, request.uri().path()) {
            return Ok(self.pass_on(entrance, request).await);
        }
        let authorization = request.headers().get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let pass = self.access.admit(entrance, authorization, peer).await?;
        let answer = self.pass_on(entrance, request).await;
        if pass.is_counted() {
            return Ok(answer.map(|body| Body::new(Keeping::new(body, pass))));
        }
        Ok(answer)
    }

    async fn pass_on(self, entrance: Entrance, request: Request<Incoming>) -> Response<Body> {
        match entrance {
            Entrance::Grpc => {
                let Ok(answer) = self.grpc.oneshot(request.map(Body::new)).await;
                name_refusal(answer)
            }
            Entrance::Rest => self.rest.answer(request).await,
        }
    }

    fn asks_for_health(&self, entrance: Entrance, path: &str) -> bool {
        match entrance {
            Entrance::Grpc => service(path) == Some(HEALTH),
            Entrance::Rest => self.rest.is_health(path),
        }
    }
}

/// The way in for a request that says that it is gRPC, or is for the service that only gRPC has, and
/// for any other.
fn entrance(request: &Request<Incoming>) -> Entrance {
    let content_type = request.headers().get(CONTENT_TYPE);
    let says_so = content_type.is_some_and(|what| what.as_bytes().starts_with(b"application/grpc"));
    if says_so || service(request.uri().path()) == Some(SERVICE_NAME) {
        Entrance::Grpc
    } else {
        Entrance::Rest
    }
}

/// The service of a path to one of its methods.
fn service(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.split_once('/')?;
    Some(service)
}

fn refuse(entrance: Entrance, verb: &Method, problem: Problem) -> Response<Body> {
    match entrance {
        Entrance::Grpc => Status::from(problem).into_http(),
        Entrance::Rest => rest::answer_to(verb, rest::refuse(&problem)),
    }
}

/// What answers over gRPC.
pub(super) fn grpc(
    door: BookingServiceServer<GrpcDoor>,
    health: HealthServer<impl Health>,
) -> Result<Routes, Error> {
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(door)
        .add_service(health)
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?);
    Ok(routes.prepare())
}

/// Gives a refusal that the transport makes by itself the name and the details that ours have.
fn name_refusal(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key(Status::GRPC_STATUS) || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    let refusal = Status::from_header_map(headers);
    let Some(problem) = refusal.and_then(|refusal| problem(&refusal, headers)) else { return response };
    let mut named = Status::from(problem).into_http();
    if let Some(encodings) = headers.get(ENCODINGS) {
        named.headers_mut().insert(ENCODINGS, encodings.clone());
    }
    named
}

/// What the transport means. It calls too large a message out of range, which no answer of ours is,
/// and a broken frame an internal error, though it is the caller's mistake.
fn problem(refusal: &Status, headers: &HeaderMap) -> Option<Problem> {
    let code = refusal.code();
    if code == Code::OutOfRange {
        Some(Problem::RequestTooLarge)
    } else if code == Code::Internal {
        Some(Problem::Malformed(refusal.message().trim_end_matches('.').to_owned()))
    } else if code == Code::Unimplemented && headers.contains_key(ENCODINGS) {
        Some(Problem::UnknownEncoding)
    } else {
        (code == Code::Unimplemented).then_some(Problem::UnknownMethod)
    }
}
