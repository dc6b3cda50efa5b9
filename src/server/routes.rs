//! Routing of admitted requests: over gRPC and gRPC-Web the contract, health and reflection in both
//! versions; over REST the contract and health.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tokio::time::timeout;
use tonic::{Code, Status, body::Body, service::Routes};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::{Builder, Error};
use tonic_web::GrpcWebLayer;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use super::{
    admission::{self, AllowedHosts, HEALTH},
    deadline_body::DeadlineBody,
    health::HealthService,
    observability::RestMethods,
    security::Access,
};
use crate::{
    api::{
        auth::{Admitted, AuthError, Peer, Permit},
        booking::{
            grpc::{self, GrpcService},
            proto::v3::booking_service_server::SERVICE_NAME,
            rest::{self, RestHandler},
        },
        error::{ApiError, StatusMapping},
        operator::{self, grpc::OperatorGrpc, rest::OperatorRest},
        unary,
    },
    net::{
        ClientCertificate, GuardedBody, HttpHandler,
        request_bodies::{ReadOptions, RequestBodies},
    },
};
use kernel::{
    request::{Origin, RequestContext},
    rpc::{Method, Rpc, Transport},
};
use orders::audit::{Audit, AuditEvent};

/// The header that lists the accepted encodings of a message.
const ENCODINGS: &str = "grpc-accept-encoding";

/// Maximum size of a message to health and reflection, in bytes: names, and little else.
const MAX_OTHER_BYTES: usize = 4096;

/// What a router serves beside health and reflection: the methods of an interface, over gRPC and REST.
pub(super) trait Interface: Clone + Send + Sync + 'static {
    /// Whether a gRPC service is one of the interface.
    fn has_service(&self, service: &str) -> bool;

    /// The method of a gRPC path.
    fn grpc_method(&self, path: &str) -> Option<Method>;

    /// The method of a path over REST.
    fn rest_method(&self, path: &str) -> Option<Method>;

    /// Handles a call over gRPC.
    fn answer_grpc<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Body>, ApiError>> + Send
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static;

    /// Handles a request over REST.
    fn answer_rest(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// The contract with callers.
#[derive(Debug, Clone)]
pub(super) struct BookingInterface {
    pub(super) grpc: GrpcService,
    pub(super) rest: RestHandler,
}

impl Interface for BookingInterface {
    fn has_service(&self, service: &str) -> bool {
        service == SERVICE_NAME
    }

    fn grpc_method(&self, path: &str) -> Option<Method> {
        grpc::rpc_at(path).map(Method::Booking)
    }

    fn rest_method(&self, path: &str) -> Option<Method> {
        self.rest.rpc_at(path).map(Method::Booking)
    }

    async fn answer_grpc<B>(&self, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        self.grpc.answer(request).await
    }

    async fn answer_rest(&self, request: Request<Incoming>) -> Response<Body> {
        self.rest.answer(request).await
    }
}

/// The operator's services.
#[derive(Debug, Clone)]
pub(super) struct OperatorInterface {
    pub(super) grpc: OperatorGrpc,
    pub(super) rest: OperatorRest,
}

impl Interface for OperatorInterface {
    fn has_service(&self, service: &str) -> bool {
        operator::SERVICES.contains(&service)
    }

    fn grpc_method(&self, path: &str) -> Option<Method> {
        operator::grpc::rpc_at(path).map(Method::Operator)
    }

    fn rest_method(&self, path: &str) -> Option<Method> {
        let (route, _) = operator::rest::route_at(path)?;
        Some(Method::Operator(route.rpc))
    }

    async fn answer_grpc<B>(&self, request: Request<B>) -> Result<Response<Body>, ApiError>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        self.grpc.answer(request).await
    }

    async fn answer_rest(&self, request: Request<Incoming>) -> Response<Body> {
        self.rest.answer(request).await
    }
}

/// The services of all transports of an interface. They share their connections, and each request selects one.
#[derive(Debug, Clone)]
pub(super) struct Router<I> {
    pub(super) interface: I,
    /// Health and reflection.
    pub(super) others: Routes,
    pub(super) bodies: Arc<RequestBodies>,
    pub(super) admission: Admission,
}

impl<I: Interface> RestMethods for Router<I> {
    fn rest_method(&self, path: &str) -> Option<Method> {
        self.interface.rest_method(path)
    }
}

/// Admission of calls, the same for all services.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    pub(super) access: Arc<Access>,
    /// The host names of the server.
    pub(super) hosts: AllowedHosts,
    /// Records rejected callers.
    pub(super) audit: Arc<Audit>,
    /// Maximum number of headers of a request.
    pub(super) max_headers: usize,
    /// Time limit of a call, its message included.
    pub(super) max_call: Duration,
}

impl<I: Interface> HttpHandler for Router<I> {
    type Connection = Peer;

    fn connected(&self, address: IpAddr, certificate: ClientCertificate) -> Peer {
        Peer::new(address, certificate)
    }

