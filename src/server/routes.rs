//! Which services answer on a connection: over gRPC the contract, health, and reflection in both
//! versions; over REST the contract and health.

use std::time::Duration;

use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use hyper::body::Incoming;
use tokio::time::timeout;
use tonic::{Code, Status, body::Body, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::{Builder, Error};
use tower::ServiceExt;

use super::connection::Door;
use crate::{
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
    /// The longest that a call may take, its message included.
    pub(super) max_call: Duration,
}

impl Door for Doors {
    /// Also in the place of a call that does not, such as one whose message never
    /// comes to its end. Only the beginning of an answer counts: a stream may go on.
    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let Self { grpc, rest, max_call } = self;
        if is_grpc(&request) {
            match timeout(max_call, grpc.oneshot(request.map(Body::new))).await {
                Ok(Ok(answer)) => name_refusal(answer),
                Err(_) => Status::from(Problem::DeadlineExceeded).into_http(),
            }
        } else {
            let late = |_| rest::refuse(&Problem::DeadlineExceeded);
            // Boxed, because room for it would have to be made and moved for every call over gRPC.
            timeout(max_call, Box::pin(rest.answer(request))).await.unwrap_or_else(late)
        }
    }
}

/// Whether a request says that it is gRPC, or is for the service that only gRPC has.
fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    let says_so = content_type.is_some_and(|what| what.as_bytes().starts_with(b"application/grpc"));
    let service = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
    says_so || service.is_some_and(|(service, _)| service == SERVICE_NAME)
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
