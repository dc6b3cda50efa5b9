//! The outermost layer of every transport: each request gets its id and its place in a trace, and
//! is counted and logged.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;
use tracing::{Instrument, Span, field::Empty};

use super::admission;
use crate::{
    api::{error::StatusMapping, streamed::StreamEnd},
    net::{ClientCertificate, GuardedBody, HttpHandler},
    telemetry::traces,
};
use kernel::{
    request::RequestContext,
    rpc::{Method, Transport},
};

mod calls;

pub(super) use calls::CallMetrics;
use calls::{CallTarget, CallTimer, Outcome};

/// The header with the id of a request, on the request and on its response.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Observes the requests of another handler.
#[derive(Debug)]
pub(super) struct ObservabilityLayer<H> {
    handler: H,
    metrics: Arc<CallMetrics>,
}

impl<H> ObservabilityLayer<H> {
    pub(super) fn new(handler: H, metrics: Arc<CallMetrics>) -> Self {
        Self { handler, metrics }
    }
}

/// A handler whose methods over REST have paths of its own.
pub(super) trait RestMethods {
    /// The method of a request.
    fn rest_method(&self, path: &str) -> Option<Method>;
}

impl<H: HttpHandler + RestMethods> HttpHandler for ObservabilityLayer<H> {
    type Connection = H::Connection;

    fn connected(&self, address: IpAddr, certificate: ClientCertificate) -> H::Connection {
        self.handler.connected(address, certificate)
    }

    fn certificate_rejected(&self, address: IpAddr) {
        self.handler.certificate_rejected(address);
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
        connection: Arc<H::Connection>,
    ) -> Response<Body> {
        let Self { handler, metrics } = self;
        let target = target(&request, handler);
        let span = span(target);
        let trace_id = traces::join(&span, request.headers());
        let given_id = request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes);
        // Before the handler, so that every log line of the call names its request.
        let served = RequestContext::new(given_id, trace_id);
        let id = header(served.id());
        span.record("request_id", served.id());
        let work = async {
            let guard = CallGuard::begin(metrics, target, span.clone());
            let mut answer = handler.handle(request, connection).await;
            match answer.extensions().get::<StreamEnd>() {
                Some(end) => {
                    let guard = guard.until(Arc::clone(metrics), end.clone());
                    answer = answer.map(|body| Body::new(GuardedBody::new(body, guard)));
                }
                // Read from the response, so that one place observes all transports and errors alike.
                None => guard.end(outcome(target.transport, &answer)),
            }
            if let Some(id) = id {
                answer.headers_mut().insert(REQUEST_ID, id);
            }
            answer
        };
        served.scope(work.instrument(span.clone())).await
    }
}

fn target(request: &Request<Incoming>, handler: &impl RestMethods) -> CallTarget {
    let path = request.uri().path();
    match admission::transport_of(request) {
        transport @ Transport::Rest => CallTarget {
            transport,
            method: handler.rest_method(path),
        },
        transport @ (Transport::Grpc | Transport::GrpcWeb) => {
            CallTarget::over_grpc(transport, path)
        }
    }
}

/// A call that is observed. Its drop records the end, whatever that was.
struct CallGuard<'a> {
    metrics: &'a CallMetrics,
    /// `None` once a stream has it.
    call: Option<ObservedCall>,
    outcome: Outcome,
}

impl<'a> CallGuard<'a> {
    fn begin(metrics: &'a CallMetrics, target: CallTarget, span: Span) -> Self {
        let timer = metrics.begin(target);
        Self {
            metrics,
            call: Some(ObservedCall { timer, span }),
            // Unless `end` replaces it: a call that is dropped unanswered was cancelled by its client.
            outcome: Outcome::CANCELLED,
        }
    }

    fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Leaves the end of the call to that of its stream.
    fn until(mut self, metrics: Arc<CallMetrics>, end: StreamEnd) -> StreamGuard {
        StreamGuard {
            metrics,
            call: self.call.take(),
            end,
        }
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.end(self.metrics, &self.outcome);
        }
    }
}

/// A call that is answered by a stream. Its drop records the end.
struct StreamGuard {
    metrics: Arc<CallMetrics>,
    call: Option<ObservedCall>,
    end: StreamEnd,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let outcome = match self.end.outcome() {
            Some(Ok(())) => Outcome::ANSWERED,
            Some(Err(mapping)) => Outcome::rejected(mapping),
            // Its reader has left before the end.
            None => Outcome::CANCELLED,
        };
        if let Some(call) = &self.call {
            call.end(&self.metrics, &outcome);
        }
    }
}

/// A call in flight.
struct ObservedCall {
    timer: CallTimer,
    span: Span,
}

impl ObservedCall {
    fn end(&self, metrics: &CallMetrics, outcome: &Outcome) {
        let Self { timer, span } = self;
        let time = metrics.end(timer, outcome);
        let target = timer.target;
        // Saturates after 584,000 years.
        let elapsed_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (transport, (_, method)) = (target.transport.name(), target.names());
        let (code, reason) = (outcome.code_name(), outcome.reason.as_deref());
        if outcome.code == Code::Ok {
            tracing::debug!(transport, method, elapsed_us, "call answered");
        } else if outcome.code == Code::Cancelled {
            tracing::debug!(transport, method, elapsed_us, "call cancelled by client");
        } else {
            tracing::debug!(transport, method, elapsed_us, code, reason, "call rejected");
            // Not for cancelled calls: the client has ended those, and they are no failure of the
            // server.
            span.record("otel.status_code", "ERROR");
        }
        span.record("grpc_code", code);
        span.record("reason", reason);
    }
}

/// The outcome that a response reports.
fn outcome(transport: Transport, answer: &Response<Body>) -> Outcome {
    match transport {
        Transport::Grpc | Transport::GrpcWeb => outcome_over_grpc(answer.headers()),
        Transport::Rest => answer
            .extensions()
            .get::<StatusMapping>()
            .map_or(Outcome::ANSWERED, |row| Outcome::rejected(*row)),
    }
}

/// A gRPC status among the headers is an error; that of a success comes in the trailers.
fn outcome_over_grpc(headers: &HeaderMap) -> Outcome {
    if !headers.contains_key(Status::GRPC_STATUS) {
        return Outcome::ANSWERED;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return Outcome::ANSWERED;
    };
    Outcome {
        code: status.code(),
        reason: status.get_details_error_info().map(|info| info.reason),
    }
}

/// The span of a call.
fn span(target: CallTarget) -> Span {
    let (service, method) = target.names();
    tracing::info_span!(
        "call",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.service = service,
        rpc.method = method,
        transport = target.transport.name(),
        request_id = Empty,
        grpc_code = Empty,
        reason = Empty,
    )
}

/// An id as a header value. It is marked as sensitive, so that HTTP/2 does not index a value that
/// never occurs again.
fn header(id: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(id).ok()?;
    header.set_sensitive(true);
    Some(header)
}