    fn certificate_rejected(&self, address: IpAddr) {
        self.admission.audit.record(AuditEvent::AccessRejected {
            reason: "CLIENT_CERTIFICATE_NOT_TRUSTED",
            user: None,
            address,
            transport: None,
        });
    }

    async fn handle(&self, request: Request<Incoming>, peer: Arc<Peer>) -> Response<Body> {
        let transport = admission::transport_of(&request);
        // Before authorization: a request that two servers may read differently must not reach the
        // credentials.
        if let Err(error) = admission::check(&request, transport, &self.admission.hosts) {
            self.admission
                .note_rejection(&error, transport, request.headers(), &peer);
            return admission::reject(request.method(), transport, error);
        }
        match transport {
            Transport::Grpc => self.answer_grpc(request, transport, &peer).await,
            // Boxed: otherwise the future of every gRPC call would be as large as the largest of
            // the three.
            Transport::GrpcWeb => Box::pin(self.clone().answer_grpc_web(request, peer)).await,
            Transport::Rest => Box::pin(self.answer_rest(request, &peer)).await,
        }
    }
}

impl<I: Interface> Router<I> {
    async fn answer_grpc<B>(
        &self,
        request: Request<B>,
        transport: Transport,
        peer: &Peer,
    ) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
    {
        let Self { admission, .. } = self;
        let answered = admission.in_time(async {
            let path = request.uri().path();
            let service = admission::service(path);
            let is_ours = service.is_some_and(|service| self.interface.has_service(service));
            let is_health = service == Some(HEALTH);
            let method = || self.interface.grpc_method(path);
            let permit = admission
                // Before the path is known to exist, so that strangers cannot find out which
                // methods there are.
                .authorize(transport, method, request.headers(), is_health, peer)
                .await?;
            if is_ours {
                return Ok(keeping(permit, self.interface.answer_grpc(request).await?));
            }
            let answer = answer_other(&self.others, &self.bodies, request).await?;
            // Health may be watched without a limit; reflection is a stream too, and gets a
            // deadline.
            let answer = if is_health {
                answer
            } else {
                answer.map(|body| Body::new(DeadlineBody::new(body, admission.max_call)))
            };
            Ok(keeping(permit, answer))
        });
        answered
            .await
            .unwrap_or_else(|error| Status::from(error).into_http())
    }

    /// Handles a call over gRPC-Web: the layer turns the trailers, which browsers cannot read, into
    /// a part of the body.
    async fn answer_grpc_web(
        self,
        mut request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> Response<Body> {
        // The layer compares content types literally, so parameters and capital letters are
        // removed.
        if let Some(web) = admission::web_type(request.headers()) {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(web));
        }
        let calls = service_fn(move |request: Request<Body>| {
            let (router, peer) = (self.clone(), Arc::clone(&peer));
            async move {
                Ok::<_, Infallible>(router.answer_grpc(request, Transport::GrpcWeb, &peer).await)
            }
        });
        let Ok(answer) = GrpcWebLayer::new().layer(calls).oneshot(request).await;
        answer
    }

    async fn answer_rest(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let Self {
            interface,
            admission,
            ..
        } = self;
        let http_method = request.method().clone();
        let answered = admission.in_time(async {
            let path = request.uri().path();
            let method = || interface.rest_method(path);
            let is_health = method() == Some(Method::Booking(Rpc::HealthCheck));
            let permit = admission
                .authorize(Transport::Rest, method, request.headers(), is_health, peer)
                .await?;
            Ok(keeping(permit, interface.answer_rest(request).await))
        });
        answered
            .await
            .unwrap_or_else(|error| rest::answer_to(&http_method, rest::error_response(&error)))
    }
}

impl Admission {
    /// Authorizes a call before any byte of its message is read. An open health check needs no permit.
    async fn authorize(
        &self,
        transport: Transport,
        method: impl Fn() -> Option<Method>,
        headers: &HeaderMap,
        is_health: bool,
        peer: &Peer,
    ) -> Result<Option<Permit>, ApiError> {
        // The HTTP library limits HTTP/1.1 only; over HTTP/2 it limits the bytes.
        if headers.len() > self.max_headers {
            return Err(ApiError::TooManyHeaders);
        }
        if is_health && self.access.is_health_open() {
            return Ok(None);
        }
        let admitted = self.authenticate(transport, &method, headers, peer).await;
        let admitted = admitted.map_err(ApiError::from);
        let Admitted { permit, user } =
            admitted.inspect_err(|error| self.note_rejection(error, transport, headers, peer))?;
        // Set before the call runs: the audit log and the scope checks read it from the context.
        if let Some(served) = RequestContext::current() {
            let (certificate, address) = (peer.accepted_name().cloned(), peer.address());
            // Looked up only where somebody reads it.
            let operation = match self.audit.is_on().then(&method).flatten() {
                Some(Method::Operator(rpc)) => Some(rpc),
                Some(Method::Booking(_)) | None => None,
            };
            served.set_origin(Origin {
                transport,
                user,
                certificate,
                address,
                operation,
            });
        }
        Ok(Some(permit))
    }

