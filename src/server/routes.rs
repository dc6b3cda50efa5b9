//! Which services answer on a connection: the contract, health, and reflection in both versions.

use http::{HeaderMap, Response};
use tonic::{Code, Status, body::Body, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_reflection::server::{Builder, Error};

use crate::{
    grpc::GrpcDoor,
    wire::{
        codes::Problem,
        proto::{FILE_DESCRIPTOR_SET, v3::booking_service_server::BookingServiceServer},
    },
};

/// The header that tells which encodings a message may have.
const ENCODINGS: &str = "grpc-accept-encoding";

pub(super) fn routes(
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
pub(super) fn name_refusal(response: Response<Body>) -> Response<Body> {
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
