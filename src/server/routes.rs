//! Which services answer on a connection: over gRPC and gRPC-Web the contract, health, and
//! reflection in both versions; over REST the contract and health.

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
    security::Access,
};
use crate::{
    api::{
        auth::{Admitted, AuthError, Peer, Permit},
        booking::{
            grpc::{self, GrpcService},
            proto::{FILE_DESCRIPTOR_SET, v3::booking_service_server::SERVICE_NAME},
            rest::{self, RestHandler},
        },
        error::{ApiError, StatusMapping},
    },
    audit::{Audit, AuditEvent},
    net::{
        ClientCertificate, GuardedBody, HttpHandler,
        request_bodies::{ReadOptions, RequestBodies},
    },
    request::{Origin, RequestContext},
    rpc::{Rpc, Transport},
};

/// The header that tells which encodings a message may have.
const ENCODINGS: &str = "grpc-accept-encoding";

/// The longest message to a service beside the contract: names, and little else.
const MAX_OTHER_BYTES: usize = 4096;

/// Both router. They share their connections; a request says which of them it wants.
#[derive(Debug, Clone)]
pub(super) struct Router {
    pub(super) booking: GrpcService,
    /// What else answers over gRPC.
    pub(super) others: Routes,
    pub(super) rest: RestHandler,
    pub(super) bodies: Arc<RequestBodies>,
    pub(super) admission: Admission,
}

/// What is in front of both router.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    pub(super) access: Arc<Access>,
    /// Names under which the server is called.
    pub(super) hosts: AllowedHosts,
    /// Where it is recorded who is kept out.
    pub(super) audit: Arc<Audit>,
    /// Headers that a request may have.
    pub(super) max_headers: usize,
    /// The longest that a call may take, its message included.
    pub(super) max_call: Duration,
}

impl HttpHandler for Router {
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
        if let Err(error) = admission::check(&request, transport, &self.admission.hosts) {
            self.admission
                .note_rejection(&error, transport, request.headers(), &peer);
            return admission::reject(request.method(), transport, error);
        }
        match transport {
            Transport::Grpc => self.answer_grpc(request, transport, &peer).await,
            // Boxed, because room for them would have to be made and moved for every call over gRPC.
            Transport::GrpcWeb => Box::pin(self.clone().answer_grpc_web(request, peer)).await,
            Transport::Rest => Box::pin(self.answer_rest(request, &peer)).await,
        }
    }
}

impl Router {
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
            let (is_booking, is_health) = (service == Some(SERVICE_NAME), service == Some(HEALTH));
            let method = || grpc::rpc_at(path);
            let permit = admission
                .authorize(transport, method, request.headers(), is_health, peer)
                .await?;
            if is_booking {
                return Ok(keeping(permit, self.booking.answer(request).await?));
            }
            let answer = answer_other(&self.others, &self.bodies, request).await?;
            // Health may be watched for as long as its caller likes, and nothing else.
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

    /// Answers a browser: the same call, with what it cannot read at the end of a stream inside it.
    async fn answer_grpc_web(
        self,
        mut request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> Response<Body> {
        // The layer knows the content types by their plain text only.
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
            rest, admission, ..
        } = self;
        let http_method = request.method().clone();
        let answered = admission.in_time(async {
            let path = request.uri().path();
            let method = || rest.rpc_at(path);
            let is_health = method() == Some(Rpc::HealthCheck);
            let permit = admission
                .authorize(Transport::Rest, method, request.headers(), is_health, peer)
                .await?;
            Ok(keeping(permit, rest.answer(request).await))
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
        method: impl FnOnce() -> Option<Rpc>,
        headers: &HeaderMap,
        is_health: bool,
        peer: &Peer,
    ) -> Result<Option<Permit>, ApiError> {
        if headers.len() > self.max_headers {
            return Err(ApiError::TooManyHeaders);
        }
        if is_health && self.access.is_health_open() {
            return Ok(None);
        }
        let admitted = self.authenticate(transport, method, headers, peer).await;
        let admitted = admitted.map_err(ApiError::from);
        let Admitted { permit, user } =
            admitted.inspect_err(|error| self.note_rejection(error, transport, headers, peer))?;
        if let Some(served) = RequestContext::current() {
            let (certificate, address) = (peer.accepted_name().cloned(), peer.address());
            served.set_origin(Origin {
                transport,
                user,
                certificate,
                address,
            });
        }
        Ok(Some(permit))
    }

    /// Authenticates the caller and checks the scope of its user.
    async fn authenticate(
        &self,
        transport: Transport,
        method: impl FnOnce() -> Option<Rpc>,
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

    /// Answers in the place of a call that does not, such as one whose message never comes to its
    /// end. Only the beginning of an answer counts: a stream may go on.
    fn in_time(
        &self,
        call: impl Future<Output = Result<Response<Body>, ApiError>>,
    ) -> impl Future<Output = Result<Response<Body>, ApiError>> {
        timeout(self.max_call, call)
            .map(|answered| answered.unwrap_or(Err(ApiError::DeadlineExceeded)))
    }
}

/// The values of `authorization`.
fn authorization(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(AUTHORIZATION)
        .iter()
        .map(HeaderValue::as_bytes)
}

/// The answer, which keeps a permit that counts until it has been sent.
fn keeping(permit: Option<Permit>, answer: Response<Body>) -> Response<Body> {
    match permit.filter(Permit::is_counted) {
        Some(permit) => answer.map(|body| Body::new(GuardedBody::new(body, permit))),
        None => answer,
    }
}

/// Answers a call of one of these services. All methods of health take one message, which is read whole
/// first.
///
/// # Errors
/// What is wrong with that message.
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
    Ok(name_refusal(answer))
}

/// A request to a service beside the contract whose methods take one message, once that has come whole.
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
                check: grpc::check_frame,
            },
        )
        .await?;
    Ok(Request::from_parts(
        head,
        Body::new(Full::new(message.bytes().clone())),
    ))
}

/// What answers over gRPC beside the contract.
pub(super) fn others(health: HealthServer<HealthService>) -> Result<Routes, Error> {
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
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
    Ok(routes.prepare())
}

/// Gives a refusal that the transport makes by itself the name and the details that ours have.
fn name_refusal(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key(Status::GRPC_STATUS)
        || headers.contains_key(Status::GRPC_STATUS_DETAILS)
    {
        return response;
    }
    let refusal = Status::from_header_map(headers);
    let Some(error) = refusal.and_then(|refusal| error(&refusal, headers)) else {
        return response;
    };
    Status::from(error).into_http()
}

/// What the transport means. It calls too large a message out of range, which no answer of ours is,
/// and a broken frame an internal error, though it is the caller's mistake.
fn error(refusal: &Status, headers: &HeaderMap) -> Option<ApiError> {
    let code = refusal.code();
    if code == Code::OutOfRange {
        Some(ApiError::RequestTooLarge)
    } else if code == Code::Internal {
        Some(ApiError::Malformed(
            refusal.message().trim_end_matches('.').to_owned(),
        ))
    } else if code == Code::Unimplemented && headers.contains_key(ENCODINGS) {
        Some(ApiError::UnsupportedEncoding)
    } else {
        (code == Code::Unimplemented).then_some(ApiError::UnknownMethod)
    }
}
