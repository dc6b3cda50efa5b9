//! The gRPC door: protobuf in, protobuf out.

use std::time::Duration;

use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{
    calls::Calls,
    wire::{
        codes::Problem,
        proto::v3::{
            BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, CheckAvailabilityRequest,
            CheckAvailabilityResponse, CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse,
            CreateOrderRequest, CreateOrderResponse, ListOrdersRequest, ListOrdersResponse,
            booking_service_server::BookingService,
        },
    },
};

/// The service as gRPC callers see it.
#[derive(Debug, Clone)]
pub struct GrpcDoor {
    calls: Calls,
}

impl GrpcDoor {
    /// A door to these calls.
    #[must_use]
    pub fn new(calls: Calls) -> Self {
        Self { calls }
    }
}

#[tonic::async_trait]
impl BookingService for GrpcDoor {
    async fn check_order_fulfillability(
        &self,
        request: Request<CheckOrderFulfillabilityRequest>,
    ) -> Result<Response<CheckOrderFulfillabilityResponse>, Status> {
        let deadline = self.calls.deadline(asked_timeout(request.metadata())?);
        Ok(Response::new(self.calls.check(request.into_inner(), deadline).await?))
    }

    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<CreateOrderResponse>, Status> {
        let deadline = self.calls.deadline(asked_timeout(request.metadata())?);
        Ok(Response::new(self.calls.create(request.into_inner(), deadline).await?))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let deadline = self.calls.deadline(asked_timeout(request.metadata())?);
        Ok(Response::new(self.calls.list(request.into_inner(), deadline).await?))
    }

    async fn batch_availability_lookup(
        &self,
        request: Request<BatchAvailabilityLookupRequest>,
    ) -> Result<Response<BatchAvailabilityLookupResponse>, Status> {
        let deadline = self.calls.deadline(asked_timeout(request.metadata())?);
        Ok(Response::new(self.calls.look_up(request.into_inner(), deadline).await?))
    }

    async fn check_availability(
        &self,
        request: Request<CheckAvailabilityRequest>,
    ) -> Result<Response<CheckAvailabilityResponse>, Status> {
        let deadline = self.calls.deadline(asked_timeout(request.metadata())?);
        Ok(Response::new(self.calls.look_at(request.into_inner(), deadline).await?))
    }
}

/// The time that the caller gives the call, if it says so.
fn asked_timeout(metadata: &MetadataMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = metadata.get("grpc-timeout") else { return Ok(None) };
    let malformed = || Problem::Malformed("grpc-timeout is not a time".to_owned());
    let text = value.to_str().map_err(|_| malformed())?;
    parse_timeout(text).map(Some).ok_or_else(malformed)
}

/// Reads at most eight digits and a unit, as the gRPC protocol writes a timeout.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
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