    /// Authenticates the caller and checks the scope of its user.
    async fn authenticate(
        &self,
        transport: Transport,
        method: impl FnOnce() -> Option<Method>,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Admitted, AuthError> {
        let admitted = self
            .access
            .authenticate(transport, authorization(headers), peer)
            .await?;
        if let Some(user) = &admitted.user {
            user.check_call(transport, method)?;
        }
        Ok(admitted)
    }

    /// Records in the audit log that a caller was not authenticated or not authorized. A caller over its limits, or
    /// with a malformed request, leaves no record.
    fn note_rejection(
        &self,
        error: &ApiError,
        transport: Transport,
        headers: &HeaderMap,
        peer: &Peer,
    ) {
        let StatusMapping { grpc, reason, .. } = error.mapping();
        // Checked first: looking up the named user costs a decoding of the credentials.
        if self.audit.is_on() && matches!(grpc, Code::Unauthenticated | Code::PermissionDenied) {
            let user = self.access.named_user(authorization(headers));
            let (user, address, transport) = (user.as_deref(), peer.address(), Some(transport));
            self.audit.record(AuditEvent::AccessRejected {
                reason,
                user,
                address,
                transport,
            });
        }
    }

    /// Limits the time of a call, so that one whose message never ends is answered as well. Only
    /// the start of the response counts: a stream may go on.
    fn in_time(
        &self,
        call: impl Future<Output = Result<Response<Body>, ApiError>>,
    ) -> impl Future<Output = Result<Response<Body>, ApiError>> {
        timeout(self.max_call, call)
            .map(|answered| answered.unwrap_or(Err(ApiError::DeadlineExceeded)))
    }
}

/// All values of `authorization`.
fn authorization(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(AUTHORIZATION)
        .iter()
        .map(HeaderValue::as_bytes)
}

/// The response, which holds a counted permit until it has been sent.
fn keeping(permit: Option<Permit>, answer: Response<Body>) -> Response<Body> {
    // An uncounted permit needs no guard, so that most responses are not boxed once more.
    match permit.filter(Permit::is_counted) {
        Some(permit) => answer.map(|body| Body::new(GuardedBody::new(body, permit))),
        None => answer,
    }
}

/// Handles a call of health or reflection. The methods of health take one message, which is read
/// whole first.
///
/// # Errors
/// An error of the message, if it is invalid.
pub(super) async fn answer_other<B>(
    routes: &Routes,
    bodies: &Arc<RequestBodies>,
    request: Request<B>,
) -> Result<Response<Body>, ApiError>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    let is_health = admission::service(request.uri().path()) == Some(HEALTH);
    let request = if is_health {
        whole(bodies, request).await?
    } else {
        request.map(Body::new)
    };
    let Ok(answer) = routes.clone().oneshot(request).await;
    Ok(name_rejection(answer))
}

/// A request to health, once its message is complete.
async fn whole<B>(
    bodies: &Arc<RequestBodies>,
    request: Request<B>,
) -> Result<Request<Body>, ApiError>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (head, body) = request.into_parts();
    let message = bodies
        .read(
            body,
            ReadOptions {
                max_bytes: MAX_OTHER_BYTES,
                check: unary::check_frame,
            },
        )
        .await?;
    Ok(Request::from_parts(
        head,
        Body::new(Full::new(message.bytes().clone())),
    ))
}

/// The services of health and of reflection of the published files.
pub(super) fn others(
    health: HealthServer<HealthService>,
    published: &[u8],
) -> Result<Routes, Error> {
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(published)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(health)
        .add_service(
            described()
                .build_v1()?
                .max_decoding_message_size(MAX_OTHER_BYTES),
        )
        .add_service(
            described()
                .build_v1alpha()?
                .max_decoding_message_size(MAX_OTHER_BYTES),
        );
    // Prepared once: otherwise the router would be rebuilt for every request.
    Ok(routes.prepare())
}

/// Adds our reason and details to an error that the gRPC library has produced by itself.
fn name_rejection(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key(Status::GRPC_STATUS)
        || headers.contains_key(Status::GRPC_STATUS_DETAILS)
    {
        return response;
    }
    let status = Status::from_header_map(headers);
    let Some(error) = status.and_then(|status| error(&status, headers)) else {
        return response;
    };
    Status::from(error).into_http()
}

/// The error that the gRPC library means. It reports a message that is too large as out of range,
/// and a broken frame as an internal error, although the client caused it.
fn error(status: &Status, headers: &HeaderMap) -> Option<ApiError> {
    let code = status.code();
    if code == Code::OutOfRange {
        Some(ApiError::RequestTooLarge)
    } else if code == Code::Internal {
        Some(ApiError::Malformed(
            status.message().trim_end_matches('.').to_owned(),
        ))
    } else if code == Code::Unimplemented && headers.contains_key(ENCODINGS) {
        Some(ApiError::UnsupportedEncoding)
    } else {
        (code == Code::Unimplemented).then_some(ApiError::UnknownMethod)
    }
}
