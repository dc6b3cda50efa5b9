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

/// Gives the refusal of a message that is too large the name it has elsewhere. The transport calls
/// it out of range, which no answer of ours is.
pub(super) fn name_oversize(response: Response<Body>) -> Response<Body> {
    if is_out_of_range(response.headers()) {
        return Status::from(Problem::RequestTooLarge).into_http();
    }
    response
}

fn is_out_of_range(headers: &HeaderMap) -> bool {
    let out_of_range = (Code::OutOfRange as i32).to_string();
    headers.get("grpc-status").is_some_and(|status| status.as_bytes() == out_of_range.as_bytes())
}
