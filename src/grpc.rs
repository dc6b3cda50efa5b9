//! The gRPC door. A method is three steps: translate, call, translate.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{
    app::{App, Refusal},
    domain::order::Order,
    wire::{
        codes::Problem,
        from_proto::{self, RefusedOrder},
        proto::v3::{
            BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, CheckAvailabilityRequest,
            CheckAvailabilityResponse, CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse,
            CreateOrderRequest, CreateOrderResponse, ListOrdersRequest, ListOrdersResponse,
            booking_service_server::BookingService,
        },
        requests::RequestLimits,
        to_proto,
    },
};

/// Limits of the door.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Calls served at once, over all connections; more are refused.
    pub max_in_flight: usize,
    /// Time within which a call is answered, even if its caller would wait longer.
    pub call_timeout: Duration,
    /// Limits of what a request may say.
    pub request: RequestLimits,
}

/// The service as gRPC callers see it.
#[derive(Debug, Clone)]
pub struct GrpcDoor {
    app: Arc<App>,
    in_flight: Arc<Semaphore>,
    limits: CallLimits,
}

impl GrpcDoor {
    /// A door to the application.
    #[must_use]
    pub fn new(app: Arc<App>, limits: CallLimits) -> Self {
        let in_flight = Arc::new(Semaphore::new(limits.max_in_flight.min(Semaphore::MAX_PERMITS)));
        Self { app, in_flight, limits }
    }

    fn is_merchant(&self) -> impl Fn(&str) -> bool + use<> {
        let catalog = self.app.catalog();
        move |merchant_id| catalog.merchant_ix(merchant_id).is_some()
    }

    /// The moment at which a call's time is up: the caller's deadline or our ceiling.
    fn deadline<T>(&self, request: &Request<T>) -> Result<Instant, Problem> {
        let asked = asked_timeout(request.metadata())?.unwrap_or(self.limits.call_timeout);
        Ok(Instant::now() + asked.min(self.limits.call_timeout))
    }

    /// The order that a refused request has led to when it was not refused yet.
    fn answered_before(&self, refused: RefusedOrder) -> Result<Order, Problem> {
        let RefusedOrder { token, fingerprint, violations } = refused;
        let order = self.app.answered_before(&token, fingerprint)?;
        order.ok_or(Problem::Invalid(violations))
    }

    /// Lets a call in, keeps it within its time, and makes a bug in it its own problem only.
    async fn answer<R>(
        &self,
        method: &'static str,
        deadline: Instant,
        work: impl Future<Output = Result<R, Problem>> + Send,
    ) -> Result<Response<R>, Status> {
        let begun = Instant::now();
        let outcome = match self.in_flight.try_acquire() {
            Err(_) => Err(Refusal::Busy.into()),
            Ok(_permit) => match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
                Err(_) => Err(Problem::DeadlineExceeded),
                Ok(Err(_panic)) => Err(Problem::Bug(format!("a panic in {method}"))),
                Ok(Ok(outcome)) => outcome,
            },
        };
        let elapsed_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        match outcome {
            Ok(answer) => {
                tracing::debug!(method, elapsed_us, "call answered");
                Ok(Response::new(answer))
            }
            Err(problem) => {
                tracing::debug!(method, elapsed_us, reason = problem.row().reason, "call refused");
                Err(problem.into())
            }
        }
    }
}

#[tonic::async_trait]
impl BookingService for GrpcDoor {
    async fn check_order_fulfillability(
        &self,
        request: Request<CheckOrderFulfillabilityRequest>,
    ) -> Result<Response<CheckOrderFulfillabilityResponse>, Status> {
        let deadline = self.deadline(&request)?;
        let work = async {
            let cart =
                from_proto::check_request(request.into_inner(), &self.limits.request, &self.is_merchant())?;
            let checked = self.app.check(&cart)?;
            Ok(to_proto::check_response(checked))
        };
        self.answer("CheckOrderFulfillability", deadline, work).await
    }

    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<CreateOrderResponse>, Status> {
        let deadline = self.deadline(&request)?;
        let work = async {
            let created = match from_proto::create_request(
                request.into_inner(),
                &self.limits.request,
                &self.is_merchant(),
            ) {
                Ok(command) => self.app.create(command, deadline).await?,
                Err(refused) => Ok(self.answered_before(refused)?),
            };
            Ok(to_proto::create_response(created))
        };
        self.answer("CreateOrder", deadline, work).await
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let deadline = self.deadline(&request)?;
        let work = async {
            let selection = from_proto::list_request(request.into_inner(), &self.limits.request)?;
            let orders = self.app.list(selection).await?;
            Ok(to_proto::list_response(&orders))
        };
        self.answer("ListOrders", deadline, work).await
    }

    async fn batch_availability_lookup(
        &self,
        request: Request<BatchAvailabilityLookupRequest>,
    ) -> Result<Response<BatchAvailabilityLookupResponse>, Status> {
        let deadline = self.deadline(&request)?;
        let work = async {
            let lookup =
                from_proto::lookup_request(request.into_inner(), &self.limits.request, &self.is_merchant())?;
            let seen = self.app.look_up(lookup).await?;
            Ok(to_proto::lookup_response(seen))
        };
        self.answer("BatchAvailabilityLookup", deadline, work).await
    }

    async fn check_availability(
        &self,
        request: Request<CheckAvailabilityRequest>,
    ) -> Result<Response<CheckAvailabilityResponse>, Status> {
        let deadline = self.deadline(&request)?;
        let work = async {
            let lookup = from_proto::availability_request(request.into_inner(), &self.is_merchant())?;
            let spots_open = self.app.look_at(&lookup)?;
            Ok(to_proto::availability_response(lookup, spots_open))
        };
        self.answer("CheckAvailability", deadline, work).await
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
